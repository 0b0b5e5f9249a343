//! A generated row: typed cells, raw text for malformed cells, and the findings expected there.

use jiff::civil::Date;
use schemas::{finding::FindingOutcome, rule::Column};

use super::people::{Doctor, Patient};

/// A finding that a check must report for a row.
#[derive(Debug, Clone, Copy)]
pub struct ExpectedFinding {
    pub rule: &'static str,
    pub outcome: FindingOutcome,
    pub cents: i64,
}

/// A row of an export.
#[derive(Debug, Clone)]
pub struct ClaimRow {
    pub date: Option<Date>,
    /// Minutes since midnight.
    pub start: Option<u16>,
    pub end: Option<u16>,
    pub place: u32,
    pub code: u32,
    pub units: Option<i64>,
    /// The text of the cell, with stray spaces and `#`.
    pub contexts: &'static str,
    /// Cents.
    pub preliminary: Option<i64>,
    pub paid: Option<i64>,
    pub doctor: Option<Doctor>,
    pub patient: Option<Patient>,
    /// Texts of cells, which replace the typed values.
    pub raw: Vec<(Column, &'static str)>,
    pub expected: Vec<ExpectedFinding>,
}

impl ClaimRow {
    #[must_use]
    pub fn on(mut self, date: Date) -> Self {
        self.date = Some(date);
        self
    }

    #[must_use]
    pub fn place(mut self, place: u32) -> Self {
        self.place = place;
        self
    }

    #[must_use]
    pub fn code(mut self, code: u32) -> Self {
        self.code = code;
        self
    }

    #[must_use]
    pub fn units(mut self, units: i64) -> Self {
        self.units = Some(units);
        self
    }

    #[must_use]
    pub fn contexts(mut self, contexts: &'static str) -> Self {
        self.contexts = contexts;
        self
    }

    #[must_use]
    pub fn preliminary(mut self, cents: impl Into<Option<i64>>) -> Self {
        self.preliminary = cents.into();
        self
    }

    #[must_use]
    pub fn paid(mut self, cents: impl Into<Option<i64>>) -> Self {
        self.paid = cents.into();
        self
    }

    /// From start to end, in minutes since midnight.
    #[must_use]
    pub fn at(mut self, start: impl Into<Option<u16>>, end: impl Into<Option<u16>>) -> Self {
        (self.start, self.end) = (start.into(), end.into());
        self
    }

    #[must_use]
    pub fn raw(mut self, column: Column, text: &'static str) -> Self {
        self.raw.push((column, text));
        self
    }

    #[must_use]
    pub fn finds(mut self, rule: &'static str, outcome: FindingOutcome, cents: i64) -> Self {
        self.expected.push(ExpectedFinding { rule, outcome, cents });
        self
    }

    #[must_use]
    pub fn passes(self, rule: &'static str) -> Self {
        self.finds(rule, FindingOutcome::Pass, 0)
    }
}
