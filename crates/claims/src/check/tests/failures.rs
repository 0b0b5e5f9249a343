//! Rules that fail or take too long.

use super::{super::share::CoreShare, *};

/// The findings of all other rules are the same without one rule.
fn others_are_unharmed(found: &[Finding], id: &str) {
    let (all, _) = check(CheckOptions { list_passes: true, ..CheckOptions::default() }, |_| ());
    let others = |found: &[Finding]| -> Vec<Finding> {
        found.iter().filter(|finding| finding.rule.as_str() != id).cloned().collect()
    };
    assert_eq!(others(found), others(&all));
}

#[test]
fn rule_failing_at_row_is_reported_once() {
    let options = CheckOptions { list_passes: true, ..CheckOptions::default() };
    let (found, summary) = check(options, |checking| fail(checking, "doctor-required", Some(6)));
    let of: Vec<String> = of_rule(&found, "doctor-required").collect();
    let kept: Vec<String> = (1..6).map(|row| format!("{row} pass pass 0")).collect();
    assert_eq!(of[..5], kept, "what it found before stays");
    assert_eq!(
        of[5..],
        ["0 error rule_failed 0"],
        "what it found in the row where it failed does not"
    );
    others_are_unharmed(&found, "doctor-required");
    assert_eq!(summary.stored, found.len() as u64);
}

#[test]
fn rule_failing_at_conclusion_is_reported_once() {
    let options = CheckOptions { list_passes: true, ..CheckOptions::default() };
    for id in ["office-fee", "gmf-yearly-missing"] {
        let (found, summary) = check(options, |checking| fail(checking, id, None));
        assert_eq!(of_rule(&found, id).collect::<Vec<_>>(), ["0 error rule_failed 0"]);
        others_are_unharmed(&found, id);
        assert_eq!(summary.stored, found.len() as u64);
    }
}

#[test]
fn rule_over_budget_is_stopped_alone() {
    let options = CheckOptions { list_passes: true, ..CheckOptions::default() };
    for id in ["doctor-required", "office-fee"] {
        let stop = |checking: &mut FileCheck<'_, &[u8]>| {
            checking.evaluators.each[position(id)].budget = Duration::ZERO
        };
        let (found, _) = check(options, stop);
        let of: Vec<String> = of_rule(&found, id).collect();
        assert_eq!(of.last().unwrap(), "0 error rule_over_budget 0 budget_ms=0");
        assert_eq!(of.len(), if id == "office-fee" { 1 } else { 2 }, "it saw one row: {of:?}");
        others_are_unharmed(&found, id);
    }
}

#[test]
fn rule_that_waited_for_a_core_is_not_stopped() {
    let options = CheckOptions { list_passes: true, ..CheckOptions::default() };
    let unbounded = check(options, |_| ()).0;
    let starved = |checking: &mut FileCheck<'_, &[u8]>| {
        let rule = &mut checking.evaluators.each[position("doctor-required")];
        rule.budget = Duration::from_nanos(1);
        checking.evaluators.share = CoreShare::new(Duration::ZERO, Duration::from_secs(1 << 30));
    };
    assert_eq!(check(options, starved).0, unbounded);
}

#[test]
fn many_conclusions_come_in_parts_by_row() {
    let rules = Rules::compile(&[shipped("gmf-yearly-missing")]).unwrap();
    let (tables, count) = (tables(), 10_000);
    let file = csv(&(0..count).map(|patient| line(8857).patient(patient)).collect::<Vec<_>>());
    let mut checking = checking_again(&file, &rules, &tables);
    let mut found = Vec::new();
    while checking.step(&mut found).unwrap() == CheckStep::Reading {}
    let mut parts = 0;
    while checking.step(&mut found).unwrap() == CheckStep::Concluding {
        parts += 1;
        assert!(found.len() <= parts * 4096);
    }
    assert_eq!(parts, 3);
    assert!(found.iter().map(|finding| finding.row).eq(1..=u64::from(count)));
}

#[test]
fn concluding_rule_over_budget_stops_between_parts() {
    let rules =
        Rules::compile(&[shipped("gmf-yearly-missing"), shipped("doctor-required")]).unwrap();
    let tables = tables();
    let file = csv(&(0..10_000).map(|patient| line(8857).patient(patient)).collect::<Vec<_>>());
    let mut checking = checking_again(&file, &rules, &tables);
    let mut found = Vec::new();
    while checking.step(&mut found).unwrap() == CheckStep::Reading {}
    for judging in &mut checking.evaluators.each {
        judging.budget = Duration::ZERO;
    }
    while checking.step(&mut found).unwrap() == CheckStep::Concluding {}
    let (over, before) = found.split_last().unwrap();
    assert_eq!(brief(over), "0 error rule_over_budget 0 budget_ms=0");
    assert!(before.iter().map(|finding| finding.row).eq(1..=4096), "what it found before stays");
    let tallies: Vec<_> = checking
        .tallies()
        .map(|(_, tally)| (tally.counts.error, tally.counts.optimisation))
        .collect();
    assert_eq!(
        tallies,
        [(0, 0), (1, 4096), (0, 0)],
        "one that is through in one part has nothing to be stopped at"
    );
    assert!(checking.tallies().all(|(_, tally)| tally.took_us.is_some()));
}

#[test]
fn check_ends_when_every_rule_is_over_budget() {
    let (found, summary) =
        check(CheckOptions { budget: Duration::ZERO, ..CheckOptions::default() }, |_| ());
    let over =
        found.iter().filter(|finding| finding.outcome == FindingOutcome::RuleOverBudget).count();
    assert_eq!(over, rules::shipped().iter().filter(|rule| rule.enabled).count());
    assert_eq!(summary.rows, 10);
}
