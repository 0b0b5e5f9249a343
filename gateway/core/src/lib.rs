//! One client's rules, without I/O: what a command means, who may open what, and what a subscription still
//! owes. Time is an argument; nothing here knows a runtime, a clock, a lock or a log.

pub mod access;
pub mod outbox;
pub mod protocol;
pub mod session;
pub mod subscription;
