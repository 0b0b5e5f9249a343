//! The log in memory: `care` and `views` with one partition each.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use gateway::log::{Fed, NotAppended};
use processors::log::{Appended, Input, NotAcknowledged};
use schemas::{
    Millis,
    record::{CARE_TOPIC, VIEWS_TOPIC, WireRecord},
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use super::{Clock, lock};

/// How far back a follower of `views` begins, and records kept for it at most. A follower that falls behind the oldest
/// is told that records were lost.
const TAIL: Duration = Duration::from_secs(60);
const TAIL_RECORDS: usize = 50_000;
/// Inputs waiting for a runner, and records in one of them; what followers have waiting.
const INPUTS: usize = 16;
const RECORDS: usize = 500;
const FOLLOWED: usize = 1_024;
/// Until a partition without a claim is assigned again.
const ASSIGN_AGAIN: Duration = Duration::from_millis(500);

/// A client of the log: its members of the group share one broker, and the last that began to read owns `care`.
pub struct MemoryLog {
    broker: Arc<Broker>,
    /// This client's number among those that read; 0 before it reads.
    member: Mutex<u64>,
}

struct Broker {
    clock: Clock,
    kept: Mutex<Kept>,
    /// Ticks whenever `care` grows, or its assignment changes.
    care: watch::Sender<()>,
    /// Ticks whenever `views` grows.
    views: watch::Sender<()>,
}

#[derive(Default)]
struct Kept {
    at: Millis,
    care: Topic<Appended>,
    views: Topic<(Instant, WireRecord)>,
    /// The member of the group that owns `care`, and how often it gave it back.
    owner: u64,
    releases: u64,
}

/// Records from offset `first` on.
struct Topic<T> {
    first: i64,
    records: VecDeque<T>,
}

impl<T> Default for Topic<T> {
    fn default() -> Self {
        Self { first: 0, records: VecDeque::new() }
    }
}

impl<T: Clone> Topic<T> {
    fn end(&self) -> i64 {
        self.first + i64::try_from(self.records.len()).expect("memory holds fewer records than that")
    }

    /// At most `limit` records from `offset` on; `None` when the first of them is gone.
    fn from(&self, offset: i64, limit: usize) -> Option<Vec<T>> {
        let skip = usize::try_from(offset - self.first).ok()?;
        Some(self.records.iter().skip(skip).take(limit).cloned().collect())
    }

    fn drop_first(&mut self) {
        self.records.pop_front();
        self.first += 1;
    }
}

impl MemoryLog {
    pub fn new(clock: Clock) -> Self {
        let (care, views) = (watch::Sender::new(()), watch::Sender::new(()));
        Self {
            broker: Arc::new(Broker { clock, kept: Mutex::default(), care, views }),
            member: Mutex::new(0),
        }
    }

    /// Another client of the same log.
    pub fn another(&self) -> Self {
        Self { broker: self.broker.clone(), member: Mutex::new(0) }
    }

    /// Drops records of `care` below `offset`: they are committed and nobody reads them again.
    pub fn forget_below(&self, offset: i64) {
        let mut kept = lock(&self.broker.kept);
        while kept.care.first < offset && !kept.care.records.is_empty() {
            kept.care.drop_first();
        }
    }

    /// The offset the next record of `care` gets.
    pub fn end(&self) -> i64 {
        lock(&self.broker.kept).care.end()
    }
}

impl Broker {
    fn append(&self, records: &[(&'static str, WireRecord)]) {
        let mut kept = lock(&self.kept);
        kept.at = kept.at.max((self.clock)());
        let (at, now) = (kept.at, Instant::now());
        for (topic, record) in records {
            let record = record.clone();
            match *topic {
                CARE_TOPIC => {
                    let offset = kept.care.end();
                    kept.care.records.push_back(Appended { offset, at, record });
                }
                VIEWS_TOPIC => kept.views.records.push_back((now, record)),
                other => unreachable!("the product has no topic {other}"),
            }
        }
        let too_old = |kept: &Kept| {
            kept.views.records.len() > TAIL_RECORDS
                || kept.views.records.front().is_some_and(|(appended, _)| now - *appended > TAIL)
        };
        while too_old(&kept) {
            kept.views.drop_first();
        }
        drop(kept);
        self.care.send_replace(());
        self.views.send_replace(());
    }

    /// Whether `member` owns `care`, and the count of releases.
    fn standing(&self, member: u64) -> (bool, u64) {
        let kept = lock(&self.kept);
        (kept.owner == member, kept.releases)
    }
}

/// Feeds one member of the group until its channel closes. One that lost `care` to a later member is not told and
/// goes on reading: a zombie, whom only the fence stops.
async fn feed(broker: Arc<Broker>, member: u64, inputs: mpsc::Sender<Input>) {
    let mut changed = broker.care.subscribe();
    loop {
        let (owner, releases) = broker.standing(member);
        let answer = if owner { claim(&inputs).await } else { None };
        let Some(mut offset) = answer else {
            tokio::select! {
                () = inputs.closed() => return,
                () = tokio::time::sleep(ASSIGN_AGAIN) => continue,
            }
        };
        while broker.standing(member).1 == releases {
            changed.mark_unchanged();
            let records = lock(&broker.kept).care.from(offset, RECORDS);
            let Some(records) = records else {
                tokio::time::sleep(ASSIGN_AGAIN).await; // the claim lies below what is kept
                break;
            };
            if let Some(last) = records.last() {
                offset = last.offset + 1;
                if inputs.send(Input::Records { partition: 0, of: 1, records }).await.is_err() {
                    return;
                }
                continue;
            }
            tokio::select! {
                () = inputs.closed() => return,
                _ = changed.changed() => {}
            }
        }
    }
}

/// Assigns the partition; the answer is where to read on.
async fn claim(inputs: &mpsc::Sender<Input>) -> Option<i64> {
    let (claims, answer) = oneshot::channel();
    inputs.send(Input::Assigned { partitions: vec![0], of: 1, claims }).await.ok()?;
    Some(answer.await.ok()?.first()?.1)
}

impl processors::log::Log for MemoryLog {
    fn read(&self) -> mpsc::Receiver<Input> {
        let (sender, receiver) = mpsc::channel(INPUTS);
        let member = {
            let mut kept = lock(&self.broker.kept);
            kept.owner += 1;
            kept.owner
        };
        *lock(&self.member) = member;
        tokio::spawn(feed(self.broker.clone(), member, sender));
        receiver
    }

    fn release(&self, _partition: u32) {
        let member = *lock(&self.member);
        let mut kept = lock(&self.broker.kept);
        if kept.owner == member {
            kept.releases += 1;
            drop(kept);
            self.broker.care.send_replace(());
        }
    }

    fn append<'a>(
        &'a self,
        records: &'a [(&'static str, WireRecord)],
    ) -> processors::BoxFuture<'a, Result<(), NotAcknowledged>> {
        Box::pin(async move {
            self.broker.append(records);
            Ok(())
        })
    }
}

impl gateway::log::Log for MemoryLog {
    fn append(&self, record: WireRecord) -> gateway::BoxFuture<'_, Result<(), NotAppended>> {
        Box::pin(async move {
            self.broker.append(&[(CARE_TOPIC, record)]);
            Ok(())
        })
    }

    fn follow(&self) -> mpsc::Receiver<Fed> {
        let (sender, receiver) = mpsc::channel(FOLLOWED);
        tokio::spawn(follow(self.broker.clone(), sender));
        receiver
    }
}

async fn follow(broker: Arc<Broker>, feed: mpsc::Sender<Fed>) {
    let mut changed = broker.views.subscribe();
    let (mut offset, end) = {
        let kept = lock(&broker.kept);
        (kept.views.first, kept.views.end())
    };
    let mut caught_up = false;
    loop {
        if !caught_up && offset >= end {
            caught_up = true;
            if feed.send(Fed::CaughtUp).await.is_err() {
                return;
            }
        }
        changed.mark_unchanged();
        let (records, first) = {
            let kept = lock(&broker.kept);
            (kept.views.from(offset, if caught_up { RECORDS } else { to_end(offset, end) }), kept.views.first)
        };
        let Some(records) = records else {
            offset = first;
            if feed.send(Fed::Lost).await.is_err() {
                return;
            }
            continue;
        };
        if records.is_empty() {
            tokio::select! {
                () = feed.closed() => return,
                _ = changed.changed() => {}
            }
        }
        for (_, record) in records {
            offset += 1;
            if feed.send(Fed::Record(record)).await.is_err() {
                return;
            }
        }
    }
}

/// Records to read before the end that following began with.
fn to_end(offset: i64, end: i64) -> usize {
    usize::try_from(end - offset).unwrap_or(0).min(RECORDS)
}
