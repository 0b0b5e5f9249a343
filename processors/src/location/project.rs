//! What the views of a location contain, and the deltas between before and after a record. Only entries the
//! record's events can have changed are written down and compared, so that a step costs the same however long
//! the line is.

use std::collections::{BTreeMap, BTreeSet};

use schemas::{
    channel::Channel,
    event::Event,
    ids::{LocationId, QueueId, StationId, TicketId},
    line::{BOARD_KEY, BoardCall, BoardHead, BoardQueue, QUEUE_KEY, QueueEntry, QueueHead, TICKET_KEY},
    record::ViewDelta,
    ticket::{Call, QueueState, TicketPlace, TicketView},
    view::Delta,
};
use serde::Serialize;

use super::{
    Location,
    moves::{self, Shown, shown},
    state::{Queue, Recent, Ticket},
};

/// Seconds the last state of an ended ticket can still be read: the patient's phone may be asleep for a day.
/// Later the ticket's channel is unknown.
pub const KEEP_ENDED_S: u32 = 24 * 60 * 60;

/// Entries that may change with some events.
#[derive(Default)]
pub(super) struct Scope {
    tickets: BTreeSet<TicketId>,
    queues: BTreeSet<QueueId>,
    location: bool,
    recents: bool,
}

/// One entry of a view.
#[derive(PartialEq, Serialize)]
#[serde(untagged)]
pub(super) enum Entry {
    Queue(QueueHead),
    Ticket(QueueEntry),
    Board(BoardHead),
    BoardQueue(BoardQueue),
    Call(BoardCall),
    Place(TicketPlace),
}

/// The entries in scope by view and key.
pub(super) type Rendered = BTreeMap<Channel, BTreeMap<String, Entry>>;

impl Location {
    pub(super) fn scope(&self, events: &[Event]) -> Scope {
        let mut scope = Scope::default();
        for event in events {
            self.widen(&mut scope, event);
        }
        scope
    }

    fn widen(&self, scope: &mut Scope, event: &Event) {
        for id in moves::tickets_of(event) {
            scope.tickets.insert(id.clone());
            scope.queues.extend(self.ticket(id).map(|ticket| ticket.standing.queue.clone()));
            scope.recents = true;
        }
        match event {
            Event::LocationConfigured { .. } => scope.location = true,
            Event::QueueConfigured { queue, .. }
            | Event::QueueStateChanged { queue, .. }
            | Event::QueueReordered { queue, .. }
            | Event::TicketIssued { queue, .. }
            | Event::TicketMoved { queue, .. } => {
                scope.queues.insert(queue.clone());
            }
            Event::TicketReverted { to, .. } => {
                scope.queues.insert(to.queue.clone());
            }
            // The station leaves the queue it served before.
            Event::TicketCalled { station, .. } => {
                let station = self.header.stations.get(station);
                scope.queues.extend(station.and_then(|station| station.served.clone()));
            }
            // Its name stands beside every ticket it called.
            Event::StationConfigured { station, .. } => {
                scope.tickets.extend(self.at_station.get(station).into_iter().flatten().cloned());
                scope.recents = true;
            }
            _ => {}
        }
    }

    /// The entries in scope, as they are now.
    pub(super) fn render(&self, location: &LocationId, scope: &Scope) -> Rendered {
        let mut rendered = Rendered::new();
        let mut board = BTreeMap::new();
        if scope.location {
            board.insert(BOARD_KEY.to_owned(), Entry::Board(self.board_head()));
        }
        for id in &scope.queues {
            if let Some(queue) = self.header.queues.get(id) {
                let entries = rendered.entry(Channel::Queue(id.clone())).or_default();
                entries.insert(QUEUE_KEY.to_owned(), Entry::Queue(self.queue_head(id, queue)));
                board.insert(format!("queue:{id}"), Entry::BoardQueue(self.board_queue(id, queue)));
            }
        }
        for ticket in scope.tickets.iter().filter_map(|id| self.ticket(id)) {
            if ticket.is_live() {
                let view = Channel::Queue(ticket.standing.queue.clone());
                let entry = Entry::Ticket(self.queue_entry(ticket));
                rendered.entry(view).or_default().insert(ticket.id.to_string(), entry);
            }
            if shown(&ticket.standing) == Shown::Current {
                board.insert(call_key(&ticket.day, &ticket.label), Entry::Call(self.current_call(ticket)));
            }
            let place = BTreeMap::from([(TICKET_KEY.to_owned(), Entry::Place(self.place_of(ticket)))]);
            rendered.insert(Channel::Ticket(ticket.id.clone()), place);
        }
        for recent in self.header.recents.iter().filter(|_| scope.recents) {
            board.insert(call_key(&recent.day, &recent.label), Entry::Call(self.recent_call(recent)));
        }
        rendered.insert(Channel::Board(location.clone()), board);
        rendered
    }

    /// The steps from `before` to `after` under the location's present version, which becomes the version of
    /// every view that changed.
    pub(super) fn step_views(&mut self, mut before: Rendered, after: Rendered) -> Vec<ViewDelta> {
        let mut deltas = Vec::new();
        let gone = before.keys().filter(|view| !after.contains_key(view)).cloned().collect::<Vec<_>>();
        let after = after.into_iter().chain(gone.into_iter().map(|view| (view, BTreeMap::new())));
        for (view, new) in after {
            let mut old = before.remove(&view).unwrap_or_default();
            let mut delta = Delta::default();
            let mut keep_s = None;
            for (key, entry) in new {
                if old.remove(&key).as_ref() != Some(&entry) {
                    delta.put(key, &entry);
                    if matches!(entry, Entry::Place(TicketPlace::Ended(_))) {
                        keep_s = Some(KEEP_ENDED_S);
                    }
                }
            }
            for key in old.into_keys() {
                delta.drop_key(key);
            }
            if !delta.is_empty() {
                (delta.to, delta.at) = (self.pair.version, self.header.now);
                delta.from = self.move_view(&view);
                deltas.push(ViewDelta { view: view.to_string(), keep_s, urgent: false, delta });
            }
        }
        deltas
    }

    /// Moves a view to the present version and answers the one it had.
    fn move_view(&mut self, view: &Channel) -> u64 {
        let held = match view {
            Channel::Board(_) => Some(&mut self.header.board_view),
            Channel::Queue(id) => self.header.queues.get_mut(id).map(|queue| &mut queue.view),
            Channel::Ticket(id) => self.tickets.get_mut(id).map(|ticket| &mut ticket.view),
            Channel::Appointment(id) => {
                self.appointments.get_mut(id).map(|appointment| &mut appointment.view)
            }
            Channel::Schedule(id) => self.header.doctors.get_mut(&id.doctor()).map(|doctor| &mut doctor.view),
            Channel::Load(_) => Some(&mut self.header.load_view),
            Channel::Run(_) => None, // no location's
        };
        held.map_or(0, |held| std::mem::replace(held, self.pair.version))
    }

    fn station_name(&self, id: &StationId) -> String {
        self.header.stations.get(id).map(|station| station.name.clone()).unwrap_or_default()
    }

    fn board_head(&self) -> BoardHead {
        BoardHead {
            name: self.header.name.clone(),
            time_zone: self.header.time_zone.clone(),
            languages: self.header.languages.clone(),
            messages: Vec::new(),
        }
    }

    fn queue_head(&self, id: &QueueId, queue: &Queue) -> QueueHead {
        let (stations, serving) = self.tallies.get(id).map_or((0, 0), |t| (t.stations, t.in_service.min(1)));
        QueueHead {
            name: queue.name.clone(),
            state: queue.state,
            prefix: queue.prefix.clone(),
            service_s: queue.service.expected_s(),
            servers: stations.max(serving),
            last_call_at: queue.last_call_at,
        }
    }

    fn board_queue(&self, id: &QueueId, queue: &Queue) -> BoardQueue {
        let waiting = self.tallies.get(id).map_or(0, |tally| tally.waiting.len());
        BoardQueue {
            name: queue.name.clone(),
            state: queue.state,
            waiting: u32::try_from(waiting).unwrap_or(u32::MAX),
        }
    }

    fn queue_entry(&self, ticket: &Ticket) -> QueueEntry {
        let standing = &ticket.standing;
        QueueEntry {
            label: ticket.label.clone(),
            state: standing.state,
            priority: standing.priority,
            rank: standing.rank,
            issued_at: ticket.issued_at,
            called_at: standing.called_at,
            started_at: standing.started_at,
            station: standing.station.as_ref().map(|station| self.station_name(station)),
            recalls: standing.recalls,
            reason: standing.reason.clone(),
        }
    }

    fn current_call(&self, ticket: &Ticket) -> BoardCall {
        let standing = &ticket.standing;
        BoardCall {
            label: ticket.label.clone(),
            station: standing.station.as_ref().map(|station| self.station_name(station)).unwrap_or_default(),
            at: standing.called_at.unwrap_or_default(),
            recalls: standing.recalls,
            current: true,
        }
    }

    fn recent_call(&self, recent: &Recent) -> BoardCall {
        BoardCall {
            label: recent.label.clone(),
            station: self.station_name(&recent.station),
            at: recent.at,
            recalls: recent.recalls,
            current: false,
        }
    }

    fn place_of(&self, ticket: &Ticket) -> TicketPlace {
        if ticket.is_live() {
            TicketPlace::In(ticket.standing.queue.clone())
        } else {
            TicketPlace::Ended(Box::new(self.last_view(ticket)))
        }
    }

    /// What the patient of a ticket that is over sees.
    fn last_view(&self, ticket: &Ticket) -> TicketView {
        let standing = &ticket.standing;
        let queue = self.header.queues.get(&standing.queue);
        let call = standing.station.as_ref().zip(standing.called_at).map(|(station, at)| Call {
            station: self.station_name(station),
            at,
            recalls: standing.recalls,
        });
        TicketView {
            at: standing.ended_at.unwrap_or_default(),
            ticket: ticket.id.clone(),
            label: ticket.label.clone(),
            queue: standing.queue.clone(),
            queue_name: queue.map(|queue| queue.name.clone()).unwrap_or_default(),
            queue_state: queue.map_or(QueueState::Closed, |queue| queue.state),
            state: standing.state,
            issued_at: ticket.issued_at,
            position: None,
            ahead: None,
            estimate: None,
            call,
            reason: standing.reason.clone(),
            successor: standing.successor.clone(),
        }
    }
}

fn call_key(day: &str, label: &str) -> String {
    format!("call:{day}/{label}")
}
