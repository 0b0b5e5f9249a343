//! Whether the topics are there, and stamped by the log.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    admin::{AdminClient, AdminOptions, ResourceSpecifier},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{Events, KafkaSettings};

/// How long Kafka may take to answer a question at start-up.
const PATIENCE: Duration = Duration::from_secs(10);

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
        "topic {topic} has message.timestamp.type={found}: set it to LogAppendTime, the clock of every location"
    )]
    Timestamp { topic: String, found: String },
    #[error("kafka does not show the settings of topic {topic}: {code}")]
    Refused { topic: String, code: RDKafkaErrorCode },
}

/// Checks that all topics exist and are stamped by the log.
///
/// # Errors
/// [`TopicError`] says what to do.
pub async fn check(settings: &KafkaSettings) -> Result<(), TopicError> {
    let unreachable =
        |source| TopicError::Unreachable { brokers: settings.brokers.clone(), source };
    let admin: AdminClient<Events> =
        settings.client().create_with_context(Events).map_err(unreachable)?;
    let admin = Arc::new(admin);
    for topic in
        [&settings.care_topic, &settings.runs_topic, &settings.audit_topic, &settings.views_topic]
    {
        let (asked, name) = (Arc::clone(&admin), topic.clone());
        // A blocking call, which its own patience bounds.
        let fetch = tokio::task::spawn_blocking(move || {
            asked.inner().fetch_metadata(Some(&name), PATIENCE)
        });
        let metadata = fetch.await.unwrap_or(Err(KafkaError::Canceled)).map_err(unreachable)?;
        let found = metadata.topics().iter().find(|found| found.name() == topic);
        if found.is_none_or(|found| found.partitions().is_empty()) {
            return Err(TopicError::Missing(topic.clone()));
        }
        stamped(&admin, topic, unreachable).await?;
    }
    Ok(())
}

async fn stamped(
    admin: &AdminClient<Events>,
    topic: &str,
    unreachable: impl Fn(KafkaError) -> TopicError,
) -> Result<(), TopicError> {
    let options =
        AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
    let answers = admin.describe_configs(&[ResourceSpecifier::Topic(topic)], &options).await;
    let config = answers.map_err(unreachable)?.into_iter().next();
    let config = config.ok_or_else(|| TopicError::Missing(topic.to_owned()))?;
    let config = config.map_err(|code| TopicError::Refused { topic: topic.to_owned(), code })?;
    let found = config
        .get("message.timestamp.type")
        .and_then(|entry| entry.value.clone())
        .unwrap_or_default();
    match found.as_str() {
        "LogAppendTime" => Ok(()),
        _ => Err(TopicError::Timestamp { topic: topic.to_owned(), found }),
    }
}
