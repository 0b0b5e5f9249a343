//! Doctors: who has a schedule, and for how long.

use schemas::{ids::ScheduleId, record::ViewDelta};

use super::{AppointmentStatus as S, *};
use crate::location::{project::KEEP_ENDED_S, settings::MAX_DOCTORS};

const DAY: Millis = 24 * 60 * MINUTE;

/// A booking of the doctor `slug`, this many days after today.
fn booking(number: u128, slug: &str, days: Millis) -> Command {
    let start = MORNING + 30 * MINUTE + days * DAY;
    let fact = AppointmentFact {
        start: Some(start),
        end: Some(start + 20 * MINUTE),
        doctor: Some(doctor(slug)),
        ..fact(number, 1, S::Booked)
    };
    report(number, fact)
}

fn schedule(slug: &str) -> String {
    format!("schedule:{}", ScheduleId::from_parts(&location_id(), &DoctorId::new(slug).unwrap()))
}

fn delta<'a>(effect: &'a RecordEffect, slug: &str) -> Option<&'a ViewDelta> {
    effect.deltas.iter().find(|delta| delta.view == schedule(slug))
}

fn has_doctor(clinic: &Clinic, slug: &str) -> bool {
    clinic.location.header().doctors.contains_key(&DoctorId::new(slug).unwrap())
}

impl Clinic {
    fn end_day(&mut self) -> RecordEffect {
        self.now = self.location.header().day_ends;
        self.send(Command::Tick {})
    }
}

#[test]
fn doctor_without_appointments_for_a_day_is_forgotten() {
    let mut clinic = Clinic::open();
    clinic.apply(booking(100, "roy", 0));
    assert!(!has_doctor(&clinic, "singh"));
    clinic.apply(booking(200, "singh", 3));
    assert!(!has_doctor(&clinic, "singh"), "no schedule before the day");
    clinic.end_day();
    assert!(has_doctor(&clinic, "roy"), "the empty schedule of the next day");
    let before = clinic.location.header().doctors[&DoctorId::new("roy").unwrap()].view;
    let effect = clinic.end_day();
    assert!(!has_doctor(&clinic, "roy"));
    let last = delta(&effect, "roy").expect("the schedule ends");
    assert_eq!((last.delta.from, last.keep_s), (before, Some(KEEP_ENDED_S)));
    assert!(last.delta.set.is_empty() && last.delta.remove.contains("schedule"));
    // The schedule comes back with the next appointment of the day.
    let effect = clinic.apply(booking(300, "roy", 2));
    let first = delta(&effect, "roy").expect("the schedule begins");
    assert_eq!((first.delta.from, first.keep_s, first.delta.set.len()), (0, None, 2));
    let effect = clinic.end_day();
    assert!(
        delta(&effect, "singh").is_some_and(|delta| delta.delta.set.len() == 2),
        "its day began"
    );
}

#[test]
fn doctors_past_the_limit_replace_unused_ones() {
    let mut clinic = Clinic::open();
    let slug = |number: usize| format!("d-{number}");
    for number in 0..MAX_DOCTORS {
        clinic.apply(booking(100 + number as u128, &slug(number), 0));
    }
    assert_eq!(clinic.refusal(booking(5_000, "singh", 0)), Some(Code::TooManyDoctors));
    clinic.apply(booking(5_001, "singh", 1));
    // The appointment of one doctor moves to tomorrow.
    let start = MORNING + DAY;
    let moved = AppointmentFact {
        start: Some(start),
        end: Some(start),
        doctor: Some(doctor("d-7")),
        ..fact(107, 2, S::Booked)
    };
    clinic.apply(report(107, moved));
    let effect = clinic.apply(booking(5_000, "singh", 0));
    assert_eq!(clinic.location.header().doctors.len(), MAX_DOCTORS);
    assert!(has_doctor(&clinic, "singh") && !has_doctor(&clinic, "d-7"));
    assert_eq!(delta(&effect, "d-7").map(|delta| delta.keep_s), Some(Some(KEEP_ENDED_S)));
    clinic.end_day();
    assert!(has_doctor(&clinic, "singh") && has_doctor(&clinic, "d-7"));
    clinic.end_day();
    assert_eq!(clinic.location.header().doctors.len(), 2, "those of the day before");
    clinic.end_day();
    assert!(clinic.location.header().doctors.is_empty());
}
