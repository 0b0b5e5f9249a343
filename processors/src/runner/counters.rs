//! The counters of a runner, for metrics.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use schemas::appointment::AppointmentChange;

use super::batch::BatchTally;
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
    /// Views marked dirty.
    pub dirtied: AtomicU64,
    /// Views repaired.
    pub repaired: AtomicU64,
    /// Ticks that the log acknowledged.
    pub ticks: AtomicU64,
    /// Accepted and ignored facts, by what they changed.
    facts: Mutex<HashMap<AppointmentChange, u64>>,
    /// The next offset of each partition of each topic, as of its last commit.
    offsets: Mutex<BTreeMap<(&'static str, PartitionId), LogOffset>>,
}

impl RunnerCounters {
    /// The next offset of each partition of each topic, as of its last commit.
    pub fn offsets(&self) -> BTreeMap<(&'static str, PartitionId), LogOffset> {
        self.offsets.lock().unwrap_or_else(PoisonError::into_inner).clone()
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
        self.offsets.lock().unwrap_or_else(PoisonError::into_inner).insert((topic, partition), to);
    }
}
