//! Metrics of the node's audit, read from its counts at each scrape.

use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{
    IntCounter, IntGauge,
    core::{Collector, Desc},
    proto::MetricFamily,
};

use super::AuditCounts;

/// The collector of a node's audit.
pub struct AuditMetrics {
    counts: Arc<AuditCounts>,
    /// Locked from the copy until the metrics are collected, so that two scrapes do not mix.
    metrics: Mutex<(IntCounter, IntGauge, IntCounter)>,
    descriptions: Vec<Desc>,
}

impl AuditMetrics {
    /// # Errors
    /// Never: the names are well formed.
    pub fn new(counts: Arc<AuditCounts>) -> prometheus::Result<Self> {
        let written = IntCounter::new(
            "clinicwire_audit_entries_written_total",
            "Entries of the audit that the log has acknowledged.",
        )?;
        let waiting = IntGauge::new(
            "clinicwire_audit_notes_waiting",
            "Entries for which nobody waits, of refusals and of ends, that are not written yet.",
        )?;
        let lost = IntCounter::new(
            "clinicwire_audit_notes_lost_total",
            "Entries of refusals and of ends that found no room while the log did not answer.",
        )?;
        let all = [written.desc(), waiting.desc(), lost.desc()].concat();
        let descriptions = all.into_iter().cloned().collect();
        Ok(Self { counts, metrics: Mutex::new((written, waiting, lost)), descriptions })
    }
}

impl Collector for AuditMetrics {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let metrics = self.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        let (written, waiting, lost) = &*metrics;
        written.reset();
        written.inc_by(self.counts.written());
        waiting.set(i64::try_from(self.counts.waiting_notes()).unwrap_or(i64::MAX));
        lost.reset();
        lost.inc_by(self.counts.lost_notes());
        [written.collect(), waiting.collect(), lost.collect()].concat()
    }
}
