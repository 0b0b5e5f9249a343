//! The log on Kafka: one idempotent producer of commands and of the audit, and a thread that follows every partition of views.

mod follower;
mod topics;

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer},
};
use schemas::record::{AUDIT_TOPIC, CARE_TOPIC, RUNS_TOPIC, WireRecord};
use tokio::sync::{mpsc, oneshot};

pub use self::topics::{TopicError, check};
use crate::{
    BoxFuture,
    backends::log::{FeedItem, Log, NotAppended},
};

/// How long a record may wait for its acknowledgement, retries included: below the five seconds after which its
/// caller is told to try again.
const DELIVERY: Duration = Duration::from_secs(4);
/// Records between the follower's thread and intake. Past it the thread waits, and Kafka keeps what is not read.
const FEED: usize = 4096;

#[derive(Debug, Clone)]
pub struct KafkaSettings {
    /// `host:port`, several separated by commas.
    pub brokers: String,
    /// The topic of what moves locations; the standard name unless several installations share a cluster.
    pub care_topic: String,
    /// The topic of runs and rules, likewise.
    pub runs_topic: String,
    /// The topic of the audit, likewise.
    pub audit_topic: String,
    /// The topic of views, likewise.
    pub views_topic: String,
}

impl KafkaSettings {
    /// What one of the topics that records are appended to is called here.
    fn name(&self, topic: &'static str) -> &str {
        match topic {
            CARE_TOPIC => &self.care_topic,
            RUNS_TOPIC => &self.runs_topic,
            AUDIT_TOPIC => &self.audit_topic,
            other => other,
        }
    }

    /// What every client of ours is set to.
    fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "clinicwire-gateway")
            .set("allow.auto.create.topics", "false")
            .set("socket.keepalive.enable", "true")
            .set("socket.nagle.disable", "true")
            .set("reconnect.backoff.max.ms", "1000")
            .set_log_level(RDKafkaLogLevel::Warning);
        config
    }
}

type CommandProducer = ThreadedProducer<Events>;

pub struct KafkaLog {
    settings: KafkaSettings,
    producer: RwLock<Arc<CommandProducer>>,
}

impl KafkaLog {
    /// Prepares the producer; whether Kafka answers is what [`check`] finds out.
    ///
    /// # Errors
    /// Kafka's own error when the settings make no producer.
    pub fn new(settings: KafkaSettings) -> KafkaResult<Self> {
        let producer = RwLock::new(producer(&settings)?);
        Ok(Self { settings, producer })
    }

    async fn deliver(&self, topic: &'static str, record: WireRecord) -> KafkaResult<()> {
        let producer = Arc::clone(&self.producer.read().unwrap_or_else(PoisonError::into_inner));
        let headers = OwnedHeaders::new_with_capacity(record.headers.len());
        let headers = record.headers.iter().fold(headers, |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        });
        let (delivered, delivery) = oneshot::channel();
        let message = BaseRecord::with_opaque_to(self.settings.name(topic), Box::new(delivered))
            .key(&record.key)
            .payload(&*record.value)
            .headers(headers);
        producer.send(message).map_err(|(error, _)| error)?;
        delivery.await.unwrap_or(Err(KafkaError::Canceled))
    }

    /// An idempotent producer that lost count of its records never sends again: a new one takes its place.
    fn replace_if_dead(&self) {
        let mut current = self.producer.write().unwrap_or_else(PoisonError::into_inner);
        if let Some((code, _)) = current.client().fatal_error() {
            tracing::warn!(%code, "the producer failed for good and is replaced");
            match producer(&self.settings) {
                Ok(fresh) => *current = fresh,
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "no producer can be made"
                    );
                }
            }
        }
    }
}

fn producer(settings: &KafkaSettings) -> KafkaResult<Arc<CommandProducer>> {
    let producer = settings
        .client()
        .set("enable.idempotence", "true")
        .set("acks", "all")
        // As Kafka's Java clients do it, and as `schemas::record::partition_for_key` does; librdkafka's default differs.
        .set("partitioner", "murmur2")
        // Somebody waits for each of them.
        .set("linger.ms", "0")
        .set("delivery.timeout.ms", DELIVERY.as_millis().to_string())
        .set("request.timeout.ms", "2000")
        .set("queue.buffering.max.kbytes", "65536")
        .create_with_context(Events)?;
    Ok(Arc::new(producer))
}

impl Log for KafkaLog {
    fn append(
        &self,
        topic: &'static str,
        record: WireRecord,
    ) -> BoxFuture<'_, Result<(), NotAppended>> {
        Box::pin(async move {
            self.deliver(topic, record).await.map_err(|error| {
                self.replace_if_dead();
                NotAppended(Box::new(error))
            })
        })
    }

    fn follow(&self) -> mpsc::Receiver<FeedItem> {
        let (feed, receiver) = mpsc::channel(FEED);
        let settings = self.settings.clone();
        // A thread of its own: the stream consumer can miss a wake-up and sleep for minutes.
        let follow = move || follower::follow(&settings, &feed);
        if let Err(error) = std::thread::Builder::new().name("kafka-views".to_owned()).spawn(follow)
        {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "no thread can be started for the log"
            );
        }
        receiver
    }
}

/// Passes on what librdkafka logs: brokers, topics and codes, never a record.
#[derive(Clone, Copy)]
struct Events;

impl ClientContext for Events {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => {
                tracing::error!(facility, "kafka: {message}");
            }
            _ => tracing::warn!(facility, "kafka: {message}"),
        }
    }

    /// Every error of a client passes here, those that `poll` then answers too. The end of a partition is none.
    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        tracing::warn!(error = &error as &dyn std::error::Error, reason, "kafka");
    }
}

impl ConsumerContext for Events {}

/// Tells who waits for a record what became of it.
impl ProducerContext for Events {
    type DeliveryOpaque = Box<oneshot::Sender<KafkaResult<()>>>;

    fn delivery(&self, delivery: &DeliveryResult<'_>, waiting: Self::DeliveryOpaque) {
        let result = delivery.as_ref().map(drop).map_err(|(error, _)| error.clone());
        // Whoever waited may have given up.
        let _ = waiting.send(result);
    }
}
