//! The backend to the store of live views: rebuildable, read by gateways.

use schemas::{ids::Aggregate, record::ViewDelta, view::View};

use crate::BoxFuture;

/// One step of a stored view, all of a batch merged.
#[derive(Clone)]
pub struct ViewStep {
    pub aggregate: Aggregate,
    pub epoch: u64,
    pub step: ViewDelta,
}

/// What became of a step in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreOutcome {
    /// Held now, or already.
    Current,
    /// Refused: the store lost its generation, lacks steps, or holds an older epoch. Repair the view from the ledger.
    Behind,
}

/// The store did not answer in time: the view must be taken for dirty.
#[derive(Debug, thiserror::Error)]
#[error("the store of views did not answer")]
pub struct ViewStoreError(#[source] pub Option<Box<dyn std::error::Error + Send + Sync>>);

/// A store of views that judges each step by (epoch, version), as `schemas::view` does, so that repeating a
/// step is harmless and a lost step is noticed.
pub trait ViewStore: Send + Sync + 'static {
    /// Applies the steps; one answer per step, in order. An aggregate without a generation has every step refused:
    /// a new one gets its generation from its first `replace`.
    fn store<'a>(
        &'a self,
        steps: &'a [ViewStep],
    ) -> BoxFuture<'a, Result<Vec<StoreOutcome>, ViewStoreError>>;

    /// Replaces a whole view unless the store holds a newer position, and renews the generation of its aggregate.
    /// `keep_s` as in [`ViewDelta`].
    fn replace<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        name: &'a str,
        view: &'a View,
        keep_s: Option<u32>,
    ) -> BoxFuture<'a, Result<(), ViewStoreError>>;
}
