//! Redis: live views in the layout of `schemas::redis_keys`, and short-lived keys.

use std::time::Duration;

use fred::{
    clients::Client,
    error::Error,
    interfaces::{ClientLike, KeysInterface},
    types::{Expiration, scripts::Script},
};
use schemas::{
    channel::Channel,
    ids::{Aggregate, QueueId, TicketId},
    line::{InvalidQueueView, QUEUE_KEY, ticket_of_view},
    redis_keys::{
        self, POSITION, READ_IDENTITY, StoreIdentity, generation, line as line_key,
        view as view_key,
    },
    view::View,
};
use servers::redis::{RedisLimits, RedisUnusable};

use crate::{
    BoxFuture,
    backends::quota::{Quota, Spent},
    backends::short_keys::{KeysUnavailable, ShortKeys},
    backends::snapshots::{NotRead, Snapshot, Snapshots, TicketInLine},
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

/// Reads one ticket of a queue's view, and its place in the sorted set of those who wait, which is
/// written with the view.
const READ_TICKET: &str = "return {role, replication_id, redis.call('GET', ARGV[1]) or '', \
    redis.call('HMGET', ARGV[2], ARGV[4], ARGV[5], ARGV[6]), \
    redis.call('ZRANK', ARGV[3], ARGV[6])}";

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
    read_ticket: Script,
}

impl RedisSnapshots {
    /// Uses this connection.
    pub fn new(client: Client) -> Self {
        let script = |read| Script::from_lua(format!("{READ_IDENTITY}{read}"));
        Self { client, read_view: script(READ_VIEW), read_ticket: script(READ_TICKET) }
    }

    async fn read(&self, aggregate: &Aggregate, view: &str) -> Result<Snapshot, NotRead> {
        let keys = vec![generation(aggregate), view_key(aggregate, view)];
        let answer =
            self.read_view.evalsha_with_reload(&self.client, Vec::<String>::new(), keys).await;
        let (role, replication_id, generation, fields): (String, String, String, Vec<String>) =
            answer.map_err(not_read)?;
        let mut fields = fields.into_iter();
        let fields = std::iter::from_fn(|| Some((fields.next()?, fields.next()?)));
        judge(StoreIdentity::new(&role, &replication_id), &generation, fields)
    }

    async fn read_ticket(
        &self,
        aggregate: &Aggregate,
        queue: &QueueId,
        ticket: &TicketId,
    ) -> Result<Snapshot<TicketInLine>, NotRead> {
        let name = Channel::Queue(queue.clone()).to_string();
        let fields = [POSITION, QUEUE_KEY, ticket.as_str()].map(str::to_owned);
        let keys = [
            generation(aggregate),
            view_key(aggregate, &name),
            line_key(aggregate, queue.as_str()),
        ];
        let arguments: Vec<String> = keys.into_iter().chain(fields.clone()).collect();
        let answer =
            self.read_ticket.evalsha_with_reload(&self.client, Vec::<String>::new(), arguments);
        let (role, replication_id, generation, values, ahead): (
            String,
            String,
            String,
            Vec<Option<String>>,
            Option<usize>,
        ) = answer.await.map_err(not_read)?;
        let held = fields.into_iter().zip(values).filter_map(|(key, text)| Some((key, text?)));
        let part = judge(StoreIdentity::new(&role, &replication_id), &generation, held)?;
        part.try_map(|part| {
            let state = ticket_of_view(queue, &part, ticket, ahead)?;
            Ok(TicketInLine { position: part.position, state })
        })
        // The server works, but lost the line without its view or the reverse.
        .or_else(|_: InvalidQueueView| Ok(Snapshot::Suspect))
    }
}

fn not_read(error: impl std::error::Error + Send + Sync + 'static) -> NotRead {
    NotRead(Box::new(error))
}

/// The view of these fields, if this server is known to have its newest state.
fn judge(
    identity: Option<StoreIdentity>,
    generation: &str,
    fields: impl Iterator<Item = (String, String)>,
) -> Result<Snapshot<View>, NotRead> {
    let Some(identity) = identity.filter(|identity| generation == identity.as_str()) else {
        return Ok(Snapshot::Suspect);
    };
    Ok(match redis_keys::read_view(fields).map_err(not_read)? {
        Some(stored) if stored.is_of(&identity) => Snapshot::Held(stored.view),
        None => Snapshot::Absent,
        Some(_) => Snapshot::Suspect,
    })
}

impl Snapshots for RedisSnapshots {
    fn load<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        view: &'a str,
    ) -> BoxFuture<'a, Result<Snapshot, NotRead>> {
        Box::pin(self.read(aggregate, view))
    }

    fn ticket<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        queue: &'a QueueId,
        ticket: &'a TicketId,
    ) -> BoxFuture<'a, Result<Snapshot<TicketInLine>, NotRead>> {
        Box::pin(self.read_ticket(aggregate, queue, ticket))
    }

    fn probe(&self) -> BoxFuture<'_, Result<(), NotRead>> {
        Box::pin(async move {
            let answered: Result<(), Error> = self.client.ping(None).await;
            answered.map_err(not_read)
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
