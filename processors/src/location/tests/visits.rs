//! Visits: the status that follows from them, checking in again, and undoing a check-in.

use super::{AppointmentStatus as S, TicketState as T, *};
use crate::location::visits::status_of;

const START: Millis = MORNING + 30 * MINUTE;

impl Clinic {
    /// A clinic with the booked appointment 100, which begins at 08:30.
    fn booked() -> Self {
        let mut clinic = Self::open();
        clinic.apply(report(100, fact(100, 1, S::Booked)));
        clinic
    }

    fn held(&self) -> &Appointment {
        self.location.appointment(&appointment(100)).expect("the appointment is in memory")
    }

    /// The status, and the number of arrived patients on the dashboard.
    fn seen(&self) -> (S, u32) {
        (self.held().status, self.location.load_head().appointments.arrived)
    }

    fn ends(&self) -> Vec<(T, bool)> {
        self.held().visits.iter().map(|visit| (visit.state, visit.over)).collect()
    }
}

fn again(revision: u64, status: S) -> Command {
    report(100, fact(100, revision, status))
}

fn rescheduled(revision: u64, start: Millis) -> Command {
    let end = Some(start + 20 * MINUTE);
    report(100, AppointmentFact { start: Some(start), end, ..fact(100, revision, S::Booked) })
}

fn undo() -> Command {
    Command::UndoCheckIn { appointment: appointment(100) }
}

/// The columns of the table in `docs/appointment-status.md`: no visit, then the states of a visit's
/// ticket. `-` stands for the status that the source reports.
const COLUMNS: [&[Option<T>]; 5] = [
    &[None],
    &[Some(T::Expected), Some(T::Waiting), Some(T::Called), Some(T::OnHold), Some(T::Absent)],
    &[Some(T::InService), Some(T::Completed), Some(T::Transferred)],
    &[Some(T::NoShow)],
    &[Some(T::Left), Some(T::Cancelled)],
];

#[test]
fn status_follows_the_table() {
    let checked_in = S::CheckedIn;
    let table = [
        (
            S::Proposed,
            [S::Proposed, checked_in, S::Fulfilled, S::Noshow, S::Proposed],
            S::Cancelled,
        ),
        (S::Pending, [S::Pending, checked_in, S::Fulfilled, S::Noshow, S::Pending], S::Cancelled),
        (
            S::Waitlist,
            [S::Waitlist, checked_in, S::Fulfilled, S::Noshow, S::Waitlist],
            S::Cancelled,
        ),
        (S::Booked, [S::Booked, checked_in, S::Fulfilled, S::Noshow, S::Booked], S::Noshow),
        (S::Arrived, [S::Arrived, checked_in, S::Fulfilled, S::Noshow, S::Booked], S::Fulfilled),
        (
            S::CheckedIn,
            [S::CheckedIn, checked_in, S::Fulfilled, S::Noshow, S::Booked],
            S::Fulfilled,
        ),
        (
            S::Fulfilled,
            [S::Fulfilled, checked_in, S::Fulfilled, S::Noshow, S::Fulfilled],
            S::Fulfilled,
        ),
        (S::Noshow, [S::Noshow, checked_in, S::Fulfilled, S::Noshow, S::Noshow], S::Noshow),
        (
            S::Cancelled,
            [S::Cancelled, checked_in, S::Fulfilled, S::Cancelled, S::Cancelled],
            S::Cancelled,
        ),
        (
            S::EnteredInError,
            [S::EnteredInError, checked_in, S::Fulfilled, S::EnteredInError, S::EnteredInError],
            S::EnteredInError,
        ),
    ];
    assert_eq!(table.len(), S::ALL.len());
    for (reported, row, when_expired) in table {
        for (visits, expected) in COLUMNS.into_iter().zip(row) {
            for visit in visits {
                assert_eq!(status_of(reported, *visit, false), expected, "{reported:?} {visit:?}");
                let late = status_of(reported, *visit, true);
                // A timer changes only what is open, and never a visit that decides.
                let lasting = visit.is_some_and(|state| !matches!(state, T::Left | T::Cancelled));
                let booked_again = expected == S::Booked;
                match (lasting, booked_again) {
                    (true, _) => assert_eq!(late, expected, "{reported:?} {visit:?}"),
                    (false, true) => assert_eq!(late, S::Noshow, "{reported:?} {visit:?}"),
                    (false, false) => assert_eq!(late, when_expired, "{reported:?} {visit:?}"),
                }
            }
        }
    }
}

#[test]
fn patient_who_left_checks_in_again() {
    let mut clinic = Clinic::booked();
    clinic.apply(check_in(100));
    assert_eq!(clinic.seen(), (S::CheckedIn, 1));
    clinic.apply(Command::LeaveTicket { ticket: ticket(100) });
    assert_eq!(clinic.seen(), (S::Booked, 0), "who left has not arrived");
    let Verdict::Applied { result, .. } = clinic.apply(check_in(100)).verdict else {
        panic!("refused")
    };
    assert_eq!(result.ticket, Some(appointment(100).visit_ticket(1)));
    assert_eq!(clinic.seen(), (S::CheckedIn, 1));
    assert_eq!(clinic.ends(), [(T::Left, false), (T::Waiting, false)]);
    // The first ticket stays ended: otherwise the patient would be in line twice.
    let revert = Command::RevertTicket { ticket: ticket(100) };
    assert_eq!(clinic.refusal(revert), Some(Code::NothingToRevert));
}

#[test]
fn undone_check_in_opens_the_appointment() {
    let mut clinic = Clinic::booked();
    assert_eq!(clinic.refusal(undo()), Some(Code::NotCheckedIn));
    clinic.apply(check_in(100));
    let effect = clinic.apply(undo());
    assert_eq!((clinic.state(100), clinic.seen()), (T::Cancelled, (S::Booked, 0)));
    assert_eq!(clinic.standing(100).reason.as_deref(), Some("check_in_undone"));
    assert_eq!(
        (&*effect.touched, &*effect.appointments),
        (&[ticket(100)][..], &[appointment(100)][..])
    );
    assert_eq!(clinic.refusal(undo()), Some(Code::NotCheckedIn));
    // The undo can be undone as well.
    clinic.apply(Command::RevertTicket { ticket: ticket(100) });
    assert_eq!(clinic.seen(), (S::CheckedIn, 1));
    clinic.apply(call(100, "room-1"));
    clinic.apply(Command::StartService { ticket: ticket(100) });
    assert_eq!(clinic.refusal(undo()), Some(Code::IllegalMove), "the patient is with the doctor");
    let nobody = Command::UndoCheckIn { appointment: appointment(7) };
    assert_eq!(clinic.refusal(nobody), Some(Code::NoAppointment));
}

#[test]
fn check_in_window_ends_at_no_show() {
    for (after_start, code) in [
        (-20 * 24 * 60 * MINUTE, Some(Code::TooEarly)),
        (-30 * MINUTE - 1, Some(Code::TooEarly)),
        (-30 * MINUTE, None),
        (120 * MINUTE - 1, None),
        (120 * MINUTE, Some(Code::AppointmentExpired)),
    ] {
        let mut clinic = Clinic::open();
        let start = MORNING + 30 * 24 * 60 * MINUTE;
        clinic.apply(rescheduled(1, start));
        clinic.now = start + after_start;
        assert_eq!(clinic.refusal(check_in(100)), code, "{after_start} ms after the start");
    }
}

#[test]
fn missed_appointment_is_not_counted_once_its_visit_is_live_again() {
    let mut clinic = Clinic::booked();
    clinic.apply(check_in(100));
    let missed = |clinic: &Clinic| {
        let quarters = clinic.location.header().quarters.values();
        quarters.map(|quarter| quarter.no_show).sum::<u32>()
    };
    for _ in 0..2 {
        clinic.apply(Command::LeaveTicket { ticket: ticket(100) });
        clinic.now = clinic.now.max(START + 121 * MINUTE);
        clinic.send(Command::Tick {});
        assert_eq!((clinic.held().status, missed(&clinic)), (S::Noshow, 1));
        let undone = clinic.apply(Command::RevertTicket { ticket: ticket(100) });
        assert_eq!((clinic.held().status, missed(&clinic)), (S::CheckedIn, 0));
        assert!(undone.deltas.iter().any(|delta| delta.view.starts_with("load:")));
    }
}

#[test]
fn check_in_elsewhere_is_refused() {
    let mut clinic = Clinic::booked();
    let queue = Some(QueueId::new("hillside.general").unwrap());
    let elsewhere = Command::CheckIn { appointment: appointment(100), queue };
    assert_eq!(clinic.refusal(elsewhere), Some(Code::WrongLocation));
    let hillside = Some(LocationId::new("hillside").unwrap());
    let moved = AppointmentFact { moved_to: hillside, queue: None, ..fact(100, 2, S::Booked) };
    clinic.apply(report(100, moved));
    let successor = appointment(100).moved_to(&LocationId::new("hillside").unwrap());
    let question = clinic.held().moving.as_ref().map(AppointmentMove::asked);
    clinic.apply(Command::SettleAppointment {
        question,
        appointment: appointment(100),
        successor: successor.clone(),
        held: Some(successor),
        answer: HandoverAnswer::Accepted,
    });
    assert_eq!(clinic.refusal(check_in(100)), Some(Code::WrongLocation));
}

#[test]
fn no_show_is_booked_anew_by_reschedule() {
    let mut clinic = Clinic::booked();
    clinic.apply(check_in(100));
    clinic.apply(Command::MarkNoShow { ticket: ticket(100) });
    assert_eq!(clinic.held().status, S::Noshow);
    clinic.apply(again(2, S::Booked));
    assert_eq!(clinic.held().status, S::Noshow, "the source does not know of it");
    clinic.now += 10 * MINUTE;
    clinic.apply(rescheduled(3, START + 10 * MINUTE));
    assert_eq!((clinic.held().status, clinic.ends()), (S::Booked, vec![(T::NoShow, true)]));
    let revert = Command::RevertTicket { ticket: ticket(100) };
    assert_eq!(clinic.refusal(revert), Some(Code::NothingToRevert));
    clinic.apply(check_in(100));
    assert_eq!(clinic.ends(), [(T::NoShow, true), (T::Waiting, false)]);
}

#[test]
fn source_cancels_then_books_again() {
    for start in [START, START + 20 * MINUTE] {
        let mut clinic = Clinic::booked();
        clinic.apply(check_in(100));
        clinic.apply(again(2, S::Cancelled));
        assert_eq!((clinic.held().status, clinic.state(100)), (S::Cancelled, T::Cancelled));
        assert_eq!(clinic.refusal(check_in(100)), Some(Code::AppointmentOver));
        let effect = clinic.apply(rescheduled(3, start));
        let Verdict::Applied { result, .. } = effect.verdict else { panic!("refused") };
        assert_eq!(result.change, Some(AppointmentChange::Booked));
        assert_eq!(clinic.held().status, S::Booked);
        clinic.now += 20 * MINUTE;
        clinic.apply(check_in(100));
        assert_eq!(clinic.seen(), (S::CheckedIn, 1));
    }
}

#[test]
fn served_visit_stays_until_a_later_start() {
    let mut clinic = Clinic::booked();
    clinic.apply(check_in(100));
    clinic.apply(call(100, "room-1"));
    clinic.apply(Command::StartService { ticket: ticket(100) });
    clinic.now += 40 * MINUTE;
    clinic.apply(Command::CompleteTicket { ticket: ticket(100) });
    clinic.apply(rescheduled(2, START + 5 * MINUTE));
    assert_eq!(clinic.held().status, S::Fulfilled, "the fact was late");
    let tomorrow = START + 24 * 60 * MINUTE;
    clinic.apply(rescheduled(3, tomorrow));
    assert_eq!((clinic.held().status, clinic.ends()), (S::Booked, vec![(T::Completed, true)]));
    clinic.now = tomorrow;
    clinic.apply(check_in(100));
    assert_eq!(clinic.held().status, S::CheckedIn);
}

#[test]
fn reschedule_keeps_a_live_visit() {
    let mut clinic = Clinic::booked();
    clinic.apply(check_in(100));
    clinic.apply(rescheduled(2, START + 60 * MINUTE));
    assert_eq!((clinic.seen(), clinic.state(100)), ((S::CheckedIn, 1), T::Waiting));
    assert_eq!(clinic.held().visits[0].start, Some(START), "the start for which the patient came");
}

#[test]
fn timers_go_on_after_an_early_end() {
    let mut clinic = Clinic::booked();
    clinic.apply(check_in(100));
    clinic.now = START + 50 * MINUTE;
    clinic.apply(Command::LeaveTicket { ticket: ticket(100) });
    assert!(!clinic.held().late);
    let left = clinic.now;
    assert_eq!(clinic.location.due(), Some(left), "the start has passed");
    clinic.send(Command::Tick {});
    assert_eq!((clinic.held().status, clinic.held().late), (S::Booked, true));
    clinic.now = START + 120 * MINUTE;
    let effect = clinic.send(Command::Tick {});
    assert!(
        effect.events
            == [Event::AppointmentMissed { appointment: appointment(100), at: clinic.now }]
    );
    assert_eq!(clinic.held().status, S::Noshow);
    // A patient who leaves after that misses the appointment at once, not in the past.
    let mut clinic = Clinic::booked();
    clinic.apply(check_in(100));
    clinic.now = START + 200 * MINUTE;
    clinic.apply(Command::LeaveTicket { ticket: ticket(100) });
    let effect = clinic.send(Command::Tick {});
    assert!(
        effect.events.last()
            == Some(&Event::AppointmentMissed { appointment: appointment(100), at: clinic.now })
    );
}

#[test]
fn seventeenth_visit_is_refused() {
    let mut clinic = Clinic::booked();
    for number in 0..16 {
        clinic.apply(check_in(100));
        clinic.apply(Command::LeaveTicket { ticket: appointment(100).visit_ticket(number) });
    }
    assert_eq!(clinic.refusal(check_in(100)), Some(Code::TooManyVisits));
}

/// An arrival without an end counts as fulfilled; an appointment that was never confirmed counts as
/// cancelled.
#[test]
fn silent_source_leaves_no_appointment_open() {
    const DAY: Millis = 24 * 60 * MINUTE;
    let midnight = at("2026-03-02T23:00:00Z");
    let undated = MORNING + 90 * DAY;
    for (reported, dated, due, expected) in [
        (S::Booked, true, START + 120 * MINUTE, S::Noshow),
        (S::Arrived, true, midnight + DAY, S::Fulfilled),
        (S::CheckedIn, true, midnight + DAY, S::Fulfilled),
        (S::Pending, true, midnight + DAY, S::Cancelled),
        (S::Proposed, true, midnight + DAY, S::Cancelled),
        (S::Waitlist, true, midnight + DAY, S::Cancelled),
        (S::Proposed, false, undated, S::Cancelled),
        (S::Waitlist, false, undated, S::Cancelled),
    ] {
        let mut clinic = Clinic::open();
        let times = |fact: AppointmentFact| match dated {
            true => fact,
            false => AppointmentFact { start: None, end: None, ..fact },
        };
        clinic.apply(report(100, times(fact(100, 1, reported))));
        clinic.now = due - 1;
        clinic.send(Command::Tick {});
        assert_eq!(clinic.held().status, reported, "before its timer");
        clinic.now = due;
        clinic.send(Command::Tick {});
        assert_eq!(clinic.held().status, expected, "{reported:?}, dated: {dated}");
        // The source is not silent after all. Without times, that alone opens the appointment.
        clinic.apply(report(100, times(fact(100, 2, reported))));
        let again = if dated { expected } else { reported };
        assert_eq!(clinic.held().status, again, "{reported:?} reported again");
        clinic.apply(rescheduled(3, due + DAY));
        assert_eq!(clinic.held().status, S::Booked);
    }
}

#[test]
fn revision_from_the_future_is_refused() {
    let mut clinic = Clinic::open();
    let timed = |revision: Millis| {
        let fact = fact(100, revision.cast_unsigned(), S::Booked);
        report(100, AppointmentFact { revision_is_time: true, ..fact })
    };
    let decade = 10 * 365 * 24 * 60 * MINUTE;
    assert_eq!(clinic.refusal(timed(MORNING + decade)), Some(Code::TimeAhead));
    assert_eq!(clinic.refusal(timed(MORNING + 10 * MINUTE + 1)), Some(Code::TimeAhead));
    clinic.apply(timed(MORNING + 10 * MINUTE));
    // A source's own version is not a time.
    clinic.apply(again((MORNING + decade).cast_unsigned(), S::Booked));
}

/// The service day is a time of its own in each zone, so each appointment is on its right day as
/// soon as the zone or the start of the day is corrected.
#[test]
fn appointments_follow_a_change_of_the_day() {
    let mut clinic = Clinic::open();
    let midnight = at("2026-03-02T23:00:00Z");
    clinic.apply(rescheduled(1, midnight + 60 * MINUTE));
    let booked = |clinic: &Clinic| clinic.location.load_head().appointments.due;
    assert_eq!(booked(&clinic), 0, "tomorrow in Paris");
    let effect = clinic.apply(configure("Pacific/Honolulu"));
    assert_eq!(booked(&clinic), 1, "today in Honolulu");
    let scheduled = |effect: &RecordEffect, set: bool| {
        let delta = effect.deltas.iter().find(|delta| delta.view == "schedule:riverside/roy");
        let key = appointment(100).to_string();
        delta.is_some_and(|delta| match set {
            true => delta.delta.set.contains_key(&key),
            false => delta.delta.remove.contains(&key),
        })
    };
    assert!(scheduled(&effect, true));
    let effect = clinic.apply(configure("Europe/Paris"));
    assert!(scheduled(&effect, false));
    let timers = Timers { day_start_min: 4 * 60, ..Timers::default() };
    let effect = clinic.apply(configure_with("Europe/Paris", timers));
    assert_eq!(booked(&clinic), 1, "the day lasts until four in the morning");
    assert!(scheduled(&effect, true));
}

/// Plays a location whose store holds this appointment: adds it when a command may need it.
fn wake(clinic: &mut Clinic, stored: &Appointment, command: &Command) {
    if let Some(wake) = clinic.location.missing_appointments(clinic.now, [command]) {
        let wakes = stored.wakes_at().is_some_and(|at| wake.contains(&at));
        clinic.location.add_missing(wake.end, wakes.then(|| stored.clone()).into_iter().collect());
    }
}

#[test]
fn undated_appointment_wakes_when_its_timer_is_due() {
    let mut clinic = Clinic::open();
    let undated = AppointmentFact { start: None, end: None, ..fact(100, 1, S::Waitlist) };
    clinic.apply(report(100, undated));
    let stored = clinic.held().clone();
    clinic.location.forget_ended();
    assert!(clinic.location.appointment(&appointment(100)).is_none(), "not needed for months");
    let mut closed = None;
    for _ in 0..100 {
        clinic.now = clinic.location.due().expect("a day always ends");
        wake(&mut clinic, &stored, &Command::Tick {});
        let effect = clinic.send(Command::Tick {});
        let ends = |event: &Event| matches!(event, Event::AppointmentClosed { .. });
        closed = closed.or(effect.events.iter().any(ends).then_some(clinic.now));
        clinic.location.forget_ended();
    }
    assert_eq!(closed, Some(MORNING + 90 * 24 * 60 * MINUTE));
}

#[test]
fn zone_change_finds_appointments_outside_memory() {
    let mut clinic = Clinic::open();
    let start = at("2026-03-02T23:30:00Z");
    clinic.apply(rescheduled(1, start));
    let stored = clinic.held().clone();
    clinic.location.forget_ended();
    assert!(clinic.location.appointment(&appointment(100)).is_none(), "it is tomorrow in Paris");
    let command = configure("Pacific/Honolulu");
    wake(&mut clinic, &stored, &command);
    clinic.apply(command);
    assert_eq!(clinic.location.load_head().appointments.due, 1);
    clinic.now = start;
    wake(&mut clinic, &stored, &Command::Tick {});
    let effect = clinic.send(Command::Tick {});
    assert!(effect.events == [Event::AppointmentLate { appointment: appointment(100), at: start }]);
}

fn override_check_in(reason: &str) -> Command {
    Command::OverrideCheckIn { appointment: appointment(100), queue: None, reason: reason.into() }
}

#[test]
fn override_checks_in_outside_the_window_with_a_reason() {
    for wait in [-10 * 60 * MINUTE, 5 * MINUTE, 180 * MINUTE] {
        let mut clinic = Clinic::booked();
        clinic.apply(rescheduled(2, MORNING + 12 * 60 * MINUTE));
        clinic.now = MORNING + 12 * 60 * MINUTE + wait;
        let effect = clinic.apply(override_check_in("Snow storm"));
        assert_eq!(clinic.seen().0, S::CheckedIn, "{wait}");
        let line = effect.deltas.iter().find(|change| change.view.starts_with("queue:")).unwrap();
        let ticket = appointment(100).visit_ticket(0).to_string();
        let entry: serde_json::Value = serde_json::from_str(line.delta.set[&ticket].get()).unwrap();
        assert_eq!(entry["appointment"]["override_reason"], "Snow storm");
        let quarters = clinic.location.header().quarters.values();
        let missed: u32 = quarters.map(|quarter| quarter.no_show).sum();
        assert_eq!(missed, 0, "who comes late has not missed the appointment: {wait}");
    }
}

#[test]
fn override_is_refused_without_a_reason_or_for_an_appointment_that_is_over() {
    let mut clinic = Clinic::booked();
    assert_eq!(clinic.refusal(override_check_in(" ")), Some(Code::InvalidValue));
    clinic.apply(override_check_in("Early bus"));
    assert_eq!(clinic.refusal(override_check_in("Again")), Some(Code::AlreadyCheckedIn));
    clinic.apply(undo());
    clinic.apply(again(2, S::Cancelled));
    assert_eq!(clinic.refusal(override_check_in("Anyway")), Some(Code::AppointmentOver));
}
