//! Gateway nodes: sockets and HTTP in front of the live views.

#![warn(missing_docs)]

pub mod access;
pub mod backends;
#[cfg(feature = "tls")]
pub mod certificates;
pub mod client_address;
pub mod clock;
mod commands;
mod context;
pub mod decoders;
pub mod files;
mod http;
mod inbox;
pub mod limits;
pub mod metrics;
pub mod node;
mod random;
pub mod readiness;
#[cfg(feature = "servers")]
pub mod servers;
pub mod settings;
mod stream;
mod throttle;
mod transport;
pub mod views;
mod wire;

/// A boxed future, as the backend traits return it.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The cause of a backend's failure. Its text never quotes the request.
pub type Source = Box<dyn std::error::Error + Send + Sync>;
