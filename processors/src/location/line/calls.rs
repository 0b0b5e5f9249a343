//! The rules of calls: which ticket a station may call, and when.
//!
//! A call needs an open station and a queue that is not paused, and so does everything that lets a
//! call stand again: a repeated call, and the undo of a step that ended one. A station calls one
//! patient at a time. While a patient is still called to it, a further call is refused as
//! `station_busy`. With `force`, it first marks that patient as absent, who then has the usual
//! grace to come back.

use schemas::{
    codes::Code,
    command::CommandResult,
    event::Event,
    ids::{QueueId, StationId, TicketId},
    line::LinePlace,
    ticket::{QueueState, TicketState},
};

use crate::location::{
    Location,
    decision::{Decision, queue_of},
    state::{Queue, Station},
    ticket::Ticket,
};

/// Calls the first waiting ticket of the queue.
pub(crate) fn call_next(
    state: &Location,
    id: &QueueId,
    station: &StationId,
    force: bool,
) -> Result<Decision, Code> {
    let queue = queue_of(state, id)?;
    let absent = clear_station(state, station, force)?;
    check_queue(queue)?;
    let first = state.first_waiting(id).ok_or(Code::QueueEmpty)?;
    call(state, first.ticket(), station, absent)
}

/// Calls the first of the waiting tickets of all queues that the station serves: the highest
/// priority, then the smallest rank. The places of different queues compare, because ranks follow
/// from turns.
pub(crate) fn call_next_at_station(
    state: &Location,
    station: &StationId,
    force: bool,
) -> Result<Decision, Code> {
    let absent = clear_station(state, station, force)?;
    let header = &state.header;
    let served = |id: &QueueId| {
        let queues = header.stations.get(station).and_then(|station| station.queues.as_ref());
        queues.is_none_or(|queues| queues.contains(id))
    };
    let queues: Vec<_> = header.queues.iter().filter(|(id, _)| served(id)).collect();
    if !queues.is_empty() && queues.iter().all(|(_, queue)| queue.state == QueueState::Paused) {
        return Err(Code::QueuePaused);
    }
    let first = queues
        .into_iter()
        .filter(|(_, queue)| queue.state != QueueState::Paused)
        .filter_map(|(id, _)| state.first_waiting(id))
        .min()
        .ok_or(Code::QueueEmpty)?;
    call(state, first.ticket(), station, absent)
}

/// Calls this ticket, wherever it stands in its line. A pause stops this call too.
pub(crate) fn call_ticket(
    state: &Location,
    ticket: &Ticket,
    station: &StationId,
    force: bool,
) -> Result<Decision, Code> {
    let absent = clear_station(state, station, force)?;
    check_queue(queue_of(state, &ticket.standing.queue)?)?;
    call(state, &ticket.id, station, absent)
}

/// Checks that the call of the ticket may be repeated.
pub(crate) fn check_recall(state: &Location, ticket: &Ticket) -> Result<(), Code> {
    let station = ticket.standing.station.as_ref().ok_or(Code::StationUnknown)?;
    open_station(state, station)?;
    check_queue(queue_of(state, &ticket.standing.queue)?)
}

/// Checks that a call from `queue` to `station` may stand again after an undo.
pub(crate) fn check_restored_call(
    state: &Location,
    queue: &QueueId,
    station: &StationId,
) -> Result<(), Code> {
    clear_station(state, station, false)?;
    check_queue(queue_of(state, queue)?)
}

fn open_station<'a>(state: &'a Location, id: &StationId) -> Result<&'a Station, Code> {
    let station = state.header.stations.get(id).ok_or(Code::StationUnknown)?;
    if station.open { Ok(station) } else { Err(Code::StationClosed) }
}

fn check_queue(queue: &Queue) -> Result<(), Code> {
    match queue.state {
        QueueState::Paused => Err(Code::QueuePaused),
        QueueState::Open | QueueState::Closed => Ok(()),
    }
}

/// Checks that the station may call. Returns the patients who are still called to it and whom the
/// call marks as absent, if `force` allows that. The guards allow only one.
fn clear_station(state: &Location, id: &StationId, force: bool) -> Result<Vec<Event>, Code> {
    open_station(state, id)?;
    let called = state.called_to(id);
    let absent: Vec<_> = called.map(|id| Event::TicketAbsent { ticket: id.clone() }).collect();
    if absent.is_empty() || force { Ok(absent) } else { Err(Code::StationBusy) }
}

fn call(
    state: &Location,
    id: &TicketId,
    station: &StationId,
    mut events: Vec<Event>,
) -> Result<Decision, Code> {
    let ticket = state.ticket(id).ok_or(Code::TicketUnknown)?;
    let result = CommandResult {
        ticket: Some(id.clone()),
        label: Some(ticket.label.clone()),
        station: Some(station.clone()),
        ..CommandResult::default()
    };
    events.push(Event::TicketCalled { ticket: id.clone(), station: station.clone() });
    Ok(Decision { events, result, ..Decision::default() })
}

impl Location {
    /// The waiting ticket of the queue that is called next. Overdue tickets are passed over. Each
    /// record ends a slice of them, so at most a few thousand are, for a second after a day's end.
    fn first_waiting(&self, queue: &QueueId) -> Option<&LinePlace> {
        let waiting = &self.indexes.tallies.get(queue)?.waiting;
        waiting.iter().find(|place| !self.is_overdue(place.ticket()))
    }

    /// Whether a patient is called to the station, in service there, or absent after its call.
    pub(crate) fn serves_somebody(&self, station: &StationId) -> bool {
        let there = self.indexes.stations.get(station).into_iter().flatten();
        there.filter_map(|id| self.ticket(id)).any(Ticket::is_live)
    }

    /// The patients who are called to the station and have not come yet: mostly none or one.
    pub(crate) fn called_to<'a>(
        &'a self,
        station: &StationId,
    ) -> impl Iterator<Item = &'a TicketId> + use<'a> {
        let there = self.indexes.stations.get(station).into_iter().flatten();
        let called = |id: &TicketId| Some(self.ticket(id)?.standing.state == TicketState::Called);
        there.filter(move |id| called(id) == Some(true))
    }
}
