//! The list of what is planted, and how findings compare with it.

use std::{borrow::Cow, collections::BTreeMap, io::Write};

use anyhow::{Context, Result};
use schemas::finding::{Finding, FindingOutcome};
use serde::{Deserialize, Serialize};

use super::{cases::is_good, rules};

/// Something a check must find. Good outcomes are listed for the rules that judge more than a row by itself; the others
/// hold for nearly every row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planted {
    /// 1 is the first row after the header.
    pub row: u64,
    pub rule: Cow<'static, str>,
    pub outcome: FindingOutcome,
    pub cents: i64,
    /// What was staged there.
    pub case: Cow<'static, str>,
}

/// Reads a list.
///
/// # Errors
/// When it is none.
pub fn read(list: impl std::io::Read) -> Result<Vec<Planted>> {
    serde_json::from_reader(list).context("read the list of what is planted")
}

/// Writes a list as a JSON array, one line each.
pub struct Lister<W: Write> {
    out: W,
    any: bool,
}

impl<W: Write> Lister<W> {
    #[must_use]
    pub fn new(out: W) -> Self {
        Self { out, any: false }
    }

    /// # Errors
    /// When it cannot be written.
    pub fn add(&mut self, planted: &Planted) -> Result<()> {
        self.out.write_all(if self.any { b",\n" } else { b"[\n" }).context("write the list")?;
        self.any = true;
        serde_json::to_writer(&mut self.out, planted).context("write the list")
    }

    /// # Errors
    /// When it cannot be written.
    pub fn end(mut self) -> Result<()> {
        self.out.write_all(if self.any { b"\n]\n" } else { b"[]\n" }).context("write the list")?;
        self.out.flush().context("write the list")
    }
}

/// Where findings and what was planted differ.
#[derive(Debug, Default)]
pub struct Difference {
    /// Planted, and not found.
    pub missed: Vec<Planted>,
    /// Found, and not planted. The case names what was staged at that row, if anything was.
    pub invented: Vec<Planted>,
}

impl Difference {
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.missed.is_empty() && self.invented.is_empty()
    }

    /// The first differences of each sort.
    #[must_use]
    pub fn told(&self) -> String {
        let mut text = format!("{} missed, {} invented", self.missed.len(), self.invented.len());
        for (sort, list) in [("missed", &self.missed), ("invented", &self.invented)] {
            for Planted { row, rule, outcome, cents, case } in list.iter().take(20) {
                text +=
                    &format!("\n  {sort}: row {row} {rule} {} {cents} ({case})", outcome.as_str());
            }
        }
        text
    }
}

/// Compares as multisets of row, rule, outcome and cents.
#[must_use]
pub fn compare<'a>(
    planted: &[Planted],
    findings: impl IntoIterator<Item = &'a Finding>,
) -> Difference {
    let mut left: BTreeMap<(u64, &str, FindingOutcome, i64), Vec<&Planted>> = BTreeMap::new();
    let mut staged: BTreeMap<u64, &Planted> = BTreeMap::new();
    for one in planted {
        left.entry((one.row, &one.rule, one.outcome, one.cents)).or_default().push(one);
        staged.entry(one.row).or_insert(one);
    }
    let mut difference = Difference::default();
    for finding in findings {
        if is_good(finding.outcome) && !rules::LISTED_PASSES.contains(&finding.rule.as_str()) {
            continue;
        }
        let key = (finding.row, finding.rule.as_str(), finding.outcome, finding.cents);
        if left.get_mut(&key).and_then(Vec::pop).is_none() {
            difference.invented.push(Planted {
                row: finding.row,
                rule: finding.rule.as_str().to_owned().into(),
                outcome: finding.outcome,
                cents: finding.cents,
                case: staged
                    .get(&finding.row)
                    .map_or("nothing staged".into(), |planted| planted.case.clone()),
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

    fn planted(row: u64, cents: i64) -> Planted {
        let (rule, case) = (rules::YEARLY_FEE.into(), "a case".into());
        Planted { row, rule, outcome: FindingOutcome::OnceNonePaid, cents, case }
    }

    fn finding(row: u64, outcome: FindingOutcome, cents: i64) -> Finding {
        let (rule, severity) = (RuleId::new(rules::YEARLY_FEE).unwrap(), Severity::Error);
        Finding { row, rule, severity, outcome, params: BTreeMap::new(), cents }
    }

    #[test]
    fn the_same_lists_do_not_differ() {
        let found = [
            finding(2, FindingOutcome::OnceNonePaid, 935),
            finding(1, FindingOutcome::OnceNonePaid, 935),
        ];
        assert!(compare(&[planted(1, 935), planted(2, 935)], &found).is_none());
    }

    #[test]
    fn what_is_missed_or_invented_or_found_twice_is_told() {
        let found = [
            finding(1, FindingOutcome::OnceNonePaid, 935),
            finding(1, FindingOutcome::OnceNonePaid, 935),
        ];
        let difference = compare(&[planted(1, 935), planted(2, 935)], &found);
        assert_eq!((difference.missed.len(), difference.invented.len()), (1, 1));
        assert_eq!((difference.missed[0].row, difference.invented[0].row), (2, 1));
    }

    #[test]
    fn another_amount_or_outcome_differs() {
        for wrong in [
            finding(1, FindingOutcome::OnceNonePaid, 934),
            finding(1, FindingOutcome::OnceOnePaid, 935),
        ] {
            let difference = compare(&[planted(1, 935)], [&wrong]);
            assert_eq!((difference.missed.len(), difference.invented.len()), (1, 1));
        }
    }
}
