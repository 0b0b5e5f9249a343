//! The contract between the parts of Clinicwire: ids, records, events, views and deltas, ticket
//! order and estimates, and every error and close code.
//!
//! The crate does no I/O, reads no clock and knows no async runtime.

#![warn(missing_docs)]

pub mod access;
pub mod appointment;
pub mod appointment_report;
pub mod attempt;
pub mod audit;
pub mod bounds;
pub mod branding;
pub mod channel;
pub mod check_in;
pub mod clinic;
pub mod codes;
pub mod command;
pub mod event;
pub mod figures;
pub mod finding;
pub mod frame;
pub mod handover;
pub mod history;
pub mod identity;
pub mod ids;
#[cfg(any(test, feature = "json-schema"))]
pub mod json_schema;
pub mod language;
pub mod line;
pub mod load;
pub mod log;
pub mod outward;
pub mod privacy;
pub mod push;
pub mod record;
pub mod redis_keys;
pub mod reference;
pub mod rule;
pub mod run;
pub mod settings;
pub mod ticket;
pub mod timers;
pub mod view;
pub mod webhook;

/// Milliseconds since the Unix epoch, read from a server's clock.
pub type Millis = i64;
