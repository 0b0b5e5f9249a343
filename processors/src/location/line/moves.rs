//! The commands that a ticket's state allows, and the change of its standing by each event.

use schemas::{
    Millis,
    command::Command,
    event::{Event, TicketStatus},
    ids::{AppointmentId, TicketId},
    ticket::TicketState,
};

/// Whether a ticket in this state allows this command. Other conditions of the command, such as a
/// station or a step to undo, are checked elsewhere.
pub(crate) fn allows(command: &Command, state: TicketState) -> bool {
    use Command as C;
    use TicketState as S;
    match command {
        // Tickets that are absent or on hold may be called as well: staff may call outside the
        // order of the line, and the journal records who did.
        C::CallTicket { .. } => matches!(state, S::Waiting | S::Absent | S::OnHold),
        C::RecallTicket { .. } | C::StartService { .. } | C::MarkAbsent { .. } => {
            state == S::Called
        }
        C::CompleteTicket { .. } => state == S::InService,
        C::HoldTicket { .. } => matches!(state, S::Waiting | S::Called | S::InService),
        C::ResumeTicket { .. } => state == S::OnHold,
        C::ReturnTicket { .. } => state == S::Absent,
        C::MarkNoShow { .. } => matches!(state, S::Expected | S::Waiting | S::Called | S::Absent),
        C::CancelTicket { .. } | C::TransferTicket { .. } => !state.is_end(),
        C::LeaveTicket { .. } => !state.is_end() && state != S::InService,
        C::Prioritise { .. } | C::YieldTicket { .. } => state == S::Waiting,
        C::RevertTicket { .. } => true,
        // Commands that move no ticket.
        _ => false,
    }
}

/// The ticket that an event moves. `None` for events of the location, a queue or a station, and for
/// an issue.
pub(crate) fn moved_ticket(event: &Event) -> Option<&TicketId> {
    use Event as E;
    match event {
        E::TicketCalled { ticket, .. }
        | E::TicketRecalled { ticket }
        | E::ServiceStarted { ticket }
        | E::TicketCompleted { ticket }
        | E::TicketHeld { ticket, .. }
        | E::TicketResumed { ticket }
        | E::TicketAbsent { ticket }
        | E::TicketReturned { ticket }
        | E::TicketNoShow { ticket }
        | E::TicketCancelled { ticket, .. }
        | E::TicketLeft { ticket }
        | E::TicketMoved { ticket, .. }
        | E::TicketLeaving { ticket, .. }
        | E::TicketStayed { ticket, .. }
        | E::TicketTransferred { ticket, .. }
        | E::TicketPrioritised { ticket, .. }
        | E::TicketReverted { ticket, .. }
        | E::TicketExpired { ticket, .. } => Some(ticket),
        _ => None,
    }
}

/// Whether an event is only about the question, or the answer, of a ticket's move. It changes
/// nothing that a view shows, and the view of an ended ticket stays as it was at its end.
pub(crate) fn is_question_of_ticket(event: &Event) -> bool {
    matches!(
        event,
        Event::TicketHandoverClosed { .. }
            | Event::TicketMoveAsked { .. }
            | Event::WithdrawalAnswered { .. }
    )
}

/// Whether an event changes only the devices of a ticket, which no view shows.
pub(crate) fn is_of_devices(event: &Event) -> bool {
    matches!(event, Event::AlertsSubscribed { .. } | Event::AlertsUnsubscribed { .. })
}

/// The appointment that an event changes directly. An event that moves a ticket changes the
/// appointment of the ticket as well.
pub(crate) fn appointment_of(event: &Event) -> Option<&AppointmentId> {
    use Event as E;
    match event {
        E::AppointmentReported { appointment, .. }
        | E::AppointmentMoved { appointment, .. }
        | E::AppointmentLeaving { appointment, .. }
        | E::AppointmentStayed { appointment, .. }
        | E::AppointmentMoveAsked { appointment, .. }
        | E::FactDeferred { appointment, .. }
        | E::AppointmentLate { appointment, .. }
        | E::AppointmentMissed { appointment, .. }
        | E::AppointmentClosed { appointment, .. } => Some(appointment),
        _ => None,
    }
}

/// Every ticket whose row an event changes.
pub(crate) fn tickets_of(event: &Event) -> Vec<&TicketId> {
    match event {
        Event::QueueReordered { ranks, .. }
        | Event::QueueRemoved { ranks, .. }
        | Event::TicketYielded { ranks, .. } => ranks.iter().map(|(ticket, _)| ticket).collect(),
        Event::TicketIssued { ticket, .. }
        | Event::CheckInOverridden { ticket, .. }
        | Event::AlertsSubscribed { ticket, .. }
        | Event::AlertsUnsubscribed { ticket, .. }
        | Event::TicketHandoverClosed { ticket, .. }
        | Event::TicketMoveAsked { ticket, .. }
        | Event::WithdrawalAnswered { ticket, .. } => vec![ticket],
        other => moved_ticket(other).into_iter().collect(),
    }
}

/// The standing of a ticket after `event`.
pub(crate) fn standing_after(standing: &TicketStatus, event: &Event, now: Millis) -> TicketStatus {
    use Event as E;
    use TicketState as S;
    let mut next = standing.clone();
    match event {
        E::TicketCalled { station, .. } => {
            leave_call(&mut next, S::Called);
            next.station = Some(station.clone());
            next.called_at = Some(now);
        }
        E::TicketRecalled { .. } => next.recalls = next.recalls.saturating_add(1),
        E::ServiceStarted { .. } => {
            next.state = S::InService;
            next.started_at = Some(now);
        }
        E::TicketHeld { reason, .. } => {
            leave_call(&mut next, S::OnHold);
            next.reason.clone_from(reason);
        }
        E::TicketResumed { .. } | E::TicketReturned { .. } => leave_call(&mut next, S::Waiting),
        E::TicketMoved { queue, rank, .. } => {
            leave_call(&mut next, S::Waiting);
            next.queue = queue.clone();
            next.rank = *rank;
        }
        E::TicketAbsent { .. } => next.state = S::Absent,
        E::TicketCompleted { .. } => end(&mut next, S::Completed, now),
        E::TicketNoShow { .. } => end(&mut next, S::NoShow, now),
        E::TicketLeft { .. } => end(&mut next, S::Left, now),
        E::TicketCancelled { reason, .. } => {
            end(&mut next, S::Cancelled, now);
            next.reason.clone_from(reason);
        }
        E::TicketTransferred { successor, .. } => {
            end(&mut next, S::Transferred, now);
            next.successor = Some(successor.clone());
        }
        E::TicketExpired { state, why, at, .. } => {
            end(&mut next, *state, *at);
            next.reason = Some(why.as_str().to_owned());
        }
        E::TicketPrioritised { priority, reason, .. } => {
            next.priority = *priority;
            next.priority_reason.clone_from(reason);
        }
        E::TicketLeaving { .. } => leave_call(&mut next, S::Leaving),
        E::TicketReverted { to, .. } | E::TicketStayed { to, .. } => next = to.clone(),
        // Events that move no ticket.
        _ => {}
    }
    next
}

/// Sets a state in which an earlier call no longer counts: the patient must not go to that room.
pub(crate) fn leave_call(standing: &mut TicketStatus, state: TicketState) {
    standing.state = state;
    standing.station = None;
    standing.called_at = None;
    standing.started_at = None;
    standing.recalls = 0;
    standing.reason = None;
}

fn end(standing: &mut TicketStatus, state: TicketState, now: Millis) {
    standing.state = state;
    standing.ended_at = Some(now);
    standing.reason = None;
}

/// How the board shows a ticket.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum BoardPlace {
    /// The board does not show the ticket.
    Not,
    /// The ticket is being called.
    Current,
    /// The call is over: the patient is in service or did not come, or the ticket has ended.
    RecentCall,
}

pub(crate) fn shown(standing: &TicketStatus) -> BoardPlace {
    if standing.station.is_none() {
        return BoardPlace::Not;
    }
    match standing.state {
        TicketState::Expected
        | TicketState::Waiting
        | TicketState::OnHold
        | TicketState::Leaving => BoardPlace::Not,
        TicketState::Called => BoardPlace::Current,
        TicketState::InService
        | TicketState::Absent
        | TicketState::Completed
        | TicketState::NoShow
        | TicketState::Cancelled
        | TicketState::Left
        | TicketState::Transferred => BoardPlace::RecentCall,
    }
}
