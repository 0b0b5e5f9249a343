//! Metrics whose values are copied from counters at each scrape.

use std::sync::{Mutex, PoisonError};

use prometheus::{
    core::{Collector, Desc},
    proto::MetricFamily,
};

/// A metric whose values are copied from counters at each scrape.
pub struct Copied<M> {
    /// Locked from the copy until the metric is collected, so that two scrapes do not mix.
    metric: Mutex<M>,
    descriptions: Vec<Desc>,
    copy: Box<dyn Fn(&M) + Send + Sync>,
}

impl<M: Collector> Copied<M> {
    /// `copy` sets the values of `metric`, and resets those of counters first.
    pub fn new(metric: M, copy: impl Fn(&M) + Send + Sync + 'static) -> Self {
        let descriptions = metric.desc().into_iter().cloned().collect();
        Self { metric: Mutex::new(metric), descriptions, copy: Box::new(copy) }
    }
}

impl<M: Collector> Collector for Copied<M> {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let metric = self.metric.lock().unwrap_or_else(PoisonError::into_inner);
        (self.copy)(&metric);
        metric.collect()
    }
}
