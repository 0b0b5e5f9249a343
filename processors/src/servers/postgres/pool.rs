//! Connections of the processors: limited in time by both sides, and returned to the pool only when
//! idle.

use std::{ops::Deref, time::Duration};

use deadpool_postgres::{ClientWrapper, Object, Pool};
use servers::postgres::{
    LoginPolicy, PostgresError, Role, SessionSettings, UnsafeSession, check_session,
};
use tokio_postgres::Client;

/// How long an operation waits for a free or new connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Every statement finds its rows by key, and planning takes as long as running. So plans are made
/// once, and for indexes: a plan made while a table is small would keep reading the whole table.
const BY_KEY: &str = " -c plan_cache_mode=force_generic_plan -c enable_seqscan=off \
     -c enable_hashjoin=off -c enable_mergejoin=off -c jit=off";

/// Where to connect, and with which role.
#[derive(Clone)]
pub struct ConnectionSettings {
    /// `postgres://user:password@host:port/database`. Never logged, since it holds a password.
    pub url: String,
    /// Absent: the login keeps its own role, for migrations.
    pub role: Option<Role>,
}

/// How a pool connects, and its size.
#[derive(Clone)]
pub struct PoolSettings {
    /// How each connection is made.
    pub connection: ConnectionSettings,
    /// Most connections. A runner writes one batch at a time and restores up to eight locations at
    /// once; an operation waits three seconds for a free connection.
    pub size: usize,
}

impl ConnectionSettings {
    /// Limits on the server's side: a statement ends after 5 s, and so does a transaction that
    /// waits for us. So a stopped process holds its partition's row for 5 s at most, and its
    /// successor's claim waits no longer.
    fn session(&self) -> SessionSettings {
        self.session_with(self.role.map_or("", |_| BY_KEY))
    }

    /// The same with other options of the planner.
    fn session_with(&self, plans: &str) -> SessionSettings {
        let limits =
            "-c statement_timeout=5000 -c idle_in_transaction_session_timeout=5000 -c TimeZone=UTC";
        SessionSettings {
            application_name: "clinicwire-processors",
            role: self.role,
            options: format!("{limits}{plans}"),
            connect_timeout: CONNECT_TIMEOUT,
        }
    }
}

/// One connection outside the pool, as the login itself or as a role: for migrations and start-up
/// checks.
///
/// # Errors
/// [`PostgresError::Connection`] or [`PostgresError::Login`] with the server's message.
pub async fn login(settings: &ConnectionSettings) -> Result<Client, PostgresError> {
    servers::postgres::connect(&settings.session(), &settings.url).await
}

/// Checks that neither the role nor the login of these connections is above row-level security.
///
/// # Errors
/// [`UnsafeSession`]
pub async fn check_roles(
    settings: &ConnectionSettings,
    policy: LoginPolicy,
) -> Result<(), UnsafeSession> {
    check_session(&login(settings).await?, policy).await
}

#[derive(Clone)]
pub(super) struct LeasePool(Pool);

impl LeasePool {
    pub(super) fn new(settings: &PoolSettings) -> Result<Self, PostgresError> {
        Self::with_plans(settings, settings.connection.role.map_or("", |_| BY_KEY))
    }

    /// A pool whose sessions plan statements by these options.
    pub(super) fn with_plans(settings: &PoolSettings, plans: &str) -> Result<Self, PostgresError> {
        let ConnectionSettings { url, .. } = &settings.connection;
        let session = settings.connection.session_with(plans);
        servers::postgres::pool(&session, url, settings.size, CONNECT_TIMEOUT).map(Self)
    }

    /// The connections by state, for metrics.
    pub(super) fn connections(&self) -> [(&'static str, usize); 4] {
        servers::postgres::connection_counts(&self.0)
    }

    pub(super) async fn lease(&self) -> Result<Lease, PostgresError> {
        Ok(Lease(Some(self.0.get().await?)))
    }
}

/// A connection that returns to the pool only through [`Lease::give_back`]. When an error, a
/// timeout or a cancelled future drops it before, it is closed and the server rolls back: the next
/// user never gets an open transaction.
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
