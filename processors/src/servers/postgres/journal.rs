//! The journal as it is read back: the steps of an aggregate, and whole partitions for the archive.

use futures_util::TryStreamExt;
use schemas::{Millis, ids::Aggregate, view::Position};
use tokio_postgres::types::ToSql;

use super::{
    Lease, LeasePool, PoolSettings, PostgresError, columns::parts, long, rows::key, unsigned,
};

/// The session plans each statement for its values, so that it reads few partitions. A partition
/// takes minutes to read, so its statements may last.
const FOR_PARTITIONS: &str = " -c plan_cache_mode=force_custom_plan -c jit=off \
     -c statement_timeout=600000 -c idle_in_transaction_session_timeout=600000";

const SNAPSHOT: &str = "SELECT epoch, version, object, sha256 FROM clinicwire.snapshot \
     WHERE tenant = $1 AND aggregate = $2";
/// The oldest partition that the archive must still get: a week before its retention ends, so that
/// an archive that fails for days costs nothing.
const DUE: &str = "SELECT p.child, p.since, p.until FROM clinicwire.partition p \
     JOIN clinicwire.retention r ON r.name = p.parent \
     LEFT JOIN clinicwire.journal_archive a ON a.child = p.child AND a.is_covered \
     WHERE p.parent = 'journal' AND a.child IS NULL AND p.until <= \
       (extract(epoch FROM now()) * 1000)::bigint - greatest(r.days - 7, 1) * 86400000::bigint \
     ORDER BY p.until LIMIT 1";
const IS_ARCHIVED: &str = "SELECT EXISTS (SELECT FROM clinicwire.journal_archive WHERE child = $1)";
const ROWS: &str = "SELECT row_to_json(j)::text, topic, partition, \"offset\" \
     FROM clinicwire.journal j WHERE decided_at >= $1 AND decided_at < $2 \
       AND (topic, partition, \"offset\") > ($3, $4, $5) \
     ORDER BY topic, partition, \"offset\" LIMIT $6";
const ARCHIVED: &str = "INSERT INTO clinicwire.journal_archive (child, rows, objects, bytes) \
     VALUES ($1, $2, $3, $4) ON CONFLICT (child) DO NOTHING";
const COVERED: &str = "UPDATE clinicwire.journal_archive SET is_covered = true WHERE child = $1";
/// Aggregates of a partition without a snapshot since its end. Those that no longer exist, such as
/// runs that were deleted, need none.
const WITHOUT_SNAPSHOT: &str = "SELECT a.tenant, a.aggregate FROM ( \
       SELECT DISTINCT tenant, aggregate FROM clinicwire.journal \
       WHERE decided_at >= $1 AND decided_at < $2 AND version IS NOT NULL) j \
     JOIN clinicwire.aggregate a USING (tenant, aggregate) \
     LEFT JOIN clinicwire.snapshot s USING (tenant, aggregate) \
     WHERE s.taken_at IS NULL OR extract(epoch FROM s.taken_at) * 1000 <= $2 LIMIT $3";
const HEADER: &str = "SELECT epoch, version, header::text FROM clinicwire.aggregate \
     WHERE tenant = $1 AND aggregate = $2";
const TICKETS: &str =
    "SELECT body::text FROM clinicwire.ticket WHERE tenant = $1 AND location = $2";
const APPOINTMENTS: &str =
    "SELECT body::text FROM clinicwire.appointment WHERE tenant = $1 AND location = $2";
/// The views that are kept, each as one JSON object whose entries are as they are stored.
const VIEWS: &str = "SELECT json_build_object('name', v.view, 'version', v.version, 'at', v.at, \
       'expires', v.keep_until IS NOT NULL, 'entries', coalesce( \
         (SELECT json_object_agg(e.key, e.body::json) FROM clinicwire.view_entry e \
           WHERE e.tenant = v.tenant AND e.aggregate = v.aggregate AND e.view = v.view), \
         '{}'))::text \
     FROM clinicwire.view v WHERE v.tenant = $1 AND v.aggregate = $2 \
       AND (v.keep_until IS NULL OR v.keep_until > now())";
const TAKEN: &str = "INSERT INTO clinicwire.snapshot AS s \
       (tenant, aggregate, epoch, version, object, bytes, sha256) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (tenant, aggregate) DO UPDATE \
     SET epoch = excluded.epoch, version = excluded.version, object = excluded.object, \
       bytes = excluded.bytes, sha256 = excluded.sha256, taken_at = clock_timestamp() \
     WHERE (s.epoch, s.version) <= (excluded.epoch, excluded.version)";
/// One processor at a time archives. The lock ends with its session.
const LOCK: &str = "SELECT pg_try_advisory_lock(hashtext('clinicwire.journal_archive'))";

/// Rows of the journal in one object of the archive: some 30 MB before compression.
const ROWS_PER_OBJECT: i64 = 50_000;
/// Aggregates without a snapshot that one look finds.
const AGGREGATES_PER_LOOK: i64 = 1_000;

/// Where the newest snapshot of an aggregate is.
#[derive(Debug, Clone)]
pub struct SnapshotPlace {
    /// The position of the aggregate in the snapshot.
    pub position: Position,
    /// The object in the archive.
    pub object: String,
    /// The SHA-256 of the object.
    pub sha256: Vec<u8>,
}

/// A partition of the journal.
#[derive(Debug, Clone)]
pub struct JournalPartition {
    /// Its name.
    pub name: String,
    pub(in crate::servers) since: Millis,
    pub(in crate::servers) until: Millis,
}

/// The place of a row in a partition.
pub(in crate::servers) type RowPlace = (String, i32, i64);

/// The journal on PostgreSQL.
pub struct PostgresJournal(LeasePool);

/// The session of the only processor that archives. Dropping it ends the lock.
pub(in crate::servers) struct ArchiveSession(Lease);

impl PostgresJournal {
    /// Connects when the first connection is needed.
    ///
    /// # Errors
    /// [`PostgresError`] when the settings are invalid.
    pub fn new(settings: &PoolSettings) -> Result<Self, PostgresError> {
        LeasePool::with_plans(settings, FOR_PARTITIONS).map(Self)
    }

    /// Where the newest snapshot of an aggregate is, if there is one.
    ///
    /// # Errors
    /// [`PostgresError`]
    pub async fn snapshot(
        &self,
        aggregate: &Aggregate,
    ) -> Result<Option<SnapshotPlace>, PostgresError> {
        let (tenant, id) = parts(aggregate);
        let lease = self.0.lease().await?;
        let rows = lease.query_cached(SNAPSHOT, &[&tenant, &id]).await?;
        lease.give_back();
        Ok(rows.first().map(|row| SnapshotPlace {
            position: Position { epoch: unsigned(row, 0), version: unsigned(row, 1) },
            object: row.get(2),
            sha256: row.get(3),
        }))
    }

    /// The oldest partition that the archive must get. `None` when there is none, or another
    /// processor archives.
    pub(in crate::servers) async fn begin_archive(
        &self,
    ) -> Result<Option<(ArchiveSession, JournalPartition)>, PostgresError> {
        let lease = self.0.lease().await?;
        let due = lease.query_opt(DUE, &[]).await?;
        let Some(row) = due else {
            lease.give_back();
            return Ok(None);
        };
        let partition = JournalPartition { name: row.get(0), since: row.get(1), until: row.get(2) };
        let is_first: bool = lease.query_one(LOCK, &[]).await?.get(0);
        Ok(is_first.then_some((ArchiveSession(lease), partition)))
    }
}

impl ArchiveSession {
    pub(in crate::servers) async fn is_archived(
        &self,
        partition: &JournalPartition,
    ) -> Result<bool, PostgresError> {
        Ok(self.0.query_one_cached(IS_ARCHIVED, &[&partition.name]).await?.get(0))
    }

    /// The rows of a partition after a place, as JSON, in the order of topic, partition and offset.
    pub(in crate::servers) async fn rows(
        &self,
        partition: &JournalPartition,
        (topic, part, offset): &RowPlace,
    ) -> Result<(Vec<String>, Option<RowPlace>), PostgresError> {
        let asked: [&(dyn ToSql + Sync); 6] =
            [&partition.since, &partition.until, topic, part, offset, &ROWS_PER_OBJECT];
        let rows = self.0.query_cached(ROWS, &asked).await?;
        let last = rows.last().map(|row| (row.get(1), row.get(2), row.get(3)));
        Ok((rows.iter().map(|row| row.get(0)).collect(), last))
    }

    pub(in crate::servers) async fn archived(
        &self,
        partition: &JournalPartition,
        (rows, objects, bytes): (i64, i32, i64),
    ) -> Result<(), PostgresError> {
        let row: [&(dyn ToSql + Sync); 4] = [&partition.name, &rows, &objects, &bytes];
        self.0.execute_cached(ARCHIVED, &row).await.map(drop)
    }

    /// Notes that each aggregate of the partition has a snapshot that includes it.
    pub(in crate::servers) async fn covered(
        &self,
        partition: &JournalPartition,
    ) -> Result<(), PostgresError> {
        self.0.execute_cached(COVERED, &[&partition.name]).await.map(drop)
    }

    pub(in crate::servers) async fn without_snapshot(
        &self,
        partition: &JournalPartition,
    ) -> Result<Vec<Aggregate>, PostgresError> {
        let asked: [&(dyn ToSql + Sync); 3] =
            [&partition.since, &partition.until, &AGGREGATES_PER_LOOK];
        let rows = self.0.query_cached(WITHOUT_SNAPSHOT, &asked).await?;
        rows.iter().map(key).collect()
    }

    /// Reads an aggregate with all its parts, ended ones too, and its views, as of one moment.
    /// `line` gets each as one line of JSON. `None` if the aggregate does not exist any more.
    pub(in crate::servers) async fn read_aggregate(
        &self,
        aggregate: &Aggregate,
        mut line: impl FnMut(&str, &str),
    ) -> Result<Option<Position>, PostgresError> {
        let (tenant, id) = parts(aggregate);
        self.0.batch_execute(super::BEGIN_SNAPSHOT).await?;
        let header = self.0.query_opt(HEADER, &[&tenant, &id]).await?;
        if let Some(row) = &header {
            line("header", row.get(2));
            let parts = [("ticket", TICKETS), ("appointment", APPOINTMENTS), ("view", VIEWS)];
            for (kind, sql) in parts {
                let rows = self.0.query_raw(sql, [tenant, id]).await?;
                let mut rows = std::pin::pin!(rows);
                while let Some(row) = rows.try_next().await? {
                    line(kind, row.get(0));
                }
            }
        }
        self.0.batch_execute("COMMIT").await?;
        Ok(header.map(|row| Position { epoch: unsigned(&row, 0), version: unsigned(&row, 1) }))
    }

    pub(in crate::servers) async fn taken(
        &self,
        aggregate: &Aggregate,
        place: &SnapshotPlace,
        bytes: i64,
    ) -> Result<(), PostgresError> {
        let (tenant, id) = parts(aggregate);
        let (epoch, version) = (long(place.position.epoch), long(place.position.version));
        let row: [&(dyn ToSql + Sync); 7] =
            [&tenant, &id, &epoch, &version, &place.object, &bytes, &place.sha256];
        self.0.execute_cached(TAKEN, &row).await.map(drop)
    }
}
