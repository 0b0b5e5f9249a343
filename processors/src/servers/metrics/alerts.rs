//! The metrics of the sender of alerts.

use std::sync::Arc;

use prometheus::{Counter, Registry};

use super::copied::{add, add_labelled, seconds};
use crate::alerts::{AlertCounters, AlertResult};

pub(super) fn register_alerts(
    registry: &Registry,
    counters: &Arc<AlertCounters>,
) -> prometheus::Result<()> {
    let of = Arc::clone(counters);
    let attempts = (
        "clinicwire_alerts_total",
        "Attempts to send an alert to a phone, by result: sent, retried, failed, gone (the push \
         service has forgotten the phone) or expired (too old to be of use).",
        "result",
    );
    add_labelled(registry, attempts, move || {
        AlertResult::ALL.map(|result| (result.as_str(), of.results(result))).to_vec()
    })?;
    let of = Arc::clone(counters);
    let age = Counter::new(
        "clinicwire_alerts_age_seconds_total",
        "Time from the decision of a location to the answer of the push service, over all alerts \
         that were sent.",
    )?;
    add(registry, age, move |counter| {
        counter.reset();
        counter.inc_by(seconds(of.age_ms() * 1000));
    })
}
