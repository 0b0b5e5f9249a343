//! One location as a value: commands are decided against it, events change it, and the views follow. No clock,
//! no I/O, no randomness: the same records give the same bytes, in the runner, in a rebuild and in a test.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::tz::TimeZone;
use schemas::{
    Millis,
    appointment::SourceKey,
    command::Verdict,
    event::Event,
    ids::{AppointmentId, LocationId, QueueId, SourceId, StationId, TicketId},
    line::Place,
    record::{CommandRecord, ViewDelta},
    ticket::TicketState,
    view::Pair,
};

use crate::step::Step;

mod apply;
mod decide;
mod moves;
mod project;
mod settings;
mod state;

pub use decide::{Decision, decide};
pub use project::KEEP_ENDED_S;
pub use settings::{MAX_LANGUAGES, MAX_QUEUES, MAX_STATIONS, SERVICE_S};
pub use state::{Appointment, Desk, DoctorDay, Header, Queue, Recent, Service, Station, Ticket, Undo};

/// A location in memory: its header, its live tickets, and whichever ended ones a batch asked for.
pub struct Location {
    pair: Pair,
    header: Header,
    zone: TimeZone,
    tickets: HashMap<TicketId, Ticket>,
    /// Those of the service day, open ones of earlier days, and whichever a batch named.
    appointments: HashMap<AppointmentId, Appointment>,
    by_source: HashMap<(SourceId, SourceKey), AppointmentId>,
    /// The last day whose appointments are all in memory.
    loaded_until: String,
    /// The tickets in memory that are over: what [`Location::forget_ended`] drops.
    ended: BTreeSet<TicketId>,
    tallies: BTreeMap<QueueId, Tally>,
    /// Live tickets that name a station: what a new name of the station changes.
    at_station: BTreeMap<StationId, BTreeSet<TicketId>>,
}

/// What a queue's tickets and stations add up to, kept so that nothing is counted per command.
#[derive(Default)]
struct Tally {
    waiting: BTreeSet<Place>,
    in_service: u32,
    /// Stations whose last call was for this queue.
    stations: u32,
}

impl Location {
    /// A location that does not exist yet: version 0.
    pub fn new(epoch: u64) -> Self {
        Self::load(Pair { epoch, version: 0 }, Header::default(), Vec::new(), Vec::new())
    }

    /// A location as the ledger holds it, with its live tickets, the appointments of its service day, and open ones of
    /// earlier days.
    pub fn load(pair: Pair, header: Header, tickets: Vec<Ticket>, appointments: Vec<Appointment>) -> Self {
        let mut location = Self {
            pair,
            zone: settings::zone_or_utc(&header.time_zone),
            tallies: header.queues.keys().map(|queue| (queue.clone(), Tally::default())).collect(),
            loaded_until: header.day.clone(),
            header,
            tickets: HashMap::new(),
            appointments: HashMap::new(),
            by_source: HashMap::new(),
            ended: BTreeSet::new(),
            at_station: BTreeMap::new(),
        };
        for queue in location.header.stations.values().filter_map(|station| station.served.as_ref()) {
            location.tallies.entry(queue.clone()).or_default().stations += 1;
        }
        for ticket in tickets {
            location.put(ticket);
        }
        location.add_appointments(appointments);
        location
    }

    /// Days whose appointments the clock needs at `at` and that are not in memory: the first is there, the last is not.
    pub fn lacks_days(&self, at: Millis) -> Option<(&str, String)> {
        let today = settings::day_of(&self.zone, self.header.now.max(settings::plausible(at)));
        (self.exists() && today > self.loaded_until).then_some((&*self.loaded_until, today))
    }

    /// Adds all appointments of the days that were lacking.
    pub fn add_days(&mut self, until: String, appointments: Vec<Appointment>) {
        self.add_appointments(appointments);
        self.loaded_until = until;
    }

    /// Adds appointments that a batch names. One that is in memory already stays as it is.
    pub fn add_appointments(&mut self, appointments: Vec<Appointment>) {
        for appointment in appointments {
            if !self.appointments.contains_key(&appointment.id) {
                let (source, key) = appointment.source();
                self.by_source.insert((source.clone(), key.clone()), appointment.id.clone());
                self.appointments.insert(appointment.id.clone(), appointment);
            }
        }
    }

    pub fn appointment(&self, id: &AppointmentId) -> Option<&Appointment> {
        self.appointments.get(id)
    }

    /// The appointment a source calls by that name, if it is in memory.
    pub fn appointment_of(&self, source: &SourceId, key: &SourceKey) -> Option<&Appointment> {
        self.by_source.get(&(source.clone(), key.clone())).and_then(|id| self.appointments.get(id))
    }

    /// When the next timer is due.
    pub fn due(&self) -> Option<Millis> {
        None
    }

    pub fn pair(&self) -> Pair {
        self.pair
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    pub fn ticket(&self, id: &TicketId) -> Option<&Ticket> {
        self.tickets.get(id)
    }

    /// Whether the location was ever configured.
    pub fn exists(&self) -> bool {
        self.pair.version > 0
    }

    /// Adds ended tickets that a batch names. A ticket that is in memory already stays as it is.
    pub fn add_ended(&mut self, tickets: Vec<Ticket>) {
        for ticket in tickets {
            if !self.tickets.contains_key(&ticket.id) {
                self.put(ticket);
            }
        }
    }

    /// Drops the tickets that are over, once their rows are committed.
    pub fn forget_ended(&mut self) {
        for id in std::mem::take(&mut self.ended) {
            self.tickets.remove(&id);
        }
    }

    /// Decides the record at its append time, applies what was decided and says how the views changed.
    pub fn handle(&mut self, record: &CommandRecord, appended_at: Millis) -> Step {
        let at = self.advance(appended_at);
        let decision = match decide(self, record, at) {
            Ok(decision) => decision,
            Err(code) => {
                return Step::refused(self.pair, at, code);
            }
        };
        let version = self.pair.version + 1;
        let location = record.aggregate.location_id().expect("a record is for its aggregate's kind");
        let deltas = self.replay(&location, version, at, &decision.events);
        Step {
            pair: self.pair,
            at,
            verdict: Verdict::Applied { epoch: self.pair.epoch, version, result: decision.result },
            touched: decision.events.iter().flat_map(moves::tickets_of).cloned().collect(),
            appointments: Vec::new(),
            deltas,
            events: decision.events,
            follow_up: decision.follow_up,
        }
    }

    /// Applies the events of one version, just decided or read from the journal, and says how the views changed.
    /// A ticket that a later event reverts must still be in memory: a rebuild does not call
    /// [`Location::forget_ended`].
    pub fn replay(
        &mut self,
        location: &LocationId,
        version: u64,
        at: Millis,
        events: &[Event],
    ) -> Vec<ViewDelta> {
        let scope = self.scope(events);
        let before = self.render(location, &scope);
        for event in events {
            self.apply(event, version, at);
        }
        let after = self.render(location, &scope);
        self.step_views(before, after)
    }

    /// Moves the clock to `appended_at`; it never goes back, whatever the log's brokers think of the time.
    pub fn advance(&mut self, appended_at: Millis) -> Millis {
        self.header.now = self.header.now.max(settings::plausible(appended_at));
        self.header.now
    }

    /// Puts a ticket into memory and into every count it belongs to.
    fn put(&mut self, ticket: Ticket) {
        let standing = &ticket.standing;
        if standing.state.is_end() {
            self.ended.insert(ticket.id.clone());
        } else if let Some(station) = &standing.station {
            self.at_station.entry(station.clone()).or_default().insert(ticket.id.clone());
        }
        let tally = self.tallies.entry(standing.queue.clone()).or_default();
        match standing.state {
            TicketState::Waiting => {
                tally.waiting.insert(ticket.place());
            }
            TicketState::InService => tally.in_service += 1,
            _ => {}
        }
        self.tickets.insert(ticket.id.clone(), ticket);
    }

    /// The inverse of `put`.
    fn take(&mut self, id: &TicketId) -> Option<Ticket> {
        let ticket = self.tickets.remove(id)?;
        let standing = &ticket.standing;
        self.ended.remove(id);
        if let Some(station) = &standing.station
            && let Some(tickets) = self.at_station.get_mut(station)
        {
            tickets.remove(id);
            if tickets.is_empty() {
                self.at_station.remove(station);
            }
        }
        if let Some(tally) = self.tallies.get_mut(&standing.queue) {
            match standing.state {
                TicketState::Waiting => {
                    tally.waiting.remove(&ticket.place());
                }
                TicketState::InService => tally.in_service -= 1,
                _ => {}
            }
        }
        Some(ticket)
    }
}

#[cfg(test)]
mod tests;
