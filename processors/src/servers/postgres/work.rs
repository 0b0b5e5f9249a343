//! The work queue of runs on PostgreSQL. Lease times are the server's: no worker's clock matters.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures_util::SinkExt;
use schemas::{
    attempt::AttemptNumber,
    command::Command,
    finding::Finding,
    ids::{Aggregate, FileId, RunId, TenantId},
    reference::ReferenceTable,
    view::{Entries, Position},
};
use tokio::sync::mpsc;
use tokio_postgres::{CopyInSink, Row, types::ToSql};

use super::{
    OPERATION_TIMEOUT, PoolSettings, PostgresError,
    columns::parts,
    json, long, number,
    pool::{Lease, LeasePool},
    unsigned,
};
use crate::{
    rule_book,
    work::{
        AttemptOutput, Job, MAX_PLACES, RunPlace, StoredRules, StoredTable, TryCounting, Work,
        WorkError, WorkFuture, WorkItem,
    },
};

mod statements;

use statements::{
    BEAT, BEGIN_COPY, BEGIN_LIGHT, END, IN_USE, KEEP_DAYS, LINE, RELEASE, RULES, SWEEP_RUNS, TAKE,
    TAKE_LOCK, TELL_LOCK, UNTOLD,
};

/// Most runs deleted by one statement: a few milliseconds of work.
const SWEEP_LIMIT: i64 = 500;
/// Bytes of findings in one message to the server.
const COPY_BYTES: usize = 64 * 1024;

/// The work queue in one database.
pub struct PostgresWork {
    pool: LeasePool,
}

impl From<PostgresError> for WorkError {
    fn from(failure: PostgresError) -> Self {
        WorkError::Unavailable(Box::new(failure))
    }
}

impl From<tokio_postgres::Error> for WorkError {
    fn from(error: tokio_postgres::Error) -> Self {
        PostgresError::from(error).into()
    }
}

/// Limits an operation, for connections that died without notice.
async fn bounded<T, E: Into<WorkError>>(
    operation: impl Future<Output = Result<T, E>>,
) -> Result<T, WorkError> {
    match tokio::time::timeout(OPERATION_TIMEOUT, operation).await {
        Ok(done) => done.map_err(Into::into),
        Err(_) => Err(PostgresError::TimedOut.into()),
    }
}

impl PostgresWork {
    /// Connects when the first connection is needed. Each run whose findings are being stored holds
    /// a connection; two more are enough for everything else.
    ///
    /// # Errors
    /// [`PostgresError`] when the settings are invalid.
    pub fn new(settings: &PoolSettings) -> Result<Self, PostgresError> {
        Ok(Self { pool: LeasePool::new(settings)? })
    }

    async fn take_item(
        &self,
        worker: &str,
        lease: Duration,
        resting: &BTreeSet<TenantId>,
    ) -> Result<Option<WorkItem>, PostgresError> {
        let connection = self.pool.lease().await?;
        let lock = connection.prepare_cached(TAKE_LOCK).await?;
        let take = connection.prepare_cached(TAKE).await?;
        let seconds = lease.as_secs_f64();
        let resting: Vec<&str> = resting.iter().map(TenantId::as_str).collect();
        let parameters: [&(dyn ToSql + Sync); 3] = [&worker, &seconds, &resting];
        // One round trip: futures are polled in order, and each sends when it is first polled.
        let (begun, locked, row, committed) = tokio::join!(
            biased;
            connection.batch_execute("BEGIN"),
            connection.query(&lock, &[]),
            connection.query_opt(&take, &parameters),
            connection.batch_execute("COMMIT"),
        );
        begun.and(locked.map(drop)).and(committed)?;
        let row = row?;
        connection.give_back();
        row.map(|row| work_item(&row, worker)).transpose()
    }

    /// Extends the lease. A crash may lose this write; the next one follows soon.
    async fn prolong(&self, job: &Job, lease: Duration) -> Result<bool, WorkError> {
        let connection = self.pool.lease().await?;
        let beat = connection.prepare_cached(BEAT).await?;
        let seconds = lease.as_secs_f64();
        let parameters: [&(dyn ToSql + Sync); 5] = [
            &job.tenant.as_str(),
            &job.run.as_str(),
            &number(job.attempt.0),
            &job.worker,
            &seconds,
        ];
        let (begun, row, committed) = tokio::join!(
            biased;
            connection.batch_execute(BEGIN_LIGHT),
            connection.query_opt(&beat, &parameters),
            connection.batch_execute("COMMIT"),
        );
        begun.and(committed)?;
        let row = row?;
        connection.give_back();
        row.map(|row| row.get(0)).ok_or(WorkError::Lost)
    }

    /// Stores findings and end of an attempt in one transaction, which lasts as long as the check.
    /// Each statement has its own time limit.
    async fn store_attempt(
        &self,
        job: &Job,
        mut parts: mpsc::Receiver<AttemptOutput>,
    ) -> Result<(), WorkError> {
        let mut open: Option<AttemptTransaction> = None;
        loop {
            match parts.recv().await {
                Some(AttemptOutput::Findings(findings)) => {
                    let mut transaction = match open.take() {
                        Some(open) => open,
                        None => bounded(AttemptTransaction::begin(&self.pool)).await?,
                    };
                    transaction.put(job, &findings).await?;
                    open = Some(transaction);
                }
                Some(AttemptOutput::End(command)) => {
                    let transaction = match open.take() {
                        Some(open) => open,
                        None => bounded(AttemptTransaction::begin(&self.pool)).await?,
                    };
                    return bounded(transaction.commit(job, &command)).await;
                }
                // Dropping the connection rolls the transaction back.
                None => return Ok(()),
            }
        }
    }

    async fn rows(
        &self,
        sql: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, PostgresError> {
        let connection = self.pool.lease().await?;
        let rows = connection.query_cached(sql, parameters).await?;
        connection.give_back();
        Ok(rows)
    }

    async fn places(&self) -> Result<Vec<RunPlace>, PostgresError> {
        let connection = self.pool.lease().await?;
        connection.batch_execute("BEGIN").await?;
        let mine: bool = connection.query_one_cached(TELL_LOCK, &[]).await?.get(0);
        let rows = if mine {
            connection.query_cached(LINE, &[&(MAX_PLACES as i64)]).await?
        } else {
            Vec::new()
        };
        connection.batch_execute("COMMIT").await?;
        connection.give_back();
        let place = |row: &Row| {
            let (tenant, run) = run_key(row)?;
            let (attempt, ahead) = (AttemptNumber(small(row.get(2))), small(row.get(3)));
            Ok(RunPlace { tenant, run, attempt, ahead })
        };
        rows.iter().map(place).collect()
    }

    async fn stored_rules(
        &self,
        tenant: &TenantId,
        known: Option<Position>,
    ) -> Result<Option<StoredRules>, PostgresError> {
        let Some((position, rows)) = self.stored_view(tenant, rule_book::VIEW, known).await? else {
            return Ok(None);
        };
        let bodies = rows.iter().filter_map(|row| row.get::<_, Option<&str>>(2));
        let rules = bodies.map(|body| json(body, "a rule")).collect::<Result<_, _>>()?;
        Ok(Some(StoredRules { position, rules }))
    }

    async fn stored_table(
        &self,
        tenant: &TenantId,
        table: ReferenceTable,
        known: Option<Position>,
    ) -> Result<Option<StoredTable>, PostgresError> {
        let Some((position, rows)) = self.stored_view(tenant, table.view(), known).await? else {
            return Ok(None);
        };
        let mut entries = Entries::new();
        for row in &rows {
            if let (Some(key), Some(body)) = (row.get::<_, Option<&str>>(3), row.get(2)) {
                entries.insert(key.to_owned(), json(body, "an entry of a table")?);
            }
        }
        Ok(Some(StoredTable { position, entries }))
    }

    /// The rows of a view of the tenant's rule book, unless it still has the position `known`.
    async fn stored_view(
        &self,
        tenant: &TenantId,
        view: &str,
        known: Option<Position>,
    ) -> Result<Option<(Position, Vec<Row>)>, PostgresError> {
        let aggregate = Aggregate::rules(tenant);
        let (tenant, id) = parts(&aggregate);
        let held = known.unwrap_or_default();
        let (epoch, version) = (long(held.epoch), long(held.version));
        let rows = self.rows(RULES, &[&tenant, &id, &view, &epoch, &version]).await?;
        let position = rows.first().map_or(Position::default(), |row| Position {
            epoch: unsigned(row, 0),
            version: unsigned(row, 1),
        });
        Ok((known != Some(position)).then_some((position, rows)))
    }

    async fn used_files(
        &self,
        files: &[(TenantId, FileId)],
    ) -> Result<HashSet<(TenantId, FileId)>, PostgresError> {
        let tenants: Vec<&str> = files.iter().map(|(tenant, _)| tenant.as_str()).collect();
        let names: Vec<&str> = files.iter().map(|(_, file)| file.as_str()).collect();
        let rows = self.rows(IN_USE, &[&tenants, &names]).await?;
        let asked: HashMap<(&str, &str), &(TenantId, FileId)> =
            files.iter().map(|named| ((named.0.as_str(), named.1.as_str()), named)).collect();
        let used = rows.iter().filter_map(|row| asked.get(&(row.get(0), row.get(1))));
        Ok(used.map(|named| (*named).clone()).collect())
    }
}

/// The transaction that ends an attempt. Dropping it before the commit closes its connection and
/// rolls back.
struct AttemptTransaction {
    connection: Lease,
    /// The day of the partition that receives the findings, as in the partition's name.
    day: String,
    copy: Option<FindingsCopy>,
    /// Findings so far.
    findings: i32,
}

struct FindingsCopy {
    sink: std::pin::Pin<Box<CopyInSink<Bytes>>>,
    buffer: BytesMut,
}

impl AttemptTransaction {
    async fn begin(pool: &LeasePool) -> Result<Self, PostgresError> {
        let connection = pool.lease().await?;
        let day = connection.query_one_cached(
            "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDD')",
            &[],
        );
        let (begun, day) = tokio::join!(biased; connection.batch_execute(BEGIN_COPY), day);
        begun?;
        let day = day?.get(0);
        Ok(Self { connection, day, copy: None, findings: 0 })
    }

    async fn put(&mut self, job: &Job, findings: &[Finding]) -> Result<(), WorkError> {
        let copy = match &mut self.copy {
            Some(copy) => copy,
            none => {
                // The name is safe in a statement: the server returned the digits of the day.
                let into = format!("COPY clinicwire.finding_{} FROM STDIN", self.day);
                let sink = bounded(self.connection.copy_in(&into)).await?;
                none.insert(FindingsCopy {
                    sink: Box::pin(sink),
                    buffer: BytesMut::with_capacity(COPY_BYTES * 2),
                })
            }
        };
        for finding in findings {
            self.findings += 1;
            line(&mut copy.buffer, &self.day, job, self.findings, finding);
            if copy.buffer.len() >= COPY_BYTES {
                bounded(copy.sink.send(copy.buffer.split().freeze())).await?;
            }
        }
        Ok(())
    }

    async fn commit(mut self, job: &Job, command: &Command) -> Result<(), WorkError> {
        if let Some(FindingsCopy { mut sink, buffer }) = self.copy.take() {
            sink.send(buffer.freeze()).await?;
            sink.as_mut().finish().await?;
        }
        let connection = self.connection;
        let ended = serde_json::to_string(command).expect("a command always has a JSON form");
        let end = connection.prepare_cached(END).await?;
        let parameters: [&(dyn ToSql + Sync); 5] =
            [&job.tenant.as_str(), &job.run.as_str(), &number(job.attempt.0), &job.worker, &ended];
        if connection.execute(&end, &parameters).await? != 1 {
            // Dropping the connection rolls the transaction back.
            return Err(WorkError::Lost);
        }
        connection.batch_execute("COMMIT").await?;
        connection.give_back();
        Ok(())
    }
}

/// Writes one row in COPY's text format. JSON escapes tabs and line ends itself; only its
/// backslashes must be escaped again.
fn line(buffer: &mut BytesMut, day: &str, job: &Job, n: i32, finding: &Finding) {
    use std::fmt::Write;
    let body = serde_json::to_string(finding)
        .expect("a finding always has a JSON form")
        .replace('\\', "\\\\");
    let Job { tenant, run, attempt, .. } = job;
    let (place, severity, rule) = (finding.sort_key(), finding.severity.as_str(), &finding.rule);
    writeln!(buffer, "{day}\t{tenant}\t{run}\t{attempt}\t{place}\t{n}\t{severity}\t{rule}\t{body}")
        .expect("a buffer in memory takes everything");
}

fn run_key(row: &Row) -> Result<(TenantId, RunId), PostgresError> {
    let tenant = TenantId::new(row.get::<_, &str>(0))
        .map_err(|_| PostgresError::Unreadable("a run's tenant"))?;
    let run =
        RunId::new(row.get::<_, &str>(1)).map_err(|_| PostgresError::Unreadable("a run's id"))?;
    Ok((tenant, run))
}

fn small(count: i32) -> u32 {
    u32::try_from(count).unwrap_or_default()
}

fn work_item(row: &Row, worker: &str) -> Result<WorkItem, PostgresError> {
    let (tenant, run) = run_key(row)?;
    let job = Job {
        tenant,
        run,
        worker: worker.to_owned(),
        attempt: AttemptNumber(small(row.get(2))),
        tries: small(row.get(3)),
        request: json(row.get(4), "a run's request")?,
    };
    Ok(match row.get::<_, Option<&str>>(5) {
        Some(ended) => WorkItem::UnreportedEnd(job, Box::new(json(ended, "a run's end")?)),
        None => WorkItem::Attempt(job),
    })
}

impl Work for PostgresWork {
    fn take<'a>(
        &'a self,
        worker: &'a str,
        lease: Duration,
        resting: &'a BTreeSet<TenantId>,
    ) -> WorkFuture<'a, Option<WorkItem>> {
        Box::pin(bounded(self.take_item(worker, lease, resting)))
    }

    fn extend_lease<'a>(&'a self, job: &'a Job, lease: Duration) -> WorkFuture<'a, bool> {
        Box::pin(bounded(self.prolong(job, lease)))
    }

    fn end<'a>(&'a self, job: &'a Job, parts: mpsc::Receiver<AttemptOutput>) -> WorkFuture<'a, ()> {
        Box::pin(self.store_attempt(job, parts))
    }

    fn release<'a>(
        &'a self,
        job: &'a Job,
        pause: Duration,
        count: TryCounting,
    ) -> WorkFuture<'a, ()> {
        Box::pin(bounded(async move {
            let spared = i32::from(count == TryCounting::NotCounted);
            let (attempt, pause) = (number(job.attempt.0), pause.as_secs_f64());
            let parameters: [&(dyn ToSql + Sync); 6] =
                [&job.tenant.as_str(), &job.run.as_str(), &attempt, &job.worker, &pause, &spared];
            let connection = self.pool.lease().await?;
            let released = connection.execute_cached(RELEASE, &parameters).await?;
            connection.give_back();
            if released == 1 { Ok(()) } else { Err(WorkError::Lost) }
        }))
    }

    fn changed_places(&self) -> WorkFuture<'_, Vec<RunPlace>> {
        Box::pin(bounded(self.places()))
    }

    fn mark_unsent<'a>(&'a self, places: &'a [RunPlace]) -> WorkFuture<'a, ()> {
        Box::pin(bounded(async move {
            let tenants: Vec<&str> = places.iter().map(|place| place.tenant.as_str()).collect();
            let runs: Vec<&str> = places.iter().map(|place| place.run.as_str()).collect();
            self.rows(UNTOLD, &[&tenants, &runs]).await.map(drop)
        }))
    }

    fn rules<'a>(
        &'a self,
        tenant: &'a TenantId,
        known: Option<Position>,
    ) -> WorkFuture<'a, Option<StoredRules>> {
        Box::pin(bounded(self.stored_rules(tenant, known)))
    }

    fn table<'a>(
        &'a self,
        tenant: &'a TenantId,
        table: ReferenceTable,
        known: Option<Position>,
    ) -> WorkFuture<'a, Option<StoredTable>> {
        Box::pin(bounded(self.stored_table(tenant, table, known)))
    }

    fn in_use<'a>(
        &'a self,
        files: &'a [(TenantId, FileId)],
    ) -> WorkFuture<'a, HashSet<(TenantId, FileId)>> {
        Box::pin(bounded(self.used_files(files)))
    }

    fn sweep(&self) -> WorkFuture<'_, bool> {
        Box::pin(bounded(async move {
            let swept = self.rows(SWEEP_RUNS, &[&SWEEP_LIMIT]).await?.len();
            Ok::<_, PostgresError>(i64::try_from(swept).is_ok_and(|swept| swept == SWEEP_LIMIT))
        }))
    }

    fn prepare_days(&self) -> WorkFuture<'_, ()> {
        Box::pin(bounded(async move { self.rows(KEEP_DAYS, &[]).await.map(drop) }))
    }
}
