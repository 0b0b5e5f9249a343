//! Metrics of the clients of the log, read from them at each scrape.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{
    GaugeVec, IntCounterVec, Opts,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use crate::backends::log::Log;

pub(crate) struct LogClients {
    log: Arc<dyn Log>,
    /// Locked from the copy until the metrics are collected, so that two scrapes do not mix.
    metrics: Mutex<(IntCounterVec, GaugeVec)>,
    descriptions: Vec<Desc>,
}

impl LogClients {
    pub(crate) fn new(log: Arc<dyn Log>) -> prometheus::Result<Self> {
        let replaced = Opts::new(
            "clinicwire_kafka_clients_replaced_total",
            "Clients of Kafka that made no progress and were replaced.",
        );
        let silence = Opts::new(
            "clinicwire_kafka_client_silence_seconds",
            "How long a client of Kafka has owed progress without making any.",
        );
        let replaced = IntCounterVec::new(replaced, &["client"])?;
        let silence = GaugeVec::new(silence, &["client"])?;
        let descriptions = replaced.desc().into_iter().chain(silence.desc()).cloned().collect();
        Ok(Self { log, metrics: Mutex::new((replaced, silence)), descriptions })
    }
}

impl Collector for LogClients {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        let (replaced, silence) = &*metrics;
        replaced.reset();
        for report in self.log.clients() {
            replaced.with_label_values(&[report.client]).inc_by(report.replaced);
            silence.with_label_values(&[report.client]).set(report.silence.as_secs_f64());
        }
        let mut families = replaced.collect();
        families.extend(silence.collect());
        families.retain(|family| !family.get_metric().is_empty());
        families
    }
}
