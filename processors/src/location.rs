//! One location as a value: commands are decided against it, events change it, and its views
//! follow.
//!
//! There is no clock, no I/O and no randomness here. The same records give the same bytes in the
//! runner, in a rebuild and in a test.

use std::{
    collections::{BTreeSet, HashMap},
    ops::Range,
};

use jiff::tz::TimeZone;
use schemas::{
    Millis,
    channel::Channel,
    codes::Code,
    command::{Command, CommandResult, Verdict},
    event::Event,
    ids::{AppointmentId, LocationId, SourceId, SourceKey, TicketId},
    load::FactCounts,
    record::{CommandRecord, ViewDelta},
    view::Position,
};

use crate::effect::{RecordEffect, RecordTime, Settlement};

mod apply;
mod decide;
mod decision;
mod indexes;
mod state;
mod step;
mod timers;

/// Appointments and their visits.
mod booking {
    pub(crate) mod appointments;
    pub(crate) mod doctors;
    pub(crate) mod rebooking;
    pub(crate) mod renewal;
    pub(crate) mod visits;
}

/// The line of a queue: tickets, calls, turns and undo.
mod line {
    pub(crate) mod calls;
    pub(crate) mod issue;
    pub(crate) mod moves;
    pub(crate) mod queues;
    pub(crate) mod ticket;
    pub(crate) mod turns;
    pub(crate) mod undo;
}

/// Moves of tickets to and from other locations.
mod moving {
    pub(crate) mod handover;
    pub(crate) mod question;
    pub(crate) mod questions;
}

/// What a step gives others: views, alerts, histories and outward events.
mod output {
    pub(crate) mod alerts;
    pub(crate) mod history;
    pub(crate) mod load;
    pub(crate) mod outward;
    pub(crate) mod project;
}

/// The settings of a location, and its devices.
mod site {
    pub(crate) mod appearance;
    pub(crate) mod check_in_points;
    pub(crate) mod displays;
    pub(crate) mod settings;
}

use booking::{appointments, rebooking, renewal, visits};
use indexes::{Indexes, Update};
use line::{calls, issue, moves, queues, ticket};
use moving::{handover, question};
use output::{alerts, history, outward, project};
use project::VersionChange;
use site::{appearance, check_in_points, displays, settings};
use step::Step;

pub use decide::decide;
pub use decision::Decision;
pub use history::{CurrentStay, History, LineTime};
pub use project::KEEP_ENDED_S;
pub use question::Question;
pub use renewal::RenewalNeed;
pub use settings::{MAX_DOCTORS, MAX_LANGUAGES, MAX_QUEUES, MAX_STATIONS, MAX_TICKETS, SERVICE_S};
pub use state::{
    Appointment, AppointmentMove, DoctorDay, Editions, LocationHeader, Queue, RecentCall, Renewal,
    ServiceTime, Station, Visit,
};
pub use ticket::{Ticket, TicketMove, Undo};

/// The most that a change of the settings moves the service day: time zones lie up to 26 hours
/// apart, and the starts of days up to 12.
const ZONE_CHANGE: Millis = 48 * 60 * 60 * 1000;

/// A location in memory: its header, its unfinished tickets, and the ended tickets that a batch
/// names.
pub struct Location {
    position: Position,
    header: LocationHeader,
    zone: TimeZone,
    tickets: HashMap<TicketId, Ticket>,
    /// Appointments of the service day, open ones of earlier days, and those that a batch names.
    appointments: HashMap<AppointmentId, Appointment>,
    /// All appointments that wake before this moment and are near the service day are in memory.
    complete_until: Millis,
    /// The next appointments to renew, if a batch has read them, and whether they are the last.
    renewing: Option<(Vec<AppointmentId>, bool)>,
    /// Most parts that change in one step because timers fire. A test sets a smaller number.
    slice: usize,
    /// Most moves that are not settled. A test sets a smaller number.
    most_moves: usize,
    /// The history of the steps that nobody has taken yet.
    history: History,
    indexes: Indexes,
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

    /// Restores a location from its stored state: its unfinished tickets
    /// ([`Ticket::is_unfinished`]) and the appointments near its service day
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
            complete_until: header.day_ends,
            renewing: None,
            slice: timers::SLICE,
            most_moves: question::MAX_MOVES,
            history: History::default(),
            header,
            tickets: HashMap::new(),
            appointments: HashMap::new(),
            indexes: Indexes::default(),
        };
        location.set_day_bounds();
        let Self { header, indexes, .. } = &mut location;
        if header.day_since == 0 {
            // An earlier version stored the header.
            header.day_since = header.day_starts;
        }
        for queue in header.queues.keys() {
            indexes.tallies.entry(queue.clone()).or_default();
        }
        for station in header.stations.values() {
            indexes.station(Update::Add, station);
        }
        for ticket in tickets {
            location.put(ticket);
        }
        location.add_appointments(appointments);
        location
    }

    /// When the appointments wake ([`Appointment::wakes_at`]) that these commands need, the latest
    /// of them at `at`, and that may not be in memory.
    pub fn missing_appointments<'a>(
        &self,
        at: Millis,
        commands: impl IntoIterator<Item = &'a Command>,
    ) -> Option<Range<Millis>> {
        let at = self.header.now.max(settings::plausible(at));
        let until = self.end_of_day_at(at).max(self.header.day_ends);
        let is_configure = |command: &Command| {
            matches!(command, Command::ConfigureLocation { .. } | Command::ChangeBranding { .. })
        };
        if !self.exists() {
            None
        } else if commands.into_iter().any(is_configure) {
            Some(self.days_around_today().start..until.saturating_add(ZONE_CHANGE))
        } else {
            (self.complete_until < until).then_some(self.complete_until..until)
        }
    }

    /// Today and the days that can be today after a change of the settings.
    fn days_around_today(&self) -> Range<Millis> {
        let Range { start, end } = self.header.today();
        start.saturating_sub(ZONE_CHANGE)..end.saturating_add(ZONE_CHANGE)
    }

    /// Adds all appointments that wake before `until` and were missing.
    pub fn add_missing(&mut self, until: Millis, appointments: Vec<Appointment>) {
        self.add_appointments(appointments);
        self.complete_until = until;
    }

    /// Adds appointments that a batch names. An appointment that is already in memory stays as it
    /// is.
    pub fn add_appointments(&mut self, appointments: Vec<Appointment>) {
        for appointment in appointments {
            if !self.appointments.contains_key(&appointment.id) {
                self.put_appointment(appointment);
            }
        }
    }

    /// The appointment with this id, if it is in memory.
    pub fn appointment(&self, id: &AppointmentId) -> Option<&Appointment> {
        self.appointments.get(id)
    }

    /// The appointment with this key at its source, if it is in memory.
    pub fn appointment_by_source(
        &self,
        source: &SourceId,
        key: &SourceKey,
    ) -> Option<&Appointment> {
        self.indexes
            .sources
            .get(&(source.clone(), key.clone()))
            .and_then(|id| self.appointments.get(id))
    }

    /// The current position.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The state that the ledger keeps, without tickets and appointments.
    pub fn header(&self) -> &LocationHeader {
        &self.header
    }

    /// The ticket with this id, if it is in memory.
    pub fn ticket(&self, id: &TicketId) -> Option<&Ticket> {
        self.tickets.get(id)
    }

    /// The tickets in memory, in no order.
    pub fn tickets(&self) -> impl Iterator<Item = &Ticket> {
        self.tickets.values()
    }

    /// The appointments in memory, in no order.
    pub fn appointments(&self) -> impl Iterator<Item = &Appointment> {
        self.appointments.values()
    }

    /// Whether the location was ever configured.
    pub fn exists(&self) -> bool {
        self.position.version > 0
    }

    /// The number of live tickets.
    pub fn live_tickets(&self) -> u32 {
        self.indexes.live
    }

    /// The number of tickets and appointments in memory.
    pub fn parts(&self) -> usize {
        self.tickets.len() + self.appointments.len()
    }

    /// Adds ended tickets that a batch names. A ticket that is already in memory stays as it is.
    pub fn add_ended(&mut self, tickets: Vec<Ticket>) {
        for ticket in tickets {
            if !self.tickets.contains_key(&ticket.id) {
                self.put(ticket);
            }
        }
    }

    /// Drops ended tickets, and appointments that are not near the service day, after their rows
    /// were committed.
    pub fn forget_ended(&mut self) {
        for id in std::mem::take(&mut self.indexes.outside) {
            self.take_appointment(&id);
        }
        self.complete_until = self.complete_until.min(self.header.day_ends);
        // The appointments to be renewed may just have left memory.
        self.renewing = None;
        for id in std::mem::take(&mut self.indexes.ended) {
            self.tickets.remove(&id);
        }
    }

    /// Fires a slice of the timers that are due at the record's append time, decides the record,
    /// applies the events and returns the changes of the views. The events of timers stay when the
    /// record is refused.
    pub fn handle(&mut self, record: &CommandRecord, time: RecordTime) -> RecordEffect {
        let at = self.advance(time.appended_at);
        let version = self.position.version + 1;
        let mut step = Step::new(record, version, at);
        self.fire_slice(&mut step);
        let mut decided = match &record.command {
            Command::Tick {} if step.change.events.is_empty() => Err(Code::NothingDue),
            Command::Tick {} => Ok(Decision::default()),
            _ if record.is_expired(time.decided_at) => Err(Code::CommandExpired),
            command => {
                self.fire_named(&mut step, command);
                decide(self, record)
            }
        };
        if let Ok(decision) = &mut decided {
            history::note_method(self, record, &mut decision.events);
        }
        step.follow_ups.extend(handover::answer(record, &decided));
        step.follow_ups.extend(rebooking::answer(record, &decided));
        let mut settles = None;
        let verdict = match decided {
            Ok(decision) => {
                decision.events.into_iter().for_each(|event| self.happen(&mut step, event));
                step.follow_ups.extend(decision.follow_ups);
                step.alerts = decision.alerts;
                settles = decision.settles.map(|settled| {
                    let Settlement { command, began, outcome } = settled;
                    Settlement { command, began, outcome: self.verdict(version, false, outcome) }
                });
                self.verdict(version, decision.moving, Ok(decision.result))
            }
            Err(code) if step.change.events.is_empty() => {
                let refused = RecordEffect::refused(self.position, at, code);
                return RecordEffect { follow_ups: step.follow_ups, ..refused };
            }
            Err(code) => Verdict::Refused { code },
        };
        self.finish(step, verdict, settles)
    }

    fn verdict(&self, version: u64, moving: bool, outcome: Result<CommandResult, Code>) -> Verdict {
        let epoch = self.position.epoch;
        match outcome {
            Ok(result) if moving => Verdict::Moving { epoch, version, result },
            Ok(result) => Verdict::Applied { epoch, version, result },
            Err(code) => Verdict::Refused { code },
        }
    }

    /// Applies the events of one version from the journal, and returns the changes of the views.
    /// [`Location::take_history`] has the changes of the history. A
    /// ticket that a later event reverts must still be in memory, so a rebuild does not call
    /// [`Location::forget_ended`].
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
        self.finish_change(change, location).1
    }

    /// Moves the clock to `appended_at`. The clock never goes back, whatever the clocks of the
    /// log's brokers show.
    pub fn advance(&mut self, appended_at: Millis) -> Millis {
        self.header.now = self.header.now.max(settings::plausible(appended_at));
        self.header.now
    }

    /// The tickets and appointments whose rows a version changed by its events, or by the steps of
    /// their views, such as a new name of the location. The appointment of a changed ticket changes
    /// too, except by a question about the ticket's move: that comes days later, when a restored
    /// location no longer has the appointment.
    pub(crate) fn touched(
        &self,
        events: &[Event],
        deltas: &[ViewDelta],
    ) -> (Vec<TicketId>, Vec<AppointmentId>) {
        let (questions, changes): (Vec<_>, Vec<_>) =
            events.iter().partition(|event| moves::is_question_of_ticket(event));
        let named = |events: Vec<&Event>| -> BTreeSet<TicketId> {
            events.into_iter().flat_map(moves::tickets_of).cloned().collect()
        };
        let (mut moved, mut tickets) = (named(changes), named(questions));
        let mut stepped = Vec::new();
        for step in deltas {
            match Channel::parse(&step.view) {
                Ok(Channel::Ticket(id)) if self.tickets.contains_key(&id) => {
                    moved.insert(id);
                }
                Ok(Channel::Appointment(id)) => stepped.push(id),
                _ => {}
            }
        }
        let of_tickets = moved.iter().filter_map(|id| self.ticket(id)?.appointment.clone());
        let reported = events.iter().filter_map(moves::appointment_of).cloned();
        let renewed = events.iter().flat_map(renewal::renewed).cloned();
        let appointments: BTreeSet<_> =
            of_tickets.chain(reported).chain(renewed).chain(stepped).collect();
        let held =
            appointments.into_iter().filter(|id| self.appointments.contains_key(id)).collect();
        tickets.append(&mut moved);
        (tickets.into_iter().collect(), held)
    }

    /// Puts a ticket into memory and into the indexes.
    fn put(&mut self, ticket: Ticket) {
        self.indexes.ticket(Update::Add, &ticket, self.ticket_timers(&ticket));
        if let Some(appointment) = &ticket.appointment {
            self.follow_ticket(appointment, &ticket);
        }
        self.tickets.insert(ticket.id.clone(), ticket);
    }

    /// Takes a ticket out of memory and out of the indexes.
    fn take(&mut self, id: &TicketId) -> Option<Ticket> {
        let ticket = self.tickets.remove(id)?;
        self.indexes.ticket(Update::Remove, &ticket, self.ticket_timers(&ticket));
        Some(ticket)
    }

    /// Puts an appointment into memory and into the indexes.
    fn put_appointment(&mut self, appointment: Appointment) {
        let timers = self.appointment_timers(&appointment);
        self.indexes.appointment(Update::Add, &appointment, timers, &self.header.today());
        self.appointments.insert(appointment.id.clone(), appointment);
    }

    /// Takes an appointment out of memory and out of the indexes.
    fn take_appointment(&mut self, id: &AppointmentId) -> Option<Appointment> {
        let appointment = self.appointments.remove(id)?;
        let timers = self.appointment_timers(&appointment);
        self.indexes.appointment(Update::Remove, &appointment, timers, &self.header.today());
        Some(appointment)
    }

    /// Forgets when each queue called last and which queue each station served. The next day begins
    /// without estimates, until the first call.
    fn forget_last_calls(&mut self) {
        for queue in self.header.queues.values_mut() {
            (queue.last_call_at, queue.last_call_version) = (None, 0);
        }
        for station in self.header.stations.keys().cloned().collect::<Vec<_>>() {
            self.change_station(&station, |station| {
                (station.served, station.served_version) = (None, 0);
            });
        }
    }

    /// Starts the service day `day`: counts its appointments instead of those of the day before.
    fn begin_day(&mut self, day: String, since: Millis) {
        (self.header.day, self.header.day_since) = (day, since);
        self.header.numbers.clear();
        self.header.quarters.clear();
        self.header.facts = FactCounts::default();
        for doctor in self.header.doctors.values_mut() {
            (doctor.delay_min, doctor.delay_version) = (0, 0);
        }
        self.header.recents.clear();
        if self.header.timers.day_ends_tickets {
            self.forget_last_calls();
        }
        let before = self.indexes.days.keys().cloned().collect();
        // No timer is set anew: those of tickets do not depend on the day, and appointments of the
        // new day get theirs here.
        self.renew_day();
        self.forget_doctors(&before);
    }

    /// Sorts the appointments again by the service day, after the day or its bounds changed.
    fn renew_day(&mut self) {
        self.set_day_bounds();
        self.indexes.clear_day();
        for appointment in std::mem::take(&mut self.appointments).into_values() {
            self.put_appointment(appointment);
        }
    }

    /// Whether the appointment starts on the service day.
    fn is_today(&self, appointment: &Appointment) -> bool {
        appointment.fact.start.is_some_and(|start| self.header.today().contains(&start))
    }
}

#[cfg(test)]
mod tests;
