//! The backend to the log: commands go in, views come out.

#[cfg(doc)]
use schemas::record::{AUDIT_TOPIC, CARE_TOPIC, RUNS_TOPIC};
use schemas::{Millis, record::WireRecord};
use tokio::sync::mpsc;

use crate::{BoxFuture, Source};

/// What following the topic of views yields, in order per aggregate.
pub enum Fed {
    Record {
        record: WireRecord,
        /// The log's time of the append.
        appended_at: Millis,
    },
    /// Everything that was in the topic when following began has been yielded.
    CaughtUp,
    /// Records were lost: nothing held so far is current.
    Lost,
}

/// A record whose fate is unknown: it may or may not have been appended.
#[derive(Debug, thiserror::Error)]
#[error("the log did not acknowledge the record")]
pub struct NotAppended(#[source] pub Source);

pub trait Log: Send + Sync + 'static {
    /// Appends one record to `topic`, which is one of [`CARE_TOPIC`], [`RUNS_TOPIC`] and
    /// [`AUDIT_TOPIC`]; returns once it is acknowledged.
    fn append(
        &self,
        topic: &'static str,
        record: WireRecord,
    ) -> BoxFuture<'_, Result<(), NotAppended>>;

    /// Follows all of `clinicwire.views.v1`, from a minute back, without a group.
    fn follow(&self) -> mpsc::Receiver<Fed>;
}
