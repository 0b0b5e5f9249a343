use schemas::{
    reference::ReferenceTable,
    rule::{Column, Rule},
};
use serde_json::{Value, json};

use super::{date, time};
use crate::{
    check::fixtures::{TestRow, brief, find, line, rule, tables, told},
    tables::Tables,
};

/// The verdict of a rule on one row. `None` when the rule does not apply to the row.
fn of(rule: &Rule, line: TestRow) -> String {
    told(rule, &[line]).join("; ")
}

#[test]
fn required_column_is_not_empty() {
    let rule =
        rule(json!({ "kind": "required", "column": "doctor", "when": { "codes": ["8857"] } }));
    let missing = "1 error required_missing 0 column=doctor";
    assert_eq!(of(&rule, line(8857).cell(Column::Doctor, "x")), "1 pass pass 0");
    assert_eq!(of(&rule, line(8857).cell(Column::Doctor, "")), missing);
    assert_eq!(of(&rule, line(8857)), missing, "a column the file lacks is empty");
    assert_eq!(of(&rule, line(8858)), "", "a row outside the filter is not looked at");
}

#[test]
fn breach_has_severity_of_its_rule() {
    let rule = rule(json!({ "kind": "required", "column": "doctor", "severity": "warning" }));
    assert_eq!(of(&rule, line(8857)), "1 warning required_missing 0 column=doctor");
}

#[test]
fn pattern_matches_whole_cell() {
    let nine = rule(json!({ "kind": "pattern", "column": "invoice", "pattern": "[0-9]{9}" }));
    let invoice = |text: &str| line(8857).cell(Column::Invoice, text);
    let mismatch = "1 error pattern_mismatch 0 column=invoice";
    assert_eq!(of(&nine, invoice("123456789")), "1 pass pass 0");
    assert_eq!(of(&nine, invoice("12345678")), mismatch);
    assert_eq!(of(&nine, invoice("1234567890")), mismatch);
    assert_eq!(of(&nine, invoice("123456789\n")), mismatch);
    assert_eq!(of(&nine, invoice("")), "", "an empty cell is not looked at");
    assert_eq!(of(&nine, line(8857)), "");
    let either = rule(json!({ "kind": "pattern", "column": "invoice", "pattern": "a|ab" }));
    assert_eq!(of(&either, invoice("ab")), "1 pass pass 0");
    assert_eq!(of(&either, invoice("abb")), mismatch);
    let filtered = json!({
        "kind": "pattern", "column": "invoice", "pattern": "a", "when": { "codes": ["1000"] },
    });
    assert_eq!(of(&rule(filtered), invoice("b")), "");
}

/// The rule's verdict on the row, in short: `in`, `out`, or nothing.
fn within(column: &str, min: Value, max: Value, line: TestRow) -> &'static str {
    let mut json = json!({ "kind": "range", "column": column });
    for (name, bound) in [("min", min), ("max", max)] {
        if !bound.is_null() {
            json[name] = bound;
        }
    }
    let out = format!("1 error out_of_range 0 column={column}");
    match of(&rule(json), line) {
        text if text == "1 pass pass 0" => "in",
        text if text == out => "out",
        text => {
            assert_eq!(text, "");
            ""
        }
    }
}

#[test]
fn range_includes_both_bounds() {
    let units = |units| within("units", json!(2), json!(4), line(1).units(units));
    assert_eq!([1, 2, 4, 5].map(units), ["out", "in", "in", "out"]);
    let paid = |cents| within("paid", json!(-5), Value::Null, line(1).paid(cents));
    assert_eq!([-6, -5, i64::MAX].map(paid), ["out", "in", "in"]);
    let preliminary =
        |cents| within("preliminary", Value::Null, json!(100), line(1).preliminary(cents));
    assert_eq!([i64::MIN, 100, 101].map(preliminary), ["in", "in", "out"]);
    let code = |code| within("code", json!(15_800), json!(15_899), line(code));
    assert_eq!([15_799, 15_800, 15_899, 15_900].map(code), ["out", "in", "in", "out"]);
    let place = |place| within("place", json!(50_000), Value::Null, line(1).at(place));
    assert_eq!([49_999, 50_000].map(place), ["out", "in"]);
}

#[test]
fn date_and_time_ranges_use_calendar_and_clock() {
    let (min, max) = (json!("2024-12-31"), json!("2025-02-01"));
    let day = |(y, m, d)| within("service_date", min.clone(), max.clone(), line(1).on(y, m, d));
    assert_eq!(
        [(2024, 12, 30), (2024, 12, 31), (2025, 1, 1), (2025, 2, 1), (2025, 2, 2)].map(day),
        ["out", "in", "in", "in", "out"]
    );
    let start = |start| within("start", json!("07:00"), json!("19:30"), line(1).time(start, 1439));
    assert_eq!([419, 420, 1170, 1171].map(start), ["out", "in", "in", "out"]);
    let end = |end| within("end", Value::Null, json!("19:30"), line(1).time(0, end));
    assert_eq!([1170, 1171].map(end), ["in", "out"]);
}

#[test]
fn range_skips_empty_cells_and_unmatched_rows() {
    for column in ["units", "paid", "preliminary"] {
        assert_eq!(within(column, json!(1), json!(2), line(1)), "");
    }
    assert_eq!(within("start", json!("07:00"), Value::Null, line(1)), "");
    let filtered =
        json!({ "kind": "range", "column": "units", "min": 1, "when": { "codes": ["1000"] } });
    assert_eq!(of(&rule(filtered), line(8857).units(0)), "");
}

#[test]
fn dates_and_times_of_a_bound_exist() {
    for good in ["2024-02-29", "2000-02-29", "2025-04-30", "0001-12-31"] {
        assert!(date(good).is_some(), "{good}");
    }
    for bad in [
        "2025-02-29",
        "1900-02-29",
        "2025-04-31",
        "2025-13-01",
        "2025-00-10",
        "2025-01-00",
        "2025-1-01",
        "2025-01-01-",
        "+025-01-01",
        "",
    ] {
        assert!(date(bad).is_none(), "{bad}");
    }
    assert_eq!([time("00:00"), time("23:59")], [Some(0), Some(1439)]);
    for bad in ["24:00", "12:60", "1:00", "12:0", "12", "+1:00", "12:00:00", ""] {
        assert!(time(bad).is_none(), "{bad}");
    }
}

#[test]
fn allowed_value_ignores_case() {
    let rule = rule(json!({
        "kind": "allowed", "column": "role", "values": ["Principal", " ÉQUIPE \
             "], "when": { "codes": ["8857"] }
    }));
    let role = |text: &str| of(&rule, line(8857).cell(Column::Role, text));
    let not_allowed = "1 error not_allowed 0 column=role";
    assert_eq!(role("principal"), "1 pass pass 0");
    assert_eq!(role("équipe"), "1 pass pass 0");
    assert_eq!(role("princip"), not_allowed);
    assert_eq!(role("Principal 2"), not_allowed);
    assert_eq!(role(""), "", "an empty cell is not looked at");
    assert_eq!(of(&rule, line(8858).cell(Column::Role, "x")), "");
}

#[test]
fn every_context_must_be_allowed() {
    let rule = rule(json!({ "kind": "allowed", "column": "contexts", "values": ["#g160", "AR"] }));
    let not_allowed = "1 error not_allowed 0 column=contexts";
    assert_eq!(of(&rule, line(1).context("G160").context("AR")), "1 pass pass 0");
    assert_eq!(of(&rule, line(1).context("G160").context("STAR")), not_allowed);
    assert_eq!(of(&rule, line(1)), "", "a row without contexts is not looked at");
}

#[test]
fn known_code_is_in_table() {
    let rule = rule(json!({ "kind": "known_code", "when": { "paid": false } }));
    assert_eq!(of(&rule, line(8857)), "1 pass pass 0");
    assert_eq!(of(&rule, line(8858)), "1 error code_unknown 0 code=8858");
    assert_eq!(of(&rule, line(12)), "1 error code_unknown 0 code=0012");
    assert_eq!(
        of(&rule, TestRow { code: None, ..line(1) }),
        "",
        "a row without a code is not looked at"
    );
    assert_eq!(of(&rule, line(8858).paid(1)), "");
    assert!(
        find(&[rule], &Tables::empty(), &[line(8858)], true).is_empty(),
        "no table, nothing to say"
    );
}

fn longer(line: TestRow) -> String {
    let rule = rule(json!({
        "kind": "better_code", "from_minutes": 30, "base_cents": 5970, "step_minutes": 15,
        "step_cents": 2985,
        "when": { "codes_not": ["8857"] }
    }));
    of(&rule, line)
}

fn gain(minutes: i64, better: i64, billed: i64) -> String {
    let cents = better - billed;
    format!(
        "1 optimisation longer_visit {cents} better_cents={better} billed_cents={billed} \
             minutes={minutes}"
    )
}

#[test]
fn longer_visit_is_worth_its_completed_steps() {
    let visit = |minutes: u16| longer(line(15_801).time(600, 600 + minutes).preliminary(4000));
    assert_eq!(visit(29), "", "too short to be looked at");
    assert_eq!(visit(30), gain(30, 5970, 4000));
    assert_eq!(visit(44), gain(44, 5970, 4000));
    assert_eq!(visit(45), gain(45, 8955, 4000));
    assert_eq!(visit(59), gain(59, 8955, 4000));
    assert_eq!(visit(60), gain(60, 11_940, 4000));
}

#[test]
fn visit_billed_at_best_passes() {
    let billed = |cents| longer(line(15_801).time(600, 630).preliminary(cents));
    assert_eq!(billed(5969), gain(30, 5970, 5969));
    assert_eq!(billed(5970), "1 pass pass 0");
    assert_eq!(billed(5971), "1 pass pass 0");
    assert_eq!(
        longer(line(15_801).time(600, 630)),
        gain(30, 5970, 0),
        "an empty amount counts as nothing"
    );
}

#[test]
fn visit_may_pass_midnight_and_needs_both_times() {
    assert_eq!(longer(line(15_801).time(1430, 20)), gain(30, 5970, 0));
    assert_eq!(longer(line(15_801).time(1430, 19)), "");
    assert_eq!(longer(line(15_801).time(600, 600)), "");
    let times = |start, end| longer(TestRow { start, end, ..line(15_801) });
    assert_eq!(times(Some(600), None), "");
    assert_eq!(times(None, Some(700)), "");
    assert_eq!(longer(line(8857).time(600, 700)), "", "a row outside the filter is not looked at");
}

#[test]
fn shipped_longer_visits_ignore_interventions() {
    let rule = crate::check::fixtures::shipped("longer-visits");
    let at =
        |code| find(std::slice::from_ref(&rule), &tables(), &[line(code).time(600, 645)], true);
    assert_eq!(at(15_801).iter().map(brief).collect::<Vec<_>>(), [gain(45, 8955, 0)]);
    for other in [8857, 8859, 8875, 12_345] {
        assert!(at(other).is_empty(), "{other}");
    }
}

#[test]
fn contexts_outside_the_filter_are_not_looked_at() {
    let mut tables = tables();
    let context = ("AR".to_owned(), schemas::view::raw(&json!({"description": "", "edition": 1})));
    tables.set_stored(ReferenceTable::Contexts, &[context].into()).unwrap();
    let known = rule(json!({ "kind": "known_context", "when": { "codes": ["8857"] } }));
    let of = |line: TestRow| {
        let found = find(std::slice::from_ref(&known), &tables, &[line], true);
        found.iter().map(brief).collect::<Vec<_>>().join("; ")
    };
    assert_eq!(of(line(8857).context("AR")), "1 pass pass 0");
    assert_eq!(of(line(8857).context("STAR")), "1 error context_unknown 0 column=contexts");
    assert_eq!(of(line(8857)), "", "a row without contexts is not looked at");
    assert_eq!(of(line(8858).context("STAR")), "");
}

#[test]
fn longer_visit_that_cannot_be_compared_is_not_looked_at() {
    let visit = || line(15_801).time(600, 630);
    assert_eq!(longer(visit().unread(Column::Preliminary)), "", "the amount cannot be read");
    assert_eq!(longer(visit().preliminary(-4000)), "", "the visit was taken back");
}
