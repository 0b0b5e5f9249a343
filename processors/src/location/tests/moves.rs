use super::*;

const STATES: [TicketState; 12] = [
    TicketState::Expected,
    TicketState::Waiting,
    TicketState::Called,
    TicketState::InService,
    TicketState::OnHold,
    TicketState::Absent,
    TicketState::Leaving,
    TicketState::Completed,
    TicketState::NoShow,
    TicketState::Cancelled,
    TicketState::Left,
    TicketState::Transferred,
];

/// For each move, the result from each of `STATES`: `-` is refused as an illegal move, `0` is
/// refused as nothing to revert, `M` is refused as moving already, `B` because nobody is behind,
/// and another letter is the state that the move leads to: E expected, W waiting, C called, S in
/// service, H on hold, A absent, G leaving (going), D done (completed), N no-show, X cancelled, L
/// left, T transferred.
const TABLE: [(&str, &str); 18] = [
    //                    EWCSHAGDNXLT
    ("call", /*        */ "-C--CC------"),
    ("recall", /*      */ "--C---------"),
    ("start", /*       */ "--S---------"),
    ("complete", /*    */ "---D--------"),
    ("hold", /*        */ "-HHH--------"),
    ("resume", /*      */ "----W-------"),
    ("absent", /*      */ "--A---------"),
    ("return", /*      */ "-----W------"),
    ("no_show", /*     */ "NNN--N------"),
    ("cancel", /*      */ "XXXXXXX-----"),
    ("leave", /*       */ "LLL-LLL-----"),
    ("move", /*        */ "WWWWWWM-----"),
    ("same queue", /*  */ "------M-----"),
    ("elsewhere", /*   */ "GGGGGGM-----"),
    ("prioritise", /*  */ "-W----------"),
    ("reorder", /*     */ "-W----------"),
    ("yield", /*       */ "-B----------"),
    ("revert", /*      */ "000000W00000"),
];

fn letter(state: TicketState) -> char {
    let index = STATES.iter().position(|other| *other == state).unwrap();
    "EWCSHAGDNXLT".chars().nth(index).unwrap()
}

fn command(name: &str) -> Command {
    use Command as C;
    let ticket = ticket(1);
    match name {
        "call" => call(1, "room-2"),
        "recall" => C::RecallTicket { ticket },
        "start" => C::StartService { ticket },
        "complete" => C::CompleteTicket { ticket },
        "hold" => C::HoldTicket { ticket, reason: Some("blood first".into()) },
        "resume" => C::ResumeTicket { ticket },
        "absent" => C::MarkAbsent { ticket },
        "return" => C::ReturnTicket { ticket },
        "no_show" => C::MarkNoShow { ticket },
        "cancel" => C::CancelTicket { ticket, reason: Some("called off".into()) },
        "leave" => C::LeaveTicket { ticket },
        "move" => transfer(1, "lab"),
        "same queue" => transfer(1, "general"),
        "elsewhere" => {
            C::TransferTicket { ticket, queue: QueueId::new("hillside.general").unwrap() }
        }
        "prioritise" => C::Prioritise { ticket, priority: priority(3), reason: None },
        "reorder" => C::ReorderQueue { queue: queue("general"), tickets: vec![ticket] },
        "yield" => C::YieldTicket { ticket },
        "revert" => C::RevertTicket { ticket },
        other => panic!("no such move: {other}"),
    }
}

/// A clinic in which ticket 1 has the state `state` and no step of the ticket can be undone.
fn clinic_with(state: TicketState) -> Clinic {
    use TicketState as S;
    let mut clinic = Clinic::waiting(1);
    let mut ticket = clinic.location.ticket(&ticket(1)).unwrap().clone();
    ticket.standing.state = state;
    if matches!(state, S::Called | S::InService | S::Absent | S::Completed) {
        ticket.standing.station = Some(station("room-1"));
        ticket.standing.called_at = Some(MORNING);
    }
    if matches!(state, S::InService | S::Completed) {
        ticket.standing.started_at = Some(MORNING);
    }
    if state == S::Leaving {
        clinic.apply(command("elsewhere"));
        return clinic;
    }
    let (position, header) = (clinic.location.position(), clinic.location.header().clone());
    clinic.location = Location::restore(position, header, vec![ticket], Vec::new());
    clinic
}

#[test]
fn moves_are_allowed_exactly_as_in_table() {
    for (name, row) in TABLE {
        assert_eq!(row.len(), STATES.len(), "{name}");
        for (state, expected) in STATES.into_iter().zip(row.chars()) {
            let mut clinic = clinic_with(state);
            let position = clinic.location.position();
            let effect = clinic.send(command(name));
            let what = format!("{name} from {}", state.as_str());
            let code = match expected {
                'B' => Some(Code::NobodyBehind),
                '-' => Some(Code::IllegalMove),
                '0' => Some(Code::NothingToRevert),
                'M' => Some(Code::Moving),
                _ => None,
            };
            assert_eq!(refusal(&effect), code, "{what}");
            if code.is_some() {
                assert_eq!(effect.position, position, "{what}");
                assert!(
                    effect.events.is_empty()
                        && effect.deltas.is_empty()
                        && effect.touched.is_empty(),
                    "{what}"
                );
                assert_eq!(clinic.state(1), state, "{what}");
            } else {
                assert_eq!(
                    effect.position,
                    Position { version: position.version + 1, ..position },
                    "{what}"
                );
                assert_eq!(letter(clinic.state(1)), expected, "{what}");
                assert!(effect.touched == [ticket(1)], "{what}");
            }
        }
    }
}

#[test]
fn every_local_step_can_be_undone_once() {
    for (name, row) in TABLE {
        for (state, _) in
            STATES.into_iter().zip(row.chars()).filter(|(_, to)| !"-0MB".contains(*to))
        {
            let mut clinic = clinic_with(state);
            let before = clinic.standing(1).clone();
            let done = clinic.apply(command(name));
            let what = format!("{name} from {}", state.as_str());
            let revert = || Command::RevertTicket { ticket: ticket(1) };
            // Moves to another location have tests of their own.
            if name == "elsewhere" || state == TicketState::Leaving {
                continue;
            }
            let undone = clinic.apply(revert());
            assert!(*clinic.standing(1) == before, "{what}");
            assert!(
                matches!(
                    &undone.events[..],
                    [Event::TicketReverted { reverts, .. }] if *reverts == done.position.version
                ),
                "{what}"
            );
            assert_eq!(clinic.refusal(revert()), Some(Code::NothingToRevert), "{what}");
        }
    }
}

#[test]
fn moves_record_times_and_return_forgets_call() {
    let mut clinic = Clinic::waiting(1);
    let rank = clinic.standing(1).rank;
    clinic.now += MINUTE;
    clinic.apply(call(1, "room-1"));
    clinic.apply(Command::RecallTicket { ticket: ticket(1) });
    let called = clinic.standing(1).clone();
    assert_eq!((called.called_at, called.recalls), (Some(MORNING + MINUTE), 1));
    assert!(called.station == Some(station("room-1")));

    clinic.apply(Command::MarkAbsent { ticket: ticket(1) });
    assert!(clinic.standing(1).station == Some(station("room-1")));
    clinic.apply(Command::ReturnTicket { ticket: ticket(1) });
    let waiting = clinic.standing(1).clone();
    assert!(waiting.station.is_none());
    assert_eq!((waiting.rank, waiting.called_at, waiting.recalls), (rank, None, 0));

    clinic.apply(Command::HoldTicket { ticket: ticket(1), reason: Some("x-ray first".into()) });
    assert_eq!(clinic.standing(1).reason.as_deref(), Some("x-ray first"));
    clinic.apply(Command::ResumeTicket { ticket: ticket(1) });
    assert_eq!((clinic.standing(1).rank, clinic.standing(1).reason.as_deref()), (rank, None));

    clinic.apply(call(1, "room-2"));
    clinic.now += MINUTE;
    clinic.apply(Command::StartService { ticket: ticket(1) });
    clinic.now += 10 * MINUTE;
    clinic.apply(Command::CompleteTicket { ticket: ticket(1) });
    let done = clinic.standing(1);
    assert_eq!(done.started_at, Some(MORNING + 2 * MINUTE));
    assert_eq!(done.ended_at, Some(MORNING + 12 * MINUTE));

    clinic.apply(Command::RevertTicket { ticket: ticket(1) });
    clinic.apply(Command::HoldTicket { ticket: ticket(1), reason: None });
    let held = clinic.standing(1);
    assert_eq!((held.started_at, held.ended_at, held.called_at), (None, None, None));
}
