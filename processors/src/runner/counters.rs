//! The counters of a runner, for metrics.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use schemas::{Millis, appointment::AppointmentChange};

use super::{
    batch::BatchTally,
    status::{Failure, PartitionStatus},
};
use crate::log::{LogOffset, PartitionId};

/// Counts of all runners of a process since the start. Each count is exact, but different counts
/// are read one after another.
#[derive(Default)]
pub struct RunnerCounters {
    /// Commands applied.
    pub applied: AtomicU64,
    /// Commands refused.
    pub refused: AtomicU64,
    /// Commands that were decided before.
    pub repeated: AtomicU64,
    /// Records set aside.
    pub parked: AtomicU64,
    /// Steps of views that were too large to publish with their entries.
    pub omitted: AtomicU64,
    /// Transactions committed.
    pub batches: AtomicU64,
    /// Microseconds that the commits took.
    pub commit_micros: AtomicU64,
    /// Aggregates of batches that were cached.
    pub cached: AtomicU64,
    /// Aggregates of batches that were read from the ledger, or are new.
    pub restored: AtomicU64,
    /// Views marked dirty.
    pub dirtied: AtomicU64,
    /// Views repaired.
    pub repaired: AtomicU64,
    /// Slices of aggregates that began a new epoch, because the ledger was older than what was
    /// published.
    pub renewals: AtomicU64,
    /// Ticks that the log acknowledged.
    pub ticks: AtomicU64,
    /// Accepted and ignored facts, by what they changed.
    facts: Mutex<HashMap<AppointmentChange, u64>>,
    /// When a record was last acknowledged, in milliseconds since the Unix epoch; 0 before.
    pub last_publication: AtomicI64,
    /// The owned partitions of each topic.
    partitions: Mutex<Partitions>,
    /// Topics of which partitions were given back, or could not be claimed, and why.
    unclaimed: Mutex<BTreeMap<&'static str, Failure>>,
}

type Partitions = BTreeMap<(&'static str, PartitionId), PartitionStatus>;

impl RunnerCounters {
    /// The state of every owned partition.
    pub fn partitions(&self) -> Partitions {
        self.owned().clone()
    }

    /// The state of one partition, while it is owned.
    pub fn partition(&self, topic: &'static str, id: PartitionId) -> Option<PartitionStatus> {
        self.owned().get(&(topic, id)).cloned()
    }

    fn owned(&self) -> MutexGuard<'_, Partitions> {
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Topics of which partitions were given back, or could not be claimed, and why.
    pub fn unclaimed(&self) -> BTreeMap<&'static str, Failure> {
        self.unclaimed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Adds a partition that is owned from now on. While partitions of its topic were given back,
    /// it counts as failing until it works.
    pub(super) fn start(&self, topic: &'static str, id: PartitionId, next_offset: LogOffset) {
        let failing = self.unclaimed().get(topic).copied();
        let status = PartitionStatus { failing, ..PartitionStatus::new(next_offset) };
        self.owned().insert((topic, id), status);
    }

    /// Notes that partitions of a topic were given back or cannot be claimed.
    pub(super) fn lacks(&self, topic: &'static str, failure: Failure) {
        let mut unclaimed = self.unclaimed.lock().unwrap_or_else(PoisonError::into_inner);
        unclaimed.entry(topic).or_insert(failure);
    }

    /// Notes that every partition that was assigned is claimed.
    pub(super) fn has_claimed(&self, topic: &'static str) {
        self.unclaimed.lock().unwrap_or_else(PoisonError::into_inner).remove(topic);
    }

    /// Changes the state of a partition, while it is owned.
    pub(super) fn report(
        &self,
        topic: &'static str,
        id: PartitionId,
        change: impl FnOnce(&mut PartitionStatus),
    ) {
        if let Some(status) = self.owned().get_mut(&(topic, id)) {
            change(status);
        }
    }

    /// Forgets a partition that is no longer owned.
    pub(super) fn forget(&self, topic: &'static str, id: PartitionId) {
        self.owned().remove(&(topic, id));
    }

    /// Notes that records were acknowledged at this time.
    pub(super) fn published(&self, at: Millis) {
        self.last_publication.store(at, Relaxed);
    }

    /// The number of facts with this result.
    pub fn facts(&self, change: AppointmentChange) -> u64 {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).get(&change).copied().unwrap_or(0)
    }

    pub(super) fn committed(
        &self,
        topic: &'static str,
        partition: PartitionId,
        to: LogOffset,
        tally: &BatchTally,
        took: Duration,
    ) {
        self.applied.fetch_add(tally.applied, Relaxed);
        self.refused.fetch_add(tally.refused, Relaxed);
        self.repeated.fetch_add(tally.repeated, Relaxed);
        self.parked.fetch_add(tally.parked, Relaxed);
        if tally.omitted > 0 {
            self.omitted.fetch_add(tally.omitted, Relaxed);
            tracing::warn!(
                topic,
                partition = partition.0,
                next_offset = to.0,
                steps = tally.omitted,
                "steps of views are too large for one record; readers load these views again"
            );
        }
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        for (change, count) in &tally.facts {
            *facts.entry(*change).or_default() += count;
        }
        drop(facts);
        self.batches.fetch_add(1, Relaxed);
        self.commit_micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
        self.report(topic, partition, |status| status.next_offset = to);
    }
}
