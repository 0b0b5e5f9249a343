//! The log on Kafka: a producer of commands and audit records, and a thread that follows every
//! partition of views.

mod follower;

use std::time::Duration;

use rdkafka::{
    ClientConfig,
    error::{KafkaError, KafkaResult},
};
use schemas::record::WireRecord;
use servers::kafka::{
    IdempotentProducer, KafkaCluster, KafkaEvents, ProducerSettings, TopicError, check_topics,
};
use tokio::sync::mpsc;

use crate::{
    BoxFuture,
    backends::log::{FeedItem, Log, NotAppended},
};

/// How long a record may wait for its acknowledgement, retries included: below the five seconds
/// after which the caller is told to try again.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(4);
/// Records between the follower's thread and intake. Past it the thread waits, and unread records
/// stay in Kafka.
const FEED_CAPACITY: usize = 4096;

/// Checks that all topics exist and that the log sets their timestamps.
///
/// # Errors
/// [`TopicError`]
pub async fn check(cluster: &KafkaCluster) -> Result<(), TopicError> {
    let topics = &cluster.topics;
    let all = [&topics.care, &topics.runs, &topics.audit, &topics.views];
    check_topics(cluster, all.map(String::as_str)).await.map(drop)
}

/// Settings of every client of a gateway: commands are small and a caller waits for each.
fn client_config(cluster: &KafkaCluster) -> ClientConfig {
    let mut config = cluster.client_config();
    config.set("socket.nagle.disable", "true");
    config
}

pub struct KafkaGatewayLog {
    cluster: KafkaCluster,
    producer: IdempotentProducer,
}

impl KafkaGatewayLog {
    /// Creates the producer without connecting; [`check`] finds out whether Kafka answers.
    ///
    /// # Errors
    /// The client's error when it refuses the settings.
    pub fn new(cluster: KafkaCluster) -> KafkaResult<Self> {
        let settings = ProducerSettings {
            linger: Duration::ZERO, // a caller waits for each record
            delivery_timeout: DELIVERY_TIMEOUT,
            request_timeout: Duration::from_secs(2),
        };
        let config = client_config(&cluster);
        let producer = IdempotentProducer::new(config, KafkaEvents::LogErrors, settings)?;
        Ok(Self { cluster, producer })
    }

    async fn deliver(&self, topic: &'static str, record: WireRecord) -> KafkaResult<()> {
        let delivery = self.producer.handle().send(self.cluster.topics.name(topic), &record)?;
        delivery.await.unwrap_or(Err(KafkaError::Canceled))
    }
}

impl Log for KafkaGatewayLog {
    fn append(
        &self,
        topic: &'static str,
        record: WireRecord,
    ) -> BoxFuture<'_, Result<(), NotAppended>> {
        Box::pin(async move {
            self.deliver(topic, record).await.map_err(|error| {
                self.producer.replace_if_fatal();
                NotAppended(Box::new(error))
            })
        })
    }

    fn follow(&self) -> mpsc::Receiver<FeedItem> {
        let (feed, receiver) = mpsc::channel(FEED_CAPACITY);
        let cluster = self.cluster.clone();
        // A thread of its own: the asynchronous consumer can miss a wake-up and sleep for minutes.
        let follow = move || follower::follow(&cluster, &feed);
        let thread = std::thread::Builder::new().name("kafka-views".to_owned());
        if let Err(error) = thread.spawn(follow) {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the thread that follows views cannot be started"
            );
        }
        receiver
    }
}
