//! The runner's side of a partition's task: giving it records, and stopping it.

use std::{error::Error, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinHandle},
    time::{Instant, timeout},
};

use super::{
    claims::ClaimedPartition,
    flow::Flow,
    partition_task::{PartitionTask, TaskEnd},
    shared::RunnerContext,
};
use crate::{
    anchor::LogAnchor,
    ledger::OwnerEpoch,
    log::{Log, LogRecord, PartitionId},
};

/// A partition that this process owns, and its task. Dropping it cuts the task off.
pub(super) struct OwnedPartition {
    pub(super) epoch: OwnerEpoch,
    /// When it was claimed.
    pub(super) since: Instant,
    id: PartitionId,
    anchor: LogAnchor,
    shared: Arc<RunnerContext>,
    flow: Arc<Flow>,
    records: Option<mpsc::UnboundedSender<Vec<LogRecord>>>,
    task: Option<JoinHandle<TaskEnd>>,
    abort: AbortHandle,
}

/// Reports the end of a task, even one that panicked.
struct EndReport {
    end: (PartitionId, OwnerEpoch),
    ends: mpsc::UnboundedSender<(PartitionId, OwnerEpoch)>,
}

impl Drop for EndReport {
    fn drop(&mut self) {
        let _ = self.ends.send(self.end); // a runner that has ended needs no report
    }
}

impl OwnedPartition {
    pub(super) fn start(
        shared: &Arc<RunnerContext>,
        claimed: ClaimedPartition,
        partition_count: u32,
        ends: &mpsc::UnboundedSender<(PartitionId, OwnerEpoch)>,
    ) -> Self {
        let ClaimedPartition { claim, anchor, fault } = claimed;
        let (id, epoch) = (claim.partition, claim.owner_epoch);
        // `Flow` bounds what the channel holds.
        let (records, arriving) = mpsc::unbounded_channel();
        let flow = Arc::new(Flow::new(id, shared.settings.batch));
        let report = EndReport { end: (id, epoch), ends: ends.clone() };
        let mut task =
            PartitionTask::new(Arc::clone(shared), Arc::clone(&flow), claim, partition_count);
        task.begin_epoch(anchor.epoch_floor);
        if let Some(fault) = fault {
            task.hold(fault);
        }
        let task = tokio::spawn(async move {
            let _report = report;
            task.run(arriving).await
        });
        Self {
            epoch,
            since: Instant::now(),
            id,
            anchor,
            shared: Arc::clone(shared),
            flow,
            records: Some(records),
            abort: task.abort_handle(),
            task: Some(task),
        }
    }

    /// Gives records to the task.
    pub(super) fn pass_on(&self, log: &dyn Log, mut records: Vec<LogRecord>) {
        for record in &mut records {
            record.offset = self.anchor.to_ledger(record.offset);
        }
        // Counted first: a pause is then lifted only after these records.
        self.flow.arrive(log, &records);
        if let Some(sender) = &self.records {
            let _ = sender.send(records); // a task that has ended is given back soon
        }
    }

    /// Lets the step under way end, for `patience` at most. Tells how the task ended.
    pub(super) async fn stop(mut self, patience: Duration) -> TaskEnd {
        self.records = None;
        let task = self.task.take().expect("a partition is stopped once");
        match timeout(patience, task).await {
            Ok(Ok(end)) => end,
            Ok(Err(error)) if error.is_panic() => TaskEnd::Panicked,
            Ok(Err(_)) => TaskEnd::Stopped,
            Err(elapsed) => {
                tracing::warn!(
                    partition = self.id.0,
                    error = &elapsed as &dyn Error,
                    "the step of a revoked partition did not end in time and is cut off"
                );
                TaskEnd::Stopped
            }
        }
    }
}

impl Drop for OwnedPartition {
    fn drop(&mut self) {
        self.abort.abort();
        self.shared.forget(self.id);
    }
}
