//! The metrics of the worker that checks claims files.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use prometheus::{CounterVec, IntGauge, Opts, Registry};

use super::copied::{add, add_labelled, add_total, seconds};
use crate::worker::{AttemptResult, WorkerCounters};

/// Rules that tenants have stored share one label value, since their ids are the tenants' own.
pub(super) fn register_worker(
    registry: &Registry,
    checks: &Arc<WorkerCounters>,
) -> prometheus::Result<()> {
    let of = Arc::clone(checks);
    let attempts = (
        "clinicwire_worker_attempts_total",
        "Attempts at runs that ended on this worker, by result.",
        "ended",
    );
    add_labelled(registry, attempts, move || {
        AttemptResult::ALL.map(|result| (result.as_str(), of.ended(result))).to_vec()
    })?;
    let of = Arc::clone(checks);
    let running = IntGauge::new("clinicwire_worker_running", "Attempts under way on this worker.")?;
    add(registry, running, move |gauge| {
        gauge.set(i64::try_from(of.running.load(Relaxed)).unwrap_or(i64::MAX));
    })?;
    let of = Arc::clone(checks);
    let rule_seconds = Opts::new(
        "clinicwire_worker_rule_seconds_total",
        "Time of each rule, and of reading the file, in completed attempts.",
    );
    add(registry, CounterVec::new(rule_seconds, &["rule"])?, move |counter| {
        counter.reset();
        for (rule, micros) in of.rule_micros() {
            counter.with_label_values(&[&rule]).inc_by(seconds(micros));
        }
    })?;
    let of = Arc::clone(checks);
    add_total(
        registry,
        "clinicwire_worker_taken_total",
        "Runs taken by this worker.",
        move || of.taken.load(Relaxed),
    )?;
    let of = Arc::clone(checks);
    let help = "Rows checked in completed attempts.";
    add_total(registry, "clinicwire_worker_rows_total", help, move || of.rows.load(Relaxed))
}
