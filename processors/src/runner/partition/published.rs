//! Rows of the outbox whose records the log has acknowledged. The next batch deletes them in its
//! own transaction; without one, they are deleted alone after a moment. Rows that a crash leaves
//! behind are published again, which changes nothing.

use std::time::Duration;

use tokio::time::Instant;

use crate::ledger::OutboxKey;

/// How long published rows wait for a batch that deletes them: longer than a busy partition takes
/// from one batch to the next.
const WAIT: Duration = Duration::from_millis(250);

/// The published rows of a partition that are not yet deleted.
#[derive(Default)]
pub(in crate::runner) struct PublishedRows {
    keys: Vec<OutboxKey>,
    since: Option<Instant>,
}

impl PublishedRows {
    pub(in crate::runner) fn add(&mut self, keys: impl IntoIterator<Item = OutboxKey>) {
        self.keys.extend(keys);
        if !self.keys.is_empty() {
            self.since.get_or_insert_with(Instant::now);
        }
    }

    /// The rows that the next batch deletes.
    pub(in crate::runner) fn keys(&self) -> &[OutboxKey] {
        &self.keys
    }

    /// Forgets the rows, because they are deleted.
    pub(in crate::runner) fn deleted(&mut self) {
        (self.keys, self.since) = (Vec::new(), None);
    }

    /// When to delete the rows although no batch follows.
    pub(in crate::runner) fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + WAIT)
    }
}
