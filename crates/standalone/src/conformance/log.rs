//! Conformance of the log, for processors and gateways.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use gateway::backends::log::FeedItem;
use processors::log::{ClaimedPartitions, LogEvent, LogOffset, LogRecord, PartitionId};
use schemas::{
    Millis,
    ids::Aggregate,
    record::{ACCESS_TOPIC, CARE_TOPIC, VIEWS_TOPIC, ViewsRecord, WireRecord},
    view::Position,
};
use tokio::sync::mpsc;

use super::{fresh, soon};

/// The clients of one log. Each `reader` is a new client in a group of its own.
pub struct Sides {
    pub processors: Arc<dyn processors::log::Log>,
    pub gateway: Arc<dyn gateway::backends::log::Log>,
}

/// Fresh keys.
fn keys(count: usize) -> Vec<String> {
    (0..count).map(|_| format!("{}/riverside", fresh())).collect()
}

fn record(key: &str, number: usize) -> WireRecord {
    WireRecord {
        key: key.to_owned(),
        headers: vec![
            ("ce_id".into(), format!("c-{number}")),
            ("ce_source".into(), "conformance é".into()),
        ],
        value: format!("{{\"number\":{number}}}").into(),
    }
}

/// A reader that claims every partition and keeps the records of the keys it is asked for.
struct Reader {
    inputs: mpsc::Receiver<LogEvent>,
    /// The next offset of each partition that was read before.
    next: HashMap<PartitionId, LogOffset>,
    partition_count: u32,
}

impl Reader {
    fn new(log: &dyn processors::log::Log) -> Self {
        Self { inputs: log.read(), next: HashMap::new(), partition_count: 0 }
    }

    async fn input(&mut self) -> LogEvent {
        soon("an input", self.inputs.recv()).await.expect("the log is there")
    }

    /// Reads the next records and claims what is assigned meanwhile.
    async fn records(&mut self) -> (PartitionId, Vec<LogRecord>) {
        loop {
            match self.input().await {
                LogEvent::Assigned { partitions, partition_count, claims } => {
                    self.partition_count = partition_count;
                    let next =
                        |id: &PartitionId| (*id, self.next.get(id).copied().unwrap_or_default());
                    claims
                        .send(partitions.iter().map(next).collect())
                        .expect("the log waits for the answer");
                }
                LogEvent::Revoked { done, .. } => drop(done.send(())),
                LogEvent::Records { partition, partition_count, records } => {
                    assert_eq!(partition_count, self.partition_count);
                    let first = records.first().expect("at least one").offset;
                    assert!(
                        first >= self.next.get(&partition).copied().unwrap_or_default(),
                        "offsets never go back"
                    );
                    let in_order = |one: &LogRecord, next: &LogRecord| {
                        one.offset < next.offset && one.at <= next.at
                    };
                    assert!(records.is_sorted_by(in_order));
                    self.next
                        .insert(partition, records.last().expect("at least one").offset.next());
                    return (partition, records);
                }
            }
        }
    }

    /// Reads until `count` records of `keys` have arrived.
    async fn of_keys(
        &mut self,
        keys: &[String],
        count: usize,
    ) -> BTreeMap<String, Vec<(PartitionId, LogRecord)>> {
        let mut read: BTreeMap<String, Vec<(PartitionId, LogRecord)>> = BTreeMap::new();
        while read.values().map(Vec::len).sum::<usize>() < count {
            let (partition, records) = self.records().await;
            for record in records.into_iter().filter(|read| keys.contains(&read.record.key)) {
                read.entry(record.record.key.clone()).or_default().push((partition, record));
            }
        }
        read
    }
}

pub async fn each_key_keeps_its_order(sides: Sides) {
    let keys = keys(3);
    let mut expected: BTreeMap<String, Vec<WireRecord>> = BTreeMap::new();
    let before = now();
    for round in 0..10 {
        let batch: Vec<_> =
            (0..6).map(|n| (CARE_TOPIC, record(&keys[n % 3], round * 10 + n))).collect();
        sides.processors.append(&batch).await.expect("the log acknowledges");
        let single = record(&keys[round % 3], round * 10 + 9);
        sides.gateway.append(CARE_TOPIC, single.clone()).await.expect("the log acknowledges");
        for record in batch.into_iter().map(|(_, record)| record).chain([single]) {
            expected.entry(record.key.clone()).or_default().push(record);
        }
    }
    let mut reader = Reader::new(&*sides.processors);
    let read = reader.of_keys(&keys, 70).await;
    for (key, records) in &read {
        assert!(
            records
                .iter()
                .all(|(partition, _)| *partition
                    == PartitionId::for_key(key, reader.partition_count))
        );
        assert!(
            records.iter().map(|(_, read)| &read.record).eq(expected[key].iter()),
            "in order, unchanged"
        );
        // The broker's clock: a difference of a minute to ours already means a broken machine.
        assert!(records.iter().all(|(_, read)| (read.at - before).abs() < 60_000));
    }
}

fn now() -> Millis {
    (crate::memory::system_clock())()
}

pub async fn unclaimed_partition_is_assigned_again(sides: Sides) {
    let keys = keys(1);
    sides
        .processors
        .append(&[(CARE_TOPIC, record(&keys[0], 1))])
        .await
        .expect("the log acknowledges");
    let mut reader = Reader::new(&*sides.processors);
    let unanswered = loop {
        match reader.input().await {
            LogEvent::Assigned { partitions, claims, .. } => {
                claims.send(ClaimedPartitions::default()).expect("the log waits for the answer");
                break partitions;
            }
            LogEvent::Revoked { done, .. } => drop(done.send(())),
            LogEvent::Records { .. } => panic!("nothing is read without a claim"),
        }
    };
    assert!(!unanswered.is_empty());
    assert_eq!(reader.of_keys(&keys, 1).await.len(), 1);
}

pub async fn released_partition_is_read_from_new_claim(sides: Sides) {
    let keys = keys(1);
    let batch: Vec<_> = (0..3).map(|number| (CARE_TOPIC, record(&keys[0], number))).collect();
    sides.processors.append(&batch).await.expect("the log acknowledges");
    let mut reader = Reader::new(&*sides.processors);
    let read = reader.of_keys(&keys, 3).await;
    let (partition, second) = &read[&keys[0]][1];
    reader.next.insert(*partition, second.offset);
    sides.processors.release(*partition);
    sides
        .processors
        .append(&[(CARE_TOPIC, record(&keys[0], 3))])
        .await
        .expect("the log acknowledges");
    let again = reader.after_release(*partition, &keys[0], 3).await;
    let offsets: Vec<_> = again.iter().map(|read| read.offset).collect();
    assert_eq!(offsets[0], second.offset);
    assert!(again.last().expect("three records").record == record(&keys[0], 3));
}

impl Reader {
    /// The records of `key` after `partition` was assigned again. Records sent before the log knew
    /// of the release are skipped, as a runner skips those of a partition it does not hold.
    async fn after_release(
        &mut self,
        released: PartitionId,
        key: &str,
        count: usize,
    ) -> Vec<LogRecord> {
        let mut read = Vec::new();
        let mut assigned = false;
        while read.len() < count {
            match self.input().await {
                LogEvent::Assigned { partitions, claims, .. } => {
                    assigned |= partitions.contains(&released);
                    let next =
                        |id: &PartitionId| (*id, self.next.get(id).copied().unwrap_or_default());
                    claims
                        .send(partitions.iter().map(next).collect())
                        .expect("the log waits for the answer");
                }
                LogEvent::Revoked { done, .. } => drop(done.send(())),
                LogEvent::Records { partition, records, .. }
                    if assigned && partition == released =>
                {
                    read.extend(records.into_iter().filter(|read| read.record.key == key));
                }
                LogEvent::Records { .. } => {}
            }
        }
        read
    }
}

pub async fn follower_reads_past_then_new_records(sides: Sides) {
    let keys = keys(2);
    let views = |version: u64| {
        let position = Position { epoch: 7, version };
        let record =
            ViewsRecord { position, at: 1, deltas: Vec::new(), reload: false, outcome: None };
        keys.iter()
            .map(|key| (VIEWS_TOPIC, record.to_wire(&Aggregate::parse(key).expect("an aggregate"))))
            .collect::<Vec<_>>()
    };
    for version in 1..=3 {
        sides.processors.append(&views(version)).await.expect("the log acknowledges");
    }
    let mut follower = sides.gateway.follow();
    let mut heard: BTreeMap<String, Vec<WireRecord>> = BTreeMap::new();
    let mut caught_up = false;
    let mut next = 4;
    while heard.values().map(Vec::len).sum::<usize>() < 12 {
        match soon("a record of views", follower.recv()).await.expect("the log is there") {
            FeedItem::Record { record, .. } if keys.contains(&record.key) => {
                heard.entry(record.key.clone()).or_default().push(record);
            }
            FeedItem::Record { .. } => {}
            FeedItem::Lost => panic!("nothing was lost"),
            FeedItem::CaughtUp => {
                assert!(!caught_up, "caught up once");
                caught_up = true;
                assert_eq!(
                    heard.values().map(Vec::len).sum::<usize>(),
                    6,
                    "all that was there has come"
                );
                while next <= 6 {
                    sides.processors.append(&views(next)).await.expect("the log acknowledges");
                    next += 1;
                }
            }
        }
    }
    for (key, records) in heard {
        let expected = (1..=6)
            .flat_map(views)
            .filter(|(_, record)| record.key == key)
            .map(|(_, record)| record);
        assert!(records.into_iter().eq(expected), "in order, unchanged");
    }
}

pub async fn access_follower_reads_all_then_new_records(sides: Sides) {
    let keys = keys(4);
    let append = async |key: &str, number| {
        let appended = sides.gateway.append(ACCESS_TOPIC, record(key, number)).await;
        appended.expect("the log acknowledges");
    };
    for (number, key) in keys[..3].iter().enumerate() {
        append(key, number).await;
    }
    append(&keys[0], 9).await;
    let mut follower = sides.gateway.follow_access();
    let mut last: BTreeMap<String, WireRecord> = BTreeMap::new();
    while last.len() < 4 {
        match soon("a revocation", follower.recv()).await.expect("the log is there") {
            FeedItem::Record { record, appended_at } if keys.contains(&record.key) => {
                assert!((appended_at - now()).abs() < 60_000);
                last.insert(record.key.clone(), record);
            }
            FeedItem::Record { .. } => {}
            FeedItem::Lost => panic!("nothing was lost"),
            FeedItem::CaughtUp => {
                assert_eq!(last.len(), 3, "all that was there has come");
                append(&keys[3], 7).await;
            }
        }
    }
    for (key, number) in keys.iter().zip([9, 1, 2, 7]) {
        assert!(last[key] == record(key, number), "the last record of a key counts");
    }
}

/// Two questions about the sessions of one tenant have one key, and both want an answer.
pub async fn access_follower_reads_every_new_record_of_a_key(sides: Sides) {
    let keys = keys(1);
    let mut follower = sides.gateway.follow_access();
    for number in 0..20 {
        let appended = sides.gateway.append(ACCESS_TOPIC, record(&keys[0], number)).await;
        appended.expect("the log acknowledges");
    }
    let mut read = Vec::new();
    while read.len() < 20 {
        match soon("a record of access", follower.recv()).await.expect("the log is there") {
            FeedItem::Record { record, .. } if record.key == keys[0] => read.push(record),
            FeedItem::Record { .. } | FeedItem::CaughtUp => {}
            FeedItem::Lost => panic!("nothing was lost"),
        }
    }
    assert!(read.into_iter().eq((0..20).map(|number| record(&keys[0], number))));
}

/// Calls `$run!` with the names of the promises of the log.
#[macro_export]
macro_rules! log_promises {
    ($run:ident) => {
        $run! {
            each_key_keeps_its_order,
            unclaimed_partition_is_assigned_again,
            released_partition_is_read_from_new_claim,
            follower_reads_past_then_new_records,
            access_follower_reads_all_then_new_records,
            access_follower_reads_every_new_record_of_a_key,
        }
    };
}
