//! A file under check, driven step by step: whoever drives it says how often to report, and may stop between two steps.

use std::{
    io,
    time::{Duration, Instant},
};

use schemas::{
    finding::{Finding, FindingOutcome},
    ids::RuleId,
    rule::Severity,
    run::{FindingCounts, RuleTally, RunSummary},
};

use crate::{
    file::{File, FileError, Format, Read, Unreadable},
    rules::{FILE_RULE, Found, Rules},
    tables::Tables,
};

#[cfg(test)]
pub(crate) mod bench;
mod judges;
#[cfg(test)]
mod tests;

use judges::Judges;

/// Rows of one step: a few milliseconds, so that a driver can report and be stopped often, and far more than its
/// bookkeeping costs.
const BLOCK: u32 = 1024;

#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Whether passes are listed beside what is wrong; they are counted in any case.
    pub list_passes: bool,
    /// The time one rule may take over the whole file. One that has not told everything by then is stopped, which is a
    /// finding about it.
    pub budget: Duration,
}

impl Default for Options {
    /// Thirty seconds: a hundred times what the dearest of the shipped rules takes for a million rows.
    fn default() -> Self {
        Self { list_passes: false, budget: Duration::from_secs(30) }
    }
}

/// What a step did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A block of rows was read and judged.
    Reading,
    /// All rows are read. A rule told what shows over all of them, or a part of it.
    Concluding,
    /// Everything is said. Another step says the same.
    Done(RunSummary),
}

/// One check of one file.
pub struct Checking<'r, R: io::Read> {
    file: File<R>,
    judges: Judges<'r>,
    /// What was found about the file itself.
    about_file: About,
    rows: u64,
    stage: Stage,
    started: Instant,
}

enum Stage {
    Reading,
    /// The rule that concludes next.
    Concluding(usize),
    Done(RunSummary),
}

/// The tally under [`FILE_RULE`]: rows that cannot be read. It is finished with its last row, and its time is that of
/// reading.
struct About {
    rule: RuleId,
    tally: RuleTally,
    took: Duration,
}

impl<'r, R: io::Read> Checking<'r, R> {
    /// Reads the header, and resolves the rules against the tables.
    ///
    /// # Errors
    /// The reader's, or why the file is no export.
    pub fn begin(
        reader: R,
        format: &Format,
        rules: &'r Rules,
        tables: &'r Tables,
        options: Options,
    ) -> Result<Self, FileError> {
        let started = Instant::now();
        let rule = RuleId::new(FILE_RULE).expect("a slug");
        Ok(Self {
            file: File::open(reader, format)?,
            judges: Judges::new(rules, tables, options),
            about_file: About { rule, tally: RuleTally::default(), took: Duration::ZERO },
            rows: 0,
            stage: Stage::Reading,
            started,
        })
    }

    /// Judges one block of rows, or lets one rule tell some of its conclusions, and adds what was found in the order found: what rows show by
    /// themselves in their order, then rule by rule what shows over all of them, by row.
    ///
    /// # Errors
    /// The reader's, or why the file is no export after all. An error stays.
    pub fn step(&mut self, found: &mut Vec<Finding>) -> Result<Step, FileError> {
        match &self.stage {
            Stage::Reading => {
                if self.read_block(found)? {
                    return Ok(Step::Reading);
                }
                self.about_file.tally.took_us = Some(judges::micros(self.about_file.took));
                self.stage = Stage::Concluding(0);
                Ok(Step::Concluding)
            }
            Stage::Concluding(next) if *next < self.judges.len() => {
                let next = *next;
                if !self.judges.conclude(next, found) {
                    self.stage = Stage::Concluding(next + 1);
                }
                Ok(Step::Concluding)
            }
            Stage::Concluding(_) => {
                let summary = self.summary();
                self.stage = Stage::Done(summary.clone());
                Ok(Step::Done(summary))
            }
            Stage::Done(summary) => Ok(Step::Done(summary.clone())),
        }
    }

    /// False when there is no further row.
    fn read_block(&mut self, found: &mut Vec<Finding>) -> Result<bool, FileError> {
        let mut then = Instant::now();
        for _ in 0..BLOCK {
            let Some(read) = self.file.next()? else {
                return Ok(false);
            };
            self.rows += 1;
            match read {
                Read::Row(row) => {
                    let seen = self.judges.see(&row);
                    let now = Instant::now();
                    self.about_file.took += now - then;
                    then = self.judges.row(&seen, now, found);
                }
                Read::Unreadable(unreadable) => self.about_file.tell(&unreadable, found),
            }
        }
        Ok(true)
    }

    fn summary(&self) -> RunSummary {
        let counts = self.counts();
        RunSummary {
            rows: self.rows,
            rows_unreadable: self.about_file.tally.counts.error,
            counts,
            at_risk_cents: self.judges.at_risk_cents,
            to_gain_cents: self.judges.to_gain_cents,
            took_ms: u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
            stored: self.judges.told + self.about_file.tally.counts.error,
        }
    }

    /// Findings so far, by severity; passes also where they are not listed.
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

    /// What was found about the file itself, under [`FILE_RULE`], then by each rule in the order given.
    pub fn tallies(&self) -> impl Iterator<Item = (&RuleId, &RuleTally)> {
        std::iter::once((&self.about_file.rule, &self.about_file.tally))
            .chain(self.judges.tallies())
    }

    /// Rows read, whether they could be understood or not.
    pub fn rows_done(&self) -> u64 {
        self.rows
    }

    /// Bytes of the file behind the rows read.
    pub fn bytes_done(&self) -> u64 {
        self.file.bytes_done()
    }
}

impl About {
    fn tell(&mut self, unreadable: &Unreadable, found: &mut Vec<Finding>) {
        let line = i64::try_from(unreadable.line).unwrap_or(i64::MAX);
        let params = [("line", line.into()), ("column", unreadable.column.as_str().into())];
        Found::new(&self.rule, Severity::Error, false, found).breach(
            unreadable.number,
            FindingOutcome::RowUnreadable,
            0,
            params,
        );
        self.tally.counts.add(Severity::Error, 1);
    }
}
