//! The counters of the sink, for metrics and readiness.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
};

use schemas::Millis;
use tokio::time::Instant;

use crate::log::{LogOffset, PartitionId};

/// Counts of a sink since its start.
#[derive(Default)]
pub struct SinkCounters {
    /// Entries stored.
    pub written: AtomicU64,
    /// Records set aside because they cannot be read or stored.
    pub parked: AtomicU64,
    /// Transactions committed.
    pub batches: AtomicU64,
    /// Chains whose last row was not the one that the head names.
    pub broken: AtomicU64,
    /// Days dropped because their retention was over.
    pub dropped_days: AtomicU64,
    partitions: Mutex<BTreeMap<PartitionId, SinkStatus>>,
}

/// The state of a partition that the sink owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinkStatus {
    /// The offset after the last stored record.
    pub next_offset: LogOffset,
    /// The append time of the oldest record that has arrived and is not stored.
    pub oldest_waiting: Option<Millis>,
    /// Since when the store refuses or does not answer.
    pub failing_since: Option<Instant>,
}

impl SinkCounters {
    /// The state of every partition that this process owns.
    pub fn partitions(&self) -> BTreeMap<PartitionId, SinkStatus> {
        self.lock().clone()
    }

    pub(super) fn set(&self, partition: PartitionId, status: SinkStatus) {
        self.lock().insert(partition, status);
    }

    pub(super) fn forget(&self, partition: PartitionId) {
        self.lock().remove(&partition);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<PartitionId, SinkStatus>> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
