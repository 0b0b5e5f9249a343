//! The Redis client: every timeout is set here, since the client library sets none by default.

use std::time::Duration;

use fred::{
    clients::Client,
    error::Error,
    interfaces::ClientLike,
    types::{
        Builder,
        config::{Config, ReconnectPolicy, TcpConfig, UnresponsiveConfig},
    },
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

/// Connects. Later losses of the connection are repaired in the background.
///
/// # Errors
/// The client's error when `url` is not a Redis URL or no server answers there.
pub async fn connect(url: &str, limits: RedisLimits) -> Result<Client, Error> {
    let client = Builder::from_config(Config::from_url(url)?)
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
        // Without end, from 50 ms up to 5 s.
        .set_policy(ReconnectPolicy::new_exponential(0, 50, 5_000, 2))
        .build()?;
    client.init().await?;
    client.ping::<()>(None).await?;
    Ok(client)
}

/// Checks the form of a Redis URL without connecting.
///
/// # Errors
/// [`InvalidRedisUrl`], which does not quote the URL: it may hold a password.
pub fn check_url(url: &str) -> Result<(), InvalidRedisUrl> {
    Config::from_url(url).map(drop).map_err(|_| InvalidRedisUrl)
}

#[derive(Debug, thiserror::Error)]
#[error("the address is not a redis:// URL")]
pub struct InvalidRedisUrl;
