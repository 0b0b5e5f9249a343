//! Moves of tickets to and from other locations, in two steps with an answer. The ticket at the
//! origin is `leaving` and keeps its place until the destination has accepted.
//!
//! A move that the origin takes back is withdrawn at the destination, which alone decides: a
//! successor that has not been called yet ends there; one that is called, served or has moved on
//! stays. The origin then ends its ticket. So at every moment at least one ticket of the person is
//! live, and exactly one when the answers have arrived.
//!
//! Every answer of a destination is final: it gives the same one to each repeated question.

use schemas::{
    Millis,
    attempt::AttemptNumber,
    codes::Code,
    command::{Command, CommandResult},
    event::{Event, TicketStatus},
    handover::{HandoverAnswer, HandoverStage, TicketHandover},
    ids::{Aggregate, QueueId, TenantId, TicketId},
    record::CommandRecord,
    ticket::TicketState,
};

use crate::effect::Settlement;
use crate::location::{
    Location,
    decision::Decision,
    issue::issue,
    moves,
    question::Question,
    ticket::{Ticket, TicketMove},
};

/// How long a location remembers that a move to it was taken back, in milliseconds. A record of
/// the move cannot arrive later, because command identities are kept for as long by default.
const BARRED_MS: Millis = 48 * 60 * 60 * 1000;
/// Most moves that a location remembers as taken back before they arrived. Each is a rare crossing
/// of two records. Past it, the oldest is forgotten.
pub(crate) const MAX_BARRED: usize = 1_000;

/// Decides a transfer to a queue of another location: the ticket leaves.
pub(crate) fn leave(
    state: &Location,
    record: &CommandRecord,
    ticket: &Ticket,
    queue: &QueueId,
) -> Result<Decision, Code> {
    if !state.has_room_for_move() {
        return Err(Code::Moving);
    }
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
    Ok(Decision {
        moving: true,
        follow_ups: vec![record.follow_up("receive", elsewhere, receive)],
        ..Event::TicketLeaving { ticket: ticket.id.clone(), handover }.into()
    })
}

/// Decides at the destination: issues the successor. A refusal as `illegal_move` means that an
/// earlier question issued it.
pub(crate) fn receive(
    state: &Location,
    queue: &QueueId,
    command: &Command,
) -> Result<Decision, Code> {
    let Command::ReceiveTicket { ticket, priority, from, until, .. } = command else {
        return Err(Code::IllegalMove);
    };
    if state.ticket(ticket).is_some_and(|held| held.from.as_ref() == Some(from)) {
        return Err(Code::IllegalMove);
    }
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

/// Decides at the destination whether the person stays here. Otherwise the successor ends, or is
/// barred from coming to be. A refusal as `illegal_move` means that the person stays, and one as
/// `moving` that this is not known yet: the origin asks again. The end of a successor whose person
/// waits at the origin again can no longer be undone.
pub(crate) fn withdraw(
    state: &Location,
    ticket: &TicketId,
    from: &TicketId,
) -> Result<Decision, Code> {
    let Some(held) = state.ticket(ticket) else {
        if state.is_barred(ticket.as_str()) {
            return Err(Code::MoveTakenBack);
        }
        return Ok(Event::HandoverBarred { successor: ticket.to_string() }.into());
    };
    if held.from.as_ref() != Some(from) {
        return Err(Code::TicketUnknown);
    }
    match held.stays {
        Some(true) => return Err(Code::IllegalMove),
        Some(false) => return Err(Code::MoveTakenBack),
        None => {}
    }
    let kept = stays(held).ok_or(Code::Moving)?;
    let answered = Event::WithdrawalAnswered { ticket: ticket.clone(), kept };
    if kept || !held.is_live() {
        return Ok(answered.into());
    }
    let reason = Some("moved_back".to_owned());
    let mut decision = Decision::from(Event::TicketCancelled { ticket: ticket.clone(), reason });
    decision.events.push(answered);
    Ok(decision)
}

/// Whether the person of this successor is called, was served, left or has moved on. A successor
/// that a timer or the desk ended without service does not keep the person. `None` while such a
/// successor waits for the answer whether its person has moved on.
fn stays(successor: &Ticket) -> Option<bool> {
    use TicketState as S;
    let standing = &successor.standing;
    match standing.state {
        S::Called | S::InService | S::Completed | S::Transferred | S::Leaving => Some(true),
        // A timer gives the reason.
        S::Left if standing.reason.is_none() => Some(true),
        _ if successor.handover.is_none() => Some(false),
        state if state.is_end() => None,
        // The person waits here, or is in a line further on.
        _ => Some(true),
    }
}

/// Decides at the origin: the answer of the destination.
pub(crate) fn settle(
    state: &Location,
    id: &TicketId,
    successor: &TicketId,
    answer: HandoverAnswer,
) -> Result<Decision, Code> {
    use HandoverAnswer as A;
    use HandoverStage as S;
    let ticket = state.ticket(id).ok_or(Code::TicketUnknown)?;
    let is_about = |moving: &&TicketMove| moving.handover.successor == *successor;
    let TicketMove { handover, began, .. } =
        ticket.handover.as_ref().filter(is_about).ok_or(Code::IllegalMove)?;
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
        (S::Leaving, A::Refused(why)) if !ticket.is_live() => (closed(false), Err(why)),
        (S::Leaving, A::Accepted | A::Kept) => (transferred(), Ok(moved())),
        (S::Leaving, A::Refused(why)) => (stayed(ticket, why, false, state.header.now), Err(why)),
        // The answer to the withdrawal is on its way and decides.
        (S::Withdrawing(_), A::Accepted) => return Err(Code::IllegalMove),
        (S::Withdrawing(_), A::Kept) if ticket.is_live() => (transferred(), Ok(moved())),
        (S::Withdrawing(_), A::Kept) => (closed(true), Ok(moved())),
        (S::Withdrawing(why), A::Refused(_)) => (closed(false), Err(why)),
    };
    let (command, began) = (handover.command.clone(), *began);
    Ok(Decision { settles: Some(Settlement { command, began, outcome }), ..event.into() })
}

/// The event that brings a leaving ticket back. It cannot be undone.
pub(crate) fn stayed(ticket: &Ticket, why: Code, withdraws: bool, at: Millis) -> Event {
    let to = returned(ticket, &ticket.standing);
    Event::TicketStayed { ticket: ticket.id.clone(), to, why, withdraws, at }
}

/// The standing of a ticket that comes back, where `leaving` is its standing on the way. The ticket
/// kept its place meanwhile, even if its queue was removed and its line moved to another one.
///
/// # Panics
/// If the ticket is not leaving.
pub(crate) fn returned(ticket: &Ticket, leaving: &TicketStatus) -> TicketStatus {
    let mut back = ticket.back.clone().expect("a leaving ticket knows where it was");
    back.queue = leaving.queue.clone();
    back.rank = leaving.rank;
    back
}

/// The standing to which a ticket returns that leaves now. A call is not repeated by itself: the
/// patient waits again, with the same rank.
pub(crate) fn back(before: &TicketStatus) -> TicketStatus {
    let mut back = before.clone();
    if back.state == TicketState::Called {
        moves::leave_call(&mut back, TicketState::Waiting);
    }
    back
}

/// The answer of the destination to the origin, whatever it decided. `None` while the destination
/// cannot answer.
pub(crate) fn answer(
    record: &CommandRecord,
    decided: &Result<Decision, Code>,
) -> Option<CommandRecord> {
    use HandoverAnswer as A;
    let (ticket, from, answer) = match &record.command {
        Command::ReceiveTicket { ticket, from, .. } => match decided {
            Ok(_) | Err(Code::IllegalMove) => (ticket, from, A::Accepted),
            Err(code) => (ticket, from, A::Refused(*code)),
        },
        Command::WithdrawTicket { ticket, from } => match decided {
            Err(Code::IllegalMove) => (ticket, from, A::Kept),
            Err(Code::Moving) => return None,
            Ok(decision) if keeps(decision) => (ticket, from, A::Kept),
            _ => (ticket, from, A::Refused(Code::MoveTakenBack)),
        },
        _ => return None,
    };
    let origin = Aggregate::location(&record.aggregate.tenant(), &from.location());
    let settle = Command::SettleTicket { ticket: from.clone(), successor: ticket.clone(), answer };
    Some(record.follow_up("settle", origin, settle))
}

fn keeps(decision: &Decision) -> bool {
    matches!(decision.events[..], [Event::WithdrawalAnswered { kept: true, .. }])
}

/// The command that takes a move back at its destination. The command behind the move gives its id,
/// since a timer has no record at the origin. `attempt` counts the repetitions.
pub(crate) fn ask_withdrawal(
    tenant: &TenantId,
    ticket: &Ticket,
    attempt: AttemptNumber,
) -> Option<CommandRecord> {
    let handover = &ticket.handover.as_ref()?.handover;
    let successor = &handover.successor;
    let withdraw = Command::WithdrawTicket { ticket: successor.clone(), from: ticket.id.clone() };
    Some(ask(tenant, handover, "withdraw", attempt, withdraw))
}

/// The question whether the successor has arrived, once the time limit of the move has passed. So
/// this issues no successor.
pub(crate) fn ask_receipt(
    tenant: &TenantId,
    ticket: &Ticket,
    attempt: AttemptNumber,
) -> Option<CommandRecord> {
    let handover = &ticket.handover.as_ref()?.handover;
    let successor = &handover.successor;
    let receive = Command::ReceiveTicket {
        ticket: successor.clone(),
        queue: handover.queue.clone(),
        priority: ticket.standing.priority,
        from: ticket.id.clone(),
        until: handover.until,
    };
    Some(ask(tenant, handover, "receive", attempt, receive))
}

/// A question to the destination of a move.
fn ask(
    tenant: &TenantId,
    handover: &TicketHandover,
    what: &str,
    attempt: AttemptNumber,
    question: Command,
) -> CommandRecord {
    let successor = &handover.successor;
    let there = Aggregate::location(tenant, &successor.location());
    let purpose = format!("{what} {successor} {attempt}");
    CommandRecord::follow_up_of(&handover.command, &purpose, there, question)
}

impl Location {
    /// The command that withdraws a move at its destination, if `event` takes a move back: at the
    /// time limit, by an undo, or because the ticket ends here.
    pub(crate) fn withdrawal(&self, tenant: &TenantId, event: &Event) -> Option<CommandRecord> {
        let ticket = self.ticket(moves::moved_ticket(event)?)?;
        let handover = &ticket.handover.as_ref()?.handover;
        let settled = match event {
            // A leaving ticket expires only with its day; the destination then keeps the person.
            Event::TicketTransferred { .. } | Event::TicketExpired { .. } => true,
            Event::TicketStayed { withdraws, .. } => !withdraws,
            _ => false,
        };
        if settled || handover.stage != HandoverStage::Leaving {
            return None;
        }
        ask_withdrawal(tenant, ticket, AttemptNumber(0))
    }

    /// Changes the handover of a ticket as `event` of `version` says. `ticket` has its new
    /// standing, since `at`.
    pub(crate) fn follow_handover(ticket: &mut Ticket, event: &Event, version: u64, at: Millis) {
        match event {
            Event::TicketLeaving { handover, .. } => {
                ticket.moves += 1;
                let handover = handover.clone();
                ticket.handover = Some(TicketMove { handover, began: version, question: None });
            }
            Event::TicketTransferred { .. } | Event::TicketStayed { withdraws: false, .. } => {
                ticket.handover = None;
            }
            Event::TicketExpired { .. } if is_on_the_way(ticket) => {
                // No undo: the person may stand in the other line.
                ticket.undo = None;
                if let Some(moving) = &mut ticket.handover {
                    moving.question = Some(Question::new(at));
                }
            }
            Event::TicketStayed { why, .. } => take_back(ticket, *why, at),
            _ => take_back(ticket, Code::MoveTakenBack, at),
        }
    }

    /// Changes a ticket as a question about its move, or the answer to one, says.
    pub(crate) fn follow_answer(ticket: &mut Ticket, event: &Event) {
        match event {
            Event::TicketHandoverClosed { kept, .. } => {
                ticket.handover = None;
                ticket.undo = ticket.undo.take().filter(|_| !kept);
                // The person has moved on from here, and is not at the origin of this ticket.
                ticket.stays = ticket.stays.or(kept.then_some(true));
            }
            Event::WithdrawalAnswered { kept, .. } => {
                ticket.stays = Some(*kept);
                ticket.undo = ticket.undo.take().filter(|_| *kept);
            }
            Event::TicketMoveAsked { attempt, .. } => {
                let question = ticket.handover.as_mut().and_then(|moving| moving.question.as_mut());
                if let Some(question) = question {
                    question.attempt = *attempt;
                }
            }
            _ => {}
        }
    }

    /// Whether a move to this location was taken back before it arrived.
    pub(crate) fn is_barred(&self, successor: &str) -> bool {
        self.header.barred.iter().any(|(barred, _)| barred == successor)
    }

    /// Remembers that a move was taken back before it arrived.
    pub(crate) fn bar(&mut self, successor: &str, now: Millis) {
        let barred = &mut self.header.barred;
        barred.retain(|(_, at)| now - at < BARRED_MS);
        if barred.len() >= MAX_BARRED {
            barred.remove(0);
        }
        barred.push((successor.to_owned(), now));
    }
}

/// Whether the ticket waits for the first answer of the destination.
fn is_on_the_way(ticket: &Ticket) -> bool {
    let moving = ticket.handover.as_ref();
    moving.is_some_and(|moving| moving.handover.stage == HandoverStage::Leaving)
}

fn take_back(ticket: &mut Ticket, why: Code, at: Millis) {
    if let Some(TicketMove { handover, question, .. }) = &mut ticket.handover
        && handover.stage == HandoverStage::Leaving
    {
        handover.stage = HandoverStage::Withdrawing(why);
        *question = Some(Question::new(at));
    }
}
