//! Timers end absences, forgotten tickets, appointments to which nobody came, and the service day.
//!
//! Each timer is due at its own time, and its events have that time. So a late tick gives the same
//! state as a tick in time.

use schemas::{
    Millis,
    appointment::AppointmentStatus,
    event::{Event, Expiry},
    ticket::TicketState,
};

use super::{
    Location,
    indexes::TimerTarget,
    settings,
    state::{Appointment, Ticket},
};

impl Location {
    /// When the next timer is due. `None` before the location is configured.
    pub fn due(&self) -> Option<Millis> {
        let first = self.indexes.timers.first().map(|(at, _)| *at);
        self.exists().then(|| first.map_or(self.day_ends, |at| at.min(self.day_ends)))
    }

    /// The event of the first timer that is due at the current time of the location.
    pub(super) fn next_due(&self) -> Option<Event> {
        if self.due()? > self.header.now {
            return None;
        }
        match self.indexes.timers.first() {
            Some((at, due)) if *at <= self.day_ends => Some(self.fires(due, *at)),
            _ => Some(self.end_of_day()),
        }
    }

    fn fires(&self, due: &TimerTarget, at: Millis) -> Event {
        match due {
            TimerTarget::Ticket(id) => {
                let (state, why) = match self.tickets[id].standing.state {
                    TicketState::Absent => (TicketState::NoShow, Expiry::AbsentTooLong),
                    // Somebody forgot to complete the ticket: the patient was served.
                    TicketState::InService => (TicketState::Completed, Expiry::Stale),
                    _ => (TicketState::Left, Expiry::Stale),
                };
                Event::TicketExpired { ticket: id.clone(), state, why, at }
            }
            TimerTarget::Appointment(id) if self.appointments[id].late => {
                Event::AppointmentMissed { appointment: id.clone(), at }
            }
            TimerTarget::Appointment(id) => Event::AppointmentLate { appointment: id.clone(), at },
        }
    }

    /// Tickets that end with the day end one at a time. When none is left, the day itself ends.
    fn end_of_day(&self) -> Event {
        let at = self.day_ends;
        match self.indexes.live.first().filter(|_| self.header.timers.day_ends_tickets) {
            Some(id) => {
                let state = match self.tickets[id].standing.state {
                    TicketState::InService => TicketState::Completed,
                    TicketState::Called | TicketState::Absent => TicketState::NoShow,
                    _ => TicketState::Left,
                };
                Event::TicketExpired { ticket: id.clone(), state, why: Expiry::DayEnded, at }
            }
            None => {
                let start = self.header.timers.day_start_min;
                let next = settings::service_day(&self.zone, start, self.header.now);
                Event::DayEnded { day: self.header.day.clone(), next, at }
            }
        }
    }

    /// When the timer of the ticket is due. Every live ticket has one, so that nobody who is
    /// forgotten stays in a line for ever.
    pub(super) fn ticket_due(&self, ticket: &Ticket) -> Option<Millis> {
        let timers = &self.header.timers;
        let after_s = match ticket.standing.state {
            state if state.is_end() => return None,
            TicketState::Absent => timers.absent_grace_s,
            _ => timers.stale_s,
        };
        Some(ticket.moved_at + Millis::from(after_s) * 1000)
    }

    /// When the timer of the appointment is due. Only a booked appointment has a timer, before
    /// anybody checked in and after its day has started. Appointments of later days need not be in
    /// memory.
    pub(super) fn appointment_due(&self, appointment: &Appointment) -> Option<Millis> {
        let begun = appointment.day.as_ref().is_some_and(|day| *day <= self.header.day);
        if appointment.status != AppointmentStatus::Booked || !begun {
            return None;
        }
        let start = appointment.fact.start?;
        let after_s = if appointment.late { self.header.timers.no_show_s } else { 0 };
        let at = start + Millis::from(after_s) * 1000;
        // After a visit that ended early, the timers go on where the visit ended.
        let ended = appointment.visits.last().and_then(|visit| visit.ended_at);
        Some(ended.map_or(at, |ended| at.max(ended)))
    }

    /// Sets every timer again, after the timers or the time zone of the location changed.
    pub(super) fn set_timers(&mut self) {
        self.indexes.timers.clear();
        for ticket in self.tickets.values() {
            if let Some(at) = self.ticket_due(ticket) {
                self.indexes.timers.insert((at, TimerTarget::Ticket(ticket.id.clone())));
            }
        }
        for appointment in self.appointments.values() {
            if let Some(at) = self.appointment_due(appointment) {
                self.indexes.timers.insert((at, TimerTarget::Appointment(appointment.id.clone())));
            }
        }
        let (day, start) = (&self.header.day, self.header.timers.day_start_min);
        (self.day_starts, self.day_ends) = match day.as_str() {
            "" => (0, Millis::MAX),
            day => (
                settings::day_start(&self.zone, start, day),
                settings::day_end(&self.zone, start, day),
            ),
        };
    }
}
