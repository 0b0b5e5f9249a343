//! Checks that need only one row.

use std::borrow::Cow;

use regex::Regex;
use rustc_hash::FxHashSet;
use schemas::{
    finding::FindingOutcome,
    rule::{Column, RangeBound},
};

use super::{
    evaluator::{Evaluator, FindingSink, KeyedRow},
    filter::{CodeSet, RowMatcher, context},
};
use crate::{
    row::{Day, Row},
    tables::Tables,
};

#[cfg(test)]
mod tests;

/// The text of the cell. `None` when it is empty or the file lacks the column.
fn text<'a>(row: &'a Row<'_>, column: Column) -> Option<Cow<'a, str>> {
    row.cells.get(column).filter(|text| !text.is_empty())
}

/// A code as files write it, with four or five digits.
pub(super) fn code_text(code: u32) -> String {
    format!("{code:04}")
}

pub(super) struct RequiredValue<'r> {
    column: Column,
    when: RowMatcher<'r>,
}

impl<'r> RequiredValue<'r> {
    pub fn new(column: Column, when: RowMatcher<'r>) -> Self {
        Self { column, when }
    }
}

impl Evaluator for RequiredValue<'_> {
    fn row(&mut self, keyed: &KeyedRow<'_>, found: &mut FindingSink<'_>) {
        if !self.when.matches(keyed.row) {
            return;
        }
        let holds = text(keyed.row, self.column).is_some();
        report_cell(keyed, found, self.column, FindingOutcome::RequiredMissing, holds);
    }
}

/// Reports whether one cell conforms to its rule.
fn report_cell(
    keyed: &KeyedRow<'_>,
    found: &mut FindingSink<'_>,
    column: Column,
    breach: FindingOutcome,
    holds: bool,
) {
    if holds {
        found.pass(keyed.row.number);
    } else {
        found.breach(keyed.row.number, breach, 0, [("column", column.as_str().into())]);
    }
}

pub(super) struct Pattern<'r> {
    column: Column,
    /// Anchored at both ends.
    pattern: &'r Regex,
    when: RowMatcher<'r>,
}

impl<'r> Pattern<'r> {
    pub fn new(column: Column, pattern: &'r Regex, when: RowMatcher<'r>) -> Self {
        Self { column, pattern, when }
    }
}

impl Evaluator for Pattern<'_> {
    fn row(&mut self, keyed: &KeyedRow<'_>, found: &mut FindingSink<'_>) {
        if !self.when.matches(keyed.row) {
            return;
        }
        if let Some(text) = text(keyed.row, self.column) {
            let holds = self.pattern.is_match(&text);
            report_cell(keyed, found, self.column, FindingOutcome::PatternMismatch, holds);
        }
    }
}

/// The number that a range compares: dates as `YYYYMMDD`, times as minutes since midnight.
fn measure(row: &Row<'_>, column: Column) -> Option<i64> {
    match column {
        Column::ServiceDate => row.date.map(date_number),
        Column::Start => row.start.map(i64::from),
        Column::End => row.end.map(i64::from),
        Column::Place => row.place.map(i64::from),
        Column::Code => row.code.map(i64::from),
        Column::Units => row.units,
        Column::Preliminary => row.preliminary,
        Column::Paid => row.paid,
        _ => None,
    }
}

fn date_number(day: Day) -> i64 {
    i64::from(day.year) * 10_000 + i64::from(day.month) * 100 + i64::from(day.day)
}

/// The bound as a number that compares with [`measure`]. `None` when the bound does not have the
/// type of the column.
pub(super) fn bound(column: Column, bound: &RangeBound) -> Option<i64> {
    match (column, bound) {
        (Column::ServiceDate, RangeBound::Text(text)) => date(text),
        (Column::Start | Column::End, RangeBound::Text(text)) => time(text),
        (
            Column::Place | Column::Code | Column::Units | Column::Preliminary | Column::Paid,
            RangeBound::Number(number),
        ) => Some(*number),
        _ => None,
    }
}

/// The number in the text, when the text has exactly `count` digits.
fn digits(text: &str, count: usize) -> Option<i64> {
    (text.len() == count && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

fn date(text: &str) -> Option<i64> {
    let mut parts = text.split('-');
    let (year, month, day) =
        (digits(parts.next()?, 4)?, digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 => 28 + i64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    (parts.next().is_none() && (1..=12).contains(&month) && (1..=last).contains(&day))
        .then_some(year * 10_000 + month * 100 + day)
}

fn time(text: &str) -> Option<i64> {
    let (hours, minutes) = text.split_once(':')?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

pub(super) struct Range<'r> {
    column: Column,
    min: i64,
    max: i64,
    when: RowMatcher<'r>,
}

impl<'r> Range<'r> {
    pub fn new(
        column: Column,
        min: Option<&RangeBound>,
        max: Option<&RangeBound>,
        when: RowMatcher<'r>,
    ) -> Self {
        let side = |side: Option<&RangeBound>, open| {
            side.and_then(|side| bound(column, side)).unwrap_or(open)
        };
        Self { column, min: side(min, i64::MIN), max: side(max, i64::MAX), when }
    }
}

impl Evaluator for Range<'_> {
    fn row(&mut self, keyed: &KeyedRow<'_>, found: &mut FindingSink<'_>) {
        if !self.when.matches(keyed.row) {
            return;
        }
        if let Some(measure) = measure(keyed.row, self.column) {
            let holds = (self.min..=self.max).contains(&measure);
            report_cell(keyed, found, self.column, FindingOutcome::OutOfRange, holds);
        }
    }
}

pub(super) struct AllowedValues<'r> {
    column: Column,
    /// In lower case. Contexts have the form that rows have.
    values: FxHashSet<String>,
    when: RowMatcher<'r>,
}

impl<'r> AllowedValues<'r> {
    pub fn new(column: Column, values: &[String], when: RowMatcher<'r>) -> Self {
        let form = |value: &String| match column {
            Column::Contexts => context(value),
            _ => value.trim().to_lowercase(),
        };
        Self { column, values: values.iter().map(form).collect(), when }
    }

    /// Whether the cell is allowed. `None` when it is empty.
    fn holds(&self, row: &Row<'_>) -> Option<bool> {
        if self.column == Column::Contexts {
            return (!row.contexts.is_empty())
                .then(|| row.contexts.iter().all(|context| self.values.contains(*context)));
        }
        text(row, self.column).map(|text| self.values.contains(&text.to_lowercase()))
    }
}

impl Evaluator for AllowedValues<'_> {
    fn row(&mut self, keyed: &KeyedRow<'_>, found: &mut FindingSink<'_>) {
        if !self.when.matches(keyed.row) {
            return;
        }
        if let Some(holds) = self.holds(keyed.row) {
            report_cell(keyed, found, self.column, FindingOutcome::NotAllowed, holds);
        }
    }
}

pub(super) struct KnownCode<'r> {
    /// `None` without a code table, because then nothing is known about any code.
    known: Option<CodeSet>,
    when: RowMatcher<'r>,
}

impl<'r> KnownCode<'r> {
    pub fn new(tables: &Tables, when: RowMatcher<'r>) -> Self {
        let mut codes = tables.codes().map(|(code, _)| code).peekable();
        Self { known: codes.peek().is_some().then(|| codes.collect()), when }
    }
}

impl Evaluator for KnownCode<'_> {
    fn row(&mut self, keyed: &KeyedRow<'_>, found: &mut FindingSink<'_>) {
        let (Some(known), Some(code)) = (&self.known, keyed.row.code) else {
            return;
        };
        if !self.when.matches(keyed.row) {
            return;
        }
        if known.contains(code) {
            found.pass(keyed.row.number);
        } else {
            let code = code_text(code);
            found.breach(
                keyed.row.number,
                FindingOutcome::CodeUnknown,
                0,
                [("code", code.as_str().into())],
            );
        }
    }
}

pub(super) struct KnownContexts<'r> {
    tables: &'r Tables,
    when: RowMatcher<'r>,
}

impl<'r> KnownContexts<'r> {
    pub fn new(tables: &'r Tables, when: RowMatcher<'r>) -> Self {
        Self { tables, when }
    }
}

impl Evaluator for KnownContexts<'_> {
    fn row(&mut self, keyed: &KeyedRow<'_>, found: &mut FindingSink<'_>) {
        let Some(known) = self.tables.contexts() else { return };
        if keyed.row.contexts.is_empty() || !self.when.matches(keyed.row) {
            return;
        }
        let holds = keyed.row.contexts.iter().all(|context| known.contains(*context));
        report_cell(keyed, found, Column::Contexts, FindingOutcome::ContextUnknown, holds);
    }
}

pub(super) struct BetterCode<'r> {
    pub from_minutes: u16,
    pub base_cents: i64,
    pub step_minutes: u16,
    pub step_cents: i64,
    pub when: RowMatcher<'r>,
}

impl Evaluator for BetterCode<'_> {
    fn row(&mut self, keyed: &KeyedRow<'_>, found: &mut FindingSink<'_>) {
        let row = keyed.row;
        if row.is_reversal() || row.unread.contains(Column::Preliminary) {
            return;
        }
        let Some(minutes) = row.minutes().filter(|minutes| *minutes >= self.from_minutes) else {
            return;
        };
        if !self.when.matches(row) {
            return;
        }
        let steps = (minutes - self.from_minutes) / self.step_minutes;
        let better = self.base_cents + self.step_cents * i64::from(steps);
        let billed = row.preliminary.unwrap_or(0);
        if billed >= better {
            found.pass(row.number);
            return;
        }
        found.gain(
            row.number,
            FindingOutcome::LongerVisit,
            better.saturating_sub(billed),
            [
                ("minutes", i64::from(minutes).into()),
                ("better_cents", better.into()),
                ("billed_cents", billed.into()),
            ],
        );
    }
}
