//! The database migrations in `migrations/`, which the program embeds.

use tokio_postgres::error::SqlState;

use super::postgres::{ConnectionSettings, PostgresError, login};

mod embedded {
    refinery::embed_migrations!("../migrations");
}

/// The table of applied migrations. It is in our schema, so that one database can hold the
/// migrations of other programs too.
const TABLE: &str = "clinicwire.migration";
/// Serializes two `prepare` of one database. The number is arbitrary.
const LOCK: &str = "SELECT pg_advisory_lock(7236145520011)";

/// Why the database does not have the schema of this program.
#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    /// The settings are invalid, or PostgreSQL did not answer.
    #[error(transparent)]
    Postgres(#[from] PostgresError),
    /// A migration was refused. Its transaction was rolled back.
    #[error("a migration failed: {0}")]
    Failed(String),
    /// The database lacks migrations of this program.
    #[error(
        "the database is at {}, this program needs migration {needed}: run \
         `clinicwire-processors prepare`",
        .found.map_or("no migration".to_owned(), |found| format!("migration {found}"))
    )]
    Behind {
        /// The last applied migration. `None` for a database without any.
        found: Option<i32>,
        /// The last migration of this program.
        needed: i32,
    },
}

/// The last migration this program was built with.
pub fn newest() -> i32 {
    embedded::migrations::runner()
        .get_migrations()
        .iter()
        .map(refinery::Migration::version)
        .max()
        .unwrap_or_default()
}

/// Applies missing migrations. Returns how many were applied.
///
/// # Errors
/// [`MigrationError::Failed`] with the statement's error.
pub async fn apply(url: &str) -> Result<usize, MigrationError> {
    apply_up_to(url, newest()).await
}

/// Applies missing migrations up to this version, as an older program does. Returns how many were
/// applied.
///
/// # Errors
/// [`MigrationError::Failed`] with the statement's error.
pub async fn apply_up_to(url: &str, version: i32) -> Result<usize, MigrationError> {
    let mut client = login(&ConnectionSettings { url: url.to_owned(), role: None }).await?;
    // Neither a long migration nor the wait for another `prepare` is cut off.
    let begin =
        format!("SET statement_timeout = 0; {LOCK}; CREATE SCHEMA IF NOT EXISTS clinicwire");
    client.batch_execute(&begin).await.map_err(PostgresError::from)?;
    let target = refinery::Target::Version(version);
    let mut runner = embedded::migrations::runner().set_target(target);
    runner.set_migration_table_name(TABLE);
    let report = runner
        .run_async(&mut client)
        .await
        .map_err(|error| MigrationError::Failed(describe(&error)))?;
    Ok(report.applied_migrations().len())
}

/// The error with its causes. PostgreSQL's messages are kept: a migration's SQL quotes no patient's
/// data.
fn describe(error: &refinery::Error) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        match error.downcast_ref::<tokio_postgres::error::DbError>() {
            Some(db) => text = format!("{text}: {} ({})", db.message(), db.code().code()),
            None => text = format!("{text}: {error}"),
        }
        source = error.source();
    }
    text
}

/// Checks that the database has all migrations that this program needs. It may have more: the next
/// release can run beside this one.
///
/// # Errors
/// [`MigrationError`]
pub async fn check(url: &str) -> Result<(), MigrationError> {
    let client = login(&ConnectionSettings { url: url.to_owned(), role: None }).await?;
    let found = match client.query_one(&format!("SELECT max(version) FROM {TABLE}"), &[]).await {
        Ok(row) => row.get::<_, Option<i32>>(0),
        Err(error)
            if [SqlState::UNDEFINED_TABLE, SqlState::INVALID_SCHEMA_NAME]
                .iter()
                .any(|s| error.code() == Some(s)) =>
        {
            None
        }
        Err(error) => return Err(PostgresError::from(error).into()),
    };
    let needed = newest();
    if found.is_some_and(|found| found >= needed) {
        Ok(())
    } else {
        Err(MigrationError::Behind { found, needed })
    }
}
