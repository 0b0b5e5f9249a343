//! The contract between the parts of Clinicwire, and the pure rules both ends must agree on: ids, records,
//! events, views and how a delta folds into a view, positions in a line, and every error and close code.
//!
//! Nothing here does I/O, reads a clock or knows a runtime.

pub mod appointment;
pub mod appointment_report;
pub mod channel;
pub mod codes;
pub mod command;
pub mod event;
pub mod finding;
pub mod frame;
pub mod ids;
#[cfg(any(test, feature = "json-schema"))]
pub mod json_schema;
pub mod language;
pub mod line;
pub mod load;
pub mod record;
pub mod redis_keys;
pub mod rule;
pub mod run;
pub mod ticket;
pub mod timers;
pub mod view;

/// Milliseconds since the Unix epoch, of a server's clock.
pub type Millis = i64;
