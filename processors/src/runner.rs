//! The runner: reads `care` or `runs`, has aggregates decide, commits each batch in one transaction, and only then tells the
//! store of views and the topic of views. The only async loop here; it knows no rule of theirs.
//!
//! A partition is always in one [`PartitionStage`]. Whatever fails, the way back is the same: read the checkpoint, publish
//! what the outbox holds, go on from the checkpoint's offset. So a fault, a lost answer and a restart are one path.

pub mod batch;
mod cache;
mod counters;
mod delivery;
mod load;
mod partition;
mod timers;

use std::{collections::BTreeMap, error::Error, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, timeout},
};

pub use counters::RunnerCounters;
use schemas::Millis;

use crate::{
    ledger::{Ledger, LedgerError, PartitionClaim},
    log::{AppendError, Log, LogEvent},
    views::ViewStore,
};
use cache::Cache;
use partition::{Partition, PartitionStage};

/// What a runner stands on.
#[derive(Clone)]
pub struct RunnerBackends {
    pub log: Arc<dyn Log>,
    pub ledger: Arc<dyn Ledger>,
    pub views: Arc<dyn ViewStore>,
}

/// A clock on the wall.
pub type Clock = Arc<dyn Fn() -> Millis + Send + Sync>;

pub struct RunnerSettings {
    /// The topic whose records are applied: `care` or `runs`, whatever name the log has for it.
    pub topic: &'static str,
    /// Records in one transaction at most. 500 keep a transaction around ten milliseconds; more waits its turn.
    pub batch: usize,
    /// Tickets and appointments in memory, over all locations. 200,000 are a few hundred megabytes; past it the location not used for
    /// longest goes, and is loaded again when a record names it.
    pub cached_tickets: usize,
    pub counters: Arc<RunnerCounters>,
    /// Milliseconds since the Unix epoch by the owner's clock: when a timer is due, as far as the owner knows. What a location
    /// does then is a matter of the log's clock alone.
    pub clock: Clock,
    /// Told after each commit: whoever shares the work of runs need not look again by the clock.
    pub work_signal: Option<Arc<Notify>>,
}

impl RunnerSettings {
    /// Those that suit most machines.
    pub fn new(topic: &'static str) -> Self {
        Self {
            topic,
            batch: 500,
            cached_tickets: 200_000,
            counters: Arc::default(),
            clock: Arc::new(|| jiff::Timestamp::now().as_millisecond()),
            work_signal: None,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    #[error("the log is gone for good")]
    LogGone,
}

/// How long a claim may take: the group waits for it. Without an answer the log assigns the partition again.
const CLAIM_PATIENCE: Duration = Duration::from_secs(1);
/// How long the ledger or the log may take for anything else before its answer counts as lost. Well above their
/// own time limits: it only keeps a backend that hangs from stopping the loop for ever.
const PATIENCE: Duration = Duration::from_secs(10);
/// Batches of records held while a partition backs off. Past it, stalled partitions are given back to the group, so
/// that the loop keeps listening; their records are read again.
const PENDING_BATCHES: usize = 20;
/// How often views are repaired while nothing else happens.
const REPAIR_EVERY: Duration = Duration::from_secs(1);

/// Runs until `stop` or until the log is gone. Dropping the future at any point loses nothing: the next claim goes on
/// from the checkpoint.
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
            input = inputs.recv(), if runner.has_room() => runner.take(input.ok_or(RunnerError::LogGone)?).await,
            () = tokio::time::sleep_until(runner.next_due()) => {}
        }
        // All that has arrived goes into as few transactions as possible.
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
    partitions: BTreeMap<u32, Partition>,
    cache: Cache,
    /// The store of views failed and no repair has succeeded since: batches mark their views dirty without asking it.
    views_down: bool,
    repair_at: Instant,
}

/// Why a partition did not get on.
enum PartitionError {
    Ledger(LedgerError),
    Log(AppendError),
    /// The partition has another owner, or its checkpoint went back.
    Lost,
}

/// How a step of a partition ended.
enum AdvanceOutcome {
    Done,
    /// It is tried again later.
    Retry,
    /// The partition is no longer ours.
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

    /// When there is something to do without a new input.
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
                let _ = done.send(()); // a log that no longer waits has moved on by itself
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
        ids: Vec<u32>,
        partition_count: u32,
        claims: oneshot::Sender<Vec<(u32, i64)>>,
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
                        partition = id,
                        error = &error as &dyn Error,
                        "could not claim a partition"
                    );
                }
                Err(_) => {
                    tracing::warn!(partition = id, "the ledger did not answer a claim in time")
                }
            }
        }
        if claims.send(offsets).is_err() {
            tracing::warn!("the log withdrew an assignment while it was claimed");
        }
    }

    fn forget(&mut self, id: u32) {
        self.partitions.remove(&id);
        self.cache.drop_partition(id);
    }

    /// One step for every partition that has something to do, then ticks and repairs.
    async fn work(&mut self) {
        // "At once" is said as the present moment: the clock is read after it.
        let due = |partition: &Partition| partition.due().is_some_and(|due| due <= Instant::now());
        let ids: Vec<u32> =
            self.partitions.iter().filter(|(_, p)| due(p)).map(|(id, _)| *id).collect();
        for id in ids {
            let Some(mut partition) = self.partitions.remove(&id) else {
                continue;
            };
            match self.advance(&mut partition).await {
                AdvanceOutcome::Done => drop(self.partitions.insert(id, partition)),
                AdvanceOutcome::Retry => {
                    self.partitions.insert(id, partition);
                    // The others stand on the same ledger and log: inputs are heard before each next attempt.
                    break;
                }
                AdvanceOutcome::Lost => {
                    self.cache.drop_partition(id);
                    self.backends.log.release(id);
                }
            }
        }
        self.tick().await;
        self.repair().await;
        if !self.has_room() {
            self.give_back_stalled();
        }
    }

    fn give_back_stalled(&mut self) {
        let stalled: Vec<u32> = self
            .partitions
            .values()
            .filter(|p| p.is_stalled())
            .map(|p| p.claim.partition)
            .collect();
        for id in stalled {
            tracing::warn!(
                partition = id,
                "too many records wait for a partition that does not get on: given back"
            );
            self.forget(id);
            self.backends.log.release(id);
        }
    }

    /// Does what the partition's stage asks for.
    async fn advance(&mut self, partition: &mut Partition) -> AdvanceOutcome {
        let done = match partition.stage {
            PartitionStage::CheckpointUnknown => self.look(partition).await,
            PartitionStage::OutboxPending => self.publish_leftovers(partition).await,
            PartitionStage::Ready => self.apply(partition).await,
        };
        let (id, offset) = (partition.claim.partition, partition.claim.next_offset);
        match done {
            Ok(()) => return AdvanceOutcome::Done,
            Err(PartitionError::Lost) => {
                tracing::warn!(partition = id, offset, "the partition has another owner");
                return AdvanceOutcome::Lost;
            }
            Err(PartitionError::Ledger(error)) => {
                tracing::warn!(
                    partition = id,
                    offset,
                    error = &error as &dyn Error,
                    "the ledger failed a partition"
                );
                partition.stage = PartitionStage::CheckpointUnknown;
            }
            Err(PartitionError::Log(error)) => {
                tracing::warn!(
                    partition = id,
                    offset,
                    error = &error as &dyn Error,
                    "the log failed a partition"
                );
                partition.stage = PartitionStage::OutboxPending;
            }
        }
        partition.back_off();
        AdvanceOutcome::Retry
    }

    /// Reads the checkpoint after a doubt: a commit whose answer was lost may have succeeded.
    async fn look(&mut self, partition: &mut Partition) -> Result<(), PartitionError> {
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

    /// One batch: load, decide, commit, deliver. The locations are out of the cache meanwhile and come back only
    /// after the commit, so that a failure, or dropping this future, forgets what was never committed.
    async fn apply(&mut self, partition: &mut Partition) -> Result<(), PartitionError> {
        let claim = partition.claim;
        let records: Vec<_> = partition.pending.iter().take(self.settings.batch).collect();
        let Some(to) = records.last().map(|record| record.offset + 1) else {
            return Ok(());
        };
        let read: Vec<_> = records
            .iter()
            .map(|record| {
                batch::read(
                    &record.record,
                    self.settings.topic,
                    claim.partition,
                    partition.partition_count,
                )
            })
            .collect();
        let mut working = self.load(&records, &read).await?;
        let (batch, tally) = batch::build(claim, to, &records, read, &mut working);
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
        partition.timers.committed(&batch.aggregates);
        partition.move_to(to);
        self.deliver(partition, batch.views, batch.outbox).await?;
        partition.calm();
        Ok(())
    }
}

/// Waits for the ledger, but not for ever: an answer that does not come is one whose outcome is unknown.
async fn answered<T>(
    answer: impl Future<Output = Result<T, LedgerError>>,
) -> Result<T, LedgerError> {
    timeout(PATIENCE, answer)
        .await
        .unwrap_or_else(|elapsed| Err(LedgerError::Unavailable(elapsed.into())))
}
