//! The task of one partition: it stores the records in batches, and repeats what failed.

use std::{
    collections::HashSet,
    error::Error,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use schemas::{Millis, audit::AuditRecord, codes::Code, ids::TenantId};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

use super::{
    counters::SinkStatus,
    settings::{BATCH, SinkSettings},
    store::{AuditBatch, AuditStore, ParkedRecord, TenantEntries, answered},
};
use crate::{
    ledger::{LedgerError, PartitionClaim},
    log::{Log, LogRecord, PartitionId},
    runner::{BatchLimit, Flow, PendingRecords, RetryDelay},
};

/// How far the append time of a record may be ahead of the owner's clock. Past it, the entry is
/// dated by the owner's clock: it must not be lost, and later entries must not be dated by it.
const AHEAD_MS: Millis = 5 * 60 * 1000;

/// How long the first record waits for others to share its transaction. Nobody waits for the store,
/// and a transaction for each record would cost PostgreSQL as much as the audited commands.
const GATHER: Duration = Duration::from_millis(250);

/// Why a task ended.
pub(super) enum TaskEnd {
    /// The sink stopped it.
    Stopped,
    /// The partition has another owner.
    Lost,
}

/// A partition while this process owns it.
pub(super) struct PartitionTask {
    log: Arc<dyn Log>,
    store: Arc<dyn AuditStore>,
    settings: SinkSettings,
    flow: Arc<Flow>,
    claim: PartitionClaim,
    partition_count: u32,
    waiting: PendingRecords,
    /// Halved when the store refuses a batch, until the culprit is alone.
    limit: BatchLimit,
    /// Tenants whose chain was found sound, or counted as broken, since the claim. A partition has
    /// some thousands at most.
    checked: HashSet<TenantId>,
    delay: RetryDelay,
    failing_since: Option<Instant>,
}

impl PartitionTask {
    pub(super) fn new(
        (log, store): (Arc<dyn Log>, Arc<dyn AuditStore>),
        settings: SinkSettings,
        flow: Arc<Flow>,
        (claim, partition_count): (PartitionClaim, u32),
    ) -> Self {
        Self {
            log,
            store,
            settings,
            flow,
            claim,
            partition_count,
            waiting: PendingRecords::default(),
            limit: BatchLimit::new(BATCH),
            checked: HashSet::new(),
            delay: RetryDelay::default(),
            failing_since: None,
        }
    }

    /// Runs until the sender of `stopped` is dropped, or another owner has the partition.
    pub(super) async fn run(
        mut self,
        mut arriving: mpsc::UnboundedReceiver<Vec<LogRecord>>,
        mut stopped: watch::Receiver<()>,
    ) -> TaskEnd {
        loop {
            self.report();
            if self.waiting.is_empty() {
                let records = tokio::select! {
                    _ = stopped.changed() => return TaskEnd::Stopped,
                    records = arriving.recv() => records,
                };
                let Some(records) = records else { return TaskEnd::Stopped };
                self.push(records);
                self.gather(&mut arriving, &mut stopped).await;
            }
            while let Ok(records) = arriving.try_recv() {
                self.push(records);
            }
            if stopped.has_changed().is_err() {
                return TaskEnd::Stopped;
            }
            let Err(error) = self.step().await else { continue };
            self.failing_since.get_or_insert_with(Instant::now);
            if matches!(error, LedgerError::Fenced) && !self.is_owner().await {
                return TaskEnd::Lost;
            }
            tracing::warn!(
                partition = self.claim.partition.0,
                error = &error as &dyn Error,
                "entries of the audit are not stored yet"
            );
            self.report();
            tokio::select! {
                _ = stopped.changed() => return TaskEnd::Stopped,
                () = sleep(self.delay.next()) => {}
            }
        }
    }

    /// Takes the records that come within a moment, until a batch is complete.
    async fn gather(
        &mut self,
        arriving: &mut mpsc::UnboundedReceiver<Vec<LogRecord>>,
        stopped: &mut watch::Receiver<()>,
    ) {
        let until = Instant::now() + GATHER;
        while self.waiting.len() < BATCH {
            tokio::select! {
                _ = stopped.changed() => return,
                () = sleep_until(until) => return,
                records = arriving.recv() => match records {
                    Some(records) => self.push(records),
                    None => return,
                },
            }
        }
    }

    /// Adds records, except those that are stored or wait here already.
    fn push(&mut self, records: Vec<LogRecord>) {
        let known = self.waiting.push(self.claim.next_offset, records);
        self.flow.leave(&*self.log, &known);
    }

    /// Stores the next batch.
    async fn step(&mut self) -> Result<(), LedgerError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let records = self.waiting.len().min(self.limit.next());
        let batch = self.batch(records);
        self.check_ends(&batch).await?;
        match answered(self.store.commit(&batch)).await {
            Ok(()) => {
                self.committed(&batch);
                Ok(())
            }
            Err(LedgerError::Refused(source)) if records > 1 => {
                self.limit.shrink(records);
                Err(LedgerError::Refused(source))
            }
            Err(LedgerError::Refused(source)) => {
                tracing::error!(
                    partition = batch.claim.partition.0,
                    offset = batch.claim.next_offset.0,
                    error = &*source as &dyn Error,
                    "a record of the audit cannot be stored and is parked"
                );
                let alone = self.parked_alone();
                answered(self.store.commit(&alone)).await?;
                self.committed(&alone);
                Ok(())
            }
            Err(LedgerError::Unavailable(source)) => {
                // The batch may have been stored.
                let stored = answered(self.store.checkpoint(batch.claim.partition)).await?;
                if stored == (PartitionClaim { next_offset: batch.to, ..batch.claim }) {
                    self.committed(&batch);
                    return Ok(());
                }
                Err(LedgerError::Unavailable(source))
            }
            Err(error) => Err(error),
        }
    }

    /// The first records as entries. Those that cannot be read are parked.
    fn batch(&self, records: usize) -> AuditBatch {
        let latest = (self.settings.clock)() + AHEAD_MS;
        let (mut tenants, mut parked): (Vec<TenantEntries>, _) = (Vec::new(), Vec::new());
        let mut to = self.claim.next_offset;
        for LogRecord { offset, at, record } in self.waiting.iter().take(records) {
            to = offset.next();
            let at = (*at).min(latest);
            let is_here =
                PartitionId::for_key(&record.key, self.partition_count) == self.claim.partition;
            let read = match is_here {
                true => AuditRecord::from_wire(record),
                false => Err(Code::RecordWrongPartition),
            };
            let (tenant, entries) = match read {
                Ok(read) => read,
                Err(code) => {
                    parked.push(ParkedRecord { offset: *offset, code, record: record.clone() });
                    continue;
                }
            };
            let entries = entries.into_iter().map(|written| (at, written));
            match tenants.iter_mut().find(|known| known.tenant == tenant) {
                Some(known) => known.entries.extend(entries),
                None => tenants.push(TenantEntries { tenant, entries: entries.collect() }),
            }
        }
        tenants.retain(|tenant| !tenant.entries.is_empty());
        AuditBatch { claim: self.claim, to, tenants, parked }
    }

    /// The first record alone, parked.
    fn parked_alone(&self) -> AuditBatch {
        let first = &self.waiting[0];
        let parked = ParkedRecord {
            offset: first.offset,
            code: Code::RecordNotStored,
            record: first.record.clone(),
        };
        let to = first.offset.next();
        AuditBatch { claim: self.claim, to, tenants: Vec::new(), parked: vec![parked] }
    }

    /// Compares the head of each chain with its last row, once for each claim. A broken chain is
    /// continued: the audit must not stop, and verification names the place.
    async fn check_ends(&mut self, batch: &AuditBatch) -> Result<(), LedgerError> {
        for TenantEntries { tenant, .. } in &batch.tenants {
            if self.checked.contains(tenant) {
                continue;
            }
            if !answered(self.store.has_sound_end(tenant)).await? {
                self.settings.counters.broken.fetch_add(1, Relaxed);
                tracing::error!(
                    %tenant,
                    "the last stored entry of the audit is not the one that was stored last: run \
                     `clinicwire-processors audit verify`"
                );
            }
            self.checked.insert(tenant.clone());
        }
        Ok(())
    }

    fn committed(&mut self, batch: &AuditBatch) {
        let counters = &self.settings.counters;
        counters.written.fetch_add(batch.entries() as u64, Relaxed);
        counters.parked.fetch_add(batch.parked.len() as u64, Relaxed);
        counters.batches.fetch_add(1, Relaxed);
        self.claim.next_offset = batch.to;
        self.flow.leave(&*self.log, &self.waiting.move_to(batch.to));
        self.limit.grow();
        self.delay.reset();
        self.failing_since = None;
    }

    /// Whether this process still owns the partition. Then the batch was stored after all, and its
    /// records are dropped.
    async fn is_owner(&mut self) -> bool {
        let stored = answered(self.store.checkpoint(self.claim.partition)).await;
        let Ok(stored) = stored else { return true }; // asked again after the next attempt
        if stored.owner_epoch != self.claim.owner_epoch {
            return false;
        }
        self.claim = stored;
        self.flow.leave(&*self.log, &self.waiting.move_to(stored.next_offset));
        true
    }

    fn report(&self) {
        let status = SinkStatus {
            next_offset: self.claim.next_offset,
            oldest_waiting: self.waiting.front().map(|record| record.at),
            failing_since: self.failing_since,
        };
        self.settings.counters.set(self.claim.partition, status);
    }
}
