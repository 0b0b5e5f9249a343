//! One run as a value: commands and records of workers are decided against it, events change it,
//! and its view follows. Like a location, it is pure.
//!
//! The backend that hands out work numbers the attempts (see `work`). A record of an older attempt
//! is refused, and the start of a later attempt makes it the current one.

mod decide;

use std::collections::BTreeMap;

use schemas::{
    Millis,
    attempt::AttemptNumber,
    event::Event,
    ids::{Aggregate, FileId, RuleId},
    outward::OutwardData,
    record::{CommandRecord, ViewDelta},
    run::{
        FindingCounts, RuleTally, RunFile, RunHead, RunProgress, RunReport, RunState,
        SHOWN_FINDINGS,
    },
    view::{Delta, Position},
};
use serde::{Deserialize, Serialize};

use crate::effect::{RecordEffect, RecordTime};
use decide::decide;

/// A run in memory.
pub struct Run {
    position: Position,
    header: RunHeader,
}

/// The whole state of a run.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct RunHeader {
    /// The clock of the run: the latest append time of its records.
    now: Millis,
    /// `None` before the run was requested.
    details: Option<RunDetails>,
}

#[derive(Clone, Serialize, Deserialize)]
struct RunDetails {
    request: RunRequest,
    by: String,
    keep_s: u32,
    head: RunHead,
    /// The progress of the current attempt. The next three fields belong to that attempt too.
    progress: Option<RunProgress>,
    counts: FindingCounts,
    rules: BTreeMap<RuleId, RuleTally>,
    /// The number of findings that the view shows.
    shown: usize,
}

impl Run {
    /// Creates a run that was not requested yet, at version 0.
    pub fn new(epoch: u64) -> Self {
        Self::restore(Position { epoch, version: 0 }, RunHeader::default())
    }

    /// Restores a run from its stored state.
    pub fn restore(position: Position, header: RunHeader) -> Self {
        Self { position, header }
    }

    /// The current position.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The state that the ledger keeps.
    pub fn header(&self) -> &RunHeader {
        &self.header
    }

    /// Decides the record at its append time, applies the events and returns the change of the
    /// view.
    pub fn handle(&mut self, record: &CommandRecord, time: RecordTime) -> RecordEffect {
        let at = self.header.now.max(time.appended_at);
        self.header.now = at;
        match decide(self, record, time.decided_at) {
            Ok(events) => {
                let delta = self.replay(&record.aggregate, self.position.version + 1, at, &events);
                let outward = outward(&record.aggregate, &events);
                let applied = RecordEffect::applied(self.position, at, events, vec![delta]);
                RecordEffect { outward, ..applied }
            }
            Err(code) => RecordEffect::refused(self.position, at, code),
        }
    }

    /// Applies the events of one version, from a decision or from the journal, and returns the
    /// change of the view.
    pub fn replay(
        &mut self,
        aggregate: &Aggregate,
        version: u64,
        at: Millis,
        events: &[Event],
    ) -> ViewDelta {
        let mut delta = Delta { from: self.position.version, to: version, at, ..Delta::default() };
        self.header.now = at;
        for event in events {
            self.apply(event, at, &mut delta);
        }
        self.position.version = version;
        let over = self.header.details.as_ref().filter(|details| details.head.state.is_end());
        ViewDelta {
            view: format!("run:{}", aggregate.id()),
            keep_s: over.map(|details| details.keep_s),
            urgent: false,
            delta,
        }
    }

    fn apply(&mut self, event: &Event, at: Millis, delta: &mut Delta) {
        if let Event::RunRequested { file, by, list_passes, keep_s } = event {
            self.header.details = Some(RunDetails::new(file, by, *list_passes, *keep_s, at));
        }
        let Some(details) = &mut self.header.details else { return };
        match event {
            Event::RunReported { report } => return details.report(report, delta),
            Event::RunQueued { attempt } => details.queue(*attempt, delta),
            Event::RunStarted { attempt } => details.start(*attempt, at, delta),
            Event::RunPlaced { ahead } => details.head.ahead = Some(*ahead),
            Event::RunCancelAsked => details.head.cancelling = true,
            Event::RunCompleted { summary } => {
                details.head.summary = Some(summary.clone());
                details.end(RunState::Completed, at);
            }
            Event::RunFailed { failure } => {
                details.head.failure = Some(failure.clone());
                details.end(RunState::Failed, at);
            }
            Event::RunCancelled => details.end(RunState::Cancelled, at),
            _ => {}
        }
        delta.put("run", &details.head);
    }

    /// The row of the run, for lists of runs and for workers.
    pub fn row(&self, aggregate: &Aggregate) -> Option<RunRow> {
        let details = self.header.details.as_ref()?;
        let work = match details.head.state {
            RunState::Queued => WorkChange::Enqueue(details.head.attempt),
            RunState::Running if details.head.cancelling => WorkChange::Cancel,
            RunState::Running => WorkChange::Unchanged,
            RunState::Completed | RunState::Failed | RunState::Cancelled => WorkChange::Remove,
        };
        Some(RunRow {
            aggregate: aggregate.clone(),
            head: details.head.clone(),
            keep_s: details.head.state.is_end().then_some(details.keep_s),
            work,
            request: details.request.clone(),
        })
    }
}

/// A run as lists show it, and the work that it causes.
#[derive(Clone)]
pub struct RunRow {
    /// The aggregate of the run.
    pub aggregate: Aggregate,
    /// The entry of the run in lists.
    pub head: RunHead,
    /// Seconds for which an ended run is kept from now on.
    pub keep_s: Option<u32>,
    /// The change of the run's work.
    pub work: WorkChange,
    /// The file and the options of the run.
    pub request: RunRequest,
}

impl RunRow {
    /// The file of the run, while the run may still need it: the run waits, is in progress, or may
    /// be retried.
    pub fn needed_file(&self) -> Option<&FileId> {
        let again = self.head.failure.as_ref().is_some_and(|failure| failure.retryable);
        (!self.head.state.is_end() || again).then_some(&self.request.file.file)
    }
}

/// The request of a run: what a worker needs besides the id.
#[derive(Clone, Serialize, Deserialize)]
pub struct RunRequest {
    /// The file to check.
    pub file: RunFile,
    /// Whether the findings list rows that pass.
    pub list_passes: bool,
}

/// The change of a run's work after a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkChange {
    /// This attempt waits for a worker, unless the work already has this attempt or a later one.
    Enqueue(AttemptNumber),
    /// The worker must stop.
    Cancel,
    /// Nothing changes: a worker has the run.
    Unchanged,
    /// The work is removed.
    Remove,
}

/// What other systems hear of these events.
fn outward(aggregate: &Aggregate, events: &[Event]) -> Vec<OutwardData> {
    let Some(run) = aggregate.run_id() else { return Vec::new() };
    let of = |event: &Event| match event {
        Event::RunCompleted { summary } => Some(OutwardData::RunCompleted {
            run: run.clone(),
            rows: summary.rows,
            findings: summary.stored,
        }),
        Event::RunFailed { failure } => {
            Some(OutwardData::RunFailed { run: run.clone(), code: failure.code })
        }
        Event::RunCancelled => Some(OutwardData::RunCancelled { run: run.clone() }),
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

/// Whether the event changes what lists and workers see of a run.
pub fn changes_run_row(event: &Event) -> bool {
    !matches!(event, Event::RunReported { .. } | Event::RunPlaced { .. })
}

impl RunDetails {
    fn new(file: &RunFile, by: &str, list_passes: bool, keep_s: u32, at: Millis) -> Self {
        let head = RunHead {
            state: RunState::Queued,
            name: file.name.clone(),
            bytes: file.bytes,
            requested_at: at,
            attempt: AttemptNumber(1),
            ahead: None,
            cancelling: false,
            started_at: None,
            ended_at: None,
            failure: None,
            summary: None,
        };
        Self {
            request: RunRequest { file: file.clone(), list_passes },
            by: by.to_owned(),
            keep_s,
            head,
            progress: None,
            counts: FindingCounts::default(),
            rules: BTreeMap::new(),
            shown: 0,
        }
    }

    fn queue(&mut self, attempt: AttemptNumber, delta: &mut Delta) {
        self.begin_attempt(attempt, delta);
        let head = &mut self.head;
        head.state = RunState::Queued;
        (head.ahead, head.started_at, head.ended_at, head.failure) = (None, None, None, None);
    }

    fn start(&mut self, attempt: AttemptNumber, at: Millis, delta: &mut Delta) {
        self.begin_attempt(attempt, delta);
        self.head.state = RunState::Running;
        self.head.ahead = None;
        self.head.started_at = Some(at);
    }

    /// Removes what another attempt has shown.
    fn begin_attempt(&mut self, attempt: AttemptNumber, delta: &mut Delta) {
        if attempt == self.head.attempt {
            return;
        }
        self.head.attempt = attempt;
        let mut remove = |key: String| delta.drop_key(key);
        if self.progress.take().is_some() {
            remove("progress".to_owned());
            remove("counts".to_owned());
        }
        std::mem::take(&mut self.rules).into_keys().for_each(|rule| remove(rule_key(&rule)));
        (1..=std::mem::take(&mut self.shown)).for_each(|n| remove(finding_key(n)));
        self.counts = FindingCounts::default();
    }

    fn report(&mut self, report: &RunReport, delta: &mut Delta) {
        let mut progress = report.progress.clone();
        if let Some(held) = &self.progress {
            // A worker may repeat a report whose acknowledgement was lost. The progress that people
            // see never falls.
            progress.permille = progress.permille.max(held.permille);
            progress.rows_done = progress.rows_done.max(held.rows_done);
            progress.bytes_done = progress.bytes_done.max(held.bytes_done);
        }
        delta.put("progress", &progress);
        if self.progress.replace(progress).is_none() || self.counts != report.counts {
            self.counts = report.counts;
            delta.put("counts", &self.counts);
        }
        for (rule, tally) in &report.rules {
            self.rules.insert(rule.clone(), *tally);
            delta.put(rule_key(rule), tally);
        }
        for finding in report.findings.iter().take(SHOWN_FINDINGS - self.shown) {
            self.shown += 1;
            delta.put(finding_key(self.shown), finding);
        }
    }

    fn end(&mut self, state: RunState, at: Millis) {
        self.head.state = state;
        self.head.ahead = None;
        self.head.cancelling = false;
        self.head.ended_at = Some(at);
    }
}

fn rule_key(rule: &RuleId) -> String {
    format!("rule:{rule}")
}

fn finding_key(n: usize) -> String {
    format!("finding:{n:03}")
}

#[cfg(test)]
mod tests;
