//! The state of each owned partition, for metrics and readiness.

use std::fmt;

use schemas::Millis;
use tokio::time::Instant;

use crate::{anchor::LogFault, log::LogOffset};

/// The state of a partition as of its last step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionStatus {
    /// The offset after the last committed record.
    pub next_offset: LogOffset,
    /// The append time of the oldest record that has arrived and is not committed.
    pub oldest_waiting: Option<Millis>,
    /// Since when the outbox holds a row that is not published, as far as this owner knows.
    pub unpublished_since: Option<Instant>,
    /// Why the partition does not advance, and since when.
    pub failing: Option<Failure>,
    /// Dirty views that the last pass of repairs found and has not repaired. A pass finds at most
    /// 50.
    pub dirty_views: usize,
}

impl PartitionStatus {
    pub(super) fn new(next_offset: LogOffset) -> Self {
        Self {
            next_offset,
            oldest_waiting: None,
            unpublished_since: None,
            failing: None,
            dirty_views: 0,
        }
    }
}

/// A failure that continues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failure {
    /// The time of the first attempt that failed.
    pub since: Instant,
    /// The step that fails.
    pub kind: FailureKind,
}

/// The step that a partition cannot take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FailureKind {
    /// The ledger refuses or does not answer.
    Ledger,
    /// The log does not acknowledge the rows of the outbox.
    Publish,
    /// The ledger does not let this process claim a partition.
    Claim,
    /// A fault of the program. The log names its place.
    Fault,
    /// Too many records could not be read. The partition does not advance until an
    /// operator restarts the process.
    Parked,
    /// The log is not the one that was applied. The partition does not advance until an operator
    /// brings the log back or accepts this one.
    Log(LogFault),
}

impl FailureKind {
    /// Whether another attempt may succeed.
    pub fn may_pass(self) -> bool {
        !matches!(self, FailureKind::Parked | FailureKind::Log(_))
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FailureKind::Ledger => f.write_str("the ledger does not commit"),
            FailureKind::Publish => f.write_str("the outbox cannot be published"),
            FailureKind::Claim => f.write_str("partitions cannot be claimed"),
            FailureKind::Fault => f.write_str("the program fails"),
            FailureKind::Parked => f.write_str("stopped: too many records cannot be read"),
            FailureKind::Log(fault) => write!(f, "stopped: {fault}"),
        }
    }
}
