//! One client: its channel, its transport, and what it has received.

pub mod follow;
pub mod socketio;
pub mod sse;
pub mod ws;

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use clap::ValueEnum;
use tokio::{
    net::{TcpSocket, TcpStream},
    sync::{Notify, OwnedSemaphorePermit, Semaphore, watch},
};

use crate::{breach::Breach, http::Api, target::Node, watch::ClientWatch};

/// The transport of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Transport {
    /// The Centrifugal protocol in JSON.
    Ws,
    /// The Centrifugal protocol in Protobuf.
    WsProtobuf,
    Sse,
    /// Socket.IO over a WebSocket.
    Socketio,
}

impl Transport {
    /// The name on the command line and in figures.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ws => "ws",
            Self::WsProtobuf => "ws-protobuf",
            Self::Sse => "sse",
            Self::Socketio => "socketio",
        }
    }
}

/// The state that all clients share.
pub struct SharedState {
    pub api: Api,
    pub token: String,
    /// Limits the clients that connect at one time, so that they do not overrun the accept queue
    /// (4,096).
    pub gate: Arc<Semaphore>,
    /// While false, clients that were cut do not reconnect.
    pub go: watch::Sender<bool>,
}

/// One client.
pub struct SwarmClient {
    pub node: Arc<Node>,
    pub source: Option<Ipv4Addr>,
    pub channel: String,
    pub transport: Transport,
    /// Closes the current connection from the client's side.
    pub cut: Notify,
    live: AtomicBool,
    watch: Mutex<ClientWatch>,
}

/// How a connection ended.
pub enum ConnectionEnd {
    /// The swarm cut it: reconnect when released.
    Cut,
    /// The connection was lost: reconnect after the pause that the server set, or with backoff.
    Lost(Option<Duration>),
    /// The server stated that nothing more will come.
    Over,
    /// The connection ended for good, which breaks a promise.
    Final(Breach, String),
}

/// The first wait of the SDKs' backoff, and its upper limit.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(20));

impl SwarmClient {
    #[must_use]
    pub fn new(
        node: Arc<Node>,
        source: Option<Ipv4Addr>,
        channel: String,
        transport: Transport,
        watch: ClientWatch,
    ) -> Self {
        let (cut, live) = (Notify::new(), AtomicBool::new(false));
        Self { node, source, channel, transport, cut, live, watch: Mutex::new(watch) }
    }

    pub fn watch(&self) -> MutexGuard<'_, ClientWatch> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[must_use]
    pub fn is_live(&self) -> bool {
        self.live.load(Ordering::Acquire)
    }

    /// Records that the client is subscribed, and lets the next client connect.
    pub fn became_live(&self, permit: &mut Option<OwnedSemaphorePermit>) {
        self.live.store(true, Ordering::Release);
        *permit = None;
    }

    /// Records that the connection ended. Returns whether the client was subscribed.
    pub fn ended(&self) -> bool {
        self.live.swap(false, Ordering::AcqRel)
    }

    /// Connects from this client's own source address.
    pub async fn dial(&self) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if let Some(source) = self.source {
            socket.bind(SocketAddr::new(source.into(), 0))?;
        }
        socket.set_nodelay(true)?;
        socket.connect(self.node.addr).await
    }
}

/// The backoff of centrifuge-js: full jitter above the first wait, doubling up to the limit.
#[must_use]
pub fn backoff(attempt: u32) -> Duration {
    let (first, ceiling) = BACKOFF;
    let spread = first.saturating_mul(1 << attempt.min(16)).min(ceiling);
    (first + spread.mul_f64(fastrand::f64())).min(ceiling)
}

/// Microseconds since the Unix epoch, on the clock that stamps records when both are on this
/// machine.
#[must_use]
pub fn now_us() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
