//! The check of one file, step by step. The caller decides how often to report, and may stop
//! between two steps.

use std::{
    io,
    time::{Duration, Instant},
};

use schemas::{
    finding::{Finding, FindingOutcome},
    ids::RuleId,
    rule::{Column, Severity},
    run::{FindingCounts, RuleTally, RunSummary},
};

use crate::{
    file::{File, FileError, FileFormat, OtherForm, ParsedRow, UnreadableRow},
    rules::{FILE_RULE, FindingSink, Rules},
    tables::Tables,
};

mod evaluators;
#[cfg(test)]
pub(crate) mod fixtures;
mod share;
#[cfg(test)]
mod tests;

use evaluators::Evaluators;
use share::StepClock;

/// Rows of one step. A step takes a few milliseconds, so the caller can report and stop often, and
/// costs far more than the bookkeeping around it.
const BLOCK: u32 = 1024;

/// The options of a check.
#[derive(Debug, Clone, Copy)]
pub struct CheckOptions {
    /// Whether passes are listed. They are always counted.
    pub list_passes: bool,
    /// The time of a core that one rule may take over the whole file. A rule that takes longer is
    /// stopped, and a finding says so. Time in which other programs have the cores does not count:
    /// what a check finds must not depend on its neighbours.
    pub budget: Duration,
}

impl Default for CheckOptions {
    /// 30 seconds: a hundred times what the slowest shipped rule takes for a million rows.
    fn default() -> Self {
        Self { list_passes: false, budget: Duration::from_secs(30) }
    }
}

/// The result of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckStep {
    /// A block of rows was read and evaluated.
    Reading,
    /// All rows are read. A rule reported some or all of its conclusions.
    Concluding,
    /// The check is over. Another step returns the same.
    Done(RunSummary),
}

/// A check of one file.
pub struct FileCheck<'r, R: io::Read> {
    file: File<R>,
    evaluators: Evaluators<'r>,
    /// Findings about the file itself.
    about_file: FileTally,
    rows: u64,
    /// Rows with a cell that cannot be read, or with too few or too many cells.
    rows_unreadable: u64,
    stage: CheckStage,
    started: Instant,
}

enum CheckStage {
    Reading,
    /// The rule that concludes next.
    Concluding(usize),
    Done(RunSummary),
}

/// The tally under [`FILE_RULE`], for what cannot be read. Finished after the last row; its
/// time is the time of reading.
struct FileTally {
    rule: RuleId,
    tally: RuleTally,
    took: Duration,
}

impl<'r, R: io::Read> FileCheck<'r, R> {
    /// Starts a check: reads the header and resolves the rules against the tables.
    ///
    /// # Errors
    /// The error of the reader, or why the file is no claims export.
    ///
    /// # Panics
    /// Never: [`FILE_RULE`] is a valid id.
    pub fn new(
        reader: R,
        format: &FileFormat,
        rules: &'r Rules,
        tables: &'r Tables,
        options: CheckOptions,
    ) -> Result<Self, FileError> {
        let started = Instant::now();
        let rule = RuleId::new(FILE_RULE).expect("a slug");
        Ok(Self {
            file: File::open(reader, format)?,
            evaluators: Evaluators::new(rules, tables, options),
            about_file: FileTally { rule, tally: RuleTally::default(), took: Duration::ZERO },
            rows: 0,
            rows_unreadable: 0,
            stage: CheckStage::Reading,
            started,
        })
    }

    /// Evaluates one block of rows, or some conclusions of one rule, and appends the findings:
    /// first those of single rows in the order of rows, then those of all rows, rule by rule and by
    /// row.
    ///
    /// # Errors
    /// The error of the reader, or why the file is refused after all. A later step returns the same
    /// error.
    pub fn step(&mut self, found: &mut Vec<Finding>) -> Result<CheckStep, FileError> {
        let begun = StepClock::start();
        let step = self.advance(found);
        self.evaluators.share.add(&begun);
        step
    }

    fn advance(&mut self, found: &mut Vec<Finding>) -> Result<CheckStep, FileError> {
        match &self.stage {
            CheckStage::Reading => {
                if self.read_block(found)? {
                    return Ok(CheckStep::Reading);
                }
                self.about_file.report_forms(self.file.other_forms(), found);
                self.about_file.tally.took_us = Some(evaluators::micros(self.about_file.took));
                self.stage = CheckStage::Concluding(0);
                Ok(CheckStep::Concluding)
            }
            CheckStage::Concluding(next) if *next < self.evaluators.len() => {
                let next = *next;
                if !self.evaluators.conclude(next, found) {
                    self.stage = CheckStage::Concluding(next + 1);
                }
                Ok(CheckStep::Concluding)
            }
            CheckStage::Concluding(_) => {
                let summary = self.summary();
                self.stage = CheckStage::Done(summary.clone());
                Ok(CheckStep::Done(summary))
            }
            CheckStage::Done(summary) => Ok(CheckStep::Done(summary.clone())),
        }
    }

    /// Reads and evaluates a block. False after the last row.
    fn read_block(&mut self, found: &mut Vec<Finding>) -> Result<bool, FileError> {
        let mut then = Instant::now();
        for _ in 0..BLOCK {
            let Some(read) = self.file.next()? else {
                return Ok(false);
            };
            self.rows += 1;
            match read {
                ParsedRow::Row(row) => {
                    self.rows_unreadable += u64::from(!row.unread.is_empty());
                    then = self.evaluators.timed_row(&row, then, &mut self.about_file.took, found);
                }
                ParsedRow::Partial(row, unreadable) => {
                    self.rows_unreadable += 1;
                    self.about_file.report(&unreadable, found);
                    then = self.evaluators.timed_row(&row, then, &mut self.about_file.took, found);
                }
                ParsedRow::Unreadable(unreadable) => {
                    self.rows_unreadable += 1;
                    self.about_file.report(&unreadable, found);
                }
            }
        }
        Ok(true)
    }

    fn summary(&self) -> RunSummary {
        let counts = self.counts();
        RunSummary {
            rows: self.rows,
            rows_unreadable: self.rows_unreadable,
            counts,
            at_risk_cents: self.evaluators.at_risk_cents,
            to_gain_cents: self.evaluators.to_gain_cents,
            took_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            stored: self.evaluators.reported + self.about_file.tally.counts.error,
        }
    }

    /// Findings so far by severity, including passes that are not listed.
    pub fn counts(&self) -> FindingCounts {
        let mut counts = FindingCounts::default();
        for (_, tally) in self.tallies() {
            for (severity, more) in [
                (Severity::Error, tally.counts.error),
                (Severity::Warning, tally.counts.warning),
                (Severity::Optimisation, tally.counts.optimisation),
                (Severity::Pass, tally.counts.pass),
            ] {
                counts.add(severity, more);
            }
        }
        counts
    }

    /// The tallies: of the file itself under [`FILE_RULE`], then of each rule in the given order.
    pub fn tallies(&self) -> impl Iterator<Item = (&RuleId, &RuleTally)> {
        std::iter::once((&self.about_file.rule, &self.about_file.tally))
            .chain(self.evaluators.tallies())
    }

    /// Rows that were read, including unreadable ones.
    pub fn rows_done(&self) -> u64 {
        self.rows
    }

    /// Bytes that were read.
    pub fn bytes_done(&self) -> u64 {
        self.file.bytes_done()
    }
}

impl FileTally {
    fn report(&mut self, unreadable: &UnreadableRow, found: &mut Vec<Finding>) {
        let line = i64::try_from(unreadable.line).unwrap_or(i64::MAX);
        let params = [("line", line.into()), ("column", unreadable.column.as_str().into())];
        FindingSink::new(&self.rule, Severity::Error, false, found).breach(
            unreadable.number,
            FindingOutcome::RowUnreadable,
            0,
            params,
        );
        self.tally.counts.add(Severity::Error, 1);
    }

    /// Reports dates and times in another form, once each for the whole file.
    fn report_forms(&mut self, forms: &[OtherForm], found: &mut Vec<Finding>) {
        for OtherForm { column, form, line, rows } in forms {
            let outcome = match column {
                Column::ServiceDate => FindingOutcome::DateForm,
                _ => FindingOutcome::TimeForm,
            };
            let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            let params = [
                ("column", column.as_str().into()),
                ("form", form.as_str().into()),
                ("line", number(*line).into()),
                ("rows", number(*rows).into()),
            ];
            FindingSink::new(&self.rule, Severity::Error, false, found)
                .breach(0, outcome, 0, params);
            self.tally.counts.add(Severity::Error, 1);
        }
    }
}
