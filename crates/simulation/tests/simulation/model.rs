//! The reference model: what the journal means, by rules of its own. It reads the JSON of records
//! and the events of the journal, and calls no code that decides, folds or projects.

use std::collections::{BTreeMap, BTreeSet};

use processors::{
    ledger::{JournalEntry, JournalRow},
    log::PartitionId,
};
use schemas::{
    Millis,
    event::{Event, TicketStatus},
    ids::{Aggregate, AppointmentId},
};
use serde_json::Value;

/// A ticket as its events leave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelTicket {
    pub queue: String,
    pub state: &'static str,
    pub priority: u8,
    pub rank: u64,
    pub label: String,
    /// When the ticket last changed.
    pub since: Millis,
}

impl ModelTicket {
    pub fn is_live(&self) -> bool {
        !["completed", "no_show", "cancelled", "left", "transferred"].contains(&self.state)
    }
}

/// An appointment as its events leave it.
#[derive(Debug, Default, PartialEq)]
pub struct ModelAppointment {
    /// The newest fact of the source, as JSON.
    pub fact: Value,
    /// The tickets of its check-ins, in their order.
    pub visits: Vec<String>,
}

/// A location, by its aggregate.
#[derive(Default)]
pub struct ModelLocation {
    pub epoch: u64,
    pub version: u64,
    pub tickets: BTreeMap<String, ModelTicket>,
    pub appointments: BTreeMap<AppointmentId, ModelAppointment>,
    /// Every label that was given, with its queue's letters and its day.
    labels: BTreeSet<(String, String)>,
}

#[derive(Default)]
pub struct Model {
    pub locations: BTreeMap<Aggregate, ModelLocation>,
    /// The first ticket of the person of each ticket.
    people: BTreeMap<String, String>,
    /// People whose visit has ended.
    gone: BTreeSet<String>,
    /// Tickets whose move to another location has no final answer.
    moving: BTreeSet<String>,
    /// Broken rules.
    pub faults: Vec<String>,
}

impl Model {
    /// Folds a journal, in the order of its commits.
    pub fn of(journal: &[(PartitionId, JournalRow)]) -> Self {
        let mut model = Self::default();
        for (partition, row) in journal {
            let Some((position, events)) = row.entry.moved() else { continue };
            let Some((aggregate, ..)) = &row.command else {
                model.faults.push(format!("I2 {partition}/{}: events of nobody", row.offset));
                continue;
            };
            let location = model.locations.entry(aggregate.clone()).or_default();
            let is_next = position.version == location.version + 1;
            let is_first = location.version == 0;
            if !is_next || !is_first && position.epoch != location.epoch {
                model.faults.push(format!(
                    "I2 {aggregate}: version {}.{} follows {}.{}",
                    position.epoch, position.version, location.epoch, location.version
                ));
            }
            (location.epoch, location.version) = (position.epoch, position.version);
            for event in events {
                model.apply(aggregate, event, row.at);
            }
            if matches!(row.entry, JournalEntry::Applied { .. }) {
                model.check_nobody_is_lost(&format!("{aggregate} {}", position.version));
            }
        }
        model
    }

    fn apply(&mut self, aggregate: &Aggregate, event: &Event, at: Millis) {
        self.note_person(event);
        self.note_move(event);
        self.note_appointment(aggregate, event);
        let location = self.locations.entry(aggregate.clone()).or_default();
        if let Event::TicketIssued { ticket, label, day, queue, priority, rank, .. } = event {
            let issued = ModelTicket {
                queue: queue.to_string(),
                state: "waiting",
                priority: priority.get(),
                rank: *rank,
                label: label.clone(),
                since: at,
            };
            if location.tickets.insert(ticket.to_string(), issued).is_some() {
                self.faults.push(format!("I1 {aggregate}: ticket {ticket} is issued twice"));
            }
            if !location.labels.insert((day.clone(), label.clone())) {
                self.faults.push(format!("I1 {aggregate}: label {label} is given twice on {day}"));
            }
            return;
        }
        if let Event::QueueReordered { ranks, .. } | Event::TicketYielded { ranks, .. } = event {
            for (ticket, rank) in ranks {
                if let Some(held) = location.tickets.get_mut(ticket.as_str()) {
                    held.rank = *rank;
                }
            }
            return;
        }
        let Some((ticket, change)) = change_of(event) else { return };
        let Some(held) = location.tickets.get_mut(ticket) else {
            self.faults.push(format!("I3 {aggregate}: an event of the unknown ticket {ticket}"));
            return;
        };
        held.since = at;
        match change {
            Change::Nothing => {}
            Change::State(state) => held.state = state,
            Change::Queue(queue, rank) => {
                (held.queue, held.rank, held.state) = (queue, rank, "waiting");
            }
            Change::Priority(priority) => held.priority = priority,
            Change::All(status) => {
                (held.queue, held.state) = (status.queue.to_string(), status.state.as_str());
                (held.priority, held.rank) = (status.priority.get(), status.rank);
            }
        }
    }

    /// A move continues a person's visit at another location; every other end is the end of it.
    fn note_person(&mut self, event: &Event) {
        let ended = match event {
            Event::TicketIssued { ticket, from, .. } => {
                let first = from.as_ref().and_then(|from| self.people.get(from.as_str()));
                let person = first.cloned().unwrap_or_else(|| ticket.to_string());
                self.people.insert(ticket.to_string(), person);
                return;
            }
            Event::TicketReverted { ticket, .. } => {
                if let Some(person) = self.people.get(ticket.as_str()) {
                    self.gone.remove(person);
                }
                return;
            }
            Event::TicketCancelled { reason: Some(why), .. } if why == "moved_back" => return,
            Event::TicketCompleted { ticket }
            | Event::TicketNoShow { ticket }
            | Event::TicketLeft { ticket }
            | Event::TicketCancelled { ticket, .. }
            | Event::TicketExpired { ticket, .. } => ticket,
            _ => return,
        };
        if let Some(person) = self.people.get(ended.as_str()) {
            self.gone.insert(person.clone());
        }
    }

    /// Keeps a fact or a check-in, and reports a fact that is older than the held one.
    fn note_appointment(&mut self, aggregate: &Aggregate, event: &Event) {
        let appointments = &mut self.locations.entry(aggregate.clone()).or_default().appointments;
        match event {
            Event::TicketIssued { appointment: Some(appointment), ticket, .. } => {
                let visits = &mut appointments.entry(appointment.clone()).or_default().visits;
                visits.push(ticket.to_string());
            }
            Event::AppointmentReported { appointment, fact, .. } => {
                let held = appointments.entry(appointment.clone()).or_default();
                if held.fact["revision"].as_u64() > Some(fact.revision) {
                    self.faults.push(format!("I3 {aggregate}: {appointment} took an older fact"));
                }
                held.fact = serde_json::to_value(fact).expect("a fact is JSON");
            }
            _ => {}
        }
    }

    fn note_move(&mut self, event: &Event) {
        match event {
            Event::TicketLeaving { ticket, .. } => {
                self.moving.insert(ticket.to_string());
            }
            Event::TicketTransferred { ticket, .. }
            | Event::TicketStayed { ticket, withdraws: false, .. }
            | Event::TicketHandoverClosed { ticket, .. } => {
                self.moving.remove(ticket.as_str());
            }
            _ => {}
        }
    }

    fn live(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut live = BTreeMap::<&str, Vec<&str>>::new();
        for (id, ticket) in self.locations.values().flat_map(|location| &location.tickets) {
            if ticket.is_live() {
                let person = self.people.get(id).map_or(id.as_str(), String::as_str);
                live.entry(person).or_default().push(id);
            }
        }
        live
    }

    fn check_nobody_is_lost(&mut self, when: &str) {
        let live = self.live();
        let lost = self
            .people
            .values()
            .find(|person| !self.gone.contains(*person) && !live.contains_key(person.as_str()));
        if let Some(person) = lost {
            let fault = format!("I10 {when}: the person of {person} is in no line");
            self.faults.push(fault);
        }
    }

    /// Once every move is settled, nobody is in two lines.
    pub fn check_at_rest(&mut self) {
        self.check_nobody_is_lost("at rest");
        let doubled = self.live().into_iter().filter(|(_, tickets)| tickets.len() > 1);
        let doubled: Vec<_> = doubled
            .map(|(person, tickets)| format!("I10 at rest: {person} is in two lines: {tickets:?}"))
            .collect();
        self.faults.extend(doubled);
    }

    /// The tickets whose move to another location has no final answer.
    pub fn unsettled(&self) -> &BTreeSet<String> {
        &self.moving
    }
}

/// How an event changes its ticket.
enum Change {
    Nothing,
    State(&'static str),
    Queue(String, u64),
    Priority(u8),
    All(TicketStatus),
}

fn change_of(event: &Event) -> Option<(&str, Change)> {
    use Change::{All, Nothing, Priority, Queue, State};
    Some(match event {
        Event::TicketCalled { ticket, .. } => (ticket.as_str(), State("called")),
        Event::TicketRecalled { ticket } => (ticket.as_str(), Nothing),
        Event::ServiceStarted { ticket } => (ticket.as_str(), State("in_service")),
        Event::TicketCompleted { ticket } => (ticket.as_str(), State("completed")),
        Event::TicketHeld { ticket, .. } => (ticket.as_str(), State("on_hold")),
        Event::TicketResumed { ticket } | Event::TicketReturned { ticket } => {
            (ticket.as_str(), State("waiting"))
        }
        Event::TicketAbsent { ticket } => (ticket.as_str(), State("absent")),
        Event::TicketNoShow { ticket } => (ticket.as_str(), State("no_show")),
        Event::TicketCancelled { ticket, .. } => (ticket.as_str(), State("cancelled")),
        Event::TicketLeft { ticket } => (ticket.as_str(), State("left")),
        Event::TicketTransferred { ticket, .. } => (ticket.as_str(), State("transferred")),
        Event::TicketLeaving { ticket, .. } => (ticket.as_str(), State("leaving")),
        Event::TicketExpired { ticket, state, .. } => (ticket.as_str(), State(state.as_str())),
        Event::TicketMoved { ticket, queue, rank } => {
            (ticket.as_str(), Queue(queue.to_string(), *rank))
        }
        Event::TicketPrioritised { ticket, priority, .. } => {
            (ticket.as_str(), Priority(priority.get()))
        }
        Event::TicketStayed { ticket, to, .. } | Event::TicketReverted { ticket, to, .. } => {
            (ticket.as_str(), All(to.clone()))
        }
        _ => return None,
    })
}
