//! The content of each entry of a location's views.

use schemas::{
    appointment::{AppointmentView, AppointmentVisit, ScheduleEntry, ScheduleHead, ScheduleTicket},
    clinic::ClinicInfo,
    ids::{DoctorId, QueueId, StationId, TicketId},
    line::{BoardCall, BoardHead, BoardQueue, QueueEntry, QueueHead},
    settings::{
        BrandingSettings, DisplaySettings, LocationSettings, MessageSettings, PrivacySettings,
        QueueSettings, StationSettings,
    },
    ticket::{Call, QueueState, TicketEntry, TicketView},
};

use crate::location::{
    Location,
    state::{Appointment, Display, DoctorDay, Queue, RecentCall, Station, Visit},
    ticket::Ticket,
};

impl Location {
    pub(super) fn schedule_head(&self, id: &DoctorId, doctor: &DoctorDay) -> ScheduleHead {
        ScheduleHead {
            doctor: doctor.name.clone(),
            day: self.header.day.clone(),
            time_zone: self.header.time_zone.clone(),
            delay_min: doctor.delay_min,
            waiting_since: self.waiting_since(id),
        }
    }

    /// The view of an appointment with `clinic`, which is what it shows or is to show of the
    /// location.
    pub(super) fn appointment_view(
        &self,
        appointment: &Appointment,
        clinic: ClinicInfo,
    ) -> AppointmentView {
        let fact = &appointment.fact;
        let visit = appointment.visit();
        let doctor = fact.doctor.as_ref().and_then(|doctor| self.header.doctors.get(&doctor.id));
        let today = self.is_today(appointment);
        let to_come = today && appointment.is_open();
        AppointmentView {
            appointment: appointment.id.clone(),
            status: appointment.status,
            start: fact.start,
            end: fact.end,
            late: appointment.late,
            // An appointment on a later day keeps the name that its fact gave. Otherwise a doctor's
            // new name would have to be applied to every day.
            doctor: match (today, doctor) {
                (true, Some(doctor)) => Some(doctor.name.clone()),
                _ => fact.doctor.as_ref().map(|doctor| doctor.name.clone()),
            },
            delay_min: doctor.filter(|_| to_come).map_or(0, |doctor| doctor.delay_min),
            waiting_since: fact
                .doctor
                .as_ref()
                .filter(|_| to_come && doctor.is_some())
                .and_then(|doctor| self.waiting_since(&doctor.id)),
            ticket: visit.map(|visit| visit.ticket.clone()),
            ticket_label: visit.map(|visit| visit.label.clone()),
            visits: appointment.visits.iter().map(visit_entry).collect(),
            reason: fact.reason.clone(),
            moving_to: appointment
                .moving
                .as_ref()
                .map(|moving| moving.handover.successor.location()),
            successor: appointment.successor.clone(),
            clinic,
        }
    }

    fn station_name(&self, id: &StationId) -> String {
        self.header.stations.get(id).map(|station| station.name.clone()).unwrap_or_default()
    }

    pub(super) fn location_settings(&self) -> LocationSettings {
        let header = &self.header;
        LocationSettings {
            name: header.name.clone(),
            time_zone: header.time_zone.clone(),
            languages: header.languages.clone(),
            timers: header.timers.clone(),
            bands: header.bands.clone(),
            call_order: header.call_order,
            address: header.address.clone(),
            edition: header.editions.location,
            queue_order_edition: header.editions.queue_order,
        }
    }

    /// The privacy settings of lines and boards. `None` before an admin has changed them.
    pub(super) fn privacy_settings(&self) -> Option<PrivacySettings> {
        let edition = self.header.editions.privacy;
        (edition > 0).then_some(PrivacySettings { privacy: self.header.privacy, edition })
    }

    /// The messages of the boards. `None` before an admin has changed them.
    pub(super) fn message_settings(&self) -> Option<MessageSettings> {
        let edition = self.header.editions.messages;
        (edition > 0).then(|| MessageSettings { messages: self.header.messages.clone(), edition })
    }

    /// The colour and the logo. `None` before an admin has changed them.
    pub(super) fn branding_settings(&self) -> Option<BrandingSettings> {
        let edition = self.header.editions.branding;
        (edition > 0).then(|| BrandingSettings { branding: self.header.branding.clone(), edition })
    }

    pub(super) fn board_head(&self) -> BoardHead {
        BoardHead {
            name: self.header.name.clone(),
            time_zone: self.header.time_zone.clone(),
            languages: self.header.languages.clone(),
            messages: self.header.messages.clone(),
            branding: self.header.branding.clone(),
        }
    }

    pub(in crate::location) fn queue_head(&self, id: &QueueId, queue: &Queue) -> QueueHead {
        QueueHead {
            name: queue.name.clone(),
            state: queue.state,
            prefix: queue.prefix.clone(),
            service_s: queue.service.expected_s(),
            servers: self.indexes.tallies.get(id).map_or(0, |tally| tally.stations),
            last_call_at: queue.last_call_at,
            message: queue.message.clone(),
            clinic: self.clinic(),
        }
    }

    pub(super) fn board_queue(&self, id: &QueueId, queue: &Queue) -> BoardQueue {
        let waiting = self.indexes.tallies.get(id).map_or(0, |tally| tally.waiting.len());
        let shown = self.header.privacy.boards.waiting;
        BoardQueue {
            name: queue.name.clone(),
            state: queue.state,
            waiting: shown.then(|| u32::try_from(waiting).unwrap_or(u32::MAX)),
            place: queue.place,
            message: queue.message.clone(),
        }
    }

    pub(in crate::location) fn queue_entry(&self, ticket: &Ticket) -> QueueEntry {
        let standing = &ticket.standing;
        QueueEntry {
            label: ticket.label.clone(),
            state: standing.state,
            priority: standing.priority,
            priority_reason: standing.priority_reason.clone(),
            rank: standing.rank,
            issued_at: ticket.issued_at,
            called_at: standing.called_at,
            started_at: standing.started_at,
            station: standing.station.as_ref().map(|station| self.station_name(station)),
            recalls: standing.recalls,
            reason: standing.reason.clone(),
            moving_to: ticket.moving_to().cloned(),
            moved_from: ticket.from.as_ref().map(TicketId::location),
            appointment: self.line_appointment(ticket),
        }
    }

    pub(super) fn current_call(&self, ticket: &Ticket) -> BoardCall {
        let standing = &ticket.standing;
        let (name, doctor) = self.call_person(ticket);
        BoardCall {
            label: ticket.label.clone(),
            station: standing
                .station
                .as_ref()
                .map(|station| self.station_name(station))
                .unwrap_or_default(),
            at: standing.called_at.unwrap_or_default(),
            recalls: standing.recalls,
            current: true,
            name,
            doctor,
        }
    }

    pub(super) fn recent_call(&self, recent: &RecentCall) -> BoardCall {
        BoardCall {
            label: recent.label.clone(),
            station: self.station_name(&recent.station),
            at: recent.at,
            recalls: recent.recalls,
            current: false,
            name: None,
            doctor: None,
        }
    }

    pub(super) fn place_of(&self, ticket: &Ticket) -> TicketEntry {
        if ticket.is_live() {
            TicketEntry::In(ticket.standing.queue.clone())
        } else {
            TicketEntry::Ended(Box::new(self.last_view(ticket)))
        }
    }

    /// The last state of an ended ticket, as its patient sees it.
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
            queue_message: queue.and_then(|queue| queue.message.clone()),
            state: standing.state,
            issued_at: ticket.issued_at,
            position: None,
            ahead: None,
            estimate: None,
            no_estimate: None,
            call,
            reason: standing.reason.clone(),
            moving_to: None,
            successor: standing.successor.clone(),
            clinic: self.clinic(),
        }
    }
}

pub(super) fn queue_settings(queue: &Queue) -> QueueSettings {
    QueueSettings {
        name: queue.name.clone(),
        prefix: queue.prefix.clone(),
        service_s: queue.service.configured_s,
        max_tickets: queue.max_tickets,
        state: queue.state,
        place: queue.place,
        edition: queue.edition,
    }
}

pub(super) fn display_settings(display: &Display) -> DisplaySettings {
    DisplaySettings {
        name: display.name.clone(),
        paired_at: display.paired_at,
        check_in_point: display.check_in_point.clone(),
        edition: display.edition,
    }
}

pub(super) fn station_settings(station: &Station) -> StationSettings {
    StationSettings {
        name: station.name.clone(),
        open: station.open,
        queues: station.queues.clone(),
        edition: station.edition,
    }
}

pub(super) fn schedule_entry(appointment: &Appointment) -> ScheduleEntry {
    let fact = &appointment.fact;
    ScheduleEntry {
        status: appointment.status,
        start: fact.start,
        end: fact.end,
        late: appointment.late,
        label: fact.label.clone(),
        reason: fact.reason.clone(),
        ticket: appointment
            .visit()
            .map(|visit| ScheduleTicket { label: visit.label.clone(), state: visit.state }),
    }
}

fn visit_entry(visit: &Visit) -> AppointmentVisit {
    AppointmentVisit {
        ticket: visit.ticket.clone(),
        label: visit.label.clone(),
        ended: visit.state.is_end().then_some(visit.state),
    }
}
