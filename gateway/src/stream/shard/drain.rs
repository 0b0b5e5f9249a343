//! The drain of a shard: each connection is closed at a second of its own, so that a node's clients
//! do not all arrive elsewhere at once.

use std::time::Duration;

use crate::inbox::ids::ConnId;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connection_is_due_once_within_window() {
        let connections: Vec<_> = (0..100).map(ConnId::from_index).collect();
        let mut drain = Drain::new(connections.clone(), 5, Duration::from_secs(10));
        let mut taken = Vec::new();
        for second in 5..15 {
            assert!(!drain.is_done());
            let due: Vec<_> = std::iter::from_fn(|| drain.take_due(second)).collect();
            assert_eq!(due.len(), 10, "second {second}");
            taken.extend(due);
        }
        assert!(drain.is_done());
        taken.sort_by_key(|id| id.index());
        assert_eq!(taken, connections);
    }
}
