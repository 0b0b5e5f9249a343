//! Decides commands: the result is events, or the code of a refusal. Reads the state and nothing
//! else.

use schemas::{
    codes::Code,
    command::Command,
    event::Event,
    ids::{QueueId, StationId, TicketId},
    load::LoadBands,
    record::CommandRecord,
    ticket::{QueueState, TicketState},
};

use super::{
    Location, alerts,
    appearance::{self, check_edition},
    appointments,
    calls::{self, call_next, call_next_at_station, call_ticket},
    check_in_points,
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
        C::ConfigureLocation { .. } => configure_location(state, &record.command),
        C::ChangePrivacy { privacy, edition } => {
            appearance::change_privacy(state, *privacy, *edition)
        }
        C::ChangeMessages { messages, edition } => {
            appearance::change_messages(state, messages, *edition)
        }
        C::ChangeBranding { branding, edition } => {
            appearance::change_branding(state, branding, *edition)
        }
        C::OrderQueues { queues, edition } => appearance::order_queues(state, queues, *edition),
        C::ConfigureQueue { .. } => configure_queue(state, &record.command),
        C::ConfigureStation { .. } => configure_station(state, &record.command),
        C::PairDisplay { display, name, check_in_point } => {
            displays::pair(state, display, name, check_in_point.as_ref())
        }
        C::RenameDisplay { display, name, edition } => {
            displays::rename(state, display, name, *edition)
        }
        C::UnpairDisplay { display } => displays::unpair(state, display),
        C::ConfigureCheckInPoint { point, setup, edition } => {
            check_in_points::configure(state, point, setup, *edition)
        }
        C::RotateCheckInPoint { point } => check_in_points::rotate(state, point),
        C::RevokeCheckInPoint { point } => check_in_points::revoke(state, point),
        C::RemoveCheckInPoint { point } => check_in_points::remove(state, point),
        C::RemoveStation { station } => remove_station(state, station),
        C::OpenStation { station } => switch_station(state, station, true),
        C::CloseStation { station } => switch_station(state, station, false),
        C::OpenQueue { queue } => {
            switch(state, queue, &[QueueState::Closed, QueueState::Open], QueueState::Open)
        }
        C::PauseQueue { queue, message } => pause(state, queue, message),
        C::ResumeQueue { queue } => {
            switch(state, queue, &[QueueState::Paused, QueueState::Open], QueueState::Open)
        }
        C::CloseQueue { queue } => switch(state, queue, &ANY_STATE, QueueState::Closed),
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
        C::OverrideCheckIn { appointment, queue, reason } => {
            visits::override_check_in(state, appointment, queue.as_ref(), reason)
        }
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

fn configure_location(state: &Location, command: &Command) -> Result<Decision, Code> {
    let Command::ConfigureLocation {
        name,
        time_zone,
        languages,
        timers,
        bands,
        call_order,
        address,
        edition,
    } = command
    else {
        return Err(Code::IllegalMove);
    };
    check_edition(state.header.editions.location, *edition)?;
    if !timers.are_plausible() || !bands.as_ref().is_none_or(LoadBands::are_plausible) {
        return Err(Code::InvalidValue);
    }
    settings::check_text(name)?;
    settings::check_zone(time_zone)?;
    settings::check_languages(languages)?;
    address.as_deref().map_or(Ok(()), settings::check_text)?;
    Ok(Event::LocationConfigured {
        name: name.clone(),
        time_zone: time_zone.clone(),
        languages: languages.clone(),
        timers: timers.clone(),
        bands: bands.clone(),
        call_order: *call_order,
        address: address.clone(),
    }
    .into())
}

fn configure_queue(state: &Location, command: &Command) -> Result<Decision, Code> {
    let Command::ConfigureQueue { queue: id, name, prefix, service_s, max_tickets, edition } =
        command
    else {
        return Err(Code::IllegalMove);
    };
    let queues = &state.header.queues;
    check_edition(queues.get(id).map_or(0, |queue| queue.edition), *edition)?;
    settings::check_text(name)?;
    settings::check_prefix(prefix)?;
    let too_many = queues.len() >= MAX_QUEUES && !queues.contains_key(id);
    let bad_service = service_s.is_some_and(|seconds| !SERVICE_S.contains(&seconds));
    if too_many || bad_service || max_tickets.is_some_and(|most| !QUEUE_TICKETS.contains(&most)) {
        return Err(Code::InvalidValue);
    }
    if queues.iter().any(|(other, queue)| other != id && queue.prefix == *prefix) {
        return Err(Code::PrefixTaken);
    }
    Ok(Event::QueueConfigured {
        queue: id.clone(),
        name: name.clone(),
        prefix: prefix.clone(),
        service_s: *service_s,
        max_tickets: *max_tickets,
    }
    .into())
}

fn configure_station(state: &Location, command: &Command) -> Result<Decision, Code> {
    let Command::ConfigureStation { station: id, name, queues, edition } = command else {
        return Err(Code::IllegalMove);
    };
    let stations = &state.header.stations;
    check_edition(stations.get(id).map_or(0, |station| station.edition), *edition)?;
    settings::check_text(name)?;
    for queue in queues.iter().flatten() {
        queue_of(state, queue)?;
    }
    if stations.len() >= MAX_STATIONS && !stations.contains_key(id) {
        return Err(Code::InvalidValue);
    }
    let (station, name, queues) = (id.clone(), name.clone(), queues.clone());
    Ok(Event::StationConfigured { station, name, queues }.into())
}

/// Removes a station, unless a live ticket names it.
fn remove_station(state: &Location, id: &StationId) -> Result<Decision, Code> {
    state.header.stations.get(id).ok_or(Code::StationUnknown)?;
    if state.serves_somebody(id) {
        return Err(Code::StationBusy);
    }
    Ok(Event::StationRemoved { station: id.clone() }.into())
}

fn pause(state: &Location, id: &QueueId, message: &Option<String>) -> Result<Decision, Code> {
    let message = checked(message)?;
    if queue_of(state, id)?.state == QueueState::Closed {
        return Err(Code::IllegalMove);
    }
    let (queue, state) = (id.clone(), QueueState::Paused);
    Ok(Event::QueueStateChanged { queue, state, message }.into())
}

const ANY_STATE: [QueueState; 3] = [QueueState::Open, QueueState::Paused, QueueState::Closed];

/// Changes the state of a queue. What is open already is opened again: two people may press the
/// same button, and both have what they wanted.
fn switch(
    state: &Location,
    id: &QueueId,
    from: &[QueueState],
    to: QueueState,
) -> Result<Decision, Code> {
    if !from.contains(&queue_of(state, id)?.state) {
        return Err(Code::IllegalMove);
    }
    Ok(Event::QueueStateChanged { queue: id.clone(), state: to, message: None }.into())
}

fn switch_station(state: &Location, id: &StationId, open: bool) -> Result<Decision, Code> {
    if !state.header.stations.contains_key(id) {
        return Err(Code::StationUnknown);
    }
    Ok(Event::StationStateChanged { station: id.clone(), open }.into())
}

/// Decides the commands that name one ticket.
fn move_ticket(state: &Location, record: &CommandRecord, id: &TicketId) -> Result<Decision, Code> {
    use Command as C;
    use Event as E;
    let ticket = state.ticket(id).ok_or(Code::TicketUnknown)?;
    if let C::SubscribeAlerts { .. } | C::UnsubscribeAlerts { .. } = &record.command {
        return alerts::decide(ticket, &record.command);
    }
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
        C::YieldTicket { .. } => queues::yield_turn(state, ticket)?.into(),
        C::Prioritise { priority, reason, .. } => {
            let (priority, reason) = (*priority, checked(reason)?);
            E::TicketPrioritised { ticket: id, priority, reason }.into()
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
/// The end of a ticket cannot be undone either once another ticket has its label.
fn revert(state: &Location, ticket: &Ticket) -> Result<Event, Code> {
    if ticket.standing.state == TicketState::Leaving {
        return Ok(handover::stayed(ticket, Code::MoveTakenBack, true, state.header.now));
    }
    let undo = ticket.undo.as_ref().ok_or(Code::NothingToRevert)?;
    let (now, then) = (&ticket.standing, &undo.standing);
    let station_gone =
        then.station.as_ref().is_some_and(|id| !state.header.stations.contains_key(id));
    if station_gone
        || !state.header.queues.contains_key(&then.queue)
        || !visits::may_return(state, ticket)
    {
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
