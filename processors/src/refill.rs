//! Refilling the view store after a loss: all views of a partition are marked suspect in the
//! ledger, and repaired from there like dirty ones, after them and at the same bounded rate. So
//! views that no record changes are restored too.

use schemas::redis_keys::StoreIdentity;

use crate::{
    ledger::{Ledger, LedgerError, ViewName},
    log::PartitionId,
};

/// Views marked by one statement: some milliseconds of the ledger's time.
pub const SLICE: u32 = 500;

/// The marking of all views of a partition, one slice at a time.
pub struct Refill {
    topic: &'static str,
    partition: PartitionId,
    identity: StoreIdentity,
    after: Option<ViewName>,
}

impl Refill {
    /// Begins to mark the views of a partition, after the view store answered with a new identity.
    pub fn new(topic: &'static str, partition: PartitionId, identity: StoreIdentity) -> Self {
        Self { topic, partition, identity, after: None }
    }

    /// Marks the next slice. Returns whether no view was left. Then the caller notes the identity
    /// by [`ViewStore::cover`], with the arguments of [`Refill::covers`].
    ///
    /// # Errors
    /// The ledger's. The same slice can be tried again.
    ///
    /// [`ViewStore::cover`]: crate::views::ViewStore::cover
    pub async fn mark_slice(
        &mut self,
        ledger: &dyn Ledger,
        partition_count: u32,
    ) -> Result<bool, LedgerError> {
        let after = self.after.as_ref();
        let slice = ledger.mark_suspect(self.partition, partition_count, after, SLICE);
        let last = slice.await?;
        let none_left = last.is_none();
        self.after = last.or(self.after.take());
        Ok(none_left)
    }

    /// Whether a view was marked. A partition without views has lost none.
    pub fn found_views(&self) -> bool {
        self.after.is_some()
    }

    /// The partition, and the identity that the store had before the first slice was marked.
    pub fn covers(&self) -> (&'static str, PartitionId, &StoreIdentity) {
        (self.topic, self.partition, &self.identity)
    }
}
