//! The claims engine on generated files: it reports every planted finding and no other.
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::collections::BTreeSet;

use claims::{rules::Rules, tables::Tables};
use schemas::{
    finding::{Finding, FindingOutcome},
    rule::Rule,
    run::RunSummary,
};
use serde_json::Value;
use testing::claims_files::{
    COMMON_FORMAT, ClaimsFile,
    check::check_file,
    export::{Columns, Delimiter, Encoding, Format},
    generate::Plan,
    planted::{PlantedFinding, compare},
    rules,
    tables::reference_tables,
};

fn plan(rows: u64, seed: u64) -> Plan {
    Plan { rows, seed, rate: 0.02, violations: true }
}

fn generate(plan: Plan, format: Format) -> ClaimsFile {
    ClaimsFile::generate(plan, format).unwrap()
}

fn tables() -> Tables {
    let [codes, establishments] = reference_tables();
    Tables::read(&codes[..], &establishments[..]).unwrap()
}

fn findings(bytes: &[u8], list_passes: bool) -> (Vec<Finding>, RunSummary) {
    let mut findings = Vec::new();
    let checked = check_file(bytes, &rules::planted(), &tables(), list_passes, |finding| {
        findings.push(finding)
    });
    (findings, checked.unwrap().summary)
}

/// Checks a generated file, with passes listed, and compares all findings with the planted ones.
#[track_caller]
fn assert_found(plan: Plan, format: Format) {
    let ClaimsFile { bytes, planted } = generate(plan, format);
    let (findings, summary) = findings(&bytes, true);
    assert_eq!(summary.rows, plan.rows);
    let difference = compare(&planted, &findings);
    assert!(difference.is_empty(), "seed {} {format:?}: {}", plan.seed, difference.describe());
}

#[test]
fn every_possible_outcome_is_planted() {
    let planted = generate(plan(20_000, 1), COMMON_FORMAT).planted;
    let outcomes: BTreeSet<FindingOutcome> =
        planted.iter().map(|planted| planted.outcome).collect();
    // No table of contexts comes with a generated file: the tests of the check have their own.
    let never = [
        FindingOutcome::RuleFailed,
        FindingOutcome::RuleOverBudget,
        FindingOutcome::ContextUnknown,
    ];
    let all: BTreeSet<FindingOutcome> =
        FindingOutcome::ALL.iter().copied().filter(|one| !never.contains(one)).collect();
    assert_eq!(outcomes, all);
}

#[test]
fn engine_reports_exactly_the_planted_findings() {
    for seed in 1..=4 {
        assert_found(plan(20_000, seed), COMMON_FORMAT);
    }
}

#[test]
fn format_does_not_change_findings() {
    let mut seed = 100;
    for encoding in
        [Encoding::Utf8, Encoding::Utf8Bom, Encoding::Windows1252, Encoding::DamagedHeaders]
    {
        for delimiter in [Delimiter::Semicolon, Delimiter::Comma, Delimiter::Tab] {
            for columns in [Columns::All, Columns::Short] {
                seed += 1;
                assert_found(plan(12_000, seed), Format { encoding, delimiter, columns });
            }
        }
    }
}

#[test]
fn damaged_header_is_understood() {
    for seed in 200..260 {
        assert_found(
            plan(60, seed),
            Format { encoding: Encoding::DamagedHeaders, ..COMMON_FORMAT },
        );
    }
}

#[test]
fn file_without_violations_has_no_findings() {
    let plan = Plan { violations: false, ..plan(20_000, 7) };
    let ClaimsFile { bytes, planted } = generate(plan, COMMON_FORMAT);
    let (findings, summary) = findings(&bytes, false);
    assert_eq!(findings, []);
    assert!(
        planted.iter().any(|planted| planted.case == "180 minutes by units"),
        "boundaries are planted"
    );
    assert_eq!(summary.counts.findings(), 0);
}

#[test]
fn missed_and_invented_findings_are_noticed() {
    let ClaimsFile { bytes, planted } = generate(plan(5_000, 8), COMMON_FORMAT);
    let (mut findings, _) = findings(&bytes, true);
    let taken =
        findings.iter().position(|finding| finding.outcome == FindingOutcome::LongerVisit).unwrap();
    let taken = findings.remove(taken);
    let difference = compare(&planted, &findings);
    assert_eq!((difference.missed.len(), difference.invented.len()), (1, 0));
    assert_eq!(difference.missed[0].row, taken.row);
    findings.extend([taken.clone(), taken]);
    let difference = compare(&planted, &findings);
    assert_eq!((difference.missed.len(), difference.invented.len()), (0, 1));
}

/// All variants of the rule at `at` with one number changed by one, or one text of a list removed.
fn neighbours(rules: &[Rule], at: usize) -> Vec<(String, Vec<Rule>)> {
    let whole = serde_json::to_value(&rules[at]).unwrap();
    let mut changed = Vec::new();
    let mut pointers = vec![String::new()];
    while let Some(pointer) = pointers.pop() {
        let mut replace = |name: String, value: Value| {
            let mut rule = whole.clone();
            *rule.pointer_mut(&pointer).unwrap() = value;
            changed.push((name, rule));
        };
        match whole.pointer(&pointer).unwrap() {
            Value::Number(number) => {
                for step in [-1, 1] {
                    let number = number.as_i64().unwrap() + step;
                    replace(format!("{pointer} = {number}"), number.into());
                }
            }
            Value::Array(values) if values.iter().all(Value::is_string) => {
                for missing in 0..values.len() {
                    let mut left = values.clone();
                    let gone = left.remove(missing);
                    replace(format!("{pointer} without {gone}"), left.into());
                }
            }
            Value::Array(values) => {
                pointers.extend((0..values.len()).map(|index| format!("{pointer}/{index}")))
            }
            Value::Object(fields) => {
                pointers.extend(fields.keys().map(|field| format!("{pointer}/{field}")))
            }
            _ => {}
        }
    }
    let with = |(name, rule): (String, Value)| {
        let mut rules = rules.to_vec();
        rules[at] = serde_json::from_value(rule).unwrap();
        (name, rules)
    };
    changed.into_iter().map(with).collect()
}

#[test]
fn every_rule_boundary_has_planted_neighbours() {
    let ClaimsFile { bytes, planted } = generate(plan(12_000, 9), COMMON_FORMAT);
    let (rules, tables) = (rules::planted(), tables());
    let mut unnoticed = Vec::new();
    let mut tried = 0;
    for at in 0..rules.len() {
        for (name, changed) in neighbours(&rules, at) {
            // The changed rule alone, to save time. Planted findings of other rules are left out
            // too.
            let alone = [changed[at].clone()];
            if Rules::compile(&alone).is_err() {
                continue; // not a valid rule, such as `per` without a key
            }
            tried += 1;
            let id = alone[0].id.as_str();
            let planted: Vec<PlantedFinding> =
                planted.iter().filter(|one| one.rule == id).cloned().collect();
            let mut findings = Vec::new();
            check_file(&bytes[..], &alone, &tables, true, |finding| findings.push(finding))
                .unwrap();
            findings.retain(|finding| finding.rule.as_str() == id);
            if compare(&planted, &findings).is_empty() {
                unnoticed.push(format!("{id}{name}"));
            }
        }
    }
    assert!(tried > 50, "{tried} rules were tried");
    assert_eq!(unnoticed, [""; 0]);
}
