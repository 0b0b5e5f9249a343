//! The runner reads `care` or `runs`, has aggregates decide, and commits each batch in one
//! transaction. Only after the commit does it update the view store and the topic of views. It
//! contains none of the rules of locations and runs.
//!
//! Each partition is a task of its own (`partition_task.rs`), so a slow or failing partition delays
//! no other. The recovery of a partition is the same after every failure: read the checkpoint,
//! publish what the outbox holds, and continue at the offset of the checkpoint. So a fault, a lost
//! answer and a restart run the same code.

pub mod batch;
mod breaker;
mod cache;
mod claims;
mod counters;
mod decided_batch;
mod dirty;
mod flow;
mod heads;
mod owned;
mod partition;
mod partition_task;
mod pending;
mod repair;
mod shared;
mod status;
mod traces;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use schemas::Millis;
use telemetry::Tracer;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval, timeout},
};

pub use counters::RunnerCounters;
pub(crate) use flow::Flow;
pub(crate) use pending::{BatchLimit, PendingRecords, RetryDelay};
pub use status::{Failure, FailureKind, PartitionStatus};

use crate::{
    clock::{Clock, wall_clock},
    ledger::{Ledger, LedgerError, OwnerEpoch},
    log::{ClaimedPartitions, Log, LogEvent, LogRecord, PartitionId},
    tenants::Tenants,
    views::ViewStore,
};
use claims::claim_all;
use owned::OwnedPartition;
use partition_task::TaskEnd;
use shared::RunnerContext;

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
    /// Parked records after which a partition stops. Each ten that are applied, refused or repeated
    /// make up for one, so that a source with a few broken records stops nothing. More of them mean
    /// a wrong version of a program: setting all aside would lose a day. With 0, none stops.
    pub parked_limit: u64,
    /// The counters of the runner.
    pub counters: Arc<RunnerCounters>,
    /// The owner's clock. It tells the owner when to write a tick, which commands have expired, and
    /// which records come from a clock that is far ahead. Timers depend on the clock of the log
    /// alone.
    pub clock: Clock,
    /// Records the traces of sampled records.
    pub tracer: Tracer,
    /// Notified after each commit, so that workers and senders in this process need not poll for
    /// new work.
    pub work_signals: Vec<Arc<Notify>>,
    /// The tenants. Nothing is decided before they are known.
    pub tenants: Arc<Tenants>,
}

impl RunnerSettings {
    /// Default settings: batches of 500 records, 200,000 cached parts, keys kept for 48 hours, a
    /// stop after 1,000 parked records, the system clock, and no suspended tenant.
    pub fn new(topic: &'static str) -> Self {
        Self {
            topic,
            batch: 500,
            cached_tickets: 200_000,
            key_lifetime: batch::KEY_LIFETIME,
            parked_limit: 1_000,
            counters: Arc::default(),
            clock: wall_clock(),
            tracer: Tracer::off(),
            work_signals: Vec::new(),
            tenants: Tenants::none(),
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

/// How long the ledger or the log may take for anything else before the answer counts as lost. It
/// is well above their own time limits, and only prevents a backend that hangs from stopping a
/// partition forever.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long the step of a revoked partition may go on. Past it, the step is cut off, and the next
/// owner repeats what was not committed. The consumer group waits for 20 s.
const LAST_STEP: Duration = Duration::from_secs(5);
/// How often the runner looks at its partitions.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long every partition may fail before all are given back: the fault may be this process's
/// own, and another process may do better.
const GIVE_BACK_AFTER: Duration = Duration::from_secs(30);

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
    let mut stop = std::pin::pin!(stop);
    tokio::select! {
        biased;
        () = &mut stop => return Ok(()),
        () = settings.tenants.wait_until_read() => {}
    }
    let mut events = backends.log.read();
    let (mut runner, mut ends) = Runner::new(backends, settings);
    let repairing = repair::run(Arc::clone(&runner.shared));
    let serving = async {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                () = &mut stop => break,
                event = events.recv() => {
                    runner.take(event.ok_or(RunnerError::LogGone)?).await;
                }
                Some((id, epoch)) = ends.recv() => runner.ended(id, epoch).await,
                _ = looks.tick() => runner.give_back_if_all_fail(),
            }
        }
        runner.stop_all().await;
        Ok(())
    };
    tokio::select! {
        biased;
        done = serving => done,
        never = repairing => match never {},
    }
}

/// Gives each partition a task, and each task the records of its partition.
struct Runner {
    shared: Arc<RunnerContext>,
    owned: BTreeMap<PartitionId, OwnedPartition>,
    /// Every task that ends reports its partition here, and the epoch of its claim.
    ends: mpsc::UnboundedSender<(PartitionId, OwnerEpoch)>,
}

impl Runner {
    fn new(
        backends: RunnerBackends,
        settings: RunnerSettings,
    ) -> (Self, mpsc::UnboundedReceiver<(PartitionId, OwnerEpoch)>) {
        // Each task reports once, so the channel holds at most one end per claim.
        let (ends, ended) = mpsc::unbounded_channel();
        let shared = Arc::new(RunnerContext::new(backends, settings));
        (Self { shared, owned: BTreeMap::new(), ends }, ended)
    }

    async fn take(&mut self, event: LogEvent) {
        match event {
            LogEvent::Assigned { partitions, partition_count, claims } => {
                self.assigned(partitions, partition_count, claims).await
            }
            LogEvent::Revoked { partitions, done } => {
                self.stop(partitions).await;
                let _ = done.send(()); // a log that stopped waiting has already moved on
            }
            LogEvent::Records { partition, records, .. } => self.pass_on(partition, records),
        }
    }

    fn pass_on(&self, id: PartitionId, records: Vec<LogRecord>) {
        if let Some(owned) = self.owned.get(&id) {
            owned.pass_on(&*self.shared.backends.log, records);
        }
    }

    async fn assigned(
        &mut self,
        ids: Vec<PartitionId>,
        partition_count: u32,
        claims: oneshot::Sender<ClaimedPartitions>,
    ) {
        self.stop(ids.clone()).await;
        let wanted = ids.len();
        let claimed = claim_all(&self.shared.backends, ids).await;
        let (counters, topic) = (&self.shared.settings.counters, self.shared.settings.topic);
        if claimed.len() == wanted {
            counters.has_claimed(topic);
        } else {
            let failure = Failure { since: Instant::now(), kind: FailureKind::Claim };
            counters.lacks(topic, failure);
        }
        let mut answer = ClaimedPartitions::default();
        for claimed in claimed {
            let id = claimed.claim.partition;
            match claimed.fault {
                Some(_) => answer.held.push(id),
                None => {
                    let next = claimed.anchor.to_log(claimed.claim.next_offset);
                    answer.offsets.push((id, next));
                }
            }
            let owned = OwnedPartition::start(&self.shared, claimed, partition_count, &self.ends);
            self.owned.insert(id, owned);
        }
        if claims.send(answer).is_err() {
            tracing::warn!("the log withdrew an assignment during the claim");
        }
    }

    /// Lets the steps of these partitions end, and forgets what was not committed.
    async fn stop(&mut self, ids: Vec<PartitionId>) {
        let stopping = ids.into_iter().filter_map(|id| self.owned.remove(&id));
        join_all(stopping.map(|owned| owned.stop(LAST_STEP))).await;
    }

    async fn stop_all(&mut self) {
        self.stop(self.owned.keys().copied().collect()).await;
    }

    /// Gives back the partition of a task that ended by itself. The log assigns it again.
    async fn ended(&mut self, id: PartitionId, epoch: OwnerEpoch) {
        // A task that was stopped is no longer owned, or has a successor with a later epoch.
        if self.owned.get(&id).is_none_or(|owned| owned.epoch != epoch) {
            return;
        }
        let owned = self.owned.remove(&id).expect("it was found a moment ago");
        match owned.stop(LAST_STEP).await {
            TaskEnd::Stopped => {}
            TaskEnd::Lost => tracing::warn!(partition = id.0, "the partition has another owner"),
            TaskEnd::Panicked => {
                tracing::error!(
                    partition = id.0,
                    "the task of a partition panicked; it starts anew"
                )
            }
        }
        self.shared.backends.log.release(id);
    }

    /// Gives all partitions back after all of them have failed for a while.
    fn give_back_if_all_fail(&mut self) {
        let (counters, topic) = (&self.shared.settings.counters, self.shared.settings.topic);
        let failing = |id: &PartitionId| counters.partition(topic, *id).and_then(|it| it.failing);
        // A partition that stopped for good says nothing about the others.
        let is_stopped = |failure: &Option<Failure>| failure.is_some_and(|it| !it.kind.may_pass());
        let failures: Vec<(Instant, Option<Failure>)> = (self.owned.iter())
            .map(|(id, owned)| (owned.since, failing(id)))
            .filter(|(_, failure)| !is_stopped(failure))
            .collect();
        // The failure of a partition that was claimed again may have begun before the claim, which
        // gives it time of its own.
        let is_long = |(claimed, failure): &(Instant, Option<Failure>)| {
            failure.is_some_and(|it| it.since.max(*claimed).elapsed() > GIVE_BACK_AFTER)
        };
        if !failures.iter().all(is_long) {
            return;
        }
        let first = failures.into_iter().filter_map(|(_, it)| it).min_by_key(|it| it.since);
        let Some(first) = first else { return };
        counters.lacks(topic, first);
        tracing::warn!(
            partitions = self.owned.len(),
            "giving back all partitions: each of them has failed for {GIVE_BACK_AFTER:?}"
        );
        for (id, owned) in std::mem::take(&mut self.owned) {
            drop(owned);
            self.shared.backends.log.release(id);
        }
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
