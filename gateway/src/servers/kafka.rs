//! The log on Kafka: a producer of commands, audit records and revocations, and threads that follow
//! every partition of views and of revocations.

use std::{sync::Arc, time::Duration};

use rdkafka::error::{KafkaError, KafkaResult};
use schemas::record::WireRecord;
use servers::kafka::{
    ClientStatus, FEED_CAPACITY, FollowedTopic, IdempotentProducer, KafkaCluster, KafkaEvents,
    ProducerSettings, StartFrom, TopicError, check_topics, start_follower,
};
use tokio::sync::mpsc;

use crate::{
    BoxFuture,
    backends::log::{ClientReport, FeedItem, Log, NotAppended},
    readiness::{Condition, Readiness},
};

/// How long a record may wait for its acknowledgement, retries included: below the five seconds
/// after which the caller gets a refusal and may try again.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(4);
/// The group id of the followers, which join no group.
const GROUP: &str = "clinicwire-gateway";
/// How often the state of the clients is copied to the node's readiness.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);

/// Checks that all topics exist, that the log sets their timestamps, and that they take the largest
/// record.
///
/// # Errors
/// [`TopicError`]
pub async fn check(cluster: &KafkaCluster) -> Result<(), TopicError> {
    let topics = &cluster.topics;
    let all = [&topics.care, &topics.runs, &topics.audit, &topics.views, &topics.access];
    check_topics(cluster, all.map(String::as_str)).await.map(drop)
}

/// The log of a gateway in Kafka.
pub struct KafkaGatewayLog {
    cluster: KafkaCluster,
    producer: IdempotentProducer,
    follower: Arc<ClientStatus>,
    access_follower: Arc<ClientStatus>,
    readiness: Readiness,
}

impl KafkaGatewayLog {
    /// Creates the producer without connecting; [`check`] finds out whether Kafka answers. Sets and
    /// clears the conditions of both clients in `readiness` while views are followed.
    ///
    /// # Errors
    /// The client's error when it refuses the settings.
    pub fn new(cluster: KafkaCluster, readiness: Readiness) -> KafkaResult<Self> {
        let settings = ProducerSettings {
            linger: Duration::ZERO, // a caller waits for each record
            delivery_timeout: DELIVERY_TIMEOUT,
            request_timeout: Duration::from_secs(2),
        };
        let status = ClientStatus::new("producer", "no record could be published");
        let producer = IdempotentProducer::new(
            &cluster,
            cluster.client_config(),
            KafkaEvents::LogErrors,
            settings,
            Arc::new(status),
        )?;
        let follower = Arc::new(ClientStatus::new("follower", "the topic of views was not read"));
        let access_follower =
            ClientStatus::new("access_follower", "the topic of revocations was not read");
        let access_follower = Arc::new(access_follower);
        Ok(Self { cluster, producer, follower, access_follower, readiness })
    }

    /// Starts the thread that follows a topic, and copies the state of `clients` to the node's
    /// readiness meanwhile.
    fn start_follower(
        &self,
        thread: &str,
        topic: FollowedTopic,
        status: &Arc<ClientStatus>,
        clients: Vec<(Arc<ClientStatus>, Condition)>,
    ) -> mpsc::Receiver<FeedItem> {
        let (feed, receiver) = mpsc::channel(FEED_CAPACITY);
        tokio::spawn(report(clients, self.readiness.clone(), feed.clone()));
        start_follower(self.cluster.clone(), thread, topic, feed, Arc::clone(status));
        receiver
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

    /// Must be called within a Tokio runtime.
    fn follow(&self) -> mpsc::Receiver<FeedItem> {
        let clients = vec![
            (Arc::clone(&self.follower), Condition::FollowerStalled),
            (Arc::clone(self.producer.status()), Condition::ProducerStalled),
        ];
        let (name, from) = (self.cluster.topics.views.clone(), StartFrom::MinuteAgo);
        let topic = FollowedTopic { name, group: GROUP, from };
        self.start_follower("kafka-views", topic, &self.follower, clients)
    }

    /// Must be called within a Tokio runtime.
    fn follow_access(&self) -> mpsc::Receiver<FeedItem> {
        let clients = vec![(Arc::clone(&self.access_follower), Condition::AccessStalled)];
        let (name, from) = (self.cluster.topics.access.clone(), StartFrom::Beginning);
        let topic = FollowedTopic { name, group: GROUP, from };
        self.start_follower("kafka-access", topic, &self.access_follower, clients)
    }

    fn clients(&self) -> Vec<ClientReport> {
        let report = |status: &ClientStatus| ClientReport {
            client: status.name,
            replaced: status.replaced(),
            silence: status.silence(),
        };
        let clients = [&self.follower, &self.access_follower, self.producer.status()];
        clients.map(|status| report(status)).to_vec()
    }
}

/// Copies the state of the clients to the readiness of the node, until intake ends.
async fn report(
    clients: Vec<(Arc<ClientStatus>, Condition)>,
    readiness: Readiness,
    feed: mpsc::Sender<FeedItem>,
) {
    while !feed.is_closed() {
        for (status, condition) in &clients {
            readiness.set(*condition, status.is_failing());
        }
        tokio::time::sleep(REPORT_INTERVAL).await;
    }
}
