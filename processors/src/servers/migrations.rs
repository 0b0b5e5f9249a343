//! The migrations in `migrations/`, embedded.

use tokio_postgres::error::SqlState;

use super::postgres::{ConnectionSettings, Failure, login};

mod embedded {
    refinery::embed_migrations!("../migrations");
}

/// Remembers what was applied. It lies in the schema, so that a database may hold others' migrations beside ours.
const TABLE: &str = "clinicwire.migration";
/// Two who prepare one database at once take turns. Any number that nobody else uses will do.
const LOCK: &str = "SELECT pg_advisory_lock(7236145520011)";

#[derive(Debug, thiserror::Error)]
pub enum MigrationError {
    #[error(transparent)]
    Postgres(#[from] Failure),
    #[error("a migration failed: {0}")]
    Failed(String),
    #[error("the database holds {}, this program needs migration {needed}: run `clinicwire-processors prepare`",
        .found.map_or("no migration".to_owned(), |found| format!("migration {found}")))]
    Behind { found: Option<i32>, needed: i32 },
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

/// Applies what is missing. Answers how many were applied.
///
/// # Errors
/// [`MigrationError::Failed`] with the statement's error.
pub async fn apply(url: &str) -> Result<usize, MigrationError> {
    let mut client = login(&ConnectionSettings { url: url.to_owned(), role: None }).await?;
    // A long migration is not cut off, and neither is the wait for whoever migrates at the moment.
    let begin =
        format!("SET statement_timeout = 0; {LOCK}; CREATE SCHEMA IF NOT EXISTS clinicwire");
    client.batch_execute(&begin).await.map_err(Failure::from)?;
    let mut runner = embedded::migrations::runner();
    runner.set_migration_table_name(TABLE);
    let report = runner
        .run_async(&mut client)
        .await
        .map_err(|error| MigrationError::Failed(words(&error)))?;
    Ok(report.applied_migrations().len())
}

/// A migration's SQL is ours and meets no patient's data in its messages before there is any: they may be shown.
fn words(error: &refinery::Error) -> String {
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

/// Whether the database has all migrations this program needs. More are welcome: the next release runs beside this one.
///
/// # Errors
/// [`MigrationError::Behind`] says what to run.
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
        Err(error) => return Err(Failure::from(error).into()),
    };
    let needed = newest();
    if found.is_some_and(|found| found >= needed) {
        Ok(())
    } else {
        Err(MigrationError::Behind { found, needed })
    }
}
