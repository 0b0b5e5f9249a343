//! Follows the topic of revocations.

use std::sync::Arc;

use schemas::access::Revocation;
use tokio::sync::mpsc;

use super::Revocations;
use crate::{
    backends::log::FeedItem,
    readiness::{Condition, Readiness},
};

/// Adds every revocation of the feed until it ends.
pub async fn follow(
    revocations: Arc<Revocations>,
    readiness: Readiness,
    mut feed: mpsc::Receiver<FeedItem>,
) {
    while let Some(item) = feed.recv().await {
        match item {
            FeedItem::Record { record, appended_at } => match Revocation::from_wire(&record) {
                Ok((tenant, revocation)) => revocations.add(tenant, &revocation, appended_at),
                Err(code) => tracing::error!(%code, "a record of access was skipped"),
            },
            FeedItem::CaughtUp => {
                revocations.finish_reading();
                readiness.set(Condition::AccessUnread, false);
            }
            // Everything is read again from the beginning. What is held still counts.
            FeedItem::Lost => {}
        }
    }
}
