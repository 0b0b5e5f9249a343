//! The sink gives each partition of `clinicwire.audit.v1` a task that stores its records. A slow or
//! failing partition delays no other.

use std::{collections::BTreeMap, error::Error, sync::Arc, time::Duration};

use futures_util::future::join_all;
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    partition::{PartitionTask, TaskEnd},
    settings::{BATCH, SinkSettings},
    store::AuditStore,
};
use crate::{
    ledger::PartitionClaim,
    log::{ClaimedPartitions, Log, LogEvent, LogRecord, PartitionId},
    runner::{Flow, RunnerError},
};

/// How long a claim may take, since the consumer group waits for it.
const CLAIM_PATIENCE: Duration = Duration::from_secs(1);
/// How long the step of a revoked partition may go on. Past it, the step is cut off, and the next
/// owner repeats what was not committed.
const LAST_STEP: Duration = Duration::from_secs(5);
/// How often the sink looks for tasks that ended by themselves.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Stores the audit until `stop` resolves or the log closes. Dropping the future at any point loses
/// nothing, because the next claim continues at the checkpoint.
///
/// # Errors
/// [`RunnerError::LogGone`] when the log closes.
pub async fn run(
    log: Arc<dyn Log>,
    store: Arc<dyn AuditStore>,
    settings: SinkSettings,
    stop: impl Future<Output = ()>,
) -> Result<(), RunnerError> {
    let mut events = log.read();
    let mut sink = Sink { log, store, settings, owned: BTreeMap::new() };
    let mut stop = std::pin::pin!(stop);
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            event = events.recv() => sink.take(event.ok_or(RunnerError::LogGone)?).await,
            _ = looks.tick() => sink.give_back_ended().await,
        }
    }
    sink.stop(sink.owned.keys().copied().collect()).await;
    Ok(())
}

struct Sink {
    log: Arc<dyn Log>,
    store: Arc<dyn AuditStore>,
    settings: SinkSettings,
    owned: BTreeMap<PartitionId, OwnedPartition>,
}

/// A partition that this process owns, and its task.
struct OwnedPartition {
    flow: Arc<Flow>,
    records: tokio::sync::mpsc::UnboundedSender<Vec<LogRecord>>,
    /// Dropped to stop the task after its step.
    stopping: watch::Sender<()>,
    task: JoinHandle<TaskEnd>,
}

impl Sink {
    async fn take(&mut self, event: LogEvent) {
        match event {
            LogEvent::Assigned { partitions, partition_count, claims } => {
                self.assigned(partitions, partition_count, claims).await;
            }
            LogEvent::Revoked { partitions, done } => {
                self.stop(partitions).await;
                let _ = done.send(()); // a log that stopped waiting has already moved on
            }
            LogEvent::Records { partition, records, .. } => {
                if let Some(owned) = self.owned.get(&partition) {
                    // Counted first: a pause is then lifted only after these records.
                    owned.flow.arrive(&*self.log, &records);
                    let _ = owned.records.send(records); // a task that ended is given back soon
                }
            }
        }
    }

    async fn assigned(
        &mut self,
        ids: Vec<PartitionId>,
        partition_count: u32,
        claims: oneshot::Sender<ClaimedPartitions>,
    ) {
        self.stop(ids.clone()).await;
        let store = &self.store;
        let answers = join_all(
            ids.into_iter().map(async |id| (id, timeout(CLAIM_PATIENCE, store.claim(id)).await)),
        );
        let mut claimed = ClaimedPartitions::default();
        for (id, answer) in answers.await {
            match answer {
                Ok(Ok(claim)) => {
                    claimed.offsets.push((id, claim.next_offset));
                    let owned = self.start(claim, partition_count);
                    self.owned.insert(id, owned);
                }
                Ok(Err(error)) => tracing::warn!(
                    partition = id.0,
                    error = &error as &dyn Error,
                    "claiming a partition of the audit failed"
                ),
                Err(_) => tracing::warn!(
                    partition = id.0,
                    "the store did not answer a claim of the audit in time"
                ),
            }
        }
        if claims.send(claimed).is_err() {
            tracing::warn!("the log withdrew an assignment during the claim");
        }
    }

    fn start(&self, claim: PartitionClaim, partition_count: u32) -> OwnedPartition {
        // `Flow` bounds what the channel holds.
        let (records, arriving) = tokio::sync::mpsc::unbounded_channel();
        let (stopping, stopped) = watch::channel(());
        let flow = Arc::new(Flow::new(claim.partition, BATCH));
        let task = PartitionTask::new(
            (Arc::clone(&self.log), Arc::clone(&self.store)),
            self.settings.clone(),
            Arc::clone(&flow),
            (claim, partition_count),
        );
        let task = tokio::spawn(task.run(arriving, stopped));
        OwnedPartition { flow, records, stopping, task }
    }

    /// Lets the steps of these partitions end, and forgets what was not committed.
    async fn stop(&mut self, ids: Vec<PartitionId>) {
        let stopping: Vec<_> =
            ids.into_iter().filter_map(|id| Some((id, self.owned.remove(&id)?))).collect();
        let counters = &self.settings.counters;
        join_all(stopping.into_iter().map(async |(id, owned)| {
            drop(owned.stopping);
            let abort = owned.task.abort_handle();
            if timeout(LAST_STEP, owned.task).await.is_err() {
                tracing::warn!(partition = id.0, "a step of the audit is cut off");
                abort.abort();
            }
            counters.forget(id);
        }))
        .await;
    }

    /// Gives back the partitions of tasks that ended by themselves. The log assigns them again.
    async fn give_back_ended(&mut self) {
        let ended: Vec<_> = self
            .owned
            .iter()
            .filter(|(_, owned)| owned.task.is_finished())
            .map(|(id, _)| *id)
            .collect();
        for id in ended {
            let owned = self.owned.remove(&id).expect("it was found a moment ago");
            self.settings.counters.forget(id);
            match owned.task.await {
                Ok(TaskEnd::Stopped | TaskEnd::Lost) => {
                    tracing::warn!(partition = id.0, "a partition of the audit has another owner");
                }
                Err(_) => tracing::error!(
                    partition = id.0,
                    "the task of a partition of the audit panicked; it starts anew"
                ),
            }
            self.log.release(id);
        }
    }
}
