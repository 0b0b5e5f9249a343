//! `/metrics`, `/health/live` and `/health/ready`.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use prometheus::{
    CounterVec, GaugeVec, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use schemas::{Millis, appointment::AppointmentChange};
use servers::kafka::ClientStatus;
use tokio::time::Instant;

use crate::{
    audit::{SinkCounters, SinkStatus},
    bridge,
    runner::{Failure, FailureKind, PartitionStatus, RunnerCounters},
    worker::{self, AttemptResult},
};

/// The counters of a process, and the registry that exports them.
pub struct Health {
    /// Counters of the runners of both topics.
    pub counters: Arc<RunnerCounters>,
    /// Counters of the worker that checks claims files.
    pub checks: Arc<worker::WorkerCounters>,
    /// Counters of the bridge.
    pub bridge: Arc<bridge::BridgeCounters>,
    /// Counters of the sink of the audit.
    pub audit: Arc<SinkCounters>,
    /// Set while records are processed.
    pub ready: AtomicBool,
    /// The clients of Kafka in this process.
    clients: Arc<Mutex<Vec<Arc<ClientStatus>>>>,
    registry: Registry,
}

impl Default for Health {
    fn default() -> Self {
        let (counters, checks, bridge) = (Arc::default(), Arc::default(), Arc::default());
        let registry = Registry::new();
        register(&registry, &counters, &checks, &bridge).expect("series have valid, unique names");
        let (clients, ready) = (Arc::default(), AtomicBool::default());
        register_clients(&registry, &clients).expect("series have valid, unique names");
        let audit = Arc::default();
        register_audit(&registry, &audit).expect("series have valid, unique names");
        Self { counters, checks, bridge, audit, ready, clients, registry }
    }
}

/// The routes. They show no patient's data.
pub fn router(health: Arc<Health>) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/health/live", get(async || "alive\n"))
        .route("/health/ready", get(ready))
        .with_state(health)
}

/// How long a partition may fail before the process says that it is not ready: longer than a
/// restart of a server, or the election of another leader.
const UNREADY_AFTER: Duration = Duration::from_secs(10);

impl Health {
    /// Adds clients of Kafka to readiness and metrics.
    pub fn watch(&self, clients: impl IntoIterator<Item = Arc<ClientStatus>>) {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner).extend(clients);
    }

    /// Why the process cannot do its work, a line each. Empty when it is ready.
    fn reasons(&self) -> Vec<String> {
        if !self.ready.load(Relaxed) {
            return vec!["not started, or stopping".to_owned()];
        }
        let now = Instant::now();
        let failing = self.counters.partitions().into_iter().filter_map(|(of, status)| {
            let Failure { since, kind } = status.failing?;
            let lasts = now.saturating_duration_since(since);
            (lasts > UNREADY_AFTER || !kind.may_pass()).then_some((of, kind, lasts))
        });
        let line = |((topic, partition), kind, lasts): (_, FailureKind, Duration)| {
            format!("{topic}/{partition}: {kind}, for {} s", lasts.as_secs())
        };
        let unclaimed = self.counters.unclaimed().into_iter().filter_map(|(topic, failure)| {
            let lasts = now.saturating_duration_since(failure.since);
            let (why, seconds) = (failure.kind, lasts.as_secs());
            let line = || format!("{topic}: partitions are missing: {why}, for {seconds} s");
            (lasts > UNREADY_AFTER).then(line)
        });
        let audit = self.audit.partitions().into_iter().filter_map(|(partition, status)| {
            let lasts = now.saturating_duration_since(status.failing_since?);
            let seconds = lasts.as_secs();
            let line = || format!("audit/{partition}: entries are not stored, for {seconds} s");
            (lasts > UNREADY_AFTER).then(line)
        });
        let clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        failing
            .map(line)
            .chain(unclaimed)
            .chain(audit)
            .chain(clients.iter().filter_map(|client| client.failure()))
            .collect()
    }
}

async fn ready(State(health): State<Arc<Health>>) -> (StatusCode, String) {
    let reasons = health.reasons();
    if reasons.is_empty() {
        (StatusCode::OK, "ready\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("not ready\n{}\n", reasons.join("\n")))
    }
}

async fn metrics(State(health): State<Arc<Health>>) -> Result<String, StatusCode> {
    TextEncoder::new()
        .encode_to_string(&health.registry.gather())
        .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
}

/// A metric whose values are copied from counters at each scrape.
struct CopiedMetric<M> {
    /// Locked from the copy until the metric is collected, so that two scrapes do not mix.
    metric: Mutex<M>,
    descriptions: Vec<Desc>,
    copy: Box<dyn Fn(&M) + Send + Sync>,
}

impl<M: Collector> Collector for CopiedMetric<M> {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let metric = self.metric.lock().unwrap_or_else(PoisonError::into_inner);
        (self.copy)(&metric);
        metric.collect()
    }
}

fn add<M: Collector + 'static>(
    registry: &Registry,
    metric: M,
    copy: impl Fn(&M) + Send + Sync + 'static,
) -> prometheus::Result<()> {
    let descriptions = metric.desc().into_iter().cloned().collect();
    let (metric, copy) = (Mutex::new(metric), Box::new(copy));
    registry.register(Box::new(CopiedMetric { metric, descriptions, copy }))
}

/// A counter with one label, whose values are a closed set.
fn add_labelled(
    registry: &Registry,
    (name, help, label): (&str, &str, &str),
    values: impl Fn() -> Vec<(&'static str, u64)> + Send + Sync + 'static,
) -> prometheus::Result<()> {
    let counter = IntCounterVec::new(Opts::new(name, help), &[label])?;
    add(registry, counter, move |counter| {
        counter.reset();
        for (label, value) in values() {
            counter.with_label_values(&[label]).inc_by(value);
        }
    })
}

/// A counter without labels.
fn add_total(
    registry: &Registry,
    name: &str,
    help: &str,
    value: impl Fn() -> u64 + Send + Sync + 'static,
) -> prometheus::Result<()> {
    add(registry, prometheus::IntCounter::new(name, help)?, move |counter| {
        counter.reset();
        counter.inc_by(value());
    })
}

#[expect(clippy::cast_precision_loss, reason = "microseconds below 2^53 are 285 years")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

fn register(
    registry: &Registry,
    counters: &Arc<RunnerCounters>,
    checks: &Arc<worker::WorkerCounters>,
    bridge: &Arc<bridge::BridgeCounters>,
) -> prometheus::Result<()> {
    register_runner(registry, counters)?;
    register_worker(registry, checks)?;
    let bridge = Arc::clone(bridge);
    let records = (
        "clinicwire_bridge_records_total",
        "Records of a source that care has acknowledged: as a command, or as unreadable.",
        "became",
    );
    add_labelled(registry, records, move || {
        let value = |count: &AtomicU64| count.load(Relaxed);
        vec![("command", value(&bridge.commands)), ("unreadable", value(&bridge.unreadable))]
    })
}

/// Readiness and silence of each client of Kafka.
fn register_clients(
    registry: &Registry,
    clients: &Arc<Mutex<Vec<Arc<ClientStatus>>>>,
) -> prometheus::Result<()> {
    let of = Arc::clone(clients);
    let replaced = (
        "clinicwire_kafka_clients_replaced_total",
        "Clients of Kafka that made no progress and were replaced.",
        "client",
    );
    add_labelled(registry, replaced, move || {
        let clients = of.lock().unwrap_or_else(PoisonError::into_inner);
        clients.iter().map(|client| (client.name, client.replaced())).collect()
    })?;
    let of = Arc::clone(clients);
    let silence = Opts::new(
        "clinicwire_kafka_client_silence_seconds",
        "How long a client of Kafka has owed progress without making any.",
    );
    add(registry, GaugeVec::new(silence, &["client"])?, move |gauge| {
        for client in of.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            gauge.with_label_values(&[client.name]).set(client.silence().as_secs_f64());
        }
    })
}

fn register_runner(registry: &Registry, counters: &Arc<RunnerCounters>) -> prometheus::Result<()> {
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

/// The sink of the audit.
fn register_audit(registry: &Registry, counters: &Arc<SinkCounters>) -> prometheus::Result<()> {
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

fn age(since: Instant, now: Instant) -> f64 {
    now.saturating_duration_since(since).as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "offsets, counts and times are below 2^53")]
fn exact(number: i64) -> f64 {
    number as f64
}

/// Rules that tenants have stored share one label value, since their ids are the tenants' own.
fn register_worker(
    registry: &Registry,
    checks: &Arc<worker::WorkerCounters>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrape_shows_current_counts_once() {
        let health = Health::default();
        health.counters.applied.fetch_add(2, Relaxed);
        for _ in 0..2 {
            let text = TextEncoder::new().encode_to_string(&health.registry.gather()).unwrap();
            for line in [
                "clinicwire_processor_records_total{became=\"applied\"} 2",
                "clinicwire_processor_batches_total 0",
                "clinicwire_worker_running 0",
                "clinicwire_bridge_records_total{became=\"command\"} 0",
            ] {
                assert_eq!(text.matches(line).count(), 1, "{line}: {text}");
            }
        }
    }
}
