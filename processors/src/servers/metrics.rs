//! `/metrics`, `/health/live` and `/health/ready`.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use prometheus::{
    Counter, CounterVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, TextEncoder,
    core::Collector, proto::MetricFamily,
};

use schemas::appointment::AppointmentChange;

use crate::{
    bridge,
    runner::RunnerCounters,
    worker::{self, AttemptResult},
};

/// What the routes tell of.
#[derive(Default)]
pub struct Health {
    pub counters: Arc<RunnerCounters>,
    pub checks: Arc<worker::WorkerCounters>,
    pub bridge: Arc<bridge::BridgeCounters>,
    /// Set while records are processed.
    pub ready: AtomicBool,
}

/// The routes; no one's data is behind them.
pub fn router(health: Arc<Health>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/health/live", get(async || "alive\n"))
        .route("/health/ready", get(ready))
        .with_state(health)
}

async fn ready(State(health): State<Arc<Health>>) -> (StatusCode, &'static str) {
    if health.ready.load(Relaxed) {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

async fn metrics(State(health): State<Arc<Health>>) -> Result<String, StatusCode> {
    families(&health.counters)
        .and_then(|families| {
            Ok([families, checks(&health.checks)?, passed(&health.bridge)?].concat())
        })
        .map(|mut families| {
            // A family whose labels nobody used yet has no line, which the encoder takes for a mistake.
            families.retain(|family| !family.get_metric().is_empty());
            families
        })
        .and_then(|families| TextEncoder::new().encode_to_string(&families))
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

/// The counters at this moment, in Prometheus' terms.
fn families(counters: &RunnerCounters) -> prometheus::Result<Vec<MetricFamily>> {
    let records = IntCounterVec::new(
        Opts::new("clinicwire_processor_records_total", "Records applied, by what became of them."),
        &["became"],
    )?;
    for (became, count) in [
        ("applied", &counters.applied),
        ("refused", &counters.refused),
        ("repeated", &counters.repeated),
        ("parked", &counters.parked),
    ] {
        records.with_label_values(&[became]).inc_by(count.load(Relaxed));
    }
    let facts = IntCounterVec::new(
        Opts::new(
            "clinicwire_processor_facts_total",
            "Facts of appointments by what they changed: nothing if repeated or stale, all but the status if overruled.",
        ),
        &["change"],
    )?;
    for change in AppointmentChange::ALL {
        facts.with_label_values(&[change.as_str()]).inc_by(counters.facts(change));
    }
    let offsets = IntGaugeVec::new(
        Opts::new("clinicwire_processor_next_offset", "The offset each partition goes on from."),
        &["topic", "partition"],
    )?;
    for ((topic, partition), offset) in counters.offsets() {
        offsets.with_label_values(&[topic, &partition.to_string()]).set(offset);
    }
    let seconds =
        Counter::new("clinicwire_processor_commit_seconds_total", "Time spent in transactions.")?;
    #[expect(clippy::cast_precision_loss, reason = "microseconds below 2^53 are 285 years")]
    seconds.inc_by(counters.commit_micros.load(Relaxed) as f64 / 1e6);

    let mut families =
        [records.collect(), facts.collect(), offsets.collect(), seconds.collect()].concat();
    for (name, help, count) in [
        ("clinicwire_processor_batches_total", "Transactions committed.", &counters.batches),
        (
            "clinicwire_processor_ticks_total",
            "Ticks written for timers that were due.",
            &counters.ticks,
        ),
        (
            "clinicwire_processor_views_dirtied_total",
            "Views the store lacked a step of.",
            &counters.dirtied,
        ),
        (
            "clinicwire_processor_views_repaired_total",
            "Views copied to the store from the ledger.",
            &counters.repaired,
        ),
    ] {
        families.extend(total(name, help, count)?);
    }
    Ok(families)
}

/// What became of runs; rules that tenants brought are one label together, as their ids are the tenants'.
fn checks(counters: &worker::WorkerCounters) -> prometheus::Result<Vec<MetricFamily>> {
    let ended = IntCounterVec::new(
        Opts::new("clinicwire_worker_attempts_total", "Attempts at runs, by how they ended here."),
        &["ended"],
    )?;
    for how in AttemptResult::ALL {
        ended.with_label_values(&[how.as_str()]).inc_by(counters.ended(how));
    }
    let running = IntGauge::new("clinicwire_worker_running", "Runs under way here.")?;
    running.set(i64::try_from(counters.running.load(Relaxed)).unwrap_or(i64::MAX));
    let rules = CounterVec::new(
        Opts::new(
            "clinicwire_worker_rule_seconds_total",
            "Time rules took, and reading the file, in runs that completed.",
        ),
        &["rule"],
    )?;
    for (rule, micros) in counters.rule_micros() {
        #[expect(clippy::cast_precision_loss, reason = "microseconds below 2^53 are 285 years")]
        rules.with_label_values(&[&rule]).inc_by(micros as f64 / 1e6);
    }
    let mut families = [ended.collect(), running.collect(), rules.collect()].concat();
    families.extend(total("clinicwire_worker_taken_total", "Runs taken.", &counters.taken)?);
    families.extend(total(
        "clinicwire_worker_rows_total",
        "Rows of runs that completed.",
        &counters.rows,
    )?);
    Ok(families)
}

/// What became of a source's records.
fn passed(counters: &bridge::BridgeCounters) -> prometheus::Result<Vec<MetricFamily>> {
    let records = IntCounterVec::new(
        Opts::new(
            "clinicwire_bridge_records_total",
            "Records of a source passed on, by what they became.",
        ),
        &["became"],
    )?;
    for (became, count) in [("command", &counters.commands), ("unreadable", &counters.unreadable)] {
        records.with_label_values(&[became]).inc_by(count.load(Relaxed));
    }
    Ok(records.collect())
}

fn total(name: &str, help: &str, count: &AtomicU64) -> prometheus::Result<Vec<MetricFamily>> {
    let counter = IntCounter::new(name, help)?;
    counter.inc_by(count.load(Relaxed));
    Ok(counter.collect())
}
