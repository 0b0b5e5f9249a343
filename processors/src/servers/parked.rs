//! `parked`: what an operator does with records that were set aside.
//!
//! Patient data goes to the output of `parked show` alone, and never to the log.

use std::io::{self, Write};

use rdkafka::error::KafkaError;
use schemas::record::{AUDIT_TOPIC, CARE_TOPIC, RUNS_TOPIC, WireRecord};
use servers::kafka::KafkaCluster;

use super::{
    config::{ParkedCommand, ParkedSelection},
    kafka::KafkaProcessorLog,
    postgres::{
        ConnectionSettings, ParkedSummary, PostgresError, PostgresParked, RecordPlace, check_roles,
    },
};
use crate::{
    log::{AppendError, Log},
    tenants::TenantTable,
};

/// Most records of one command: their places are read first, so that a record that is parked again
/// is not taken twice.
const MOST_RECORDS: u32 = 10_000;

/// Why a command about parked records ended early.
#[derive(Debug, thiserror::Error)]
pub enum ParkedError {
    /// PostgreSQL failed.
    #[error("postgres failed, and the record stays parked: check --postgres")]
    Postgres(#[from] PostgresError),
    /// The login may do more than it should, or less.
    #[error("postgres cannot be used: check --postgres or CLINICWIRE_POSTGRES")]
    Login(#[from] servers::postgres::UnsafeSession),
    /// Kafka's client refuses the settings.
    #[error("kafka's client refuses the settings")]
    Client(#[from] KafkaError),
    /// The record was not acknowledged. It may have been appended; a repetition has no effect.
    #[error("kafka did not acknowledge the record, which stays parked: release it again")]
    Append(#[from] AppendError),
    /// The record comes from a topic that the settings do not name.
    #[error("{0} is in none of the topics of these settings: check --care-topic and the others")]
    UnknownTopic(RecordPlace),
    /// The output is closed.
    #[error("the output cannot be written")]
    Output(#[from] io::Error),
}

/// Executes a command, and prints its results. Returns whether every named record was parked.
///
/// # Errors
/// [`ParkedError`]. The results printed before the error are in effect.
pub async fn run(command: ParkedCommand) -> Result<bool, ParkedError> {
    let out = &mut io::stdout();
    let connection = command.connection();
    check_roles(&connection, command.postgres().login_policy()).await?;
    let mut store = PostgresParked::connect(&connection).await?;
    match command {
        ParkedCommand::List(list) => {
            let (records, all) = store.list(list.code.as_deref(), list.limit).await?;
            for record in &records {
                writeln!(out, "{}", line(record))?;
            }
            writeln!(out, "{} of {all} parked records", records.len())?;
            Ok(true)
        }
        ParkedCommand::Show(show) => {
            let record = store.read(&show.record).await?;
            match &record {
                Some(record) => write_record(out, record)?,
                None => missing(out, &show.record)?,
            }
            Ok(record.is_some())
        }
        ParkedCommand::Release(release) => {
            let cluster = release.cluster();
            let log = KafkaProcessorLog::new_writer(cluster.clone())?;
            let append = async |place: &RecordPlace, record: WireRecord| {
                let topic = standard_name(&cluster, place)?;
                Ok(log.append(&[(topic, record)]).await?)
            };
            each(out, &mut store, release.selection, "released", append).await
        }
        ParkedCommand::Drop(delete) => {
            let nothing = async |_: &RecordPlace, _| Ok(());
            each(out, &mut store, delete.selection, "dropped", nothing).await
        }
    }
}

/// Appends the facts again that were parked while their tenant was suspended, of all tenants that
/// are served now. Several processors may do so at once: each record is locked meanwhile. Returns
/// their number, at most `MOST_RECORDS`.
///
/// # Errors
/// [`ParkedError`]. The records before the error are appended.
pub async fn release_resumed(
    connection: &ConnectionSettings,
    cluster: &KafkaCluster,
    log: &KafkaProcessorLog,
    tenants: &TenantTable,
) -> Result<usize, ParkedError> {
    let mut store = PostgresParked::connect(connection).await?;
    let places = store.resumed(tenants.suspended(), MOST_RECORDS).await?;
    for place in &places {
        let topic = standard_name(cluster, place)?;
        let append = async |record| Ok::<_, ParkedError>(log.append(&[(topic, record)]).await?);
        store.remove(place, append).await?;
    }
    Ok(places.len())
}

/// Removes the selected records, each after `before` has succeeded with it.
async fn each(
    out: &mut impl Write,
    store: &mut PostgresParked,
    selection: ParkedSelection,
    done: &str,
    before: impl AsyncFn(&RecordPlace, WireRecord) -> Result<(), ParkedError>,
) -> Result<bool, ParkedError> {
    let (places, left) = match selection.code {
        Some(code) => {
            let (records, all) = store.list(Some(&code), MOST_RECORDS).await?;
            let left = all - records.len() as u64;
            (records.into_iter().map(|record| record.place).collect(), left)
        }
        None => (selection.records, 0),
    };
    let (mut count, mut all_found) = (0_u32, true);
    for place in places {
        let removed = store.remove(&place, async |record| before(&place, record).await).await?;
        match removed {
            Some(()) => {
                count += 1;
                tracing::info!(%place, "a parked record was {done}");
                writeln!(out, "{done} {place}")?;
            }
            None => {
                all_found = false;
                missing(out, &place)?;
            }
        }
    }
    writeln!(out, "{count} records {done}")?;
    if left > 0 {
        writeln!(out, "{left} more have this code: run the command again")?;
    }
    Ok(all_found)
}

fn missing(out: &mut impl Write, place: &RecordPlace) -> io::Result<()> {
    writeln!(out, "{place} is not parked")
}

/// The standard name of the topic of a record.
fn standard_name(cluster: &KafkaCluster, place: &RecordPlace) -> Result<&'static str, ParkedError> {
    [CARE_TOPIC, RUNS_TOPIC, AUDIT_TOPIC]
        .into_iter()
        .find(|topic| cluster.topics.name(topic) == place.topic)
        .ok_or_else(|| ParkedError::UnknownTopic(place.clone()))
}

/// One line without the content of the record.
fn line(record: &ParkedSummary) -> String {
    let ParkedSummary { place, at, code, kind, key, bytes } = record;
    let at = jiff::Timestamp::from_millisecond(*at).unwrap_or_default();
    let (kind, key) = (printable(kind.as_deref().unwrap_or("-")), printable(key));
    format!("{place}  {at:.0}  {code}  {kind}  {key}  {bytes} bytes")
}

fn write_record(out: &mut impl Write, record: &WireRecord) -> io::Result<()> {
    writeln!(out, "key: {}", printable(&record.key))?;
    for (name, value) in &record.headers {
        writeln!(out, "{}: {}", printable(name), printable(value))?;
    }
    writeln!(out, "\n{}", printable(&String::from_utf8_lossy(&record.value)))
}

/// The text without control characters, which could command the operator's terminal.
fn printable(text: &str) -> String {
    text.replace(char::is_control, "\u{fffd}")
}
