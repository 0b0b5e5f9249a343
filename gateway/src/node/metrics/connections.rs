//! Metrics of the connections to PostgreSQL, read from their pool at each scrape.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{
    IntGaugeVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::backends::queries::Queries;

pub(crate) struct ConnectionMetrics {
    queries: Arc<dyn Queries>,
    metric: Mutex<IntGaugeVec>,
    descriptions: Vec<Desc>,
}

impl ConnectionMetrics {
    pub(crate) fn new(queries: Arc<dyn Queries>) -> prometheus::Result<Self> {
        let opts = Opts::new(
            "clinicwire_postgres_connections",
            "Connections to PostgreSQL by pool and state: used, idle, or free to be opened; and \
             the callers that wait for one.",
        );
        let metric = IntGaugeVec::new(opts, &["pool", "state"])?;
        let descriptions = metric.desc().into_iter().cloned().collect();
        Ok(Self { queries, metric: Mutex::new(metric), descriptions })
    }
}

impl Collector for ConnectionMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let metric = self.metric.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(counts) = self.queries.connections() else { return Vec::new() };
        for (state, count) in counts {
            let count = i64::try_from(count).unwrap_or(i64::MAX);
            metric.with_label_values(&["queries", state]).set(count);
        }
        metric.collect()
    }
}
