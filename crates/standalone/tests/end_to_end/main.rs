//! End-to-end tests: the same scenarios on the clinic in one process and on real servers, and the
//! program as people start it.
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod alerts;
mod api;
mod clerk;
mod headers;
mod installation;
mod metrics;
mod moving_people;
mod one_process;
mod operator;
mod program;
mod real_servers;
mod scenarios;
mod stopping;
mod stream;
mod suspension;
mod traces;
mod webhooks;
mod world;
