//! The audit: every channel that a client opens, and every request with a valid token, is written
//! before the client sees any of its content.
//!
//! Entries that come while an append is under way go into the next record of their tenant, so the
//! log sees a few records however many clients come at once. Notes, for which nobody waits, go with
//! them.

mod agents;
mod queue;
mod writer;

use std::{borrow::Cow, sync::Arc, time::Duration};

use gateway_core::{access::Claims, subscription::AuditEntryId};
use http::HeaderMap;
use schemas::{
    audit::{AuditEntry, MAX_ENTRIES},
    codes::Code,
    ids::TenantId,
    view::Position,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

pub use self::queue::AuditCounts;
use self::{agents::Agents, queue::Waiter};
use crate::{
    backends::log::Log,
    client_address::{ClientAddress, audited_client::AuditedClient},
    clock::now,
    inbox::{ShardMessage, ids::SubscriptionId},
};

/// How long the log may take to acknowledge. Past it nothing is shown. JavaScript clients wait five
/// seconds for a reply.
const WITHIN: Duration = Duration::from_secs(3);
/// Most entries that wait on a node: some 10 MB, and the clients of a lost node of 20,000, which
/// all come back at once. Past it an action is refused with `try_again`.
const MAX_WAITING: usize = 20_000;
/// Most notes that wait on a node, some 40 MB: every channel of 20,000 clients that leave at once,
/// and refusals while the log does not answer. Past it a note is lost and counted.
const MAX_NOTES: usize = 100_000;
/// Most entries that are written together: an append of 20 records takes about as long as one.
const BATCH: usize = 20 * MAX_ENTRIES;
/// The least time between two batches. An entry that comes alone is written at once; when thousands
/// of clients come at once, a batch for each would cost more than the rest of their subscribe.
const PACE: Duration = Duration::from_millis(1);

/// An action that a client asks for, or has carried out.
#[derive(Clone, Default)]
pub struct AuditedAction {
    /// The action, such as `ticket.call`.
    pub action: Cow<'static, str>,
    /// The ids or channels that it concerns.
    pub what: Vec<String>,
    /// Why it is refused, if it is.
    pub code: Option<Code>,
    /// The client.
    pub client: AuditedClient,
    /// The other tenant of a crossing, if it is one.
    pub other_tenant: Option<TenantId>,
    /// The stated reason of a crossing, or of a check-in outside its window.
    pub reason: Option<String>,
    /// The first and the last position that the client was sent.
    pub delivered: Option<(Position, Position)>,
}

impl AuditedAction {
    fn into_entry(self, claims: &Claims) -> AuditEntry {
        let (first, last) = self.delivered.unzip();
        let entry = AuditEntry {
            at: now(),
            subject: claims.subject.clone(),
            role: claims.role.as_str().into(),
            address: self.client.address,
            agent: self.client.agent,
            action: self.action,
            what: self.what,
            code: self.code,
            other_tenant: self.other_tenant,
            reason: self.reason,
            crossed: claims.origin.crossed,
            first,
            last,
        };
        entry.bounded()
    }
}

/// The subscription of a shard that waits for an entry. The shard gets the answer as
/// [`ShardMessage::Audited`].
pub struct AuditedSubscription {
    pub subscription: SubscriptionId,
    pub entry: AuditEntryId,
    pub inbox: mpsc::Sender<ShardMessage>,
}

/// Writes audit entries. Clones write to the same log.
#[derive(Clone)]
pub struct Audit {
    queue: queue::Queue,
    agents: Arc<Agents>,
}

impl Audit {
    /// Writes on the current runtime until the last clone is dropped.
    pub fn new(log: Arc<dyn Log>) -> Self {
        let (queue, queued) = queue::new();
        tokio::spawn(writer::write_all(log, queued, queue.counts.clone()));
        Self { queue, agents: Arc::default() }
    }

    /// Whether the last record was not acknowledged. Nothing may be changed until one is.
    pub fn is_failing(&self) -> bool {
        self.queue.counts.is_failing()
    }

    /// Counts for metrics.
    pub fn counts(&self) -> &Arc<AuditCounts> {
        &self.queue.counts
    }

    /// The client of a request with these headers.
    pub fn client(&self, address: ClientAddress, headers: &HeaderMap) -> AuditedClient {
        let agent = headers.get(http::header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        AuditedClient {
            address: (address != ClientAddress::NONE).then(|| address.ip()),
            agent: agent.map(|agent| self.agents.get(agent)),
        }
    }

    /// Writes an entry. The client may be shown something only after this returns `Ok`.
    ///
    /// # Errors
    /// `try_again` when too many entries wait, or the log did not acknowledge this one in time.
    pub async fn write(&self, claims: &Claims, done: AuditedAction) -> Result<(), Code> {
        self.write_to(&claims.tenant, claims, done).await
    }

    /// Writes that a super admin crosses from its tenant (`home`) into another one (`there`), to
    /// the audit of the other one. The token may be given only after this returns `Ok`.
    ///
    /// # Errors
    /// The errors of [`Audit::write`].
    pub async fn crossed(
        &self,
        home: &Claims,
        there: &Claims,
        client: AuditedClient,
        reason: &str,
    ) -> Result<(), Code> {
        self.managed(home, &there.tenant, client, "tenant.cross", reason).await
    }

    /// Writes to the audit of another tenant what a super admin did about it, and why.
    ///
    /// # Errors
    /// The codes of [`Audit::write`].
    pub async fn managed(
        &self,
        home: &Claims,
        tenant: &TenantId,
        client: AuditedClient,
        action: &'static str,
        reason: &str,
    ) -> Result<(), Code> {
        let done = AuditedAction {
            action: action.into(),
            what: vec![tenant.to_string()],
            client,
            other_tenant: Some(home.tenant.clone()),
            reason: Some(reason.to_owned()),
            ..AuditedAction::default()
        };
        self.write_to(tenant, home, done).await
    }

    /// Writes an entry for which a subscription waits. Its shard gets the answer.
    pub fn write_for(&self, waiting: AuditedSubscription, claims: &Claims, done: AuditedAction) {
        let entry = done.into_entry(claims);
        self.queue.push(claims.tenant.clone(), entry, Waiter::Subscription(waiting));
    }

    /// Writes an entry for which nobody waits: of a refusal, or of something that has ended. It is
    /// repeated until the log acknowledges it.
    pub fn note(&self, claims: &Claims, done: AuditedAction) {
        self.queue.push(claims.tenant.clone(), done.into_entry(claims), Waiter::Nobody);
    }

    /// Waits until all notes are written, for `patience` at most.
    pub async fn flush(&self, patience: Duration) {
        let counts = self.counts();
        if timeout(patience, counts.all_notes_written()).await.is_err() {
            tracing::warn!(notes = counts.waiting_notes(), "notes of the audit are lost");
        }
    }

    async fn write_to(
        &self,
        tenant: &TenantId,
        claims: &Claims,
        done: AuditedAction,
    ) -> Result<(), Code> {
        let (written, answer) = oneshot::channel();
        self.queue.push(tenant.clone(), done.into_entry(claims), Waiter::Request(written));
        match timeout(WITHIN, answer).await {
            Ok(Ok(written)) => written,
            Ok(Err(_)) | Err(_) => Err(Code::TryAgain),
        }
    }
}

#[cfg(test)]
mod tests;
