//! Decides the order and the removal of a queue, and who lets others go first.

use std::{collections::HashSet, ops::Bound};

use schemas::{
    codes::Code,
    command::MAX_REORDER,
    event::Event,
    ids::{QueueId, TicketId},
    ticket::{QueueState, TicketState},
};

use crate::location::{Location, decision::queue_of, ticket::Ticket};

/// Gives the named tickets ranks below every rank of the queue, in the order named. So they come
/// before all other tickets of their priority, and their first has the turn of the queue's first.
/// Between priorities nothing changes: the higher priority still goes first.
pub(crate) fn reorder(state: &Location, id: &QueueId, tickets: &[TicketId]) -> Result<Event, Code> {
    queue_of(state, id)?;
    let distinct: HashSet<_> = tickets.iter().collect();
    if tickets.is_empty() || tickets.len() > MAX_REORDER || distinct.len() != tickets.len() {
        return Err(Code::InvalidValue);
    }
    // An ended ticket may be in memory or not, so the refusal does not distinguish an unknown
    // ticket from an ended one.
    let waits = |ticket| {
        let waits = state.ticket(ticket).is_some_and(|ticket: &Ticket| {
            ticket.standing.state == TicketState::Waiting && ticket.standing.queue == *id
        });
        waits && !state.is_overdue(ticket)
    };
    if !tickets.iter().all(waits) {
        return Err(Code::IllegalMove);
    }
    let tally = state.indexes.tallies.get(id);
    let lowest = tally.and_then(|tally| tally.ranks.keys().next()).ok_or(Code::IllegalMove)?;
    // Ranks begin at the year 1970: far more reorders fit below than will ever be made.
    let first = lowest.checked_sub(tickets.len() as u64).ok_or(Code::InvalidValue)?;
    let ranks = tickets.iter().cloned().zip(first..).collect();
    Ok(Event::QueueReordered { queue: id.clone(), ranks })
}

/// Lets the next people of the same priority go first: as many as the location allows, or all that
/// are behind. These people exchange their turns, so that every turn belongs to one person. People
/// of other priorities keep their places.
pub(crate) fn yield_turn(state: &Location, ticket: &Ticket) -> Result<Event, Code> {
    let timers = &state.header.timers;
    if timers.yield_places == 0 || ticket.yields >= timers.yield_times {
        return Err(Code::YieldNotAllowed);
    }
    let queue = &ticket.standing.queue;
    let places = state.indexes.tallies.get(queue).map(|tally| &tally.waiting);
    let behind = places
        .into_iter()
        .flat_map(|places| places.range((Bound::Excluded(ticket.place()), Bound::Unbounded)));
    let behind: Vec<&Ticket> = behind
        .filter_map(|place| state.ticket(place.ticket()))
        .take_while(|other| other.standing.priority == ticket.standing.priority)
        .filter(|other| !state.is_overdue(&other.id))
        .take(timers.yield_places as usize)
        .collect();
    let turns = std::iter::once(ticket).chain(behind.iter().copied());
    let turns: Vec<u64> = turns.map(|ticket| ticket.standing.rank).collect();
    let order = behind.into_iter().chain([ticket]);
    let ranks: Vec<_> = order.map(|ticket| ticket.id.clone()).zip(turns).collect();
    match ranks.last() {
        // Also behind people with the same rank, whose order is by id, nothing would change.
        Some((_, rank)) if *rank != ticket.standing.rank => {
            Ok(Event::TicketYielded { ticket: ticket.id.clone(), queue: queue.clone(), ranks })
        }
        _ => Err(Code::NobodyBehind),
    }
}

/// Removes a queue. Its live tickets keep their states and turns in `move_to`, so that people who
/// waited longer are still called earlier.
pub(crate) fn remove(
    state: &Location,
    id: &QueueId,
    move_to: Option<&QueueId>,
) -> Result<Event, Code> {
    queue_of(state, id)?;
    if let Some(there) = move_to {
        if there == id {
            return Err(Code::IllegalMove);
        }
        if queue_of(state, there)?.state == QueueState::Closed {
            return Err(Code::QueueNotOpen);
        }
    }
    let tallies = &state.indexes.tallies;
    let live = tallies.get(id).map(|tally| &tally.live).into_iter().flatten();
    let mut tickets: Vec<&Ticket> = live.filter_map(|id| state.ticket(id)).collect();
    if tickets.is_empty() {
        return Ok(Event::QueueRemoved { queue: id.clone(), move_to: None, ranks: Vec::new() });
    }
    let there = move_to.ok_or(Code::QueueNotEmpty)?;
    if tickets.len() > MAX_REORDER {
        return Err(Code::QueueTooLong);
    }
    tickets.sort_by(|a, b| (a.standing.rank, &a.id).cmp(&(b.standing.rank, &b.id)));
    let mut next = 0;
    let ranks = tickets.into_iter().map(|ticket| {
        let rank = next.max(ticket.standing.rank);
        let rank = tallies.get(there).map_or(rank, |tally| tally.free_rank(rank));
        next = rank + 1;
        (ticket.id.clone(), rank)
    });
    let ranks = ranks.collect();
    Ok(Event::QueueRemoved { queue: id.clone(), move_to: move_to.cloned(), ranks })
}
