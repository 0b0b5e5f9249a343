//! Clinicwire in one process: the same gateway and the same processors, with memory where Kafka, Postgres and
//! Redis stand otherwise, and a demo clinic that also runs against the real thing.

pub mod cli;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod demo;
pub mod memory;
pub mod one_process;
pub mod ready;
pub mod tokens;
