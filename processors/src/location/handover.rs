//! Moves of tickets to and from other locations, in two steps with an answer. The ticket at the
//! origin is `leaving` and keeps its place until the destination has accepted.
//!
//! A move that the origin takes back is withdrawn at the destination, which alone decides: a
//! successor whom nobody has called yet ends there, and one who is called, served or has moved on
//! stays. The origin then ends its ticket. So at every moment at least one ticket of the person is
//! live, and exactly one when the answers have arrived.

use schemas::{
    Millis,
    codes::Code,
    command::{Command, CommandResult},
    event::{Event, TicketStatus},
    handover::{HandoverAnswer, HandoverStage, TicketHandover},
    ids::{Aggregate, QueueId, TenantId, TicketId},
    record::CommandRecord,
    ticket::TicketState,
};

use super::{Location, decision::Decision, issue::issue, moves, ticket::Ticket};

/// How long a location remembers that a move to it was taken back, in milliseconds. A record of
/// the move cannot arrive later, because command identities are kept for as long by default.
const BARRED_MS: Millis = 48 * 60 * 60 * 1000;
/// Most moves that a location remembers as taken back before they arrived. Each is a rare crossing
/// of two records. Past it, the oldest is forgotten.
pub(super) const MAX_BARRED: usize = 1_000;

/// Decides a transfer to a queue of another location: the ticket leaves.
pub(super) fn leave(
    state: &Location,
    record: &CommandRecord,
    ticket: &Ticket,
    queue: &QueueId,
) -> Decision {
    let there = queue.location();
    let successor = ticket.id.successor(&there, ticket.moves + 1);
    let until = state.header.now + Millis::from(state.header.timers.handover_s) * 1000;
    let handover = TicketHandover {
        queue: queue.clone(),
        successor: successor.clone(),
        until,
        command: record.identity(),
        stage: HandoverStage::Leaving,
    };
    let receive = Command::ReceiveTicket {
        ticket: successor,
        queue: queue.clone(),
        priority: ticket.standing.priority,
        from: ticket.id.clone(),
        until,
    };
    let elsewhere = Aggregate::location(&record.aggregate.tenant(), &there);
    Decision {
        moving: true,
        follow_ups: vec![record.follow_up("receive", elsewhere, receive)],
        ..Event::TicketLeaving { ticket: ticket.id.clone(), handover }.into()
    }
}

/// Decides at the destination: issues the successor.
pub(super) fn receive(
    state: &Location,
    queue: &QueueId,
    command: &Command,
) -> Result<Decision, Code> {
    let Command::ReceiveTicket { ticket, priority, from, until, .. } = command else {
        return Err(Code::IllegalMove);
    };
    if state.is_barred(ticket.as_str()) {
        return Err(Code::MoveTakenBack);
    }
    if *until < state.header.now {
        return Err(Code::MoveTimedOut);
    }
    let mut decision = issue(state, queue, ticket, *priority, None)?;
    for event in &mut decision.events {
        if let Event::TicketIssued { from: origin, .. } = event {
            *origin = Some(from.clone());
        }
    }
    Ok(decision)
}

/// Decides at the destination: ends the successor, unless somebody has called it, or bars it from
/// coming to be. A refusal as `illegal_move` means that the person stays here. The end of a
/// successor whose person waits at the origin again can no longer be undone.
pub(super) fn withdraw(
    state: &Location,
    ticket: &TicketId,
    from: &TicketId,
) -> Result<Decision, Code> {
    let Some(held) = state.ticket(ticket) else {
        return Ok(Event::HandoverBarred { successor: ticket.to_string() }.into());
    };
    if held.from.as_ref() != Some(from) {
        return Err(Code::TicketUnknown);
    }
    if stays(held) {
        return Err(Code::IllegalMove);
    }
    let closed = Event::TicketHandoverClosed { ticket: ticket.clone(), kept: true };
    if !held.is_live() {
        return Ok(closed.into());
    }
    let reason = Some("moved_back".to_owned());
    let mut decision = Decision::from(Event::TicketCancelled { ticket: ticket.clone(), reason });
    decision.events.push(closed);
    Ok(decision)
}

/// Whether the person of this successor is called, was served, left or has moved on. A successor
/// that a timer or the desk ended without service does not keep the person.
fn stays(successor: &Ticket) -> bool {
    use TicketState as S;
    let standing = &successor.standing;
    let kept = match standing.state {
        S::Called | S::InService | S::Completed | S::Transferred | S::Leaving => true,
        // A timer gives the reason.
        S::Left => standing.reason.is_none(),
        S::Expected | S::Waiting | S::OnHold | S::Absent | S::Cancelled | S::NoShow => false,
    };
    kept || successor.handover.is_some()
}

/// Decides at the origin: the answer of the destination.
pub(super) fn settle(
    state: &Location,
    id: &TicketId,
    successor: &TicketId,
    answer: HandoverAnswer,
) -> Result<Decision, Code> {
    use HandoverAnswer as A;
    use HandoverStage as S;
    let ticket = state.ticket(id).ok_or(Code::TicketUnknown)?;
    let handover = ticket.handover.as_ref().filter(|handover| handover.successor == *successor);
    let handover = handover.ok_or(Code::IllegalMove)?;
    let moved = || CommandResult { ticket: Some(successor.clone()), ..CommandResult::default() };
    let transferred = || Event::TicketTransferred {
        ticket: id.clone(),
        location: successor.location(),
        successor: successor.clone(),
    };
    let closed = |kept| Event::TicketHandoverClosed { ticket: id.clone(), kept };
    let (event, outcome) = match (handover.stage, answer) {
        // The ticket ended with its day while it was on the way.
        (S::Leaving, A::Accepted | A::Kept) if !ticket.is_live() => (closed(true), Ok(moved())),
        (S::Leaving, A::Refused(why)) if !ticket.is_live() => (closed(true), Err(why)),
        (S::Leaving, A::Accepted | A::Kept) => (transferred(), Ok(moved())),
        (S::Leaving, A::Refused(why)) => (stayed(ticket, why, false, state.header.now), Err(why)),
        // The answer to the withdrawal is on its way and decides.
        (S::Withdrawing(_), A::Accepted) => return Err(Code::IllegalMove),
        (S::Withdrawing(_), A::Kept) if ticket.is_live() => (transferred(), Ok(moved())),
        (S::Withdrawing(_), A::Kept) => (closed(true), Ok(moved())),
        (S::Withdrawing(why), A::Refused(_)) => (closed(false), Err(why)),
    };
    Ok(Decision { settles: Some((handover.command.clone(), outcome)), ..event.into() })
}

/// The event that brings a leaving ticket back. It cannot be undone.
pub(super) fn stayed(ticket: &Ticket, why: Code, withdraws: bool, at: Millis) -> Event {
    let to = returned(ticket, &ticket.standing);
    Event::TicketStayed { ticket: ticket.id.clone(), to, why, withdraws, at }
}

/// The standing of a ticket that comes back, where `leaving` is its standing on the way. The ticket
/// kept its place meanwhile, even if its queue was removed and its line moved to another one.
///
/// # Panics
/// If the ticket is not leaving.
pub(super) fn returned(ticket: &Ticket, leaving: &TicketStatus) -> TicketStatus {
    let mut back = ticket.back.clone().expect("a leaving ticket knows where it was");
    back.queue = leaving.queue.clone();
    back.rank = leaving.rank;
    back
}

/// The standing to which a ticket returns that leaves now. A call is not repeated by itself: the
/// patient waits again, with the same rank.
pub(super) fn back(before: &TicketStatus) -> TicketStatus {
    let mut back = before.clone();
    if back.state == TicketState::Called {
        moves::leave_call(&mut back, TicketState::Waiting);
    }
    back
}

/// The answer of the destination to the origin, whatever it decided.
pub(super) fn answer(
    record: &CommandRecord,
    decided: &Result<Decision, Code>,
) -> Option<CommandRecord> {
    use HandoverAnswer as A;
    let (ticket, from, answer) = match &record.command {
        Command::ReceiveTicket { ticket, from, .. } => match decided {
            Ok(_) => (ticket, from, A::Accepted),
            Err(code) => (ticket, from, A::Refused(*code)),
        },
        Command::WithdrawTicket { ticket, from } => match decided {
            Err(Code::IllegalMove) => (ticket, from, A::Kept),
            _ => (ticket, from, A::Refused(Code::MoveTakenBack)),
        },
        _ => return None,
    };
    let origin = Aggregate::location(&record.aggregate.tenant(), &from.location());
    let settle = Command::SettleTicket { ticket: from.clone(), successor: ticket.clone(), answer };
    Some(record.follow_up("settle", origin, settle))
}

impl Location {
    /// The command that withdraws a move at its destination, if `event` takes a move back: at the
    /// time limit, by an undo, or because the ticket ends here.
    pub(super) fn withdrawal(&self, tenant: &TenantId, event: &Event) -> Option<CommandRecord> {
        let ticket = self.ticket(moves::moved_ticket(event)?)?;
        let handover = ticket.handover.as_ref()?;
        let settled = match event {
            // A leaving ticket expires only with its day; the destination then keeps the person.
            Event::TicketTransferred { .. } | Event::TicketExpired { .. } => true,
            Event::TicketStayed { withdraws, .. } => !withdraws,
            _ => false,
        };
        if settled || handover.stage != HandoverStage::Leaving {
            return None;
        }
        let withdraw =
            Command::WithdrawTicket { ticket: handover.successor.clone(), from: ticket.id.clone() };
        let there = Aggregate::location(tenant, &handover.successor.location());
        // A timer has no record at the origin, so the id comes from the command behind the move.
        let purpose = format!("withdraw {}", handover.successor);
        Some(CommandRecord::follow_up_of(&handover.command, &purpose, there, withdraw))
    }

    /// Changes the handover of a ticket as `event` says. `ticket` has its new standing.
    pub(super) fn follow_handover(ticket: &mut Ticket, event: &Event) {
        match event {
            Event::TicketLeaving { handover, .. } => {
                ticket.moves += 1;
                ticket.handover = Some(handover.clone());
            }
            Event::TicketTransferred { .. } => ticket.handover = None,
            Event::TicketHandoverClosed { kept, .. } => {
                ticket.handover = None;
                ticket.undo = ticket.undo.take().filter(|_| !kept);
            }
            Event::TicketStayed { withdraws: false, .. } => ticket.handover = None,
            // No undo: the person may stand in the other line.
            Event::TicketExpired { .. } if is_on_the_way(ticket) => ticket.undo = None,
            Event::TicketStayed { why, .. } => take_back(ticket, *why),
            _ => take_back(ticket, Code::MoveTakenBack),
        }
    }

    /// Whether a move to this location was taken back before it arrived.
    pub(super) fn is_barred(&self, successor: &str) -> bool {
        self.header.barred.iter().any(|(barred, _)| barred == successor)
    }

    /// Remembers that a move was taken back before it arrived.
    pub(super) fn bar(&mut self, successor: &str, now: Millis) {
        let barred = &mut self.header.barred;
        barred.retain(|(_, at)| now - at < BARRED_MS);
        if barred.len() >= MAX_BARRED {
            barred.remove(0);
        }
        barred.push((successor.to_owned(), now));
    }
}

/// Waits for the answer to a withdrawal from now on, if the ticket was leaving.
fn is_on_the_way(ticket: &Ticket) -> bool {
    ticket.handover.as_ref().is_some_and(|handover| handover.stage == HandoverStage::Leaving)
}

fn take_back(ticket: &mut Ticket, why: Code) {
    if let Some(handover) = &mut ticket.handover
        && handover.stage == HandoverStage::Leaving
    {
        handover.stage = HandoverStage::Withdrawing(why);
    }
}
