//! The backends that a node reads from and writes to. Each trait has two implementations, memory
//! and a server, and one conformance suite that both pass.

pub mod history;
pub mod log;
pub mod queries;
pub mod quota;
pub mod short_keys;
pub mod snapshots;

use std::sync::Arc;

use object_store::ObjectStore;

use self::{log::Log, queries::Queries, short_keys::ShortKeys, snapshots::Snapshots};
use crate::readiness::Readiness;

/// The backends of a node.
pub struct Backends {
    /// The log.
    pub log: Arc<dyn Log>,
    /// The view store.
    pub snapshots: Arc<dyn Snapshots>,
    /// The authority.
    pub queries: Arc<dyn Queries>,
    /// Keys that all nodes share for a short time.
    pub short_keys: Arc<dyn ShortKeys>,
    /// Uploaded claims files.
    pub files: Arc<dyn ObjectStore>,
    /// The conditions of the node, which its backends set and clear too.
    pub readiness: Readiness,
}
