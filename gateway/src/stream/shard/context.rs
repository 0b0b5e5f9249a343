//! A shard's view of its node.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::{
    context::NodeContext,
    stream::{message::ShardMessage, shard_set::ShardIndex},
};

/// What a shard knows of its node and of itself.
#[derive(Clone)]
pub struct ShardContext {
    pub node: Arc<NodeContext>,
    /// Index of the shard in its node.
    pub index: ShardIndex,
    /// The shard's own inbox.
    pub inbox: mpsc::Sender<ShardMessage>,
}
