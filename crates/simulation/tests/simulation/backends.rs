//! The authority and the view store over a network: memory behind the calls of a process.

use std::{ops::Range, sync::Arc};

use gateway::backends::{
    history::{Figures, FiguresQuery, HistoryQuery},
    queries::{
        AuditQuery, AuditRow, DeliveriesQuery, FindingsPage, FindingsQuery, ListedDelivery,
        ListedRun, Queries, RecordedOutcome, RunsQuery, WebhookQueue,
    },
    snapshots::{NotRead, Snapshot, Snapshots},
};
use processors::{
    BoxFuture,
    aggregate::StoredAggregate,
    anchor::LogAnchor,
    ledger::{
        Batch, Ledger, LedgerError, LocationParts, OutboxKey, OutboxRow, OutcomeRow, PartNames,
        PartitionClaim, StoredView, ViewName,
    },
    location::{Appointment, RenewalNeed},
    log::PartitionId,
    views::{Coverage, PartitionHead, StoreOutcome, ViewStep, ViewStore, ViewStoreError},
};
use schemas::{
    Millis,
    history::Stay,
    identity::CommandIdentity,
    ids::{Aggregate, LocationId, RunId, TenantId},
    redis_keys::StoreIdentity,
    view::{Position, View},
};
use standalone::memory::{MemoryLedger, MemoryQueries, MemoryViews};

use crate::network::{Process, Server};

fn unavailable() -> LedgerError {
    LedgerError::Unavailable("a simulated fault".into())
}

fn not_read() -> NotRead {
    NotRead("a simulated fault".into())
}

/// The calls that a runner makes of the ledger, the view store and the log, as points to die at.
pub const POINTS: [&str; 17] = [
    "claim",
    "anchor",
    "restore",
    "parts",
    "outcomes",
    "epoch",
    "commit",
    "outbox",
    "delete_published",
    "mark_dirty",
    "dirty",
    "view",
    "mark_repaired",
    "store",
    "replace",
    "cover",
    "append",
];

/// Sends one call over the network.
macro_rules! call {
    ($self:ident, $server:ident, $op:literal, $lost:expr, |$real:ident| $effect:expr) => {{
        let $real = $self.real.clone();
        let effect = async move { $effect.await };
        Box::pin($self.process.call(Server::$server, $op, effect, $lost))
    }};
}

pub struct SimLedger {
    pub process: Arc<Process>,
    pub real: Arc<MemoryLedger>,
}

impl Ledger for SimLedger {
    fn claim(&self, partition: PartitionId) -> BoxFuture<'_, Result<PartitionClaim, LedgerError>> {
        call!(self, Ledger, "claim", unavailable, |real| real.claim(partition))
    }
    fn anchor(&self, partition: PartitionId) -> BoxFuture<'_, Result<LogAnchor, LedgerError>> {
        call!(self, Ledger, "anchor", unavailable, |real| real.anchor(partition))
    }
    fn begin_epoch_if_older<'a>(
        &'a self,
        published: &'a [(Aggregate, Position)],
    ) -> BoxFuture<'a, Result<Option<u64>, LedgerError>> {
        let published = published.to_vec();
        call!(self, Ledger, "begin_epoch", unavailable, |real| {
            real.begin_epoch_if_older(&published)
        })
    }
    fn renew_epochs<'a>(
        &'a self,
        claim: PartitionClaim,
        epoch: u64,
        at: Millis,
        after: Option<&'a Aggregate>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Option<Aggregate>, LedgerError>> {
        let after = after.cloned();
        call!(self, Ledger, "renew_epochs", unavailable, |real| {
            real.renew_epochs(claim, epoch, at, after.as_ref(), limit)
        })
    }
    fn checkpoint(
        &self,
        partition: PartitionId,
    ) -> BoxFuture<'_, Result<PartitionClaim, LedgerError>> {
        call!(self, Ledger, "checkpoint", unavailable, |real| real.checkpoint(partition))
    }
    fn restore<'a>(
        &'a self,
        aggregate: &'a Aggregate,
    ) -> BoxFuture<'a, Result<Option<StoredAggregate>, LedgerError>> {
        let aggregate = aggregate.clone();
        call!(self, Ledger, "restore", unavailable, |real| real.restore(&aggregate))
    }
    fn location_parts<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        names: &'a PartNames,
    ) -> BoxFuture<'a, Result<LocationParts, LedgerError>> {
        let (aggregate, names) = (aggregate.clone(), names.clone());
        call!(self, Ledger, "parts", unavailable, |real| real.location_parts(&aggregate, &names))
    }
    fn appointments<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        wake: Range<Millis>,
    ) -> BoxFuture<'a, Result<Vec<Appointment>, LedgerError>> {
        let aggregate = aggregate.clone();
        call!(self, Ledger, "appointments", unavailable, |real| real.appointments(&aggregate, wake))
    }
    fn shown_appointments<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        need: &'a RenewalNeed,
    ) -> BoxFuture<'a, Result<Vec<Appointment>, LedgerError>> {
        let (aggregate, need) = (aggregate.clone(), need.clone());
        call!(self, Ledger, "shown", unavailable, |real| real.shown_appointments(&aggregate, &need))
    }
    fn due(
        &self,
        partition: PartitionId,
    ) -> BoxFuture<'_, Result<Vec<(Aggregate, Millis)>, LedgerError>> {
        call!(self, Ledger, "due", unavailable, |real| real.due(partition))
    }
    fn outcomes<'a>(
        &'a self,
        commands: &'a [CommandIdentity],
    ) -> BoxFuture<'a, Result<Vec<OutcomeRow>, LedgerError>> {
        let commands = commands.to_vec();
        call!(self, Ledger, "outcomes", unavailable, |real| real.outcomes(&commands))
    }
    fn delete_outcomes(
        &self,
        partition: PartitionId,
        before: Millis,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, LedgerError>> {
        call!(self, Ledger, "delete_outcomes", unavailable, |real| {
            real.delete_outcomes(partition, before, limit)
        })
    }
    fn next_epoch(&self) -> BoxFuture<'_, Result<u64, LedgerError>> {
        call!(self, Ledger, "epoch", unavailable, |real| real.next_epoch())
    }
    fn commit<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<(), LedgerError>> {
        let (batch, process) = (batch.clone(), self.process.clone());
        let effect = |real: Arc<MemoryLedger>| async move {
            let done = real.commit(&batch).await;
            let result = done.as_ref().map_or_else(|error| error.to_string(), |()| "done".into());
            let PartitionClaim { partition, owner_epoch, next_offset } = batch.claim;
            process.note(format_args!(
                "commits partition {partition} at {next_offset}..{} as owner {owner_epoch}: {result}",
                batch.to
            ));
            done
        };
        call!(self, Ledger, "commit", unavailable, |real| effect(real))
    }
    fn outbox(
        &self,
        partition: PartitionId,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<OutboxRow>, LedgerError>> {
        call!(self, Ledger, "outbox", unavailable, |real| real.outbox(partition, limit))
    }
    fn delete_published<'a>(
        &'a self,
        partition: PartitionId,
        rows: &'a [OutboxKey],
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        let rows = rows.to_vec();
        call!(self, Ledger, "delete_published", unavailable, |real| {
            real.delete_published(partition, &rows)
        })
    }
    fn mark_dirty<'a>(&'a self, views: &'a [ViewName]) -> BoxFuture<'a, Result<(), LedgerError>> {
        let views = views.to_vec();
        call!(self, Ledger, "mark_dirty", unavailable, |real| real.mark_dirty(&views))
    }
    fn mark_suspect<'a>(
        &'a self,
        partition: PartitionId,
        partition_count: u32,
        after: Option<&'a ViewName>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Option<ViewName>, LedgerError>> {
        let after = after.cloned();
        call!(self, Ledger, "mark_suspect", unavailable, |real| {
            real.mark_suspect(partition, partition_count, after.as_ref(), limit)
        })
    }
    fn dirty(
        &self,
        partition: PartitionId,
        partition_count: u32,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<ViewName>, LedgerError>> {
        call!(self, Ledger, "dirty", unavailable, |real| {
            real.dirty(partition, partition_count, limit)
        })
    }
    fn view<'a>(
        &'a self,
        name: &'a ViewName,
    ) -> BoxFuture<'a, Result<Option<StoredView>, LedgerError>> {
        let name = name.clone();
        call!(self, Ledger, "view", unavailable, |real| Ledger::view(&*real, &name))
    }
    fn mark_repaired<'a>(
        &'a self,
        name: &'a ViewName,
        position: Position,
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        let name = name.clone();
        call!(self, Ledger, "mark_repaired", unavailable, |real| {
            real.mark_repaired(&name, position)
        })
    }
}

/// The view store, as processors write it and gateways read it.
pub struct SimViews {
    pub process: Arc<Process>,
    pub real: Arc<MemoryViews>,
}

impl ViewStore for SimViews {
    fn store<'a>(
        &'a self,
        steps: &'a [ViewStep],
    ) -> BoxFuture<'a, Result<Vec<StoreOutcome>, ViewStoreError>> {
        let steps = steps.to_vec();
        call!(self, Store, "store", || ViewStoreError(None), |real| real.store(&steps))
    }
    fn replace<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        name: &'a str,
        view: &'a View,
        keep_s: Option<u32>,
    ) -> BoxFuture<'a, Result<(), ViewStoreError>> {
        let (aggregate, name, view) = (aggregate.clone(), name.to_owned(), view.clone());
        call!(self, Store, "replace", || ViewStoreError(None), |real| {
            real.replace(&aggregate, &name, &view, keep_s)
        })
    }
    fn coverage(
        &self,
        topic: &'static str,
        partition: PartitionId,
    ) -> BoxFuture<'_, Result<Coverage, ViewStoreError>> {
        call!(self, Store, "coverage", || ViewStoreError(None), |real| {
            real.coverage(topic, partition)
        })
    }
    fn cover<'a>(
        &'a self,
        topic: &'static str,
        partition: PartitionId,
        identity: &'a StoreIdentity,
    ) -> BoxFuture<'a, Result<(), ViewStoreError>> {
        let identity = identity.clone();
        self.process.note(format_args!("notes that the store covers partition {partition}"));
        call!(self, Store, "cover", || ViewStoreError(None), |real| {
            real.cover(topic, partition, &identity)
        })
    }
    fn note_heads<'a>(
        &'a self,
        topic: &'static str,
        heads: &'a [PartitionHead],
    ) -> BoxFuture<'a, Result<(), ViewStoreError>> {
        let heads = heads.to_vec();
        call!(self, Store, "note_heads", || ViewStoreError(None), |real| {
            real.note_heads(topic, &heads)
        })
    }
    fn heads(&self) -> BoxFuture<'_, Result<Vec<(Aggregate, Position)>, ViewStoreError>> {
        call!(self, Store, "heads", || ViewStoreError(None), |real| real.heads())
    }
}

impl Snapshots for SimViews {
    fn load<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        view: &'a str,
    ) -> BoxFuture<'a, Result<Snapshot, NotRead>> {
        let (aggregate, view) = (aggregate.clone(), view.to_owned());
        call!(self, Store, "load", not_read, |real| real.load(&aggregate, &view))
    }
    fn probe(&self) -> BoxFuture<'_, Result<(), NotRead>> {
        call!(self, Store, "probe", not_read, |real| real.probe())
    }
}

/// The authority, as gateways read it.
pub struct SimQueries {
    pub process: Arc<Process>,
    pub real: Arc<MemoryQueries>,
}

impl Queries for SimQueries {
    fn view<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        view: &'a str,
    ) -> BoxFuture<'a, Result<Option<View>, NotRead>> {
        let (aggregate, view) = (aggregate.clone(), view.to_owned());
        call!(self, Ledger, "read_view", not_read, |real| real.view(&aggregate, &view))
    }
    fn lagging(&self, most: u32) -> BoxFuture<'_, Result<Vec<Aggregate>, NotRead>> {
        call!(self, Ledger, "lagging", not_read, |real| real.lagging(most))
    }
    fn outcome<'a>(
        &'a self,
        command: &'a CommandIdentity,
    ) -> BoxFuture<'a, Result<Option<RecordedOutcome>, NotRead>> {
        let command = command.clone();
        call!(self, Ledger, "read_outcome", not_read, |real| real.outcome(&command))
    }
    // The simulation lists nothing.
    fn runs<'a>(
        &'a self,
        tenant: &'a TenantId,
        asked: &'a RunsQuery,
    ) -> BoxFuture<'a, Result<Vec<ListedRun>, NotRead>> {
        self.real.runs(tenant, asked)
    }
    fn findings<'a>(
        &'a self,
        tenant: &'a TenantId,
        run: &'a RunId,
        asked: &'a FindingsQuery,
    ) -> BoxFuture<'a, Result<Option<FindingsPage>, NotRead>> {
        self.real.findings(tenant, run, asked)
    }
    fn other_locations<'a>(
        &'a self,
        tenant: &'a TenantId,
        location: &'a LocationId,
    ) -> BoxFuture<'a, Result<Option<u32>, NotRead>> {
        self.real.other_locations(tenant, location)
    }
    fn has_tenant<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<bool, NotRead>> {
        self.real.has_tenant(tenant)
    }
    fn webhook_queues<'a>(
        &'a self,
        tenant: &'a TenantId,
    ) -> BoxFuture<'a, Result<Vec<WebhookQueue>, NotRead>> {
        self.real.webhook_queues(tenant)
    }
    fn webhook_deliveries<'a>(
        &'a self,
        tenant: &'a TenantId,
        asked: &'a DeliveriesQuery,
    ) -> BoxFuture<'a, Result<Vec<ListedDelivery>, NotRead>> {
        self.real.webhook_deliveries(tenant, asked)
    }
    fn audit<'a>(
        &'a self,
        tenant: &'a TenantId,
        asked: &'a AuditQuery,
    ) -> BoxFuture<'a, Result<Vec<AuditRow>, NotRead>> {
        self.real.audit(tenant, asked)
    }
    fn history<'a>(
        &'a self,
        tenant: &'a TenantId,
        asked: &'a HistoryQuery,
    ) -> BoxFuture<'a, Result<Vec<Stay>, NotRead>> {
        self.real.history(tenant, asked)
    }
    fn figures<'a>(
        &'a self,
        tenant: &'a TenantId,
        asked: &'a FiguresQuery,
    ) -> BoxFuture<'a, Result<Figures, NotRead>> {
        self.real.figures(tenant, asked)
    }
}
