//! Histories.

use schemars::JsonSchema;
use schemas::history::Stay;

/// A page of a history, newest first.
#[derive(JsonSchema)]
pub(in crate::http) struct HistoryPage {
    stays: Vec<Stay>,
    /// The cursor of the next page. Absent on the last one.
    next: Option<String>,
}
