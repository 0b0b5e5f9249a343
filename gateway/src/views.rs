//! What a node knows of views beside its shards: the latest records of each aggregate, and the
//! fetches from Redis and PostgreSQL.

pub mod reader;
pub(crate) mod shard_set;
pub(crate) mod tails;
