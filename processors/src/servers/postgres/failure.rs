//! What went wrong with Postgres, in words that quote no row.

use deadpool_postgres::{BuildError, PoolError};

use crate::ledger::LedgerError;

/// A fault of the database. Postgres' own messages quote keys and values, which name patients: only the error's code,
/// the constraint and the kind of fault are kept.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("postgres refused a statement: {code} {constraint}")]
    Refused { code: String, constraint: String },
    #[error("the connection to postgres failed: {0}")]
    Connection(String),
    #[error("no connection to postgres was free in time")]
    Busy,
    #[error("postgres did not answer in time")]
    TimedOut,
    #[error("postgres holds {0} that cannot be read")]
    Unreadable(&'static str),
    #[error("the pool of connections cannot be made")]
    Pool(#[source] BuildError),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(db) => Failure::Refused {
                code: db.code().code().to_owned(),
                constraint: db.constraint().or(db.table()).unwrap_or_default().to_owned(),
            },
            None => {
                let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
                Failure::Connection(format!("{error}{}", source.unwrap_or_default()))
            }
        }
    }
}

impl From<PoolError> for Failure {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Timeout(deadpool_postgres::TimeoutType::Wait) => Failure::Busy,
            PoolError::Timeout(_) => Failure::TimedOut,
            PoolError::Backend(error) => connecting(error),
            other => Failure::Connection(other.to_string()),
        }
    }
}

/// An error of connecting speaks of logins, roles and databases, never of rows: its message is kept.
pub(super) fn connecting(error: tokio_postgres::Error) -> Failure {
    match error.as_db_error() {
        Some(db) => Failure::Connection(db.message().to_owned()),
        None => Failure::from(error),
    }
}

impl From<Failure> for LedgerError {
    fn from(failure: Failure) -> Self {
        LedgerError::Unavailable(Box::new(failure))
    }
}
