//! The consumer's context: the callbacks of rebalances and statistics, and the state that they
//! share with the reader's loop.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, Message, Offset, Statistics, Timestamp, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::KafkaError,
    message::BorrowedMessage,
    types::RDKafkaRespErr,
};
use servers::kafka::{ClientStatus, Membership, Pulse, log_event, log_passing_error, wire_record};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
    time::error::Elapsed,
};

use super::{PausedPartitions, ReaderStop, ReleasedPartitions};
use crate::log::{ClaimedPartitions, LogEvent, LogOffset, LogRecord, PartitionId};

/// Most records and bytes handed over together: about one transaction of the runner.
const MAX_RECORDS: usize = 500;
const MAX_BYTES: usize = 4 << 20;
/// How long the runner may take to answer an assignment or a revocation. It may be in the middle of
/// a batch on a slow ledger. It is well below `max.poll.interval.ms`, after which the group removes
/// this member.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);
/// First and longest wait before the member joins again for partitions that could not be claimed.
const REJOIN: Duration = Duration::from_secs(1);
const REJOIN_MAX: Duration = Duration::from_secs(30);

/// The context that the members of one reader share, one after the other.
#[derive(Clone)]
pub(in super::super) struct MemberContext {
    pub(in super::super) partition_count: u32,
    pub(in super::super) events: mpsc::Sender<LogEvent>,
    pub(in super::super) released: Arc<ReleasedPartitions>,
    pub(in super::super) paused: Arc<PausedPartitions>,
    pub(in super::super) runtime: Handle,
    pub(in super::super) status: Arc<ClientStatus>,
}

/// One membership of the group.
pub(super) struct GroupMember {
    context: MemberContext,
    state: Mutex<ReadState>,
    /// The partitions that the runner was last told to own.
    owned: Mutex<Vec<PartitionId>>,
    pulse: Mutex<Pulse>,
    /// The consumer has a successor. Its callbacks no longer send events to the runner.
    is_retired: AtomicBool,
}

#[derive(Default)]
pub(super) struct ReadState {
    /// Records read and not handed over yet, by partition.
    pending: BTreeMap<PartitionId, Vec<LogRecord>>,
    records: usize,
    bytes: usize,
    /// The channel is full: assigned partitions are polled without records. An assignment resumes
    /// its partitions.
    pub(super) paused: bool,
    /// The partitions that the client has paused because the runner asked for it.
    pub(super) paused_partitions: BTreeSet<PartitionId>,
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
    pub(super) fn new(context: MemberContext) -> Self {
        Self {
            context,
            state: Mutex::default(),
            owned: Mutex::default(),
            pulse: Mutex::default(),
            is_retired: AtomicBool::new(false),
        }
    }

    /// Ends this membership for the runner: it drops the partitions, and later callbacks of the
    /// consumer do not reach it.
    pub(super) fn retire(&self) {
        self.is_retired.store(true, SeqCst);
        let owned = std::mem::take(&mut *self.owned());
        if !owned.is_empty() {
            self.revoked(owned);
        }
    }

    /// The partitions that the runner wants to be paused.
    pub(super) fn wanted_pauses(&self) -> BTreeSet<PartitionId> {
        self.context.paused.lock().clone()
    }

    pub(super) fn owns_nothing(&self) -> bool {
        self.owned().is_empty()
    }

    fn owned(&self) -> MutexGuard<'_, Vec<PartitionId>> {
        self.owned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.context.events.is_closed()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, ReadState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a record to be handed over. Returns whether a batch is complete.
    pub(super) fn keep(&self, message: &BorrowedMessage<'_>) -> Result<bool, ReaderStop> {
        let Timestamp::LogAppendTime(at) = message.timestamp() else {
            return Err(ReaderStop::Timestamp(message.partition()));
        };
        let record = wire_record(message);
        let mut state = self.state();
        state.records += 1;
        state.bytes += record.value.len();
        let partition =
            state.pending.entry(PartitionId::from_kafka(message.partition())).or_default();
        partition.push(LogRecord { offset: LogOffset(message.offset()), at, record });
        Ok(state.records >= MAX_RECORDS || state.bytes >= MAX_BYTES)
    }

    /// Hands over the records, waiting up to `timeout` for room. Returns whether all were taken.
    pub(super) fn hand_over(&self, timeout: Duration) -> bool {
        loop {
            let next = self.state().pending.pop_first();
            let Some((partition, records)) = next else { break };
            if self.context.released.lock().contains(&partition) {
                continue;
            }
            let room = self.within(timeout, self.context.events.reserve());
            match room {
                Ok(Ok(permit)) => permit.send(LogEvent::Records {
                    partition,
                    partition_count: self.context.partition_count,
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
    pub(super) fn rejoin_due(&self) -> bool {
        let mut state = self.state();
        if state.rejoin_at.is_none() && !self.context.released.lock().is_empty() {
            state.rejoin_at = Some(Instant::now() + REJOIN);
        }
        let due = state.rejoin_at.is_some_and(|at| at <= Instant::now());
        if due {
            state.rejoin_at = None;
        }
        due
    }

    /// Has the member join again soon, so that the runner looks at the log anew.
    pub(super) fn rejoin_soon(&self) {
        let at = Instant::now() + REJOIN;
        self.state().rejoin_at.get_or_insert(at);
    }

    /// Waits on this thread for a future of the runtime.
    fn within<T>(&self, timeout: Duration, future: impl Future<Output = T>) -> Result<T, Elapsed> {
        // The timer must be created within the runtime.
        self.context.runtime.block_on(async { tokio::time::timeout(timeout, future).await })
    }

    /// Sends an event and waits for its answer, [`ANSWER_TIMEOUT`] at most in all.
    fn ask<T>(&self, event: LogEvent, answer: oneshot::Receiver<T>) -> Option<T> {
        let asked = async {
            self.context.events.send(event).await.ok()?;
            answer.await.ok()
        };
        self.within(ANSWER_TIMEOUT, asked).ok().flatten()
    }

    /// Handles the revocation of all partitions. Records not handed over are read again by the next
    /// owner.
    fn revoked(&self, partitions: Vec<PartitionId>) {
        self.state().forget_records();
        self.context.released.lock().clear();
        let (done, answer) = oneshot::channel();
        if self.ask(LogEvent::Revoked { partitions, done }, answer).is_none()
            && !self.context.events.is_closed()
        {
            tracing::warn!(
                "the runner did not drop revoked partitions in time; the ledger fences them"
            );
        }
        self.context.paused.lock().clear();
    }

    /// The offsets to read from, for those partitions that could be claimed.
    fn claimed(&self, partitions: &[PartitionId]) -> Vec<(PartitionId, LogOffset)> {
        self.context.released.lock().clear();
        self.context.paused.lock().clear();
        let (claims, answer) = oneshot::channel();
        let event = LogEvent::Assigned {
            partitions: partitions.to_vec(),
            partition_count: self.context.partition_count,
            claims,
        };
        let ClaimedPartitions { mut offsets, mut held } =
            self.ask(event, answer).unwrap_or_default();
        offsets.retain(|(partition, _)| partitions.contains(partition));
        held.retain(|partition| partitions.contains(partition));
        let missing = partitions.len() - offsets.len() - held.len();
        let mut state = self.state();
        if missing == 0 {
            state.failures = 0;
        } else if !self.context.events.is_closed() {
            let wait = REJOIN.saturating_mul(1 << state.failures.min(5)).min(REJOIN_MAX);
            tracing::warn!(missing, ?wait, "partitions could not be claimed");
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

    fn stats(&self, statistics: Statistics) {
        let state = self.state();
        let is_paused = |id| state.paused || state.paused_partitions.contains(&id);
        let mut pulse = self.pulse.lock().unwrap_or_else(PoisonError::into_inner);
        if pulse.has_progress(&statistics, Membership::Group, is_paused)
            && !self.is_retired.load(SeqCst)
        {
            self.context.status.progressed();
        }
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
            elements.iter().map(|element| PartitionId::from_kafka(element.partition())).collect();
        let is_assigned = event == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let done = if self.is_retired.load(SeqCst) {
            consumer.unassign()
        } else if is_assigned {
            self.owned().clone_from(&partitions);
            let topic =
                elements.first().map(|element| element.topic().to_owned()).unwrap_or_default();
            let mut assignment = TopicPartitionList::new();
            for (partition, offset) in self.claimed(&partitions) {
                let added = assignment.add_partition_offset(
                    &topic,
                    partition.to_kafka(),
                    Offset::Offset(offset.0),
                );
                if let Err(error) = added {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        %partition,
                        "an offset to read from is invalid"
                    );
                }
            }
            tracing::info!(partitions = assignment.count(), "partitions assigned");
            // The client keeps a pause over assignments, and the runner begins without any.
            consumer.assign(&assignment).and_then(|()| consumer.resume(&assignment))
        } else {
            self.revoked(partitions);
            self.owned().clear();
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
