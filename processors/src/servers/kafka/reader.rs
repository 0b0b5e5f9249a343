//! The reader's thread: a member of a consumer group that polls, hands records over in batches, and
//! asks the runner for the offsets of assigned partitions. Offsets come from the ledger alone;
//! nothing is committed to Kafka.
//!
//! The group uses the classic protocol with eager rebalances: each rebalance revokes all partitions
//! and assigns them again, so that the callback has two cases and neither depends on earlier state.
//! `poll` runs the callback on this thread.

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
    message::BorrowedMessage,
    types::RDKafkaRespErr,
};
use servers::kafka::{KafkaCluster, log_event, log_passing_error, wire_record};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
    time::error::Elapsed,
};

use super::ReaderSettings;
use crate::log::{LogEvent, LogOffset, LogRecord, PartitionId};

/// Longest sleep in `poll`: bounds how late a release or the end of the runner is noticed.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// The same while a partition is paused, since it may be resumed at any moment.
const PAUSED_POLL_TIMEOUT: Duration = Duration::from_millis(10);
/// Most records and bytes handed over together: about one transaction of the runner.
const MAX_RECORDS: usize = 500;
const MAX_BYTES: usize = 4 << 20;
/// How long the runner may take to answer an assignment or a revocation. It may be in the middle of
/// a batch on a slow ledger. Well below `max.poll.interval.ms`, past which the group takes this
/// member for dead.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the reader waits for room in the channel before it pauses the partitions and polls
/// without records.
const ROOM_TIMEOUT: Duration = Duration::from_secs(5);
/// First and longest wait before the member joins again for partitions that could not be claimed.
const REJOIN: Duration = Duration::from_secs(1);
const REJOIN_MAX: Duration = Duration::from_secs(30);

/// Partitions that the runner released. Their records are not handed over until the group assigns
/// them again.
#[derive(Default)]
pub(super) struct ReleasedPartitions(Mutex<BTreeSet<PartitionId>>);

impl ReleasedPartitions {
    pub(super) fn insert(&self, partition: PartitionId) {
        self.lock().insert(partition);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<PartitionId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Partitions that the runner has paused, because many of their records wait there.
#[derive(Default)]
pub(super) struct PausedPartitions(Mutex<BTreeSet<PartitionId>>);

impl PausedPartitions {
    pub(super) fn set(&self, partition: PartitionId, paused: bool) {
        let mut all = self.lock();
        if paused {
            all.insert(partition);
        } else {
            all.remove(&partition);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<PartitionId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why the reader stops: a processor cannot rely on the records any more.
#[derive(Debug, thiserror::Error)]
enum ReaderStop {
    #[error(
        "partition {0} has records without LogAppendTime: set message.timestamp.type=LogAppendTime \
         on the topic"
    )]
    Timestamp(i32),
    #[error(
        "the log no longer holds the ledger's offset: the topic was truncated or created again, or \
         the retention is shorter than the processors' delay"
    )]
    OffsetGone,
    #[error("the consumer failed for good")]
    Fatal(#[source] KafkaError),
}

pub(super) struct Reader {
    consumer: BaseConsumer<GroupMember>,
    topic: String,
}

impl Reader {
    pub(super) fn join(
        cluster: &KafkaCluster,
        settings: &ReaderSettings,
        partition_count: u32,
        events: mpsc::Sender<LogEvent>,
        (released, paused): (Arc<ReleasedPartitions>, Arc<PausedPartitions>),
        runtime: Handle,
    ) -> KafkaResult<Self> {
        let topic = cluster.topics.name(settings.topic).to_owned();
        let member = GroupMember {
            partition_count,
            events,
            released,
            paused,
            runtime,
            state: Mutex::default(),
        };
        let consumer: BaseConsumer<GroupMember> =
            config(cluster, settings).create_with_context(member)?;
        consumer.subscribe(&[&topic])?;
        Ok(Self { consumer, topic })
    }

    /// Runs until the receiver of events is dropped, or until the log cannot be trusted.
    pub(super) fn run(self) {
        let member = Arc::clone(self.consumer.context());
        while !member.events.is_closed() {
            self.rejoin_if_due();
            self.apply_pauses();
            if let Err(stop) = self.gather() {
                tracing::error!(
                    error = &stop as &dyn std::error::Error,
                    topic = self.topic,
                    "reading stops"
                );
                break;
            }
            let paused = member.state().paused;
            let stuck = !member.hand_over(if paused { Duration::ZERO } else { ROOM_TIMEOUT });
            if stuck != paused {
                self.pause(stuck);
            }
        }
        // Dropping the consumer handles the last revocation and leaves the group.
    }

    /// Waits in the first poll, then takes messages that are there already.
    fn gather(&self) -> Result<(), ReaderStop> {
        let resumable = !self.consumer.context().state().paused_partitions.is_empty();
        let mut timeout = if resumable { PAUSED_POLL_TIMEOUT } else { POLL_TIMEOUT };
        while let Some(polled) = self.consumer.poll(timeout) {
            match polled {
                Ok(message) => {
                    if self.consumer.context().keep(&message)? {
                        break;
                    }
                }
                Err(error) => check_error(error)?,
            }
            timeout = Duration::ZERO;
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

    /// Pauses and resumes single partitions as the runner asks.
    fn apply_pauses(&self) {
        let member = self.consumer.context();
        let wanted = member.paused.lock().clone();
        let mut state = member.state();
        if state.paused || wanted == state.paused_partitions {
            return;
        }
        let listed = |partitions: Vec<&PartitionId>| {
            let mut list = TopicPartitionList::new();
            for partition in partitions {
                list.add_partition(&self.topic, i32::try_from(partition.0).unwrap_or(i32::MAX));
            }
            list
        };
        let pausing = listed(wanted.difference(&state.paused_partitions).collect());
        let resuming = listed(state.paused_partitions.difference(&wanted).collect());
        state.paused_partitions = wanted;
        drop(state);
        let paused = self.consumer.pause(&pausing);
        log_unless_paused(paused.and(self.consumer.resume(&resuming)));
    }

    /// Pauses or resumes all partitions that the runner has not paused.
    fn pause(&self, paused: bool) {
        let mut state = self.consumer.context().state();
        state.paused = paused;
        // Those that the runner paused are paused again after all are resumed.
        state.paused_partitions.clear();
        drop(state);
        let assigned = self.consumer.assignment();
        let done = assigned.and_then(|all| {
            if paused { self.consumer.pause(&all) } else { self.consumer.resume(&all) }
        });
        tracing::warn!(paused, "the runner's channel is full, or has room again");
        log_unless_paused(done);
    }
}

fn log_unless_paused(done: KafkaResult<()>) {
    if let Err(error) = done {
        tracing::warn!(
            error = &error as &dyn std::error::Error,
            "partitions could not be paused or resumed"
        );
    }
}

fn config(cluster: &KafkaCluster, settings: &ReaderSettings) -> rdkafka::ClientConfig {
    let mut config = cluster.client_config();
    config
        .set("group.id", &settings.group)
        .set("partition.assignment.strategy", "range")
        // A killed member is noticed after 6 s, the least that brokers allow. Heartbeats come from
        // a thread of librdkafka.
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "1500")
        .set("max.poll.interval.ms", "60000")
        // Offsets come from the ledger. One that the log does not hold is an error.
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

/// Decides whether an error of `poll` is final. The client repairs most of them.
fn check_error(error: KafkaError) -> Result<(), ReaderStop> {
    match error {
        KafkaError::MessageConsumptionFatal(_) => Err(ReaderStop::Fatal(error)),
        KafkaError::MessageConsumption(
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
        ) => Err(ReaderStop::OffsetGone),
        error if error.rdkafka_error_code().is_some_and(is_connection) => {
            log_passing_error(&error, "while polling");
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

/// The consumer's context: the state that the rebalance callback and the loop share.
struct GroupMember {
    partition_count: u32,
    events: mpsc::Sender<LogEvent>,
    released: Arc<ReleasedPartitions>,
    paused: Arc<PausedPartitions>,
    runtime: Handle,
    state: Mutex<ReadState>,
}

#[derive(Default)]
struct ReadState {
    /// Records read and not handed over yet, by partition.
    pending: BTreeMap<PartitionId, Vec<LogRecord>>,
    records: usize,
    bytes: usize,
    /// The channel is full: assigned partitions are polled without records. An assignment starts
    /// unpaused.
    paused: bool,
    /// Those partitions that the client has paused because the runner asked for it.
    paused_partitions: BTreeSet<PartitionId>,
    rejoin_at: Option<Instant>,
    /// Successive assignments of which a partition could not be claimed.
    failures: u32,
}

impl ReadState {
    /// Drops records at a revocation: the next owner reads them again. A planned rejoin is dropped
    /// too, since the rebalance assigns all partitions anew.
    fn forget_records(&mut self) {
        let failures = self.failures;
        *self = Self { failures, ..Self::default() };
    }
}

impl GroupMember {
    fn state(&self) -> MutexGuard<'_, ReadState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a record to be handed over. Returns whether a batch is complete.
    fn keep(&self, message: &BorrowedMessage<'_>) -> Result<bool, ReaderStop> {
        let Timestamp::LogAppendTime(at) = message.timestamp() else {
            return Err(ReaderStop::Timestamp(message.partition()));
        };
        let record = wire_record(message);
        let mut state = self.state();
        state.records += 1;
        state.bytes += record.value.len();
        let partition = state.pending.entry(partition_id(message.partition())).or_default();
        partition.push(LogRecord { offset: LogOffset(message.offset()), at, record });
        Ok(state.records >= MAX_RECORDS || state.bytes >= MAX_BYTES)
    }

    /// Hands over the records, waiting up to `timeout` for room. Returns whether all were taken.
    fn hand_over(&self, timeout: Duration) -> bool {
        loop {
            let next = self.state().pending.pop_first();
            let Some((partition, records)) = next else { break };
            if self.released.lock().contains(&partition) {
                continue;
            }
            let room = self.within(timeout, self.events.reserve());
            match room {
                Ok(Ok(permit)) => permit.send(LogEvent::Records {
                    partition,
                    partition_count: self.partition_count,
                    records,
                }),
                Ok(Err(_)) => return true, // the receiver is gone: the loop ends
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

    /// Whether to join again now, for partitions that could not be claimed or were released.
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

    /// Waits on this thread for a future of the runtime.
    fn within<T>(&self, timeout: Duration, future: impl Future<Output = T>) -> Result<T, Elapsed> {
        // The timer must be created within the runtime.
        self.runtime.block_on(async { tokio::time::timeout(timeout, future).await })
    }

    /// Sends an event and waits for its answer, [`ANSWER_TIMEOUT`] at most in all.
    fn ask<T>(&self, event: LogEvent, answer: oneshot::Receiver<T>) -> Option<T> {
        let asked = async {
            self.events.send(event).await.ok()?;
            answer.await.ok()
        };
        self.within(ANSWER_TIMEOUT, asked).ok().flatten()
    }

    /// Handles the revocation of all partitions. Records not handed over are read again by the next
    /// owner.
    fn revoked(&self, partitions: Vec<PartitionId>) {
        self.state().forget_records();
        self.released.lock().clear();
        let (done, answer) = oneshot::channel();
        if self.ask(LogEvent::Revoked { partitions, done }, answer).is_none()
            && !self.events.is_closed()
        {
            tracing::warn!(
                "the runner did not drop revoked partitions in time; the ledger fences them"
            );
        }
    }

    /// The offsets to read from, for those partitions that could be claimed.
    fn claimed(&self, partitions: &[PartitionId]) -> Vec<(PartitionId, LogOffset)> {
        self.released.lock().clear();
        self.paused.lock().clear();
        let (claims, answer) = oneshot::channel();
        let event = LogEvent::Assigned {
            partitions: partitions.to_vec(),
            partition_count: self.partition_count,
            claims,
        };
        let mut offsets = self.ask(event, answer).unwrap_or_default();
        offsets.retain(|(partition, _)| partitions.contains(partition));
        let mut state = self.state();
        if offsets.len() == partitions.len() {
            state.failures = 0;
        } else if !self.events.is_closed() {
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

impl ClientContext for GroupMember {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_event(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        log_passing_error(&error, reason);
    }
}

impl ConsumerContext for GroupMember {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        event: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let elements = list.elements();
        let partitions: Vec<PartitionId> =
            elements.iter().map(|element| partition_id(element.partition())).collect();
        let done = if event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS {
            let topic =
                elements.first().map(|element| element.topic().to_owned()).unwrap_or_default();
            let mut assignment = TopicPartitionList::new();
            for (partition, offset) in self.claimed(&partitions) {
                let partition = i32::try_from(partition.0).unwrap_or(i32::MAX);
                if let Err(error) =
                    assignment.add_partition_offset(&topic, partition, Offset::Offset(offset.0))
                {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        partition,
                        "an offset to read from is invalid"
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

fn partition_id(partition: i32) -> PartitionId {
    PartitionId(u32::try_from(partition).unwrap_or_default())
}
