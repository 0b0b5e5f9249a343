//! The metrics of the sender of webhooks.

use std::sync::Arc;

use prometheus::{Counter, Gauge, Registry};

use super::copied::{add, add_labelled, seconds};
use crate::webhooks::{AttemptResult, WebhookCounters, WebhookTotals};

pub(super) fn register_webhooks(
    registry: &Registry,
    counters: &Arc<WebhookCounters>,
) -> prometheus::Result<()> {
    let of = Arc::clone(counters);
    let attempts = (
        "clinicwire_webhook_attempts_total",
        "Attempts to send an event to a receiver, by result: sent, refused, gone (410), timed_out, \
         unreachable or forbidden (an address that webhooks may not be sent to).",
        "result",
    );
    add_labelled(registry, attempts, move || {
        AttemptResult::ALL.map(|result| (result.as_str(), of.results(result))).to_vec()
    })?;
    let of = Arc::clone(counters);
    let age = Counter::new(
        "clinicwire_webhook_age_seconds_total",
        "Time from the decision of an event to the answer of its receiver, over all that were \
         sent.",
    )?;
    add(registry, age, move |counter| {
        counter.reset();
        counter.inc_by(seconds(of.age_ms() * 1000));
    })?;
    let of = Arc::clone(counters);
    let dead = Counter::new(
        "clinicwire_webhook_dead_total",
        "Deliveries that this process made dead letters, after their attempts or by their age.",
    )?;
    add(registry, dead, move |counter| {
        counter.reset();
        counter.inc_by(of.dead() as f64);
    })?;
    type Read = fn(&WebhookTotals) -> f64;
    let totals: [(&str, &str, Read); 4] = [
        (
            "clinicwire_webhook_pending",
            "Deliveries that wait, of the whole installation.",
            |totals| totals.pending as f64,
        ),
        (
            "clinicwire_webhook_pending_age_seconds",
            "Time since the oldest waiting delivery of an active webhook was queued.",
            |totals| totals.oldest_ms as f64 / 1000.0,
        ),
        (
            "clinicwire_webhook_dead",
            "Dead letters that are kept, of the whole installation.",
            |totals| totals.dead as f64,
        ),
        (
            "clinicwire_webhook_failing",
            "Active webhooks whose last attempts failed, of the whole installation.",
            |totals| totals.failing as f64,
        ),
    ];
    for (name, help, read) in totals {
        let of = Arc::clone(counters);
        add(registry, Gauge::new(name, help)?, move |gauge| gauge.set(read(&of.totals())))?;
    }
    Ok(())
}
