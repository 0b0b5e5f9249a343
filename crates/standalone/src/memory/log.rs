//! The log in memory: every topic with one partition.

mod topics;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use gateway::backends::log::{FeedItem, NotAppended};
use processors::log::{
    AppendError, LogEvent, LogOffset, LogPlace, LogRecord, LogState, NotRead, PartitionId,
};
use schemas::record::{
    ACCESS_TOPIC, AUDIT_TOPIC, CARE_TOPIC, EVENTS_TOPIC, VIEWS_TOPIC, ViewsHead, WireRecord,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::Instant,
};

use self::topics::Topics;
use super::{Clock, lock};

/// How far back a follower of `views` begins, and the most records kept for it. A follower that
/// falls behind the oldest one learns that records were lost.
const TAIL: Duration = Duration::from_secs(60);
const TAIL_RECORDS: usize = 50_000;
/// Bounds of the channels: inputs of a runner, records in one input, items of a follower.
const INPUTS: usize = 16;
const RECORDS: usize = 500;
/// Records at the end of the topic of views that are compared with the ledger.
const VIEWS_TAIL: usize = 100;
const FOLLOWED: usize = 1_024;
/// The only partition of each topic.
const PARTITION: PartitionId = PartitionId(0);
/// The time after which an unclaimed partition is assigned again.
const ASSIGN_AGAIN: Duration = Duration::from_millis(500);

/// A client of the log. Clients share one broker. Of the readers of a topic, the last one owns it.
pub struct MemoryLog {
    broker: Arc<Broker>,
    /// The topic that the client reads: `care`, `runs` or the audit.
    reads: &'static str,
    /// The number of this client among the readers; 0 before it reads.
    member: Mutex<u64>,
    /// Whether this client has paused its topic.
    paused: watch::Sender<bool>,
}

struct Broker {
    clock: Clock,
    kept: Mutex<Topics>,
    /// Notified when `care`, `runs` or the audit grows or its assignment changes.
    read: watch::Sender<()>,
    /// Notified when `views` or the topic of revocations grows.
    views: watch::Sender<()>,
}

impl MemoryLog {
    pub fn new(clock: Clock) -> Self {
        let (read, views) = (watch::Sender::new(()), watch::Sender::new(()));
        Self {
            broker: Arc::new(Broker { clock, kept: Mutex::default(), read, views }),
            reads: CARE_TOPIC,
            member: Mutex::new(0),
            paused: watch::Sender::new(false),
        }
    }

    /// Another client of the same log.
    pub fn another(&self) -> Self {
        self.reading(self.reads)
    }

    /// Another client of the same log that reads this topic.
    pub fn reading(&self, topic: &'static str) -> Self {
        let (member, paused) = (Mutex::new(0), watch::Sender::new(false));
        Self { broker: self.broker.clone(), reads: topic, member, paused }
    }

    /// Drops records below `offset` of the read topic: they are committed and never read again.
    pub fn forget_below(&self, offset: LogOffset) {
        let mut kept = lock(&self.broker.kept);
        let records = &mut kept.read(self.reads).records;
        while records.first < offset && !records.records.is_empty() {
            records.drop_first();
        }
    }

    /// The offset of the next record of the read topic.
    pub fn end(&self) -> LogOffset {
        lock(&self.broker.kept).read(self.reads).records.end()
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
                VIEWS_TOPIC => kept.views.records.push_back((now, at, record)),
                ACCESS_TOPIC => kept.access.push(at, record),
                // No other system can read the topic of a process.
                EVENTS_TOPIC => {}
                topic => {
                    if topic == AUDIT_TOPIC {
                        kept.drop_unread_audit();
                    }
                    let records = &mut kept.read(topic).records;
                    let offset = records.end();
                    records.records.push_back(LogRecord { offset, at, record });
                }
            }
        }
        let too_old = |kept: &Topics| {
            kept.views.records.len() > TAIL_RECORDS
                || kept.views.records.front().is_some_and(|(appended, ..)| now - *appended > TAIL)
        };
        while too_old(&kept) {
            kept.views.drop_first();
        }
        drop(kept);
        self.read.send_replace(());
        self.views.send_replace(());
    }

    /// Whether `member` owns the topic, and the count of releases.
    fn standing(&self, topic: &str, member: u64) -> (bool, u64) {
        let mut kept = lock(&self.kept);
        let read = kept.read(topic);
        (read.owner == member, read.releases)
    }
}

/// Feeds one member of a topic's group until its channel closes. A member that lost the topic to a
/// later one gets no notice and keeps reading: only the ledger's fence stops it.
async fn feed(
    broker: Arc<Broker>,
    topic: &'static str,
    member: u64,
    paused: watch::Sender<bool>,
    inputs: mpsc::Sender<LogEvent>,
) {
    let mut resumed = paused.subscribe();
    let mut changed = broker.read.subscribe();
    loop {
        let (owner, releases) = broker.standing(topic, member);
        let answer = if owner {
            paused.send_replace(false);
            claim(&inputs).await
        } else {
            None
        };
        let Some(mut offset) = answer else {
            tokio::select! {
                () = inputs.closed() => return,
                () = tokio::time::sleep(ASSIGN_AGAIN) => continue,
            }
        };
        loop {
            tokio::select! {
                () = inputs.closed() => return,
                _ = resumed.wait_for(|paused| !paused) => {}
            }
            changed.mark_unchanged();
            if broker.standing(topic, member).1 != releases {
                break;
            }
            let records = lock(&broker.kept).read(topic).records.from(offset, RECORDS);
            let Some(records) = records else {
                tokio::time::sleep(ASSIGN_AGAIN).await; // the claim is below the first kept record
                break;
            };
            if let Some(last) = records.last() {
                offset = last.offset.next();
                if inputs
                    .send(LogEvent::Records { partition: PARTITION, partition_count: 1, records })
                    .await
                    .is_err()
                {
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

/// Assigns the partition; the answer is the next offset to read.
async fn claim(inputs: &mpsc::Sender<LogEvent>) -> Option<LogOffset> {
    let (claims, answer) = oneshot::channel();
    inputs
        .send(LogEvent::Assigned { partitions: vec![PARTITION], partition_count: 1, claims })
        .await
        .ok()?;
    Some(answer.await.ok()?.offsets.first()?.1)
}

impl processors::log::Log for MemoryLog {
    fn read(&self) -> mpsc::Receiver<LogEvent> {
        let (sender, receiver) = mpsc::channel(INPUTS);
        let member = {
            let mut kept = lock(&self.broker.kept);
            let read = kept.read(self.reads);
            read.owner += 1;
            read.owner
        };
        *lock(&self.member) = member;
        tokio::spawn(feed(self.broker.clone(), self.reads, member, self.paused.clone(), sender));
        receiver
    }

    fn release(&self, _partition: PartitionId) {
        let member = *lock(&self.member);
        let mut kept = lock(&self.broker.kept);
        let read = kept.read(self.reads);
        if read.owner == member {
            read.releases += 1;
            drop(kept);
            // A reader that waits for its topic to be resumed would not see the release.
            self.paused.send_replace(false);
            self.broker.read.send_replace(());
        }
    }

    fn pause(&self, _partition: PartitionId, paused: bool) {
        self.paused.send_replace(paused);
    }

    fn look<'a>(
        &'a self,
        places: &'a [LogPlace],
    ) -> processors::BoxFuture<'a, Vec<(PartitionId, LogState)>> {
        Box::pin(async move {
            let mut kept = lock(&self.broker.kept);
            let records = &kept.read(self.reads).records;
            let state = |place: &LogPlace| {
                let record = place.anchor.and_then(|anchor| records.from(anchor, 1)?.pop());
                let record = record.map(|record| record.record);
                (place.partition, LogState { start: records.first, end: records.end(), record })
            };
            places.iter().map(state).collect()
        })
    }

    fn newest_views(&self) -> processors::BoxFuture<'_, Result<Vec<ViewsHead>, NotRead>> {
        Box::pin(async move {
            let kept = lock(&self.broker.kept);
            let newest = kept.views.records.iter().rev().take(VIEWS_TAIL);
            Ok(newest.filter_map(|(.., record)| ViewsHead::from_wire(record).ok()).collect())
        })
    }

    fn append<'a>(
        &'a self,
        records: &'a [(&'static str, WireRecord)],
    ) -> processors::BoxFuture<'a, Result<(), AppendError>> {
        Box::pin(async move {
            self.broker.append(records);
            Ok(())
        })
    }
}

impl gateway::backends::log::Log for MemoryLog {
    fn append(
        &self,
        topic: &'static str,
        record: WireRecord,
    ) -> gateway::BoxFuture<'_, Result<(), NotAppended>> {
        Box::pin(async move {
            self.broker.append(&[(topic, record)]);
            Ok(())
        })
    }

    fn follow(&self) -> mpsc::Receiver<FeedItem> {
        let (sender, receiver) = mpsc::channel(FOLLOWED);
        tokio::spawn(follow(self.broker.clone(), sender));
        receiver
    }

    fn follow_access(&self) -> mpsc::Receiver<FeedItem> {
        let (sender, receiver) = mpsc::channel(FOLLOWED);
        tokio::spawn(follow_access(self.broker.clone(), sender));
        receiver
    }
}

async fn follow_access(broker: Arc<Broker>, feed: mpsc::Sender<FeedItem>) {
    let mut changed = broker.views.subscribe();
    let end = lock(&broker.kept).access.end;
    let (mut next, mut caught_up) = (LogOffset::START, false);
    loop {
        changed.mark_unchanged();
        let records = lock(&broker.kept).access.from(next);
        if !caught_up && records.first().is_none_or(|(offset, ..)| *offset >= end) {
            caught_up = true;
            if feed.send(FeedItem::CaughtUp).await.is_err() {
                return;
            }
        }
        if records.is_empty() {
            tokio::select! {
                () = feed.closed() => return,
                _ = changed.changed() => {}
            }
        }
        for (offset, appended_at, record) in records {
            next = offset.next();
            if feed.send(FeedItem::Record { record, appended_at }).await.is_err() {
                return;
            }
        }
    }
}

async fn follow(broker: Arc<Broker>, feed: mpsc::Sender<FeedItem>) {
    let mut changed = broker.views.subscribe();
    let (mut offset, end) = {
        let kept = lock(&broker.kept);
        (kept.views.first, kept.views.end())
    };
    let mut caught_up = false;
    loop {
        if !caught_up && offset >= end {
            caught_up = true;
            if feed.send(FeedItem::CaughtUp).await.is_err() {
                return;
            }
        }
        changed.mark_unchanged();
        let (records, first) = {
            let kept = lock(&broker.kept);
            (
                kept.views.from(offset, if caught_up { RECORDS } else { to_end(offset, end) }),
                kept.views.first,
            )
        };
        let Some(records) = records else {
            offset = first;
            if feed.send(FeedItem::Lost).await.is_err() {
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
        for (_, appended_at, record) in records {
            offset = offset.next();
            if feed.send(FeedItem::Record { record, appended_at }).await.is_err() {
                return;
            }
        }
    }
}

/// Records to read before the end at the start of following.
fn to_end(offset: LogOffset, end: LogOffset) -> usize {
    usize::try_from(end.0 - offset.0).unwrap_or(0).min(RECORDS)
}
