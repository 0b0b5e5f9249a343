//! Topics: created by `clinicwire-processors prepare`, checked at every start.

use std::{sync::Arc, time::Duration};

use backon::{ConstantBuilder, Retryable};
use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{KafkaCluster, KafkaEvents};

/// How long Kafka may take to answer one request at start-up.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
const HOUR_MS: u64 = 60 * 60 * 1000;

#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    #[error("kafka at {brokers} did not answer: check --kafka or CLINICWIRE_KAFKA")]
    Unreachable {
        brokers: String,
        #[source]
        source: KafkaError,
    },
    #[error("kafka has no topic {0}: run `clinicwire-processors prepare`")]
    Missing(String),
    #[error(
        "topic {topic} has message.timestamp.type={found}: set it to LogAppendTime, since \
         the log's clock is the clock of every location"
    )]
    Timestamp { topic: String, found: String },
    #[error(
        "topic {topic} has {found} partitions, not {wanted}: the count is fixed for a \
         topic's life, since keys would change partitions"
    )]
    PartitionCount { topic: String, found: u32, wanted: u32 },
    #[error("kafka refused to create or describe topic {topic}: {code}")]
    Refused { topic: String, code: RDKafkaErrorCode },
}

/// Settings of topics that do not exist yet.
#[derive(Debug, Clone)]
pub struct NewTopics {
    pub partition_count: u32,
    pub replication_factor: u32,
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
    ] {
        match admin.partition_count(topic).await {
            Ok(found) if found != new.partition_count => {
                let (topic, wanted) = (topic.clone(), new.partition_count);
                return Err(TopicError::PartitionCount { topic, found, wanted });
            }
            Ok(_) => admin.check_timestamps(topic).await?,
            Err(TopicError::Missing(_)) => {
                admin.create(topic, hours, new).await?;
                admin.until_visible(topic).await?;
                created.push(topic.clone());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(created)
}

/// Checks that topics exist and that the log sets their timestamps. Returns their partition counts.
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
        *count = admin.partition_count(topic).await?;
        admin.check_timestamps(topic).await?;
    }
    Ok(counts)
}

/// Pause between two looks for a topic that was just created: brokers learn of it after the
/// controller has answered.
const VISIBLE_PAUSE: Duration = Duration::from_millis(50);
/// Looks for such a topic. Ten seconds are far more than brokers take; past that, the topic counts
/// as missing.
const VISIBLE_LOOKS: usize = 200;

struct TopicAdmin<'a> {
    brokers: &'a str,
    client: Arc<AdminClient<KafkaEvents>>,
}

impl<'a> TopicAdmin<'a> {
    fn new(cluster: &'a KafkaCluster) -> Result<Self, TopicError> {
        let brokers = cluster.brokers.as_str();
        match cluster.client_config().create_with_context(KafkaEvents::LeaveErrors) {
            Ok(client) => Ok(Self { brokers, client: Arc::new(client) }),
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

    async fn partition_count(&self, topic: &str) -> Result<u32, TopicError> {
        let (client, name) = (Arc::clone(&self.client), topic.to_owned());
        let fetch = move || client.inner().fetch_metadata(Some(&name), REQUEST_TIMEOUT);
        // A blocking call, bounded by its own timeout.
        let metadata =
            tokio::task::spawn_blocking(fetch).await.unwrap_or(Err(KafkaError::Canceled));
        let metadata = metadata.map_err(|source| self.unreachable(source))?;
        let found = metadata
            .topics()
            .iter()
            .find(|found| found.name() == topic)
            .map_or(0, |found| found.partitions().len());
        match u32::try_from(found) {
            Ok(found) if found > 0 => Ok(found),
            _ => Err(TopicError::Missing(topic.to_owned())),
        }
    }

    /// Waits until the brokers know a topic that was just created.
    async fn until_visible(&self, topic: &str) -> Result<(), TopicError> {
        let look = || self.partition_count(topic);
        let pauses =
            ConstantBuilder::default().with_delay(VISIBLE_PAUSE).with_max_times(VISIBLE_LOOKS);
        let missing = |error: &TopicError| matches!(error, TopicError::Missing(_));
        look.retry(pauses).when(missing).await.map(drop)
    }

    async fn check_timestamps(&self, topic: &str) -> Result<(), TopicError> {
        let resource = [ResourceSpecifier::Topic(topic)];
        let answers = self.client.describe_configs(&resource, &Self::options()).await;
        let answers = answers.map_err(|source| self.unreachable(source))?;
        let config =
            answers.into_iter().next().ok_or_else(|| TopicError::Missing(topic.to_owned()))?;
        let config =
            config.map_err(|code| TopicError::Refused { topic: topic.to_owned(), code })?;
        let found = config
            .get("message.timestamp.type")
            .and_then(|entry| entry.value.clone())
            .unwrap_or_default();
        if found == "LogAppendTime" {
            Ok(())
        } else {
            Err(TopicError::Timestamp { topic: topic.to_owned(), found })
        }
    }

    async fn create(&self, topic: &str, hours: u64, new: &NewTopics) -> Result<(), TopicError> {
        let count = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
        let retention = (hours * HOUR_MS).to_string();
        let min_insync_replicas = new.min_insync_replicas.to_string();
        // Kafka deletes whole segments only: they must end often enough for the retention to work.
        let segment = (hours * HOUR_MS / 4).clamp(HOUR_MS / 6, 24 * HOUR_MS).to_string();
        let replication = TopicReplication::Fixed(count(new.replication_factor));
        let new_topic = NewTopic::new(topic, count(new.partition_count), replication)
            .set("message.timestamp.type", "LogAppendTime")
            .set("cleanup.policy", "delete")
            .set("retention.ms", &retention)
            .set("segment.ms", &segment)
            .set("min.insync.replicas", &min_insync_replicas);
        let created = self.client.create_topics([&new_topic], &Self::options()).await;
        match created.map_err(|source| self.unreachable(source))?.into_iter().next() {
            // Another `prepare` may create the topic at the same moment.
            None | Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
            Some(Err((topic, code))) => Err(TopicError::Refused { topic, code }),
        }
    }
}
