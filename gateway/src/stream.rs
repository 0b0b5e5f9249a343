//! From a record to its listeners: intake reads the log, and a shard folds the record into the
//! views that its connections follow and encodes one frame per step and form.

pub(crate) mod access_intake;
pub(crate) mod intake;
pub(crate) mod sessions;
pub(crate) mod shard;
#[cfg(test)]
mod test_backends;
