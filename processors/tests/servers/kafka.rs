//! Kafka: assignment and revocation in a consumer group, and the checks at start-up.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use processors::{
    log::{ClaimedPartitions, Log, LogEvent, LogOffset, LogPlace, PartitionId},
    servers::kafka::{KafkaProcessorLog, ReaderSettings, check},
};
use rdkafka::{
    admin::{AdminOptions, NewTopic, TopicReplication},
    consumer::{BaseConsumer, Consumer},
};
use schemas::{
    ids::{Aggregate, LocationId, TenantId},
    record::{CARE_TOPIC, MAX_RECORD_BYTES, VIEWS_TOPIC, ViewsRecord, WireRecord},
    view::Position,
};
use servers::kafka::{KafkaCluster, MAX_MESSAGE_BYTES, TopicError, prepare_topics};
use testing::patience::{PATIENCE, patiently};
use tokio::{sync::Notify, task::JoinHandle};

use crate::setup::{TestTopics, admin, new_topics, server};

const PARTITIONS: u32 = 4;

/// Checkpoints like a ledger's: the next offset of each partition, and its owner.
#[derive(Default)]
struct Checkpoints {
    rows: Mutex<BTreeMap<PartitionId, (LogOffset, usize)>>,
    read: Mutex<Vec<WireRecord>>,
    moved: Notify,
}

impl Checkpoints {
    fn claim(&self, partition: PartitionId, member: usize) -> (PartitionId, LogOffset) {
        let mut rows = self.rows.lock().unwrap();
        let row = rows.entry(partition).or_insert((LogOffset::START, member));
        row.1 = member;
        (partition, row.0)
    }

    /// Waits until `count` records were applied, and returns them.
    async fn applied(&self, count: usize) -> Vec<WireRecord> {
        patiently("records are applied", async {
            loop {
                let moved = self.moved.notified();
                let read = self.read.lock().unwrap().clone();
                if read.len() >= count {
                    return read;
                }
                moved.await;
            }
        })
        .await
    }

    /// The member that owns each partition, once every partition has been claimed.
    fn owners(&self) -> BTreeSet<usize> {
        self.rows.lock().unwrap().values().map(|(_, owner)| *owner).collect()
    }
}

/// A member of the group that applies what it reads and checks the log meanwhile.
fn member(
    name: usize,
    log: Arc<KafkaProcessorLog>,
    checkpoints: Arc<Checkpoints>,
    leave: Arc<Notify>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut events = log.read();
        let mut mine = BTreeSet::new();
        loop {
            let input = tokio::select! {
                () = leave.notified() => break,
                input = events.recv() => input.expect("the log goes on"),
            };
            match input {
                LogEvent::Assigned { partitions, partition_count, claims } => {
                    assert_eq!(partition_count, PARTITIONS);
                    mine.extend(&partitions);
                    let offsets =
                        partitions.into_iter().map(|id| checkpoints.claim(id, name)).collect();
                    claims.send(offsets).expect("the log waits");
                }
                LogEvent::Revoked { partitions, done } => {
                    mine.retain(|id| !partitions.contains(id));
                    done.send(()).expect("the log waits");
                }
                LogEvent::Records { partition, partition_count, records } => {
                    assert!(mine.contains(&partition), "records only of what is assigned");
                    for record in records {
                        assert_eq!(
                            PartitionId::for_key(&record.record.key, partition_count),
                            partition,
                            "both sides hash keys with murmur2"
                        );
                        let mut rows = checkpoints.rows.lock().unwrap();
                        let row = rows.get_mut(&partition).expect("claimed");
                        if row.1 == name {
                            assert_eq!(
                                record.offset, row.0,
                                "nothing is skipped and nothing repeated"
                            );
                            row.0 = row.0.next();
                            checkpoints.read.lock().unwrap().push(record.record);
                        }
                    }
                    checkpoints.moved.notify_waiters();
                }
            }
        }
        drop(events);
        log.wait_until_left(Duration::from_secs(20)).await;
    })
}

fn record(number: usize) -> WireRecord {
    let headers = vec![("ce_id".to_owned(), format!("c-{number}"))];
    WireRecord {
        key: format!("demo/location-{}", number % 20),
        headers,
        value: number.to_string().into(),
    }
}

async fn append(log: &KafkaProcessorLog, numbers: std::ops::Range<usize>) {
    let records: Vec<_> = numbers.map(|number| (CARE_TOPIC, record(number))).collect();
    log.append(&records).await.expect("kafka acknowledges");
}

fn group_log(topics: &TestTopics) -> Arc<KafkaProcessorLog> {
    topics.log(topics.reader("group"), PARTITIONS)
}

#[tokio::test(flavor = "multi_thread")]
async fn rebalance_reads_every_record_once_in_order() {
    let topics = TestTopics::created(PARTITIONS).await;
    let checkpoints = Arc::new(Checkpoints::default());
    let writer = topics.writer();
    let leave = [Arc::new(Notify::new()), Arc::new(Notify::new())];
    let join = |name: usize| {
        member(name, group_log(&topics), Arc::clone(&checkpoints), Arc::clone(&leave[name]))
    };
    let one = join(0);
    append(&writer, 0..200).await;
    checkpoints.applied(200).await;
    assert_eq!(checkpoints.owners(), BTreeSet::from([0]));

    // A second member takes its share while records keep arriving.
    let other = join(1);
    let mut written = 200;
    patiently("the second member gets partitions", async {
        while checkpoints.owners().len() < 2 {
            append(&writer, written..written + 20).await;
            written += 20;
        }
    })
    .await;
    checkpoints.applied(written).await;

    // The first member leaves, and its partitions move.
    leave[0].notify_one();
    patiently("the first member leaves", one).await.expect("a member without complaint");
    append(&writer, written..written + 200).await;
    let read = checkpoints.applied(written + 200).await;
    leave[1].notify_one();
    patiently("the second member leaves", other).await.expect("a member without complaint");

    assert_eq!(read.len(), written + 200);
    let mut next: BTreeMap<&str, usize> = BTreeMap::new();
    for found in &read {
        let number: usize = std::str::from_utf8(&found.value).unwrap().parse().unwrap();
        assert!(*found == record(number), "key, headers and value arrive as they were written");
        let last = next.insert(&found.key, number);
        assert!(last.is_none_or(|last| last < number), "a key keeps its order");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn named_instance_continues_at_once() {
    let topics = TestTopics::created(PARTITIONS).await;
    let checkpoints = Arc::new(Checkpoints::default());
    let writer = topics.writer();
    let log = || {
        let instance = Some("processors-0".into());
        topics.log(ReaderSettings { instance, ..topics.reader("group") }, PARTITIONS)
    };
    for life in 0..3 {
        let leave = Arc::new(Notify::new());
        let lives = member(life, log(), Arc::clone(&checkpoints), Arc::clone(&leave));
        append(&writer, life * 50..(life + 1) * 50).await;
        checkpoints.applied((life + 1) * 50).await;
        leave.notify_one();
        patiently("the instance leaves", lives).await.expect("a member without complaint");
    }
}

/// Joins a group under a name that a living member has, until something is assigned.
fn take_name(settings: &ReaderSettings, topic: &str) {
    let rival: BaseConsumer = rdkafka::ClientConfig::new()
        .set("bootstrap.servers", server("CLINICWIRE_KAFKA"))
        .set("group.id", &settings.group)
        .set("group.instance.id", settings.instance.as_ref().expect("a name"))
        .set("partition.assignment.strategy", "range")
        .set("session.timeout.ms", "6000")
        .set("enable.auto.commit", "false")
        .create()
        .expect("a client");
    rival.subscribe(&[topic]).expect("the topic can be subscribed to");
    let began = Instant::now();
    while rival.assignment().expect("an assignment").count() == 0 {
        assert!(began.elapsed() < PATIENCE, "the rival gets partitions");
        let _ = rival.poll(Duration::from_millis(100));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fenced_member_joins_again() {
    let topics = TestTopics::created(PARTITIONS).await;
    let checkpoints = Arc::new(Checkpoints::default());
    let writer = topics.writer();
    let named = || ReaderSettings { instance: Some("a-name".into()), ..topics.reader("group") };
    let leave = Arc::new(Notify::new());
    let log = topics.log(named(), PARTITIONS);
    let lives = member(0, log, Arc::clone(&checkpoints), Arc::clone(&leave));
    append(&writer, 0..20).await;
    checkpoints.applied(20).await;
    let (settings, topic) = (named(), topics.names.care.clone());
    tokio::task::spawn_blocking(move || take_name(&settings, &topic)).await.expect("a rival");
    append(&writer, 20..40).await;
    checkpoints.applied(40).await;
    leave.notify_one();
    patiently("the member leaves", lives).await.expect("a member without complaint");
}

/// The number of a group's members that the broker knows.
async fn members(group: &str) -> usize {
    let group = group.to_owned();
    let list = move || {
        let consumer: BaseConsumer = rdkafka::ClientConfig::new()
            .set("bootstrap.servers", server("CLINICWIRE_KAFKA"))
            .create()
            .expect("a client");
        let groups = consumer.fetch_group_list(Some(&group), PATIENCE).expect("kafka answers");
        groups.groups().iter().map(|group| group.members().len()).sum()
    };
    tokio::task::spawn_blocking(list).await.expect("no panic")
}

#[tokio::test(flavor = "multi_thread")]
async fn named_instance_that_stops_leaves_its_group() {
    let topics = TestTopics::created(PARTITIONS).await;
    let checkpoints = Arc::new(Checkpoints::default());
    let settings = ReaderSettings { instance: Some("a-name".into()), ..topics.reader("group") };
    let group = settings.group.clone();
    let leave = Arc::new(Notify::new());
    let log = topics.log(settings, PARTITIONS);
    let lives = member(0, log, Arc::clone(&checkpoints), Arc::clone(&leave));
    append(&topics.writer(), 0..20).await;
    checkpoints.applied(20).await;
    assert_eq!(members(&group).await, 1);
    leave.notify_one();
    patiently("the instance leaves", lives).await.expect("a member without complaint");
    let left = Instant::now();
    while members(&group).await > 0 {
        // Without a request to leave, the group would notice after six seconds.
        assert!(left.elapsed() < Duration::from_secs(4), "the group still has its member");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_records_above_the_limit_are_refused() {
    let topics = TestTopics::created(PARTITIONS).await;
    let log = topics.writer();
    let of = |bytes: usize| {
        let value = vec![b'x'; bytes - record(0).size() + record(0).value.len()];
        [(CARE_TOPIC, WireRecord { value: value.into(), ..record(0) })]
    };
    assert_eq!(of(MAX_RECORD_BYTES)[0].1.size(), MAX_RECORD_BYTES);
    log.append(&of(MAX_RECORD_BYTES)).await.expect("the largest record is acknowledged");
    let error = log.append(&of(MAX_MESSAGE_BYTES + 1)).await.expect_err("too large");
    let source = error.source.expect("a cause").to_string();
    assert!(source.contains("MessageSizeTooLarge"), "{source}");
    log.append(&of(1000)).await.expect("the producer goes on");
}

/// Right after `prepare`, every program finds its topics on every broker: brokers learn of new
/// topics at different times.
#[tokio::test(flavor = "multi_thread")]
async fn prepared_topics_are_known_at_once() {
    for round in 0..15 {
        let topics = TestTopics::named();
        prepare_topics(&topics.cluster(), &new_topics(PARTITIONS)).await.expect("topics");
        let found = check(&topics.cluster(), CARE_TOPIC).await;
        assert!(matches!(found, Ok(PARTITIONS)), "round {round}: {found:?}");
        append(&topics.writer(), 0..20).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_offset_has_partitions_claimed_again() {
    let topics = TestTopics::created(PARTITIONS).await;
    let log = group_log(&topics);
    append(&log, 0..10).await;
    let mut events = log.read();
    let mut assignments = 0;
    patiently("the log assigns again and reads", async {
        loop {
            match events.recv().await.expect("the log goes on") {
                LogEvent::Assigned { partitions, claims, .. } => {
                    assignments += 1;
                    let next = if assignments == 1 { 1_000_000 } else { 0 };
                    let offsets = partitions.into_iter().map(|id| (id, LogOffset(next)));
                    claims.send(offsets.collect()).expect("the log waits");
                }
                LogEvent::Revoked { done, .. } => drop(done.send(())),
                LogEvent::Records { .. } => return assert!(assignments > 1, "nothing lies there"),
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn held_partition_is_not_read() {
    let topics = TestTopics::created(PARTITIONS).await;
    let log = group_log(&topics);
    append(&log, 0..40).await;
    let held = PartitionId(1);
    let mut events = log.read();
    let (mut read, mut assignments) = (BTreeSet::new(), 0);
    patiently("the others are read", async {
        while read.len() < 3 {
            match events.recv().await.expect("the log goes on") {
                LogEvent::Assigned { partitions, claims, .. } => {
                    assignments += 1;
                    let offsets = partitions.into_iter().filter(|id| *id != held);
                    let mut claimed: ClaimedPartitions =
                        offsets.map(|id| (id, LogOffset::START)).collect();
                    claimed.held.push(held);
                    claims.send(claimed).expect("the log waits");
                }
                LogEvent::Revoked { done, .. } => drop(done.send(())),
                LogEvent::Records { partition, .. } => drop(read.insert(partition)),
            }
        }
    })
    .await;
    assert!(!read.contains(&held));
    assert_eq!(assignments, 1, "the group is not disturbed");
}

#[tokio::test(flavor = "multi_thread")]
async fn look_tells_bounds_and_anchors() {
    let topics = TestTopics::created(PARTITIONS).await;
    let log = group_log(&topics);
    append(&log, 0..40).await;
    let places: Vec<LogPlace> = (0..PARTITIONS)
        .map(|id| LogPlace { partition: PartitionId(id), anchor: Some(LogOffset(3)) })
        .collect();
    let states = patiently("kafka answers", log.look(&places)).await;
    assert_eq!(states.len(), places.len());
    for (partition, state) in states {
        let in_partition =
            |number: &usize| PartitionId::for_key(&record(*number).key, PARTITIONS) == partition;
        let expected: Vec<WireRecord> = (0..40).filter(in_partition).map(record).collect();
        let end = LogOffset(i64::try_from(expected.len()).unwrap());
        assert_eq!((state.start, state.end), (LogOffset::START, end));
        assert!(state.record.as_ref() == expected.get(3));
    }
    let beyond = [LogPlace { partition: PartitionId(0), anchor: Some(LogOffset(1_000)) }];
    let states = patiently("kafka answers", log.look(&beyond)).await;
    assert!(states[0].1.record.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn newest_views_are_those_of_every_aggregate_at_the_end() {
    let topics = TestTopics::created(PARTITIONS).await;
    let log = group_log(&topics);
    let tenant = TenantId::new("demo").unwrap();
    let aggregate = |number: usize| {
        Aggregate::location(&tenant, &LocationId::new(format!("l-{number}")).unwrap())
    };
    let record = |number: usize, version| {
        let position = Position { epoch: 1, version };
        let record =
            ViewsRecord { position, at: 1, deltas: Vec::new(), reload: false, outcome: None };
        (VIEWS_TOPIC, record.to_wire(&aggregate(number)))
    };
    // Each aggregate goes on to version 5, and the first one then has a refusal at version 4.
    let steps = (1..=5).flat_map(|version| (0..20).map(move |number| (number, version)));
    let records: Vec<_> = steps.chain([(0, 4)]).map(|(number, at)| record(number, at)).collect();
    log.append(&records).await.unwrap();
    let newest = patiently("kafka answers", log.newest_views()).await.unwrap();
    let newest: BTreeMap<_, _> =
        newest.into_iter().map(|head| (head.aggregate, head.position.version)).collect();
    assert_eq!(newest, (0..20).map(|number| (aggregate(number), 5)).collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_runner_loses_no_record() {
    let topics = TestTopics::created(PARTITIONS).await;
    let log = group_log(&topics);
    // More than the channel holds, in more rounds than one: the reader must pause, go on polling,
    // and resume.
    for round in 0..20 {
        append(&log, round * 500..(round + 1) * 500).await;
    }
    let mut events = log.read();
    let mut next: BTreeMap<PartitionId, LogOffset> = BTreeMap::new();
    let (mut read, mut rested) = (0, false);
    patiently("all records come", async {
        while read < 10_000 {
            match events.recv().await.expect("the log goes on") {
                LogEvent::Assigned { partitions, claims, .. } => {
                    let offsets = partitions
                        .into_iter()
                        .map(|id| (id, *next.entry(id).or_default()))
                        .collect();
                    claims.send(offsets).expect("the log waits");
                }
                LogEvent::Revoked { done, .. } => drop(done.send(())),
                LogEvent::Records { partition, records, .. } => {
                    for record in records {
                        let next = next.get_mut(&partition).expect("claimed");
                        assert_eq!(record.offset, *next, "dense");
                        *next = next.next();
                        read += 1;
                    }
                    if !rested {
                        // Longer than the reader waits for room: real time is under test.
                        tokio::time::sleep(Duration::from_secs(8)).await;
                        rested = true;
                    }
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn start_names_missing_topic_and_command() {
    let topics = TestTopics::named();
    let error = check(&topics.cluster(), CARE_TOPIC).await.expect_err("there are no topics");
    assert!(matches!(&error, TopicError::Missing(topic) if *topic == topics.names.care));
    assert!(error.to_string().contains("prepare"), "{error}");
    prepare_topics(&topics.cluster(), &new_topics(PARTITIONS)).await.expect("topics can be made");
    assert_eq!(check(&topics.cluster(), CARE_TOPIC).await.expect("now they are there"), PARTITIONS);
    assert!(
        prepare_topics(&topics.cluster(), &new_topics(PARTITIONS)).await.expect("again").is_empty()
    );
    let other = prepare_topics(&topics.cluster(), &new_topics(PARTITIONS + 1))
        .await
        .expect_err("fixed for life");
    assert!(
        matches!(other, TopicError::PartitionCount { found: PARTITIONS, wanted: 5, .. }),
        "{other}"
    );
}

/// If revocations expired before the tokens that they revoke, these tokens would be accepted again.
#[tokio::test]
async fn topic_of_revocations_must_be_compacted() {
    let topics = TestTopics::named();
    let wrong = NewTopic::new(&topics.names.access, PARTITIONS as i32, TopicReplication::Fixed(1))
        .set("message.timestamp.type", "LogAppendTime")
        .set("cleanup.policy", "delete");
    admin().create_topics([&wrong], &AdminOptions::new()).await.expect("kafka answers");
    let error = prepare_topics(&topics.cluster(), &new_topics(PARTITIONS))
        .await
        .expect_err("it loses revocations");
    assert!(matches!(&error, TopicError::Cleanup { found, .. } if found == "delete"), "{error}");
}

#[tokio::test]
async fn topic_with_create_time_is_refused() {
    let topics = TestTopics::named();
    let wrong = [&topics.names.care, &topics.names.views].map(|name| {
        NewTopic::new(name, 1, TopicReplication::Fixed(1))
            .set("message.timestamp.type", "CreateTime")
    });
    admin().create_topics(&wrong, &AdminOptions::new()).await.expect("kafka answers");
    let error = check(&topics.cluster(), CARE_TOPIC)
        .await
        .expect_err("the topic has the wrong timestamp type");
    assert!(
        matches!(&error, TopicError::Timestamp { found, .. } if found == "CreateTime"),
        "{error}"
    );

    // If a record with another timestamp type arrives nevertheless, reading ends.
    let log = topics.log(topics.reader("group"), 1);
    append(&log, 0..1).await;
    let mut events = log.read();
    patiently("the log gives up", async {
        while let Some(input) = events.recv().await {
            match input {
                LogEvent::Assigned { partitions, claims, .. } => {
                    claims
                        .send(partitions.into_iter().map(|id| (id, LogOffset::START)).collect())
                        .expect("the log waits");
                }
                LogEvent::Revoked { done, .. } => drop(done.send(())),
                LogEvent::Records { .. } => {
                    panic!("a record without LogAppendTime is not handed over")
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn topic_for_small_records_is_refused() {
    let topics = TestTopics::named();
    let small = [&topics.names.care, &topics.names.views].map(|name| {
        NewTopic::new(name, 1, TopicReplication::Fixed(1))
            .set("message.timestamp.type", "LogAppendTime")
            .set("max.message.bytes", "900000")
    });
    admin().create_topics(&small, &AdminOptions::new()).await.expect("kafka answers");
    let error = check(&topics.cluster(), CARE_TOPIC).await.expect_err("records would not fit");
    assert!(
        matches!(&error, TopicError::MessageBytes { found, .. } if found == "900000"),
        "{error}"
    );
    assert!(error.to_string().contains("1000000"), "the text names the value to set: {error}");
}

#[tokio::test]
async fn unreachable_kafka_is_named_by_address() {
    let cluster = KafkaCluster { brokers: "127.0.0.1:1".into(), ..TestTopics::named().cluster() };
    let error = check(&cluster, CARE_TOPIC).await.expect_err("nothing listens there");
    assert!(
        error.to_string().contains("127.0.0.1:1") && error.to_string().contains("CLINICWIRE_KAFKA"),
        "{error}"
    );
}
