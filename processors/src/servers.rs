//! The backends on real servers: the log on Kafka, the ledger and the work queue on PostgreSQL, the
//! view store on Redis; and the parts of the program around them: settings, the database's
//! migrations, the bridge, metrics. Clients and start-up checks come from the crate `servers`.

pub mod access;
pub mod archive;
pub mod bridge;
pub mod config;
pub mod kafka;
pub mod maintenance;
pub mod metrics;
pub mod migrations;
pub mod parked;
pub mod postgres;
pub mod redis;
pub mod tenants;
pub mod topics;
pub mod verify;
