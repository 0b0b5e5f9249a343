//! The entries of views that an event can change. Only they are rendered and compared, so that the
//! cost of a record does not grow with the length of the line.

use std::collections::BTreeSet;

use schemas::{
    Millis,
    appointment::AppointmentFact,
    event::Event,
    ids::{AppointmentId, CheckInPointId, DisplayId, DoctorId, QueueId, StationId, TicketId},
};

use crate::location::{
    Location,
    indexes::quarter_of,
    moves,
    state::{Appointment, Station},
    ticket::Ticket,
};

/// A part of a location that has settings.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SettingsPart {
    Location,
    Privacy,
    Messages,
    Branding,
    Queue(QueueId),
    Station(StationId),
    Display(DisplayId),
    CheckInPoint(CheckInPointId),
}

/// The entries that some events may change.
#[derive(Default)]
pub(super) struct ViewScope {
    pub(super) tickets: BTreeSet<TicketId>,
    pub(super) queues: BTreeSet<QueueId>,
    pub(super) stations: BTreeSet<StationId>,
    pub(super) appointments: BTreeSet<AppointmentId>,
    /// Doctors whose own entry in their schedule may change.
    pub(super) doctors: BTreeSet<DoctorId>,
    pub(super) quarters: BTreeSet<Millis>,
    pub(super) settings: BTreeSet<SettingsPart>,
    pub(super) location: bool,
    pub(super) recents: bool,
    pub(super) load: bool,
}

impl ViewScope {
    /// Adds `more` to the scope and returns the part that is new.
    pub(super) fn take_in(&mut self, more: ViewScope) -> ViewScope {
        fn new<T: Ord + Clone>(held: &mut BTreeSet<T>, more: BTreeSet<T>) -> BTreeSet<T> {
            more.into_iter().filter(|one| held.insert(one.clone())).collect()
        }
        let first = |held: &mut bool, more: bool| more && !std::mem::replace(held, *held || more);
        ViewScope {
            tickets: new(&mut self.tickets, more.tickets),
            queues: new(&mut self.queues, more.queues),
            stations: new(&mut self.stations, more.stations),
            appointments: new(&mut self.appointments, more.appointments),
            doctors: new(&mut self.doctors, more.doctors),
            quarters: new(&mut self.quarters, more.quarters),
            settings: new(&mut self.settings, more.settings),
            location: first(&mut self.location, more.location),
            recents: first(&mut self.recents, more.recents),
            load: first(&mut self.load, more.load),
        }
    }
}

impl Location {
    /// The entries that an event may change, before it is applied at `now`.
    pub(super) fn scope(&self, event: &Event, now: Millis) -> ViewScope {
        let mut scope = ViewScope::default();
        if moves::is_question_of_ticket(event) || moves::is_of_devices(event) {
            return scope;
        }
        for id in moves::tickets_of(event) {
            scope.tickets.insert(id.clone());
            if let Some(ticket) = self.ticket(id) {
                scope.queues.insert(ticket.standing.queue.clone());
                scope.stations.extend(ticket.standing.station.clone());
                // The appointment changes with its ticket, and may no longer count as booked in its
                // quarter hour.
                let appointment = ticket.appointment.as_ref().and_then(|id| self.appointment(id));
                scope.appointments.extend(appointment.map(|held| held.id.clone()));
                scope.quarters.extend(appointment.and_then(|held| held.fact.start).map(quarter_of));
                scope.quarters.extend(appointment.and_then(|held| held.missed_at).map(quarter_of));
                if let Some(held) = appointment {
                    self.widen_by_wait(&mut scope, &held.fact);
                }
            }
            scope.recents = true;
            scope.load = true;
            scope.quarters.insert(quarter_of(now));
        }
        self.widen(&mut scope, event);
        self.widen_by_appointments(&mut scope, event, now);
        scope
    }

    /// Adds what an event of settings, queues, stations, displays or check-in points changes.
    fn widen(&self, scope: &mut ViewScope, event: &Event) {
        match event {
            Event::LocationConfigured { .. } => {
                scope.location = true;
                scope.settings.insert(SettingsPart::Location);
                scope.load = true;
                // The bands, the day and the time zone of the location appear in all of these
                // entries.
                scope.queues.extend(self.header.queues.keys().cloned());
                scope.doctors.extend(self.header.doctors.keys().cloned());
            }
            Event::PrivacyChanged { .. } => {
                scope.settings.insert(SettingsPart::Privacy);
                scope.recents = true;
                scope.queues.extend(self.header.queues.keys().cloned());
                scope.tickets.extend(self.tickets_with_appointment().cloned());
            }
            Event::MessagesChanged { .. } => {
                scope.settings.insert(SettingsPart::Messages);
                scope.location = true;
            }
            // Lines, boards and appointments show the branding.
            Event::BrandingChanged { .. } => {
                scope.settings.insert(SettingsPart::Branding);
                scope.location = true;
                scope.queues.extend(self.header.queues.keys().cloned());
            }
            Event::QueuesOrdered { .. } => {
                scope.settings.insert(SettingsPart::Location);
                for queue in self.header.queues.keys() {
                    scope.queues.insert(queue.clone());
                    scope.settings.insert(SettingsPart::Queue(queue.clone()));
                }
            }
            Event::QueueConfigured { queue, .. } | Event::QueueStateChanged { queue, .. } => {
                scope.queues.insert(queue.clone());
                scope.settings.insert(SettingsPart::Queue(queue.clone()));
            }
            Event::QueueRemoved { queue, move_to, .. } => {
                scope.queues.extend(move_to.clone());
                self.widen_by_removal(scope, queue);
            }
            Event::DisplayPaired { display, .. }
            | Event::DisplayRenamed { display, .. }
            | Event::DisplayUnpaired { display } => {
                scope.settings.insert(SettingsPart::Display(display.clone()));
            }
            Event::CheckInPointConfigured { point, .. }
            | Event::CheckInPointRotated { point }
            | Event::CheckInPointRevoked { point }
            | Event::CheckInPointRemoved { point } => {
                scope.settings.insert(SettingsPart::CheckInPoint(point.clone()));
            }
            Event::StationStateChanged { station, .. } => {
                scope.stations.insert(station.clone());
                scope.settings.insert(SettingsPart::Station(station.clone()));
                scope.queues.extend(self.served_queues(station));
            }
            Event::StationConfigured { station, queues, .. } => {
                scope.queues.extend(queues.iter().flatten().cloned());
                self.widen_by_station(scope, station);
            }
            Event::StationRemoved { station } => self.widen_by_station(scope, station),
            _ => self.widen_by_line(scope, event),
        }
    }

    /// Adds what an event of a line or of one of its tickets changes beside the ticket.
    fn widen_by_line(&self, scope: &mut ViewScope, event: &Event) {
        match event {
            Event::QueueReordered { queue, .. }
            | Event::TicketYielded { queue, .. }
            | Event::TicketMoved { queue, .. } => {
                scope.queues.insert(queue.clone());
            }
            Event::TicketIssued { queue, appointment, .. } => {
                scope.queues.insert(queue.clone());
                scope.appointments.extend(appointment.clone());
                if let Some(held) = appointment.as_ref().and_then(|id| self.appointment(id)) {
                    self.widen_by_wait(scope, &held.fact);
                    // A patient who comes late has not missed the appointment any more.
                    scope.quarters.extend(held.missed_at.map(quarter_of));
                }
            }
            Event::TicketReverted { ticket, to, .. } | Event::TicketStayed { ticket, to, .. } => {
                scope.queues.insert(to.queue.clone());
                scope.stations.extend(to.station.clone());
                if let Some(ticket) = self.ticket(ticket) {
                    self.widen_by_undo(scope, ticket);
                }
            }
            // The station leaves the queue that it served before.
            Event::TicketCalled { station, .. } => {
                scope.stations.insert(station.clone());
                let station = self.header.stations.get(station);
                scope.queues.extend(station.and_then(|station| station.served.clone()));
            }
            Event::TicketExpired { at, .. } => drop(scope.quarters.insert(quarter_of(*at))),
            _ => {}
        }
    }

    /// Adds a queue that is removed, and the stations and check-in points that name it.
    fn widen_by_removal(&self, scope: &mut ViewScope, queue: &QueueId) {
        scope.queues.insert(queue.clone());
        scope.settings.insert(SettingsPart::Queue(queue.clone()));
        for (id, point) in &self.header.check_in_points {
            if point.setup.queues.contains(queue) {
                scope.settings.insert(SettingsPart::CheckInPoint(id.clone()));
            }
        }
        for (id, station) in &self.header.stations {
            if station.queues.as_ref().is_some_and(|queues| queues.contains(queue)) {
                scope.settings.insert(SettingsPart::Station(id.clone()));
            }
            if station.served.as_ref() == Some(queue) {
                scope.stations.insert(id.clone());
            }
        }
    }

    /// Adds a station that is configured, and what shows its name: every ticket that it called.
    fn widen_by_station(&self, scope: &mut ViewScope, id: &StationId) {
        scope.stations.insert(id.clone());
        scope.settings.insert(SettingsPart::Station(id.clone()));
        scope.queues.extend(self.served_queues(id));
        let last = self.header.stations.get(id);
        scope.queues.extend(last.and_then(|station| station.served.clone()));
        scope.tickets.extend(self.indexes.stations.get(id).into_iter().flatten().cloned());
        scope.recents = true;
    }

    /// The queues that the station serves while it is open.
    fn served_queues(&self, station: &StationId) -> Vec<QueueId> {
        let station = self.header.stations.get(station);
        station.into_iter().flat_map(Station::served_queues).cloned().collect()
    }

    /// Adds what the undo of a ticket's last step may restore.
    fn widen_by_undo(&self, scope: &mut ViewScope, ticket: &Ticket) {
        scope.quarters.insert(quarter_of(ticket.moved_at));
        let Some(undo) = &ticket.undo else { return };
        if let (Some(calls), Some(station)) = (&undo.trace.calls, &ticket.standing.station) {
            scope.queues.extend(calls.served().cloned());
            scope.queues.extend(self.served_queues(station));
        }
        if let Some(delay) = &undo.trace.delay {
            self.widen_by_doctor(scope, delay.doctor());
        }
    }

    /// Adds a doctor and all their appointments of the day, which show the doctor's delay.
    fn widen_by_doctor(&self, scope: &mut ViewScope, doctor: &DoctorId) {
        scope.doctors.insert(doctor.clone());
        scope.appointments.extend(self.indexes.days.get(doctor).into_iter().flatten().cloned());
    }

    fn widen_by_appointments(&self, scope: &mut ViewScope, event: &Event, now: Millis) {
        if let Some(id) = moves::appointment_of(event) {
            scope.appointments.insert(id.clone());
            let held = self.appointment(id);
            let start = held.and_then(|held| held.fact.start);
            // The line shows times, doctor and name of the appointment.
            scope.tickets.extend(held.and_then(live_ticket).cloned());
            if let Some(held) = held {
                self.widen_by_wait(scope, &held.fact);
            }
            scope.quarters.extend(start.map(quarter_of));
            scope.load = true;
        }
        match event {
            Event::AppointmentReported { fact, .. }
            | Event::AppointmentMoved { fact, .. }
            | Event::AppointmentLeaving { fact, .. } => {
                scope.quarters.extend(fact.start.map(quarter_of));
                scope.doctors.extend(self.replaced_doctor(fact).cloned());
                self.widen_by_name(scope, fact);
                self.widen_by_wait(scope, fact);
            }
            Event::FactIgnored { .. } => scope.load = true,
            Event::BrandingChanged { .. } => self.widen_by_clinic(scope),
            Event::LocationConfigured { name, time_zone, timers, address, .. } => {
                // Appointments show name, address and zone of the clinic, and may be on another
                // service day now.
                let header = &self.header;
                if *name != header.name
                    || *time_zone != header.time_zone
                    || *address != header.address
                    || timers.day_start_min != header.timers.day_start_min
                {
                    self.widen_by_clinic(scope);
                }
            }
            Event::AppointmentsRenewed { appointments, .. } => {
                scope.appointments.extend(appointments.iter().cloned());
            }
            Event::AppointmentMissed { at, .. } => drop(scope.quarters.insert(quarter_of(*at))),
            Event::ServiceStarted { ticket } => self.widen_by_delay(scope, ticket, now),
            Event::DayEnded { next, .. } => self.widen_by_day_end(scope, next),
            _ => {}
        }
    }

    /// Adds the appointments that every owner holds while it configures the location, so that a
    /// restart changes no step. Those that are further away follow in the slices of a renewal.
    fn widen_by_clinic(&self, scope: &mut ViewScope) {
        let around = self.days_around_today();
        let is_held = |one: &&Appointment| {
            one.is_kept() || one.wakes_at().is_some_and(|at| around.contains(&at))
        };
        for appointment in self.appointments.values().filter(is_held) {
            widen_by_appointment(scope, appointment);
        }
    }

    /// Adds all appointments of the doctor of a fact, if it gives the doctor another name.
    fn widen_by_name(&self, scope: &mut ViewScope, fact: &AppointmentFact) {
        let Some(doctor) = &fact.doctor else { return };
        let known = self.header.doctors.get(&doctor.id);
        if known.is_none_or(|known| known.name != doctor.name) {
            let days = self.indexes.days.get(&doctor.id);
            scope.doctors.insert(doctor.id.clone());
            scope.appointments.extend(days.into_iter().flatten().cloned());
        }
    }

    /// Adds all appointments of the doctor of a fact, if a change of this appointment can change
    /// since when the doctor's first patient waits: only the earliest one decides that.
    fn widen_by_wait(&self, scope: &mut ViewScope, fact: &AppointmentFact) {
        let Some((doctor, start)) = fact.doctor.as_ref().zip(fact.start) else { return };
        let first = self.waiting_since(&doctor.id);
        if self.header.doctors.contains_key(&doctor.id) && first.is_none_or(|first| start <= first)
        {
            self.widen_by_doctor(scope, &doctor.id);
        }
    }

    /// Adds all appointments of the doctor who starts to serve the ticket, if the delay changes.
    fn widen_by_delay(&self, scope: &mut ViewScope, ticket: &TicketId, now: Millis) {
        let ticket = self.ticket(ticket);
        let held = ticket.and_then(|ticket| self.appointment(ticket.appointment.as_ref()?));
        let Some((doctor, delay_min)) = held.and_then(|held| held.delay_at(now)) else { return };
        let known = self.header.doctors.get(doctor);
        if known.is_some_and(|known| known.delay_min != delay_min) {
            self.widen_by_doctor(scope, doctor);
        }
    }

    /// Adds the views of the day that ends and of the day `next`.
    fn widen_by_day_end(&self, scope: &mut ViewScope, next: &str) {
        scope.load = true;
        scope.recents = true;
        scope.queues.extend(self.header.queues.keys().cloned());
        scope.stations.extend(self.header.stations.keys().cloned());
        scope.doctors.extend(self.header.doctors.keys().cloned());
        let quarters = self.header.quarters.keys().chain(self.indexes.day_counts.booked.keys());
        scope.quarters.extend(quarters);
        scope.appointments.extend(self.indexes.days.values().flatten().cloned());
        let coming = self.bounds_of_day(next);
        let is_coming =
            |one: &&Appointment| one.fact.start.is_some_and(|start| coming.contains(&start));
        for appointment in self.appointments.values().filter(is_coming) {
            widen_by_appointment(scope, appointment);
        }
    }
}

/// The ticket of the appointment's patient, who is here.
fn live_ticket(appointment: &Appointment) -> Option<&TicketId> {
    appointment.visit().filter(|visit| visit.is_live()).map(|visit| &visit.ticket)
}

/// Adds an appointment, its quarter hour and its doctor.
fn widen_by_appointment(scope: &mut ViewScope, appointment: &Appointment) {
    scope.appointments.insert(appointment.id.clone());
    scope.quarters.extend(appointment.fact.start.map(quarter_of));
    scope.doctors.extend(appointment.fact.doctor.as_ref().map(|doctor| doctor.id.clone()));
}
