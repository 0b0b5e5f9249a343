//! The log on Kafka: one reader thread in the consumers' group, one idempotent producer.

pub(super) mod reader;
mod topics;

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use futures_util::future::join_all;
use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer},
};
use schemas::record::{AUDIT_TOPIC, CARE_TOPIC, RUNS_TOPIC, VIEWS_TOPIC, WireRecord};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot, watch},
};

use reader::{Reader, Released};
pub use topics::{NewTopics, TopicError, check, prepare};

use crate::{
    BoxFuture,
    log::{AppendError, Log, LogEvent},
};

/// Kafka's names of our topics. They have standard names; others keep installations, or tests, on one cluster apart.
#[derive(Debug, Clone)]
pub struct Topics {
    pub care: String,
    pub runs: String,
    pub views: String,
    pub audit: String,
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            care: CARE_TOPIC.to_owned(),
            runs: RUNS_TOPIC.to_owned(),
            views: VIEWS_TOPIC.to_owned(),
            audit: AUDIT_TOPIC.to_owned(),
        }
    }
}

impl Topics {
    /// Kafka's name of one of our topics.
    pub fn named(&self, topic: &str) -> &str {
        match topic {
            CARE_TOPIC => &self.care,
            RUNS_TOPIC => &self.runs,
            VIEWS_TOPIC => &self.views,
            AUDIT_TOPIC => &self.audit,
            other => unreachable!("no topic is called {other}"),
        }
    }
}

#[derive(Debug, Clone)]
pub struct KafkaSettings {
    /// `host:port`, several separated by commas.
    pub brokers: String,
    pub topics: Topics,
    /// The topic that is read, by our name for it.
    pub reads: &'static str,
    /// Members of one group share the partitions of the topic they read.
    pub group: String,
    /// A name that stays the same over restarts of one instance: it gets its partitions back at once, without waiting
    /// until the group has noticed that its former self is gone.
    pub instance: Option<String>,
}

impl KafkaSettings {
    /// What every client of ours is set to.
    pub(super) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "clinicwire-processors")
            .set("allow.auto.create.topics", "false")
            .set("socket.keepalive.enable", "true")
            .set("reconnect.backoff.max.ms", "1000")
            .set_log_level(RDKafkaLogLevel::Warning);
        config
    }
}

/// How long a record may wait for its acknowledgement, retries included; below the runner's own patience.
const DELIVERY: Duration = Duration::from_secs(8);
/// Inputs between the reader's thread and the runner: enough to keep it busy, and few enough to hear of a
/// revocation soon.
const INPUTS: usize = 8;

pub struct KafkaLog {
    settings: KafkaSettings,
    /// Partitions of the topic that is read.
    partition_count: u32,
    producer: RwLock<Arc<ThreadedProducer<KafkaEvents>>>,
    released: Arc<Released>,
    /// Open while a reader's thread runs.
    readers: Mutex<Vec<watch::Receiver<()>>>,
}

impl KafkaLog {
    /// `of` is the number of partitions that [`check`] found.
    ///
    /// # Errors
    /// When the settings make no producer; whether Kafka answers is what [`check`] finds out.
    pub fn new(settings: KafkaSettings, partition_count: u32) -> KafkaResult<Self> {
        let producer = RwLock::new(producer(&settings)?);
        Ok(Self {
            settings,
            partition_count,
            producer,
            released: Arc::default(),
            readers: Mutex::default(),
        })
    }

    /// Waits until every reader has left the group, for `patience` at most: a broker that does not answer may keep one
    /// for ever. A reader leaves once its inputs are dropped.
    pub async fn left(&self, patience: Duration) {
        let readers =
            std::mem::take(&mut *self.readers.lock().unwrap_or_else(PoisonError::into_inner));
        let gone = join_all(
            readers.into_iter().map(async |mut reader| while reader.changed().await.is_ok() {}),
        );
        if tokio::time::timeout(patience, gone).await.is_err() {
            tracing::warn!("a reader did not leave its group in time");
        }
    }

    /// Hands a record to the producer. Records with one key stay in the order of these calls.
    fn send(
        &self,
        producer: &ThreadedProducer<KafkaEvents>,
        topic: &str,
        record: &WireRecord,
    ) -> KafkaResult<Delivery> {
        let room = OwnedHeaders::new_with_capacity(record.headers.len());
        let headers = record
            .headers
            .iter()
            .fold(room, |headers, (key, value)| headers.insert(Header { key, value: Some(value) }));
        let (delivered, delivery) = oneshot::channel();
        let record =
            BaseRecord::with_opaque_to(self.settings.topics.named(topic), Box::new(delivered))
                .key(&record.key)
                .payload(&*record.value)
                .headers(headers);
        producer.send(record).map(|()| delivery).map_err(|(error, _)| error)
    }

    async fn append_all(&self, records: &[(&'static str, WireRecord)]) -> Result<(), AppendError> {
        let producer = Arc::clone(&self.producer.read().unwrap_or_else(PoisonError::into_inner));
        let mut sent = Vec::with_capacity(records.len());
        for (topic, record) in records {
            let mut attempt = self.send(&producer, topic, record);
            if matches!(attempt, Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull))) {
                // What is under way has room to give.
                delivered(sent.drain(..)).await.map_err(|error| self.not_acknowledged(error))?;
                attempt = self.send(&producer, topic, record);
            }
            sent.push(attempt.map_err(|error| self.not_acknowledged(error))?);
        }
        delivered(sent).await.map_err(|error| self.not_acknowledged(error))
    }

    /// An idempotent producer that lost count never sends again: a new one takes its place.
    fn not_acknowledged(&self, error: KafkaError) -> AppendError {
        let mut current = self.producer.write().unwrap_or_else(PoisonError::into_inner);
        if current.client().fatal_error().is_some() {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the producer failed for good and is replaced"
            );
            if let Ok(fresh) = producer(&self.settings) {
                *current = fresh;
            }
        }
        AppendError(Some(Box::new(error)))
    }
}

fn producer(settings: &KafkaSettings) -> KafkaResult<Arc<ThreadedProducer<KafkaEvents>>> {
    let producer = settings
        .client()
        .set("enable.idempotence", "true")
        .set("acks", "all")
        // As Kafka's Java clients do it, and as `schemas::record::partition_for_key` does; librdkafka's default differs.
        .set("partitioner", "murmur2")
        .set("linger.ms", "1")
        .set("delivery.timeout.ms", DELIVERY.as_millis().to_string())
        .set("request.timeout.ms", "4000")
        .set("queue.buffering.max.kbytes", "65536")
        .create_with_context(KafkaEvents)?;
    Ok(Arc::new(producer))
}

type Delivery = oneshot::Receiver<KafkaResult<()>>;

async fn delivered(sent: impl IntoIterator<Item = Delivery>) -> KafkaResult<()> {
    for delivery in join_all(sent).await {
        delivery.unwrap_or(Err(KafkaError::Canceled))?;
    }
    Ok(())
}

impl Log for KafkaLog {
    /// Must be called within a Tokio runtime, whose threads answer what the reader's thread asks.
    fn read(&self) -> mpsc::Receiver<LogEvent> {
        let (inputs, receiver) = mpsc::channel(INPUTS);
        let (running, stopped) = watch::channel(());
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(stopped);
        let (settings, partition_count, released) =
            (self.settings.clone(), self.partition_count, Arc::clone(&self.released));
        let runtime = Handle::current();
        let work = move || {
            match Reader::join(&settings, partition_count, inputs, released, runtime) {
                Ok(reader) => reader.run(),
                Err(error) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "no consumer can be made"
                    );
                }
            }
            drop(running);
        };
        if let Err(error) = std::thread::Builder::new().name("kafka-reader".to_owned()).spawn(work)
        {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "no thread can be started for the log"
            );
        }
        receiver
    }

    fn release(&self, partition: u32) {
        self.released.insert(partition);
    }

    fn append<'a>(
        &'a self,
        records: &'a [(&'static str, WireRecord)],
    ) -> BoxFuture<'a, Result<(), AppendError>> {
        Box::pin(self.append_all(records))
    }
}

/// Passes on what librdkafka logs: brokers, topics and codes, never a record.
#[derive(Clone, Copy)]
pub(super) struct KafkaEvents;

impl ClientContext for KafkaEvents {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        faint(&error, reason);
    }
}

/// A consumer that leaves its assignment to the client.
impl ConsumerContext for KafkaEvents {}

/// Tells who waits for a record what became of it.
impl ProducerContext for KafkaEvents {
    type DeliveryOpaque = Box<oneshot::Sender<KafkaResult<()>>>;

    fn delivery(&self, delivery: &DeliveryResult<'_>, waiting: Self::DeliveryOpaque) {
        let result = delivery.as_ref().map(drop).map_err(|(error, _)| error.clone());
        // Whoever waited may have given up.
        let _ = waiting.send(result);
    }
}

/// What is told about connections that come and go. The client's log tells it too, without repeating itself.
fn faint(error: &KafkaError, reason: &str) {
    tracing::debug!(error = error as &dyn std::error::Error, reason, "kafka");
}

fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
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
