//! One table of every action on a ticket: which states of the ticket allow it, and which states of
//! its queue and station forbid it. So actions that are alike cannot differ silently.

use TicketState as S;

use super::*;
use crate::location::ticket::{StepTrace, Undo};

/// The conditions of an action on queue and station, in the order of the checks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Guard {
    /// The station is open: `station_closed`.
    StationOpen,
    /// Nobody else is called to the station: `station_busy`.
    StationFree,
    /// The queue is not paused: `queue_paused`.
    QueueCalls,
    /// The queue is not closed: `queue_not_open`.
    QueueIssues,
}

use Guard::{QueueCalls, QueueIssues, StationFree, StationOpen};

const CALL: &[Guard] = &[StationOpen, StationFree, QueueCalls];
const FORCED_CALL: &[Guard] = &[StationOpen, QueueCalls];
const LIVE: &[TicketState] =
    &[S::Expected, S::Waiting, S::Called, S::InService, S::OnHold, S::Absent];

/// For each action: the states of the ticket that allow it, the code in all other states, and its
/// guards. The code of the ticket's state comes first, except where the action finds the ticket by
/// itself.
const TABLE: &[(&str, &[TicketState], Code, &[Guard])] = &[
    ("call", &[S::Waiting, S::OnHold, S::Absent], Code::IllegalMove, CALL),
    ("forced call", &[S::Waiting, S::OnHold, S::Absent], Code::IllegalMove, FORCED_CALL),
    ("call next", &[S::Waiting], Code::QueueEmpty, CALL),
    ("forced call next", &[S::Waiting], Code::QueueEmpty, FORCED_CALL),
    ("station calls next", &[S::Waiting], Code::QueueEmpty, CALL),
    ("station calls next by force", &[S::Waiting], Code::QueueEmpty, FORCED_CALL),
    ("recall", &[S::Called], Code::IllegalMove, FORCED_CALL),
    ("undo of an absence", &[S::Absent], Code::NothingToRevert, CALL),
    ("undo of a start", &[S::InService], Code::NothingToRevert, CALL),
    // The patient is there: what follows a call does not depend on later calls.
    ("start", &[S::Called], Code::IllegalMove, &[]),
    ("complete", &[S::InService], Code::IllegalMove, &[]),
    ("absent", &[S::Called], Code::IllegalMove, &[]),
    ("no show", &[S::Expected, S::Waiting, S::Called, S::Absent], Code::IllegalMove, &[]),
    // Nobody is called by these.
    ("hold", &[S::Waiting, S::Called, S::InService], Code::IllegalMove, &[]),
    ("resume", &[S::OnHold], Code::IllegalMove, &[]),
    ("return", &[S::Absent], Code::IllegalMove, &[]),
    ("prioritise", &[S::Waiting], Code::IllegalMove, &[]),
    ("reorder", &[S::Waiting], Code::IllegalMove, &[]),
    ("cancel", LIVE, Code::IllegalMove, &[]),
    ("leave", &[S::Expected, S::Waiting, S::Called, S::OnHold, S::Absent], Code::IllegalMove, &[]),
    // A ticket can join only a queue that issues tickets.
    ("move here", LIVE, Code::IllegalMove, &[QueueIssues]),
    ("issue", TicketState::ALL, Code::IllegalMove, &[QueueIssues]),
];

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Room {
    Free,
    Busy,
    Closed,
}

/// A clinic in which ticket 1 of `general` has this state. If it was called, it was called to room
/// 1. Ticket 2 of the laboratory may be called there too.
fn clinic_with(state: TicketState, queue_state: QueueState, room: Room, action: &str) -> Clinic {
    let mut clinic = Clinic::waiting(1);
    clinic.apply(issue("lab", 2, 0));
    let general_only = Command::ConfigureStation {
        station: station("room-1"),
        name: "Room 1".into(),
        queues: Some([queue("general")].into()),
        edition: None,
    };
    clinic.apply(general_only);
    let mut tickets: Vec<_> =
        [1, 2].map(|number| clinic.location.ticket(&ticket(number)).unwrap().clone()).into();
    if room == Room::Busy {
        call_to_room_1(&mut tickets[1].standing, S::Called);
    }
    let one = &mut tickets[0];
    match state {
        S::Called | S::InService | S::Absent | S::Completed => {
            call_to_room_1(&mut one.standing, state);
        }
        _ => one.standing.state = state,
    }
    if action.starts_with("undo") && (state == S::Absent || state == S::InService) {
        let mut standing = one.standing.clone();
        standing.state = S::Called;
        one.undo = Some(Undo { version: 1, standing, trace: StepTrace::default() });
    }
    if action == "move here" {
        one.standing.queue = queue("lab");
    }
    let (position, mut header) = (clinic.location.position(), clinic.location.header().clone());
    header.queues.get_mut(&queue("general")).unwrap().state = queue_state;
    header.stations.get_mut(&station("room-1")).unwrap().open = room != Room::Closed;
    clinic.location = Location::restore(position, header, tickets, Vec::new());
    clinic
}

fn call_to_room_1(standing: &mut TicketStatus, state: TicketState) {
    standing.state = state;
    standing.station = Some(station("room-1"));
    standing.called_at = Some(MORNING);
    standing.started_at = matches!(state, S::InService | S::Completed).then_some(MORNING);
}

fn command(action: &str) -> Command {
    use Command as C;
    let (ticket, station, queue) = (ticket(1), station("room-1"), queue("general"));
    match action {
        "call" => C::CallTicket { ticket, station, force: false },
        "forced call" => C::CallTicket { ticket, station, force: true },
        "call next" => C::CallNext { queue, station, force: false },
        "forced call next" => C::CallNext { queue, station, force: true },
        "station calls next" => C::CallNextAtStation { station, force: false },
        "station calls next by force" => C::CallNextAtStation { station, force: true },
        "recall" => C::RecallTicket { ticket },
        "undo of an absence" | "undo of a start" => C::RevertTicket { ticket },
        "start" => C::StartService { ticket },
        "complete" => C::CompleteTicket { ticket },
        "absent" => C::MarkAbsent { ticket },
        "no show" => C::MarkNoShow { ticket },
        "hold" => C::HoldTicket { ticket, reason: None },
        "resume" => C::ResumeTicket { ticket },
        "return" => C::ReturnTicket { ticket },
        "prioritise" => C::Prioritise { ticket, priority: priority(3), reason: None },
        "reorder" => C::ReorderQueue { queue, tickets: vec![ticket] },
        "cancel" => C::CancelTicket { ticket, reason: None },
        "leave" => C::LeaveTicket { ticket },
        "move here" => transfer(1, "general"),
        "issue" => issue("general", 3, 0),
        other => panic!("no such action: {other}"),
    }
}

fn expected(
    (action, states, otherwise, guards): (&str, &[TicketState], Code, &[Guard]),
    (state, queue_state, room): (TicketState, QueueState, Room),
) -> Option<Code> {
    // A ticket that is called to room 1 keeps the room busy by itself.
    let finds_ticket = otherwise == Code::QueueEmpty;
    let busy = room == Room::Busy || finds_ticket && state == S::Called;
    let fails = |guard: &&Guard| match guard {
        StationOpen => room == Room::Closed,
        StationFree => busy,
        QueueCalls => queue_state == QueueState::Paused,
        QueueIssues => queue_state == QueueState::Closed,
    };
    let code = |guard: &Guard| match guard {
        StationOpen => Code::StationClosed,
        StationFree => Code::StationBusy,
        QueueCalls => Code::QueuePaused,
        QueueIssues => Code::QueueNotOpen,
    };
    let guarded = guards.iter().find(fails).map(code);
    let undone = match action {
        "undo of an absence" => state == S::Absent,
        "undo of a start" => state == S::InService,
        _ => states.contains(&state),
    };
    match (undone, finds_ticket) {
        (true, _) => guarded,
        (false, true) => guarded.or(Some(otherwise)),
        (false, false) => Some(otherwise),
    }
}

#[test]
fn actions_are_guarded_exactly_as_in_table() {
    for row in TABLE {
        for &state in TicketState::ALL {
            for queue_state in [QueueState::Open, QueueState::Paused, QueueState::Closed] {
                for room in [Room::Free, Room::Busy, Room::Closed] {
                    let undo = row.0.starts_with("undo");
                    if undo
                        && !row.1.contains(&state)
                        && (state == S::Absent || state == S::InService)
                    {
                        continue; // the other row of the undo
                    }
                    let mut clinic = clinic_with(state, queue_state, room, row.0);
                    let code = clinic.refusal(command(row.0));
                    let what =
                        format!("{} of {} in {queue_state:?}, {room:?}", row.0, state.as_str());
                    assert_eq!(code, expected(*row, (state, queue_state, room)), "{what}");
                }
            }
        }
    }
}
