//! The rules of calls: which ticket a station may call, and when.

use schemas::{
    codes::Code,
    command::CommandResult,
    event::Event,
    ids::{QueueId, StationId},
    ticket::QueueState,
};

use super::{
    Location,
    decide::{Decision, queue_of},
    state::{Queue, Ticket},
};

/// Calls the first waiting ticket of the queue.
pub(super) fn call_next(
    state: &Location,
    id: &QueueId,
    station: &StationId,
) -> Result<Decision, Code> {
    let queue = queue_of(state, id)?;
    check_call(state, queue, station)?;
    let first = state.indexes.tallies.get(id).and_then(|tally| tally.waiting.first());
    let first = first.and_then(|place| state.ticket(place.ticket())).ok_or(Code::QueueEmpty)?;
    Ok(call(first, station))
}

/// Checks that tickets of the queue may be called to that station. A pause stops every call,
/// including the call of a named ticket.
pub(super) fn check_call(state: &Location, queue: &Queue, station: &StationId) -> Result<(), Code> {
    if !state.header.stations.get(station).ok_or(Code::StationUnknown)?.open {
        return Err(Code::StationClosed);
    }
    if queue.state == QueueState::Paused {
        return Err(Code::QueuePaused);
    }
    Ok(())
}

/// The call of the ticket to the station.
pub(super) fn call(ticket: &Ticket, station: &StationId) -> Decision {
    let result = CommandResult {
        ticket: Some(ticket.id.clone()),
        label: Some(ticket.label.clone()),
        station: Some(station.clone()),
        ..CommandResult::default()
    };
    let event = Event::TicketCalled { ticket: ticket.id.clone(), station: station.clone() };
    Decision { result, ..event.into() }
}
