//! Moves of appointments to and from other locations, seen from one location.

use AppointmentStatus as S;

use schemas::attempt::AttemptNumber;

use super::*;

fn hillside() -> LocationId {
    LocationId::new("hillside").unwrap()
}

fn successor() -> AppointmentId {
    appointment(100).moved_to(&hillside())
}

/// The fact by which the source moves appointment 100 to the other location.
fn moving(revision: u64) -> AppointmentFact {
    let moved_to = Some(hillside());
    AppointmentFact { moved_to, queue: None, ..fact(100, revision, S::Booked) }
}

fn settle(answer: HandoverAnswer) -> Command {
    let held = (answer == HandoverAnswer::Accepted).then(successor);
    Command::SettleAppointment {
        appointment: appointment(100),
        successor: successor(),
        held,
        answer,
        question: Some(question(2, 0)),
    }
}

/// The question of the move that the fact with this revision began.
fn question(revision: u64, attempt: u32) -> MoveQuestion {
    let report = record(report(100, moving(revision)));
    let asked = report.follow_up("receive", report.aggregate.clone(), Command::Tick {});
    MoveQuestion { first: asked.id, attempt: AttemptNumber(attempt) }
}

fn held(clinic: &Clinic) -> &Appointment {
    clinic.location.appointment(&appointment(100)).expect("the appointment is in memory")
}

fn booked() -> Clinic {
    let mut clinic = Clinic::open();
    clinic.apply(report(100, fact(100, 1, S::Booked)));
    clinic
}

fn change(effect: &RecordEffect) -> Option<AppointmentChange> {
    match &effect.verdict {
        Verdict::Applied { result, .. } | Verdict::Moving { result, .. } => result.change,
        Verdict::Refused { .. } => None,
    }
}

/// The follow-ups for locations, and those for the key of the appointment.
fn parted(effect: &RecordEffect) -> (Vec<&CommandRecord>, Vec<&CommandRecord>) {
    let is_claim = |next: &&CommandRecord| matches!(next.command, Command::ClaimAppointment { .. });
    effect.follow_ups.iter().partition(|next| !is_claim(next))
}

/// The revision that an effect claims, if any.
fn claimed(effect: &RecordEffect) -> Option<u64> {
    let (_, claims) = parted(effect);
    let claims = claims.iter().map(|next| match &next.command {
        Command::ClaimAppointment { appointment, fact } => {
            assert!(fact.moved_to.is_none() && appointment.belongs_to(&location_id()));
            fact.revision
        }
        _ => panic!("another command"),
    });
    let claims: Vec<u64> = claims.collect();
    assert!(claims.len() <= 1);
    claims.first().copied()
}

/// The fact that an effect reports to a location, and the location.
fn reported(effect: &RecordEffect) -> (LocationId, AppointmentFact) {
    let [next] = &parted(effect).0[..] else { panic!("one follow-up is expected") };
    assert!(CommandRecord::from_wire(&next.to_wire()).unwrap() == **next);
    match &next.command {
        Command::ReportAppointment { fact, .. } | Command::ReceiveAppointment { fact, .. } => {
            (next.aggregate.location_id().unwrap(), fact.clone())
        }
        _ => panic!("another command"),
    }
}

#[test]
fn appointment_stays_until_the_destination_has_booked_it() {
    let mut clinic = booked();
    let effect = clinic.apply(report(100, moving(2)));
    assert!(matches!(effect.verdict, Verdict::Moving { .. }));
    let (there, told) = reported(&effect);
    assert!(there == hillside() && told == AppointmentFact { moved_to: None, ..moving(2) });
    assert_eq!((held(&clinic).status, held(&clinic).fact.revision), (S::Booked, 1));

    let effect = clinic.apply(settle(HandoverAnswer::Accepted));
    assert_eq!(
        (held(&clinic).status, &held(&clinic).successor),
        (S::Cancelled, &Some(successor()))
    );
    let Settlement { command, outcome: verdict, .. } = effect.settles.unwrap();
    assert!(command == record(report(100, moving(2))).identity());
    let Verdict::Applied { result, .. } = verdict else { panic!("the move was accepted") };
    assert!(result.appointment == Some(successor()));
    assert_eq!(clinic.refusal(settle(HandoverAnswer::Accepted)), Some(Code::IllegalMove));
    // A repeated fact changes nothing.
    assert_eq!(change(&clinic.apply(report(100, moving(2)))), Some(AppointmentChange::Repeated));
}

#[test]
fn refused_appointment_stays_booked() {
    let mut clinic = booked();
    clinic.apply(report(100, moving(2)));
    let effect = clinic.apply(settle(HandoverAnswer::Refused(Code::QueueUnknown)));
    assert!(effect.settles.unwrap().outcome == Verdict::Refused { code: Code::QueueUnknown });
    assert!(held(&clinic).moving.is_none());
    assert_eq!((held(&clinic).status, held(&clinic).fact.revision), (S::Booked, 1));
    // The source corrects its fact under the same revision.
    let again = clinic.apply(report(100, moving(2)));
    assert!(matches!(again.verdict, Verdict::Moving { .. }));
}

#[test]
fn moved_appointment_cancels_its_waiting_ticket() {
    let mut clinic = booked();
    clinic.apply(report(100, moving(2)));
    // The appointment is still here, so the patient can check in.
    clinic.apply(check_in(100));
    clinic.apply(settle(HandoverAnswer::Accepted));
    assert_eq!(clinic.state(100), TicketState::Cancelled);
    assert_eq!(clinic.standing(100).reason.as_deref(), Some("moved"));
}

#[test]
fn fact_during_a_move_waits_for_its_end() {
    for answer in [HandoverAnswer::Accepted, HandoverAnswer::Refused(Code::QueueUnknown)] {
        let mut clinic = booked();
        clinic.apply(report(100, moving(2)));
        let newer = fact(100, 3, S::Cancelled);
        let effect = clinic.apply(report(100, newer.clone()));
        assert_eq!(change(&effect), Some(AppointmentChange::Deferred));
        assert_eq!(held(&clinic).status, S::Booked);
        let again = clinic.apply(report(100, moving(2)));
        assert_eq!(change(&again), Some(AppointmentChange::Repeated));
        let (here, told) = reported(&clinic.apply(settle(answer)));
        assert!(here == location_id() && told == newer);
        let effect = clinic.apply(report(100, newer.clone()));
        if answer == HandoverAnswer::Accepted {
            // The appointment is at the other location now, and so is its cancellation.
            let (there, told) = reported(&effect);
            assert!(there == hillside() && told.status == S::Cancelled && told.queue.is_none());
        } else {
            assert_eq!(held(&clinic).status, S::Cancelled);
        }
    }
}

#[test]
fn moving_appointment_keeps_the_newest_facts() {
    let mut clinic = booked();
    clinic.apply(report(100, moving(2)));
    for revision in 3..20 {
        clinic.apply(report(100, fact(100, revision, S::Booked)));
    }
    let moving = held(&clinic).moving.as_ref().unwrap();
    let revisions: Vec<_> = moving.deferred.iter().map(|one| one.fact.revision).collect();
    assert_eq!(revisions, Vec::from_iter(12..20));
}

/// The booking comes back while its move waits for an answer. However many facts follow, it is
/// here in the end.
#[test]
fn many_facts_do_not_hide_a_returned_booking() {
    for later in [1, 7, 8, 30] {
        let mut clinic = booked();
        clinic.apply(report(100, moving(2)));
        clinic.apply(Command::ReceiveAppointment {
            appointment: appointment(100),
            fact: fact(100, 3, S::Booked),
            from: successor(),
            hops: 0,
            question: None,
        });
        for revision in 4..4 + later {
            clinic.apply(report(100, fact(100, revision, S::Booked)));
        }
        let effect = clinic.apply(settle(HandoverAnswer::Accepted));
        let verdict = effect.settles.expect("the move has its outcome").outcome;
        assert!(verdict == Verdict::Refused { code: Code::MoveTakenBack }, "{later} facts");
        let last = effect.follow_ups.last().expect("the facts are reported again");
        let Command::ReportAppointment { fact: last, .. } = &last.command else {
            panic!("another command")
        };
        assert_eq!(last.revision, 3 + later);
        assert!(held(&clinic).successor.is_none());
    }
}

#[test]
fn unknown_appointment_remembers_an_accepted_move() {
    let refused = HandoverAnswer::Refused(Code::LocationUnknown);
    for (answer, successor, late) in [
        (HandoverAnswer::Accepted, Some(successor()), AppointmentChange::Stale),
        (refused, None, AppointmentChange::Booked),
    ] {
        let mut clinic = Clinic::open();
        clinic.apply(report(100, moving(2)));
        clinic.apply(settle(answer));
        assert_eq!((held(&clinic).status, &held(&clinic).successor), (S::Cancelled, &successor));
        // The booking here arrives after the move.
        assert_eq!(change(&clinic.apply(report(100, fact(100, 1, S::Booked)))), Some(late));
    }
}

#[test]
fn booking_that_comes_back_ends_the_other_one() {
    let mut clinic = booked();
    clinic.apply(report(100, moving(2)));
    clinic.apply(settle(HandoverAnswer::Accepted));
    let effect = clinic.apply(report(100, fact(100, 3, S::Booked)));
    assert!(held(&clinic).successor.is_none() && held(&clinic).status == S::Booked);
    let (there, told) = reported(&effect);
    assert!(there == hillside() && told.moved_to == Some(location_id()) && told.revision == 3);
    assert_eq!(claimed(&effect), Some(3), "its key hears of it too");
}

#[test]
fn new_booking_claims_its_key_and_an_update_does_not() {
    let mut clinic = Clinic::open();
    assert_eq!(claimed(&clinic.apply(report(100, fact(100, 1, S::Booked)))), Some(1));
    assert_eq!(claimed(&clinic.apply(report(100, fact(100, 2, S::Booked)))), None);
    assert_eq!(claimed(&clinic.apply(report(100, fact(100, 1, S::Booked)))), None);
    let unknown = AppointmentFact { queue: Some(queue("lost")), ..fact(7, 1, S::Booked) };
    assert_eq!(claimed(&clinic.send(report(7, unknown))), None, "it was not booked");
}

#[test]
fn move_that_is_older_than_the_booking_here_is_contradicted() {
    let mut clinic = booked();
    clinic.apply(report(100, fact(100, 5, S::Booked)));
    assert_eq!(claimed(&clinic.apply(report(100, moving(3)))), Some(5));
    assert_eq!(held(&clinic).status, S::Booked);
    // Also while it is to move on, which can be refused.
    clinic.apply(report(100, moving(6)));
    assert_eq!(claimed(&clinic.apply(report(100, moving(3)))), Some(5));
    clinic.apply(Command::SettleAppointment {
        appointment: appointment(100),
        successor: successor(),
        held: Some(successor()),
        answer: HandoverAnswer::Accepted,
        question: Some(question(6, 0)),
    });
    assert_eq!(claimed(&clinic.apply(report(100, moving(3)))), None, "it is not here any more");
}

/// The patient keeps the place until the other location has answered.
#[test]
fn checked_in_patient_keeps_the_place_while_the_booking_moves() {
    for answer in [HandoverAnswer::Accepted, HandoverAnswer::Refused(Code::QueueUnknown)] {
        let mut clinic = booked();
        clinic.apply(check_in(100));
        clinic.apply(report(100, moving(2)));
        assert_eq!(clinic.state(100), TicketState::Waiting);
        clinic.apply(settle(answer));
        let expected = match answer {
            HandoverAnswer::Accepted => TicketState::Cancelled,
            _ => TicketState::Waiting,
        };
        assert_eq!(clinic.state(100), expected);
    }
}

#[test]
fn destination_answers_every_booking() {
    let from = AppointmentId::from_random(&hillside(), 100);
    let receive = |fact| Command::ReceiveAppointment {
        appointment: appointment(100),
        fact,
        from: from.clone(),
        hops: 0,
        question: None,
    };
    let lost = AppointmentFact { queue: Some(queue("lost")), ..fact(100, 2, S::Booked) };
    let newer = fact(100, 9, S::Booked);
    // The fact that is known here before, the fact that arrives, and the answer.
    let cases = [
        (None, fact(100, 2, S::Booked), HandoverAnswer::Accepted),
        (Some(fact(100, 2, S::Booked)), fact(100, 2, S::Booked), HandoverAnswer::Accepted),
        (Some(newer), fact(100, 2, S::Booked), HandoverAnswer::Accepted),
        (None, lost, HandoverAnswer::Refused(Code::QueueUnknown)),
    ];
    for (known, arriving, expected) in cases {
        let mut clinic = Clinic::open();
        known.into_iter().for_each(|known| drop(clinic.apply(report(7_000, known))));
        let effect = clinic.send(receive(arriving));
        let [next] = &parted(&effect).0[..] else { panic!("one answer is expected") };
        let Command::SettleAppointment { appointment, held, answer, .. } = &next.command else {
            panic!("another command")
        };
        assert!(*appointment == from && *answer == expected);
        let known = held.as_ref().and_then(|held| clinic.location.appointment(held));
        assert_eq!(known.is_some(), expected == HandoverAnswer::Accepted);
    }
}

#[test]
fn moving_appointment_asks_again_until_answered() {
    let mut clinic = booked();
    let first = clinic.apply(report(100, moving(2)));
    let asked = |effect: &RecordEffect| match &effect.follow_ups[..] {
        [next] => (next.id.clone(), next.command.clone()),
        _ => panic!("one question is expected"),
    };
    clinic.now += MINUTE;
    let again = clinic.apply(Command::Tick {});
    assert_ne!(asked(&first).0, asked(&again).0);
    let Command::ReceiveAppointment { fact, question: Some(number), .. } = asked(&again).1 else {
        panic!("another command")
    };
    assert!(number == question(2, 1) && fact == AppointmentFact { moved_to: None, ..moving(2) });
    assert!(held(&clinic).is_near(&clinic.location.header().today()), "it stays in memory");
    // An answer to the first question counts no more: the destination may have changed since.
    let refused = settle(HandoverAnswer::Refused(Code::QueueUnknown));
    assert_eq!(clinic.refusal(refused), Some(Code::IllegalMove));
    let Command::SettleAppointment { appointment, successor, held: there, answer, .. } =
        settle(HandoverAnswer::Accepted)
    else {
        panic!("another command")
    };
    let question = Some(number);
    let accepted =
        Command::SettleAppointment { appointment, successor, held: there, answer, question };
    assert!(clinic.apply(accepted).settles.is_some());
    assert_eq!(clinic.location.due(), Some(clinic.location.header().day_ends));
}

#[test]
fn repeated_question_changes_no_booking() {
    let from = AppointmentId::from_random(&hillside(), 100);
    let ask = |attempt| Command::ReceiveAppointment {
        appointment: appointment(100),
        fact: fact(100, 2, S::Booked),
        from: from.clone(),
        hops: 0,
        question: Some(question(2, attempt)),
    };
    let mut clinic = Clinic::open();
    clinic.apply(ask(0));
    // The source corrects its fact under the same revision.
    let corrected = AppointmentFact { label: Some("R. M.".to_owned()), ..fact(100, 2, S::Booked) };
    clinic.apply(report(100, corrected.clone()));
    let effect = clinic.apply(ask(1));
    assert_eq!(change(&effect), Some(AppointmentChange::Repeated));
    assert!(held(&clinic).fact == corrected);
    let [next] = &effect.follow_ups[..] else { panic!("one answer is expected") };
    assert!(matches!(
        &next.command,
        Command::SettleAppointment { answer: HandoverAnswer::Accepted, question: Some(asked), .. }
            if *asked == question(2, 1)
    ));
}

/// A fact was passed on to where the booking was, and comes back because the booking has left there
/// too. Two locations could each hold the other one for the location of the booking.
#[test]
fn returned_fact_is_passed_on_until_it_counts() {
    let mut clinic = booked();
    clinic.apply(report(100, moving(2)));
    clinic.apply(settle(HandoverAnswer::Accepted));
    assert_eq!(change(&clinic.apply(report(100, moving_on(5)))), Some(AppointmentChange::Deferred));
    assert_eq!(change(&clinic.apply(report(100, moving_on(5)))), Some(AppointmentChange::Repeated));
    let passed_on = |hops| Command::ReceiveAppointment {
        appointment: appointment(100),
        fact: moving_on(5),
        from: successor(),
        hops,
        question: None,
    };
    let effect = clinic.apply(passed_on(1));
    assert_eq!(change(&effect), Some(AppointmentChange::Deferred));
    assert!(
        effect
            .follow_ups
            .iter()
            .any(|next| matches!(next.command, Command::ReceiveAppointment { hops: 2, .. }))
    );
    assert!(matches!(clinic.apply(passed_on(8)).verdict, Verdict::Moving { .. }));
}

/// The fact by which the source moves appointment 100 to a third location.
fn moving_on(revision: u64) -> AppointmentFact {
    AppointmentFact { moved_to: LocationId::new("lakeside").ok(), ..moving(revision) }
}
