//! Pending commands: appended to the log here, decided by a processor, answered by a record of
//! views.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use dashmap::DashMap;
use schemas::{
    codes::Code,
    command::CommandOutcome,
    ids::{CommandId, TenantId},
    record::{CommandRecord, topic_for},
};
use tokio::{sync::oneshot, time::timeout};

use crate::{backends::log::Log, backends::queries::Queries};

/// How long the log may take to acknowledge. Past it the answer is `try_again`, since nobody knows
/// whether the record was appended. Sending the same command id again is harmless.
const APPEND_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a caller waits for the outcome before it gets the address of the outcome instead.
const OUTCOME_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the authority may take to read an outcome. Past it the answer is `try_again`.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);
/// Most callers that wait at once on one node: at two seconds each, 5,000 commands a second, far
/// more than a processor decides. Past it a command is refused with `try_again` before it is
/// appended.
const MAX_WAITERS: usize = 10_000;

/// The result of submitting a command.
pub enum Submitted {
    Decided(CommandOutcome),
    /// The command is appended and not decided yet.
    Pending,
}

type Key = (TenantId, CommandId);

/// The commands of this node whose outcome a caller awaits.
pub struct Commands {
    log: Arc<dyn Log>,
    queries: Arc<dyn Queries>,
    /// Several callers may await one command, since a caller that lost its connection asks again.
    waiting: DashMap<Key, Vec<oneshot::Sender<CommandOutcome>>>,
    waiters: AtomicUsize,
}

impl Commands {
    pub fn new(log: Arc<dyn Log>, queries: Arc<dyn Queries>) -> Self {
        Self { log, queries, waiting: DashMap::new(), waiters: AtomicUsize::new(0) }
    }

    /// Appends the command and waits for its outcome.
    ///
    /// # Errors
    /// The code under which the record would be parked, or `try_again` when it is unknown whether
    /// the record was appended: the caller may send it again under the same id.
    pub async fn submit(&self, record: CommandRecord) -> Result<Submitted, Code> {
        let wire = record.to_wire();
        // An unreadable record would be parked, and its caller would wait in vain.
        CommandRecord::from_wire(&wire)?;
        let topic = topic_for(record.aggregate.kind());
        let waiter = self.register(record.aggregate.tenant(), record.id)?;
        match timeout(APPEND_TIMEOUT, self.log.append(topic, wire)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a command was not acknowledged"
                );
                return Err(Code::TryAgain);
            }
            Err(_) => {
                tracing::warn!("the log took too long to acknowledge a command");
                return Err(Code::TryAgain);
            }
        }
        Ok(waiter.outcome().await.map_or(Submitted::Pending, Submitted::Decided))
    }

    /// Returns the outcome of an earlier command. Waits for it when the command is not decided yet.
    ///
    /// # Errors
    /// `try_again` when the authority does not answer.
    pub async fn outcome(
        &self,
        tenant: &TenantId,
        command: &CommandId,
    ) -> Result<Option<CommandOutcome>, Code> {
        // Registered before the read, so that an outcome between read and wait is not missed.
        let waiter = self.register(tenant.clone(), command.clone())?;
        let answer = timeout(QUERY_TIMEOUT, self.queries.outcome(tenant, command)).await;
        match answer {
            Ok(Ok(Some(outcome))) => Ok(Some(outcome)),
            Ok(Ok(None)) => Ok(waiter.outcome().await),
            Ok(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "an outcome could not be read"
                );
                Err(Code::TryAgain)
            }
            Err(_) => {
                tracing::warn!("an outcome took too long to read");
                Err(Code::TryAgain)
            }
        }
    }

    /// Whether a caller on this node awaits the outcome.
    pub fn is_awaited(&self, tenant: &TenantId, command: &CommandId) -> bool {
        self.waiters.load(Ordering::Relaxed) > 0
            && self.waiting.contains_key(&(tenant.clone(), command.clone()))
    }

    /// Passes the outcome to all callers on this node that await it.
    pub fn answer(&self, tenant: &TenantId, outcome: CommandOutcome) {
        let key = (tenant.clone(), outcome.command.clone());
        if let Some((_, senders)) = self.waiting.remove(&key) {
            for sender in senders {
                // A caller that gave up meanwhile finds the outcome by its id.
                let _ = sender.send(outcome.clone());
            }
        }
    }

    fn register(&self, tenant: TenantId, command: CommandId) -> Result<Waiter<'_>, Code> {
        if self.waiters.fetch_add(1, Ordering::Relaxed) >= MAX_WAITERS {
            self.waiters.fetch_sub(1, Ordering::Relaxed);
            return Err(Code::TryAgain);
        }
        let (sender, receiver) = oneshot::channel();
        let key = (tenant, command);
        self.waiting.entry(key.clone()).or_default().push(sender);
        Ok(Waiter { commands: self, key, receiver })
    }
}

/// A place among the waiting callers, freed when dropped.
struct Waiter<'a> {
    commands: &'a Commands,
    key: Key,
    receiver: oneshot::Receiver<CommandOutcome>,
}

impl Waiter<'_> {
    async fn outcome(mut self) -> Option<CommandOutcome> {
        timeout(OUTCOME_TIMEOUT, &mut self.receiver).await.ok()?.ok()
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.receiver.close();
        self.commands.waiters.fetch_sub(1, Ordering::Relaxed);
        self.commands.waiting.remove_if_mut(&self.key, |_, senders| {
            senders.retain(|sender| !sender.is_closed());
            senders.is_empty()
        });
    }
}

#[cfg(test)]
mod tests;
