//! Redis: live views in the layout of `schemas::redis_keys`, and short-lived keys.

use std::time::Duration;

use fred::{
    clients::Client,
    error::Error,
    interfaces::{ClientLike, KeysInterface},
    types::{Expiration, scripts::Script},
};
use schemas::{
    ids::Aggregate,
    redis_keys::{self, READ_IDENTITY, StoreIdentity, generation, view as view_key},
};
use servers::redis::{RedisLimits, RedisUnusable};

use crate::{
    BoxFuture,
    backends::quota::{Quota, Spent},
    backends::short_keys::{KeysUnavailable, ShortKeys},
    backends::snapshots::{NotRead, Snapshot, Snapshots},
};

const LIMITS: RedisLimits = RedisLimits {
    // Just below the half second after which a reader asks PostgreSQL instead.
    command_timeout: Duration::from_millis(450),
    // The first second of a reconnect storm. Past it views are read from PostgreSQL.
    queued_commands: 10_000,
};

/// Reads the identity of the server, the generation and the view together: a view that was stored
/// under another identity may be old, and without a generation of this identity neither a view nor
/// its absence is reliable.
///
/// The keys are arguments of the script, because Redis asks for the right to write to the `KEYS` of
/// any script, and a gateway may only read views.
const READ_VIEW: &str = "return {role, replication_id, redis.call('GET', ARGV[1]) or '', \
    redis.call('HGETALL', ARGV[2])}";

/// Connects, in the background if Redis does not answer now.
///
/// # Errors
/// [`RedisUnusable`]
pub async fn connect(url: &str) -> Result<Client, RedisUnusable> {
    servers::redis::connect(url, LIMITS).await
}

/// The view store in Redis.
pub struct RedisSnapshots {
    client: Client,
    read_view: Script,
}

impl RedisSnapshots {
    /// Uses this connection.
    pub fn new(client: Client) -> Self {
        Self { client, read_view: Script::from_lua(format!("{READ_IDENTITY}{READ_VIEW}")) }
    }

    async fn read(&self, aggregate: &Aggregate, view: &str) -> Result<Snapshot, NotRead> {
        let keys = vec![generation(aggregate), view_key(aggregate, view)];
        let answer =
            self.read_view.evalsha_with_reload(&self.client, Vec::<String>::new(), keys).await;
        let (role, replication_id, generation, fields): (String, String, String, Vec<String>) =
            answer.map_err(|error: Error| NotRead(Box::new(error)))?;
        let Some(identity) = StoreIdentity::new(&role, &replication_id) else {
            return Ok(Snapshot::Suspect);
        };
        if generation != identity.as_str() {
            return Ok(Snapshot::Suspect);
        }
        let mut fields = fields.into_iter();
        let positions = std::iter::from_fn(|| Some((fields.next()?, fields.next()?)));
        let stored = redis_keys::read_view(positions).map_err(|error| NotRead(Box::new(error)))?;
        Ok(match stored {
            Some(stored) if stored.is_of(&identity) => Snapshot::Held(stored.view),
            None => Snapshot::Absent,
            Some(_) => Snapshot::Suspect,
        })
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

    fn probe(&self) -> BoxFuture<'_, Result<(), NotRead>> {
        Box::pin(async move {
            let answered: Result<(), Error> = self.client.ping(None).await;
            answered.map_err(|error| NotRead(Box::new(error)))
        })
    }
}

/// The rule of `backends::quota`, on the clock of Redis, in microseconds. The key holds the moment
/// at which the whole quota is back, and expires then.
const SPEND: &str = "local time = redis.call('TIME'); \
    local now = time[1] * 1000000 + time[2]; \
    local interval, window = tonumber(ARGV[1]), tonumber(ARGV[2]); \
    local full_at = tonumber(redis.call('GET', KEYS[1]) or now); \
    local debt = math.min(math.max(full_at - now, 0), window) + interval; \
    if debt > window then return {0, debt - window} end; \
    redis.call('SET', KEYS[1], string.format('%.0f', now + debt), 'PX', math.ceil(debt / 1000)); \
    return {1, debt}";

/// `SET` with both `NX` and `GET` needs Redis 7, so a script does it.
const CLAIM: &str = "local held = redis.call('GET', KEYS[1]); \
    if not held then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end; \
    return held";

/// The short-lived keys in Redis.
pub struct RedisKeys {
    client: Client,
    claim: Script,
    spend: Script,
}

impl RedisKeys {
    /// Uses this connection.
    pub fn new(client: Client) -> Self {
        Self { client, claim: Script::from_lua(CLAIM), spend: Script::from_lua(SPEND) }
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

    fn claim<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<Option<String>, KeysUnavailable>> {
        Box::pin(async move {
            let ttl = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX).to_string();
            let (keys, arguments) = (vec![redis_key(key)], vec![value.to_owned(), ttl]);
            let held = self.claim.evalsha_with_reload(&self.client, keys, arguments).await;
            held.map_err(unavailable)
        })
    }

    fn get<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, KeysUnavailable>> {
        Box::pin(async move { self.client.get(redis_key(key)).await.map_err(unavailable) })
    }

    fn take<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, KeysUnavailable>> {
        Box::pin(async move { self.client.getdel(redis_key(key)).await.map_err(unavailable) })
    }

    fn spend<'a>(
        &'a self,
        key: &'a str,
        quota: Quota,
    ) -> BoxFuture<'a, Result<Spent, KeysUnavailable>> {
        Box::pin(async move {
            let keys = vec![format!("cw:quota:{key}")];
            let arguments =
                vec![quota.interval_micros().to_string(), quota.window_micros().to_string()];
            let answer = self.spend.evalsha_with_reload(&self.client, keys, arguments).await;
            let (allowed, micros): (bool, u64) = answer.map_err(unavailable)?;
            Ok(match allowed {
                true => quota.allowed(micros),
                false => Spent::Refused { retry_after: Duration::from_micros(micros) },
            })
        })
    }
}
