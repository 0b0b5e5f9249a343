//! Looks at partitions of a topic before they are read: their bounds, and one record of each.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rdkafka::{
    Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    metadata::MetadataPartition,
};
use schemas::{ids::Aggregate, record::ViewsHead};
use servers::kafka::{KafkaCluster, KafkaEvents, dispose, log_passing_error, wire_record};

use crate::log::{LogOffset, LogPlace, LogState, NotRead, PartitionId};

/// How long Kafka may take for everything. The group waits for the answer.
const TIMEOUT: Duration = Duration::from_millis(2_500);
/// Longest sleep in `poll`.
const POLL_TIMEOUT: Duration = Duration::from_millis(50);

/// How much of a partition is fetched at once for one record: a broker sends at least one batch.
const ONE_RECORD_BYTES: u32 = 1_000;
/// Records at the end of a partition of views that are compared with the ledger. Not the last one
/// alone: it may be a refusal, which changes nothing, behind the steps that a standby lacks.
const TAIL: i64 = 100;
/// How much of a partition is fetched at once for these.
const TAIL_BYTES: u32 = 256 * 1024;

/// Reads the state of each partition. Those that Kafka does not tell in time are left out.
pub(in crate::servers) fn look(
    cluster: &KafkaCluster,
    topic: &str,
    places: &[LogPlace],
) -> Vec<(PartitionId, LogState)> {
    let deadline = Instant::now() + TIMEOUT;
    let consumer = match consumer(cluster, ONE_RECORD_BYTES) {
        Ok(consumer) => consumer,
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, "no consumer can be created");
            return Vec::new();
        }
    };
    let mut states = bounds(&consumer, topic, places, deadline);
    if let Err(error) = read_records(&consumer, topic, places, &mut states, deadline) {
        log_passing_error(&error, "while looking at the log");
    }
    dispose(move || drop(consumer));
    states.into_iter().collect()
}

/// Reads the end of each partition of the topic of views: the newest head of each aggregate there.
pub(super) fn newest_views(cluster: &KafkaCluster) -> Result<Vec<ViewsHead>, NotRead> {
    let deadline = Instant::now() + TIMEOUT;
    let consumer = consumer(cluster, TAIL_BYTES).map_err(|_| NotRead)?;
    let newest = newest_of(&consumer, &cluster.topics.views, deadline);
    dispose(move || drop(consumer));
    newest.map_err(|error| {
        log_passing_error(&error, "while reading the newest views");
        NotRead
    })
}

fn newest_of(
    consumer: &BaseConsumer<KafkaEvents>,
    topic: &str,
    deadline: Instant,
) -> KafkaResult<Vec<ViewsHead>> {
    let timed_out = || KafkaError::MessageConsumption(RDKafkaErrorCode::OperationTimedOut);
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let partitions = found.map_or(&[][..], |found| found.partitions());
    let place = |partition: &MetadataPartition| LogPlace {
        partition: PartitionId::from_kafka(partition.id()),
        anchor: None,
    };
    let places: Vec<LogPlace> = partitions.iter().map(place).collect();
    let states = bounds(consumer, topic, &places, deadline);
    if states.is_empty() || states.len() < places.len() {
        return Err(timed_out());
    }
    let (mut assignment, mut waiting) = (TopicPartitionList::new(), BTreeMap::new());
    for (partition, LogState { start, end, .. }) in states {
        if start < end {
            let from = Offset::Offset(start.0.max(end.0 - TAIL));
            assignment.add_partition_offset(topic, partition.to_kafka(), from)?;
            waiting.insert(partition, end);
        }
    }
    let mut newest: BTreeMap<Aggregate, ViewsHead> = BTreeMap::new();
    consumer.assign(&assignment)?;
    while !waiting.is_empty() {
        if Instant::now() >= deadline {
            return Err(timed_out());
        }
        match consumer.poll(POLL_TIMEOUT) {
            Some(Ok(message)) => {
                if let Ok(head) = ViewsHead::from_wire(&wire_record(&message)) {
                    let known =
                        newest.entry(head.aggregate.clone()).or_insert_with(|| head.clone());
                    known.position = known.position.max(head.position);
                }
                let partition = PartitionId::from_kafka(message.partition());
                if waiting.get(&partition).is_some_and(|end| message.offset() >= end.0 - 1) {
                    waiting.remove(&partition);
                }
            }
            Some(Err(error)) => log_passing_error(&error, "while reading the newest views"),
            None => {}
        }
    }
    Ok(newest.into_values().collect())
}

fn consumer(cluster: &KafkaCluster, fetch_bytes: u32) -> KafkaResult<BaseConsumer<KafkaEvents>> {
    let mut config = cluster.client_config();
    config
        // No group is joined and nothing is committed; the client demands a name.
        .set("group.id", "clinicwire-look")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("fetch.message.max.bytes", fetch_bytes.to_string())
        .set("fetch.wait.max.ms", "50")
        .create_with_context(KafkaEvents::LeaveErrors)
}

fn bounds(
    consumer: &BaseConsumer<KafkaEvents>,
    topic: &str,
    places: &[LogPlace],
    deadline: Instant,
) -> BTreeMap<PartitionId, LogState> {
    let mut states = BTreeMap::new();
    for place in places {
        let left = deadline.saturating_duration_since(Instant::now());
        match consumer.fetch_watermarks(topic, place.partition.to_kafka(), left) {
            Ok((start, end)) => {
                let (start, end) = (LogOffset(start), LogOffset(end));
                states.insert(place.partition, LogState { start, end, record: None });
            }
            Err(error) => log_passing_error(&error, "while looking at the log"),
        }
    }
    states
}

/// Reads the record of each anchor that lies within the bounds. A partition whose record does not
/// arrive in time is removed.
fn read_records(
    consumer: &BaseConsumer<KafkaEvents>,
    topic: &str,
    places: &[LogPlace],
    states: &mut BTreeMap<PartitionId, LogState>,
    deadline: Instant,
) -> KafkaResult<()> {
    let (mut assignment, mut waiting) = (TopicPartitionList::new(), BTreeMap::new());
    for LogPlace { partition, anchor } in places {
        let (Some(anchor), Some(state)) = (*anchor, states.get(partition)) else { continue };
        if anchor >= state.start && anchor < state.end {
            let offset = Offset::Offset(anchor.0);
            assignment.add_partition_offset(topic, partition.to_kafka(), offset)?;
            waiting.insert(*partition, anchor);
        }
    }
    if waiting.is_empty() {
        return Ok(());
    }
    let assigned = consumer.assign(&assignment);
    while assigned.is_ok() && !waiting.is_empty() && Instant::now() < deadline {
        match consumer.poll(POLL_TIMEOUT) {
            Some(Ok(message)) => {
                let partition = PartitionId::from_kafka(message.partition());
                if waiting.remove(&partition).is_some()
                    && let Some(state) = states.get_mut(&partition)
                {
                    // Past a gap, another record than the anchor's arrives first.
                    state.record = Some(wire_record(&message));
                }
            }
            Some(Err(error)) => log_passing_error(&error, "while looking at the log"),
            None => {}
        }
    }
    waiting.keys().for_each(|partition| drop(states.remove(partition)));
    assigned
}
