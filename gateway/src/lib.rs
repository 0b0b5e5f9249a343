//! Gateway nodes: sockets and HTTP in front of the live views.

pub mod accept;
pub mod audit;
pub mod auth;
pub mod clock;
pub mod commands;
pub mod connection;
pub mod files;
pub mod frames;
pub mod grant;
pub mod http;
pub mod intake;
pub mod log;
pub mod metrics;
pub mod node;
pub mod queries;
pub mod random;
pub mod reader;
#[cfg(feature = "servers")]
pub mod servers;
pub mod shard;
pub mod short_keys;
pub mod snapshots;
pub mod socketio;
pub mod tails;
pub mod lent_socket;

/// A future behind a backend that memory and a server both implement.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Why something behind a backend failed. Its text never quotes what was asked.
pub type Source = Box<dyn std::error::Error + Send + Sync>;
