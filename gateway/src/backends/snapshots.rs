//! The view store (Redis), as a gateway reads it.

use schemas::{ids::Aggregate, view::View};

use crate::{BoxFuture, Source};

/// The store's answer about a view.
#[derive(Debug)]
pub enum Snapshot {
    /// The store has the view.
    Held(View),
    /// The store works and has no such view.
    Absent,
    /// The store was emptied or replaced since the view was stored. Its views may be old.
    Suspect,
}

/// A backend did not answer, or not in time.
#[derive(Debug, thiserror::Error)]
#[error("the view could not be read")]
pub struct NotRead(#[source] pub Source);

/// The view store.
pub trait Snapshots: Send + Sync + 'static {
    /// Reads a view.
    fn load<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        view: &'a str,
    ) -> BoxFuture<'a, Result<Snapshot, NotRead>>;

    /// Asks whether the store answers.
    fn probe(&self) -> BoxFuture<'_, Result<(), NotRead>>;
}
