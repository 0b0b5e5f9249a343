//! The check of one file, on a thread that may block: it produces findings and a summary.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use claims::{
    check::{CheckOptions, CheckStep, FileCheck},
    file::{FileError, FileFormat},
    tables::Tables,
};
use schemas::{
    finding::Finding,
    ids::RuleId,
    rule::Severity,
    run::{FindingCounts, RuleTally, RunSummary},
};
use tokio::sync::mpsc;

use super::{
    counters::WorkerCounters, files::OpenFile, report_sender::ProgressSlot,
    reporting::CheckProgress, rules::ReadyRules,
};
use crate::work::{AttemptOutput, MAX_STORED_FINDINGS};

/// Everything that one check needs.
pub struct Check {
    /// The file to read.
    pub file: OpenFile,
    /// The compiled rules of the tenant.
    pub rules: Arc<ReadyRules>,
    /// The reference tables.
    pub tables: Arc<Tables>,
    /// Whether the findings list rows that pass.
    pub list_passes: bool,
    /// Where the check reports its progress.
    pub progress: Arc<ProgressSlot>,
    /// Where findings go. The channel is full while the ledger is slow, and the check then waits.
    pub parts: mpsc::Sender<AttemptOutput>,
    /// Set when the check is to stop.
    pub stop: StopFlag,
}

/// Asks a check to stop at its next step.
#[derive(Clone, Default)]
pub struct StopFlag(Arc<AtomicBool>);

impl StopFlag {
    pub fn set(&self) {
        self.0.store(true, Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Relaxed)
    }
}

/// Why a check has no summary.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error("the check was stopped")]
    Stopped,
    #[error(transparent)]
    File(#[from] FileError),
}

impl Check {
    /// Runs to the end, or until it is stopped.
    ///
    /// # Errors
    /// See [`CheckError`].
    pub fn run(self, counters: &WorkerCounters) -> Result<RunSummary, CheckError> {
        let Check { file, rules, tables, list_passes, progress, parts, stop } = self;
        let options = CheckOptions { list_passes, ..CheckOptions::default() };
        let mut checking =
            FileCheck::new(file, &FileFormat::default(), &rules.rules, &tables, options)?;
        let mut found = rules.failed();
        let failed: Vec<(RuleId, RuleTally)> = found.iter().map(failed).collect();
        let (mut stored, mut concluded) = (0, None);
        loop {
            if stop.is_set() {
                return Err(CheckError::Stopped);
            }
            let step = checking.step(&mut found)?;
            if step == CheckStep::Concluding {
                concluded = Some(concluded.map_or(0, |rules| rules + 1));
            }
            let of = u32::try_from(checking.tallies().count() - 1).unwrap_or(u32::MAX);
            let reached = CheckProgress {
                rows: checking.rows_done(),
                bytes: checking.bytes_done(),
                concluded: concluded.map(|rules| (rules, of)),
            };
            progress.put(|reporting, now| {
                reporting.see(now, reached, &found);
                reporting.tallies(
                    checking.tallies().chain(failed.iter().map(|(rule, tally)| (rule, tally))),
                );
            });
            found.truncate(usize::try_from(MAX_STORED_FINDINGS - stored).unwrap_or(usize::MAX));
            stored += found.len() as u64;
            if !found.is_empty()
                && parts.blocking_send(AttemptOutput::Findings(std::mem::take(&mut found))).is_err()
            {
                return Err(CheckError::Stopped);
            }
            if let CheckStep::Done(summary) = step {
                counters.rows.fetch_add(summary.rows, Relaxed);
                counters.rules(checking.tallies());
                return Ok(with_failed(summary, failed.len() as u64, stored));
            }
        }
    }
}

fn failed(finding: &Finding) -> (RuleId, RuleTally) {
    let mut counts = FindingCounts::default();
    counts.add(finding.severity, 1);
    (finding.rule.clone(), RuleTally { counts, took_us: Some(0) })
}

/// The engine's summary, with the rules that could not be compiled.
fn with_failed(mut summary: RunSummary, failed: u64, stored: u64) -> RunSummary {
    summary.counts.add(Severity::Error, failed);
    summary.stored = stored;
    summary
}
