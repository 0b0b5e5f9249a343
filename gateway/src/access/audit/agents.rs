//! The user agents of clients, each of them once: thousands of sockets have the same few.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

/// Most texts that are shared: clinics have some dozens. Past it, texts without a user are removed,
/// and a new one is not shared while all are in use.
const SHARED: usize = 1_000;

#[derive(Default)]
pub(super) struct Agents(Mutex<HashSet<Arc<str>>>);

impl Agents {
    /// The part of a `User-Agent` that entries keep.
    pub(super) fn get(&self, header: &str) -> Arc<str> {
        let agent = schemas::audit::agent(header);
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = shared.get(&agent) {
            return known.clone();
        }
        if shared.len() >= SHARED {
            shared.retain(|agent| Arc::strong_count(agent) > 1);
        }
        if shared.len() < SHARED {
            shared.insert(agent.clone());
        }
        agent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agents_are_shared_and_bounded() {
        let agents = Agents::default();
        let first = agents.get("Browser/1");
        assert!(Arc::ptr_eq(&first, &agents.get("Browser/1")));
        let used: Vec<_> = (0..2 * SHARED).map(|number| agents.get(&number.to_string())).collect();
        assert_eq!(agents.0.lock().unwrap().len(), SHARED);
        drop(used);
        agents.get("Browser/2");
        assert_eq!(agents.0.lock().unwrap().len(), 2, "only those in use stay");
    }
}
