//! Reads a stored view and the line of its queue, for a verification.

use fred::{clients::Client, error::Error, types::scripts::Script};
use schemas::{
    ids::Aggregate,
    redis_keys::{READ_IDENTITY, StoreIdentity, StoredView, read_view},
    view::View,
};
use servers::redis::RedisUnusable;

use super::{connect, keys, queue_of, score};

/// Returns the role, the replication id, the fields of the view, and the scores of the line.
const READ_STORED: &str = "return {role, replication_id, redis.call('HGETALL', KEYS[2]), \
     KEYS[3] and redis.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES') or {}}";

/// Why a view cannot be read from Redis.
#[derive(Debug, thiserror::Error)]
pub enum NotReadFromRedis {
    /// Redis did not answer, or does not allow it.
    #[error("redis did not answer, or its user may not read: deploy/rights/redis-users")]
    Redis(#[source] Error),
    /// Redis is a replica.
    #[error("redis is a replica, or does not tell its replication id")]
    NoIdentity,
}

/// A view as Redis has it.
pub struct RedisView {
    /// The view, if it is there and was stored under the present identity of Redis.
    pub view: Option<View>,
    /// The line of a queue: tickets with their scores, as text, in order.
    pub line: Vec<(String, String)>,
    /// The hash is there and cannot be read.
    pub is_unreadable: bool,
}

/// Reads views, and writes nothing.
pub struct RedisReader {
    client: Client,
    read: Script,
}

impl RedisReader {
    /// Connects, in the background if Redis does not answer now.
    ///
    /// # Errors
    /// [`RedisUnusable`]
    pub async fn connect(url: &str) -> Result<Self, RedisUnusable> {
        let read = Script::from_lua(format!("{READ_IDENTITY}{READ_STORED}"));
        Ok(Self { client: connect(url).await?, read })
    }

    /// Reads a view and its line at one moment.
    ///
    /// # Errors
    /// [`NotReadFromRedis`]
    pub async fn read(
        &self,
        aggregate: &Aggregate,
        name: &str,
    ) -> Result<RedisView, NotReadFromRedis> {
        type Answer = (String, String, Vec<String>, Vec<String>);
        let answer: Result<Answer, Error> = self
            .read
            .evalsha_with_reload(&self.client, keys(aggregate, name), Vec::<String>::new())
            .await;
        let (role, replication_id, fields, line) = answer.map_err(NotReadFromRedis::Redis)?;
        let identity =
            StoreIdentity::new(&role, &replication_id).ok_or(NotReadFromRedis::NoIdentity)?;
        let stored = read_view(pairs(fields));
        let is_unreadable = stored.is_err();
        let is_current = |stored: &StoredView| stored.is_of(&identity);
        let view = stored.ok().flatten().filter(is_current).map(|stored| stored.view);
        Ok(RedisView { view, line: pairs(line).collect(), is_unreadable })
    }
}

fn pairs(flat: Vec<String>) -> impl Iterator<Item = (String, String)> {
    let mut flat = flat.into_iter();
    std::iter::from_fn(move || Some((flat.next()?, flat.next()?)))
}

/// Whether the line in Redis is that of the view.
pub fn has_line_of(line: &[(String, String)], name: &str, view: &View) -> bool {
    if queue_of(name).is_none() {
        return line.is_empty();
    }
    let expected = view
        .entries
        .iter()
        .filter_map(|(key, entry)| Some((key.as_str(), score(name, key, entry.get())?)));
    let mut expected: Vec<(&str, f64)> = expected.collect();
    let mut held: Vec<(&str, f64)> =
        line.iter().map(|(key, score)| (key.as_str(), score.parse().unwrap_or(f64::NAN))).collect();
    let by_key = |one: &(&str, f64), other: &(&str, f64)| one.0.cmp(other.0);
    expected.sort_by(by_key);
    held.sort_by(by_key);
    expected == held
}
