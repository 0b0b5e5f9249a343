//! Timers end absences, forgotten tickets, appointments to which nobody came, and the service day.
//!
//! Each timer is due at its own time, and its events have that time. So a late tick gives the same
//! state as a tick in time.

use std::ops::Range;

use schemas::{
    Millis,
    appointment::AppointmentStatus,
    codes::Code,
    event::{Event, Expiry},
    ticket::TicketState,
};

use super::{
    Location, handover, indexes::TimerTarget, settings, state::Appointment, ticket::Ticket,
};

/// How long after its service day an appointment stays open that its source reported as arrived, or
/// never confirmed: a day, so that a source that reports once a night can still say how it ended.
const SILENT_FOR: Millis = 24 * 60 * 60 * 1000;

impl Location {
    /// When the next timer is due. `None` before the location is configured.
    pub fn due(&self) -> Option<Millis> {
        let first = self.indexes.timers.first().map(|(at, _)| *at);
        self.exists().then(|| first.map_or(self.header.day_ends, |at| at.min(self.header.day_ends)))
    }

    /// The event of the first timer that is due at the current time of the location.
    pub(super) fn next_due(&self) -> Option<Event> {
        if self.due()? > self.header.now {
            return None;
        }
        match self.indexes.timers.first() {
            Some((at, due)) if *at <= self.header.day_ends => Some(self.fires(due, *at)),
            _ => Some(self.end_of_day()),
        }
    }

    fn fires(&self, due: &TimerTarget, at: Millis) -> Event {
        match due {
            TimerTarget::Ticket(id) => {
                let ticket = &self.tickets[id];
                let (state, why) = match ticket.standing.state {
                    TicketState::Leaving => {
                        return handover::stayed(ticket, Code::MoveTimedOut, true, at);
                    }
                    TicketState::Absent => (TicketState::NoShow, Expiry::AbsentTooLong),
                    // Somebody forgot to complete the ticket: the patient was served.
                    TicketState::InService => (TicketState::Completed, Expiry::Stale),
                    _ => (TicketState::Left, Expiry::Stale),
                };
                Event::TicketExpired { ticket: id.clone(), state, why, at }
            }
            TimerTarget::Appointment(id) => {
                let (held, appointment) = (&self.appointments[id], id.clone());
                match held.status {
                    AppointmentStatus::Booked if held.late => {
                        Event::AppointmentMissed { appointment, at }
                    }
                    AppointmentStatus::Booked => Event::AppointmentLate { appointment, at },
                    _ => {
                        let status = held.status_when(true);
                        Event::AppointmentClosed { appointment, status, at }
                    }
                }
            }
        }
    }

    /// Tickets that end with the day end one at a time. When none is left, the day itself ends.
    fn end_of_day(&self) -> Event {
        let at = self.header.day_ends;
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
            TicketState::Leaving => return ticket.handover.as_ref().map(|move_to| move_to.until),
            TicketState::Absent => timers.absent_grace_s,
            _ => timers.stale_s,
        };
        Some(ticket.moved_at + Millis::from(after_s) * 1000)
    }

    /// When the timer of the appointment is due. Every open appointment has one while its patient
    /// is not here, so that none stays open for ever when its source goes silent. It begins with
    /// the day of the appointment, since appointments of later days need not be in memory.
    pub(super) fn appointment_due(&self, appointment: &Appointment) -> Option<Millis> {
        if !appointment.is_open() || appointment.is_here() {
            return None;
        }
        let wakes_at = appointment.wakes_at().filter(|at| *at < self.header.day_ends)?;
        let at = match (appointment.fact.start, appointment.status) {
            (None, _) => wakes_at,
            (Some(start), AppointmentStatus::Booked) if appointment.late => {
                start + Millis::from(self.header.timers.no_show_s) * 1000
            }
            (Some(start), AppointmentStatus::Booked) => start,
            (Some(start), _) => self.end_of_day_at(start).saturating_add(SILENT_FOR),
        };
        // After a visit that ended early, the timers go on where the visit ended.
        let ended = appointment.visits.last().and_then(|visit| visit.ended_at);
        Some(ended.map_or(at, |ended| at.max(ended)))
    }

    /// When the service day of this moment ends.
    pub(super) fn end_of_day_at(&self, at: Millis) -> Millis {
        let start = self.header.timers.day_start_min;
        settings::day_end(&self.zone, start, &settings::service_day(&self.zone, start, at))
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
    }

    /// Sets the bounds of the service day, after the day, its start or the time zone changed.
    pub(super) fn set_day_bounds(&mut self) {
        let Range { start, end } = match self.header.day.as_str() {
            "" => 0..Millis::MAX,
            day => self.bounds_of_day(day),
        };
        (self.header.day_starts, self.header.day_ends) = (start, end);
    }

    /// The service day `day` as moments.
    pub(super) fn bounds_of_day(&self, day: &str) -> Range<Millis> {
        let start = self.header.timers.day_start_min;
        settings::day_start(&self.zone, start, day)..settings::day_end(&self.zone, start, day)
    }
}
