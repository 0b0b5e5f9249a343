//! The sender of a process that is a whole installation: its key is new at each start.

use std::sync::Arc;

use ipnet::IpNet;
use schemas::webhook::WebhookKey;
use tokio::sync::Notify;

#[cfg(feature = "push")]
use super::WebhookSenderSettings;
use super::WebhookStore;
#[cfg(feature = "push")]
use crate::clock::wall_clock;
use crate::{log::Log, tenants::Tenants};

/// A sender with a key of its own.
#[cfg(feature = "push")]
pub struct OwnWebhooks(WebhookSenderSettings);

/// A sender cannot exist in a build without the feature `push`.
#[cfg(not(feature = "push"))]
pub enum OwnWebhooks {}

#[cfg(feature = "push")]
impl OwnWebhooks {
    /// A sender to receivers in the public internet and in these networks. `None` in a build
    /// without the feature `push`.
    pub fn new(key: WebhookKey, networks: Vec<IpNet>, tenants: Arc<Tenants>) -> Option<Self> {
        Some(Self(WebhookSenderSettings {
            key,
            networks,
            counters: Arc::default(),
            clock: wall_clock(),
            tenants,
        }))
    }

    /// Sends until `stop` resolves.
    pub async fn run(
        self,
        store: Arc<dyn WebhookStore>,
        log: Arc<dyn Log>,
        signal: Arc<Notify>,
        stop: impl Future<Output = ()>,
    ) {
        if let Err(error) = super::run(store, log, self.0, signal, stop).await {
            tracing::error!(error = &error as &dyn std::error::Error, "webhooks cannot be sent");
        }
    }
}

#[cfg(not(feature = "push"))]
impl OwnWebhooks {
    /// A sender to receivers in the public internet and in these networks. `None` in a build
    /// without the feature `push`.
    pub fn new(_: WebhookKey, _: Vec<IpNet>, _: Arc<Tenants>) -> Option<Self> {
        None
    }

    /// Sends until `stop` resolves.
    #[expect(clippy::unused_async, reason = "with the feature it waits")]
    pub async fn run(
        self,
        _: Arc<dyn WebhookStore>,
        _: Arc<dyn Log>,
        _: Arc<Notify>,
        _: impl Future<Output = ()>,
    ) {
        match self {}
    }
}
