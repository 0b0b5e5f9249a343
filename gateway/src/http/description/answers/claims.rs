//! Claims files, their runs and findings, and the rules of the checks.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemas::{
    ids::{FileId, RunId},
    reference::{ReferenceTable, StoredReference},
    rule::StoredRule,
    run::{FindingCounts, RunHead, RunState},
};

use crate::http::claims::{
    findings::FindingMessage,
    reference::{CodeBody, ContextBody, EstablishmentBody},
};

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
    rules: Vec<StoredRule>,
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

/// A table of reference data.
#[derive(JsonSchema)]
pub(in crate::http) struct TableHead {
    table: ReferenceTable,
    /// The version at which the tenant's own table last changed. 0 when it never had one.
    edition: u64,
    /// Whether it is the table of the installation, because the tenant has none of its own.
    builtin: bool,
    count: u64,
}

/// The tables of reference data.
#[derive(JsonSchema)]
pub(in crate::http) struct TableList {
    tables: Vec<TableHead>,
}

/// An entry of a table, with its key as `code`, `place` or `context`.
#[derive(JsonSchema)]
pub(in crate::http) struct TableEntry {
    code: Option<String>,
    place: Option<String>,
    context: Option<String>,
    #[serde(flatten)]
    stored: StoredReference,
}

/// A page of a table.
#[derive(JsonSchema)]
pub(in crate::http) struct TablePage {
    #[serde(flatten)]
    head: TableHead,
    entries: Vec<TableEntry>,
    /// The key after which the next page begins. Absent on the last one.
    next: Option<String>,
}

/// An entry of a table, as a change names it.
#[derive(JsonSchema)]
#[serde(untagged)]
pub(in crate::http) enum TableEntryBody {
    Code(CodeBody),
    Establishment(EstablishmentBody),
    Context(ContextBody),
}
