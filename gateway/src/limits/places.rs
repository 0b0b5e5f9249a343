//! Places: how many things of one kind a client may hold at once.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{Limit, LimitKey};

/// The places that clients hold. A client without a place has no entry.
#[derive(Default)]
pub struct Places(Mutex<HashMap<(Limit, LimitKey), u32>>);

/// One place, freed when dropped.
pub struct Place {
    places: Arc<Places>,
    holder: (Limit, LimitKey),
}

impl Places {
    /// Takes a place unless the client holds `most`. `None` for `most` counts without a bound.
    pub(super) fn take(
        self: &Arc<Self>,
        limit: Limit,
        key: LimitKey,
        most: Option<u32>,
    ) -> Option<Place> {
        let mut held = self.held();
        let count = held.get(&(limit, key)).copied().unwrap_or_default();
        if most.is_some_and(|most| count >= most) {
            return None;
        }
        held.insert((limit, key), count + 1);
        Some(Place { places: self.clone(), holder: (limit, key) })
    }

    pub(super) fn held_by(&self, limit: Limit, key: LimitKey) -> u32 {
        self.held().get(&(limit, key)).copied().unwrap_or_default()
    }

    fn held(&self) -> MutexGuard<'_, HashMap<(Limit, LimitKey), u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn holder_count(&self) -> usize {
        self.held().len()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.held();
        match held.get_mut(&self.holder) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                held.remove(&self.holder);
            }
        }
    }
}
