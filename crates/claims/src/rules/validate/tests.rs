use schemas::rule::Rule;
use serde_json::{Value, json};

use super::{MAX_CENTS, MAX_DESCRIPTION, MAX_LIST, MAX_PATTERN, RuleProblem, validate};
use crate::check::fixtures::rule;

fn required() -> Value {
    json!({ "kind": "required", "column": "doctor" })
}

fn once() -> Value {
    json!({ "kind": "once", "per": ["patient"], "period": "year", "cents": 1 })
}

fn sum() -> Value {
    json!({
        "kind": "sum_limit", "per": ["doctor"], "period": "day", "unit": "minutes", "limit": 180,
        "terms": [{ "codes": ["8857"], "fixed": 30 }, { "column": "units" }]
    })
}

fn missing() -> Value {
    json!({
        "kind": "missing_though_due", "per": ["patient"], "period": "year", "gain_cents": 1,
        "due": { "codes": ["8857"] }, "missing": { "codes": ["8875"] }
    })
}

fn better() -> Value {
    json!({
        "kind": "better_code", "from_minutes": 30, "base_cents": 1, "step_minutes": 15,
        "step_cents": 0,
    })
}

fn office() -> Value {
    json!({
        "kind": "office_fee", "day_limit_cents": 2, "office_places": ["5"],
        "walk_in_contexts": ["AR"],
        "small": { "code": "19928", "cents": 1, "min_registered": 1, "min_walk_in": 1 },
        "large": { "code": "19929", "cents": 2, "min_registered": 1, "min_walk_in": 1 }
    })
}

fn range(column: &str) -> Value {
    json!({ "kind": "range", "column": column })
}

/// The JSON with one field, named as an error names it, set to something else.
fn set(mut json: Value, field: &str, value: Value) -> Rule {
    let mut at = &mut json;
    for part in field.split('.') {
        at = match part.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[part],
        };
    }
    *at = value;
    rule(json)
}

fn wrong(rule: &Rule) -> Option<(String, RuleProblem)> {
    validate(rule).err().map(|error| {
        assert_eq!(error.rule, rule.id);
        (error.field, error.wrong)
    })
}

/// Each field set to each value is wrong for that reason, and named.
fn table(cases: Vec<(Value, &str, Value, RuleProblem)>) {
    for (json, field, value, why) in cases {
        let rule = set(json, field, value.clone());
        assert_eq!(wrong(&rule), Some((field.to_owned(), why)), "{field}: {value}");
    }
}

#[test]
fn fixture_of_every_kind_is_valid() {
    let mut whole = range("paid");
    whole["min"] = json!(1);
    let others = [
        json!({ "kind": "pattern", "column": "invoice", "pattern": "[0-9]{9}" }),
        json!({ "kind": "allowed", "column": "role", "values": ["1"] }),
        json!({ "kind": "known_code" }),
    ];
    for json in
        [required(), once(), sum(), missing(), better(), office(), whole].into_iter().chain(others)
    {
        assert_eq!(wrong(&rule(json.clone())), None, "{json}");
    }
}

#[test]
fn rule_head_is_validated() {
    table(vec![
        (required(), "id", json!("file"), RuleProblem::Reserved),
        (required(), "category", json!(""), RuleProblem::NotASlug),
        (required(), "category", json!("Two words"), RuleProblem::NotASlug),
        (required(), "category", json!("a".repeat(41)), RuleProblem::NotASlug),
        (required(), "severity", json!("pass"), RuleProblem::Severity),
        (required(), "severity", json!("optimisation"), RuleProblem::Severity),
        (office(), "severity", json!("optimisation"), RuleProblem::Severity),
        (better(), "severity", json!("pass"), RuleProblem::Severity),
    ]);
    let name = |fr: &str, en: &str| wrong(&set(required(), "name", json!({ "fr": fr, "en": en })));
    assert_eq!(name(" ", "x"), Some(("name.fr".into(), RuleProblem::Empty)));
    assert_eq!(name("x", ""), Some(("name.en".into(), RuleProblem::Empty)));
    assert_eq!(name(&"é".repeat(121), "x"), Some(("name.fr".into(), RuleProblem::TooLong(120))));
    assert_eq!(name("x", &"é".repeat(120)), None);
    for severity in ["warning", "optimisation"] {
        assert_eq!(wrong(&set(missing(), "severity", json!(severity))), None, "{severity}");
    }
}

#[test]
fn filters_are_validated() {
    let many = vec!["8857"; MAX_LIST + 1];
    let long = "x".repeat(MAX_DESCRIPTION + 1);
    let codes = ["", "123", "123456", "88 7", "+8857", "8857é", "٨٨٥٧"];
    let mut cases = vec![];
    for field in ["when.codes", "when.codes_not"] {
        cases.extend(
            codes.map(|code| (required(), field, json!(["8857", code]), RuleProblem::NotACode)),
        );
        cases.push((required(), field, json!(many), RuleProblem::TooLong(MAX_LIST)));
    }
    for field in ["when.leaves", "when.groups", "when.tops"] {
        cases.push((required(), field, json!(["x", " "]), RuleProblem::Empty));
        cases.push((required(), field, json!([long]), RuleProblem::TooLong(MAX_DESCRIPTION)));
    }
    for field in ["when.contexts", "when.contexts_not"] {
        cases.push((required(), field, json!([" # "]), RuleProblem::Empty));
        cases.push((required(), field, json!(["x".repeat(121)]), RuleProblem::TooLong(120)));
    }
    for place in ["", "x", "123456"] {
        cases.push((required(), "when.places", json!([place]), RuleProblem::NotDigits));
    }
    cases.push((missing(), "due.codes", json!(["x"]), RuleProblem::NotACode));
    cases.push((missing(), "missing.codes", json!(["x"]), RuleProblem::NotACode));
    cases.push((missing(), "missing", json!({}), RuleProblem::Empty));
    for json in [once(), sum(), better(), json!({ "kind": "known_code" })] {
        cases.push((json, "when.codes", json!(["x"]), RuleProblem::NotACode));
    }
    table(cases);
    let full = json!({
        "codes": ["8857", "19928"], "leaves": ["x"], "contexts": ["#g160"],
        "places": ["5", "12345"], "gmf": false,
    });
    assert_eq!(wrong(&set(required(), "when", full)), None);
    assert_eq!(wrong(&set(required(), "when.codes", json!(vec!["8857"; MAX_LIST]))), None);
}

#[test]
fn patterns_are_validated() {
    let pattern = |pattern: &str| {
        wrong(&rule(json!({ "kind": "pattern", "column": "invoice", "pattern": pattern }))).map(
            |(field, wrong)| {
                assert_eq!(field, "pattern");
                wrong
            },
        )
    };
    assert_eq!(pattern(""), Some(RuleProblem::Empty));
    assert_eq!(pattern(&"é".repeat(MAX_PATTERN)), None);
    assert_eq!(pattern(&"é".repeat(MAX_PATTERN + 1)), Some(RuleProblem::TooLong(MAX_PATTERN)));
    for bad in [
        "(",
        "a)(b",
        "a)|(?:b",
        r"\",
        "[z-a]",
        "(?P<x",
        r"(\w{90}){90}",
        "((((a{99}){99}){99}){99})",
        "a{4294967296}",
    ] {
        assert_eq!(pattern(bad), Some(RuleProblem::Pattern), "{bad}");
    }
    for good in [r"\w{9}", r"[A-Z]{4}\d{8}", "a|ab", "(?i)g160", r"^x$"] {
        assert_eq!(pattern(good), None, "{good}");
    }
    let filtered = json!({ "kind": "pattern", "column": "invoice", "pattern": "a" });
    table(vec![(filtered, "when.places", json!([""]), RuleProblem::NotDigits)]);
}

#[test]
fn ranges_are_validated() {
    let bounds = |column: &str, min: Value, max: Value| {
        let mut json = range(column);
        for (name, bound) in [("min", min), ("max", max)] {
            if !bound.is_null() {
                json[name] = bound;
            }
        }
        wrong(&rule(json))
    };
    let none = || Value::Null;
    let at = |field: &str, why: RuleProblem| Some((field.to_owned(), why));
    for column in ["units", "paid", "preliminary", "code", "place"] {
        assert_eq!(bounds(column, json!(1), json!(1)), None, "{column}");
        assert_eq!(
            bounds(column, json!(2), json!(1)),
            at("min", RuleProblem::AboveOther),
            "{column}"
        );
        assert_eq!(
            bounds(column, json!("1"), none()),
            at("min", RuleProblem::BoundType),
            "{column}"
        );
        assert_eq!(bounds(column, none(), none()), at("min", RuleProblem::NoBound), "{column}");
    }
    assert_eq!(bounds("service_date", json!("2025-01-01"), json!("2025-01-01")), None);
    assert_eq!(
        bounds("service_date", json!("2025-01-02"), json!("2025-01-01")),
        at("min", RuleProblem::AboveOther)
    );
    assert_eq!(
        bounds("service_date", none(), json!("2025-02-30")),
        at("max", RuleProblem::BoundType)
    );
    assert_eq!(
        bounds("service_date", none(), json!(20_250_101)),
        at("max", RuleProblem::BoundType)
    );
    for column in ["start", "end"] {
        assert_eq!(bounds(column, json!("07:00"), json!("19:00")), None);
        assert_eq!(
            bounds(column, json!("19:00"), json!("07:00")),
            at("min", RuleProblem::AboveOther)
        );
        assert_eq!(bounds(column, json!("2025-01-01"), none()), at("min", RuleProblem::BoundType));
    }
    for column in ["patient", "doctor", "invoice", "contexts"] {
        for bound in [json!(1), json!("1"), json!("07:00"), json!("2025-01-01")] {
            assert_eq!(
                bounds(column, bound, none()),
                at("min", RuleProblem::BoundType),
                "{column}"
            );
        }
    }
    let mut filtered = range("units");
    filtered["min"] = json!(1);
    table(vec![(filtered, "when.codes", json!(["x"]), RuleProblem::NotACode)]);
}

#[test]
fn allowed_values_are_validated() {
    let allowed = |column: &str| json!({ "kind": "allowed", "column": column, "values": ["x"] });
    table(vec![
        (allowed("role"), "values", json!([]), RuleProblem::Empty),
        (allowed("role"), "values", json!(["x", " "]), RuleProblem::Empty),
        (allowed("contexts"), "values", json!(["#"]), RuleProblem::Empty),
        (
            allowed("role"),
            "values",
            json!(["x".repeat(MAX_DESCRIPTION + 1)]),
            RuleProblem::TooLong(MAX_DESCRIPTION),
        ),
        (allowed("role"), "values", json!(vec!["x"; MAX_LIST + 1]), RuleProblem::TooLong(MAX_LIST)),
        (allowed("role"), "when.codes", json!(["x"]), RuleProblem::NotACode),
    ]);
    assert_eq!(
        wrong(&set(allowed("role"), "values", json!(["#"]))),
        None,
        "elsewhere a mark is a value"
    );
}

#[test]
fn groups_and_amounts_are_validated() {
    let amount = |min| RuleProblem::OutOfRange { min, max: MAX_CENTS };
    let minutes = || RuleProblem::OutOfRange { min: 1, max: 1440 };
    let mut cases = vec![];
    for json in [once(), sum(), missing()] {
        cases.push((json.clone(), "per", json!([]), RuleProblem::Empty));
        cases.push((json, "per", json!(["patient", "code", "patient"]), RuleProblem::Twice));
    }
    for beyond in [json!(-1), json!(MAX_CENTS + 1), json!(i64::MIN), json!(i64::MAX)] {
        cases.push((once(), "cents", beyond.clone(), amount(0)));
        cases.push((better(), "step_cents", beyond, amount(0)));
    }
    for beyond in [json!(0), json!(-1), json!(MAX_CENTS + 1)] {
        cases.push((sum(), "limit", beyond.clone(), amount(1)));
        cases.push((missing(), "gain_cents", beyond.clone(), amount(1)));
        cases.push((better(), "base_cents", beyond, amount(1)));
    }
    for beyond in [json!(0), json!(1441), json!(65_535)] {
        cases.push((better(), "from_minutes", beyond.clone(), minutes()));
        cases.push((better(), "step_minutes", beyond, minutes()));
    }
    table(cases);
    assert_eq!(wrong(&set(once(), "cents", json!(0))), None);
    assert_eq!(wrong(&set(once(), "cents", json!(MAX_CENTS))), None);
}

#[test]
fn sum_terms_are_validated() {
    let amount = || RuleProblem::OutOfRange { min: 1, max: MAX_CENTS };
    table(vec![
        (sum(), "terms", json!([]), RuleProblem::Empty),
        (
            sum(),
            "terms",
            json!(vec![json!({ "fixed": 1 }); MAX_LIST + 1]),
            RuleProblem::TooLong(MAX_LIST),
        ),
        (sum(), "terms.0.codes", json!(["x"]), RuleProblem::NotACode),
        (sum(), "terms.0.fixed", json!(0), amount()),
        (sum(), "terms.0.fixed", json!(-1), amount()),
        (sum(), "terms.1.column", json!("paid"), RuleProblem::Column),
        (sum(), "terms.1.column", json!("patient"), RuleProblem::Column),
    ]);
    let of = |unit: &str, column: &str| {
        let mut json = sum();
        json["unit"] = json!(unit);
        wrong(&set(json, "terms", json!([{ "column": column }]))).is_none()
    };
    for unit in ["minutes", "units"] {
        assert!(of(unit, "units") && !of(unit, "preliminary") && !of(unit, "paid"), "{unit}");
    }
    assert!(of("cents", "preliminary") && of("cents", "paid") && !of("cents", "units"));
}

#[test]
fn office_fees_are_validated() {
    let amount = |min| RuleProblem::OutOfRange { min, max: MAX_CENTS };
    let mut cases = vec![];
    for (code, cents, registered, walk_in) in [
        ("small.code", "small.cents", "small.min_registered", "small.min_walk_in"),
        ("large.code", "large.cents", "large.min_registered", "large.min_walk_in"),
    ] {
        cases.push((office(), code, json!("199"), RuleProblem::NotACode));
        cases.push((office(), cents, json!(0), amount(1)));
        cases.push((office(), cents, json!(MAX_CENTS + 1), amount(1)));
        cases.push((office(), registered, json!(0), amount(1)));
        cases.push((office(), walk_in, json!(0), amount(1)));
    }
    cases.extend([
        (office(), "large.code", json!("19928"), RuleProblem::Twice),
        (office(), "small.cents", json!(2), RuleProblem::NotSmaller),
        (office(), "day_limit_cents", json!(1), amount(2)),
        (office(), "day_limit_cents", json!(MAX_CENTS + 1), amount(2)),
        (office(), "office_places", json!([]), RuleProblem::Empty),
        (office(), "office_places", json!(["5", "x"]), RuleProblem::NotDigits),
        (office(), "walk_in_contexts", json!(["#"]), RuleProblem::Empty),
    ]);
    table(cases);
    assert_eq!(
        wrong(&set(office(), "walk_in_contexts", json!([]))),
        None,
        "there may be no walk-ins"
    );
}

#[test]
fn error_names_rule_field_and_reason() {
    let error = validate(&set(sum(), "terms.0.codes", json!(["x"]))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "rule a-rule: terms.0.codes must be a code of four or five digits"
    );
}
