//! One partition that this process owns: its position, the records that wait, and when it is tried
//! next.

use std::{collections::VecDeque, time::Duration};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

use super::{outcome_age::OutcomeAge, timers::PartitionTimers};
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
}

pub(super) struct Partition {
    pub(super) claim: PartitionClaim,
    /// The number of partitions of the topic.
    pub(super) partition_count: u32,
    /// Records that are not yet committed, in order of offset, from `claim.next_offset` on.
    pub(super) pending: VecDeque<LogRecord>,
    pub(super) stage: PartitionStage,
    /// Views of this partition may be marked dirty. True at first, because an earlier owner may
    /// have left some.
    pub(super) dirty: bool,
    /// Known while the stage is [`PartitionStage::Ready`].
    pub(super) timers: PartitionTimers,
    pub(super) outcomes: OutcomeAge,
    backoff: Option<ExponentialBackoff>,
    not_before: Option<Instant>,
}

const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(5);

impl Partition {
    pub(super) fn new(claim: PartitionClaim, partition_count: u32) -> Self {
        Self {
            claim,
            partition_count,
            pending: VecDeque::new(),
            stage: PartitionStage::OutboxPending,
            dirty: true,
            timers: PartitionTimers::default(),
            outcomes: OutcomeAge::default(),
            backoff: None,
            not_before: None,
        }
    }

    /// Adds records, except those that are committed or already wait here.
    pub(super) fn push(&mut self, records: Vec<LogRecord>) {
        for record in records {
            let expected =
                self.pending.back().map_or(self.claim.next_offset, |last| last.offset.next());
            if record.offset >= expected {
                self.pending.push_back(record);
            }
        }
    }

    /// Removes the records below `offset`, because they are committed.
    pub(super) fn move_to(&mut self, offset: LogOffset) {
        self.claim.next_offset = offset;
        let committed = self.pending.partition_point(|record| record.offset < offset);
        self.pending.drain(..committed);
    }

    /// When to try again or continue. `None` while there is nothing to do.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.is_idle()).then(|| self.not_before.unwrap_or_else(Instant::now))
    }

    /// Whether every record that arrived has been applied.
    pub(super) fn is_idle(&self) -> bool {
        self.stage == PartitionStage::Ready && self.pending.is_empty()
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.backoff.is_some()
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
