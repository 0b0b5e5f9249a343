//! A gateway node: intake, one shard per core, and the HTTP routes, started and stopped together.

pub(crate) mod context;
mod listeners;
pub mod metrics;
mod private;
pub mod readiness;
pub mod settings;
pub(crate) mod shard_task;

use std::{
    cell::RefCell,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::{Arc, PoisonError},
    thread::JoinHandle,
    time::Duration,
};

use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::LocalSet,
};

pub use crate::{
    backends::Backends,
    settings::{RUN_RETENTION, Settings},
};
use crate::{
    context::{ContextError, NodeContext},
    http,
    inbox::ShardMessage,
    readiness::Condition,
    stream::{
        access_intake,
        intake::{Intake, SHARD_INBOX},
        shard::{Shard, context::ShardContext},
    },
    transport::{
        accept::{self, Acceptor},
        socketio::SocketIo,
    },
    views::shard_set::{MAX_SHARDS, ShardIndex},
};

/// Time beyond the drain's window, for close frames and for commands that still wait.
const LAST_SECONDS: Duration = Duration::from_secs(3);

/// Time after [`LAST_SECONDS`] for the audit entries of the last clients.
const LAST_NOTES: Duration = Duration::from_secs(3);

/// Why a node cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address cannot be bound.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address of the settings.
        address: SocketAddr,
        /// The answer of the system.
        source: io::Error,
    },
    /// The keys of an issuer, or the certificate, cannot be used.
    #[error(transparent)]
    Context(#[from] ContextError),
    /// The system starts no thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

struct PrivateListener {
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

/// A serving node.
pub struct RunningNode {
    context: Arc<NodeContext>,
    address: SocketAddr,
    drain_delay: Duration,
    drain: Duration,
    draining: watch::Sender<bool>,
    inboxes: Vec<mpsc::Sender<ShardMessage>>,
    threads: Vec<JoinHandle<()>>,
    intake: tokio::task::JoinHandle<()>,
    watch: tokio::task::JoinHandle<()>,
    private: Option<PrivateListener>,
    keys: tokio::task::JoinHandle<()>,
    certificates: tokio::task::JoinHandle<()>,
    pseudonyms: tokio::task::JoinHandle<()>,
    access: tokio::task::JoinHandle<()>,
}

/// Starts a node. Intake and fetches run on the current runtime; connections are served by the
/// threads of the shards.
///
/// # Errors
/// [`StartError`] when the address is taken, the keys or the certificate are unusable, or no thread
/// can be started.
///
/// # Panics
/// Outside a runtime.
pub fn start(settings: Settings, backends: Backends) -> Result<RunningNode, StartError> {
    let feed = backends.log.clone();
    let context = Arc::new(NodeContext::new(&settings, backends)?);
    let private = settings
        .private_listen
        .map(|address| listen_privately(address, context.clone()))
        .transpose()?;
    let (draining, drained) = watch::channel(false);
    let listen = settings.listen;
    let listeners = listeners::bind(listen, settings.shards.clamp(1, MAX_SHARDS))?;
    let address = listeners[0]
        .local_addr()
        .map_err(|source| StartError::Listen { address: listen, source })?;
    let Shards { inboxes, threads } = start_shards(&context, listeners, &drained)?;
    let intake = Intake::new(context.clone(), inboxes.clone());
    let intake = tokio::spawn(intake.run(feed.follow()));
    let reader = context.reader.clone();
    let watch = tokio::spawn(async move { reader.watch().await });
    let Settings { drain_delay, drain, issuers, .. } = settings;
    context.readiness.set(Condition::AccessUnread, true);
    let access = access_intake::follow(context.clone(), inboxes.clone(), feed.follow_access());
    let access = tokio::spawn(access);
    context.readiness.set(Condition::KeysMissing, issuers.lack_keys());
    let keys = tokio::spawn(issuers.keep_fresh(context.readiness.clone()));
    let certificates = tokio::spawn(keep_certificate_fresh(context.clone()));
    let named = context.clone();
    let pseudonyms = tokio::spawn(async move { named.pseudonyms.keep_fresh().await });
    Ok(RunningNode {
        context,
        address,
        drain_delay,
        drain,
        draining,
        inboxes,
        threads,
        intake,
        watch,
        private,
        keys,
        certificates,
        pseudonyms,
        access,
    })
}

/// The inboxes and the threads of a node's shards.
struct Shards {
    inboxes: Vec<mpsc::Sender<ShardMessage>>,
    threads: Vec<JoinHandle<()>>,
}

/// Starts a shard for each listener.
fn start_shards(
    context: &Arc<NodeContext>,
    listeners: Vec<std::net::TcpListener>,
    drained: &watch::Receiver<bool>,
) -> Result<Shards, StartError> {
    let router = http::router(context.clone());
    let socketio =
        SocketIo::new(context.verifier.clone(), context.limits.clone(), context.metrics.clone());
    let (mut inboxes, mut threads) = (Vec::new(), Vec::new());
    let shards = listeners.len();
    for (index, listener) in listeners.into_iter().enumerate() {
        let (inbox, messages) = mpsc::channel(SHARD_INBOX);
        let shard = ShardContext {
            node: context.clone(),
            index: ShardIndex::from_index(index),
            shards,
            inbox: inbox.clone(),
            polling: socketio.polling().clone(),
        };
        let (router, draining, socketio) = (router.clone(), drained.clone(), socketio.clone());
        let thread = std::thread::Builder::new()
            .name(format!("shard-{index}"))
            .spawn(move || run_shard(listener, shard, socketio, router, draining, messages))
            .map_err(StartError::Thread)?;
        inboxes.push(inbox);
        threads.push(thread);
    }
    Ok(Shards { inboxes, threads })
}

#[cfg(feature = "tls")]
async fn keep_certificate_fresh(context: Arc<NodeContext>) {
    if let Some(certificates) = &context.certificates {
        certificates.keep_fresh().await;
    }
}

#[cfg(not(feature = "tls"))]
#[expect(clippy::unused_async, reason = "with TLS it waits")]
async fn keep_certificate_fresh(_: Arc<NodeContext>) {}

fn listen_privately(
    address: SocketAddr,
    context: Arc<NodeContext>,
) -> Result<PrivateListener, StartError> {
    let listener = private::bind(address)?;
    let address = listener.local_addr().unwrap_or(address);
    let task = tokio::spawn(private::serve(listener, http::private_router(context)));
    Ok(PrivateListener { address, task })
}

fn run_shard(
    listener: std::net::TcpListener,
    context: ShardContext,
    socketio: SocketIo,
    router: axum::Router,
    draining: watch::Receiver<bool>,
    messages: mpsc::Receiver<ShardMessage>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs no more than its epoll and timer descriptors");
    LocalSet::new().block_on(&runtime, async move {
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "a shard cannot listen"),
        };
        let shard = Rc::new(RefCell::new(Shard::new(context.clone())));
        let acceptor = Acceptor { shard: shard.clone(), context, socketio, router, draining };
        tokio::task::spawn_local(accept::serve(listener, Rc::new(acceptor)));
        shard_task::run(shard, messages).await;
    });
}

/// Raises the limit of open files to the system's maximum, since every socket needs one. Call it
/// before the node starts, which then takes as many sockets as they allow.
pub fn raise_descriptors() {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(descriptors) => tracing::info!(descriptors, "limit of open sockets and files"),
        Err(error) => tracing::warn!(%error, "the limit of open files could not be raised"),
    }
}

impl RunningNode {
    /// The address of the listener for clients.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of the private listener, if there is one.
    pub fn private_address(&self) -> Option<SocketAddr> {
        self.private.as_ref().map(|private| private.address)
    }

    /// Whether the node is ready for clients.
    pub fn is_ready(&self) -> bool {
        self.context.readiness.is_ready()
    }

    /// Reads the certificate again now. Without this, a change of its files is seen within half a
    /// minute.
    pub fn reload_certificate(&self) {
        #[cfg(feature = "tls")]
        if let Some(certificates) = &self.context.certificates {
            certificates.reload();
        }
    }

    /// Makes the start page offer the links and tokens of a demo clinic.
    pub fn show_demo(&self, ready: serde_json::Value) {
        *self.context.demo.write().unwrap_or_else(PoisonError::into_inner) = Some(ready);
    }

    /// Stops the node. First it is not ready any more, but accepts and serves as before until the
    /// delay is over. Then it accepts no sockets, except for the requests of clients that poll, and
    /// open sockets are closed over the drain's window while intake still serves them. Then
    /// everything else stops.
    pub async fn shut_down(self) {
        self.context.readiness.set(Condition::Draining, true);
        tokio::time::sleep(self.drain_delay).await;
        let _ = self.draining.send(true);
        for inbox in &self.inboxes {
            let _ = inbox.send(ShardMessage::Drain(self.drain)).await;
        }
        let threads = self.threads;
        let joined = tokio::task::spawn_blocking(move || {
            for thread in threads {
                let _ = thread.join();
            }
        });
        if tokio::time::timeout(self.drain + LAST_SECONDS, joined).await.is_err() {
            tracing::warn!("some sockets did not close in time");
        }
        self.context.audit.flush(LAST_NOTES).await;
        self.intake.abort();
        self.watch.abort();
        if let Some(private) = self.private {
            private.task.abort();
        }
        self.keys.abort();
        self.certificates.abort();
        self.pseudonyms.abort();
        self.access.abort();
    }
}
