//! Reads on PostgreSQL: a closed list, each in a read-only transaction that has named its tenant.

mod audit;
mod history;
mod statements;
mod webhooks;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use deadpool_postgres::{Object, Pool};
use schemas::{
    Millis,
    history::Stay,
    identity::CommandIdentity,
    ids::{Aggregate, LocationId, RunId, TenantId},
    view::{Entries, Position, View},
};
use serde_json::value::RawValue;
use servers::postgres::{
    LoginPolicy, PostgresError, Role, SessionSettings, UnsafeSession, check_session,
};
use tokio::runtime::Handle;
use tokio_postgres::{Row, error::SqlState, types::ToSql};

use self::statements::{
    FINDINGS, HAS_TENANT, LAGGING, NAME_TENANT, OTHER_LOCATIONS, OUTCOME, RUN_OWNER_PART, RUNS,
    VIEW, places,
};
use crate::{
    BoxFuture,
    backends::history::{Figures, FiguresQuery, HistoryQuery},
    backends::queries::{
        AuditQuery, AuditRow, DeliveriesQuery, FindingPlace, FindingsPage, FindingsQuery,
        ListedDelivery, ListedRun, Queries, RecordedOutcome, RunsQuery, WebhookQueue,
    },
    backends::snapshots::NotRead,
};

/// How long a read waits for a free or new connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// Longest time for one read on our side, above the server's own limit of 2 s: past it the
/// connection is dead.
const READ_TIMEOUT: Duration = Duration::from_millis(2_500);
/// The last migration whose tables are read here. The database may be ahead of it.
const NEEDED_MIGRATION: i32 = 11;
/// Tables whose row-level security must be on, for the owner too.
pub(super) const TABLES: [&str; 11] = [
    "view",
    "view_entry",
    "outcome",
    "run",
    "finding",
    "audit",
    "audit_person",
    "stay",
    "figure",
    "webhook",
    "webhook_delivery",
];

/// Why a gateway cannot use the database.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what is wrong")]
pub enum DatabaseError {
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    #[error(
        "the database is at migration {found}, this program needs {NEEDED_MIGRATION}: run \
         `clinicwire-processors prepare`"
    )]
    Behind { found: i32 },
    #[error(transparent)]
    UnsafeSession(UnsafeSession),
    #[error("row-level security is off for a table: run `clinicwire-processors prepare`")]
    NoRowSecurity,
}

impl DatabaseError {
    /// Whether the database could not be asked, so that it may be usable later.
    pub fn is_temporary(&self) -> bool {
        use PostgresError::{Busy, Connection, TimedOut};
        matches!(self, Self::Postgres(Connection(_) | Busy | TimedOut))
    }
}

impl From<UnsafeSession> for DatabaseError {
    fn from(error: UnsafeSession) -> Self {
        match error {
            UnsafeSession::Postgres(error) => Self::Postgres(error),
            error => Self::UnsafeSession(error),
        }
    }
}

impl From<DatabaseError> for NotRead {
    fn from(error: DatabaseError) -> Self {
        NotRead(Box::new(error))
    }
}

impl From<PostgresError> for NotRead {
    fn from(error: PostgresError) -> Self {
        NotRead(Box::new(error))
    }
}

type Parameters = Vec<Box<dyn ToSql + Send + Sync>>;

fn texts<const N: usize>(texts: [&str; N]) -> Parameters {
    texts.into_iter().map(|text| Box::new(text.to_owned()) as _).collect()
}

/// The authority in PostgreSQL, as the role of gateways may read it.
pub struct PostgresQueries {
    pool: Pool,
    /// Reads run on this runtime to their end: a caller that goes away, or a shard that stops, must
    /// not leave an open transaction on a connection that serves another tenant's read next.
    runtime: Handle,
    /// Whether [`PostgresQueries::check`] has succeeded. Nothing is read before: row-level security
    /// could be off.
    checked: AtomicBool,
    login_policy: LoginPolicy,
}

impl PostgresQueries {
    /// Connects when the first read comes; [`PostgresQueries::check`] finds out whether it can.
    /// Must be called on the runtime that outlives the shards.
    ///
    /// # Errors
    /// [`PostgresError`] when `url`, or a file that it names, cannot be used.
    pub fn new(
        url: &str,
        connections: usize,
        login_policy: LoginPolicy,
    ) -> Result<Self, PostgresError> {
        let pool = servers::postgres::pool(&session(), url, connections, CONNECT_TIMEOUT)?;
        let (runtime, checked) = (Handle::current(), AtomicBool::new(false));
        Ok(Self { pool, runtime, checked, login_policy })
    }

    /// Checks that reads work and see one tenant only. The first read does it too.
    ///
    /// # Errors
    /// [`DatabaseError`]
    pub async fn check(&self) -> Result<(), DatabaseError> {
        let checked = tokio::time::timeout(READ_TIMEOUT, self.check_database()).await;
        checked.map_err(|_| DatabaseError::Postgres(PostgresError::TimedOut))??;
        self.checked.store(true, Ordering::Release);
        Ok(())
    }

    async fn check_database(&self) -> Result<(), DatabaseError> {
        let failed = |error: tokio_postgres::Error| DatabaseError::from(PostgresError::from(error));
        let connection = self.pool.get().await.map_err(PostgresError::from)?;
        let migration = "SELECT coalesce(max(version), 0) FROM clinicwire.migration";
        let found = match connection.query_one(migration, &[]).await {
            Ok(row) => row.get(0),
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => 0,
            Err(error) => return Err(failed(error)),
        };
        if found < NEEDED_MIGRATION {
            return Err(DatabaseError::Behind { found });
        }
        check_session(&connection, self.login_policy).await?;
        let secured = "SELECT count(*) FROM pg_class c \
            JOIN pg_namespace n ON n.oid = c.relnamespace \
            WHERE n.nspname = 'clinicwire' AND c.relname = ANY($1) \
            AND c.relrowsecurity AND c.relforcerowsecurity";
        let secured = connection.query_one(secured, &[&&TABLES[..]]).await.map_err(failed)?;
        if secured.get::<_, i64>(0) == TABLES.len() as i64 {
            Ok(())
        } else {
            Err(DatabaseError::NoRowSecurity)
        }
    }

    /// The rows of one statement for one tenant, from one snapshot.
    async fn rows(
        &self,
        tenant: TenantId,
        sql: &'static str,
        parameters: Parameters,
    ) -> Result<Vec<Row>, NotRead> {
        self.rows_planned(tenant, NAME_TENANT, sql, parameters).await
    }

    /// The same; `begin` names the tenant and may choose how the statement is planned.
    async fn rows_planned(
        &self,
        tenant: TenantId,
        begin: &'static str,
        sql: &'static str,
        parameters: Parameters,
    ) -> Result<Vec<Row>, NotRead> {
        if !self.checked.load(Ordering::Acquire) {
            self.check().await?;
        }
        let pool = self.pool.clone();
        let read = async move {
            let mut connection = pool.get().await?;
            let rows = tokio::time::timeout(
                READ_TIMEOUT,
                read(&mut connection, (begin, tenant.as_str()), sql, &parameters),
            )
            .await;
            let rows = rows
                .map_err(|_| PostgresError::TimedOut)
                .and_then(|rows| rows.map_err(PostgresError::from));
            if rows.is_err() {
                // The connection may be in any state: it is not used again.
                drop(Object::take(connection));
            }
            rows
        };
        Ok(self.runtime.spawn(read).await.unwrap_or(Err(PostgresError::TimedOut))?)
    }

    async fn read_lagging(&self, most: u32) -> Result<Vec<Aggregate>, NotRead> {
        if !self.checked.load(Ordering::Acquire) {
            self.check().await?;
        }
        let connection = self.pool.get().await.map_err(PostgresError::from)?;
        let statement = connection.prepare_cached(LAGGING).await;
        let most = i32::try_from(most).unwrap_or(i32::MAX);
        let rows = match statement {
            Ok(statement) => connection.query(&statement, &[&most]).await,
            Err(error) => Err(error),
        };
        let rows = rows.map_err(|error| {
            drop(Object::take(connection));
            PostgresError::from(error)
        })?;
        let aggregates = rows.iter().map(|row| {
            Aggregate::parse(&format!("{}/{}", row.get::<_, &str>(0), row.get::<_, &str>(1)))
                .map_err(|_| PostgresError::Unreadable("an aggregate").into())
        });
        aggregates.collect()
    }

    async fn read_view(&self, aggregate: &Aggregate, view: &str) -> Result<Option<View>, NotRead> {
        let tenant = aggregate.tenant();
        let parameters = texts([tenant.as_str(), aggregate.id(), view]);
        let rows = self.rows(tenant, VIEW, parameters).await?;
        let Some(first) = rows.first() else {
            return Ok(None);
        };
        let number = |column| {
            u64::try_from(first.get::<_, i64>(column))
                .map_err(|_| PostgresError::Unreadable("a view's position"))
        };
        let position = Position { epoch: number(0)?, version: number(1)? };
        let at = first.get(2);
        let mut entries = Entries::new();
        for row in &rows {
            // A view without entries is returned as one row without a key.
            if let (Some(key), Some(body)) =
                (row.get::<_, Option<String>>(3), row.get::<_, Option<String>>(4))
            {
                entries.insert(
                    key,
                    RawValue::from_string(body)
                        .map_err(|_| PostgresError::Unreadable("an entry"))?,
                );
            }
        }
        Ok(Some(View { position, at, entries }))
    }

    async fn read_outcome(
        &self,
        identity: &CommandIdentity,
    ) -> Result<Option<RecordedOutcome>, NotRead> {
        let CommandIdentity { tenant, source, subject, command } = identity;
        let parameters = texts([tenant.as_str(), source, subject, command.as_str()]);
        let rows = self.rows(tenant.clone(), OUTCOME, parameters).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let aggregate = format!("{tenant}/{}", row.get::<_, &str>(0));
        let fingerprint = row.get::<_, Option<&str>>(1).map(str::parse).transpose();
        Ok(Some(RecordedOutcome {
            aggregate: Aggregate::parse(&aggregate)
                .map_err(|_| PostgresError::Unreadable("an aggregate's key"))?,
            fingerprint: fingerprint.map_err(|_| PostgresError::Unreadable("a fingerprint"))?,
            outcome: serde_json::from_str(row.get(2))
                .map_err(|_| PostgresError::Unreadable("an outcome"))?,
        }))
    }

    async fn read_runs(
        &self,
        tenant: &TenantId,
        asked: &RunsQuery,
    ) -> Result<Vec<ListedRun>, NotRead> {
        let state = asked.state.map(|state| state.as_str().to_owned());
        let owner =
            asked.owner.map(|tag| RunId::from_parts(tag, 0).as_str()[..RUN_OWNER_PART].to_owned());
        // Without a start the list begins at the latest possible time.
        let (at, run) =
            asked.after.as_ref().map_or((Millis::MAX, ""), |(at, run)| (*at, run.as_str()));
        let parameters: Parameters = vec![
            Box::new(tenant.to_string()),
            Box::new(state),
            Box::new(owner),
            Box::new(at),
            Box::new(run.to_owned()),
            Box::new(i64::from(asked.limit)),
        ];
        let rows = self.rows(tenant.clone(), RUNS, parameters).await?;
        let run = |row: &Row| {
            let run = RunId::new(row.get::<_, &str>(0))
                .map_err(|_| PostgresError::Unreadable("a run's id"))?;
            let head = serde_json::from_str(row.get(1))
                .map_err(|_| PostgresError::Unreadable("a run's head"))?;
            Ok(ListedRun { run, head })
        };
        rows.iter().map(run).collect()
    }

    async fn read_findings(
        &self,
        tenant: &TenantId,
        run: &RunId,
        asked: &FindingsQuery,
    ) -> Result<Option<FindingsPage>, NotRead> {
        let (first, last) = places(&asked.severities);
        let severities: Vec<_> =
            asked.severities.iter().map(|severity| severity.as_str().to_owned()).collect();
        let before = FindingPlace { place: first - 1, n: i32::MAX };
        let after = asked.after.map_or(before, |after| after.max(before));
        let parameters: Parameters = vec![
            Box::new(tenant.to_string()),
            Box::new(run.to_string()),
            Box::new(severities),
            Box::new(asked.rule.as_ref().map(ToString::to_string)),
            Box::new(after.place),
            Box::new(after.n),
            Box::new(last),
            Box::new(i64::from(asked.limit)),
        ];
        let rows = self.rows(tenant.clone(), FINDINGS, parameters).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        // A run without matching findings is returned as one row without a finding.
        let found = rows.iter().filter_map(|row| Some((row, row.get::<_, Option<&str>>(2)?)));
        let finding = |(row, body): (&Row, &str)| {
            let place = FindingPlace { place: row.get(0), n: row.get(1) };
            Ok((
                place,
                serde_json::from_str(body).map_err(|_| PostgresError::Unreadable("a finding"))?,
            ))
        };
        found.map(finding).collect::<Result<_, _>>().map(Some)
    }
}

async fn read(
    connection: &mut Object,
    (begin, tenant): (&'static str, &str),
    sql: &'static str,
    parameters: &[Box<dyn ToSql + Send + Sync>],
) -> Result<Vec<Row>, tokio_postgres::Error> {
    let transaction = connection.build_transaction().read_only(true).start().await?;
    let name = transaction.prepare_cached(begin).await?;
    transaction.query_one(&name, &[&tenant]).await?;
    let statement = transaction.prepare_cached(sql).await?;
    let parameters: Vec<&(dyn ToSql + Sync)> =
        parameters.iter().map(|parameter| &**parameter as _).collect();
    let rows = transaction.query(&statement, &parameters).await?;
    transaction.commit().await?;
    Ok(rows)
}

/// Every connection takes the gateway's role, so that row-level security binds any login, and is
/// limited on the server's side too.
pub(super) fn session() -> SessionSettings {
    SessionSettings {
        application_name: "clinicwire-gateway",
        role: Some(Role::Gateway),
        options: "-c default_transaction_read_only=on -c statement_timeout=2000 \
            -c idle_in_transaction_session_timeout=5000 -c TimeZone=UTC"
            .to_owned(),
        connect_timeout: CONNECT_TIMEOUT,
    }
}

impl Queries for PostgresQueries {
    fn connections(&self) -> Option<[(&'static str, usize); 4]> {
        Some(servers::postgres::connection_counts(&self.pool))
    }

    fn lagging(&self, most: u32) -> BoxFuture<'_, Result<Vec<Aggregate>, NotRead>> {
        Box::pin(self.read_lagging(most))
    }

    fn view<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        view: &'a str,
    ) -> BoxFuture<'a, Result<Option<View>, NotRead>> {
        Box::pin(self.read_view(aggregate, view))
    }

    fn outcome<'a>(
        &'a self,
        command: &'a CommandIdentity,
    ) -> BoxFuture<'a, Result<Option<RecordedOutcome>, NotRead>> {
        Box::pin(self.read_outcome(command))
    }

    fn runs<'a>(
        &'a self,
        tenant: &'a TenantId,
        asked: &'a RunsQuery,
    ) -> BoxFuture<'a, Result<Vec<ListedRun>, NotRead>> {
        Box::pin(self.read_runs(tenant, asked))
    }

    fn findings<'a>(
        &'a self,
        tenant: &'a TenantId,
        run: &'a RunId,
        asked: &'a FindingsQuery,
    ) -> BoxFuture<'a, Result<Option<FindingsPage>, NotRead>> {
        Box::pin(self.read_findings(tenant, run, asked))
    }

    fn has_tenant<'a>(&'a self, tenant: &'a TenantId) -> BoxFuture<'a, Result<bool, NotRead>> {
        Box::pin(async {
            let rows = self.rows(tenant.clone(), HAS_TENANT, texts([tenant.as_str()])).await?;
            Ok(rows.first().is_some_and(|row| row.get(0)))
        })
    }

    fn other_locations<'a>(
        &'a self,
        tenant: &'a TenantId,
        location: &'a LocationId,
    ) -> BoxFuture<'a, Result<Option<u32>, NotRead>> {
        Box::pin(async {
            let parameters = texts([tenant.as_str(), location.as_str()]);
            let rows = self.rows(tenant.clone(), OTHER_LOCATIONS, parameters).await?;
            let count = rows.first().and_then(|row| row.get::<_, Option<i64>>(0));
            Ok(count.map(|count| u32::try_from(count).unwrap_or(u32::MAX)))
        })
    }

    fn audit<'a>(
        &'a self,
        tenant: &'a TenantId,
        asked: &'a AuditQuery,
    ) -> BoxFuture<'a, Result<Vec<AuditRow>, NotRead>> {
        Box::pin(self.read_audit(tenant, asked))
    }

    fn webhook_queues<'a>(
        &'a self,
        tenant: &'a TenantId,
    ) -> BoxFuture<'a, Result<Vec<WebhookQueue>, NotRead>> {
        Box::pin(self.read_webhook_queues(tenant))
    }

    fn webhook_deliveries<'a>(
        &'a self,
        tenant: &'a TenantId,
        asked: &'a DeliveriesQuery,
    ) -> BoxFuture<'a, Result<Vec<ListedDelivery>, NotRead>> {
        Box::pin(self.read_webhook_deliveries(tenant, asked))
    }

    fn history<'a>(
        &'a self,
        tenant: &'a TenantId,
        asked: &'a HistoryQuery,
    ) -> BoxFuture<'a, Result<Vec<Stay>, NotRead>> {
        Box::pin(self.read_history(tenant, asked))
    }

    fn figures<'a>(
        &'a self,
        tenant: &'a TenantId,
        asked: &'a FiguresQuery,
    ) -> BoxFuture<'a, Result<Figures, NotRead>> {
        Box::pin(self.read_figures(tenant, asked))
    }
}
