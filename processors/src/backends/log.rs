//! The backend for the log: a runner reads `care` or `runs` and writes to any topic.

pub use schemas::log::{LogOffset, PartitionId};
use schemas::{
    Millis,
    record::{ViewsHead, WireRecord},
};
use tokio::sync::{mpsc, oneshot};

use crate::BoxFuture;

/// A record and its place in one partition.
#[derive(Clone)]
pub struct LogRecord {
    /// The offset within the partition.
    pub offset: LogOffset,
    /// When the log appended the record (LogAppendTime). It is the only clock of a location.
    pub at: Millis,
    /// The record.
    pub record: WireRecord,
}

/// The answer to an assignment.
#[derive(Debug, Default)]
pub struct ClaimedPartitions {
    /// Claimed partitions, and where each is read from.
    pub offsets: Vec<(PartitionId, LogOffset)>,
    /// Claimed partitions that are not to be read.
    pub held: Vec<PartitionId>,
}

impl FromIterator<(PartitionId, LogOffset)> for ClaimedPartitions {
    fn from_iter<T: IntoIterator<Item = (PartitionId, LogOffset)>>(offsets: T) -> Self {
        Self { offsets: offsets.into_iter().collect(), held: Vec::new() }
    }
}

/// A partition to look at before it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogPlace {
    /// The partition.
    pub partition: PartitionId,
    /// The offset of a record to read, if there is one.
    pub anchor: Option<LogOffset>,
}

/// What the log has of one partition.
#[derive(Clone, PartialEq, Eq)]
pub struct LogState {
    /// The offset of the first record, or of the next one in a log without records.
    pub start: LogOffset,
    /// The offset of the next record that is appended.
    pub end: LogOffset,
    /// The record at the anchor. `None` without an anchor, or when the log lacks its offset.
    pub record: Option<WireRecord>,
}

/// An event that a log reports to its reader. Events of one partition arrive in order.
pub enum LogEvent {
    /// This process now owns these partitions of a topic with `partition_count` partitions. The
    /// reader sends the offset to read each of them from. A partition that it neither names with an
    /// offset nor holds is assigned again later.
    Assigned {
        /// The partitions.
        partitions: Vec<PartitionId>,
        /// The number of partitions of the topic.
        partition_count: u32,
        /// Takes the offset of the next record for each claimed partition.
        claims: oneshot::Sender<ClaimedPartitions>,
    },
    /// This process no longer owns these partitions, and no record of them follows. The reader
    /// signals `done` after it has dropped their state.
    Revoked {
        /// The partitions.
        partitions: Vec<PartitionId>,
        /// Takes the signal that their state is dropped.
        done: oneshot::Sender<()>,
    },
    /// Records of one partition in order of offset, at least one. No record of a released partition
    /// follows until the partition is assigned again.
    Records {
        /// The partition.
        partition: PartitionId,
        /// The number of partitions of the topic.
        partition_count: u32,
        /// The records, in order of offset.
        records: Vec<LogRecord>,
    },
}

/// Appending failed, or its outcome is unknown. The caller appends again, and readers drop what
/// they have already seen.
#[derive(Debug, thiserror::Error)]
#[error("the log did not acknowledge")]
pub struct AppendError {
    /// The index of the first record that the log did not acknowledge, if it is known.
    pub record: Option<usize>,
    /// The cause.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl AppendError {
    /// A failure that is not known to concern one record.
    pub fn unknown(source: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self { record: None, source: Some(Box::new(source)) }
    }
}

/// The log does not answer, or does not let this program read.
#[derive(Debug, thiserror::Error)]
#[error("the topic of views cannot be read: processors need the right to read it")]
pub struct NotRead;

/// A log that keeps records by topic and partition. The murmur2 hash of the key selects the
/// partition.
pub trait Log: Send + Sync + 'static {
    /// Reads `care` or `runs` as a member of the consumer group. The channel closes when the log
    /// has closed permanently.
    fn read(&self) -> mpsc::Receiver<LogEvent>;

    /// Gives back a partition whose owner was fenced. The group assigns the partition again.
    fn release(&self, partition: PartitionId);

    /// Stops or resumes the records of one partition that this client owns. Some records may still
    /// arrive after a stop. An assignment resumes the partition.
    fn pause(&self, partition: PartitionId, paused: bool);

    /// Looks at partitions of the topic that is read. A partition whose state cannot be read is
    /// missing in the answer.
    fn look<'a>(&'a self, places: &'a [LogPlace]) -> BoxFuture<'a, Vec<(PartitionId, LogState)>>;

    /// Reads the last records of each partition of the topic of views: the newest position of each
    /// aggregate that they name.
    ///
    /// # Errors
    /// [`NotRead`] when a partition cannot be read.
    fn newest_views(&self) -> BoxFuture<'_, Result<Vec<ViewsHead>, NotRead>>;

    /// Appends records in order, and returns when all of them are acknowledged.
    fn append<'a>(
        &'a self,
        records: &'a [(&'static str, WireRecord)],
    ) -> BoxFuture<'a, Result<(), AppendError>>;
}
