//! Stays of tickets, and figures.

use std::collections::BTreeMap;

use super::*;
use schemas::{
    event::Event,
    figures::{CheckInMethod, Figure, Measure, Tally, TicketEnd, time_bucket},
    history::Stay,
};

/// The history of a clinic, folded.
#[derive(Default)]
struct Folded {
    stays: BTreeMap<(TicketId, u32), Stay>,
    figures: BTreeMap<(Measure, u8), Tally>,
    keys: Vec<Figure>,
}

impl Folded {
    fn take(&mut self, effect: RecordEffect) {
        for stay in effect.history.stays {
            self.stays.insert((stay.ticket.clone(), stay.number), stay);
        }
        for figure in effect.history.figures {
            let sum = self.figures.entry((figure.key.measure, figure.key.bucket)).or_default();
            sum.add(figure.tally);
            self.keys.push(figure);
        }
    }

    fn count(&self, measure: Measure) -> Tally {
        let mut sum = Tally::default();
        let of = self.figures.iter().filter(|((of, _), _)| *of == measure);
        of.for_each(|(_, tally)| sum.add(*tally));
        sum
    }

    fn ended(&self, end: TicketEnd) -> i64 {
        let bucket = TicketEnd::ALL.iter().position(|known| *known == end).unwrap();
        let bucket = u8::try_from(bucket).unwrap();
        self.figures.get(&(Measure::Ended, bucket)).map_or(0, |tally| tally.count)
    }

    fn states(&self) -> Vec<(TicketState, Option<Millis>)> {
        let took = |stay: &Stay| stay.until.map(|until| (until - stay.from) / MINUTE);
        self.stays.values().map(|stay| (stay.state, took(stay))).collect()
    }
}

/// A clinic whose steps are folded.
struct Counted {
    clinic: Clinic,
    folded: Folded,
}

impl Counted {
    fn open() -> Self {
        Self { clinic: Clinic::open(), folded: Folded::default() }
    }

    /// Applies a command after so many minutes.
    fn after(&mut self, minutes: Millis, command: Command) {
        self.clinic.now += minutes * MINUTE;
        let effect = self.clinic.apply(command);
        self.folded.take(effect);
    }
}

fn start() -> Command {
    Command::StartService { ticket: ticket(1) }
}

fn complete() -> Command {
    Command::CompleteTicket { ticket: ticket(1) }
}

fn revert() -> Command {
    Command::RevertTicket { ticket: ticket(1) }
}

#[test]
fn visit_is_a_stay_for_each_state() {
    let mut day = Counted::open();
    day.after(0, issue("general", 1, 0));
    day.after(7, call(1, "room-1"));
    day.after(2, start());
    day.after(11, complete());
    use TicketState as S;
    let expected = [
        (S::Waiting, Some(7)),
        (S::Called, Some(2)),
        (S::InService, Some(11)),
        (S::Completed, None),
    ];
    assert_eq!(day.folded.states(), expected);
    let called = &day.folded.stays[&(ticket(1), 2)];
    assert_eq!(called.station, Some(station("room-1")));
    assert_eq!(day.folded.count(Measure::Arrived).count, 1);
    assert_eq!(day.folded.count(Measure::Waited), Tally { count: 1, total_ms: 7 * MINUTE });
    assert_eq!(day.folded.count(Measure::Served), Tally { count: 1, total_ms: 11 * MINUTE });
    assert_eq!(day.folded.ended(TicketEnd::Completed), 1);
}

#[test]
fn undo_begins_a_stay_and_uncounts() {
    let mut day = Counted::open();
    day.after(0, issue("general", 1, 0));
    day.after(5, call(1, "room-1"));
    day.after(1, revert());
    assert_eq!(day.folded.count(Measure::Waited), Tally::default());
    day.after(4, call(1, "room-1"));
    use TicketState as S;
    let expected =
        [(S::Waiting, Some(5)), (S::Called, Some(1)), (S::Waiting, Some(4)), (S::Called, None)];
    assert_eq!(day.folded.states(), expected);
    let waited = day.folded.count(Measure::Waited);
    assert_eq!(waited, Tally { count: 1, total_ms: 10 * MINUTE }, "as if never called before");
    day.after(1, Command::MarkNoShow { ticket: ticket(1) });
    assert_eq!(day.folded.ended(TicketEnd::NoShow), 1);
    day.after(1, revert());
    assert_eq!(day.folded.ended(TicketEnd::NoShow), 0);
}

#[test]
fn move_counts_for_both_queues() {
    let mut day = Counted::open();
    day.after(0, issue("general", 1, 0));
    day.after(3, call(1, "room-1"));
    day.after(0, start());
    day.after(6, transfer(1, "lab"));
    day.after(20, call(1, "room-2"));
    let of = |slug: &str, measure| {
        let mut sum = Tally::default();
        let figures = day.folded.keys.iter().filter(|figure| {
            figure.key.queue == Some(queue(slug)) && figure.key.measure == measure
        });
        figures.for_each(|figure| sum.add(figure.tally));
        (sum.count, sum.total_ms / MINUTE)
    };
    assert_eq!(of("general", Measure::Waited), (1, 3));
    assert_eq!(of("general", Measure::Served), (1, 6));
    assert_eq!(of("lab", Measure::Joined), (1, 0));
    assert_eq!(of("lab", Measure::Waited), (1, 20));
}

#[test]
fn figures_have_the_hour_and_day_of_the_location() {
    let mut day = Counted::open();
    // Half past eleven at night in Paris, on the last day of November.
    day.clinic.now = at("2026-11-30T22:30:00Z");
    day.after(0, issue("general", 1, 0));
    day.after(1, call(1, "room-1"));
    let keys: Vec<_> =
        day.folded.keys.iter().map(|figure| (figure.key.day.as_str(), figure.key.hour)).collect();
    assert_eq!(keys, [("2026-11-30", 23); 2]);
}

#[test]
fn only_the_first_call_measures_the_wait() {
    let mut day = Counted::open();
    day.after(0, issue("general", 1, 0));
    day.after(5, call(1, "room-1"));
    day.after(1, Command::MarkAbsent { ticket: ticket(1) });
    day.after(1, Command::ReturnTicket { ticket: ticket(1) });
    day.after(9, call(1, "room-1"));
    let waited = day.folded.figures[&(Measure::Waited, time_bucket(5 * MINUTE))];
    assert_eq!((waited.count, day.folded.count(Measure::Waited).count), (1, 1));
}

#[test]
fn appointments_count_as_kept_or_missed_by_lead_time() {
    let mut day = Counted::open();
    let start = day.clinic.now + 10 * 24 * 60 * MINUTE;
    let fact = |number: u128, revision| AppointmentFact {
        start: Some(start),
        end: Some(start + 15 * MINUTE),
        ..riverside::fact(number, revision, AppointmentStatus::Booked)
    };
    day.after(0, report(1, fact(1, 1)));
    day.after(0, report(2, fact(2, 1)));
    day.clinic.now = start;
    day.after(0, check_in(1));
    let visit = appointment(1).visit_ticket(0);
    let (called, station) = (visit.clone(), station("room-1"));
    day.after(1, Command::CallTicket { ticket: called, station, force: false });
    day.after(1, Command::StartService { ticket: visit.clone() });
    let two_weeks = 2;
    let count = |folded: &Folded, measure| {
        folded.figures.get(&(measure, two_weeks)).map_or(0, |tally| tally.count)
    };
    assert_eq!(count(&day.folded, Measure::Kept), 1);
    day.after(1, Command::RevertTicket { ticket: visit });
    assert_eq!(count(&day.folded, Measure::Kept), 0, "the start of the service was undone");
    day.clinic.now = start + 24 * 60 * MINUTE;
    while day.clinic.location.due().is_some_and(|due| due <= day.clinic.now) {
        day.after(0, Command::Tick {});
    }
    assert_eq!(
        count(&day.folded, Measure::Missed),
        2,
        "one never came, one was not there when called"
    );
    let waited = day.folded.keys.iter().find(|figure| figure.key.measure == Measure::Waited);
    assert_eq!(waited.unwrap().key.doctor, Some(doctor("roy").id));
}

#[test]
fn check_in_method_follows_from_the_actor() {
    let mut clinic = Clinic::open();
    for (number, from, expected) in [
        (1, Some(actor("nurse-7", "reception")), CheckInMethod::Desk),
        (2, Some(actor("riverside.unknown", "check_in_point")), CheckInMethod::Poster),
        (3, None, CheckInMethod::Program),
    ] {
        let issued = CommandRecord { actor: from, ..record(issue("general", number, 0)) };
        let effect = clinic.location.handle(&issued, RecordTime::at_once(clinic.now));
        let method = effect.events.iter().find_map(|event| match event {
            Event::TicketIssued { method, .. } => *method,
            _ => None,
        });
        assert_eq!(method, Some(expected));
        clinic.now += MINUTE;
    }
}
