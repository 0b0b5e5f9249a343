use std::time::Duration;

use proptest::prelude::*;
use schemas::{
    finding::{Finding, FindingOutcome},
    rule::Severity,
    run::{FindingCounts, RuleTally, RunPhase, SHOWN_FINDINGS},
};

use testing::records::runs::rule;

use super::{CheckProgress, Reporting};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn finding(row: u64) -> Finding {
    let (severity, outcome) = (Severity::Error, FindingOutcome::RequiredMissing);
    Finding { row, rule: rule("a"), severity, outcome, params: Default::default(), cents: 0 }
}

fn errors(error: u64) -> RuleTally {
    RuleTally { counts: FindingCounts { error, ..FindingCounts::default() }, took_us: None }
}

fn reading(rows: u64, bytes: u64) -> CheckProgress {
    CheckProgress { rows, bytes, concluded: None }
}

fn concluding(rows: u64, bytes: u64, done: u32, of: u32) -> CheckProgress {
    CheckProgress { rows, bytes, concluded: Some((done, of)) }
}

/// A reporting that reported its start at 0.
fn begun(bytes: u64) -> Reporting {
    let mut reporting = Reporting::new(bytes);
    reporting.report(ms(0));
    reporting
}

#[test]
fn start_is_reported_at_once() {
    let mut reporting = Reporting::new(1_000);
    assert_eq!(reporting.due(), Some(ms(0)));
    let report = reporting.report(ms(3));
    assert_eq!((report.progress.phase, report.progress.permille), (RunPhase::Reading, 0));
    assert_eq!(report.progress.bytes_total, 1_000);
    assert!(report.rules.is_empty() && report.findings.is_empty());
    assert_eq!(reporting.due(), None, "there is nothing more to report");
}

#[test]
fn progress_is_reported_every_quarter_second() {
    let mut reporting = begun(1_000);
    reporting.see(ms(10), reading(5, 100), &[]);
    assert_eq!(reporting.due(), Some(ms(250)));
    reporting.see(ms(200), reading(50, 300), &[]);
    assert_eq!(reporting.due(), Some(ms(250)), "changes until then are part of the report");
    let report = reporting.report(ms(250));
    assert_eq!((report.progress.rows_done, report.progress.bytes_done), (50, 300));
    assert_eq!(report.progress.permille, 270);
    reporting.see(ms(260), reading(50, 300), &[]);
    assert_eq!(reporting.due(), None, "no progress, no report");
    reporting.see(ms(1_900), reading(51, 301), &[]);
    assert!(reporting.due() <= Some(ms(1_900)), "after a long pause, a change is reported at once");
}

#[test]
fn first_finding_and_phases_are_reported_at_once() {
    let mut reporting = begun(1_000);
    reporting.see(ms(20), reading(10, 100), &[finding(7)]);
    assert_eq!(reporting.due(), Some(ms(0)));
    assert_eq!(reporting.report(ms(20)).findings, [finding(7)]);
    reporting.see(ms(30), reading(20, 200), &[finding(17)]);
    assert_eq!(reporting.due(), Some(ms(270)), "the second is not the first");
    reporting.see(ms(40), concluding(30, 1_000, 0, 2), &[]);
    assert_eq!(reporting.due(), Some(ms(0)));
    let report = reporting.report(ms(40));
    assert_eq!((report.progress.phase, report.progress.permille), (RunPhase::Concluding, 900));
    assert_eq!(report.progress.rows_total, Some(30));
    reporting.see(ms(50), concluding(30, 1_000, 1, 2), &[]);
    assert_eq!(reporting.due(), Some(ms(290)));
    reporting.store(ms(60));
    assert_eq!(reporting.due(), Some(ms(0)));
    let report = reporting.report(ms(60));
    assert_eq!((report.progress.phase, report.progress.permille), (RunPhase::Storing, 950));
    let last = reporting.last_report(ms(70));
    assert_eq!((last.progress.permille, last.progress.bytes_done), (1_000, 1_000));
    assert_eq!(last.progress.eta_ms, None);
}

#[test]
fn report_has_only_changes_since_last() {
    let mut reporting = begun(1_000);
    let (a, b) = (rule("a"), rule("b"));
    reporting.tallies([(&a, &errors(2)), (&b, &RuleTally::default())]);
    let report = reporting.report(ms(300));
    assert_eq!(
        report.rules.keys().collect::<Vec<_>>(),
        [&a],
        "a rule without a change has no entry"
    );
    assert_eq!(report.counts.error, 2);
    let ended = RuleTally { took_us: Some(12), ..errors(0) };
    reporting.tallies([(&a, &errors(2)), (&b, &ended)]);
    let report = reporting.report(ms(600));
    assert_eq!(report.rules, [(b.clone(), ended)].into());
    assert_eq!(report.counts.error, 2, "counts always cover all rules");
    reporting.tallies([(&a, &errors(2)), (&b, &ended)]);
    assert_eq!(reporting.due(), None);
}

#[test]
fn first_hundred_findings_are_reported_once_in_order() {
    let mut reporting = begun(1_000);
    let found: Vec<Finding> = (1..=250).map(finding).collect();
    let mut shown = Vec::new();
    for (found, at) in found.chunks(30).zip(0..) {
        reporting.see(ms(at * 300), reading(at, at), found);
        shown.extend(reporting.report(ms(at * 300)).findings);
    }
    shown.extend(reporting.last_report(ms(9_000)).findings);
    assert_eq!(shown, found[..SHOWN_FINDINGS]);
}

#[test]
fn time_left_follows_rate_after_two_seconds() {
    let mut reporting = begun(100_000);
    let mut reports = Vec::new();
    for tick in 1..=30 {
        // A thousand bytes and twenty rows each tenth of a second: ten seconds for the whole file.
        reporting.see(ms(tick * 100), reading(tick * 20, tick * 1_000), &[]);
        reports.push((tick, reporting.report(ms(tick * 100)).progress));
    }
    for (tick, progress) in reports {
        assert_eq!(progress.eta_ms.is_some(), tick >= 20, "at {tick}");
        if let Some(eta) = progress.eta_ms {
            // Reading is 900 of 1000 thousandths, so the whole takes ten ninths of the reading
            // time.
            let left = (100 - tick) * 100 + 1_111;
            assert!(eta.abs_diff(left) <= left / 20, "at {tick}: {eta} instead of {left}");
        }
        assert!((190..=210).contains(&progress.rows_per_s), "at {tick}: {}", progress.rows_per_s);
    }
}

#[test]
fn rate_is_smoothed() {
    let mut reporting = begun(1_000_000);
    for tick in 1..=20 {
        reporting.see(ms(tick * 100), reading(tick * 100, tick * 100), &[]);
    }
    // A second without a row, and then one step.
    reporting.see(ms(3_000), reading(2_001, 2_001), &[]);
    let rate = reporting.report(ms(3_000)).progress.rows_per_s;
    assert!((500..1_000).contains(&rate), "it falls, and not at once: {rate}");
}

fn steps() -> impl Strategy<Value = Vec<(u64, u64, u64, usize, bool)>> {
    // Milliseconds, rows, bytes, findings, and whether a report is taken.
    prop::collection::vec((0..800_u64, 0..500_u64, 0..9_000_u64, 0..9_usize, any::<bool>()), 1..80)
}

proptest! {
    /// This holds for any check and any speed of the log.
    #[test]
    fn reports_never_fall_or_come_too_often(steps in steps(), rules in 0..5_u32) {
        let mut reporting = Reporting::new(200_000);
        let (mut now, mut rows, mut bytes, mut found) = (0, 0, 0, 0);
        let mut reports = vec![(0, reporting.report(ms(0)))];
        let reach = |reporting: &mut Reporting, now, reached, more: usize, found: &mut u64| {
            let findings: Vec<Finding> = (0..more as u64).map(|n| finding(*found + n)).collect();
            *found += more as u64;
            reporting.see(ms(now), reached, &findings);
            reporting.tallies([(&rule("a"), &errors(*found))]);
        };
        for (passed, more_rows, more_bytes, more, take) in steps {
            (now, rows, bytes) = (now + passed, rows + more_rows, bytes + more_bytes);
            reach(&mut reporting, now, reading(rows, bytes), more, &mut found);
            if let Some(due) = reporting.due() {
                prop_assert!(due <= ms(now) + ms(250), "a change waits a quarter second at most");
                if take && due <= ms(now) {
                    reports.push((now, reporting.report(ms(now))));
                }
            }
        }
        for done in 0..=rules {
            now += 10;
            reach(&mut reporting, now, concluding(rows, bytes, done, rules), 1, &mut found);
        }
        reporting.store(ms(now));
        reports.push((now, reporting.last_report(ms(now))));
        let (_, last) = reports.last().unwrap();
        prop_assert_eq!(last.progress.permille, 1_000);
        prop_assert_eq!(last.counts.error, found);
        for pair in reports.windows(2) {
            let [(_, one), (_, next)] = pair else { unreachable!("windows of two") };
            prop_assert!(one.progress.permille <= next.progress.permille);
            prop_assert!(one.progress.rows_done <= next.progress.rows_done);
            prop_assert!(one.progress.bytes_done <= next.progress.bytes_done);
            prop_assert!(one.progress.phase <= next.progress.phase);
        }
        let findings = reports.iter().flat_map(|(_, report)| &report.findings);
        let shown: Vec<_> = findings.cloned().collect();
        let first: Vec<_> = (0..found.min(SHOWN_FINDINGS as u64)).map(finding).collect();
        prop_assert_eq!(shown, first);
        // Three reports may come early: the first finding and the two phases after reading, of
        // which one is seen here.
        let soon = reports.windows(2).filter(|pair| pair[1].0 - pair[0].0 < 250).count();
        prop_assert!(soon <= 2, "{} reports came too soon", soon);
    }
}
