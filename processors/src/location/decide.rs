//! Decides commands: the result is events, or the code of a refusal. Reads the state and nothing
//! else.

use std::collections::BTreeSet;

use schemas::{
    codes::Code,
    command::Command,
    event::Event,
    ids::{QueueId, StationId, TicketId},
    load::LoadBands,
    record::CommandRecord,
    settings::CallOrder,
    ticket::{QueueState, TicketState},
    timers::Timers,
};

use super::{
    Location, appointments,
    calls::{self, call_next, call_next_at_station, call_ticket},
    decision::{Decision, queue_of},
    displays, handover,
    issue::issue,
    moves::allows,
    queues, rebooking,
    settings::{self, MAX_QUEUES, MAX_STATIONS, QUEUE_TICKETS, SERVICE_S},
    ticket::Ticket,
    visits,
};

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
        C::ConfigureLocation { name, time_zone, languages, timers, bands, call_order } => {
            let bands = bands.as_ref();
            configure_location(name, time_zone, languages, timers, bands, *call_order)
                .map(Decision::from)
        }
        C::ConfigureQueue { queue, name, prefix, service_s, max_tickets } => {
            configure_queue(state, queue, name, prefix, *service_s, *max_tickets)
                .map(Decision::from)
        }
        C::ConfigureStation { station, name, queues } => {
            configure_station(state, station, name, queues.as_ref()).map(Decision::from)
        }
        C::PairDisplay { display, name } => displays::pair(state, display, name),
        C::RenameDisplay { display, name } => displays::rename(state, display, name),
        C::UnpairDisplay { display } => displays::unpair(state, display),
        C::OpenStation { station } => switch_station(state, station, true),
        C::CloseStation { station } => switch_station(state, station, false),
        C::OpenQueue { queue } => switch(state, queue, &[QueueState::Closed], QueueState::Open),
        C::PauseQueue { queue } => switch(state, queue, &[QueueState::Open], QueueState::Paused),
        C::ResumeQueue { queue } => switch(state, queue, &[QueueState::Paused], QueueState::Open),
        C::CloseQueue { queue } => {
            switch(state, queue, &[QueueState::Open, QueueState::Paused], QueueState::Closed)
        }
        C::ReorderQueue { queue, tickets } => {
            queues::reorder(state, queue, tickets).map(Decision::from)
        }
        C::RemoveQueue { queue, move_to } => {
            queues::remove(state, queue, move_to.as_ref()).map(Decision::from)
        }
        C::IssueTicket { queue, ticket, priority } => issue(state, queue, ticket, *priority, None),
        C::ReportAppointment { appointment, fact } => {
            appointments::report(state, record, appointment, fact)
        }
        C::CheckIn { appointment, queue } => visits::check_in(state, appointment, queue.as_ref()),
        C::UndoCheckIn { appointment } => visits::undo_check_in(state, appointment),
        C::ReceiveAppointment { appointment, fact, .. } => {
            appointments::report(state, record, appointment, fact)
        }
        C::SettleAppointment { .. } => rebooking::settle(state, record),
        C::ReceiveTicket { queue, .. } => handover::receive(state, queue, &record.command),
        C::WithdrawTicket { ticket, from } => handover::withdraw(state, ticket, from),
        C::SettleTicket { ticket, successor, answer } => {
            handover::settle(state, ticket, successor, *answer)
        }
        C::CallNext { queue, station, force } => call_next(state, queue, station, *force),
        C::CallNextAtStation { station, force } => call_next_at_station(state, station, *force),
        other => match other.ticket() {
            Some(ticket) => move_ticket(state, record, ticket),
            None => Err(Code::IllegalMove),
        },
    }
}

fn configure_location(
    name: &str,
    time_zone: &str,
    languages: &[String],
    timers: &Timers,
    bands: Option<&LoadBands>,
    call_order: CallOrder,
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
        call_order,
    })
}

fn configure_queue(
    state: &Location,
    id: &QueueId,
    name: &str,
    prefix: &str,
    service_s: Option<u32>,
    max_tickets: Option<u32>,
) -> Result<Event, Code> {
    settings::check_text(name)?;
    settings::check_prefix(prefix)?;
    let queues = &state.header.queues;
    let too_many = queues.len() >= MAX_QUEUES && !queues.contains_key(id);
    let bad_service = service_s.is_some_and(|seconds| !SERVICE_S.contains(&seconds));
    if too_many || bad_service || max_tickets.is_some_and(|most| !QUEUE_TICKETS.contains(&most)) {
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
        max_tickets,
    })
}

fn configure_station(
    state: &Location,
    id: &StationId,
    name: &str,
    queues: Option<&BTreeSet<QueueId>>,
) -> Result<Event, Code> {
    settings::check_text(name)?;
    for queue in queues.into_iter().flatten() {
        queue_of(state, queue)?;
    }
    let stations = &state.header.stations;
    if stations.len() >= MAX_STATIONS && !stations.contains_key(id) {
        return Err(Code::InvalidValue);
    }
    Ok(Event::StationConfigured {
        station: id.clone(),
        name: name.to_owned(),
        queues: queues.cloned(),
    })
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
        C::CallTicket { station, force, .. } => call_ticket(state, ticket, station, *force)?,
        C::TransferTicket { queue, .. } => transfer(state, record, ticket, queue)?,
        C::RevertTicket { .. } => revert(state, ticket)?.into(),
        C::RecallTicket { .. } => {
            calls::check_recall(state, ticket)?;
            E::TicketRecalled { ticket: id }.into()
        }
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
) -> Result<Decision, Code> {
    let leaving = ticket.standing.state == TicketState::Leaving;
    if !to.belongs_to(&ticket.id.location()) {
        // The id of the successor, and the answer about it, must belong to one move.
        return match ticket.handover {
            Some(_) => Err(Code::Moving),
            None => handover::leave(state, record, ticket, to),
        };
    }
    if leaving {
        return Err(Code::Moving);
    }
    let queue = queue_of(state, to)?;
    if ticket.standing.queue == *to {
        return Err(Code::IllegalMove);
    }
    if queue.state == QueueState::Closed {
        return Err(Code::QueueNotOpen);
    }
    state.check_queue_room(to)?;
    let (ticket, rank) = (ticket.id.clone(), state.rank_at_end(to));
    Ok(Event::TicketMoved { ticket, queue: to.clone(), rank }.into())
}

/// Decides an undo. An issue and an undo itself cannot be undone. A transfer to another location
/// can be undone until that location has accepted: after that, the person waits in the other line.
/// Neither can the end of a ticket whose label somebody else has by now.
fn revert(state: &Location, ticket: &Ticket) -> Result<Event, Code> {
    if ticket.standing.state == TicketState::Leaving {
        return Ok(handover::stayed(ticket, Code::MoveTakenBack, true, state.header.now));
    }
    let undo = ticket.undo.as_ref().ok_or(Code::NothingToRevert)?;
    let (now, then) = (&ticket.standing, &undo.standing);
    if !state.header.queues.contains_key(&then.queue) || !visits::may_return(state, ticket) {
        return Err(Code::NothingToRevert);
    }
    let label_taken = !ticket.is_live() && state.label_is_held(&ticket.label);
    if label_taken && !then.state.is_end() {
        return Err(Code::NothingToRevert);
    }
    if !ticket.is_live() && !then.state.is_end() {
        state.check_room()?;
    }
    if then.state == TicketState::Called
        && now.state != TicketState::Called
        && let Some(station) = &then.station
    {
        calls::check_restored_call(state, &then.queue, station)?;
    }
    Ok(Event::TicketReverted {
        ticket: ticket.id.clone(),
        reverts: undo.version,
        to: undo.standing.clone(),
    })
}
