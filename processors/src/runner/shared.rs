//! What the tasks of a runner share.

use std::sync::{Mutex, MutexGuard, PoisonError};

use schemas::ids::Aggregate;

use super::{
    RunnerBackends, RunnerSettings, breaker::Breaker, cache::Cache, repair::DirtyPartitions,
};
use crate::{aggregate::AggregateState, log::PartitionId};

pub(super) struct Shared {
    pub(super) backends: RunnerBackends,
    pub(super) settings: RunnerSettings,
    pub(super) breaker: Breaker,
    pub(super) dirty: DirtyPartitions,
    cache: Mutex<Cache>,
}

impl Shared {
    pub(super) fn new(backends: RunnerBackends, settings: RunnerSettings) -> Self {
        let cache = Mutex::new(Cache::new(settings.cached_tickets));
        let (breaker, dirty) = (Breaker::default(), DirtyPartitions::default());
        Self { backends, settings, breaker, dirty, cache }
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
        self.settings.counters.forget(self.settings.topic, partition);
    }
}
