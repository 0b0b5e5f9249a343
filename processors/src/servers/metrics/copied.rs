//! Metrics whose values are copied from counters at each scrape.

use prometheus::{IntCounterVec, Opts, Registry, core::Collector};
use telemetry::Copied;
use tokio::time::Instant;

pub(super) fn add<M: Collector + 'static>(
    registry: &Registry,
    metric: M,
    copy: impl Fn(&M) + Send + Sync + 'static,
) -> prometheus::Result<()> {
    registry.register(Box::new(Copied::new(metric, copy)))
}

/// A counter with one label, whose values are a closed set.
pub(super) fn add_labelled(
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
pub(super) fn add_total(
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
pub(super) fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

pub(super) fn age(since: Instant, now: Instant) -> f64 {
    now.saturating_duration_since(since).as_secs_f64()
}

#[expect(clippy::cast_precision_loss, reason = "offsets, counts and times are below 2^53")]
pub(super) fn exact(number: i64) -> f64 {
    number as f64
}
