//! From a record to its listeners: intake reads the log, and a shard folds the record into the
//! views that its connections follow and encodes one frame per step and form.

pub(crate) mod frames;
pub(crate) mod intake;
pub(crate) mod message;
pub mod reader;
pub(crate) mod shard;
pub(crate) mod shard_set;
pub(crate) mod shard_task;
pub(crate) mod tails;
#[cfg(test)]
mod test_backends;
