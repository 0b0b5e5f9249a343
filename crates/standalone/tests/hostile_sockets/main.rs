//! Hostile clients over real sockets, against a node in this process: the answer to a client past a
//! bound, and the service of its neighbours.
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod clinic;
mod closes;
mod connections;
mod floods;
mod loads;
mod newcomers;
mod rfc6455;

use std::time::Duration;

/// How long a neighbour may wait for one answer while a hostile client is at work. A shard that is
/// held up never answers.
const NEIGHBOUR_WITHIN: Duration = Duration::from_secs(5);
