//! What a rule is while a file is checked: it sees each row once, keeps what it needs by compact keys, and concludes.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use schemas::{
    finding::{Finding, FindingOutcome, Param},
    ids::RuleId,
    rule::Severity,
};

use crate::row::{Day, DoctorKey, PatientKey, Row};

/// One rule at work on one file.
pub(crate) trait Judge: Send {
    /// Looks at the next row that could be read.
    fn row(&mut self, seen: &Seen<'_>, found: &mut Found<'_>);

    /// Judges what needs all rows, after the last one; is called again for as long as it says that there is more. What one
    /// call finds lies before what the next one finds, by row; within a call the order does not matter.
    fn conclude(&mut self, _found: &mut Found<'_>) -> bool {
        false
    }
}

/// A row with its keys.
pub(crate) struct Seen<'a> {
    pub row: &'a Row<'a>,
    /// The row's number as grouped rules keep it, below [`NO_ROW`]. 2³² rows are more than 400 GB of file; all rows past
    /// them share the last number, and only which of them stands for its group is lost.
    pub at: u32,
    pub patient: Option<u32>,
    pub doctor: Option<u32>,
}

/// Above the number of every row.
pub(crate) const NO_ROW: u32 = u32::MAX;

/// Patients and doctors as small numbers, the same for every rule: their keys are held once, however many rules group
/// by them.
#[derive(Default)]
pub(crate) struct Keys {
    patients: FxHashMap<PatientKey, u32>,
    doctors: FxHashMap<DoctorKey, u32>,
}

impl Keys {
    pub fn see<'a>(&mut self, row: &'a Row<'a>) -> Seen<'a> {
        Seen {
            row,
            at: u32::try_from(row.number).unwrap_or(NO_ROW).min(NO_ROW - 1),
            patient: row.patient.map(|patient| number(&mut self.patients, patient)),
            doctor: row.doctor.map(|doctor| number(&mut self.doctors, doctor)),
        }
    }
}

fn number<K: std::hash::Hash + Eq>(numbers: &mut FxHashMap<K, u32>, key: K) -> u32 {
    let next = numbers.len() as u32;
    *numbers.entry(key).or_insert(next)
}

/// A date in one number: the year from bit 9, the month from bit 5, then the day.
pub(crate) fn packed(day: Day) -> u32 {
    u32::from(day.year as u16) << 9 | u32::from(day.month) << 5 | u32::from(day.day)
}

/// Where a rule tells what it found.
pub(crate) struct Found<'a> {
    rule: &'a RuleId,
    severity: Severity,
    list_passes: bool,
    findings: &'a mut Vec<Finding>,
    /// Passes that are counted and not listed.
    pub passes: u64,
}

impl<'a> Found<'a> {
    pub fn new(
        rule: &'a RuleId,
        severity: Severity,
        list_passes: bool,
        findings: &'a mut Vec<Finding>,
    ) -> Self {
        Self { rule, severity, list_passes, findings, passes: 0 }
    }

    /// Findings so far.
    pub fn told(&self) -> usize {
        self.findings.len()
    }

    /// Something is wrong, as badly as the rule says.
    pub fn breach<const N: usize>(
        &mut self,
        row: u64,
        outcome: FindingOutcome,
        cents: i64,
        params: [(&str, Param); N],
    ) {
        self.push(row, self.severity, outcome, cents, params);
    }

    /// Money could be gained.
    pub fn gain<const N: usize>(
        &mut self,
        row: u64,
        outcome: FindingOutcome,
        cents: i64,
        params: [(&str, Param); N],
    ) {
        self.push(row, Severity::Optimisation, outcome, cents, params);
    }

    pub fn pass(&mut self, row: u64) {
        self.pass_as(row, FindingOutcome::Pass, []);
    }

    pub fn pass_as<const N: usize>(
        &mut self,
        row: u64,
        outcome: FindingOutcome,
        params: [(&str, Param); N],
    ) {
        if self.list_passes {
            self.push(row, Severity::Pass, outcome, 0, params);
        } else {
            self.passes += 1;
        }
    }

    fn push<const N: usize>(
        &mut self,
        row: u64,
        severity: Severity,
        outcome: FindingOutcome,
        cents: i64,
        positions: [(&str, Param); N],
    ) {
        let rule = self.rule.clone();
        self.findings.push(Finding {
            row,
            rule,
            severity,
            outcome,
            params: params(positions),
            cents,
        });
    }
}

pub(crate) fn params<const N: usize>(positions: [(&str, Param); N]) -> BTreeMap<String, Param> {
    positions.into_iter().map(|(name, param)| (name.to_owned(), param)).collect()
}
