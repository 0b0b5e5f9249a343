//! What a node reads from and writes to. Each trait has two implementations, memory and a server,
//! and one conformance suite that both pass.

pub mod log;
pub mod queries;
pub mod short_keys;
pub mod snapshots;
