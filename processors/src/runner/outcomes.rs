//! Deletes the outcomes of commands whose keys are no longer kept, one slice between two passes.
//!
//! The time of a partition's log decides, never the clock of this machine alone: an owner that
//! reads old records after an outage still finds the outcomes that they repeat. So the outcomes of
//! a partition without new records stay until its next record.

use std::{error::Error, time::Duration};

use schemas::Millis;
use tokio::time::Instant;

use super::{Runner, answered, partition::PartitionStage};

/// How often a partition is searched for outcomes to delete.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Outcomes deleted at once, as a multiple of the largest batch. Twice as many as a batch adds, so
/// that deleting keeps up. 1,000 rows take PostgreSQL a few milliseconds.
const SLICE_BATCHES: usize = 2;
/// Outcomes are deleted an hour after the lifetime of their keys, so that the clock of a broker
/// that is set back by less makes no repeat a new command.
const MARGIN: Millis = 3_600_000;

/// How far the log of a partition has come, and when outcomes are deleted next.
pub(super) struct OutcomeAge {
    /// The latest append time of a committed record.
    log_time: Option<Millis>,
    look_at: Instant,
}

impl Default for OutcomeAge {
    fn default() -> Self {
        Self { log_time: None, look_at: Instant::now() }
    }
}

impl OutcomeAge {
    /// Notes the append time of a committed record. A time ahead of the owner's clock `wall` is
    /// not believed, because it would delete what is still needed.
    pub(super) fn committed(&mut self, at: Millis, wall: Millis) {
        self.log_time = self.log_time.max(Some(at.min(wall)));
    }

    /// Outcomes first appended before this time are deleted now. `None` when it is not yet time.
    fn due(&self, now: Instant, key_lifetime: Millis) -> Option<Millis> {
        let log_time = self.log_time.filter(|_| self.look_at <= now)?;
        Some(log_time.saturating_sub(key_lifetime).saturating_sub(MARGIN))
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Millis = 24 * MARGIN;

    #[test]
    fn outcomes_are_deleted_by_log_time() {
        let mut age = OutcomeAge::default();
        let now = Instant::now();
        assert_eq!(age.due(now, DAY), None, "nothing was committed since the start");
        age.committed(10 * DAY, 12 * DAY);
        age.committed(9 * DAY, 12 * DAY);
        assert_eq!(age.due(now, DAY), Some(9 * DAY - MARGIN));
        age.look_at = now + LOOK_EVERY;
        assert_eq!(age.due(now, DAY), None);
    }

    #[test]
    fn record_from_the_future_deletes_nothing_early() {
        let mut age = OutcomeAge::default();
        age.committed(400 * DAY, 10 * DAY);
        assert_eq!(age.due(Instant::now(), DAY), Some(9 * DAY - MARGIN));
    }
}
