//! Runs in memory: due work, findings and lists. The batches of the ledger move runs here, workers
//! take them, and queries read them.

mod state;

use std::{
    collections::{BTreeSet, HashSet},
    sync::Mutex,
    time::Duration,
};

use gateway::backends::queries::{FindingPlace, FindingsQuery, ListedRun, RunsQuery};
use processors::{
    ledger::Batch,
    rule_book,
    work::{
        AttemptOutput, Job, RunPlace, StoredRules, StoredTable, TryCounting, Work, WorkError,
        WorkFuture, WorkItem,
    },
};
use schemas::{
    Millis,
    finding::Finding,
    ids::{AggregateKind, FileId, RunId, TenantId},
    reference::ReferenceTable,
    view::{Position, View},
};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use super::{Clock, lock};
use state::State;

/// The runs of one ledger. For the bounds, see `state.rs`.
pub struct MemoryWork {
    clock: Clock,
    state: Mutex<State>,
}

impl MemoryWork {
    pub fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::default() }
    }

    /// Applies a batch of the ledger to lists, work and rule books.
    pub fn committed(&self, batch: &Batch) {
        let mut state = lock(&self.state);
        let now = (self.clock)();
        batch.runs.iter().for_each(|row| state.put(row, now));
        let of_rule_books =
            batch.views.iter().filter(|step| step.aggregate.kind() == AggregateKind::Rules);
        for step in of_rule_books {
            let name = (step.aggregate.tenant(), step.step.view.clone());
            let view = state.rule_books.entry(name).or_insert_with(|| View::empty(step.epoch));
            view.fold(&step.step.delta);
        }
    }

    /// The kept runs, newest first.
    pub fn runs(&self, tenant: &TenantId, asked: &RunsQuery) -> Vec<ListedRun> {
        lock(&self.state).listed(tenant, asked, (self.clock)())
    }

    /// The findings of a completed run, in list order; `None` when there is no such run (any more).
    pub fn findings(
        &self,
        tenant: &TenantId,
        run: &RunId,
        asked: &FindingsQuery,
    ) -> Option<Vec<(FindingPlace, Finding)>> {
        lock(&self.state).findings(tenant, run, asked, (self.clock)())
    }

    /// Answers from the current state. The lock is never held over an await.
    fn answer<'a, T: Send + 'a>(
        &'a self,
        ask: impl FnOnce(&mut State, Millis) -> Result<T, WorkError> + Send + 'a,
    ) -> WorkFuture<'a, T> {
        Box::pin(async move { ask(&mut lock(&self.state), (self.clock)()) })
    }
}

fn millis(time: Duration) -> Millis {
    Millis::try_from(time.as_millis()).unwrap_or(Millis::MAX)
}

impl Work for MemoryWork {
    fn take<'a>(
        &'a self,
        worker: &'a str,
        lease: Duration,
        resting: &'a BTreeSet<TenantId>,
    ) -> WorkFuture<'a, Option<WorkItem>> {
        self.answer(move |state, now| Ok(state.take(worker, now, millis(lease), resting)))
    }

    fn extend_lease<'a>(&'a self, job: &'a Job, lease: Duration) -> WorkFuture<'a, bool> {
        self.answer(move |state, now| {
            let due = state.held(job)?;
            due.lease_until = Some(now + millis(lease));
            Ok(due.cancel)
        })
    }

    fn end<'a>(
        &'a self,
        job: &'a Job,
        mut parts: mpsc::Receiver<AttemptOutput>,
    ) -> WorkFuture<'a, ()> {
        Box::pin(async move {
            let mut findings = Vec::new();
            while let Some(part) = parts.recv().await {
                match part {
                    AttemptOutput::Findings(found) => findings.extend(found),
                    AttemptOutput::End(command) => {
                        return lock(&self.state).end(job, findings, *command);
                    }
                }
            }
            Ok(())
        })
    }

    fn release<'a>(
        &'a self,
        job: &'a Job,
        pause: Duration,
        count: TryCounting,
    ) -> WorkFuture<'a, ()> {
        self.answer(move |state, now| {
            let due = state.unended(job)?;
            due.attempt = due.attempt.next();
            due.tries -= u32::from(count == TryCounting::NotCounted);
            (due.worker, due.lease_until, due.told) = (None, None, None);
            due.not_before = now + millis(pause);
            Ok(())
        })
    }

    fn changed_places(&self) -> WorkFuture<'_, Vec<RunPlace>> {
        self.answer(|state, now| Ok(state.changed_places(now)))
    }

    fn mark_unsent<'a>(&'a self, places: &'a [RunPlace]) -> WorkFuture<'a, ()> {
        self.answer(move |state, _| {
            state.mark_unsent(places);
            Ok(())
        })
    }

    fn rules<'a>(
        &'a self,
        tenant: &'a TenantId,
        known: Option<Position>,
    ) -> WorkFuture<'a, Option<StoredRules>> {
        self.answer(move |state, _| {
            let Some(view) = state.rule_books.get(&(tenant.clone(), rule_book::VIEW.to_owned()))
            else {
                return Ok((known != Some(Position::default())).then(StoredRules::default));
            };
            let read = |entry: &RawValue| serde_json::from_str(entry.get());
            let rules = view.entries.values().map(|entry| read(entry)).collect::<Result<_, _>>();
            let rules = rules.map_err(|error| WorkError::Unavailable(error.into()))?;
            Ok((known != Some(view.position))
                .then_some(StoredRules { position: view.position, rules }))
        })
    }

    fn table<'a>(
        &'a self,
        tenant: &'a TenantId,
        table: ReferenceTable,
        known: Option<Position>,
    ) -> WorkFuture<'a, Option<StoredTable>> {
        self.answer(move |state, _| {
            let view = state.rule_books.get(&(tenant.clone(), table.view().to_owned()));
            let stored = view.map_or_else(StoredTable::default, |view| StoredTable {
                position: view.position,
                entries: view.entries.clone(),
            });
            Ok((known != Some(stored.position)).then_some(stored))
        })
    }

    fn in_use<'a>(
        &'a self,
        files: &'a [(TenantId, FileId)],
    ) -> WorkFuture<'a, HashSet<(TenantId, FileId)>> {
        self.answer(move |state, _| {
            Ok(files.iter().filter(|named| state.needs(named)).cloned().collect())
        })
    }

    fn sweep(&self) -> WorkFuture<'_, bool> {
        self.answer(|state, now| {
            state.forget(now);
            Ok(false)
        })
    }

    /// Findings are dropped with their run.
    fn prepare_days(&self) -> WorkFuture<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}
