//! The outcomes of commands, shared by the ledgers of both topics.

use processors::{
    ledger::{Batch, OutcomeRow},
    log::PartitionId,
};
use schemas::{Millis, identity::CommandIdentity};

use super::bounded_map::BoundedMap;

/// A partition: the number of its ledger and its number within the topic.
pub(super) type LedgerPartition = (u32, PartitionId);

#[derive(Default)]
pub(super) struct Outcomes {
    kept: BoundedMap<CommandIdentity, KeptOutcome>,
}

struct KeptOutcome {
    partition: LedgerPartition,
    row: OutcomeRow,
}

impl Outcomes {
    pub(super) fn get(&self, command: &CommandIdentity) -> Option<OutcomeRow> {
        self.kept.held.get(command).map(|kept| kept.row.clone())
    }

    /// Whether no outcome that a batch decided was kept before.
    pub(super) fn lacks_all_of(&self, batch: &Batch) -> bool {
        let mut decided = batch.outcomes.iter().filter(|row| row.settles.is_none());
        decided.all(|row| {
            let kept = self.kept.held.get(&row.identity);
            kept.is_none_or(|kept| kept.takes(row, batch.key_lifetime))
        })
    }

    pub(super) fn set(&mut self, partition: LedgerPartition, row: &OutcomeRow, lifetime: Millis) {
        match self.kept.held.get_mut(&row.identity) {
            Some(kept) if kept.takes(row, lifetime) => {
                kept.partition = partition;
                kept.row.replace(row.clone());
            }
            Some(_) => {}
            None if row.settles.is_some() => {}
            None => {
                let kept = KeptOutcome { partition, row: row.clone() };
                self.kept.insert(row.identity.clone(), kept);
            }
        }
    }

    /// Deletes outcomes of the partition that were first appended before `before`. All are visited:
    /// at most 100,000.
    pub(super) fn delete(
        &mut self,
        partition: LedgerPartition,
        before: Millis,
        limit: usize,
    ) -> usize {
        let is_due = |kept: &KeptOutcome| kept.partition == partition && kept.row.first_at < before;
        let held = self.kept.held.iter();
        let due: Vec<_> =
            held.filter(|(_, kept)| is_due(kept)).map(|(key, _)| key.clone()).take(limit).collect();
        due.iter().for_each(|command| self.kept.remove(command));
        due.len()
    }
}

impl KeptOutcome {
    /// Whether a later row of the same command replaces this one.
    fn takes(&self, later: &OutcomeRow, lifetime: Millis) -> bool {
        match later.settles {
            None => self.row.is_forgotten(later.first_at, lifetime),
            Some(began) => self.row.is_settled_by(&later.aggregate, began),
        }
    }
}
