//! Claims files, their runs and findings, and the rules of the checks.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemas::{
    ids::{FileId, RunId},
    rule::Rule,
    run::{FindingCounts, RunHead, RunState},
};

use crate::http::claims::findings::FindingMessage;

/// An uploaded file.
#[derive(JsonSchema)]
pub(in crate::http) struct FileAnswer {
    file: FileId,
    name: String,
    bytes: u64,
    /// In hex digits.
    sha256: String,
}

/// A run that was requested.
#[derive(JsonSchema)]
pub(in crate::http) struct RequestedRun {
    run: RunId,
    state: RunState,
    /// The channel that follows the run.
    channel: String,
}

/// A run in the list of the tenant.
#[derive(JsonSchema)]
pub(in crate::http) struct ListedRun {
    run: RunId,
    requested_by_me: bool,
    #[serde(flatten)]
    head: RunHead,
}

/// A page of runs, newest first.
#[derive(JsonSchema)]
pub(in crate::http) struct RunPage {
    runs: Vec<ListedRun>,
    /// The cursor of the next page. Absent on the last one.
    next: Option<String>,
}

/// A page of findings, in the order of the rows.
#[derive(JsonSchema)]
pub(in crate::http) struct FindingPage {
    findings: Vec<FindingMessage>,
    /// The cursor of the next page. Absent on the last one.
    next: Option<String>,
}

/// The texts of findings.
#[derive(JsonSchema)]
pub(in crate::http) struct MessageTexts {
    /// The message of each outcome, with the names of its parameters in braces.
    outcomes: BTreeMap<String, String>,
    /// The words of parameters.
    words: serde_json::Value,
}

/// The rules of a tenant.
#[derive(JsonSchema)]
pub(in crate::http) struct RuleList {
    rules: Vec<Rule>,
    /// Whether they are the built-in rules, because the tenant has stored none.
    builtin: bool,
}

/// The result of trying a rule.
#[derive(JsonSchema)]
pub(in crate::http) struct TrialAnswer {
    counts: FindingCounts,
    /// The first findings.
    findings: Vec<FindingMessage>,
    rows: u64,
    /// Whether the trial stopped before the end of the file.
    partial: bool,
    took_ms: u64,
}
