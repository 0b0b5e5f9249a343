//! The parts of a node that its routes, its shards and its intake share.

use std::{
    sync::{Arc, Mutex, RwLock},
    time::Duration,
};

use claims::tables::Tables;
use schemas::webhook::WebhookKey;
use telemetry::Tracer;
use tokio::{runtime::Handle, sync::Semaphore};

#[cfg(feature = "tls")]
use crate::certificates::{CertificateError, Certificates};
use crate::{
    access::{
        audit::Audit,
        auth::{KeyError, Verifier},
        bookings::BookingKey,
        check_in_codes::CheckInCodeKey,
        grant::GrantKey,
        pseudonyms::Pseudonyms,
        revocations::Revocations,
        ticket_links::LinkKey,
    },
    backends::{Backends, log::Log, queries::Queries, short_keys::ShortKeys},
    client_address::TrustedProxies,
    commands::Commands,
    files::Files,
    limits::{Limit, Limits, admission, settings::LimitSettings},
    metrics::Metrics,
    readiness::Readiness,
    settings::{AlertOffer, Settings},
    throttle::Throttle,
    views::{reader::ViewReader, tails::Tails},
};

/// Trials of rules that run at once on one node, since each takes a core. A further trial waits for
/// a moment, and is then answered with `try_again`.
const TRIALS: usize = 1;

/// Why a node cannot start with its settings.
#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    #[error("the keys that verify tokens cannot be used")]
    Keys(#[from] KeyError),
    #[cfg(feature = "tls")]
    #[error("the certificate cannot be used")]
    Certificate(#[from] CertificateError),
    #[cfg(not(feature = "tls"))]
    #[error("this program was built without TLS: build it with `--features tls`")]
    TlsMissing,
}

/// One node, shared by everything that serves its clients.
pub struct NodeContext {
    pub verifier: Arc<Verifier>,
    pub revocations: Arc<Revocations>,
    pub log: Arc<dyn Log>,
    pub commands: Commands,
    pub reader: Arc<ViewReader>,
    pub queries: Arc<dyn Queries>,
    pub tails: Tails,
    pub short_keys: Arc<dyn ShortKeys>,
    pub grant_key: GrantKey,
    pub link_key: LinkKey,
    /// Held while a typed code is looked up, so that simultaneous guesses are counted one by one.
    pub code_lookup: tokio::sync::Mutex<()>,
    pub booking_key: BookingKey,
    pub check_in_code_key: CheckInCodeKey,
    pub metrics: Arc<Metrics>,
    pub readiness: Readiness,
    /// The demo clinic's links and tokens for the start page; `None` without a demo.
    pub demo: RwLock<Option<serde_json::Value>>,
    /// Origins, as a browser writes them, whose pages may call beside our own.
    pub origins: Vec<String>,
    /// Names by which clients may call this node, as `Host` has them. Empty: any.
    pub hosts: Vec<String>,
    /// Whether a private listener serves health and metrics.
    pub has_private_listener: bool,
    /// Whether clients on other machines may read the demo's tokens too.
    pub public_demo: bool,
    pub proxies: TrustedProxies,
    /// The certificate, on a node whose clients speak TLS.
    #[cfg(feature = "tls")]
    pub certificates: Option<Arc<Certificates>>,
    pub limits: Arc<Limits>,
    pub audit: Audit,
    pub files: Arc<Files>,
    /// Alerts to phones, where processors send them.
    pub alerts: Option<AlertOffer>,
    /// The key of the secrets of webhooks, where processors send them.
    pub webhook_key: Option<WebhookKey>,
    /// How long a run is kept after its end.
    pub run_retention: Duration,
    /// The reference tables of tenants that have stored none.
    pub tables: Arc<Tables>,
    /// The log lines about sockets that no shard could accept.
    pub refused_sockets: Mutex<Throttle>,
    /// Names of callers in the log.
    pub(crate) pseudonyms: Pseudonyms,
    /// Records the traces of sampled requests.
    pub tracer: Tracer,
    /// Permits for trials of rules.
    pub trials: Arc<Semaphore>,
    /// The runtime of intake and fetches. Shards have runtimes of their own.
    pub runtime: Handle,
}

impl NodeContext {
    /// Builds the context of a node on the current runtime.
    ///
    /// # Errors
    /// [`ContextError`] when the keys that verify tokens, or the certificate, cannot be used.
    ///
    /// # Panics
    /// Outside a runtime.
    pub fn new(settings: &Settings, backends: Backends) -> Result<Self, ContextError> {
        #[cfg(not(feature = "tls"))]
        if settings.tls.is_some() {
            return Err(ContextError::TlsMissing);
        }
        let metrics = Arc::new(Metrics::new());
        let revocations = Arc::new(Revocations::new(settings.created_tenants_only));
        let verifier = Verifier::new(settings.issuers.clone())?
            .with_revocations(revocations.clone())
            .with_own_tokens(&settings.grant_secret);
        let Backends { log, snapshots, queries, short_keys, files, readiness } = backends;
        metrics.export_log_clients(log.clone());
        metrics.export_spans(&settings.tracer);
        metrics.export_connections(queries.clone());
        metrics.export_access(&revocations);
        #[cfg(feature = "tls")]
        let certificates = certificates(settings, &metrics)?;
        let audit = Audit::new(log.clone());
        metrics.export_audit(audit.counts());
        let limits = Arc::new(Limits::new(limits(settings), short_keys.clone(), metrics.clone()));
        let reader = ViewReader::new(snapshots, queries.clone(), metrics.clone(), &readiness);
        Ok(Self {
            commands: Commands::new(log.clone(), queries.clone(), limits.clone()),
            reader: Arc::new(reader),
            queries,
            tails: Tails::default(),
            short_keys,
            grant_key: GrantKey::new(&settings.grant_secret),
            link_key: LinkKey::new(&settings.grant_secret),
            code_lookup: tokio::sync::Mutex::default(),
            booking_key: BookingKey::new(&settings.grant_secret),
            check_in_code_key: CheckInCodeKey::new(&settings.grant_secret),
            readiness,
            demo: RwLock::new(None),
            origins: settings.origins.clone(),
            hosts: settings.hosts.clone(),
            has_private_listener: settings.private_listen.is_some(),
            public_demo: settings.public_demo,
            proxies: settings.proxies.clone(),
            #[cfg(feature = "tls")]
            certificates,
            limits: limits.clone(),
            audit,
            log,
            revocations,
            files: Arc::new(Files::new(files, settings.max_file)),
            alerts: settings.alerts.clone(),
            webhook_key: settings.webhook_key.clone(),
            run_retention: settings.run_retention,
            tables: settings.tables.clone(),
            refused_sockets: Mutex::default(),
            pseudonyms: Pseudonyms::new(settings.pseudonym_key_file.clone()),
            tracer: settings.tracer.clone(),
            trials: Arc::new(Semaphore::new(TRIALS)),
            runtime: Handle::current(),
            verifier: Arc::new(verifier),
            metrics,
        })
    }
}

/// The limits of the settings, with no more connections than the process has descriptors for.
fn limits(settings: &Settings) -> LimitSettings {
    let limits = settings.limits.clone();
    match rlimit::Resource::NOFILE.get_soft() {
        Ok(descriptors) => limits.at_most(Limit::Connections, admission::socket_limit(descriptors)),
        Err(_) => limits,
    }
}

/// Reads the certificate, if the settings name one.
#[cfg(feature = "tls")]
fn certificates(
    settings: &Settings,
    metrics: &Arc<Metrics>,
) -> Result<Option<Arc<Certificates>>, CertificateError> {
    let files = settings.tls.clone();
    let read = files.map(|files| Certificates::read(files, metrics.clone())).transpose()?;
    Ok(read.map(Arc::new))
}
