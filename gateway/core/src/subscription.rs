//! What one subscription still owes its client.

use schemas::{channel::Channel, view::Position};

/// A client's place in one channel: a mark, never a queue.
pub struct Subscription {
    pub channel: Channel,
    /// What the shard listens to on this subscription's behalf: an index the shard chose.
    pub source: u32,
    /// Where the shard's list of listeners names this subscription, so that leaving it costs no search.
    pub listed: u32,
    pub stage: Stage,
}

pub enum Stage {
    /// Asked for, not answered. `floor` is what the client holds: it is never answered with less. `audit` is the number
    /// of an entry of the audit that must be written before anything is shown.
    Asked { request: u32, floor: Option<Position>, give_up_at: u64, audit: Option<u64> },
    /// Live: the client was sent everything up to `held`. `seen` tells whether a ticket's patient would see
    /// a difference.
    Live { held: Position, seen: u64 },
}

/// What is to be sent to a client that holds `held` of a view that stands at `view`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owed {
    Nothing,
    /// The step `from`..`to` everybody gets.
    Step,
    /// All steps since the client's version, merged.
    Since(u64),
    /// Everything: the client's position means nothing here.
    Snapshot,
    /// Nothing may be sent: the client knows more than this node does.
    Behind,
}

/// Judges by the position alone. `step` is the newest step (`from`, `to`) of the view, if one is at hand.
pub fn owed(held: Position, view: Position, step: Option<(u64, u64)>) -> Owed {
    use std::cmp::Ordering::{Equal, Greater, Less};
    match (held.epoch.cmp(&view.epoch), held.version.cmp(&view.version)) {
        (Greater, _) | (Equal, Greater) => Owed::Behind,
        (Equal, Equal) => Owed::Nothing,
        (Less, _) => Owed::Snapshot,
        (Equal, Less) => match step {
            Some((from, to)) if from <= held.version && to == view.version => Owed::Step,
            _ => Owed::Since(held.version),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_owed_follows_from_the_two_positions() {
        let at = |epoch, version| Position { epoch, version };
        let table = [
            (at(1, 5), at(1, 5), Some((4, 5)), Owed::Nothing),
            (at(1, 4), at(1, 5), Some((4, 5)), Owed::Step),
            (at(1, 4), at(1, 9), Some((3, 9)), Owed::Step),
            (at(1, 2), at(1, 5), Some((4, 5)), Owed::Since(2)),
            (at(1, 4), at(1, 5), None, Owed::Since(4)),
            (at(1, 4), at(1, 6), Some((4, 5)), Owed::Since(4)),
            (at(1, 9), at(2, 1), None, Owed::Snapshot),
            (at(1, 6), at(1, 5), Some((4, 5)), Owed::Behind),
            (at(2, 1), at(1, 5), None, Owed::Behind),
        ];
        for (held, view, step, expected) in table {
            assert_eq!(owed(held, view, step), expected, "{held:?} {view:?} {step:?}");
        }
    }
}
