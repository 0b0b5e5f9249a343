//! Connections: few, limited in every direction, and never given back in the middle of something.

use std::{ops::Deref, time::Duration};

use deadpool_postgres::{ClientWrapper, Manager, ManagerConfig, Object, RecyclingMethod, Runtime};
use tokio_postgres::{Client, Config, NoTls};

use super::failure::{Failure, connecting};

/// How long a new connection, or a free one, may take to be had.
const CONNECT: Duration = Duration::from_secs(3);
/// How long sent bytes may stay unacknowledged before the connection counts as dead.
const UNACKNOWLEDGED: Duration = Duration::from_secs(5);

/// Every statement of a service finds its rows by key, and takes as long to plan as to run. So plans are made once, and
/// for indexes: one made for a table while it was small would go on reading all of it.
const BY_KEY: &str = " -c plan_cache_mode=force_generic_plan -c enable_seqscan=off -c enable_hashjoin=off \
     -c enable_mergejoin=off -c jit=off";

/// The group role a connection runs as: row-level security is by role, and holds for owners and superusers only if
/// they put their own role aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Processor,
    Gateway,
}

impl Role {
    pub fn name(self) -> &'static str {
        match self {
            Role::Processor => "clinicwire_processor",
            Role::Gateway => "clinicwire_gateway",
        }
    }
}

/// Where to connect, and as whom.
#[derive(Clone)]
pub struct ConnectionSettings {
    /// `postgres://user:password@host:port/database`; never shown, as it holds a password.
    pub url: String,
    /// Absent: as the login itself, for migrations.
    pub role: Option<Role>,
}

#[derive(Clone)]
pub struct PoolSettings {
    pub connection: ConnectionSettings,
    /// Connections at most. A runner writes one batch at a time and loads up to eight locations at once; who finds
    /// none free waits three seconds.
    pub size: usize,
}

impl ConnectionSettings {
    /// Limits on the server's side: a statement ends after 5 s, a transaction that waits for us after 5 s. A stopped
    /// process so holds its partition's row for 5 s at most, and its successor's claim waits no longer.
    fn config(&self) -> Result<Config, Failure> {
        // The parser's message could quote a piece of the password.
        let mut config: Config = self
            .url
            .parse()
            .map_err(|_| Failure::Connection("the address is no postgres:// URL".to_owned()))?;
        let mut options = config.get_options().map(|given| format!("{given} ")).unwrap_or_default();
        options.push_str(
            "-c statement_timeout=5000 -c idle_in_transaction_session_timeout=5000 -c TimeZone=UTC",
        );
        if let Some(role) = self.role {
            options.push_str(BY_KEY);
            options.push_str(" -c role=");
            options.push_str(role.name());
        }
        config
            .options(options)
            .application_name("clinicwire-processors")
            .connect_timeout(CONNECT)
            .tcp_user_timeout(UNACKNOWLEDGED)
            .keepalives(true)
            .keepalives_idle(Duration::from_secs(10))
            .keepalives_interval(Duration::from_secs(2))
            .keepalives_retries(3);
        Ok(config)
    }
}

/// One connection outside the pool, as the login itself or as a role: for migrations and start-up checks.
///
/// # Errors
/// [`Failure::Connection`] with the server's words.
pub async fn login(settings: &ConnectionSettings) -> Result<Client, Failure> {
    let (client, connection) = settings.config()?.connect(NoTls).await.map_err(connecting)?;
    // It ends with the client. What fails it fails the client's next statement, which reports it.
    tokio::spawn(connection);
    Ok(client)
}

pub(super) struct Pool(deadpool_postgres::Pool);

impl Pool {
    pub(super) fn new(settings: &PoolSettings) -> Result<Self, Failure> {
        // A connection only ever comes back idle (see `Lease`), so that recycling need not ask the server.
        let recycling = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(settings.connection.config()?, NoTls, recycling);
        let pool = deadpool_postgres::Pool::builder(manager)
            .max_size(settings.size)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(CONNECT))
            .create_timeout(Some(CONNECT))
            .recycle_timeout(Some(CONNECT))
            .build()
            .map_err(Failure::Pool)?;
        Ok(Self(pool))
    }

    pub(super) async fn lease(&self) -> Result<Lease, Failure> {
        Ok(Lease(Some(self.0.get().await?)))
    }
}

/// A connection that returns to the pool only through [`Lease::give_back`]. Dropped before, by an error, a timeout or a
/// cancelled future, it is closed, and the server rolls back: an open transaction cannot reach the next user.
pub(super) struct Lease(Option<Object>);

impl Lease {
    pub(super) fn give_back(mut self) {
        self.0 = None;
    }
}

impl Deref for Lease {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        self.0.as_ref().expect("a lease holds its connection until it is given back or dropped")
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            drop(Object::take(connection));
        }
    }
}
