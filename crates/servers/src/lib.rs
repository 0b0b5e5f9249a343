//! Parts that gateways and processors share to use the real servers: settings as flags, clients,
//! start-up checks and logging. The crate decides nothing about clinics.

#![warn(missing_docs)]

pub mod access_check;
pub mod args;
pub mod config_check;
pub mod file_store;
pub mod kafka;
pub mod logging;
pub mod postgres;
pub mod redis;
pub mod systemd;
pub mod tls;
pub mod traces;

mod url_options;

/// The allocator of the programs that use real servers.
pub use tikv_jemallocator::Jemalloc as Allocator;
