//! One partition that this process owns: its position, the records that wait, how many of them the
//! next batch takes, and when it is tried next.

mod outcome_age;
mod parked;
mod published;
mod timers;

use std::time::Duration;

use schemas::{codes::Code, ids::Aggregate};
use tokio::time::Instant;

use super::pending::{BatchLimit, PendingRecords, RetryDelay};
use crate::{
    ledger::PartitionClaim,
    log::{LogOffset, LogRecord},
};
pub(super) use outcome_age::LOOK_EVERY as OUTCOMES_LOOK_EVERY;
use outcome_age::OutcomeAge;
use parked::ParkedRecords;
use published::PublishedRows;
use timers::PartitionTimers;
pub(super) use timers::TICK_ID;

/// How long the outcomes of commands are looked up before each batch after a command came again:
/// where one came again, others follow.
const EXPECT_REPEATS: Duration = Duration::from_mins(1);

/// The next thing to do for a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartitionStage {
    /// The checkpoint may differ from the claim, and must be read.
    CheckpointUnknown,
    /// Aggregates have an older epoch than [`Partition::epoch_floor`].
    OldEpochs,
    /// The outbox may hold rows. They are published before anything new, so that each key keeps its
    /// order.
    OutboxPending,
    /// Records can be applied.
    Ready,
    /// Too many records were parked. Nothing more is done.
    Stopped,
    /// The log is not the one that was applied. Only the checkpoint is looked at.
    Held,
}

pub(super) struct Partition {
    pub(super) claim: PartitionClaim,
    /// The number of partitions of the topic.
    pub(super) partition_count: u32,
    /// Records that are not yet committed, in order of offset, from `claim.next_offset` on.
    pub(super) pending: PendingRecords,
    pub(super) stage: PartitionStage,
    /// The epoch that older aggregates begin before a record is applied.
    pub(super) epoch_floor: Option<u64>,
    /// The last aggregate that began it.
    pub(super) renewed: Option<Aggregate>,
    /// Most records in the next batch.
    limit: BatchLimit,
    /// The next record is parked with this code.
    pub(super) culprit: Option<Code>,
    /// The record that failed in a batch of its own.
    failed_alone: Option<LogOffset>,
    /// Known while the stage is [`PartitionStage::Ready`].
    pub(super) timers: PartitionTimers,
    pub(super) outcomes: OutcomeAge,
    pub(super) published: PublishedRows,
    pub(super) parked: ParkedRecords,
    /// Until when commands are expected that were decided before.
    repeats_until: Option<Instant>,
    delay: RetryDelay,
    not_before: Option<Instant>,
}

impl Partition {
    pub(super) fn new(claim: PartitionClaim, partition_count: u32, batch: usize) -> Self {
        Self {
            claim,
            partition_count,
            pending: PendingRecords::default(),
            stage: PartitionStage::OutboxPending,
            epoch_floor: None,
            renewed: None,
            limit: BatchLimit::new(batch),
            culprit: None,
            failed_alone: None,
            timers: PartitionTimers::default(),
            outcomes: OutcomeAge::default(),
            published: PublishedRows::default(),
            parked: ParkedRecords::default(),
            repeats_until: None,
            delay: RetryDelay::default(),
            not_before: None,
        }
    }

    /// Adds records. Returns those that are committed or already wait here.
    pub(super) fn push(&mut self, records: Vec<LogRecord>) -> Vec<LogRecord> {
        self.pending.push(self.claim.next_offset, records)
    }

    /// The records of the next batch.
    pub(super) fn next_batch(&self) -> Vec<&LogRecord> {
        let most = if self.culprit.is_some() { 1 } else { self.limit.next() };
        self.pending.iter().take(most).collect()
    }

    /// Removes and returns the records below `offset`, because they are committed.
    pub(super) fn move_to(&mut self, offset: LogOffset) -> Vec<LogRecord> {
        self.claim.next_offset = offset;
        self.pending.move_to(offset)
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

    /// Notes that a command came that was decided before.
    pub(super) fn expect_repeats(&mut self) {
        self.repeats_until = Some(Instant::now() + EXPECT_REPEATS);
    }

    /// Whether commands are expected that were decided before.
    pub(super) fn expects_repeats(&self) -> bool {
        self.repeats_until.is_some_and(|until| Instant::now() < until)
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

    /// What comes before records once the checkpoint is known.
    pub(super) fn first_stage(&self) -> PartitionStage {
        match self.epoch_floor {
            Some(_) => PartitionStage::OldEpochs,
            None => PartitionStage::OutboxPending,
        }
    }

    /// Sets the time of the next attempt.
    pub(super) fn look_again_after(&mut self, pause: Duration) {
        self.not_before = Some(Instant::now() + pause);
    }

    /// Delays the next attempt.
    pub(super) fn back_off(&mut self) {
        self.not_before = Some(Instant::now() + self.delay.next());
    }

    /// Resets the delay after a commit and a delivery: the next failure starts with the shortest
    /// delay.
    pub(super) fn reset_backoff(&mut self) {
        self.delay.reset();
        self.not_before = None;
    }
}
