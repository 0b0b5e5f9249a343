//! All of Clinicwire in one process: the same gateway and the same processors as on real servers,
//! with memory in place of Kafka, PostgreSQL and Redis. Also the demo clinic, which runs against
//! real servers too.

pub mod announcement;
pub mod checks;
pub mod cli;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod demo;
pub mod memory;
pub mod one_process;
pub mod operator;
pub mod ready;
pub mod tokens;
