//! Facts that sources report, and what the desk does with appointments.

use proptest::prelude::*;

use super::{AppointmentStatus as S, *};

fn change(effect: &RecordEffect) -> Option<AppointmentChange> {
    match &effect.verdict {
        Verdict::Applied { result, .. } | Verdict::Moving { result, .. } => result.change,
        Verdict::Refused { .. } => None,
    }
}

impl Clinic {
    fn tell(&mut self, number: u128, fact: AppointmentFact) -> Option<AppointmentChange> {
        change(&self.apply(report(number, fact)))
    }

    fn status(&self, number: u128) -> S {
        self.location
            .appointment(&appointment(number))
            .expect("the appointment is in memory")
            .status
    }
}

#[test]
fn fact_reports_its_change() {
    let mut clinic = Clinic::open();
    let later = |revision, status| AppointmentFact {
        start: Some(MORNING + 60 * MINUTE),
        end: Some(MORNING + 80 * MINUTE),
        ..fact(1, revision, status)
    };
    for (fact, expected) in [
        (fact(1, 1, S::Booked), AppointmentChange::Booked),
        (fact(1, 1, S::Booked), AppointmentChange::Repeated),
        (later(2, S::Booked), AppointmentChange::Rescheduled),
        (
            AppointmentFact { doctor: Some(doctor("singh")), ..later(3, S::Booked) },
            AppointmentChange::Modified,
        ),
        (fact(1, 2, S::Cancelled), AppointmentChange::Stale),
        (later(4, S::Arrived), AppointmentChange::Arrived),
        (later(5, S::Cancelled), AppointmentChange::Cancelled),
        (later(6, S::Booked), AppointmentChange::Booked),
        (later(7, S::Noshow), AppointmentChange::NoShow),
        (later(8, S::Fulfilled), AppointmentChange::Fulfilled),
        (later(9, S::EnteredInError), AppointmentChange::EnteredInError),
        (later(3, S::Booked), AppointmentChange::Stale),
    ] {
        let revision = fact.revision;
        assert_eq!(clinic.tell(1, fact), Some(expected), "revision {revision}");
    }
    assert_eq!(clinic.status(1), S::EnteredInError, "a late duplicate adds nobody");
    let facts = clinic.location.header().facts;
    assert_eq!(
        (facts.applied, facts.repeated, facts.stale),
        (9, 1, 2),
        "what was ignored is counted"
    );
}

#[test]
fn later_fact_of_equal_revision_wins() {
    let mut clinic = Clinic::open();
    clinic.tell(1, fact(1, 5, S::Booked));
    assert_eq!(clinic.tell(1, fact(1, 5, S::Cancelled)), Some(AppointmentChange::Cancelled));
    assert_eq!(clinic.status(1), S::Cancelled);
}

#[test]
fn invalid_facts_are_refused_with_their_codes() {
    let mut clinic = Clinic::open();
    let good = || fact(1, 1, S::Booked);
    for (bad, code) in [
        (AppointmentFact { end: Some(MORNING), ..good() }, Code::TimesReversed),
        (AppointmentFact { end: None, ..good() }, Code::TimesMissing),
        (AppointmentFact { start: None, end: None, ..good() }, Code::TimesMissing),
        (AppointmentFact { start: Some(-1), ..good() }, Code::InvalidValue),
        (AppointmentFact { queue: Some(queue("nowhere")), ..good() }, Code::QueueUnknown),
        (AppointmentFact { label: Some(String::new()), ..good() }, Code::InvalidValue),
        (AppointmentFact { reason: Some("a\nb".into()), ..good() }, Code::InvalidValue),
        (
            AppointmentFact {
                doctor: Some(Doctor { name: " ".into(), ..doctor("roy") }),
                ..good()
            },
            Code::InvalidValue,
        ),
    ] {
        assert_eq!(clinic.refusal(report(1, bad)), Some(code));
    }
    assert!(clinic.location.appointment(&appointment(1)).is_none(), "nothing was taken in");
    assert_eq!(Clinic::empty().refusal(report(1, good())), Some(Code::LocationUnknown));
    clinic.tell(1, fact(1, 1, S::Fulfilled));
    assert_eq!(clinic.refusal(report(1, fact(1, 2, S::Booked))), Some(Code::StatusCannotFollow));
    clinic.tell(2, AppointmentFact { start: None, end: None, ..fact(2, 1, S::Proposed) });
    assert_eq!(clinic.refusal(report(2, fact(2, 2, S::Arrived))), Some(Code::StatusCannotFollow));
}

#[test]
fn check_in_issues_one_ticket_with_same_digits() {
    let mut clinic = Clinic::open();
    assert_eq!(clinic.refusal(check_in(1)), Some(Code::NoAppointment));
    clinic.tell(1, fact(1, 1, S::Booked));
    let Verdict::Applied { result, .. } = clinic.apply(check_in(1)).verdict else {
        panic!("refused")
    };
    assert_eq!(result.ticket, Some(ticket(1)));
    assert_eq!(
        (result.appointment, result.label.as_deref()),
        (Some(appointment(1)), Some("A-001"))
    );
    assert_eq!(clinic.refusal(check_in(1)), Some(Code::AlreadyCheckedIn));

    clinic.tell(2, AppointmentFact { queue: None, ..fact(2, 1, S::Booked) });
    assert_eq!(clinic.refusal(check_in(2)), Some(Code::QueueMissing));
    let named = |slug| Command::CheckIn { appointment: appointment(2), queue: Some(queue(slug)) };
    assert_eq!(clinic.refusal(named("nowhere")), Some(Code::QueueUnknown));
    clinic.apply(named("lab"));
    assert_eq!(clinic.standing(2).queue, queue("lab"));

    clinic.tell(3, fact(3, 1, S::Cancelled));
    assert_eq!(clinic.refusal(check_in(3)), Some(Code::AppointmentOver));
    clinic.tell(4, fact(4, 1, S::Waitlist));
    assert_eq!(clinic.refusal(check_in(4)), Some(Code::StatusCannotFollow));
}

#[test]
fn checked_in_appointment_follows_its_ticket() {
    use Command as C;
    let mut clinic = Clinic::open();
    clinic.tell(1, fact(1, 1, S::Booked));
    clinic.apply(check_in(1));
    assert_eq!(clinic.status(1), S::CheckedIn);
    for (command, expected) in [
        (call(1, "room-1"), S::CheckedIn),
        (C::MarkAbsent { ticket: ticket(1) }, S::CheckedIn),
        (C::ReturnTicket { ticket: ticket(1) }, S::CheckedIn),
        (call(1, "room-1"), S::CheckedIn),
        (C::StartService { ticket: ticket(1) }, S::Fulfilled),
        (C::RevertTicket { ticket: ticket(1) }, S::CheckedIn),
        (C::MarkNoShow { ticket: ticket(1) }, S::Noshow),
        (C::RevertTicket { ticket: ticket(1) }, S::CheckedIn),
        (C::CancelTicket { ticket: ticket(1), reason: None }, S::Booked),
    ] {
        let kind = command.kind();
        let effect = clinic.apply(command);
        assert_eq!(clinic.status(1), expected, "after {kind}");
        assert_eq!(effect.appointments, [appointment(1)], "its row changed with {kind}");
    }
}

#[test]
fn desk_decides_presence_after_check_in() {
    let mut clinic = Clinic::open();
    clinic.tell(1, fact(1, 1, S::Booked));
    clinic.apply(check_in(1));
    assert_eq!(clinic.tell(1, fact(1, 2, S::Noshow)), Some(AppointmentChange::Overruled));
    assert_eq!((clinic.status(1), clinic.state(1)), (S::CheckedIn, TicketState::Waiting));
    let moved = AppointmentFact { doctor: Some(doctor("singh")), ..fact(1, 3, S::Noshow) };
    assert_eq!(
        clinic.tell(1, moved),
        Some(AppointmentChange::Modified),
        "what is not the desk's is taken in"
    );

    let reason = Some("doctor is ill".to_owned());
    assert_eq!(
        clinic.tell(1, AppointmentFact { reason: reason.clone(), ..fact(1, 4, S::Cancelled) }),
        Some(AppointmentChange::Cancelled)
    );
    assert_eq!((clinic.status(1), clinic.state(1)), (S::Cancelled, TicketState::Cancelled));
    assert_eq!(clinic.standing(1).reason, reason);

    clinic.tell(2, fact(2, 1, S::Booked));
    clinic.apply(check_in(2));
    clinic.apply(call(2, "room-1"));
    clinic.apply(Command::StartService { ticket: ticket(2) });
    assert_eq!(
        clinic.tell(2, fact(2, 2, S::Cancelled)),
        Some(AppointmentChange::Overruled),
        "a patient in service is not cancelled"
    );
    assert_eq!((clinic.status(2), clinic.state(2)), (S::Fulfilled, TicketState::InService));
}

#[test]
fn doctor_delay_appears_in_later_appointments() {
    let mut clinic = Clinic::open();
    clinic.tell(1, fact(1, 1, S::Booked));
    clinic.tell(2, fact(2, 1, S::Booked));
    clinic.apply(check_in(1));
    clinic.now = MORNING + 48 * MINUTE;
    clinic.apply(call(1, "room-1"));
    let effect = clinic.apply(Command::StartService { ticket: ticket(1) });
    assert_eq!(
        clinic.location.header().doctors[&DoctorId::new("roy").unwrap()].delay_min,
        15,
        "18 in steps of 5"
    );
    let other = format!("appointment:{}", appointment(2));
    let delta = effect
        .deltas
        .iter()
        .find(|delta| delta.view == other)
        .expect("the next patient sees the delay");
    assert!(delta.delta.set["appointment"].get().contains("\"delay_min\":15"));
}

/// The moment since which the doctor of the schedule lets a patient wait.
fn waiting_since(clinic: &mut Clinic) -> Option<Millis> {
    clinic.location.waiting_since(&DoctorId::new("roy").unwrap())
}

/// No service has started, and the first patient waits: the doctor must not be shown as on time.
#[test]
fn waiting_patient_makes_the_doctor_late() {
    let mut clinic = Clinic::open();
    let first = MORNING + 10 * MINUTE;
    for (number, start) in [(1_000, first), (2_000, first + 15 * MINUTE)] {
        let booked = AppointmentFact {
            start: Some(start),
            end: Some(start + 20 * MINUTE),
            ..fact(number, 1, S::Booked)
        };
        clinic.tell(number, booked);
    }
    assert_eq!(waiting_since(&mut clinic), None, "nobody is here");
    clinic.apply(check_in(2_000));
    assert_eq!(waiting_since(&mut clinic), Some(first + 15 * MINUTE));
    let effect = clinic.apply(check_in(1_000));
    let other = format!("appointment:{}", appointment(2_000));
    let told = effect.deltas.iter().find(|delta| delta.view == other).expect("others get a change");
    assert!(told.delta.set["appointment"].get().contains(&format!("\"waiting_since\":{first}")));
    for (command, expected) in [
        (call(1_000, "room-1"), Some(first)),
        (Command::MarkAbsent { ticket: ticket(1_000) }, Some(first + 15 * MINUTE)),
        (Command::ReturnTicket { ticket: ticket(1_000) }, Some(first)),
        (Command::HoldTicket { ticket: ticket(1_000), reason: None }, Some(first + 15 * MINUTE)),
        (Command::ResumeTicket { ticket: ticket(1_000) }, Some(first)),
        (call(1_000, "room-1"), Some(first)),
        (Command::StartService { ticket: ticket(1_000) }, Some(first + 15 * MINUTE)),
        (Command::LeaveTicket { ticket: ticket(2_000) }, None),
    ] {
        let kind = command.kind();
        clinic.apply(command);
        assert_eq!(waiting_since(&mut clinic), expected, "{kind}");
    }
}

#[test]
fn closed_station_refuses_calls() {
    let mut clinic = Clinic::waiting(2);
    let close = || Command::CloseStation { station: station("room-1") };
    clinic.apply(close());
    assert_eq!(clinic.refusal(close()), None, "closing what is closed is no error");
    assert_eq!(clinic.refusal(call_next("general", "room-1")), Some(Code::StationClosed));
    assert_eq!(clinic.refusal(call(1, "room-1")), Some(Code::StationClosed));
    clinic.apply(Command::OpenStation { station: station("room-1") });
    clinic.apply(call_next("general", "room-1"));
}

#[test]
fn only_calls_and_band_changes_are_urgent() {
    let urgent = |effect: &RecordEffect| {
        effect.deltas.iter().any(|delta| delta.view == "load:riverside" && delta.urgent)
    };
    let mut clinic = Clinic::open();
    let steps: Vec<bool> =
        (1..=4).map(|number| urgent(&clinic.apply(issue("general", number, 0)))).collect();
    assert_eq!(steps, [false, true, false, true], "the bands begin at two and at four");
    assert!(urgent(&clinic.apply(call_next("general", "room-1"))));
    assert!(!urgent(&clinic.apply(Command::StartService { ticket: ticket(1) })));
}

proptest! {
    /// Facts that may follow each other, reported in any order and repeatedly: only the newest
    /// counts.
    #[test]
    fn facts_in_any_order_end_the_same(
        order in Just((1..=6_u64).collect::<Vec<_>>()).prop_shuffle(),
        again in prop::collection::vec(1..=6_u64, 0..6),
    ) {
        let told = |revision: u64| {
            let statuses =
                [S::Booked, S::Pending, S::Booked, S::Cancelled, S::Booked, S::Noshow];
            let status = statuses[revision as usize - 1];
            let start = MORNING + revision as Millis * 60 * MINUTE;
            let end = Some(start + MINUTE);
            AppointmentFact { start: Some(start), end, ..fact(1, revision, status) }
        };
        let mut clinic = Clinic::open();
        for revision in order.into_iter().chain(again) {
            clinic.apply(report(1, told(revision)));
        }
        let held = clinic.location.appointment(&appointment(1)).unwrap();
        prop_assert!(held.fact == told(6) && held.status == S::Noshow);
    }
}
