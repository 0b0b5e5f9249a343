//! The state that the tasks of a runner share.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use schemas::ids::Aggregate;
use tokio::sync::Semaphore;

use super::{
    RunnerBackends, RunnerSettings, breaker::Breaker, cache::Cache, dirty::DirtyPartitions,
    heads::CommittedHeads,
};
use crate::{aggregate::AggregateState, log::PartitionId};

/// The backends, settings and state that all partitions of a runner share.
pub(super) struct RunnerContext {
    pub(super) backends: RunnerBackends,
    pub(super) settings: RunnerSettings,
    pub(super) breaker: Breaker,
    pub(super) dirty: DirtyPartitions,
    pub(super) heads: CommittedHeads,
    /// Permits to restore an aggregate: half of the ledger's usual connections, so that the slow
    /// restores of one partition leave some to the others.
    pub(super) restores: Semaphore,
    cache: Mutex<Cache>,
    /// The excess of parked records, by partition. A rebalance does not begin the count anew.
    parked_excess: Mutex<BTreeMap<PartitionId, u64>>,
}

const RESTORES: usize = 4;

impl RunnerContext {
    pub(super) fn new(backends: RunnerBackends, settings: RunnerSettings) -> Self {
        let cache = Mutex::new(Cache::new(settings.cached_tickets));
        let (breaker, dirty) = (Breaker::default(), DirtyPartitions::default());
        let heads = CommittedHeads::default();
        let (restores, parked_excess) = (Semaphore::new(RESTORES), Mutex::default());
        Self { backends, settings, breaker, dirty, heads, restores, cache, parked_excess }
    }

    /// The excess of parked records of a partition.
    pub(super) fn parked_excess(&self, partition: PartitionId) -> u64 {
        let counts = self.parked_excess.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(&partition).copied().unwrap_or(0)
    }

    pub(super) fn keep_parked_excess(&self, partition: PartitionId, excess: u64) {
        let mut counts = self.parked_excess.lock().unwrap_or_else(PoisonError::into_inner);
        if excess == 0 {
            counts.remove(&partition);
        } else {
            counts.insert(partition, excess);
        }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an aggregate out of the cache.
    pub(super) fn take_cached(&self, aggregate: &Aggregate) -> Option<AggregateState> {
        self.cache().take(aggregate)
    }

    /// Keeps an aggregate as of the last commit.
    pub(super) fn cache_aggregate(
        &self,
        partition: PartitionId,
        aggregate: Aggregate,
        state: AggregateState,
    ) {
        self.cache().put(partition, aggregate, state);
    }

    /// Drops the cached aggregates of a partition: they may differ from the ledger.
    pub(super) fn drop_cached(&self, partition: PartitionId) {
        self.cache().drop_partition(partition);
    }

    /// Forgets everything about a partition that is no longer owned.
    pub(super) fn forget(&self, partition: PartitionId) {
        self.drop_cached(partition);
        self.dirty.forget(partition);
        self.heads.forget(partition);
        self.settings.counters.forget(self.settings.topic, partition);
    }
}
