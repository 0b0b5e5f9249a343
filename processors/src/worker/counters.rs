//! The counters of a worker, for metrics.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use claims::rules::{FILE_RULE, shipped};
use schemas::{ids::RuleId, run::RuleTally};

/// How an attempt ended for this worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AttemptResult {
    /// The check completed.
    Completed,
    /// The run failed.
    Failed,
    /// The run was cancelled.
    Cancelled,
    /// The run was given back, to be tried again.
    Released,
    /// Another worker has the run.
    Lost,
}

impl AttemptResult {
    /// All results.
    pub const ALL: [AttemptResult; 5] = [
        AttemptResult::Completed,
        AttemptResult::Failed,
        AttemptResult::Cancelled,
        AttemptResult::Released,
        AttemptResult::Lost,
    ];

    /// The name of the result in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            AttemptResult::Completed => "completed",
            AttemptResult::Failed => "failed",
            AttemptResult::Cancelled => "cancelled",
            AttemptResult::Released => "released",
            AttemptResult::Lost => "lost",
        }
    }
}

/// Totals since the worker started. `running` is the current number.
#[derive(Default)]
pub struct WorkerCounters {
    /// Attempts taken.
    pub taken: AtomicU64,
    /// Attempts in progress.
    pub running: AtomicU64,
    /// Rows checked by completed attempts.
    pub rows: AtomicU64,
    ended: [AtomicU64; AttemptResult::ALL.len()],
    rule_micros: Mutex<BTreeMap<String, u64>>,
}

/// The metric label for the rules of tenants, whose ids belong to the tenants.
const CUSTOM: &str = "custom";

impl WorkerCounters {
    /// The number of attempts with this result.
    pub fn ended(&self, how: AttemptResult) -> u64 {
        self.ended[how as usize].load(Relaxed)
    }

    pub(super) fn end(&self, how: AttemptResult) {
        self.ended[how as usize].fetch_add(1, Relaxed);
    }

    /// Microseconds spent per rule. Built-in rules appear by their ids, all others under one name.
    pub fn rule_micros(&self) -> BTreeMap<String, u64> {
        self.rule_micros.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn rules<'t>(&self, tallies: impl Iterator<Item = (&'t RuleId, &'t RuleTally)>) {
        static SHIPPED: std::sync::LazyLock<BTreeSet<RuleId>> =
            std::sync::LazyLock::new(|| shipped().into_iter().map(|rule| rule.id).collect());
        let mut micros = self.rule_micros.lock().unwrap_or_else(PoisonError::into_inner);
        for (rule, tally) in tallies {
            let named = SHIPPED.contains(rule) || rule.as_str() == FILE_RULE;
            let name = if named { rule.as_str() } else { CUSTOM };
            *micros.entry(name.to_owned()).or_default() += tally.took_us.unwrap_or_default();
        }
    }
}
