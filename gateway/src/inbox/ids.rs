//! The ids of a shard: connections, their subscriptions, and fetches of views.

use std::num::NonZeroU64;

use gateway_core::subscription::SubscriptionSlot;

/// A connection of a shard. An id is used again once its connection has been removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConnId(u32);

impl ConnId {
    pub fn from_index(index: usize) -> Self {
        Self(u32::try_from(index).expect("a shard holds fewer than 2^32 connections"))
    }

    pub fn index(self) -> usize {
        usize::try_from(self.0).expect("a usize has at least 32 bits")
    }
}

impl std::fmt::LowerHex for ConnId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::LowerHex::fmt(&self.0, f)
    }
}

/// A subscription of a shard: its connection, and its slot there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SubscriptionId {
    pub conn: ConnId,
    pub slot: SubscriptionSlot,
}

#[cfg(test)]
impl SubscriptionId {
    /// Some subscription, for tests that need no shard.
    pub fn for_test() -> Self {
        Self { conn: ConnId(0), slot: SubscriptionSlot::FIRST }
    }
}

/// Index of a ticket's hot view in the ticket list of its queue's hot view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TicketIndex(u32);

impl TicketIndex {
    pub fn from_index(index: usize) -> Self {
        Self(u32::try_from(index).expect("a queue has fewer than 2^32 tickets"))
    }

    pub fn index(self) -> usize {
        usize::try_from(self.0).expect("a usize has at least 32 bits")
    }
}

/// A fetch of a view, unique in its shard. The answer to an older fetch of the same view is
/// recognised by it and ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchId(NonZeroU64);

impl FetchId {
    pub const FIRST: Self = Self(NonZeroU64::MIN);

    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}
