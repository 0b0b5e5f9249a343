//! Renewal of what appointments show of their location: name, time zone, address and branding.
//!
//! Appointments of later days are not in memory, and there may be thousands. So a change of the
//! location starts a renewal, which reads them in the order of their ids, and each step renews a
//! slice, as timers do.

use schemas::{Millis, clinic::ClinicInfo, event::Event, ids::AppointmentId};

use crate::location::{
    KEEP_ENDED_S, Location,
    state::{Appointment, Renewal},
};

/// Share of an appointment in a slice, as in the slices of timers.
const WEIGHT: usize = 2;

/// The appointments that a renewal needs next.
#[derive(Clone)]
pub struct RenewalNeed {
    /// They have greater ids.
    pub after: Option<AppointmentId>,
    /// They satisfy [`Appointment::is_shown`] for this moment.
    pub since: Millis,
    /// At most this many, those with the least ids.
    pub limit: usize,
}

/// The appointments that an event renews.
pub(crate) fn renewed(event: &Event) -> &[AppointmentId] {
    match event {
        Event::AppointmentsRenewed { appointments, .. } => appointments,
        _ => &[],
    }
}

impl Location {
    /// The part of the location that its patients see.
    pub(crate) fn clinic(&self) -> ClinicInfo {
        let header = &self.header;
        ClinicInfo {
            name: header.name.clone(),
            time_zone: header.time_zone.clone(),
            address: header.address.clone(),
            languages: header.languages.clone(),
            yield_places: Some(header.timers.yield_places).filter(|places| *places > 0),
            branding: header.branding.clone(),
        }
    }

    /// Starts a renewal from the beginning, if the details of the clinic that views show have
    /// changed.
    pub(crate) fn begin_renewal(&mut self, before: &ClinicInfo) {
        if *before != self.clinic() && !before.name.is_empty() {
            self.header.renewal = Some(Renewal::default());
            self.renewing = None;
        }
    }

    /// The appointments that a renewal needs next, if one is under way.
    pub fn renewal(&self) -> Option<RenewalNeed> {
        let Renewal { after } = self.header.renewal.as_ref()?;
        Some(RenewalNeed {
            after: after.clone(),
            since: self.header.now - Millis::from(KEEP_ENDED_S) * 1000,
            limit: (self.slice / WEIGHT).max(1),
        })
    }

    /// Adds the appointments that [`Location::renewal`] asked for, in the order of their ids.
    pub fn add_renewal(&mut self, found: Vec<Appointment>) {
        let Some(RenewalNeed { limit, .. }) = self.renewal() else { return };
        let is_last = found.len() < limit;
        self.renewing = Some((found.iter().map(|one| one.id.clone()).collect(), is_last));
        self.add_appointments(found);
    }

    /// The event of the next slice of a renewal, if its appointments were read.
    pub(crate) fn next_renewal(&self) -> Option<Event> {
        let (ids, is_last) = self.renewing.as_ref().filter(|_| self.header.renewal.is_some())?;
        let now = self.clinic();
        let is_old = |id: &&AppointmentId| {
            let held = self.appointment(id);
            held.is_some_and(|held| held.clinic.as_ref() != Some(&now))
        };
        Some(Event::AppointmentsRenewed {
            appointments: ids.iter().filter(is_old).cloned().collect(),
            after: ids.last().filter(|_| !is_last).cloned(),
        })
    }

    /// Moves a renewal on. The views follow from the scope of the event.
    pub(crate) fn renew(&mut self, after: Option<&AppointmentId>) {
        self.header.renewal = after.map(|after| Renewal { after: Some(after.clone()) });
        self.renewing = None;
    }
}
