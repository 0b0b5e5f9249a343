//! The check of a claims file: reads an export row by row in bounded memory, evaluates rules that
//! are data, and returns their findings.
//!
//! The crate needs no server and does no I/O except through the reader that it gets. It reads the
//! clock only to measure rules.

#![warn(missing_docs)]

pub mod check;
pub mod file;
pub mod row;
pub mod rules;
pub mod tables;
