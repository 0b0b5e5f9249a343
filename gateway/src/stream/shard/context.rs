//! A shard's view of its node.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::{
    context::NodeContext, inbox::ShardMessage, views::shard_set::ShardIndex,
    wire::peer::link::PollingSessions,
};

/// The node of a shard, and the shard's own index and inbox.
#[derive(Clone)]
pub struct ShardContext {
    pub node: Arc<NodeContext>,
    /// Index of the shard in its node.
    pub index: ShardIndex,
    /// The number of shards of the node.
    pub shards: usize,
    /// The shard's own inbox.
    pub inbox: mpsc::Sender<ShardMessage>,
    /// The Socket.IO sessions of the node that began by polling.
    pub polling: Arc<PollingSessions>,
}
