//! The bridge on Kafka: a member of a consumer group reads the source's topic. Its offsets are
//! committed only after `care` has acknowledged the records. So nothing is lost, and records that
//! are read twice are dropped by their id.

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
    error::{KafkaError, KafkaResult},
};
use schemas::record::{CARE_TOPIC, WireRecord};
use servers::kafka::{KafkaCluster, KafkaEvents, wire_record};
use tokio::{
    runtime::Handle,
    sync::{oneshot, watch},
};

use crate::{
    bridge::{Bridge, BridgeCounters, BridgedRecord, SourceRecord},
    log::Log,
};

/// Longest sleep in `poll`: bounds how late the request to stop is noticed.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// Most records and bytes passed on together, with one commit of offsets for all of them.
const MAX_RECORDS: usize = 500;
const MAX_BYTES: usize = 4 << 20;
/// How long Kafka may take to answer whether the source's topic exists.
const METADATA_TIMEOUT: Duration = Duration::from_secs(10);
/// First and longest wait before another attempt to append to `care`.
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// Why the bridge stops.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    /// Kafka did not answer at the start.
    #[error("kafka did not answer: check --kafka or CLINICWIRE_KAFKA")]
    Unreachable(#[source] KafkaError),
    /// The topic of the source does not exist.
    #[error("kafka has no topic {0}: check --source-topic or CLINICWIRE_SOURCE_TOPIC")]
    Missing(String),
    /// The consumer reported an error after which it does not recover.
    #[error("the consumer failed for good")]
    Fatal(#[source] KafkaError),
    /// The ids of appointments need random bits.
    #[error("the system provides no random bits")]
    Random(#[source] getrandom::Error),
    /// The system started no thread.
    #[error("the thread of the bridge cannot be started")]
    Thread(#[source] std::io::Error),
    /// The thread ended without a result, so it panicked.
    #[error("the bridge's thread is gone")]
    Gone,
}

/// Passes on records until `stop`. Records that are not acknowledged by then are read again by the
/// next member of the group.
///
/// # Errors
/// [`BridgeError`]
pub async fn run(
    cluster: KafkaCluster,
    group: String,
    bridge: Bridge,
    log: Arc<dyn Log>,
    counters: Arc<BridgeCounters>,
    stop: impl Future<Output = ()>,
) -> Result<(), BridgeError> {
    let (stopping, stopped) = watch::channel(());
    let (ends, mut ended) = oneshot::channel();
    let runtime = Handle::current();
    let work = move || {
        let done = SourceReader::join(&cluster, &group, bridge, log, counters, runtime, stopped)
            .and_then(SourceReader::run);
        drop(ends.send(done)); // the receiver is gone when the caller was cancelled
    };
    std::thread::Builder::new()
        .name("kafka-bridge".to_owned())
        .spawn(work)
        .map_err(BridgeError::Thread)?;
    tokio::select! {
        done = &mut ended => return done.unwrap_or(Err(BridgeError::Gone)),
        () = stop => {}
    }
    drop(stopping);
    ended.await.unwrap_or(Err(BridgeError::Gone))
}

struct SourceReader {
    consumer: BaseConsumer<KafkaEvents>,
    bridge: Bridge,
    log: Arc<dyn Log>,
    counters: Arc<BridgeCounters>,
    runtime: Handle,
    /// The sender is dropped to stop the thread.
    stopped: watch::Receiver<()>,
}

/// Records to pass on, and the next offset of each partition after them.
#[derive(Default)]
struct SourceBatch {
    records: Vec<(&'static str, WireRecord)>,
    bytes: usize,
    unreadable: u64,
    next: BTreeMap<i32, i64>,
}

impl SourceReader {
    fn join(
        cluster: &KafkaCluster,
        group: &str,
        bridge: Bridge,
        log: Arc<dyn Log>,
        counters: Arc<BridgeCounters>,
        runtime: Handle,
        stopped: watch::Receiver<()>,
    ) -> Result<Self, BridgeError> {
        let consumer = consumer(cluster, group).map_err(BridgeError::Fatal)?;
        let metadata = consumer
            .fetch_metadata(Some(&bridge.topic), METADATA_TIMEOUT)
            .map_err(BridgeError::Unreachable)?;
        if metadata.topics().iter().all(|topic| topic.partitions().is_empty()) {
            return Err(BridgeError::Missing(bridge.topic));
        }
        consumer.subscribe(&[&bridge.topic]).map_err(BridgeError::Fatal)?;
        Ok(Self { consumer, bridge, log, counters, runtime, stopped })
    }

    fn run(self) -> Result<(), BridgeError> {
        while self.stopped.has_changed().is_ok() {
            let batch = self.gather()?;
            if batch.records.is_empty() {
                continue;
            }
            if !self.runtime.block_on(self.append(&batch.records)) {
                break;
            }
            self.counters
                .commands
                .fetch_add(batch.records.len() as u64 - batch.unreadable, Relaxed);
            self.counters.unreadable.fetch_add(batch.unreadable, Relaxed);
            self.commit(&batch.next);
        }
        Ok(()) // dropping the consumer leaves the group
    }

    /// Waits in the first poll, then takes messages that are there already.
    fn gather(&self) -> Result<SourceBatch, BridgeError> {
        let (mut batch, mut timeout) = (SourceBatch::default(), POLL_TIMEOUT);
        while batch.records.len() < MAX_RECORDS
            && batch.bytes < MAX_BYTES
            && let Some(polled) = self.consumer.poll(timeout)
        {
            timeout = Duration::ZERO;
            match polled {
                Ok(message) => {
                    let source_record = SourceRecord {
                        partition: u32::try_from(message.partition()).unwrap_or_default(),
                        offset: message.offset(),
                        record: wire_record(&message),
                    };
                    batch.next.insert(message.partition(), message.offset() + 1);
                    batch.add(self.bridge.convert(source_record, random_bits()?));
                }
                Err(error @ KafkaError::MessageConsumptionFatal(_)) => {
                    return Err(BridgeError::Fatal(error));
                }
                // The client repairs temporary errors, and joins the group again after an eviction.
                Err(error) => {
                    tracing::warn!(error = &error as &dyn Error, topic = self.bridge.topic, "kafka")
                }
            }
        }
        Ok(batch)
    }

    /// Appends until `care` acknowledges. Returns `false` when stopped before. Repeating is
    /// harmless: a location drops records it has seen, and of one appointment the newest fact
    /// counts.
    async fn append(&self, records: &[(&'static str, WireRecord)]) -> bool {
        let mut delays = ExponentialBuilder::new()
            .with_min_delay(FIRST_DELAY)
            .with_max_delay(LONGEST_DELAY)
            .without_max_times()
            .build();
        let mut stopped = self.stopped.clone();
        loop {
            match self.log.append(records).await {
                Ok(()) => return true,
                Err(error) => tracing::warn!(
                    error = &error as &dyn Error,
                    topic = self.bridge.topic,
                    "records of a source are not acknowledged yet"
                ),
            }
            tokio::select! {
                _ = stopped.changed() => return false,
                () = tokio::time::sleep(delays.next().unwrap_or(LONGEST_DELAY)) => {}
            }
        }
    }

    fn commit(&self, next: &BTreeMap<i32, i64>) {
        let mut offsets = TopicPartitionList::new();
        for (partition, offset) in next {
            if let Err(error) = offsets.add_partition_offset(
                &self.bridge.topic,
                *partition,
                Offset::Offset(*offset),
            ) {
                tracing::error!(
                    error = &error as &dyn Error,
                    partition,
                    "an offset to commit is invalid"
                );
            }
        }
        // Records without a commit are read again, by this member or the partition's next owner.
        if let Err(error) = self.consumer.commit(&offsets, CommitMode::Sync) {
            tracing::warn!(
                error = &error as &dyn Error,
                topic = self.bridge.topic,
                "offsets could not be committed: their records will be read again"
            );
        }
    }
}

impl SourceBatch {
    fn add(&mut self, bridged: BridgedRecord) {
        let record = match bridged {
            BridgedRecord::Command(record) => record,
            BridgedRecord::Unreadable(record, code) => {
                self.unreadable += 1;
                tracing::warn!(%code, "a record of the source cannot be read and is parked");
                record
            }
        };
        self.bytes += record.value.len();
        self.records.push((CARE_TOPIC, record));
    }
}

fn consumer(cluster: &KafkaCluster, group: &str) -> KafkaResult<BaseConsumer<KafkaEvents>> {
    cluster
        .client_config()
        .set("group.id", group)
        .set("partition.assignment.strategy", "range")
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "1500")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // A new group reads the whole topic: a location drops stale facts, but nothing sends
        // missing facts again.
        .set("auto.offset.reset", "earliest")
        .set("check.crcs", "true")
        .set("queued.min.messages", "2000")
        .set("queued.max.messages.kbytes", "16384")
        .create_with_context(KafkaEvents::LeaveErrors)
}

fn random_bits() -> Result<u128, BridgeError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(BridgeError::Random)?;
    Ok(u128::from_ne_bytes(bytes))
}
