//! A gateway node: intake, one shard per core, and the HTTP routes, started and stopped together.

use std::{
    cell::RefCell,
    io,
    net::SocketAddr,
    rc::Rc,
    sync::{Arc, PoisonError, RwLock},
    thread::JoinHandle,
    time::Duration,
};

use claims::tables::Tables;
use object_store::ObjectStore;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::LocalSet,
};

use crate::{
    access::audit::Audit,
    access::auth::{KeyError, Keys, Verifier},
    access::grant::GrantKey,
    backends::log::Log,
    backends::queries::Queries,
    backends::short_keys::ShortKeys,
    backends::snapshots::Snapshots,
    commands::Commands,
    files::Files,
    http::{self, Api},
    metrics::{Metrics, Readiness},
    stream::intake::{Intake, SHARD_INBOX},
    stream::message::ShardMessage,
    stream::reader::ViewReader,
    stream::shard::{Shard, links::Links},
    stream::shard_set::{MAX_SHARDS, ShardIndex},
    stream::shard_task,
    stream::tails::Tails,
    transport::accept::{self, Door},
    transport::socketio::SocketIo,
};

/// Connections the system may hold for a shard that has not accepted them yet: a storm's first
/// second.
const BACKLOG: i32 = 4096;
/// Bytes the system keeps unsent for one socket. Past it a write would block and the socket keeps
/// its mark: a slow phone then gets its newest state next, not the minute of old ones a larger
/// buffer would hold.
const UNSENT_BYTES: u32 = 32 * 1024;
/// How long sent bytes may stay unacknowledged before the system gives a dead peer up.
const DEAD_PEER: Duration = Duration::from_secs(20);
/// Beyond the drain's window, for farewells and for commands on their way.
const LAST_SECONDS: Duration = Duration::from_secs(3);

/// What a node reaches its surroundings through.
pub struct Backends {
    pub log: Arc<dyn Log>,
    pub snapshots: Arc<dyn Snapshots>,
    pub queries: Arc<dyn Queries>,
    pub short_keys: Arc<dyn ShortKeys>,
    /// Uploaded claims files.
    pub files: Arc<dyn ObjectStore>,
}

pub struct Settings {
    pub listen: SocketAddr,
    /// Threads that own sockets: one per core, at most [`MAX_SHARDS`].
    pub shards: usize,
    pub keys: Keys,
    /// The secret all nodes share, which seals SSE ids.
    pub grant_secret: [u8; 32],
    /// Origins whose pages may connect, beside this host's own.
    pub origins: Vec<String>,
    /// Time over which sockets are closed when the node stops.
    pub drain: Duration,
    /// Bytes an uploaded file may have.
    pub max_file: u64,
    /// How long a run is kept after its end.
    pub run_retention: Duration,
    /// The reference tables a rule looks into while it is tried.
    pub tables: Arc<Tables>,
}

/// How long a run is kept after its end unless somebody says otherwise.
pub const RUN_RETENTION: Duration = Duration::from_hours(24);

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("the keys that verify tokens cannot be used")]
    Keys(#[source] KeyError),
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

/// A node that serves.
pub struct Running {
    address: SocketAddr,
    drain: Duration,
    readiness: Arc<Readiness>,
    demo: Arc<RwLock<Option<serde_json::Value>>>,
    draining: watch::Sender<bool>,
    inboxes: Vec<mpsc::Sender<ShardMessage>>,
    threads: Vec<JoinHandle<()>>,
    intake: tokio::task::JoinHandle<()>,
}

/// Starts a node on the current runtime, which carries intake and loads; sockets live on the
/// shards' threads. Called outside a runtime it panics, as every spawn there does.
///
/// # Errors
/// [`StartError`] when the address is taken, the keys are unusable, or no thread can be had.
pub fn start(settings: Settings, backends: Backends) -> Result<Running, StartError> {
    let Settings {
        listen,
        shards,
        keys,
        grant_secret,
        origins,
        drain,
        max_file,
        run_retention,
        tables,
    } = settings;
    let metrics = Arc::new(Metrics::new());
    let readiness = Arc::new(Readiness::default());
    let verifier = Arc::new(Verifier::new(keys).map_err(StartError::Keys)?);
    let commands = Arc::new(Commands::new(backends.log.clone(), backends.queries.clone()));
    let reader = Arc::new(
        ViewReader::new(backends.snapshots, backends.queries.clone()).with_metrics(metrics.clone()),
    );
    let grant_key = GrantKey::new(&grant_secret);
    let audit = Audit::new(backends.log.clone());
    let demo = Arc::new(RwLock::new(None));
    let tails = Arc::new(Tails::default());
    let api = Arc::new(Api {
        verifier: verifier.clone(),
        commands: commands.clone(),
        reader: reader.clone(),
        queries: backends.queries.clone(),
        tails: tails.clone(),
        short_keys: backends.short_keys.clone(),
        grant_key: grant_key.clone(),
        metrics: metrics.clone(),
        ready: readiness.clone(),
        demo: demo.clone(),
        origins: origins.clone(),
        audit: audit.clone(),
        files: Arc::new(Files::new(backends.files, max_file)),
        run_retention,
        tables,
        trials: Arc::new(tokio::sync::Semaphore::new(http::TRIALS)),
    });
    let router = http::router(api);
    let socketio = SocketIo::new(verifier.clone(), metrics.clone());
    let (draining, drained) = watch::channel(false);
    let listeners = bind(listen, shards.clamp(1, MAX_SHARDS))?;
    let address = listeners[0]
        .local_addr()
        .map_err(|source| StartError::Listen { address: listen, source })?;
    let (mut inboxes, mut threads) = (Vec::new(), Vec::new());
    for (index, listener) in listeners.into_iter().enumerate() {
        let (inbox, messages) = mpsc::channel(SHARD_INBOX);
        let links = Links {
            index: ShardIndex::from_index(index),
            tails: tails.clone(),
            reader: reader.clone(),
            verifier: verifier.clone(),
            metrics: metrics.clone(),
            audit: audit.clone(),
            node: tokio::runtime::Handle::current(),
            inbox: inbox.clone(),
        };
        let hall = Hall {
            inbox: inbox.clone(),
            router: router.clone(),
            socketio: socketio.clone(),
            short_keys: backends.short_keys.clone(),
            grant_key: grant_key.clone(),
            metrics: metrics.clone(),
            origins: origins.clone(),
            draining: drained.clone(),
        };
        let thread = std::thread::Builder::new()
            .name(format!("shard-{index}"))
            .spawn(move || run_shard(listener, links, hall, messages))
            .map_err(StartError::Thread)?;
        inboxes.push(inbox);
        threads.push(thread);
    }
    let intake =
        Intake { tails, shards: inboxes.clone(), commands, metrics, readiness: readiness.clone() };
    let intake = tokio::spawn(intake.run(backends.log.follow()));
    Ok(Running { address, drain, readiness, demo, draining, inboxes, threads, intake })
}

/// What a shard's door needs and can cross to its thread.
struct Hall {
    inbox: mpsc::Sender<ShardMessage>,
    router: axum::Router,
    socketio: SocketIo,
    short_keys: Arc<dyn ShortKeys>,
    grant_key: GrantKey,
    metrics: Arc<Metrics>,
    origins: Vec<String>,
    draining: watch::Receiver<bool>,
}

/// One listener per shard on the same address: the kernel spreads new sockets over them.
fn bind(address: SocketAddr, shards: usize) -> Result<Vec<std::net::TcpListener>, StartError> {
    let failed = |source| StartError::Listen { address, source };
    // The first listener is bound alone, so that an address another program uses is an error.
    let first = std::net::TcpListener::bind(address).map_err(failed)?;
    let address = first.local_addr().map_err(failed)?;
    drop(first);
    (0..shards)
        .map(|_| {
            let socket = socket2::Socket::new(
                socket2::Domain::for_address(address),
                socket2::Type::STREAM,
                Some(socket2::Protocol::TCP),
            )?;
            socket.set_reuse_address(true)?;
            socket.set_reuse_port(true)?;
            socket.set_nonblocking(true)?;
            // Accepted sockets inherit both.
            #[cfg(target_os = "linux")]
            {
                socket.set_tcp_notsent_lowat(UNSENT_BYTES)?;
                socket.set_tcp_user_timeout(Some(DEAD_PEER))?;
            }
            socket.bind(&address.into())?;
            socket.listen(BACKLOG)?;
            Ok(socket.into())
        })
        .collect::<io::Result<_>>()
        .map_err(failed)
}

fn run_shard(
    listener: std::net::TcpListener,
    links: Links,
    hall: Hall,
    messages: mpsc::Receiver<ShardMessage>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime needs no more than its epoll and timer descriptors");
    LocalSet::new().block_on(&runtime, async move {
        let shard = Rc::new(RefCell::new(Shard::new(links)));
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "a shard cannot listen"),
        };
        let Hall { inbox, router, socketio, short_keys, grant_key, metrics, origins, draining } =
            hall;
        let shard_of_door = shard.clone();
        let door = Door {
            shard: shard_of_door,
            inbox,
            router,
            socketio,
            short_keys,
            grant_key,
            metrics,
            origins,
            draining,
        };
        tokio::task::spawn_local(accept::serve(listener, Rc::new(door)));
        shard_task::run(shard, messages).await;
    });
}

impl Running {
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn is_ready(&self) -> bool {
        self.readiness.is_ready()
    }

    /// Lets the start page offer a demo clinic's links and tokens.
    pub fn show_demo(&self, ready: serde_json::Value) {
        *self.demo.write().unwrap_or_else(PoisonError::into_inner) = Some(ready);
    }

    /// Stops: not ready any more, no new sockets, the open ones closed over the drain's window
    /// while intake still serves them, then everything else.
    pub async fn shut_down(self) {
        self.readiness.drain();
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
        self.intake.abort();
    }
}
