//! Copies dirty views from the ledger to the view store, beside the tasks of the partitions: right
//! after a batch marked them, and once a second while the store does not answer.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use super::{answered, shared::Shared};
use crate::{ledger::LedgerError, log::PartitionId, views::ViewStoreError};

/// Views repaired in one pass over one partition.
pub(super) const REPAIRS: u32 = 50;
/// Pause between two passes over a partition: at most 500 views a second, so that filling an
/// emptied store takes a small part of the ledger's time.
const PASS_PAUSE: Duration = Duration::from_millis(100);
/// Pause after a failure of either store.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// The owned partitions, and which of them may have dirty views.
#[derive(Default)]
pub(super) struct DirtyPartitions {
    owned: Mutex<BTreeMap<PartitionId, Dirt>>,
    marked: Notify,
}

struct Dirt {
    partition_count: u32,
    dirty: bool,
}

impl DirtyPartitions {
    fn owned(&self) -> MutexGuard<'_, BTreeMap<PartitionId, Dirt>> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that views of an owned partition may be dirty.
    pub(super) fn mark(&self, partition: PartitionId, partition_count: u32) {
        self.owned().insert(partition, Dirt { partition_count, dirty: true });
        self.marked.notify_one();
    }

    pub(super) fn forget(&self, partition: PartitionId) {
        self.owned().remove(&partition);
    }

    /// The partitions that may have dirty views. They count as clean until they are marked again.
    fn take(&self) -> Vec<(PartitionId, u32)> {
        let mut owned = self.owned();
        let take = |(partition, dirt): (&PartitionId, &mut Dirt)| {
            std::mem::take(&mut dirt.dirty).then_some((*partition, dirt.partition_count))
        };
        owned.iter_mut().filter_map(take).collect()
    }

    /// Notes that a pass left dirty views, unless the partition was given back meanwhile.
    fn left(&self, partition: PartitionId) {
        if let Some(dirt) = self.owned().get_mut(&partition) {
            dirt.dirty = true;
        }
    }
}

/// Repairs for ever.
pub(super) async fn run(shared: Arc<Shared>) -> Infallible {
    loop {
        let mut pause = None;
        for (partition, partition_count) in shared.dirty.take() {
            match repair(&shared, partition, partition_count).await {
                Ok(true) => {}
                Ok(false) => {
                    shared.dirty.left(partition);
                    pause = pause.max(Some(PASS_PAUSE));
                }
                Err(error) => {
                    shared.dirty.left(partition);
                    pause = Some(RETRY_PAUSE);
                    // The breaker logs failures of the view store.
                    if let RepairError::Ledger(error) = error {
                        tracing::warn!(
                            partition = partition.0,
                            error = &error as &dyn Error,
                            "repairing views failed"
                        );
                    }
                }
            }
        }
        match pause {
            Some(pause) if shared.breaker.is_open() => sleep(pause).await,
            // A partition that becomes dirty need not wait for the others.
            Some(pause) => drop(timeout(pause, shared.dirty.marked.notified()).await),
            None => shared.dirty.marked.notified().await,
        }
    }
}

#[derive(Debug, thiserror::Error)]
enum RepairError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    ViewStore(#[from] ViewStoreError),
}

/// Repairs views of one partition. Returns whether none is left.
async fn repair(
    shared: &Shared,
    partition: PartitionId,
    partition_count: u32,
) -> Result<bool, RepairError> {
    let (ledger, counters) = (&shared.backends.ledger, &shared.settings.counters);
    let names = answered(ledger.dirty(partition, partition_count, REPAIRS)).await?;
    let mut left = names.len();
    let report = |left| {
        counters.report(shared.settings.topic, partition, |status| status.dirty_views = left);
    };
    report(left);
    for name in &names {
        let version = match answered(ledger.view(name)).await? {
            Some((view, keep_s)) => {
                let replaced = shared.backends.views.replace(&name.0, &name.1, &view, keep_s);
                shared.breaker.judge(replaced).await?;
                view.position.version
            }
            None => 0, // no longer kept, and not in the store either
        };
        answered(ledger.mark_repaired(name, version)).await?;
        counters.repaired.fetch_add(1, Relaxed);
        left -= 1;
        report(left);
    }
    Ok(names.len() < REPAIRS as usize)
}
