//! Redis: the live views as the processors lay them out (`schemas::redis_keys`), and the short-lived keys.

use std::time::Duration;

use fred::{
    clients::Client,
    error::Error,
    interfaces::{ClientLike, KeysInterface},
    types::{
        Builder, Expiration,
        config::{Config, ReconnectPolicy, TcpConfig, UnresponsiveConfig},
        scripts::Script,
    },
};
use schemas::{
    ids::Aggregate,
    redis_keys::{self, generation, view as view_key},
};

use crate::{
    BoxFuture,
    backends::short_keys::{KeysUnavailable, ShortKeys},
    backends::snapshots::{NotRead, Snapshot, Snapshots},
};

/// A command without an answer for this long has failed: just below the second after which a reader asks the
/// authority in Redis' place.
const COMMAND: Duration = Duration::from_millis(900);
const CONNECT: Duration = Duration::from_secs(2);
/// A connection that owes an answer for this long is closed and made anew.
const UNRESPONSIVE: Duration = Duration::from_secs(2);
/// Commands waiting for the connection: a storm's first second. Past it more fail at once, and views come from
/// the authority.
const BUFFER: usize = 10_000;

/// Generation and view in one look, so that an emptied Redis is not taken for one that never had the view.
const LOOK: &str = "return {redis.call('EXISTS', KEYS[1]), redis.call('HGETALL', KEYS[2])}";

/// Connects, and mends later losses in the background. The timeouts are all set here: the client has none.
///
/// # Errors
/// Redis' own error when the address is none or nobody answers there.
pub async fn connect(url: &str) -> Result<Client, Error> {
    let client = Builder::from_config(Config::from_url(url)?)
        .with_performance_config(|performance| performance.default_command_timeout = COMMAND)
        .with_connection_config(|connection| {
            connection.connection_timeout = CONNECT;
            connection.internal_command_timeout = CONNECT;
            connection.max_command_attempts = 2;
            connection.max_command_buffer_len = BUFFER;
            connection.unresponsive =
                UnresponsiveConfig { max_timeout: Some(UNRESPONSIVE), interval: UNRESPONSIVE / 4 };
            connection.tcp = TcpConfig { nodelay: Some(true), ..TcpConfig::default() };
        })
        // For ever, from 50 ms up to 5 s.
        .set_policy(ReconnectPolicy::new_exponential(0, 50, 5_000, 2))
        .build()?;
    client.init().await?;
    client.ping::<()>(None).await?;
    Ok(client)
}

pub struct RedisSnapshots {
    client: Client,
    look: Script,
}

impl RedisSnapshots {
    pub fn new(client: Client) -> Self {
        Self { client, look: Script::from_lua(LOOK) }
    }

    async fn look(&self, aggregate: &Aggregate, view: &str) -> Result<Snapshot, NotRead> {
        let keys = vec![generation(aggregate), view_key(aggregate, view)];
        let answer = self.look.evalsha_with_reload(&self.client, keys, Vec::<String>::new()).await;
        let (generation, fields): (bool, Vec<String>) =
            answer.map_err(|error: Error| NotRead(Box::new(error)))?;
        if !generation {
            return Ok(Snapshot::Emptied);
        }
        let mut fields = fields.into_iter();
        let positions = std::iter::from_fn(|| Some((fields.next()?, fields.next()?)));
        let view = redis_keys::read_view(positions).map_err(|error| NotRead(Box::new(error)))?;
        Ok(view.map_or(Snapshot::Absent, Snapshot::Held))
    }
}

impl Snapshots for RedisSnapshots {
    fn load<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        view: &'a str,
    ) -> BoxFuture<'a, Result<Snapshot, NotRead>> {
        Box::pin(self.look(aggregate, view))
    }
}

pub struct RedisKeys {
    client: Client,
}

impl RedisKeys {
    pub fn new(client: Client) -> Self {
        Self { client }
    }
}

fn once(key: &str) -> String {
    format!("cw:once:{key}")
}

fn unavailable(error: Error) -> KeysUnavailable {
    KeysUnavailable(Box::new(error))
}

impl ShortKeys for RedisKeys {
    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), KeysUnavailable>> {
        Box::pin(async move {
            let ttl = Expiration::PX(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX));
            self.client.set(once(key), value, Some(ttl), None, false).await.map_err(unavailable)
        })
    }

    fn take<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, KeysUnavailable>> {
        Box::pin(async move { self.client.getdel(once(key)).await.map_err(unavailable) })
    }
}
