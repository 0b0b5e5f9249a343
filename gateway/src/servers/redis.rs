//! Redis: live views in the layout of `schemas::redis_keys`, and short-lived keys.

use std::time::Duration;

use fred::{
    clients::Client,
    error::Error,
    interfaces::KeysInterface,
    types::{Expiration, scripts::Script},
};
use schemas::{
    ids::Aggregate,
    redis_keys::{self, generation, view as view_key},
};
use servers::redis::RedisLimits;

use crate::{
    BoxFuture,
    backends::short_keys::{KeysUnavailable, ShortKeys},
    backends::snapshots::{NotRead, Snapshot, Snapshots},
};

const LIMITS: RedisLimits = RedisLimits {
    // Just below the second after which a reader asks PostgreSQL instead.
    command_timeout: Duration::from_millis(900),
    // The first second of a reconnect storm. Past it views are read from PostgreSQL.
    queued_commands: 10_000,
};

/// Reads generation and view together: without its generation a missing view means an emptied
/// Redis, and with it that the view does not exist.
const READ_VIEW: &str = "return {redis.call('EXISTS', KEYS[1]), redis.call('HGETALL', KEYS[2])}";

/// Connects. Later losses of the connection are repaired in the background.
///
/// # Errors
/// The client's error when `url` is not a Redis URL or no server answers there.
pub async fn connect(url: &str) -> Result<Client, Error> {
    servers::redis::connect(url, LIMITS).await
}

pub struct RedisSnapshots {
    client: Client,
    read_view: Script,
}

impl RedisSnapshots {
    pub fn new(client: Client) -> Self {
        Self { client, read_view: Script::from_lua(READ_VIEW) }
    }

    async fn read(&self, aggregate: &Aggregate, view: &str) -> Result<Snapshot, NotRead> {
        let keys = vec![generation(aggregate), view_key(aggregate, view)];
        let answer =
            self.read_view.evalsha_with_reload(&self.client, keys, Vec::<String>::new()).await;
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
        Box::pin(self.read(aggregate, view))
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

fn redis_key(key: &str) -> String {
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
            self.client
                .set(redis_key(key), value, Some(ttl), None, false)
                .await
                .map_err(unavailable)
        })
    }

    fn take<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, KeysUnavailable>> {
        Box::pin(async move { self.client.getdel(redis_key(key)).await.map_err(unavailable) })
    }
}
