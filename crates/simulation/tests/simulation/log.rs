//! The log as processors and gateways reach it over a network.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use gateway::backends::log::{FeedItem, NotAppended};
use processors::log::{
    AppendError, ClaimedPartitions, LogEvent, LogOffset, LogPlace, LogState, NotRead, PartitionId,
};
use schemas::record::{CARE_TOPIC, EVENTS_TOPIC, VIEWS_TOPIC, ViewsHead, WireRecord};
use tokio::{
    sync::{mpsc, oneshot},
    time::{sleep, timeout},
};

use crate::{
    broker::{Broker, MemberId},
    network::{Process, Server},
};

/// How far back a gateway begins to follow, as with Kafka.
const BACK: Duration = Duration::from_secs(60);
/// How long the group waits for a revoked partition to be given back.
const REVOKED_WITHIN: Duration = Duration::from_secs(20);
/// How long a member waits for news.
const LOOK: Duration = Duration::from_millis(200);
/// The pause before a released partition is assigned again.
const AGAIN: Duration = Duration::from_millis(500);

pub struct SimLog {
    pub process: Arc<Process>,
    pub broker: Arc<Broker>,
    flow: Arc<Mutex<Flow>>,
}

/// Partitions that the runner has paused or released.
#[derive(Default)]
struct Flow {
    paused: BTreeMap<PartitionId, bool>,
    released: Vec<PartitionId>,
}

impl SimLog {
    pub fn new(process: &Arc<Process>, broker: &Arc<Broker>) -> Arc<Self> {
        let (process, broker) = (process.clone(), broker.clone());
        Arc::new(Self { process, broker, flow: Arc::default() })
    }

    fn flow(&self) -> std::sync::MutexGuard<'_, Flow> {
        self.flow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A member of the group, and the partitions that it reads.
struct Member {
    id: MemberId,
    process: Arc<Process>,
    broker: Arc<Broker>,
    flow: Arc<Mutex<Flow>>,
    events: mpsc::Sender<LogEvent>,
    next: BTreeMap<PartitionId, LogOffset>,
}

impl Member {
    /// Feeds the process until it is gone. While its link to the log is cut, it gets neither news
    /// of the group nor records, and keeps what it has: only the fence of the ledger stops it.
    async fn run(mut self) {
        while self.process.is_alive() && !self.events.is_closed() {
            if let Some(left) = self.process.cut_for(Server::Log) {
                sleep(left).await;
                continue;
            }
            if !self.broker.beat(self.id) {
                let ids: Vec<_> = std::mem::take(&mut self.next).into_keys().collect();
                self.revoke(ids).await;
                self.id = self.broker.join();
            }
            self.follow_group().await;
            if !self.feed().await {
                let _ = timeout(LOOK, self.broker.changed.notified()).await;
            }
        }
        // A process that has died does not tell the group.
        if self.process.is_alive() {
            self.broker.leave(self.id);
        }
    }

    async fn follow_group(&mut self) {
        let released = {
            let mut flow = self.flow.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut flow.released)
        };
        if !released.is_empty() {
            self.next.retain(|id, _| !released.contains(id));
            sleep(AGAIN).await;
            self.broker.give_back(self.id, &released);
        }
        let revoked = self.broker.revoked(self.id);
        self.next.retain(|id, _| !revoked.contains(id));
        if !revoked.is_empty() {
            self.revoke(revoked.clone()).await;
            self.broker.give_back(self.id, &revoked);
        }
        let taken = self.broker.take(self.id);
        if !taken.is_empty() {
            self.assign(taken).await;
        }
    }

    async fn revoke(&self, partitions: Vec<PartitionId>) {
        if partitions.is_empty() {
            return;
        }
        let (done, answer) = oneshot::channel();
        let _ = self.events.send(LogEvent::Revoked { partitions, done }).await;
        let _ = timeout(REVOKED_WITHIN, answer).await;
    }

    async fn assign(&mut self, partitions: Vec<PartitionId>) {
        let (claims, answer) = oneshot::channel();
        let partition_count = self.broker.partitions;
        let assigned =
            LogEvent::Assigned { partitions: partitions.clone(), partition_count, claims };
        let _ = self.events.send(assigned).await;
        let ClaimedPartitions { offsets, held } = answer.await.unwrap_or_default();
        let read = offsets.iter().map(|(id, _)| *id);
        let claimed_ids: Vec<PartitionId> = read.chain(held).collect();
        self.process.note(format_args!("claims partitions {offsets:?}"));
        self.next.extend(offsets);
        let mut flow = self.flow.lock().unwrap_or_else(PoisonError::into_inner);
        flow.paused.retain(|id, _| !claimed_ids.contains(id));
        // A partition without an offset is assigned again later.
        flow.released.extend(partitions.into_iter().filter(|id| !claimed_ids.contains(id)));
    }

    /// Passes some records of each partition on. Returns whether there were any.
    async fn feed(&mut self) -> bool {
        let mut fed = false;
        let (process, partition_count) = (self.process.clone(), self.broker.partitions);
        for (partition, next) in &mut self.next {
            let paused = {
                let flow = self.flow.lock().unwrap_or_else(PoisonError::into_inner);
                flow.paused.get(partition).copied().unwrap_or(false)
            };
            if paused {
                continue;
            }
            // Now and then a client fetches again what it had already.
            let back = if process.below(30) == 0 { process.below(8) as i64 } else { 0 };
            let from = LogOffset((next.0 - back).max(0));
            let most = 1 + process.below(40) as usize;
            let records = self.broker.read(CARE_TOPIC, *partition, from, most);
            let Some(last) = records.last() else { continue };
            *next = last.offset.next().max(*next);
            fed |= back == 0;
            sleep(Duration::from_micros(300 + process.below(5_000))).await;
            let event = LogEvent::Records { partition: *partition, partition_count, records };
            let _ = self.events.send(event).await;
        }
        fed
    }
}

impl processors::log::Log for SimLog {
    fn read(&self) -> mpsc::Receiver<LogEvent> {
        let (events, receiver) = mpsc::channel(16);
        let member = Member {
            id: self.broker.join(),
            process: self.process.clone(),
            broker: self.broker.clone(),
            flow: self.flow.clone(),
            events,
            next: BTreeMap::new(),
        };
        tokio::spawn(member.run());
        receiver
    }

    fn release(&self, partition: PartitionId) {
        self.process.note(format_args!("releases partition {partition}"));
        self.flow().released.push(partition);
        self.broker.changed.notify_waiters();
    }

    fn look<'a>(
        &'a self,
        places: &'a [LogPlace],
    ) -> processors::BoxFuture<'a, Vec<(PartitionId, LogState)>> {
        Box::pin(async move {
            let state = |&LogPlace { partition, anchor }: &LogPlace| {
                let read = |at| self.broker.read(CARE_TOPIC, partition, at, 1).pop();
                let record = anchor.and_then(read).map(|found| found.record);
                let end = self.broker.end(CARE_TOPIC, partition);
                (partition, LogState { start: LogOffset(0), end, record })
            };
            places.iter().map(state).collect()
        })
    }

    fn newest_views(&self) -> processors::BoxFuture<'_, Result<Vec<ViewsHead>, NotRead>> {
        Box::pin(async move {
            let all = self.broker.all(VIEWS_TOPIC);
            let newest = all.values().filter_map(|records| records.last());
            Ok(newest.filter_map(|last| ViewsHead::from_wire(&last.record).ok()).collect())
        })
    }

    fn pause(&self, partition: PartitionId, paused: bool) {
        self.flow().paused.insert(partition, paused);
        self.broker.changed.notify_waiters();
    }

    fn append<'a>(
        &'a self,
        records: &'a [(&'static str, WireRecord)],
    ) -> processors::BoxFuture<'a, Result<(), AppendError>> {
        let (broker, name, records) =
            (self.broker.clone(), self.process.name.clone(), records.to_vec());
        // The log may take the first records only.
        let taken = match self.process.below(40) {
            0 => self.process.below(records.len() as u64 + 1) as usize,
            _ => records.len(),
        };
        let effect = async move {
            let count = records.len();
            for (topic, record) in records.into_iter().take(taken) {
                // No program of the simulation reads outward events.
                if topic != EVENTS_TOPIC {
                    broker.append(&name, topic, record);
                }
            }
            match taken == count {
                true => Ok(()),
                false => Err(AppendError { record: Some(taken), source: None }),
            }
        };
        let lost = || AppendError { record: None, source: None };
        Box::pin(self.process.call(Server::Log, "append", effect, lost))
    }
}

impl gateway::backends::log::Log for SimLog {
    fn append(
        &self,
        topic: &'static str,
        record: WireRecord,
    ) -> gateway::BoxFuture<'_, Result<(), NotAppended>> {
        let (broker, name) = (self.broker.clone(), self.process.name.clone());
        let effect = async move {
            broker.append(&name, topic, record);
            Ok(())
        };
        let lost = || NotAppended("a simulated fault".into());
        Box::pin(self.process.call(Server::Log, "append", effect, lost))
    }

    fn follow(&self) -> mpsc::Receiver<FeedItem> {
        let (feed, receiver) = mpsc::channel(64);
        tokio::spawn(follow(self.process.clone(), self.broker.clone(), feed));
        receiver
    }

    /// Nothing is revoked in the simulation.
    fn follow_access(&self) -> mpsc::Receiver<FeedItem> {
        let (feed, receiver) = mpsc::channel(1);
        tokio::spawn(async move {
            let _ = feed.send(FeedItem::CaughtUp).await;
            feed.closed().await;
        });
        receiver
    }
}

/// Follows all partitions of `views`. After a long cut, the follower may jump to the end.
async fn follow(process: Arc<Process>, broker: Arc<Broker>, feed: mpsc::Sender<FeedItem>) {
    let start = |id| (id, broker.since(VIEWS_TOPIC, id, BACK));
    let mut next: BTreeMap<PartitionId, LogOffset> = broker.ids().map(start).collect();
    let ends: BTreeMap<_, _> = broker.ids().map(|id| (id, broker.end(VIEWS_TOPIC, id))).collect();
    let mut caught_up = false;
    while process.is_alive() && !feed.is_closed() {
        if let Some(left) = process.cut_for(Server::Log) {
            sleep(left).await;
            if process.below(3) == 0 {
                process.note("jumps to the end of views");
                next = broker.ids().map(|id| (id, broker.end(VIEWS_TOPIC, id))).collect();
                let _ = feed.send(FeedItem::Lost).await;
            }
            continue;
        }
        if !caught_up && next.iter().all(|(id, next)| *next >= ends[id]) {
            caught_up = true;
            let _ = feed.send(FeedItem::CaughtUp).await;
        }
        let mut fed = false;
        for (id, next) in &mut next {
            let most = 1 + process.below(20) as usize;
            let records = broker.read(VIEWS_TOPIC, *id, *next, most);
            if records.is_empty() {
                continue;
            }
            sleep(Duration::from_micros(300 + process.below(4_000))).await;
            fed = true;
            for record in records {
                *next = record.offset.next();
                let (record, appended_at) = (record.record, record.at);
                if feed.send(FeedItem::Record { record, appended_at }).await.is_err() {
                    return;
                }
            }
        }
        if !fed {
            let _ = timeout(LOOK, broker.changed.notified()).await;
        }
    }
}
