//! The backends on real servers: the log on Kafka, views and short-lived keys on Redis, reads on
//! PostgreSQL. Clients, start-up checks and the file store come from the crate `servers`.

pub mod access;
pub mod issuer_keys;
pub mod kafka;
pub mod postgres;
pub mod redis;
