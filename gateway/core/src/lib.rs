//! The rules of one client, without I/O: what a command means, who may open which channel, and
//! which steps a client still lacks. Time is an argument. This crate knows no runtime, clock, lock
//! or log.

#![warn(missing_docs)]

pub mod access;
pub mod check_in;
pub mod event_names;
pub mod frame_meter;
pub mod protocol;
pub mod rate;
pub mod send_buffer;
pub mod session;
pub mod subscription;
