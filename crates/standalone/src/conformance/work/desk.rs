//! Requests and moves runs through batches, like a runner.

use std::{collections::BTreeSet, time::Duration};

use gateway::backends::queries::{FindingPlace, FindingsQuery};
use processors::{
    ledger::{Batch, PartitionClaim},
    log::PartitionId,
    rule_book,
    run::{RunRequest, RunRow, WorkChange},
    views::ViewStep,
    work::{AttemptOutput, Job, WorkError, WorkItem},
};
use schemas::{
    attempt::AttemptNumber,
    command::Command,
    finding::Finding,
    ids::{Aggregate, FileId, RunId, TenantId},
    record::ViewDelta,
    reference::{ReferenceEntry, ReferenceTable, StoredReference},
    rule::Rule,
    run::{
        FindingCounts, RunFile, RunHead, RunPhase, RunProgress, RunReport, RunState, RunSummary,
    },
    view::Delta,
};
use tokio::sync::mpsc;

use super::Sides;
use crate::conformance::{fresh, soon};

/// A lease longer than any suite.
pub const LONG: Duration = Duration::from_secs(600);
/// A lease that is over before the next call.
pub const BRIEF: Duration = Duration::from_millis(5);

pub struct Desk<'a> {
    pub sides: Sides<'a>,
    claim: PartitionClaim,
    runs: u32,
}

pub fn tenant() -> TenantId {
    TenantId::new(fresh()).expect("a slug")
}

/// A run of the tenant and its work row.
#[derive(Clone)]
pub struct RequestedRun {
    pub tenant: TenantId,
    pub run: RunId,
    pub request: RunRequest,
}

impl<'a> Desk<'a> {
    pub async fn open(sides: Sides<'a>) -> Self {
        let claim = sides.ledger.claim(PartitionId(0)).await.expect("the ledger claims");
        sides.work.prepare_days().await.expect("room is made for findings");
        sides.work.prepare_days().await.expect("again is harmless");
        Self { sides, claim, runs: 0 }
    }

    async fn commit(&mut self, runs: Vec<RunRow>, views: Vec<ViewStep>) {
        let (claim, to) = (self.claim, self.claim.next_offset.next());
        let batch = Batch { runs, views, ..Batch::without_rows(claim, to) };
        self.sides.ledger.commit(&batch).await.expect("the ledger commits");
        self.claim.next_offset = to;
    }

    /// Requests a run.
    pub async fn ask(&mut self, tenant: &TenantId) -> RequestedRun {
        self.runs += 1;
        let number = u128::from(self.runs);
        let run = RunId::from_parts(7, number << 64 | u128::from(fresh_bits()));
        let file = RunFile {
            file: FileId::from_random(number << 64 | u128::from(fresh_bits())),
            name: "mars \"2025\"; \\ é.csv".into(),
            bytes: 1_000,
            sha256: "0".repeat(64),
        };
        let asked = RequestedRun {
            tenant: tenant.clone(),
            run,
            request: RunRequest { file, list_passes: true },
        };
        self.put(&asked, RunState::Queued, 1, WorkChange::Enqueue(AttemptNumber(1))).await;
        asked
    }

    /// Moves the run like its events would.
    pub async fn put(
        &mut self,
        asked: &RequestedRun,
        state: RunState,
        attempt: u32,
        work: WorkChange,
    ) {
        let row = row(asked, state, attempt, work);
        self.commit(vec![row], Vec::new()).await;
    }

    /// Completes the run, to be kept for this many seconds.
    pub async fn complete(&mut self, asked: &RequestedRun, attempt: u32, keep_s: u32) {
        let completed = row(asked, RunState::Completed, attempt, WorkChange::Remove);
        self.commit(vec![RunRow { keep_s: Some(keep_s), ..completed }], Vec::new()).await;
    }

    pub async fn over(&mut self, asked: &RequestedRun) {
        self.put(asked, RunState::Cancelled, 1, WorkChange::Remove).await;
    }

    /// Stores rules with this version.
    pub async fn store_rules(&mut self, tenant: &TenantId, version: u64, rules: &[Rule]) {
        let mut delta = Delta { from: version - 1, to: version, at: 1, ..Delta::default() };
        rules.iter().for_each(|rule| delta.put(rule.id.as_str(), rule));
        self.step_rule_book(tenant, rule_book::VIEW, delta).await;
    }

    /// Stores entries of a table with this version, which follows `from`.
    pub async fn store_table(
        &mut self,
        tenant: &TenantId,
        table: ReferenceTable,
        (from, to): (u64, u64),
        entries: &[(&str, ReferenceEntry)],
    ) {
        let mut delta = Delta { from, to, at: 1, ..Delta::default() };
        for (key, entry) in entries {
            delta.put(*key, &StoredReference { entry: entry.clone(), edition: to });
        }
        self.step_rule_book(tenant, table.view(), delta).await;
    }

    async fn step_rule_book(&mut self, tenant: &TenantId, view: &str, delta: Delta) {
        let step = ViewDelta { view: view.to_owned(), keep_s: None, urgent: false, delta };
        let aggregate = Aggregate::rules(tenant);
        self.commit(Vec::new(), vec![ViewStep { aggregate, epoch: 3, step }]).await;
    }

    /// Takes a job for the next worker, if one is available now.
    pub async fn take(&self, lease: Duration) -> Option<WorkItem> {
        self.sides.work.take("worker-1", lease, &BTreeSet::new()).await.expect("the work answers")
    }

    /// Takes the job that is available now and returns its run.
    pub async fn take_due(&self, lease: Duration) -> Job {
        match self.take(lease).await {
            Some(WorkItem::Attempt(job)) => job,
            Some(WorkItem::UnreportedEnd(..)) => panic!("the run did not end"),
            None => panic!("there is a run"),
        }
    }

    /// Waits until another worker can take a job.
    pub async fn take_over(&self) -> WorkItem {
        let taken = async {
            loop {
                let taken = self
                    .sides
                    .work
                    .take("worker-2", LONG, &BTreeSet::new())
                    .await
                    .expect("the work answers");
                if let Some(taken) = taken {
                    return taken;
                }
                tokio::time::sleep(BRIEF).await;
            }
        };
        soon("a run is taken over", taken).await
    }

    pub async fn beat(&self, job: &Job) -> Result<bool, WorkError> {
        self.sides.work.extend_lease(job, LONG).await
    }

    /// Ends the attempt with these findings.
    pub async fn end(
        &self,
        job: &Job,
        findings: Vec<Vec<Finding>>,
        command: Command,
    ) -> Result<(), WorkError> {
        let parts = findings
            .into_iter()
            .map(AttemptOutput::Findings)
            .chain([AttemptOutput::End(Box::new(command))]);
        self.send(job, parts.collect()).await
    }

    pub async fn send(&self, job: &Job, parts: Vec<AttemptOutput>) -> Result<(), WorkError> {
        let (sender, receiver) = mpsc::channel(1);
        let feed = async move {
            for part in parts {
                // A worker that lost its lease may stop receiving.
                let _ = sender.send(part).await;
            }
        };
        tokio::join!(self.sides.work.end(job, receiver), feed).0
    }

    /// All findings in the order of a completed run.
    pub async fn findings(&self, asked: &RequestedRun) -> Vec<(FindingPlace, Finding)> {
        let all = FindingsQuery { limit: 1_000_000, ..FindingsQuery::default() };
        let found = self.sides.queries.findings(&asked.tenant, &asked.run, &all).await;
        found.expect("the findings are read").expect("the run is there")
    }
}

fn fresh_bits() -> u64 {
    u64::from_str_radix(&fresh()[2..], 16).expect("a fresh name ends in hex digits")
}

fn row(asked: &RequestedRun, state: RunState, attempt: u32, work: WorkChange) -> RunRow {
    let head = RunHead {
        state,
        name: asked.request.file.name.clone(),
        bytes: asked.request.file.bytes,
        requested_at: 1_700_000_000_000,
        attempt: AttemptNumber(attempt),
        ahead: None,
        cancelling: false,
        started_at: None,
        ended_at: state.is_end().then_some(1_700_000_001_000),
        failure: None,
        summary: None,
    };
    let keep_s = state.is_end().then_some(600);
    let aggregate = Aggregate::run(&asked.tenant, &asked.run);
    RunRow { aggregate, head, keep_s, work, request: asked.request.clone() }
}

/// The record that the attempt completed.
pub fn completed(attempt: u32) -> Command {
    let progress = RunProgress {
        phase: RunPhase::Storing,
        permille: 1_000,
        rows_done: 3,
        rows_total: Some(3),
        bytes_done: 1_000,
        bytes_total: 1_000,
        rows_per_s: 0,
        eta_ms: None,
    };
    let report = RunReport {
        progress,
        counts: FindingCounts::default(),
        rules: Default::default(),
        findings: Vec::new(),
    };
    Command::CompleteRun { attempt: AttemptNumber(attempt), report, summary: RunSummary::default() }
}

/// The job of a run under this worker's lease.
pub fn is_of(job: &Job, asked: &RequestedRun) -> bool {
    job.tenant == asked.tenant && job.run == asked.run
}

pub fn lost<T>(answer: &Result<T, WorkError>) -> bool {
    matches!(answer, Err(WorkError::Lost))
}
