//! Backends that fail on demand: before or after the call takes effect, or by never answering.

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use processors::{
    BoxFuture,
    aggregate::StoredAggregate,
    anchor::LogAnchor,
    ledger::{
        Batch, Ledger, LedgerError, LocationParts, OutboxRow, OutcomeRow, PartNames,
        PartitionClaim, StoredView, ViewName,
    },
    location::{Appointment, RenewalNeed},
    log::{AppendError, Log, LogEvent, LogOffset, LogPlace, LogState, NotRead, PartitionId},
    runner::RunnerBackends,
    views::{Coverage, PartitionHead, StoreOutcome, ViewStep, ViewStore, ViewStoreError},
};
use schemas::{
    Millis,
    identity::CommandIdentity,
    ids::Aggregate,
    record::{ViewsHead, WireRecord},
    redis_keys::StoreIdentity,
    view::{Position, View},
};
use standalone::memory::Memory;
use tokio::sync::{Notify, Semaphore, mpsc};

/// The calls that a runner makes to its backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    PartitionClaim,
    Anchor,
    BeginEpoch,
    RenewEpochs,
    Checkpoint,
    Load,
    LocationParts,
    Appointments,
    Due,
    Outcomes,
    DeleteOutcomes,
    Epoch,
    Commit,
    Outbox,
    Published,
    MarkDirty,
    MarkSuspect,
    Dirty,
    View,
    Repaired,
    Store,
    Replace,
    Coverage,
    Cover,
    NoteHeads,
    Heads,
    Append,
}

impl Op {
    pub const ALL: [Op; 24] = [
        Op::PartitionClaim,
        Op::Anchor,
        Op::BeginEpoch,
        Op::RenewEpochs,
        Op::Checkpoint,
        Op::Load,
        Op::LocationParts,
        Op::Appointments,
        Op::Due,
        Op::Outcomes,
        Op::DeleteOutcomes,
        Op::Epoch,
        Op::Commit,
        Op::Outbox,
        Op::Published,
        Op::MarkDirty,
        Op::Dirty,
        Op::View,
        Op::Repaired,
        Op::Store,
        Op::Replace,
        Op::NoteHeads,
        Op::Heads,
        Op::Append,
    ];
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The call fails without effect.
    Refuse,
    /// The call takes effect and its answer is lost.
    LoseAnswer,
    /// The call waits for [`Faults::let_go`] and then takes effect.
    HoldBefore,
    /// The call takes effect and its answer waits for [`Faults::let_go`].
    HoldAfter,
    /// The call panics.
    Panic,
}

/// The plan of which calls fail.
pub struct Faults {
    planned: Mutex<BTreeMap<(Op, u32), Fault>>,
    calls: Mutex<BTreeMap<Op, u32>>,
    /// Every call of these kinds fails.
    broken: Mutex<Vec<(Op, Fault)>>,
    random: Mutex<Option<Random>>,
    /// The ledger refuses every batch that applies this command.
    unstorable: Mutex<Option<&'static str>>,
    pub held: Notify,
    released: Semaphore,
}

struct Random {
    numbers: Numbers,
    left: u32,
}

impl Faults {
    /// Applies `fault` to the `nth` call (from 1) of `op`.
    pub fn one(op: Op, nth: u32, fault: Fault) -> Arc<Self> {
        let faults = Self::none();
        faults.planned.lock().unwrap().insert((op, nth), fault);
        faults
    }

    pub fn none() -> Arc<Self> {
        Arc::new(Self {
            planned: Mutex::default(),
            calls: Mutex::default(),
            broken: Mutex::default(),
            random: Mutex::default(),
            unstorable: Mutex::default(),
            held: Notify::new(),
            released: Semaphore::new(0),
        })
    }

    /// Lets one call in eight fail, until `count` have failed.
    pub fn random(seed: u64, count: u32) -> Arc<Self> {
        let faults = Self::none();
        *faults.random.lock().unwrap() = Some(Random { numbers: Numbers(seed), left: count });
        faults
    }

    pub fn break_all(&self, ops: &[Op]) {
        self.broken.lock().unwrap().extend(ops.iter().map(|op| (*op, Fault::Refuse)));
    }

    /// Lets every call of this kind panic.
    pub fn panic_always(&self, op: Op) {
        self.broken.lock().unwrap().push((op, Fault::Panic));
    }

    /// Lets the ledger refuse every batch that applies the command with this id.
    pub fn refuse_to_store(&self, id: &'static str) {
        *self.unstorable.lock().unwrap() = Some(id);
    }

    fn cannot_store(&self, batch: &Batch) -> bool {
        let unstorable = *self.unstorable.lock().unwrap();
        batch.journal.iter().any(|row| {
            let id = row.command.as_ref().map(|(_, id, _)| id.as_str());
            unstorable.is_some() && id == unstorable && row.entry.moved().is_some()
        })
    }

    pub fn mend(&self) {
        self.broken.lock().unwrap().clear();
    }

    /// Releases held calls.
    pub fn let_go(&self) {
        self.released.add_permits(100);
    }

    pub fn calls(&self, op: Op) -> u32 {
        self.calls.lock().unwrap().get(&op).copied().unwrap_or(0)
    }

    fn next(&self, op: Op) -> Option<Fault> {
        let nth = {
            let mut calls = self.calls.lock().unwrap();
            let nth = calls.entry(op).or_default();
            *nth += 1;
            *nth
        };
        if let Some((_, fault)) = self.broken.lock().unwrap().iter().find(|(of, _)| *of == op) {
            return Some(*fault);
        }
        if let Some(fault) = self.planned.lock().unwrap().remove(&(op, nth)) {
            return Some(fault);
        }
        let mut random = self.random.lock().unwrap();
        let random = random.as_mut().filter(|random| random.left > 0)?;
        let fault = match random.numbers.below(16) {
            0 => Fault::Refuse,
            1 => Fault::LoseAnswer,
            _ => return None,
        };
        random.left -= 1;
        Some(fault)
    }

    async fn meet<T, E>(
        &self,
        op: Op,
        happening: impl Future<Output = Result<T, E>>,
        error: fn() -> E,
    ) -> Result<T, E> {
        match self.next(op) {
            None => happening.await,
            Some(Fault::Refuse) => Err(error()),
            Some(Fault::LoseAnswer) => happening.await.and(Err(error())),
            Some(Fault::Panic) => panic!("a fault of the test"),
            Some(Fault::HoldBefore) => {
                self.hold().await;
                happening.await
            }
            Some(Fault::HoldAfter) => {
                let answer = happening.await;
                self.hold().await;
                answer
            }
        }
    }

    async fn hold(&self) {
        self.held.notify_one();
        let permit = self.released.acquire().await;
        permit.expect("the semaphore stays open").forget();
    }
}

/// A seeded generator of numbers.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, bound: u64) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

fn unavailable() -> LedgerError {
    LedgerError::Unavailable("a fault of the test".into())
}

struct FaultyLedger {
    real: Arc<dyn Ledger>,
    faults: Arc<Faults>,
}

impl FaultyLedger {
    fn meet<'a, T: Send + 'a>(
        &'a self,
        op: Op,
        happening: BoxFuture<'a, Result<T, LedgerError>>,
    ) -> BoxFuture<'a, Result<T, LedgerError>> {
        Box::pin(self.faults.meet(op, happening, unavailable))
    }
}

impl Ledger for FaultyLedger {
    fn claim(&self, partition: PartitionId) -> BoxFuture<'_, Result<PartitionClaim, LedgerError>> {
        self.meet(Op::PartitionClaim, self.real.claim(partition))
    }
    fn anchor(&self, partition: PartitionId) -> BoxFuture<'_, Result<LogAnchor, LedgerError>> {
        self.meet(Op::Anchor, self.real.anchor(partition))
    }
    fn begin_epoch_if_older<'a>(
        &'a self,
        published: &'a [(Aggregate, Position)],
    ) -> BoxFuture<'a, Result<Option<u64>, LedgerError>> {
        self.meet(Op::BeginEpoch, self.real.begin_epoch_if_older(published))
    }
    fn renew_epochs<'a>(
        &'a self,
        claim: PartitionClaim,
        epoch: u64,
        at: Millis,
        after: Option<&'a Aggregate>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Option<Aggregate>, LedgerError>> {
        self.meet(Op::RenewEpochs, self.real.renew_epochs(claim, epoch, at, after, limit))
    }
    fn checkpoint(
        &self,
        partition: PartitionId,
    ) -> BoxFuture<'_, Result<PartitionClaim, LedgerError>> {
        self.meet(Op::Checkpoint, self.real.checkpoint(partition))
    }
    fn restore<'a>(
        &'a self,
        aggregate: &'a Aggregate,
    ) -> BoxFuture<'a, Result<Option<StoredAggregate>, LedgerError>> {
        self.meet(Op::Load, self.real.restore(aggregate))
    }
    fn location_parts<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        names: &'a PartNames,
    ) -> BoxFuture<'a, Result<LocationParts, LedgerError>> {
        self.meet(Op::LocationParts, self.real.location_parts(aggregate, names))
    }
    fn appointments<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        wake: Range<Millis>,
    ) -> BoxFuture<'a, Result<Vec<Appointment>, LedgerError>> {
        self.meet(Op::Appointments, self.real.appointments(aggregate, wake))
    }

    fn shown_appointments<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        need: &'a RenewalNeed,
    ) -> BoxFuture<'a, Result<Vec<Appointment>, LedgerError>> {
        self.meet(Op::Appointments, self.real.shown_appointments(aggregate, need))
    }
    fn due(
        &self,
        partition: PartitionId,
    ) -> BoxFuture<'_, Result<Vec<(Aggregate, Millis)>, LedgerError>> {
        self.meet(Op::Due, self.real.due(partition))
    }
    fn outcomes<'a>(
        &'a self,
        commands: &'a [CommandIdentity],
    ) -> BoxFuture<'a, Result<Vec<OutcomeRow>, LedgerError>> {
        self.meet(Op::Outcomes, self.real.outcomes(commands))
    }
    fn delete_outcomes(
        &self,
        partition: PartitionId,
        before: Millis,
        limit: u32,
    ) -> BoxFuture<'_, Result<u64, LedgerError>> {
        self.meet(Op::DeleteOutcomes, self.real.delete_outcomes(partition, before, limit))
    }
    fn next_epoch(&self) -> BoxFuture<'_, Result<u64, LedgerError>> {
        self.meet(Op::Epoch, self.real.next_epoch())
    }
    fn commit<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<(), LedgerError>> {
        if self.faults.cannot_store(batch) {
            let refusal = LedgerError::Refused("a fault of the test".into());
            return Box::pin(std::future::ready(Err(refusal)));
        }
        self.meet(Op::Commit, self.real.commit(batch))
    }
    fn outbox(
        &self,
        partition: PartitionId,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<OutboxRow>, LedgerError>> {
        self.meet(Op::Outbox, self.real.outbox(partition, limit))
    }
    fn delete_published<'a>(
        &'a self,
        partition: PartitionId,
        rows: &'a [(LogOffset, i16)],
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        self.meet(Op::Published, self.real.delete_published(partition, rows))
    }
    fn mark_dirty<'a>(&'a self, views: &'a [ViewName]) -> BoxFuture<'a, Result<(), LedgerError>> {
        self.meet(Op::MarkDirty, self.real.mark_dirty(views))
    }
    fn mark_suspect<'a>(
        &'a self,
        partition: PartitionId,
        partition_count: u32,
        after: Option<&'a ViewName>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Option<ViewName>, LedgerError>> {
        self.meet(Op::MarkSuspect, self.real.mark_suspect(partition, partition_count, after, limit))
    }
    fn dirty(
        &self,
        partition: PartitionId,
        partition_count: u32,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<ViewName>, LedgerError>> {
        self.meet(Op::Dirty, self.real.dirty(partition, partition_count, limit))
    }
    fn view<'a>(
        &'a self,
        name: &'a ViewName,
    ) -> BoxFuture<'a, Result<Option<StoredView>, LedgerError>> {
        self.meet(Op::View, self.real.view(name))
    }
    fn mark_repaired<'a>(
        &'a self,
        name: &'a ViewName,
        position: Position,
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        self.meet(Op::Repaired, self.real.mark_repaired(name, position))
    }
}

struct FaultyViews {
    real: Arc<dyn ViewStore>,
    faults: Arc<Faults>,
}

impl ViewStore for FaultyViews {
    fn store<'a>(
        &'a self,
        steps: &'a [ViewStep],
    ) -> BoxFuture<'a, Result<Vec<StoreOutcome>, ViewStoreError>> {
        Box::pin(self.faults.meet(Op::Store, self.real.store(steps), || ViewStoreError(None)))
    }
    fn replace<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        name: &'a str,
        view: &'a View,
        keep_s: Option<u32>,
    ) -> BoxFuture<'a, Result<(), ViewStoreError>> {
        let replaced = self.real.replace(aggregate, name, view, keep_s);
        Box::pin(self.faults.meet(Op::Replace, replaced, || ViewStoreError(None)))
    }
    fn coverage(
        &self,
        topic: &'static str,
        partition: PartitionId,
    ) -> BoxFuture<'_, Result<Coverage, ViewStoreError>> {
        let coverage = self.real.coverage(topic, partition);
        Box::pin(self.faults.meet(Op::Coverage, coverage, || ViewStoreError(None)))
    }
    fn cover<'a>(
        &'a self,
        topic: &'static str,
        partition: PartitionId,
        identity: &'a StoreIdentity,
    ) -> BoxFuture<'a, Result<(), ViewStoreError>> {
        let covered = self.real.cover(topic, partition, identity);
        Box::pin(self.faults.meet(Op::Cover, covered, || ViewStoreError(None)))
    }
    fn note_heads<'a>(
        &'a self,
        topic: &'static str,
        heads: &'a [PartitionHead],
    ) -> BoxFuture<'a, Result<(), ViewStoreError>> {
        let noted = self.real.note_heads(topic, heads);
        Box::pin(self.faults.meet(Op::NoteHeads, noted, || ViewStoreError(None)))
    }
    fn heads(&self) -> BoxFuture<'_, Result<Vec<(Aggregate, Position)>, ViewStoreError>> {
        Box::pin(self.faults.meet(Op::Heads, self.real.heads(), || ViewStoreError(None)))
    }
}

/// A log that can deliver every record twice, or report more partitions than one.
pub struct FaultyLog {
    pub real: Arc<dyn Log>,
    pub faults: Arc<Faults>,
    pub twice: bool,
    pub partition_count: u32,
    pub released: AtomicBool,
}

impl FaultyLog {
    async fn pass_on(
        mut inputs: mpsc::Receiver<LogEvent>,
        to: mpsc::Sender<LogEvent>,
        twice: bool,
        says: u32,
    ) {
        while let Some(input) = inputs.recv().await {
            let input = match input {
                LogEvent::Assigned { partitions, claims, .. } => {
                    LogEvent::Assigned { partitions, partition_count: says, claims }
                }
                LogEvent::Records { partition, records, .. } => {
                    if twice {
                        let again = LogEvent::Records {
                            partition,
                            partition_count: says,
                            records: records.clone(),
                        };
                        drop(to.send(again).await);
                    }
                    LogEvent::Records { partition, partition_count: says, records }
                }
                revoked @ LogEvent::Revoked { .. } => revoked,
            };
            if to.send(input).await.is_err() {
                return;
            }
        }
    }
}

impl Log for FaultyLog {
    fn read(&self) -> mpsc::Receiver<LogEvent> {
        let (sender, receiver) = mpsc::channel(4);
        tokio::spawn(Self::pass_on(self.real.read(), sender, self.twice, self.partition_count));
        receiver
    }
    fn release(&self, partition: PartitionId) {
        self.released.store(true, SeqCst);
        self.real.release(partition);
    }
    fn pause(&self, partition: PartitionId, paused: bool) {
        self.real.pause(partition, paused);
    }
    fn look<'a>(&'a self, places: &'a [LogPlace]) -> BoxFuture<'a, Vec<(PartitionId, LogState)>> {
        self.real.look(places)
    }
    fn newest_views(&self) -> BoxFuture<'_, Result<Vec<ViewsHead>, NotRead>> {
        self.real.newest_views()
    }
    fn append<'a>(
        &'a self,
        records: &'a [(&'static str, WireRecord)],
    ) -> BoxFuture<'a, Result<(), AppendError>> {
        let refused = || AppendError { record: Some(0), source: None };
        Box::pin(self.faults.meet(Op::Append, self.real.append(records), refused))
    }
}

/// New clients of the parts of `memory`, with faults.
pub fn backends(memory: &Memory, faults: &Arc<Faults>) -> RunnerBackends {
    let log = FaultyLog {
        real: Arc::new(memory.log.another()),
        faults: faults.clone(),
        twice: false,
        partition_count: 1,
        released: AtomicBool::new(false),
    };
    backends_with(memory, faults, Arc::new(log))
}

pub fn backends_with(memory: &Memory, faults: &Arc<Faults>, log: Arc<FaultyLog>) -> RunnerBackends {
    RunnerBackends {
        log,
        ledger: Arc::new(FaultyLedger { real: memory.ledger.clone(), faults: faults.clone() }),
        views: Arc::new(FaultyViews { real: memory.views.clone(), faults: faults.clone() }),
    }
}
