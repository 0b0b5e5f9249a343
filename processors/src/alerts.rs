//! Alerts by Web Push: the backend that keeps devices and due alerts, and the sender that takes
//! them to push services.
//!
//! A batch of the ledger writes both, in the transaction of the step that called a ticket. Senders
//! of all nodes share the store: each alert is under the lease of one of them.

#[cfg(feature = "push")]
mod client;
mod counters;
mod own;
#[cfg(feature = "push")]
mod sender;
#[cfg(feature = "push")]
mod vapid;

use std::{collections::BTreeSet, time::Duration};

use schemas::{
    Millis,
    ids::{TenantId, TicketId},
    push::{AlertKind, DeviceId, PushDevice, origin_of},
};

use crate::BoxFuture;

pub use counters::{AlertCounters, AlertResult};
pub use own::OwnSender;
#[cfg(feature = "push")]
pub use sender::{SenderSettings, run};
#[cfg(feature = "push")]
pub use vapid::{InvalidKey, VapidKey};

/// The message to the devices of one ticket.
#[derive(Clone, PartialEq, Eq)]
pub struct Alert {
    /// The ticket.
    pub ticket: TicketId,
    /// The content of the message.
    pub kind: AlertKind,
    /// The label of the ticket.
    pub label: String,
    /// The name of the room, for a call.
    pub room: Option<String>,
    /// When the location decided it.
    pub at: Millis,
}

/// A change of the alert store that a step causes. Changes follow in the order of the steps.
#[derive(Clone, PartialEq, Eq)]
pub enum AlertChange {
    /// The device belongs to the ticket.
    Subscribe {
        /// The ticket.
        ticket: TicketId,
        /// The device.
        device: PushDevice,
    },
    /// The device does not belong to the ticket any more, and gets no alert that is due.
    Unsubscribe {
        /// The ticket.
        ticket: TicketId,
        /// The device.
        device: DeviceId,
    },
    /// Every device of the ticket gets the alert, in place of one that is due.
    Send(Alert),
    /// Due alerts of the ticket are not sent.
    Withdraw {
        /// The ticket.
        ticket: TicketId,
    },
    /// The ticket has no device any more. Due alerts stay.
    Forget {
        /// The ticket.
        ticket: TicketId,
    },
}

/// A change of the alert store, as a batch contains it.
#[derive(Clone)]
pub struct AlertRow {
    /// The tenant of the ticket.
    pub tenant: TenantId,
    /// The change.
    pub change: AlertChange,
}

/// The name of a due alert. A later alert to the same device has another number, so that the end
/// of an earlier one leaves it alone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AlertName {
    /// The tenant of the ticket.
    pub tenant: TenantId,
    /// The ticket.
    pub ticket: TicketId,
    /// The device.
    pub device: DeviceId,
    /// The number of the alert.
    pub number: i64,
}

/// An alert under a sender's lease.
#[derive(Clone)]
pub struct DueAlert {
    /// Its name.
    pub name: AlertName,
    /// The content of the message.
    pub alert: Alert,
    /// The device that receives the alert.
    pub device: PushDevice,
    /// Attempts with this one.
    pub tries: u32,
}

impl DueAlert {
    /// The origin of the push service.
    pub fn origin(&self) -> String {
        service_origin(&self.device)
    }
}

/// The origin of the push service of a device; empty when its address has none.
pub fn service_origin(device: &PushDevice) -> String {
    origin_of(&device.endpoint).map(|(origin, _)| origin).unwrap_or_default()
}

/// Why a call to the alert store failed. The source is logged, so its text must not quote a value.
#[derive(Debug, thiserror::Error)]
#[error("the alert store did not answer")]
pub struct AlertStoreError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

/// The future that a call of the alert store returns.
pub type AlertFuture<'a, T> = BoxFuture<'a, Result<T, AlertStoreError>>;

/// The store of devices and due alerts. PostgreSQL and memory implement it, and batches of the
/// ledger change it.
pub trait AlertStore: Send + Sync + 'static {
    /// Gives the caller due alerts for the time of `lease`, oldest first, at most `limit`, none to
    /// push services with an origin in `busy`, and none of tenants in `resting`.
    fn take<'a>(
        &'a self,
        limit: u32,
        lease: Duration,
        busy: &'a BTreeSet<String>,
        resting: &'a BTreeSet<TenantId>,
    ) -> AlertFuture<'a, Vec<DueAlert>>;

    /// Removes an alert that was sent or given up.
    fn end<'a>(&'a self, name: &'a AlertName) -> AlertFuture<'a, ()>;

    /// Gives an alert back: it is due again after `pause`.
    fn retry<'a>(&'a self, name: &'a AlertName, pause: Duration) -> AlertFuture<'a, ()>;

    /// Removes a device of a ticket, with its due alerts: its push service has forgotten it.
    fn remove_device<'a>(&'a self, name: &'a AlertName) -> AlertFuture<'a, ()>;

    /// The number of devices of a ticket.
    fn devices<'a>(&'a self, tenant: &'a TenantId, ticket: &'a TicketId) -> AlertFuture<'a, usize>;

    /// Deletes devices that were subscribed longer ago than `age`, whatever the state of their
    /// tickets. Returns the number of deleted devices.
    fn sweep(&self, age: Duration) -> AlertFuture<'_, u64>;
}
