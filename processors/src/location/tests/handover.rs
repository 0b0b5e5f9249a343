//! Moves of tickets to and from other locations, seen from one location.

use std::collections::BTreeSet;

use schemas::record::FOLLOW_UP_SOURCE;

use super::*;
use crate::location::handover::MAX_BARRED;

fn hillside() -> LocationId {
    LocationId::new("hillside").unwrap()
}

fn elsewhere() -> Command {
    let queue = QueueId::new("hillside.lab").unwrap();
    Command::TransferTicket { ticket: ticket(1), queue }
}

fn successor(number: u32) -> TicketId {
    ticket(1).successor(&hillside(), number)
}

fn settle(number: u32, answer: HandoverAnswer) -> Command {
    Command::SettleTicket { ticket: ticket(1), successor: successor(number), answer }
}

fn revert() -> Command {
    Command::RevertTicket { ticket: ticket(1) }
}

/// The only command for another location that an effect causes.
fn follow_up(effect: &RecordEffect) -> &CommandRecord {
    let [next] = &effect.follow_ups[..] else { panic!("one follow-up is expected") };
    assert!(next.source == FOLLOW_UP_SOURCE && next.valid_until.is_none());
    assert!(CommandRecord::from_wire(&next.to_wire()).unwrap() == *next);
    next
}

fn stage(clinic: &Clinic) -> Option<HandoverStage> {
    let ticket = clinic.location.ticket(&ticket(1)).unwrap();
    ticket.handover.as_ref().map(|moving| moving.handover.stage)
}

fn names(verdict: &Verdict, ticket: &TicketId) -> bool {
    matches!(verdict, Verdict::Applied { result, .. } if result.ticket.as_ref() == Some(ticket))
}

#[test]
fn leaving_ticket_keeps_its_rank_until_accepted() {
    let mut clinic = Clinic::waiting(2);
    let rank = clinic.standing(1).rank;
    let effect = clinic.apply(elsewhere());
    assert!(matches!(effect.verdict, Verdict::Moving { .. }));
    let next = follow_up(&effect);
    assert!(next.aggregate.location_id() == Some(hillside()));
    let Command::ReceiveTicket { ticket: there, from, until, .. } = &next.command else {
        panic!("another command")
    };
    assert!(*there == successor(1) && *from == ticket(1) && *until == clinic.now + MINUTE);
    assert_eq!((clinic.state(1), clinic.standing(1).rank), (TicketState::Leaving, rank));
    // Nobody calls a person who may already be elsewhere.
    assert!(names(&clinic.apply(call_next("general", "room-1")).verdict, &ticket(2)));

    let effect = clinic.apply(settle(1, HandoverAnswer::Accepted));
    assert_eq!(clinic.state(1), TicketState::Transferred);
    assert!(clinic.standing(1).successor == Some(successor(1)) && effect.follow_ups.is_empty());
    let Settlement { command, outcome: verdict, .. } =
        effect.settles.expect("the transfer has its outcome");
    assert!(command == record(elsewhere()).identity() && names(&verdict, &successor(1)));
    // The answer may arrive twice.
    assert_eq!(clinic.refusal(settle(1, HandoverAnswer::Accepted)), Some(Code::IllegalMove));
}

#[test]
fn refused_ticket_is_back_where_it_was() {
    for (before, after) in [
        (None, TicketState::Waiting),
        (Some(call(1, "room-1")), TicketState::Waiting),
        (Some(Command::HoldTicket { ticket: ticket(1), reason: None }), TicketState::OnHold),
    ] {
        let mut clinic = Clinic::waiting(2);
        before.into_iter().for_each(|command| drop(clinic.apply(command)));
        let rank = clinic.standing(1).rank;
        clinic.apply(elsewhere());
        let effect = clinic.apply(settle(1, HandoverAnswer::Refused(Code::QueueNotOpen)));
        assert_eq!((clinic.state(1), clinic.standing(1).rank), (after, rank));
        assert!(clinic.standing(1).station.is_none() && stage(&clinic).is_none());
        assert!(effect.follow_ups.is_empty());
        let verdict = effect.settles.unwrap().outcome;
        assert!(verdict == Verdict::Refused { code: Code::QueueNotOpen });
        assert_eq!(clinic.refusal(revert()), Some(Code::NothingToRevert));
        // The next attempt has an id of its own.
        let again = clinic.apply(elsewhere());
        assert!(follow_up(&again).command.ticket() == Some(&successor(2)));
    }
}

/// Commands that take a move back, the state of the ticket then, and the reason.
fn take_backs() -> [(Command, TicketState, Code); 4] {
    let cancel = Command::CancelTicket { ticket: ticket(1), reason: None };
    [
        (Command::Tick {}, TicketState::Waiting, Code::MoveTimedOut),
        (revert(), TicketState::Waiting, Code::MoveTakenBack),
        (Command::LeaveTicket { ticket: ticket(1) }, TicketState::Left, Code::MoveTakenBack),
        (cancel, TicketState::Cancelled, Code::MoveTakenBack),
    ]
}

fn take_back(command: Command) -> (Clinic, RecordEffect) {
    let mut clinic = Clinic::waiting(1);
    clinic.apply(elsewhere());
    if matches!(command, Command::Tick {}) {
        clinic.now += MINUTE;
    }
    let effect = clinic.apply(command);
    (clinic, effect)
}

#[test]
fn move_taken_back_is_withdrawn_at_the_destination() {
    for (command, state, why) in take_backs() {
        let (mut clinic, effect) = take_back(command);
        assert_eq!(clinic.state(1), state);
        assert_eq!(stage(&clinic), Some(HandoverStage::Withdrawing(why)));
        let withdraw = Command::WithdrawTicket { ticket: successor(1), from: ticket(1) };
        assert!(follow_up(&effect).command == withdraw);
        assert!(effect.settles.is_none(), "the destination may have accepted");
        // The first answer is about the arrival and decides nothing any more.
        assert_eq!(clinic.refusal(settle(1, HandoverAnswer::Accepted)), Some(Code::IllegalMove));
        if !state.is_end() {
            assert_eq!(clinic.refusal(elsewhere()), Some(Code::Moving));
        }
        let effect = clinic.apply(settle(1, HandoverAnswer::Refused(Code::MoveTakenBack)));
        assert!(clinic.state(1) == state && stage(&clinic).is_none());
        assert!(effect.settles.unwrap().outcome == Verdict::Refused { code: why });
    }
}

#[test]
fn kept_successor_ends_the_ticket() {
    for (command, state, _) in take_backs() {
        let (mut clinic, _) = take_back(command);
        let effect = clinic.apply(settle(1, HandoverAnswer::Kept));
        let expected = if state.is_end() { state } else { TicketState::Transferred };
        assert_eq!((clinic.state(1), stage(&clinic)), (expected, None));
        assert!(matches!(effect.settles.unwrap().outcome, Verdict::Applied { .. }));
    }
}

/// A clinic with a ticket that leaves one second before the day ends, and when the day ends.
fn leaving_at_night() -> (Clinic, Millis) {
    let mut clinic = Clinic::open();
    let midnight = clinic.location.header().day_ends;
    clinic.now = midnight - 1_000;
    clinic.apply(issue("general", 1, 0));
    clinic.apply(issue("general", 2, 0));
    clinic.apply(elsewhere());
    (clinic, midnight)
}

#[test]
fn day_end_spares_a_leaving_ticket() {
    let (mut clinic, midnight) = leaving_at_night();
    clinic.now = midnight + 1_000;
    clinic.apply(Command::Tick {});
    assert_eq!((clinic.state(1), clinic.state(2)), (TicketState::Leaving, TicketState::Left));
    clinic.apply(settle(1, HandoverAnswer::Refused(Code::QueueUnknown)));
    assert_eq!(clinic.state(1), TicketState::Waiting);
}

#[test]
fn returned_ticket_ends_with_its_past_day() {
    let refused = settle(1, HandoverAnswer::Refused(Code::QueueUnknown));
    for (back, late) in [(refused, 1_000), (Command::Tick {}, MINUTE)] {
        let (mut clinic, midnight) = leaving_at_night();
        clinic.now = midnight + late;
        clinic.apply(Command::Tick {});
        clinic.send(back);
        // The first patient of the new day is called first.
        clinic.apply(issue("general", 3, 0));
        let called = clinic.apply(call_next("general", "room-1"));
        assert!(names(&called.verdict, &ticket(3)));
        assert_eq!(clinic.state(1), TicketState::Left);
    }
    // A ticket that staff take back after its day lasts for the new one.
    let (mut clinic, midnight) = leaving_at_night();
    clinic.now = midnight + 1_000;
    clinic.apply(revert());
    clinic.now += 60 * MINUTE;
    clinic.apply(issue("general", 3, 0));
    assert_eq!(clinic.state(1), TicketState::Waiting);
}

/// The time limit passes after the day has ended. Nothing is taken back, since the person may stand
/// in the other line already.
#[test]
fn destination_decides_about_ticket_moving_at_day_end() {
    let refusal = Code::QueueUnknown;
    for (late_answer, outcome) in
        [(HandoverAnswer::Accepted, None), (HandoverAnswer::Refused(refusal), Some(refusal))]
    {
        let (mut clinic, midnight) = leaving_at_night();
        clinic.now = midnight + MINUTE;
        let effect = clinic.apply(Command::Tick {});
        assert!(effect.follow_ups.is_empty(), "the successor is not withdrawn");
        assert_eq!(clinic.state(1), TicketState::Left);
        assert_eq!(clinic.refusal(revert()), Some(Code::NothingToRevert));
        let settled = clinic.apply(settle(1, late_answer)).settles.expect("the outcome");
        match (settled.outcome, outcome) {
            (Verdict::Applied { .. }, None) => {}
            (Verdict::Refused { code }, Some(expected)) => assert_eq!(code, expected),
            _ => panic!("another outcome"),
        }
        assert_eq!(clinic.state(1), TicketState::Left, "it ended with its day");
    }
}

/// The ids of the questions that follow each other while nobody answers, and their content.
fn questions(clinic: &mut Clinic, count: usize) -> Vec<CommandRecord> {
    let mut asked = Vec::new();
    for _ in 0..count {
        clinic.now = clinic.location.indexes.timers.first().unwrap().0;
        asked.push(follow_up(&clinic.apply(Command::Tick {})).clone());
    }
    asked
}

#[test]
fn lost_withdrawal_is_asked_again_until_answered() {
    for (command, state, why) in take_backs() {
        let (mut clinic, effect) = take_back(command);
        let first = follow_up(&effect).clone();
        let since = clinic.now;
        let again = questions(&mut clinic, 3);
        assert_eq!(clinic.now, since + 7 * MINUTE, "after one minute, two and four");
        let ids: BTreeSet<_> = again.iter().chain([&first]).map(|asked| &asked.id).collect();
        assert_eq!(ids.len(), 4, "each question is a command of its own");
        assert!(again.iter().all(|asked| asked.command == first.command));
        let effect = clinic.apply(settle(1, HandoverAnswer::Refused(Code::MoveTakenBack)));
        assert!(clinic.state(1) == state && stage(&clinic).is_none());
        assert!(effect.settles.unwrap().outcome == Verdict::Refused { code: why });
        assert!(clinic.location.indexes.moves.is_empty());
    }
}

/// The ticket ended with its day while it was on the way, so nothing is taken back.
#[test]
fn lost_arrival_is_asked_for_after_the_day() {
    let (mut clinic, midnight) = leaving_at_night();
    clinic.now = midnight + MINUTE;
    clinic.apply(Command::Tick {});
    assert_eq!(
        (clinic.state(1), stage(&clinic)),
        (TicketState::Left, Some(HandoverStage::Leaving))
    );
    let [again] = &questions(&mut clinic, 1)[..] else { panic!("one question is expected") };
    assert!(matches!(&again.command, Command::ReceiveTicket { until, .. } if *until < clinic.now));
    let settled = clinic.apply(settle(1, HandoverAnswer::Accepted)).settles.expect("the outcome");
    assert!(names(&settled.outcome, &successor(1)));
}

#[test]
fn moves_without_answer_are_bounded() {
    let mut clinic = Clinic::waiting(2);
    clinic.location.most_moves = 1;
    clinic.apply(elsewhere());
    let queue = QueueId::new("hillside.lab").unwrap();
    let second = || Command::TransferTicket { ticket: ticket(2), queue: queue.clone() };
    assert_eq!(clinic.refusal(second()), Some(Code::Moving));
    let moved =
        AppointmentFact { moved_to: Some(hillside()), ..fact(100, 2, AppointmentStatus::Booked) };
    let moved = Command::ReportAppointment {
        appointment: appointment(100),
        fact: AppointmentFact { queue: None, ..moved },
    };
    assert_eq!(clinic.refusal(moved), Some(Code::Moving));
    clinic.apply(settle(1, HandoverAnswer::Accepted));
    clinic.apply(second());
}

/// A clinic, and the commands that bring a ticket from `hillside`.
fn arrival(until: Millis) -> (Clinic, Command, Command) {
    let (there, from) = (ticket(77), TicketId::from_random(&hillside(), 61));
    let receive = Command::ReceiveTicket {
        ticket: there.clone(),
        queue: queue("general"),
        priority: priority(4),
        from: from.clone(),
        until,
    };
    (Clinic::open(), receive, Command::WithdrawTicket { ticket: there, from })
}

fn answer(effect: &RecordEffect) -> HandoverAnswer {
    match &follow_up(effect).command {
        Command::SettleTicket { answer, successor, ticket: origin } => {
            assert!(*successor == ticket(77) && origin.belongs_to(&hillside()));
            *answer
        }
        _ => panic!("another command"),
    }
}

#[test]
fn destination_answers_every_arrival() {
    use HandoverAnswer::{Accepted, Refused};
    let (mut clinic, receive, _) = arrival(MORNING);
    let effect = clinic.apply(receive);
    assert_eq!(answer(&effect), Accepted);
    assert_eq!(clinic.state(77), TicketState::Waiting);
    assert!(clinic.location.ticket(&ticket(77)).unwrap().from.is_some());

    let close = |clinic: &mut Clinic| {
        clinic.apply(Command::CloseQueue { queue: queue("general") });
    };
    let late = |clinic: &mut Clinic| clinic.now += 1;
    let unknown = |clinic: &mut Clinic| *clinic = Clinic::empty();
    type Preparation<'a> = &'a dyn Fn(&mut Clinic);
    let cases: [(Preparation<'_>, Code); 3] = [
        (&close, Code::QueueNotOpen),
        (&late, Code::MoveTimedOut),
        (&unknown, Code::LocationUnknown),
    ];
    for (prepare, code) in cases {
        let (mut clinic, receive, _) = arrival(MORNING);
        prepare(&mut clinic);
        let effect = clinic.send(receive);
        assert_eq!((refusal(&effect), answer(&effect)), (Some(code), Refused(code)));
    }
}

#[test]
fn destination_alone_decides_a_withdrawal() {
    use HandoverAnswer::{Kept, Refused};
    let gone = Refused(Code::MoveTakenBack);
    let start = || Command::StartService { ticket: ticket(77) };
    let cases: [(Vec<Command>, HandoverAnswer, TicketState); 4] = [
        (vec![], gone, TicketState::Cancelled),
        (vec![call(77, "room-1")], Kept, TicketState::Called),
        (vec![call(77, "room-1"), start()], Kept, TicketState::InService),
        (vec![Command::LeaveTicket { ticket: ticket(77) }], Kept, TicketState::Left),
    ];
    for (before, expected, state) in cases {
        let (mut clinic, receive, withdraw) = arrival(MORNING);
        clinic.apply(receive);
        before.into_iter().for_each(|command| drop(clinic.apply(command)));
        let effect = clinic.send(withdraw);
        assert_eq!((answer(&effect), clinic.state(77)), (expected, state));
    }
}

/// A successor that arrived and had these commands, with the command that withdraws it.
fn arrived(commands: Vec<Command>) -> (Clinic, Command) {
    let (mut clinic, receive, withdraw) = arrival(MORNING);
    clinic.apply(receive);
    commands.into_iter().for_each(|command| drop(clinic.apply(command)));
    (clinic, withdraw)
}

#[test]
fn end_at_destination_stands_after_return() {
    let id = || ticket(77);
    let cancel = Command::CancelTicket { ticket: id(), reason: None };
    let no_show = Command::MarkNoShow { ticket: id() };
    for before in [vec![], vec![cancel], vec![no_show]] {
        let (mut clinic, withdraw) = arrived(before);
        for first in [true, false] {
            let effect = clinic.send(withdraw.clone());
            assert_eq!(answer(&effect), HandoverAnswer::Refused(Code::MoveTakenBack));
            assert_eq!(effect.touched.contains(&id()), first);
        }
        let undo = clinic.refusal(Command::RevertTicket { ticket: id() });
        assert_eq!(undo, Some(Code::NothingToRevert));
        assert!(clinic.standing(77).state.is_end());
    }
}

#[test]
fn successor_ended_by_timer_frees_the_person() {
    let (mut clinic, withdraw) = arrived(vec![]);
    clinic.now += 24 * 60 * MINUTE;
    clinic.apply(Command::Tick {});
    assert_eq!(clinic.state(77), TicketState::Left);
    let effect = clinic.send(withdraw.clone());
    assert_eq!(answer(&effect), HandoverAnswer::Refused(Code::MoveTakenBack));

    // Somebody who was in service then was served.
    let start = Command::StartService { ticket: ticket(77) };
    let (mut clinic, withdraw) = arrived(vec![call(77, "room-1"), start]);
    clinic.now += 24 * 60 * MINUTE;
    clinic.apply(Command::Tick {});
    assert_eq!(clinic.state(77), TicketState::Completed);
    assert_eq!(answer(&clinic.send(withdraw)), HandoverAnswer::Kept);
}

#[test]
fn arrival_is_answered_again_after_the_time_limit() {
    let (mut clinic, receive, _) = arrival(MORNING);
    clinic.apply(receive.clone());
    clinic.now += 60 * MINUTE;
    assert_eq!(answer(&clinic.send(receive.clone())), HandoverAnswer::Accepted);
    clinic.apply(Command::LeaveTicket { ticket: ticket(77) });
    assert_eq!(answer(&clinic.send(receive)), HandoverAnswer::Accepted);
}

/// The first answer may be on its way, so a later one must not differ.
#[test]
fn answer_to_a_withdrawal_is_final() {
    let (mut clinic, withdraw) = arrived(vec![call(77, "room-1")]);
    assert_eq!(answer(&clinic.send(withdraw.clone())), HandoverAnswer::Kept);
    clinic.apply(Command::RevertTicket { ticket: ticket(77) });
    assert_eq!(clinic.state(77), TicketState::Waiting);
    assert_eq!(answer(&clinic.send(withdraw)), HandoverAnswer::Kept);
    assert_eq!(clinic.state(77), TicketState::Waiting);
}

/// The successor itself moves on, and ends here without service before that move is answered. Only
/// its end says whether its person is in a line.
#[test]
fn withdrawal_waits_for_a_moving_successor() {
    let gone = HandoverAnswer::Refused(Code::MoveTakenBack);
    let there = LocationId::new("lakeside").unwrap();
    for (end, onward, expected) in [
        (true, HandoverAnswer::Refused(Code::QueueNotOpen), gone),
        (true, HandoverAnswer::Accepted, HandoverAnswer::Kept),
        (false, HandoverAnswer::Refused(Code::MoveTakenBack), gone),
        (false, HandoverAnswer::Kept, HandoverAnswer::Kept),
    ] {
        let (mut clinic, receive, withdraw) = arrival(Millis::MAX);
        if end {
            clinic.now = clinic.location.header().day_ends - 1_000;
        }
        clinic.apply(receive);
        let queue = QueueId::new("lakeside.lab").unwrap();
        clinic.apply(Command::TransferTicket { ticket: ticket(77), queue });
        if end {
            clinic.now += MINUTE;
            clinic.apply(Command::Tick {});
        } else {
            clinic.apply(Command::CancelTicket { ticket: ticket(77), reason: None });
        }
        assert!(clinic.state(77).is_end());
        let effect = clinic.send(withdraw.clone());
        assert!(refusal(&effect) == Some(Code::Moving) && effect.follow_ups.is_empty());
        let successor = ticket(77).successor(&there, 1);
        clinic.apply(Command::SettleTicket { ticket: ticket(77), successor, answer: onward });
        assert_eq!(answer(&clinic.send(withdraw)), expected, "{onward:?}");
    }
}

#[test]
fn withdrawal_before_the_arrival_bars_it() {
    let (mut clinic, receive, withdraw) = arrival(MORNING + MINUTE);
    let effect = clinic.apply(withdraw.clone());
    assert_eq!(answer(&effect), HandoverAnswer::Refused(Code::MoveTakenBack));
    assert_eq!(clinic.refusal(receive), Some(Code::MoveTakenBack));
    assert!(clinic.location.ticket(&ticket(77)).is_none());
    let effect = clinic.send(withdraw);
    assert_eq!(answer(&effect), HandoverAnswer::Refused(Code::MoveTakenBack));
    assert_eq!(clinic.location.header().barred.len(), 1);
}

#[test]
fn location_remembers_a_bounded_number_of_withdrawals() {
    let mut clinic = Clinic::open();
    let from = TicketId::from_random(&hillside(), 61);
    let withdraw = |ticket| Command::WithdrawTicket { ticket, from: from.clone() };
    for number in 0..MAX_BARRED as u128 + 5 {
        clinic.apply(withdraw(ticket(1_000 + number)));
    }
    let barred = &clinic.location.header().barred;
    assert_eq!(barred.len(), MAX_BARRED);
    assert_eq!(barred[0].0, ticket(1_005).to_string());
    clinic.now += 48 * 60 * MINUTE;
    clinic.apply(withdraw(ticket(1)));
    assert_eq!(clinic.location.header().barred.len(), 1);
}
