//! Where a follower begins to read: after the records that it has read, a minute back, or at the
//! beginning.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
};
use schemas::log::{LogOffset, PartitionId};

/// How far back following starts: a client that lost its connection for a moment can still resume
/// from the deltas of this time.
const LOOK_BACK: Duration = Duration::from_secs(60);
/// How long Kafka may take for all requests of a start together. Past it the consumer is dropped,
/// and another one starts.
const START_TIMEOUT: Duration = Duration::from_secs(10);

/// The next offset of every partition.
pub(super) type NextOffsets = BTreeMap<PartitionId, LogOffset>;

/// A topic that is followed.
pub struct FollowedTopic {
    /// The name of the topic in Kafka.
    pub name: String,
    /// The id that the client has, although it joins no group. Rights in Kafka may depend on it.
    pub group: &'static str,
    /// Where reading begins.
    pub from: StartFrom,
}

/// Where the first start of a follower begins to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartFrom {
    /// A minute before now.
    MinuteAgo,
    /// The first record of the topic.
    Beginning,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error("kafka did not answer, or does not have the topic")]
    Kafka(#[from] KafkaError),
    /// Keys change partitions with the count, so the order of records would be lost.
    #[error(
        "the topic has {found} partitions and had {known}: the count is fixed for a \
         topic's life. Restart all gateways and processors after repairing it"
    )]
    PartitionCount { found: usize, known: usize },
}

/// The range of a partition's offsets: the first record that the log holds, and the next one that
/// it will append.
#[derive(Debug, Clone, Copy)]
struct Watermarks {
    low: LogOffset,
    high: LogOffset,
}

type PartitionMarks = BTreeMap<PartitionId, Watermarks>;

/// Where each partition is read from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct StartPlan {
    pub(super) next: NextOffsets,
    /// The ends of partitions that must be reached before the follower has caught up.
    pub(super) behind: BTreeMap<PartitionId, LogOffset>,
    /// Whether every record since the last one that was read will be read.
    pub(super) is_continuous: bool,
}

/// Plans the start of a consumer. `read` are the positions of the consumer before it. Reads the end
/// of every partition before it looks up the offset of a minute ago, so that no record is missed
/// between the two.
pub(super) fn plan<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    followed: &FollowedTopic,
    read: Option<&NextOffsets>,
) -> Result<StartPlan, StartError> {
    let deadline = Instant::now() + START_TIMEOUT;
    let topic = followed.name.as_str();
    let left = || deadline.saturating_duration_since(Instant::now());
    let metadata = consumer.fetch_metadata(Some(topic), left())?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    let found = found.map_or(0, |found| found.partitions().len());
    if found == 0 {
        let code = RDKafkaErrorCode::UnknownTopicOrPartition;
        return Err(KafkaError::MetadataFetch(code).into());
    }
    if let Some(known) = read.map(BTreeMap::len).filter(|known| *known != found) {
        return Err(StartError::PartitionCount { found, known });
    }
    let mut marks = BTreeMap::new();
    for partition in (0..).take(found).map(PartitionId) {
        let (low, high) = consumer.fetch_watermarks(topic, partition.to_kafka(), left())?;
        marks.insert(partition, Watermarks { low: LogOffset(low), high: LogOffset(high) });
    }
    if let Some(plan) = read.and_then(|read| continued(read, &marks)) {
        return Ok(plan);
    }
    if followed.from == StartFrom::Beginning {
        return Ok(begun(&marks));
    }
    let mut times = TopicPartitionList::new();
    for partition in marks.keys() {
        let since = Offset::Offset(look_back_to());
        times.add_partition_offset(topic, partition.to_kafka(), since)?;
    }
    let mut found = BTreeMap::new();
    for element in consumer.offsets_for_times(times, left())?.elements() {
        element.error()?;
        // Without a younger record, the answer is the end.
        if let Offset::Offset(offset) = element.offset() {
            found.insert(PartitionId::from_kafka(element.partition()), LogOffset(offset));
        }
    }
    Ok(looked_back(&found, &marks))
}

/// A start at the first record of each partition.
fn begun(marks: &PartitionMarks) -> StartPlan {
    let next = marks.iter().map(|(partition, marks)| (*partition, marks.low)).collect();
    StartPlan::new(next, marks, false)
}

/// A start after the records that were read, if the log still holds everything since.
fn continued(read: &NextOffsets, marks: &PartitionMarks) -> Option<StartPlan> {
    let holds = |(partition, next): (&PartitionId, &LogOffset)| {
        marks.get(partition).is_some_and(|marks| (marks.low..=marks.high).contains(next))
    };
    read.iter().all(holds).then(|| StartPlan::new(read.clone(), marks, true))
}

/// A start at the offsets of a minute ago, or at the end where there is none.
fn looked_back(found: &NextOffsets, marks: &PartitionMarks) -> StartPlan {
    let start = |(partition, marks): (&PartitionId, &Watermarks)| {
        let offset = found.get(partition).map_or(marks.high, |offset| (*offset).max(marks.low));
        (*partition, offset)
    };
    StartPlan::new(marks.iter().map(start).collect(), marks, false)
}

impl StartPlan {
    fn new(next: NextOffsets, marks: &PartitionMarks, is_continuous: bool) -> Self {
        let end = |(partition, next): (&PartitionId, &LogOffset)| {
            let high = marks.get(partition)?.high;
            (*next < high).then_some((*partition, high))
        };
        Self { behind: next.iter().filter_map(end).collect(), next, is_continuous }
    }

    pub(super) fn assignment(&self, topic: &str) -> KafkaResult<TopicPartitionList> {
        let mut assignment = TopicPartitionList::new();
        for (partition, next) in &self.next {
            let next = Offset::Offset(next.0);
            assignment.add_partition_offset(topic, partition.to_kafka(), next)?;
        }
        Ok(assignment)
    }
}

/// The time that following starts from, in milliseconds since the Unix epoch.
fn look_back_to() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.saturating_sub(LOOK_BACK).as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(all: [(i64, i64); 2]) -> PartitionMarks {
        let mark = |(low, high)| Watermarks { low: LogOffset(low), high: LogOffset(high) };
        (0..).map(PartitionId).zip(all.map(mark)).collect()
    }

    fn offsets<const N: usize>(all: [(u32, i64); N]) -> NextOffsets {
        all.map(|(partition, offset)| (PartitionId(partition), LogOffset(offset))).into()
    }

    #[test]
    fn successor_continues_where_the_log_holds_everything() {
        let read = offsets([(0, 50), (1, 7)]);
        let plan = continued(&read, &marks([(10, 60), (7, 7)])).unwrap();
        assert_eq!(plan.next, read);
        assert_eq!(plan.behind, offsets([(0, 60)]));
        assert!(plan.is_continuous);
    }

    #[test]
    fn deleted_or_truncated_records_break_continuity() {
        let read = offsets([(0, 50), (1, 7)]);
        for (low, high) in [(51, 60), (0, 49)] {
            assert_eq!(continued(&read, &marks([(low, high), (0, 9)])), None, "{low}..{high}");
        }
        assert_eq!(continued(&offsets([(9, 1)]), &marks([(0, 1), (0, 1)])), None);
    }

    #[test]
    fn first_start_looks_back_within_the_log() {
        let plan = looked_back(&offsets([(0, 3)]), &marks([(5, 9), (2, 4)]));
        assert_eq!(plan.next, offsets([(0, 5), (1, 4)]));
        assert_eq!(plan.behind, offsets([(0, 9)]));
        assert!(!plan.is_continuous);
    }

    #[test]
    fn start_from_the_beginning_reads_everything() {
        let plan = begun(&marks([(5, 9), (4, 4)]));
        assert_eq!(plan.next, offsets([(0, 5), (1, 4)]));
        assert_eq!(plan.behind, offsets([(0, 9)]));
    }
}
