//! The view store in memory.

use std::{cmp::Ordering, collections::HashMap, sync::Mutex};

use gateway::backends::snapshots::{NotRead, Snapshot, Snapshots};
use processors::views::{StoreOutcome, ViewStep, ViewStore, ViewStoreError};
use schemas::{
    Millis,
    ids::Aggregate,
    view::{Fold, View},
};

use super::{Clock, lock};

/// Views by aggregate. A present aggregate has its generation; an absent one was never stored, or
/// was lost.
pub struct MemoryViews {
    clock: Clock,
    held: Mutex<HashMap<Aggregate, Generation>>,
}

#[derive(Default)]
struct Generation {
    views: HashMap<String, HeldView>,
    /// Size at which expired views are removed: twice what the last sweep left.
    sweep_at: usize,
}

struct HeldView {
    view: View,
    until: Option<Millis>,
}

/// Number of views of one aggregate before expired ones are removed.
const SWEEP_AT: usize = 1_000;

impl MemoryViews {
    pub fn new(clock: Clock) -> Self {
        Self { clock, held: Mutex::default() }
    }

    /// Empties the store.
    pub fn flush(&self) {
        lock(&self.held).clear();
    }
}

impl Generation {
    fn store(&mut self, step: &ViewStep, now: Millis) -> StoreOutcome {
        let until = step.step.keep_s.map(|seconds| now + Millis::from(seconds) * 1000);
        let held = self.views.remove(&step.step.view).filter(|held| held.is_kept(now));
        // The first step of a newer epoch starts the view again.
        let held =
            held.filter(|held| held.view.position.epoch >= step.epoch || step.step.delta.from > 0);
        let mut held =
            held.unwrap_or_else(|| HeldView { view: View::empty(step.epoch), until: None });
        let (stored, keep) = match held.view.position.epoch.cmp(&step.epoch) {
            Ordering::Less => (StoreOutcome::Behind, true),
            Ordering::Greater => (StoreOutcome::Current, true),
            Ordering::Equal => match held.view.fold(&step.step.delta) {
                Fold::Applied => {
                    held.until = until;
                    (StoreOutcome::Current, true)
                }
                Fold::Dropped => (StoreOutcome::Current, true),
                Fold::Gap => (StoreOutcome::Behind, held.view.position.version > 0),
            },
        };
        if keep {
            self.put(step.step.view.clone(), held, now);
        }
        stored
    }

    fn put(&mut self, name: String, held: HeldView, now: Millis) {
        if self.views.len() >= self.sweep_at.max(SWEEP_AT) {
            self.views.retain(|_, held| held.is_kept(now));
            self.sweep_at = self.views.len() * 2;
        }
        self.views.insert(name, held);
    }
}

impl HeldView {
    fn is_kept(&self, now: Millis) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

impl ViewStore for MemoryViews {
    fn store<'a>(
        &'a self,
        steps: &'a [ViewStep],
    ) -> processors::BoxFuture<'a, Result<Vec<StoreOutcome>, ViewStoreError>> {
        Box::pin(async move {
            let now = (self.clock)();
            let mut held = lock(&self.held);
            let store = |step: &ViewStep| match held.get_mut(&step.aggregate) {
                Some(generation) => generation.store(step, now),
                None => StoreOutcome::Behind,
            };
            Ok(steps.iter().map(store).collect())
        })
    }

    fn replace<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        name: &'a str,
        view: &'a View,
        keep_s: Option<u32>,
    ) -> processors::BoxFuture<'a, Result<(), ViewStoreError>> {
        Box::pin(async move {
            let now = (self.clock)();
            let mut held = lock(&self.held);
            let generation = held.entry(aggregate.clone()).or_default();
            if generation.views.get(name).is_none_or(|held| held.view.position <= view.position) {
                let until = keep_s.map(|seconds| now + Millis::from(seconds) * 1000);
                generation.put(name.to_owned(), HeldView { view: view.clone(), until }, now);
            }
            Ok(())
        })
    }
}

impl Snapshots for MemoryViews {
    fn load<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        view: &'a str,
    ) -> gateway::BoxFuture<'a, Result<Snapshot, NotRead>> {
        Box::pin(async move {
            let now = (self.clock)();
            let held = lock(&self.held);
            let Some(generation) = held.get(aggregate) else {
                return Ok(Snapshot::Emptied);
            };
            let view = generation.views.get(view).filter(|held| held.is_kept(now));
            Ok(view.map_or(Snapshot::Absent, |held| Snapshot::Held(held.view.clone())))
        })
    }
}
