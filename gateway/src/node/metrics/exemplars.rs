//! Exemplars: for each bucket of a histogram, the trace of the newest sampled request in it. They
//! are shown to scrapers that take OpenMetrics, whose text is made of the text of Prometheus.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use telemetry::TraceId;

/// The type of OpenMetrics 1.0.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The exemplar of each bucket that has one: no more than there are buckets.
#[derive(Default)]
pub(super) struct Exemplars(Mutex<HashMap<String, Exemplar>>);

struct Exemplar {
    trace: TraceId,
    value: f64,
    at: SystemTime,
}

/// The buckets of one histogram.
pub(super) struct BucketSeries<'a> {
    pub(super) name: &'static str,
    /// The labels in the order of the metric's text, each followed by a comma.
    pub(super) labels: String,
    /// The upper bounds, but for infinity.
    pub(super) bounds: &'a [f64],
}

impl Exemplars {
    /// Keeps the trace of an observation.
    pub(super) fn note(&self, series: &BucketSeries<'_>, value: f64, trace: TraceId) {
        let BucketSeries { name, labels, bounds } = series;
        let bound = bounds.iter().find(|bound| value <= **bound);
        let bound = bound.map_or_else(|| "+Inf".to_owned(), f64::to_string);
        let bucket = format!("{name}_bucket{{{labels}le=\"{bound}\"}}");
        let exemplar = Exemplar { trace, value, at: SystemTime::now() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(bucket, exemplar);
    }

    /// The text of Prometheus as OpenMetrics, with exemplars. The two differ in the names of
    /// counters, in quotes in help texts, and in the last line.
    pub(super) fn open_metrics(&self, text: &str) -> String {
        let exemplars = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut open = String::with_capacity(text.len() + 1024);
        for line in text.lines() {
            if let Some(described) = line.strip_prefix("# ") {
                open.push_str(&description(described));
            } else {
                open.push_str(line);
                let bucket = line.rsplit_once(' ').map_or(line, |(series, _)| series);
                if let Some(Exemplar { trace, value, at }) = exemplars.get(bucket) {
                    let at = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
                    open.push_str(&format!(" # {{trace_id=\"{trace}\"}} {value} {at:.3}"));
                }
            }
            open.push('\n');
        }
        open.push_str("# EOF\n");
        open
    }
}

/// A line with the type or the help of a metric. The name of a counter is without `_total` there.
fn description(line: &str) -> String {
    let mut parts = line.splitn(3, ' ');
    let mut next = || parts.next().unwrap_or_default();
    let (word, name, rest) = (next(), next(), next());
    let family = name.strip_suffix("_total").unwrap_or(name);
    let rest = if word == "HELP" { rest.replace('"', "\\\"") } else { rest.to_owned() };
    format!("# {word} {family} {rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_trace_is_shown_at_its_bucket() {
        let exemplars = Exemplars::default();
        let series = BucketSeries {
            name: "wait_seconds",
            labels: "route=\"/\",".into(),
            bounds: &[0.5, 1.0],
        };
        for (value, trace) in [(0.7, 1), (0.8, 2), (7.0, 3)] {
            exemplars.note(&series, value, TraceId(trace));
        }
        let text = "# HELP calls_total Calls of \"all\".\n# TYPE calls_total counter\n\
                    calls_total 7\n# TYPE wait_seconds histogram\n\
                    wait_seconds_bucket{route=\"/\",le=\"0.5\"} 0\n\
                    wait_seconds_bucket{route=\"/\",le=\"1\"} 2\n\
                    wait_seconds_bucket{route=\"/\",le=\"+Inf\"} 3\n";
        let open = exemplars.open_metrics(text);
        let lines: Vec<_> = open.lines().collect();
        assert_eq!(lines[0], "# HELP calls Calls of \\\"all\\\".");
        assert_eq!(lines[1..3], ["# TYPE calls counter", "calls_total 7"]);
        assert_eq!(lines[4], "wait_seconds_bucket{route=\"/\",le=\"0.5\"} 0");
        let second = "wait_seconds_bucket{route=\"/\",le=\"1\"} 2 \
                      # {trace_id=\"00000000000000000000000000000002\"} 0.8 ";
        assert!(lines[5].starts_with(second), "{}", lines[5]);
        assert!(lines[6].contains(" # {trace_id=\"00000000000000000000000000000003\"} 7 "));
        assert_eq!(lines[7..], ["# EOF"]);
    }
}
