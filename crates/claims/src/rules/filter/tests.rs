use schemas::rule::{Column, RowFilter};
use serde_json::{Value, json};

use super::{CodeSet, Match, PlacePrefixes, RowMatcher, context};
use crate::check::fixtures::{TestRow, line, tables};

fn meets(filter: Value, line: &TestRow) -> bool {
    let filter: RowFilter = serde_json::from_value(filter).unwrap();
    let tables = tables();
    let rows = RowMatcher::resolve(&filter, &tables);
    line.show(1, |row| rows.matches(row))
}

/// One row per line: the filter, the row, and whether the row meets it.
fn table(cases: Vec<(Value, TestRow, bool)>) {
    for (filter, line, expected) in cases {
        assert_eq!(meets(filter.clone(), &line), expected, "{filter} of {line:?}");
    }
}

fn no_code() -> TestRow {
    TestRow { code: None, ..line(0) }
}

#[test]
fn empty_filter_matches_every_row() {
    table(vec![(json!({}), line(8857), true), (json!({}), TestRow::default(), true)]);
}

#[test]
fn code_filter_matches_any_listed_code() {
    table(vec![
        (json!({ "codes": ["8857", "15815"] }), line(8857), true),
        (json!({ "codes": ["8857", "15815"] }), line(8858), false),
        (json!({ "codes": ["8857"] }), no_code(), false),
        (json!({ "codes_not": ["8857"] }), line(8857), false),
        (json!({ "codes_not": ["8857"] }), line(8858), true),
        (json!({ "codes_not": ["8857"] }), no_code(), true),
        (json!({ "codes": ["8857", "8859"], "codes_not": ["8857"] }), line(8857), false),
        (json!({ "codes": ["8857", "8859"], "codes_not": ["8857"] }), line(8859), true),
    ]);
}

#[test]
fn code_table_classifies_codes() {
    table(vec![
        (json!({ "leaves": ["Visite périodique"] }), line(15_804), true),
        (json!({ "leaves": [" VISITE PÉRIODIQUE "] }), line(15_804), true),
        (json!({ "leaves": ["Visite"] }), line(15_804), false),
        (json!({ "leaves": ["Visite périodique"] }), line(15_805), false),
        (json!({ "leaves": ["Visite périodique"] }), no_code(), false),
        (json!({ "groups": ["Interventions"] }), line(8859), true),
        (json!({ "groups": ["Interventions"] }), line(8875), false),
        (json!({ "tops": ["A - TARIFICATION"] }), line(8875), true),
        (json!({ "tops": ["A - TARIFICATION"] }), line(8859), false),
    ]);
}

#[test]
fn code_conditions_combine_by_all_or_any() {
    let both = |any: bool| {
        let groups = ["Interventions"];
        json!({ "codes": ["8857", "8875"], "groups": groups, "any_of": any })
    };
    table(vec![
        (both(false), line(8857), true),
        (both(false), line(8859), false),
        (both(false), line(8875), false),
        (both(true), line(8857), true),
        (both(true), line(8859), true),
        (both(true), line(8875), true),
        (both(true), line(15_815), false),
        (both(true), no_code(), false),
        (
            json!({
                "codes": ["8857"], "groups": ["Interventions"], "codes_not": ["8859"],
                "any_of": true,
            }),
            line(8859),
            false,
        ),
        (json!({ "codes": ["8857"], "any_of": true, "gmf": true }), line(8857).at(55_002), false),
    ]);
}

#[test]
fn contexts_are_compared_whole_and_without_case() {
    table(vec![
        (json!({ "contexts": ["AR"] }), line(1), false),
        (json!({ "contexts": ["AR"] }), line(1).context("AR"), true),
        (json!({ "contexts": ["AR"] }), line(1).context("STAR"), false),
        (json!({ "contexts": ["STAR"] }), line(1).context("AR"), false),
        (json!({ "contexts": [" #g160 "] }), line(1).context("G160"), true),
        (json!({ "contexts": ["G160", "AR"] }), line(1).context("X").context("AR"), true),
        (json!({ "contexts_not": ["AR"] }), line(1), true),
        (json!({ "contexts_not": ["AR"] }), line(1).context("STAR"), true),
        (json!({ "contexts_not": ["ar"] }), line(1).context("X").context("AR"), false),
    ]);
}

#[test]
fn places_match_by_prefix_and_establishment() {
    let nowhere = || TestRow { place: None, ..line(1) };
    table(vec![
        (json!({ "places": ["5"] }), line(1).at(50_000), true),
        (json!({ "places": ["5"] }), line(1).at(59_999), true),
        (json!({ "places": ["5"] }), line(1).at(49_999), false),
        (json!({ "places": ["5"] }), line(1).at(60_000), false),
        (json!({ "places": ["2", "55"] }), line(1).at(55_999), true),
        (json!({ "places": ["2", "55"] }), line(1).at(54_999), false),
        (json!({ "places": ["0"] }), line(1).at(5_000), true),
        (json!({ "places": ["12345"] }), line(1).at(12_345), true),
        (json!({ "places": ["5"] }), nowhere(), false),
        (json!({ "gmf": true }), line(1), true),
        (json!({ "gmf": true }), line(1).at(55_002), false),
        (json!({ "gmf": true }), nowhere(), false),
        (json!({ "gmf": false }), line(1), false),
        (json!({ "gmf": false }), line(1).at(55_002), true),
        (json!({ "gmf": false }), nowhere(), true),
    ]);
}

#[test]
fn paid_is_above_zero() {
    table(vec![
        (json!({ "paid": true }), line(1).paid(1), true),
        (json!({ "paid": true }), line(1).paid(0), false),
        (json!({ "paid": true }), line(1).paid(-1), false),
        (json!({ "paid": true }), line(1), false),
        (json!({ "paid": false }), line(1).paid(1), false),
        (json!({ "paid": false }), line(1).paid(0), true),
        (json!({ "paid": false }), line(1), true),
    ]);
}

#[test]
fn code_set_contains_exactly_its_codes() {
    let wanted = [0, 63, 64, 8857, 99_999];
    let codes: CodeSet = wanted.into_iter().chain([100_000, u32::MAX]).collect();
    assert!((0..200_000).all(|code| codes.contains(code) == wanted.contains(&code)));
    assert!(!codes.contains(u32::MAX));
}

#[test]
fn context_matches_as_read() {
    for text in ["g160", "#g160", " # G160 ", "##G160"] {
        assert_eq!(context(text), "G160", "{text}");
    }
    assert!(
        !PlacePrefixes::new(&["123456".into()]).contains(Some(12_345)),
        "six digits are no place"
    );
}

#[test]
fn unread_cell_leaves_open_what_depends_on_it() {
    let tables = tables();
    let unread = || line(8857).unread(Column::Place);
    for (filter, row, expected) in [
        (json!({}), unread(), Match::Yes),
        (json!({ "codes": ["8857"] }), unread(), Match::Yes),
        (json!({ "codes": ["1"] }), unread(), Match::No),
        (json!({ "places": ["55"] }), unread(), Match::Unsure),
        (json!({ "gmf": false }), unread(), Match::Unsure),
        (json!({ "places": ["55"], "codes": ["1"] }), unread(), Match::No),
        (json!({ "places": ["55"] }), line(8857).at(55_002).unread(Column::Paid), Match::Yes),
        (json!({ "paid": false }), line(8857).unread(Column::Paid), Match::Unsure),
        (json!({ "codes": ["8857"] }), line(8857).unread(Column::Code), Match::Unsure),
    ] {
        let filter: RowFilter = serde_json::from_value(filter).unwrap();
        let rows = RowMatcher::resolve(&filter, &tables);
        let found = row.show(1, |row| (rows.judge(row), rows.matches(row)));
        assert_eq!(found, (expected, expected == Match::Yes), "{filter:?} of {row:?}");
    }
}
