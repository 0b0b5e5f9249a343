//! The partitions whose views in the view store may lack something.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::{
    ledger::PartitionClaim,
    log::{LogOffset, PartitionId},
};

/// The owned partitions, and which of them may have dirty views.
#[derive(Default)]
pub(super) struct DirtyPartitions {
    owned: Mutex<BTreeMap<PartitionId, DirtyState>>,
    pub(super) marked: Notify,
}

struct DirtyState {
    partition_count: u32,
    dirty: bool,
    /// Whether the view store can have lost views: records were applied before the partition was
    /// owned, or the store has covered the partition since.
    can_lack: bool,
}

impl DirtyPartitions {
    fn owned(&self) -> MutexGuard<'_, BTreeMap<PartitionId, DirtyState>> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a partition that is owned from now on. An earlier owner may have left dirty views.
    pub(super) fn own(&self, claim: &PartitionClaim, partition_count: u32) {
        let can_lack = claim.next_offset > LogOffset(0);
        let state = DirtyState { partition_count, dirty: true, can_lack };
        self.owned().insert(claim.partition, state);
        self.marked.notify_one();
    }

    /// Notes that the store covers the views of a partition, while it is owned.
    pub(super) fn covered(&self, partition: PartitionId) {
        if let Some(state) = self.owned().get_mut(&partition) {
            state.can_lack = true;
        }
    }

    /// Whether a store that does not cover the partition has lost something. The first owner of a
    /// partition can store views before it looks whether they are covered.
    pub(super) fn can_lack(&self, partition: PartitionId) -> bool {
        self.owned().get(&partition).is_none_or(|state| state.can_lack)
    }

    /// Notes that views of a partition may be dirty, while it is owned, and has them repaired at
    /// once.
    pub(super) fn mark(&self, partition: PartitionId) {
        self.left(partition);
        self.marked.notify_one();
    }

    pub(super) fn forget(&self, partition: PartitionId) {
        self.owned().remove(&partition);
    }

    /// Every owned partition, and the partition count of its topic.
    pub(super) fn all(&self) -> BTreeMap<PartitionId, u32> {
        let owned = self.owned();
        owned.iter().map(|(partition, dirt)| (*partition, dirt.partition_count)).collect()
    }

    /// The partitions that may have dirty views. They count as clean until they are marked again.
    pub(super) fn take(&self) -> Vec<(PartitionId, u32)> {
        let mut owned = self.owned();
        let take = |(partition, dirt): (&PartitionId, &mut DirtyState)| {
            std::mem::take(&mut dirt.dirty).then_some((*partition, dirt.partition_count))
        };
        owned.iter_mut().filter_map(take).collect()
    }

    /// Notes that a pass left dirty views of a partition, while it is owned.
    pub(super) fn left(&self, partition: PartitionId) {
        if let Some(dirt) = self.owned().get_mut(&partition) {
            dirt.dirty = true;
        }
    }
}
