//! Metrics of the spans of traces, read from their counts at each scrape.

use std::sync::{Arc, Mutex, PoisonError, atomic::Ordering::Relaxed};

use prometheus::{
    IntCounterVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};
use telemetry::{SpanCounts, Tracer};

/// The collector of a node's spans.
pub struct SpanMetrics {
    /// Zero for ever where nothing is traced.
    counts: Arc<SpanCounts>,
    /// Locked from the copy until the metrics are collected, so that two scrapes do not mix.
    metric: Mutex<IntCounterVec>,
    descriptions: Vec<Desc>,
}

impl SpanMetrics {
    /// # Errors
    /// Never: the names are well formed.
    pub fn new(tracer: &Tracer) -> prometheus::Result<Self> {
        let opts = Opts::new(
            "clinicwire_spans_total",
            "Spans of traces by result: exported, dropped because too many waited, or failed \
             because the collector did not take them.",
        );
        let metric = IntCounterVec::new(opts, &["result"])?;
        let descriptions = metric.desc().into_iter().cloned().collect();
        let counts = tracer.counts().cloned().unwrap_or_default();
        Ok(Self { counts, metric: Mutex::new(metric), descriptions })
    }
}

impl Collector for SpanMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let metric = self.metric.lock().unwrap_or_else(PoisonError::into_inner);
        metric.reset();
        for (result, count) in self.counts.by_result() {
            metric.with_label_values(&[result]).inc_by(count.load(Relaxed));
        }
        metric.collect()
    }
}
