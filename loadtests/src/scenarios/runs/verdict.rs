//! Compares the view of a completed run, its list of findings and the content of its file. Pure.

use std::collections::{BTreeMap, BTreeSet};

use schemas::{
    finding::Finding,
    rule::{Rule, Severity},
    run::{FindingCounts, RuleTally, RunHead, RunProgress, RunSummary, SHOWN_FINDINGS},
};
use serde::Deserialize;
use testing::claims_files::{
    cases::is_good,
    planted::{PlantedFinding, compare},
    rules::{self, FILE},
};

use crate::{payloads::Entries, watch::history::findings_of};

/// The rules of a tenant.
pub struct RuleBook {
    /// Ids of the enabled rules.
    enabled: BTreeSet<String>,
    /// The enabled rules that files are generated for, and the rule of unreadable rows.
    planted_for: BTreeSet<String>,
}

impl RuleBook {
    #[must_use]
    pub fn new(stored: &[Rule]) -> Self {
        let planted = rules::planted();
        let enabled = || stored.iter().filter(|rule| rule.enabled);
        let known =
            enabled().filter(|rule| planted.contains(rule)).map(|rule| rule.id.as_str().to_owned());
        let planted_for = known.chain([FILE.to_owned()]).collect();
        Self { enabled: enabled().map(|rule| rule.id.as_str().to_owned()).collect(), planted_for }
    }

    /// The number of rules whose findings cannot be predicted.
    #[must_use]
    pub fn not_planted_for(&self) -> usize {
        self.enabled.difference(&self.planted_for).count()
    }

    fn knows(&self, rule: &str) -> bool {
        self.planted_for.contains(rule)
    }
}

/// The content of a file and the settings of its check.
pub struct ExpectedRun<'a> {
    pub rows: u64,
    pub planted: &'a [PlantedFinding],
    pub rules: &'a RuleBook,
    pub list_passes: bool,
}

/// The last view of a completed run.
pub struct LastView {
    summary: RunSummary,
    permille: u32,
    counts: FindingCounts,
    tallies: BTreeMap<String, RuleTally>,
    first: Vec<Finding>,
}

impl LastView {
    /// Reads the view.
    ///
    /// # Errors
    /// A text about the entry that is missing or cannot be read.
    pub fn read(entries: &Entries) -> Result<Self, String> {
        fn entry<'a, T: Deserialize<'a>>(entries: &'a Entries, key: &str) -> Result<T, String> {
            let entry = entries.get(key).ok_or_else(|| format!("no entry {key} at the end"))?;
            T::deserialize(entry).map_err(|_| format!("an entry {key} that cannot be read"))
        }
        let head: RunHead = entry(entries, "run")?;
        let progress: RunProgress = entry(entries, "progress")?;
        let mut tallies = BTreeMap::new();
        for key in entries.keys() {
            if let Some(rule) = key.strip_prefix("rule:") {
                tallies.insert(rule.to_owned(), entry(entries, key)?);
            }
        }
        Ok(Self {
            summary: head.summary.ok_or("a completed run without a summary")?,
            permille: progress.permille,
            counts: entry(entries, "counts")?,
            tallies,
            first: findings_of(entries).map_err(|_| "a finding that cannot be read")?,
        })
    }
}

/// All differences, one text each. `listed` has all findings in the order of the API.
#[must_use]
pub fn differences(
    expected: &ExpectedRun<'_>,
    shown: &LastView,
    listed: &[Finding],
) -> Vec<String> {
    let mut wrong = ending(expected, shown);
    wrong.extend(lists(expected, shown, listed));
    wrong.extend(against_the_file(expected, shown, listed));
    wrong
}

/// Compares the parts of the view with each other.
fn ending(expected: &ExpectedRun<'_>, shown: &LastView) -> Vec<String> {
    let LastView { summary, permille, counts, tallies, .. } = shown;
    let mut wrong = Vec::new();
    let mut demand = |right: bool, detail: String| {
        if !right {
            wrong.push(detail);
        }
    };
    demand(*permille == 1000, format!("{permille} ‰ done at the end"));
    demand(
        summary.rows == expected.rows,
        format!("{} of {} rows were checked", summary.rows, expected.rows),
    );
    demand(
        summary.counts == *counts,
        format!("counts {counts:?}, in the summary {:?}", summary.counts),
    );
    let sum = tallies.values().fold(FindingCounts::default(), |sum, tally| plus(sum, tally.counts));
    demand(sum == *counts, format!("counts {counts:?}, rules together {sum:?}"));
    for rule in &expected.rules.enabled {
        let finished = tallies.get(rule).is_some_and(|tally| tally.took_us.is_some());
        demand(finished, format!("the rule {rule} is not finished at the end"));
    }
    for rule in tallies.keys().filter(|rule| *rule != FILE) {
        demand(
            expected.rules.enabled.contains(rule),
            format!("the rule {rule} is reported, but is not a rule of the tenant"),
        );
    }
    wrong
}

fn plus(mut sum: FindingCounts, more: FindingCounts) -> FindingCounts {
    for severity in Severity::ALL {
        sum.add(severity, count_of(more, severity));
    }
    sum
}

fn count_of(counts: FindingCounts, severity: Severity) -> u64 {
    match severity {
        Severity::Error => counts.error,
        Severity::Warning => counts.warning,
        Severity::Optimisation => counts.optimisation,
        Severity::Pass => counts.pass,
    }
}

/// Compares the list with the view.
fn lists(expected: &ExpectedRun<'_>, shown: &LastView, listed: &[Finding]) -> Vec<String> {
    let LastView { summary, counts, tallies, first, .. } = shown;
    let mut wrong = Vec::new();
    if listed.len() as u64 != summary.stored {
        wrong.push(format!("{} findings are listed, {} stored", listed.len(), summary.stored));
    }
    if !listed.is_sorted_by_key(Finding::sort_key) {
        wrong.push("the list is not in its order".to_owned());
    }
    let total = counts.findings() + if expected.list_passes { counts.pass } else { 0 };
    if summary.stored < total {
        // Not all findings are stored, and the server chooses which.
        return wrong;
    }
    if first.len() as u64 != total.min(SHOWN_FINDINGS as u64) {
        wrong.push(format!("{} first findings are shown of {total}", first.len()));
    }
    let strange = first.iter().filter(|finding| !listed.contains(finding)).count();
    if strange > 0 {
        wrong.push(format!("{strange} first findings are not in the list"));
    }
    wrong.extend(tallied(tallies, listed, expected.list_passes));
    let sum = |of: &[Severity]| -> i64 {
        listed
            .iter()
            .filter(|finding| of.contains(&finding.severity))
            .map(|finding| finding.cents)
            .sum()
    };
    let sums = (sum(&[Severity::Error, Severity::Warning]), sum(&[Severity::Optimisation]));
    if sums != (summary.at_risk_cents, summary.to_gain_cents) {
        let stated = (summary.at_risk_cents, summary.to_gain_cents);
        wrong.push(format!("cents at risk and to gain are {stated:?}, in the list {sums:?}"));
    }
    wrong
}

/// Compares the tally of each rule with the list.
fn tallied(
    tallies: &BTreeMap<String, RuleTally>,
    listed: &[Finding],
    list_passes: bool,
) -> Vec<String> {
    let mut found: BTreeMap<&str, FindingCounts> = BTreeMap::new();
    for finding in listed {
        found.entry(finding.rule.as_str()).or_default().add(finding.severity, 1);
    }
    let mut wrong = Vec::new();
    for (rule, tally) in tallies {
        let list = found.remove(rule.as_str()).unwrap_or_default();
        let tallied =
            FindingCounts { pass: if list_passes { tally.counts.pass } else { 0 }, ..tally.counts };
        if list != tallied {
            wrong.push(format!("the rule {rule} has {tallied:?}, the list has {list:?}"));
        }
    }
    wrong.extend(found.keys().map(|rule| format!("the rule {rule} has findings and no tally")));
    wrong
}

/// Compares the findings with the planted ones: none may be missed and none invented.
fn against_the_file(
    expected: &ExpectedRun<'_>,
    shown: &LastView,
    listed: &[Finding],
) -> Vec<String> {
    let ExpectedRun { planted, rules: book, list_passes, .. } = expected;
    if shown.summary.stored < shown.counts.findings() {
        return Vec::new();
    }
    let is_expected =
        |one: &&PlantedFinding| book.knows(&one.rule) && (*list_passes || !is_good(one.outcome));
    let expected: Vec<PlantedFinding> = planted.iter().filter(is_expected).cloned().collect();
    let difference =
        compare(&expected, listed.iter().filter(|finding| book.knows(finding.rule.as_str())));
    let mut wrong = Vec::new();
    if !difference.is_empty() {
        wrong.push(difference.describe());
    }
    for rule in rules::LISTED_PASSES.into_iter().filter(|rule| book.knows(rule)) {
        let passes =
            planted.iter().filter(|one| one.rule == rule && is_good(one.outcome)).count() as u64;
        let tallied = shown.tallies.get(rule).map_or(0, |tally| tally.counts.pass);
        if tallied != passes {
            wrong.push(format!("the rule {rule} has {tallied} passes, {passes} are planted"));
        }
    }
    wrong
}

#[cfg(test)]
mod tests;
