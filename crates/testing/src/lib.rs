//! Fixtures, protocol clients and generators for tests, benches and load programs.

pub mod claims_files;
pub mod records;
