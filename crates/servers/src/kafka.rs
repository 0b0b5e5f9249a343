//! Kafka: the cluster's address and topics, client settings, events of clients, and records.

mod access;
mod dispose;
mod follower;
mod log_lines;
pub mod metadata_guard;
mod probe;
mod producer;
mod pulse;
mod security;
mod status;
mod topics;
mod watchdog;

use std::time::Instant;

use bytes::Bytes;
use rdkafka::{
    ClientConfig, ClientContext, Message,
    config::RDKafkaLogLevel,
    consumer::ConsumerContext,
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedMessage, Headers},
};
use schemas::record::{
    ACCESS_TOPIC, AUDIT_TOPIC, CARE_TOPIC, EVENTS_TOPIC, MAX_RECORD_BYTES, RUNS_TOPIC, VIEWS_TOPIC,
    WireRecord,
};

pub use access::{
    Need, TopicNeed, check_group_access, check_login, check_topic_access, check_topic_creation,
};
pub use dispose::dispose;
pub use follower::{FEED_CAPACITY, FollowedTopic, StartFrom, start_follower};
use log_lines::LINES;
pub use producer::{Delivery, IdempotentProducer, ProducerHandle, ProducerSettings};
pub use pulse::{Membership, Pulse, STATISTICS_INTERVAL_MS};
pub use security::{KafkaLogin, KafkaSecurity, SaslMechanism, Secret, SecurityProtocol};
pub use status::ClientStatus;
pub use topics::{NewTopics, TopicError, check_topics, prepare_topics};
pub use watchdog::{Watchdog, WatchdogLimits};

/// Most bytes of a batch that our producers send, and the least `max.message.bytes` of a topic.
/// Kafka's own default for topics is 1,048,588. A producer refuses a larger record at once, with
/// `MessageSizeTooLarge`.
pub const MAX_MESSAGE_BYTES: usize = 1_000_000;
// A record travels with 61 bytes for its batch and less than 16 for itself and for each header.
const _: () = assert!(MAX_RECORD_BYTES + 64 * 1024 <= MAX_MESSAGE_BYTES);

/// Kafka's names of the topics. Other names than the default keep several installations, or tests,
/// on one cluster apart.
#[derive(Debug, Clone)]
pub struct Topics {
    /// Commands to locations.
    pub care: String,
    /// Commands to runs and rule books.
    pub runs: String,
    /// Changes of views, and outcomes of commands.
    pub views: String,
    /// Entries of the audit.
    pub audit: String,
    /// Outward events.
    pub events: String,
    /// Revocations.
    pub access: String,
}

impl Default for Topics {
    fn default() -> Self {
        Self {
            care: CARE_TOPIC.to_owned(),
            runs: RUNS_TOPIC.to_owned(),
            views: VIEWS_TOPIC.to_owned(),
            audit: AUDIT_TOPIC.to_owned(),
            events: EVENTS_TOPIC.to_owned(),
            access: ACCESS_TOPIC.to_owned(),
        }
    }
}

impl Topics {
    /// Kafka's name of the topic with this standard name.
    ///
    /// # Panics
    /// When `topic` is none of the standard names.
    pub fn name(&self, topic: &str) -> &str {
        match topic {
            CARE_TOPIC => &self.care,
            RUNS_TOPIC => &self.runs,
            VIEWS_TOPIC => &self.views,
            AUDIT_TOPIC => &self.audit,
            EVENTS_TOPIC => &self.events,
            ACCESS_TOPIC => &self.access,
            other => unreachable!("no topic is called {other}"),
        }
    }
}

/// One Kafka cluster as a program uses it.
#[derive(Debug, Clone)]
pub struct KafkaCluster {
    /// `host:port`, several separated by commas.
    pub brokers: String,
    /// The program's name in the brokers' logs and quotas.
    pub client_id: &'static str,
    /// The names of the topics on this cluster.
    pub topics: Topics,
    /// TLS and the login.
    pub security: KafkaSecurity,
}

impl KafkaCluster {
    /// Settings of every client.
    pub fn client_config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", self.client_id)
            .set("allow.auto.create.topics", "false")
            .set("socket.keepalive.enable", "true")
            // A task waits for each small request, and a request must not wait until the broker has
            // answered the one before.
            .set("socket.nagle.disable", "true")
            .set("reconnect.backoff.max.ms", "1000")
            // A broker that stalls accepts no more connections than its backlog holds. Clients
            // that wait for one must try again soon after it goes on.
            .set("socket.connection.setup.timeout.ms", "5000")
            .set_log_level(RDKafkaLogLevel::Warning);
        self.security.apply(&mut config);
        config
    }
}

/// Logs events of a client: brokers, topics and codes, never a record.
#[derive(Debug, Clone, Copy)]
pub enum KafkaEvents {
    /// Errors are warnings: for clients whose caller does not log them.
    LogErrors,
    /// Errors are debug events: the caller logs those that matter, and librdkafka's own log reports
    /// lost connections once each.
    LeaveErrors,
}

impl ClientContext for KafkaEvents {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log_event(level, facility, message);
    }

    /// Called for every error of a client, including those that `poll` returns afterwards.
    fn error(&self, error: KafkaError, reason: &str) {
        // The end of a partition is not an error.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        match self {
            KafkaEvents::LogErrors => log_error(&error, reason),
            KafkaEvents::LeaveErrors => log_passing_error(&error, reason),
        }
    }
}

/// A consumer that leaves its assignment to the client.
impl ConsumerContext for KafkaEvents {}

/// Logs an event of librdkafka: of one kind at most one line in ten seconds.
pub fn log_event(level: RDKafkaLogLevel, facility: &str, message: &str) {
    let Some(left_out) = LINES.admit(facility, Instant::now()) else { return };
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => tracing::error!(facility, left_out, "kafka: {message}"),
        _ => tracing::warn!(facility, left_out, "kafka: {message}"),
    }
}

/// Logs an error of a client, as often as [`log_event`].
pub fn log_error(error: &KafkaError, reason: &str) {
    let kind = error.rdkafka_error_code().map_or("error".to_owned(), |code| code.to_string());
    if let Some(left_out) = LINES.admit(&kind, Instant::now()) {
        tracing::warn!(error = error as &dyn std::error::Error, reason, left_out, "kafka");
    }
}

/// Logs an error that the client repairs by itself, such as a lost connection.
pub fn log_passing_error(error: &KafkaError, reason: &str) {
    tracing::debug!(error = error as &dyn std::error::Error, reason, "kafka");
}

/// Copies a message. A record's key and headers are text by contract; other bytes are replaced by
/// marks that no id and no type contains, so that reading the record fails later.
pub fn wire_record(message: &BorrowedMessage<'_>) -> WireRecord {
    let text =
        |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let headers = message.headers().into_iter().flat_map(|headers| headers.iter());
    WireRecord {
        key: text(message.key()),
        headers: headers.map(|header| (header.key.to_owned(), text(header.value))).collect(),
        value: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
    }
}
