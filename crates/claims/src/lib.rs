//! The check of a claims file: reads an export row by row in bounded memory, lets rules that are data judge it, and
//! says what they found. No server, and no I/O but the reader it is given; the clock is read only to time rules.

pub mod check;
pub mod file;
pub mod row;
pub mod rules;
pub mod tables;
