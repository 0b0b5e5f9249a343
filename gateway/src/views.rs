//! Views outside the shards: the latest records of each aggregate, and the reader that fetches
//! views from Redis and PostgreSQL.

pub mod reader;
pub(crate) mod shard_set;
pub(crate) mod tails;
