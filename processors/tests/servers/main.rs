//! Tests that need real servers: locks, roles, scripts, rebalances and the binary. Properties that
//! the in-memory backends share are in the conformance suites. `make test` starts the servers;
//! `deploy/dev/servers run -- cargo test -p clinicwire-processors` does so by hand.
#![cfg(feature = "servers")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests are tests too")]

mod archive;
mod audit;
mod binary;
mod bridge;
mod checks;
mod history;
mod kafka;
mod parked;
mod postgres;
mod redis;
mod retention;
mod setup;
mod shared_commits;
mod topics;
mod upgrade;
mod verify;
mod work;
