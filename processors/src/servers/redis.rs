//! The view store on Redis, in the layout of [`schemas::redis_keys`]. Two scripts apply the rule of
//! (epoch, version), so that repeating a step is harmless and a missing step is noticed.
//!
//! A step of an aggregate without a generation key is refused, even its first: only the ledger can
//! tell a new location from an emptied Redis. So each location costs one repair when it begins.
//!
//! Each change carries the identity that this client last read. A client that does not know yet
//! that its server was replaced stores under the old identity, which readers do not trust. So it
//! need not read the identity with each change, and no reconnect can be missed.

mod stored;

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    interfaces::{ClientLike, HashesInterface, KeysInterface},
    types::{ClusterHash, CustomCommand, Value, scripts::Script},
};
use schemas::{
    ids::Aggregate,
    line::{LinePlace, QueueEntry},
    redis_keys::{
        READ_IDENTITY, StoreIdentity, covered, generation, head_field, head_text, heads, line,
        parse_head, view as view_key,
    },
    ticket::TicketState,
    view::{Position, View},
};
use servers::redis::{RedisLimits, RedisUnusable};

use crate::{
    BoxFuture,
    log::PartitionId,
    views::{Coverage, PartitionHead, StoreOutcome, ViewStep, ViewStore, ViewStoreError},
};

pub use stored::{NotReadFromRedis, RedisReader, RedisView, has_line_of};

const LIMITS: RedisLimits = RedisLimits {
    // A delivery continues after this time; the view is repaired later.
    command_timeout: Duration::from_millis(800),
    // Room for the steps of a large batch, but not for a backlog that would be sent long after its
    // delivery failed.
    queued_commands: 4 * STEPS_AT_ONCE,
};
/// Steps sent together, before their answers are awaited.
const STEPS_AT_ONCE: usize = 1_000;

/// Returns the role, the replication id, and the text of one key.
const READ_COVERAGE: &str = "return {role, replication_id, redis.call('GET', KEYS[1]) or ''}";

/// A client with the limits of the processors.
pub(super) async fn connect(url: &str) -> Result<Client, RedisUnusable> {
    servers::redis::connect(url, LIMITS).await
}

/// Why the identity of Redis is not known.
#[derive(Debug, thiserror::Error)]
#[error("redis is a replica, or does not tell its replication id")]
struct NoIdentity;

/// The view store on Redis.
pub struct RedisViews {
    client: Client,
    /// The key of the heads.
    heads: String,
    /// The identity that was last read.
    identity: Mutex<Option<StoreIdentity>>,
    read_coverage: Script,
    store: Script,
    replace: Script,
}

impl RedisViews {
    /// Connects, in the background if Redis does not answer now. `views_topic` is the name of the
    /// topic of views, by which the heads of this installation are found.
    ///
    /// # Errors
    /// [`RedisUnusable`]
    pub async fn connect(url: &str, views_topic: &str) -> Result<Self, RedisUnusable> {
        Ok(Self::new(connect(url).await?, views_topic))
    }

    /// Uses this connection. `views_topic` is that of [`RedisViews::connect`].
    pub fn new(client: Client, views_topic: &str) -> Self {
        Self {
            client,
            heads: heads(views_topic),
            identity: Mutex::default(),
            read_coverage: Script::from_lua(format!("{READ_IDENTITY}{READ_COVERAGE}")),
            store: Script::from_lua(include_str!("redis/store.lua")),
            replace: Script::from_lua(include_str!("redis/replace.lua")),
        }
    }

    /// Closes the connection after all commands that were sent.
    pub async fn close(&self) {
        // An error means that there is no connection to close.
        let _ = self.client.quit().await;
    }

    /// Reads the identity, and the key of a coverage with it.
    async fn read_coverage(&self, key: String) -> Result<(StoreIdentity, String), ViewStoreError> {
        let answer =
            self.read_coverage.evalsha_with_reload(&self.client, key, Vec::<String>::new()).await;
        let (role, replication_id, covered): (String, String, String) =
            answer.map_err(not_stored)?;
        let identity = StoreIdentity::new(&role, &replication_id);
        *self.identity.lock().unwrap_or_else(PoisonError::into_inner) = identity.clone();
        Ok((identity.ok_or_else(|| ViewStoreError(Some(Box::new(NoIdentity))))?, covered))
    }

    /// The identity that was last read.
    async fn identity(&self) -> Result<StoreIdentity, ViewStoreError> {
        let known = self.identity.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(identity) => Ok(identity),
            // No partition has this key.
            None => Ok(self.read_coverage(covered("", PartitionId(0))).await?.0),
        }
    }

    /// Stores steps by one write to the connection. Sent one by one, most of them would be a write
    /// of their own.
    async fn store_together(
        &self,
        steps: &[ViewStep],
        identity: &StoreIdentity,
    ) -> Result<Vec<StoreOutcome>, Error> {
        let pipeline = self.client.pipeline();
        for step in steps {
            let keys = keys(&step.aggregate, &step.step.view);
            let mut command = vec![Value::from(self.store.sha1().clone()), text(keys.len())];
            command.extend(keys.into_iter().map(Value::from));
            command.extend(arguments(step, identity));
            // Pipelines have no method for scripts.
            let evalsha = CustomCommand::new_static("EVALSHA", ClusterHash::FirstKey, false);
            let () = pipeline.custom(evalsha, command).await?;
        }
        let answers: Vec<Result<i64, Error>> = pipeline.try_all().await;
        let count = answers.len();
        let mut stored = Vec::with_capacity(steps.len());
        for (step, answer) in steps.iter().zip(answers) {
            let answer = match answer {
                // Redis is new and does not know the script yet.
                Err(error) if error.details().starts_with("NOSCRIPT") => {
                    let keys = keys(&step.aggregate, &step.step.view);
                    let arguments = arguments(step, identity);
                    self.store.evalsha_with_reload(&self.client, keys, arguments).await?
                }
                answer => answer?,
            };
            stored.push(if answer == 1 { StoreOutcome::Current } else { StoreOutcome::Behind });
        }
        if count != steps.len() {
            return Err(Error::new(ErrorKind::Protocol, "answers of a pipeline are missing"));
        }
        Ok(stored)
    }
}

impl ViewStore for RedisViews {
    fn store<'a>(
        &'a self,
        steps: &'a [ViewStep],
    ) -> BoxFuture<'a, Result<Vec<StoreOutcome>, ViewStoreError>> {
        Box::pin(async move {
            let mut stored = Vec::with_capacity(steps.len());
            if steps.is_empty() {
                return Ok(stored);
            }
            let identity = self.identity().await?;
            for steps in steps.chunks(STEPS_AT_ONCE) {
                let outcomes = self.store_together(steps, &identity).await;
                stored.extend(outcomes.map_err(not_stored)?);
            }
            Ok(stored)
        })
    }

    fn replace<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        name: &'a str,
        view: &'a View,
        keep_s: Option<u32>,
    ) -> BoxFuture<'a, Result<(), ViewStoreError>> {
        Box::pin(async move {
            let mut arguments = vec![
                Value::from(self.identity().await?.as_str()),
                text(view.position.epoch),
                text(view.position.version),
                text(view.at),
                keep_s.map_or_else(|| Value::from(""), text),
            ];
            let mut waiting = Vec::new();
            arguments.push(text(view.entries.len()));
            for (key, entry) in &view.entries {
                arguments.extend([Value::from(key.as_str()), Value::from(entry.get())]);
                if let Some(score) = score(name, key, entry.get()) {
                    waiting.extend([text(score), Value::from(key.as_str())]);
                }
            }
            arguments.push(text(waiting.len() / 2));
            arguments.extend(waiting);
            let replaced: Result<i64, Error> = self
                .replace
                .evalsha_with_reload(&self.client, keys(aggregate, name), arguments)
                .await;
            replaced.map(drop).map_err(not_stored)
        })
    }

    fn coverage(
        &self,
        topic: &'static str,
        partition: PartitionId,
    ) -> BoxFuture<'_, Result<Coverage, ViewStoreError>> {
        Box::pin(async move {
            let (identity, noted) = self.read_coverage(covered(topic, partition)).await?;
            Ok(match noted == identity.as_str() {
                true => Coverage::Covered,
                false => Coverage::Suspect(identity),
            })
        })
    }

    fn cover<'a>(
        &'a self,
        topic: &'static str,
        partition: PartitionId,
        identity: &'a StoreIdentity,
    ) -> BoxFuture<'a, Result<(), ViewStoreError>> {
        Box::pin(async move {
            let key = covered(topic, partition);
            let noted = self.client.set(key, identity.as_str(), None, None, false).await;
            noted.map_err(not_stored)
        })
    }

    fn note_heads<'a>(
        &'a self,
        topic: &'static str,
        heads: &'a [PartitionHead],
    ) -> BoxFuture<'a, Result<(), ViewStoreError>> {
        Box::pin(async move {
            let field = |head: &PartitionHead| {
                (head_field(topic, head.partition), head_text(&head.aggregate, head.position))
            };
            let fields: HashMap<String, String> = heads.iter().map(field).collect();
            if fields.is_empty() {
                return Ok(()); // Redis refuses HSET without a field
            }
            self.client.hset(&self.heads, fields).await.map_err(not_stored)
        })
    }

    fn heads(&self) -> BoxFuture<'_, Result<Vec<(Aggregate, Position)>, ViewStoreError>> {
        Box::pin(async move {
            let texts: HashMap<String, String> =
                self.client.hgetall(&self.heads).await.map_err(not_stored)?;
            Ok(texts.values().filter_map(|text| parse_head(text)).collect())
        })
    }
}

fn not_stored(error: Error) -> ViewStoreError {
    ViewStoreError(Some(Box::new(error)))
}

fn text(number: impl ToString) -> Value {
    Value::from(number.to_string())
}

fn queue_of(view: &str) -> Option<&str> {
    view.strip_prefix("queue:")
}

fn keys(aggregate: &Aggregate, view: &str) -> Vec<String> {
    let mut keys = vec![generation(aggregate), view_key(aggregate, view)];
    keys.extend(queue_of(view).map(|queue| line(aggregate, queue)));
    keys
}

/// The score of an entry in its queue's line. Only waiting tickets have one.
fn score(view: &str, key: &str, entry: &str) -> Option<f64> {
    queue_of(view)?;
    if key == schemas::line::QUEUE_KEY {
        return None;
    }
    let entry: QueueEntry = serde_json::from_str(entry).ok()?;
    (entry.state == TicketState::Waiting).then(|| LinePlace::score(entry.priority, entry.rank))
}

fn arguments(step: &ViewStep, identity: &StoreIdentity) -> Vec<Value> {
    let (name, delta) = (&step.step.view, &step.step.delta);
    let mut arguments = vec![
        Value::from(identity.as_str()),
        text(step.epoch),
        text(delta.from),
        text(delta.to),
        text(delta.at),
        step.step.keep_s.map_or_else(|| Value::from(""), text),
    ];
    let (mut joins, mut leaves) = (Vec::new(), Vec::new());
    arguments.push(text(delta.set.len()));
    for (key, entry) in &delta.set {
        arguments.extend([Value::from(key.as_str()), Value::from(entry.get())]);
        match score(name, key, entry.get()) {
            Some(score) => joins.extend([text(score), Value::from(key.as_str())]),
            None => leaves.push(Value::from(key.as_str())),
        }
    }
    arguments.push(text(delta.remove.len()));
    arguments.extend(delta.remove.iter().map(|key| Value::from(key.as_str())));
    leaves.extend(delta.remove.iter().map(|key| Value::from(key.as_str())));
    if queue_of(name).is_none() {
        leaves.clear();
    }
    arguments.push(text(joins.len() / 2));
    arguments.extend(joins);
    arguments.push(text(leaves.len()));
    arguments.extend(leaves);
    arguments
}
