//! Gateway nodes: sockets and HTTP in front of the live views.

#![warn(missing_docs)]

pub mod access;
pub mod backends;
pub mod clock;
mod commands;
pub mod decoders;
pub mod files;
mod http;
mod inbox;
pub mod limits;
pub mod node;
mod random;
#[cfg(feature = "servers")]
pub mod servers;
#[cfg(feature = "simulation")]
pub mod simulation;
mod stream;
mod throttle;
mod transport;
pub mod views;
mod wire;

use node::context;
pub use node::{metrics, readiness, settings};
#[cfg(feature = "tls")]
pub use transport::certificates;
pub use transport::client_address;

/// A boxed future, as the backend traits return it.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The cause of a backend's failure. Its text never quotes the request.
pub type Source = Box<dyn std::error::Error + Send + Sync>;
