//! Alerts of a step: which alert each device gets, and when the subscriptions of devices end.
//!
//! A ticket knows its devices by name alone. Their addresses are rows of the alert store, and a
//! step's changes of them are committed with the step.

use std::collections::{BTreeMap, BTreeSet};

use schemas::{
    codes::Code,
    command::Command,
    event::Event,
    ids::{QueueId, TicketId},
    push::{AlertKind, DeviceId, MAX_DEVICES, is_endpoint},
    ticket::TicketState,
};

use crate::alerts::{Alert, AlertChange};
use crate::location::{Location, decision::Decision, ticket::Ticket};

/// Decides a subscription, or its end. A device that is subscribed already brings its newer keys.
pub(crate) fn decide(ticket: &Ticket, command: &Command) -> Result<Decision, Code> {
    let id = ticket.id.clone();
    let (event, change) = match command {
        Command::SubscribeAlerts { device, .. } => {
            let name = device.id();
            if !ticket.is_live() {
                return Err(Code::IllegalMove);
            }
            if !device.is_plausible() {
                return Err(Code::InvalidValue);
            }
            if ticket.devices.len() >= MAX_DEVICES && !ticket.devices.contains(&name) {
                return Err(Code::TooManyDevices);
            }
            let event = Event::AlertsSubscribed { ticket: id.clone(), device: name };
            (event, AlertChange::Subscribe { ticket: id, device: device.clone() })
        }
        Command::UnsubscribeAlerts { endpoint, .. } => {
            if !is_endpoint(endpoint) {
                return Err(Code::InvalidValue);
            }
            let device = DeviceId::from_endpoint(endpoint);
            let event = Event::AlertsUnsubscribed { ticket: id.clone(), device };
            (event, AlertChange::Unsubscribe { ticket: id, device })
        }
        _ => return Err(Code::IllegalMove),
    };
    Ok(Decision { alerts: vec![change], ..event.into() })
}

/// The tickets with devices that a step may move, as they were before it.
#[derive(Default)]
pub(crate) struct SubscribedTickets {
    states: BTreeMap<TicketId, TicketState>,
    near: BTreeSet<TicketId>,
    queues: BTreeSet<QueueId>,
}

impl Location {
    /// Notes the tickets with devices among these, and in the first places of these queues.
    pub(crate) fn note_subscribed<'a>(
        &self,
        noted: &mut SubscribedTickets,
        tickets: impl IntoIterator<Item = &'a TicketId>,
        queues: impl IntoIterator<Item = &'a QueueId>,
    ) {
        if self.indexes.subscribed == 0 {
            return;
        }
        let held = tickets.into_iter().filter_map(|id| self.subscribed(id));
        noted.states.extend(held.map(|ticket| (ticket.id.clone(), ticket.standing.state)));
        for queue in queues {
            noted.near.extend(self.near(queue));
            noted.queues.insert(queue.clone());
        }
    }

    /// Subscribes or unsubscribes the device that an event names.
    pub(crate) fn change_devices(&mut self, event: &Event) {
        let (Event::AlertsSubscribed { ticket, .. } | Event::AlertsUnsubscribed { ticket, .. }) =
            event
        else {
            return;
        };
        let Some(mut ticket) = self.take(ticket) else { return };
        match event {
            Event::AlertsSubscribed { device, .. } => drop(ticket.devices.insert(*device)),
            Event::AlertsUnsubscribed { device, .. } => drop(ticket.devices.remove(device)),
            _ => {}
        }
        self.put(ticket);
    }

    /// The alerts that these events cause, and the ends of subscriptions.
    pub(crate) fn alerts(&self, noted: SubscribedTickets, events: &[Event]) -> Vec<AlertChange> {
        let SubscribedTickets { states, near, queues } = noted;
        let mut changes = Vec::new();
        for (id, before) in &states {
            if let Some(ticket) = self.tickets.get(id) {
                changes.extend(self.alerts_of(ticket, *before, events));
            }
        }
        // A ticket that returns to a line has a place that staff or the patient chose.
        let is_news = |id: &TicketId| {
            !near.contains(id) && states.get(id).is_none_or(|state| *state == TicketState::Waiting)
        };
        for id in queues.iter().flat_map(|queue| self.near(queue)).filter(is_news) {
            let ticket = self.tickets.get(&id);
            changes.extend(ticket.map(|ticket| self.alert(ticket, AlertKind::Near)));
        }
        changes
    }

    fn alerts_of(
        &self,
        ticket: &Ticket,
        before: TicketState,
        events: &[Event],
    ) -> Vec<AlertChange> {
        let is_call = |event: &Event| match event {
            Event::TicketCalled { ticket: called, .. }
            | Event::TicketRecalled { ticket: called } => *called == ticket.id,
            _ => false,
        };
        let (id, state) = (&ticket.id, ticket.standing.state);
        let withdraw = || AlertChange::Withdraw { ticket: id.clone() };
        let forget = || AlertChange::Forget { ticket: id.clone() };
        if state == TicketState::Called && events.iter().any(is_call) {
            return vec![self.alert(ticket, AlertKind::Called)];
        }
        match state {
            TicketState::Transferred => vec![self.alert(ticket, AlertKind::Moved), forget()],
            state if state.is_end() => vec![withdraw(), forget()],
            // An alert that is not sent yet is out of date.
            state if state != before => vec![withdraw()],
            _ => Vec::new(),
        }
    }

    fn alert(&self, ticket: &Ticket, kind: AlertKind) -> AlertChange {
        let station = ticket.standing.station.as_ref().filter(|_| kind == AlertKind::Called);
        let station = station.and_then(|id| self.header.stations.get(id));
        AlertChange::Send(Alert {
            ticket: ticket.id.clone(),
            kind,
            label: ticket.label.clone(),
            room: station.map(|station| station.name.clone()),
            at: self.header.now,
        })
    }

    /// The live ticket with this id, if it has devices.
    fn subscribed(&self, id: &TicketId) -> Option<&Ticket> {
        self.tickets.get(id).filter(|ticket| ticket.is_live() && !ticket.devices.is_empty())
    }

    /// The waiting tickets with devices that have few people ahead of them in this queue.
    fn near(&self, queue: &QueueId) -> Vec<TicketId> {
        let places = self.header.timers.alert_places as usize + 1;
        let waiting = self.indexes.tallies.get(queue).into_iter().flat_map(|tally| &tally.waiting);
        let first = waiting.take(places).filter_map(|place| self.subscribed(place.ticket()));
        first.map(|ticket| ticket.id.clone()).collect()
    }
}
