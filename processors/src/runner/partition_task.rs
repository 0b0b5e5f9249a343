//! The task of one partition: it takes the records that arrive, and takes one step at a time.

mod deciding;
mod delivery;
mod epochs;
mod outcomes;
mod restore;
mod ticking;

use std::{error::Error, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use schemas::codes::Code;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    answered,
    batch::BatchTally,
    decided_batch::DecidedBatch,
    flow::Flow,
    partition::{Partition, PartitionStage},
    shared::RunnerContext,
    status::{Failure, FailureKind, PartitionStatus},
    traces::BatchPlace,
};
use crate::{
    anchor::LogFault,
    ledger::{JournalRow, LedgerError, PartitionClaim},
    log::{AppendError, LogOffset, LogRecord},
};

/// How often a partition without work reports itself.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often a partition without work asks whether it is still the owner's: one small query. A
/// rebuild takes it away, so that its next claim publishes what the rebuild left.
const OWNER_EVERY: Duration = Duration::from_secs(5);

pub(super) struct PartitionTask {
    shared: Arc<RunnerContext>,
    partition: Partition,
    flow: Arc<Flow>,
    /// When the ledger last said that the partition is this owner's.
    owned_at: Instant,
}

/// Why the task of a partition ended.
pub(super) enum TaskEnd {
    /// The runner stopped it.
    Stopped,
    /// The partition has another owner.
    Lost,
    /// A fault of the program.
    Panicked,
}

/// Why a partition could not advance.
enum PartitionError {
    /// The ledger did not answer.
    Ledger(LedgerError),
    /// The log did not acknowledge the outbox.
    Log(AppendError),
    /// A command was decided before, and its outcome must be looked up.
    Repeated,
    /// One of this many records cannot be committed, whenever it is tried.
    Culprit { records: usize, code: Code },
    /// The partition has another owner, or its checkpoint moved back.
    Lost,
}

impl From<LedgerError> for PartitionError {
    fn from(error: LedgerError) -> Self {
        PartitionError::Ledger(error)
    }
}

impl PartitionTask {
    pub(super) fn new(
        shared: Arc<RunnerContext>,
        flow: Arc<Flow>,
        claim: PartitionClaim,
        partition_count: u32,
    ) -> Self {
        let mut partition = Partition::new(claim, partition_count, shared.settings.batch);
        partition.parked.resume(shared.parked_excess(claim.partition));
        // An aborted task ends at its next await, so it may have cached aggregates after `forget`.
        shared.drop_cached(claim.partition);
        shared.dirty.own(&claim, partition_count);
        shared.settings.counters.start(shared.settings.topic, claim.partition, claim.next_offset);
        Self { shared, partition, flow, owned_at: Instant::now() }
    }

    /// Has older aggregates begin this epoch before any record is applied.
    pub(super) fn begin_epoch(&mut self, epoch: Option<u64>) {
        self.partition.epoch_floor = epoch;
        self.partition.stage = self.partition.first_stage();
    }

    /// Keeps the partition from being read: its log is not the one that was applied.
    pub(super) fn hold(&mut self, fault: LogFault) {
        self.partition.stage = PartitionStage::Held;
        self.fails(FailureKind::Log(fault));
        tracing::error!(
            topic = self.shared.settings.topic,
            partition = self.partition.claim.partition.0,
            offset = self.partition.claim.next_offset.0,
            "the partition stops: {fault}. Bring the topic back, or accept it as it is with \
             `clinicwire-processors topic accept`"
        );
    }

    /// Runs until the sender of records is dropped or another owner takes over.
    pub(super) async fn run(
        mut self,
        mut arriving: mpsc::UnboundedReceiver<Vec<LogRecord>>,
    ) -> TaskEnd {
        loop {
            tokio::select! {
                biased;
                records = arriving.recv() => match records {
                    Some(records) => self.push(records),
                    None => {
                        // The next owner publishes the remaining rows again.
                        let _ = self.delete_published().await;
                        return TaskEnd::Stopped;
                    }
                },
                () = sleep_until(self.next_due()) => {}
            }
            // Everything that has arrived goes into as few transactions as possible.
            while let Ok(records) = arriving.try_recv() {
                self.push(records);
            }
            if self.work().await.is_err() {
                return TaskEnd::Lost;
            }
        }
    }

    fn push(&mut self, records: Vec<LogRecord>) {
        let known = self.partition.push(records);
        self.flow.leave(&*self.shared.backends.log, &known);
    }

    /// When there is something to do without new records.
    fn next_due(&self) -> Instant {
        let due = self.partition.due().into_iter().chain(self.partition.parked.due());
        let due = due.chain(self.timers_due()).chain(self.published_due()).min();
        due.unwrap_or_else(|| Instant::now() + LOOK_EVERY)
    }

    /// Takes one step, then writes ticks, and deletes old outcomes and published rows.
    async fn work(&mut self) -> Result<(), Lost> {
        // The clock is read after `due`, which answers "now" for a partition that is due
        // immediately.
        if self.partition.due().is_some_and(|due| due <= Instant::now()) {
            // The checkpoint is read again after a panic, so a step that broke off does no harm.
            match AssertUnwindSafe(self.advance()).catch_unwind().await {
                Ok(advanced) => advanced?,
                Err(_) => {
                    self.partition.stage = PartitionStage::CheckpointUnknown;
                    self.fails(FailureKind::Fault);
                    self.partition.back_off();
                }
            }
        }
        self.look_at_owner().await?;
        self.tick().await;
        self.tidy_outbox().await;
        self.delete_outcomes().await;
        self.partition.parked.log(self.shared.settings.topic, self.partition.claim.partition);
        Ok(())
    }

    /// Does what the stage of the partition requires.
    async fn advance(&mut self) -> Result<(), Lost> {
        let done = match self.partition.stage {
            PartitionStage::CheckpointUnknown => self.read_checkpoint().await,
            PartitionStage::OldEpochs => self.renew_epochs().await,
            PartitionStage::OutboxPending => self.publish_leftovers().await,
            PartitionStage::Ready => self.apply().await,
            PartitionStage::Stopped => return Ok(()),
            PartitionStage::Held => self.look_for_acceptance().await,
        };
        match done {
            Ok(()) => self.report_waiting(),
            Err(error) => self.recover(error)?,
        }
        Ok(())
    }

    /// Decides how the partition goes on after a failure.
    fn recover(&mut self, error: PartitionError) -> Result<(), Lost> {
        let PartitionClaim { partition, next_offset, .. } = self.partition.claim;
        let (id, offset) = (partition.0, next_offset.0);
        match error {
            PartitionError::Lost => return Err(Lost),
            PartitionError::Repeated => {
                self.partition.expect_repeats();
                self.partition.stage = PartitionStage::CheckpointUnknown;
                return Ok(());
            }
            PartitionError::Culprit { records, code } => {
                tracing::warn!(
                    partition = id,
                    offset,
                    records,
                    %code,
                    "a batch cannot be committed because of one of its records; it is searched for"
                );
                self.partition.isolate(records, code);
                self.partition.stage = PartitionStage::CheckpointUnknown;
                return Ok(());
            }
            PartitionError::Ledger(error) => {
                let error = &error as &dyn Error;
                tracing::warn!(partition = id, offset, error, "a call to the ledger failed");
                if self.partition.stage == PartitionStage::Ready {
                    self.partition.shrink_batch();
                }
                self.partition.stage = PartitionStage::CheckpointUnknown;
                self.fails(FailureKind::Ledger);
            }
            PartitionError::Log(error) => {
                let error = &error as &dyn Error;
                tracing::error!(
                    partition = id,
                    offset,
                    error,
                    "the outbox cannot be published; the partition waits and tries again"
                );
                self.partition.stage = PartitionStage::OutboxPending;
                self.fails(FailureKind::Publish);
            }
        }
        self.partition.back_off();
        Ok(())
    }

    /// Reads the checkpoint when it may differ from memory: a commit whose answer was lost may have
    /// succeeded.
    async fn read_checkpoint(&mut self) -> Result<(), PartitionError> {
        let PartitionClaim { partition, owner_epoch, next_offset } = self.partition.claim;
        let row = answered(self.shared.backends.ledger.checkpoint(partition)).await?;
        if row.owner_epoch != owner_epoch || row.next_offset < next_offset {
            return Err(PartitionError::Lost);
        }
        if row.next_offset > next_offset {
            self.partition.committed();
        }
        self.move_to(row.next_offset);
        self.partition.stage = self.partition.first_stage();
        Ok(())
    }

    /// Ends the task of a partition without work that has another owner epoch.
    async fn look_at_owner(&mut self) -> Result<(), Lost> {
        if !self.partition.is_idle() || self.owned_at.elapsed() < OWNER_EVERY {
            return Ok(());
        }
        self.owned_at = Instant::now();
        let PartitionClaim { partition, owner_epoch, .. } = self.partition.claim;
        // The next commit tells of a ledger that does not answer.
        match answered(self.shared.backends.ledger.checkpoint(partition)).await {
            Ok(row) if row.owner_epoch != owner_epoch => Err(Lost),
            _ => Ok(()),
        }
    }

    /// Ends the task once an operator has accepted the log, which raises the owner epoch: the next
    /// claim looks at the log again.
    async fn look_for_acceptance(&mut self) -> Result<(), PartitionError> {
        let PartitionClaim { partition, owner_epoch, .. } = self.partition.claim;
        let row = answered(self.shared.backends.ledger.checkpoint(partition)).await;
        self.partition.look_again_after(LOOK_EVERY);
        // A ledger that does not answer is asked again, and the reason to stop stays the same.
        match row {
            Ok(row) if row.owner_epoch != owner_epoch => Err(PartitionError::Lost),
            _ => Ok(()),
        }
    }

    /// Applies one batch: restore, decide, commit, deliver. The aggregates are out of the cache
    /// meanwhile and return only after the commit. So a failure, or dropping this future, forgets
    /// everything that was not committed.
    async fn apply(&mut self) -> Result<(), PartitionError> {
        let Some(mut decided) = self.decide().await? else { return Ok(()) };
        decided.batch.published = self.partition.published.keys().to_vec();
        let DecidedBatch { batch, tally, aggregates, latest, mut traces } = decided;
        let batch = Arc::new(batch);
        let begun = Instant::now();
        let ledger = &self.shared.backends.ledger;
        let committed = answered(ledger.commit_with_others(Arc::clone(&batch))).await;
        committed.map_err(|error| self.judge_refusal(error, batch.journal.len()))?;
        let batch = Arc::unwrap_or_clone(batch);
        traces.note("commit");
        self.count(&batch.journal, batch.to, &tally, begun.elapsed());
        let claim = self.partition.claim;
        // In order of their keys, so that the cache drops the same ones in each run of a seed.
        let mut aggregates: Vec<_> = aggregates.into_iter().collect();
        aggregates.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        for (aggregate, mut state) in aggregates {
            if let Some(location) = state.location_mut() {
                location.forget_ended();
            }
            self.shared.cache_aggregate(claim.partition, aggregate, state);
        }
        self.partition.outcomes.committed(latest, (self.shared.settings.clock)());
        self.partition.published.deleted();
        self.partition.timers.committed(&batch.aggregates, latest);
        self.shared.heads.committed(claim.partition, &batch.aggregates);
        self.partition.committed();
        self.owned_at = Instant::now();
        self.move_to(batch.to);
        let place = BatchPlace {
            topic: self.shared.settings.topic,
            partition: claim.partition,
            records: batch.journal.len(),
        };
        let delivered = self.deliver(batch.views, batch.outbox, &mut traces).await;
        traces.finish(place, delivered.is_ok());
        delivered?;
        self.partition.reset_backoff();
        self.works();
        self.stop_in_a_storm();
        Ok(())
    }

    /// Counts a committed batch.
    fn count(&mut self, journal: &[JournalRow], to: LogOffset, tally: &BatchTally, took: Duration) {
        let settings = &self.shared.settings;
        self.partition.parked.committed(journal);
        if tally.repeated > 0 {
            self.partition.expect_repeats();
        }
        self.shared
            .keep_parked_excess(self.partition.claim.partition, self.partition.parked.excess());
        settings.counters.committed(
            settings.topic,
            self.partition.claim.partition,
            to,
            tally,
            took,
        );
        settings.work_signals.iter().for_each(|signal| signal.notify_one());
    }

    /// Whether the ledger refused the batch itself, or failed.
    fn judge_refusal(&self, error: LedgerError, records: usize) -> PartitionError {
        match error {
            // A parked record is refused as well: then the record is not the cause.
            LedgerError::Refused(source) if self.partition.culprit.is_none() => {
                let error = &*source as &dyn Error;
                tracing::warn!(error, "the ledger refuses a batch");
                PartitionError::Culprit { records, code: Code::RecordNotStored }
            }
            LedgerError::Repeated => PartitionError::Repeated,
            error => PartitionError::Ledger(error),
        }
    }

    fn move_to(&mut self, offset: LogOffset) {
        let committed = self.partition.move_to(offset);
        self.flow.leave(&*self.shared.backends.log, &committed);
    }

    /// Stops the partition when as many records were parked as the settings allow.
    fn stop_in_a_storm(&mut self) {
        let limit = self.shared.settings.parked_limit;
        if !self.partition.parked.is_storm(limit) {
            return;
        }
        self.partition.stage = PartitionStage::Stopped;
        self.fails(FailureKind::Parked);
        tracing::error!(
            topic = self.shared.settings.topic,
            partition = self.partition.claim.partition.0,
            offset = self.partition.claim.next_offset.0,
            "the partition stops: {limit} records were parked, and few others decided. Check the \
             versions of gateways and processors, then restart this process"
        );
    }

    fn report(&self, change: impl FnOnce(&mut PartitionStatus)) {
        let settings = &self.shared.settings;
        settings.counters.report(settings.topic, self.partition.claim.partition, change);
    }

    fn report_waiting(&self) {
        let oldest = self.partition.pending.front().map(|record| record.at);
        self.report(|status| status.oldest_waiting = oldest);
    }

    fn fails(&self, kind: FailureKind) {
        self.report_waiting();
        self.report(|status| {
            let since = status.failing.map_or_else(Instant::now, |failing| failing.since);
            status.failing = Some(Failure { since, kind });
        });
    }

    fn works(&self) {
        self.report(|status| status.failing = None);
    }
}

/// The partition has another owner.
struct Lost;
