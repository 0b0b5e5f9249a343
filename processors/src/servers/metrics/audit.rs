//! The metrics of the sink of the audit.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use prometheus::{GaugeVec, Opts, Registry};
use schemas::Millis;
use tokio::time::Instant;

use super::copied::{add, add_total, age, exact};
use crate::audit::{SinkCounters, SinkStatus};

pub(super) fn register_audit(
    registry: &Registry,
    counters: &Arc<SinkCounters>,
) -> prometheus::Result<()> {
    let total = |name, help, count: fn(&SinkCounters) -> &AtomicU64| {
        let of = Arc::clone(counters);
        add_total(registry, name, help, move || count(&of).load(Relaxed))
    };
    total("clinicwire_audit_entries_stored_total", "Entries of the audit stored.", |of| {
        &of.written
    })?;
    total("clinicwire_audit_batches_total", "Committed batches of the audit.", |of| &of.batches)?;
    total(
        "clinicwire_audit_records_parked_total",
        "Records of the audit that cannot be read or stored, and were set aside.",
        |of| &of.parked,
    )?;
    total(
        "clinicwire_audit_chains_broken_total",
        "Chains whose last stored entry was not the one that was stored last, as of each claim.",
        |of| &of.broken,
    )?;
    total(
        "clinicwire_audit_days_dropped_total",
        "Days of the audit dropped because their retention was over.",
        |of| &of.dropped_days,
    )?;
    let gauge = |name, help, value: fn(&SinkStatus, Instant, Millis) -> f64| {
        let of = Arc::clone(counters);
        let gauge = GaugeVec::new(Opts::new(name, help), &["partition"])?;
        add(registry, gauge, move |gauge| {
            gauge.reset();
            let (now, wall) = (Instant::now(), jiff::Timestamp::now().as_millisecond());
            for (partition, status) in of.partitions() {
                gauge.with_label_values(&[&partition.to_string()]).set(value(&status, now, wall));
            }
        })
    };
    gauge(
        "clinicwire_audit_next_offset",
        "Offset after the last stored record of each partition of the audit.",
        |status, _, _| exact(status.next_offset.0),
    )?;
    gauge(
        "clinicwire_audit_lag_seconds",
        "Age of the oldest record of the audit that has arrived and is not stored; 0 when none is.",
        |status, _, wall| status.oldest_waiting.map_or(0.0, |at| exact((wall - at).max(0)) / 1e3),
    )?;
    gauge(
        "clinicwire_audit_failing_seconds",
        "How long entries of the partition could not be stored.",
        |status, now, _| status.failing_since.map_or(0.0, |since| age(since, now)),
    )
}
