//! The bridge on Kafka: a member of a group of its own reads the source's topic, and its offsets are committed only once
//! `care` has acknowledged what they stand for. So nothing is lost, and what is read again is dropped by its id.

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
use tokio::{
    runtime::Handle,
    sync::{oneshot, watch},
};

use super::kafka::{KafkaEvents, KafkaSettings, reader};
use crate::{
    bridge::{Bridge, BridgeCounters, BridgedRecord, SourceRecord},
    log::Log,
};

/// Longest sleep in `poll`: bounds how late the end is noticed.
const POLL: Duration = Duration::from_millis(100);
/// Records and bytes passed on together at most: one acknowledgement and one commit for all of them.
const RECORDS: usize = 500;
const BYTES: usize = 4 << 20;
/// How long Kafka may take to say whether the source's topic is there.
const PATIENCE: Duration = Duration::from_secs(10);
/// First and longest wait before `care` is written to again.
const FIRST_DELAY: Duration = Duration::from_millis(50);
const LONGEST_DELAY: Duration = Duration::from_secs(5);

/// Why the bridge cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum BridgeError {
    #[error("kafka did not answer: check --kafka or CLINICWIRE_KAFKA")]
    Unreachable(#[source] KafkaError),
    #[error("kafka has no topic {0}: check --source-topic or CLINICWIRE_SOURCE_TOPIC")]
    Missing(String),
    #[error("the consumer failed for good")]
    Fatal(#[source] KafkaError),
    #[error("the system gives no random bits")]
    Random(#[source] getrandom::Error),
    #[error("no thread can be started for the bridge")]
    Thread(#[source] std::io::Error),
    #[error("the bridge's thread is gone")]
    Gone,
}

/// Passes on records until `stop`. What was read and is not acknowledged by then is read again by whoever is next.
///
/// # Errors
/// [`BridgeError`] says what to do.
pub async fn run(
    settings: KafkaSettings,
    bridge: Bridge,
    log: Arc<dyn Log>,
    counters: Arc<BridgeCounters>,
    stop: impl Future<Output = ()>,
) -> Result<(), BridgeError> {
    let (stopping, stopped) = watch::channel(());
    let (ends, mut ended) = oneshot::channel();
    let runtime = Handle::current();
    let work = move || {
        let done = Upstream::join(&settings, bridge, log, counters, runtime, stopped)
            .and_then(Upstream::run);
        drop(ends.send(done)); // who no longer waits has given up on this thread
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

struct Upstream {
    consumer: BaseConsumer<KafkaEvents>,
    bridge: Bridge,
    log: Arc<dyn Log>,
    counters: Arc<BridgeCounters>,
    runtime: Handle,
    /// Its sender is dropped to stop.
    stopped: watch::Receiver<()>,
}

/// Records to pass on, and where each partition goes on after them.
#[derive(Default)]
struct Gathered {
    records: Vec<(&'static str, WireRecord)>,
    bytes: usize,
    unreadable: u64,
    next: BTreeMap<i32, i64>,
}

impl Upstream {
    fn join(
        settings: &KafkaSettings,
        bridge: Bridge,
        log: Arc<dyn Log>,
        counters: Arc<BridgeCounters>,
        runtime: Handle,
        stopped: watch::Receiver<()>,
    ) -> Result<Self, BridgeError> {
        let consumer = consumer(settings).map_err(BridgeError::Fatal)?;
        let metadata = consumer
            .fetch_metadata(Some(&bridge.topic), PATIENCE)
            .map_err(BridgeError::Unreachable)?;
        if metadata.topics().iter().all(|topic| topic.partitions().is_empty()) {
            return Err(BridgeError::Missing(bridge.topic));
        }
        consumer.subscribe(&[&bridge.topic]).map_err(BridgeError::Fatal)?;
        Ok(Self { consumer, bridge, log, counters, runtime, stopped })
    }

    fn run(self) -> Result<(), BridgeError> {
        while self.stopped.has_changed().is_ok() {
            let gathered = self.gather()?;
            if gathered.records.is_empty() {
                continue;
            }
            if !self.runtime.block_on(self.append(&gathered.records)) {
                break;
            }
            self.counters
                .commands
                .fetch_add(gathered.records.len() as u64 - gathered.unreadable, Relaxed);
            self.counters.unreadable.fetch_add(gathered.unreadable, Relaxed);
            self.commit(&gathered.next);
        }
        Ok(()) // dropping the consumer leaves the group
    }

    /// Polls once with patience, then takes what is there already.
    fn gather(&self) -> Result<Gathered, BridgeError> {
        let (mut gathered, mut patience) = (Gathered::default(), POLL);
        while gathered.records.len() < RECORDS
            && gathered.bytes < BYTES
            && let Some(polled) = self.consumer.poll(patience)
        {
            patience = Duration::ZERO;
            match polled {
                Ok(message) => {
                    let told = SourceRecord {
                        partition: u32::try_from(message.partition()).unwrap_or_default(),
                        offset: message.offset(),
                        record: reader::wire_record(&message),
                    };
                    gathered.next.insert(message.partition(), message.offset() + 1);
                    gathered.add(self.bridge.convert(told, random_bits()?));
                }
                Err(error @ KafkaError::MessageConsumptionFatal(_)) => {
                    return Err(BridgeError::Fatal(error));
                }
                // The client mends what passes, and joins the group again if it was put out.
                Err(error) => {
                    tracing::warn!(error = &error as &dyn Error, topic = self.bridge.topic, "kafka")
                }
            }
        }
        Ok(gathered)
    }

    /// Appends until `care` acknowledges; `false` when stopped before that. Again is harmless: a location drops what it has
    /// seen, and of the same appointment the newest fact counts.
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
                tracing::error!(error = &error as &dyn Error, partition, "not an offset to commit");
            }
        }
        // Not committed means read again, by us or by whoever the group gave the partition to.
        if let Err(error) = self.consumer.commit(&offsets, CommitMode::Sync) {
            tracing::warn!(
                error = &error as &dyn Error,
                topic = self.bridge.topic,
                "offsets could not be committed: their records will be read again"
            );
        }
    }
}

impl Gathered {
    fn add(&mut self, passed: BridgedRecord) {
        let record = match passed {
            BridgedRecord::Command(record) => record,
            BridgedRecord::Unreadable(record, code) => {
                self.unreadable += 1;
                tracing::warn!(%code, "a record of the source cannot be read and is set aside");
                record
            }
        };
        self.bytes += record.value.len();
        self.records.push((CARE_TOPIC, record));
    }
}

fn consumer(settings: &KafkaSettings) -> KafkaResult<BaseConsumer<KafkaEvents>> {
    settings
        .client()
        .set("group.id", &settings.group)
        .set("partition.assignment.strategy", "range")
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "1500")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // A new group begins with all there is: what is old is stale to a location, what is missing nobody tells again.
        .set("auto.offset.reset", "earliest")
        .set("check.crcs", "true")
        .set("queued.min.messages", "2000")
        .set("queued.max.messages.kbytes", "16384")
        .create_with_context(KafkaEvents)
}

fn random_bits() -> Result<u128, BridgeError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(BridgeError::Random)?;
    Ok(u128::from_ne_bytes(bytes))
}
