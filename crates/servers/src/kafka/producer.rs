//! An idempotent producer that is replaced after a fatal error.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    error::{KafkaError, KafkaResult},
    message::{Header, OwnedHeaders},
    producer::{BaseRecord, Producer, ThreadedProducer},
};
use schemas::record::WireRecord;
use tokio::sync::oneshot;

use super::{KafkaEvents, MAX_MESSAGE_BYTES};

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

type Client = ThreadedProducer<KafkaEvents>;

pub struct IdempotentProducer {
    config: ClientConfig,
    events: KafkaEvents,
    current: RwLock<Arc<Client>>,
}

impl IdempotentProducer {
    /// `config` comes from [`super::KafkaCluster::client_config`]. Does not connect.
    ///
    /// # Errors
    /// The client's error when it refuses the settings.
    pub fn new(
        mut config: ClientConfig,
        events: KafkaEvents,
        settings: ProducerSettings,
    ) -> KafkaResult<Self> {
        let millis = |time: Duration| time.as_millis().to_string();
        config
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // The partitioner of Kafka's Java clients and of `schemas::record::partition_for_key`;
            // the default of librdkafka differs.
            .set("partitioner", "murmur2")
            .set("linger.ms", millis(settings.linger))
            .set("delivery.timeout.ms", millis(settings.delivery_timeout))
            .set("request.timeout.ms", millis(settings.request_timeout))
            .set("message.max.bytes", MAX_MESSAGE_BYTES.to_string())
            .set("queue.buffering.max.kbytes", "65536");
        let current = RwLock::new(Arc::new(config.create_with_context(events)?));
        Ok(Self { config, events, current })
    }

    /// The current producer, for records that must go through one and the same.
    pub fn handle(&self) -> ProducerHandle {
        ProducerHandle(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Replaces the producer after a fatal error: an idempotent producer that lost count of its
    /// records never sends again.
    pub fn replace_if_fatal(&self) {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let Some((code, _)) = current.client().fatal_error() else { return };
        tracing::warn!(%code, "the producer failed for good and is replaced");
        match self.config.create_with_context(self.events) {
            Ok(fresh) => *current = Arc::new(fresh),
            Err(error) => tracing::error!(
                error = &error as &dyn std::error::Error,
                "no producer can be created"
            ),
        }
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
        self.0.send(message).map(|()| delivery).map_err(|(error, _)| error)
    }
}
