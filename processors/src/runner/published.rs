//! Rows of the outbox whose records the log has acknowledged. The next batch deletes them in its
//! own transaction; without one, they are deleted alone after a moment. Rows that a crash leaves
//! behind are published again, which changes nothing.

use std::time::Duration;

use tokio::time::Instant;

use super::{answered, partition::PartitionStage, partition_task::PartitionTask};
use crate::ledger::{LedgerError, OutboxKey};

/// How long published rows wait for a batch that deletes them: longer than a busy partition takes
/// from one batch to the next.
const WAIT: Duration = Duration::from_millis(250);

/// The published rows of a partition that are not yet deleted.
#[derive(Default)]
pub(super) struct PublishedRows {
    keys: Vec<OutboxKey>,
    since: Option<Instant>,
}

impl PublishedRows {
    pub(super) fn add(&mut self, keys: impl IntoIterator<Item = OutboxKey>) {
        self.keys.extend(keys);
        if !self.keys.is_empty() {
            self.since.get_or_insert_with(Instant::now);
        }
    }

    /// The rows that the next batch deletes.
    pub(super) fn keys(&self) -> &[OutboxKey] {
        &self.keys
    }

    /// Forgets the rows, because they are deleted.
    pub(super) fn deleted(&mut self) {
        (self.keys, self.since) = (Vec::new(), None);
    }

    /// When to delete the rows although no batch follows.
    pub(super) fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + WAIT)
    }
}

impl PartitionTask {
    /// Deletes the published rows.
    pub(super) async fn delete_published(&mut self) -> Result<(), LedgerError> {
        let partition = self.partition.claim.partition;
        let rows = self.partition.published.keys();
        if !rows.is_empty() {
            answered(self.shared.backends.ledger.delete_published(partition, rows)).await?;
            self.partition.published.deleted();
        }
        Ok(())
    }

    /// When to delete published rows alone. A batch that waits will delete them.
    pub(super) fn published_due(&self) -> Option<Instant> {
        self.partition.is_idle().then(|| self.partition.published.due()).flatten()
    }

    /// Deletes published rows if no batch has come to do it.
    pub(super) async fn tidy_outbox(&mut self) {
        if self.published_due().is_none_or(|due| due > Instant::now()) {
            return;
        }
        if let Err(error) = self.delete_published().await {
            tracing::warn!(
                partition = self.partition.claim.partition.0,
                error = &error as &dyn std::error::Error,
                "published rows of the outbox could not be deleted"
            );
            self.partition.stage = PartitionStage::CheckpointUnknown;
            self.fails(super::FailureKind::Ledger);
            self.partition.back_off();
        }
    }
}
