//! Sums of figures, as a manager reads them.

use std::collections::BTreeMap;

use schemas::figures::{
    CheckInMethod, LEAD_DAYS, MINUTES, Measure, Tally, TicketEnd, percentile_s,
};
use serde::Serialize;

use crate::backends::history::GroupedFigure;

/// Buckets of waits and services.
const TIMES: usize = MINUTES.len() + 1;
/// Buckets of lead times.
const LEADS: usize = LEAD_DAYS.len() + 1;

/// Counted times. Percentiles are exact to the width of their bucket (`docs/analytics.md`).
#[derive(Serialize, schemars::JsonSchema)]
pub(in crate::http) struct Times {
    count: i64,
    /// The mean in seconds. Absent without any.
    #[serde(skip_serializing_if = "Option::is_none")]
    mean_s: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p50_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p90_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p95_s: Option<u32>,
}

/// Appointments by the time between their first report and their start.
#[derive(Serialize, schemars::JsonSchema)]
pub(in crate::http) struct LeadTime {
    /// The shortest lead time in days. The next entry has the longer ones.
    days: u32,
    /// Appointments that took place.
    kept: i64,
    /// Appointments to which nobody came.
    missed: i64,
}

/// The sums of figures.
#[derive(Serialize, schemars::JsonSchema)]
pub(in crate::http) struct Summary {
    /// Tickets issued.
    arrived: i64,
    /// Tickets that came from another queue of the location.
    joined: i64,
    /// Tickets issued, by the way they were taken: `desk`, `poster`, `kiosk`, `transfer`,
    /// `program`.
    methods: BTreeMap<String, i64>,
    /// Waits from joining a queue to the first call there.
    wait: Times,
    /// Services that were completed or led to another queue.
    service: Times,
    /// Tickets that ended: `completed`, `no_show`, `left`, `cancelled`, `expired`, `transferred`.
    ended: BTreeMap<String, i64>,
    /// Tickets whose patients left, or did not come when they were called.
    abandoned: i64,
    /// Appointments that took place.
    kept: i64,
    /// Appointments to which nobody came.
    missed: i64,
    lead_times: Vec<LeadTime>,
}

/// Counts by measure and bucket.
struct Counts<'a>(BTreeMap<(Measure, u8), &'a Tally>);

impl Counts<'_> {
    fn bucket(&self, measure: Measure, bucket: usize) -> Tally {
        let bucket = u8::try_from(bucket).unwrap_or(u8::MAX);
        self.0.get(&(measure, bucket)).map_or_else(Tally::default, |tally| **tally)
    }

    fn times(&self, measure: Measure) -> Times {
        let mut all = Tally::default();
        let mut counts = [0; TIMES];
        for (bucket, count) in counts.iter_mut().enumerate() {
            let tally = self.bucket(measure, bucket);
            *count = tally.count;
            all.add(tally);
        }
        let at = |share| percentile_s(&counts, share);
        let mean_s = (all.count > 0).then(|| all.total_ms / all.count / 1000);
        Times { count: all.count, mean_s, p50_s: at(0.5), p90_s: at(0.9), p95_s: at(0.95) }
    }
}

/// The sums of each group, in the order of the keys.
pub(super) fn rows(figures: &[GroupedFigure]) -> Vec<(String, Summary)> {
    let mut groups = BTreeMap::<&str, Vec<&GroupedFigure>>::new();
    for figure in figures {
        groups.entry(&figure.key).or_default().push(figure);
    }
    groups.into_iter().map(|(key, group)| (key.to_owned(), summary(group))).collect()
}

fn summary<'a>(figures: impl IntoIterator<Item = &'a GroupedFigure>) -> Summary {
    let mut sums = BTreeMap::<(Measure, u8), Tally>::new();
    for figure in figures {
        sums.entry((figure.measure, figure.bucket)).or_default().add(figure.tally);
    }
    let counts = Counts(sums.iter().map(|(key, tally)| (*key, tally)).collect());
    let methods = CheckInMethod::ALL.iter().enumerate().map(|(bucket, method)| {
        (method.as_str().to_owned(), counts.bucket(Measure::Arrived, bucket).count)
    });
    let methods: BTreeMap<_, _> = methods.collect();
    let ends = || TicketEnd::ALL.iter().enumerate();
    let ended = |bucket| counts.bucket(Measure::Ended, bucket).count;
    let lead_times: Vec<LeadTime> = (0..LEADS)
        .map(|bucket| LeadTime {
            days: bucket.checked_sub(1).map_or(0, |last| LEAD_DAYS[last]),
            kept: counts.bucket(Measure::Kept, bucket).count,
            missed: counts.bucket(Measure::Missed, bucket).count,
        })
        .collect();
    Summary {
        arrived: methods.values().sum(),
        joined: counts.bucket(Measure::Joined, 0).count,
        methods,
        wait: counts.times(Measure::Waited),
        service: counts.times(Measure::Served),
        ended: ends().map(|(bucket, end)| (end.as_str().to_owned(), ended(bucket))).collect(),
        abandoned: ends()
            .filter(|(_, end)| end.is_abandoned())
            .map(|(bucket, _)| ended(bucket))
            .sum(),
        kept: lead_times.iter().map(|lead| lead.kept).sum(),
        missed: lead_times.iter().map(|lead| lead.missed).sum(),
        lead_times,
    }
}

impl Summary {
    /// The sum of all groups.
    pub(super) fn of(figures: &[GroupedFigure]) -> Self {
        summary(figures)
    }

    /// The titles of the columns of a table.
    pub(super) fn titles() -> Vec<String> {
        summary([]).columns().into_iter().map(|(title, _)| title).collect()
    }

    /// The cells of a line of a table.
    pub(super) fn cells(&self) -> Vec<String> {
        self.columns().into_iter().map(|(_, cell)| cell).collect()
    }

    fn columns(&self) -> Vec<(String, String)> {
        let mut columns = Vec::new();
        let mut add = |title: String, value: Option<i64>| {
            columns.push((title, value.map_or_else(String::new, |value| value.to_string())));
        };
        add("arrived".into(), Some(self.arrived));
        add("joined".into(), Some(self.joined));
        for (method, count) in &self.methods {
            add(format!("by_{method}"), Some(*count));
        }
        for (name, times) in [("wait", &self.wait), ("service", &self.service)] {
            add(format!("{name}_count"), Some(times.count));
            add(format!("{name}_mean_s"), times.mean_s);
            for (share, value) in [("p50", times.p50_s), ("p90", times.p90_s), ("p95", times.p95_s)]
            {
                add(format!("{name}_{share}_s"), value.map(i64::from));
            }
        }
        for (end, count) in &self.ended {
            add(format!("ended_{end}"), Some(*count));
        }
        add("abandoned".into(), Some(self.abandoned));
        add("kept".into(), Some(self.kept));
        add("missed".into(), Some(self.missed));
        for lead in &self.lead_times {
            add(format!("kept_from_{}_days", lead.days), Some(lead.kept));
            add(format!("missed_from_{}_days", lead.days), Some(lead.missed));
        }
        columns
    }
}
