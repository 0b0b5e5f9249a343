//! Where a scene is put together: a day, a supply of people nobody else has, and rows in their order.

use fastrand::Rng;
use jiff::civil::Date;

use super::{
    line::Line,
    names::{Doctor, LAST_DIGIT, Patient, SAME_FIRST_DIGITS},
    tables,
};

/// Contexts that mean nothing to any rule, as exports write them.
const PLAIN_CONTEXTS: [&str; 8] = ["", "", "", "", "ETAB", " STAR", "#FAM , ETAB", "STAR,  #ETAB "];

/// How far colleagues are apart: their last five digits begin at 50000, which a file of 10^12 rows would reach.
const COLLEAGUES: u64 = 50_000 * SAME_FIRST_DIGITS;

/// Numbers of people that no scene has used.
#[derive(Debug, Clone)]
pub struct Supply {
    next_doctor: u64,
    next_patient: u64,
}

impl Supply {
    /// Above those of the practices.
    #[must_use]
    pub fn after(doctors: u64, patients: u64) -> Self {
        Self { next_doctor: doctors, next_patient: patients.next_multiple_of(LAST_DIGIT) }
    }
}

/// One scene in the making.
pub struct Stage<'a> {
    pub rng: &'a mut Rng,
    pub day: Date,
    supply: &'a mut Supply,
    lines: Vec<Line>,
}

impl<'a> Stage<'a> {
    #[must_use]
    pub fn new(rng: &'a mut Rng, supply: &'a mut Supply, day: Date) -> Self {
        Self { rng, day, supply, lines: Vec::new() }
    }

    /// A doctor of no other scene.
    pub fn doctor(&mut self) -> Doctor {
        self.supply.next_doctor += 1;
        Doctor { number: self.supply.next_doctor - 1, spelling: 0 }
    }

    /// Another doctor, whose first seven digits are the same.
    #[must_use]
    pub fn colleague(doctor: Doctor) -> Doctor {
        Doctor { number: doctor.number + COLLEAGUES, spelling: 0 }
    }

    /// A patient of no other scene.
    pub fn patient(&mut self) -> Patient {
        self.supply.next_patient += 1;
        Patient { number: self.supply.next_patient - 1, spelling: 0 }
    }

    /// Two patients of no other scene, alike in their first eleven characters.
    pub fn siblings(&mut self) -> [Patient; 2] {
        self.supply.next_patient = self.supply.next_patient.next_multiple_of(LAST_DIGIT);
        [self.patient(), self.patient()]
    }

    /// A visit that breaks no rule and entitles to nothing: at an office that is no GMF, without times.
    pub fn visit(&mut self, doctor: Doctor, patient: Patient) -> Line {
        Line {
            patient: Some(patient),
            code: self.rng.u32(tables::PLAIN_VISITS),
            contexts: PLAIN_CONTEXTS[self.rng.usize(..PLAIN_CONTEXTS.len())],
            units: if self.rng.u8(..4) == 0 { Some(1) } else { None },
            preliminary: Some(self.rng.i64(1_000..5_000)),
            ..self.row(doctor)
        }
    }

    /// A row without patient, contexts or amounts.
    pub fn row(&mut self, doctor: Doctor) -> Line {
        Line {
            date: Some(self.day),
            start: None,
            end: None,
            place: tables::OFFICES.start
                + (doctor.number % u64::from(tables::OFFICES.len() as u32)) as u32,
            code: tables::ACTS.start,
            units: None,
            contexts: "",
            preliminary: None,
            paid: if self.rng.u8(..4) == 0 { Some(0) } else { None },
            doctor: Some(doctor),
            patient: None,
            raw: Vec::new(),
            expected: Vec::new(),
        }
    }

    pub fn push(&mut self, line: Line) {
        self.lines.push(line);
    }

    /// The scene's rows.
    #[must_use]
    pub fn done(self) -> Vec<Line> {
        self.lines
    }
}
