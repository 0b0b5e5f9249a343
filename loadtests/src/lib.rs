//! Load tools: `swarm` plays thousands of phones and boards against running nodes and checks what
//! each of them was promised; `floor` measures what a bare `send` costs on the same machine;
//! `claims` writes claims files with planted violations, and measures what a check of them costs.

pub mod breach;
pub mod claims_cost;
pub mod crowd;
pub mod desk;
pub mod fanout;
pub mod floor;
pub mod follower;
pub mod http;
pub mod idle;
pub mod memory;
pub mod outage;
pub mod payloads;
pub mod phones;
pub mod process;
pub mod reconnect;
pub mod report;
pub mod runs;
pub mod socketio;
pub mod sse;
pub mod target;
pub mod watch;
pub mod width;
pub mod ws;
