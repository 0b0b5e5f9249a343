//! Load tools. `swarm` runs thousands of clients against running nodes and checks every message,
//! `floor` measures the cost of a bare `send`, `claims` generates claims files and measures their
//! checks, `stall` measures the return of Kafka's clients after a stall, and `abuse` measures what
//! the neighbours of hostile clients feel.

pub mod abuse;
pub mod breach;
pub mod claims_cost;
pub mod client;
pub mod commands;
pub mod crowd;
pub mod desk;
pub mod fanout;
pub mod floor;
pub mod follow;
pub mod http;
pub mod idle;
pub mod memory;
pub mod outage;
pub mod payloads;
pub mod phones;
pub mod process;
pub mod reconnect;
pub mod report;
pub mod revocations;
pub mod runs;
pub mod socketio;
pub mod sse;
pub mod stall;
pub mod target;
pub mod watch;
pub mod width;
pub mod ws;
