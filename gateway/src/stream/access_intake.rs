//! Follows the topic of revocations.

use std::sync::Arc;

use schemas::access::AccessRecord;
use tokio::sync::mpsc;

use super::sessions;
use crate::{
    backends::log::FeedItem, context::NodeContext, inbox::ShardMessage, readiness::Condition,
};

/// Adds every revocation and every state and setting of a tenant in the feed, and answers the
/// questions in it, until it ends.
pub(crate) async fn follow(
    node: Arc<NodeContext>,
    shards: Vec<mpsc::Sender<ShardMessage>>,
    mut feed: mpsc::Receiver<FeedItem>,
) {
    while let Some(item) = feed.recv().await {
        match item {
            FeedItem::Record { record, appended_at } => match AccessRecord::from_wire(&record) {
                Ok(AccessRecord::Revoked(tenant, revocation)) => {
                    node.revocations.add(tenant, &revocation, appended_at);
                }
                Ok(AccessRecord::Asked(tenant, question)) => {
                    let (node, shards) = (node.clone(), shards.clone());
                    // A revocation must not wait for an answer.
                    tokio::spawn(async move {
                        sessions::answer(&node, &shards, &tenant, question, appended_at).await;
                    });
                }
                Ok(AccessRecord::Tenant(tenant, status)) => {
                    node.revocations.set_tenant(tenant, status);
                }
                Ok(AccessRecord::Settings(tenant, stored)) => {
                    node.limits.set_tenant(&tenant, &stored.settings.limits);
                    node.revocations.set_settings(tenant, stored);
                }
                Err(code) => tracing::error!(%code, "a record of access was skipped"),
            },
            FeedItem::CaughtUp => {
                node.revocations.finish_reading();
                node.readiness.set(Condition::AccessUnread, false);
            }
            // Everything is read again from the beginning. What is held still counts.
            FeedItem::Lost => {}
        }
    }
}
