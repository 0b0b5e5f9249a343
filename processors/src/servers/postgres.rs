//! The ledger on PostgreSQL. Every batch is in one transaction with the same few statements,
//! however many records it has, sent in one round trip; small batches of different partitions share
//! a transaction. Every read is one round trip.

mod alerts;
mod audit;
mod columns;
mod epochs;
mod history;
mod journal;
mod ledger;
mod parked;
mod pool;
mod rebuild;
mod retention;
mod rows;
mod runs;
mod shared_commits;
mod statements;
mod topics;
mod transaction;
mod verify;
mod webhooks;
mod work;
mod writes;

use std::{future::Future, sync::Arc, time::Duration};

use futures_util::future::{join, join_all, join3, try_join_all};
pub use servers::postgres::{PostgresError, Role};
use tokio_postgres::{Row, types::ToSql};

pub use alerts::PostgresAlerts;
pub use audit::{PostgresAudit, set_audit_retention};
pub(in crate::servers) use journal::ArchiveSession;
pub use journal::{JournalPartition, PostgresJournal, SnapshotPlace};
pub use parked::{ParkedSummary, PostgresParked, RecordPlace};
pub use pool::{ConnectionSettings, PoolSettings, check_roles, login};
use pool::{Lease, LeasePool};
pub use rebuild::{RebuildError, RebuiltLocation};
pub use retention::{
    Adoption, PARTITIONED_TABLES, PartitionReport, PostgresRetention, RetentionDays, RetiredRows,
    adopt_strays, set_row_retention,
};
use rows::json;
use shared_commits::SharedCommits;
use statements::{BEGIN_LIGHT, BEGIN_SNAPSHOT, SWEEP_VIEWS};
pub use topics::{AcceptedLog, PostgresTopics};
pub use verify::{ComparedAggregate, PostgresVerifier, VerifiedScope};
pub use webhooks::PostgresWebhooks;
pub use work::PostgresWork;

use crate::{
    ledger::{LedgerError, OwnerEpoch, PartitionClaim},
    log::{LogOffset, PartitionId},
};

/// Longest time for one operation on our side: above the server's own limits, so that it only ends
/// operations on a dead connection. Past it the connection is closed and the outcome is unknown.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(9);
/// Most views deleted by one statement: a few milliseconds of work, so that no batch is delayed.
const SWEEP_LIMIT: i64 = 500;

/// Names the checkpoint rows of one deployment of the processors.
#[derive(Debug, Clone)]
pub struct Consumer {
    /// The name of the consumer group.
    pub name: String,
    /// The topic whose records are applied.
    pub topic: String,
}

/// The ledger on PostgreSQL.
pub struct PostgresLedger {
    pool: LeasePool,
    consumer: Consumer,
    transactions: Arc<SharedCommits>,
}

impl PostgresLedger {
    /// The connections by state, for metrics.
    pub fn connections(&self) -> [(&'static str, usize); 4] {
        self.pool.connections()
    }

    /// Connects when the first connection is needed; [`PostgresLedger::check`] tries it.
    ///
    /// # Errors
    /// [`PostgresError`] when the settings are invalid.
    pub fn new(settings: &PoolSettings, consumer: Consumer) -> Result<Self, PostgresError> {
        let pool = LeasePool::new(settings)?;
        let transactions = Arc::new(SharedCommits::new(pool.clone(), consumer.clone()));
        Ok(Self { pool, consumer, transactions })
    }

    /// Checks that a connection works with the processors' role.
    ///
    /// # Errors
    /// [`PostgresError`]
    pub async fn check(&self) -> Result<(), PostgresError> {
        let lease = self.pool.lease().await?;
        lease.query_opt("SELECT 1 FROM clinicwire.checkpoint LIMIT 1", &[]).await?;
        lease.give_back();
        Ok(())
    }

    /// Deletes a bounded number of expired views. Returns whether there may be more.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] when the outcome is unknown.
    pub async fn sweep(&self) -> Result<bool, LedgerError> {
        bounded(async {
            let lease = self.pool.lease().await?;
            let swept = lease.execute_cached(SWEEP_VIEWS, &[&SWEEP_LIMIT]).await?;
            lease.give_back();
            Ok(swept == u64::try_from(SWEEP_LIMIT).unwrap_or(u64::MAX))
        })
        .await
    }

    async fn read_checkpoint(
        &self,
        sql: &str,
        partition: PartitionId,
    ) -> Result<PartitionClaim, LedgerError> {
        let lease = self.pool.lease().await?;
        let row = lease
            .query_one_cached(
                sql,
                &[&self.consumer.name, &self.consumer.topic, &number(partition.0)],
            )
            .await?;
        lease.give_back();
        Ok(PartitionClaim {
            partition,
            owner_epoch: OwnerEpoch(row.get(0)),
            next_offset: LogOffset(row.get(1)),
        })
    }
}

/// Limits an operation, for connections that died without notice.
async fn bounded<T>(
    operation: impl Future<Output = Result<T, LedgerError>>,
) -> Result<T, LedgerError> {
    tokio::time::timeout(OPERATION_TIMEOUT, operation)
        .await
        .unwrap_or_else(|_| Err(PostgresError::TimedOut.into()))
}

/// A small count as PostgreSQL's `int`.
fn number(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// An epoch or a version as PostgreSQL's `bigint`: seconds and counts, far below its limit.
fn long(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(row: &Row, column: usize) -> u64 {
    u64::try_from(row.get::<_, i64>(column)).unwrap_or_default()
}

impl PostgresLedger {
    /// A write that a crash may lose, in one round trip.
    async fn write_without_sync(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<(), LedgerError> {
        let lease = self.pool.lease().await?;
        let statement = lease.prepare_cached(sql).await.map_err(PostgresError::from)?;
        let (begun, done, committed) = join3(
            lease.batch_execute(BEGIN_LIGHT),
            lease.execute(&statement, parameters),
            lease.batch_execute("COMMIT"),
        )
        .await;
        begun.and(done).and(committed).map_err(PostgresError::from)?;
        lease.give_back();
        Ok(())
    }

    /// Reads one row and the rows that belong to it from one snapshot, in one round trip. All
    /// statements have the same parameters. Returns nothing when there is no such row.
    async fn snapshot<const N: usize>(
        &self,
        one: &str,
        many: [&str; N],
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<(Row, [Vec<Row>; N])>, LedgerError> {
        let lease = self.pool.lease().await?;
        let one = lease.prepare_cached(one).await.map_err(PostgresError::from)?;
        let many = try_join_all(many.iter().map(|sql| lease.prepare_cached(sql)))
            .await
            .map_err(PostgresError::from)?;
        let lists = join_all(many.iter().map(|statement| lease.query(statement, parameters)));
        let reads = join(lease.query_opt(&one, parameters), lists);
        let (begun, (one, many), ended) =
            join3(lease.batch_execute(BEGIN_SNAPSHOT), reads, lease.batch_execute("COMMIT")).await;
        begun.and(ended).map_err(PostgresError::from)?;
        let one = one.map_err(PostgresError::from)?;
        let many: Vec<Vec<Row>> =
            many.into_iter().collect::<Result<_, _>>().map_err(PostgresError::from)?;
        lease.give_back();
        Ok(one.map(|row| (row, many.try_into().expect("one result per statement"))))
    }
}

impl LeasePool {
    /// Reads rows by one statement.
    async fn query(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, LedgerError> {
        let lease = self.lease().await?;
        let rows = lease.query_cached(sql, parameters).await?;
        lease.give_back();
        Ok(rows)
    }
}

impl Lease {
    async fn query_cached(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, PostgresError> {
        Ok(self.query(&self.prepare_cached(sql).await?, parameters).await?)
    }

    async fn query_one_cached(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, PostgresError> {
        Ok(self.query_one(&self.prepare_cached(sql).await?, parameters).await?)
    }

    async fn execute_cached(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, PostgresError> {
        Ok(self.execute(&self.prepare_cached(sql).await?, parameters).await?)
    }
}

impl From<PostgresError> for LedgerError {
    fn from(error: PostgresError) -> Self {
        match error {
            PostgresError::Unreadable(_) => LedgerError::Refused(Box::new(error)),
            PostgresError::Refused { ref code, .. } if blames_data(code) => {
                LedgerError::Refused(Box::new(error))
            }
            error => LedgerError::Unavailable(Box::new(error)),
        }
    }
}

/// Whether PostgreSQL refuses because of the data, so that it will refuse the same data again. The
/// first two characters of a code are its class (PostgreSQL's manual, appendix A): data exception,
/// violated constraint, exceeded limit of a row or an index. Other classes concern the server, the
/// session or the schema.
fn blames_data(code: &str) -> bool {
    ["22", "23", "54"].iter().any(|class| code.starts_with(class))
}
