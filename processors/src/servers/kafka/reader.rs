//! The reader's thread: a member of a consumer group that polls, hands records over in batches, and
//! asks the runner for the offsets of assigned partitions. Offsets come from the ledger alone;
//! nothing is committed to Kafka.
//!
//! The group uses the classic protocol with eager rebalances: each rebalance revokes all partitions
//! and assigns them again, so that the callback has two cases and neither depends on earlier state.
//! `poll` runs the callback on this thread.

mod group;
mod member;

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use rdkafka::{
    TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
};
use schemas::record::AUDIT_TOPIC;
use servers::kafka::{
    ClientStatus, KafkaCluster, STATISTICS_INTERVAL_MS, Watchdog, WatchdogLimits, dispose,
    log_error, log_passing_error,
};

use super::ReaderSettings;
use crate::log::PartitionId;
use group::{ASIDE, Fencings, GroupObservation, GroupStep};
use member::GroupMember;
pub(super) use member::MemberContext;

/// Longest sleep in `poll`: bounds how late a release or the end of the runner is noticed.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// The same while a partition is paused, since it may be resumed at any moment.
const PAUSED_POLL_TIMEOUT: Duration = Duration::from_millis(10);
/// How long the reader waits for room in the channel before it pauses the partitions and polls
/// without records.
const ROOM_TIMEOUT: Duration = Duration::from_secs(5);
/// A member is silent while it joins its group, and joining waits for the other members: their
/// runners may take five seconds to drop a partition, and a dead one is noticed after six. After a
/// stall, a working member has joined again within the same time.
const LIMITS: WatchdogLimits =
    WatchdogLimits { silence: Duration::from_secs(12), recovery: Duration::from_secs(8) };
/// How long leaving the group may take. Past it, the group notices after its session timeout.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the request to leave needs to reach the socket once nothing is assigned. The client
/// does not say when it was sent.
const LEAVE_PAUSE: Duration = Duration::from_millis(100);

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

impl ReaderStop {
    fn is_fencing(&self) -> bool {
        matches!(self, Self::Fatal(error)
            if error.rdkafka_error_code() == Some(RDKafkaErrorCode::FencedInstanceId))
    }
}

/// Everything that a reader's thread needs.
pub(super) struct ReaderThread {
    pub(super) cluster: KafkaCluster,
    pub(super) settings: ReaderSettings,
    pub(super) context: MemberContext,
    /// The status of this process's producer.
    pub(super) producer: Arc<ClientStatus>,
}

impl ReaderThread {
    /// Reads until the receiver of events is dropped, or until the log cannot be trusted. A
    /// consumer that makes no progress is replaced.
    ///
    /// # Errors
    /// The client's error when it refuses the settings.
    pub(super) fn run(self) -> KafkaResult<()> {
        let status = &self.context.status;
        let mut watchdog = Watchdog::new(&self.cluster, Arc::clone(status), LIMITS);
        let mut fencings = Fencings::default();
        status.expect_progress();
        loop {
            let mut reader = Reader::join(&self)?;
            let end = reader.run(&mut watchdog);
            if end == MembershipEnd::Over {
                reader.leave();
            }
            reader.end();
            match end {
                MembershipEnd::Over => break,
                MembershipEnd::Silent => {}
                MembershipEnd::Fenced if fencings.may_join_again(Instant::now()) => {
                    tracing::warn!("another member of this name joined the group: joining again");
                }
                MembershipEnd::Fenced => {
                    tracing::error!(
                        "reading stops: another process has the same name in the group; give each \
                         a name of its own"
                    );
                    break;
                }
            }
        }
        status.rest();
        Ok(())
    }
}

/// Why a membership ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MembershipEnd {
    /// The receiver of events is gone, or the log cannot be trusted.
    Over,
    /// The consumer makes no progress.
    Silent,
    /// The group has another member of the same name.
    Fenced,
}

/// One membership of the group.
struct Reader {
    consumer: BaseConsumer<GroupMember>,
    topic: String,
    /// The sink of the audit does not look at its log: its reader stops instead.
    is_audit: bool,
    status: Arc<ClientStatus>,
    producer: Arc<ClientStatus>,
    /// Until when this process stays out of the group because it cannot publish.
    aside_until: Option<Instant>,
}

impl Reader {
    fn join(thread: &ReaderThread) -> KafkaResult<Self> {
        let topic = thread.cluster.topics.name(thread.settings.topic).to_owned();
        let member = GroupMember::new(thread.context.clone());
        let consumer: BaseConsumer<GroupMember> =
            config(&thread.cluster, &thread.settings).create_with_context(member)?;
        consumer.subscribe(&[&topic])?;
        let (status, producer) = (Arc::clone(&thread.context.status), Arc::clone(&thread.producer));
        let is_audit = thread.settings.topic == AUDIT_TOPIC;
        Ok(Self { consumer, topic, is_audit, status, producer, aside_until: None })
    }

    fn run(&mut self, watchdog: &mut Watchdog) -> MembershipEnd {
        let member = Arc::clone(self.consumer.context());
        while !member.is_closed() {
            self.step_aside_or_back();
            if self.aside_until.is_none() {
                self.rejoin_if_due();
            }
            self.apply_pauses();
            if let Err(stop) = self.gather() {
                if stop.is_fencing() {
                    return MembershipEnd::Fenced;
                }
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
            if watchdog.must_replace() {
                return MembershipEnd::Silent;
            }
        }
        MembershipEnd::Over
    }

    /// Leaves the group while this process cannot publish what it decides, so that another one may
    /// own the partitions.
    fn step_aside_or_back(&mut self) {
        let now = Instant::now();
        let observed = GroupObservation {
            aside_until: self.aside_until,
            owns_nothing: self.consumer.context().owns_nothing(),
            read: self.status.silence(),
            published: self.producer.silence(),
        };
        match observed.turn(now) {
            GroupStep::Stay => {}
            GroupStep::Leave => {
                tracing::warn!(
                    topic = self.topic,
                    "no record could be published: leaving the group for {ASIDE:?} at most"
                );
                self.consumer.unsubscribe();
                self.status.rest();
                self.aside_until = Some(now + ASIDE);
            }
            GroupStep::Join => {
                self.aside_until = None;
                self.status.expect_progress();
                self.subscribe();
            }
        }
    }

    /// Leaves the group at once. Closing a consumer does the same, but not for a member with a
    /// name of its own (KIP-345), whose partitions would wait for the session timeout.
    fn leave(&self) {
        let deadline = Instant::now() + LEAVE_TIMEOUT;
        let member = self.consumer.context();
        self.consumer.unsubscribe();
        let mut left_at = None;
        while Instant::now() < deadline && left_at.is_none_or(|at| Instant::now() < at) {
            // Runs the callback of the revocation. Records are not handed over any more.
            drop(self.consumer.poll(POLL_TIMEOUT / 10));
            if member.owns_nothing() {
                left_at.get_or_insert_with(|| Instant::now() + LEAVE_PAUSE);
            }
        }
    }

    /// Drops the consumer, which may block, on a thread of its own.
    fn end(self) {
        self.consumer.context().retire();
        let consumer = self.consumer;
        dispose(move || drop(consumer));
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
                Err(error) if is_offset_gone(&error) => self.offset_is_gone()?,
                Err(error) => check_error(error)?,
            }
            timeout = Duration::ZERO;
        }
        Ok(())
    }

    /// The log does not have an offset that the runner gave. The runner looks at the log at its
    /// next claim, and then stops the partition alone. The client fetches the others meanwhile.
    fn offset_is_gone(&self) -> Result<(), ReaderStop> {
        if self.is_audit {
            return Err(ReaderStop::OffsetGone);
        }
        tracing::error!(topic = self.topic, "the log does not have the offset of a partition");
        self.consumer.context().rejoin_soon();
        Ok(())
    }

    fn rejoin_if_due(&self) {
        if self.consumer.context().rejoin_due() {
            tracing::info!(topic = self.topic, "joining the group again");
            self.consumer.unsubscribe();
            self.subscribe();
        }
    }

    fn subscribe(&self) {
        if let Err(error) = self.consumer.subscribe(&[&self.topic]) {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the topic cannot be subscribed to"
            );
        }
    }

    /// Pauses and resumes single partitions as the runner asks.
    fn apply_pauses(&self) {
        let member = self.consumer.context();
        let wanted = member.wanted_pauses();
        let mut state = member.state();
        if state.paused || wanted == state.paused_partitions {
            return;
        }
        let listed = |partitions: Vec<&PartitionId>| {
            let mut list = TopicPartitionList::new();
            for partition in partitions {
                list.add_partition(&self.topic, partition.to_kafka());
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
        // Partitions that the runner paused are paused again after all are resumed.
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
        .set("statistics.interval.ms", STATISTICS_INTERVAL_MS)
        .set("fetch.queue.backoff.ms", "10")
        .set("fetch.error.backoff.ms", "50")
        .set("queued.min.messages", "2000")
        .set("queued.max.messages.kbytes", "16384");
    match settings.topic {
        // Nobody waits for the store of the audit, and its entries cost less together. Otherwise
        // the broker answers a fetch for each record.
        AUDIT_TOPIC => {
            config.set("fetch.min.bytes", "65536").set("fetch.wait.max.ms", "250");
        }
        // A broker answers at the first byte; this is the pause between requests while there is
        // none.
        _ => {
            config.set("fetch.wait.max.ms", "50");
        }
    }
    if let Some(instance) = &settings.instance {
        config.set("group.instance.id", instance);
    }
    config
}

/// Whether the log does not have the offset to read from. The error does not name the partition.
fn is_offset_gone(error: &KafkaError) -> bool {
    matches!(
        error,
        KafkaError::MessageConsumption(
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange
        )
    )
}

/// Decides whether an error of `poll` is final. The client repairs most of them.
fn check_error(error: KafkaError) -> Result<(), ReaderStop> {
    match error {
        KafkaError::MessageConsumptionFatal(_) => Err(ReaderStop::Fatal(error)),
        error if error.rdkafka_error_code().is_some_and(is_connection) => {
            log_passing_error(&error, "while polling");
            Ok(())
        }
        error => {
            log_error(&error, "while polling");
            Ok(())
        }
    }
}

fn is_connection(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, OperationTimedOut, Resolve};
    matches!(code, AllBrokersDown | BrokerTransportFailure | OperationTimedOut | Resolve)
}
