//! The settings of a node.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use claims::tables::Tables;
use schemas::{push::PushServices, webhook::WebhookKey};
use telemetry::Tracer;

use crate::{
    access::auth::Issuers, client_address::TrustedProxies, limits::settings::LimitSettings,
};

/// The files of a certificate, in PEM form.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The certificate, followed by those of its issuers.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// The settings of alerts that a node offers to patients. Processors send the alerts.
#[derive(Debug, Clone)]
pub struct AlertOffer {
    /// The public key of the installation (VAPID), in base64url.
    pub public_key: String,
    /// The push services whose devices may be subscribed.
    pub services: PushServices,
}

/// Checks a public key: an uncompressed point on P-256 in base64url.
///
/// # Errors
/// A message for the person who typed the value.
pub fn parse_public_key(text: &str) -> Result<String, String> {
    let point = URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    let is_point = point.len() == 65 && point[0] == 4;
    is_point.then(|| text.to_owned()).ok_or_else(|| "not a public key of P-256".to_owned())
}

/// The settings of a node.
pub struct Settings {
    /// The address of the listener for clients.
    pub listen: SocketAddr,
    /// The certificate, on a node whose clients speak TLS.
    pub tls: Option<TlsFiles>,
    /// Threads that own sockets: one per core, at most 64.
    pub shards: usize,
    /// The issuers whose tokens are accepted.
    pub issuers: Issuers,
    /// The secret of all nodes that authenticates the ids of SSE events.
    pub grant_secret: [u8; 32],
    /// Origins whose pages may connect, beside this host's own.
    pub origins: Vec<String>,
    /// Proxies whose reports about the addresses of their clients are trusted.
    pub proxies: TrustedProxies,
    /// The limits of one client.
    pub limits: LimitSettings,
    /// Whether only tenants are served that a super admin has created.
    pub created_tenants_only: bool,
    /// Names by which clients may call this node, as `Host` has them. Empty: any.
    pub hosts: Vec<String>,
    /// Address of a second listener for health and metrics, which the first one then does not
    /// serve.
    pub private_listen: Option<SocketAddr>,
    /// Whether clients on other machines may read the demo's tokens too.
    pub public_demo: bool,
    /// Time for which a stopping node serves as before, but is not ready: its balancer notices.
    pub drain_delay: Duration,
    /// Time over which sockets are then closed.
    pub drain: Duration,
    /// Alerts to phones, where processors send them.
    pub alerts: Option<AlertOffer>,
    /// The key of the secrets of webhooks, where processors send them.
    pub webhook_key: Option<WebhookKey>,
    /// Largest uploaded file, in bytes.
    pub max_file: u64,
    /// How long a run is kept after its end.
    pub run_retention: Duration,
    /// The reference tables of tenants that have stored none.
    pub tables: Arc<Tables>,
    /// The file of the key of pseudonyms in logs. Without it, logs name no caller.
    pub pseudonym_key_file: Option<PathBuf>,
    /// Records the traces of sampled requests.
    pub tracer: Tracer,
}

/// The default time that a run is kept after its end.
pub const RUN_RETENTION: Duration = Duration::from_hours(24);

/// Settings for tests: one shard, a development key and no listed origin.
#[cfg(test)]
pub(crate) fn test_settings() -> Settings {
    let key = crate::access::auth::DevelopmentKey::from_words("a test of a node");
    Settings {
        listen: ([127, 0, 0, 1], 0).into(),
        tls: None,
        shards: 1,
        issuers: key.keys().into(),
        grant_secret: key.grant_secret(),
        origins: Vec::new(),
        proxies: TrustedProxies::default(),
        limits: LimitSettings::default(),
        created_tenants_only: false,
        hosts: Vec::new(),
        private_listen: None,
        public_demo: false,
        drain_delay: Duration::ZERO,
        drain: Duration::ZERO,
        // The public key is the base point of P-256 (SEC 2, 2.4.2).
        alerts: Some(AlertOffer {
            public_key: concat!(
                "BGsX0fLhLEJH-Lzm5WOkQPJ3A32BLeszoPShOUXYmMK",
                "WT-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"
            )
            .into(),
            services: PushServices::default(),
        }),
        webhook_key: Some(WebhookKey::from_bytes([7; 32])),
        max_file: 8 * 1024 * 1024,
        run_retention: RUN_RETENTION,
        tables: Arc::default(),
        pseudonym_key_file: None,
        tracer: Tracer::off(),
    }
}
