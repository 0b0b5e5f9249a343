//! The parts of its node that a shard uses.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::{
    access::{audit::Audit, auth::Verifier},
    metrics::Metrics,
    stream::{message::ShardMessage, reader::ViewReader, shard_set::ShardIndex, tails::Tails},
};

pub struct Links {
    /// Index of the shard in its node.
    pub index: ShardIndex,
    pub tails: Arc<Tails>,
    pub reader: Arc<ViewReader>,
    pub verifier: Arc<Verifier>,
    pub metrics: Arc<Metrics>,
    pub audit: Audit,
    /// The runtime on which fetches run.
    pub node: tokio::runtime::Handle,
    /// The shard's own inbox.
    pub inbox: mpsc::Sender<ShardMessage>,
}
