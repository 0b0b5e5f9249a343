//! `/metrics`, `/health/live` and `/health/ready`.

mod alerts;
mod audit;
mod connections;
mod copied;
mod maintenance;
mod runner;
mod webhooks;
mod worker;

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{Router, extract::State, http::StatusCode, routing::get};
use prometheus::{GaugeVec, Opts, Registry, TextEncoder};
use servers::kafka::ClientStatus;
use telemetry::{SpanCounts, Tracer};
use tokio::time::Instant;

use self::{
    connections::{Pools, register_connections},
    copied::{add, add_labelled},
    maintenance::register_maintenance,
};
use crate::{
    alerts::AlertCounters,
    audit::SinkCounters,
    bridge::BridgeCounters,
    runner::{Failure, FailureKind, RunnerCounters},
    servers::{archive::ArchiveCounters, maintenance::MaintenanceCounters},
    webhooks::WebhookCounters,
    worker::WorkerCounters,
};

/// The counters of a process, and the registry that exports them.
pub struct Health {
    /// Counters of the runners of both topics.
    pub counters: Arc<RunnerCounters>,
    /// Counters of the worker that checks claims files.
    pub checks: Arc<WorkerCounters>,
    /// Counters of the bridge.
    pub bridge: Arc<BridgeCounters>,
    /// Counters of the sink of the audit.
    pub audit: Arc<SinkCounters>,
    /// Counters of the maintenance of the database.
    pub maintenance: Arc<MaintenanceCounters>,
    /// Counters of the archive of the journal.
    pub archive: Arc<ArchiveCounters>,
    /// Counters of the sender of alerts.
    pub alerts: Arc<AlertCounters>,
    /// Counters of the sender of webhooks.
    pub webhooks: Arc<WebhookCounters>,
    /// Set while records are processed.
    pub ready: AtomicBool,
    /// The clients of Kafka in this process.
    clients: Arc<Mutex<Vec<Arc<ClientStatus>>>>,
    /// The pools of connections to PostgreSQL.
    pools: Pools,
    /// The counts of spans, once the process traces.
    spans: Arc<OnceLock<Arc<SpanCounts>>>,
    registry: Registry,
}

impl Default for Health {
    fn default() -> Self {
        let (counters, checks, bridge) = (Arc::default(), Arc::default(), Arc::default());
        let registry = Registry::new();
        register(&registry, &counters, &checks, &bridge).expect("series have valid, unique names");
        let (clients, ready) = (Arc::default(), AtomicBool::default());
        register_clients(&registry, &clients).expect("series have valid, unique names");
        let sink = Arc::default();
        audit::register_audit(&registry, &sink).expect("series have valid, unique names");
        let sender = Arc::default();
        alerts::register_alerts(&registry, &sender).expect("series have valid, unique names");
        let hooks = Arc::default();
        webhooks::register_webhooks(&registry, &hooks).expect("series have valid, unique names");
        let (spans, pools) = (Arc::default(), Pools::default());
        register_connections(&registry, &pools).expect("series have valid, unique names");
        register_spans(&registry, &spans).expect("series have valid, unique names");
        let (maintenance, archive) = (Arc::default(), Arc::default());
        register_maintenance(&registry, &maintenance, &archive)
            .expect("series have valid, unique names");
        let (audit, alerts, webhooks) = (sink, sender, hooks);
        Self {
            counters,
            checks,
            bridge,
            audit,
            maintenance,
            archive,
            alerts,
            webhooks,
            ready,
            clients,
            pools,
            spans,
            registry,
        }
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

    /// Exports the connections of a pool.
    pub fn watch_pool(
        &self,
        name: &'static str,
        connections: impl Fn() -> [(&'static str, usize); 4] + Send + Sync + 'static,
    ) {
        self.pools.add(name, connections);
    }

    /// Exports the counts of the spans of a tracer.
    pub fn count_spans(&self, tracer: &Tracer) {
        if let Some(counts) = tracer.counts() {
            self.spans.get_or_init(|| Arc::clone(counts));
        }
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

fn register(
    registry: &Registry,
    counters: &Arc<RunnerCounters>,
    checks: &Arc<WorkerCounters>,
    bridge: &Arc<BridgeCounters>,
) -> prometheus::Result<()> {
    runner::register_runner(registry, counters)?;
    worker::register_worker(registry, checks)?;
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

fn register_spans(
    registry: &Registry,
    spans: &Arc<OnceLock<Arc<SpanCounts>>>,
) -> prometheus::Result<()> {
    let of = Arc::clone(spans);
    let results = (
        "clinicwire_spans_total",
        "Spans of traces by result: exported, dropped because too many waited, or failed because \
         the collector did not take them.",
        "result",
    );
    add_labelled(registry, results, move || {
        let none = SpanCounts::default();
        let counts = of.get().map_or(&none, Arc::as_ref);
        counts.by_result().map(|(result, count)| (result, count.load(Relaxed))).to_vec()
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
