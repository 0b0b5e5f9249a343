//! The ledger on Postgres. Every batch is one transaction with the same few statements however many records it has,
//! sent in one go; every read is one round trip.

mod columns;
mod failure;
mod pool;
mod rows;
mod runs;
mod statements;
mod work;
mod writes;

use std::{future::Future, time::Duration};

use futures_util::future::{join, join_all, join3, try_join, try_join_all};
use schemas::{
    Millis,
    appointment::SourceKey,
    command::CommandOutcome,
    ids::{Aggregate, AppointmentId, CommandId, SourceId, TenantId, TicketId},
    view::{Entries, Position, View},
};
use serde_json::value::RawValue;
use tokio_postgres::{Row, types::ToSql};

use columns::parts;
pub use failure::Failure;
pub use pool::{ConnectionSettings, PoolSettings, Role, login};
use pool::{Lease, Pool};
use rows::{appointment, json, key, outbox_row, ticket};
use statements::{
    AGGREGATE, APPOINTMENTS, APPOINTMENTS_OF_DAYS, BEGIN_LIGHT, BEGIN_SNAPSHOT, CHECKPOINT, CLAIM,
    DIRTY, DUE, ENDED, ENTRIES, LIVE, MARK_DIRTY, NAMED_APPOINTMENTS, NEXT_EPOCH, OUTBOX, OUTCOMES,
    PUBLISHED, REPAIRED, SWEEP_VIEWS, VIEW,
};
pub use work::PostgresWork;
use writes::{Expected, Write, writes};

use crate::{
    BoxFuture,
    aggregate::{AggregateHeader, StoredAggregate},
    ledger::{
        Batch, Ledger, LedgerError, LocationParts, OutboxRow, OutcomeRow, PartNames,
        PartitionClaim, ViewName,
    },
    location::Appointment,
};

/// Longest any operation may take on our side. Above the server's own limits, so that it only ends what a dead
/// connection keeps waiting; past it the connection is closed and the outcome unknown.
const PATIENCE: Duration = Duration::from_secs(9);
/// Views deleted by one sweep statement: a few milliseconds of work, so that it never holds up a batch.
const SWEEP: i64 = 500;

/// Names the checkpoint rows of one deployment of the processors.
#[derive(Debug, Clone)]
pub struct Consumer {
    pub name: String,
    /// The topic whose records are applied.
    pub topic: String,
}

pub struct PostgresLedger {
    pool: Pool,
    consumer: Consumer,
}

impl PostgresLedger {
    /// Connects lazily; [`PostgresLedger::check`] finds out whether it can.
    ///
    /// # Errors
    /// [`Failure`] when the settings make no pool.
    pub fn new(settings: &PoolSettings, consumer: Consumer) -> Result<Self, Failure> {
        Ok(Self { pool: Pool::new(settings)?, consumer })
    }

    /// Whether a connection can be had and runs as the processors' role.
    ///
    /// # Errors
    /// [`Failure`] when not.
    pub async fn check(&self) -> Result<(), Failure> {
        let lease = self.pool.lease().await?;
        lease.query_opt("SELECT 1 FROM clinicwire.checkpoint LIMIT 1", &[]).await?;
        lease.give_back();
        Ok(())
    }

    /// Deletes views past their time, a bounded number of them. Answers whether there may be more.
    ///
    /// # Errors
    /// [`LedgerError::Unavailable`] when the outcome is unknown.
    pub async fn sweep(&self) -> Result<bool, LedgerError> {
        bounded(async {
            let lease = self.pool.lease().await?;
            let swept = lease.execute_cached(SWEEP_VIEWS, &[&SWEEP]).await?;
            lease.give_back();
            Ok(swept == u64::try_from(SWEEP).unwrap_or(u64::MAX))
        })
        .await
    }

    async fn write(&self, batch: &Batch) -> Result<(), LedgerError> {
        let writes = writes(batch, &self.consumer);
        let lease = self.pool.lease().await?;
        let statements = join_all(writes.iter().map(|write| lease.prepare_cached(write.sql))).await;
        let statements: Vec<_> =
            statements.into_iter().collect::<Result<_, _>>().map_err(Failure::from)?;
        // One round: `join` polls its futures in order, and a future sends when it is first polled.
        let execute = writes.iter().zip(&statements).map(async |(write, statement)| {
            let parameters: Vec<&(dyn ToSql + Sync)> = write.parameters();
            lease.execute(statement, &parameters).await
        });
        let (begun, done) = join(lease.batch_execute("BEGIN"), join_all(execute)).await;
        begun.map_err(Failure::from)?;
        if let Err(error) = verdict(&writes, done) {
            lease.batch_execute("ROLLBACK").await.map_err(Failure::from)?;
            lease.give_back();
            return Err(error);
        }
        lease.batch_execute("COMMIT").await.map_err(Failure::from)?;
        lease.give_back();
        Ok(())
    }

    async fn read_checkpoint(
        &self,
        sql: &str,
        partition: u32,
    ) -> Result<PartitionClaim, LedgerError> {
        let lease = self.pool.lease().await?;
        let row = lease
            .query_one_cached(sql, &[&self.consumer.name, &self.consumer.topic, &number(partition)])
            .await?;
        lease.give_back();
        Ok(PartitionClaim { partition, owner_epoch: row.get(0), next_offset: row.get(1) })
    }
}

/// What the counts of rows say, in the order of the statements: the fence first, whatever failed behind it.
fn verdict(
    writes: &[Write<'_>],
    done: Vec<Result<u64, tokio_postgres::Error>>,
) -> Result<(), LedgerError> {
    for (write, done) in writes.iter().zip(done) {
        let rows = done.map_err(Failure::from)?;
        match write.expected {
            Expected::Fence if rows != 1 => return Err(LedgerError::Fenced),
            Expected::Rows(expected) if rows != expected => return Err(LedgerError::Diverged),
            _ => {}
        }
    }
    Ok(())
}

/// Ends an operation whose connection has died without a word.
async fn bounded<T>(
    operation: impl Future<Output = Result<T, LedgerError>>,
) -> Result<T, LedgerError> {
    tokio::time::timeout(PATIENCE, operation)
        .await
        .unwrap_or_else(|_| Err(Failure::TimedOut.into()))
}

/// Small counts as Postgres' `int`.
fn number(value: u32) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

/// Epochs, versions as Postgres' `bigint`: seconds and counts, far below its end.
fn long(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn unsigned(row: &Row, column: usize) -> u64 {
    u64::try_from(row.get::<_, i64>(column)).unwrap_or_default()
}

impl PostgresLedger {
    /// A write that may be lost, in one round trip.
    async fn light(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<(), LedgerError> {
        let lease = self.pool.lease().await?;
        let statement = lease.prepare_cached(sql).await.map_err(Failure::from)?;
        let (begun, done, committed) = join3(
            lease.batch_execute(BEGIN_LIGHT),
            lease.execute(&statement, parameters),
            lease.batch_execute("COMMIT"),
        )
        .await;
        begun.and(done).and(committed).map_err(Failure::from)?;
        lease.give_back();
        Ok(())
    }

    /// Reads of one moment with the same parameters, in one round trip: a row, and what belongs to it. Nothing, if the
    /// row is not there.
    async fn snapshot<const N: usize>(
        &self,
        one: &str,
        many: [&str; N],
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<(Row, [Vec<Row>; N])>, LedgerError> {
        let lease = self.pool.lease().await?;
        let one = lease.prepare_cached(one).await.map_err(Failure::from)?;
        let many = try_join_all(many.iter().map(|sql| lease.prepare_cached(sql)))
            .await
            .map_err(Failure::from)?;
        let lists = join_all(many.iter().map(|statement| lease.query(statement, parameters)));
        let reads = join(lease.query_opt(&one, parameters), lists);
        let (begun, (one, many), ended) =
            join3(lease.batch_execute(BEGIN_SNAPSHOT), reads, lease.batch_execute("COMMIT")).await;
        begun.and(ended).map_err(Failure::from)?;
        let one = one.map_err(Failure::from)?;
        let many: Vec<Vec<Row>> =
            many.into_iter().collect::<Result<_, _>>().map_err(Failure::from)?;
        lease.give_back();
        Ok(one.map(|row| (row, many.try_into().expect("each statement was answered"))))
    }

    async fn query(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, LedgerError> {
        let lease = self.pool.lease().await?;
        let rows = lease.query_cached(sql, parameters).await?;
        lease.give_back();
        Ok(rows)
    }
}

impl Ledger for PostgresLedger {
    fn claim(&self, partition: u32) -> BoxFuture<'_, Result<PartitionClaim, LedgerError>> {
        Box::pin(bounded(self.read_checkpoint(CLAIM, partition)))
    }

    fn checkpoint(&self, partition: u32) -> BoxFuture<'_, Result<PartitionClaim, LedgerError>> {
        Box::pin(bounded(self.read_checkpoint(CHECKPOINT, partition)))
    }

    fn restore<'a>(
        &'a self,
        aggregate: &'a Aggregate,
    ) -> BoxFuture<'a, Result<Option<StoredAggregate>, LedgerError>> {
        Box::pin(bounded(async move {
            let (tenant, id) = parts(aggregate);
            let read = self.snapshot(AGGREGATE, [LIVE, APPOINTMENTS], &[&tenant, &id]).await?;
            let Some((row, [tickets, appointments])) = read else {
                return Ok(None);
            };
            Ok(Some(StoredAggregate {
                position: Position { epoch: unsigned(&row, 0), version: unsigned(&row, 1) },
                header: AggregateHeader::from_json(aggregate.kind(), row.get(2))
                    .map_err(|_| Failure::Unreadable("an aggregate's header"))?,
                tickets: tickets.iter().map(ticket).collect::<Result<_, _>>()?,
                appointments: appointments.iter().map(appointment).collect::<Result<_, _>>()?,
            }))
        }))
    }

    fn location_parts<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        names: &'a PartNames,
    ) -> BoxFuture<'a, Result<LocationParts, LedgerError>> {
        Box::pin(bounded(async move {
            let (tenant, location) = parts(aggregate);
            let tickets: Vec<&str> = names.tickets.iter().map(TicketId::as_str).collect();
            let ids: Vec<&str> = names.appointments.iter().map(AppointmentId::as_str).collect();
            let sources: Vec<&str> =
                names.keys.iter().map(|(source, _): &(SourceId, _)| source.as_str()).collect();
            let keys: Vec<&str> =
                names.keys.iter().map(|(_, key): &(_, SourceKey)| key.as_str()).collect();
            let lease = self.pool.lease().await?;
            let (tickets, appointments) = try_join(
                lease.query_cached(ENDED, &[&tenant, &location, &tickets]),
                lease
                    .query_cached(NAMED_APPOINTMENTS, &[&tenant, &location, &ids, &sources, &keys]),
            )
            .await?;
            lease.give_back();
            Ok(LocationParts {
                tickets: tickets.iter().map(ticket).collect::<Result<_, _>>()?,
                appointments: appointments.iter().map(appointment).collect::<Result<_, _>>()?,
            })
        }))
    }

    fn appointments<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        after: &'a str,
        until: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Appointment>, LedgerError>> {
        Box::pin(bounded(async move {
            let (tenant, location) = parts(aggregate);
            let rows =
                self.query(APPOINTMENTS_OF_DAYS, &[&tenant, &location, &after, &until]).await?;
            Ok(rows.iter().map(appointment).collect::<Result<_, _>>()?)
        }))
    }

    fn due(&self, partition: u32) -> BoxFuture<'_, Result<Vec<(Aggregate, Millis)>, LedgerError>> {
        Box::pin(bounded(async move {
            let rows = self.query(DUE, &[&self.consumer.topic, &number(partition)]).await?;
            Ok(rows
                .iter()
                .map(|row| Ok((key(row)?, row.get(2))))
                .collect::<Result<_, Failure>>()?)
        }))
    }

    fn outcomes<'a>(
        &'a self,
        commands: &'a [(TenantId, String, CommandId)],
    ) -> BoxFuture<'a, Result<Vec<OutcomeRow>, LedgerError>> {
        Box::pin(bounded(async move {
            let tenants: Vec<&str> = commands.iter().map(|(tenant, ..)| tenant.as_str()).collect();
            let sources: Vec<&str> =
                commands.iter().map(|(_, source, _)| source.as_str()).collect();
            let ids: Vec<&str> = commands.iter().map(|(.., id)| id.as_str()).collect();
            let rows = self.query(OUTCOMES, &[&tenants, &sources, &ids]).await?;
            let read = |row: &Row| {
                Ok(OutcomeRow {
                    tenant: TenantId::new(row.get::<_, &str>(0))
                        .map_err(|_| Failure::Unreadable("a tenant"))?,
                    source: row.get(1),
                    outcome: json::<CommandOutcome>(row.get(2), "an outcome")?,
                })
            };
            Ok(rows.iter().map(read).collect::<Result<_, Failure>>()?)
        }))
    }

    fn next_epoch(&self) -> BoxFuture<'_, Result<u64, LedgerError>> {
        Box::pin(bounded(async move {
            let lease = self.pool.lease().await?;
            let row = lease.query_one_cached(NEXT_EPOCH, &[]).await?;
            lease.give_back();
            Ok(unsigned(&row, 0))
        }))
    }

    fn commit<'a>(&'a self, batch: &'a Batch) -> BoxFuture<'a, Result<(), LedgerError>> {
        Box::pin(bounded(self.write(batch)))
    }

    fn outbox(
        &self,
        partition: u32,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<OutboxRow>, LedgerError>> {
        Box::pin(bounded(async move {
            let topic = &self.consumer.topic;
            let rows = self.query(OUTBOX, &[topic, &number(partition), &i64::from(limit)]).await?;
            Ok(rows.iter().map(outbox_row).collect::<Result<_, _>>()?)
        }))
    }

    fn delete_published<'a>(
        &'a self,
        partition: u32,
        rows: &'a [(i64, i16)],
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        Box::pin(bounded(async move {
            let (offsets, parts): (Vec<i64>, Vec<i16>) = rows.iter().copied().unzip();
            self.light(PUBLISHED, &[&self.consumer.topic, &number(partition), &offsets, &parts])
                .await
        }))
    }

    fn mark_dirty<'a>(&'a self, views: &'a [ViewName]) -> BoxFuture<'a, Result<(), LedgerError>> {
        Box::pin(bounded(async move {
            let (tenants, ids): (Vec<&str>, Vec<&str>) =
                views.iter().map(|(aggregate, _)| parts(aggregate)).unzip();
            let names: Vec<&str> = views.iter().map(|(_, name)| name.as_str()).collect();
            let lease = self.pool.lease().await?;
            // A forgotten mark would leave Redis behind, so this one waits for the disk.
            lease.execute_cached(MARK_DIRTY, &[&tenants, &ids, &names]).await?;
            lease.give_back();
            Ok(())
        }))
    }

    fn dirty(
        &self,
        partition: u32,
        _of: u32,
        limit: u32,
    ) -> BoxFuture<'_, Result<Vec<ViewName>, LedgerError>> {
        Box::pin(bounded(async move {
            let topic = &self.consumer.topic;
            let rows = self.query(DIRTY, &[topic, &number(partition), &i64::from(limit)]).await?;
            Ok(rows
                .iter()
                .map(|row| Ok((key(row)?, row.get(2))))
                .collect::<Result<_, Failure>>()?)
        }))
    }

    fn view<'a>(
        &'a self,
        (aggregate, name): &'a ViewName,
    ) -> BoxFuture<'a, Result<Option<(View, Option<u32>)>, LedgerError>> {
        Box::pin(bounded(async move {
            let (tenant, id) = parts(aggregate);
            let named: [&(dyn ToSql + Sync); 3] = [&tenant, &id, &name];
            let Some((row, [rows])) = self.snapshot(VIEW, [ENTRIES], &named).await? else {
                return Ok(None);
            };
            let entry = |row: Row| {
                let body = RawValue::from_string(row.get(1))
                    .map_err(|_| Failure::Unreadable("an entry"))?;
                Ok((row.get(0), body))
            };
            let view = View {
                position: Position { epoch: unsigned(&row, 0), version: unsigned(&row, 1) },
                at: row.get(2),
                entries: rows.into_iter().map(entry).collect::<Result<Entries, Failure>>()?,
            };
            let keep =
                row.get::<_, Option<i64>>(3).map(|left| u32::try_from(left).unwrap_or(u32::MAX));
            Ok(Some((view, keep)))
        }))
    }

    fn mark_repaired<'a>(
        &'a self,
        (aggregate, name): &'a ViewName,
        version: u64,
    ) -> BoxFuture<'a, Result<(), LedgerError>> {
        Box::pin(bounded(async move {
            let (tenant, id) = parts(aggregate);
            self.light(REPAIRED, &[&tenant, &id, &name, &long(version)]).await
        }))
    }
}

impl Lease {
    async fn query_cached(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Failure> {
        Ok(self.query(&self.prepare_cached(sql).await?, parameters).await?)
    }

    async fn query_one_cached(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Row, Failure> {
        Ok(self.query_one(&self.prepare_cached(sql).await?, parameters).await?)
    }

    async fn execute_cached(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, Failure> {
        Ok(self.execute(&self.prepare_cached(sql).await?, parameters).await?)
    }
}
