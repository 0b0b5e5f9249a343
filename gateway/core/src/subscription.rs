//! The subscriptions of one client, and the position that each has reached.

use std::num::NonZeroU64;

use schemas::{channel::Channel, view::Position};

/// A hot view of a shard. Only the shard gives these ids out and reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HotViewId(u32);

impl HotViewId {
    /// Creates the id of an index in the shard's slab of hot views.
    ///
    /// # Panics
    /// Panics from 2^32 hot views on, which no memory holds.
    pub fn from_index(index: usize) -> Self {
        Self(u32::try_from(index).expect("a shard holds fewer than 2^32 hot views"))
    }

    /// The index in the shard's slab of hot views.
    pub fn index(self) -> usize {
        usize::try_from(self.0).expect("a usize has at least 32 bits")
    }
}

/// Index of a subscription in the listener list of its hot view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerIndex(u32);

impl ListenerIndex {
    /// Creates the index from a position in the list.
    ///
    /// # Panics
    /// Panics from 2^32 listeners on, which no memory holds.
    pub fn from_index(index: usize) -> Self {
        Self(u32::try_from(index).expect("a hot view has fewer than 2^32 listeners"))
    }

    /// The position in the list.
    pub fn index(self) -> usize {
        usize::try_from(self.0).expect("a usize has at least 32 bits")
    }
}

/// An audit entry that a shard has asked for, unique in that shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AuditEntryId(NonZeroU64);

impl AuditEntryId {
    /// The first entry of a shard.
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    /// The entry after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// Slot of a subscription in its connection. It stays the same while other subscriptions come and
/// go, and is used again once the subscription has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubscriptionSlot(u16);

impl SubscriptionSlot {
    /// The slot of a connection's first subscription.
    pub const FIRST: Self = Self(0);

    fn from_index(index: usize) -> Self {
        Self(u16::try_from(index).expect("a connection follows far fewer than 2^16 channels"))
    }

    fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A client's mark in one channel. Nothing is queued for it.
pub struct Subscription {
    /// The channel that the client follows.
    pub channel: Channel,
    /// The hot view behind the channel.
    pub view: HotViewId,
    /// Position in the listener list of `view`, so that leaving needs no search.
    pub listed: ListenerIndex,
    /// How far the subscription is.
    pub stage: Stage,
}

/// How far a subscription is.
pub enum Stage {
    /// Requested, not answered yet.
    Pending {
        /// The id of the command that waits for the reply.
        request: u32,
        /// The position that the client holds. The answer is never older.
        floor: Option<Position>,
        /// The second, on the clock of the shard, at which the request fails. With a floor, the
        /// authority is asked at the first such second, and the request fails at the next one.
        give_up_at: u64,
        /// The audit entry that must be written before the client is shown anything.
        audit: Option<AuditEntryId>,
        /// The knowledge about `floor`.
        trust: FloorTrust,
    },
    /// Answered. The client gets each change.
    Live {
        /// The position up to which the client was sent everything.
        held: Position,
        /// The position of the first state, or the position with which the client came back. Zero
        /// until something was sent.
        first: Position,
        /// The fingerprint of what a ticket's patient was shown last, and 0 for every other
        /// channel.
        seen: u64,
    },
}

// A node holds a stage for each subscription of each client.
const _: () = assert!(size_of::<Stage>() <= 48);

impl Stage {
    /// The first and the last position that the client was sent. `None` when it was sent nothing.
    pub fn delivered(&self) -> Option<(Position, Position)> {
        match *self {
            Self::Live { held, first, .. } if first.epoch > 0 => Some((first, held.max(first))),
            _ => None,
        }
    }
}

/// The knowledge about the position that a client holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FloorTrust {
    /// The position is taken as it is: a node that has not reached it is late.
    Trusted,
    /// The node did not reach the position in time, and now asks the authority.
    Doubted,
    /// The authority has not reached the position either, so it was lost, for example with a
    /// restored database. The client gets the whole state with the mark of a new position.
    Void,
}

/// The position of a client that must get the whole state with the mark of a new position. No view
/// has the epoch 0.
pub const VOID: Position = Position { epoch: 0, version: 1 };

/// The subscriptions of one connection.
#[derive(Default)]
pub struct Subscriptions(Vec<Option<Subscription>>);

impl Subscriptions {
    /// The subscription in a slot, if there is one.
    pub fn get(&self, slot: SubscriptionSlot) -> Option<&Subscription> {
        self.0.get(slot.index())?.as_ref()
    }

    /// The subscription in a slot, to change it.
    pub fn get_mut(&mut self, slot: SubscriptionSlot) -> Option<&mut Subscription> {
        self.0.get_mut(slot.index())?.as_mut()
    }

    /// Adds a subscription in the first free slot.
    pub fn add(&mut self, subscription: Subscription) -> SubscriptionSlot {
        if let Some(index) = self.0.iter().position(Option::is_none) {
            self.0[index] = Some(subscription);
            return SubscriptionSlot::from_index(index);
        }
        // One at a time: most connections follow one channel for as long as they are open.
        self.0.reserve_exact(1);
        self.0.push(Some(subscription));
        SubscriptionSlot::from_index(self.0.len() - 1)
    }

    /// Frees a slot and returns its subscription.
    pub fn remove(&mut self, slot: SubscriptionSlot) -> Option<Subscription> {
        self.0.get_mut(slot.index())?.take()
    }

    /// The slot of the subscription to a channel.
    pub fn find(&self, channel: &Channel) -> Option<SubscriptionSlot> {
        self.iter().find(|(_, subscription)| subscription.channel == *channel).map(|(slot, _)| slot)
    }

    /// The subscriptions with their slots.
    pub fn iter(&self) -> impl Iterator<Item = (SubscriptionSlot, &Subscription)> {
        let slots = self.0.iter().enumerate();
        slots
            .filter_map(|(index, slot)| Some((SubscriptionSlot::from_index(index), slot.as_ref()?)))
    }

    /// The slots in use.
    pub fn slots(&self) -> Vec<SubscriptionSlot> {
        self.iter().map(|(slot, _)| slot).collect()
    }

    /// Positions of all channels in the order of their slots, with `slot` already at `position`. A
    /// slot that has no position yet stands at zero.
    pub fn positions_with(
        &self,
        slot: SubscriptionSlot,
        position: Position,
    ) -> impl Iterator<Item = Position> {
        self.0.iter().enumerate().map(move |(index, subscription)| {
            match subscription.as_ref().map(|subscription| &subscription.stage) {
                _ if index == slot.index() => position,
                Some(Stage::Live { held, .. }) => *held,
                Some(Stage::Pending { floor: Some(floor), .. }) => *floor,
                Some(Stage::Pending { floor: None, .. }) | None => Position::default(),
            }
        })
    }

    /// The number of subscriptions.
    pub fn count(&self) -> usize {
        self.0.iter().flatten().count()
    }
}

/// The next frame of a client, if any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CatchUp {
    /// The client holds the newest version.
    Nothing,
    /// The newest step of the view, which most listeners share.
    NewestStep,
    /// All steps since the client's version, merged.
    StepsSince(u64),
    /// The whole view: the client's epoch is over.
    Snapshot,
    /// Nothing may be sent: the client's position is newer than this node's.
    NodeBehind,
}

/// Decides what a client that holds `held` is sent of a view at `view`, by the positions alone.
/// `newest_step` is the newest step (`from`, `to`) of the view, if one is at hand.
pub fn decide_catch_up(held: Position, view: Position, newest_step: Option<(u64, u64)>) -> CatchUp {
    use std::cmp::Ordering::{Equal, Greater, Less};
    match (held.epoch.cmp(&view.epoch), held.version.cmp(&view.version)) {
        (Greater, _) | (Equal, Greater) => CatchUp::NodeBehind,
        (Equal, Equal) => CatchUp::Nothing,
        (Less, _) => CatchUp::Snapshot,
        (Equal, Less) => match newest_step {
            Some((from, to)) if from <= held.version && to == view.version => CatchUp::NewestStep,
            _ => CatchUp::StepsSince(held.version),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICKET: &str = "ticket:a.00000000000000000000000000000001";

    fn at(epoch: u64, version: u64) -> Position {
        Position { epoch, version }
    }

    fn subscription(channel: &str, stage: Stage) -> Subscription {
        Subscription {
            channel: Channel::parse(channel).unwrap(),
            view: HotViewId::from_index(7),
            listed: ListenerIndex::from_index(9),
            stage,
        }
    }

    fn pending(floor: Option<Position>) -> Stage {
        let trust = FloorTrust::Trusted;
        Stage::Pending { request: 1, floor, give_up_at: 0, audit: None, trust }
    }

    fn live(held: Position, first: Position) -> Stage {
        Stage::Live { held, first, seen: 0 }
    }

    #[test]
    fn slots_keep_their_subscriptions() {
        let mut all = Subscriptions::default();
        let board = all.add(subscription("board:a", live(at(2, 8), at(2, 3))));
        let queue = all.add(subscription("queue:a.b", pending(Some(at(1, 4)))));
        let ticket = all.add(subscription(TICKET, pending(None)));
        assert_eq!((all.slots(), all.count()), (vec![board, queue, ticket], 3));
        let held = all.get(queue).unwrap();
        assert_eq!((held.view.index(), held.listed.index()), (7, 9));
        all.get_mut(ticket).unwrap().stage = live(at(3, 1), at(3, 1));
        let positions =
            |all: &Subscriptions| all.positions_with(queue, at(5, 5)).collect::<Vec<_>>();
        assert_eq!(positions(&all), [at(2, 8), at(5, 5), at(3, 1)]);

        all.remove(board).unwrap();
        assert!(all.get(board).is_none() && all.get_mut(board).is_none());
        assert!(all.find(&Channel::parse("board:a").unwrap()).is_none());
        assert_eq!((all.slots(), all.count()), (vec![queue, ticket], 2));
        assert_eq!(positions(&all), [at(0, 0), at(5, 5), at(3, 1)]);
        assert_eq!(all.find(&Channel::parse(TICKET).unwrap()), Some(ticket));
        assert_eq!(all.add(subscription("load:a", pending(Some(at(4, 4))))), board);
        assert_eq!(positions(&all), [at(4, 4), at(5, 5), at(3, 1)]);
    }

    #[test]
    fn delivery_is_what_the_client_was_sent() {
        let table = [
            (pending(Some(at(1, 1))), None),
            (live(at(2, 8), at(0, 0)), None),
            (live(at(2, 8), at(2, 3)), Some((at(2, 3), at(2, 8)))),
            (live(at(0, 0), at(2, 3)), Some((at(2, 3), at(2, 3)))),
        ];
        for (stage, expected) in table {
            assert_eq!(stage.delivered(), expected);
        }
    }

    #[test]
    fn two_positions_decide_the_catch_up() {
        let table = [
            (at(1, 5), at(1, 5), Some((4, 5)), CatchUp::Nothing),
            (at(1, 4), at(1, 5), Some((4, 5)), CatchUp::NewestStep),
            (at(1, 4), at(1, 9), Some((3, 9)), CatchUp::NewestStep),
            (at(1, 2), at(1, 5), Some((4, 5)), CatchUp::StepsSince(2)),
            (at(1, 4), at(1, 5), None, CatchUp::StepsSince(4)),
            (at(1, 4), at(1, 6), Some((4, 5)), CatchUp::StepsSince(4)),
            (at(1, 9), at(2, 1), None, CatchUp::Snapshot),
            (at(1, 6), at(1, 5), Some((4, 5)), CatchUp::NodeBehind),
            (at(2, 1), at(1, 5), None, CatchUp::NodeBehind),
        ];
        for (held, view, step, expected) in table {
            assert_eq!(decide_catch_up(held, view, step), expected, "{held:?} {view:?} {step:?}");
        }
    }
}
