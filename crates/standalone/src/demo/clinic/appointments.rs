//! Appointments: the book of each doctor, the facts it reports, and whether patients come.

use schemas::{
    Millis,
    appointment::{AppointmentChange, AppointmentFact, AppointmentStatus},
    command::{Command, CommandResult},
    ids::{AppointmentId, SourceKey, TicketId},
};

use super::{
    super::plan::{self, DOCTORS, FILLED, MINUTE, ROOMS},
    DemoClinic, Happening,
    people::Place,
};

/// Slots that a book is filled ahead of time.
const AHEAD: Millis = 8;
/// Slots before the start that are filled too.
const BEHIND: Millis = 4;
/// Minutes after its end at which an appointment is forgotten: late patients have come by then, and
/// the timer of the location has fired.
const LAST_WORD: f64 = 60.0;

const REASONS: [&str; 4] =
    ["Patient called off", "Doctor away", "Referred elsewhere", "Booked twice"];

/// One appointment in a book.
pub(super) struct Booking {
    pub(super) doctor: usize,
    /// The id of the appointment at the location, once the location has answered.
    pub(super) id: Option<AppointmentId>,
    /// The last reported fact.
    pub(super) fact: AppointmentFact,
    /// The fact reported before that.
    before: Option<AppointmentFact>,
    /// Whether the patient will come.
    pub(super) expected: bool,
    pub(super) checked_in: bool,
    /// The ticket of the check-in.
    pub(super) ticket: Option<TicketId>,
}

/// The kinds of facts that the book may report.
#[derive(Debug, Clone, Copy)]
pub(super) enum FactKind {
    Rescheduled,
    Modified,
    CalledOff,
    Arrived,
    NoShow,
    Mistaken,
    /// The last fact again.
    Again,
    /// The fact before it, which arrives late.
    Belated,
}

/// The first slot that begins after `now`.
pub(super) fn slot_after(now: Millis, slot: Millis) -> Millis {
    (now.div_euclid(slot) + 1) * slot
}

impl DemoClinic {
    /// Opens each doctor's book some slots before now.
    pub(super) fn open_books(&mut self) {
        for (doctor, plan) in DOCTORS.iter().enumerate() {
            let slot = plan.slot(self.pace);
            self.books.push(slot_after(self.now, slot) - BEHIND * slot);
            self.plan(0.0, Happening::Books(doctor));
        }
    }

    /// Fills the next slot of a doctor's book, or leaves it free.
    pub(super) fn next_slot(&mut self, doctor: usize) -> Option<Command> {
        let slot = DOCTORS[doctor].slot(self.pace);
        let start = self.books[doctor];
        self.books[doctor] += slot;
        self.plan_at(start + slot - AHEAD * slot, Happening::Books(doctor));
        if self.taken.remove(&(doctor, start)) || !self.chance.happens(FILLED) {
            return None;
        }
        let status = match start > self.now {
            true => AppointmentStatus::Booked,
            false if self.chance.happens(0.85) => AppointmentStatus::Fulfilled,
            false if self.chance.happens(0.5) => AppointmentStatus::Noshow,
            false => AppointmentStatus::Cancelled,
        };
        let fact = self.fact(doctor, start, status);
        let booking = Booking {
            doctor,
            id: None,
            fact: fact.clone(),
            before: None,
            expected: false,
            checked_in: false,
            ticket: None,
        };
        self.plan_at(
            start + slot + self.pace.ms(LAST_WORD),
            Happening::Forgotten(fact.key.clone()),
        );
        self.bookings.insert(fact.key.clone(), booking);
        Some(self.report(None, fact))
    }

    fn fact(&mut self, doctor: usize, start: Millis, status: AppointmentStatus) -> AppointmentFact {
        let plan = &DOCTORS[doctor];
        // The slot is the key, so that a restarted demo reports the same appointment.
        let key = format!("{}-{}", plan.slug, start / MINUTE);
        AppointmentFact {
            source: plan::source(),
            key: SourceKey::new(key).expect("a slug and a number"),
            revision: u64::try_from(self.now).unwrap_or_default(),
            revision_is_time: true,
            status,
            start: Some(start),
            end: Some(start + plan.slot(self.pace)),
            doctor: Some(plan.doctor()),
            queue: Some(self.queues[ROOMS[plan.room].queue].clone()),
            label: Some(self.initials()),
            reason: (status == AppointmentStatus::Cancelled).then(|| self.reason()),
            moved_to: None,
        }
    }

    fn initials(&mut self) -> String {
        let mut letter = || char::from(b'A' + self.chance.below(26) as u8);
        format!("{}. {}.", letter(), letter())
    }

    fn reason(&mut self) -> String {
        REASONS[self.chance.below(REASONS.len())].to_owned()
    }

    fn report(&mut self, id: Option<AppointmentId>, fact: AppointmentFact) -> Command {
        // A proposed id, as for a ticket.
        let appointment =
            id.unwrap_or_else(|| AppointmentId::from_random(&self.location, self.chance.bits()));
        Command::ReportAppointment { appointment, fact }
    }

    pub(super) fn news(&mut self, key: &SourceKey, news: FactKind) -> Option<Command> {
        let booking = self.bookings.get(key)?;
        let id = booking.id.clone()?;
        let fact = match news {
            FactKind::Again => booking.fact.clone(),
            FactKind::Belated => booking.before.clone()?,
            _ => self.newer(key, news)?,
        };
        Some(self.report(Some(id), fact))
    }

    /// The fact to report, or `None` when later events have made it obsolete.
    fn newer(&mut self, key: &SourceKey, news: FactKind) -> Option<AppointmentFact> {
        let booking = self.bookings.get(key)?;
        let (doctor, checked_in) = (booking.doctor, booking.checked_in);
        let mut fact = booking.fact.clone();
        fact.revision = u64::try_from(self.now).unwrap_or_default().max(fact.revision + 1);
        let to_come = !checked_in && fact.status == AppointmentStatus::Booked;
        match news {
            FactKind::Rescheduled if to_come => {
                let start = self.free_slot(doctor)?;
                (fact.start, fact.end) =
                    (Some(start), Some(start + DOCTORS[doctor].slot(self.pace)));
            }
            FactKind::Modified if to_come && self.chance.happens(0.5) => {
                fact.doctor = Some(DOCTORS[(doctor + 1) % DOCTORS.len()].doctor());
            }
            FactKind::Modified if to_come => fact.label = Some(self.initials()),
            FactKind::Arrived if to_come => fact.status = AppointmentStatus::Arrived,
            FactKind::Mistaken if to_come => fact.status = AppointmentStatus::EnteredInError,
            FactKind::CalledOff if to_come || self.may_still_go(key) => {
                fact.status = AppointmentStatus::Cancelled;
                fact.reason = Some(self.reason());
            }
            // Once the patient has checked in, the location knows better.
            FactKind::NoShow if to_come || checked_in => fact.status = AppointmentStatus::Noshow,
            _ => return None,
        }
        Some(fact)
    }

    /// Whether the patient has checked in and is not with the doctor yet.
    fn may_still_go(&self, key: &SourceKey) -> bool {
        let booking = self.bookings.get(key).filter(|booking| booking.checked_in);
        let ticket = booking.and_then(|booking| booking.ticket.clone());
        let person = ticket.and_then(|ticket| self.people.get(&ticket));
        person.is_some_and(|person| !matches!(person.place, Place::Served(_)))
    }

    /// Takes an undecided slot of the doctor.
    fn free_slot(&mut self, doctor: usize) -> Option<Millis> {
        let slot = DOCTORS[doctor].slot(self.pace);
        let next = self.books[doctor];
        let start = (0..AHEAD)
            .map(|n| next + n * slot)
            .find(|start| !self.taken.contains(&(doctor, *start)))?;
        self.taken.insert((doctor, start));
        Some(start)
    }

    /// Takes the location's answer to a fact.
    pub(super) fn told(&mut self, fact: &AppointmentFact, result: &CommandResult) {
        let Some(booking) = self.bookings.get_mut(&fact.key) else {
            return;
        };
        let first = booking.id.is_none();
        if result.appointment.is_some() {
            booking.id.clone_from(&result.appointment);
        }
        if matches!(
            result.change,
            None | Some(AppointmentChange::Repeated | AppointmentChange::Stale)
        ) {
            return;
        }
        if fact.revision > booking.fact.revision {
            booking.before = Some(std::mem::replace(&mut booking.fact, fact.clone()));
        }
        if let Some(doctor) = DOCTORS.iter().position(|plan| Some(plan.doctor()) == fact.doctor) {
            booking.doctor = doctor;
        }
        let (key, ticket, started) =
            (&fact.key, booking.ticket.clone(), fact.start <= Some(self.now));
        match fact.status {
            AppointmentStatus::Booked if first => self.plan_fate(key),
            AppointmentStatus::Booked if result.change == Some(AppointmentChange::Rescheduled) => {
                self.plan_coming(key)
            }
            AppointmentStatus::Cancelled if result.change == Some(AppointmentChange::Cancelled) => {
                if let Some(ticket) = ticket {
                    self.gone(&ticket);
                }
            }
            _ => {}
        }
        if !(first && started) {
            self.plan_echo(key);
        }
    }

    /// The booking with this id at the location.
    pub(super) fn booking_of(
        &mut self,
        appointment: &AppointmentId,
    ) -> Option<(&SourceKey, &mut Booking)> {
        self.bookings.iter_mut().find(|(_, booking)| booking.id.as_ref() == Some(appointment))
    }

    /// Remembers a rescheduled appointment until its new time is over.
    pub(super) fn forget(&mut self, key: SourceKey) -> Option<Command> {
        let end = self.bookings.get(&key).and_then(|booking| booking.fact.end)?;
        let last_word = end + self.pace.ms(LAST_WORD);
        if self.now < last_word {
            self.plan_at(last_word, Happening::Forgotten(key));
        } else {
            self.bookings.remove(&key);
        }
        None
    }

    /// Appointments whose patients are still to come, the next first, at least a minute ahead.
    pub fn appointments(&self) -> Vec<AppointmentId> {
        let coming = self.bookings.values().filter(|booking| {
            booking.expected
                && !booking.checked_in
                && booking.fact.status == AppointmentStatus::Booked
        });
        let mut coming: Vec<_> =
            coming.filter_map(|booking| Some((booking.fact.start?, booking.id.clone()?))).collect();
        coming.sort_by_key(|(start, _)| (*start < self.now + MINUTE, *start));
        coming.into_iter().map(|(_, id)| id).collect()
    }
}
