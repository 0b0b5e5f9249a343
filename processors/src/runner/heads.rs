//! The heads of the owned partitions, which the view store remembers. A head is one aggregate of a
//! partition with the position of its newest commit: commits have one order, so a ledger that has
//! the head has everything before it. A later owner compares them with the ledger, to find one that
//! was restored to an earlier moment.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use schemas::{
    ids::{Aggregate, AggregateKind},
    view::Position,
};

use crate::{ledger::AggregateRow, log::PartitionId, views::PartitionHead};

/// The heads of the owned partitions, as far as this process committed to them.
#[derive(Default)]
pub(super) struct CommittedHeads {
    held: Mutex<BTreeMap<PartitionId, CommittedHead>>,
}

struct CommittedHead {
    aggregate: Aggregate,
    position: Position,
    /// Whether the view store has this head.
    noted: bool,
}

impl CommittedHeads {
    fn held(&self) -> MutexGuard<'_, BTreeMap<PartitionId, CommittedHead>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the head from the rows of a committed batch. All of them were committed together, so
    /// one is as good as another.
    pub(super) fn committed(&self, partition: PartitionId, rows: &[AggregateRow]) {
        let Some(row) = rows.iter().rev().find(|row| row.to > 0 && is_kept(&row.aggregate)) else {
            return;
        };
        let (aggregate, position) =
            (row.aggregate.clone(), Position { epoch: row.epoch, version: row.to });
        self.held().insert(partition, CommittedHead { aggregate, position, noted: false });
    }

    /// The heads that the view store does not have yet.
    pub(super) fn to_note(&self) -> Vec<PartitionHead> {
        let held = self.held();
        let new = held.iter().filter(|(_, head)| !head.noted);
        new.map(|(partition, head)| PartitionHead {
            partition: *partition,
            aggregate: head.aggregate.clone(),
            position: head.position,
        })
        .collect()
    }

    /// Remembers that the view store has these heads.
    pub(super) fn noted(&self, heads: &[PartitionHead]) {
        let mut held = self.held();
        for noted in heads {
            if let Some(head) = held.get_mut(&noted.partition)
                && (&head.aggregate, head.position) == (&noted.aggregate, noted.position)
            {
                head.noted = true;
            }
        }
    }

    /// Has the head of a partition noted again: the view store may have lost it.
    pub(super) fn note_again(&self, partition: PartitionId) {
        if let Some(head) = self.held().get_mut(&partition) {
            head.noted = false;
        }
    }

    pub(super) fn forget(&self, partition: PartitionId) {
        self.held().remove(&partition);
    }
}

/// Whether the ledger keeps the aggregate for good, and shows its positions to readers. A run may
/// have been deleted, so its absence says nothing; the key of an appointment has no view.
fn is_kept(aggregate: &Aggregate) -> bool {
    use AggregateKind::{AppointmentKey, Location, Rules, Run, Tenant, Webhooks};
    match aggregate.kind() {
        Location | Rules | Webhooks | Tenant => true,
        Run | AppointmentKey => false,
    }
}
