//! The follower's thread: reads every partition of views from a minute back, without a group and
//! without commits, so that a node that starts or falls behind never depends on what another node
//! has read.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::{BorrowedMessage, Headers},
};
use schemas::record::WireRecord;
use tokio::sync::mpsc;

use super::{Events, KafkaSettings};
use crate::{backends::log::FeedItem, clock};

/// How far back following starts: what a client that lost its connection for a moment still resumes
/// from.
const BACK: Duration = Duration::from_secs(60);
/// Longest sleep in `poll`: bounds how late the end of intake is noticed.
const POLL: Duration = Duration::from_millis(100);
/// How long Kafka may take to answer a question at the start.
const START: Duration = Duration::from_secs(5);
/// How often the topic is asked for new partitions, and how long that may hold up reading when a
/// broker is slow.
const REFRESH_EVERY: Duration = Duration::from_secs(30);
const REFRESH: Duration = Duration::from_millis(500);
/// Between two attempts to begin.
const AGAIN: Duration = Duration::from_secs(1);

/// Why one consumer's work ended.
#[derive(Debug, thiserror::Error)]
enum Stop {
    #[error("nobody listens any more")]
    Closed,
    #[error("the log does not hold the next record any more")]
    OffsetGone,
    #[error("the consumer failed for good")]
    Fatal(#[source] KafkaError),
}

/// Feeds until nobody listens. A consumer that cannot go on is replaced by one that begins anew,
/// and what was held before is then declared lost.
pub(super) fn follow(settings: &KafkaSettings, feed: &mpsc::Sender<FeedItem>) {
    let mut begun_before = false;
    while !feed.is_closed() {
        match Follower::begin(settings) {
            Ok(mut follower) => {
                if begun_before && feed.blocking_send(FeedItem::Lost).is_err() {
                    return;
                }
                begun_before = true;
                let stop = follower.run(feed);
                if matches!(stop, Stop::Closed) {
                    return;
                }
                tracing::error!(
                    error = &stop as &dyn std::error::Error,
                    "following views begins anew"
                );
            }
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    "views cannot be followed yet: check that kafka runs and has the topic"
                );
                thread::sleep(AGAIN);
            }
        }
    }
}

struct Follower<'a> {
    consumer: BaseConsumer<Events>,
    topic: &'a str,
    partitions: i32,
    /// Partitions whose end, as it was at the beginning, has not been reached: that end.
    behind: BTreeMap<i32, i64>,
    caught_up: bool,
    refreshed: Instant,
}

impl<'a> Follower<'a> {
    /// Notes the end of every partition first and then looks a minute back, so that nothing lies
    /// between.
    fn begin(settings: &'a KafkaSettings) -> KafkaResult<Self> {
        let topic = settings.views_topic.as_str();
        let consumer: BaseConsumer<Events> = config(settings).create_with_context(Events)?;
        let partitions = partitions(&consumer, topic, START)?;
        if partitions == 0 {
            return Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition));
        }
        let mut ends = Vec::new();
        let mut times = TopicPartitionList::new();
        for partition in 0..partitions {
            ends.push(consumer.fetch_watermarks(topic, partition, START)?);
            times.add_partition_offset(topic, partition, Offset::Offset(a_minute_back()))?;
        }
        let mut assignment = TopicPartitionList::new();
        let mut behind = BTreeMap::new();
        for found in consumer.offsets_for_times(times, START)?.elements() {
            found.error()?;
            let partition = found.partition();
            let (low, high) = ends
                .get(usize::try_from(partition).unwrap_or_default())
                .copied()
                .unwrap_or_default();
            // No record is as young as that: there is nothing to look back to.
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
            partitions,
            behind,
            caught_up: false,
            refreshed: Instant::now(),
        })
    }

    fn run(&mut self, feed: &mpsc::Sender<FeedItem>) -> Stop {
        loop {
            match self.step(feed) {
                Ok(()) => {}
                Err(stop) => return stop,
            }
        }
    }

    fn step(&mut self, feed: &mpsc::Sender<FeedItem>) -> Result<(), Stop> {
        if feed.is_closed() {
            return Err(Stop::Closed);
        }
        if !self.caught_up && self.behind.is_empty() {
            self.caught_up = true;
            feed.blocking_send(FeedItem::CaughtUp).map_err(|_| Stop::Closed)?;
        }
        if self.refreshed.elapsed() >= REFRESH_EVERY {
            self.refresh();
        }
        let reached = match self.consumer.poll(POLL) {
            None => return Ok(()),
            Some(Ok(message)) => {
                let record = wire_record(&message);
                // Every message has a timestamp, because the topic has log append time. If one had
                // none, it would count as new.
                let appended_at = message.timestamp().to_millis().unwrap_or_else(clock::now);
                feed.blocking_send(FeedItem::Record { record, appended_at })
                    .map_err(|_| Stop::Closed)?;
                (message.partition(), message.offset() + 1)
            }
            // The end is reached, whatever its last offsets hold.
            Some(Err(KafkaError::PartitionEOF(partition))) => (partition, i64::MAX),
            Some(Err(error)) => return judge(error),
        };
        if self.behind.get(&reached.0).is_some_and(|end| reached.1 >= *end) {
            self.behind.remove(&reached.0);
        }
        Ok(())
    }

    /// Reads partitions that were added since, from their first record on.
    fn refresh(&mut self) {
        self.refreshed = Instant::now();
        let added = partitions(&self.consumer, self.topic, REFRESH).and_then(|now| {
            let mut added = TopicPartitionList::new();
            for partition in self.partitions..now {
                added.add_partition_offset(self.topic, partition, Offset::Beginning)?;
            }
            if added.count() > 0 {
                self.consumer.incremental_assign(&added)?;
                tracing::warn!(partitions = now, "the topic of views has new partitions");
            }
            Ok(now.max(self.partitions))
        });
        match added {
            Ok(partitions) => self.partitions = partitions,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "the topic of views could not be asked for new partitions");
            }
        }
    }
}

fn config(settings: &KafkaSettings) -> rdkafka::ClientConfig {
    let mut config = settings.client();
    config
        // librdkafka assigns nothing without a group's name, but a group that nobody subscribes in
        // is never joined.
        .set("group.id", "clinicwire-gateway")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // Silence would be the worst outcome: an offset that is gone must be heard of.
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_uncommitted")
        .set("enable.partition.eof", "true")
        .set("check.crcs", "true")
        // A broker answers at the first byte; this is only how often it is asked while there is
        // none.
        .set("fetch.wait.max.ms", "100")
        .set("fetch.queue.backoff.ms", "5")
        .set("fetch.error.backoff.ms", "20")
        .set("queued.min.messages", "5000")
        .set("queued.max.messages.kbytes", "16384");
    config
}

fn partitions(
    consumer: &BaseConsumer<Events>,
    topic: &str,
    patience: Duration,
) -> KafkaResult<i32> {
    let metadata = consumer.fetch_metadata(Some(topic), patience)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let count = found.map_or(0, |found| found.partitions().len());
    Ok(i32::try_from(count).unwrap_or(i32::MAX))
}

fn a_minute_back() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.saturating_sub(BACK).as_millis()).unwrap_or(i64::MAX)
}

/// What an error of `poll` means: most are passing, were logged by the client's context, and mend
/// themselves.
fn judge(error: KafkaError) -> Result<(), Stop> {
    match error {
        KafkaError::MessageConsumptionFatal(_) => Err(Stop::Fatal(error)),
        KafkaError::MessageConsumption(
            RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange,
        ) => Err(Stop::OffsetGone),
        _ => Ok(()),
    }
}

/// A record's key and headers are text by contract. What is not is replaced by marks that no id
/// contains, so that intake refuses it.
fn wire_record(message: &BorrowedMessage<'_>) -> WireRecord {
    let text =
        |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    WireRecord {
        key: text(message.key()),
        headers: headers.map(|header| (header.key.to_owned(), text(header.value))).collect(),
        value: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
    }
}
