//! Stream processors. They are the pure rules of locations, runs and rule books, the runner that
//! gives each record of `clinicwire.care.v1` and `clinicwire.runs.v1` exactly one effect, the
//! worker that checks claims files, and the sink that stores the audit.

#![warn(missing_docs)]

pub mod aggregate;
pub mod alerts;
pub mod anchor;
pub mod appointment_key;
pub mod audit;
/// The backends that the runner and the worker use; memory and servers both implement them.
pub mod backends {
    pub mod ledger;
    pub mod log;
    pub mod views;
    pub mod work;
}
pub mod bridge;
pub mod clock;
pub mod effect;
#[cfg(feature = "fixtures")]
pub mod fixtures;
pub mod location;
#[cfg(feature = "push")]
mod outbound;
pub mod refill;
pub mod rule_book;
pub mod run;
pub mod runner;
pub mod tenants;
pub mod verify;
pub mod webhooks;
pub mod worker;

#[cfg(feature = "servers")]
pub mod servers;

pub use backends::{ledger, log, views, work};

/// The future of a backend call. Memory and a server both implement each backend.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;
