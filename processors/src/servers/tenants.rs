//! The tenants, followed on Kafka.

use std::sync::Arc;

use servers::kafka::{
    ClientStatus, FEED_CAPACITY, FollowedTopic, KafkaCluster, StartFrom, start_follower,
};
use tokio::sync::mpsc;

use crate::tenants::Tenants;

/// The group id of the follower, which joins no group.
const GROUP: &str = "clinicwire-tenants";

/// Follows the tenants until the process ends. Must be called within a Tokio runtime.
pub fn follow(cluster: KafkaCluster) -> (Arc<Tenants>, Arc<ClientStatus>) {
    let status = Arc::new(ClientStatus::new("access_follower", "the tenants could not be read"));
    let topic = FollowedTopic {
        name: cluster.topics.access.clone(),
        group: GROUP,
        from: StartFrom::Beginning,
    };
    let (feed, items) = mpsc::channel(FEED_CAPACITY);
    start_follower(cluster, "kafka-access", topic, feed, Arc::clone(&status));
    let tenants = Tenants::unread();
    tokio::spawn({
        let tenants = Arc::clone(&tenants);
        async move { tenants.follow(items).await }
    });
    (tenants, status)
}
