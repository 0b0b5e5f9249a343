//! Decides commands: the result is events, or the code of a refusal. Reads the state and nothing
//! else.

use std::collections::HashSet;

use schemas::{
    codes::Code,
    command::{Command, CommandResult, MAX_REORDER},
    event::Event,
    ids::{Aggregate, AppointmentId, QueueId, StationId, TicketId},
    load::LoadBands,
    record::CommandRecord,
    ticket::{Priority, QueueState, TicketState},
    timers::Timers,
};

use super::{
    Location, appointments,
    calls::{call, call_next, check_call},
    moves::allows,
    settings::{self, MAX_QUEUES, MAX_STATIONS, SERVICE_S},
    state::{Queue, Ticket},
};

/// A command that is applied. Every command except a tick has at least one event.
#[derive(Default)]
pub struct Decision {
    /// The events, in order.
    pub events: Vec<Event>,
    /// The result for the caller.
    pub result: CommandResult,
    /// The command that another location must carry out next.
    pub follow_up: Option<CommandRecord>,
}

impl From<Event> for Decision {
    fn from(event: Event) -> Self {
        Self { events: vec![event], result: CommandResult::default(), follow_up: None }
    }
}

/// Decides one command that has not expired, at the location's time.
///
/// # Errors
/// The code under which the command is refused.
pub fn decide(state: &Location, record: &CommandRecord) -> Result<Decision, Code> {
    use Command as C;
    if !state.exists() && !matches!(record.command, C::ConfigureLocation { .. }) {
        return Err(Code::LocationUnknown);
    }
    match &record.command {
        C::ConfigureLocation { name, time_zone, languages, timers, bands } => {
            configure_location(name, time_zone, languages, timers, bands.as_ref())
                .map(Decision::from)
        }
        C::ConfigureQueue { queue, name, prefix, service_s } => {
            configure_queue(state, queue, name, prefix, *service_s).map(Decision::from)
        }
        C::ConfigureStation { station, name } => {
            configure_station(state, station, name).map(Decision::from)
        }
        C::OpenStation { station } => switch_station(state, station, true),
        C::CloseStation { station } => switch_station(state, station, false),
        C::OpenQueue { queue } => switch(state, queue, &[QueueState::Closed], QueueState::Open),
        C::PauseQueue { queue } => switch(state, queue, &[QueueState::Open], QueueState::Paused),
        C::ResumeQueue { queue } => switch(state, queue, &[QueueState::Paused], QueueState::Open),
        C::CloseQueue { queue } => {
            switch(state, queue, &[QueueState::Open, QueueState::Paused], QueueState::Closed)
        }
        C::ReorderQueue { queue, tickets } => reorder(state, queue, tickets).map(Decision::from),
        C::IssueTicket { queue, ticket, priority } => issue(state, queue, ticket, *priority, None),
        C::ReportAppointment { appointment, fact } => {
            appointments::report(state, record, appointment, fact)
        }
        C::CheckIn { appointment, queue } => {
            appointments::check_in(state, appointment, queue.as_ref())
        }
        C::CallNext { queue, station } => call_next(state, queue, station),
        other => match other.ticket() {
            Some(ticket) => move_ticket(state, record, ticket),
            None => Err(Code::IllegalMove),
        },
    }
}

pub(super) fn queue_of<'a>(state: &'a Location, id: &QueueId) -> Result<&'a Queue, Code> {
    state.header.queues.get(id).ok_or(Code::QueueUnknown)
}

fn configure_location(
    name: &str,
    time_zone: &str,
    languages: &[String],
    timers: &Timers,
    bands: Option<&LoadBands>,
) -> Result<Event, Code> {
    if !timers.are_plausible() || !bands.is_none_or(LoadBands::are_plausible) {
        return Err(Code::InvalidValue);
    }
    settings::check_text(name)?;
    settings::check_zone(time_zone)?;
    settings::check_languages(languages)?;
    Ok(Event::LocationConfigured {
        name: name.to_owned(),
        time_zone: time_zone.to_owned(),
        languages: languages.to_vec(),
        timers: timers.clone(),
        bands: bands.cloned(),
    })
}

fn configure_queue(
    state: &Location,
    id: &QueueId,
    name: &str,
    prefix: &str,
    service_s: Option<u32>,
) -> Result<Event, Code> {
    settings::check_text(name)?;
    settings::check_prefix(prefix)?;
    let queues = &state.header.queues;
    let too_many = queues.len() >= MAX_QUEUES && !queues.contains_key(id);
    if too_many || service_s.is_some_and(|seconds| !SERVICE_S.contains(&seconds)) {
        return Err(Code::InvalidValue);
    }
    if queues.iter().any(|(other, queue)| other != id && queue.prefix == prefix) {
        return Err(Code::PrefixTaken);
    }
    Ok(Event::QueueConfigured {
        queue: id.clone(),
        name: name.to_owned(),
        prefix: prefix.to_owned(),
        service_s,
    })
}

fn configure_station(state: &Location, id: &StationId, name: &str) -> Result<Event, Code> {
    settings::check_text(name)?;
    let stations = &state.header.stations;
    if stations.len() >= MAX_STATIONS && !stations.contains_key(id) {
        return Err(Code::InvalidValue);
    }
    Ok(Event::StationConfigured { station: id.clone(), name: name.to_owned() })
}

fn switch(
    state: &Location,
    id: &QueueId,
    from: &[QueueState],
    to: QueueState,
) -> Result<Decision, Code> {
    if !from.contains(&queue_of(state, id)?.state) {
        return Err(Code::IllegalMove);
    }
    Ok(Event::QueueStateChanged { queue: id.clone(), state: to }.into())
}

fn switch_station(state: &Location, id: &StationId, open: bool) -> Result<Decision, Code> {
    let station = state.header.stations.get(id).ok_or(Code::StationUnknown)?;
    if station.open == open {
        return Err(Code::IllegalMove);
    }
    Ok(Event::StationStateChanged { station: id.clone(), open }.into())
}

/// Gives the named tickets ranks below every rank of the queue, in the order named. So they come
/// before all other tickets of their priority. Between priorities nothing changes: the higher
/// priority still goes first.
fn reorder(state: &Location, id: &QueueId, tickets: &[TicketId]) -> Result<Event, Code> {
    let queue = queue_of(state, id)?;
    let distinct: HashSet<_> = tickets.iter().collect();
    if tickets.is_empty() || tickets.len() > MAX_REORDER || distinct.len() != tickets.len() {
        return Err(Code::InvalidValue);
    }
    // An ended ticket may be in memory or not, so the refusal does not distinguish an unknown
    // ticket from an ended one.
    let waits = |ticket| {
        state.ticket(ticket).is_some_and(|ticket: &Ticket| {
            ticket.standing.state == TicketState::Waiting && ticket.standing.queue == *id
        })
    };
    if !tickets.iter().all(waits) {
        return Err(Code::IllegalMove);
    }
    let first = queue.first_rank.checked_sub(tickets.len() as u64).ok_or(Code::InvalidValue)?;
    let ranks = tickets.iter().cloned().zip(first..).collect();
    Ok(Event::QueueReordered { queue: id.clone(), ranks })
}

/// Puts a ticket at the end of its priority. `appointment` is the appointment that the ticket
/// checks in.
pub(super) fn issue(
    state: &Location,
    id: &QueueId,
    ticket: &TicketId,
    priority: Priority,
    appointment: Option<&AppointmentId>,
) -> Result<Decision, Code> {
    let queue = queue_of(state, id)?;
    if state.ticket(ticket).is_some() {
        return Err(Code::TicketExists);
    }
    if queue.state == QueueState::Closed {
        return Err(Code::QueueNotOpen);
    }
    let header = &state.header;
    let number = header.numbers.get(&queue.prefix).copied().unwrap_or(0) + 1;
    let label = format!("{}-{number:03}", queue.prefix);
    let result = CommandResult {
        ticket: Some(ticket.clone()),
        label: Some(label.clone()),
        appointment: appointment.cloned(),
        ..CommandResult::default()
    };
    let event = Event::TicketIssued {
        ticket: ticket.clone(),
        queue: id.clone(),
        day: header.day.clone(),
        number,
        label,
        priority,
        rank: queue.next_rank,
        appointment: appointment.cloned(),
    };
    Ok(Decision { result, ..event.into() })
}

/// Decides the commands that name one ticket.
fn move_ticket(state: &Location, record: &CommandRecord, id: &TicketId) -> Result<Decision, Code> {
    use Command as C;
    use Event as E;
    let ticket = state.ticket(id).ok_or(Code::TicketUnknown)?;
    if !allows(&record.command, ticket.standing.state) {
        return Err(Code::IllegalMove);
    }
    let id = id.clone();
    Ok(match &record.command {
        C::CallTicket { station, .. } => {
            check_call(state, queue_of(state, &ticket.standing.queue)?, station)?;
            call(ticket, station)
        }
        C::TransferTicket { queue, successor, .. } => {
            transfer(state, record, ticket, queue, successor.as_ref())?
        }
        C::RevertTicket { .. } => revert(state, ticket)?.into(),
        C::RecallTicket { .. } => E::TicketRecalled { ticket: id }.into(),
        C::StartService { .. } => E::ServiceStarted { ticket: id }.into(),
        C::CompleteTicket { .. } => E::TicketCompleted { ticket: id }.into(),
        C::HoldTicket { reason, .. } => {
            E::TicketHeld { ticket: id, reason: checked(reason)? }.into()
        }
        C::ResumeTicket { .. } => E::TicketResumed { ticket: id }.into(),
        C::MarkAbsent { .. } => E::TicketAbsent { ticket: id }.into(),
        C::ReturnTicket { .. } => E::TicketReturned { ticket: id }.into(),
        C::MarkNoShow { .. } => E::TicketNoShow { ticket: id }.into(),
        C::CancelTicket { reason, .. } => {
            E::TicketCancelled { ticket: id, reason: checked(reason)? }.into()
        }
        C::LeaveTicket { .. } => E::TicketLeft { ticket: id }.into(),
        C::Prioritise { priority, .. } => {
            E::TicketPrioritised { ticket: id, priority: *priority }.into()
        }
        // Commands that move no ticket.
        _ => return Err(Code::IllegalMove),
    })
}

fn checked(reason: &Option<String>) -> Result<Option<String>, Code> {
    reason.as_deref().map_or(Ok(()), settings::check_text)?;
    Ok(reason.clone())
}

fn transfer(
    state: &Location,
    record: &CommandRecord,
    ticket: &Ticket,
    to: &QueueId,
    successor: Option<&TicketId>,
) -> Result<Decision, Code> {
    let there = to.location();
    if to.belongs_to(&ticket.id.location()) {
        let queue = queue_of(state, to)?;
        if ticket.standing.queue == *to {
            return Err(Code::IllegalMove);
        }
        if queue.state == QueueState::Closed {
            return Err(Code::QueueNotOpen);
        }
        let moved = Event::TicketMoved {
            ticket: ticket.id.clone(),
            queue: to.clone(),
            rank: queue.next_rank,
        };
        return Ok(moved.into());
    }
    let successor = successor.ok_or(Code::SuccessorMissing)?.clone();
    let issue = Command::IssueTicket {
        queue: to.clone(),
        ticket: successor.clone(),
        priority: ticket.standing.priority,
    };
    let elsewhere = Aggregate::location(&record.aggregate.tenant(), &there);
    let issue = record.follow_up("successor", elsewhere, issue);
    let event = Event::TicketTransferred { ticket: ticket.id.clone(), location: there, successor };
    Ok(Decision { follow_up: Some(issue), ..event.into() })
}

/// Decides an undo. An issue, an undo itself and a transfer to another location cannot be undone:
/// after a transfer, the person already waits in the other line.
fn revert(state: &Location, ticket: &Ticket) -> Result<Event, Code> {
    let undo = ticket.undo.as_ref().ok_or(Code::NothingToRevert)?;
    if !state.header.queues.contains_key(&undo.standing.queue) {
        return Err(Code::NothingToRevert);
    }
    Ok(Event::TicketReverted {
        ticket: ticket.id.clone(),
        reverts: undo.version,
        to: undo.standing.clone(),
    })
}
