//! `topic`: compares the topics that are read with the checkpoints, and accepts another topic.

use std::{
    collections::HashMap,
    fmt,
    io::{self, Write},
    str::FromStr,
};

use servers::kafka::KafkaCluster;

use super::{
    config::{AcceptArgs, AcceptFrom, TopicArgs, TopicCommand},
    kafka,
    postgres::{AcceptedLog, Consumer, PostgresError, PostgresTopics, check_roles},
};
use crate::{
    anchor::{LogAnchor, LogFault},
    ledger::PartitionClaim,
    log::{LogOffset, LogPlace, LogState, PartitionId},
};

/// Why a command about topics ended early.
#[derive(Debug, thiserror::Error)]
pub enum TopicCommandError {
    /// PostgreSQL failed.
    #[error("postgres failed: check --postgres")]
    Postgres(#[from] PostgresError),
    /// The login may do more than it should, or less.
    #[error("postgres cannot be used: check --postgres or CLINICWIRE_POSTGRES")]
    Login(#[from] servers::postgres::UnsafeSession),
    /// Kafka did not tell the state of a partition.
    #[error("kafka does not tell the state of {0}: check --kafka and that the topic exists")]
    Kafka(PartitionPlace),
    /// The output is closed.
    #[error("the output cannot be written")]
    Output(#[from] io::Error),
}

/// A partition of a topic. As text: `clinicwire.care.v1/3`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionPlace {
    /// The name of the topic in Kafka.
    pub topic: String,
    /// The partition of the topic.
    pub partition: PartitionId,
}

impl fmt::Display for PartitionPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition.0)
    }
}

impl FromStr for PartitionPlace {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let (topic, partition) = text.rsplit_once('/')?;
            let partition = PartitionId(partition.parse().ok()?);
            (!topic.is_empty()).then(|| Self { topic: topic.to_owned(), partition })
        };
        read().ok_or("a partition is named as `topic check` does: TOPIC/PARTITION")
    }
}

/// A partition as Kafka and PostgreSQL have it.
struct ComparedPartition {
    place: PartitionPlace,
    claim: PartitionClaim,
    anchor: LogAnchor,
    log: LogState,
    fault: Option<LogFault>,
}

/// Executes a command, and prints its results. Returns whether all partitions are sound, or all
/// named partitions were accepted.
///
/// # Errors
/// [`TopicCommandError`]. The results printed before the error are in effect.
pub async fn run(command: TopicCommand) -> Result<bool, TopicCommandError> {
    let out = &mut io::stdout();
    let settings = command.settings();
    check_roles(&settings.connection(), settings.postgres.login_policy()).await?;
    let (mut all_good, mut named) = (true, 0);
    for consumer in settings.consumers() {
        let store = PostgresTopics::connect(&settings.connection(), consumer.clone()).await?;
        for compared in compare(&store, settings, &consumer).await? {
            all_good &= match &command {
                TopicCommand::Check(_) => {
                    writeln!(out, "{compared}")?;
                    compared.fault.is_none()
                }
                TopicCommand::Accept(settings) => {
                    named += usize::from(settings.selection.partitions.contains(&compared.place));
                    accept_if_selected(out, &store, &compared, settings).await?
                }
            };
        }
    }
    if let TopicCommand::Accept(settings) = &command
        && named < settings.selection.partitions.len()
    {
        writeln!(out, "not every named partition has a checkpoint: `topic check` lists them")?;
        all_good = false;
    }
    Ok(all_good)
}

/// Accepts the topic of a partition, if the settings select it and the topic is not sound. Returns
/// whether a named partition was accepted.
async fn accept_if_selected(
    out: &mut impl Write,
    store: &PostgresTopics,
    compared: &ComparedPartition,
    settings: &AcceptArgs,
) -> Result<bool, TopicCommandError> {
    let is_named = settings.selection.partitions.contains(&compared.place);
    match compared.fault {
        Some(fault) if is_named || settings.selection.all => {
            accept(out, store, compared, fault, settings.from).await
        }
        None if is_named => {
            writeln!(out, "{}: the topic is sound, nothing to accept", compared.place)?;
            Ok(false)
        }
        _ => Ok(true),
    }
}

/// Compares each partition of a topic that was ever claimed.
async fn compare(
    store: &PostgresTopics,
    settings: &TopicArgs,
    consumer: &Consumer,
) -> Result<Vec<ComparedPartition>, TopicCommandError> {
    let checkpoints = store.checkpoints().await?;
    let places: Vec<LogPlace> = checkpoints
        .iter()
        .map(|(claim, anchor)| LogPlace { partition: claim.partition, anchor: anchor.log_offset() })
        .collect();
    let mut states = look(settings.cluster(), consumer.topic.clone(), places).await;
    let compared = checkpoints.into_iter().map(|(claim, anchor)| {
        let place = PartitionPlace { topic: consumer.topic.clone(), partition: claim.partition };
        let state = states.remove(&claim.partition);
        let log = state.ok_or_else(|| TopicCommandError::Kafka(place.clone()))?;
        let fault = anchor.check(claim.next_offset, &log).err();
        Ok(ComparedPartition { place, claim, anchor, log, fault })
    });
    compared.collect()
}

async fn look(
    cluster: KafkaCluster,
    topic: String,
    places: Vec<LogPlace>,
) -> HashMap<PartitionId, LogState> {
    let looking = tokio::task::spawn_blocking(move || kafka::look(&cluster, &topic, &places));
    looking.await.unwrap_or_default().into_iter().collect()
}

/// Moves the checkpoint of one partition to its topic as it is now.
async fn accept(
    out: &mut impl Write,
    store: &PostgresTopics,
    compared: &ComparedPartition,
    fault: LogFault,
    from: AcceptFrom,
) -> Result<bool, TopicCommandError> {
    let (start, accepted) = accepted(compared, fault, from);
    let is_done = store.accept(compared.claim, accepted).await?;
    let place = &compared.place;
    if is_done {
        tracing::info!(%place, %fault, offset = start.0, "a topic was accepted");
        writeln!(out, "accepted {place}: goes on at its offset {start}")?;
    } else {
        writeln!(out, "{place} changed meanwhile: look again")?;
    }
    Ok(is_done)
}

/// The offset in the topic where reading goes on, and the checkpoint for it.
fn accepted(
    compared: &ComparedPartition,
    fault: LogFault,
    from: AcceptFrom,
) -> (LogOffset, AcceptedLog) {
    let start = match from {
        AcceptFrom::Start => compared.log.start,
        AcceptFrom::End => compared.log.end,
    };
    let next = compared.claim.next_offset;
    let accepted = match fault {
        // The same topic: its offsets keep their meaning, and some are skipped.
        LogFault::Late => {
            let next_offset = compared.anchor.to_ledger(start);
            AcceptedLog { next_offset, base: compared.anchor.base }
        }
        LogFault::Short | LogFault::Other => {
            AcceptedLog { next_offset: next, base: next.0 - start.0 }
        }
    };
    (start, accepted)
}

impl fmt::Display for ComparedPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, claim, anchor, log, fault } = self;
        let next = anchor.to_log(claim.next_offset);
        write!(f, "{place}  checkpoint {next}  topic {} to {}  ", log.start, log.end)?;
        match fault {
            None => f.write_str("sound"),
            Some(fault) => write!(f, "STOPPED: {fault}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::OwnerEpoch;

    #[test]
    fn partition_is_read_as_it_is_written() {
        let place = "clinicwire.care.v1/3".parse::<PartitionPlace>().unwrap();
        assert_eq!(place.to_string(), "clinicwire.care.v1/3");
        for wrong in ["care", "/3", "care/x", "care/-1", ""] {
            assert!(wrong.parse::<PartitionPlace>().is_err(), "{wrong}");
        }
    }

    /// The next record of the topic gets the next offset of the database, whatever happened.
    #[test]
    fn accepted_topic_continues_the_offsets_of_the_database() {
        let compared = |next, base, range: std::ops::Range<i64>| ComparedPartition {
            place: "care/0".parse().unwrap(),
            claim: PartitionClaim {
                partition: PartitionId(0),
                owner_epoch: OwnerEpoch(1),
                next_offset: LogOffset(next),
            },
            anchor: LogAnchor { epoch_floor: None, base, last: None },
            log: LogState {
                start: LogOffset(range.start),
                end: LogOffset(range.end),
                record: None,
            },
            fault: None,
        };
        use AcceptFrom::{End, Start};
        use LogFault::{Late, Other, Short};
        for (next, base, range, fault, from, start, next_offset, new_base) in [
            (100, 0, 0..12, Short, Start, 0, 100, 100),
            (100, 0, 0..12, Short, End, 12, 100, 88),
            (100, 40, 5..200, Other, Start, 5, 100, 95),
            (100, 0, 150..200, Late, Start, 150, 150, 0),
            (100, 40, 80..90, Late, Start, 80, 120, 40),
        ] {
            let (at, log) = accepted(&compared(next, base, range), fault, from);
            let expected = AcceptedLog { next_offset: LogOffset(next_offset), base: new_base };
            assert_eq!((at.0, log), (start, expected));
            assert_eq!(log.next_offset.0 - log.base, at.0);
        }
    }
}
