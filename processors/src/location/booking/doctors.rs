//! The doctors of a location. Those with appointments on the service day have a schedule.

use std::collections::{BTreeMap, BTreeSet};

use schemas::{
    Millis,
    appointment::{AppointmentFact, Doctor},
    codes::Code,
    ids::DoctorId,
};

use crate::location::{Location, settings::MAX_DOCTORS, state::DoctorDay};

impl Location {
    /// Checks that the doctor of a fact can have a schedule.
    pub(crate) fn check_doctor(&self, fact: &AppointmentFact) -> Result<(), Code> {
        let full = || self.header.doctors.len() >= MAX_DOCTORS && self.unused_doctor().is_none();
        match self.new_doctor(fact) {
            Some(_) if full() => Err(Code::TooManyDoctors),
            _ => Ok(()),
        }
    }

    /// The doctor who gets a schedule with this fact, since the appointment is on the service day.
    fn new_doctor<'a>(&self, fact: &'a AppointmentFact) -> Option<&'a Doctor> {
        let today = fact.start.is_some_and(|start| self.header.today().contains(&start));
        fact.doctor.as_ref().filter(|doctor| today && !self.header.doctors.contains_key(&doctor.id))
    }

    /// The doctor whose schedule makes room for that of the fact's doctor.
    pub(crate) fn replaced_doctor(&self, fact: &AppointmentFact) -> Option<&DoctorId> {
        self.new_doctor(fact)?;
        (self.header.doctors.len() >= MAX_DOCTORS).then(|| self.unused_doctor()).flatten()
    }

    /// The first doctor without appointments on the service day.
    fn unused_doctor(&self) -> Option<&DoctorId> {
        self.header.doctors.keys().find(|id| !self.indexes.days.contains_key(*id))
    }

    /// The start of the doctor's earliest appointment of the service day whose patient waits here.
    /// Once this moment has passed, the doctor is behind, although nobody was started.
    pub(crate) fn waiting_since(&self, doctor: &DoctorId) -> Option<Millis> {
        let (start, _) = self.indexes.waiting.get(doctor)?.first()?;
        Some(*start)
    }

    /// Takes in the doctor that a fact names, and the name, which may be new.
    pub(crate) fn note_doctor(&mut self, fact: &AppointmentFact) {
        let Some(doctor) = &fact.doctor else { return };
        if self.new_doctor(fact).is_some() {
            self.admit_doctor(doctor);
        } else if let Some(known) = self.header.doctors.get_mut(&doctor.id) {
            known.name.clone_from(&doctor.name);
        }
    }

    /// Adds a doctor. At [`MAX_DOCTORS`], a doctor without appointments on the service day makes
    /// room. If there is none, the new doctor has no schedule.
    fn admit_doctor(&mut self, doctor: &Doctor) {
        if self.header.doctors.len() >= MAX_DOCTORS {
            let Some(unused) = self.unused_doctor().cloned() else { return };
            self.header.doctors.remove(&unused);
        }
        let name = doctor.name.clone();
        let day = DoctorDay { name, delay_min: 0, delay_version: 0, view: 0 };
        self.header.doctors.insert(doctor.id.clone(), day);
    }

    /// Adds the doctors of the service day's appointments, with the names last reported.
    pub(crate) fn admit_doctors_of_day(&mut self) {
        let mut new: BTreeMap<DoctorId, Doctor> = BTreeMap::new();
        for (id, appointments) in &self.indexes.days {
            if !self.header.doctors.contains_key(id) {
                let of_day = appointments.iter().filter_map(|held| self.appointments.get(held));
                let newest = of_day.max_by_key(|held| (held.reported_at, &held.id));
                let doctor = newest.and_then(|held| held.fact.doctor.clone());
                new.extend(doctor.map(|doctor| (id.clone(), doctor)));
            }
        }
        for doctor in new.into_values() {
            self.admit_doctor(&doctor);
        }
    }

    /// At the start of a day, forgets the doctors who have no appointments on it and had none on
    /// the day `before`, and adds those who have some.
    pub(crate) fn forget_doctors(&mut self, before: &BTreeSet<DoctorId>) {
        let days = &self.indexes.days;
        self.header.doctors.retain(|id, _| days.contains_key(id) || before.contains(id));
        self.admit_doctors_of_day();
    }
}
