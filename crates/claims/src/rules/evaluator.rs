//! Evaluators: a rule at work on one file. An evaluator gets each row once, keeps what it needs
//! under compact keys, and concludes after the last row.

use std::{collections::BTreeMap, hash::Hasher};

use rustc_hash::{FxHashMap, FxHasher};
use schemas::{
    finding::{Finding, FindingOutcome, Param},
    ids::RuleId,
    rule::{Column, Severity},
};

use crate::row::{Day, DoctorKey, PatientKey, Row};

/// One rule at work on one file.
pub(crate) trait Evaluator: Send {
    /// Evaluates the next readable row.
    fn row(&mut self, keyed: &KeyedRow<'_>, found: &mut FindingSink<'_>);

    /// Reports the findings that need all rows, after the last row. Called again as long as it
    /// returns true. Findings of one call have smaller rows than those of the next; within a call,
    /// the order does not matter.
    fn conclude(&mut self, _found: &mut FindingSink<'_>) -> bool {
        false
    }
}

/// A row with the numbers of its patient and doctor.
pub(crate) struct KeyedRow<'a> {
    pub row: &'a Row<'a>,
    /// The row's number in 32 bits, below [`NO_ROW`]. 2³² rows are a file of more than 400 GB. All
    /// later rows share the last number, so a finding may then name another row of its group.
    pub at: u32,
    pub patient: Option<u32>,
    pub doctor: Option<u32>,
}

impl KeyedRow<'_> {
    /// A number that the rows of one claim share, among them a reversal: made of the invoice and
    /// the code. Two claims of one group share it by chance once in four billion.
    pub fn claim(&self) -> u32 {
        let mut hash = FxHasher::default();
        let invoice = self.row.cells.get(Column::Invoice);
        hash.write(invoice.as_deref().unwrap_or_default().as_bytes());
        hash.write_u32(self.row.code.unwrap_or(NO_ROW));
        (hash.finish() >> 32) as u32
    }
}

/// A number above that of every row.
pub(crate) const NO_ROW: u32 = u32::MAX;

/// Numbers patients and doctors. All rules share the numbers, so each key is in memory once.
#[derive(Default)]
pub(crate) struct KeyNumbers {
    patients: FxHashMap<PatientKey, u32>,
    doctors: FxHashMap<DoctorKey, u32>,
}

impl KeyNumbers {
    pub fn number_row<'a>(&mut self, row: &'a Row<'a>) -> KeyedRow<'a> {
        KeyedRow {
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

/// Removes the reversals, each together with the last row of its claim. `claim_of` says to which
/// claim a row belongs, and whether it is a reversal. A reversal whose claim is in another file
/// takes nothing off.
pub(crate) fn take_back<T>(rows: &mut Vec<T>, claim_of: impl Fn(&T) -> (u32, bool)) {
    let mut reversals: FxHashMap<u32, u32> = FxHashMap::default();
    for (claim, _) in rows.iter().map(&claim_of).filter(|(_, is_reversal)| *is_reversal) {
        *reversals.entry(claim).or_default() += 1;
    }
    if reversals.is_empty() {
        return;
    }
    rows.reverse();
    rows.retain(|row| {
        let (claim, is_reversal) = claim_of(row);
        let left = reversals.get_mut(&claim).filter(|left| **left > 0 && !is_reversal);
        !is_reversal && left.map(|left| *left -= 1).is_none()
    });
    rows.reverse();
}

/// Collects the findings of one rule.
pub(crate) struct FindingSink<'a> {
    rule: &'a RuleId,
    severity: Severity,
    list_passes: bool,
    findings: &'a mut Vec<Finding>,
    /// Passes that are counted but not listed.
    pub passes: u64,
}

impl<'a> FindingSink<'a> {
    pub fn new(
        rule: &'a RuleId,
        severity: Severity,
        list_passes: bool,
        findings: &'a mut Vec<Finding>,
    ) -> Self {
        Self { rule, severity, list_passes, findings, passes: 0 }
    }

    /// How many findings there are so far, of all rules.
    pub fn len(&self) -> usize {
        self.findings.len()
    }

    /// Reports a breach with the severity of the rule.
    pub fn breach<const N: usize>(
        &mut self,
        row: u64,
        outcome: FindingOutcome,
        cents: i64,
        params: [(&str, Param); N],
    ) {
        self.push(row, self.severity, outcome, cents, params);
    }

    /// Reports a possible gain.
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

    /// Reports that a verdict about `row` and others depends on what cannot be read in row
    /// `unread`.
    pub fn undecided(&mut self, row: u64, unread: u32) {
        let params = [("unread", i64::from(unread).into())];
        self.push(row, Severity::Warning, FindingOutcome::Undecided, 0, params);
    }

    /// A sink for the findings that the rule would report under an assumption.
    pub fn trial<'b>(&'b self, findings: &'b mut Vec<Finding>) -> FindingSink<'b> {
        FindingSink::new(self.rule, self.severity, true, findings)
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
