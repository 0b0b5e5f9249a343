//! Timers end absences, forgotten tickets, appointments to which nobody came, and the service day.
//! Other timers repeat the questions about moves (`questions.rs`).
//!
//! Each timer is due at its own time, and its events have that time. So a late tick gives the same
//! state as a tick in time.
//!
//! Timers fire in slices, so that ten thousand tickets that end together make many small steps. The
//! service day itself always ends first: a record is decided on the day of its own time, however
//! many timers wait. A part whose timer waits is *overdue*: nobody calls an overdue ticket, and a
//! command that names an overdue part fires its timers before it is decided.

use std::{collections::BTreeSet, ops::Range};

use schemas::{
    Millis,
    appointment::AppointmentStatus,
    codes::Code,
    command::Command,
    event::{Event, Expiry},
    ids::TicketId,
    ticket::TicketState,
};

use super::{
    Location, handover, indexes::TimerTarget, settings, state::Appointment, ticket::Ticket,
};

/// Most parts that change in one step because timers fire, besides those that the record names. A
/// ticket counts once and an appointment twice, because its views are larger. So a step fits into a
/// record even with the longest names allowed, and takes about 15 ms in the database. Further
/// timers fire with the next record: a tick follows while some are due.
pub(super) const SLICE: usize = 200;
/// The share of an appointment in a slice.
const APPOINTMENT_WEIGHT: usize = 2;

/// How long after its service day an appointment stays open that its source reported as arrived, or
/// never confirmed: a day, so that a source that reports once a night can still say how it ended.
const SILENT_FOR: Millis = 24 * 60 * 60 * 1000;

impl Location {
    /// When the next timer is due: at once while appointments are to be renewed. `None` before the
    /// location is configured.
    pub fn due(&self) -> Option<Millis> {
        if self.header.renewal.is_some() {
            return Some(self.header.now);
        }
        let first = self.indexes.timers.first().map(|(at, _)| *at);
        self.exists().then(|| first.map_or(self.header.day_ends, |at| at.min(self.header.day_ends)))
    }

    /// The event of the first timer that is due at the current time of the location.
    pub(super) fn next_due(&self) -> Option<Event> {
        if !self.exists() {
            return None;
        }
        if self.header.day_ends <= self.header.now {
            return Some(self.end_of_day());
        }
        let due = self.indexes.timers.first().filter(|(at, _)| *at <= self.header.now);
        due.and_then(|(at, due)| self.fires(due, *at)).or_else(|| self.next_renewal())
    }

    /// How much of a slice the event of a timer takes. The end of a day changes the schedules of
    /// its appointments.
    pub(super) fn weight(&self, event: &Event) -> usize {
        let appointments = match event {
            Event::DayEnded { .. } => self.indexes.days.values().map(BTreeSet::len).sum(),
            Event::AppointmentsRenewed { appointments, .. } => appointments.len(),
            Event::TicketExpired { ticket, .. } | Event::TicketStayed { ticket, .. } => {
                let ticket = self.ticket(ticket);
                usize::from(ticket.is_some_and(|ticket| ticket.appointment.is_some()))
            }
            _ => return APPOINTMENT_WEIGHT,
        };
        1 + appointments * APPOINTMENT_WEIGHT
    }

    /// The event of the timer of one part, if it is overdue.
    pub(super) fn overdue(&self, part: &TimerTarget) -> Option<Event> {
        let due = match part {
            TimerTarget::Ticket(id) => self.ticket_due(self.tickets.get(id)?),
            TimerTarget::Appointment(id) => self.appointment_due(self.appointments.get(id)?),
            // A repeated question changes nothing that a command depends on.
            TimerTarget::TicketMove(_) | TimerTarget::AppointmentMove(_) => None,
        };
        self.fires(part, due.filter(|at| *at <= self.header.now)?)
    }

    /// Whether a timer of the ticket is overdue, so that the ticket ends with the next slices.
    pub(super) fn is_overdue(&self, id: &TicketId) -> bool {
        let waits = self.indexes.timers.first().is_some_and(|(at, _)| *at <= self.header.now);
        let due = || self.ticket_due(self.tickets.get(id)?);
        waits && due().is_some_and(|at| at <= self.header.now)
    }

    /// The parts whose state decides about the command. The tickets of a whole line are not among
    /// them: where a command concerns a line, its decision passes over those that are overdue.
    pub(super) fn timers_before(&self, command: &Command) -> Vec<TimerTarget> {
        let reported = match command {
            Command::ReportAppointment { fact, .. } | Command::ReceiveAppointment { fact, .. } => {
                self.appointment_by_source(&fact.source, &fact.key).map(|held| &held.id)
            }
            _ => None,
        };
        let named = command.ticket().and_then(|id| self.ticket(id));
        let of_ticket = named.and_then(|ticket| ticket.appointment.as_ref());
        let appointments: Vec<_> = [command.appointment(), reported, of_ticket]
            .into_iter()
            .flatten()
            .filter_map(|id| self.appointment(id))
            .collect();
        let visits = appointments.iter().filter_map(|held| held.visit()).map(|visit| &visit.ticket);
        let station = match command {
            Command::CallNext { station, .. }
            | Command::CallNextAtStation { station, .. }
            | Command::CallTicket { station, .. } => Some(station),
            Command::RevertTicket { .. } => {
                named.and_then(|ticket| ticket.undo.as_ref()?.standing.station.as_ref())
            }
            _ => None,
        };
        let called = station.into_iter().flat_map(|station| self.called_to(station));
        let tickets = command.ticket().into_iter().chain(visits).chain(called).cloned();
        let appointments = appointments.iter().map(|held| held.id.clone());
        // An appointment may be due only after its ticket has ended.
        tickets.map(TimerTarget::Ticket).chain(appointments.map(TimerTarget::Appointment)).collect()
    }

    fn fires(&self, due: &TimerTarget, at: Millis) -> Option<Event> {
        Some(match due {
            TimerTarget::TicketMove(id) => return self.asks_about_ticket(id),
            TimerTarget::AppointmentMove(id) => return self.asks_about_appointment(id),
            TimerTarget::Ticket(id) => self.ticket_fires(&self.tickets[id], at),
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
        })
    }

    fn ticket_fires(&self, ticket: &Ticket, at: Millis) -> Event {
        use TicketState as S;
        let own = self.own_timer(ticket).is_some_and(|own| own <= at);
        let (state, why) = match (ticket.standing.state, own) {
            // A person who was on the way when the day ended does not come back to it. The
            // destination alone decides whether the person stands in its line.
            (S::Leaving, _) if self.day_is_over(ticket, at) => (S::Left, Expiry::DayEnded),
            (S::Leaving, _) => return handover::stayed(ticket, Code::MoveTimedOut, true, at),
            (S::Absent, true) => (S::NoShow, Expiry::AbsentTooLong),
            // Somebody forgot to complete the ticket: the patient was served.
            (S::InService, true) => (S::Completed, Expiry::Stale),
            (_, true) => (S::Left, Expiry::Stale),
            (S::InService, false) => (S::Completed, Expiry::DayEnded),
            (S::Called | S::Absent, false) => (S::NoShow, Expiry::DayEnded),
            (_, false) => (S::Left, Expiry::DayEnded),
        };
        Event::TicketExpired { ticket: ticket.id.clone(), state, why, at }
    }

    fn end_of_day(&self) -> Event {
        let (day, at) = (self.header.day.clone(), self.header.day_ends);
        let start = self.header.timers.day_start_min;
        let next = settings::service_day(&self.zone, start, self.header.now);
        Event::DayEnded { day, next, at }
    }

    /// When the timer of the ticket is due: its own, or the end of its service day if that is
    /// earlier. Every live ticket has one, so that a forgotten ticket does not stay in a line for
    /// ever. The due time must not depend on the day that the location counts, because timers are
    /// not set again when a day ends.
    pub(super) fn ticket_due(&self, ticket: &Ticket) -> Option<Millis> {
        let own = self.own_timer(ticket)?;
        let ends = self.header.timers.day_ends_tickets;
        // A move is settled within its own time limit, whatever the day does.
        if !ends || ticket.standing.state == TicketState::Leaving {
            return Some(own);
        }
        Some(own.min(self.day_end_of(ticket)))
    }

    /// When the timer of the ticket's state is due.
    fn own_timer(&self, ticket: &Ticket) -> Option<Millis> {
        let timers = &self.header.timers;
        let after_s = match ticket.standing.state {
            state if state.is_end() => return None,
            TicketState::Leaving => {
                return ticket.handover.as_ref().map(|moving| moving.handover.until);
            }
            TicketState::Absent => timers.absent_grace_s,
            _ => timers.stale_s,
        };
        Some(ticket.moved_at + Millis::from(after_s) * 1000)
    }

    /// When the service day ends with which the ticket ends: the day of its label, or the later day
    /// on which it last moved or on which the clinic decided that tickets end with their day. So a
    /// ticket that staff take back after its day has ended lasts until the end of the day on which
    /// they did so.
    fn day_end_of(&self, ticket: &Ticket) -> Millis {
        let header = &self.header;
        let last = ticket.moved_at.max(header.day_ends_tickets_since);
        // Most tickets are of today, where the calendar need not be asked.
        if last < header.day_ends && (ticket.day == header.day || header.day_starts <= last) {
            return header.day_ends;
        }
        self.end_of_day_at(last).max(self.bounds_of_day(&ticket.day).end)
    }

    /// Whether `event` brings back a ticket whose service day has ended on the way. Staff did not
    /// take it back, so it does not last for another day: it ends as it would have at the end of
    /// its day.
    pub(super) fn stayed_too_late(&self, ticket: &Ticket, event: &Event) -> bool {
        let Event::TicketStayed { why, withdraws, at, .. } = event else { return false };
        let by_staff = *withdraws && *why == Code::MoveTakenBack;
        !by_staff && self.day_is_over(ticket, *at)
    }

    /// Whether the ticket had ended with its service day at this moment, had it waited.
    fn day_is_over(&self, ticket: &Ticket, at: Millis) -> bool {
        self.header.timers.day_ends_tickets && self.day_end_of(ticket) <= at
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

    /// Sets every timer again, after the timers or the time zone of the location changed. This
    /// changes no row and no view: a timer that is now overdue fires with the next slices.
    pub(super) fn set_timers(&mut self) {
        let tickets = self.tickets.values().flat_map(|ticket| self.ticket_timers(ticket));
        let held = self.appointments.values();
        let appointments = held.flat_map(|appointment| self.appointment_timers(appointment));
        self.indexes.timers = tickets.chain(appointments).flatten().collect();
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
