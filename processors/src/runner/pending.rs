//! The waiting records of a partition, how many of them a batch takes, and the pause after a
//! failure.

use std::{collections::VecDeque, ops::Deref, time::Duration};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

use crate::log::{LogOffset, LogRecord};

/// The records of a partition that are not yet committed, in order of offset.
#[derive(Default)]
pub(crate) struct PendingRecords(VecDeque<LogRecord>);

impl PendingRecords {
    /// Adds records from `next` on. Returns those that are committed or already wait here.
    pub(crate) fn push(&mut self, next: LogOffset, records: Vec<LogRecord>) -> Vec<LogRecord> {
        let mut known = Vec::new();
        for record in records {
            let expected = self.0.back().map_or(next, |last| last.offset.next());
            if record.offset >= expected {
                self.0.push_back(record);
            } else {
                known.push(record);
            }
        }
        known
    }

    /// Removes and returns the records below `offset`, because they are committed.
    pub(crate) fn move_to(&mut self, offset: LogOffset) -> Vec<LogRecord> {
        let committed = self.0.partition_point(|record| record.offset < offset);
        self.0.drain(..committed).collect()
    }
}

impl Deref for PendingRecords {
    type Target = VecDeque<LogRecord>;

    fn deref(&self) -> &VecDeque<LogRecord> {
        &self.0
    }
}

/// How many records a batch may have: halved by each failure, doubled by each commit.
pub(crate) struct BatchLimit {
    next: usize,
    most: usize,
}

impl BatchLimit {
    pub(crate) fn new(most: usize) -> Self {
        Self { next: most.max(1), most: most.max(1) }
    }

    /// The records of the next batch.
    pub(crate) fn next(&self) -> usize {
        self.next
    }

    pub(crate) fn shrink(&mut self, tried: usize) {
        self.next = (tried / 2).clamp(1, self.most);
    }

    pub(crate) fn grow(&mut self) {
        self.next = (self.next * 2).min(self.most);
    }
}

/// First and longest pause after a failure.
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// The pause after a failure: 50 ms at first, doubling to 5 s, with jitter so that many partitions
/// do not return at once.
#[derive(Default)]
pub(crate) struct RetryDelay(Option<ExponentialBackoff>);

impl RetryDelay {
    /// The pause before the next attempt.
    pub(crate) fn next(&mut self) -> Duration {
        let backoff = self.0.get_or_insert_with(|| {
            ExponentialBuilder::new()
                .with_min_delay(FIRST_DELAY)
                .with_max_delay(LONGEST_DELAY)
                .without_max_times()
                .with_jitter()
                .with_jitter_seed(fastrand::u64(..))
                .build()
        });
        backoff.next().unwrap_or(LONGEST_DELAY)
    }

    /// Starts again with the shortest pause, after a success.
    pub(crate) fn reset(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_halve_a_batch_and_commits_double_it() {
        let mut limit = BatchLimit::new(7);
        limit.shrink(7);
        assert_eq!(limit.next, 3);
        limit.shrink(1);
        assert_eq!(limit.next, 1, "one record is always tried");
        for expected in [2, 4, 7, 7] {
            limit.grow();
            assert_eq!(limit.next, expected);
        }
    }
}
