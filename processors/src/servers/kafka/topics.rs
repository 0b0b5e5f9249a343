//! Topics: made by `prepare`, checked at every start.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{KafkaEvents, KafkaSettings};

/// How long Kafka may take to answer a question at start-up.
const PATIENCE: Duration = Duration::from_secs(10);
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
        "topic {topic} has message.timestamp.type={found}: set it to LogAppendTime, since the log's clock is the clock of every location"
    )]
    Timestamp { topic: String, found: String },
    #[error(
        "topic {topic} has {found} partitions, not {wanted}: the number is fixed for a topic's life, since keys would change partitions"
    )]
    Partitions { topic: String, found: u32, wanted: u32 },
    #[error("kafka refused to make topic {topic}: {code}")]
    Refused { topic: String, code: RDKafkaErrorCode },
}

/// How to make topics that are missing.
#[derive(Debug, Clone)]
pub struct NewTopics {
    pub partitions: u32,
    pub replication_factor: u32,
    pub min_insync_replicas: u32,
    /// The journal is what a rebuild reads; `care` is kept so that a lost ledger can be caught up from its backup.
    pub care_hours: u64,
    /// For the same reason; runs are forgotten a day after their end, so a few days are enough.
    pub runs_hours: u64,
    /// A gateway starts a minute back and a reader that is further behind takes snapshots.
    pub views_hours: u64,
    /// The audit belongs to whoever keeps it: it reads the topic well within this.
    pub audit_hours: u64,
}

/// Makes the topics that are missing and checks those that exist. Answers the names of those it made.
///
/// # Errors
/// [`TopicError`] says what to do.
pub async fn prepare(settings: &KafkaSettings, new: &NewTopics) -> Result<Vec<String>, TopicError> {
    let admin = admin(settings)?;
    let mut made = Vec::new();
    let topics = &settings.topics;
    for (topic, hours) in [
        (&topics.care, new.care_hours),
        (&topics.runs, new.runs_hours),
        (&topics.views, new.views_hours),
        (&topics.audit, new.audit_hours),
    ] {
        match partitions(&admin, settings, topic).await {
            Ok(found) if found != new.partitions => {
                return Err(TopicError::Partitions {
                    topic: topic.clone(),
                    found,
                    wanted: new.partitions,
                });
            }
            Ok(_) => check_timestamps(&admin, settings, topic).await?,
            Err(TopicError::Missing(_)) => {
                create(&admin, settings, topic, hours, new).await?;
                made.push(topic.clone());
            }
            Err(error) => return Err(error),
        }
    }
    Ok(made)
}

/// Checks that the topics we read and write exist and are stamped by the log. Answers the number of partitions of
/// the topic we read.
///
/// # Errors
/// [`TopicError`] says what to do.
pub async fn check(settings: &KafkaSettings) -> Result<u32, TopicError> {
    let admin = admin(settings)?;
    let reads = settings.topics.named(settings.reads);
    let of = partitions(&admin, settings, reads).await?;
    partitions(&admin, settings, &settings.topics.views).await?;
    for topic in [reads, &settings.topics.views] {
        check_timestamps(&admin, settings, topic).await?;
    }
    Ok(of)
}

type Admin = AdminClient<KafkaEvents>;

fn admin(settings: &KafkaSettings) -> Result<Arc<Admin>, TopicError> {
    let admin = settings.client().create_with_context(KafkaEvents);
    admin.map(Arc::new).map_err(|source| unreachable(settings, source))
}

fn unreachable(settings: &KafkaSettings, source: KafkaError) -> TopicError {
    TopicError::Unreachable { brokers: settings.brokers.clone(), source }
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE))
}

async fn partitions(
    admin: &Arc<Admin>,
    settings: &KafkaSettings,
    topic: &str,
) -> Result<u32, TopicError> {
    let (asked, name) = (Arc::clone(admin), topic.to_owned());
    let fetch = move || asked.inner().fetch_metadata(Some(&name), PATIENCE);
    // A blocking call, which its own patience bounds.
    let metadata = tokio::task::spawn_blocking(fetch).await.unwrap_or(Err(KafkaError::Canceled));
    let metadata = metadata.map_err(|source| unreachable(settings, source))?;
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

async fn check_timestamps(
    admin: &Admin,
    settings: &KafkaSettings,
    topic: &str,
) -> Result<(), TopicError> {
    let asked = admin.describe_configs(&[ResourceSpecifier::Topic(topic)], &options()).await;
    let answers = asked.map_err(|source| unreachable(settings, source))?;
    let config = answers.into_iter().next().ok_or_else(|| TopicError::Missing(topic.to_owned()))?;
    let config = config.map_err(|code| TopicError::Refused { topic: topic.to_owned(), code })?;
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

async fn create(
    admin: &Admin,
    settings: &KafkaSettings,
    topic: &str,
    hours: u64,
    new: &NewTopics,
) -> Result<(), TopicError> {
    let count = |value: u32| i32::try_from(value).unwrap_or(i32::MAX);
    let (retention, insync) = ((hours * HOUR_MS).to_string(), new.min_insync_replicas.to_string());
    // Only whole segments are deleted: they must end often enough for the retention to mean something.
    let segment = (hours * HOUR_MS / 4).clamp(HOUR_MS / 6, 24 * HOUR_MS).to_string();
    let replication = TopicReplication::Fixed(count(new.replication_factor));
    let topic_to_make = NewTopic::new(topic, count(new.partitions), replication)
        .set("message.timestamp.type", "LogAppendTime")
        .set("cleanup.policy", "delete")
        .set("retention.ms", &retention)
        .set("segment.ms", &segment)
        .set("min.insync.replicas", &insync);
    let made = admin.create_topics([&topic_to_make], &options()).await;
    match made.map_err(|source| unreachable(settings, source))?.into_iter().next() {
        // Somebody else prepares at the same moment.
        None | Some(Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(()),
        Some(Err((topic, code))) => Err(TopicError::Refused { topic, code }),
    }
}
