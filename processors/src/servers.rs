//! The three servers behind the backends: Kafka as the log, Postgres as the ledger, Redis as the store of views. And what
//! surrounds them in the binary: settings, preparation, start-up checks, metrics.

pub mod bridge;
pub mod config;
pub mod files;
pub mod kafka;
pub mod metrics;
pub mod migrations;
pub mod postgres;
pub mod redis;
