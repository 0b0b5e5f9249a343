//! A naive model of a location's views: everything is rendered again from the whole state.

use std::collections::BTreeMap;

use schemas::{
    clinic::ClinicInfo,
    line::{BoardCall, BoardHead, BoardMove, BoardQueue, LineAppointment, QueueEntry, QueueHead},
    ticket::{Call, TicketEntry, TicketView},
};
use serde_json::{Value, json};

use super::*;
use crate::location::{Queue, Station};

/// Renders every view from all tickets ever issued. `recent` has the tickets that the board lists
/// as recently called, and `last_views` the last state of ended tickets.
pub(super) fn views(
    header: &LocationHeader,
    tickets: &[&Ticket],
    recent: &[&Ticket],
    appointments: &[&Appointment],
    last_views: &BTreeMap<TicketId, TicketView>,
) -> BTreeMap<String, Value> {
    let mut views = BTreeMap::new();
    let mut wall = BTreeMap::new();
    let head = BoardHead {
        name: header.name.clone(),
        time_zone: header.time_zone.clone(),
        languages: header.languages.clone(),
        messages: header.messages.clone(),
        branding: header.branding.clone(),
    };
    wall.insert("board".to_owned(), json!(head));
    for (id, queue) in &header.queues {
        let slug = id.as_str().strip_prefix("riverside.").unwrap();
        let here = |ticket: &&Ticket| ticket.is_live() && ticket.standing.queue == *id;
        let serves = |station: &&Station| {
            let last = station.served.as_ref() == Some(id);
            station.open && station.queues.as_ref().map_or(last, |queues| queues.contains(id))
        };
        let mut line = BTreeMap::new();
        let head = QueueHead {
            name: queue.name.clone(),
            state: queue.state,
            prefix: queue.prefix.clone(),
            service_s: queue.service.expected_s(),
            servers: header.stations.values().filter(serves).count() as u32,
            last_call_at: queue.last_call_at,
            message: queue.message.clone(),
            clinic: clinic(header),
        };
        line.insert("queue".to_owned(), json!(head));
        for ticket in tickets.iter().copied().filter(here) {
            line.insert(ticket.id.to_string(), json!(entry(header, ticket, appointments)));
        }
        views.insert(format!("queue:{id}"), json!(line));
        let waiting = tickets.iter().copied().filter(|ticket| waits(ticket, slug)).count() as u32;
        let shown = BoardQueue {
            name: queue.name.clone(),
            state: queue.state,
            waiting: Some(waiting).filter(|_| header.privacy.boards.waiting),
            place: queue.place,
            message: queue.message.clone(),
        };
        wall.insert(format!("queue:{id}"), json!(shown));
    }
    let current = tickets.iter().copied().filter(|ticket| board(ticket) == Some(true));
    let earlier = recent.iter().copied().filter(|_| header.privacy.boards.earlier);
    for ticket in current.chain(earlier) {
        let key = format!("call:{}/{}", ticket.day, ticket.label);
        wall.insert(key, json!(board_call(header, ticket, appointments)));
    }
    for ticket in tickets.iter().copied() {
        if let (TicketState::Leaving, Some(moving)) = (ticket.standing.state, &ticket.handover) {
            let (label, to) = (ticket.label.clone(), moving.handover.queue.location());
            wall.insert(format!("move:{}/{label}", ticket.day), json!(BoardMove { label, to }));
        }
    }
    views.insert("board:riverside".to_owned(), json!(wall));
    views.insert("settings:riverside".to_owned(), settings(header));
    for ticket in tickets {
        let place = match last_views.get(&ticket.id) {
            Some(last) => TicketEntry::Ended(Box::new(last.clone())),
            None => TicketEntry::In(ticket.standing.queue.clone()),
        };
        views.insert(format!("ticket:{}", ticket.id), json!({ "ticket": place }));
    }
    views
}

pub(super) fn clinic(header: &LocationHeader) -> ClinicInfo {
    ClinicInfo {
        name: header.name.clone(),
        time_zone: header.time_zone.clone(),
        address: header.address.clone(),
        languages: header.languages.clone(),
        yield_places: Some(header.timers.yield_places).filter(|places| *places > 0),
        branding: header.branding.clone(),
    }
}

fn settings(header: &LocationHeader) -> Value {
    let LocationHeader { name, time_zone, languages, timers, call_order, .. } = header;
    let mut settings = json!({ "location": {
        "name": name, "time_zone": time_zone, "languages": languages, "timers": timers,
        "bands": header.bands, "call_order": call_order, "edition": header.editions.location,
        "queue_order_edition": header.editions.queue_order,
    }});
    let LocationHeader { privacy, messages, editions, branding, .. } = header;
    if let Some(address) = &header.address {
        settings["location"]["address"] = json!(address);
    }
    if editions.privacy > 0 {
        let (lines, boards) = (privacy.lines, privacy.boards);
        settings["privacy"] =
            json!({ "lines": lines, "boards": boards, "edition": editions.privacy });
    }
    if editions.messages > 0 {
        settings["messages"] = json!({ "messages": messages, "edition": editions.messages });
    }
    if editions.branding > 0 {
        settings["branding"] = json!(branding);
        settings["branding"]["edition"] = json!(editions.branding);
    }
    for (id, Queue { name, prefix, service, state, max_tickets, .. }) in &header.queues {
        let edition = header.queues[id].edition;
        let mut queue = json!({
            "name": name, "prefix": prefix, "service_s": service.configured_s, "state": state,
            "max_tickets": max_tickets, "edition": edition,
        });
        if let Some(place) = header.queues[id].place {
            queue["place"] = json!(place);
        }
        settings[format!("queue:{id}")] = queue;
    }
    for (id, Station { name, open, queues, edition, .. }) in &header.stations {
        let mut station = json!({ "name": name, "open": open, "edition": edition });
        if let Some(queues) = queues {
            station["queues"] = json!(queues);
        }
        settings[format!("station:{id}")] = station;
    }
    settings
}

/// The status that an appointment must have.
pub(super) fn status(appointment: &Appointment) -> AppointmentStatus {
    use AppointmentStatus as A;
    use TicketState as S;
    let told = match appointment.successor {
        Some(_) => A::Cancelled,
        None => appointment.fact.status,
    };
    let visit = appointment.visits.last().filter(|visit| !visit.over).map(|visit| visit.state);
    let called_off = told == A::Cancelled || told == A::EnteredInError;
    if visit.is_some_and(|state| matches!(state, S::InService | S::Completed | S::Transferred)) {
        return A::Fulfilled;
    }
    if visit.is_some_and(|state| !state.is_end()) {
        return A::CheckedIn;
    }
    if visit == Some(S::NoShow) && !called_off {
        return A::Noshow;
    }
    let was_here = told == A::Arrived || told == A::CheckedIn;
    let told = if visit.is_some() && was_here { A::Booked } else { told };
    match (appointment.expired, told) {
        (true, A::Booked) => A::Noshow,
        (true, A::Arrived | A::CheckedIn) => A::Fulfilled,
        (true, A::Proposed | A::Pending | A::Waitlist) => A::Cancelled,
        _ => told,
    }
}

pub(super) fn waits(ticket: &Ticket, slug: &str) -> bool {
    ticket.standing.state == TicketState::Waiting && ticket.standing.queue == queue(slug)
}

/// Whether the board shows the call of the ticket: `true` for a current call, `false` for a recent
/// one.
pub(super) fn board(ticket: &Ticket) -> Option<bool> {
    use TicketState as S;
    match ticket.standing.state {
        S::Called => Some(true),
        S::Expected | S::Waiting | S::OnHold | S::Leaving => None,
        _ => ticket.standing.called_at.map(|_| false),
    }
}

fn name_of(header: &LocationHeader, ticket: &Ticket) -> Option<String> {
    // The station of a ticket that ended may be gone.
    let name = |id| header.stations.get(id).map(|station| station.name.clone());
    ticket.standing.station.as_ref().map(|id| name(id).unwrap_or_default())
}

fn fact_of<'a>(ticket: &Ticket, appointments: &[&'a Appointment]) -> Option<&'a AppointmentFact> {
    let id = ticket.appointment.as_ref()?;
    appointments.iter().find(|held| held.id == *id).map(|held| &held.fact)
}

fn board_call(
    header: &LocationHeader,
    ticket: &Ticket,
    appointments: &[&Appointment],
) -> BoardCall {
    let current = ticket.standing.state == TicketState::Called;
    let fact = fact_of(ticket, appointments).filter(|_| current);
    let boards = header.privacy.boards;
    let doctor = fact.and_then(|fact| fact.doctor.as_ref()).filter(|_| boards.doctor);
    BoardCall {
        label: ticket.label.clone(),
        station: name_of(header, ticket).expect("a call has a station"),
        at: ticket.standing.called_at.expect("a call has a time"),
        recalls: ticket.standing.recalls,
        current,
        name: fact.and_then(|fact| fact.label.clone()).filter(|_| boards.name),
        doctor: doctor.map(|doctor| doctor.name.clone()),
    }
}

fn entry(header: &LocationHeader, ticket: &Ticket, appointments: &[&Appointment]) -> QueueEntry {
    let standing = &ticket.standing;
    let lines = header.privacy.lines;
    let appointment = fact_of(ticket, appointments).map(|fact| LineAppointment {
        start: fact.start.filter(|_| lines.start),
        doctor: fact.doctor.as_ref().map(|doctor| doctor.name.clone()).filter(|_| lines.doctor),
        name: fact.label.clone().filter(|_| lines.name),
        override_reason: ticket.override_reason.clone(),
    });
    QueueEntry {
        label: ticket.label.clone(),
        state: standing.state,
        priority: standing.priority,
        priority_reason: standing.priority_reason.clone(),
        rank: standing.rank,
        issued_at: ticket.issued_at,
        called_at: standing.called_at,
        started_at: standing.started_at,
        station: name_of(header, ticket),
        recalls: standing.recalls,
        reason: standing.reason.clone(),
        moving_to: ticket
            .handover
            .as_ref()
            .filter(|_| standing.state == TicketState::Leaving)
            .map(|moving| moving.handover.queue.clone()),
        moved_from: ticket.from.as_ref().map(TicketId::location),
        appointment: appointment.filter(|shown| *shown != LineAppointment::default()),
    }
}

pub(super) fn last_view(header: &LocationHeader, ticket: &Ticket) -> TicketView {
    let standing = &ticket.standing;
    let queue = header.queues.get(&standing.queue);
    TicketView {
        at: standing.ended_at.expect("an end has a time"),
        ticket: ticket.id.clone(),
        label: ticket.label.clone(),
        queue: standing.queue.clone(),
        // A record can remove the queue after its timers have ended the ticket.
        queue_name: queue.map(|queue| queue.name.clone()).unwrap_or_default(),
        queue_state: queue.map_or(QueueState::Closed, |queue| queue.state),
        queue_message: queue.and_then(|queue| queue.message.clone()),
        state: standing.state,
        issued_at: ticket.issued_at,
        position: None,
        ahead: None,
        estimate: None,
        no_estimate: None,
        call: name_of(header, ticket).map(|station| Call {
            station,
            at: standing.called_at.expect("a call has a time"),
            recalls: standing.recalls,
        }),
        reason: standing.reason.clone(),
        moving_to: None,
        successor: standing.successor.clone(),
        clinic: clinic(header),
    }
}
