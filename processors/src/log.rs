//! The backend to the log: what a runner reads of `care` and writes to any topic.

use schemas::{Millis, record::WireRecord};
use tokio::sync::{mpsc, oneshot};

use crate::BoxFuture;

/// A record at its place in one partition.
#[derive(Clone)]
pub struct LogRecord {
    pub offset: i64,
    /// When the log appended it (LogAppendTime): the only clock of a location.
    pub at: Millis,
    pub record: WireRecord,
}

/// What a log tells its reader, in order per partition.
pub enum LogEvent {
    /// Partitions are ours from now on, of the `of` the topic has. The answer is the offset to read each from;
    /// one without an answer is not read, and the log assigns it again later.
    Assigned {
        partitions: Vec<u32>,
        partition_count: u32,
        claims: oneshot::Sender<Vec<(u32, i64)>>,
    },
    /// Partitions are no longer ours; nothing more of them follows. `done` once their state is dropped.
    Revoked { partitions: Vec<u32>, done: oneshot::Sender<()> },
    /// Records of one partition by rising offset, at least one. Nothing of a released partition follows until it is
    /// assigned again.
    Records { partition: u32, partition_count: u32, records: Vec<LogRecord> },
}

/// Appending failed or its outcome is unknown: append again, readers drop what they have seen.
#[derive(Debug, thiserror::Error)]
#[error("the log did not acknowledge")]
pub struct AppendError(#[source] pub Option<Box<dyn std::error::Error + Send + Sync>>);

/// A log that keeps records by topic and partition, the partition chosen by the key's murmur2 hash.
pub trait Log: Send + Sync + 'static {
    /// Reads `care` as a member of the consumers' group. The channel closes when the log is gone for good.
    fn read(&self) -> mpsc::Receiver<LogEvent>;

    /// Gives back a partition whose owner found itself fenced: the group assigns it again.
    fn release(&self, partition: u32);

    /// Appends records in order; returns once all are acknowledged.
    fn append<'a>(
        &'a self,
        records: &'a [(&'static str, WireRecord)],
    ) -> BoxFuture<'a, Result<(), AppendError>>;
}
