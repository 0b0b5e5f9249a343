//! One partition that this process owns: its position, the records that wait, how many of them the
//! next batch takes, and when it is tried next.

use std::{collections::VecDeque, time::Duration};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use schemas::codes::Code;
use tokio::time::Instant;

use super::{outcome_age::OutcomeAge, parked::ParkedRecords, timers::PartitionTimers};
use crate::{
    ledger::PartitionClaim,
    log::{LogOffset, LogRecord},
};

/// The next thing to do for a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartitionStage {
    /// The checkpoint may differ from the claim, and must be read.
    CheckpointUnknown,
    /// The outbox may hold rows. They are published before anything new, so that each key keeps its
    /// order.
    OutboxPending,
    /// Records can be applied.
    Ready,
    /// Too many records in a row were parked. Nothing more is done.
    Stopped,
}

pub(super) struct Partition {
    pub(super) claim: PartitionClaim,
    /// The number of partitions of the topic.
    pub(super) partition_count: u32,
    /// Records that are not yet committed, in order of offset, from `claim.next_offset` on.
    pub(super) pending: VecDeque<LogRecord>,
    pub(super) stage: PartitionStage,
    /// Most records in the next batch.
    limit: BatchLimit,
    /// The next record is parked with this code.
    pub(super) culprit: Option<Code>,
    /// The record that failed in a batch of its own.
    failed_alone: Option<LogOffset>,
    /// Known while the stage is [`PartitionStage::Ready`].
    pub(super) timers: PartitionTimers,
    pub(super) outcomes: OutcomeAge,
    pub(super) parked: ParkedRecords,
    backoff: Option<ExponentialBackoff>,
    not_before: Option<Instant>,
}

const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(5);

impl Partition {
    pub(super) fn new(claim: PartitionClaim, partition_count: u32, batch: usize) -> Self {
        Self {
            claim,
            partition_count,
            pending: VecDeque::new(),
            stage: PartitionStage::OutboxPending,
            limit: BatchLimit::new(batch),
            culprit: None,
            failed_alone: None,
            timers: PartitionTimers::default(),
            outcomes: OutcomeAge::default(),
            parked: ParkedRecords::default(),
            backoff: None,
            not_before: None,
        }
    }

    /// Adds records. Returns those that are committed or already wait here.
    pub(super) fn push(&mut self, records: Vec<LogRecord>) -> Vec<LogRecord> {
        let mut known = Vec::new();
        for record in records {
            let expected =
                self.pending.back().map_or(self.claim.next_offset, |last| last.offset.next());
            if record.offset >= expected {
                self.pending.push_back(record);
            } else {
                known.push(record);
            }
        }
        known
    }

    /// The records of the next batch.
    pub(super) fn next_batch(&self) -> Vec<&LogRecord> {
        let most = if self.culprit.is_some() { 1 } else { self.limit.next };
        self.pending.iter().take(most).collect()
    }

    /// Removes and returns the records below `offset`, because they are committed.
    pub(super) fn move_to(&mut self, offset: LogOffset) -> Vec<LogRecord> {
        self.claim.next_offset = offset;
        let committed = self.pending.partition_point(|record| record.offset < offset);
        self.pending.drain(..committed).collect()
    }

    /// Notes that a batch of this many records failed because of one of them. Smaller batches
    /// follow until the record is alone. When it then fails twice, it is parked with `code`.
    pub(super) fn isolate(&mut self, records: usize, code: Code) {
        self.limit.shrink(records);
        let first = self.pending.front().map(|record| record.offset);
        if records == 1 && self.failed_alone == first {
            self.culprit = Some(code);
        } else if records == 1 {
            self.failed_alone = first;
        }
    }

    /// Notes that a batch failed for another reason. The next one is smaller, since a large
    /// transaction may be what the ledger cannot do in time.
    pub(super) fn shrink_batch(&mut self) {
        let records = self.next_batch().len();
        self.limit.shrink(records);
    }

    /// Notes a committed batch.
    pub(super) fn committed(&mut self) {
        (self.culprit, self.failed_alone) = (None, None);
        self.limit.grow();
    }

    /// When to try again or continue. `None` while there is nothing to do.
    pub(super) fn due(&self) -> Option<Instant> {
        let waits = self.is_idle() || self.stage == PartitionStage::Stopped;
        (!waits).then(|| self.not_before.unwrap_or_else(Instant::now))
    }

    /// Whether every record that arrived has been applied.
    pub(super) fn is_idle(&self) -> bool {
        self.stage == PartitionStage::Ready && self.pending.is_empty()
    }

    /// Delays the next attempt: 50 ms at first, doubling to 5 s, with jitter so that many
    /// partitions do not return at once.
    pub(super) fn back_off(&mut self) {
        let backoff = self.backoff.get_or_insert_with(|| {
            ExponentialBuilder::new()
                .with_min_delay(FIRST_DELAY)
                .with_max_delay(LONGEST_DELAY)
                .without_max_times()
                .with_jitter()
                .with_jitter_seed(fastrand::u64(..))
                .build()
        });
        self.not_before = Some(Instant::now() + backoff.next().unwrap_or(LONGEST_DELAY));
    }

    /// Resets the delay after a commit and a delivery: the next failure starts with the shortest
    /// delay.
    pub(super) fn reset_backoff(&mut self) {
        self.backoff = None;
        self.not_before = None;
    }
}

/// How many records a batch may have: halved by each failure, doubled by each commit.
struct BatchLimit {
    next: usize,
    most: usize,
}

impl BatchLimit {
    fn new(most: usize) -> Self {
        Self { next: most.max(1), most: most.max(1) }
    }

    fn shrink(&mut self, tried: usize) {
        self.next = (tried / 2).clamp(1, self.most);
    }

    fn grow(&mut self) {
        self.next = (self.next * 2).min(self.most);
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
