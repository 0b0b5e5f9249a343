//! The bridge on Kafka: a member of a consumer group reads the source's topic. Its offsets are
//! committed only after `care` has acknowledged the records. So nothing is lost, and records that
//! are read twice are dropped by their id.

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed},
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder};
use rdkafka::{
    ClientContext, Message, Offset, Statistics, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext},
    error::{KafkaError, KafkaResult},
};
use schemas::{
    log::{LogOffset, PartitionId},
    record::{CARE_TOPIC, WireRecord},
};
use servers::kafka::{
    ClientStatus, KafkaCluster, KafkaEvents, Membership, Pulse, STATISTICS_INTERVAL_MS, Watchdog,
    WatchdogLimits, dispose, log_error, wire_record,
};
use tokio::{
    runtime::Handle,
    sync::{oneshot, watch},
};

use crate::{
    bridge::{Bridge, BridgeCounters, BridgedRecord, SourceRecord},
    log::Log,
    tenants::Tenants,
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
/// A member is silent while it joins its group, and joining waits for members that died: they are
/// noticed after six seconds. After a stall, a working member has joined again within the same
/// time.
const LIMITS: WatchdogLimits =
    WatchdogLimits { silence: Duration::from_secs(12), recovery: Duration::from_secs(8) };

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

/// The status of the consumer of a source.
pub fn reader_status() -> ClientStatus {
    ClientStatus::new("source_reader", "the topic of the source could not be read")
}

/// Passes on records until `stop`. Records that are not acknowledged by then are read again by the
/// next member of the group.
///
/// # Errors
/// [`BridgeError`]
pub async fn run(
    cluster: KafkaCluster,
    group: String,
    parts: BridgeParts,
    stop: impl Future<Output = ()>,
) -> Result<(), BridgeError> {
    let (stopping, stopped) = watch::channel(());
    let (ends, mut ended) = oneshot::channel();
    let runtime = Handle::current();
    let work = move || {
        let context = BridgeContext { parts, runtime, stopped };
        let done = read(&cluster, &group, &context);
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

/// What a bridge is made of.
pub struct BridgeParts {
    /// Converts the records.
    pub bridge: Bridge,
    /// Takes the records.
    pub log: Arc<dyn Log>,
    /// Counts the records.
    pub counters: Arc<BridgeCounters>,
    /// The status of the consumer.
    pub status: Arc<ClientStatus>,
    /// The tenants. While that of the bridge is suspended, its topic is not read.
    pub tenants: Arc<Tenants>,
}

/// The context that the consumers of a bridge share, one after the other.
struct BridgeContext {
    parts: BridgeParts,
    runtime: Handle,
    /// The sender is dropped to stop the thread.
    stopped: watch::Receiver<()>,
}

impl BridgeContext {
    fn is_stopped(&self) -> bool {
        self.stopped.has_changed().is_err()
    }

    /// Whether the records of the source must wait, because their tenant is suspended.
    fn must_rest(&self) -> bool {
        self.parts.tenants.now().is_suspended(&self.parts.bridge.tenant)
    }

    /// Waits until the tenant is served or the bridge is stopped.
    fn rest(&self) {
        let mut stopped = self.stopped.clone();
        self.runtime.block_on(async {
            tokio::select! {
                () = self.parts.tenants.wait_until_served(&self.parts.bridge.tenant) => {}
                _ = stopped.changed() => {}
            }
        });
    }
}

/// Reads the source until the bridge is stopped. A consumer that makes no progress is replaced; its
/// successor reads again what was not committed.
fn read(cluster: &KafkaCluster, group: &str, context: &BridgeContext) -> Result<(), BridgeError> {
    let BridgeParts { bridge, status, .. } = &context.parts;
    let mut watchdog = Watchdog::new(cluster, Arc::clone(status), LIMITS);
    check_topic(cluster, &bridge.topic)?;
    let mut done = Ok(());
    while done.is_ok() {
        status.rest();
        context.rest();
        if context.is_stopped() {
            break;
        }
        status.expect_progress();
        let consumer = consumer(cluster, group, status).map_err(BridgeError::Fatal)?;
        consumer.subscribe(&[&bridge.topic]).map_err(BridgeError::Fatal)?;
        let reader = SourceReader { consumer, context };
        done = reader.run(&mut watchdog);
        let consumer = reader.consumer;
        if context.is_stopped() || context.must_rest() {
            drop(consumer); // sends the last commit and leaves the group
        } else {
            dispose(move || drop(consumer));
        }
    }
    status.rest();
    done
}

/// Asks for the topic through a consumer of its own: a request during a stall can wedge a client.
fn check_topic(cluster: &KafkaCluster, topic: &str) -> Result<(), BridgeError> {
    let consumer: BaseConsumer<KafkaEvents> = cluster
        .client_config()
        .create_with_context(KafkaEvents::LeaveErrors)
        .map_err(BridgeError::Fatal)?;
    let metadata =
        consumer.fetch_metadata(Some(topic), METADATA_TIMEOUT).map_err(BridgeError::Unreachable)?;
    if metadata.topics().iter().all(|topic| topic.partitions().is_empty()) {
        return Err(BridgeError::Missing(topic.to_owned()));
    }
    Ok(())
}

struct SourceReader<'a> {
    consumer: BaseConsumer<SourceMember>,
    context: &'a BridgeContext,
}

/// Records to pass on, and the next offset of each partition after them.
#[derive(Default)]
struct SourceBatch {
    records: Vec<(&'static str, WireRecord)>,
    bytes: usize,
    unreadable: u64,
    next: BTreeMap<PartitionId, LogOffset>,
}

impl SourceReader<'_> {
    /// Runs until the bridge is stopped or must rest, or the consumer makes no progress.
    fn run(&self, watchdog: &mut Watchdog) -> Result<(), BridgeError> {
        let BridgeContext { parts, runtime, .. } = self.context;
        let counters = &parts.counters;
        let goes_on = || !self.context.is_stopped() && !self.context.must_rest();
        while goes_on() && !watchdog.must_replace() {
            let batch = self.gather()?;
            if batch.records.is_empty() {
                continue;
            }
            if !runtime.block_on(self.append(&batch.records)) {
                break;
            }
            counters.commands.fetch_add(batch.records.len() as u64 - batch.unreadable, Relaxed);
            counters.unreadable.fetch_add(batch.unreadable, Relaxed);
            self.commit(&batch.next);
        }
        Ok(())
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
                        partition: PartitionId::from_kafka(message.partition()),
                        offset: LogOffset(message.offset()),
                        record: wire_record(&message),
                    };
                    batch.next.insert(source_record.partition, source_record.offset.next());
                    batch.add(self.context.parts.bridge.convert(source_record, random_bits()?));
                }
                Err(error @ KafkaError::MessageConsumptionFatal(_)) => {
                    return Err(BridgeError::Fatal(error));
                }
                // The client repairs temporary errors, and joins the group again after an eviction.
                Err(error) => log_error(&error, "while reading the source"),
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
        let mut stopped = self.context.stopped.clone();
        loop {
            match self.context.parts.log.append(records).await {
                Ok(()) => return true,
                Err(error) => tracing::warn!(
                    error = &error as &dyn Error,
                    topic = self.context.parts.bridge.topic,
                    "records of a source are not acknowledged yet"
                ),
            }
            tokio::select! {
                _ = stopped.changed() => return false,
                () = tokio::time::sleep(delays.next().unwrap_or(LONGEST_DELAY)) => {}
            }
        }
    }

    fn commit(&self, next: &BTreeMap<PartitionId, LogOffset>) {
        let mut offsets = TopicPartitionList::new();
        for (partition, offset) in next {
            if let Err(error) = offsets.add_partition_offset(
                &self.context.parts.bridge.topic,
                partition.to_kafka(),
                Offset::Offset(offset.0),
            ) {
                tracing::error!(
                    error = &error as &dyn Error,
                    %partition,
                    "an offset to commit is invalid"
                );
            }
        }
        // Records without a commit are read again, by this member or the partition's next owner.
        // Waiting for the answer could take for ever.
        if let Err(error) = self.consumer.commit(&offsets, CommitMode::Async) {
            tracing::warn!(
                error = &error as &dyn Error,
                topic = self.context.parts.bridge.topic,
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

/// Notes the progress of a consumer.
struct SourceMember {
    status: Arc<ClientStatus>,
    pulse: Mutex<Pulse>,
}

impl ClientContext for SourceMember {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        KafkaEvents::LeaveErrors.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        KafkaEvents::LeaveErrors.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        let mut pulse = self.pulse.lock().unwrap_or_else(PoisonError::into_inner);
        if pulse.has_progress(&statistics, Membership::Group, |_| false) {
            self.status.progressed();
        }
    }
}

impl ConsumerContext for SourceMember {
    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        if let Err(error) = result {
            log_error(&error, "offsets were not committed: their records will be read again");
        }
    }
}

fn consumer(
    cluster: &KafkaCluster,
    group: &str,
    status: &Arc<ClientStatus>,
) -> KafkaResult<BaseConsumer<SourceMember>> {
    let member = SourceMember { status: Arc::clone(status), pulse: Mutex::default() };
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
        .set("statistics.interval.ms", STATISTICS_INTERVAL_MS)
        .set("queued.min.messages", "2000")
        .set("queued.max.messages.kbytes", "16384")
        .create_with_context(member)
}

fn random_bits() -> Result<u128, BridgeError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(BridgeError::Random)?;
    Ok(u128::from_ne_bytes(bytes))
}
