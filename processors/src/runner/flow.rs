//! How many records wait for a partition. Past a limit the log stops reading that partition, and
//! only that one.

use std::sync::{Mutex, PoisonError};

use crate::log::{Log, LogRecord, PartitionId};

/// Batches of records that wait before the log is paused, so that catching up after an outage needs
/// few pauses.
const HIGH_BATCHES: usize = 10;
/// Bytes that wait before the log is paused. What the log has already read comes on top, for each
/// of the partitions of a process.
const HIGH_BYTES: usize = 8 << 20;
/// The log resumes when this part of both limits waits: two batches, which last while the log
/// fetches.
const LOW_DIVISOR: usize = 5;

/// The records that a partition was given and has not committed.
pub(crate) struct Flow {
    partition: PartitionId,
    high_records: usize,
    waiting: Mutex<WaitingRecords>,
}

#[derive(Default)]
struct WaitingRecords {
    records: usize,
    bytes: usize,
    paused: bool,
}

impl WaitingRecords {
    fn count<'a>(records: impl IntoIterator<Item = &'a LogRecord>) -> (usize, usize) {
        let count =
            |(records, bytes), record: &LogRecord| (records + 1, bytes + record.record.value.len());
        records.into_iter().fold((0, 0), count)
    }
}

impl Flow {
    pub(crate) fn new(partition: PartitionId, batch: usize) -> Self {
        Self { partition, high_records: batch * HIGH_BATCHES, waiting: Mutex::default() }
    }

    /// Counts records before the partition is given them.
    pub(crate) fn arrive(&self, log: &dyn Log, records: &[LogRecord]) {
        let (count, bytes) = WaitingRecords::count(records);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.records += count;
        waiting.bytes += bytes;
        let full = waiting.records > self.high_records || waiting.bytes > HIGH_BYTES;
        if full && !waiting.paused {
            waiting.paused = true;
            log.pause(self.partition, true);
        }
    }

    /// Counts records that the partition has committed, or dropped because it had them.
    pub(crate) fn leave<'a>(
        &self,
        log: &dyn Log,
        records: impl IntoIterator<Item = &'a LogRecord>,
    ) {
        let (count, bytes) = WaitingRecords::count(records);
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.records -= count;
        waiting.bytes -= bytes;
        let low = waiting.records <= self.high_records / LOW_DIVISOR
            && waiting.bytes <= HIGH_BYTES / LOW_DIVISOR;
        if low && waiting.paused {
            waiting.paused = false;
            log.pause(self.partition, false);
        }
    }
}
