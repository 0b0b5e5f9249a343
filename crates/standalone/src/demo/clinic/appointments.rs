//! Appointments: the book of each doctor, what it tells the location of them, and whether their patients come.

use schemas::{
    Millis,
    appointment::{AppointmentChange, AppointmentFact, AppointmentStatus, SourceKey},
    command::{Command, CommandResult},
    ids::AppointmentId,
};

use super::{
    super::plan::{self, DOCTORS, MINUTE, ROOMS},
    DemoClinic, Happening,
    people::Place,
};

/// Slots a book is filled ahead of the time.
const AHEAD: Millis = 8;
/// Slots that were over when the doors opened.
const BEHIND: Millis = 4;
/// How many slots are given to somebody.
const FILLED: f64 = 0.75;
/// How many slots somebody comes to.
pub(super) const KEPT: f64 = FILLED * 0.82;
/// Minutes after its end at which the book has nothing more to say of an appointment: whoever is late was there, and the
/// location's timer has fired.
const LAST_WORD: f64 = 60.0;

const REASONS: [&str; 4] =
    ["Patient called off", "Doctor away", "Referred elsewhere", "Booked twice"];

/// One appointment, as the book knows it.
pub(super) struct Booking {
    pub(super) doctor: usize,
    /// As the location calls it, once it has answered.
    pub(super) id: Option<AppointmentId>,
    /// As last told.
    pub(super) fact: AppointmentFact,
    /// As told before that.
    before: Option<AppointmentFact>,
    /// The patient will come.
    pub(super) expected: bool,
    pub(super) checked_in: bool,
}

/// What the book may have to tell of an appointment.
#[derive(Debug, Clone, Copy)]
pub(super) enum News {
    Rescheduled,
    Modified,
    CalledOff,
    Arrived,
    NoShow,
    Mistaken,
    /// The last fact once more.
    Again,
    /// The fact before it, overtaken on its way.
    Belated,
}

/// The first slot that begins after `now`.
pub(super) fn slot_after(now: Millis, slot: Millis) -> Millis {
    (now.div_euclid(slot) + 1) * slot
}

impl DemoClinic {
    /// TokenScope each doctor's book some slots back.
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
        // The slot names it, so that a demo that was started again speaks of the same appointment.
        let key = format!("{}-{}", plan.slug, start / MINUTE);
        AppointmentFact {
            source: plan::source(),
            key: SourceKey::new(key).expect("a slug and a number"),
            revision: u64::try_from(self.now).unwrap_or_default(),
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
        // A proposal, as of a ticket.
        let appointment =
            id.unwrap_or_else(|| AppointmentId::from_random(&self.location, self.chance.bits()));
        Command::ReportAppointment { appointment, fact }
    }

    pub(super) fn news(&mut self, key: &SourceKey, news: News) -> Option<Command> {
        let booking = self.bookings.get(key)?;
        let id = booking.id.clone()?;
        let fact = match news {
            News::Again => booking.fact.clone(),
            News::Belated => booking.before.clone()?,
            _ => self.newer(key, news)?,
        };
        Some(self.report(Some(id), fact))
    }

    /// The fact that carries the news; nothing when it has been overtaken by what happened.
    fn newer(&mut self, key: &SourceKey, news: News) -> Option<AppointmentFact> {
        let booking = self.bookings.get(key)?;
        let (doctor, checked_in) = (booking.doctor, booking.checked_in);
        let mut fact = booking.fact.clone();
        fact.revision = u64::try_from(self.now).unwrap_or_default().max(fact.revision + 1);
        let to_come = !checked_in && fact.status == AppointmentStatus::Booked;
        match news {
            News::Rescheduled if to_come => {
                let start = self.free_slot(doctor)?;
                (fact.start, fact.end) =
                    (Some(start), Some(start + DOCTORS[doctor].slot(self.pace)));
            }
            News::Modified if to_come && self.chance.happens(0.5) => {
                fact.doctor = Some(DOCTORS[(doctor + 1) % DOCTORS.len()].doctor());
            }
            News::Modified if to_come => fact.label = Some(self.initials()),
            News::Arrived if to_come => fact.status = AppointmentStatus::Arrived,
            News::Mistaken if to_come => fact.status = AppointmentStatus::EnteredInError,
            News::CalledOff if to_come || self.may_still_go(key) => {
                fact.status = AppointmentStatus::Cancelled;
                fact.reason = Some(self.reason());
            }
            // Where the patient is at the desk, the location knows better.
            News::NoShow if to_come || checked_in => fact.status = AppointmentStatus::Noshow,
            _ => return None,
        }
        Some(fact)
    }

    /// Whether the patient is there and not yet with the doctor.
    fn may_still_go(&self, key: &SourceKey) -> bool {
        let booking = self.bookings.get(key).filter(|booking| booking.checked_in);
        let ticket = booking.and_then(|booking| Some(booking.id.as_ref()?.ticket()));
        let person = ticket.and_then(|ticket| self.people.get(&ticket));
        person.is_some_and(|person| !matches!(person.place, Place::Served(_)))
    }

    /// A slot of the doctor that nobody was asked about yet, and which then is taken.
    fn free_slot(&mut self, doctor: usize) -> Option<Millis> {
        let slot = DOCTORS[doctor].slot(self.pace);
        let next = self.books[doctor];
        let start = (0..AHEAD)
            .map(|n| next + n * slot)
            .find(|start| !self.taken.contains(&(doctor, *start)))?;
        self.taken.insert((doctor, start));
        Some(start)
    }

    /// What the location made of a fact.
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
        let (key, id, started) = (&fact.key, booking.id.clone(), fact.start <= Some(self.now));
        match fact.status {
            AppointmentStatus::Booked if first => self.plan_fate(key),
            AppointmentStatus::Booked if result.change == Some(AppointmentChange::Rescheduled) => {
                self.plan_coming(key)
            }
            AppointmentStatus::Cancelled if result.change == Some(AppointmentChange::Cancelled) => {
                if let Some(id) = id {
                    self.gone(&id.ticket());
                }
            }
            _ => {}
        }
        if !(first && started) {
            self.plan_echo(key);
        }
    }

    /// The booking that the location calls so.
    pub(super) fn booking_of(
        &mut self,
        appointment: &AppointmentId,
    ) -> Option<(&SourceKey, &mut Booking)> {
        self.bookings.iter_mut().find(|(_, booking)| booking.id.as_ref() == Some(appointment))
    }

    /// A rescheduled one is remembered until its new time is over.
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

    /// Appointments whose patients will come and have not yet: the next first that leaves a minute to look at it.
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
