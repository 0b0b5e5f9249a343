//! The sink: each record is stored once, despite every fault.

use std::{
    sync::{
        Arc,
        atomic::Ordering::{Relaxed, SeqCst},
    },
    time::Duration,
};

use gateway::backends::queries::AuditQuery;
use processors::{
    audit::{SinkCounters, SinkSettings, run},
    log::Log,
};
use schemas::{
    Millis,
    audit::{AuditEntry, AuditRecord},
    ids::TenantId,
    record::{AUDIT_TOPIC, WireRecord},
};
use standalone::memory::{MemoryAudit, MemoryLog, system_clock};
use tokio::sync::oneshot;

use crate::store::FaultyStore;

pub fn tenant() -> TenantId {
    TenantId::new("demo").unwrap()
}

pub fn entry(subject: &str) -> AuditEntry {
    let role = "doctor".into();
    AuditEntry {
        role,
        ..testing::records::audit_entry(subject, "queue.read", &["riverside.general"])
    }
}

/// A log and a store, over which sinks run one after the other.
struct Desk {
    log: Arc<MemoryLog>,
    store: Arc<FaultyStore>,
    counters: Arc<SinkCounters>,
}

/// A running sink. Dropping it stops it.
struct RunningSink(#[expect(dead_code, reason = "held")] oneshot::Sender<()>);

impl Desk {
    fn open() -> Self {
        let log = Arc::new(MemoryLog::new(system_clock()).reading(AUDIT_TOPIC));
        Self { log, store: Arc::default(), counters: Arc::default() }
    }

    fn sink(&self, clock: Option<Millis>) -> RunningSink {
        let (stopping, stopped) = oneshot::channel();
        let mut settings =
            SinkSettings { counters: self.counters.clone(), ..SinkSettings::default() };
        if let Some(now) = clock {
            settings.clock = Arc::new(move || now);
        }
        let (log, store) = (self.log.clone(), self.store.clone());
        tokio::spawn(async move {
            let stop = async { drop(stopped.await) };
            run(log, store, settings, stop).await.expect("the log stays open");
        });
        RunningSink(stopping)
    }

    async fn append(&self, record: WireRecord) {
        self.log.append(&[(AUDIT_TOPIC, record)]).await.expect("memory acknowledges");
    }

    async fn append_of(&self, subjects: &[&str]) {
        let entries = subjects.iter().map(|subject| entry(subject)).collect();
        self.append(AuditRecord { entries }.to_wire(&tenant(), 1)).await;
    }

    /// The subjects of all stored entries, oldest first, once there are `count`.
    async fn stored(&self, count: usize) -> Vec<String> {
        for _ in 0..500 {
            let subjects = subjects(&self.store.memory);
            if subjects.len() >= count {
                return subjects;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{:?} are stored", subjects(&self.store.memory));
    }
}

fn subjects(store: &MemoryAudit) -> Vec<String> {
    let asked = AuditQuery {
        logged: 0..Millis::MAX,
        after: None,
        person: None,
        subject: None,
        action: None,
        limit: 1_000,
    };
    let rows = store.page(&tenant(), &asked);
    rows.iter().rev().map(|row| row.entry.subject.to_string()).collect()
}

#[tokio::test]
async fn each_sink_continues_where_the_last_one_stopped() {
    let desk = Desk::open();
    desk.append_of(&["a", "b"]).await;
    let first = desk.sink(None);
    assert_eq!(desk.stored(2).await, ["a", "b"]);
    drop(first);
    desk.append_of(&["c"]).await;
    let _second = desk.sink(None);
    desk.append_of(&["d"]).await;
    assert_eq!(desk.stored(4).await, ["a", "b", "c", "d"]);
    assert_eq!(desk.counters.written.load(Relaxed), 4);
}

#[tokio::test]
async fn lost_answers_store_nothing_twice() {
    let desk = Desk::open();
    desk.store.lost_answers.store(3, SeqCst);
    let _sink = desk.sink(None);
    for subject in ["a", "b", "c", "d"] {
        desk.append_of(&[subject]).await;
    }
    assert_eq!(desk.stored(4).await, ["a", "b", "c", "d"]);
}

#[tokio::test]
async fn outage_of_the_store_delays_and_loses_nothing() {
    let desk = Desk::open();
    desk.store.is_down.store(true, SeqCst);
    let _sink = desk.sink(None);
    desk.append_of(&["a"]).await;
    while desk.store.commits.load(SeqCst) < 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let partitions = desk.counters.partitions();
    let status = partitions.values().next().expect("the partition is owned");
    assert!(status.failing_since.is_some() && status.oldest_waiting.is_some());
    desk.store.is_down.store(false, SeqCst);
    assert_eq!(desk.stored(1).await, ["a"]);
    desk.append_of(&["b"]).await;
    assert_eq!(desk.stored(2).await, ["a", "b"]);
    let partitions = desk.counters.partitions();
    assert_eq!(partitions.values().next().and_then(|status| status.failing_since), None);
}

#[tokio::test]
async fn only_the_culprit_of_a_refused_batch_is_parked() {
    let desk = Desk::open();
    *desk.store.culprit.lock().unwrap() = Some("bad".to_owned());
    for subject in ["a", "b", "bad", "c", "d"] {
        desk.append_of(&[subject]).await;
    }
    let mut foreign = AuditRecord { entries: vec![entry("x")] }.to_wire(&tenant(), 1);
    foreign.headers[3].1 = "clinicwire.audit.seen.v9".to_owned();
    desk.append(foreign).await;
    let _sink = desk.sink(None);
    desk.append_of(&["e"]).await;
    assert_eq!(desk.stored(5).await, ["a", "b", "c", "d", "e"]);
    let parked = desk.store.memory.parked();
    let codes: Vec<_> = parked.iter().map(|row| (row.offset.0, row.code.as_str())).collect();
    assert_eq!(codes, [(2, "record_not_stored"), (5, "record_unknown_version")]);
    assert_eq!(desk.counters.parked.load(Relaxed), 2);
}

#[tokio::test]
async fn broken_chain_is_counted_and_continued() {
    let desk = Desk::open();
    desk.store.broken_end.store(true, SeqCst);
    let _sink = desk.sink(None);
    desk.append_of(&["a"]).await;
    desk.append_of(&["b"]).await;
    assert_eq!(desk.stored(2).await, ["a", "b"]);
    assert_eq!(desk.counters.broken.load(Relaxed), 1, "once for each claim");
}

/// A broker whose clock is a day ahead must not date the entries of the coming day.
#[tokio::test]
async fn entry_from_the_future_is_dated_by_the_owner() {
    let desk = Desk::open();
    let now = system_clock()() - 24 * 60 * 60 * 1000;
    let _sink = desk.sink(Some(now));
    desk.append_of(&["a"]).await;
    desk.stored(1).await;
    let ends = processors::audit::AuditStore::ends(&*desk.store, &tenant()).await.unwrap();
    assert_eq!(ends.head.map(|head| head.logged_at - now), Some(5 * 60 * 1000));
}
