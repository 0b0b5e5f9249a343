//! The engine on generated files: it finds what was planted, all of it and nothing else.
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::collections::BTreeSet;

use claims::{rules::Rules, tables::Tables};
use clinicwire_loadtests::claims::{
    engine,
    export::{Columns, Delimiter, Encoding, Format},
    generate::{Plan, generate},
    planted::{Planted, compare},
    rules,
    tables::{write_codes, write_establishments},
};
use schemas::{
    finding::{Finding, FindingOutcome},
    rule::Rule,
    run::RunSummary,
};
use serde_json::Value;

const USUAL: Format = Format {
    encoding: Encoding::Windows1252,
    delimiter: Delimiter::Semicolon,
    columns: Columns::All,
};

fn plan(rows: u64, seed: u64) -> Plan {
    Plan { rows, seed, rate: 0.02, violations: true }
}

fn generated(plan: Plan, format: Format) -> (Vec<u8>, Vec<Planted>) {
    let mut planted = Vec::new();
    let bytes = generate(plan, format, Vec::new(), &mut |one| {
        planted.push(one);
        Ok(())
    });
    (bytes.unwrap(), planted)
}

fn tables() -> Tables {
    let (mut codes, mut establishments) = (Vec::new(), Vec::new());
    write_codes(&mut codes).unwrap();
    write_establishments(&mut establishments).unwrap();
    Tables::read(&codes[..], &establishments[..]).unwrap()
}

fn findings(bytes: &[u8], list_passes: bool) -> (Vec<Finding>, RunSummary) {
    let mut findings = Vec::new();
    let checked = engine::check(bytes, &rules::planted(), &tables(), list_passes, |finding| {
        findings.push(finding)
    });
    (findings, checked.unwrap().summary)
}

/// Checks the file and compares; passes of the rules that list them included.
#[track_caller]
fn assert_found(plan: Plan, format: Format) {
    let (bytes, planted) = generated(plan, format);
    let (findings, summary) = findings(&bytes, true);
    assert_eq!(summary.rows, plan.rows);
    let difference = compare(&planted, &findings);
    assert!(difference.is_none(), "seed {} {format:?}: {}", plan.seed, difference.told());
}

#[test]
fn every_outcome_that_a_file_can_have_is_planted() {
    let (_, planted) = generated(plan(20_000, 1), USUAL);
    let outcomes: BTreeSet<FindingOutcome> =
        planted.iter().map(|planted| planted.outcome).collect();
    let never = [FindingOutcome::RuleFailed, FindingOutcome::RuleOverBudget];
    let all: BTreeSet<FindingOutcome> =
        FindingOutcome::ALL.iter().copied().filter(|one| !never.contains(one)).collect();
    assert_eq!(outcomes, all);
}

#[test]
fn the_engine_finds_what_is_planted_and_nothing_else() {
    for seed in 1..=4 {
        assert_found(plan(20_000, seed), USUAL);
    }
}

#[test]
fn encodings_delimiters_and_columns_change_nothing_of_what_is_found() {
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
fn a_header_is_understood_whatever_damaged_it() {
    for seed in 200..260 {
        assert_found(plan(60, seed), Format { encoding: Encoding::DamagedHeaders, ..USUAL });
    }
}

#[test]
fn nothing_is_found_where_all_stays_within_the_rules() {
    let plan = Plan { violations: false, ..plan(20_000, 7) };
    let (bytes, planted) = generated(plan, USUAL);
    let (findings, summary) = findings(&bytes, false);
    assert_eq!(findings, []);
    assert!(
        planted.iter().any(|planted| planted.case == "180 minutes by units"),
        "boundaries are planted"
    );
    assert_eq!(summary.counts.findings(), 0);
}

#[test]
fn a_finding_that_is_withheld_or_made_up_is_noticed() {
    let (bytes, planted) = generated(plan(5_000, 8), USUAL);
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

/// Every rule that differs from the one at `at` in one number, by one, or in one text of a list, which is missing.
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
fn both_sides_of_every_number_of_every_rule_are_planted() {
    let (bytes, planted) = generated(plan(12_000, 9), USUAL);
    let (rules, tables) = (rules::planted(), tables());
    let mut unnoticed = Vec::new();
    let mut tried = 0;
    for at in 0..rules.len() {
        for (name, changed) in neighbours(&rules, at) {
            // One rule alone, for the sake of time; what is expected of the others is left out too.
            let alone = [changed[at].clone()];
            if Rules::compile(&alone).is_err() {
                continue; // `per` without a key, and the like: no rule at all
            }
            tried += 1;
            let id = alone[0].id.as_str();
            let planted: Vec<Planted> =
                planted.iter().filter(|one| one.rule == id).cloned().collect();
            let mut findings = Vec::new();
            engine::check(&bytes[..], &alone, &tables, true, |finding| findings.push(finding))
                .unwrap();
            findings.retain(|finding| finding.rule.as_str() == id);
            if compare(&planted, &findings).is_none() {
                unnoticed.push(format!("{id}{name}"));
            }
        }
    }
    assert!(tried > 50, "{tried} rules were tried");
    assert_eq!(unnoticed, [""; 0]);
}
