use std::collections::{BTreeSet, HashMap};

use proptest::{collection::vec, option, prelude::*, sample::select};
use schemas::{
    finding::FindingOutcome,
    rule::{
        Bilingual, Column, FeeTariff, GroupKey, OfficeFee, Period, RangeBound, RowFilter, Rule,
        RuleCheck, Severity, SumTerm, TermAmount, Unit,
    },
};
use serde_json::json;

use super::{RuleProblem, Rules, builtin, shipped, validate};
use crate::check::fixtures::{TestRow, find, rule, tables};

#[test]
fn every_shipped_rule_is_valid() {
    let rules = shipped();
    for rule in &rules {
        assert_eq!(validate(rule), Ok(()));
    }
    let kinds: BTreeSet<&str> = rules.iter().map(|rule| rule.check.kind()).collect();
    assert_eq!(
        kinds.into_iter().collect::<Vec<_>>(),
        [
            "allowed",
            "better_code",
            "known_code",
            "missing_though_due",
            "office_fee",
            "once",
            "pattern",
            "range",
            "required",
            "sum_limit"
        ]
    );
    assert!(Rules::compile(&rules).is_ok());
}

#[test]
fn shipped_rules_have_no_unread_fields() {
    let text = include_str!("../../data/quebec.json");
    let written: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
    for (rule, written) in shipped().iter().zip(&written) {
        let read = serde_json::to_value(rule).unwrap();
        for (field, value) in written.as_object().unwrap() {
            assert_eq!(&read[field], value, "{}: {field}", rule.id);
        }
        assert_eq!(serde_json::from_value::<Rule>(read).unwrap(), *rule);
    }
}

#[test]
fn builtin_rules_are_office_fees_only() {
    let ids: Vec<String> = builtin().iter().map(|rule| rule.id.to_string()).collect();
    assert_eq!(ids, ["office-fee"]);
    assert!(builtin()[0].enabled);
}

#[test]
fn disabled_rules_are_neither_checked_nor_applied() {
    let on = rule(json!({ "kind": "required", "column": "doctor" }));
    let off =
        rule(json!({ "kind": "pattern", "column": "invoice", "pattern": "(", "enabled": false }));
    let found = find(&[off.clone(), on.clone()], &tables(), &[TestRow::default()], false);
    assert_eq!(
        found.iter().map(|finding| finding.outcome).collect::<Vec<_>>(),
        [FindingOutcome::RequiredMissing]
    );
    let error = Rules::compile(&[on.clone(), Rule { enabled: true, ..off }]).err().unwrap();
    assert_eq!((error.field.as_str(), error.wrong), ("pattern", RuleProblem::Pattern));
    let error = Rules::compile(&[on.clone(), on]).err().unwrap();
    assert_eq!((error.field.as_str(), error.wrong), ("id", RuleProblem::Twice));
}

#[test]
fn compiled_rules_can_be_shared_between_threads() {
    fn shared<T: Send + Sync>() {}
    shared::<Rules>();
}

fn any_text() -> impl Strategy<Value = String> {
    const USUAL: [&str; 12] = [
        "",
        "8857",
        "19928",
        "19929",
        "5",
        "AR",
        "#g160",
        "Interventions",
        "[0-9]+",
        "(",
        r"(\w{9}){9}",
        "a|b",
    ];
    prop_oneof![4 => select(USUAL.as_slice()).prop_map(str::to_owned), 1 => any::<String>()]
}

fn any_number() -> impl Strategy<Value = i64> {
    let edges = select([i64::MIN, -1, 0, i64::MAX].as_slice());
    prop_oneof![3 => 0..10_000_i64, 1 => any::<i64>(), 1 => edges]
}

fn any_filter() -> impl Strategy<Value = RowFilter> {
    let texts = || vec(any_text(), 0..3);
    let code = (texts(), texts(), texts(), texts(), texts(), any::<bool>());
    let rest = (texts(), texts(), texts(), any::<Option<bool>>(), any::<Option<bool>>());
    let filter = (code, rest).prop_map(|(code, rest)| {
        let (codes, codes_not, leaves, groups, tops, any_of) = code;
        let (contexts, contexts_not, places, gmf, paid) = rest;
        RowFilter {
            codes,
            codes_not,
            leaves,
            groups,
            tops,
            any_of,
            contexts,
            contexts_not,
            places,
            gmf,
            paid,
        }
    });
    prop_oneof![2 => Just(RowFilter::default()), 1 => filter]
}

fn any_bound() -> impl Strategy<Value = Option<RangeBound>> {
    option::of(prop_oneof![
        any_number().prop_map(RangeBound::Number),
        select(["07:00", "24:00", "2025-01-01", "2025-02-30", "x"].as_slice())
            .prop_map(|text| RangeBound::Text(text.into())),
        any::<String>().prop_map(|text| RangeBound::Text(text.into())),
    ])
}

fn any_fee() -> impl Strategy<Value = FeeTariff> {
    (any_text(), any_number(), 0..30_u32, any::<u32>()).prop_map(
        |(code, cents, min_registered, min_walk_in)| FeeTariff {
            code,
            cents,
            min_registered,
            min_walk_in,
        },
    )
}

fn any_check() -> impl Strategy<Value = RuleCheck> {
    let column = || select(Column::ALL);
    let per = || {
        vec(
            select(
                [GroupKey::Patient, GroupKey::Doctor, GroupKey::Code, GroupKey::Place].as_slice(),
            ),
            0..5,
        )
    };
    let period = || select([Period::Day, Period::Month, Period::Year].as_slice());
    let when = any_filter;
    let amount = prop_oneof![
        any_number().prop_map(TermAmount::Fixed),
        column().prop_map(TermAmount::Column)
    ];
    let term =
        (vec(any_text(), 0..2), amount).prop_map(|(codes, amount)| SumTerm { codes, amount });
    let fees = (
        any_fee(),
        any_fee(),
        any_number(),
        vec(any_text(), 0..2),
        vec(any_text(), 0..2),
        any::<bool>(),
    );
    prop_oneof![
        (column(), when()).prop_map(|(column, when)| RuleCheck::Required { column, when }),
        (column(), any_text(), when()).prop_map(|(column, pattern, when)| RuleCheck::Pattern {
            column,
            pattern,
            when
        }),
        (column(), any_bound(), any_bound(), when())
            .prop_map(|(column, min, max, when)| RuleCheck::Range { column, min, max, when }),
        (column(), vec(any_text(), 0..3), when())
            .prop_map(|(column, values, when)| RuleCheck::Allowed { column, values, when }),
        when().prop_map(|when| RuleCheck::KnownCode { when }),
        when().prop_map(|when| RuleCheck::KnownContext { when }),
        (per(), period(), when(), any_number())
            .prop_map(|(per, period, when, cents)| RuleCheck::Once { per, period, when, cents }),
        (per(), period(), select(Unit::ALL.to_vec()), vec(term, 0..3), any_number(), when())
            .prop_map(|(per, period, unit, terms, limit, when)| RuleCheck::SumLimit {
                per,
                period,
                unit,
                terms,
                limit,
                when
            }),
        (per(), period(), when(), when(), any_number()).prop_map(
            |(per, period, due, missing, gain_cents)| {
                RuleCheck::MissingThoughDue { per, period, due, missing, gain_cents }
            }
        ),
        (0..2000_u16, any_number(), 0..2000_u16, any_number(), when()).prop_map(
            |(from_minutes, base_cents, step_minutes, step_cents, when)| RuleCheck::BetterCode {
                from_minutes,
                base_cents,
                step_minutes,
                step_cents,
                when
            }
        ),
        fees.prop_map(
            |(small, large, day_limit_cents, office_places, walk_in_contexts, paid_only)| {
                RuleCheck::OfficeFee(OfficeFee {
                    small,
                    large,
                    day_limit_cents,
                    office_places,
                    walk_in_contexts,
                    paid_only,
                })
            }
        ),
    ]
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let name = prop_oneof![9 => Just("x".to_owned()), 1 => any::<String>()];
    let severity = prop_oneof![9 => Just(Severity::Error), 1 => select(Severity::ALL.to_vec())];
    let id = select(["a-rule", "file"].as_slice());
    (id, name.clone(), name, any::<bool>(), severity, any_check()).prop_map(
        |(id, name, category, enabled, severity, check)| {
            let name = Bilingual { fr: name.clone(), en: name };
            Rule { id: id.parse().unwrap(), name, category, enabled, severity, check }
        },
    )
}

/// A row that no reader gives: every number may have any value.
fn any_line() -> impl Strategy<Value = TestRow> {
    let codes = select([8857, 8859, 8875, 19_928, 19_929, 0, 99_999, u32::MAX].as_slice());
    let texts = select(["AR", "G160", "STAR", ""].as_slice()).prop_map(str::to_owned);
    let times = (option::of(0..1440_u16), option::of(0..1440_u16));
    let keys =
        (option::of(any::<u32>()), option::of(codes), option::of(0..3_u64), option::of(0..5_u32));
    let numbers = (option::of(any_number()), option::of(any_number()), option::of(any_number()));
    let date = option::of((any::<i16>(), 1..=12_u8, 1..=31_u8));
    let cells = vec((select(Column::ALL), any::<String>()), 0..4).prop_map(HashMap::from_iter);
    let unread = prop_oneof![3 => Just(Vec::new()), 1 => vec(select(Column::ALL), 1..3)];
    (date, times, keys, numbers, vec(texts, 0..3), cells, unread).prop_map(
        |(date, times, keys, numbers, contexts, cells, unread)| {
            let ((start, end), (place, code, doctor, patient), (units, preliminary, paid)) =
                (times, keys, numbers);
            let row = TestRow {
                date,
                start,
                end,
                place,
                code,
                units,
                contexts,
                preliminary,
                paid,
                doctor,
                patient,
                cells,
                ..TestRow::default()
            };
            unread.into_iter().fold(row, TestRow::unread)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_rule_is_judged_without_panic(
        rule in any_rule(),
        lines in vec(any_line(), 0..20),
    ) {
        let valid = validate(&rule);
        let compiled = Rules::compile(std::slice::from_ref(&rule));
        prop_assert_eq!(compiled.is_ok(), valid.is_ok() || !rule.enabled);
        if valid.is_ok() {
            let found = find(&[Rule { enabled: true, ..rule }], &tables(), &lines, true);
            prop_assert!(found.iter().all(|finding| finding.outcome != FindingOutcome::RuleFailed));
        }
    }

    #[test]
    fn any_rule_survives_its_json(rule in any_rule()) {
        let json = serde_json::to_string(&rule).unwrap();
        prop_assert_eq!(serde_json::from_str::<Rule>(&json).unwrap(), rule);
    }
}
