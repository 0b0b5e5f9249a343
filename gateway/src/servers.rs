//! The servers behind the backends: Kafka as the log, Redis as the store of views and of short-lived keys, Postgres
//! as the authority, a directory or S3 as the store of files. Each is checked at start, with errors that say what to do.

pub mod files;
pub mod kafka;
pub mod postgres;
pub mod redis;
