//! The spans of a batch: one for each sampled record, and below it one for each step of the batch.
//! The records that a sampled record causes carry the span of their publication, whose id is drawn
//! before the commit, since it is stored with them in the outbox.

use std::{
    collections::BTreeMap,
    time::{Instant, SystemTime},
};

use schemas::record::{CARE_TOPIC, RUNS_TOPIC, VIEWS_TOPIC};
use telemetry::{Attribute, Span, SpanKind, TraceContext, Tracer};

use crate::{
    ledger::{JournalEntry, JournalRow, OutboxRow},
    log::{LogOffset, LogRecord, PartitionId},
};

/// Most sampled records of one batch that have spans of their own: a batch of 500 sampled records
/// would fill the queue of spans. The others are in the traces of their gateways only.
const MAX_TRACED: usize = 32;

/// The sampled records of one batch. Without any, nothing is kept and no clock is read.
#[derive(Default)]
pub(super) struct BatchTraces {
    tracer: Tracer,
    records: BTreeMap<LogOffset, TracedRecord>,
    /// The ends of the steps so far. The first entry is the beginning of the batch.
    steps: Vec<(&'static str, SystemTime, Instant)>,
}

struct TracedRecord {
    /// The append of the record.
    parent: TraceContext,
    /// The work on the record.
    work: TraceContext,
    /// The publication of what the record causes.
    publication: TraceContext,
    result: &'static str,
}

/// The place of a batch, for the attributes of its spans.
#[derive(Clone, Copy)]
pub(super) struct BatchPlace {
    pub(super) topic: &'static str,
    pub(super) partition: PartitionId,
    pub(super) records: usize,
}

impl BatchTraces {
    /// Finds the sampled records of a batch that begins to be decided.
    pub(super) fn begin(tracer: &Tracer, records: &[&LogRecord]) -> Self {
        let traced = |record: &&LogRecord| {
            let parent = TraceContext::from_headers(&record.record.headers)?;
            Some((record.offset, TracedRecord::new(parent, tracer.is_on())))
        };
        let records: BTreeMap<_, _> = records.iter().filter_map(traced).take(MAX_TRACED).collect();
        let mut traces = Self { tracer: tracer.clone(), records, steps: Vec::new() };
        traces.note("");
        traces
    }

    /// Notes the end of a step.
    pub(super) fn note(&mut self, step: &'static str) {
        if self.tracer.is_on() && !self.records.is_empty() {
            self.steps.push((step, SystemTime::now(), Instant::now()));
        }
    }

    /// Lets the records that a batch publishes carry the contexts of their causes, and notes the
    /// results. Events for other systems carry none.
    pub(super) fn stamp(&mut self, journal: &[JournalRow], outbox: &mut [OutboxRow]) {
        if self.records.is_empty() {
            return;
        }
        for row in journal {
            if let Some(traced) = self.records.get_mut(&row.offset) {
                traced.result = result(&row.entry);
            }
        }
        // A batch may have taken fewer records than were read.
        let last = journal.last().map(|row| row.offset);
        self.records.retain(|offset, _| Some(*offset) <= last);
        for row in outbox {
            let is_ours = [VIEWS_TOPIC, CARE_TOPIC, RUNS_TOPIC].contains(&row.topic);
            if let Some(traced) = self.records.get(&row.offset).filter(|_| is_ours) {
                traced.publication.add_to(&mut row.record.headers);
            }
        }
    }

    /// Records the spans of a batch that was committed. The last step is its publication, unless
    /// that failed: then it follows later, with the same contexts.
    pub(super) fn finish(self, place: BatchPlace, is_published: bool) {
        let Some((_, begin, begun)) = self.steps.first().copied() else { return };
        let Some((.., ended)) = self.steps.last().copied() else { return };
        for (offset, traced) in &self.records {
            let attributes = vec![
                Attribute::Topic(place.topic),
                Attribute::Partition(place.partition.0),
                Attribute::Offset(offset.0),
                Attribute::Records(place.records as u64),
                Attribute::Result(traced.result),
            ];
            self.tracer.record(Span {
                context: traced.work.clone(),
                parent: Some(traced.parent.span),
                name: process_name(place.topic).into(),
                kind: SpanKind::Consumer,
                begin,
                took: ended - begun,
                attributes,
                has_failed: !is_published,
            });
            for pair in self.steps.windows(2) {
                let [(_, begin, begun), (step, _, ended)] = pair else { continue };
                let is_publication = *step == PUBLICATION;
                let context =
                    if is_publication { traced.publication.clone() } else { traced.work.child() };
                self.tracer.record(Span {
                    context,
                    parent: Some(traced.work.span),
                    name: (*step).into(),
                    kind: if is_publication { SpanKind::Producer } else { SpanKind::Internal },
                    begin: *begin,
                    took: *ended - *begun,
                    attributes: Vec::new(),
                    has_failed: is_publication && !is_published,
                });
            }
        }
    }
}

/// The step that publishes the outbox.
pub(super) const PUBLICATION: &str = "send clinicwire.views.v1";

fn process_name(topic: &'static str) -> &'static str {
    if topic == RUNS_TOPIC { "process clinicwire.runs.v1" } else { "process clinicwire.care.v1" }
}

impl TracedRecord {
    /// A process that records nothing passes the context on as it came, so that the trace does not
    /// break there.
    fn new(parent: TraceContext, is_recorded: bool) -> Self {
        let child = |of: &TraceContext| if is_recorded { of.child() } else { of.clone() };
        let work = child(&parent);
        let publication = child(&work);
        Self { parent, work, publication, result: "undecided" }
    }
}

/// The result of a record, as spans name it.
fn result(entry: &JournalEntry) -> &'static str {
    match entry {
        JournalEntry::Applied { .. } => "applied",
        JournalEntry::Refused { code, .. } | JournalEntry::Parked { code, .. } => code.as_str(),
        JournalEntry::Repeated => "repeated",
    }
}
