//! The backend of webhooks. PostgreSQL and memory implement it, and batches of the ledger change
//! it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use schemas::{
    Millis,
    ids::{EventId, LocationId, TenantId, WebhookId},
    outward::OutwardEvent,
    record::WireRecord,
    view::Position,
    webhook::{PreviousSecret, Replay, Webhook},
};
use serde::{Deserialize, Serialize};

use crate::BoxFuture;

/// An outward event as a batch contains it. Events follow in the order of the steps.
#[derive(Clone, PartialEq, Eq)]
pub struct OutwardRow {
    /// The tenant.
    pub tenant: TenantId,
    /// The event.
    pub event: EventId,
    /// The location.
    pub location: Option<LocationId>,
    /// The kind.
    pub kind: &'static str,
    /// The webhook that alone gets the event: a test.
    pub webhook: Option<WebhookId>,
    /// When it was decided.
    pub at: Millis,
    /// The JSON.
    pub body: Bytes,
}

impl OutwardRow {
    /// The row of an event whose record is `record`.
    pub fn new(
        event: &OutwardEvent,
        record: &WireRecord,
        at: Millis,
        webhook: Option<WebhookId>,
    ) -> Self {
        Self {
            tenant: event.tenant.clone(),
            event: event.id.clone(),
            location: event.location.clone(),
            kind: event.data.kind(),
            webhook,
            at,
            body: record.value.clone(),
        }
    }
}

/// A change of the webhooks that a step causes.
#[derive(Clone, PartialEq, Eq)]
pub enum WebhookChange {
    /// The webhook is new, or changed.
    Store(Webhook),
    /// The webhook is deleted, with its queue.
    Delete(WebhookId),
    /// Events are sent again.
    Replay(WebhookId, Replay),
}

/// A change of the webhooks, as a batch contains it.
#[derive(Clone)]
pub struct WebhookRow {
    /// The tenant.
    pub tenant: TenantId,
    /// The change.
    pub change: WebhookChange,
}

/// A webhook of the installation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct WebhookName {
    /// The tenant.
    pub tenant: TenantId,
    /// The webhook.
    pub webhook: WebhookId,
}

/// The name of a delivery under a lease. A later lease has another number of tries, so that the end
/// of an earlier one leaves it alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeliveryName {
    /// The webhook.
    pub of: WebhookName,
    /// The number of the event in the store.
    pub seq: i64,
    /// Attempts with this one.
    pub tries: u32,
}

/// A delivery under a sender's lease.
#[derive(Clone)]
pub struct DueDelivery {
    /// Its name.
    pub name: DeliveryName,
    /// The event.
    pub event: EventId,
    /// When the event was decided.
    pub at: Millis,
    /// The JSON of the event.
    pub body: String,
    /// The address of the receiver.
    pub url: String,
    /// The step that made the secret.
    pub secret: Position,
    /// The secret before the last rotation.
    pub previous: Option<PreviousSecret>,
    /// Waves of attempts that failed in a row, of all deliveries to this webhook.
    pub failures: u32,
}

/// One attempt, as lists show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it began.
    pub at: Millis,
    /// Its result, as metrics spell it.
    pub result: String,
    /// The status of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Milliseconds until the answer.
    pub took_ms: u64,
}

/// The state of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryState {
    /// It waits for an attempt, or for its answer.
    Pending,
    /// The receiver has taken it.
    Sent,
    /// All attempts failed, or the queue was full: a dead letter.
    Dead,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Sent, Self::Dead];

    /// The state as rows spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Dead => "dead",
        }
    }
}

/// What becomes of a delivery after an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextStep {
    /// The receiver has it.
    Sent,
    /// It is tried again after a pause. The webhook rests for the time `rest`.
    Retry {
        /// Until the next attempt with this delivery.
        pause: Duration,
        /// Until the next attempt with any delivery of the webhook. Zero: at once.
        rest: Duration,
    },
    /// It is a dead letter.
    Dead {
        /// Until the next attempt with any delivery of the webhook.
        rest: Duration,
    },
}

/// The end of an attempt.
#[derive(Clone)]
pub struct Finished {
    /// The delivery.
    pub name: DeliveryName,
    /// The attempt.
    pub attempt: Attempt,
    /// What becomes of the delivery.
    pub next: NextStep,
    /// The failures of the webhook when the delivery was taken. Those of one wave count as one.
    pub failures: u32,
}

/// Deliveries under way at a sender, by webhook.
pub type UnderWay = BTreeMap<WebhookName, u32>;

/// Totals of the store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WebhookTotals {
    /// Deliveries that wait.
    pub pending: u64,
    /// Milliseconds since the oldest of them, of webhooks that are active, was queued.
    pub oldest_ms: u64,
    /// Dead letters.
    pub dead: u64,
    /// Active webhooks whose last attempts failed.
    pub failing: u64,
}

/// Why a call to the store failed. The source is logged, so its text must not quote a value.
#[derive(Debug, thiserror::Error)]
#[error("the store of webhooks did not answer")]
pub struct WebhookStoreError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// The future that a call of the store returns.
pub type WebhookFuture<'a, T> = BoxFuture<'a, Result<T, WebhookStoreError>>;

/// The store of outward events and of the queues of webhooks.
pub trait WebhookStore: Send + Sync + 'static {
    /// Gives the first new events to the queues of the webhooks that accept them, at most `limit`
    /// events. Returns the number of events: 0 as well while another sender does it. A queue with
    /// `full` deliveries takes no more: they become dead letters.
    fn queue(&self, limit: u32, full: u32) -> WebhookFuture<'_, u64>;

    /// Carries out a part of what batches asked for, of at most `limit` deliveries: replays, and
    /// the ends of deleted webhooks. Returns whether there may be more.
    fn carry_out(&self, limit: u32) -> WebhookFuture<'_, bool>;

    /// Gives the caller due deliveries for the time of `lease`, those that wait longest first: at
    /// most `limit`, and with those under way at most `places` of one webhook. A webhook whose last
    /// [`PROBE_FROM`](super::PROBE_FROM) attempts failed has one place. Tenants in `resting` get
    /// none.
    fn take<'a>(
        &'a self,
        limit: u32,
        places: u32,
        lease: Duration,
        under_way: &'a UnderWay,
        resting: &'a BTreeSet<TenantId>,
    ) -> WebhookFuture<'a, Vec<DueDelivery>>;

    /// Stores the ends of attempts. A success makes all deliveries of its webhook due that wait
    /// for another attempt.
    fn finish<'a>(&'a self, finished: &'a [Finished]) -> WebhookFuture<'a, ()>;

    /// Counts.
    fn count(&self) -> WebhookFuture<'_, WebhookTotals>;

    /// Makes dead letters of deliveries that have waited for longer than `give_up`, and deletes
    /// events that are older than `keep`, at most `limit` of each. Returns the number of new dead
    /// letters and whether there may be more to do.
    fn sweep(
        &self,
        give_up: Duration,
        keep: Duration,
        limit: u32,
    ) -> WebhookFuture<'_, (u64, bool)>;
}
