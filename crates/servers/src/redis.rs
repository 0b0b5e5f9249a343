//! The Redis client: every timeout is set here, since the client library sets none by default.

pub mod access;

use std::time::Duration;

use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    interfaces::{ClientLike, EventInterface},
    types::{
        Builder,
        config::{Config, ReconnectPolicy, TcpConfig, TlsConnector, UnresponsiveConfig},
    },
};

use crate::{
    tls::{TlsError, client_config},
    url_options::{UnreadableSecret, UrlOptions},
};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection that owes an answer for this long is closed and replaced.
const UNRESPONSIVE: Duration = Duration::from_secs(2);
/// Attempts at one command: the second covers a connection that was lost while idle.
const ATTEMPTS: u32 = 2;

/// Limits that differ by program.
#[derive(Debug, Clone, Copy)]
pub struct RedisLimits {
    /// A command without an answer for this long has failed.
    pub command_timeout: Duration,
    /// Commands that may wait for the connection. Further ones fail at once.
    pub queued_commands: usize,
}

/// Why a client cannot be used, now or later.
#[derive(Debug, thiserror::Error)]
pub enum RedisUnusable {
    /// The address of the server cannot be read.
    #[error(transparent)]
    Url(#[from] RedisUrlError),
    /// The client refused its settings.
    #[error("the client's settings do not fit")]
    Settings(#[source] Error),
    /// The server refuses the login.
    #[error("redis refuses the login")]
    Login(#[source] Error),
}

/// Connects, and waits a moment for the connection. If Redis does not answer, and after each loss
/// of the connection, the client tries again in the background; commands fail meanwhile.
///
/// # Errors
/// [`RedisUnusable`], but not when Redis does not answer.
pub async fn connect(url: &str, limits: RedisLimits) -> Result<Client, RedisUnusable> {
    let mut config = parse(url)?;
    config.fail_fast = false;
    let client = Builder::from_config(config)
        .with_performance_config(|performance| {
            performance.default_command_timeout = limits.command_timeout;
        })
        .with_connection_config(|connection| {
            connection.connection_timeout = CONNECT_TIMEOUT;
            connection.internal_command_timeout = CONNECT_TIMEOUT;
            connection.max_command_attempts = ATTEMPTS;
            connection.max_command_buffer_len = limits.queued_commands;
            connection.unresponsive =
                UnresponsiveConfig { max_timeout: Some(UNRESPONSIVE), interval: UNRESPONSIVE / 4 };
            connection.tcp = TcpConfig { nodelay: Some(true), ..TcpConfig::default() };
        })
        // Without end, from 50 ms up to 2 s.
        .set_policy(ReconnectPolicy::new_exponential(0, 50, 2_000, 2))
        .build()
        .map_err(RedisUnusable::Settings)?;
    let mut errors = client.error_rx();
    // The task ends with the client.
    drop(client.connect());
    let connected = async { client.wait_for_connect().await.and(client.ping::<()>(None).await) };
    let first = tokio::select! {
        connected = tokio::time::timeout(CONNECT_TIMEOUT, connected) => match connected {
            Ok(connected) => connected,
            Err(_) => Err(Error::new(ErrorKind::Timeout, "no answer in time")),
        },
        Ok((error, _)) = errors.recv() => Err(error),
    };
    match first {
        Ok(()) => {}
        Err(error) if *error.kind() == ErrorKind::Auth => return Err(RedisUnusable::Login(error)),
        Err(error) => tracing::warn!(
            error = &error as &dyn std::error::Error,
            "redis does not answer; connecting continues in the background"
        ),
    }
    Ok(client)
}

/// A cluster is refused: its nodes have different identities, and views are trusted by the identity
/// of one server.
fn parse(url: &str) -> Result<Config, RedisUrlError> {
    let (options, rest) = UrlOptions::take(url);
    let scheme = rest.split_once("://").map_or("", |(scheme, _)| scheme);
    // The client would take any scheme that begins with `rediss` for TLS, by the system's
    // authorities alone.
    let is_tls = scheme.starts_with("rediss");
    let plain = if is_tls { rest.replacen("rediss", "redis", 1) } else { rest };
    let mut config = Config::from_url(&plain).map_err(|_| RedisUrlError::Invalid)?;
    if config.server.is_clustered() || options.ssl_mode.is_some() {
        return Err(RedisUrlError::Invalid);
    }
    if is_tls {
        let client = client_config(options.ca_file.as_deref())?;
        config.tls = Some(TlsConnector::Rustls(client.into()).into());
    }
    if let Some(password) = options.password()? {
        config.password = Some(password);
    }
    Ok(config)
}

/// Checks a Redis URL, and the files that it names, without connecting.
///
/// # Errors
/// [`RedisUrlError`], which does not quote the URL: it may hold a password.
pub fn check_url(url: &str) -> Result<(), RedisUrlError> {
    parse(url).map(drop)
}

/// A text that is no address of Redis.
#[derive(Debug, thiserror::Error)]
pub enum RedisUrlError {
    /// The text is no such URL, or that of a cluster.
    #[error("the address is not a redis:// or rediss:// URL of one server or of its sentinels")]
    Invalid,
    /// The files of TLS cannot be used.
    #[error("TLS to redis cannot be used")]
    Tls(#[from] TlsError),
    /// The file of the password cannot be read.
    #[error(transparent)]
    Secret(#[from] UnreadableSecret),
}
