//! The contract between the parts of Clinicwire: ids, records, events, views and deltas, ticket
//! order and estimates, and every error and close code.
//!
//! The crate does no I/O, reads no clock and knows no async runtime.

#![warn(missing_docs)]

/// People: their tickets, appointments, lines and figures.
mod care {
    pub mod appointment;
    pub mod appointment_report;
    pub mod check_in;
    pub mod figures;
    pub mod handover;
    pub mod history;
    pub mod line;
    pub mod load;
    pub mod ticket;
}

/// Claims files: rules, runs and findings.
mod claims {
    pub mod attempt;
    pub mod finding;
    pub mod reference;
    pub mod rule;
    pub mod run;
}

pub mod codes;

/// Other systems and people: their access, its audit, alerts and outward events.
mod connected {
    pub mod access;
    pub mod audit;
    pub mod outward;
    pub mod push;
    pub mod tenant;
    pub mod webhook;
}

pub mod ids;
#[cfg(any(test, feature = "json-schema"))]
pub mod json_schema;

/// The settings of a location.
mod location {
    pub mod bounds;
    pub mod branding;
    pub mod clinic;
    pub mod language;
    pub mod privacy;
    pub mod settings;
    pub mod timers;
}

/// Commands, events, records, views, and their places in the log and on the wire.
mod messages {
    pub mod channel;
    pub mod command;
    pub mod event;
    pub mod frame;
    pub mod identity;
    pub mod log;
    pub mod record;
    pub mod redis_keys;
    pub mod view;
}

// A module is one word outside: its folder only keeps this crate's tree readable.
pub use care::{
    appointment, appointment_report, check_in, figures, handover, history, line, load, ticket,
};
pub use claims::{attempt, finding, reference, rule, run};
pub use connected::{access, audit, outward, push, tenant, webhook};
pub use location::{bounds, branding, clinic, language, privacy, settings, timers};
pub use messages::{channel, command, event, frame, identity, log, record, redis_keys, view};

/// Milliseconds since the Unix epoch, read from a server's clock.
pub type Millis = i64;
