use rdkafka::{
    ClientConfig,
    mocking::MockCluster,
    producer::{BaseProducer, BaseRecord, Producer},
};

use super::*;
use crate::kafka::{KafkaSecurity, Topics};

const TOPIC: &str = "views";
const PARTITIONS: i32 = 2;
const RECORDS: usize = 40;
/// The longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(30);

/// The watchdog replaces the follower at each check, while records arrive.
#[test]
fn replaced_follower_reads_every_record_once() {
    let mock = MockCluster::new(1).unwrap();
    mock.create_topic(TOPIC, PARTITIONS, 1).unwrap();
    let cluster = KafkaCluster {
        brokers: mock.bootstrap_servers(),
        client_id: "clinicwire-tests",
        topics: Topics::default(),
        security: KafkaSecurity::default(),
    };
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", &cluster.brokers).create().unwrap();
    let status = Arc::new(ClientStatus::new("follower", "nothing was read"));
    let (feed, mut items) = mpsc::channel(RECORDS);
    let limits = WatchdogLimits { silence: Duration::ZERO, recovery: Duration::ZERO };
    let topic =
        FollowedTopic { name: TOPIC.to_owned(), group: "followers", from: StartFrom::MinuteAgo };
    let thread = thread::spawn({
        let status = Arc::clone(&status);
        move || follow(&cluster, &topic, &feed, &status, limits)
    });
    let mut read = [0, 0];
    let mut next_item = || items.blocking_recv().expect("following goes on");
    assert!(matches!(next_item(), FeedItem::CaughtUp));
    for number in 0..RECORDS {
        let (partition, value) = (number % 2, number.to_string());
        let record = BaseRecord::<str, str>::to(TOPIC).partition(partition as i32).payload(&value);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(PATIENCE).unwrap();
        if number % 2 == 0 {
            continue;
        }
        // Records of the two partitions may come in any order.
        let mut arrived = 0;
        while arrived < 2 {
            match next_item() {
                FeedItem::CaughtUp => {}
                FeedItem::Lost => panic!("nothing was lost"),
                FeedItem::Record { record, .. } => {
                    let number: usize =
                        std::str::from_utf8(&record.value).unwrap().parse().unwrap();
                    assert_eq!(number / 2, read[number % 2], "each record once and in order");
                    read[number % 2] += 1;
                    arrived += 1;
                }
            }
        }
    }
    assert!(status.replaced() > 3, "{}", status.replaced());
    drop(items);
    thread.join().unwrap();
}
