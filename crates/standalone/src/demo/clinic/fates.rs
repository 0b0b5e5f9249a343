//! The fate of a booked appointment: cancelled, moved, missed, late or kept.

use schemas::{
    Millis,
    appointment::AppointmentStatus,
    codes::Code,
    command::Command,
    ids::{AppointmentId, SourceKey, TicketId},
};

use super::{
    super::plan::{DOCTORS, ROOMS},
    DemoClinic, Happening,
    appointments::FactKind,
};

impl DemoClinic {
    /// Draws the fate of a booked appointment.
    pub(super) fn plan_fate(&mut self, key: &SourceKey) {
        let Some(start) = self.bookings.get(key).and_then(|booking| booking.fact.start) else {
            return;
        };
        let share = self.chance.between(0.1, 0.9);
        let meanwhile = self.now + ((start - self.now) as f64 * share) as Millis;
        let (at, news) = match self.chance.between(0.0, 1.0) {
            x if x < 0.08 => (meanwhile, FactKind::CalledOff),
            x if x < 0.14 => (meanwhile, FactKind::Rescheduled),
            x if x < 0.16 => (meanwhile, FactKind::Mistaken),
            x if x < 0.2 => (start + self.pace.ms(25.0), FactKind::NoShow),
            // The timer of the location will end it.
            x if x < 0.23 => return,
            x => {
                self.plan_coming(key);
                if x > 0.3 {
                    return;
                }
                (meanwhile, FactKind::Modified)
            }
        };
        self.plan_at(at, Happening::Tells(key.clone(), news));
    }

    /// The arrival of a patient; one in five is late.
    pub(super) fn plan_coming(&mut self, key: &SourceKey) {
        let late = self.chance.happens(0.2);
        let minutes =
            if late { self.chance.between(2.0, 15.0) } else { self.chance.between(-12.0, -2.0) };
        let Some(booking) = self.bookings.get_mut(key) else {
            return;
        };
        booking.expected = true;
        let at = booking.fact.start.unwrap_or(self.now) + self.pace.ms(minutes);
        self.plan_at(at, Happening::ChecksIn(key.clone()));
        if self.chance.happens(0.1) {
            self.plan_at(at - self.pace.ms(1.0), Happening::Tells(key.clone(), FactKind::Arrived));
        }
    }

    /// Sometimes a fact arrives twice, or after a newer one.
    pub(super) fn plan_echo(&mut self, key: &SourceKey) {
        let news = match self.chance.between(0.0, 1.0) {
            x if x < 0.05 => FactKind::Again,
            x if x < 0.2 => FactKind::Belated,
            _ => return,
        };
        self.plan_between(0.5, 3.0, Happening::Tells(key.clone(), news));
    }

    pub(super) fn check_in(&mut self, key: &SourceKey) -> Option<Command> {
        let booking = self.bookings.get(key)?;
        let open =
            matches!(booking.fact.status, AppointmentStatus::Booked | AppointmentStatus::Arrived);
        let appointment = booking.id.clone().filter(|_| open && !booking.checked_in)?;
        Some(Command::CheckIn { appointment, queue: None })
    }

    /// The patient is in line. A few are cancelled even now, and for some the book reports a
    /// no-show.
    pub(super) fn checked_in(&mut self, appointment: &AppointmentId, ticket: &TicketId) {
        let Some((key, booking)) = self.booking_of(appointment) else {
            return;
        };
        booking.checked_in = true;
        booking.ticket = Some(ticket.clone());
        let (key, doctor, start) =
            (key.clone(), booking.doctor, booking.fact.start.unwrap_or(self.now));
        self.joins(ticket.clone(), ROOMS[DOCTORS[doctor].room].queue, Some((doctor, start)));
        self.plan_turn(ticket.clone());
        match self.chance.between(0.0, 1.0) {
            x if x < 0.03 => {
                self.plan_between(1.0, 4.0, Happening::Tells(key, FactKind::CalledOff))
            }
            x if x < 0.08 => self.plan_between(1.0, 4.0, Happening::Tells(key, FactKind::NoShow)),
            _ => {}
        }
    }

    /// Another person has checked the patient in, who then waits like all others; or the queue is
    /// closed.
    pub(super) fn not_checked_in(&mut self, appointment: &AppointmentId, code: Code) {
        let Some((_, booking)) = self.booking_of(appointment) else {
            return;
        };
        booking.expected = false;
        booking.checked_in = code == Code::AlreadyCheckedIn;
        let (doctor, start) = (booking.doctor, booking.fact.start.unwrap_or_default());
        // A patient of the demo checks in once.
        let ticket = appointment.visit_ticket(0);
        if code == Code::AlreadyCheckedIn && !self.people.contains_key(&ticket) {
            self.joins(ticket, ROOMS[DOCTORS[doctor].room].queue, Some((doctor, start)));
        }
    }
}
