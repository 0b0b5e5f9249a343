//! New epochs after the ledger turned out to be older than what was published.

use std::sync::atomic::Ordering::Relaxed;

use super::{PartitionError, PartitionTask};
use crate::runner::answered;

/// Aggregates that begin the epoch in one transaction: some 200 rows and records.
const SLICE: u32 = 200;

impl PartitionTask {
    /// Moves the next slice of aggregates to the new epoch. A crash continues with those that are
    /// left.
    pub(super) async fn renew_epochs(&mut self) -> Result<(), PartitionError> {
        let Some(epoch) = self.partition.epoch_floor else {
            self.partition.stage = self.partition.first_stage();
            return Ok(());
        };
        let (claim, at) = (self.partition.claim, (self.shared.settings.clock)());
        let after = self.partition.renewed.as_ref();
        let ledger = &self.shared.backends.ledger;
        let last = answered(ledger.renew_epochs(claim, epoch, at, after, SLICE)).await?;
        self.shared.dirty.mark(claim.partition);
        match last {
            Some(last) => {
                self.partition.renewed = Some(last);
                self.shared.settings.counters.renewals.fetch_add(1, Relaxed);
            }
            None => {
                (self.partition.epoch_floor, self.partition.renewed) = (None, None);
                self.partition.stage = self.partition.first_stage();
            }
        }
        Ok(())
    }
}
