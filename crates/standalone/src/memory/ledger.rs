//! The ledger in memory: fenced like PostgreSQL, without durability.

mod bounded_map;
mod history;
mod outcomes;
mod state;

use std::{
    ops::Range,
    sync::{Arc, Mutex},
};

use gateway::{
    backends::history::{Figures, FiguresQuery, HistoryQuery},
    backends::queries::{
        AuditQuery, AuditRow, DeliveriesQuery, FindingPlace, FindingsQuery, ListedDelivery,
        ListedRun, Queries, RecordedOutcome, RunsQuery, WebhookQueue,
    },
    backends::snapshots::NotRead,
};
use processors::{
    BoxFuture,
    aggregate::StoredAggregate,
    anchor::LogAnchor,
    ledger::{
        Batch, JournalRow, Ledger, LedgerError, LocationParts, OutboxKey, OutboxRow, OutcomeRow,
        PartNames, PartitionClaim, StoredView, ViewName,
    },
    location::{Appointment, RenewalNeed},
    log::PartitionId,
};
use schemas::{
    Millis,
    finding::Finding,
    history::Stay,
    identity::CommandIdentity,
    ids::{Aggregate, LocationId, RunId, TenantId},
    record::{CARE_TOPIC, topic_for},
    view::{Position, View},
};

use super::{Clock, MemoryAudit, MemoryWebhooks, MemoryWork, lock};
use state::State;

pub use state::JournalCounts;

/// The listener for committed batches.
type BatchListener = dyn Fn(&Batch) + Send + Sync;

/// One ledger. It keeps 100,000 outcomes, ended tickets and ended appointments each and drops the
/// oldest first. The journal is only counted unless [`MemoryLedger::keep_journal`] was called.
pub struct MemoryLedger {
    clock: Clock,
    state: Mutex<State>,
    on_commit: Option<Box<BatchListener>>,
}

impl MemoryLedger {
    pub fn new(clock: Clock) -> Self {
        Self { clock, state: Mutex::default(), on_commit: None }
    }

    /// Calls `heard` for each committed batch.
    #[must_use]
    pub fn on_commit(self, heard: impl Fn(&Batch) + Send + Sync + 'static) -> Self {
        Self { on_commit: Some(Box::new(heard)), ..self }
    }

    /// Shares the outcomes of commands with another ledger, like two topics on one database: one
    /// key is one command on both.
    #[must_use]
    pub fn share_outcomes(self, other: &Self) -> Self {
        let (outcomes, number) = {
            let other = lock(&other.state);
            (other.outcomes.clone(), other.number + 1)
        };
        let mut state = lock(&self.state);
        (state.outcomes, state.number) = (outcomes, number);
        drop(state);
        self
    }

    /// Keeps every journal row from now on, for tests that fold it.
    pub fn keep_journal(&self) {
        lock(&self.state).keep_journal();
    }

    /// The kept journal rows with their partition, in commit order.
    pub fn journal(&self) -> Vec<(PartitionId, JournalRow)> {
        lock(&self.state).journal().to_vec()
    }

    /// The counts of the journal.
    pub fn journaled(&self) -> JournalCounts {
        lock(&self.state).journaled()
    }

    /// All kept views.
    pub fn views(&self) -> Vec<(ViewName, View)> {
        lock(&self.state).views((self.clock)())
    }

    /// Answers from the current state. The lock is never held over an await.
    fn answer<'a, T: Send + 'a>(
        &'a self,
        ask: impl FnOnce(&mut State) -> T + Send + 'a,
    ) -> BoxFuture<'a, Result<T, LedgerError>> {
        Box::pin(async move { Ok(ask(&mut lock(&self.state))) })
    }
}

impl Ledger for MemoryLedger {
    fn claim(&self, partition: PartitionId) -> BoxFuture<'_, Result<PartitionClaim, LedgerError>> {
        self.answer(move |state| state.claim(partition))
    }

    fn anchor(&self, partition: PartitionId) -> BoxFuture<'_, Result<LogAnchor, LedgerError>> {
        self.answer(move |state| state.anchor(partition))
    }

    fn begin_epoch_if_older<'a>(
        &'a self,
        published: &'a [(Aggregate, Position)],
    ) -> BoxFuture<'a, Result<Option<u64>, LedgerError>> {
        let seconds = u64::try_from((self.clock)() / 1000).unwrap_or_default();
        self.answer(move |state| state.begin_epoch_if_older(published, seconds))
    }

    fn renew_epochs<'a>(
        &'a self,
        claim: PartitionClaim,
        epoch: u64,
        at: Millis,
        after: Option<&'a Aggregate>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Option<Aggregate>, LedgerError>> {
        Box::pin(
            async move { lock(&self.state).renew_epochs(claim, epoch, at, after, limit as usize) },
        )
    }

    fn checkpoint(
        &self,
        partition: PartitionId,
    ) -> BoxFuture<'_, Result<PartitionClaim, LedgerError>> {
        self.answer(move |state| state.checkpoint(partition))
    }

    fn restore<'a>(
        &'a self,
        aggregate: &'a Aggregate,
    ) -> BoxFuture<'a, Result<Option<StoredAggregate>, LedgerError>> {
        self.answer(move |state| state.restore(aggregate))
    }

    fn location_parts<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        names: &'a PartNames,
    ) -> BoxFuture<'a, Result<LocationParts, LedgerError>> {
        self.answer(move |state| state.location_parts(aggregate, names))
    }

    fn appointments<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        wake: Range<Millis>,
    ) -> BoxFuture<'a, Result<Vec<Appointment>, LedgerError>> {
        self.answer(move |state| state.appointments(aggregate, &wake))
    }

    fn shown_appointments<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        need: &'a RenewalNeed,
    ) -> BoxFuture<'a, Result<Vec<Appointment>, LedgerError>> {
        self.answer(move |state| state.shown_appointments(aggregate, need))
    }

    fn due(
        &self,
        partition: PartitionId,
    ) -> BoxFuture<'_, Result<Vec<(Aggregate, Millis)>, LedgerError>> {
        self.answer(move |state| state.due(partition))
    }

    fn outcomes<'a>(
        &'a self,
        commands: &'a [CommandIdentity],
    ) -> BoxFuture<'a, Result<Vec<OutcomeRow>, LedgerError>> {
        self.answer(move |state| {
            let outcomes = lock(&state.outcomes);
            commands.iter().filter_map(|command| outcomes.get(command)).collect()
        })
    }

    fn delete_outcomes(
        &self,
        partition: PartitionId,
        before: Millis,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, LedgerError>> {
        self.answer(move |state| {
            let partition = (state.number, partition);
            lock(&state.outcomes).delete(partition, before, limit as usize) as u64
        })
    }

    fn next_epoch(&self) -> BoxFuture<'_, Result<u64, LedgerError>> {
        let seconds = u64::try_from((self.clock)() / 1000).unwrap_or_default();
        self.answer(move |state| state.next_epoch(seconds))
    }

    fn commit<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<(), LedgerError>> {
        Box::pin(async move {
            lock(&self.state).commit(batch, (self.clock)())?;
            if let Some(heard) = &self.on_commit {
                heard(batch);
            }
            Ok(())
        })
    }

    fn outbox(
        &self,
        partition: PartitionId,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<OutboxRow>, LedgerError>> {
        self.answer(move |state| state.outbox(partition, limit as usize))
    }

    fn delete_published<'a>(
        &'a self,
        partition: PartitionId,
        rows: &'a [OutboxKey],
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        self.answer(move |state| state.delete_published(partition, rows))
    }

    fn mark_dirty<'a>(&'a self, views: &'a [ViewName]) -> BoxFuture<'a, Result<(), LedgerError>> {
        self.answer(move |state| state.dirty.extend(views.iter().cloned()))
    }

    fn mark_suspect<'a>(
        &'a self,
        partition: PartitionId,
        partition_count: u32,
        after: Option<&'a ViewName>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Option<ViewName>, LedgerError>> {
        let is_next = move |name: &ViewName| {
            PartitionId::for_key(name.0.as_str(), partition_count) == partition
                && after.is_none_or(|after| name > after)
        };
        self.answer(move |state| state.mark_suspect(is_next, limit as usize))
    }

    fn dirty(
        &self,
        partition: PartitionId,
        partition_count: u32,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<ViewName>, LedgerError>> {
        let of_partition = move |name: &&ViewName| {
            PartitionId::for_key(name.0.as_str(), partition_count) == partition
        };
        self.answer(move |state| {
            let suspect = state.suspect.iter().filter(|name| !state.dirty.contains(*name));
            let marked = state.dirty.iter().chain(suspect);
            marked.filter(of_partition).take(limit as usize).cloned().collect()
        })
    }

    fn view<'a>(
        &'a self,
        name: &'a ViewName,
    ) -> BoxFuture<'a, Result<Option<StoredView>, LedgerError>> {
        let now = (self.clock)();
        self.answer(move |state| state.view(name, now))
    }

    fn mark_repaired<'a>(
        &'a self,
        name: &'a ViewName,
        position: Position,
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        self.answer(move |state| state.mark_repaired(name, position))
    }
}

/// The queries of gateways, over the ledgers of both topics, the work of runs, the audit and the
/// webhooks.
pub struct MemoryQueries {
    pub care: Arc<MemoryLedger>,
    pub runs: Arc<MemoryLedger>,
    pub work: Arc<MemoryWork>,
    pub audit: Arc<MemoryAudit>,
    pub webhooks: Arc<MemoryWebhooks>,
}

impl Queries for MemoryQueries {
    fn lagging(&self, most: u32) -> BoxFuture<'_, Result<Vec<Aggregate>, NotRead>> {
        Box::pin(async move {
            let lagging = [&self.care, &self.runs].map(|ledger| {
                let state = lock(&ledger.state);
                state.dirty.iter().map(|(aggregate, _)| aggregate.clone()).collect::<Vec<_>>()
            });
            Ok(lagging.into_iter().flatten().take(most as usize).collect())
        })
    }

    fn view<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        view: &'a str,
    ) -> BoxFuture<'a, Result<Option<View>, NotRead>> {
        Box::pin(async move {
            let ledger = match topic_for(aggregate.kind()) {
                CARE_TOPIC => &self.care,
                _ => &self.runs,
            };
            let view =
                lock(&ledger.state).view(&(aggregate.clone(), view.to_owned()), (ledger.clock)());
            Ok(view.map(|(view, _)| view))
        })
    }

    fn outcome<'a>(
        &'a self,
        command: &'a CommandIdentity,
    ) -> BoxFuture<'a, Result<Option<RecordedOutcome>, NotRead>> {
        Box::pin(async move {
            let outcomes = lock(&self.care.state).outcomes.clone(); // those of `runs` too
            let row = lock(&outcomes).get(command);
            Ok(row.map(|row| RecordedOutcome {
                aggregate: row.aggregate,
                fingerprint: row.fingerprint,
                outcome: row.outcome,
            }))
        })
    }

    fn runs<'a>(
        &'a self,
        tenant: &'a TenantId,
        asked: &'a RunsQuery,
    ) -> BoxFuture<'a, Result<Vec<ListedRun>, NotRead>> {
        Box::pin(async move { Ok(self.work.runs(tenant, asked)) })
    }

    fn findings<'a>(
        &'a self,
        tenant: &'a TenantId,
        run: &'a RunId,
        asked: &'a FindingsQuery,
    ) -> BoxFuture<'a, Result<Option<Vec<(FindingPlace, Finding)>>, NotRead>> {
        Box::pin(async move { Ok(self.work.findings(tenant, run, asked)) })
    }

    fn has_tenant<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<bool, NotRead>> {
        Box::pin(async {
            let has_views = |ledger: &MemoryLedger| lock(&ledger.state).has_tenant(tenant);
            Ok(has_views(&self.care) || has_views(&self.runs))
        })
    }

    fn other_locations<'a>(
        &'a self,
        tenant: &'a TenantId,
        location: &'a LocationId,
    ) -> BoxFuture<'a, Result<Option<u32>, NotRead>> {
        Box::pin(async { Ok(lock(&self.care.state).other_locations(tenant, location)) })
    }

    fn audit<'a>(
        &'a self,
        tenant: &'a TenantId,
        asked: &'a AuditQuery,
    ) -> BoxFuture<'a, Result<Vec<AuditRow>, NotRead>> {
        Box::pin(async move { Ok(self.audit.page(tenant, asked)) })
    }

    fn webhook_queues<'a>(
        &'a self,
        tenant: &'a TenantId,
    ) -> BoxFuture<'a, Result<Vec<WebhookQueue>, NotRead>> {
        Box::pin(async move { Ok(self.webhooks.queues(tenant)) })
    }

    fn webhook_deliveries<'a>(
        &'a self,
        tenant: &'a TenantId,
        asked: &'a DeliveriesQuery,
    ) -> BoxFuture<'a, Result<Vec<ListedDelivery>, NotRead>> {
        Box::pin(async move { Ok(self.webhooks.deliveries(tenant, asked)) })
    }

    fn history<'a>(
        &'a self,
        tenant: &'a TenantId,
        asked: &'a HistoryQuery,
    ) -> BoxFuture<'a, Result<Vec<Stay>, NotRead>> {
        Box::pin(async move { Ok(lock(&self.care.state).history.page(tenant, asked)) })
    }

    fn figures<'a>(
        &'a self,
        tenant: &'a TenantId,
        asked: &'a FiguresQuery,
    ) -> BoxFuture<'a, Result<Figures, NotRead>> {
        Box::pin(async move { Ok(lock(&self.care.state).history.figures(tenant, asked)) })
    }
}
