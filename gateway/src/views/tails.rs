//! The recent past of every aggregate: its position, and a tail of raw `views` records that is
//! bounded in bytes, whether or not anybody listens. A tail closes the gap between a snapshot and
//! the stream, and serves clients that resume without a fetch.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use dashmap::DashMap;
use prometheus::IntCounter;
use schemas::{
    ids::Aggregate,
    record::ViewsRecord,
    view::{Delta, Fold, Position},
};
use telemetry::TraceContext;

use super::shard_set::{ShardIndex, ShardSet};

/// Bytes of records kept for each aggregate, which is about 500 changes of a queue. A client
/// further behind gets a snapshot.
const MAX_TAIL_BYTES: usize = 256 * 1024;
/// Bytes of all tails of a node. Above it, the aggregates with the oldest newest record lose their
/// tails first.
const MAX_TOTAL_BYTES: usize = 256 * 1024 * 1024;
/// Aggregates whose position is kept: a thousand locations and their runs of a few days. Past it,
/// those with the oldest newest record are forgotten, unless somebody listens: their next record
/// starts a tail again.
const MAX_TAILS: usize = 100_000;
/// Bytes that the structures around a record take.
const RECORD_OVERHEAD: usize = 200;

/// A record of `views`. It is parsed when somebody first needs its content, once for the whole
/// node.
pub struct TailRecord {
    pub aggregate: Aggregate,
    pub position: Position,
    value: Bytes,
    content: OnceLock<Option<ViewsRecord>>,
    /// The span of the node's intake, when the trace of the record is recorded. Boxed, because few
    /// records have one.
    pub trace: Option<Box<TraceContext>>,
    /// Counts the record if its content cannot be read.
    refused: IntCounter,
}

impl TailRecord {
    pub fn new(
        aggregate: Aggregate,
        position: Position,
        value: Bytes,
        refused: IntCounter,
    ) -> Self {
        Self { aggregate, position, value, content: OnceLock::new(), trace: None, refused }
    }

    /// Adds the span under which shards work on the record.
    pub fn with_trace(self, trace: Option<TraceContext>) -> Self {
        Self { trace: trace.map(Box::new), ..self }
    }

    /// The content of the record, or `None` when it cannot be read.
    pub fn content(&self) -> Option<&ViewsRecord> {
        let content = self.content.get_or_init(|| {
            let content = ViewsRecord::from_value(&self.value);
            if let Err(code) = &content {
                self.refused.inc();
                tracing::error!(%code, "a record of views was skipped: its value cannot be read");
            }
            content.ok()
        });
        content.as_ref()
    }

    /// Bytes of memory that the record takes at most.
    fn cost(&self) -> usize {
        // Once parsed, the content is about as large again as its text.
        2 * self.value.len() + RECORD_OVERHEAD
    }
}

#[derive(Default)]
struct Tail {
    position: Position,
    records: VecDeque<Arc<TailRecord>>,
    /// The newest record that was dropped for want of room.
    dropped: Position,
    bytes: usize,
    /// The shards that listen to the aggregate.
    shards: ShardSet,
    /// Count of the node's records at the newest record of this tail. The tail with the smallest
    /// count is dropped first.
    touched: usize,
}

impl Tail {
    /// Whether the tail holds no more than a new one.
    fn is_new(&self) -> bool {
        self.position.epoch == 0 && self.shards == ShardSet::default()
    }

    /// Drops all records. Returns how many bytes that frees.
    fn drop_records(&mut self) -> usize {
        self.records.clear();
        self.dropped = self.position;
        std::mem::take(&mut self.bytes)
    }
}

#[derive(Default)]
pub struct Tails {
    tails: DashMap<Aggregate, Mutex<Tail>>,
    bytes: AtomicUsize,
    clock: AtomicUsize,
}

/// The result of pushing a record.
#[derive(Debug, PartialEq, Eq)]
pub enum PushOutcome {
    /// The record is new. These shards listen to its aggregate.
    News(ShardSet),
    /// The record is new, and `missed` records before it never came. Versions are dense.
    Missed { shards: ShardSet, missed: u64 },
    /// The record is older than, or the same as, the newest of its aggregate.
    Stale,
}

impl Tails {
    /// Adds a record.
    pub fn push(&self, record: &Arc<TailRecord>) -> PushOutcome {
        if self.tails.len() > MAX_TAILS {
            self.forget_oldest();
        }
        let entry = self.tails.entry(record.aggregate.clone()).or_default();
        let mut tail = entry.lock().expect("no holder of a tail panics");
        if record.position <= tail.position {
            return PushOutcome::Stale;
        }
        // Following starts in the middle of the stream. A new epoch starts again at 1.
        let is_followed = tail.position.epoch == record.position.epoch;
        let missed = match is_followed {
            true => record.position.version - tail.position.version - 1,
            false => 0,
        };
        let mut freed = 0;
        if record.position.epoch > tail.position.epoch {
            freed += tail.drop_records();
        }
        tail.position = record.position;
        tail.touched = self.clock.fetch_add(1, Ordering::Relaxed);
        tail.bytes += record.cost();
        tail.records.push_back(record.clone());
        while tail.bytes > MAX_TAIL_BYTES && tail.records.len() > 1 {
            if let Some(old) = tail.records.pop_front() {
                tail.bytes -= old.cost();
                tail.dropped = old.position;
                freed += old.cost();
            }
        }
        let shards = tail.shards;
        drop(tail);
        drop(entry);
        let before = self.bytes.fetch_add(record.cost(), Ordering::Relaxed);
        self.bytes.fetch_sub(freed, Ordering::Relaxed);
        if before + record.cost() - freed.min(before) > MAX_TOTAL_BYTES {
            self.shed();
        }
        match missed {
            0 => PushOutcome::News(shards),
            missed => PushOutcome::Missed { shards, missed },
        }
    }

    /// Forgets a quarter of the aggregates to which nobody listens, the oldest first.
    fn forget_oldest(&self) {
        let idle = |tail: &Tail| tail.shards == ShardSet::default();
        let mut touched: Vec<usize> = (self.tails.iter())
            .filter_map(|entry| {
                let tail = entry.value().lock().expect("no holder of a tail panics");
                idle(&tail).then_some(tail.touched)
            })
            .collect();
        touched.sort_unstable();
        let Some(newest) = touched.get(touched.len() / 4).copied() else { return };
        self.tails.retain(|_, tail| {
            let tail = tail.get_mut().expect("no holder of a tail panics");
            let is_kept = !idle(tail) || tail.touched > newest;
            if !is_kept {
                self.bytes.fetch_sub(tail.bytes, Ordering::Relaxed);
            }
            is_kept
        });
    }

    /// Drops the records of the aggregates whose newest record is oldest, until a tenth of the
    /// bound is free. Their positions stay, because they decide whether a record is stale.
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
                self.bytes.fetch_sub(tail.drop_records(), Ordering::Relaxed);
            }
        }
    }

    /// Lets `shard` listen to the aggregate from now on. Earlier records are in the tail.
    pub fn listen(&self, aggregate: &Aggregate, shard: ShardIndex) {
        let entry = self.tails.entry(aggregate.clone()).or_default();
        entry.lock().expect("no holder of a tail panics").shards.insert(shard);
    }

    /// Ends [`Tails::listen`]. A requested name without a record leaves nothing behind.
    pub fn leave(&self, aggregate: &Aggregate, shard: ShardIndex) {
        self.tails.remove_if_mut(aggregate, |_, tail| {
            let tail = tail.get_mut().expect("no holder of a tail panics");
            tail.shards.remove(shard);
            tail.is_new()
        });
    }

    /// The position of the newest record of the aggregate.
    pub fn position(&self, aggregate: &Aggregate) -> Option<Position> {
        let entry = self.tails.get(aggregate)?;
        let position = entry.lock().expect("no holder of a tail panics").position;
        (position.epoch > 0).then_some(position)
    }

    /// The records of the tail, oldest first.
    pub fn records(&self, aggregate: &Aggregate) -> Vec<Arc<TailRecord>> {
        self.tails.get(aggregate).map_or_else(Vec::new, |entry| {
            entry.lock().expect("no holder of a tail panics").records.iter().cloned().collect()
        })
    }

    /// The records of the tail, or `None` if a record after `position` was dropped.
    pub fn records_after(
        &self,
        aggregate: &Aggregate,
        position: Position,
    ) -> Option<Vec<Arc<TailRecord>>> {
        let Some(entry) = self.tails.get(aggregate) else { return Some(Vec::new()) };
        let tail = entry.lock().expect("no holder of a tail panics");
        (tail.dropped <= position).then(|| tail.records.iter().cloned().collect())
    }

    /// The steps of one view after `held` and up to version `to`, merged. `None` when there are
    /// none, or when the tail does not reach back that far.
    pub fn merged_since(
        &self,
        aggregate: &Aggregate,
        view: &str,
        held: Position,
        to: u64,
    ) -> Option<Delta> {
        merge(&self.records(aggregate), view, held, to)
    }

    /// The newest position of a view that this node has seen. No reader may be shown an older one.
    pub fn floor(&self, aggregate: &Aggregate, view: &str) -> Option<Position> {
        self.records(aggregate).iter().rev().find_map(|record| {
            delta_of(record, view).map(|delta| Position { version: delta.to, ..record.position })
        })
    }

    /// Bytes of all tails.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Forgets all records, after some were lost. Positions and listening shards stay.
    pub fn clear(&self) {
        for entry in &self.tails {
            let mut tail = entry.value().lock().expect("no holder of a tail panics");
            self.bytes.fetch_sub(tail.drop_records(), Ordering::Relaxed);
        }
    }
}

fn merge(records: &[Arc<TailRecord>], view: &str, held: Position, to: u64) -> Option<Delta> {
    let mut merged: Option<Delta> = None;
    for record in records.iter().filter(|record| record.position.epoch == held.epoch) {
        let Some(delta) = delta_of(record, view) else { continue };
        if delta.to <= held.version || delta.to > to {
            continue;
        }
        match &mut merged {
            None if delta.from <= held.version && !delta.omitted => merged = Some(delta.clone()),
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

/// The delta of one view in a record.
pub fn delta_of<'a>(record: &'a TailRecord, view: &str) -> Option<&'a Delta> {
    let content = record.content()?;
    content.deltas.iter().find(|delta| delta.view == view).map(|delta| &delta.delta)
}

#[cfg(test)]
mod tests;
