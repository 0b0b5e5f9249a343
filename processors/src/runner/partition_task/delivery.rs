//! Delivery after the commit: changes go to the view store, and the outbox goes to its topics.
//!
//! A row leaves the outbox only after its changes are stored or marked dirty and the log has
//! acknowledged its record. The next batch deletes it; without one, it is deleted alone after a
//! moment. So an owner that finds rows repeats both steps. Stores and readers
//! judge by position and drop what they already have.

use std::{error::Error, sync::atomic::Ordering::Relaxed};

use schemas::{
    ids::Aggregate,
    record::{VIEWS_TOPIC, ViewsRecord, WireRecord},
};
use tokio::time::{Instant, timeout};

use super::{PartitionError, PartitionTask};
use crate::{
    ledger::{LedgerError, OutboxKey, OutboxRow, ViewName},
    log::AppendError,
    runner::{
        FailureKind, PATIENCE, answered,
        batch::ViewSteps,
        partition::PartitionStage,
        traces::{BatchTraces, PUBLICATION},
    },
    views::{StoreOutcome, ViewStep, ViewStoreError},
};

/// Steps stored by one call. The store gets its patience for each call, so that a large batch does
/// not count as a store that hangs.
const STEPS: usize = 500;
/// Rows of the outbox that are read back at once: about one batch.
const LEFTOVERS: u32 = 500;

impl PartitionTask {
    /// Stores the changes and publishes the rows, which are then to be deleted from the outbox.
    pub(super) async fn deliver(
        &mut self,
        steps: Vec<ViewStep>,
        rows: Vec<OutboxRow>,
        traces: &mut BatchTraces,
    ) -> Result<(), PartitionError> {
        if rows.is_empty() {
            return Ok(self.store(&steps).await?);
        }
        let now = Instant::now();
        self.report(|status| {
            status.unpublished_since.get_or_insert(now);
        });
        self.store(&steps).await?;
        let places: Vec<OutboxKey> = rows.iter().map(|row| (row.offset, row.part)).collect();
        let records: Vec<_> = rows.into_iter().map(|row| (row.topic, row.record)).collect();
        traces.note("store views");
        let published = self.publish(&records, &places).await.map_err(PartitionError::Log);
        traces.note(PUBLICATION);
        published?;
        self.partition.published.add(places);
        let settings = &self.shared.settings;
        settings.counters.published((settings.clock)());
        self.report(|status| status.unpublished_since = None);
        Ok(())
    }

    /// Publishes rows of the outbox, which have these places in it. Names the row that the log
    /// refuses.
    async fn publish(
        &self,
        records: &[(&'static str, WireRecord)],
        places: &[OutboxKey],
    ) -> Result<(), AppendError> {
        let appended = timeout(PATIENCE, self.shared.backends.log.append(records)).await;
        let error = match appended {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(error)) => error,
            Err(elapsed) => AppendError::unknown(elapsed),
        };
        let refused =
            error.record.and_then(|index| Some((records.get(index)?, places.get(index)?)));
        if let Some(((topic, record), (offset, part))) = refused {
            tracing::error!(
                partition = self.partition.claim.partition.0,
                offset = offset.0,
                part,
                topic,
                key = record.key,
                bytes = record.value.len(),
                "the log does not acknowledge this row of the outbox"
            );
        }
        Err(error)
    }

    /// Delivers what an earlier owner, or this one before a fault, committed but may not have
    /// delivered.
    pub(super) async fn publish_leftovers(&mut self) -> Result<(), PartitionError> {
        let partition = self.partition.claim.partition;
        self.delete_published().await?;
        let ledger = &self.shared.backends.ledger;
        let rows = answered(ledger.outbox(partition, LEFTOVERS)).await?;
        let last_page = rows.len() < LEFTOVERS as usize;
        let published = !rows.is_empty();
        if !published {
            self.report(|status| status.unpublished_since = None);
        }
        let (mut steps, mut omitted) = (ViewSteps::default(), Vec::new());
        for row in rows.iter().filter(|row| row.topic == VIEWS_TOPIC) {
            let record = ViewsRecord::from_value(&row.record.value);
            let (Ok(aggregate), Ok(record)) = (Aggregate::parse(&row.record.key), record) else {
                tracing::error!(
                    partition = partition.0,
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
        self.mark_dirty(&omitted).await?;
        self.deliver(steps.into_vec(), rows, &mut BatchTraces::default()).await?;
        if last_page {
            let due = answered(self.shared.backends.ledger.due(partition)).await?;
            self.partition.timers.load(due, Instant::now());
            self.partition.stage = PartitionStage::Ready;
        }
        // Reading an empty outbox is no progress while a batch waits that could not be committed.
        if published || self.partition.pending.is_empty() {
            self.partition.reset_backoff();
            self.works();
        }
        if last_page {
            self.stop_in_a_storm();
        }
        Ok(())
    }

    /// Stores changes, and marks views dirty that the store lacks.
    async fn store(&self, steps: &[ViewStep]) -> Result<(), LedgerError> {
        let name = |step: &ViewStep| (step.aggregate.clone(), step.step.view.clone());
        let mut lacking: Vec<ViewName> = Vec::new();
        for steps in steps.chunks(STEPS) {
            match self.store_some(steps).await {
                Ok(stored) => {
                    let outcomes = steps.iter().zip(stored);
                    let behind = outcomes.filter(|(_, stored)| *stored == StoreOutcome::Behind);
                    lacking.extend(behind.map(|(step, _)| name(step)));
                }
                // The breaker logs the failure.
                Err(_) => lacking.extend(steps.iter().map(name)),
            }
        }
        self.mark_dirty(&lacking).await
    }

    /// Marks views dirty, so that they are repaired.
    async fn mark_dirty(&self, views: &[ViewName]) -> Result<(), LedgerError> {
        if views.is_empty() {
            return Ok(());
        }
        let marked = answered(self.shared.backends.ledger.mark_dirty(views)).await;
        // Done even when the answer was lost: the views may be marked, and would not be repaired
        // otherwise.
        self.shared.dirty.mark(self.partition.claim.partition);
        marked?;
        self.shared.settings.counters.dirtied.fetch_add(views.len() as u64, Relaxed);
        Ok(())
    }

    /// Asks the store, unless its breaker is open.
    async fn store_some(&self, steps: &[ViewStep]) -> Result<Vec<StoreOutcome>, ViewStoreError> {
        let breaker = &self.shared.breaker;
        if breaker.is_open() {
            return Err(ViewStoreError(None));
        }
        breaker.judge(self.shared.backends.views.store(steps)).await
    }

    /// Deletes the published rows.
    pub(in crate::runner) async fn delete_published(&mut self) -> Result<(), LedgerError> {
        let partition = self.partition.claim.partition;
        let rows = self.partition.published.keys();
        if !rows.is_empty() {
            answered(self.shared.backends.ledger.delete_published(partition, rows)).await?;
            self.partition.published.deleted();
        }
        Ok(())
    }

    /// When to delete published rows alone. A batch that waits will delete them.
    pub(in crate::runner) fn published_due(&self) -> Option<Instant> {
        self.partition.is_idle().then(|| self.partition.published.due()).flatten()
    }

    /// Deletes published rows if no batch has come to do it.
    pub(in crate::runner) async fn tidy_outbox(&mut self) {
        if self.published_due().is_none_or(|due| due > Instant::now()) {
            return;
        }
        if let Err(error) = self.delete_published().await {
            tracing::warn!(
                partition = self.partition.claim.partition.0,
                error = &error as &dyn Error,
                "published rows of the outbox could not be deleted"
            );
            self.partition.stage = PartitionStage::CheckpointUnknown;
            self.fails(FailureKind::Ledger);
            self.partition.back_off();
        }
    }
}
