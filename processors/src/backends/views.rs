//! The backend for the store of live views. Gateways read it, and it can be rebuilt from the
//! ledger.

use schemas::{
    ids::Aggregate,
    record::ViewDelta,
    redis_keys::StoreIdentity,
    view::{Position, View},
};

use crate::{BoxFuture, log::PartitionId};

/// One change of a stored view: all changes of a batch, merged.
#[derive(Clone)]
pub struct ViewStep {
    /// The aggregate of the view.
    pub aggregate: Aggregate,
    /// The epoch of the positions in the change.
    pub epoch: u64,
    /// The change.
    pub step: ViewDelta,
}

/// How the store answered one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreOutcome {
    /// The store holds the change now, or held it before.
    Current,
    /// The store refused the change: it was emptied, holds the view from before a change of its
    /// identity, lacks earlier changes, or holds an older epoch. The view must be repaired from the
    /// ledger.
    Behind,
}

/// Whether the store may have lost views of a partition, or hold outdated ones, that no later
/// change would repair.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Coverage {
    /// Each view of the partition is in the store, or marked in the ledger for repair.
    Covered,
    /// The store was emptied, restarted or replaced since. Every view of the partition must be
    /// marked in the ledger. The store has this identity now.
    Suspect(StoreIdentity),
}

/// The head of a partition: a position that its newest commit reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionHead {
    /// The partition.
    pub partition: PartitionId,
    /// The aggregate that the commit changed.
    pub aggregate: Aggregate,
    /// The position of the aggregate after the commit.
    pub position: Position,
}

/// The store did not answer in time. The view must be marked dirty.
#[derive(Debug, thiserror::Error)]
#[error("the view store did not answer")]
pub struct ViewStoreError(#[source] pub Option<Box<dyn std::error::Error + Send + Sync>>);

/// A store of views that judges each change by (epoch, version), as `schemas::view` does. So a
/// repeated change does no harm, and a lost change is noticed.
pub trait ViewStore: Send + Sync + 'static {
    /// Applies the changes and returns one answer for each, in order. The store refuses every
    /// change of an aggregate without a generation of its present identity; a new aggregate gets
    /// its generation from its first `replace`.
    fn store<'a>(
        &'a self,
        steps: &'a [ViewStep],
    ) -> BoxFuture<'a, Result<Vec<StoreOutcome>, ViewStoreError>>;

    /// Replaces a whole view, unless the store holds a newer position under its present identity,
    /// and renews the generation of its aggregate. `keep_s` has the meaning it has in
    /// [`ViewDelta`].
    fn replace<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        name: &'a str,
        view: &'a View,
        keep_s: Option<u32>,
    ) -> BoxFuture<'a, Result<(), ViewStoreError>>;

    /// Asks whether the views of a partition are covered, and notes the identity of the store for
    /// later changes. Costs one small request.
    fn coverage(
        &self,
        topic: &'static str,
        partition: PartitionId,
    ) -> BoxFuture<'_, Result<Coverage, ViewStoreError>>;

    /// Notes that every view of the partition has been marked in the ledger since the store had
    /// this identity. The store forgets the note when it loses its data.
    fn cover<'a>(
        &'a self,
        topic: &'static str,
        partition: PartitionId,
        identity: &'a StoreIdentity,
    ) -> BoxFuture<'a, Result<(), ViewStoreError>>;

    /// Notes the heads of partitions of `topic`, each in the place of the earlier head of its
    /// partition. The last writer wins, even an earlier owner whose call is late: each head was
    /// committed, so an old one is weaker evidence and never a wrong one, until the owner notes the
    /// next. The store forgets the heads when it loses its data.
    fn note_heads<'a>(
        &'a self,
        topic: &'static str,
        heads: &'a [PartitionHead],
    ) -> BoxFuture<'a, Result<(), ViewStoreError>>;

    /// Reads the heads of all partitions of all topics of this installation. A ledger that lacks
    /// one of these positions is older than what the store was told.
    fn heads(&self) -> BoxFuture<'_, Result<Vec<(Aggregate, Position)>, ViewStoreError>>;
}
