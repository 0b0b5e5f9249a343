//! The parts of its node that a shard uses.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::{
    access::{audit::Audit, auth::Verifier},
    metrics::Metrics,
    stream::{message::ShardMessage, reader::Reader, tails::Tails},
};

pub struct Links {
    /// Index of the shard in its node.
    pub index: usize,
    pub tails: Arc<Tails>,
    pub reader: Arc<Reader>,
    pub verifier: Arc<Verifier>,
    pub metrics: Arc<Metrics>,
    pub audit: Audit,
    /// The runtime on which fetches run.
    pub node: tokio::runtime::Handle,
    /// The shard's own inbox.
    pub inbox: mpsc::Sender<ShardMessage>,
}
