//! Load tools. `swarm` runs thousands of clients against running nodes and checks every message,
//! `floor` measures the cost of a bare `send`, `claims` generates claims files and measures their
//! checks, `stall` measures the return of Kafka's clients after a stall, and `abuse` measures the
//! effect of hostile clients on their neighbours.

pub mod abuse;
pub mod breach;
pub mod claims_cost;
pub mod client;
pub mod cores;
pub mod crowd;
pub mod desk;
pub mod floor;
pub mod http;
pub mod memory;
pub mod outage;
pub mod payloads;
pub mod process;
pub mod report;
pub mod scenarios;
pub mod stall;
pub mod target;
pub mod watch;
