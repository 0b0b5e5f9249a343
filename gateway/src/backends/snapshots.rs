//! The view store (Redis), as a gateway reads it.

use schemas::{ids::Aggregate, view::View};

use crate::{BoxFuture, Source};

/// The store's answer about a view.
#[derive(Debug)]
pub enum Snapshot {
    Held(View),
    /// The store works and has no such view.
    Absent,
    /// The store was emptied or replaced since the view was stored. What it holds may be old.
    Suspect,
}

#[derive(Debug, thiserror::Error)]
#[error("the view could not be read")]
pub struct NotRead(#[source] pub Source);

pub trait Snapshots: Send + Sync + 'static {
    fn load<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        view: &'a str,
    ) -> BoxFuture<'a, Result<Snapshot, NotRead>>;

    /// Asks whether the store answers.
    fn probe(&self) -> BoxFuture<'_, Result<(), NotRead>>;
}
