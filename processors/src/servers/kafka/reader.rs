//! The reader's thread: a member of the group that polls, hands records over in batches, and asks the runner for the
//! offsets of what the group assigns. Its offsets come from the ledger alone; nothing is committed to Kafka.
//!
//! The group's protocol is the classic one with eager rebalances: each takes everything away and gives it anew, so that
//! the callback has two cases and neither depends on what was before. `poll` runs the callback on this thread.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, Message, Offset, Timestamp, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::{BorrowedMessage, Headers},
    types::RDKafkaRespErr,
};
use schemas::record::WireRecord;
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
    time::error::Elapsed,
};

use super::KafkaSettings;
use crate::log::{LogEvent, LogRecord};

/// Longest sleep in `poll`: bounds how late a release or the end of the runner is noticed.
const POLL: Duration = Duration::from_millis(100);
/// Records and bytes handed over together at most: about one transaction of the runner.
const RECORDS: usize = 500;
const BYTES: usize = 4 << 20;
/// How long the runner may take to answer an assignment or a revocation. It does one thing at a time and may be in the
/// midst of a batch on a slow ledger. Well below `max.poll.interval.ms`, past which the group takes us for dead.
const ANSWER: Duration = Duration::from_secs(20);
/// How long full inputs are waited for before partitions are paused and polling goes on without records.
const ROOM: Duration = Duration::from_secs(5);
/// First and longest wait before the group is joined again for partitions that could not be claimed.
const REJOIN: Duration = Duration::from_secs(1);
const REJOIN_MAX: Duration = Duration::from_secs(30);

/// Partitions the runner gave back: none of their records is handed over until the group assigns them again.
#[derive(Default)]
pub(super) struct Released(Mutex<BTreeSet<u32>>);

impl Released {
    pub(super) fn insert(&self, partition: u32) {
        self.lock().insert(partition);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reader cannot go on: what it read, or was told, is not what a processor may build on.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error(
        "partition {0} carries records without LogAppendTime: set message.timestamp.type=LogAppendTime on the topic"
    )]
    Timestamp(i32),
    #[error(
        "the ledger's offset is not in the log any more: the topic was truncated or made anew, or retention overtook the processors"
    )]
    OffsetGone,
    #[error("the consumer failed for good")]
    Fatal(#[source] KafkaError),
}

pub(super) struct Reader {
    consumer: BaseConsumer<Member>,
    topic: String,
}

impl Reader {
    pub(super) fn join(
        settings: &KafkaSettings,
        partition_count: u32,
        inputs: mpsc::Sender<LogEvent>,
        released: Arc<Released>,
        runtime: Handle,
    ) -> KafkaResult<Self> {
        let topic = settings.topics.named(settings.reads).to_owned();
        let member = Member { partition_count, inputs, released, runtime, state: Mutex::default() };
        let consumer: BaseConsumer<Member> = config(settings).create_with_context(member)?;
        consumer.subscribe(&[&topic])?;
        Ok(Self { consumer, topic })
    }

    /// Runs until the runner drops its inputs, or until the log cannot be trusted.
    pub(super) fn run(self) {
        let member = Arc::clone(self.consumer.context());
        while !member.inputs.is_closed() {
            self.rejoin_if_due();
            if let Err(stop) = self.gather() {
                tracing::error!(
                    error = &stop as &dyn std::error::Error,
                    topic = self.topic,
                    "reading stops"
                );
                break;
            }
            let paused = member.state().paused;
            let stuck = !member.hand_over(if paused { Duration::ZERO } else { ROOM });
            if stuck != paused {
                self.pause(stuck);
            }
        }
        // Dropping the consumer takes part in the last revocation and leaves the group.
    }

    /// Polls once with patience, then takes what is there already.
    fn gather(&self) -> Result<(), Stop> {
        let mut patience = POLL;
        while let Some(polled) = self.consumer.poll(patience) {
            match polled {
                Ok(message) => {
                    if self.consumer.context().keep(&message)? {
                        break;
                    }
                }
                Err(error) => judge(error)?,
            }
            patience = Duration::ZERO;
        }
        Ok(())
    }

    fn rejoin_if_due(&self) {
        let member = self.consumer.context();
        if member.rejoin_due() {
            tracing::info!(topic = self.topic, "joining the group again");
            self.consumer.unsubscribe();
            if let Err(error) = self.consumer.subscribe(&[&self.topic]) {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the topic cannot be subscribed to"
                );
            }
        }
    }

    fn pause(&self, paused: bool) {
        self.consumer.context().state().paused = paused;
        let assigned = self.consumer.assignment();
        let done = assigned.and_then(|all| {
            if paused { self.consumer.pause(&all) } else { self.consumer.resume(&all) }
        });
        tracing::warn!(paused, "the runner's inputs are full, or have room again");
        if let Err(error) = done {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "partitions could not be paused or resumed"
            );
        }
    }
}

fn config(settings: &KafkaSettings) -> rdkafka::ClientConfig {
    let mut config = settings.client();
    config
        .set("group.id", &settings.group)
        .set("partition.assignment.strategy", "range")
        // A killed member is missed after 6 s, the least brokers allow; heartbeats do not wait for us.
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "1500")
        .set("max.poll.interval.ms", "60000")
        // Offsets live in the ledger: without one, or with one that the log lacks, nothing is guessed.
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("check.crcs", "true")
        .set("fetch.wait.max.ms", "50")
        .set("fetch.queue.backoff.ms", "10")
        .set("fetch.error.backoff.ms", "50")
        .set("queued.min.messages", "2000")
        .set("queued.max.messages.kbytes", "16384");
    if let Some(instance) = &settings.instance {
        config.set("group.instance.id", instance);
    }
    config
}

/// What an error of `poll` means: most are passing, and the client mends them.
fn judge(error: KafkaError) -> Result<(), Stop> {
    match error {
        KafkaError::MessageConsumptionFatal(_) => Err(Stop::Fatal(error)),
        KafkaError::MessageConsumption(
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
        ) => Err(Stop::OffsetGone),
        error if error.rdkafka_error_code().is_some_and(is_connection) => {
            super::faint(&error, "while polling");
            Ok(())
        }
        error => {
            tracing::warn!(error = &error as &dyn std::error::Error, "kafka");
            Ok(())
        }
    }
}

fn is_connection(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, OperationTimedOut, Resolve};
    matches!(code, AllBrokersDown | BrokerTransportFailure | OperationTimedOut | Resolve)
}

/// The consumer's context: what the callback and the loop share.
struct Member {
    partition_count: u32,
    inputs: mpsc::Sender<LogEvent>,
    released: Arc<Released>,
    runtime: Handle,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Read and not handed over yet, by partition.
    pending: BTreeMap<u32, Vec<LogRecord>>,
    records: usize,
    bytes: usize,
    /// The runner's inputs are full: what is assigned is polled, and yields no records. An assignment begins unpaused.
    paused: bool,
    rejoin_at: Option<Instant>,
    /// Assignments in a row that were not claimed as a whole.
    failures: u32,
}

impl State {
    /// Whoever is assigned next reads them again. What was to be claimed anew will be assigned anyway.
    fn forget_records(&mut self) {
        let failures = self.failures;
        *self = Self { failures, ..Self::default() };
    }
}

impl Member {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a record to be handed over. Answers whether there are enough.
    fn keep(&self, message: &BorrowedMessage<'_>) -> Result<bool, Stop> {
        let Timestamp::LogAppendTime(at) = message.timestamp() else {
            return Err(Stop::Timestamp(message.partition()));
        };
        let record = wire_record(message);
        let mut state = self.state();
        state.records += 1;
        state.bytes += record.value.len();
        let partition = state.pending.entry(unsigned(message.partition())).or_default();
        partition.push(LogRecord { offset: message.offset(), at, record });
        Ok(state.records >= RECORDS || state.bytes >= BYTES)
    }

    /// Hands over what was read, waiting up to `patience` for room. Answers whether all of it went.
    fn hand_over(&self, patience: Duration) -> bool {
        loop {
            let next = self.state().pending.pop_first();
            let Some((partition, records)) = next else { break };
            if self.released.lock().contains(&partition) {
                continue;
            }
            let room = self.within(patience, self.inputs.reserve());
            match room {
                Ok(Ok(permit)) => permit.send(LogEvent::Records {
                    partition,
                    partition_count: self.partition_count,
                    records,
                }),
                Ok(Err(_)) => return true, // nobody listens any more: the loop ends
                Err(_) => {
                    self.state().pending.insert(partition, records);
                    return false;
                }
            }
        }
        let mut state = self.state();
        (state.records, state.bytes) = (0, 0);
        true
    }

    /// Whether to join again now: for what could not be claimed, or was given back.
    fn rejoin_due(&self) -> bool {
        let mut state = self.state();
        if state.rejoin_at.is_none() && !self.released.lock().is_empty() {
            state.rejoin_at = Some(Instant::now() + REJOIN);
        }
        let due = state.rejoin_at.is_some_and(|at| at <= Instant::now());
        if due {
            state.rejoin_at = None;
        }
        due
    }

    /// Waits on this thread for what happens on the runtime's.
    fn within<T>(
        &self,
        patience: Duration,
        happening: impl Future<Output = T>,
    ) -> Result<T, Elapsed> {
        // The timer must be made within the runtime.
        self.runtime.block_on(async { tokio::time::timeout(patience, happening).await })
    }

    /// Sends an input and waits for its answer, both together for [`ANSWER`] at most.
    fn ask<T>(&self, input: LogEvent, answer: oneshot::Receiver<T>) -> Option<T> {
        let asked = async {
            self.inputs.send(input).await.ok()?;
            answer.await.ok()
        };
        self.within(ANSWER, asked).ok().flatten()
    }

    /// Everything is taken away: what was read and not handed over is somebody else's to read.
    fn revoked(&self, partitions: Vec<u32>) {
        self.state().forget_records();
        self.released.lock().clear();
        let (done, answer) = oneshot::channel();
        if self.ask(LogEvent::Revoked { partitions, done }, answer).is_none()
            && !self.inputs.is_closed()
        {
            tracing::warn!(
                "the runner did not drop revoked partitions in time; the ledger fences them"
            );
        }
    }

    /// The offsets to read from, of as many partitions as could be claimed.
    fn claimed(&self, partitions: &[u32]) -> Vec<(u32, i64)> {
        self.released.lock().clear();
        let (claims, answer) = oneshot::channel();
        let input = LogEvent::Assigned {
            partitions: partitions.to_vec(),
            partition_count: self.partition_count,
            claims,
        };
        let mut offsets = self.ask(input, answer).unwrap_or_default();
        offsets.retain(|(partition, _)| partitions.contains(partition));
        let mut state = self.state();
        if offsets.len() == partitions.len() {
            state.failures = 0;
        } else if !self.inputs.is_closed() {
            let wait = REJOIN.saturating_mul(1 << state.failures.min(5)).min(REJOIN_MAX);
            tracing::warn!(
                missing = partitions.len() - offsets.len(),
                ?wait,
                "partitions could not be claimed"
            );
            state.failures += 1;
            state.rejoin_at = Some(Instant::now() + wait);
        }
        offsets
    }
}

impl ClientContext for Member {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        super::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        super::faint(&error, reason);
    }
}

impl ConsumerContext for Member {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let elements = list.elements();
        let partitions: Vec<u32> =
            elements.iter().map(|element| unsigned(element.partition())).collect();
        let done = if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let topic =
                elements.first().map(|element| element.topic().to_owned()).unwrap_or_default();
            let mut assignment = TopicPartitionList::new();
            for (partition, offset) in self.claimed(&partitions) {
                let partition = i32::try_from(partition).unwrap_or(i32::MAX);
                if let Err(error) =
                    assignment.add_partition_offset(&topic, partition, Offset::Offset(offset))
                {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        partition,
                        "not an offset to read from"
                    );
                }
            }
            tracing::info!(partitions = assignment.count(), "partitions assigned");
            consumer.assign(&assignment)
        } else {
            self.revoked(partitions);
            tracing::info!("partitions revoked");
            consumer.unassign()
        };
        if let Err(error) = done {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "an assignment could not be changed"
            );
        }
    }
}

fn unsigned(partition: i32) -> u32 {
    u32::try_from(partition).unwrap_or_default()
}

/// A record's key and headers are text by contract. What is not is replaced by marks that no id and no type contains, so
/// that reading it as a command parks it.
pub(in crate::servers) fn wire_record(message: &BorrowedMessage<'_>) -> WireRecord {
    let text =
        |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    WireRecord {
        key: text(message.key()),
        headers: headers.map(|header| (header.key.to_owned(), text(header.value))).collect(),
        value: bytes::Bytes::copy_from_slice(message.payload().unwrap_or_default()),
    }
}
