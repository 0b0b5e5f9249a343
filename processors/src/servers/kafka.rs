//! The log on Kafka: one reader thread in a consumer group, and one producer.

mod look;
mod reader;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use schemas::record::{AUDIT_TOPIC, CARE_TOPIC, RUNS_TOPIC, ViewsHead, WireRecord};
use servers::kafka::{
    ClientStatus, Delivery, IdempotentProducer, KafkaCluster, KafkaEvents, ProducerSettings,
    TopicError, check_topics,
};
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
};

pub(super) use look::look;
use look::newest_views;
use reader::{MemberContext, PausedPartitions, ReaderThread, ReleasedPartitions};

use crate::{
    BoxFuture,
    log::{AppendError, Log, LogEvent, LogPlace, LogState, NotRead, PartitionId},
};

/// How a member of a consumer group reads one topic.
#[derive(Debug, Clone)]
pub struct ReaderSettings {
    /// The topic that is read, by its standard name.
    pub topic: &'static str,
    /// Members of one group share the partitions of the topic.
    pub group: String,
    /// A name that one instance keeps over restarts. The instance then gets its partitions back at
    /// once, before the group notices that its former process is gone.
    pub instance: Option<String>,
}

/// Checks that the topic that is read and the topic of views exist and that the log sets their
/// timestamps. Returns the partition count of `topic`, given by its standard name.
///
/// # Errors
/// [`TopicError`]
pub async fn check(cluster: &KafkaCluster, topic: &str) -> Result<u32, TopicError> {
    let topics = [cluster.topics.name(topic), &cluster.topics.views];
    let [partition_count, _] = check_topics(cluster, topics).await?;
    Ok(partition_count)
}

/// How long a record may wait for its acknowledgement, retries included: below the runner's own
/// timeout.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(8);
/// Events between the reader's thread and the runner: enough to keep the runner busy, and few
/// enough that a revocation arrives soon.
const EVENT_CAPACITY: usize = 8;

/// The log of the processors on Kafka: a group consumer of one topic, and a producer.
pub struct KafkaProcessorLog {
    cluster: KafkaCluster,
    /// Absent where nothing is read.
    reader: Option<ReaderSettings>,
    /// Partition count of the topic that is read.
    partition_count: u32,
    producer: IdempotentProducer,
    /// The status of the reader.
    status: Arc<ClientStatus>,
    released: Arc<ReleasedPartitions>,
    paused: Arc<PausedPartitions>,
    /// One receiver per reader thread, open while the thread runs.
    readers: Mutex<Vec<watch::Receiver<()>>>,
}

impl KafkaProcessorLog {
    /// A log that reads and appends. `partition_count` is what [`check`] returned.
    ///
    /// # Errors
    /// The client's error when it refuses the settings. [`check`] finds out whether Kafka answers.
    pub fn new(
        cluster: KafkaCluster,
        reader: ReaderSettings,
        partition_count: u32,
    ) -> KafkaResult<Self> {
        Self::with_reader(cluster, Some(reader), partition_count)
    }

    /// A log that only appends.
    ///
    /// # Errors
    /// The client's error when it refuses the settings.
    pub fn new_writer(cluster: KafkaCluster) -> KafkaResult<Self> {
        Self::with_reader(cluster, None, 0)
    }

    fn with_reader(
        cluster: KafkaCluster,
        reader: Option<ReaderSettings>,
        partition_count: u32,
    ) -> KafkaResult<Self> {
        let settings = ProducerSettings {
            // With less than a millisecond, librdkafka polls without a pause while it waits.
            linger: Duration::from_millis(1),
            delivery_timeout: DELIVERY_TIMEOUT,
            request_timeout: Duration::from_secs(4),
        };
        let [status, published] = statuses(reader.as_ref().map(|reader| reader.topic));
        let producer = IdempotentProducer::new(
            &cluster,
            cluster.client_config(),
            KafkaEvents::LeaveErrors,
            settings,
            Arc::new(published),
        )?;
        Ok(Self {
            cluster,
            reader,
            partition_count,
            producer,
            status: Arc::new(status),
            released: Arc::default(),
            paused: Arc::default(),
            readers: Mutex::default(),
        })
    }

    /// The state of its clients, for readiness and metrics.
    pub fn clients(&self) -> Vec<Arc<ClientStatus>> {
        let reader = self.reader.is_some().then(|| Arc::clone(&self.status));
        reader.into_iter().chain([Arc::clone(self.producer.status())]).collect()
    }

    /// Waits until every reader has left the group, for `timeout` at most: a broker that does not
    /// answer could keep one for ever. A reader leaves once the receiver of its events is dropped.
    pub async fn wait_until_left(&self, timeout: Duration) {
        let readers =
            std::mem::take(&mut *self.readers.lock().unwrap_or_else(PoisonError::into_inner));
        let gone = join_all(
            readers.into_iter().map(async |mut reader| while reader.changed().await.is_ok() {}),
        );
        if tokio::time::timeout(timeout, gone).await.is_err() {
            tracing::warn!("a reader did not leave its group in time");
        }
    }

    async fn append_all(&self, records: &[(&'static str, WireRecord)]) -> Result<(), AppendError> {
        // One producer for all records, so that a replacement cannot reorder them.
        let producer = self.producer.handle();
        let send = |topic: &str, record| producer.send(self.cluster.topics.name(topic), record);
        let mut sent = Vec::with_capacity(records.len());
        let mut acknowledged = 0;
        for (index, (topic, record)) in records.iter().enumerate() {
            let mut attempt = send(topic, record);
            if matches!(attempt, Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull))) {
                // The deliveries under way make room in the queue.
                self.all_delivered(acknowledged, sent.drain(..)).await?;
                acknowledged = index;
                attempt = send(topic, record);
            }
            sent.push(attempt.map_err(|error| self.append_error(index, error))?);
        }
        self.all_delivered(acknowledged, sent).await
    }

    /// Waits for the deliveries of the records from the index `first` on.
    async fn all_delivered(
        &self,
        first: usize,
        sent: impl IntoIterator<Item = Delivery>,
    ) -> Result<(), AppendError> {
        for (index, delivery) in join_all(sent).await.into_iter().enumerate() {
            let delivered = delivery.unwrap_or(Err(KafkaError::Canceled));
            delivered.map_err(|error| self.append_error(first + index, error))?;
        }
        Ok(())
    }

    fn append_error(&self, record: usize, error: KafkaError) -> AppendError {
        self.producer.replace_if_fatal();
        AppendError { record: Some(record), source: Some(Box::new(error)) }
    }
}

/// The status of the reader of a topic, and that of the producer beside it.
fn statuses(topic: Option<&str>) -> [ClientStatus; 2] {
    let (reader, producer) = match topic {
        Some(CARE_TOPIC) => ("care_reader", "care_producer"),
        Some(RUNS_TOPIC) => ("runs_reader", "runs_producer"),
        Some(AUDIT_TOPIC) => ("audit_reader", "audit_producer"),
        _ => ("reader", "producer"),
    };
    let lack = match topic {
        Some(CARE_TOPIC) => "the topic care could not be read",
        Some(RUNS_TOPIC) => "the topic runs could not be read",
        Some(AUDIT_TOPIC) => "the topic of the audit could not be read",
        _ => "no topic could be read",
    };
    [ClientStatus::new(reader, lack), ClientStatus::new(producer, "no record could be published")]
}

impl Log for KafkaProcessorLog {
    /// Must be called within a Tokio runtime: the reader's thread waits for answers on it.
    fn read(&self) -> mpsc::Receiver<LogEvent> {
        let (events, receiver) = mpsc::channel(EVENT_CAPACITY);
        let settings = self.reader.clone().expect("a log without a reader is only appended to");
        let (running, stopped) = watch::channel(());
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(stopped);
        let reader = ReaderThread {
            cluster: self.cluster.clone(),
            settings,
            context: MemberContext {
                partition_count: self.partition_count,
                events,
                released: Arc::clone(&self.released),
                paused: Arc::clone(&self.paused),
                runtime: Handle::current(),
                status: Arc::clone(&self.status),
            },
            producer: Arc::clone(self.producer.status()),
        };
        let work = move || {
            if let Err(error) = reader.run() {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "no consumer can be created"
                );
            }
            drop(running);
        };
        let thread = std::thread::Builder::new().name("kafka-reader".to_owned());
        if let Err(error) = thread.spawn(work) {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the reader's thread cannot be started"
            );
        }
        receiver
    }

    fn release(&self, partition: PartitionId) {
        self.released.insert(partition);
    }

    fn pause(&self, partition: PartitionId, paused: bool) {
        self.paused.set(partition, paused);
    }

    fn look<'a>(&'a self, places: &'a [LogPlace]) -> BoxFuture<'a, Vec<(PartitionId, LogState)>> {
        let reader = self.reader.as_ref().expect("a log without a reader is only appended to");
        let (cluster, topic) = (self.cluster.clone(), self.cluster.topics.name(reader.topic));
        let (topic, places) = (topic.to_owned(), places.to_vec());
        let looking = tokio::task::spawn_blocking(move || look(&cluster, &topic, &places));
        Box::pin(async { looking.await.unwrap_or_default() })
    }

    fn newest_views(&self) -> BoxFuture<'_, Result<Vec<ViewsHead>, NotRead>> {
        let cluster = self.cluster.clone();
        let reading = tokio::task::spawn_blocking(move || newest_views(&cluster));
        Box::pin(async { reading.await.unwrap_or(Err(NotRead)) })
    }

    fn append<'a>(
        &'a self,
        records: &'a [(&'static str, WireRecord)],
    ) -> BoxFuture<'a, Result<(), AppendError>> {
        Box::pin(self.append_all(records))
    }
}
