//! The aggregates of which the view store may lack steps, as the authority knows. A full store
//! takes no step and still answers reads, with what it had.

use std::{collections::HashSet, sync::RwLock};

use schemas::ids::Aggregate;

/// Views that are asked for at once. With more, every view is read from the authority, as while the
/// store is down.
pub const MOST: u32 = 1000;

pub struct Lagging(RwLock<Known>);

enum Known {
    /// The authority is being asked for the first time.
    Nothing,
    TooMany,
    These(HashSet<Aggregate>),
}

/// Trusts the store, until somebody asks the authority.
impl Default for Lagging {
    fn default() -> Self {
        Self(RwLock::new(Known::These(HashSet::new())))
    }
}

impl Lagging {
    /// Whether the store may lack steps of the aggregate.
    pub fn has(&self, aggregate: &Aggregate) -> bool {
        match &*self.0.read().expect("no holder of the lock panics") {
            Known::Nothing | Known::TooMany => true,
            Known::These(lagging) => lagging.contains(aggregate),
        }
    }

    /// Trusts the store no longer, until the authority has been asked.
    pub fn begin(&self) {
        *self.0.write().expect("no holder of the lock panics") = Known::Nothing;
    }

    /// Learns the answer of the authority. Without one, what was known before still holds, because
    /// processors write nothing meanwhile; a node that knows nothing yet trusts the store.
    pub fn learn(&self, answer: Option<Vec<Aggregate>>) {
        let mut known = self.0.write().expect("no holder of the lock panics");
        match answer {
            Some(lagging) if lagging.len() >= MOST as usize => *known = Known::TooMany,
            Some(lagging) => *known = Known::These(lagging.into_iter().collect()),
            None if matches!(*known, Known::Nothing) => *known = Known::These(HashSet::new()),
            None => {}
        }
    }
}
