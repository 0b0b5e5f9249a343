//! PostgreSQL: session settings, pools, and failures in words that quote no row.

pub mod access;

mod session_roles;
mod tls;

use std::time::Duration;

use deadpool_postgres::{
    BuildError, Manager, ManagerConfig, Pool, PoolError, QueueMode, RecyclingMethod, Runtime,
    TimeoutType,
};
use tokio_postgres::{Client, Config, config::SslMode};

pub use self::session_roles::{LoginPolicy, RoleFault, UnsafeSession, check_session};
use self::tls::PostgresTls;
use crate::{
    tls::{TlsError, client_config},
    url_options::{UnreadableSecret, UrlOptions},
};

/// How long sent bytes may stay unacknowledged before the connection counts as dead.
const UNACKNOWLEDGED: Duration = Duration::from_secs(5);

/// The connections of a pool by state, and the callers that wait for one, as metrics name them.
pub fn connection_counts(pool: &Pool) -> [(&'static str, usize); 4] {
    let status = pool.status();
    [
        ("used", status.size.saturating_sub(status.available)),
        ("idle", status.available),
        ("free", status.max_size.saturating_sub(status.size)),
        ("waiting", status.waiting),
    ]
}

/// A failure of the database. PostgreSQL's own messages quote keys and values, which can name
/// patients: only the error's code, the constraint and the kind of failure are kept.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The address of the database cannot be read.
    #[error("the address is not a postgres:// URL")]
    InvalidUrl,
    /// The address asks for a kind of TLS that is not safe.
    #[error(
        "`sslmode` may be `disable`, or `verify-full` or `require`, which both check the \
         certificate and the name of the server"
    )]
    InvalidSslMode,
    /// The files of TLS cannot be used.
    #[error("TLS to postgres cannot be used")]
    Tls(#[from] TlsError),
    /// The file of the password cannot be read.
    #[error(transparent)]
    Secret(#[from] UnreadableSecret),
    /// The database refused a statement.
    #[error("postgres refused a statement: {code} {constraint}")]
    Refused {
        /// The SQLSTATE.
        code: String,
        /// The name of the constraint, or nothing.
        constraint: String,
    },
    /// The connection failed: the kind of failure.
    #[error("the connection to postgres failed: {0}")]
    Connection(String),
    /// The database refuses the login, with its message.
    #[error("postgres refuses the login: {0}")]
    Login(String),
    /// All connections of the pool were in use for too long.
    #[error("no connection to postgres was free in time")]
    Busy,
    /// The statement took too long.
    #[error("postgres did not answer in time")]
    TimedOut,
    /// A row has another form than this program knows: what it should have been.
    #[error("postgres holds {0} that cannot be read")]
    Unreadable(&'static str),
    /// The pool refused its settings.
    #[error("the pool of connections cannot be created")]
    Pool(#[source] BuildError),
}

impl PostgresError {
    /// The failure of a connection attempt. Its message speaks of logins, roles and databases,
    /// never of rows, and is kept.
    pub fn from_connecting(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            // A server that starts, stops or is full says so by these classes of codes.
            Some(db) if matches!(db.code().code().get(..2), Some("57" | "53")) => {
                Self::Connection(db.message().to_owned())
            }
            Some(db) => Self::Login(db.message().to_owned()),
            None => error.into(),
        }
    }
}

impl From<tokio_postgres::Error> for PostgresError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(db) => Self::Refused {
                code: db.code().code().to_owned(),
                constraint: db.constraint().or(db.table()).unwrap_or_default().to_owned(),
            },
            None => {
                let source = std::error::Error::source(&error).map(|source| format!(": {source}"));
                Self::Connection(format!("{error}{}", source.unwrap_or_default()))
            }
        }
    }
}

impl From<PoolError> for PostgresError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Timeout(TimeoutType::Wait) => Self::Busy,
            PoolError::Timeout(_) => Self::TimedOut,
            PoolError::Backend(error) => Self::from_connecting(error),
            other => Self::Connection(other.to_string()),
        }
    }
}

/// The group role of a connection. Policies of row-level security are granted by role, and bind an
/// owner or a superuser only after `SET ROLE`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Writes the journal, the read models and the outbox.
    Processor,
    /// Reads the rows of one tenant at a time.
    Gateway,
}

impl Role {
    /// The name of the role in the database.
    pub fn name(self) -> &'static str {
        match self {
            Role::Processor => "clinicwire_processor",
            Role::Gateway => "clinicwire_gateway",
        }
    }
}

/// How a connection begins.
#[derive(Debug, Clone)]
pub struct SessionSettings {
    /// Shown in `pg_stat_activity`.
    pub application_name: &'static str,
    /// Absent: the login keeps its own role, for migrations.
    pub role: Option<Role>,
    /// Server settings as `-c name=value`, separated by blanks.
    pub options: String,
    /// How long connecting to one address may take.
    pub connect_timeout: Duration,
}

impl SessionSettings {
    /// The connection settings for `url`. Options of the URL come first, so that ours win.
    fn config(&self, url: &str) -> Result<(Config, PostgresTls), PostgresError> {
        let (mut config, tls) = parse(url)?;
        let mut options = config.get_options().map(|own| format!("{own} ")).unwrap_or_default();
        options.push_str(&self.options);
        if let Some(role) = self.role {
            options.push_str(" -c role=");
            options.push_str(role.name());
        }
        config
            .options(options)
            .application_name(self.application_name)
            .connect_timeout(self.connect_timeout)
            .tcp_user_timeout(UNACKNOWLEDGED)
            .keepalives(true)
            .keepalives_idle(Duration::from_secs(10))
            .keepalives_interval(Duration::from_secs(2))
            .keepalives_retries(3);
        Ok((config, tls))
    }
}

/// Reads a URL, and the files that its options `password_file` and `sslrootcert` name.
fn parse(url: &str) -> Result<(Config, PostgresTls), PostgresError> {
    let (options, rest) = UrlOptions::take(url);
    let mut config: Config = rest.parse().map_err(|_| PostgresError::InvalidUrl)?;
    if let Some(password) = options.password()? {
        config.password(password);
    }
    // `prefer` and `allow` of other programs would accept a server without TLS.
    let tls = match options.ssl_mode.as_deref() {
        None | Some("disable") => {
            config.ssl_mode(SslMode::Disable);
            None
        }
        Some("require" | "verify-full") => {
            config.ssl_mode(SslMode::Require);
            Some(client_config(options.ca_file.as_deref())?)
        }
        Some(_) => return Err(PostgresError::InvalidSslMode),
    };
    Ok((config, PostgresTls(tls)))
}

/// Checks a URL, and the files that it names, without connecting.
///
/// # Errors
/// [`PostgresError`], which does not quote the URL: it may hold a password.
pub fn check_url(url: &str) -> Result<(), PostgresError> {
    parse(url).map(drop)
}

/// One connection outside a pool.
///
/// # Errors
/// [`PostgresError::Connection`] or [`PostgresError::Login`] with the server's message.
pub async fn connect(session: &SessionSettings, url: &str) -> Result<Client, PostgresError> {
    let (config, tls) = session.config(url)?;
    let (client, connection) = config.connect(tls).await.map_err(PostgresError::from_connecting)?;
    // The connection ends with the client, whose next statement reports a failure.
    tokio::spawn(connection);
    Ok(client)
}

/// A pool of at most `size` connections. It connects when the first connection is asked for, and
/// waits for `timeout` at most for a free or a new one.
///
/// Users must return a connection only when it is idle: recycling does not ask the server.
///
/// # Errors
/// [`PostgresError`] when the URL, or a file that it names, cannot be used.
pub fn pool(
    session: &SessionSettings,
    url: &str,
    size: usize,
    timeout: Duration,
) -> Result<Pool, PostgresError> {
    let (config, tls) = session.config(url)?;
    let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
    Pool::builder(Manager::from_config(config, tls, recycling))
        .max_size(size)
        // The connection that was used last has its caches at hand, in the server too: each is a
        // process there, and a turn for each would make all of them cold.
        .queue_mode(QueueMode::Lifo)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(timeout))
        .create_timeout(Some(timeout))
        .recycle_timeout(Some(timeout))
        .build()
        .map_err(PostgresError::Pool)
}
