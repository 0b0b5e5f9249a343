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
    command::{CommandOutcome, Verdict},
    identity::CommandIdentity,
    ids::Fingerprint,
    record::{CommandRecord, NamedCommand, RUNS_TOPIC, WireRecord, topic_for},
};
use telemetry::{Attribute, SpanKind};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    backends::log::Log,
    backends::queries::{Queries, RecordedOutcome},
    http::ActiveSpan,
    limits::{Limit, Limits, places::Place},
};

/// How long the log may take to acknowledge. Past it the answer is `try_again`, since it is unknown
/// whether the record was appended. Sending the same command id again is harmless.
const APPEND_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a caller waits for the outcome before it gets the address of the outcome instead.
const OUTCOME_TIMEOUT: Duration = Duration::from_secs(2);
/// How long the authority may take to read an outcome. Past it the answer is `try_again`.
const QUERY_TIMEOUT: Duration = Duration::from_secs(2);
/// Most commands that wait at once on one node: at two seconds each, 5,000 commands a second, far
/// more than a processor decides. Past it a command is refused with `try_again` before it is
/// appended. Subjects and tenants have bounds of their own, by [`Limit::WaitingOfSubject`] and
/// [`Limit::WaitingOfTenant`].
const MAX_WAITERS: usize = 10_000;
/// Most look-ups that wait at once on one node. They are counted apart from commands, so that
/// look-ups of ids that do not exist never delay a command.
const MAX_LOOKUPS: usize = 2_000;

/// The name of the span of an append.
fn append_name(topic: &'static str) -> &'static str {
    if topic == RUNS_TOPIC { "send clinicwire.runs.v1" } else { "send clinicwire.care.v1" }
}

/// The result of submitting a command.
pub enum Submission {
    Decided(CommandOutcome),
    /// The command is appended and not decided yet.
    Pending,
}

/// The commands of this node whose outcome a caller awaits.
pub struct Commands {
    log: Arc<dyn Log>,
    queries: Arc<dyn Queries>,
    /// Several callers may await one command, since a caller that lost its connection asks again.
    waiting: DashMap<CommandIdentity, Vec<WaitingCaller>>,
    limits: Arc<Limits>,
    waiters: WaiterCounts,
}

/// Callers that wait on this node.
#[derive(Default)]
struct WaiterCounts {
    commands: AtomicUsize,
    lookups: AtomicUsize,
}

/// Why a caller waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaitKind {
    Command,
    Lookup,
}

impl WaitKind {
    /// The places of a subject and of a tenant.
    fn limits(self) -> [Limit; 2] {
        match self {
            Self::Command => [Limit::WaitingOfSubject, Limit::WaitingOfTenant],
            Self::Lookup => [Limit::LookupsOfSubject, Limit::LookupsOfTenant],
        }
    }
}

impl WaiterCounts {
    /// The count of a kind, and its bound.
    fn of(&self, kind: WaitKind) -> (&AtomicUsize, usize) {
        match kind {
            WaitKind::Command => (&self.commands, MAX_WAITERS),
            WaitKind::Lookup => (&self.lookups, MAX_LOOKUPS),
        }
    }

    fn is_empty(&self) -> bool {
        [WaitKind::Command, WaitKind::Lookup]
            .iter()
            .all(|kind| self.of(*kind).0.load(Ordering::Relaxed) == 0)
    }
}

struct WaitingCaller {
    /// The content that the caller sent. `None` for a reader, who gets the first outcome of any
    /// content.
    fingerprint: Option<Fingerprint>,
    sender: oneshot::Sender<CommandOutcome>,
}

impl WaitingCaller {
    /// Whether an outcome of a command with this content is for the caller. A reader does not get
    /// the refusal of a later command with the same key.
    fn awaits(&self, fingerprint: Option<Fingerprint>, outcome: &CommandOutcome) -> bool {
        let reused = Verdict::Refused { code: Code::IdempotencyKeyReused };
        match self.fingerprint {
            Some(sent) => fingerprint == Some(sent),
            None => outcome.verdict != reused,
        }
    }
}

impl Commands {
    pub fn new(log: Arc<dyn Log>, queries: Arc<dyn Queries>, limits: Arc<Limits>) -> Self {
        Self { log, queries, waiting: DashMap::new(), limits, waiters: WaiterCounts::default() }
    }

    /// Appends the command and waits for its outcome.
    ///
    /// # Errors
    /// The code under which the record would be parked, or `try_again` when it is unknown whether
    /// the record was appended: the caller may send it again under the same id.
    pub async fn submit(&self, record: CommandRecord) -> Result<Submission, Code> {
        let mut wire = record.to_wire();
        // An unreadable record would be parked, and its caller would wait in vain.
        CommandRecord::from_wire(&wire)?;
        let topic = topic_for(record.aggregate.kind());
        let fingerprint = Some(record.effective_fingerprint());
        let waiter = self.register(record.identity(), fingerprint, WaitKind::Command)?;
        let mut span = ActiveSpan::current().map(|active| {
            let mut span = active.child(append_name(topic), SpanKind::Producer);
            span.add(Attribute::Topic(topic));
            span.context().add_to(&mut wire.headers);
            span
        });
        let appended = self.append(topic, wire).await;
        if let Some(span) = &mut span
            && appended.is_err()
        {
            span.fail();
        }
        drop(span);
        appended?;
        Ok(waiter.outcome().await.map_or(Submission::Pending, Submission::Decided))
    }

    /// Appends the record of a command.
    async fn append(&self, topic: &'static str, wire: WireRecord) -> Result<(), Code> {
        match timeout(APPEND_TIMEOUT, self.log.append(topic, wire)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a command was not acknowledged"
                );
                Err(Code::TryAgain)
            }
            Err(_) => {
                tracing::warn!("the log took too long to acknowledge a command");
                Err(Code::TryAgain)
            }
        }
    }

    /// Returns the outcome of an earlier command. Waits for it when the command is not decided yet.
    ///
    /// # Errors
    /// `idempotency_key_reused` when the command has another content, and `try_again` when the
    /// authority does not answer.
    pub async fn outcome(&self, command: &NamedCommand) -> Result<Option<CommandOutcome>, Code> {
        let NamedCommand { identity, fingerprint } = command;
        // Registered before the read, so that an outcome between read and wait is not missed.
        let waiter = self.register(identity.clone(), *fingerprint, WaitKind::Lookup)?;
        match self.recorded(identity).await? {
            Some(first) if first.has_fingerprint(*fingerprint) => Ok(Some(first.outcome)),
            Some(_) => Err(Code::IdempotencyKeyReused),
            None => Ok(waiter.outcome().await),
        }
    }

    /// Returns the outcome that the authority has of a command.
    ///
    /// # Errors
    /// `try_again` when the authority does not answer.
    pub async fn recorded(
        &self,
        command: &CommandIdentity,
    ) -> Result<Option<RecordedOutcome>, Code> {
        match timeout(QUERY_TIMEOUT, self.queries.outcome(command)).await {
            Ok(Ok(recorded)) => Ok(recorded),
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
    pub fn is_awaited(&self, command: &CommandIdentity) -> bool {
        !self.waiters.is_empty() && self.waiting.contains_key(command)
    }

    /// Passes the outcome to all callers on this node that await it.
    pub fn answer(&self, command: &NamedCommand, outcome: &CommandOutcome) {
        let mut answered = Vec::new();
        self.waiting.remove_if_mut(&command.identity, |_, callers| {
            answered = callers
                .extract_if(.., |caller| caller.awaits(command.fingerprint, outcome))
                .collect();
            callers.is_empty()
        });
        for caller in answered {
            // A caller that gave up meanwhile finds the outcome by its id.
            let _ = caller.sender.send(outcome.clone());
        }
    }

    fn register(
        &self,
        identity: CommandIdentity,
        fingerprint: Option<Fingerprint>,
        kind: WaitKind,
    ) -> Result<Waiter<'_>, Code> {
        let places = self.places(&identity, kind)?;
        let (waiters, most) = self.waiters.of(kind);
        if waiters.fetch_add(1, Ordering::Relaxed) >= most {
            waiters.fetch_sub(1, Ordering::Relaxed);
            return Err(Code::TryAgain);
        }
        let (sender, receiver) = oneshot::channel();
        let caller = WaitingCaller { fingerprint, sender };
        self.waiting.entry(identity.clone()).or_default().push(caller);
        Ok(Waiter { commands: self, identity, receiver, kind, _places: places })
    }

    /// The places of the caller's subject and tenant.
    fn places(&self, identity: &CommandIdentity, kind: WaitKind) -> Result<[Place; 2], Code> {
        let limits = &self.limits;
        let [of_subject, of_tenant] = kind.limits();
        let subject = limits.subject_key(&identity.tenant, &identity.subject);
        let tenant = limits.tenant_key(&identity.tenant);
        Ok([limits.place(of_subject, subject)?, limits.place(of_tenant, tenant)?])
    }
}

/// A place among the waiting callers, freed when dropped.
struct Waiter<'a> {
    commands: &'a Commands,
    identity: CommandIdentity,
    receiver: oneshot::Receiver<CommandOutcome>,
    kind: WaitKind,
    _places: [Place; 2],
}

impl Waiter<'_> {
    async fn outcome(mut self) -> Option<CommandOutcome> {
        timeout(OUTCOME_TIMEOUT, &mut self.receiver).await.ok()?.ok()
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        self.receiver.close();
        self.commands.waiters.of(self.kind).0.fetch_sub(1, Ordering::Relaxed);
        self.commands.waiting.remove_if_mut(&self.identity, |_, callers| {
            callers.retain(|caller| !caller.sender.is_closed());
            callers.is_empty()
        });
    }
}

#[cfg(test)]
mod tests;
