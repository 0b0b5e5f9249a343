//! Rows read back from the database.

use schemas::{
    command::CommandOutcome,
    identity::CommandIdentity,
    ids::{Aggregate, CommandId, Fingerprint},
    record::{ACCESS_TOPIC, CARE_TOPIC, EVENTS_TOPIC, RUNS_TOPIC, VIEWS_TOPIC, WireRecord},
};
use tokio_postgres::Row;

use super::PostgresError;
use crate::{
    anchor::{AnchorRecord, LogAnchor},
    ledger::{OutboxRow, OutcomeRow},
    location::{Appointment, Ticket},
    log::LogOffset,
};

/// Parses a JSON column. The error names only the kind of row, since the text could hold a
/// patient's data.
pub(super) fn json<T: serde::de::DeserializeOwned>(
    text: &str,
    what: &'static str,
) -> Result<T, PostgresError> {
    serde_json::from_str(text).map_err(|_| PostgresError::Unreadable(what))
}

pub(super) fn ticket(row: &Row) -> Result<Ticket, PostgresError> {
    json(row.get(0), "a ticket")
}

pub(super) fn appointment(row: &Row) -> Result<Appointment, PostgresError> {
    json(row.get(0), "an appointment")
}

/// The key of an aggregate whose tenant and id are the first two columns.
pub(super) fn key(row: &Row) -> Result<Aggregate, PostgresError> {
    let key = format!("{}/{}", row.get::<_, &str>(0), row.get::<_, &str>(1));
    Aggregate::parse(&key).map_err(|_| PostgresError::Unreadable("an aggregate's key"))
}

/// The base of a partition's offsets, and the last record that the journal names, if there is one.
pub(super) fn log_anchor(row: &Row) -> Result<LogAnchor, PostgresError> {
    let base = row.get(0);
    let epoch_floor =
        row.get::<_, Option<i64>>(5).map(|epoch| u64::try_from(epoch).unwrap_or_default());
    let Some(offset) = row.get::<_, Option<i64>>(1) else {
        return Ok(LogAnchor { base, last: None, epoch_floor });
    };
    let unreadable = || PostgresError::Unreadable("the last row of the journal");
    let key = format!("{}/{}", row.get::<_, &str>(2), row.get::<_, &str>(3));
    let last = AnchorRecord {
        offset: LogOffset(offset),
        aggregate: Aggregate::parse(&key).map_err(|_| unreadable())?,
        command: CommandId::new(row.get::<_, &str>(4)).map_err(|_| unreadable())?,
    };
    Ok(LogAnchor { base, last: Some(last), epoch_floor })
}

pub(super) fn outbox_row(row: &Row) -> Result<OutboxRow, PostgresError> {
    let topic = match row.get(2) {
        CARE_TOPIC => CARE_TOPIC,
        RUNS_TOPIC => RUNS_TOPIC,
        VIEWS_TOPIC => VIEWS_TOPIC,
        EVENTS_TOPIC => EVENTS_TOPIC,
        ACCESS_TOPIC => ACCESS_TOPIC,
        _ => return Err(PostgresError::Unreadable("an outbox row's topic")),
    };
    Ok(OutboxRow {
        offset: LogOffset(row.get(0)),
        part: row.get(1),
        topic,
        record: WireRecord {
            key: row.get(3),
            headers: json(row.get(4), "an outbox row's headers")?,
            value: row.get::<_, Vec<u8>>(5).into(),
        },
    })
}

/// The outcome of one of the commands that were asked for, whose place counts from 1.
pub(super) fn outcome_row(
    row: &Row,
    commands: &[CommandIdentity],
) -> Result<OutcomeRow, PostgresError> {
    let place = usize::try_from(row.get::<_, i64>(2)).unwrap_or_default();
    let identity = place.checked_sub(1).and_then(|index| commands.get(index));
    let fingerprint = row.get::<_, Option<&str>>(3).map(str::parse::<Fingerprint>).transpose();
    Ok(OutcomeRow {
        identity: identity.cloned().ok_or(PostgresError::Unreadable("an outcome's command"))?,
        aggregate: key(row)?,
        fingerprint: fingerprint.map_err(|_| PostgresError::Unreadable("a fingerprint"))?,
        settles: None,
        first_at: row.get(4),
        outcome: json::<CommandOutcome>(row.get(5), "an outcome")?,
    })
}
