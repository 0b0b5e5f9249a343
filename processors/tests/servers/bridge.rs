//! The bridge: no report of a source is lost or reordered when a process dies or a server is
//! silent.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

use processors::{
    BoxFuture,
    bridge::{Bridge, BridgeCounters},
    log::{AppendError, Log, LogEvent, LogPlace, LogState, NotRead, PartitionId},
    servers::{
        bridge::{self, BridgeError, BridgeParts},
        kafka::KafkaProcessorLog,
    },
    tenants::Tenants,
};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminOptions, NewTopic, TopicReplication},
    consumer::{BaseConsumer, Consumer},
};
use schemas::{
    codes::Code,
    command::Command,
    ids::{SourceId, TenantId},
    record::{CARE_TOPIC, CommandRecord, ViewsHead, WireRecord},
};
use servers::kafka::{KafkaCluster, Topics};
use testing::patience::patiently;
use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::JoinHandle,
};

use crate::setup::{TestTopics, admin, fresh, server};

const PARTITIONS: u32 = 2;

/// A source with a topic of its own, and the topics of an installation.
struct Source {
    topics: TestTopics,
    topic: String,
}

/// A bridge that runs until it is stopped.
struct RunningBridge {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), BridgeError>>,
    counters: Arc<BridgeCounters>,
}

impl RunningBridge {
    async fn stop(self) {
        drop(self.stop);
        patiently("the bridge stops", self.task)
            .await
            .expect("it does not panic")
            .expect("it stops without an error");
    }
}

impl Source {
    async fn new() -> Self {
        let topics = TestTopics::created(PARTITIONS).await;
        let topic = format!("{}.his", fresh());
        let new =
            NewTopic::new(&topic, i32::try_from(PARTITIONS).unwrap(), TopicReplication::Fixed(1));
        let made =
            admin().create_topics(&[new], &AdminOptions::new()).await.expect("kafka answers");
        made.into_iter().for_each(|made| drop(made.expect("the topic is made")));
        Self { topics, topic }
    }

    fn log(&self) -> Arc<KafkaProcessorLog> {
        self.topics.writer()
    }

    fn bridge(&self, topic: &str, log: Arc<dyn Log>) -> RunningBridge {
        self.bridge_by(topic, log, Tenants::none())
    }

    fn bridge_by(&self, topic: &str, log: Arc<dyn Log>, tenants: Arc<Tenants>) -> RunningBridge {
        let (stop, stopped) = oneshot::channel::<()>();
        let counters = Arc::new(BridgeCounters::default());
        let bridge = Bridge {
            tenant: TenantId::new("demo").unwrap(),
            source: SourceId::new("his").unwrap(),
            topic: topic.to_owned(),
        };
        let parts = BridgeParts {
            bridge,
            log,
            counters: Arc::clone(&counters),
            status: Arc::new(bridge::reader_status()),
            tenants,
        };
        let stopped = async { drop(stopped.await) };
        let group = self.topics.reader("bridge").group;
        let running = bridge::run(self.topics.cluster(), group, parts, stopped);
        RunningBridge { stop, task: tokio::spawn(running), counters }
    }

    /// Appends these facts to the source's topic at once.
    async fn tell(&self, records: Vec<WireRecord>) {
        let topics = Topics { care: self.topic.clone(), ..self.topics.names.clone() };
        let cluster = KafkaCluster { topics, ..self.topics.cluster() };
        let log = KafkaProcessorLog::new_writer(cluster).expect("the settings are valid");
        let records: Vec<_> = records.into_iter().map(|record| (CARE_TOPIC, record)).collect();
        log.append(&records).await.expect("kafka acknowledges");
    }

    /// Waits until `care` has this many records, and returns all of them by partition and in order.
    async fn care(&self, count: usize) -> Vec<WireRecord> {
        let topic = self.topics.names.care.clone();
        let read = tokio::task::spawn_blocking(move || {
            let consumer: BaseConsumer = ClientConfig::new()
                .set("bootstrap.servers", server("CLINICWIRE_KAFKA"))
                .set("group.id", fresh())
                .create()
                .expect("a consumer");
            let mut all = TopicPartitionList::new();
            for partition in 0..i32::try_from(PARTITIONS).unwrap() {
                all.add_partition_offset(&topic, partition, Offset::Beginning).unwrap();
            }
            consumer.assign(&all).unwrap();
            let mut read = Vec::new();
            while read.len() < count {
                let Some(message) = consumer.poll(Duration::from_millis(100)) else { continue };
                let message = message.expect("kafka answers");
                read.push((message.partition(), message.offset(), wire(&message)));
            }
            read.sort_by_key(|(partition, offset, _)| (*partition, *offset));
            read.into_iter().map(|(.., record)| record).collect()
        });
        patiently("care has it all", read).await.expect("the reader ends")
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let topic = self.topic.clone();
        crate::setup::run_on_thread(async move {
            drop(admin().delete_topics(&[&topic], &AdminOptions::new()).await);
        });
    }
}

fn wire(message: &rdkafka::message::BorrowedMessage<'_>) -> WireRecord {
    use rdkafka::message::Headers;
    let text =
        |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    WireRecord {
        key: text(message.key()),
        headers: headers.map(|header| (header.key.to_owned(), text(header.value))).collect(),
        value: message.payload().unwrap_or_default().to_vec().into(),
    }
}

/// The source's report of this appointment with this version.
fn report(key: &str, version: u64) -> WireRecord {
    let value = serde_json::json!({
        "location": "north", "key": key, "version": version, "status": "booked",
        "start": "2026-11-27T09:00:00Z", "end": "2026-11-27T09:20:00Z",
    });
    let headers = vec![("ce_id".to_owned(), format!("{key}-{version}"))];
    WireRecord { key: key.to_owned(), headers, value: value.to_string().into() }
}

/// Versions of each appointment, in the order of `care`.
fn versions(care: &[WireRecord], key: &str) -> Vec<u64> {
    let revision = |record: &WireRecord| match CommandRecord::from_wire(record).ok()?.command {
        Command::ReportAppointment { fact, .. } if fact.key.as_str() == key => Some(fact.revision),
        _ => None,
    };
    care.iter().filter_map(revision).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn bridge_forwards_once_in_order_over_restart() {
    let source = Source::new().await;
    let keys = ["a", "b", "c"];
    let round = |versions: std::ops::RangeInclusive<u64>| {
        versions.flat_map(|version| keys.map(|key| report(key, version))).collect::<Vec<_>>()
    };
    source.tell(round(1..=20)).await;
    let first = source.bridge(&source.topic, source.log());
    assert_eq!(source.care(60).await.len(), 60, "what was there before it began");
    source.tell(round(21..=30)).await;
    source.care(90).await;
    let counters = Arc::clone(&first.counters);
    first.stop().await;
    assert_eq!(counters.commands.load(SeqCst), 90);

    let broken = WireRecord { value: b"{".as_slice().into(), ..report("a", 31) };
    source.tell([vec![broken.clone()], round(31..=31)].concat()).await;
    let second = source.bridge(&source.topic, source.log());
    let care = source.care(94).await;
    assert_eq!(care.len(), 94, "the group remembers how far it was read");
    for key in keys {
        assert_eq!(versions(&care, key), (1..=31).collect::<Vec<_>>());
    }
    let aside =
        care.iter().find(|record| record.header("bridge_topic").is_some()).expect("it is not lost");
    assert!(aside.value == broken.value && aside.header("bridge_topic") == Some(&source.topic));
    assert_eq!(
        CommandRecord::from_wire(aside).err(),
        Some(Code::RecordBadKey),
        "a runner sets it aside"
    );
    let counters = Arc::clone(&second.counters);
    second.stop().await;
    assert_eq!((counters.commands.load(SeqCst), counters.unreadable.load(SeqCst)), (3, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_of_a_suspended_tenant_wait_at_their_source() {
    let source = Source::new().await;
    let (tenants, demo) = (Tenants::none(), TenantId::new("demo").unwrap());
    source.tell((1..=5).map(|version| report("a", version)).collect()).await;
    let bridge = source.bridge_by(&source.topic, source.log(), Arc::clone(&tenants));
    source.care(5).await;
    tenants.set_suspended(demo.clone(), true);
    let counters = Arc::clone(&bridge.counters);
    // It is asked to stop while it rests, and one that starts then rests from the beginning.
    bridge.stop().await;
    source.tell((6..=9).map(|version| report("a", version)).collect()).await;
    let bridge = source.bridge_by(&source.topic, source.log(), Arc::clone(&tenants));
    bridge.stop().await;
    assert_eq!(counters.commands.load(SeqCst), 5);
    let bridge = source.bridge_by(&source.topic, source.log(), Arc::clone(&tenants));
    tenants.set_suspended(demo, false);
    let care = source.care(9).await;
    assert_eq!(versions(&care, "a"), (1..=9).collect::<Vec<_>>(), "each once and in order");
    assert_eq!(bridge.counters.commands.load(SeqCst), 4);
    bridge.stop().await;
}

/// A log that refuses everything and counts the calls.
#[derive(Default)]
struct RefusingLog {
    asked: AtomicU32,
    changed: Notify,
}

impl Log for RefusingLog {
    fn read(&self) -> mpsc::Receiver<LogEvent> {
        unreachable!("a bridge reads its source only")
    }

    fn release(&self, _: PartitionId) {}

    fn pause(&self, _: PartitionId, _: bool) {}

    fn look<'a>(&'a self, _: &'a [LogPlace]) -> BoxFuture<'a, Vec<(PartitionId, LogState)>> {
        unreachable!("a bridge reads its source only")
    }

    fn newest_views(&self) -> BoxFuture<'_, Result<Vec<ViewsHead>, NotRead>> {
        unreachable!("a bridge reads its source only")
    }

    fn append<'a>(
        &'a self,
        _: &'a [(&'static str, WireRecord)],
    ) -> BoxFuture<'a, Result<(), AppendError>> {
        self.asked.fetch_add(1, SeqCst);
        self.changed.notify_one();
        Box::pin(async { Err(AppendError { record: None, source: None }) })
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unacknowledged_facts_are_read_by_next_bridge() {
    let source = Source::new().await;
    source.tell((1..=5).map(|version| report("a", version)).collect()).await;
    let deaf = Arc::new(RefusingLog::default());
    let first = source.bridge(&source.topic, Arc::clone(&deaf) as _);
    patiently("it tries again and again", async {
        while deaf.asked.load(SeqCst) < 3 {
            deaf.changed.notified().await;
        }
    })
    .await;
    let counters = Arc::clone(&first.counters);
    first.stop().await;
    assert_eq!(counters.commands.load(SeqCst), 0, "nothing counts as passed on");
    let second = source.bridge(&source.topic, source.log());
    assert_eq!(versions(&source.care(5).await, "a"), [1, 2, 3, 4, 5]);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_topic_is_reported_at_start() {
    let source = Source::new().await;
    let running = source.bridge("nobody.tells.here", source.log());
    let ended = patiently("it ends", running.task).await.expect("it does not panic");
    assert!(matches!(ended, Err(BridgeError::Missing(topic)) if topic == "nobody.tells.here"));
}
