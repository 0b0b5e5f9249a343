//! Topics: created by `clinicwire-processors prepare`, checked at every start.

use std::{sync::Arc, time::Duration};

use backon::{ConstantBuilder, Retryable};
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    error::{KafkaError, RDKafkaErrorCode},
    metadata::Metadata,
};

use schemas::access::MAX_TOKEN_LIFE_MS;

use super::{KafkaCluster, KafkaEvents, MAX_MESSAGE_BYTES};

/// How long Kafka may take to answer one request at start-up.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const HOUR_MS: u64 = 60 * 60 * 1000;
/// How long a revocation stays in its topic: a day longer than any token that it refuses.
const ACCESS_HOURS: u64 = MAX_TOKEN_LIFE_MS as u64 / HOUR_MS + 24;

/// Why the topics cannot be used.
#[expect(missing_docs, reason = "the messages say what the fields are")]
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// Kafka did not answer.
    #[error("kafka at {brokers} did not answer: check --kafka or CLINICWIRE_KAFKA")]
    Unreachable {
        brokers: String,
        #[source]
        source: KafkaError,
    },
    /// The topic does not exist.
    #[error("kafka has no topic {0}: run `clinicwire-processors prepare`")]
    Missing(String),
    /// The records of the topic are not dated by the broker.
    #[error(
        "topic {topic} has message.timestamp.type={found}: set it to LogAppendTime, since \
         the log's clock is the clock of every location"
    )]
    Timestamp { topic: String, found: String },
    /// The topic refuses records as large as ours can be.
    #[error(
        "topic {topic} has max.message.bytes={found}: set it to {MAX_MESSAGE_BYTES} or more, since \
         a record may be that large"
    )]
    MessageBytes { topic: String, found: String },
    /// The topic can lose revocations that still count.
    #[error(
        "topic {topic} has cleanup.policy={found}: set it to `compact,delete` with 31 days of \
         retention, or to `compact`, so that no revocation is lost before the tokens that it ends"
    )]
    Cleanup { topic: String, found: String },
    /// The topic has another partition count than configured.
    #[error(
        "topic {topic} has {found} partitions, not {wanted}: the count is fixed for a \
         topic's life, since keys would change partitions"
    )]
    PartitionCount { topic: String, found: u32, wanted: u32 },
    /// Kafka refused a request about the topic.
    #[error("kafka refused to create or describe topic {topic}: {code}")]
    Refused { topic: String, code: RDKafkaErrorCode },
}

/// Settings of topics that do not exist yet.
#[derive(Debug, Clone)]
pub struct NewTopics {
    /// Partitions of each topic but that of revocations. Fixed for the life of a topic.
    pub partition_count: u32,
    /// Copies of each partition.
    pub replication_factor: u32,
    /// Copies that must have a record before it is acknowledged.
    pub min_insync_replicas: u32,
    /// A rebuild reads the journal. `care` is kept so that a database restored from a backup can
    /// catch up.
    pub care_hours: u64,
    /// Kept for the same reason. Runs are deleted a day after their end: a few days are enough.
    pub runs_hours: u64,
    /// A gateway starts a minute back; a reader that is further behind takes snapshots.
    pub views_hours: u64,
    /// The system that stores the audit must have read the topic by then.
    pub audit_hours: u64,
    /// Other systems must have read the topic by then.
    pub events_hours: u64,
}

/// Creates missing topics and checks existing ones. Returns the names of the created topics.
///
/// # Errors
/// [`TopicError`]
pub async fn prepare_topics(
    cluster: &KafkaCluster,
    new: &NewTopics,
) -> Result<Vec<String>, TopicError> {
    let admin = TopicAdmin::new(cluster)?;
    let mut created = Vec::new();
    let topics = &cluster.topics;
    for (topic, hours) in [
        (&topics.care, new.care_hours),
        (&topics.runs, new.runs_hours),
        (&topics.views, new.views_hours),
        (&topics.audit, new.audit_hours),
        (&topics.events, new.events_hours),
        (&topics.access, ACCESS_HOURS),
    ] {
        match admin.partition_count(topic).await {
            Ok(found) if found != new.partition_count => {
                let (topic, wanted) = (topic.clone(), new.partition_count);
                return Err(TopicError::PartitionCount { topic, found, wanted });
            }
            Ok(_) => admin.check_config(topic).await?,
            Err(TopicError::Missing(_)) => {
                admin.create(topic, hours, new).await?;
                admin.until_visible(cluster, topic).await?;
                created.push(topic.clone());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(created)
}

/// Checks that topics exist, that the log sets their timestamps, and that they take the largest
/// record. Returns their partition counts.
///
/// # Errors
/// [`TopicError`]
pub async fn check_topics<const N: usize>(
    cluster: &KafkaCluster,
    topics: [&str; N],
) -> Result<[u32; N], TopicError> {
    let admin = TopicAdmin::new(cluster)?;
    let mut counts = [0; N];
    for (count, topic) in counts.iter_mut().zip(topics) {
        let look = async || {
            let count = admin.partition_count(topic).await?;
            admin.check_config(topic).await.map(|()| count)
        };
        *count = look.retry(pauses(MISSING_LOOKS)).when(is_missing).await?;
    }
    Ok(counts)
}

/// Pause between two looks for a topic that was just created: brokers learn of it after the
/// controller has answered.
const VISIBLE_PAUSE: Duration = Duration::from_millis(50);
/// Looks for such a topic by `prepare`. Ten seconds are far more than brokers take; past that, the
/// topic counts as missing.
const VISIBLE_LOOKS: usize = 200;
/// Looks for a topic by a program that starts. One second bridges the moment in which a broker
/// that has just started does not know every topic; an operator who forgot `prepare` waits no
/// longer than that.
const MISSING_LOOKS: usize = 20;

fn pauses(most: usize) -> ConstantBuilder {
    ConstantBuilder::default().with_delay(VISIBLE_PAUSE).with_max_times(most)
}

fn is_missing(error: &TopicError) -> bool {
    matches!(error, TopicError::Missing(_))
}

struct TopicAdmin<'a> {
    brokers: &'a str,
    /// Kafka's name of the topic of revocations, which alone is compacted.
    access_topic: &'a str,
    client: Arc<AdminClient<KafkaEvents>>,
}

impl<'a> TopicAdmin<'a> {
    fn new(cluster: &'a KafkaCluster) -> Result<Self, TopicError> {
        let brokers = cluster.brokers.as_str();
        let access_topic = cluster.topics.access.as_str();
        match cluster.client_config().create_with_context(KafkaEvents::LeaveErrors) {
            Ok(client) => Ok(Self { brokers, access_topic, client: Arc::new(client) }),
            Err(source) => Err(TopicError::Unreachable { brokers: brokers.to_owned(), source }),
        }
    }

    fn unreachable(&self, source: KafkaError) -> TopicError {
        TopicError::Unreachable { brokers: self.brokers.to_owned(), source }
    }

    fn options() -> AdminOptions {
        AdminOptions::new()
            .request_timeout(Some(REQUEST_TIMEOUT))
            .operation_timeout(Some(REQUEST_TIMEOUT))
    }

    /// The partition count of a topic. A topic of which a partition has no leader yet counts as
    /// missing.
    async fn partition_count(&self, topic: &str) -> Result<u32, TopicError> {
        let metadata = self.metadata(topic).await?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        let partitions = found.map_or(&[][..], |found| found.partitions());
        let led = partitions.iter().all(|partition| partition.leader() >= 0);
        match u32::try_from(partitions.len()) {
            Ok(count) if count > 0 && led => Ok(count),
            _ => Err(TopicError::Missing(topic.to_owned())),
        }
    }

    async fn metadata(&self, topic: &str) -> Result<Metadata, TopicError> {
        let (client, name) = (Arc::clone(&self.client), topic.to_owned());
        let fetch = move || client.inner().fetch_metadata(Some(&name), REQUEST_TIMEOUT);
        // A blocking call, bounded by its own timeout.
        let metadata =
            tokio::task::spawn_blocking(fetch).await.unwrap_or(Err(KafkaError::Canceled));
        metadata.map_err(|source| self.unreachable(source))
    }

    /// Waits until every broker knows a topic that was just created. A program that starts next may
    /// ask any of them.
    async fn until_visible(&self, cluster: &KafkaCluster, topic: &str) -> Result<(), TopicError> {
        let metadata = self.metadata(topic).await?;
        for broker in metadata.brokers() {
            let brokers = format!("{}:{}", broker.host(), broker.port());
            // The first requests of a client go to its bootstrap server.
            let cluster = KafkaCluster { brokers, ..cluster.clone() };
            let admin = TopicAdmin::new(&cluster)?;
            let look = async || {
                admin.partition_count(topic).await?;
                admin.check_config(topic).await
            };
            look.retry(pauses(VISIBLE_LOOKS)).when(is_missing).await?;
        }
        Ok(())
    }

    /// Checks the settings of a topic that records depend on.
    async fn check_config(&self, topic: &str) -> Result<(), TopicError> {
        let resource = [ResourceSpecifier::Topic(topic)];
        let answers = self.client.describe_configs(&resource, &Self::options()).await;
        let answers = answers.map_err(|source| self.unreachable(source))?;
        let missing = || TopicError::Missing(topic.to_owned());
        let config = match answers.into_iter().next() {
            None | Some(Err(RDKafkaErrorCode::UnknownTopicOrPartition)) => return Err(missing()),
            Some(Err(code)) => return Err(TopicError::Refused { topic: topic.to_owned(), code }),
            Some(Ok(config)) => config,
        };
        let value = |name| config.get(name).and_then(|entry| entry.value.clone());
        let cleanup = value("cleanup.policy").unwrap_or_default();
        if topic == self.access_topic && !cleanup.contains("compact") {
            return Err(TopicError::Cleanup { topic: topic.to_owned(), found: cleanup });
        }
        let (topic, found) =
            (topic.to_owned(), value("message.timestamp.type").unwrap_or_default());
        if found != "LogAppendTime" {
            return Err(TopicError::Timestamp { topic, found });
        }
        let found = value("max.message.bytes").unwrap_or_default();
        match found.parse::<usize>() {
            Ok(bytes) if bytes >= MAX_MESSAGE_BYTES => Ok(()),
            _ => Err(TopicError::MessageBytes { topic, found }),
        }
    }

    async fn create(&self, topic: &str, hours: u64, new: &NewTopics) -> Result<(), TopicError> {
        let count = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        let cleanup = if topic == self.access_topic { "compact,delete" } else { "delete" };
        let retention = (hours * HOUR_MS).to_string();
        let min_insync_replicas = new.min_insync_replicas.to_string();
        let max_message_bytes = MAX_MESSAGE_BYTES.to_string();
        // Kafka deletes whole segments only: they must end often enough for the retention to work.
        let segment = (hours * HOUR_MS / 4).clamp(HOUR_MS / 6, 24 * HOUR_MS).to_string();
        let replication = TopicReplication::Fixed(count(new.replication_factor));
        let new_topic = NewTopic::new(topic, count(new.partition_count), replication)
            .set("message.timestamp.type", "LogAppendTime")
            .set("cleanup.policy", cleanup)
            .set("retention.ms", &retention)
            .set("segment.ms", &segment)
            .set("min.insync.replicas", &min_insync_replicas)
            .set("max.message.bytes", &max_message_bytes);
        let created = self.client.create_topics([&new_topic], &Self::options()).await;
        match created.map_err(|source| self.unreachable(source))?.into_iter().next() {
            // Another `prepare` may create the topic at the same moment.
            None | Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
            Some(Err((topic, code))) => Err(TopicError::Refused { topic, code }),
        }
    }
}
