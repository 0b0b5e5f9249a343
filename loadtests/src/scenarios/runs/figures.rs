//! The figures of all runs.

use super::{office::Run, viewers::ViewerFigures};
use crate::{breach::Breach, report::Report, target::clerks::Clerks};

/// The facts of one ended run.
struct RunFacts {
    tenant: usize,
    index: usize,
    accepted_us: i64,
    asked_us: i64,
    progress_us: Option<i64>,
    finding_us: Option<i64>,
    end_us: Option<i64>,
    /// By the server's clock: from the request to the last start, and from the last start to the
    /// end.
    in_line_ms: Option<f64>,
    under_way_ms: Option<f64>,
    attempts: u32,
    places: usize,
    rises: (u64, u32),
    pace: Option<(usize, i64)>,
    unchanged: u64,
    frames: u64,
    deliveries: usize,
    records: u64,
    losses: u64,
    run: String,
}

impl RunFacts {
    /// `settled_us`: when the last run was accepted.
    fn new(run: &Run, settled_us: i64) -> Option<Self> {
        let watch = run.follower.watch();
        let history = watch.history.as_ref()?;
        let head = history.head.as_ref();
        let between = |from: Option<i64>, to: Option<i64>| Some((to? - from?) as f64);
        let started = head.and_then(|head| head.started_at);
        Some(Self {
            tenant: run.request.tenant,
            index: run.request.index,
            accepted_us: run.accepted_us,
            asked_us: run.asked_us,
            progress_us: history.progress_us,
            finding_us: history.finding_us,
            end_us: history.end_us,
            in_line_ms: between(head.map(|head| head.requested_at), started),
            under_way_ms: between(started, head.and_then(|head| head.ended_at)),
            attempts: head.map_or(0, |head| head.attempt.0),
            places: history.places.len(),
            rises: history.rises(settled_us / 1000),
            pace: history.pace(),
            unchanged: history.unchanged,
            frames: watch.frames,
            deliveries: watch.samples.len(),
            records: watch.offset(),
            losses: watch.losses,
            run: run.run.clone(),
        })
    }

    fn since_accepted(&self, seen_us: Option<i64>) -> Option<f64> {
        seen_us.map(|seen| (seen - self.accepted_us) as f64 / 1e3)
    }
}

/// Reports all figures, and the breaches that only several runs together show.
pub fn report(
    runs: &[Run],
    rows: u64,
    clerks: &[Clerks],
    viewed: Option<&ViewerFigures>,
    report: &mut Report,
) {
    let settled_us = runs.iter().map(|run| run.accepted_us).max().unwrap_or(0);
    let facts: Vec<RunFacts> =
        runs.iter().filter_map(|run| RunFacts::new(run, settled_us)).collect();
    times(&facts, report);
    throughput(&facts, rows, report);
    line(&facts, clerks, report);
    wire(&facts, viewed, report);
}

fn times(facts: &[RunFacts], report: &mut Report) {
    let asked = facts.iter().map(|run| (run.accepted_us - run.asked_us) as f64 / 1e3);
    report.quantiles("asked_to_accepted", asked.collect());
    let since = |seen: fn(&RunFacts) -> Option<i64>| {
        facts.iter().filter_map(|run| run.since_accepted(seen(run))).collect()
    };
    report.quantiles("accepted_to_first_progress", since(|run| run.progress_us));
    report.quantiles("accepted_to_first_finding", since(|run| run.finding_us));
    report.quantiles("accepted_to_end", since(|run| run.end_us));
    report.quantiles("in_line", facts.iter().filter_map(|run| run.in_line_ms).collect());
    report.quantiles("under_way", facts.iter().filter_map(|run| run.under_way_ms).collect());
}

fn throughput(facts: &[RunFacts], rows: u64, report: &mut Report) {
    let ended: Vec<i64> = facts.iter().filter_map(|run| run.end_us).collect();
    report.figure("runs_over", ended.len() as f64, "");
    let (Some(first), Some(last)) =
        (facts.iter().map(|run| run.asked_us).min(), ended.iter().max())
    else {
        return;
    };
    let seconds = (last - first) as f64 / 1e6;
    report.figure("runs_per_second", ended.len() as f64 / seconds, "/s");
    report.figure("rows_per_second", (ended.len() as u64 * rows) as f64 / seconds, "/s");
    let again: u32 = facts.iter().map(|run| run.attempts.saturating_sub(1)).sum();
    report.figure("attempts_made_again", f64::from(again), "");
}

/// Reports places in line, and whether the tenants were served fairly.
fn line(facts: &[RunFacts], clerks: &[Clerks], report: &mut Report) {
    report.figure("places_told", facts.iter().map(|run| run.places).sum::<usize>() as f64, "");
    report.figure("places_that_rose", facts.iter().map(|run| run.rises.0).sum::<u64>() as f64, "");
    let most = facts.iter().map(|run| run.rises.1).max().unwrap_or(0);
    report.figure("places_rose_by_at_most", f64::from(most), "");
    if clerks.len() == 1 {
        // A single tenant has the line to itself, so no run may pass another.
        for run in facts.iter().filter(|run| run.rises.0 > 0) {
            let index = run.index;
            let detail = || format!("run {index}: its place in line rose by {}", run.rises.1);
            report.breaches.note(Breach::PositionRose, detail);
        }
        return;
    }
    let mut ended: Vec<(i64, usize)> =
        facts.iter().filter_map(|run| Some((run.end_us?, run.tenant))).collect();
    ended.sort_unstable();
    if ended.is_empty() {
        return;
    }
    report.figure("mean_place_if_fair", (ended.len() + 1) as f64 / 2.0, "");
    let order: Vec<usize> = ended.into_iter().map(|(_, tenant)| tenant).collect();
    for (clerks, place) in clerks.iter().zip(mean_places(&order, clerks.len())) {
        if let Some(place) = place {
            report.figure(&format!("mean_place_{}", clerks.tenant), place, "");
        }
    }
}

/// The mean place of each tenant in the order of ends. The first place is 1.
fn mean_places(order: &[usize], tenants: usize) -> Vec<Option<f64>> {
    let mean = |tenant: usize| {
        let places = || {
            order.iter().enumerate().filter(|(_, of)| **of == tenant).map(|(place, _)| place + 1)
        };
        let count = places().count();
        (count > 0).then(|| places().sum::<usize>() as f64 / count as f64)
    };
    (0..tenants).map(mean).collect()
}

/// Reports the records in the log, and the frames that clients received.
fn wire(facts: &[RunFacts], viewed: Option<&ViewerFigures>, report: &mut Report) {
    let all = |count: fn(&RunFacts) -> f64| facts.iter().map(count).collect::<Vec<_>>();
    spread(report, "records_of_a_run", &all(|run| run.records as f64));
    spread(report, "frames_of_a_run", &all(|run| run.frames as f64));
    let sum = |count: fn(&RunFacts) -> u64| facts.iter().map(count).sum::<u64>() as f64;
    report.figure("records_without_change", sum(|run| run.unchanged), "");
    report.figure("connections_lost", sum(|run| run.losses), "");
    let paces = || facts.iter().filter_map(|run| run.pace);
    report.figure(
        "progress_records_in_a_second_max",
        paces().map(|pace| pace.0).max().unwrap_or(0) as f64,
        "",
    );
    report.figure(
        "progress_silence_max_ms",
        paces().map(|pace| pace.1).max().unwrap_or(0) as f64,
        "ms",
    );
    let Some(viewed) = viewed else { return };
    if let Some(clerk) = facts.iter().find(|run| run.run == viewed.run) {
        report.figure("viewed_run_records", clerk.records as f64, "");
        report.figure("viewed_run_deliveries_to_its_clerk", clerk.deliveries as f64, "");
    }
    spread(report, "viewed_run_deliveries_to_a_viewer", &viewed.deliveries);
    spread(report, "viewed_run_frames_to_a_viewer", &viewed.frames);
    report.delays(&viewed.samples);
}

/// Reports minimum, mean and maximum.
fn spread(report: &mut Report, name: &str, values: &[f64]) {
    if values.is_empty() {
        return;
    }
    report.figure(&format!("{name}_min"), values.iter().copied().fold(f64::INFINITY, f64::min), "");
    report.figure(&format!("{name}_mean"), values.iter().sum::<f64>() / values.len() as f64, "");
    report.figure(&format!("{name}_max"), values.iter().copied().fold(0.0, f64::max), "");
}

#[cfg(test)]
mod tests {
    use super::mean_places;

    #[test]
    fn interleaved_tenants_have_equal_mean_places() {
        assert_eq!(mean_places(&[0, 1, 1, 0], 2), [Some(2.5), Some(2.5)]);
        assert_eq!(mean_places(&[0, 0, 1, 1], 3), [Some(1.5), Some(3.5), None]);
    }
}
