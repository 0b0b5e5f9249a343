//! Deletes the outcomes of commands whose keys are no longer kept, one slice between two passes.
//!
//! The time of a partition's log decides, never the clock of this machine alone: an owner that
//! reads old records after an outage still finds the outcomes that they repeat. So the outcomes of
//! a partition without new records stay until its next record.

use std::{error::Error, time::Duration};

use tokio::time::Instant;

use super::{Runner, answered, outcome_age::LOOK_EVERY, partition::PartitionStage};

/// Outcomes deleted at once, as a multiple of the largest batch. Twice as many as a batch adds, so
/// that deleting keeps up. 1,000 rows take PostgreSQL a few milliseconds.
const SLICE_BATCHES: usize = 2;

impl Runner {
    /// Deletes one slice of outcomes, of the partition that has waited longest.
    pub(super) async fn delete_outcomes(&mut self) {
        let (now, lifetime) = (Instant::now(), self.settings.key_lifetime_ms());
        let due = self
            .partitions
            .iter()
            .filter(|(_, partition)| partition.stage == PartitionStage::Ready)
            .filter_map(|(id, partition)| Some((*id, partition.outcomes.due(now, lifetime)?)))
            .min_by_key(|(id, _)| self.partitions[id].outcomes.look_at);
        let Some((id, before)) = due else { return };
        let slice = u32::try_from(self.settings.batch * SLICE_BATCHES).unwrap_or(u32::MAX);
        let deleted = answered(self.backends.ledger.delete_outcomes(id, before, slice)).await;
        let is_last = match deleted {
            Ok(deleted) => deleted < u64::from(slice),
            Err(error) => {
                tracing::warn!(
                    partition = id.0,
                    error = &error as &dyn Error,
                    "deleting old outcomes of commands failed"
                );
                true
            }
        };
        if let Some(partition) = self.partitions.get_mut(&id) {
            partition.outcomes.look_at = now + if is_last { LOOK_EVERY } else { Duration::ZERO };
        }
    }
}
