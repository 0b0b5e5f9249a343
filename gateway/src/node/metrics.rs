//! The metrics of a node. Label values come from closed sets and never contain an id, a name or a
//! subject, but for the tenants of `clinicwire_tenant_errors_total`.

mod copied;
mod exemplars;
mod intake;
mod requests;
mod results;
mod tls;

use prometheus::{
    Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, core::Collector,
};
use schemas::channel::Channel;
use telemetry::{Copied, TraceId};

pub use self::exemplars::OPEN_METRICS;
use self::{
    exemplars::{BucketSeries, Exemplars},
    intake::IntakeMetrics,
    requests::RequestMetrics,
    results::ResultCounters,
    tls::TlsMetrics,
};
use crate::readiness::{Condition, Readiness};

const DELAY_NAME: &str = "clinicwire_delivery_delay_seconds";
/// Buckets of the delivery delay: fine around the aim of 8 ms at the median and 15 ms at p99,
/// coarse above.
const DELAY_SECONDS: &[f64] = &[
    0.001, 0.002, 0.004, 0.006, 0.008, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
    5.0, 10.0,
];

/// One metric for each kind of channel.
pub struct PerKind<T>([T; Channel::KINDS.len()]);

impl<T> PerKind<T> {
    /// Makes the metric of each kind.
    fn new(of: impl Fn(&'static str) -> T) -> Self {
        Self(Channel::KINDS.map(of))
    }

    /// The metric of a channel's kind.
    pub fn for_channel(&self, channel: &Channel) -> &T {
        &self.0[channel.kind_index()]
    }
}

/// The transport of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// A WebSocket of the Centrifugal protocol.
    WebSocket,
    /// A stream of server-sent events.
    Sse,
    /// A Socket.IO session.
    SocketIo,
}

impl Transport {
    /// The label values, in the order of the variants.
    const NAMES: [&'static str; 3] = ["websocket", "sse", "socketio"];

    /// The name in labels and in lists of sessions.
    pub fn as_str(self) -> &'static str {
        Self::NAMES[self as usize]
    }
}

/// One metric for each transport.
pub struct PerTransport<T>([T; Transport::NAMES.len()]);

impl<T> PerTransport<T> {
    /// Makes the metric of each transport.
    fn new(of: impl Fn(&'static str) -> T) -> Self {
        Self(Transport::NAMES.map(of))
    }

    /// The metric of a transport.
    pub fn for_transport(&self, transport: Transport) -> &T {
        &self.0[transport as usize]
    }
}

/// Whole views fetched, by where they came from.
pub struct ViewFetches {
    /// The view came from the view store.
    pub store: IntCounter,
    /// The view came from the authority.
    pub authority: IntCounter,
    /// Neither the store nor the authority had the view.
    pub absent: IntCounter,
    /// The view was absent a moment ago, so nothing was read.
    pub remembered: IntCounter,
}

/// The node's metrics. Shards increment plain counters, which cost one atomic addition each.
pub struct Metrics {
    registry: Registry,
    /// Open connections.
    pub connections: PerTransport<IntGauge>,
    /// Connections opened since the start.
    pub connections_opened: PerTransport<IntCounter>,
    /// Open subscriptions.
    pub subscriptions: PerKind<IntGauge>,
    /// Publications delivered to connections.
    pub deliveries: PerTransport<IntCounter>,
    /// Bytes written to sockets.
    pub bytes_written: PerTransport<IntCounter>,
    /// Frames encoded; one serves many connections.
    pub frames_encoded: PerKind<IntCounter>,
    /// The time from the append of a record to the write of its frame.
    pub delivery_delay_seconds: Histogram,
    /// The intake of the topic of views.
    pub intake: IntakeMetrics,
    /// Clients whose position was lost, and that got the whole state instead.
    pub positions_reset: IntCounter,
    /// Views fetched for shards.
    pub view_fetches: ViewFetches,
    /// Sockets that the system refused, usually for want of descriptors.
    pub accept_failures: IntCounter,
    /// The certificate and its reloads.
    pub tls: TlsMetrics,
    requests: RequestMetrics,
    results: ResultCounters,
    exemplars: Exemplars,
    ready: IntGauge,
    conditions: IntGaugeVec,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Builds the metrics of one registry. Names and labels are literals, so a failure is a mistake in
/// this file that the first test finds.
struct Builder(Registry);

impl Builder {
    fn add<C: Collector + Clone + 'static>(&self, made: prometheus::Result<C>) -> C {
        let metric = made.expect("the metric's name and labels are well formed");
        self.0.register(Box::new(metric.clone())).expect("no two metrics have the same name");
        metric
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add(IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn transports(&self, name: &str, help: &str) -> PerTransport<IntCounter> {
        let by = self.counters(name, help, &["transport"]);
        PerTransport::new(|transport| by.with_label_values(&[transport]))
    }

    fn gauges(&self, name: &str, help: &str) -> PerTransport<IntGauge> {
        let by = self.add(IntGaugeVec::new(Opts::new(name, help), &["transport"]));
        PerTransport::new(|transport| by.with_label_values(&[transport]))
    }

    fn kinds(&self, name: &str, help: &str) -> PerKind<IntCounter> {
        let by = self.counters(name, help, &["kind"]);
        PerKind::new(|kind| by.with_label_values(&[kind]))
    }

    fn subscriptions(&self) -> PerKind<IntGauge> {
        let opts = Opts::new("clinicwire_subscriptions", "Channels followed by open connections.");
        let by = self.add(IntGaugeVec::new(opts, &["kind"]));
        PerKind::new(|kind| by.with_label_values(&[kind]))
    }

    fn view_fetches(&self) -> ViewFetches {
        let help = "Whole views fetched, by where they came from.";
        let by = self.counters("clinicwire_view_fetches_total", help, &["source"]);
        ViewFetches {
            store: by.with_label_values(&["store"]),
            authority: by.with_label_values(&["authority"]),
            absent: by.with_label_values(&["absent"]),
            remembered: by.with_label_values(&["remembered"]),
        }
    }
}

impl Metrics {
    /// The metrics of a node, all at zero.
    pub fn new() -> Self {
        let make = Builder(Registry::new());
        let delay = HistogramOpts::new(
            "clinicwire_delivery_delay_seconds",
            "Seconds from the log time of the record behind a step to the end of its fan-out in \
             one shard. One observation per step, view and shard in which a listener was sent a \
             frame; merged steps count from the newest record, and dashboards of \
             a location's load, whose steps wait on purpose, do not count.",
        );
        Self {
            connections: make.gauges("clinicwire_connections", "Open connections."),
            connections_opened: make
                .transports("clinicwire_connections_opened_total", "Connections accepted."),
            subscriptions: make.subscriptions(),
            deliveries: make
                .transports("clinicwire_deliveries_total", "Publications handed to sockets."),
            bytes_written: make
                .transports("clinicwire_bytes_written_total", "Bytes handed to sockets."),
            frames_encoded: make.kinds(
                "clinicwire_frames_encoded_total",
                "Publications encoded. A frame that many listeners of one form share counts once.",
            ),
            delivery_delay_seconds: make
                .add(Histogram::with_opts(delay.buckets(DELAY_SECONDS.to_vec()))),
            intake: make.intake(),
            positions_reset: make.add(IntCounter::new(
                "clinicwire_positions_reset_total",
                "Subscribes at a position that the authority has lost, answered by a snapshot.",
            )),
            view_fetches: make.view_fetches(),
            accept_failures: make.add(IntCounter::new(
                "clinicwire_accept_failures_total",
                "Sockets that the system refused, usually because descriptors ran out.",
            )),
            tls: make.tls(),
            requests: make.requests(),
            results: make.results(),
            exemplars: Exemplars::default(),
            ready: make
                .add(IntGauge::new("clinicwire_ready", "1 while this node takes new clients.")),
            conditions: make.add(IntGaugeVec::new(
                Opts::new(
                    "clinicwire_condition",
                    "1 while a condition of readiness holds: see docs/operations.md.",
                ),
                &["condition"],
            )),
            registry: make.0,
        }
    }

    /// Exports the metrics that another part of the node collects at each scrape.
    ///
    /// # Panics
    /// When a metric of its names exists, or its names are not well formed.
    fn export(&self, made: prometheus::Result<impl Collector + 'static>) {
        let collector = made.expect("the metrics' names and labels are well formed");
        self.registry.register(Box::new(collector)).expect("no two metrics have the same name");
    }

    /// Exports a metric whose values `copy` sets at each scrape.
    fn copy<C: Collector + 'static>(
        &self,
        made: prometheus::Result<C>,
        copy: impl Fn(&C) + Send + Sync + 'static,
    ) {
        self.export(made.map(|metric| Copied::new(metric, copy)));
    }

    /// Observes how old a step was when its listeners had been served. `trace` is that of a sampled
    /// record.
    pub fn delivery_delay(&self, seconds: f64, trace: Option<TraceId>) {
        self.delivery_delay_seconds.observe(seconds);
        if let Some(trace) = trace {
            let (name, labels) = (DELAY_NAME, String::new());
            let series = BucketSeries { name, labels, bounds: DELAY_SECONDS };
            self.exemplars.note(&series, seconds, trace);
        }
    }

    /// All metrics in the text format of OpenMetrics, with the traces of sampled requests.
    pub fn open_metrics(&self, readiness: &Readiness) -> String {
        self.exemplars.open_metrics(&self.text(readiness))
    }

    /// All metrics in the text format of Prometheus.
    pub fn text(&self, readiness: &Readiness) -> String {
        self.ready.set(i64::from(readiness.is_ready()));
        for condition in Condition::ALL {
            let gauge = self.conditions.with_label_values(&[condition.name()]);
            gauge.set(i64::from(readiness.holds(condition)));
        }
        let mut text = String::new();
        if let Err(error) = TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text) {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "the metrics could not be written"
            );
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use schemas::codes::{Close, Code};

    use super::*;

    #[test]
    fn every_metric_has_prefix_and_help() {
        let metrics = Metrics::new();
        metrics.close(Close::Slow);
        metrics.command("ticket.call", "applied");
        metrics.error(Code::Forbidden);
        metrics.deliveries.for_transport(Transport::WebSocket).inc_by(3);
        metrics.deliveries.for_transport(Transport::SocketIo).inc_by(4);
        metrics.upload(Ok(7));
        metrics.upload(Err(Code::TooLarge));
        metrics.http_request("/v1/queues/{queue}", http::StatusCode::OK);
        let text = metrics.text(&Readiness::default());
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.starts_with("clinicwire_"), "{line}");
        }
        let named = |kind: &str| text.lines().filter(|line| line.starts_with(kind)).count();
        assert_eq!(named("# HELP"), named("# TYPE"));
        for expected in [
            "clinicwire_closes_total{reason=\"slow\"} 1",
            "clinicwire_closes_total{reason=\"no pong\"} 0",
            "clinicwire_commands_total{kind=\"ticket.call\",result=\"applied\"} 1",
            "clinicwire_http_requests_total{route=\"/v1/queues/{queue}\",status=\"200\"} 1",
            "clinicwire_uploads_total{result=\"stored\"} 1",
            "clinicwire_uploads_total{result=\"too_large\"} 1",
            "clinicwire_upload_bytes_total 7",
            "clinicwire_connections{transport=\"sse\"} 0",
            "clinicwire_deliveries_total{transport=\"websocket\"} 3",
            "clinicwire_deliveries_total{transport=\"socketio\"} 4",
            "clinicwire_ready 0",
            "clinicwire_condition{condition=\"catching_up\"} 1",
            "clinicwire_condition{condition=\"store_down\"} 0",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
    }
}
