//! The least that a command can cost on a machine: the servers' part of its path without any of
//! our decisions. A record goes into Kafka, a consumer reads it, what has been read meanwhile is
//! stored by one statement and one commit that waits for the disk, a second record goes into Kafka,
//! and a second consumer answers the caller. There is no HTTP, and nothing is decided, projected
//! or kept in Redis. Compare it with `swarm commands` at the same callers in the same run:
//! `deploy/dev/servers run --fsync -- cargo bench -p clinicwire-processors --bench path_floor`.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints and may panic")]

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, ClientContext, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    producer::{BaseRecord, DeliveryResult, ProducerContext, ThreadedProducer},
};
use tokio::sync::{mpsc, oneshot};
use tokio_postgres::{Client, NoTls};

const PARTITIONS: i32 = 12;
/// Bytes of a command's record, and of the record with its outcome and steps: about those of
/// issuing a ticket.
const COMMAND: usize = 400;
const OUTCOME: usize = 1_500;
const WARM_UP: Duration = Duration::from_secs(5);
const MEASURED: Duration = Duration::from_secs(10);
/// Callers, keys, and the pause of a caller in milliseconds.
const SHAPES: [(usize, usize, u64); 7] =
    [(1, 24, 0), (10, 24, 0), (64, 24, 0), (256, 24, 0), (64, 1, 0), (256, 1, 0), (48, 24, 145)];

/// Callers that wait for the outcome of their command.
type Waiting = Arc<Mutex<HashMap<u128, oneshot::Sender<()>>>>;

/// A command that was read.
struct Record {
    key: String,
    id: u128,
    partition: i32,
    offset: i64,
}

fn config() -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", std::env::var("CLINICWIRE_KAFKA").unwrap());
    config
}

/// Tells who waits that Kafka has acknowledged a record.
struct Acknowledgements;

impl ClientContext for Acknowledgements {}

impl ProducerContext for Acknowledgements {
    type DeliveryOpaque = Box<oneshot::Sender<()>>;

    fn delivery(&self, delivery: &DeliveryResult<'_>, waiting: Self::DeliveryOpaque) {
        assert!(delivery.is_ok(), "kafka acknowledges each record");
        let _ = waiting.send(()); // whoever does not wait needs no answer
    }
}

type Sender = ThreadedProducer<Acknowledgements>;

fn producer(linger: &str) -> Sender {
    let mut config = config();
    config.set("enable.idempotence", "true").set("acks", "all").set("linger.ms", linger);
    config.create_with_context(Acknowledgements).unwrap()
}

fn send(producer: &Sender, topic: &str, key: &str, payload: &[u8]) -> oneshot::Receiver<()> {
    let (sender, acknowledged) = oneshot::channel();
    let record = BaseRecord::with_opaque_to(topic, Box::new(sender)).key(key).payload(payload);
    producer.send(record).map_err(|(error, _)| error).unwrap();
    acknowledged
}

/// Reads a topic on a thread until `over`, and passes on everything that has arrived at once.
fn consume(
    topic: &str,
    over: &Arc<AtomicBool>,
    mut take: impl FnMut(Vec<Record>) + Send + 'static,
) {
    let mut config = config();
    config
        .set("group.id", "path-floor")
        .set("enable.auto.commit", "false")
        .set("fetch.wait.max.ms", "50");
    let consumer: BaseConsumer = config.create().unwrap();
    let mut all = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        all.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&all).unwrap();
    let over = Arc::clone(over);
    thread::spawn(move || {
        while !over.load(Relaxed) {
            let (mut records, mut timeout) = (Vec::new(), Duration::from_millis(100));
            while let Some(message) = consumer.poll(timeout) {
                let message = message.unwrap();
                let id = u128::from_be_bytes(message.payload().unwrap()[..16].try_into().unwrap());
                let key = String::from_utf8_lossy(message.key().unwrap()).into_owned();
                let (partition, offset) = (message.partition(), message.offset());
                records.push(Record { key, id, partition, offset });
                timeout = Duration::ZERO;
            }
            if !records.is_empty() {
                take(records);
            }
        }
    });
}

fn payload(id: u128, size: usize) -> Vec<u8> {
    let mut payload = id.to_be_bytes().to_vec();
    payload.resize(size, b'x');
    payload
}

/// Stores what has been read, one statement and one commit at a time, and publishes the outcomes.
async fn store(client: Client, outcomes: String, mut read: mpsc::UnboundedReceiver<Vec<Record>>) {
    let insert = client
        .prepare(
            "INSERT INTO path_floor SELECT * FROM unnest($1::int[], $2::bigint[], $3::bytea[])",
        )
        .await
        .unwrap();
    let producer = producer("1");
    while let Some(mut records) = read.recv().await {
        while let Ok(more) = read.try_recv() {
            records.extend(more);
        }
        let partitions: Vec<i32> = records.iter().map(|record| record.partition).collect();
        let offsets: Vec<i64> = records.iter().map(|record| record.offset).collect();
        let values: Vec<Vec<u8>> =
            records.iter().map(|record| payload(record.id, OUTCOME)).collect();
        client.execute(&insert, &[&partitions, &offsets, &values]).await.unwrap();
        for (record, value) in records.iter().zip(&values) {
            drop(send(&producer, &outcomes, &record.key, value));
        }
    }
}

/// Runs one shape. Returns the milliseconds of each command after the warm-up.
async fn call(
    (callers, keys, pause): (usize, usize, u64),
    producer: &Sender,
    topic: &str,
    waiting: &Waiting,
    measured: Duration,
) -> Vec<f64> {
    let end = Instant::now() + measured;
    let calls = (0..callers).map(|caller| {
        let (producer, topic, waiting) = (producer.clone(), topic.to_owned(), Arc::clone(waiting));
        tokio::spawn(async move {
            let key = format!("demo/location-{}", caller % keys);
            let mut took = Vec::new();
            while Instant::now() < end {
                let (begun, id) = (Instant::now(), fastrand::u128(..));
                let (sender, answered) = oneshot::channel();
                waiting.lock().unwrap().insert(id, sender);
                let payload = payload(id, COMMAND);
                send(&producer, &topic, &key, &payload).await.unwrap();
                answered.await.unwrap();
                took.push(begun.elapsed().as_secs_f64() * 1e3);
                tokio::time::sleep(Duration::from_millis(pause)).await; // the caller's own pace
            }
            took
        })
    });
    let mut all = Vec::new();
    for call in calls.collect::<Vec<_>>() {
        all.extend(call.await.unwrap());
    }
    all
}

#[tokio::main]
async fn main() {
    let Ok(postgres) = std::env::var("CLINICWIRE_POSTGRES") else {
        println!("path_floor: CLINICWIRE_POSTGRES names no server, nothing is measured");
        return;
    };
    let (client, connection) = tokio_postgres::connect(&postgres, NoTls).await.unwrap();
    tokio::spawn(connection);
    let create = "CREATE TABLE IF NOT EXISTS path_floor (partition int, at_offset bigint, \
        value bytea, PRIMARY KEY (partition, at_offset))";
    client.batch_execute(create).await.unwrap();
    client.batch_execute("TRUNCATE path_floor").await.unwrap();
    let run: u64 = fastrand::u64(..);
    let [commands, outcomes] = ["commands", "outcomes"].map(|name| format!("floor-{name}-{run:x}"));
    let admin: AdminClient<DefaultClientContext> = config().create().unwrap();
    let topics = [&commands, &outcomes]
        .map(|name| NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1)));
    admin.create_topics(&topics, &AdminOptions::new()).await.unwrap();
    let (over, waiting) = (Arc::new(AtomicBool::new(false)), Waiting::default());
    let (sender, read) = mpsc::unbounded_channel();
    consume(&commands, &over, move |records| drop(sender.send(records)));
    let answering = Arc::clone(&waiting);
    consume(&outcomes, &over, move |records| {
        let mut waiting = answering.lock().unwrap();
        for record in records {
            if let Some(caller) = waiting.remove(&record.id) {
                let _ = caller.send(()); // a caller that ended needs no answer
            }
        }
    });
    tokio::spawn(store(client, outcomes, read));
    let producer = producer("0");
    call((64, 24, 0), &producer, &commands, &waiting, 3 * WARM_UP).await;
    println!("callers  keys  pause ms  commands/s  p50 ms  p95 ms  p99 ms");
    for shape in SHAPES {
        call(shape, &producer, &commands, &waiting, WARM_UP / 2).await;
        let begun = Instant::now();
        let mut took = call(shape, &producer, &commands, &waiting, MEASURED).await;
        let rate = took.len() as f64 / begun.elapsed().as_secs_f64();
        took.sort_by(f64::total_cmp);
        let at = |share: f64| took[((took.len() - 1) as f64 * share) as usize];
        let (callers, keys, pause) = shape;
        println!(
            "{callers:>7}  {keys:>4}  {pause:>8}  {rate:>10.0}  {:>6.1}  {:>6.1}  {:>6.1}",
            at(0.5),
            at(0.95),
            at(0.99)
        );
    }
    over.store(true, Relaxed);
}
