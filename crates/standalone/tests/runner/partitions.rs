//! Several partitions of one runner: none delays another, and one that is full is paused alone.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use processors::{
    BoxFuture,
    ledger::Ledger,
    log::{
        AppendError, ClaimedPartitions, Log, LogEvent, LogOffset, LogPlace, LogRecord, LogState,
        NotRead, PartitionId,
    },
    runner::{self, RunnerBackends},
    views::{Coverage, PartitionHead, StoreOutcome, ViewStep, ViewStore, ViewStoreError},
};
use schemas::{
    ids::Aggregate,
    record::{ViewsHead, WireRecord},
    redis_keys::StoreIdentity,
    view::{Position, View},
};
use standalone::memory::Memory;
use testing::records::SampleLocation;
use tokio::sync::{mpsc, oneshot};

use crate::{
    clinic::{START, issue, memory, opening, run, settings, until},
    faults::{Fault, Faults, Op, backends},
};

const COUNT: u32 = 4;

/// A log whose reader gets what the test sends.
pub struct ManualLog {
    receiver: Mutex<Option<mpsc::Receiver<LogEvent>>>,
    pauses: Mutex<Vec<(PartitionId, bool)>>,
    pub released: Mutex<Vec<PartitionId>>,
    /// The states of partitions whose log is not whole.
    pub states: Mutex<BTreeMap<PartitionId, LogState>>,
    writes: Arc<dyn Log>,
}

impl Log for ManualLog {
    fn read(&self) -> mpsc::Receiver<LogEvent> {
        self.receiver.lock().unwrap().take().expect("one reader")
    }
    fn release(&self, partition: PartitionId) {
        self.released.lock().unwrap().push(partition);
    }
    fn pause(&self, partition: PartitionId, paused: bool) {
        self.pauses.lock().unwrap().push((partition, paused));
    }
    fn look<'a>(&'a self, places: &'a [LogPlace]) -> BoxFuture<'a, Vec<(PartitionId, LogState)>> {
        let states = self.states.lock().unwrap();
        let state = |place: &LogPlace| {
            let whole =
                LogState { start: LogOffset::START, end: LogOffset(i64::MAX), record: None };
            (place.partition, states.get(&place.partition).cloned().unwrap_or(whole))
        };
        Box::pin(std::future::ready(places.iter().map(state).collect()))
    }
    fn newest_views(&self) -> BoxFuture<'_, Result<Vec<ViewsHead>, NotRead>> {
        self.writes.newest_views()
    }
    fn append<'a>(
        &'a self,
        records: &'a [(&'static str, WireRecord)],
    ) -> BoxFuture<'a, Result<(), AppendError>> {
        self.writes.append(records)
    }
}

pub struct Partitions {
    pub memory: Memory,
    pub log: Arc<ManualLog>,
    events: mpsc::Sender<LogEvent>,
    pub ends: BTreeMap<PartitionId, LogOffset>,
}

impl Partitions {
    pub fn new(faults: &Arc<Faults>) -> Self {
        let memory = memory();
        let (events, receiver) = mpsc::channel(4);
        let log = Arc::new(ManualLog {
            receiver: Mutex::new(Some(receiver)),
            pauses: Mutex::default(),
            released: Mutex::default(),
            states: Mutex::default(),
            writes: backends(&memory, faults).log,
        });
        Self { memory, log, events, ends: BTreeMap::new() }
    }

    pub fn backends(&self, faults: &Arc<Faults>) -> RunnerBackends {
        RunnerBackends { log: self.log.clone(), ..backends(&self.memory, faults) }
    }

    /// Assigns partitions. Returns those that are read.
    pub async fn assign(&self, ids: &[u32]) -> Vec<PartitionId> {
        let offsets = self.claim(ids).await.offsets;
        offsets.into_iter().map(|(partition, _)| partition).collect()
    }

    /// Assigns partitions. Returns the answer.
    pub async fn claim(&self, ids: &[u32]) -> ClaimedPartitions {
        let (claims, claimed) = oneshot::channel();
        let partitions = ids.iter().copied().map(PartitionId).collect();
        let event = LogEvent::Assigned { partitions, partition_count: COUNT, claims };
        self.events.send(event).await.unwrap();
        claimed.await.unwrap()
    }

    pub async fn revoke(&self, ids: &[u32]) {
        let (done, revoked) = oneshot::channel();
        let partitions = ids.iter().copied().map(PartitionId).collect();
        self.events.send(LogEvent::Revoked { partitions, done }).await.unwrap();
        revoked.await.unwrap();
    }

    pub async fn send(&mut self, id: u32, records: Vec<WireRecord>) {
        let partition = PartitionId(id);
        let end = self.ends.entry(partition).or_default();
        let records = records.into_iter().map(|record| {
            let offset = *end;
            *end = offset.next();
            LogRecord { offset, at: START, record }
        });
        let records = records.collect();
        let event = LogEvent::Records { partition, partition_count: COUNT, records };
        self.events.send(event).await.unwrap();
    }

    pub async fn is_committed(&self, id: u32) -> bool {
        let partition = PartitionId(id);
        let checkpoint = self.memory.ledger.checkpoint(partition).await.unwrap();
        checkpoint.next_offset == self.ends[&partition]
    }
}

/// A location of this partition.
pub fn location(partition: u32) -> SampleLocation {
    let place = |n: u32| SampleLocation::new("demo", &format!("place-{n}"));
    let is_there = |place: &SampleLocation| {
        PartitionId::for_key(place.aggregate().as_str(), COUNT) == PartitionId(partition)
    };
    (0..).map(place).find(is_there).unwrap()
}

pub fn issues(at: &SampleLocation, numbers: std::ops::Range<u64>) -> Vec<WireRecord> {
    numbers.map(|n| at.record(&format!("i-{n}"), issue(at, n)).to_wire()).collect()
}

#[tokio::test(start_paused = true)]
async fn stalled_partition_delays_no_other() {
    for op in [Op::Commit, Op::Append, Op::Load, Op::Published] {
        // The first call of this kind does not return; it belongs to partition 0.
        let faults = Faults::one(op, 1, Fault::HoldBefore);
        let mut partitions = Partitions::new(&faults);
        run(partitions.backends(&faults), settings());
        assert_eq!(partitions.assign(&[0, 1, 2]).await.len(), 3);
        partitions.send(0, opening(&location(0))).await;
        faults.held.notified().await;
        let begun = tokio::time::Instant::now();
        for id in [1, 2] {
            partitions.send(id, opening(&location(id))).await;
            partitions.send(id, issues(&location(id), 1..50)).await;
        }
        until("the others are done", async || {
            partitions.is_committed(1).await && partitions.is_committed(2).await
        })
        .await;
        assert!(begun.elapsed() < Duration::from_millis(500), "{op:?} held them");
        faults.let_go();
        until("all are done", async || partitions.is_committed(0).await).await;
    }
}

#[tokio::test(start_paused = true)]
async fn full_partition_is_paused_alone_and_resumed() {
    let faults = Faults::one(Op::Commit, 1, Fault::HoldBefore);
    let mut partitions = Partitions::new(&faults);
    run(partitions.backends(&faults), settings());
    partitions.assign(&[0, 1]).await;
    let pauses = |of: &Partitions| of.log.pauses.lock().unwrap().clone();
    partitions.send(0, opening(&location(0))).await;
    faults.held.notified().await;
    // Ten batches of seven may wait.
    partitions.send(0, issues(&location(0), 1..60)).await;
    partitions.send(1, opening(&location(1))).await;
    until("the other partition is done", async || partitions.is_committed(1).await).await;
    assert!(pauses(&partitions).is_empty());
    partitions.send(0, issues(&location(0), 60..80)).await;
    until("it is paused", async || pauses(&partitions) == [(PartitionId(0), true)]).await;
    partitions.send(0, issues(&location(0), 80..90)).await;
    faults.let_go();
    until("all are done", async || partitions.is_committed(0).await).await;
    assert_eq!(pauses(&partitions), [(PartitionId(0), true), (PartitionId(0), false)]);
}

#[tokio::test(start_paused = true)]
async fn revoked_partition_is_forgotten() {
    let faults = Faults::none();
    let mut partitions = Partitions::new(&faults);
    let settings = settings();
    let counters = settings.counters.clone();
    run(partitions.backends(&faults), settings);
    partitions.assign(&[0, 1]).await;
    assert_eq!(counters.partitions().len(), 2);
    partitions.revoke(&[0, 1]).await;
    assert!(counters.partitions().is_empty(), "no gauge of them is left");
    partitions.assign(&[1]).await;
    partitions.send(1, opening(&location(1))).await;
    until("it goes on", async || partitions.is_committed(1).await).await;
    assert_eq!(counters.partitions().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn partitions_are_given_back_only_when_all_fail() {
    let faults = Faults::none();
    let mut partitions = Partitions::new(&faults);
    run(partitions.backends(&faults), settings());
    partitions.assign(&[0, 1]).await;
    faults.break_all(&[Op::Append]);
    partitions.send(0, opening(&location(0))).await;
    tokio::time::sleep(Duration::from_secs(120)).await; // simulated time: it must not be given back
    assert!(partitions.log.released.lock().unwrap().is_empty(), "partition 1 may still work");
    partitions.send(1, opening(&location(1))).await;
    until("both are given back", async || partitions.log.released.lock().unwrap().len() == 2).await;
}

/// A store whose calls take long, though it answers.
struct SlowViews(Arc<dyn ViewStore>);

impl ViewStore for SlowViews {
    fn store<'a>(
        &'a self,
        steps: &'a [ViewStep],
    ) -> BoxFuture<'a, Result<Vec<StoreOutcome>, ViewStoreError>> {
        Box::pin(async move {
            tokio::time::sleep(Duration::from_millis(600)).await; // simulated time of the store
            self.0.store(steps).await
        })
    }
    fn replace<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        name: &'a str,
        view: &'a View,
        keep_s: Option<u32>,
    ) -> BoxFuture<'a, Result<(), ViewStoreError>> {
        self.0.replace(aggregate, name, view, keep_s)
    }
    fn coverage(
        &self,
        topic: &'static str,
        partition: PartitionId,
    ) -> BoxFuture<'_, Result<Coverage, ViewStoreError>> {
        self.0.coverage(topic, partition)
    }
    fn cover<'a>(
        &'a self,
        topic: &'static str,
        partition: PartitionId,
        identity: &'a StoreIdentity,
    ) -> BoxFuture<'a, Result<(), ViewStoreError>> {
        self.0.cover(topic, partition, identity)
    }
    fn note_heads<'a>(
        &'a self,
        topic: &'static str,
        heads: &'a [PartitionHead],
    ) -> BoxFuture<'a, Result<(), ViewStoreError>> {
        self.0.note_heads(topic, heads)
    }
    fn heads(&self) -> BoxFuture<'_, Result<Vec<(Aggregate, Position)>, ViewStoreError>> {
        self.0.heads()
    }
}

#[tokio::test(start_paused = true)]
async fn large_batch_opens_no_breaker() {
    let faults = Faults::none();
    let mut partitions = Partitions::new(&faults);
    let settings = runner::RunnerSettings { batch: 2_000, ..settings() };
    let counters = settings.counters.clone();
    let mut backends = partitions.backends(&faults);
    backends.views = Arc::new(SlowViews(partitions.memory.views.clone()));
    run(backends, settings);
    partitions.assign(&[0]).await;
    partitions.send(0, opening(&location(0))).await;
    until("the location is there", async || partitions.is_committed(0).await).await;
    tokio::time::sleep(Duration::from_secs(5)).await; // simulated time: first views are repaired
    let dirtied = counters.dirtied.load(std::sync::atomic::Ordering::SeqCst);
    // One batch changes the view of each ticket: more steps than one call stores.
    partitions.send(0, issues(&location(0), 0..1_500)).await;
    until("it is committed", async || partitions.is_committed(0).await).await;
    tokio::time::sleep(Duration::from_secs(5)).await; // simulated time: it is delivered
    assert_eq!(counters.dirtied.load(std::sync::atomic::Ordering::SeqCst), dirtied);
}
