//! Runs: one check of a claims file each, and the entries of their channels.
//!
//! The view `run:<id>` has the entries `run` ([`RunHead`]), `progress` ([`RunProgress`]), `counts`
//! ([`FindingCounts`]), one `rule:<id>` ([`RuleTally`]) per rule that found something or ended, and
//! one `finding:<n>` for each of the first [`SHOWN_FINDINGS`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Millis,
    attempt::AttemptNumber,
    codes::Code,
    finding::Param,
    ids::{FileId, RuleId},
    rule::Severity,
};

/// How many findings the channel of a run has. Once the run has ended, HTTP gives all of them.
pub const SHOWN_FINDINGS: usize = 100;
/// Attempts at one request before a fault counts as lasting and the run fails.
pub const MAX_ATTEMPTS: u32 = 3;

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// The run waits for a worker.
    Queued,
    /// A worker checks the file.
    Running,
    /// Ended: the whole file was checked.
    Completed,
    /// Ended: the file could not be checked.
    Failed,
    /// Ended: the run was cancelled.
    Cancelled,
}

impl RunState {
    /// Every state.
    pub const ALL: [RunState; 5] = [
        RunState::Queued,
        RunState::Running,
        RunState::Completed,
        RunState::Failed,
        RunState::Cancelled,
    ];

    /// The state as JSON spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            RunState::Queued => "queued",
            RunState::Running => "running",
            RunState::Completed => "completed",
            RunState::Failed => "failed",
            RunState::Cancelled => "cancelled",
        }
    }

    /// Whether the run has ended.
    pub fn is_end(self) -> bool {
        !matches!(self, RunState::Queued | RunState::Running)
    }
}

/// The phase of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunPhase {
    /// Rows are read and checked one by one.
    Reading,
    /// Rules that need all rows are concluded: sums, yearly limits, office fees.
    Concluding,
    /// Findings are stored.
    Storing,
}

/// The file of a run.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct RunFile {
    /// The uploaded file.
    pub file: FileId,
    /// The name that the clerk gave the file. Shown to clerks, never logged.
    pub name: String,
    /// The size.
    pub bytes: u64,
    /// The SHA-256 of the bytes that the gateway received, in hex.
    pub sha256: String,
}

/// The run as a whole: the entry `run`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct RunHead {
    /// The state.
    pub state: RunState,
    /// The name of the file.
    pub name: String,
    /// The size of the file.
    pub bytes: u64,
    /// When the run was requested.
    pub requested_at: Millis,
    /// The number of the attempt: 1 at first, more after a lost worker, a fault or a retry.
    pub attempt: AttemptNumber,
    /// Runs before this one in the queue. Only while the run is queued and the number is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead: Option<u32>,
    /// Whether cancelling was requested and the worker has not stopped yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelling: bool,
    /// When the attempt started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Millis>,
    /// When the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Millis>,
    /// Why the run failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<RunFailure>,
    /// The totals of a completed run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<RunSummary>,
}

/// Why a run failed, and whether a retry may help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct RunFailure {
    /// The reason.
    pub code: Code,
    /// Where in the file the reason is: `column`, `line` or `byte`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Param>,
    /// Whether a retry may help.
    pub retryable: bool,
}

/// The progress of a running attempt: the entry `progress`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct RunProgress {
    /// The phase.
    pub phase: RunPhase,
    /// The progress over all phases, 0 to 1000. Never falls within an attempt.
    pub permille: u32,
    /// Rows that were read.
    pub rows_done: u64,
    /// All rows of the file. Known once the file was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_total: Option<u64>,
    /// Bytes that were read.
    pub bytes_done: u64,
    /// The size of the file.
    pub bytes_total: u64,
    /// Rows per second, smoothed.
    pub rows_per_s: u32,
    /// Milliseconds to the end by the smoothed rate. Absent in the first two seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_ms: Option<u64>,
}

/// Findings by severity: the entry `counts`, and a part of each rule's tally.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct FindingCounts {
    /// Errors.
    pub error: u64,
    /// Warnings.
    pub warning: u64,
    /// Possible gains.
    pub optimisation: u64,
    /// Checks that passed.
    pub pass: u64,
}

impl FindingCounts {
    /// Adds `more` findings of a severity.
    pub fn add(&mut self, severity: Severity, more: u64) {
        *match severity {
            Severity::Error => &mut self.error,
            Severity::Warning => &mut self.warning,
            Severity::Optimisation => &mut self.optimisation,
            Severity::Pass => &mut self.pass,
        } += more;
    }

    /// How many findings there are, without passes.
    pub fn findings(&self) -> u64 {
        self.error + self.warning + self.optimisation
    }
}

/// The findings of one rule so far, and its time once it has finished: an entry `rule:<id>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct RuleTally {
    /// Findings by severity.
    #[serde(flatten)]
    pub counts: FindingCounts,
    /// Microseconds that the rule took over the whole file. Present once the rule has finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_us: Option<u64>,
}

/// The totals of a completed run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct RunSummary {
    /// Rows of the file.
    pub rows: u64,
    /// Rows that could not be read. Each is a finding.
    pub rows_unreadable: u64,
    /// Findings by severity.
    pub counts: FindingCounts,
    /// The sum of cents over errors and warnings.
    pub at_risk_cents: i64,
    /// The sum of cents over optimisations.
    pub to_gain_cents: i64,
    /// Milliseconds of the attempt.
    pub took_ms: u64,
    /// Findings that are stored. Fewer than counted when there were more than the limit.
    pub stored: u64,
}

/// The changes of a running attempt since the worker's last report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct RunReport {
    /// The progress.
    pub progress: RunProgress,
    /// All findings so far.
    pub counts: FindingCounts,
    /// The tallies that changed, by rule.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rules: BTreeMap<RuleId, RuleTally>,
    /// New findings among the first [`SHOWN_FINDINGS`], in the order found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<crate::finding::Finding>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_names_match_their_json_and_three_are_ends() {
        for state in RunState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
        let ends = [RunState::Completed, RunState::Failed, RunState::Cancelled];
        assert!(RunState::ALL.into_iter().filter(|state| state.is_end()).eq(ends));
    }

    #[test]
    fn passes_are_counted_and_are_no_findings() {
        let mut counts = FindingCounts::default();
        for (severity, more) in Severity::ALL.into_iter().zip([2, 3, 5, 7]) {
            counts.add(severity, 1);
            counts.add(severity, more);
        }
        let expected = FindingCounts { error: 3, warning: 4, optimisation: 6, pass: 8 };
        assert_eq!((counts, counts.findings()), (expected, 13));
    }
}
