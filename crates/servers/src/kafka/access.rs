//! Tries whether a program may read and write topics, without leaving anything behind.

use std::time::{Duration, Instant};

use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    metadata::MetadataTopic,
    producer::{BaseProducer, BaseRecord, DeliveryResult, ProducerContext},
};

use super::KafkaCluster;
use crate::access_check::{Access, AccessReport, REACHED_WITHIN};

/// How long one attempt may take: a login and a few requests.
const WITHIN: Duration = Duration::from_secs(10);

impl KafkaCluster {
    fn try_login(&self) -> KafkaResult<()> {
        let consumer: BaseConsumer = self.consumer_config("clinicwire-check").create()?;
        // The answer says nothing of rights, which differ by topic.
        consumer.fetch_metadata(Some(&self.topics.care), REACHED_WITHIN).map(drop)
    }

    /// Tries to read the end of a topic. Blocks for some seconds at most.
    pub fn try_read(&self, topic: &str) -> Access {
        judge(self.read_end(topic))
    }

    /// Tries to write to a topic. A broker looks at the rights first, and then refuses the record,
    /// because no number of acknowledgements is 2. Blocks for some seconds at most.
    pub fn try_write(&self, topic: &str) -> Access {
        match self.write_nothing(topic) {
            Err(KafkaError::MessageProduction(RDKafkaErrorCode::InvalidRequiredAcks)) => {
                Access::Allowed
            }
            other => judge(other),
        }
    }

    /// Tries to read the offsets of a consumer group. Blocks for some seconds at most.
    pub fn try_group(&self, group: &str, topic: &str) -> Access {
        let read = || {
            let consumer: BaseConsumer = self.consumer_config(group).create()?;
            let mut partitions = TopicPartitionList::new();
            partitions.add_partition(topic, 0);
            consumer.committed_offsets(partitions, WITHIN)?;
            Ok(())
        };
        judge(read())
    }

    fn consumer_config(&self, group: &str) -> ClientConfig {
        let mut config = self.client_config();
        config
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true");
        config
    }

    fn read_end(&self, topic: &str) -> KafkaResult<()> {
        // The group is never joined.
        let consumer: BaseConsumer = self.consumer_config("clinicwire-check").create()?;
        // A user who may not even see a topic would wait for it.
        let metadata = consumer.fetch_metadata(Some(topic), WITHIN)?;
        if let Some(error) = metadata.topics().iter().find_map(MetadataTopic::error) {
            return Err(KafkaError::Global(error.into()));
        }
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition_offset(topic, 0, Offset::End)?;
        consumer.assign(&partitions)?;
        let deadline = Instant::now() + WITHIN;
        while Instant::now() < deadline {
            match consumer.poll(Duration::from_millis(200)) {
                Some(Err(KafkaError::PartitionEOF(_)) | Ok(_)) => return Ok(()),
                Some(Err(error)) if !is_passing(&error) => return Err(error),
                _ => {}
            }
        }
        Err(KafkaError::Global(RDKafkaErrorCode::OperationTimedOut))
    }

    fn write_nothing(&self, topic: &str) -> KafkaResult<()> {
        let (told, heard) = std::sync::mpsc::channel();
        let mut config = self.client_config();
        config
            .set("acks", "2")
            .set("message.send.max.retries", "0")
            .set("message.timeout.ms", WITHIN.as_millis().to_string());
        let producer: BaseProducer<Outcome> = config.create_with_context(Outcome(told))?;
        // A compacted topic takes records with keys only.
        let record = BaseRecord::to(topic).key("check").payload("check").partition(0);
        producer.send(record).map_err(|(error, _)| error)?;
        let deadline = Instant::now() + WITHIN + Duration::from_secs(1);
        while Instant::now() < deadline {
            producer.poll(Duration::from_millis(100));
            if let Ok(outcome) = heard.try_recv() {
                return outcome;
            }
        }
        Err(KafkaError::Global(RDKafkaErrorCode::OperationTimedOut))
    }
}

/// Passes the outcome of a record on.
struct Outcome(std::sync::mpsc::Sender<KafkaResult<()>>);

impl rdkafka::ClientContext for Outcome {}

impl ProducerContext for Outcome {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        let outcome = result.as_ref().map(drop).map_err(|(error, _)| error.clone());
        // The receiver is gone when the attempt took too long.
        let _ = self.0.send(outcome);
    }
}

/// Whether a client without a group may succeed all the same: while it connects, and when it may
/// not look for the coordinator of the group that it never joins.
fn is_passing(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{
        AllBrokersDown, BrokerTransportFailure, GroupAuthorizationFailed, Resolve,
    };
    matches!(
        error.rdkafka_error_code(),
        Some(AllBrokersDown | BrokerTransportFailure | GroupAuthorizationFailed | Resolve)
    )
}

fn judge(outcome: KafkaResult<()>) -> Access {
    use RDKafkaErrorCode::{
        ClusterAuthorizationFailed, GroupAuthorizationFailed, TopicAuthorizationFailed,
    };
    match outcome {
        Ok(()) => Access::Allowed,
        Err(error) => match error.rdkafka_error_code() {
            Some(
                TopicAuthorizationFailed | GroupAuthorizationFailed | ClusterAuthorizationFailed,
            ) => Access::Refused,
            Some(code) => Access::Unknown(code.to_string()),
            None => Access::Unknown(error.to_string()),
        },
    }
}

/// Whether a program needs a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// The program does not work without it.
    Needed,
    /// Neither needed nor harmful.
    Indifferent,
    /// The right must be refused.
    Forbidden,
}

/// The rights to a topic that a program needs or must not have.
#[derive(Debug, Clone, Copy)]
pub struct TopicNeed<'a> {
    /// Kafka's name of the topic.
    pub topic: &'a str,
    /// The right to read it.
    pub read: Need,
    /// The right to write to it.
    pub write: Need,
}

/// Tries to reach a broker and to log in. When it returns `false`, every other attempt would fail
/// too.
pub async fn check_login(report: &mut AccessReport, cluster: &KafkaCluster) -> bool {
    report.begin("kafka");
    let asked = cluster.clone();
    let tried = tokio::task::spawn_blocking(move || asked.try_login()).await;
    match tried.map_err(|error| error.to_string()) {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            report.no_login("kafka", error);
            false
        }
        Err(error) => {
            report.no_login("kafka", error);
            false
        }
    }
}

/// Tries to create a topic, without creating one.
pub async fn check_topic_creation(report: &mut AccessReport, cluster: &KafkaCluster, topic: &str) {
    let (asked, name) = (cluster.clone(), topic.to_owned());
    let tried = async move {
        let admin: AdminClient<DefaultClientContext> = asked.client_config().create()?;
        let options = AdminOptions::new().validate_only(true).request_timeout(Some(WITHIN));
        let new = NewTopic::new(&name, 1, TopicReplication::Fixed(1));
        let outcome = admin.create_topics([&new], &options).await?;
        let refused = outcome.into_iter().find_map(Result::err);
        refused.map_or(Ok(()), |(_, code)| Err(KafkaError::AdminOp(code)))
    };
    let found = match tried.await {
        // The broker looks at the rights before it looks for the topic.
        Err(KafkaError::AdminOp(RDKafkaErrorCode::TopicAlreadyExists)) => Access::Allowed,
        other => judge(other),
    };
    report.needs(format!("kafka: create {topic}"), found);
}

/// Tries every right to the topics that is needed or forbidden.
pub async fn check_topic_access(
    report: &mut AccessReport,
    cluster: &KafkaCluster,
    needs: &[TopicNeed<'_>],
) {
    type Attempt = fn(&KafkaCluster, &str) -> Access;
    for TopicNeed { topic, read, write } in needs {
        let attempts: [(&str, Need, Attempt); 2] =
            [("read", *read, KafkaCluster::try_read), ("write", *write, KafkaCluster::try_write)];
        for (verb, need, attempt) in attempts {
            let (asked, name) = (cluster.clone(), (*topic).to_owned());
            let what = format!("kafka: {verb} {topic}");
            // Attempts block, for a bounded time.
            let tried = async move {
                let tried = tokio::task::spawn_blocking(move || attempt(&asked, &name)).await;
                tried.unwrap_or_else(|error| Access::Unknown(error.to_string()))
            };
            match need {
                Need::Needed => report.needs(what, tried.await),
                Need::Forbidden => report.must_not(what, tried.await),
                Need::Indifferent => {}
            }
        }
    }
}

/// Tries the consumer group of a program.
pub async fn check_group_access(
    report: &mut AccessReport,
    cluster: &KafkaCluster,
    group: &str,
    topic: &str,
) {
    let (asked, name, of) = (cluster.clone(), group.to_owned(), topic.to_owned());
    let tried = tokio::task::spawn_blocking(move || asked.try_group(&name, &of)).await;
    let tried = tried.unwrap_or_else(|error| Access::Unknown(error.to_string()));
    report.needs(format!("kafka: use the group {group}"), tried);
}
