//! The follower's thread: reads every partition of views from a minute back, without a group and
//! without commits, so that a node that starts or falls behind never depends on what another node
//! has read.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
};
use servers::kafka::{KafkaCluster, KafkaEvents, wire_record};
use tokio::sync::mpsc;

use super::client_config;
use crate::{backends::log::FeedItem, clock};

/// How far back following starts: a client that lost its connection for a moment can still resume
/// from the deltas of this time.
const LOOK_BACK: Duration = Duration::from_secs(60);
/// Longest sleep in `poll`: bounds how late the end of intake is noticed.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// How long Kafka may take to answer one request at the start.
const START_TIMEOUT: Duration = Duration::from_secs(5);
/// How often the topic's partition count is read, and how long that may delay reading when a broker
/// is slow.
const REFRESH_INTERVAL: Duration = Duration::from_secs(30);
const REFRESH_TIMEOUT: Duration = Duration::from_millis(500);
/// Pause between two attempts to start.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// Why a consumer stopped.
#[derive(Debug, thiserror::Error)]
enum FollowerStop {
    #[error("the receiver was dropped")]
    Closed,
    #[error("the log no longer holds the next record")]
    OffsetGone,
    #[error("the consumer failed for good")]
    Fatal(#[source] KafkaError),
}

/// Follows until the receiver is dropped. A consumer that cannot continue is replaced by a new one,
/// and everything received before is then declared lost.
pub(super) fn follow(cluster: &KafkaCluster, feed: &mpsc::Sender<FeedItem>) {
    let mut has_started = false;
    while !feed.is_closed() {
        match Follower::start(cluster) {
            Ok(mut follower) => {
                if has_started && feed.blocking_send(FeedItem::Lost).is_err() {
                    return;
                }
                has_started = true;
                let stop = follower.run(feed);
                if matches!(stop, FollowerStop::Closed) {
                    return;
                }
                tracing::error!(
                    error = &stop as &dyn std::error::Error,
                    "following views starts again"
                );
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    "views cannot be followed yet: check that kafka runs and has the topic"
                );
                thread::sleep(RETRY_PAUSE);
            }
        }
    }
}

struct Follower<'a> {
    consumer: BaseConsumer<KafkaEvents>,
    topic: &'a str,
    partition_count: i32,
    /// The end of each partition at the start, until it is reached.
    behind: BTreeMap<i32, i64>,
    caught_up: bool,
    refreshed: Instant,
}

impl<'a> Follower<'a> {
    /// Reads the end of every partition before it looks up the offset of a minute ago, so that no
    /// record is missed between the two.
    fn start(cluster: &'a KafkaCluster) -> KafkaResult<Self> {
        let topic = cluster.topics.views.as_str();
        let consumer: BaseConsumer<KafkaEvents> =
            config(cluster).create_with_context(KafkaEvents::LogErrors)?;
        let partition_count = read_partition_count(&consumer, topic, START_TIMEOUT)?;
        if partition_count == 0 {
            return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition));
        }
        let mut ends = Vec::new();
        let mut times = TopicPartitionList::new();
        for partition in 0..partition_count {
            ends.push(consumer.fetch_watermarks(topic, partition, START_TIMEOUT)?);
            times.add_partition_offset(topic, partition, Offset::Offset(look_back_to()))?;
        }
        let mut assignment = TopicPartitionList::new();
        let mut behind = BTreeMap::new();
        for found in consumer.offsets_for_times(times, START_TIMEOUT)?.elements() {
            found.error()?;
            let partition = found.partition();
            let (low, high) = ends
                .get(usize::try_from(partition).unwrap_or_default())
                .copied()
                .unwrap_or_default();
            // No record is younger than the time asked for: reading starts at the end.
            let Offset::Offset(start) = found.offset() else {
                assignment.add_partition_offset(topic, partition, Offset::Offset(high))?;
                continue;
            };
            assignment.add_partition_offset(topic, partition, Offset::Offset(start.max(low)))?;
            if start < high {
                behind.insert(partition, high);
            }
        }
        consumer.assign(&assignment)?;
        Ok(Self {
            consumer,
            topic,
            partition_count,
            behind,
            caught_up: false,
            refreshed: Instant::now(),
        })
    }

    fn run(&mut self, feed: &mpsc::Sender<FeedItem>) -> FollowerStop {
        loop {
            match self.step(feed) {
                Ok(()) => {}
                Err(stop) => return stop,
            }
        }
    }

    fn step(&mut self, feed: &mpsc::Sender<FeedItem>) -> Result<(), FollowerStop> {
        if feed.is_closed() {
            return Err(FollowerStop::Closed);
        }
        if !self.caught_up && self.behind.is_empty() {
            self.caught_up = true;
            feed.blocking_send(FeedItem::CaughtUp).map_err(|_| FollowerStop::Closed)?;
        }
        if self.refreshed.elapsed() >= REFRESH_INTERVAL {
            self.refresh();
        }
        let reached = match self.consumer.poll(POLL_TIMEOUT) {
            None => return Ok(()),
            Some(Ok(message)) => {
                let record = wire_record(&message);
                // Every message has a timestamp, because the topic has log append time. If one had
                // none, it would count as new.
                let appended_at = message.timestamp().to_millis().unwrap_or_else(clock::now);
                feed.blocking_send(FeedItem::Record { record, appended_at })
                    .map_err(|_| FollowerStop::Closed)?;
                (message.partition(), message.offset() + 1)
            }
            // The end is reached even if its last offsets hold no records.
            Some(Err(KafkaError::PartitionEOF(partition))) => (partition, i64::MAX),
            Some(Err(error)) => return check_error(error),
        };
        if self.behind.get(&reached.0).is_some_and(|end| reached.1 >= *end) {
            self.behind.remove(&reached.0);
        }
        Ok(())
    }

    /// Adds partitions that are new since the last call, from their first record.
    fn refresh(&mut self) {
        self.refreshed = Instant::now();
        let added =
            read_partition_count(&self.consumer, self.topic, REFRESH_TIMEOUT).and_then(|now| {
                let mut added = TopicPartitionList::new();
                for partition in self.partition_count..now {
                    added.add_partition_offset(self.topic, partition, Offset::Beginning)?;
                }
                if added.count() > 0 {
                    self.consumer.incremental_assign(&added)?;
                    tracing::warn!(partition_count = now, "the topic of views has new partitions");
                }
                Ok(now.max(self.partition_count))
            });
        match added {
            Ok(count) => self.partition_count = count,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    "the partition count of the topic of views could not be read"
                );
            }
        }
    }
}

fn config(cluster: &KafkaCluster) -> rdkafka::ClientConfig {
    let mut config = client_config(cluster);
    config
        // librdkafka assigns no partition without a group id. The group is never joined, because
        // the consumer does not subscribe.
        .set("group.id", "clinicwire-gateway")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // An offset that is gone must be an error; a silent reset would lose records.
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_uncommitted")
        .set("enable.partition.eof", "true")
        .set("check.crcs", "true")
        // A broker answers at the first byte; this is the pause between requests while there is
        // none.
        .set("fetch.wait.max.ms", "100")
        .set("fetch.queue.backoff.ms", "5")
        .set("fetch.error.backoff.ms", "20")
        .set("queued.min.messages", "5000")
        .set("queued.max.messages.kbytes", "16384");
    config
}

fn read_partition_count(
    consumer: &BaseConsumer<KafkaEvents>,
    topic: &str,
    timeout: Duration,
) -> KafkaResult<i32> {
    let metadata = consumer.fetch_metadata(Some(topic), timeout)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let count = found.map_or(0, |found| found.partitions().len());
    Ok(i32::try_from(count).unwrap_or(i32::MAX))
}

/// The time that following starts from, in milliseconds since the Unix epoch.
fn look_back_to() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.saturating_sub(LOOK_BACK).as_millis()).unwrap_or(i64::MAX)
}

/// Decides whether an error of `poll` is final. Most are temporary, were logged by the client's
/// context, and are repaired by the client.
fn check_error(error: KafkaError) -> Result<(), FollowerStop> {
    match error {
        KafkaError::MessageConsumptionFatal(_) => Err(FollowerStop::Fatal(error)),
        KafkaError::MessageConsumption(
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
        ) => Err(FollowerStop::OffsetGone),
        _ => Ok(()),
    }
}
