//! Parked records: an operator reads them, appends them again or deletes them.

use std::{collections::BTreeSet, fmt, str::FromStr};

use schemas::{Millis, codes::Code, ids::TenantId, record::WireRecord};
use tokio_postgres::{Client, Row};

use super::{ConnectionSettings, PostgresError, number, pool, rows::json, unsigned};
use crate::log::{LogOffset, PartitionId};

const LIST: &str = "SELECT topic, partition, \"offset\", at, code, key, headers::text, \
       octet_length(value) \
     FROM clinicwire.parked WHERE $1::text IS NULL OR code = $1 \
     ORDER BY topic, partition, \"offset\" LIMIT $2";
const COUNT: &str = "SELECT count(*) FROM clinicwire.parked WHERE $1::text IS NULL OR code = $1";
/// A key begins with the tenant's id. Escaped, since keys of other records may be any bytes.
const RESUMED: &str = "SELECT topic, partition, \"offset\" FROM clinicwire.parked \
     WHERE code = $1 AND split_part(encode(key, 'escape'), '/', 1) <> ALL ($2::text[]) \
     ORDER BY topic, partition, \"offset\" LIMIT $3";
const READ: &str = "SELECT key, headers::text, value FROM clinicwire.parked \
     WHERE topic = $1 AND partition = $2 AND \"offset\" = $3";
const LOCK: &str = "SELECT key, headers::text, value FROM clinicwire.parked \
     WHERE topic = $1 AND partition = $2 AND \"offset\" = $3 FOR UPDATE";
const DELETE: &str = "DELETE FROM clinicwire.parked \
     WHERE topic = $1 AND partition = $2 AND \"offset\" = $3";

/// Where a record stands in Kafka. As text: `clinicwire.care.v1/3/1042`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordPlace {
    /// The name of the topic in Kafka.
    pub topic: String,
    /// The partition of the topic.
    pub partition: PartitionId,
    /// The offset in the partition.
    pub offset: LogOffset,
}

impl fmt::Display for RecordPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}/{}", self.topic, self.partition.0, self.offset.0)
    }
}

impl FromStr for RecordPlace {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let read = || {
            let mut parts = text.split('/');
            let topic = parts.next().filter(|topic| !topic.is_empty())?.to_owned();
            let partition = PartitionId(parts.next()?.parse().ok()?);
            let offset = LogOffset(parts.next()?.parse().ok().filter(|offset| *offset >= 0)?);
            parts.next().is_none().then_some(Self { topic, partition, offset })
        };
        read().ok_or("a record is named as `parked list` does: TOPIC/PARTITION/OFFSET")
    }
}

/// A parked record without its content, which may name patients.
pub struct ParkedSummary {
    /// Where the record stands.
    pub place: RecordPlace,
    /// When Kafka appended it.
    pub at: Millis,
    /// Why it was parked.
    pub code: String,
    /// Its type, if it has one.
    pub kind: Option<String>,
    /// Its key: tenant and aggregate, if the writer was one of ours.
    pub key: String,
    /// The size of its value in bytes.
    pub bytes: u32,
}

/// The parked records of all processors that share a database.
pub struct PostgresParked(Client);

impl PostgresParked {
    /// Connects with the role of a processor.
    ///
    /// # Errors
    /// [`PostgresError`]
    pub async fn connect(settings: &ConnectionSettings) -> Result<Self, PostgresError> {
        Ok(Self(pool::login(settings).await?))
    }

    /// The first parked records in the order of topic, partition and offset, at most `limit`, and
    /// how many there are in all. With `code`, only those parked for this reason.
    ///
    /// # Errors
    /// [`PostgresError`]
    pub async fn list(
        &self,
        code: Option<&str>,
        limit: u32,
    ) -> Result<(Vec<ParkedSummary>, u64), PostgresError> {
        let all = self.0.query_one(COUNT, &[&code]).await?;
        let rows = self.0.query(LIST, &[&code, &i64::from(limit)]).await?;
        let rows = rows.iter().map(summary).collect::<Result<_, _>>()?;
        Ok((rows, unsigned(&all, 0)))
    }

    /// The first records, at most `limit`, that were parked while their tenant was suspended, of
    /// tenants that are not among the `suspended`.
    ///
    /// # Errors
    /// [`PostgresError`]
    pub async fn resumed(
        &self,
        suspended: &BTreeSet<TenantId>,
        limit: u32,
    ) -> Result<Vec<RecordPlace>, PostgresError> {
        let suspended: Vec<&str> = suspended.iter().map(TenantId::as_str).collect();
        let code = Code::TenantSuspended.as_str();
        let rows = self.0.query(RESUMED, &[&code, &suspended, &i64::from(limit)]).await?;
        Ok(rows.iter().map(place).collect())
    }

    /// A parked record, if it is parked.
    ///
    /// # Errors
    /// [`PostgresError`]
    pub async fn read(&self, place: &RecordPlace) -> Result<Option<WireRecord>, PostgresError> {
        let (partition, offset) = key(place);
        let row = self.0.query_opt(READ, &[&place.topic, &partition, &offset]).await?;
        row.as_ref().map(wire_record).transpose()
    }

    /// Deletes a parked record once `before` has succeeded with it. Returns `None` when it is not
    /// parked. The row is locked meanwhile, so that two operators do not do the same.
    ///
    /// # Errors
    /// The error of `before`, or a [`PostgresError`]. In both cases the record stays parked.
    pub async fn remove<E: From<PostgresError>>(
        &mut self,
        place: &RecordPlace,
        before: impl AsyncFnOnce(WireRecord) -> Result<(), E>,
    ) -> Result<Option<()>, E> {
        let (partition, offset) = key(place);
        let transaction = self.0.transaction().await.map_err(PostgresError::from)?;
        let locked = transaction
            .query_opt(LOCK, &[&place.topic, &partition, &offset])
            .await
            .map_err(PostgresError::from)?;
        let Some(row) = locked else { return Ok(None) };
        before(wire_record(&row)?).await?;
        transaction
            .execute(DELETE, &[&place.topic, &partition, &offset])
            .await
            .map_err(PostgresError::from)?;
        transaction.commit().await.map_err(PostgresError::from)?;
        Ok(Some(()))
    }
}

fn key(place: &RecordPlace) -> (i32, i64) {
    (number(place.partition.0), place.offset.0)
}

fn place(row: &Row) -> RecordPlace {
    RecordPlace {
        topic: row.get(0),
        partition: PartitionId(row.get::<_, i32>(1).cast_unsigned()),
        offset: LogOffset(row.get(2)),
    }
}

fn summary(row: &Row) -> Result<ParkedSummary, PostgresError> {
    let headers = headers(row.get(6))?;
    Ok(ParkedSummary {
        place: place(row),
        at: row.get(3),
        code: row.get(4),
        kind: headers.into_iter().find(|(name, _)| name == "ce_type").map(|(_, value)| value),
        key: text(row.get(5)),
        bytes: row.get::<_, i32>(7).cast_unsigned(),
    })
}

fn wire_record(row: &Row) -> Result<WireRecord, PostgresError> {
    let value: Vec<u8> = row.get(2);
    Ok(WireRecord { key: text(row.get(0)), headers: headers(row.get(1))?, value: value.into() })
}

fn headers(text: &str) -> Result<Vec<(String, String)>, PostgresError> {
    json(text, "the headers of a parked record")
}

/// A key as text, converted as by the reader of the log.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn place_is_read_as_it_is_written() {
        let text = "clinicwire.care.v1/3/1042";
        assert_eq!(text.parse::<RecordPlace>().map(|place| place.to_string()).as_deref(), Ok(text));
        for wrong in ["", "care", "care/3", "/3/1", "care/3/1/2", "care/x/1", "care/3/-1", "a/-1/1"]
        {
            assert!(wrong.parse::<RecordPlace>().is_err(), "{wrong}");
        }
    }
}
