//! The drain of a shard: each connection is closed at a second of its own, so that a node's clients
//! do not all arrive elsewhere at once.

use std::time::Duration;

use super::ids::ConnId;

pub struct Drain {
    /// Connections and the second at which each is closed, the latest first. Some may be gone by
    /// then.
    due: Vec<(u64, ConnId)>,
}

impl Drain {
    /// Spreads the connections over the window from second `now` on, in random order.
    pub fn new(mut connections: Vec<ConnId>, now: u64, window: Duration) -> Self {
        fastrand::shuffle(&mut connections);
        let count = connections.len().max(1) as u64;
        let mut due: Vec<_> = (0_u64..)
            .zip(connections)
            .map(|(place, id)| (now + place * window.as_secs() / count, id))
            .collect();
        due.reverse();
        Self { due }
    }

    /// Takes the next connection that is due at second `now`.
    pub fn take_due(&mut self, now: u64) -> Option<ConnId> {
        self.due.pop_if(|(second, _)| *second <= now).map(|(_, id)| id)
    }

    /// Returns whether every connection has been taken.
    pub fn is_done(&self) -> bool {
        self.due.is_empty()
    }
}
