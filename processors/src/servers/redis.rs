//! The store of views on Redis, in the layout of [`schemas::redis_keys`]. Two scripts know the rule of (epoch, version),
//! so that repeating a step is harmless and a missing one is noticed.
//!
//! Every step of an aggregate whose generation is missing is refused, the first ever included: only the ledger can tell
//! a new location from a Redis that was emptied, so each location costs one repair when it begins.

use std::time::Duration;

use fred::{
    clients::Client,
    error::Error,
    interfaces::ClientLike,
    types::{
        Builder, Value,
        config::{Config, ReconnectPolicy, TcpConfig, UnresponsiveConfig},
        scripts::Script,
    },
};
use futures_util::future::join_all;
use schemas::{
    ids::Aggregate,
    line::{LinePlace, QueueEntry},
    redis_keys::{generation, line, view as view_key},
    ticket::TicketState,
    view::View,
};

use crate::{
    BoxFuture,
    views::{StoreOutcome, ViewStep, ViewStore, ViewStoreError},
};

/// A command without an answer for this long has failed: the wire goes on and repairs the view later.
const COMMAND: Duration = Duration::from_millis(800);
const CONNECT: Duration = Duration::from_secs(2);
/// A connection that owes an answer for this long is closed and made anew.
const UNRESPONSIVE: Duration = Duration::from_secs(2);
/// Commands waiting for the connection, past which more are refused at once: a large batch's steps, and no backlog that
/// would be sent long after anybody waits for it.
const BUFFER: usize = 4 * STEPS_AT_ONCE;
/// Steps sent before their answers are awaited.
const STEPS_AT_ONCE: usize = 1_000;

pub struct RedisViews {
    client: Client,
    store: Script,
    replace: Script,
}

impl RedisViews {
    /// Connects. Later losses are mended in the background.
    ///
    /// # Errors
    /// Redis' own error when the address is none or nobody answers there.
    pub async fn connect(url: &str) -> Result<Self, Error> {
        let client = Builder::from_config(Config::from_url(url)?)
            .with_performance_config(|performance| performance.default_command_timeout = COMMAND)
            .with_connection_config(|connection| {
                connection.connection_timeout = CONNECT;
                connection.internal_command_timeout = CONNECT;
                connection.max_command_attempts = 2;
                connection.max_command_buffer_len = BUFFER;
                connection.unresponsive = UnresponsiveConfig {
                    max_timeout: Some(UNRESPONSIVE),
                    interval: UNRESPONSIVE / 4,
                };
                connection.tcp = TcpConfig { nodelay: Some(true), ..TcpConfig::default() };
            })
            // For ever, from 50 ms up to 5 s.
            .set_policy(ReconnectPolicy::new_exponential(0, 50, 5_000, 2))
            .build()?;
        client.init().await?;
        client.ping::<()>(None).await?;
        Ok(Self {
            client,
            store: Script::from_lua(include_str!("redis/store.lua")),
            replace: Script::from_lua(include_str!("redis/replace.lua")),
        })
    }

    /// Closes the connection after what was sent.
    pub async fn close(&self) {
        // It fails only when there is no connection to close.
        let _ = self.client.quit().await;
    }

    async fn store_one(&self, step: &ViewStep) -> Result<StoreOutcome, Error> {
        let answer: i64 = self
            .store
            .evalsha_with_reload(
                &self.client,
                keys(&step.aggregate, &step.step.view),
                arguments(step),
            )
            .await?;
        Ok(if answer == 1 { StoreOutcome::Current } else { StoreOutcome::Behind })
    }
}

impl ViewStore for RedisViews {
    fn store<'a>(
        &'a self,
        steps: &'a [ViewStep],
    ) -> BoxFuture<'a, Result<Vec<StoreOutcome>, ViewStoreError>> {
        Box::pin(async move {
            let mut stored = Vec::with_capacity(steps.len());
            for steps in steps.chunks(STEPS_AT_ONCE) {
                // The client writes them one behind the other before the first answer is back.
                for answer in join_all(steps.iter().map(|step| self.store_one(step))).await {
                    stored.push(answer.map_err(not_stored)?);
                }
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

/// The score of an entry in its queue's line: only tickets that wait have one.
fn score(view: &str, key: &str, entry: &str) -> Option<f64> {
    queue_of(view)?;
    if key == schemas::line::QUEUE_KEY {
        return None;
    }
    let entry: QueueEntry = serde_json::from_str(entry).ok()?;
    (entry.state == TicketState::Waiting).then(|| LinePlace::score(entry.priority, entry.rank))
}

fn arguments(step: &ViewStep) -> Vec<Value> {
    let (name, delta) = (&step.step.view, &step.step.delta);
    let mut arguments = vec![
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
