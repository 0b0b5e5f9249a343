//! The rules at work: each in its own compartment, so that one that fails or dawdles takes no other along.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use schemas::{
    finding::{Finding, FindingOutcome, Param},
    ids::RuleId,
    rule::{Rule, Severity},
    run::RuleTally,
};

use super::Options;
use crate::{
    row::Row,
    rules::{Found, Judge, Keys, Rules, Seen, params},
    tables::Tables,
};

/// All rules of a check, in their order.
pub(super) struct Judges<'r> {
    pub each: Vec<Judging<'r>>,
    keys: Keys,
    list_passes: bool,
    /// Findings told.
    pub told: u64,
    pub at_risk_cents: i64,
    pub to_gain_cents: i64,
}

/// One rule in its compartment.
pub(super) struct Judging<'r> {
    rule: &'r Rule,
    /// Absent once the rule is finished: with it goes all it kept.
    pub judge: Option<Box<dyn Judge + 'r>>,
    pub budget: Duration,
    took: Duration,
    tally: RuleTally,
}

impl<'r> Judges<'r> {
    pub fn new(rules: &'r Rules, tables: &'r Tables, options: Options) -> Self {
        let judging = |(rule, judge)| Judging {
            rule,
            judge: Some(judge),
            budget: options.budget,
            took: Duration::ZERO,
            tally: RuleTally::default(),
        };
        Self {
            each: rules.judges(tables).map(judging).collect(),
            keys: Keys::default(),
            list_passes: options.list_passes,
            told: 0,
            at_risk_cents: 0,
            to_gain_cents: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.each.len()
    }

    /// The row with its keys. Part of reading: no rule pays for what all of them share.
    pub fn see<'a>(&mut self, row: &'a Row<'a>) -> Seen<'a> {
        self.keys.see(row)
    }

    /// Shows a row to every rule that is still at work. Takes the time and gives it back: between two rules the clock is
    /// read once.
    pub fn row(&mut self, seen: &Seen<'_>, mut then: Instant, found: &mut Vec<Finding>) -> Instant {
        let from = found.len();
        for judging in &mut self.each {
            if judging.judge.is_none() {
                continue;
            }
            judging.work(self.list_passes, found, |judge, found| judge.row(seen, found));
            let now = Instant::now();
            judging.spend(now - then, found);
            then = now;
        }
        self.sum(&found[from..]);
        then
    }

    /// Lets one rule say what shows over all rows, or a part of it. False when it has nothing more to say.
    pub fn conclude(&mut self, at: usize, found: &mut Vec<Finding>) -> bool {
        let from = found.len();
        let judging = &mut self.each[at];
        if judging.judge.is_some() {
            let (then, mut more) = (Instant::now(), false);
            judging.work(self.list_passes, found, |judge, found| more = judge.conclude(found));
            found[from..].sort_by_key(|finding| (finding.row, finding.outcome));
            if more {
                judging.spend(then.elapsed(), found);
            } else {
                judging.took += then.elapsed();
                judging.finish();
            }
        }
        self.sum(&found[from..]);
        self.each[at].judge.is_some()
    }

    fn sum(&mut self, found: &[Finding]) {
        self.told += found.len() as u64;
        for finding in found {
            let sum = match finding.severity {
                Severity::Error | Severity::Warning => &mut self.at_risk_cents,
                Severity::Optimisation => &mut self.to_gain_cents,
                Severity::Pass => continue,
            };
            *sum = sum.saturating_add(finding.cents);
        }
    }

    pub fn tallies(&self) -> impl Iterator<Item = (&RuleId, &RuleTally)> {
        self.each.iter().map(|judging| (&judging.rule.id, &judging.tally))
    }
}

impl Judging<'_> {
    /// Lets the rule work. If it panics, what it found in this call is dropped, and the panic is what is told.
    fn work(
        &mut self,
        list_passes: bool,
        findings: &mut Vec<Finding>,
        work: impl FnOnce(&mut dyn Judge, &mut Found<'_>),
    ) {
        let Some(judge) = self.judge.as_deref_mut() else {
            return;
        };
        let from = findings.len();
        let mut found = Found::new(&self.rule.id, self.rule.severity, list_passes, findings);
        // What a panic leaves half done is dropped below: the judge, and the findings past `from`.
        let worked = catch_unwind(AssertUnwindSafe(|| work(judge, &mut found)));
        let passes = found.passes;
        if worked.is_err() {
            findings.truncate(from);
            self.fail(FindingOutcome::RuleFailed, [], findings);
            return;
        }
        self.tally.counts.add(Severity::Pass, passes);
        for finding in &findings[from..] {
            self.tally.counts.add(finding.severity, 1);
        }
    }

    /// Counts time against the budget.
    fn spend(&mut self, time: Duration, findings: &mut Vec<Finding>) {
        self.took += time;
        if self.judge.is_none() {
            self.finish();
        } else if self.took >= self.budget {
            let budget = i64::try_from(self.budget.as_millis()).unwrap_or(i64::MAX);
            self.fail(FindingOutcome::RuleOverBudget, [("budget_ms", budget.into())], findings);
            self.finish();
        }
    }

    fn fail<const N: usize>(
        &mut self,
        outcome: FindingOutcome,
        positions: [(&str, Param); N],
        findings: &mut Vec<Finding>,
    ) {
        self.judge = None;
        let (rule, severity) = (self.rule.id.clone(), Severity::Error);
        findings.push(Finding {
            row: 0,
            rule,
            severity,
            outcome,
            params: params(positions),
            cents: 0,
        });
        self.tally.counts.add(severity, 1);
    }

    fn finish(&mut self) {
        self.judge = None;
        self.tally.took_us = Some(micros(self.took));
    }
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
