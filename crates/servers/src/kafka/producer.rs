//! An idempotent producer that is replaced when it fails for good or makes no progress.

use std::{
    sync::{
        Arc, PoisonError, RwLock, Weak,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    thread,
    time::Duration,
};

use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext, PurgeConfig},
};
use schemas::record::WireRecord;
use tokio::sync::oneshot;

use super::{
    ClientStatus, KafkaCluster, KafkaEvents, MAX_MESSAGE_BYTES, Watchdog, WatchdogLimits,
    dispose::dispose,
};

/// The times of a producer.
#[derive(Debug, Clone, Copy)]
pub struct ProducerSettings {
    /// How long a record waits for others to share its request.
    pub linger: Duration,
    /// How long a record may wait for its acknowledgement, retries included.
    pub delivery_timeout: Duration,
    /// How long a broker may take to answer one request.
    pub request_timeout: Duration,
}

/// Resolves when Kafka has acknowledged or given up one record.
pub type Delivery = oneshot::Receiver<KafkaResult<()>>;

/// How long one poll of a producer's events takes. Results are passed on at once. A poll spins in
/// its last millisecond, so it must be long. A replaced client ends after its last poll.
const POLL_TIME: Duration = Duration::from_secs(1);
/// How often the watchdog looks at a producer.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Silence is longer than the delivery timeout of a gateway. A producer recovers as fast as a
/// broker acknowledges.
const LIMITS: WatchdogLimits =
    WatchdogLimits { silence: Duration::from_secs(5), recovery: Duration::from_secs(3) };
/// Looks after a replacement at which the records of the old client may still be resolving: fewer
/// seconds than a record of the new client takes to fail.
const FRESH_LOOKS: usize = 3;
/// Pause between two checks whether a replaced producer is still in use. Its purged records resolve
/// at once.
const UNUSED_PAUSE: Duration = Duration::from_millis(50);

/// A cheap handle: clones share the producer.
#[derive(Clone)]
pub struct IdempotentProducer(Arc<ProducerState>);

struct ProducerState {
    config: ClientConfig,
    events: ProducerEvents,
    current: RwLock<Arc<Client>>,
}

impl IdempotentProducer {
    /// Starts a producer and its watchdog. Does not connect. `config` comes from
    /// [`KafkaCluster::client_config`]; `status` must have no other user that changes it.
    ///
    /// # Errors
    /// The client's error when it refuses the settings, or when no thread can be started.
    pub fn new(
        cluster: &KafkaCluster,
        mut config: ClientConfig,
        events: KafkaEvents,
        settings: ProducerSettings,
        status: Arc<ClientStatus>,
    ) -> KafkaResult<Self> {
        let millis = |time: Duration| time.as_millis().to_string();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // The partitioner of Kafka's Java clients and of `schemas::log::PartitionId`;
            // the default of librdkafka differs.
            .set("partitioner", "murmur2")
            .set("linger.ms", millis(settings.linger))
            .set("delivery.timeout.ms", millis(settings.delivery_timeout))
            .set("request.timeout.ms", millis(settings.request_timeout))
            .set("message.max.bytes", MAX_MESSAGE_BYTES.to_string())
            .set("queue.buffering.max.kbytes", "65536");
        let watchdog = Watchdog::new(cluster, Arc::clone(&status), LIMITS);
        let events = ProducerEvents { events, status, waiting: Arc::default() };
        let current = RwLock::new(Arc::new(Client::start(&config, events.clone())?));
        let shared = Arc::new(ProducerState { config, events, current });
        let watched = Arc::downgrade(&shared);
        thread::Builder::new()
            .name("kafka-producer-watch".to_owned())
            .spawn(move || watch(&watched, watchdog))
            .map_err(no_thread)?;
        Ok(Self(shared))
    }

    /// The current producer, for records that must go through one and the same.
    pub fn handle(&self) -> ProducerHandle {
        ProducerHandle(self.0.current())
    }

    /// The status that the watchdog of this producer keeps.
    pub fn status(&self) -> &Arc<ClientStatus> {
        &self.0.events.status
    }

    /// Replaces the producer after a fatal error: an idempotent producer that lost count of its
    /// records never sends again.
    pub fn replace_if_fatal(&self) {
        self.0.replace_if(|client| {
            let fatal = client.producer.client().fatal_error();
            let Some((code, _)) = fatal else { return false };
            tracing::warn!(%code, "the producer failed for good and is replaced");
            true
        });
    }
}

/// Replaces the producer when it makes no progress, as long as the producer is in use.
fn watch(watched: &Weak<ProducerState>, mut watchdog: Watchdog) {
    let mut fresh_looks = 0;
    loop {
        thread::sleep(LOOK_EVERY);
        let Some(shared) = watched.upgrade() else { return };
        if watchdog.must_replace() {
            shared.replace_if(|_| true);
            fresh_looks = if watchdog.broker_answers() { FRESH_LOOKS } else { 0 };
        }
        // All records of the old client have failed. The new one counts as freshly started: a
        // broker answered, and no record waits. Without this, an unused producer would count as
        // failing for ever, and so would stay unused.
        if fresh_looks > 0 {
            fresh_looks -= 1;
            shared.events.rest_if_unused();
        }
    }
}

impl ProducerState {
    fn current(&self) -> Arc<Client> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace_if(&self, must: impl FnOnce(&Client) -> bool) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if !must(&current) {
            return;
        }
        match Client::start(&self.config, self.events.clone()) {
            Ok(fresh) => {
                let old = std::mem::replace(&mut *current, Arc::new(fresh));
                dispose(move || end(old));
            }
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "no producer can be created"
            ),
        }
    }
}

/// A producer, and a thread that passes on its events until this is dropped. The producer of the
/// library that has such a thread polls so often that it takes a hundredth of a core when idle.
struct Client {
    producer: Arc<BaseProducer<ProducerEvents>>,
    ended: Arc<AtomicBool>,
}

impl Client {
    fn start(config: &ClientConfig, events: ProducerEvents) -> KafkaResult<Self> {
        let producer = Arc::new(config.create_with_context::<_, BaseProducer<_>>(events)?);
        let ended = Arc::new(AtomicBool::new(false));
        let (polled, is_over) = (Arc::clone(&producer), Arc::clone(&ended));
        let poll = move || {
            while !is_over.load(Relaxed) {
                polled.poll(POLL_TIME);
            }
        };
        let thread = thread::Builder::new().name("kafka-delivery".to_owned());
        thread.spawn(poll).map_err(no_thread)?;
        Ok(Self { producer, ended })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.ended.store(true, Relaxed);
    }
}

fn no_thread(error: std::io::Error) -> KafkaError {
    KafkaError::ClientCreation(error.to_string())
}

/// Fails the records of a replaced producer, and waits until it is unused, so that this thread
/// drops it and no other.
fn end(old: Arc<Client>) {
    let producer = Arc::clone(&old.producer);
    producer.purge(PurgeConfig::default().queue().inflight());
    while Arc::strong_count(&old) > 1 {
        thread::sleep(UNUSED_PAUSE);
    }
    drop(old);
    while Arc::strong_count(&producer) > 1 {
        thread::sleep(UNUSED_PAUSE);
    }
}

/// Passes the result of a record's delivery to the task that waits for it, and records progress.
#[derive(Clone)]
struct ProducerEvents {
    events: KafkaEvents,
    status: Arc<ClientStatus>,
    /// Records that were handed over and have no result yet, of the current client and of
    /// replaced ones.
    waiting: Arc<AtomicUsize>,
}

impl ProducerEvents {
    fn sent(&self) {
        self.waiting.fetch_add(1, SeqCst);
        self.status.expect_progress();
    }

    /// An acknowledgement is progress, and so is a refusal that only a broker can give.
    fn resolved(&self, result: &KafkaResult<()>) {
        let waiting = self.waiting.fetch_sub(1, SeqCst) - 1;
        let unanswered = matches!(
            result,
            Err(KafkaError::MessageProduction(
                RDKafkaErrorCode::MessageTimedOut
                    | RDKafkaErrorCode::PurgeQueue
                    | RDKafkaErrorCode::PurgeInflight
            ))
        );
        if !unanswered {
            self.status.progressed();
            if waiting == 0 {
                self.rest_if_unused();
            }
        }
    }

    fn rest_if_unused(&self) {
        if self.waiting.load(SeqCst) == 0 {
            self.status.rest();
        }
        // A record may have been sent in between.
        if self.waiting.load(SeqCst) > 0 {
            self.status.expect_progress();
        }
    }
}

impl ClientContext for ProducerEvents {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.events.log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.events.error(error, reason);
    }
}

impl ProducerContext for ProducerEvents {
    type DeliveryOpaque = Box<oneshot::Sender<KafkaResult<()>>>;

    fn delivery(&self, delivery: &DeliveryResult<'_>, waiting: Self::DeliveryOpaque) {
        let result = delivery.as_ref().map(drop).map_err(|(error, _)| error.clone());
        self.resolved(&result);
        // The task that waited may have given up.
        let _ = waiting.send(result);
    }
}

/// One producer, kept while its records are under way.
pub struct ProducerHandle(Arc<Client>);

impl ProducerHandle {
    /// Hands a record to the producer. Records with one key keep the order of these calls.
    ///
    /// # Errors
    /// The client's error when it does not take the record, such as a full queue.
    pub fn send(&self, topic: &str, record: &WireRecord) -> Result<Delivery, KafkaError> {
        let headers = OwnedHeaders::new_with_capacity(record.headers.len());
        let headers = record.headers.iter().fold(headers, |headers, (key, value)| {
            headers.insert(Header { key, value: Some(value) })
        });
        let (sender, delivery) = oneshot::channel();
        let message = BaseRecord::with_opaque_to(topic, Box::new(sender))
            .key(&record.key)
            .payload(&*record.value)
            .headers(headers);
        let producer = &self.0.producer;
        let events = producer.context();
        events.sent();
        producer.send(message).map(|()| delivery).map_err(|(error, _)| {
            events.resolved(&Err(error.clone()));
            error
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events() -> ProducerEvents {
        let status = Arc::new(ClientStatus::new("producer", "no record could be published"));
        ProducerEvents { events: KafkaEvents::LeaveErrors, status, waiting: Arc::default() }
    }

    fn silent(events: &ProducerEvents) -> bool {
        thread::sleep(Duration::from_millis(2));
        events.status.silence() > Duration::from_millis(1)
    }

    #[test]
    fn acknowledgement_ends_silence() {
        let events = events();
        assert!(!silent(&events));
        events.sent();
        assert!(silent(&events));
        events.resolved(&Ok(()));
        assert!(!silent(&events));
    }

    #[test]
    fn records_that_timed_out_leave_the_producer_silent() {
        let unanswered = [
            RDKafkaErrorCode::MessageTimedOut,
            RDKafkaErrorCode::PurgeQueue,
            RDKafkaErrorCode::PurgeInflight,
        ];
        for code in unanswered {
            let events = events();
            events.sent();
            events.resolved(&Err(KafkaError::MessageProduction(code)));
            assert!(silent(&events), "{code}");
            events.rest_if_unused();
            assert!(!silent(&events), "a fresh client is sound until a record says otherwise");
        }
        let events = events();
        events.sent();
        let refused = KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge);
        events.resolved(&Err(refused));
        assert!(!silent(&events), "a refusal is an answer");
    }

    #[test]
    fn record_that_still_waits_keeps_the_producer_silent() {
        let events = events();
        events.sent();
        events.sent();
        events.resolved(&Ok(()));
        events.rest_if_unused();
        assert!(silent(&events));
    }
}
