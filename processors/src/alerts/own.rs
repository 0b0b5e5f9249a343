//! The sender of a process that is a whole installation: its key is new at each start.

use std::sync::Arc;

use schemas::push::PushServices;
use tokio::sync::Notify;

use super::AlertStore;
#[cfg(feature = "push")]
use super::{SenderSettings, VapidKey};
#[cfg(feature = "push")]
use crate::clock::wall_clock;
use crate::{log::Log, tenants::Tenants};

/// A sender with a new key.
#[cfg(feature = "push")]
pub struct OwnSender(SenderSettings);

/// A sender cannot exist in a build without the feature `push`.
#[cfg(not(feature = "push"))]
pub enum OwnSender {}

#[cfg(feature = "push")]
impl OwnSender {
    /// A sender with a new key. `None` in a build without the feature `push`.
    pub fn generate(services: PushServices, tenants: Arc<Tenants>) -> Option<Self> {
        Some(Self(SenderSettings {
            key: VapidKey::generate(),
            contact: "mailto:demo@clinicwire.invalid".to_owned(),
            services,
            counters: Arc::default(),
            clock: wall_clock(),
            tenants,
        }))
    }

    /// The public key, with which browsers subscribe.
    pub fn public_key(&self) -> String {
        self.0.key.public()
    }

    /// Sends until `stop` resolves.
    pub async fn run(
        self,
        store: Arc<dyn AlertStore>,
        log: Arc<dyn Log>,
        signal: Arc<Notify>,
        stop: impl Future<Output = ()>,
    ) {
        if let Err(error) = super::run(store, log, self.0, signal, stop).await {
            tracing::error!(error = &error as &dyn std::error::Error, "alerts cannot be sent");
        }
    }
}

#[cfg(not(feature = "push"))]
impl OwnSender {
    /// A sender with a new key. `None` in a build without the feature `push`.
    pub fn generate(_: PushServices, _: Arc<Tenants>) -> Option<Self> {
        None
    }

    /// The public key, with which browsers subscribe.
    pub fn public_key(&self) -> String {
        match *self {}
    }

    /// Sends until `stop` resolves.
    #[expect(clippy::unused_async, reason = "with the feature it waits")]
    pub async fn run(
        self,
        _: Arc<dyn AlertStore>,
        _: Arc<dyn Log>,
        _: Arc<Notify>,
        _: impl Future<Output = ()>,
    ) {
        match self {}
    }
}
