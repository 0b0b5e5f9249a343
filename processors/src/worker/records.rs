//! What a worker says of an attempt, as records with ids that a repetition shares: said twice is said once.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use schemas::{
    command::Command,
    ids::{CommandId, TICKET_HEX},
    record::{CommandRecord, RUNS_TOPIC, WireRecord},
};
use tokio::time::timeout;

use crate::{
    log::{Log, NotAcknowledged},
    work::{Job, Place},
};

/// The source of workers' records.
pub const SOURCE: &str = "clinicwire-workers";
/// How long the log may take. Above its own limits: it only keeps one that hangs from holding an attempt for ever.
const PATIENCE: Duration = Duration::from_secs(10);

pub type Record = (&'static str, WireRecord);

/// The record of `command` about the job's attempt. `what` tells it from the attempt's others, in 19 characters at most.
pub fn record(job: &Job, what: &str, command: Command) -> Record {
    // The random part alone names the run within its tenant, and leaves room for the rest.
    let run = job.run.as_str();
    let id = format!("{}.a{}.{what}", &run[run.len() - TICKET_HEX..], job.attempt);
    let record = CommandRecord {
        aggregate: job.aggregate(),
        id: CommandId::new(id).expect("hex digits, a number and a short word are a command's id"),
        source: SOURCE.to_owned(),
        valid_until: None,
        actor: None,
        command,
    };
    (RUNS_TOPIC, record.to_wire())
}

/// That the job's attempt began.
pub fn start(job: &Job) -> Record {
    record(job, "start", Command::StartRun { attempt: job.attempt })
}

/// How the job's attempt ended.
pub fn end(job: &Job, command: &Command) -> Record {
    record(job, "end", command.clone())
}

/// A run's place in line. It may have the same place again later, so each saying is one of its own.
pub fn place(place: &Place, random: u128) -> Record {
    let Place { tenant, run, attempt, ahead } = place;
    let record = CommandRecord {
        aggregate: schemas::ids::Aggregate::run(tenant, run),
        id: CommandId::from_random(random),
        source: SOURCE.to_owned(),
        valid_until: None,
        actor: None,
        command: Command::PlaceRun { attempt: *attempt, ahead: *ahead },
    };
    (RUNS_TOPIC, record.to_wire())
}

/// Says records once.
///
/// # Errors
/// When the log did not acknowledge them in time.
pub async fn say(log: &dyn Log, records: &[Record]) -> Result<(), NotAcknowledged> {
    timeout(PATIENCE, log.append(records))
        .await
        .unwrap_or_else(|late| Err(NotAcknowledged(Some(late.into()))))
}

/// Says records until the log has acknowledged them, however long that takes: dropped when it is no longer needed.
pub async fn say_until_heard(log: &dyn Log, records: &[Record]) {
    let patiently = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(2))
        .with_jitter()
        .without_max_times();
    let said = (async || say(log, records).await)
        .retry(patiently)
        .notify(|error, _| {
            tracing::warn!(
                error = error as &dyn std::error::Error,
                "the log did not take a worker's records"
            );
        })
        .await;
    said.expect("it is said until it was heard");
}
