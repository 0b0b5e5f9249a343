//! What only real servers can show: locks, roles, scripts, rebalances and the binary. What memory must do as well is in
//! the conformance suites. `make test` starts the servers; `deploy/dev/servers run -- cargo test -p clinicwire-processors`
//! does so by hand.
#![cfg(feature = "servers")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "what helps a test is a test")]

mod binary;
mod bridge;
mod checks;
mod clinic;
mod commit_rate;
mod kafka;
mod postgres;
mod redis;
mod setup;
mod work;
