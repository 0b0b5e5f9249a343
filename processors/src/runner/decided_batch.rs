//! A batch between its decision and its commit.

use std::collections::HashMap;

use schemas::{Millis, ids::Aggregate};

use super::{
    batch::{BatchTally, BuiltBatch},
    traces::BatchTraces,
};
use crate::{aggregate::AggregateState, ledger::Batch, log::LogRecord};

/// A batch that is decided and not committed.
pub(super) struct DecidedBatch {
    pub(super) batch: Batch,
    pub(super) tally: BatchTally,
    /// The aggregates as they are after the commit.
    pub(super) aggregates: HashMap<Aggregate, AggregateState>,
    /// The latest append time of its records.
    pub(super) latest: Millis,
    /// Its sampled records.
    pub(super) traces: BatchTraces,
}

impl DecidedBatch {
    /// Creates the value from a built batch and the first of `records`, as many as the batch holds.
    pub(super) fn new(
        built: BuiltBatch,
        records: &[&LogRecord],
        aggregates: HashMap<Aggregate, AggregateState>,
        mut traces: BatchTraces,
    ) -> Self {
        let BuiltBatch { mut batch, records: count, tally } = built;
        traces.stamp(&batch.journal, &mut batch.outbox);
        traces.note("decide");
        let latest = records[..count].iter().map(|record| record.at).max();
        let latest = latest.expect("a batch holds at least one record");
        Self { batch, tally, aggregates, latest, traces }
    }
}
