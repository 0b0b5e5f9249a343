//! A map of bounded size.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// Kept outcomes, ended tickets and ended appointments. A repeat older than 100,000 commands is
/// decided again, and a ticket that ended 100,000 others ago is unknown: weeks of a large clinic.
const KEPT: usize = 100_000;

/// A map that drops its oldest keys past [`KEPT`].
pub(super) struct BoundedMap<K, V> {
    pub(super) held: HashMap<K, V>,
    /// Keys in insertion order. A removed key stays here until its turn.
    order: VecDeque<K>,
}

impl<K, V> Default for BoundedMap<K, V> {
    fn default() -> Self {
        Self { held: HashMap::new(), order: VecDeque::new() }
    }
}

impl<K: Clone + Eq + Hash, V> BoundedMap<K, V> {
    pub(super) fn insert(&mut self, key: K, value: V) {
        if self.held.insert(key.clone(), value).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.held.remove(&oldest);
        }
    }

    pub(super) fn remove(&mut self, key: &K) {
        self.held.remove(key);
    }
}
