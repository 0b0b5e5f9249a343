//! A gateway node, the processors and a worker, composed in one process.

use std::{io, net::SocketAddr, sync::Arc, thread::JoinHandle, time::Duration};

use claims::tables::Tables;
use gateway::{
    access::auth::DevelopmentKey,
    backends::log::Log as GatewayLog,
    client_address::TrustedProxies,
    files::MAX_FILE,
    limits::settings::LimitSettings,
    node,
    readiness::Readiness,
    settings::{AlertOffer, TlsFiles},
};
use ipnet::IpNet;
use object_store::{ObjectStore, local::LocalFileSystem};
use processors::{
    alerts::OwnSender,
    audit,
    runner::{self, RunnerError},
    tenants::Tenants,
    webhooks::OwnWebhooks,
    worker,
};
use schemas::{
    push::PushServices,
    record::{CARE_TOPIC, RUNS_TOPIC},
    webhook::WebhookKey,
};
use telemetry::Tracer;
use tempfile::TempDir;
use tokio::{
    sync::{Notify, watch},
    time::error::Elapsed,
};

use crate::memory::{Memory, system_clock};

pub struct Settings {
    pub listen: SocketAddr,
    /// The certificate, for clients that speak TLS.
    pub tls: Option<TlsFiles>,
    /// Threads that own sockets.
    pub shards: usize,
    pub key: DevelopmentKey,
    /// The time over which sockets are closed at the end.
    pub drain: Duration,
    /// The reference tables for claims files.
    pub tables: Arc<Tables>,
    /// The limits of one client.
    pub limits: LimitSettings,
    /// The push services that alerts are sent to, in a build that sends them.
    pub push_services: PushServices,
    /// Networks that receivers of webhooks may be in, beside the public internet.
    pub webhook_networks: Vec<IpNet>,
}

/// An error at start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Gateway(#[from] node::StartError),
    #[error("cannot start the processors")]
    Processors(#[source] io::Error),
    #[error("the system has no random numbers")]
    Random(#[source] getrandom::Error),
    #[error("cannot make a directory for uploaded files")]
    Files(#[source] io::Error),
}

/// The running process parts, until [`OneProcess::shut_down`].
pub struct OneProcess {
    gateway: node::RunningNode,
    processors: JoinHandle<()>,
    stop: watch::Sender<()>,
    memory: Memory,
    /// The directory of uploaded files, removed at the end.
    _files: TempDir,
}

impl OneProcess {
    /// Starts all parts and serves.
    ///
    /// # Errors
    /// When the gateway cannot start, for example on a used port.
    pub fn start(settings: Settings) -> Result<Self, StartError> {
        Self::start_traced(settings, Tracer::off())
    }

    /// Starts all parts, whose spans `tracer` records, and serves.
    ///
    /// # Errors
    /// When the gateway cannot start, as in [`OneProcess::start`].
    pub fn start_traced(settings: Settings, tracer: Tracer) -> Result<Self, StartError> {
        let memory = Memory::new(system_clock());
        let directory = tempfile::Builder::new()
            .prefix("clinicwire-files-")
            .tempdir()
            .map_err(StartError::Files)?;
        let files = LocalFileSystem::new_with_prefix(directory.path())
            .map_err(|error| StartError::Files(io::Error::other(error)))?;
        let files: Arc<dyn ObjectStore> = Arc::new(files);
        let backends = node::Backends {
            log: memory.log.clone(),
            snapshots: memory.views.clone(),
            queries: memory.queries(),
            short_keys: memory.keys.clone(),
            files: files.clone(),
            readiness: Readiness::default(),
        };
        let tenants = Tenants::unread();
        let sender = OwnSender::generate(settings.push_services.clone(), tenants.clone());
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).map_err(StartError::Random)?;
        let webhook_key = WebhookKey::from_bytes(bytes);
        let hooks =
            OwnWebhooks::new(webhook_key.clone(), settings.webhook_networks, tenants.clone());
        let node_settings = node::Settings {
            listen: settings.listen,
            tls: settings.tls,
            shards: settings.shards,
            issuers: settings.key.keys().into(),
            grant_secret: settings.key.grant_secret(),
            origins: Vec::new(),
            proxies: TrustedProxies::default(),
            limits: settings.limits,
            created_tenants_only: false,
            hosts: Vec::new(),
            private_listen: None,
            // The program serves other machines only with a flag for it.
            public_demo: !settings.listen.ip().is_loopback(),
            drain_delay: Duration::ZERO,
            drain: settings.drain,
            max_file: MAX_FILE,
            alerts: sender.as_ref().map(|sender| AlertOffer {
                public_key: sender.public_key(),
                services: settings.push_services,
            }),
            webhook_key: hooks.is_some().then_some(webhook_key),
            run_retention: node::RUN_RETENTION,
            tables: settings.tables.clone(),
            pseudonym_key_file: None,
            tracer: tracer.clone(),
        };
        let gateway = node::start(node_settings, backends)?;
        let stop = watch::Sender::new(());
        let (parts, senders) = ((settings.tables, tracer), (tenants, sender, hooks));
        let processors = start_processors(&memory, files, parts, senders, stop.subscribe())
            .map_err(StartError::Processors)?;
        Ok(Self { gateway, processors, stop, memory, _files: directory })
    }

    pub fn address(&self) -> SocketAddr {
        self.gateway.address()
    }

    /// Waits until the node is ready.
    ///
    /// # Errors
    /// When it is not ready in time.
    pub async fn ready_within(&self, limit: Duration) -> Result<(), Elapsed> {
        let ready = async {
            while !self.gateway.is_ready() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(limit, ready).await
    }

    /// Reads the certificate again now.
    pub fn reload_certificate(&self) {
        self.gateway.reload_certificate();
    }

    /// The backends of all parts.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Gives the start page the links and tokens of the demo.
    pub fn show_demo(&self, ready: serde_json::Value) {
        self.gateway.show_demo(ready);
    }

    /// Closes every socket, then lets the processors finish their current work.
    pub async fn shut_down(self) {
        self.gateway.shut_down().await;
        drop(self.stop);
        let processors = self.processors;
        if !matches!(tokio::task::spawn_blocking(|| processors.join()).await, Ok(Ok(()))) {
            tracing::error!("the processors did not end in order");
        }
    }
}

/// Runs the processors on a thread of their own, so that neither side waits for the other's work.
fn start_processors(
    memory: &Memory,
    files: Arc<dyn ObjectStore>,
    (tables, tracer): (Arc<Tables>, Tracer),
    (tenants, sender, hooks): (Arc<Tenants>, Option<OwnSender>, Option<OwnWebhooks>),
    stopped: watch::Receiver<()>,
) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (work_signal, alert_signal) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let webhook_signal = Arc::new(Notify::new());
    let stop = move || {
        let mut stopped = stopped.clone();
        // An error means that the sender was dropped, which is how the processors stop.
        async move { while stopped.changed().await.is_ok() {} }
    };
    let (care, runs) = (memory.processors(), memory.runs());
    let (audit_log, audit_store) = (memory.audit_log.clone(), memory.audit.clone());
    let runs_settings = runner::RunnerSettings {
        work_signals: vec![work_signal.clone(), webhook_signal.clone()],
        tracer: tracer.clone(),
        tenants: tenants.clone(),
        ..runner::RunnerSettings::new(RUNS_TOPIC)
    };
    let care_settings = runner::RunnerSettings {
        work_signals: vec![alert_signal.clone(), webhook_signal.clone()],
        tracer,
        tenants: tenants.clone(),
        ..runner::RunnerSettings::new(CARE_TOPIC)
    };
    let (alert_store, alert_log) = (memory.alerts.clone(), memory.log.clone());
    let (webhook_store, webhook_log) = (memory.webhooks.clone(), memory.log.clone());
    let access = GatewayLog::follow_access(&*memory.log);
    let work = worker::WorkerBackends {
        work: memory.work.clone(),
        log: memory.runs_log.clone(),
        files,
        work_signal,
    };
    std::thread::Builder::new().name("processors".into()).spawn(move || {
        let all = async {
            let care = runner::run(care, care_settings, stop());
            let runs = runner::run(runs, runs_settings, stop());
            let work = async {
                let tenants = tenants.clone();
                let settings = worker::WorkerSettings::new("standalone", tables);
                let settings = worker::WorkerSettings { tenants, ..settings };
                worker::run(work, settings, stop()).await;
                Ok::<_, RunnerError>(())
            };
            let sink = audit::SinkSettings::default();
            let audit = audit::run(audit_log, audit_store, sink, stop());
            let alerts = async {
                if let Some(sender) = sender {
                    sender.run(alert_store, alert_log, alert_signal, stop()).await;
                }
                Ok(())
            };
            let webhooks = async {
                if let Some(hooks) = hooks {
                    hooks.run(webhook_store, webhook_log, webhook_signal, stop()).await;
                }
                Ok(())
            };
            tokio::try_join!(care, runs, audit, work, alerts, webhooks).map(drop)
        };
        let all = async {
            tokio::select! {
                done = all => done,
                // The feed of a log in memory never ends.
                () = tenants.follow(access) => Ok(()),
            }
        };
        if let Err(error) = runtime.block_on(all) {
            tracing::error!(%error, "the processors ended");
        }
    })
}
