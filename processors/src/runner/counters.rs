//! What a runner has done, for whoever exposes it.

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

/// Counts of all runners of a process since the start. Each is exact; together they are only as consistent as reading one after another.
#[derive(Default)]
pub struct RunnerCounters {
    pub applied: AtomicU64,
    pub refused: AtomicU64,
    pub repeated: AtomicU64,
    pub parked: AtomicU64,
    /// Transactions committed, and the time they took.
    pub batches: AtomicU64,
    pub commit_micros: AtomicU64,
    /// Views marked dirty, and repaired.
    pub dirtied: AtomicU64,
    pub repaired: AtomicU64,
    /// Ticks written, as the log acknowledged them.
    pub ticks: AtomicU64,
    /// Facts of sources by what they changed, of those applied.
    facts: Mutex<HashMap<AppointmentChange, u64>>,
    /// The next offset of each topic's partition that was committed to.
    offsets: Mutex<BTreeMap<(&'static str, u32), i64>>,
}

impl RunnerCounters {
    /// The next offset of each topic's partition that was committed to.
    pub fn offsets(&self) -> BTreeMap<(&'static str, u32), i64> {
        self.offsets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Facts of sources that changed this, or were ignored for this reason.
    pub fn facts(&self, change: AppointmentChange) -> u64 {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).get(&change).copied().unwrap_or(0)
    }

    pub(super) fn committed(
        &self,
        topic: &'static str,
        partition: u32,
        to: i64,
        tally: &BatchTally,
        took: Duration,
    ) {
        self.applied.fetch_add(tally.applied, Relaxed);
        self.refused.fetch_add(tally.refused, Relaxed);
        self.repeated.fetch_add(tally.repeated, Relaxed);
        self.parked.fetch_add(tally.parked, Relaxed);
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
