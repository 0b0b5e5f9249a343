//! The log: commands are appended, views are followed.

use std::time::Duration;

pub use schemas::log::FeedItem;
use schemas::record::WireRecord;
#[cfg(doc)]
use schemas::record::{ACCESS_TOPIC, AUDIT_TOPIC, CARE_TOPIC, RUNS_TOPIC};
use tokio::sync::mpsc;

use crate::{BoxFuture, Source};

/// The state of one client of a log that is a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientReport {
    /// The label of the client in metrics.
    pub client: &'static str,
    /// How often it was replaced because it made no progress.
    pub replaced: u64,
    /// How long it has owed progress without making any.
    pub silence: Duration,
}

/// The record may or may not have been appended.
#[derive(Debug, thiserror::Error)]
#[error("the log did not acknowledge the record")]
pub struct NotAppended(#[source] pub Source);

/// The log, as a gateway writes and follows it.
pub trait Log: Send + Sync + 'static {
    /// Appends one record to `topic`, which is [`CARE_TOPIC`], [`RUNS_TOPIC`], [`AUDIT_TOPIC`] or
    /// [`ACCESS_TOPIC`]. Returns once the record is acknowledged.
    ///
    /// # Errors
    /// [`NotAppended`] when the acknowledgement did not come.
    fn append(
        &self,
        topic: &'static str,
        record: WireRecord,
    ) -> BoxFuture<'_, Result<(), NotAppended>>;

    /// Follows all partitions of `clinicwire.views.v1` from a minute back, without a group.
    fn follow(&self) -> mpsc::Receiver<FeedItem>;

    /// Follows all partitions of `clinicwire.access.v1` from their beginning, without a group. Of
    /// each key at least the last record is yielded.
    fn follow_access(&self) -> mpsc::Receiver<FeedItem>;

    /// The state of each client, for metrics. A log in memory has none.
    fn clients(&self) -> Vec<ClientReport> {
        Vec::new()
    }
}
