//! Batches as one transaction.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use futures_util::future::{join_all, join3};
use tokio_postgres::{Statement, error::SqlState};

use super::{
    Consumer, PostgresError,
    pool::{Lease, LeasePool},
    writes::{RequiredRows, Write, writes},
};
use crate::ledger::{Batch, LedgerError};

/// The beginning of a transaction with batches of several partitions: none of them waits long for
/// rows that another session has locked.
const BEGIN_SHARED: &str = "BEGIN; SET LOCAL lock_timeout = '50ms'";

/// Commits batches of different partitions in one transaction.
pub(super) async fn write(
    pool: &LeasePool,
    consumer: &Consumer,
    batches: &[&Batch],
) -> Result<(), LedgerError> {
    let writes = writes(batches, consumer);
    let begin = if batches.len() > 1 { BEGIN_SHARED } else { "BEGIN" };
    let lease = pool.lease().await?;
    let statements = lease.prepare_all(&writes).await?;
    let failed = AtomicBool::new(false);
    // After a statement that the server refuses, `COMMIT` rolls back. A statement that could
    // not be sent is known at once, before the end of the transaction is chosen.
    let end = async {
        let end = if failed.load(Relaxed) { "ROLLBACK" } else { "COMMIT" };
        lease.batch_execute(end).await
    };
    // One round trip: `join3` polls its futures in order, and each sends when it is first
    // polled.
    let executed = lease.execute_all(&writes, &statements, &failed);
    let (begun, done, ended) = join3(lease.batch_execute(begin), executed, end).await;
    begun.map_err(PostgresError::from)?;
    let checked = check_counts(&writes, done);
    ended.map_err(PostgresError::from)?;
    lease.give_back();
    checked
}

/// Judges a batch by its row counts in the order of the statements: a lost fence explains every
/// later failure.
pub(super) fn check_counts(
    writes: &[Write<'_>],
    done: Vec<Result<u64, tokio_postgres::Error>>,
) -> Result<(), LedgerError> {
    for (write, done) in writes.iter().zip(done) {
        match (done, &write.expected) {
            (Err(error), RequiredRows::Fence) if is_unmet(&error) => {
                return Err(LedgerError::Fenced);
            }
            (Err(error), RequiredRows::Demanded) if is_unmet(&error) => {
                return Err(LedgerError::Diverged);
            }
            (Err(error), RequiredRows::New) if is_unmet(&error) => {
                return Err(LedgerError::Repeated);
            }
            (Err(error), _) => return Err(PostgresError::from(error).into()),
            (Ok(rows), RequiredRows::Count(expected)) if rows != *expected => {
                return Err(LedgerError::Diverged);
            }
            (Ok(_), _) => {}
        }
    }
    Ok(())
}

/// Whether a statement did not find the rows that it demands.
fn is_unmet(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::DIVISION_BY_ZERO)
}

impl Lease {
    /// Prepares the statements of a batch, in one round trip.
    pub(super) async fn prepare_all(
        &self,
        writes: &[Write<'_>],
    ) -> Result<Vec<Statement>, PostgresError> {
        let statements = join_all(writes.iter().map(|write| self.prepare_cached(write.sql))).await;
        Ok(statements.into_iter().collect::<Result<_, _>>()?)
    }

    /// Executes the statements of a batch in their order, in one round trip. Sets `failed` as soon
    /// as one has failed.
    pub(super) async fn execute_all(
        &self,
        writes: &[Write<'_>],
        statements: &[Statement],
        failed: &AtomicBool,
    ) -> Vec<Result<u64, tokio_postgres::Error>> {
        let execute = async |(write, statement): (&Write<'_>, &Statement)| {
            let done = self.execute(statement, &write.parameters()).await;
            failed.fetch_or(done.is_err(), Relaxed);
            done
        };
        join_all(writes.iter().zip(statements).map(execute)).await
    }
}
