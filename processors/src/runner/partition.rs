//! One partition that is ours: where it stands, what waits for it, and when it is next to be tried.

use std::{
    collections::VecDeque,
    hash::{BuildHasher, Hasher, RandomState},
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

use super::timers::PartitionTimers;
use crate::{ledger::PartitionClaim, log::LogRecord};

/// What has to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PartitionStage {
    /// The checkpoint may not be where we think: read it.
    CheckpointUnknown,
    /// The outbox may hold rows: publish them before anything new, so that each key keeps its order.
    OutboxPending,
    /// Records can be applied.
    Ready,
}

pub(super) struct Partition {
    pub(super) claim: PartitionClaim,
    /// Partitions of the topic.
    pub(super) partition_count: u32,
    /// Records not committed yet, by rising offset, from `claim.next_offset` on.
    pub(super) pending: VecDeque<LogRecord>,
    pub(super) stage: PartitionStage,
    /// Views of this partition may be marked dirty. True at first: an owner before us may have left some.
    pub(super) dirty: bool,
    /// Known while the stage is [`PartitionStage::Ready`].
    pub(super) timers: PartitionTimers,
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
            backoff: None,
            not_before: None,
        }
    }

    /// Takes records in, but for those that are committed or already wait here.
    pub(super) fn push(&mut self, records: Vec<LogRecord>) {
        for record in records {
            let expected =
                self.pending.back().map_or(self.claim.next_offset, |last| last.offset + 1);
            if record.offset >= expected {
                self.pending.push_back(record);
            }
        }
    }

    /// Everything below `offset` is committed.
    pub(super) fn move_to(&mut self, offset: i64) {
        self.claim.next_offset = offset;
        let committed = self.pending.partition_point(|record| record.offset < offset);
        self.pending.drain(..committed);
    }

    /// When to try again or go on; `None` while there is nothing to do.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.is_idle()).then(|| self.not_before.unwrap_or_else(Instant::now))
    }

    /// Whether all that has come is applied.
    pub(super) fn is_idle(&self) -> bool {
        self.stage == PartitionStage::Ready && self.pending.is_empty()
    }

    pub(super) fn is_stalled(&self) -> bool {
        self.backoff.is_some()
    }

    /// 50 ms at first, doubling to 5 s, with jitter so that many partitions do not return at once.
    pub(super) fn back_off(&mut self) {
        let backoff = self.backoff.get_or_insert_with(|| {
            ExponentialBuilder::new()
                .with_min_delay(FIRST_DELAY)
                .with_max_delay(LONGEST_DELAY)
                .without_max_times()
                .with_jitter()
                .with_jitter_seed(RandomState::new().build_hasher().finish())
                .build()
        });
        self.not_before = Some(Instant::now() + backoff.next().unwrap_or(LONGEST_DELAY));
    }

    /// Something was committed and delivered: the next failure starts with the shortest delay.
    pub(super) fn calm(&mut self) {
        self.backoff = None;
        self.not_before = None;
    }
}
