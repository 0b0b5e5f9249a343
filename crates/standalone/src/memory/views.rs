//! The view store in memory.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashMap},
    sync::Mutex,
};

use gateway::backends::snapshots::{NotRead, Snapshot, Snapshots};
use processors::{
    log::PartitionId,
    views::{Coverage, PartitionHead, StoreOutcome, ViewStep, ViewStore, ViewStoreError},
};
use schemas::{
    Millis,
    ids::Aggregate,
    redis_keys::StoreIdentity,
    view::{Fold, Position, View},
};

use super::{Clock, lock};

/// The view store in memory. Like a server, it can come back with the data that it once had.
pub struct MemoryViews {
    clock: Clock,
    held: Mutex<MemoryStore>,
}

/// The identity of the store, as a count of its changes.
type Identity = u64;

struct MemoryStore {
    identity: Identity,
    data: StoreData,
}

/// The data that a server would save.
#[derive(Clone, Default)]
struct StoreData {
    /// A present aggregate has its generation; an absent one was never stored, or was lost.
    aggregates: HashMap<Aggregate, Generation>,
    covered: HashMap<(&'static str, PartitionId), StoreIdentity>,
    /// In order of their partitions, so that a seed of the simulation repeats.
    heads: BTreeMap<(&'static str, PartitionId), (Aggregate, Position)>,
}

/// The data of a store at one moment.
pub struct SavedViews(StoreData);

#[derive(Default, Clone)]
struct Generation {
    /// The identity of the last repair.
    identity: Identity,
    views: HashMap<String, HeldView>,
    /// Size at which expired views are removed: twice what the last sweep left.
    sweep_at: usize,
}

#[derive(Clone)]
struct HeldView {
    /// The identity under which the view was stored.
    identity: Identity,
    view: View,
    until: Option<Millis>,
}

/// Number of views of one aggregate before expired ones are removed.
const SWEEP_AT: usize = 1_000;

impl MemoryViews {
    pub fn new(clock: Clock) -> Self {
        let held = MemoryStore { identity: 1, data: StoreData::default() };
        Self { clock, held: Mutex::new(held) }
    }

    /// Empties the store.
    pub fn flush(&self) {
        lock(&self.held).data = StoreData::default();
    }

    pub fn save(&self) -> SavedViews {
        SavedViews(lock(&self.held).data.clone())
    }

    /// Replaces this server by one with saved data, as a restart from a snapshot and the promotion
    /// of a stopped replica do.
    pub fn restart_from(&self, saved: SavedViews) {
        let mut held = lock(&self.held);
        held.identity += 1;
        held.data = saved.0;
    }
}

impl MemoryStore {
    fn store_identity(&self) -> StoreIdentity {
        let text = format!("{:016x}", self.identity);
        StoreIdentity::new("master", &text).expect("16 hexadecimal digits of a primary")
    }
}

impl Generation {
    fn store(&mut self, step: &ViewStep, identity: Identity, now: Millis) -> StoreOutcome {
        let is_old = |held: &HeldView| held.identity != identity;
        if self.identity != identity || self.views.get(&step.step.view).is_some_and(is_old) {
            return StoreOutcome::Behind;
        }
        let until = step.step.keep_s.map(|seconds| now + Millis::from(seconds) * 1000);
        let held = self.views.remove(&step.step.view).filter(|held| held.is_kept(now));
        // The first step of a newer epoch starts the view again.
        let held =
            held.filter(|held| held.view.position.epoch >= step.epoch || step.step.delta.from > 0);
        let mut held = held.unwrap_or_else(|| HeldView {
            identity,
            view: View::empty(step.epoch),
            until: None,
        });
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
            let identity = held.identity;
            let store = |step: &ViewStep| match held.data.aggregates.get_mut(&step.aggregate) {
                Some(generation) => generation.store(step, identity, now),
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
            let identity = held.identity;
            let generation = held.data.aggregates.entry(aggregate.clone()).or_default();
            generation.identity = identity;
            if generation
                .views
                .get(name)
                .is_none_or(|held| held.identity != identity || held.view.position <= view.position)
            {
                let until = keep_s.map(|seconds| now + Millis::from(seconds) * 1000);
                let view = view.clone();
                generation.put(name.to_owned(), HeldView { identity, view, until }, now);
            }
            Ok(())
        })
    }

    fn coverage(
        &self,
        topic: &'static str,
        partition: PartitionId,
    ) -> processors::BoxFuture<'_, Result<Coverage, ViewStoreError>> {
        Box::pin(async move {
            let held = lock(&self.held);
            let identity = held.store_identity();
            Ok(match held.data.covered.get(&(topic, partition)) == Some(&identity) {
                true => Coverage::Covered,
                false => Coverage::Suspect(identity),
            })
        })
    }

    fn cover<'a>(
        &'a self,
        topic: &'static str,
        partition: PartitionId,
        identity: &'a StoreIdentity,
    ) -> processors::BoxFuture<'a, Result<(), ViewStoreError>> {
        Box::pin(async move {
            lock(&self.held).data.covered.insert((topic, partition), identity.clone());
            Ok(())
        })
    }

    fn note_heads<'a>(
        &'a self,
        topic: &'static str,
        heads: &'a [PartitionHead],
    ) -> processors::BoxFuture<'a, Result<(), ViewStoreError>> {
        Box::pin(async move {
            let noted = heads.iter().cloned();
            let noted =
                noted.map(|head| ((topic, head.partition), (head.aggregate, head.position)));
            lock(&self.held).data.heads.extend(noted);
            Ok(())
        })
    }

    fn heads(
        &self,
    ) -> processors::BoxFuture<'_, Result<Vec<(Aggregate, Position)>, ViewStoreError>> {
        Box::pin(async move { Ok(lock(&self.held).data.heads.values().cloned().collect()) })
    }
}

impl Snapshots for MemoryViews {
    fn probe(&self) -> gateway::BoxFuture<'_, Result<(), NotRead>> {
        Box::pin(async { Ok(()) })
    }

    fn load<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        view: &'a str,
    ) -> gateway::BoxFuture<'a, Result<Snapshot, NotRead>> {
        Box::pin(async move {
            let now = (self.clock)();
            let held = lock(&self.held);
            let Some(generation) = held.data.aggregates.get(aggregate) else {
                return Ok(Snapshot::Suspect);
            };
            let view = generation.views.get(view).filter(|held| held.is_kept(now));
            Ok(match view {
                Some(view) if view.identity == held.identity => Snapshot::Held(view.view.clone()),
                None if generation.identity == held.identity => Snapshot::Absent,
                Some(_) | None => Snapshot::Suspect,
            })
        })
    }
}
