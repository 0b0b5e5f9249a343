//! Fixtures, protocol clients and generators for tests, benches and load programs.

pub mod centrifugal;
pub mod certificates;
pub mod claims_files;
pub mod follower;
pub mod http;
pub mod patience;
pub mod process;
pub mod ready_file;
pub mod receiver;
pub mod records;
pub mod site;
pub mod sse;
pub mod tokens;
pub mod websocket;
