//! Small batches of different partitions share transactions: what becomes ready while a shared
//! transaction is under way goes into the next one. So transactions do not multiply with
//! partitions, and each statement has more rows.
//!
//! One partition never holds up the others for long. A batch waits for the transaction under way
//! for [`TURN`] at most. A shared transaction gives up a locked row after a moment, and when it
//! fails for any reason, each of its batches is committed in a transaction of its own. Partitions
//! whose batch then fails, or has not ended yet, share no transaction.

use std::{
    collections::HashSet,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::oneshot::{self, Receiver, Sender},
    time::timeout,
};

use super::{Consumer, PostgresError, bounded, pool::LeasePool, transaction::write};
use crate::{
    BoxFuture,
    ledger::{Batch, LedgerError},
    log::PartitionId,
};

/// Most records of a batch that shares a transaction. A larger one gains nothing.
const SMALL: usize = 64;
/// Most records of a shared transaction: as many as the largest batch has.
const SHARED: usize = 500;
/// How long a batch waits for the shared transaction that is under way.
const TURN: Duration = Duration::from_millis(25);

/// Commits the batches of one consumer.
pub(super) struct SharedCommits {
    pool: LeasePool,
    consumer: Consumer,
    state: Mutex<CommitState>,
}

#[derive(Default)]
struct CommitState {
    waiting: Vec<WaitingBatch>,
    /// Shared transactions that are under way.
    under_way: usize,
    /// Partitions that share no transaction.
    apart: HashSet<PartitionId>,
}

struct WaitingBatch {
    batch: Arc<Batch>,
    end: Sender<SharedEnd>,
}

/// How a shared transaction ended for one batch.
enum SharedEnd {
    /// The result of the batch.
    Ended(Result<(), LedgerError>),
    /// The batch must be committed in a transaction of its own.
    Divided,
}

impl SharedCommits {
    pub(super) fn new(pool: LeasePool, consumer: Consumer) -> Self {
        Self { pool, consumer, state: Mutex::default() }
    }

    /// Commits a batch in a transaction of its own.
    pub(super) async fn commit_alone(&self, batch: &Batch) -> Result<(), LedgerError> {
        bounded(write(&self.pool, &self.consumer, &[batch])).await
    }

    /// Commits a batch, if it is small together with others.
    pub(super) async fn commit(self: &Arc<Self>, batch: Arc<Batch>) -> Result<(), LedgerError> {
        if batch.journal.len() > SMALL {
            return self.commit_alone(&batch).await;
        }
        if let Some(mut end) = self.wait_with_others(&batch) {
            let ended = match timeout(TURN, &mut end).await {
                Ok(ended) => ended,
                Err(_) => {
                    self.begin(self.state());
                    end.await
                }
            };
            match ended {
                Ok(SharedEnd::Ended(result)) => return result,
                Ok(SharedEnd::Divided) => {}
                // The transaction was dropped at the end of the runtime: its outcome is unknown.
                Err(_) => return Err(PostgresError::TimedOut.into()),
            }
        }
        self.commit_apart(&batch).await
    }

    /// Commits a batch in a transaction of its own. Its partition shares none until this succeeds.
    async fn commit_apart(&self, batch: &Batch) -> Result<(), LedgerError> {
        let partition = batch.claim.partition;
        self.state().apart.insert(partition);
        self.commit_alone(batch).await?;
        self.state().apart.remove(&partition);
        Ok(())
    }

    /// Adds the batch to the next shared transaction, and begins it if none is under way. `None` if
    /// the partition shares no transaction.
    fn wait_with_others(self: &Arc<Self>, batch: &Arc<Batch>) -> Option<Receiver<SharedEnd>> {
        let mut state = self.state();
        if state.apart.contains(&batch.claim.partition) {
            return None;
        }
        let (end, ended) = oneshot::channel();
        state.waiting.push(WaitingBatch { batch: Arc::clone(batch), end });
        if state.under_way == 0 {
            self.begin(state);
        }
        Some(ended)
    }

    /// Begins a shared transaction with the batches that wait, or several if they are too many for
    /// one. It goes on when a caller gives up, since it belongs to the others as well.
    fn begin(self: &Arc<Self>, mut state: MutexGuard<'_, CommitState>) {
        loop {
            let batches = state.take();
            if batches.is_empty() {
                return;
            }
            state.under_way += 1;
            let transaction = TransactionUnderWay(Arc::clone(self));
            tokio::spawn(async move { transaction.run(batches).await });
        }
    }

    fn state(&self) -> MutexGuard<'_, CommitState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CommitState {
    /// The batches of the next shared transaction: the first that wait, and of each partition one.
    /// Nobody waits any more for a batch whose caller gave up.
    fn take(&mut self) -> Vec<WaitingBatch> {
        let (mut records, mut partitions) = (0, HashSet::new());
        let waiting = mem::take(&mut self.waiting).into_iter();
        let (taken, left) =
            waiting.filter(|waiting| !waiting.end.is_closed()).partition(|waiting| {
                records += waiting.batch.journal.len();
                records <= SHARED && partitions.insert(waiting.batch.claim.partition)
            });
        self.waiting = left;
        taken
    }
}

/// Counts a shared transaction until it is dropped.
struct TransactionUnderWay(Arc<SharedCommits>);

impl TransactionUnderWay {
    async fn run(self, waiting: Vec<WaitingBatch>) {
        let written = {
            let batches: Vec<&Batch> = waiting.iter().map(|waiting| &*waiting.batch).collect();
            let write: BoxFuture<'_, _> = Box::pin(write(&self.0.pool, &self.0.consumer, &batches));
            bounded(write).await
        };
        // The callers take the batches back.
        let mut ends: Vec<Sender<SharedEnd>> =
            waiting.into_iter().map(|waiting| waiting.end).collect();
        // Callers that gave up read the checkpoint.
        match (written, ends.len()) {
            (Err(error), 1) => drop(ends.remove(0).send(SharedEnd::Ended(Err(error)))),
            (Err(_), _) => ends.into_iter().for_each(|end| drop(end.send(SharedEnd::Divided))),
            (Ok(()), _) => {
                ends.into_iter().for_each(|end| drop(end.send(SharedEnd::Ended(Ok(())))));
            }
        }
    }
}

impl Drop for TransactionUnderWay {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.under_way -= 1;
        if state.under_way == 0 {
            self.0.begin(state);
        }
    }
}
