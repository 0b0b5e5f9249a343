//! The runner reads `care` or `runs`, has aggregates decide, and commits each batch in one
//! transaction. Only after the commit does it update the view store and the topic of views. This is
//! the only async loop of the rules, and it knows none of them.
//!
//! A partition always has one `PartitionStage`. After every failure the way back is the same:
//! read the checkpoint, publish what the outbox holds, and continue at the offset of the
//! checkpoint. So a fault, a lost answer and a restart share one path.

pub mod batch;
mod cache;
mod counters;
mod delivery;
mod outcome_age;
mod outcomes;
mod partition;
mod restore;
mod timers;

use std::{collections::BTreeMap, error::Error, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, timeout},
};

pub use counters::RunnerCounters;
use schemas::{Millis, codes::Code, record::CommandRecord};

use crate::{
    ledger::{Ledger, LedgerError, PartitionClaim},
    log::{AppendError, Log, LogEvent, LogOffset, PartitionId},
    views::ViewStore,
};
use batch::BuiltBatch;
use cache::Cache;
use partition::{Partition, PartitionStage};

/// The backends of a runner.
#[derive(Clone)]
pub struct RunnerBackends {
    /// The log to read and write.
    pub log: Arc<dyn Log>,
    /// The authority.
    pub ledger: Arc<dyn Ledger>,
    /// The store of live views.
    pub views: Arc<dyn ViewStore>,
}

/// A wall clock: milliseconds since the Unix epoch.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

/// The settings of a runner.
pub struct RunnerSettings {
    /// The topic whose records are applied, `care` or `runs`, independent of its name in the log.
    pub topic: &'static str,
    /// Most records in one transaction. 500 records keep a transaction at about ten milliseconds;
    /// further records wait for the next one.
    pub batch: usize,
    /// Most tickets and appointments in memory, over all locations. 200,000 of them are a few
    /// hundred megabytes. Past the limit, the least recently used location is dropped, and restored
    /// when a record names it.
    pub cached_tickets: usize,
    /// How long the key of a command is kept: a repeat within this time gets the first outcome, and
    /// a later one is a new command. Append times count.
    pub key_lifetime: Duration,
    /// The counters of the runner.
    pub counters: Arc<RunnerCounters>,
    /// The owner's clock. It tells the owner when to write a tick, which commands have expired, and
    /// which records come from a clock that is far ahead. Timers depend on the clock of the log
    /// alone.
    pub clock: Clock,
    /// Notified after each commit, so that a worker in this process need not poll for new runs.
    pub work_signal: Option<Arc<Notify>>,
}

impl RunnerSettings {
    /// Default settings: batches of 500 records, 200,000 cached parts, keys kept for 48 hours, the
    /// system clock.
    pub fn new(topic: &'static str) -> Self {
        Self {
            topic,
            batch: 500,
            cached_tickets: 200_000,
            key_lifetime: batch::KEY_LIFETIME,
            counters: Arc::default(),
            clock: Arc::new(|| jiff::Timestamp::now().as_millisecond()),
            work_signal: None,
        }
    }

    fn key_lifetime_ms(&self) -> Millis {
        Millis::try_from(self.key_lifetime.as_millis()).unwrap_or(Millis::MAX)
    }
}

/// Why a runner stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// The log has closed permanently.
    #[error("the log has closed permanently")]
    LogGone,
}

/// How long a claim may take, since the consumer group waits for it. Without an answer, the log
/// assigns the partition again.
const CLAIM_PATIENCE: Duration = Duration::from_secs(1);
/// How long the ledger or the log may take for anything else before the answer counts as lost. It
/// is well above their own time limits, and only prevents a backend that hangs from stopping the
/// loop forever.
const PATIENCE: Duration = Duration::from_secs(10);
/// Batches of records held while a partition backs off. Past it, stalled partitions are given back
/// to the group, so that the loop keeps reading. Their records are read again.
const PENDING_BATCHES: usize = 20;
/// How often views are repaired while nothing else happens.
const REPAIR_EVERY: Duration = Duration::from_secs(1);

/// Runs until `stop` resolves or the log closes. Dropping the future at any point loses nothing,
/// because the next claim continues at the checkpoint.
///
/// # Errors
/// [`RunnerError::LogGone`] when the log closes.
pub async fn run(
    backends: RunnerBackends,
    settings: RunnerSettings,
    stop: impl Future<Output = ()>,
) -> Result<(), RunnerError> {
    let mut inputs = backends.log.read();
    let mut runner = Runner::new(backends, settings);
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            input = inputs.recv(), if runner.has_room() => {
                runner.take(input.ok_or(RunnerError::LogGone)?).await;
            }
            () = tokio::time::sleep_until(runner.next_due()) => {}
        }
        // Everything that has arrived goes into as few transactions as possible.
        while runner.has_room()
            && let Ok(input) = inputs.try_recv()
        {
            runner.take(input).await;
        }
        runner.work().await;
    }
}

struct Runner {
    backends: RunnerBackends,
    settings: RunnerSettings,
    partitions: BTreeMap<PartitionId, Partition>,
    cache: Cache,
    /// The view store failed, and no repair has succeeded since. Batches mark their views dirty
    /// without asking the store.
    views_down: bool,
    repair_at: Instant,
}

/// Why a partition could not advance.
enum PartitionError {
    Ledger(LedgerError),
    Log(AppendError),
    /// The partition has another owner, or its checkpoint moved back.
    Lost,
}

/// The result of one step of a partition.
enum AdvanceOutcome {
    Done,
    /// The step is tried again later.
    Retry,
    /// The partition has another owner.
    Lost,
}

impl From<LedgerError> for PartitionError {
    fn from(error: LedgerError) -> Self {
        PartitionError::Ledger(error)
    }
}

impl Runner {
    fn new(backends: RunnerBackends, settings: RunnerSettings) -> Self {
        Self {
            backends,
            cache: Cache::new(settings.cached_tickets),
            settings,
            partitions: BTreeMap::new(),
            views_down: false,
            repair_at: Instant::now(),
        }
    }

    fn has_room(&self) -> bool {
        let pending: usize =
            self.partitions.values().map(|partition| partition.pending.len()).sum();
        pending < self.settings.batch * PENDING_BATCHES
    }

    /// When there is something to do without a new event of the log.
    fn next_due(&self) -> Instant {
        let dirty =
            self.partitions.values().any(|partition| partition.dirty).then_some(self.repair_at);
        let due = self
            .partitions
            .values()
            .filter_map(Partition::due)
            .chain(dirty)
            .chain(self.timers_due())
            .min();
        due.unwrap_or_else(|| Instant::now() + REPAIR_EVERY)
    }

    async fn take(&mut self, input: LogEvent) {
        match input {
            LogEvent::Assigned { partitions, partition_count, claims } => {
                self.assigned(partitions, partition_count, claims).await
            }
            LogEvent::Revoked { partitions, done } => {
                partitions.into_iter().for_each(|id| self.forget(id));
                let _ = done.send(()); // a log that stopped waiting has already moved on
            }
            LogEvent::Records { partition, partition_count, records } => {
                if let Some(partition) = self.partitions.get_mut(&partition) {
                    partition.partition_count = partition_count;
                    partition.push(records);
                }
            }
        }
    }

    async fn assigned(
        &mut self,
        ids: Vec<PartitionId>,
        partition_count: u32,
        claims: oneshot::Sender<Vec<(PartitionId, LogOffset)>>,
    ) {
        let ledger = &self.backends.ledger;
        let answers = join_all(
            ids.into_iter().map(async |id| (id, timeout(CLAIM_PATIENCE, ledger.claim(id)).await)),
        );
        let mut offsets = Vec::new();
        for (id, answer) in answers.await {
            self.forget(id);
            match answer {
                Ok(Ok(claim)) => {
                    offsets.push((id, claim.next_offset));
                    self.partitions.insert(id, Partition::new(claim, partition_count));
                }
                Ok(Err(error)) => {
                    tracing::warn!(
                        partition = id.0,
                        error = &error as &dyn Error,
                        "claiming a partition failed"
                    );
                }
                Err(_) => {
                    tracing::warn!(partition = id.0, "the ledger did not answer a claim in time")
                }
            }
        }
        if claims.send(offsets).is_err() {
            tracing::warn!("the log withdrew an assignment during the claim");
        }
    }

    fn forget(&mut self, id: PartitionId) {
        self.partitions.remove(&id);
        self.cache.drop_partition(id);
    }

    /// Takes one step for every partition that has something to do, then writes ticks and repairs
    /// views.
    async fn work(&mut self) {
        // The clock is read after `due`, which answers "now" for a partition that is due
        // immediately.
        let due = |partition: &Partition| partition.due().is_some_and(|due| due <= Instant::now());
        let ids: Vec<PartitionId> =
            self.partitions.iter().filter(|(_, p)| due(p)).map(|(id, _)| *id).collect();
        for id in ids {
            let Some(mut partition) = self.partitions.remove(&id) else {
                continue;
            };
            match self.advance(&mut partition).await {
                AdvanceOutcome::Done => drop(self.partitions.insert(id, partition)),
                AdvanceOutcome::Retry => {
                    self.partitions.insert(id, partition);
                    // The other partitions use the same ledger and log, so new events are read
                    // before the next attempt.
                    break;
                }
                AdvanceOutcome::Lost => {
                    self.cache.drop_partition(id);
                    self.backends.log.release(id);
                }
            }
        }
        self.tick().await;
        self.delete_outcomes().await;
        self.repair().await;
        if !self.has_room() {
            self.give_back_stalled();
        }
    }

    fn give_back_stalled(&mut self) {
        let stalled: Vec<PartitionId> = self
            .partitions
            .values()
            .filter(|p| p.is_stalled())
            .map(|p| p.claim.partition)
            .collect();
        for id in stalled {
            tracing::warn!(
                partition = id.0,
                "giving back a stalled partition with too many waiting records"
            );
            self.forget(id);
            self.backends.log.release(id);
        }
    }

    /// Does what the stage of the partition requires.
    async fn advance(&mut self, partition: &mut Partition) -> AdvanceOutcome {
        let done = match partition.stage {
            PartitionStage::CheckpointUnknown => self.read_checkpoint(partition).await,
            PartitionStage::OutboxPending => self.publish_leftovers(partition).await,
            PartitionStage::Ready => self.apply(partition).await,
        };
        let (id, offset) = (partition.claim.partition, partition.claim.next_offset.0);
        match done {
            Ok(()) => return AdvanceOutcome::Done,
            Err(PartitionError::Lost) => {
                tracing::warn!(partition = id.0, offset, "the partition has another owner");
                return AdvanceOutcome::Lost;
            }
            Err(PartitionError::Ledger(error)) => {
                tracing::warn!(
                    partition = id.0,
                    offset,
                    error = &error as &dyn Error,
                    "a call to the ledger failed"
                );
                partition.stage = PartitionStage::CheckpointUnknown;
            }
            Err(PartitionError::Log(error)) => {
                tracing::warn!(
                    partition = id.0,
                    offset,
                    error = &error as &dyn Error,
                    "appending to the log failed"
                );
                partition.stage = PartitionStage::OutboxPending;
            }
        }
        partition.back_off();
        AdvanceOutcome::Retry
    }

    /// Reads the checkpoint after a doubt: a commit whose answer was lost may have succeeded.
    async fn read_checkpoint(&mut self, partition: &mut Partition) -> Result<(), PartitionError> {
        self.cache.drop_partition(partition.claim.partition);
        let row = answered(self.backends.ledger.checkpoint(partition.claim.partition)).await?;
        let PartitionClaim { owner_epoch, next_offset, .. } = partition.claim;
        if row.owner_epoch != owner_epoch || row.next_offset < next_offset {
            return Err(PartitionError::Lost);
        }
        partition.move_to(row.next_offset);
        partition.stage = PartitionStage::OutboxPending;
        Ok(())
    }

    /// Applies one batch: restore, decide, commit, deliver. The aggregates are out of the cache
    /// meanwhile and return only after the commit. So a failure, or dropping this future, forgets
    /// everything that was not committed.
    async fn apply(&mut self, partition: &mut Partition) -> Result<(), PartitionError> {
        let claim = partition.claim;
        let records: Vec<_> = partition.pending.iter().take(self.settings.batch).collect();
        if records.is_empty() {
            return Ok(());
        }
        let owner = (self.settings.clock)();
        let read: Vec<_> = records
            .iter()
            .map(|record| {
                batch::check_time(record.at, owner)?;
                batch::read(
                    &record.record,
                    self.settings.topic,
                    claim.partition,
                    partition.partition_count,
                )
            })
            .collect();
        warn_of_future(claim, &read);
        let mut working = self.restore(&records, &read).await?;
        let BuiltBatch { batch, records: count, tally } =
            batch::build(claim, &records, read, &mut working);
        let to = batch.to;
        let latest = records.iter().take(count).map(|record| record.at).max();
        let begun = Instant::now();
        answered(self.backends.ledger.commit(&batch)).await?;
        self.settings.counters.committed(
            self.settings.topic,
            claim.partition,
            to,
            &tally,
            begun.elapsed(),
        );
        if let Some(work_signal) = &self.settings.work_signal {
            work_signal.notify_one();
        }
        for (aggregate, mut state) in working.aggregates {
            if let Some(location) = state.location_mut() {
                location.forget_ended();
            }
            self.cache.put(claim.partition, aggregate, state);
        }
        if let Some(at) = latest {
            partition.outcomes.committed(at, (self.settings.clock)());
        }
        partition.timers.committed(&batch.aggregates);
        partition.move_to(to);
        self.deliver(partition, batch.views, batch.outbox).await?;
        partition.reset_backoff();
        Ok(())
    }
}

/// Logs the records that are parked because one of two clocks is wrong: the broker's or ours.
fn warn_of_future(claim: PartitionClaim, read: &[Result<CommandRecord, Code>]) {
    let parked = read.iter().filter(|read| matches!(read, Err(Code::RecordFromFuture))).count();
    if parked > 0 {
        tracing::warn!(
            partition = claim.partition.0,
            offset = claim.next_offset.0,
            records = parked,
            "parking records whose append time is ahead of this machine's clock"
        );
    }
}

/// Waits for the ledger, with a limit: an answer that does not come has an unknown outcome.
async fn answered<T>(
    answer: impl Future<Output = Result<T, LedgerError>>,
) -> Result<T, LedgerError> {
    timeout(PATIENCE, answer)
        .await
        .unwrap_or_else(|elapsed| Err(LedgerError::Unavailable(elapsed.into())))
}
