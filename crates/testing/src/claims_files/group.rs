//! Builds a group of rows: a day, doctors and patients that no other group has, and rows in order.

use fastrand::Rng;
use jiff::civil::Date;

use super::{
    people::{Doctor, LAST_DIGIT, Patient, SAME_FIRST_DIGITS},
    row::ClaimRow,
    tables,
};

/// Contexts that no rule knows, in the spellings that exports have.
const PLAIN_CONTEXTS: [&str; 8] = ["", "", "", "", "ETAB", " STAR", "#FAM , ETAB", "STAR,  #ETAB "];

/// The distance between a doctor and a colleague. Colleagues' last five digits begin at 50000,
/// which other doctors reach only in a file of 10^12 rows.
const COLLEAGUES: u64 = 50_000 * SAME_FIRST_DIGITS;

/// Numbers of people that no group has used.
#[derive(Debug, Clone)]
pub struct PersonNumbers {
    next_doctor: u64,
    next_patient: u64,
}

impl PersonNumbers {
    /// Starts above the numbers of the practices.
    #[must_use]
    pub fn after(doctors: u64, patients: u64) -> Self {
        Self { next_doctor: doctors, next_patient: patients.next_multiple_of(LAST_DIGIT) }
    }
}

/// A group of rows under construction.
pub struct RowGroup<'a> {
    pub rng: &'a mut Rng,
    pub day: Date,
    numbers: &'a mut PersonNumbers,
    rows: Vec<ClaimRow>,
}

impl<'a> RowGroup<'a> {
    #[must_use]
    pub fn new(rng: &'a mut Rng, numbers: &'a mut PersonNumbers, day: Date) -> Self {
        Self { rng, day, numbers, rows: Vec::new() }
    }

    /// A doctor that no other group has.
    pub fn doctor(&mut self) -> Doctor {
        self.numbers.next_doctor += 1;
        Doctor { number: self.numbers.next_doctor - 1, spelling: 0 }
    }

    /// Another doctor with the same first seven digits.
    #[must_use]
    pub fn colleague(doctor: Doctor) -> Doctor {
        Doctor { number: doctor.number + COLLEAGUES, spelling: 0 }
    }

    /// A patient that no other group has.
    pub fn patient(&mut self) -> Patient {
        self.numbers.next_patient += 1;
        Patient { number: self.numbers.next_patient - 1, spelling: 0 }
    }

    /// Two patients that no other group has, with the same first eleven characters.
    pub fn siblings(&mut self) -> [Patient; 2] {
        self.numbers.next_patient = self.numbers.next_patient.next_multiple_of(LAST_DIGIT);
        [self.patient(), self.patient()]
    }

    /// A visit at an office that is no GMF, without times: it breaks no rule and entitles to no
    /// fee.
    pub fn visit(&mut self, doctor: Doctor, patient: Patient) -> ClaimRow {
        ClaimRow {
            patient: Some(patient),
            code: self.rng.u32(tables::PLAIN_VISITS),
            contexts: PLAIN_CONTEXTS[self.rng.usize(..PLAIN_CONTEXTS.len())],
            units: if self.rng.u8(..4) == 0 { Some(1) } else { None },
            preliminary: Some(self.rng.i64(1_000..5_000)),
            ..self.row(doctor)
        }
    }

    /// A row without patient, contexts or amounts.
    pub fn row(&mut self, doctor: Doctor) -> ClaimRow {
        ClaimRow {
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

    pub fn push(&mut self, row: ClaimRow) {
        self.rows.push(row);
    }

    #[must_use]
    pub fn into_rows(self) -> Vec<ClaimRow> {
        self.rows
    }
}
