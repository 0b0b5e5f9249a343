//! Deletes the outcomes of commands whose keys are no longer kept, one slice between two passes.
//!
//! The time of a partition's log decides, never the clock of this machine alone: an owner that
//! reads old records after an outage still finds the outcomes that they repeat. So the outcomes of
//! a partition without new records stay until its next record.

use std::{error::Error, time::Duration};

use tokio::time::Instant;

use super::PartitionTask;
use crate::runner::{
    answered,
    partition::{OUTCOMES_LOOK_EVERY, PartitionStage},
};

/// Outcomes deleted at once, as a multiple of the largest batch. Twice as many as a batch adds, so
/// that deleting keeps up. 1,000 rows take PostgreSQL a few milliseconds.
const SLICE_BATCHES: usize = 2;

impl PartitionTask {
    /// Deletes one slice of outcomes when it is time.
    pub(super) async fn delete_outcomes(&mut self) {
        let (now, lifetime) = (Instant::now(), self.shared.settings.key_lifetime_ms());
        if self.partition.stage != PartitionStage::Ready {
            return;
        }
        let Some(before) = self.partition.outcomes.due(now, lifetime) else { return };
        let slice = u32::try_from(self.shared.settings.batch * SLICE_BATCHES).unwrap_or(u32::MAX);
        let id = self.partition.claim.partition;
        let deleted =
            answered(self.shared.backends.ledger.delete_outcomes(id, before, slice)).await;
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
        self.partition.outcomes.look_at =
            now + if is_last { OUTCOMES_LOOK_EVERY } else { Duration::ZERO };
    }
}
