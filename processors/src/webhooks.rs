//! Webhooks: the aggregate with the endpoints of a tenant, the store of events that wait, and the
//! sender that brings them to receivers.
//!
//! A batch of the ledger adds its outward events to the store, in the transaction of the step. The
//! senders of all nodes share the store: one of them at a time gives new events to the queues of
//! webhooks, and each delivery is under the lease of one of them.

mod book;
#[cfg(feature = "push")]
mod client;
mod counters;
mod own;
mod schedule;
#[cfg(feature = "push")]
mod sender;
mod store;

pub use book::{VIEW, WebhookBook, WebhookBookHeader};
pub use counters::{AttemptResult, WebhookCounters};
pub use own::OwnWebhooks;
pub use schedule::{
    GIVE_UP, KEEP, LONGEST_ASKED, MAX_QUEUE, MAX_TRIES, PROBE_FROM, pause_after, rest_after,
};
#[cfg(feature = "push")]
pub use sender::{WebhookSenderSettings, run};
pub use store::{
    Attempt, DeliveryName, DeliveryState, DueDelivery, Finished, NextStep, OutwardRow, UnderWay,
    WebhookChange, WebhookFuture, WebhookName, WebhookRow, WebhookStore, WebhookStoreError,
    WebhookTotals,
};
