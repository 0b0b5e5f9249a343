//! Timers that fire in slices, and records that are decided while timers wait.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::{
    AppointmentStatus as S,
    picks::{self, command, pick},
    *,
};
use crate::location::{indexes::TimerTarget, timers::SLICE};

/// Midnight in Paris, when the day of [`MORNING`] ends.
const MIDNIGHT: Millis = MORNING + 16 * 60 * MINUTE;

/// An open clinic with tickets 1 to `count` that were issued an hour before midnight, where a slice
/// holds one timer.
fn evening(count: u128) -> Clinic {
    let mut clinic = Clinic::open();
    clinic.now = MIDNIGHT - 60 * MINUTE;
    for number in 1..=count {
        clinic.apply(issue("general", number, 0));
    }
    clinic.location.slice = 1;
    clinic
}

impl Clinic {
    /// Ticks until no timer is due. Returns the effect of each tick.
    fn tick_out(&mut self) -> Vec<RecordEffect> {
        let mut effects = Vec::new();
        while self.location.due().is_some_and(|due| due <= self.now) {
            effects.push(self.apply(Command::Tick {}));
        }
        effects
    }
}

#[test]
fn end_of_day_makes_steps_of_bounded_size() {
    let mut clinic = evening(450);
    clinic.location.slice = SLICE;
    clinic.now = MIDNIGHT;
    let version = clinic.location.position().version;
    let effects = clinic.tick_out();
    let sizes: Vec<_> = effects.iter().map(|effect| effect.events.len()).collect();
    assert_eq!(sizes, [200, 200, 51], "the day's own end and 450 tickets");
    assert!(matches!(effects[0].events[0], Event::DayEnded { at: MIDNIGHT, .. }));
    assert_eq!(clinic.location.position().version, version + 3, "each step has its version");
    for number in 1..=450 {
        assert_eq!(clinic.state(number), TicketState::Left);
        assert_eq!(clinic.standing(number).ended_at, Some(MIDNIGHT));
        assert_eq!(clinic.standing(number).reason.as_deref(), Some("day_ended"));
    }
}

#[test]
fn new_ticket_outlives_slices_of_old_day() {
    let mut clinic = evening(3);
    clinic.now = MIDNIGHT + 1;
    clinic.apply(issue("general", 9, 0));
    assert_eq!(clinic.state(3), TicketState::Waiting, "its timer has not fired yet");
    assert_eq!(clinic.label(9), "A-001", "an overdue ticket holds no label");
    assert_eq!(clinic.location.ticket(&ticket(9)).unwrap().day, "2026-03-03");
    clinic.tick_out();
    let states = [1, 2, 3, 9].map(|number| clinic.state(number));
    assert_eq!(states[..3], [TicketState::Left; 3]);
    assert_eq!(states[3], TicketState::Waiting);
}

#[test]
fn overdue_tickets_are_not_called() {
    for at_station in [false, true] {
        let mut clinic = evening(5);
        clinic.now = MIDNIGHT + 1;
        clinic.apply(issue("general", 9, 0));
        let next = match at_station {
            true => Command::CallNextAtStation { station: station("room-1"), force: false },
            false => call_next("general", "room-1"),
        };
        clinic.apply(next);
        assert_eq!(clinic.state(9), TicketState::Called);
        assert_eq!(clinic.refusal(call_next("general", "room-2")), Some(Code::QueueEmpty));
        assert_eq!(clinic.state(5), TicketState::Waiting, "its timer has not fired yet");
    }
}

/// Each command that names the last of many overdue tickets.
#[test]
fn command_meets_end_of_overdue_ticket() {
    let hold = |ticket| Command::HoldTicket { ticket, reason: None };
    let prioritise = |ticket| Command::Prioritise { ticket, priority: priority(3), reason: None };
    let reorder = |ticket| Command::ReorderQueue { queue: queue("general"), tickets: vec![ticket] };
    let commands: [fn(TicketId) -> Command; 7] = [
        |ticket| Command::CallTicket { ticket, station: station("room-1"), force: false },
        |ticket| Command::LeaveTicket { ticket },
        |ticket| Command::CancelTicket { ticket, reason: None },
        |ticket| Command::TransferTicket { ticket, queue: queue("lab") },
        hold,
        prioritise,
        reorder,
    ];
    for command in commands {
        let mut clinic = evening(9);
        clinic.now = MIDNIGHT + 1;
        let command = command(ticket(9));
        let kind = command.kind();
        assert_eq!(clinic.refusal(command), Some(Code::IllegalMove), "{kind}");
        clinic.tick_out();
        assert_eq!(clinic.standing(9).reason.as_deref(), Some("day_ended"), "{kind}");
    }
}

#[test]
fn overdue_call_does_not_keep_station_busy() {
    let mut clinic = evening(9);
    clinic.apply(call(9, "room-1"));
    clinic.now = MIDNIGHT + 1;
    clinic.apply(issue("general", 20, 0));
    clinic.apply(call_next("general", "room-1"));
    assert_eq!(clinic.state(20), TicketState::Called);
    assert_eq!(clinic.state(9), TicketState::NoShow, "never came on the day before");
}

/// The timers of an appointment, one after the other, and those of its ticket.
#[test]
fn command_meets_end_of_overdue_appointment() {
    let mut clinic = evening(9);
    let start = MIDNIGHT - 30 * MINUTE;
    let of = |number| AppointmentFact {
        start: Some(start),
        end: Some(start + MINUTE),
        ..fact(number, 1, S::Booked)
    };
    clinic.apply(report(50, of(50)));
    clinic.apply(report(51, of(51)));
    clinic.apply(check_in(51));
    clinic.now = MIDNIGHT + 120 * MINUTE;
    assert_eq!(clinic.refusal(check_in(50)), Some(Code::AppointmentExpired));
    let status = |clinic: &Clinic, number| {
        clinic.location.appointment(&appointment(number)).map(|held| held.status)
    };
    assert_eq!(status(&clinic, 50), Some(S::Noshow), "late, and then missed");
    let undo = Command::UndoCheckIn { appointment: appointment(51) };
    assert_eq!(clinic.refusal(undo), Some(Code::NotCheckedIn));
    assert_eq!(clinic.state(51), TicketState::Left);
    assert!(clinic.location.due().is_some_and(|due| due < clinic.now), "tickets still wait");
}

#[test]
fn ticket_taken_back_lasts_for_its_new_day() {
    let mut clinic = evening(1);
    clinic.now = MIDNIGHT + 1;
    clinic.tick_out();
    clinic.now = MIDNIGHT + 18 * 60 * MINUTE;
    clinic.apply(Command::RevertTicket { ticket: ticket(1) });
    assert_eq!(refusal(&clinic.send(Command::Tick {})), Some(Code::NothingDue));
    clinic.now = MIDNIGHT + 24 * 60 * MINUTE;
    clinic.tick_out();
    assert_eq!(clinic.standing(1).ended_at, Some(clinic.now));
    assert_eq!(clinic.standing(1).reason.as_deref(), Some("day_ended"));
}

/// A clinic that kept people over night decides at noon that tickets end with their day.
#[test]
fn kept_tickets_last_for_one_more_day() {
    let week = Timers { stale_s: 7 * 24 * 60 * 60, ..Timers::default() };
    let mut clinic = evening(1);
    clinic
        .apply(configure_with("Europe/Paris", Timers { day_ends_tickets: false, ..week.clone() }));
    clinic.now = MIDNIGHT + 12 * 60 * MINUTE;
    clinic.apply(configure_with("Europe/Paris", week));
    clinic.tick_out();
    assert_eq!(clinic.state(1), TicketState::Waiting);
    clinic.now = MIDNIGHT + 24 * 60 * MINUTE;
    clinic.tick_out();
    assert_eq!(clinic.state(1), TicketState::Left);
}

#[test]
fn day_end_no_show_is_not_counted_tomorrow() {
    let mut clinic = evening(1);
    clinic.apply(call(1, "room-1"));
    clinic.now = MIDNIGHT;
    clinic.tick_out();
    assert_eq!(clinic.state(1), TicketState::NoShow);
    assert!(clinic.location.header().quarters.is_empty());
}

/// Every move to another location that gets no answer.
#[test]
fn moves_that_time_out_together_are_sliced() {
    let mut clinic = evening(5);
    for number in 1..=5 {
        let queue = QueueId::new("hillside.lab").unwrap();
        clinic.apply(Command::TransferTicket { ticket: ticket(number), queue });
    }
    clinic.now += 2 * MINUTE - 1;
    let effects = clinic.tick_out();
    assert!(effects.iter().all(|effect| effect.follow_ups.len() == 1), "one is withdrawn a step");
    assert_eq!(effects.len(), 5);
    assert!((1..=5).all(|number| clinic.state(number) == TicketState::Waiting));
    // Nobody answers, so each is asked again.
    clinic.now += 1;
    let effects = clinic.tick_out();
    assert_eq!(effects.iter().map(|effect| effect.follow_ups.len()).sum::<usize>(), 5);
}

/// Requests for an appointment that nobody ever answered.
#[test]
fn undated_appointments_close_in_slices() {
    let mut clinic = evening(0);
    for number in 0..5 {
        let proposed = fact(50 + number, 1, S::Proposed);
        let undated = AppointmentFact { start: None, end: None, doctor: None, ..proposed };
        clinic.apply(report(50 + number, undated));
    }
    clinic.now += 91 * 24 * 60 * MINUTE;
    let closed = |effect: &RecordEffect| {
        effect.events.iter().filter(|one| matches!(one, Event::AppointmentClosed { .. })).count()
    };
    let effects = clinic.tick_out();
    assert!(effects.iter().all(|effect| closed(effect) <= 1));
    assert_eq!(effects.iter().map(closed).sum::<usize>(), 5);
}

/// The settings change no ticket by themselves, even if all of them are overdue by the new ones.
#[test]
fn shorter_timers_change_no_ticket_at_once() {
    let mut clinic = evening(50);
    clinic.now += 30 * MINUTE;
    let short = Timers { stale_s: 10, ..Timers::default() };
    let effect = clinic.apply(configure_with("Europe/Paris", short));
    assert!(effect.touched.is_empty() && effect.deltas.len() < 5, "{}", effect.deltas.len());
    check_timers(&clinic.location);
    assert_eq!(clinic.tick_out().len(), 50, "one ticket a step");
    assert!((1..=50).all(|number| clinic.state(number) == TicketState::Left));
}

/// A location whose timers are all in its index.
pub(super) fn check_timers(location: &Location) {
    let mut timers = BTreeSet::new();
    let mut moves = BTreeSet::new();
    for one in location.tickets.values() {
        let question = one.handover.as_ref().and_then(|moving| moving.question.as_ref());
        let asked = question.map(|question| question.due());
        timers.extend(location.ticket_due(one).map(|at| (at, TimerTarget::Ticket(one.id.clone()))));
        timers.extend(asked.map(|at| (at, TimerTarget::TicketMove(one.id.clone()))));
        let moving = one.handover.as_ref();
        moves.extend(moving.map(|_| TimerTarget::TicketMove(one.id.clone())));
    }
    for one in location.appointments.values() {
        let own = location.appointment_due(one);
        let asked = one.moving.as_ref().map(|moving| moving.question.due());
        timers.extend(own.map(|at| (at, TimerTarget::Appointment(one.id.clone()))));
        timers.extend(asked.map(|at| (at, TimerTarget::AppointmentMove(one.id.clone()))));
        let moving = one.moving.as_ref();
        moves.extend(moving.map(|_| TimerTarget::AppointmentMove(one.id.clone())));
    }
    assert!(location.indexes.timers == timers);
    assert!(location.indexes.moves == moves);
    let live = location.tickets.values().filter(|ticket| ticket.is_live()).count();
    assert_eq!(location.indexes.live as usize, live);
}

/// The state without what depends on the number of steps.
fn outcome(mut location: Location) -> String {
    let header = &mut location.header;
    (header.board_view, header.load_view, header.settings_view) = (0, 0, 0);
    header.queues.values_mut().for_each(|queue| queue.view = 0);
    header.doctors.values_mut().for_each(|doctor| doctor.view = 0);
    let mut tickets: Vec<Ticket> = location.tickets.into_values().collect();
    tickets.sort_by(|a, b| a.id.cmp(&b.id));
    for ticket in &mut tickets {
        (ticket.view, ticket.undo) = (0, None);
    }
    let mut appointments: Vec<Appointment> = location.appointments.into_values().collect();
    appointments.sort_by(|a, b| a.id.cmp(&b.id));
    appointments.iter_mut().for_each(|one| one.view = 0);
    serde_json::to_string(&(location.header, tickets, appointments)).unwrap()
}

proptest! {
    /// One location ticks whenever a timer is due. Another sleeps for up to 16 hours, over the end
    /// of a day, and then ticks in slices of a few timers.
    #[test]
    fn late_slices_equal_ticks_in_time(
        picks in prop::collection::vec(pick(), 1..60),
        sleep in 0..16 * 60 * MINUTE,
        slice in 1usize..6,
    ) {
        let [in_time, late] = [false, true].map(|is_late| {
            let mut location = Location::new(EPOCH);
            let mut now = MORNING;
            let mut opening = standard_opening();
            opening.push(configure_with("Europe/Paris", picks::timers()));
            let all = opening.into_iter().map(|one| (one, 0));
            for (command, pause) in all.chain(picks.iter().map(|one| (command(one), one.pause))) {
                now += pause;
                location.handle(&record(command), RecordTime::at_once(now));
            }
            let end = location.header.now + sleep;
            let tick = |location: &mut Location, at| {
                supply_renewal(location);
                let effect = location.handle(&record(Command::Tick {}), RecordTime::at_once(at));
                assert!(effect.deltas.len() <= 400, "a step is bounded");
                refusal(&effect)
            };
            // Another time zone can end a day at once. Of the days that a location sleeps through,
            // it knows the last one only.
            tick(&mut location, end - sleep);
            if is_late {
                location.slice = slice;
                while tick(&mut location, end).is_none() {}
            }
            while let Some(due) = location.due().filter(|due| *due <= end) {
                assert_eq!(tick(&mut location, due), None);
            }
            tick(&mut location, end);
            check_timers(&location);
            outcome(location)
        });
        prop_assert_eq!(in_time, late);
    }
}
