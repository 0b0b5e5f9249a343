//! Rate, errors and duration of HTTP requests, by route and by tenant.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use http::StatusCode;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec};
use schemas::ids::TenantId;
use telemetry::TraceId;

use super::{Builder, Metrics, exemplars::BucketSeries};

/// Buckets of the time of a request: around the aims for commands (25 ms at p95, 40 ms under load)
/// and the two seconds for which a command waits.
const SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.04, 0.06, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];
/// Most tenants with a series of their own: the first ones with an error since the start. The
/// errors of all others are counted together as [`OTHERS`].
const MAX_TENANTS: usize = 50;
/// No tenant has this name, since ids have no spaces.
const OTHERS: &str = "all others";
const SECONDS_NAME: &str = "clinicwire_http_request_seconds";

pub(super) struct RequestMetrics {
    total: IntCounterVec,
    seconds: HistogramVec,
    tenant_errors: IntCounterVec,
    /// Tenants with a series of their own.
    tenants: Mutex<BTreeSet<TenantId>>,
}

impl Builder {
    pub(super) fn requests(&self) -> RequestMetrics {
        let seconds = HistogramOpts::new(
            "clinicwire_http_request_seconds",
            "Seconds from the head of a request to the head of its answer, by route and class of \
             the status.",
        );
        let seconds = seconds.buckets(SECONDS.to_vec());
        RequestMetrics {
            total: self.counters(
                "clinicwire_http_requests_total",
                "HTTP requests by route and status.",
                &["route", "status"],
            ),
            seconds: self.add(HistogramVec::new(seconds, &["class", "route"])),
            tenant_errors: self.counters(
                "clinicwire_tenant_errors_total",
                "HTTP requests of a tenant that were answered with an error, by class of the \
                 status. The first 50 tenants with an error since the start have a series each.",
                &["tenant", "class"],
            ),
            tenants: Mutex::default(),
        }
    }
}

/// The class of a status, as labels name it.
fn class(status: StatusCode) -> &'static str {
    match status.as_u16() {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}

impl Metrics {
    /// Counts a request. `route` is a pattern of the router, never a path.
    pub fn http_request(&self, route: &str, status: StatusCode) {
        self.requests.total.with_label_values(&[route, status.as_str()]).inc();
    }

    /// Observes how long the answer to a request took. `trace` is that of a sampled request.
    pub fn http_duration(
        &self,
        route: &str,
        status: StatusCode,
        took: Duration,
        trace: Option<TraceId>,
    ) {
        let (class, took) = (class(status), took.as_secs_f64());
        self.requests.seconds.with_label_values(&[class, route]).observe(took);
        if let Some(trace) = trace {
            let labels = format!("class=\"{class}\",route=\"{route}\",");
            let series = BucketSeries { name: SECONDS_NAME, labels, bounds: SECONDS };
            self.exemplars.note(&series, took, trace);
        }
    }

    /// Counts an answer with an error to a caller of a tenant.
    pub fn tenant_error(&self, tenant: &TenantId, status: StatusCode) {
        let mut tenants = self.requests.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let is_own = tenants.contains(tenant)
            || (tenants.len() < MAX_TENANTS && tenants.insert(tenant.clone()));
        drop(tenants);
        let label = if is_own { tenant.as_str() } else { OTHERS };
        self.requests.tenant_errors.with_label_values(&[label, class(status)]).inc();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::readiness::Readiness;

    #[test]
    fn only_first_tenants_have_series_of_their_own() {
        let metrics = Metrics::new();
        for number in 0..MAX_TENANTS + 2 {
            let tenant = TenantId::new(format!("clinic-{number}")).unwrap();
            metrics.tenant_error(&tenant, StatusCode::SERVICE_UNAVAILABLE);
            metrics.tenant_error(&tenant, StatusCode::NOT_FOUND);
        }
        let text = metrics.text(&Readiness::default());
        let named = |line: &str| line.starts_with("clinicwire_tenant_errors_total{");
        assert_eq!(text.lines().filter(|line| named(line)).count(), 2 * (MAX_TENANTS + 1));
        for line in [
            r#"clinicwire_tenant_errors_total{class="5xx",tenant="clinic-49"} 1"#,
            r#"clinicwire_tenant_errors_total{class="4xx",tenant="all others"} 2"#,
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
