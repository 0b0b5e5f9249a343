//! Whether a session may read and write tables, tried by statements that are planned and never run:
//! `EXPLAIN` checks the rights as the statement itself does.

use tokio::time::timeout;
use tokio_postgres::{Client, error::SqlState};

use super::{LoginPolicy, PostgresError, UnsafeSession, check_session};
use crate::access_check::{Access, AccessReport, REACHED_WITHIN};

/// A right to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableRight {
    /// To read rows.
    Select,
    /// To add rows.
    Insert,
    /// To change rows.
    Update,
    /// To remove rows.
    Delete,
}

impl TableRight {
    /// Every right.
    pub const ALL: [TableRight; 4] = [Self::Select, Self::Insert, Self::Update, Self::Delete];

    /// The word of SQL.
    pub fn name(self) -> &'static str {
        match self {
            Self::Select => "SELECT",
            Self::Insert => "INSERT",
            Self::Update => "UPDATE",
            Self::Delete => "DELETE",
        }
    }

    fn statement(self, table: &str, column: &str) -> String {
        match self {
            Self::Select => format!("EXPLAIN SELECT FROM {table}"),
            Self::Insert => format!("EXPLAIN INSERT INTO {table} DEFAULT VALUES"),
            Self::Update => format!("EXPLAIN UPDATE {table} SET {column} = NULL"),
            Self::Delete => format!("EXPLAIN DELETE FROM {table}"),
        }
    }
}

/// The tables of the schema, each with its first column, both quoted. Partitions have the rights of
/// their table.
const TABLES: &str = "SELECT c.relname::text, format('%I.%I', n.nspname, c.relname), \
        (SELECT quote_ident(a.attname) FROM pg_attribute a \
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
            AND a.attgenerated = '' AND a.attidentity <> 'a' ORDER BY a.attnum LIMIT 1) \
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = 'clinicwire' AND c.relkind IN ('r', 'p') AND NOT c.relispartition \
    ORDER BY 1";

/// One table of the schema.
#[derive(Debug, Clone)]
pub struct Table {
    /// The name without the schema.
    pub name: String,
    quoted: String,
    column: String,
}

/// The tables of the schema.
///
/// # Errors
/// [`PostgresError`]
pub async fn tables(client: &Client) -> Result<Vec<Table>, PostgresError> {
    let rows = client.query(TABLES, &[]).await?;
    let table = |row: tokio_postgres::Row| Table {
        name: row.get(0),
        quoted: row.get(1),
        column: row.get(2),
    };
    Ok(rows.into_iter().map(table).collect())
}

/// Makes the attempts at PostgreSQL, for a bounded time.
pub async fn check_database(
    report: &mut AccessReport,
    attempts: impl AsyncFnOnce(&mut AccessReport) -> Result<(), PostgresError>,
) {
    report.begin("postgres");
    match timeout(REACHED_WITHIN, attempts(report)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => report.no_login("postgres", error),
        Err(_) => report.no_login("postgres", "no answer"),
    }
}

/// Reports whether the session is above row-level security.
///
/// # Errors
/// [`PostgresError`]
pub async fn check_bound(
    report: &mut AccessReport,
    client: &Client,
    policy: LoginPolicy,
) -> Result<(), PostgresError> {
    let above = match check_session(client, policy).await {
        Ok(()) => Access::Refused,
        Err(UnsafeSession::Postgres(error)) => return Err(error),
        Err(UnsafeSession::Role { .. } | UnsafeSession::Login { .. }) => Access::Allowed,
    };
    report.must_not("postgres: be above row-level security", above);
    Ok(())
}

/// Tries one right to a table.
pub async fn try_table(client: &Client, table: &Table, right: TableRight) -> Access {
    judge(client.batch_execute(&right.statement(&table.quoted, &table.column)).await)
}

/// Tries whether the session sees a row of a table with row-level security although it has named no
/// tenant.
pub async fn try_see_without_tenant(client: &Client, table: &str) -> Access {
    match client.query_one(&format!("SELECT EXISTS (SELECT FROM {table})"), &[]).await {
        Ok(row) if row.get(0) => Access::Allowed,
        Ok(_) => Access::Refused,
        Err(error) => judge(Err(error)),
    }
}

/// Tries whether the session may create our schema, or change it once it exists.
pub async fn try_prepare(client: &Client) -> Access {
    let may = "SELECT CASE WHEN to_regnamespace('clinicwire') IS NULL \
        THEN has_database_privilege(current_database(), 'CREATE') \
        ELSE has_schema_privilege('clinicwire', 'CREATE') END";
    privilege(client, may).await
}

/// Tries whether the session may create tables beside ours.
pub async fn try_create(client: &Client) -> Access {
    privilege(client, "SELECT has_schema_privilege(current_user, 'clinicwire', 'CREATE')").await
}

async fn privilege(client: &Client, may: &str) -> Access {
    match client.query_one(may, &[]).await {
        Ok(row) if row.get(0) => Access::Allowed,
        Ok(_) => Access::Refused,
        Err(error) => judge(Err(error)),
    }
}

fn judge(outcome: Result<(), tokio_postgres::Error>) -> Access {
    match outcome {
        Ok(()) => Access::Allowed,
        Err(error) if error.code() == Some(&SqlState::INSUFFICIENT_PRIVILEGE) => Access::Refused,
        Err(error) => Access::Unknown(PostgresError::from(error).to_string()),
    }
}

/// Tries a right to many tables that must be refused for each, in one line of the report.
pub async fn check_no_table(
    report: &mut AccessReport,
    client: &Client,
    tables: &[Table],
    right: TableRight,
) {
    let (mut allowed, mut unknown) = (Vec::new(), None);
    for table in tables {
        match try_table(client, table, right).await {
            Access::Refused => {}
            Access::Allowed => allowed.push(table.name.as_str()),
            Access::Unknown(why) => unknown = Some(format!("{}: {why}", table.name)),
        }
    }
    let count = tables.len();
    let right = right.name();
    if !allowed.is_empty() {
        report.must_not(format!("postgres: {right} on {}", allowed.join(", ")), Access::Allowed);
    } else {
        let found = unknown.map_or(Access::Refused, Access::Unknown);
        report.must_not(format!("postgres: {right} on any of {count} tables"), found);
    }
}
