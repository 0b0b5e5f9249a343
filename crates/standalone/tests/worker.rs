//! The worker over memory, with a runner beside it: the end of each run, despite every fault.
#![allow(clippy::unwrap_used, reason = "what helps a test is a test")]

#[path = "worker/backends.rs"]
mod backends;
#[path = "worker/ends.rs"]
mod ends;
#[path = "worker/faults.rs"]
mod faults;
#[path = "worker/office.rs"]
mod office;
