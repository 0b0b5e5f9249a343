//! The metrics of the runners of both topics.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use prometheus::{GaugeVec, Opts, Registry};
use schemas::{Millis, appointment::AppointmentChange};
use tokio::time::Instant;

use super::copied::{add, add_labelled, add_total, age, exact, seconds};
use crate::runner::{Failure, FailureKind, PartitionStatus, RunnerCounters};

pub(super) fn register_runner(
    registry: &Registry,
    counters: &Arc<RunnerCounters>,
) -> prometheus::Result<()> {
    let of = Arc::clone(counters);
    let records = (
        "clinicwire_processor_records_total",
        "Records whose batch was committed, by result: applied, refused, repeated (its command was \
         answered before) or parked (it cannot be read).",
        "became",
    );
    add_labelled(registry, records, move || {
        let value = |count: &AtomicU64| count.load(Relaxed);
        vec![
            ("applied", value(&of.applied)),
            ("refused", value(&of.refused)),
            ("repeated", value(&of.repeated)),
            ("parked", value(&of.parked)),
        ]
    })?;
    let of = Arc::clone(counters);
    let aggregates = (
        "clinicwire_processor_aggregates_total",
        "Aggregates that batches needed, by where they came from: cache, or ledger (also new ones).",
        "source",
    );
    add_labelled(registry, aggregates, move || {
        let value = |count: &AtomicU64| count.load(Relaxed);
        vec![("cache", value(&of.cached)), ("ledger", value(&of.restored))]
    })?;
    let of = Arc::clone(counters);
    let facts = (
        "clinicwire_processor_facts_total",
        "Applied facts of appointments by what they changed: nothing when repeated or stale, all \
         but the status when overruled.",
        "change",
    );
    add_labelled(registry, facts, move || {
        AppointmentChange::ALL.map(|change| (change.as_str(), of.facts(change))).to_vec()
    })?;
    register_partitions(registry, counters)?;
    let of = Arc::clone(counters);
    let commit_seconds = prometheus::Counter::new(
        "clinicwire_processor_commit_seconds_total",
        "Time spent in transactions that commit batches.",
    )?;
    add(registry, commit_seconds, move |counter| {
        counter.reset();
        counter.inc_by(seconds(of.commit_micros.load(Relaxed)));
    })?;
    register_totals(registry, counters)
}

/// Counters without labels.
fn register_totals(registry: &Registry, counters: &Arc<RunnerCounters>) -> prometheus::Result<()> {
    let total = |name, help, count: fn(&RunnerCounters) -> &AtomicU64| {
        let of = Arc::clone(counters);
        add_total(registry, name, help, move || count(&of).load(Relaxed))
    };
    total("clinicwire_processor_batches_total", "Committed batches.", |of| &of.batches)?;
    total(
        "clinicwire_processor_view_steps_omitted_total",
        "Steps of views whose entries did not fit into a record, so that readers load the view.",
        |of| &of.omitted,
    )?;
    total(
        "clinicwire_processor_epoch_renewals_total",
        "Slices of aggregates that began a new epoch, because the database was older than what was \
         published.",
        |of| &of.renewals,
    )?;
    total(
        "clinicwire_processor_ticks_total",
        "Ticks appended to the log because a timer was due.",
        |of| &of.ticks,
    )?;
    total(
        "clinicwire_processor_views_dirtied_total",
        "Views marked dirty because the view store lacked a step.",
        |of| &of.dirtied,
    )?;
    total(
        "clinicwire_processor_views_repaired_total",
        "Views copied from the ledger to the view store.",
        |of| &of.repaired,
    )
}

/// Gauges of the partitions that this process owns. A partition that is revoked disappears.
fn register_partitions(
    registry: &Registry,
    counters: &Arc<RunnerCounters>,
) -> prometheus::Result<()> {
    let gauge = |name, help, value: fn(&PartitionStatus, Instant, Millis) -> f64| {
        let of = Arc::clone(counters);
        let gauge = GaugeVec::new(Opts::new(name, help), &["topic", "partition"])?;
        add(registry, gauge, move |gauge| {
            gauge.reset();
            let (now, wall) = (Instant::now(), jiff::Timestamp::now().as_millisecond());
            for ((topic, partition), status) in of.partitions() {
                let labels = [topic, &partition.to_string()];
                gauge.with_label_values(&labels).set(value(&status, now, wall));
            }
        })
    };
    gauge(
        "clinicwire_processor_next_offset",
        "Offset after the last committed record of each partition.",
        |status, _, _| exact(status.next_offset.0),
    )?;
    gauge(
        "clinicwire_processor_lag_seconds",
        "Age of the oldest record that has arrived and is not committed; 0 when none waits.",
        |status, _, wall| status.oldest_waiting.map_or(0.0, |at| exact((wall - at).max(0)) / 1e3),
    )?;
    gauge(
        "clinicwire_processor_outbox_oldest_seconds",
        "How long the oldest row of the outbox has waited for its publication.",
        |status, now, _| status.unpublished_since.map_or(0.0, |at| age(at, now)),
    )?;
    gauge(
        "clinicwire_processor_failing_seconds",
        "How long the partition has not advanced because a server fails or refuses.",
        |status, now, _| status.failing.map_or(0.0, |failing| age(failing.since, now)),
    )?;
    gauge(
        "clinicwire_processor_topic_replaced",
        "1 while the partition is not read, because its topic does not continue where it was \
         applied.",
        |status, _, _| {
            let is_held = |failing: Failure| matches!(failing.kind, FailureKind::Log(_));
            f64::from(u8::from(status.failing.is_some_and(is_held)))
        },
    )?;
    gauge(
        "clinicwire_processor_dirty_views",
        "Views that the view store lacks, as of the last look, which counts at most 50.",
        |status, _, _| exact(i64::try_from(status.dirty_views).unwrap_or(i64::MAX)),
    )?;
    let of = Arc::clone(counters);
    let published = prometheus::Gauge::new(
        "clinicwire_processor_last_publication_timestamp_seconds",
        "When the log last acknowledged what was decided, as Unix time; 0 before.",
    )?;
    add(registry, published, move |gauge| {
        gauge.set(exact(of.last_publication.load(Relaxed)) / 1e3);
    })
}
