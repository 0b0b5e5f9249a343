//! One location as a value: commands are decided against it, events change it, and the views follow. No clock,
//! no I/O, no randomness: the same records give the same bytes, in the runner, in a rebuild and in a test.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use jiff::tz::TimeZone;
use schemas::{
    Millis,
    appointment::SourceKey,
    codes::Code,
    command::{Command, Verdict},
    event::Event,
    ids::{AppointmentId, DoctorId, LocationId, QueueId, SourceId, StationId, TicketId},
    line::LinePlace,
    load::FactCounts,
    record::{CommandRecord, ViewDelta},
    ticket::{Priority, TicketState},
    view::Position,
};

use crate::effect::RecordEffect;

mod apply;
mod appointments;
mod decide;
mod load;
mod moves;
mod project;
mod settings;
mod state;
mod timers;

use load::{DayCounts, WaitTimes};
use project::VersionChange;
use timers::TimerTarget;

pub use decide::{Decision, decide};
pub use project::KEEP_ENDED_S;
pub use settings::{MAX_LANGUAGES, MAX_QUEUES, MAX_STATIONS, SERVICE_S};
pub use state::{
    Appointment, DoctorDay, LocationHeader, Queue, RecentCall, ServiceTime, Station, Ticket,
    TicketSummary, Undo,
};

/// A location in memory: its header, its live tickets, and whichever ended ones a batch asked for.
pub struct Location {
    position: Position,
    header: LocationHeader,
    zone: TimeZone,
    tickets: HashMap<TicketId, Ticket>,
    /// Those of the service day, open ones of earlier days, and whichever a batch named.
    appointments: HashMap<AppointmentId, Appointment>,
    by_source: HashMap<(SourceId, SourceKey), AppointmentId>,
    /// The last day whose appointments are all in memory.
    loaded_until: String,
    /// Appointments of the service day by their doctor.
    days: BTreeMap<DoctorId, BTreeSet<AppointmentId>>,
    /// Appointments in memory that need not be: what [`Location::forget_ended`] drops.
    outside: BTreeSet<AppointmentId>,
    /// Live tickets: what ends with the service day.
    lasting: BTreeSet<TicketId>,
    timers: BTreeSet<(Millis, TimerTarget)>,
    /// When the service day began, and when it is over.
    day_starts: Millis,
    day_ends: Millis,
    waits: WaitTimes,
    day_counts: DayCounts,
    /// The tickets in memory that are over: what [`Location::forget_ended`] drops.
    ended: BTreeSet<TicketId>,
    tallies: BTreeMap<QueueId, QueueTally>,
    /// Live tickets that name a station: what a new name of the station changes.
    at_station: BTreeMap<StationId, BTreeSet<TicketId>>,
}

/// What a queue's tickets and stations add up to, kept so that nothing is counted per command.
#[derive(Default)]
struct QueueTally {
    waiting: BTreeSet<LinePlace>,
    priorities: BTreeMap<Priority, u32>,
    waits: WaitTimes,
    in_service: u32,
    /// Stations whose last call was for this queue.
    stations: u32,
}

impl Location {
    /// A location that does not exist yet: version 0.
    pub fn new(epoch: u64) -> Self {
        Self::restore(
            Position { epoch, version: 0 },
            LocationHeader::default(),
            Vec::new(),
            Vec::new(),
        )
    }

    /// A location as the ledger holds it, with its live tickets and the appointments that are near its service day
    /// ([`Appointment::is_near`]).
    pub fn restore(
        position: Position,
        header: LocationHeader,
        tickets: Vec<Ticket>,
        appointments: Vec<Appointment>,
    ) -> Self {
        let mut location = Self {
            position,
            zone: settings::zone_or_utc(&header.time_zone),
            tallies: header
                .queues
                .keys()
                .map(|queue| (queue.clone(), QueueTally::default()))
                .collect(),
            loaded_until: header.day.clone(),
            header,
            tickets: HashMap::new(),
            appointments: HashMap::new(),
            by_source: HashMap::new(),
            ended: BTreeSet::new(),
            at_station: BTreeMap::new(),
            days: BTreeMap::new(),
            outside: BTreeSet::new(),
            lasting: BTreeSet::new(),
            timers: BTreeSet::new(),
            day_starts: 0,
            day_ends: Millis::MAX,
            waits: WaitTimes::default(),
            day_counts: DayCounts::default(),
        };
        location.set_timers();
        for queue in location.header.stations.values().filter_map(|station| station.served.as_ref())
        {
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
        let at = self.header.now.max(settings::plausible(at));
        let today = settings::service_day(&self.zone, self.header.timers.day_start_min, at);
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
                self.put_appointment(appointment);
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

    pub fn position(&self) -> Position {
        self.position
    }

    pub fn header(&self) -> &LocationHeader {
        &self.header
    }

    pub fn ticket(&self, id: &TicketId) -> Option<&Ticket> {
        self.tickets.get(id)
    }

    /// Whether the location was ever configured.
    pub fn exists(&self) -> bool {
        self.position.version > 0
    }

    /// Tickets and appointments in memory.
    pub fn parts(&self) -> usize {
        self.tickets.len() + self.appointments.len()
    }

    /// Adds ended tickets that a batch names. A ticket that is in memory already stays as it is.
    pub fn add_ended(&mut self, tickets: Vec<Ticket>) {
        for ticket in tickets {
            if !self.tickets.contains_key(&ticket.id) {
                self.put(ticket);
            }
        }
    }

    /// Drops the tickets that are over, and the appointments that are over or not of the service day, once their rows
    /// are committed.
    pub fn forget_ended(&mut self) {
        for id in std::mem::take(&mut self.outside) {
            self.take_appointment(&id);
        }
        for id in std::mem::take(&mut self.ended) {
            self.tickets.remove(&id);
        }
    }

    /// Lets the timers fire that are due at the record's append time, decides the record, applies all of it and says how
    /// the views changed. What the timers did stays when the record is refused.
    pub fn handle(&mut self, record: &CommandRecord, appended_at: Millis) -> RecordEffect {
        let at = self.advance(appended_at);
        let location =
            record.aggregate.location_id().expect("a record is for its aggregate's kind");
        let version = self.position.version + 1;
        let mut change = VersionChange::default();
        while let Some(event) = self.next_due() {
            self.change(&mut change, &location, event, version, at);
        }
        let decided = match &record.command {
            Command::Tick {} if change.events.is_empty() => Err(Code::NothingDue),
            Command::Tick {} => Ok(Decision::default()),
            _ => decide(self, record, at),
        };
        let (verdict, follow_up) = match decided {
            Ok(decision) => {
                for event in decision.events {
                    self.change(&mut change, &location, event, version, at);
                }
                let Decision { result, follow_up, .. } = decision;
                (Verdict::Applied { epoch: self.position.epoch, version, result }, follow_up)
            }
            Err(code) if change.events.is_empty() => {
                return RecordEffect::refused(self.position, at, code);
            }
            Err(code) => (Verdict::Refused { code }, None),
        };
        let (touched, appointments) = self.touched(&change.events);
        let (events, deltas) = self.into_deltas(change, &location);
        RecordEffect {
            position: self.position,
            at,
            verdict,
            events,
            deltas,
            touched,
            appointments,
            follow_up,
        }
    }

    /// Applies the events of one version, read from the journal, and says how the views changed. A ticket that a later
    /// event reverts must still be in memory: a rebuild does not call [`Location::forget_ended`].
    pub fn replay(
        &mut self,
        location: &LocationId,
        version: u64,
        at: Millis,
        events: &[Event],
    ) -> Vec<ViewDelta> {
        let mut change = VersionChange::default();
        for event in events {
            self.change(&mut change, location, event.clone(), version, at);
        }
        self.into_deltas(change, location).1
    }

    /// Moves the clock to `appended_at`; it never goes back, whatever the log's brokers think of the time.
    pub fn advance(&mut self, appended_at: Millis) -> Millis {
        self.header.now = self.header.now.max(settings::plausible(appended_at));
        self.header.now
    }

    /// The tickets and appointments whose rows these events changed: a ticket takes its appointment along.
    fn touched(&self, events: &[Event]) -> (Vec<TicketId>, Vec<AppointmentId>) {
        let tickets: Vec<TicketId> = events.iter().flat_map(moves::tickets_of).cloned().collect();
        let of_tickets = tickets.iter().filter_map(|id| self.ticket(id)?.appointment.clone());
        let reported = events.iter().filter_map(moves::appointment_of).cloned();
        let appointments: BTreeSet<_> = of_tickets.chain(reported).collect();
        let held =
            appointments.into_iter().filter(|id| self.appointments.contains_key(id)).collect();
        (tickets, held)
    }

    /// Puts a ticket into memory and into every count it belongs to.
    fn put(&mut self, ticket: Ticket) {
        let standing = &ticket.standing;
        if standing.state.is_end() {
            self.ended.insert(ticket.id.clone());
        } else {
            self.lasting.insert(ticket.id.clone());
            if let Some(station) = &standing.station {
                self.at_station.entry(station.clone()).or_default().insert(ticket.id.clone());
            }
        }
        let tally = self.tallies.entry(standing.queue.clone()).or_default();
        match standing.state {
            TicketState::Waiting => {
                tally.waiting.insert(ticket.place());
                load::by_priority(&mut tally.priorities, standing.priority, true);
                tally.waits.add(ticket.issued_at, &ticket.id);
                self.waits.add(ticket.issued_at, &ticket.id);
            }
            TicketState::InService => tally.in_service += 1,
            _ => {}
        }
        if let Some(at) = self.ticket_due(&ticket) {
            self.timers.insert((at, TimerTarget::Ticket(ticket.id.clone())));
        }
        if let Some(appointment) = &ticket.appointment {
            self.agree(
                appointment,
                TicketSummary { label: ticket.label.clone(), state: standing.state },
            );
        }
        self.tickets.insert(ticket.id.clone(), ticket);
    }

    /// The inverse of `put`.
    fn take(&mut self, id: &TicketId) -> Option<Ticket> {
        let ticket = self.tickets.remove(id)?;
        let standing = &ticket.standing;
        self.ended.remove(id);
        self.lasting.remove(id);
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
                    load::by_priority(&mut tally.priorities, standing.priority, false);
                    tally.waits.remove(ticket.issued_at, id);
                    self.waits.remove(ticket.issued_at, id);
                }
                TicketState::InService => tally.in_service -= 1,
                _ => {}
            }
        }
        if let Some(at) = self.ticket_due(&ticket) {
            self.timers.remove(&(at, TimerTarget::Ticket(id.clone())));
        }
        Some(ticket)
    }

    /// Puts an appointment into memory and into every count it belongs to.
    fn put_appointment(&mut self, appointment: Appointment) {
        let id = &appointment.id;
        let (source, key) = appointment.source();
        self.by_source.insert((source.clone(), key.clone()), id.clone());
        if let Some(at) = self.appointment_due(&appointment) {
            self.timers.insert((at, TimerTarget::Appointment(id.clone())));
        }
        if appointment.day.as_ref() == Some(&self.header.day) {
            self.day_counts.add(&appointment);
            if let Some(doctor) = &appointment.fact.doctor {
                self.days.entry(doctor.id.clone()).or_default().insert(id.clone());
            }
        }
        if !appointment.is_near(&self.header.day) {
            self.outside.insert(id.clone());
        }
        self.appointments.insert(id.clone(), appointment);
    }

    /// The inverse of `put_appointment`.
    fn take_appointment(&mut self, id: &AppointmentId) -> Option<Appointment> {
        let appointment = self.appointments.remove(id)?;
        let (source, key) = appointment.source();
        self.by_source.remove(&(source.clone(), key.clone()));
        self.outside.remove(id);
        if let Some(at) = self.appointment_due(&appointment) {
            self.timers.remove(&(at, TimerTarget::Appointment(id.clone())));
        }
        if appointment.day.as_ref() == Some(&self.header.day) {
            self.day_counts.remove(&appointment);
            if let Some(doctor) = &appointment.fact.doctor
                && let Some(day) = self.days.get_mut(&doctor.id)
            {
                day.remove(id);
                if day.is_empty() {
                    self.days.remove(&doctor.id);
                }
            }
        }
        Some(appointment)
    }

    /// Begins the service day: its appointments are counted, those of the day before no longer.
    fn begin_day(&mut self, day: String) {
        self.header.day = day;
        self.header.numbers.clear();
        self.header.quarters.clear();
        self.header.facts = FactCounts::default();
        self.header.doctors.values_mut().for_each(|doctor| doctor.delay_min = 0);
        self.days.clear();
        self.outside.clear();
        self.day_counts = DayCounts::default();
        for appointment in std::mem::take(&mut self.appointments).into_values() {
            self.put_appointment(appointment);
        }
        self.set_timers();
    }
}

#[cfg(test)]
mod tests;
