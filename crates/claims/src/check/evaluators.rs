//! The running rules of a check. Each is isolated, so a rule that panics or is too slow does not
//! affect the others.

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

use super::{CheckOptions, share::CoreShare};
use crate::{
    row::Row,
    rules::{Evaluator, FindingSink, KeyNumbers, KeyedRow, Rules, params},
    tables::Tables,
};

/// All rules of a check, in their order.
pub(super) struct Evaluators<'r> {
    pub each: Vec<RunningRule<'r>>,
    keys: KeyNumbers,
    list_passes: bool,
    /// Findings that were reported.
    pub reported: u64,
    pub at_risk_cents: i64,
    pub to_gain_cents: i64,
    pub share: CoreShare,
}

/// One running rule.
pub(super) struct RunningRule<'r> {
    rule: &'r Rule,
    /// `None` once the rule has finished, which frees all that it kept.
    pub evaluator: Option<Box<dyn Evaluator + 'r>>,
    pub budget: Duration,
    took: Duration,
    tally: RuleTally,
}

impl<'r> Evaluators<'r> {
    pub fn new(rules: &'r Rules, tables: &'r Tables, options: CheckOptions) -> Self {
        let running = |(rule, evaluator)| RunningRule {
            rule,
            evaluator: Some(evaluator),
            budget: options.budget,
            took: Duration::ZERO,
            tally: RuleTally::default(),
        };
        Self {
            each: rules.evaluators(tables).map(running).collect(),
            keys: KeyNumbers::default(),
            list_passes: options.list_passes,
            reported: 0,
            at_risk_cents: 0,
            to_gain_cents: 0,
            share: CoreShare::default(),
        }
    }

    pub fn len(&self) -> usize {
        self.each.len()
    }

    /// Numbers the patient and doctor of a row. The time counts as reading, because all rules share
    /// the numbers.
    pub fn number_row<'a>(&mut self, row: &'a Row<'a>) -> KeyedRow<'a> {
        self.keys.number_row(row)
    }

    /// Numbers and evaluates a row. Adds the time since `then` to `reading`, and returns the time.
    pub fn timed_row(
        &mut self,
        row: &Row<'_>,
        then: Instant,
        reading: &mut Duration,
        found: &mut Vec<Finding>,
    ) -> Instant {
        let keyed = self.number_row(row);
        let now = Instant::now();
        *reading += now - then;
        self.row(&keyed, now, found)
    }

    /// Evaluates a row with every rule that is still running. Takes and returns the time, so the
    /// clock is read once between two rules.
    pub fn row(
        &mut self,
        keyed: &KeyedRow<'_>,
        mut then: Instant,
        found: &mut Vec<Finding>,
    ) -> Instant {
        let from = found.len();
        for running in &mut self.each {
            if running.evaluator.is_none() {
                continue;
            }
            running.work(self.list_passes, found, |evaluator, found| evaluator.row(keyed, found));
            let now = Instant::now();
            running.spend(now - then, &self.share, found);
            then = now;
        }
        self.sum(&found[from..]);
        then
    }

    /// Lets one rule report some of its conclusions. False when it has reported all.
    pub fn conclude(&mut self, at: usize, found: &mut Vec<Finding>) -> bool {
        let from = found.len();
        let running = &mut self.each[at];
        if running.evaluator.is_some() {
            let (then, mut more) = (Instant::now(), false);
            running
                .work(self.list_passes, found, |evaluator, found| more = evaluator.conclude(found));
            found[from..].sort_by_key(|finding| (finding.row, finding.outcome));
            if more {
                running.spend(then.elapsed(), &self.share, found);
            } else {
                running.took += then.elapsed();
                running.finish();
            }
        }
        self.sum(&found[from..]);
        self.each[at].evaluator.is_some()
    }

    fn sum(&mut self, found: &[Finding]) {
        self.reported += found.len() as u64;
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
        self.each.iter().map(|running| (&running.rule.id, &running.tally))
    }
}

impl RunningRule<'_> {
    /// Runs the rule. If it panics, the findings of this call are dropped and the panic becomes a
    /// finding.
    fn work(
        &mut self,
        list_passes: bool,
        findings: &mut Vec<Finding>,
        work: impl FnOnce(&mut dyn Evaluator, &mut FindingSink<'_>),
    ) {
        let Some(evaluator) = self.evaluator.as_deref_mut() else {
            return;
        };
        let from = findings.len();
        let mut found = FindingSink::new(&self.rule.id, self.rule.severity, list_passes, findings);
        // State that a panic leaves inconsistent is dropped below: the evaluator, and the findings
        // past `from`.
        let worked = catch_unwind(AssertUnwindSafe(|| work(evaluator, &mut found)));
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
    fn spend(&mut self, time: Duration, share: &CoreShare, findings: &mut Vec<Finding>) {
        self.took += time;
        if self.evaluator.is_none() {
            self.finish();
        } else if self.took >= self.budget && share.of(self.took) >= self.budget {
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
        self.evaluator = None;
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
        self.evaluator = None;
        self.tally.took_us = Some(micros(self.took));
    }
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
