//! Delivery after the commit: changes go to the view store, the outbox goes to its topics, and
//! views that the store lacks are repaired.
//!
//! A row leaves the outbox only after its changes are stored or marked dirty and the log has
//! acknowledged its record. So an owner that finds rows repeats both steps. Stores and readers
//! judge by position and drop what they already have.

use std::{error::Error, sync::atomic::Ordering::Relaxed, time::Duration};

use schemas::{
    ids::Aggregate,
    record::{VIEWS_TOPIC, ViewsRecord},
};
use tokio::time::{Instant, timeout};

use super::{
    PATIENCE, PartitionError, REPAIR_EVERY, Runner, answered,
    batch::ViewSteps,
    partition::{Partition, PartitionStage},
};
use crate::{
    ledger::{LedgerError, OutboxRow, ViewName},
    log::{AppendError, PartitionId},
    views::{StoreOutcome, ViewStep, ViewStoreError},
};

/// How long the view store may take. Past it, the views are marked dirty and delivery continues
/// without the store.
const VIEWS_PATIENCE: Duration = Duration::from_secs(1);
/// Rows of the outbox that are read back at once: about one batch.
const LEFTOVERS: u32 = 500;
/// Views repaired in one pass over one partition. The others wait for the next pass, so that
/// records do not wait.
const REPAIRS: u32 = 50;

impl Runner {
    /// Stores the changes, publishes the rows, and deletes them from the outbox.
    pub(super) async fn deliver(
        &mut self,
        partition: &mut Partition,
        steps: Vec<ViewStep>,
        rows: Vec<OutboxRow>,
    ) -> Result<(), PartitionError> {
        self.store(partition, &steps).await?;
        if rows.is_empty() {
            return Ok(());
        }
        let keys: Vec<_> = rows.iter().map(|row| (row.offset, row.part)).collect();
        let records: Vec<_> = rows.into_iter().map(|row| (row.topic, row.record)).collect();
        match timeout(PATIENCE, self.backends.log.append(&records)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(PartitionError::Log(error)),
            Err(elapsed) => return Err(PartitionError::Log(AppendError(Some(elapsed.into())))),
        }
        answered(self.backends.ledger.delete_published(partition.claim.partition, &keys)).await?;
        Ok(())
    }

    /// Delivers what an earlier owner, or this one before a fault, committed but may not have
    /// delivered.
    pub(super) async fn publish_leftovers(
        &mut self,
        partition: &mut Partition,
    ) -> Result<(), PartitionError> {
        let rows =
            answered(self.backends.ledger.outbox(partition.claim.partition, LEFTOVERS)).await?;
        let last_page = rows.len() < LEFTOVERS as usize;
        let (mut steps, mut omitted) = (ViewSteps::default(), Vec::new());
        for row in rows.iter().filter(|row| row.topic == VIEWS_TOPIC) {
            let record = ViewsRecord::from_value(&row.record.value);
            let (Ok(aggregate), Ok(record)) = (Aggregate::parse(&row.record.key), record) else {
                tracing::error!(
                    partition = partition.claim.partition.0,
                    offset = row.offset.0,
                    "a row of the outbox is unreadable"
                );
                continue;
            };
            for delta in record.deltas {
                match delta.delta.omitted {
                    true => omitted.push((aggregate.clone(), delta.view)),
                    false => steps.add(&aggregate, record.position.epoch, delta),
                }
            }
        }
        // Whether the store has these steps is not known, and their entries are in the ledger only.
        self.mark_dirty(partition, &omitted).await?;
        self.deliver(partition, steps.into_vec(), rows).await?;
        if last_page {
            let due = answered(self.backends.ledger.due(partition.claim.partition)).await?;
            partition.timers.load(due, Instant::now());
            partition.stage = PartitionStage::Ready;
        }
        partition.reset_backoff();
        Ok(())
    }

    /// Stores changes, and marks views dirty that the store lacks.
    async fn store(
        &mut self,
        partition: &mut Partition,
        steps: &[ViewStep],
    ) -> Result<(), LedgerError> {
        let name = |step: &ViewStep| (step.aggregate.clone(), step.step.view.clone());
        let lacking: Vec<ViewName> = if steps.is_empty() {
            return Ok(());
        } else if self.views_down {
            steps.iter().map(name).collect()
        } else {
            match within(self.backends.views.store(steps)).await {
                Ok(stored) => {
                    let behind = steps
                        .iter()
                        .zip(stored)
                        .filter(|(_, stored)| *stored == StoreOutcome::Behind);
                    behind.map(|(step, _)| name(step)).collect()
                }
                Err(error) => {
                    self.views_failed(&error);
                    steps.iter().map(name).collect()
                }
            }
        };
        self.mark_dirty(partition, &lacking).await
    }

    /// Marks views dirty, so that they are repaired.
    async fn mark_dirty(
        &self,
        partition: &mut Partition,
        views: &[ViewName],
    ) -> Result<(), LedgerError> {
        if !views.is_empty() {
            answered(self.backends.ledger.mark_dirty(views)).await?;
            self.settings.counters.dirtied.fetch_add(views.len() as u64, Relaxed);
            partition.dirty = true;
        }
        Ok(())
    }

    /// Repairs a bounded number of dirty views of all partitions: right after batches while the
    /// store works, once a second while it does not.
    pub(super) async fn repair(&mut self) {
        if self.views_down && Instant::now() < self.repair_at {
            return;
        }
        self.repair_at = Instant::now() + REPAIR_EVERY;
        let dirty: Vec<PartitionId> = self
            .partitions
            .values()
            .filter(|partition| partition.dirty && partition.stage == PartitionStage::Ready)
            .map(|partition| partition.claim.partition)
            .collect();
        for id in dirty {
            match self.repair_partition(id).await {
                Ok(clean) => {
                    if let Some(partition) = self.partitions.get_mut(&id) {
                        partition.dirty = !clean;
                    }
                    if !clean {
                        // Events of the log come first, then the next pass.
                        self.repair_at = Instant::now();
                    }
                }
                Err(RepairError::Ledger(error)) => {
                    tracing::warn!(
                        partition = id.0,
                        error = &error as &dyn Error,
                        "repairing views failed"
                    );
                    return;
                }
                Err(RepairError::ViewStore(error)) => {
                    self.views_failed(&error);
                    return;
                }
            }
        }
    }

    /// Repairs views of one partition. Returns whether none is left.
    async fn repair_partition(&mut self, id: PartitionId) -> Result<bool, RepairError> {
        let ledger = &self.backends.ledger;
        let Some(partition_count) =
            self.partitions.get(&id).map(|partition| partition.partition_count)
        else {
            return Ok(true);
        };
        let names = answered(ledger.dirty(id, partition_count, REPAIRS)).await?;
        for name in &names {
            let version = match answered(ledger.view(name)).await? {
                Some((view, keep_s)) => {
                    within(self.backends.views.replace(&name.0, &name.1, &view, keep_s)).await?;
                    self.views_down = false;
                    view.position.version
                }
                None => 0, // no longer kept, and not in the store either
            };
            answered(ledger.mark_repaired(name, version)).await?;
            self.settings.counters.repaired.fetch_add(1, Relaxed);
        }
        Ok(names.len() < REPAIRS as usize)
    }

    fn views_failed(&mut self, error: &ViewStoreError) {
        if !self.views_down {
            tracing::warn!(
                error = error as &dyn Error,
                "the view store does not answer; views are repaired later"
            );
        }
        self.views_down = true;
        self.repair_at = Instant::now() + REPAIR_EVERY;
    }
}

#[derive(Debug, thiserror::Error)]
enum RepairError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    ViewStore(#[from] ViewStoreError),
}

async fn within<T>(
    answer: impl Future<Output = Result<T, ViewStoreError>>,
) -> Result<T, ViewStoreError> {
    timeout(VIEWS_PATIENCE, answer)
        .await
        .unwrap_or_else(|elapsed| Err(ViewStoreError(Some(elapsed.into()))))
}
