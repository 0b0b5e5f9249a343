//! A gateway node and the processors, composed in one process.

use std::{io, net::SocketAddr, thread::JoinHandle, time::Duration};

use gateway::{auth::DevelopmentKey, node};
use processors::runner;
use tokio::sync::oneshot;

use crate::memory::{Memory, system_clock};

pub struct Settings {
    pub listen: SocketAddr,
    /// Threads that own sockets.
    pub shards: usize,
    pub key: DevelopmentKey,
    /// Over how long the sockets are closed at the end.
    pub drain: Duration,
}

/// Why it could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Gateway(#[from] node::StartError),
    #[error("cannot start the processors")]
    Processors(#[source] io::Error),
}

/// Running, until [`OneProcess::shut_down`].
pub struct OneProcess {
    gateway: node::Running,
    processors: JoinHandle<()>,
    stop: oneshot::Sender<()>,
}

impl OneProcess {
    /// Starts both, and serves.
    ///
    /// # Errors
    /// When the gateway cannot be started, such as on a port that is taken.
    pub fn start(settings: Settings) -> Result<Self, StartError> {
        let memory = Memory::new(system_clock());
        let seams = node::Seams {
            log: memory.log.clone(),
            snapshots: memory.views.clone(),
            queries: memory.ledger.clone(),
            short_keys: memory.keys.clone(),
        };
        let settings = node::Settings {
            listen: settings.listen,
            shards: settings.shards,
            keys: settings.key.keys(),
            grant_secret: settings.key.grant_secret(),
            origins: Vec::new(),
            drain: settings.drain,
        };
        let gateway = node::start(settings, seams)?;
        let (stop, stopped) = oneshot::channel();
        let processors = start_processors(memory.processors(), stopped).map_err(StartError::Processors)?;
        Ok(Self { gateway, processors, stop })
    }

    pub fn address(&self) -> SocketAddr {
        self.gateway.address()
    }

    /// Tells the start page how to enter the demo.
    pub fn show_demo(&self, ready: serde_json::Value) {
        self.gateway.show_demo(ready);
    }

    /// Closes every socket, then lets the processors finish what they have begun.
    pub async fn shut_down(self) {
        self.gateway.shut_down().await;
        drop(self.stop);
        let processors = self.processors;
        if !matches!(tokio::task::spawn_blocking(|| processors.join()).await, Ok(Ok(()))) {
            tracing::error!("the processors did not end in order");
        }
    }
}

/// On a thread of their own, as on a machine of their own: neither side waits for the other's work.
fn start_processors(seams: runner::Seams, stopped: oneshot::Receiver<()>) -> io::Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    std::thread::Builder::new().name("processors".into()).spawn(move || {
        let stopped = async { drop(stopped.await) };
        if let Err(error) = runtime.block_on(runner::run(seams, runner::Settings::default(), stopped)) {
            tracing::error!(%error, "the processors ended");
        }
    })
}
