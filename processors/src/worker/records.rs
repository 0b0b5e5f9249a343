//! The records that a worker appends about an attempt. Their ids are derived from the attempt, so a
//! repeated record has one effect.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use schemas::{
    command::Command,
    ids::{CommandId, TICKET_HEX},
    record::{CommandRecord, RUNS_TOPIC, WireRecord},
};
use tokio::time::timeout;

use crate::{
    log::{AppendError, Log},
    work::{Job, RunPlace},
};

/// The source of workers' records.
pub const SOURCE: &str = "clinicwire-workers";
/// How long the log may take. The limit is above the log's own limits, and only prevents a log that
/// hangs from holding an attempt forever.
const PATIENCE: Duration = Duration::from_secs(10);

pub type OutgoingRecord = (&'static str, WireRecord);

/// The record of `command` about the job's attempt. `what` distinguishes the records of one
/// attempt, and has at most 19 characters.
pub fn record(job: &Job, what: &str, command: Command) -> OutgoingRecord {
    // The random part of the id identifies the run within its tenant, and leaves room for the rest.
    let run = job.run.as_str();
    let id = format!("{}.a{}.{what}", &run[run.len() - TICKET_HEX..], job.attempt);
    let record = CommandRecord {
        aggregate: job.aggregate(),
        id: CommandId::new(id).expect("hex digits, a number and a short word are a command's id"),
        source: SOURCE.to_owned(),
        fingerprint: None,
        valid_until: None,
        actor: None,
        command,
    };
    (RUNS_TOPIC, record.to_wire())
}

/// The record that the job's attempt started.
pub fn start(job: &Job) -> OutgoingRecord {
    record(job, "start", Command::StartRun { attempt: job.attempt })
}

/// The record of how the job's attempt ended.
pub fn end(job: &Job, command: &Command) -> OutgoingRecord {
    record(job, "end", command.clone())
}

/// The record of a run's place in line. A run may return to a place it had before, so each record
/// has an id of its own.
pub fn place_record(place: &RunPlace, random: u128) -> OutgoingRecord {
    let RunPlace { tenant, run, attempt, ahead } = place;
    let record = CommandRecord {
        aggregate: schemas::ids::Aggregate::run(tenant, run),
        id: CommandId::from_random(random),
        source: SOURCE.to_owned(),
        fingerprint: None,
        valid_until: None,
        actor: None,
        command: Command::PlaceRun { attempt: *attempt, ahead: *ahead },
    };
    (RUNS_TOPIC, record.to_wire())
}

/// Appends records once.
///
/// # Errors
/// When the log does not acknowledge them in time.
pub async fn append(log: &dyn Log, records: &[OutgoingRecord]) -> Result<(), AppendError> {
    timeout(PATIENCE, log.append(records))
        .await
        .unwrap_or_else(|late| Err(AppendError::unknown(late)))
}

/// Appends records until the log acknowledges them, however long that takes. The caller drops the
/// future when the records are no longer needed.
pub async fn append_until_acknowledged(log: &dyn Log, records: &[OutgoingRecord]) {
    let patiently = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(2))
        .with_jitter()
        .without_max_times();
    let said = (async || append(log, records).await)
        .retry(patiently)
        .notify(|error, _| {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "the log did not acknowledge the records of a worker"
            );
        })
        .await;
    said.expect("the append is retried until it succeeds");
}
