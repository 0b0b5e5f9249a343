//! The recent past of every aggregate: its position and a byte-bounded tail of raw `views` records, listened to
//! or not. A tail bridges a snapshot and the stream, and serves resumes without asking the store.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use dashmap::DashMap;
use schemas::{
    ids::Aggregate,
    record::ViewsRecord,
    view::{Delta, Fold, Position},
};

/// Bytes of records kept per aggregate: some 500 changes of a queue. A client further behind gets a snapshot.
const MAX_TAIL_BYTES: usize = 256 * 1024;
/// Bytes of all tails of a node. Past it the aggregates heard of longest ago lose theirs first.
const MAX_TOTAL_BYTES: usize = 256 * 1024 * 1024;
/// What a record costs beside its bytes: the structures that hold it.
const RECORD_OVERHEAD: usize = 200;

/// A record of `views`, parsed when somebody first needs it and then for everybody.
pub struct Step {
    pub aggregate: Aggregate,
    pub position: Position,
    raw: Bytes,
    parsed: OnceLock<Option<ViewsRecord>>,
}

impl Step {
    pub fn new(aggregate: Aggregate, position: Position, raw: Bytes) -> Self {
        Self { aggregate, position, raw, parsed: OnceLock::new() }
    }

    /// The record, or `None` when its value is none.
    pub fn record(&self) -> Option<&ViewsRecord> {
        self.parsed
            .get_or_init(|| {
                let record = ViewsRecord::from_value(&self.raw);
                if let Err(code) = &record {
                    tracing::error!(%code, "a record of views was skipped");
                }
                record.ok()
            })
            .as_ref()
    }

    fn cost(&self) -> usize {
        // Parsed once somebody listens: about as large again as its text.
        2 * self.raw.len() + RECORD_OVERHEAD
    }
}

#[derive(Default)]
struct Tail {
    position: Position,
    steps: VecDeque<Arc<Step>>,
    bytes: usize,
    /// Bit i: shard i listens to something of this aggregate.
    shards: u64,
    /// When it was last moved, in steps of the whole node: the smallest goes first.
    touched: usize,
}

/// Shards a node can have: one bit each.
pub const MAX_SHARDS: usize = 64;

#[derive(Default)]
pub struct Tails {
    tails: DashMap<Aggregate, Mutex<Tail>>,
    bytes: AtomicUsize,
    clock: AtomicUsize,
}

/// What a record did to its aggregate's tail.
#[derive(Debug, PartialEq, Eq)]
pub enum Pushed {
    /// New: the shards with these bits must hear it.
    Hear(u64),
    /// Heard before, or older than what is known.
    Repeated,
}

impl Tails {
    /// Adds a record that moved its aggregate.
    pub fn push(&self, step: &Arc<Step>) -> Pushed {
        let entry = self.tails.entry(step.aggregate.clone()).or_default();
        let mut tail = entry.lock().expect("no holder of a tail panics");
        if step.position <= tail.position {
            return Pushed::Repeated;
        }
        let mut freed = 0;
        if step.position.epoch > tail.position.epoch {
            freed += std::mem::take(&mut tail.bytes);
            tail.steps.clear();
        }
        tail.position = step.position;
        tail.touched = self.clock.fetch_add(1, Ordering::Relaxed);
        tail.bytes += step.cost();
        tail.steps.push_back(step.clone());
        while tail.bytes > MAX_TAIL_BYTES && tail.steps.len() > 1 {
            if let Some(old) = tail.steps.pop_front() {
                tail.bytes -= old.cost();
                freed += old.cost();
            }
        }
        let shards = tail.shards;
        drop(tail);
        drop(entry);
        let before = self.bytes.fetch_add(step.cost(), Ordering::Relaxed);
        self.bytes.fetch_sub(freed, Ordering::Relaxed);
        if before + step.cost() - freed.min(before) > MAX_TOTAL_BYTES {
            self.shed();
        }
        Pushed::Hear(shards)
    }

    /// Drops the steps of the aggregates heard of longest ago, until a tenth of the bound is free. Their positions
    /// stay, as they are what judges a client's position.
    fn shed(&self) {
        let mut oldest: Vec<(usize, Aggregate)> = (self.tails.iter())
            .map(|entry| {
                (
                    entry.value().lock().expect("no holder of a tail panics").touched,
                    entry.key().clone(),
                )
            })
            .collect();
        oldest.sort_unstable_by_key(|(touched, _)| *touched);
        for (_, aggregate) in oldest {
            if self.bytes.load(Ordering::Relaxed) <= MAX_TOTAL_BYTES / 10 * 9 {
                break;
            }
            if let Some(entry) = self.tails.get(&aggregate) {
                let mut tail = entry.lock().expect("no holder of a tail panics");
                tail.steps.clear();
                self.bytes.fetch_sub(std::mem::take(&mut tail.bytes), Ordering::Relaxed);
            }
        }
    }

    /// From now on `shard` hears every record of the aggregate; what came before is in the tail.
    pub fn listen(&self, aggregate: &Aggregate, shard: usize) {
        let entry = self.tails.entry(aggregate.clone()).or_default();
        entry.lock().expect("no holder of a tail panics").shards |= 1 << shard;
    }

    pub fn leave(&self, aggregate: &Aggregate, shard: usize) {
        if let Some(entry) = self.tails.get(aggregate) {
            entry.lock().expect("no holder of a tail panics").shards &= !(1 << shard);
        }
    }

    /// What is known of the aggregate's position.
    pub fn position(&self, aggregate: &Aggregate) -> Option<Position> {
        let entry = self.tails.get(aggregate)?;
        let position = entry.lock().expect("no holder of a tail panics").position;
        (position.epoch > 0).then_some(position)
    }

    /// The steps the tail holds, oldest first.
    pub fn steps(&self, aggregate: &Aggregate) -> Vec<Arc<Step>> {
        self.tails.get(aggregate).map_or_else(Vec::new, |entry| {
            entry.lock().expect("no holder of a tail panics").steps.iter().cloned().collect()
        })
    }

    /// The steps of one view after `held` and up to version `to`, merged; `None` when the tail does not reach
    /// back that far.
    pub fn since(
        &self,
        aggregate: &Aggregate,
        view: &str,
        held: Position,
        to: u64,
    ) -> Option<Delta> {
        merge(&self.steps(aggregate), view, held, to)
    }

    /// What this node has seen of a view: no reader may be shown less.
    pub fn floor(&self, aggregate: &Aggregate, view: &str) -> Option<Position> {
        self.steps(aggregate).iter().rev().find_map(|step| {
            delta_of(step, view).map(|delta| Position { version: delta.to, ..step.position })
        })
    }

    /// Forgets everything, as after a loss. Who listens stays.
    pub fn clear(&self) {
        for entry in &self.tails {
            let mut tail = entry.value().lock().expect("no holder of a tail panics");
            tail.steps.clear();
            self.bytes.fetch_sub(std::mem::take(&mut tail.bytes), Ordering::Relaxed);
        }
    }
}

fn merge(steps: &[Arc<Step>], view: &str, held: Position, to: u64) -> Option<Delta> {
    let mut merged: Option<Delta> = None;
    for step in steps.iter().filter(|step| step.position.epoch == held.epoch) {
        let Some(delta) = delta_of(step, view) else { continue };
        if delta.to <= held.version || delta.to > to {
            continue;
        }
        match &mut merged {
            None if delta.from <= held.version => merged = Some(delta.clone()),
            None => return None,
            Some(merged) => {
                if merged.merge(delta) == Fold::Gap {
                    return None;
                }
            }
        }
    }
    merged
}

/// What a step did to one view.
pub fn delta_of<'a>(step: &'a Step, view: &str) -> Option<&'a Delta> {
    let record = step.record()?;
    record.deltas.iter().find(|delta| delta.view == view).map(|delta| &delta.delta)
}

#[cfg(test)]
mod tests {
    use schemas::record::ViewDelta;

    use super::*;

    fn aggregate() -> Aggregate {
        Aggregate::parse("demo/riverside").unwrap()
    }

    fn step(epoch: u64, version: u64, view: &str, from: u64) -> Arc<Step> {
        let mut delta = Delta { from, to: version, at: 0, ..Delta::default() };
        delta.put(version.to_string(), &version);
        let position = Position { epoch, version };
        let deltas = vec![ViewDelta { view: view.into(), keep_s: None, urgent: false, delta }];
        let record = ViewsRecord { position, at: 0, deltas, outcome: None };
        Arc::new(Step::new(aggregate(), position, record.to_wire(&aggregate()).value))
    }

    #[test]
    fn only_news_is_heard_and_only_by_who_listens() {
        let tails = Tails::default();
        assert_eq!(tails.push(&step(1, 1, "a", 0)), Pushed::Hear(0));
        tails.listen(&aggregate(), 3);
        assert_eq!(tails.push(&step(1, 2, "a", 1)), Pushed::Hear(8));
        assert_eq!(tails.push(&step(1, 2, "a", 1)), Pushed::Repeated);
        assert_eq!(tails.push(&step(0, 9, "a", 1)), Pushed::Repeated);
        tails.leave(&aggregate(), 3);
        assert_eq!(tails.push(&step(2, 1, "a", 0)), Pushed::Hear(0));
        assert_eq!(tails.position(&aggregate()), Some(Position { epoch: 2, version: 1 }));
    }

    #[test]
    fn a_client_gets_what_it_lacks_of_its_view_merged() {
        let tails = Tails::default();
        for (version, view, from) in [(1, "a", 0), (2, "b", 0), (3, "a", 1), (5, "a", 3)] {
            tails.push(&step(1, version, view, from));
        }
        let delta = tails.since(&aggregate(), "a", Position { epoch: 1, version: 1 }, 9).unwrap();
        assert_eq!((delta.from, delta.to, delta.set.len()), (1, 5, 2));
        let half = tails.since(&aggregate(), "a", Position { epoch: 1, version: 1 }, 4).unwrap();
        assert_eq!((half.from, half.to, half.set.len()), (1, 3, 1));
        assert!(tails.since(&aggregate(), "a", Position { epoch: 1, version: 5 }, 9).is_none());
        assert!(tails.since(&aggregate(), "a", Position { epoch: 2, version: 1 }, 9).is_none());
    }

    #[test]
    fn a_tail_that_was_cut_does_not_pretend_to_reach_back() {
        let tails = Tails::default();
        for version in 1..2000 {
            tails.push(&step(1, version, "a", version - 1));
        }
        let kept = tails.steps(&aggregate());
        assert!(
            kept.len() < 1999
                && kept.iter().map(|step| step.cost()).sum::<usize>() <= MAX_TAIL_BYTES
        );
        assert!(tails.since(&aggregate(), "a", Position { epoch: 1, version: 1 }, 2000).is_none());
        assert!(
            tails.since(&aggregate(), "a", Position { epoch: 1, version: 1990 }, 2000).is_some()
        );
    }
}
