//! Stream processors: the pure rules of a location, and the runner that gives each record of
//! `clinicwire.care.v1` exactly one effect.

pub mod ledger;
pub mod location;
pub mod log;
pub mod runner;
pub mod views;

#[cfg(feature = "servers")]
pub mod servers;

/// A future behind a seam that memory and a server both implement.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
