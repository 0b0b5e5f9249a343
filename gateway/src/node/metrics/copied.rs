//! Metrics of the parts of a node, read from them at each scrape.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use prometheus::{GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};
use telemetry::Tracer;

use super::Metrics;
use crate::{
    access::{audit::AuditCounts, revocations::Revocations},
    backends::{log::Log, queries::Queries},
};

fn exact(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Metrics {
    /// Exports how the clients of the log get on.
    pub(crate) fn export_log_clients(&self, log: Arc<dyn Log>) {
        let opts = Opts::new(
            "clinicwire_kafka_clients_replaced_total",
            "Clients of Kafka that made no progress and were replaced.",
        );
        let of = log.clone();
        self.copy(IntCounterVec::new(opts, &["client"]), move |replaced| {
            replaced.reset();
            for report in of.clients() {
                replaced.with_label_values(&[report.client]).inc_by(report.replaced);
            }
        });
        let opts = Opts::new(
            "clinicwire_kafka_client_silence_seconds",
            "How long a client of Kafka has owed progress without making any.",
        );
        self.copy(GaugeVec::new(opts, &["client"]), move |silence| {
            for report in log.clients() {
                silence.with_label_values(&[report.client]).set(report.silence.as_secs_f64());
            }
        });
    }

    /// Exports the spans of traces. They are zero for ever where nothing is traced.
    pub fn export_spans(&self, tracer: &Tracer) {
        let opts = Opts::new(
            "clinicwire_spans_total",
            "Spans of traces by result: exported, dropped because too many waited, or failed \
             because the collector did not take them.",
        );
        let counts = tracer.counts().cloned().unwrap_or_default();
        self.copy(IntCounterVec::new(opts, &["result"]), move |spans| {
            spans.reset();
            for (result, count) in counts.by_result() {
                spans.with_label_values(&[result]).inc_by(count.load(Relaxed));
            }
        });
    }

    /// Exports the connections to PostgreSQL, if the authority has any.
    pub(crate) fn export_connections(&self, queries: Arc<dyn Queries>) {
        let opts = Opts::new(
            "clinicwire_postgres_connections",
            "Connections to PostgreSQL by pool and state: used, idle, or free to be opened; and \
             the callers that wait for one.",
        );
        self.copy(IntGaugeVec::new(opts, &["pool", "state"]), move |connections| {
            for (state, count) in queries.connections().into_iter().flatten() {
                connections.with_label_values(&["queries", state]).set(exact(count));
            }
        });
    }

    /// Exports the entries of the audit.
    pub(crate) fn export_audit(&self, counts: &Arc<AuditCounts>) {
        let (written, waiting, lost) = (counts.clone(), counts.clone(), counts.clone());
        let made = IntCounter::new(
            "clinicwire_audit_entries_written_total",
            "Entries of the audit that the log has acknowledged.",
        );
        self.copy(made, move |counter| {
            counter.reset();
            counter.inc_by(written.written());
        });
        let made = IntGauge::new(
            "clinicwire_audit_notes_waiting",
            "Entries for which nobody waits, of refusals and of ends, that are not written yet.",
        );
        self.copy(made, move |gauge| gauge.set(exact(waiting.waiting_notes())));
        let made = IntCounter::new(
            "clinicwire_audit_notes_lost_total",
            "Entries of refusals and of ends that found no room while the log did not answer.",
        );
        self.copy(made, move |counter| {
            counter.reset();
            counter.inc_by(lost.lost_notes());
        });
    }

    /// Exports what the node knows of tenants and revocations.
    pub(crate) fn export_access(&self, revocations: &Arc<Revocations>) {
        let (held, tenants) = (revocations.clone(), revocations.clone());
        let made = IntGauge::new(
            "clinicwire_revocations_held",
            "Revocations that the node holds, each for as long as a token can live.",
        );
        self.copy(made, move |gauge| gauge.set(exact(held.count())));
        let opts = Opts::new(
            "clinicwire_tenants",
            "Tenants by state: created by a super admin, or suspended.",
        );
        self.copy(IntGaugeVec::new(opts, &["state"]), move |gauge| {
            for (state, count) in tenants.tenant_counts() {
                gauge.with_label_values(&[state]).set(exact(count));
            }
        });
    }
}
