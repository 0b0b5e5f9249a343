//! A follower's thread: reads every partition of a topic without a group and without commits, so
//! that a process that starts or falls behind never depends on what another one has read.

mod start;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rdkafka::{
    ClientContext, Message, Statistics,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, RDKafkaErrorCode},
};
use schemas::{
    Millis,
    log::{FeedItem, LogOffset, PartitionId},
};
use tokio::sync::mpsc;

use super::{
    ClientStatus, KafkaCluster, KafkaEvents, Membership, Pulse, STATISTICS_INTERVAL_MS, Watchdog,
    WatchdogLimits, dispose, wire_record,
};
pub use start::{FollowedTopic, StartFrom};
use start::{NextOffsets, StartError, StartPlan, plan};

/// Longest sleep in `poll`: bounds how late the end of intake and a silence are noticed.
const POLL_TIMEOUT: Duration = Duration::from_millis(100);
/// Pause between two attempts to start.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Brokers answer each fetch within a tenth of a second, so five seconds of silence are a fault. A
/// sound client fetches again within a second after a broker answers.
const LIMITS: WatchdogLimits =
    WatchdogLimits { silence: Duration::from_secs(5), recovery: Duration::from_secs(3) };

/// Records between the follower's thread and its receiver. Past it the thread waits, and unread
/// records stay in Kafka.
pub const FEED_CAPACITY: usize = 4096;

/// Starts a thread of this name that follows a topic until the receiver of `feed` is dropped.
pub fn start_follower(
    cluster: KafkaCluster,
    thread: &str,
    topic: FollowedTopic,
    feed: mpsc::Sender<FeedItem>,
    status: Arc<ClientStatus>,
) {
    // A thread of its own: the asynchronous consumer can miss a wake-up and sleep for minutes.
    let work = move || follow(&cluster, &topic, &feed, &status, LIMITS);
    if let Err(error) = thread::Builder::new().name(thread.to_owned()).spawn(work) {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "the thread that follows a topic cannot be started"
        );
    }
}

/// Why a consumer stopped.
#[derive(Debug, thiserror::Error)]
enum FollowerStop {
    #[error("the receiver was dropped")]
    Closed,
    #[error("the log no longer holds the next record")]
    OffsetGone,
    #[error("the consumer failed for good")]
    Fatal(#[source] KafkaError),
    #[error("the consumer made no progress although a broker answers")]
    Silent,
}

/// Follows until the receiver is dropped. A consumer that cannot continue is replaced by a new one,
/// which continues after the last record that was read. Only if the log does not hold the records
/// since is everything received before declared lost.
fn follow(
    cluster: &KafkaCluster,
    topic: &FollowedTopic,
    feed: &mpsc::Sender<FeedItem>,
    status: &Arc<ClientStatus>,
    limits: WatchdogLimits,
) {
    let mut watchdog = Watchdog::new(cluster, Arc::clone(status), limits);
    let (mut read, mut has_read) = (None, false);
    status.expect_progress();
    while !feed.is_closed() {
        let started = Follower::start(cluster, topic, status, read.as_ref());
        let mut follower = match started {
            Ok(follower) => follower,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    topic = topic.name,
                    error,
                    "a topic cannot be followed yet: check that kafka runs and has it"
                );
                thread::sleep(RETRY_PAUSE);
                continue;
            }
        };
        let is_lost = has_read && !follower.is_continuous;
        has_read = true;
        if is_lost && feed.blocking_send(FeedItem::Lost).is_err() {
            return;
        }
        let stop = follower.run(feed, &mut watchdog);
        let Follower { consumer, next, .. } = follower;
        dispose(move || drop(consumer));
        match stop {
            FollowerStop::Closed => break,
            FollowerStop::OffsetGone => read = None,
            FollowerStop::Fatal(_) | FollowerStop::Silent => read = Some(next),
        }
        let error = &stop as &dyn std::error::Error;
        tracing::error!(topic = topic.name, error, "following starts again");
    }
    status.rest();
}

struct Follower {
    consumer: BaseConsumer<FollowerContext>,
    /// The next offset of each partition.
    next: NextOffsets,
    /// The end of each partition at the start, until it is reached.
    behind: BTreeMap<PartitionId, LogOffset>,
    is_continuous: bool,
    caught_up: bool,
}

impl Follower {
    fn start(
        cluster: &KafkaCluster,
        topic: &FollowedTopic,
        status: &Arc<ClientStatus>,
        read: Option<&NextOffsets>,
    ) -> Result<Self, StartError> {
        let context = FollowerContext { status: Arc::clone(status), pulse: Mutex::default() };
        let consumer: BaseConsumer<FollowerContext> =
            config(cluster, topic).create_with_context(context)?;
        let planned = plan(&consumer, topic, read).and_then(|plan| {
            consumer.assign(&plan.assignment(&topic.name)?)?;
            Ok(plan)
        });
        match planned {
            Ok(StartPlan { next, behind, is_continuous }) => {
                Ok(Self { consumer, next, behind, is_continuous, caught_up: false })
            }
            Err(error) => {
                dispose(move || drop(consumer));
                Err(error)
            }
        }
    }

    fn run(&mut self, feed: &mpsc::Sender<FeedItem>, watchdog: &mut Watchdog) -> FollowerStop {
        loop {
            if let Err(stop) = self.step(feed) {
                return stop;
            }
            if watchdog.must_replace() {
                return FollowerStop::Silent;
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
        let (partition, reached) = match self.consumer.poll(POLL_TIMEOUT) {
            None => return Ok(()),
            Some(Ok(message)) => {
                let record = wire_record(&message);
                // Every message has a timestamp, because the topic has log append time. If one had
                // none, it would count as new.
                let appended_at = message.timestamp().to_millis().unwrap_or_else(now);
                feed.blocking_send(FeedItem::Record { record, appended_at })
                    .map_err(|_| FollowerStop::Closed)?;
                let partition = PartitionId::from_kafka(message.partition());
                let next = LogOffset(message.offset()).next();
                self.next.insert(partition, next);
                (partition, next)
            }
            // The end is reached even if its last offsets hold no records.
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                (PartitionId::from_kafka(partition), LogOffset(i64::MAX))
            }
            Some(Err(error)) => return check_error(error),
        };
        if self.behind.get(&partition).is_some_and(|end| reached >= *end) {
            self.behind.remove(&partition);
        }
        Ok(())
    }
}

/// Logs errors, and records progress.
struct FollowerContext {
    status: Arc<ClientStatus>,
    pulse: Mutex<Pulse>,
}

impl ClientContext for FollowerContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        KafkaEvents::LogErrors.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        KafkaEvents::LogErrors.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        let mut pulse = self.pulse.lock().unwrap_or_else(PoisonError::into_inner);
        if pulse.has_progress(&statistics, Membership::None, |_| false) {
            self.status.progressed();
        }
    }
}

impl ConsumerContext for FollowerContext {}

fn config(cluster: &KafkaCluster, topic: &FollowedTopic) -> rdkafka::ClientConfig {
    let mut config = cluster.client_config();
    config
        // librdkafka assigns no partition without a group id. The group is never joined, because
        // the consumer does not subscribe.
        .set("group.id", topic.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // An offset that is gone must be an error; a silent reset would lose records.
        .set("auto.offset.reset", "error")
        .set("isolation.level", "read_uncommitted")
        .set("enable.partition.eof", "true")
        .set("check.crcs", "true")
        .set("statistics.interval.ms", STATISTICS_INTERVAL_MS)
        // A broker answers at the first byte; this is the pause between requests while there is
        // none.
        .set("fetch.wait.max.ms", "100")
        .set("fetch.queue.backoff.ms", "5")
        .set("fetch.error.backoff.ms", "20")
        .set("queued.min.messages", "5000")
        .set("queued.max.messages.kbytes", "16384");
    config
}

/// The machine's clock in milliseconds since the Unix epoch.
fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis::try_from(since.as_millis()).unwrap_or(Millis::MAX)
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

#[cfg(test)]
mod tests;
