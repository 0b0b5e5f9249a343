//! Keeps tables within their retention: adds partitions ahead, drops old ones as a whole, and
//! deletes old rows of tables that have no partitions. The functions of migration V8 decide which
//! partitions are due, by PostgreSQL's clock.

use std::time::Duration;

use schemas::Millis;
use tokio_postgres::{Client, error::SqlState, types::ToSql};

use super::{LeasePool, PoolSettings, PostgresError, bounded, number, pool, unsigned};
use crate::ledger::LedgerError;

/// The tables that this task divides by time. The audit has its own functions.
pub const PARTITIONED_TABLES: [&str; 3] = ["journal", "parked", "stay"];

/// Most partitions that one call adds or drops, each in a transaction of its own. The first call
/// after a pause leaves the others to the next.
const MOST_PARTITIONS: u64 = 50;
/// How often `prepare` asks for the lock of a table, half a second each time.
const LOCK_TRIES: u32 = 10;
/// The pause between two of them, in which commits go on.
const LOCK_PAUSE: Duration = Duration::from_millis(500);
/// Most rows that one statement deletes: some tens of milliseconds, so that no batch is delayed.
const SLICE: i64 = 2_000;

/// The session plans each statement for the sizes that tables have at the moment: a plan made while
/// they were small would compare every row with every row.
const PLANNED_ANEW: &str = " -c plan_cache_mode=force_custom_plan -c jit=off";

/// What the present setting may have deleted is deleted for good: a longer one brings nothing back.
const SET_RETENTION: &str = "UPDATE clinicwire.retention SET days = $2, \
       retired_before = greatest(retired_before, \
         (extract(epoch FROM now()) * 1000)::bigint - days * 86400000::bigint) \
     WHERE name = $1 AND days <> $2";
const RETENTION: &str = "SELECT name, days FROM clinicwire.retention ORDER BY name";
const ADOPT_STRAYS: &str = "SELECT clinicwire.adopt_default_partition($1)";
const ADD: &str = "SELECT clinicwire.add_partition($1)";
const DROP: &str = "SELECT clinicwire.drop_partition($1)";
const REPORT: &str = "SELECT name, until, strays FROM clinicwire.partition_report()";

/// The outer condition is judged again on a row that a batch has changed meanwhile: a ticket that
/// an undo brings back stays.
const OLD_TICKETS: &str = "DELETE FROM clinicwire.ticket WHERE NOT unfinished \
       AND (tenant, location, ticket) IN ( \
         SELECT t.tenant, t.location, t.ticket FROM clinicwire.ticket t \
         WHERE NOT t.unfinished AND t.ended_at < ( \
           SELECT (extract(epoch FROM now()) * 1000)::bigint - r.days * 86400000::bigint \
           FROM clinicwire.retention r WHERE r.name = 'ticket') \
         ORDER BY t.ended_at LIMIT $1)";

/// Locations are the aggregates that have a timer. Their appointments are found in the order in
/// which they wake; those without a time follow at the end, and count from their last report. The
/// key of an appointment goes with it, while the location that held it last is this one. A runner
/// that still has the key in memory gets its next step refused and restores it.
const OLD_APPOINTMENTS: &str = "WITH gone AS (DELETE FROM clinicwire.appointment \
       WHERE NOT open AND NOT kept AND (tenant, location, appointment) IN ( \
         SELECT old.tenant, old.location, old.appointment FROM ( \
           SELECT (extract(epoch FROM now()) * 1000)::bigint - r.days * 86400000::bigint AS before \
           FROM clinicwire.retention r WHERE r.name = 'appointment') kept \
         CROSS JOIN (SELECT tenant, aggregate FROM clinicwire.aggregate WHERE due IS NOT NULL) a \
         CROSS JOIN LATERAL ( \
           (SELECT t.tenant, t.location, t.appointment FROM clinicwire.appointment t \
              WHERE t.tenant = a.tenant AND t.location = a.aggregate AND t.wakes_at < kept.before \
              AND NOT t.open AND NOT t.kept ORDER BY t.wakes_at LIMIT $1) \
           UNION ALL \
           (SELECT t.tenant, t.location, t.appointment FROM clinicwire.appointment t \
              WHERE t.tenant = a.tenant AND t.location = a.aggregate AND t.wakes_at IS NULL \
              AND NOT t.open AND NOT t.kept AND (t.body ->> 'reported_at')::bigint < kept.before \
              LIMIT $1)) old LIMIT $1) \
       RETURNING tenant, appointment, \
         ARRAY[convert_to(source, 'UTF8'), convert_to(source_key, 'UTF8')] AS key), \
     keys AS (DELETE FROM clinicwire.aggregate a USING gone g WHERE a.tenant = g.tenant \
       AND a.header #>> '{holder,appointment}' = g.appointment \
       AND a.aggregate = 'k_' || left(encode(sha256( \
         int8send(length(g.key[1])) || g.key[1] || int8send(length(g.key[2])) || g.key[2]), \
         'hex'), 32)) \
     SELECT 1 FROM gone";

/// For how many days rows are kept. What is `None` stays as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct RetentionDays {
    /// Partitions of the journal that the archive has.
    pub journal: Option<u32>,
    /// Stays: the history of tickets.
    pub history: Option<u32>,
    /// Records that were set aside.
    pub parked: Option<u32>,
    /// Tickets, after their end.
    pub tickets: Option<u32>,
    /// Appointments that have ended, after their time.
    pub appointments: Option<u32>,
}

/// Sets the retention. Takes the login of the owner. Returns the days of each table, as they are
/// now.
///
/// # Errors
/// [`PostgresError`]
pub async fn set_row_retention(
    url: &str,
    days: &RetentionDays,
) -> Result<Vec<(String, u32)>, PostgresError> {
    let client = owner(url).await?;
    let RetentionDays { journal, history, parked, tickets, appointments } = *days;
    for (name, days) in [
        ("journal", journal),
        ("stay", history),
        ("parked", parked),
        ("ticket", tickets),
        ("appointment", appointments),
    ] {
        if let Some(days) = days {
            client.execute(SET_RETENTION, &[&name, &number(days)]).await?;
        }
    }
    let rows = client.query(RETENTION, &[]).await?;
    let kept = |row: &tokio_postgres::Row| (row.get(0), row.get::<_, i32>(1).unsigned_abs());
    Ok(rows.iter().map(kept).collect())
}

/// What became of the rows of a default partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Adoption {
    /// The default partition is an ordinary one with this name.
    Adopted(String),
    /// The default partition of this table may have rows, and other sessions held the table.
    Busy(&'static str),
}

/// Makes default partitions with rows ordinary ones. Takes the login of the owner, and waits for
/// nobody for long: commits would wait behind it.
///
/// # Errors
/// [`PostgresError`]
pub async fn adopt_strays(url: &str) -> Result<Vec<Adoption>, PostgresError> {
    let client = owner(url).await?;
    // Reading the rows of a large default partition takes longer than a service may.
    client.batch_execute("SET statement_timeout = 0").await?;
    let mut adopted = Vec::new();
    for table in PARTITIONED_TABLES {
        adopted.extend(adopt(&client, table).await?);
    }
    Ok(adopted)
}

async fn adopt(client: &Client, table: &'static str) -> Result<Option<Adoption>, PostgresError> {
    for _ in 0..LOCK_TRIES {
        match client.query_one(ADOPT_STRAYS, &[&table]).await {
            Ok(row) => return Ok(row.get::<_, Option<String>>(0).map(Adoption::Adopted)),
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                tokio::time::sleep(LOCK_PAUSE).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(Some(Adoption::Busy(table)))
}

async fn owner(url: &str) -> Result<Client, PostgresError> {
    pool::login(&pool::ConnectionSettings { url: url.to_owned(), role: None }).await
}

/// The partitions of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionReport {
    /// The table.
    pub table: String,
    /// When the last partition ends.
    pub until: Millis,
    /// Rows of the default partition, at most 10,000: their periods had no partition in time.
    pub strays: u64,
}

/// Rows that were deleted because their retention was over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetiredRows {
    /// Tickets that had ended.
    pub tickets: u64,
    /// Appointments that had ended.
    pub appointments: u64,
}

/// The retention of tables on PostgreSQL.
pub struct PostgresRetention(LeasePool);

impl PostgresRetention {
    /// Connects when the first connection is needed.
    ///
    /// # Errors
    /// [`PostgresError`] when the settings are invalid.
    pub fn new(settings: &PoolSettings) -> Result<Self, PostgresError> {
        LeasePool::with_plans(settings, PLANNED_ANEW).map(Self)
    }

    /// Adds the partitions of a table that are missing. Returns how many were.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] when a lock is not free at the moment, or the outcome is
    /// unknown.
    pub async fn add_partitions(&self, table: &str) -> Result<u64, LedgerError> {
        self.repeat(ADD, table).await
    }

    /// Drops the partitions of a table whose retention is over. Returns how many were.
    ///
    /// # Errors
    /// As [`PostgresRetention::add_partitions`].
    pub async fn drop_partitions(&self, table: &str) -> Result<u64, LedgerError> {
        self.repeat(DROP, table).await
    }

    /// Calls a function that changes one partition, until it finds nothing to do.
    async fn repeat(&self, sql: &str, table: &str) -> Result<u64, LedgerError> {
        let mut changed = 0;
        while changed < MOST_PARTITIONS {
            let rows = bounded(self.0.query(sql, &[&table])).await?;
            let name = rows.first().and_then(|row| row.get::<_, Option<String>>(0));
            let Some(name) = name else { break };
            tracing::info!(partition = name, "a partition was added or dropped");
            changed += 1;
        }
        Ok(changed)
    }

    /// Deletes a slice of the tickets and of the appointments whose retention is over. Returns
    /// whether there may be more.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] when the outcome is unknown.
    pub async fn retire_rows(&self) -> Result<(RetiredRows, bool), LedgerError> {
        let tickets = self.delete_slice(OLD_TICKETS).await?;
        let appointments = self.delete_slice(OLD_APPOINTMENTS).await?;
        let is_full = tickets.max(appointments) >= SLICE.unsigned_abs();
        Ok((RetiredRows { tickets, appointments }, is_full))
    }

    async fn delete_slice(&self, sql: &str) -> Result<u64, LedgerError> {
        let slice: [&(dyn ToSql + Sync); 1] = [&SLICE];
        bounded(async {
            let lease = self.0.lease().await?;
            let deleted = lease.execute_cached(sql, &slice).await?;
            lease.give_back();
            Ok(deleted)
        })
        .await
    }

    /// The partitions of every table.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] when PostgreSQL does not answer.
    pub async fn report(&self) -> Result<Vec<PartitionReport>, LedgerError> {
        let rows = bounded(self.0.query(REPORT, &[])).await?;
        let report = |row: &tokio_postgres::Row| PartitionReport {
            table: row.get(0),
            until: row.get(1),
            strays: unsigned(row, 2),
        };
        Ok(rows.iter().map(report).collect())
    }
}
