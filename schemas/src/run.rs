//! A run: one check of a claims file, as its channel shows it.
//!
//! The view `run:<id>` has the entries `run` ([`RunHead`]), `progress` ([`RunProgress`]), `counts` ([`FindingCounts`]), one
//! `rule:<id>` ([`RuleTally`]) per rule that found something or ended, and `finding:<n>` for the first [`SHOWN_FINDINGS`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Millis,
    codes::Code,
    finding::Param,
    ids::{FileId, RuleId},
    rule::Severity,
};

/// Findings a run's channel shows while it runs; all of them are read over HTTP once it ended.
pub const SHOWN_FINDINGS: usize = 100;
/// Attempts at one request before a fault counts as lasting.
pub const MAX_ATTEMPTS: u32 = 3;

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    Queued,
    Running,
    Completed,
    Failed,
    Cancelled,
}

impl RunState {
    pub const ALL: [RunState; 5] = [
        RunState::Queued,
        RunState::Running,
        RunState::Completed,
        RunState::Failed,
        RunState::Cancelled,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            RunState::Queued => "queued",
            RunState::Running => "running",
            RunState::Completed => "completed",
            RunState::Failed => "failed",
            RunState::Cancelled => "cancelled",
        }
    }

    pub fn is_end(self) -> bool {
        !matches!(self, RunState::Queued | RunState::Running)
    }
}

/// What a worker is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RunPhase {
    /// Rows are read, and judged one by one.
    Reading,
    /// What needs all rows is judged: sums, yearly limits, office fees.
    Concluding,
    /// Findings are stored.
    Storing,
}

/// The file of a run. Its name is the clerk's and is shown to clerks; it is never logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct RunFile {
    pub file: FileId,
    pub name: String,
    pub bytes: u64,
    /// SHA-256 of its bytes in hex, as the gateway received them.
    pub sha256: String,
}

/// The run as a whole: the entry `run`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct RunHead {
    pub state: RunState,
    /// The file's name.
    pub name: String,
    pub bytes: u64,
    pub requested_at: Millis,
    /// 1 at first; more after a worker was lost, a fault, or a retry.
    pub attempt: u32,
    /// Runs before this one in line, while queued and known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead: Option<u32>,
    /// Cancelling was asked for and the worker has not stopped yet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelling: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Millis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Millis>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<RunFailure>,
    /// What a completed run comes to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<RunSummary>,
}

/// Why a run failed, and whether asking again may help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct RunFailure {
    pub code: Code,
    /// Where in the file: `column`, `line`, `byte`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Param>,
    pub retryable: bool,
}

/// How far a running attempt is: the entry `progress`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct RunProgress {
    pub phase: RunPhase,
    /// 0 to 1000 over all phases; never falls within an attempt.
    pub permille: u32,
    pub rows_done: u64,
    /// Known once the file was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows_total: Option<u64>,
    pub bytes_done: u64,
    pub bytes_total: u64,
    /// Rows a second, smoothed.
    pub rows_per_s: u32,
    /// Milliseconds to the end, from the smoothed rate; absent in the first two seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta_ms: Option<u64>,
}

/// Findings by severity: the entry `counts`, and part of each rule's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct FindingCounts {
    pub error: u64,
    pub warning: u64,
    pub optimisation: u64,
    pub pass: u64,
}

impl FindingCounts {
    pub fn add(&mut self, severity: Severity, more: u64) {
        *match severity {
            Severity::Error => &mut self.error,
            Severity::Warning => &mut self.warning,
            Severity::Optimisation => &mut self.optimisation,
            Severity::Pass => &mut self.pass,
        } += more;
    }

    /// All but passes.
    pub fn findings(&self) -> u64 {
        self.error + self.warning + self.optimisation
    }
}

/// What one rule found so far, and its time once it is finished: an entry `rule:<id>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct RuleTally {
    #[serde(flatten)]
    pub counts: FindingCounts,
    /// Microseconds it took over the whole file; present exactly when it is finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_us: Option<u64>,
}

/// What a completed run comes to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct RunSummary {
    pub rows: u64,
    /// Rows that could not be read; each is a finding.
    pub rows_unreadable: u64,
    pub counts: FindingCounts,
    /// Sum over errors and warnings.
    pub at_risk_cents: i64,
    /// Sum over optimisations.
    pub to_gain_cents: i64,
    pub took_ms: u64,
    /// Findings stored: fewer than counted when there were more than are kept.
    pub stored: u64,
}

/// What a worker tells of a running attempt since its last report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct RunReport {
    pub progress: RunProgress,
    pub counts: FindingCounts,
    /// Rules whose tally changed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rules: BTreeMap<RuleId, RuleTally>,
    /// New ones among the first [`SHOWN_FINDINGS`], in the order found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<crate::finding::Finding>,
}
