//! The list of planted findings, and its comparison with the findings of a check.

use std::{borrow::Cow, collections::BTreeMap, io::Write};

use anyhow::{Context, Result};
use schemas::finding::{Finding, FindingOutcome};
use serde::{Deserialize, Serialize};

use super::{cases::is_good, rules};

/// A finding that a check must report. Good outcomes are planted only for [`rules::LISTED_PASSES`]:
/// the other rules pass for nearly every row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlantedFinding {
    /// The first row after the header is 1.
    pub row: u64,
    pub rule: Cow<'static, str>,
    pub outcome: FindingOutcome,
    pub cents: i64,
    /// The name of the case that the row belongs to.
    pub case: Cow<'static, str>,
}

/// Reads a list that a [`PlantedWriter`] wrote.
///
/// # Errors
/// When it is not such a list.
pub fn read(list: impl std::io::Read) -> Result<Vec<PlantedFinding>> {
    serde_json::from_reader(list).context("read the list of planted findings")
}

/// Writes a list as a JSON array with one finding on each line.
pub struct PlantedWriter<W: Write> {
    out: W,
    /// Whether a finding was written.
    any: bool,
}

impl<W: Write> PlantedWriter<W> {
    #[must_use]
    pub fn new(out: W) -> Self {
        Self { out, any: false }
    }

    /// Writes one finding.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, planted: &PlantedFinding) -> Result<()> {
        self.out.write_all(if self.any { b",\n" } else { b"[\n" }).context("write the list")?;
        self.any = true;
        serde_json::to_writer(&mut self.out, planted).context("write the list")
    }

    /// Ends the array and flushes the output.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<()> {
        self.out.write_all(if self.any { b"\n]\n" } else { b"[]\n" }).context("write the list")?;
        self.out.flush().context("write the list")
    }
}

/// The differences between planted findings and the findings of a check.
#[derive(Debug, Default)]
pub struct Difference {
    /// Planted and not reported.
    pub missed: Vec<PlantedFinding>,
    /// Reported and not planted. `case` names the case at that row, if there is one.
    pub invented: Vec<PlantedFinding>,
}

impl Difference {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.missed.is_empty() && self.invented.is_empty()
    }

    /// A summary with the first 20 differences of each kind.
    #[must_use]
    pub fn describe(&self) -> String {
        let mut text = format!("{} missed, {} invented", self.missed.len(), self.invented.len());
        for (kind, list) in [("missed", &self.missed), ("invented", &self.invented)] {
            for PlantedFinding { row, rule, outcome, cents, case } in list.iter().take(20) {
                text +=
                    &format!("\n  {kind}: row {row} {rule} {} {cents} ({case})", outcome.as_str());
            }
        }
        text
    }
}

/// Compares planted and reported findings as multisets of row, rule, outcome and cents.
#[must_use]
pub fn compare<'a>(
    planted: &[PlantedFinding],
    findings: impl IntoIterator<Item = &'a Finding>,
) -> Difference {
    let mut left: BTreeMap<(u64, &str, FindingOutcome, i64), Vec<&PlantedFinding>> =
        BTreeMap::new();
    let mut cases: BTreeMap<u64, &PlantedFinding> = BTreeMap::new();
    for one in planted {
        left.entry((one.row, &one.rule, one.outcome, one.cents)).or_default().push(one);
        cases.entry(one.row).or_insert(one);
    }
    let mut difference = Difference::default();
    for finding in findings {
        if is_good(finding.outcome) && !rules::LISTED_PASSES.contains(&finding.rule.as_str()) {
            continue;
        }
        let key = (finding.row, finding.rule.as_str(), finding.outcome, finding.cents);
        if left.get_mut(&key).and_then(Vec::pop).is_none() {
            difference.invented.push(PlantedFinding {
                row: finding.row,
                rule: finding.rule.as_str().to_owned().into(),
                outcome: finding.outcome,
                cents: finding.cents,
                case: cases
                    .get(&finding.row)
                    .map_or("no case".into(), |planted| planted.case.clone()),
            });
        }
    }
    difference.missed = left.into_values().flatten().cloned().collect();
    difference
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use schemas::{ids::RuleId, rule::Severity};

    use super::*;

    fn planted(row: u64, cents: i64) -> PlantedFinding {
        let (rule, case) = (rules::YEARLY_FEE.into(), "a case".into());
        PlantedFinding { row, rule, outcome: FindingOutcome::OnceNonePaid, cents, case }
    }

    fn finding(row: u64, outcome: FindingOutcome, cents: i64) -> Finding {
        let (rule, severity) = (RuleId::new(rules::YEARLY_FEE).unwrap(), Severity::Error);
        Finding { row, rule, severity, outcome, params: BTreeMap::new(), cents }
    }

    #[test]
    fn equal_lists_do_not_differ() {
        let found = [
            finding(2, FindingOutcome::OnceNonePaid, 935),
            finding(1, FindingOutcome::OnceNonePaid, 935),
        ];
        assert!(compare(&[planted(1, 935), planted(2, 935)], &found).is_empty());
    }

    #[test]
    fn missed_and_repeated_findings_are_reported() {
        let found = [
            finding(1, FindingOutcome::OnceNonePaid, 935),
            finding(1, FindingOutcome::OnceNonePaid, 935),
        ];
        let difference = compare(&[planted(1, 935), planted(2, 935)], &found);
        assert_eq!((difference.missed.len(), difference.invented.len()), (1, 1));
        assert_eq!((difference.missed[0].row, difference.invented[0].row), (2, 1));
    }

    #[test]
    fn different_amount_or_outcome_is_reported() {
        for wrong in [
            finding(1, FindingOutcome::OnceNonePaid, 934),
            finding(1, FindingOutcome::OnceOnePaid, 935),
        ] {
            let difference = compare(&[planted(1, 935)], [&wrong]);
            assert_eq!((difference.missed.len(), difference.invented.len()), (1, 1));
        }
    }
}
