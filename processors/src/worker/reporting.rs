//! The reports of an attempt: when each is due, and its content. Pure: times are durations since
//! the attempt started.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use schemas::{
    finding::Finding,
    ids::RuleId,
    rule::Severity,
    run::{FindingCounts, RuleTally, RunPhase, RunProgress, RunReport, SHOWN_FINDINGS},
};

mod rate;

use rate::SmoothedRate;

/// The gap between two reports: at most four reports per second, and each change is reported within
/// that time.
const GAP: Duration = Duration::from_millis(250);
/// No time estimate before this: the first rows say little about the rest.
const NO_ESTIMATE: Duration = Duration::from_secs(2);
/// Progress in thousandths when all rows are read, and when all rules have concluded.
const READ: f64 = 900.0;
const CONCLUDED: f64 = 950.0;

/// How far the check is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CheckProgress {
    pub rows: u64,
    pub bytes: u64,
    /// Rules that have concluded, out of how many, once all rows are read.
    pub concluded: Option<(u32, u32)>,
}

/// The reports of one attempt.
pub struct Reporting {
    progress: RunProgress,
    /// The value of [`RunProgress::permille`] before rounding.
    permille: f64,
    rows: SmoothedRate,
    permilles: SmoothedRate,
    counts: FindingCounts,
    tallies: BTreeMap<RuleId, RuleTally>,
    /// Rules whose tally changed since the last report.
    changed: BTreeSet<RuleId>,
    /// The first findings, and how many of them were already reported.
    first: Vec<Finding>,
    reported: usize,
    /// When the last report was taken.
    last: Option<Duration>,
    pending: ReportUrgency,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum ReportUrgency {
    Nothing,
    InTurn,
    AtOnce,
}

impl Reporting {
    /// Starts the reports of an attempt at a file of `bytes_total` bytes. The first report is due
    /// at once.
    pub fn new(bytes_total: u64) -> Self {
        let progress = RunProgress {
            phase: RunPhase::Reading,
            permille: 0,
            rows_done: 0,
            rows_total: None,
            bytes_done: 0,
            bytes_total,
            rows_per_s: 0,
            eta_ms: None,
        };
        Self {
            progress,
            permille: 0.0,
            rows: SmoothedRate::default(),
            permilles: SmoothedRate::default(),
            counts: FindingCounts::default(),
            tallies: BTreeMap::new(),
            changed: BTreeSet::new(),
            first: Vec::new(),
            reported: 0,
            last: None,
            pending: ReportUrgency::AtOnce,
        }
    }

    /// Records how far the check is, and the findings since the last call.
    pub fn see(&mut self, now: Duration, reached: CheckProgress, found: &[Finding]) {
        let CheckProgress { rows, bytes, concluded } = reached;
        let of_bytes = self.progress.bytes_total.max(1) as f64;
        match concluded {
            None => self.advance(now, rows, READ * (bytes as f64 / of_bytes).min(1.0)),
            Some((done, of)) => {
                self.enter(RunPhase::Concluding);
                self.progress.rows_total = Some(rows);
                self.advance(
                    now,
                    rows,
                    READ + (CONCLUDED - READ) * f64::from(done) / f64::from(of.max(1)),
                );
            }
        }
        self.progress.bytes_done =
            self.progress.bytes_done.max(bytes.min(self.progress.bytes_total));
        let room = SHOWN_FINDINGS - self.first.len();
        if room > 0 && !found.is_empty() {
            let first = self.first.is_empty();
            self.first.extend(found.iter().take(room).cloned());
            self.mark_pending(if first { ReportUrgency::AtOnce } else { ReportUrgency::InTurn });
        }
    }

    /// Records the current tallies of rules.
    pub fn tallies<'t>(&mut self, tallies: impl IntoIterator<Item = (&'t RuleId, &'t RuleTally)>) {
        let mut changed = false;
        for (rule, tally) in tallies {
            if self.tallies.get(rule).copied().unwrap_or_default() != *tally {
                self.tallies.insert(rule.clone(), *tally);
                self.changed.insert(rule.clone());
                changed = true;
            }
        }
        if changed {
            self.counts = FindingCounts::default();
            for RuleTally { counts, .. } in self.tallies.values() {
                for (severity, more) in [
                    (Severity::Error, counts.error),
                    (Severity::Warning, counts.warning),
                    (Severity::Optimisation, counts.optimisation),
                    (Severity::Pass, counts.pass),
                ] {
                    self.counts.add(severity, more);
                }
            }
            self.mark_pending(ReportUrgency::InTurn);
        }
    }

    /// Records that the check is done and its results are being stored.
    pub fn store(&mut self, now: Duration) {
        self.enter(RunPhase::Storing);
        self.advance(now, self.progress.rows_done, CONCLUDED);
    }

    /// When the next report is due. `None` while there is nothing to report.
    pub fn due(&self) -> Option<Duration> {
        match self.pending {
            ReportUrgency::Nothing => None,
            ReportUrgency::InTurn => Some(self.last.map_or(Duration::ZERO, |last| last + GAP)),
            ReportUrgency::AtOnce => Some(Duration::ZERO),
        }
    }

    /// Takes the report of everything that changed since the last one.
    pub fn report(&mut self, now: Duration) -> RunReport {
        self.last = Some(now);
        self.pending = ReportUrgency::Nothing;
        self.progress.rows_per_s = whole(self.rows.per_second());
        self.progress.eta_ms = self.estimate(now);
        let changed = std::mem::take(&mut self.changed);
        let rules = changed.into_iter().map(|rule| (rule.clone(), self.tallies[&rule])).collect();
        let findings = self.first[self.reported..].to_vec();
        self.reported = self.first.len();
        RunReport { progress: self.progress.clone(), counts: self.counts, rules, findings }
    }

    /// Takes the last report, when everything is done.
    pub fn last_report(&mut self, now: Duration) -> RunReport {
        self.enter(RunPhase::Storing);
        self.advance(now, self.progress.rows_done, 1000.0);
        self.progress.rows_total = Some(self.progress.rows_done);
        self.progress.bytes_done = self.progress.bytes_total;
        let mut report = self.report(now);
        report.progress.eta_ms = None;
        report
    }

    fn enter(&mut self, phase: RunPhase) {
        if phase > self.progress.phase {
            self.progress.phase = phase;
            self.mark_pending(ReportUrgency::AtOnce);
        }
    }

    fn advance(&mut self, now: Duration, rows: u64, permille: f64) {
        self.permille = self.permille.max(permille);
        if rows > self.progress.rows_done || self.permille > f64::from(self.progress.permille) {
            self.progress.rows_done = self.progress.rows_done.max(rows);
            self.progress.permille = self.progress.permille.max(whole(self.permille));
            self.mark_pending(ReportUrgency::InTurn);
        }
        self.rows.reach(now, rows as f64);
        self.permilles.reach(now, self.permille);
    }

    fn estimate(&self, now: Duration) -> Option<u64> {
        let rate = self.permilles.per_second();
        (now >= NO_ESTIMATE && rate > 0.0)
            .then(|| ((1000.0 - self.permille) / rate * 1000.0) as u64)
    }

    fn mark_pending(&mut self, pending: ReportUrgency) {
        self.pending = self.pending.max(pending);
    }
}

/// Rounds down. A rate above four billion becomes four billion.
fn whole(number: f64) -> u32 {
    number as u32
}

#[cfg(test)]
mod tests;
