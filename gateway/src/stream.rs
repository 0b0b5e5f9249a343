//! From a record to its listeners: intake reads the log, and a shard folds the record into the
//! views that its connections follow and encodes one frame per step and form.

pub mod frames;
pub mod intake;
pub mod message;
pub mod reader;
pub mod shard;
pub mod shard_set;
pub mod shard_task;
pub mod tails;
#[cfg(test)]
mod test_backends;
