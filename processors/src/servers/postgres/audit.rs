//! The store of the audit on PostgreSQL.

mod statements;

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
};

use futures_util::future::join3;
use schemas::{Millis, ids::TenantId};
use tokio_postgres::{Row, types::ToSql};

use self::statements::{
    ADD_DAYS, ANCHORS, DAYS, DROP_DAY, HASH, HEAD, HEADS, MOVED_HEADS, NEW_HEADS, PERSONS, ROWS,
    SET_RETENTION, STORED_ANCHORS, STORED_ROWS, TENANTS,
};
use super::{
    Consumer, Lease, LeasePool, PoolSettings, PostgresError, bounded,
    columns::{Parameter, column, to_json},
    long, number, pool,
    statements::{CHECKPOINT, CLAIM},
    transaction::check_counts,
    unsigned,
    writes::{BatchWrites, PARKED, RequiredRows, Write, fence},
};
use crate::{
    BoxFuture,
    audit::{
        Anchor, AuditBatch, AuditStore, ChainEnds, ChainGrowth, ChainHash, ChainHead, ChainRow,
        Day, EntryNumber, ParkedRecord, RowColumns, StoredRow,
    },
    ledger::{LedgerError, OwnerEpoch, PartitionClaim},
    log::{LogOffset, PartitionId},
};

/// Days that are prepared ahead: the maintenance may fail for this long.
const DAYS_AHEAD: i32 = 7;
/// Most days that one maintenance drops, each in a transaction of its own. The first after a change
/// of the retention leaves the others to the next.
const MOST_DROPPED: u64 = 50;

/// The session plans each statement for its values. A plan for any value would lock every day of
/// the table, and there are thousands.
const PLANNED_ANEW: &str = " -c plan_cache_mode=force_custom_plan -c jit=off";

/// Sets how many days the audit is kept. Takes the login of the owner.
///
/// # Errors
/// [`PostgresError`]
pub async fn set_audit_retention(url: &str, days: u32) -> Result<(), PostgresError> {
    let owner = pool::ConnectionSettings { url: url.to_owned(), role: None };
    let client = pool::login(&owner).await?;
    client.execute(SET_RETENTION, &[&number(days)]).await?;
    Ok(())
}

/// The store of the audit on PostgreSQL.
pub struct PostgresAudit {
    pool: LeasePool,
    consumer: Consumer,
    /// Days whose partitions are known to exist.
    days: Mutex<BTreeSet<Day>>,
}

impl PostgresAudit {
    /// The connections by state, for metrics.
    pub fn connections(&self) -> [(&'static str, usize); 4] {
        self.pool.connections()
    }

    /// Connects when the first connection is needed.
    ///
    /// # Errors
    /// [`PostgresError`] when the settings are invalid.
    pub fn new(settings: &PoolSettings, consumer: Consumer) -> Result<Self, PostgresError> {
        let pool = LeasePool::with_plans(settings, PLANNED_ANEW)?;
        Ok(Self { pool, consumer, days: Mutex::default() })
    }

    /// Prepares the days from `today` on that new rows will need, and drops days whose retention is
    /// over. Returns how many were dropped.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] when the outcome is unknown.
    pub async fn maintain(&self, today: Day) -> Result<u64, LedgerError> {
        let ahead: Vec<i32> = (today.0..=today.0 + DAYS_AHEAD).collect();
        bounded(self.pool.query(ADD_DAYS, &[&ahead])).await?;
        let mut dropped = 0;
        while dropped < MOST_DROPPED {
            let rows = bounded(self.pool.query(DROP_DAY, &[])).await?;
            if !rows.first().is_some_and(|row| row.get(0)) {
                break;
            }
            dropped += 1;
        }
        let days = bounded(self.read_days()).await?;
        *self.known_days() = days.into_iter().collect();
        Ok(dropped)
    }

    fn known_days(&self) -> MutexGuard<'_, BTreeSet<Day>> {
        self.days.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn write(&self, batch: &AuditBatch) -> Result<(), LedgerError> {
        let lease = self.pool.lease().await?;
        let written = self.write_on(&lease, batch).await;
        match &written {
            Err(LedgerError::Fenced | LedgerError::Diverged) => {
                lease.batch_execute("ROLLBACK").await.map_err(PostgresError::from)?;
            }
            Err(_) => return written, // dropping the lease rolls back
            Ok(()) => lease.batch_execute("COMMIT").await.map_err(PostgresError::from)?,
        }
        lease.give_back();
        written
    }

    /// Writes all but the end of the transaction, in two round trips.
    async fn write_on(&self, lease: &Lease, batch: &AuditBatch) -> Result<(), LedgerError> {
        let heads = self.fence(lease, batch).await?;
        let growths: Vec<(&TenantId, ChainGrowth)> = batch
            .tenants
            .iter()
            .filter_map(|new| {
                let from = heads.iter().find(|(tenant, _)| *tenant == new.tenant.as_str());
                let entries = new.entries.iter().cloned();
                let growth = ChainGrowth::new(&new.tenant, from.map(|(_, head)| *head), entries)?;
                Some((&new.tenant, growth))
            })
            .collect();
        self.add_days(lease, &growths).await?;
        let writes = writes(&growths, &batch.parked, &self.consumer, batch.claim.partition);
        let statements = lease.prepare_all(&writes).await?;
        let failed = AtomicBool::new(false); // the caller ends the transaction by the counts
        check_counts(&writes, lease.execute_all(&writes, &statements, &failed).await)
    }

    /// Begins the transaction, moves the checkpoint and locks the heads of the batch's tenants.
    async fn fence(
        &self,
        lease: &Lease,
        batch: &AuditBatch,
    ) -> Result<Vec<(String, ChainHead)>, LedgerError> {
        let fence = fence(vec![(&batch.claim, &batch.to)], &self.consumer);
        let fenced = lease.prepare_cached(fence.sql).await.map_err(PostgresError::from)?;
        let heads = lease.prepare_cached(HEADS).await.map_err(PostgresError::from)?;
        let tenants: Vec<&str> = batch.tenants.iter().map(|new| new.tenant.as_str()).collect();
        let (begun, fenced, heads) = join3(
            lease.batch_execute("BEGIN"),
            lease.execute(&fenced, &fence.parameters()),
            lease.query(&heads, &[&tenants]),
        )
        .await;
        begun.map_err(PostgresError::from)?;
        check_counts(&[fence], vec![fenced])?;
        let heads = heads.map_err(PostgresError::from)?;
        let read = heads.iter().map(|row| Ok((row.get(0), head(row)?)));
        Ok(read.collect::<Result<_, PostgresError>>()?)
    }

    /// Adds the days of new rows that are not known to exist, such as those of an outage that
    /// ended.
    async fn add_days(
        &self,
        lease: &Lease,
        growths: &[(&TenantId, ChainGrowth)],
    ) -> Result<(), LedgerError> {
        let needed = growths.iter().flat_map(|(_, growth)| &growth.rows);
        let needed: BTreeSet<Day> = needed.map(|row| Day::of(row.logged_at)).collect();
        let missing: Vec<i32> = needed.difference(&self.known_days()).map(|day| day.0).collect();
        if missing.is_empty() {
            return Ok(());
        }
        lease.query_cached(ADD_DAYS, &[&missing]).await?;
        Ok(())
    }

    async fn read_checkpoint(
        &self,
        sql: &str,
        partition: PartitionId,
    ) -> Result<PartitionClaim, LedgerError> {
        let Consumer { name, topic } = &self.consumer;
        let rows = self.pool.query(sql, &[name, topic, &number(partition.0)]).await?;
        let row = rows.first().ok_or(LedgerError::Fenced)?;
        let (owner_epoch, next_offset) = (OwnerEpoch(row.get(0)), LogOffset(row.get(1)));
        Ok(PartitionClaim { partition, owner_epoch, next_offset })
    }

    async fn read_head(&self, tenant: &TenantId) -> Result<Option<ChainHead>, LedgerError> {
        let rows = self.pool.query(HEAD, &[&tenant.as_str()]).await?;
        Ok(rows.first().map(head).transpose()?)
    }

    async fn read_days(&self) -> Result<Vec<Day>, LedgerError> {
        let rows = self.pool.query(DAYS, &[]).await?;
        Ok(rows.iter().map(|row| Day(row.get(0))).collect())
    }
}

/// The statements after the heads are locked.
fn writes<'a>(
    growths: &'a [(&'a TenantId, ChainGrowth)],
    parked: &'a [ParkedRecord],
    consumer: &'a Consumer,
    partition: PartitionId,
) -> Vec<Write<'a>> {
    let rows: Vec<(&str, &ChainRow)> = each(growths, |growth| &growth.rows);
    let anchors: Vec<(&str, &Anchor)> = each(growths, |growth| &growth.anchors);
    let persons: Vec<_> = rows
        .iter()
        .flat_map(|(tenant, row)| {
            row.written.entry.persons().into_iter().map(|person| (*tenant, *row, person))
        })
        .collect();
    let (new, moved): (Vec<_>, Vec<_>) =
        growths.iter().partition(|(_, growth)| growth.from.is_none());
    let parked: Vec<&ParkedRecord> = parked.iter().collect();
    let mut writes = BatchWrites(Vec::new());
    let mut add = |sql, rows: usize, parameters: Vec<Parameter<'a>>| {
        writes.add(sql, rows, RequiredRows::Count(rows as u64), parameters);
    };
    add(ROWS, rows.len(), row_columns(&rows));
    add(
        PERSONS,
        persons.len(),
        vec![
            column(&persons, |(tenant, ..)| *tenant),
            column(&persons, |(.., person)| person.to_string()),
            column(&persons, |(_, row, _)| row.logged_at),
            column(&persons, |(_, row, _)| long(row.number.0)),
        ],
    );
    add(NEW_HEADS, new.len(), head_columns(&new));
    add(MOVED_HEADS, moved.len(), head_columns(&moved));
    add(
        PARKED,
        parked.len(),
        vec![
            Box::new(&consumer.topic),
            Box::new(number(partition.0)),
            column(&parked, |row| row.offset.0),
            column(&parked, |row| row.code.as_str()),
            column(&parked, |row| row.record.key.as_bytes()),
            column(&parked, |row| to_json(&row.record.headers)),
            column(&parked, |row| &*row.record.value),
        ],
    );
    writes.add(ANCHORS, anchors.len(), RequiredRows::Any, anchor_columns(&anchors));
    writes.0
}

/// One kind of row of all tenants, each with its tenant.
fn each<'a, R>(
    growths: &'a [(&'a TenantId, ChainGrowth)],
    rows: impl Fn(&'a ChainGrowth) -> &'a Vec<R>,
) -> Vec<(&'a str, &'a R)> {
    let of = |(tenant, growth): &'a (&'a TenantId, ChainGrowth)| {
        rows(growth).iter().map(move |row| (tenant.as_str(), row))
    };
    growths.iter().flat_map(of).collect()
}

fn row_columns<'a>(rows: &[(&'a str, &'a ChainRow)]) -> Vec<Parameter<'a>> {
    let columns: Vec<_> = rows.iter().map(|(_, row)| RowColumns::of(&row.written.entry)).collect();
    vec![
        column(rows, |(tenant, _)| *tenant),
        column(rows, |(_, row)| long(row.number.0)),
        column(rows, |(_, row)| row.logged_at),
        column(&columns, |columns| columns.subject.clone()),
        column(&columns, |columns| columns.action.clone()),
        column(&columns, |columns| columns.code.clone()),
        column(rows, |(_, row)| row.written.text.get()),
        column(rows, |(_, row)| &row.hash.0[..]),
    ]
}

fn anchor_columns<'a>(anchors: &[(&'a str, &'a Anchor)]) -> Vec<Parameter<'a>> {
    vec![
        column(anchors, |(tenant, _)| *tenant),
        column(anchors, |(_, anchor)| anchor.day.0),
        column(anchors, |(_, anchor)| long(anchor.before.0)),
        column(anchors, |(_, anchor)| &anchor.hash.0[..]),
    ]
}

fn head_columns<'a>(growths: &[&'a (&'a TenantId, ChainGrowth)]) -> Vec<Parameter<'a>> {
    vec![
        column(growths, |(tenant, _)| tenant.as_str()),
        column(growths, |(_, growth)| long(growth.head.number.0)),
        column(growths, |(_, growth)| growth.head.logged_at),
        column(growths, |(_, growth)| &growth.head.hash.0[..]),
    ]
}

/// The head in the columns `tenant, number, logged_at, hash`.
fn head(row: &Row) -> Result<ChainHead, PostgresError> {
    let number = EntryNumber(unsigned(row, 1));
    Ok(ChainHead { number, logged_at: row.get(2), hash: hash(row.get(3))? })
}

fn hash(bytes: &[u8]) -> Result<ChainHash, PostgresError> {
    let bytes = bytes.try_into().map_err(|_| PostgresError::Unreadable("a hash"))?;
    Ok(ChainHash(bytes))
}

fn stored_row(row: &Row) -> Result<StoredRow, PostgresError> {
    Ok(StoredRow {
        number: EntryNumber(unsigned(row, 0)),
        logged_at: row.get(1),
        columns: RowColumns { subject: row.get(2), action: row.get(3), code: row.get(4) },
        body: row.get(5),
        hash: hash(row.get(6))?,
    })
}

impl AuditStore for PostgresAudit {
    fn claim(&self, partition: PartitionId) -> BoxFuture<'_, Result<PartitionClaim, LedgerError>> {
        Box::pin(bounded(self.read_checkpoint(CLAIM, partition)))
    }

    fn checkpoint(
        &self,
        partition: PartitionId,
    ) -> BoxFuture<'_, Result<PartitionClaim, LedgerError>> {
        Box::pin(bounded(self.read_checkpoint(CHECKPOINT, partition)))
    }

    fn commit<'a>(&'a self, batch: &'a AuditBatch) -> BoxFuture<'a, Result<(), LedgerError>> {
        Box::pin(bounded(self.write(batch)))
    }

    fn has_sound_end<'a>(
        &'a self,
        tenant: &'a TenantId,
    ) -> BoxFuture<'a, Result<bool, LedgerError>> {
        Box::pin(bounded(async move {
            let Some(head) = self.read_head(tenant).await? else { return Ok(true) };
            let place = (head.logged_at, long(head.number.0));
            let rows = self.pool.query(HASH, &[&tenant.as_str(), &place.0, &place.1]).await?;
            if let Some(row) = rows.first() {
                return Ok(hash(row.get(0))? == head.hash);
            }
            // The last row of a chain that ended long ago was dropped with its day.
            Ok(!self.read_days().await?.contains(&Day::of(head.logged_at)))
        }))
    }

    fn tenants<'a>(
        &'a self,
        after: Option<&'a TenantId>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<TenantId>, LedgerError>> {
        Box::pin(bounded(async move {
            let after = after.map_or("", TenantId::as_str);
            let rows = self.pool.query(TENANTS, &[&after, &i64::from(limit)]).await?;
            let tenant = |row: &Row| {
                TenantId::new(row.get::<_, &str>(0))
                    .map_err(|_| PostgresError::Unreadable("a tenant"))
            };
            Ok(rows.iter().map(tenant).collect::<Result<_, _>>()?)
        }))
    }

    fn ends<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<ChainEnds, LedgerError>> {
        Box::pin(bounded(async move {
            let head = self.read_head(tenant).await?;
            let rows = self.pool.query(STORED_ANCHORS, &[&tenant.as_str()]).await?;
            let anchor = |row: &Row| {
                let before = EntryNumber(unsigned(row, 1));
                Ok(Anchor { day: Day(row.get(0)), before, hash: hash(row.get(2))? })
            };
            let anchors = rows.iter().map(anchor).collect::<Result<_, PostgresError>>()?;
            Ok(ChainEnds { head, anchors })
        }))
    }

    fn days(&self) -> BoxFuture<'_, Result<Vec<Day>, LedgerError>> {
        Box::pin(bounded(self.read_days()))
    }

    fn rows<'a>(
        &'a self,
        tenant: &'a TenantId,
        day: Day,
        after: Option<(Millis, EntryNumber)>,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<StoredRow>, LedgerError>> {
        Box::pin(bounded(async move {
            let (starts, ends) = (day.starts(), Day(day.0 + 1).starts());
            let (at, number) = after.map_or((starts, 0), |(at, number)| (at, long(number.0)));
            let parameters: [&(dyn ToSql + Sync); 6] =
                [&tenant.as_str(), &starts, &ends, &at, &number, &i64::from(limit)];
            let rows = self.pool.query(STORED_ROWS, &parameters).await?;
            Ok(rows.iter().map(stored_row).collect::<Result<_, _>>()?)
        }))
    }
}
