use schemas::rule::Column;
use serde_json::{Value, json};

use crate::check::fixtures::{TestRow, line, rule, shipped, told};

fn once(lines: &[TestRow]) -> Vec<String> {
    let rule = rule(json!({
        "kind": "once", "per": ["patient", "code"], "period": "year", "cents": 935,
        "when": { "codes": ["8875", "8876"] }
    }));
    told(&rule, lines)
}

fn fee() -> TestRow {
    line(8875).patient(1)
}

#[test]
fn once_is_as_it_should_be() {
    assert_eq!(once(&[fee()]), ["1 pass pass 0"]);
    assert_eq!(once(&[line(15_815).patient(1), fee().paid(935)]), ["2 pass pass 0"]);
}

#[test]
fn repeated_code_names_paid_row() {
    assert_eq!(once(&[fee(), fee().paid(0)]), ["1 error once_none_paid 935 count=2 paid=0"]);
    assert_eq!(
        once(&[fee().paid(935), fee(), fee()]),
        ["2 error once_one_paid 1870 count=3 paid=1"]
    );
    assert_eq!(once(&[fee(), fee().paid(935)]), ["1 error once_one_paid 935 count=2 paid=1"]);
    assert_eq!(
        once(&[fee(), fee().paid(935), fee().paid(1)]),
        ["2 error once_several_paid 1870 count=3 paid=2"]
    );
}

#[test]
fn groups_differ_by_key_and_period() {
    let apart = [
        fee(),
        fee().patient(2),
        TestRow { code: Some(8876), ..fee() },
        fee().on(2024, 12, 31),
        fee().on(2026, 1, 1),
    ];
    assert!(once(&apart).iter().all(|told| told.ends_with("pass pass 0")));
    assert_eq!(once(&apart).len(), 5);
    let same = [fee().on(2025, 1, 1), fee().on(2025, 12, 31).doctor(2).at(20_000)];
    assert_eq!(once(&same), ["1 error once_none_paid 935 count=2 paid=0"]);
}

#[test]
fn period_is_day_month_or_year() {
    let count = |period: &str, other: (i16, u8, u8)| {
        let rule = rule(json!({ "kind": "once", "per": ["doctor", "place"], "period": period }));
        told(&rule, &[line(1000), line(1000).on(other.0, other.1, other.2)]).len()
    };
    assert_eq!(count("day", (2025, 3, 4)), 1);
    assert_eq!(count("day", (2025, 3, 5)), 2);
    assert_eq!(count("day", (2025, 4, 4)), 2);
    assert_eq!(count("month", (2025, 3, 31)), 1);
    assert_eq!(count("month", (2025, 4, 4)), 2);
    assert_eq!(count("month", (2024, 3, 4)), 2);
    assert_eq!(count("year", (2025, 12, 31)), 1);
    assert_eq!(count("year", (2024, 3, 4)), 2);
}

#[test]
fn row_without_key_or_date_is_skipped() {
    let lacking = [line(8875), TestRow { date: None, ..fee() }, TestRow { code: None, ..fee() }];
    assert!(once(&lacking).is_empty());
    let by_place = rule(json!({ "kind": "once", "per": ["doctor", "place"], "period": "day" }));
    let without = [TestRow { doctor: None, ..line(1000) }, TestRow { place: None, ..line(1000) }];
    assert!(told(&by_place, &without).is_empty());
}

#[test]
fn annual_code_is_billed_once_a_year() {
    let rule = shipped("annual-codes");
    let annual = |code| line(code).patient(1);
    assert_eq!(
        told(&rule, &[annual(15_815), annual(15_804), annual(15_801), annual(15_801)]),
        ["1 pass pass 0", "2 pass pass 0"]
    );
    assert_eq!(
        told(&rule, &[annual(15_815), annual(15_815)]),
        ["1 error once_none_paid 0 count=2 paid=0"],
        "what the replacing code would pay is not known"
    );
}

#[test]
fn yearly_fee_is_billed_once() {
    let rule = shipped("gmf-yearly-fee");
    assert_eq!(
        told(&rule, &[fee(), fee().doctor(2)]),
        ["1 error once_none_paid 935 count=2 paid=0"]
    );
}

fn minutes(lines: &[TestRow]) -> Vec<String> {
    told(&shipped("intervention-minutes"), lines)
}

#[test]
fn intervention_minutes_stay_within_the_day_limit() {
    let rest = |units| line(8859).units(units);
    assert_eq!(minutes(&[line(8857), rest(150)]), ["1 pass pass 0"]);
    assert_eq!(
        minutes(&[line(15_801), line(8857), rest(151)]),
        ["2 error sum_exceeded 0 excess=1 limit=180 total=181 unit=minutes"]
    );
    assert_eq!(
        minutes(&vec![line(8857).units(99); 6]),
        ["1 pass pass 0"],
        "a fixed term leaves the units aside"
    );
    assert_eq!(minutes(&vec![line(8857); 7]).len(), 1);
}

#[test]
fn sum_belongs_to_one_group_and_period() {
    let long = || line(8859).units(100);
    assert_eq!(minutes(&[long(), long().doctor(2), long().on(2025, 3, 5)]).len(), 3);
    assert!(minutes(&[long(), long()])[0].contains("total=200"));
}

#[test]
fn rows_adding_nothing_do_not_represent_sum() {
    let with = |context: &str| line(8859).units(500).context(context);
    assert_eq!(minutes(&[with("ICEP"), with("ICSM"), with("ICTOX")]), [""; 0]);
    assert_eq!(minutes(&[line(8859), line(8859).units(0)]), ["2 pass pass 0"]);
}

fn sum(unit: &str, terms: Value, limit: i64, lines: &[TestRow]) -> Vec<String> {
    let rule = rule(json!({
        "kind": "sum_limit", "per": ["doctor"], "period": "day", "unit": unit, "terms": terms,
        "limit": limit,
    }));
    told(&rule, lines)
}

#[test]
fn amount_sum_reports_its_excess() {
    let terms = json!([{ "column": "preliminary" }]);
    let rows = [line(1000).preliminary(6000), line(1000).preliminary(4000)];
    assert_eq!(sum("cents", terms.clone(), 10_000, &rows), ["1 pass pass 0"]);
    assert_eq!(
        sum("cents", terms, 9_999, &rows),
        ["1 error sum_exceeded_cents 1 excess_cents=1 limit_cents=9999 total_cents=10000"]
    );
    let paid = [line(1000).preliminary(9), line(1000).paid(3)];
    assert_eq!(
        sum("cents", json!([{ "column": "paid" }]), 2, &paid),
        ["2 error sum_exceeded_cents 1 excess_cents=1 limit_cents=2 total_cents=3"]
    );
}

#[test]
fn first_term_naming_code_counts() {
    let terms = json!([
        { "codes": ["8857"], "fixed": 3 },
        { "codes": ["8857", "8859"], "fixed": 5 },
        { "fixed": 1 },
    ]);
    let told = sum("units", terms, 8, &[line(8857), line(8859), TestRow { code: None, ..line(0) }]);
    assert_eq!(told, ["1 error sum_exceeded 0 excess=1 limit=8 total=9 unit=units"]);
}

#[test]
fn overflowing_sum_is_above_its_limit() {
    let terms = json!([{ "column": "paid" }]);
    let huge = [line(1000).paid(i64::MAX), line(1000).paid(i64::MAX), line(1000).paid(-5)];
    let told = sum("cents", terms.clone(), 1, &huge);
    assert!(told[0].contains(&format!("total_cents={}", i64::MAX)), "{told:?}");
    assert_eq!(sum("cents", terms, 1, &vec![line(1000).paid(i64::MIN); 3]), ["1 pass pass 0"]);
}

fn missing(lines: &[TestRow]) -> Vec<String> {
    told(&shipped("gmf-yearly-missing"), lines)
}

fn visit() -> TestRow {
    line(8857).patient(1)
}

#[test]
fn unbilled_due_fee_is_gain_at_first_visit() {
    let gain = "2 optimisation fee_missing 935 gain_cents=935";
    assert_eq!(missing(&[line(1000), visit(), visit()]), [gain]);
    assert_eq!(missing(&[fee(), visit()]), ["2 pass pass 0"]);
    assert_eq!(missing(&[visit(), fee()]), ["1 pass pass 0"]);
    assert!(missing(&[fee()]).is_empty(), "no visit, nothing due");
    assert_eq!(
        missing(&[fee().on(2024, 12, 31), visit()]),
        [gain],
        "the year before is another year"
    );
    assert_eq!(missing(&[fee().patient(2), visit()]), [gain]);
}

#[test]
fn visit_at_gmf_makes_fee_due() {
    for code in [8857, 8859, 15_801, 15_804] {
        assert_eq!(missing(&[line(code).patient(1)]).len(), 1, "{code}");
    }
    for code in [15_815, 8860] {
        assert!(missing(&[line(code).patient(1)]).is_empty(), "{code}");
    }
    assert!(missing(&[visit().at(55_002)]).is_empty());
    for context in ["MTA13", "GMFU", "GAP", "G160", "AR"] {
        assert!(missing(&[visit().context(context)]).is_empty(), "{context}");
    }
    assert_eq!(missing(&[visit().context("STAR")]).len(), 1);
    assert!(missing(&[line(8857)]).is_empty(), "a row without a patient takes no part");
}

fn of_claim(invoice: &str, row: TestRow) -> TestRow {
    row.cell(Column::Invoice, invoice)
}

#[test]
fn reversal_takes_off_one_row_of_its_claim() {
    let billed = |invoice: &str| of_claim(invoice, fee().preliminary(935));
    let reversed = |invoice: &str| of_claim(invoice, fee().preliminary(-935));
    for (rows, expected) in [
        (vec![billed("1"), billed("2"), reversed("2")], vec!["1 pass pass 0"]),
        (vec![billed("1"), billed("2"), reversed("1")], vec!["2 pass pass 0"]),
        (vec![reversed("1"), billed("1"), billed("2")], vec!["3 pass pass 0"]),
        (vec![billed("1"), reversed("1")], vec![]),
        (
            vec![billed("1"), billed("2"), reversed("3")],
            vec!["1 error once_none_paid 935 count=2 paid=0"],
        ),
        (
            vec![billed("1"), billed("1"), billed("1"), reversed("1")],
            vec!["1 error once_none_paid 935 count=2 paid=0"],
        ),
    ] {
        assert_eq!(once(&rows), expected);
    }
}

#[test]
fn reversal_lowers_sum() {
    let minutes_of = |units| line(8859).units(units).preliminary(5000);
    let back = line(8859).units(100).preliminary(-5000);
    assert_eq!(minutes(&[minutes_of(100), minutes_of(100), back]), ["1 pass pass 0"]);
    let fixed = |cents| line(8857).preliminary(cents);
    let rows = [vec![fixed(100); 7], vec![fixed(-100)]].concat();
    assert_eq!(minutes(&rows), ["1 pass pass 0"], "six times half an hour");
}

#[test]
fn reversal_makes_visit_or_fee_undone() {
    let visit = |cents| visit().preliminary(cents);
    let fee = |cents| fee().preliminary(cents);
    assert_eq!(missing(&[visit(100), visit(-100)]), [""; 0], "nothing was due");
    let told = missing(&[visit(100), fee(935), fee(-935)]);
    assert_eq!(told, ["1 optimisation fee_missing 935 gain_cents=935"]);
}

#[test]
fn verdict_depending_on_unread_cell_is_undecided() {
    let unread = |row: TestRow| row.unread(Column::Code);
    let by_patient = rule(json!({
        "kind": "once", "per": ["patient"], "period": "year", "when": { "codes": ["8875"] }
    }));
    let undecided = |row: u32, unread: u32| format!("{row} warning undecided 0 unread={unread}");
    assert_eq!(told(&by_patient, &[fee(), unread(fee())]), [undecided(1, 2)]);
    let twice = [fee(), fee(), unread(fee())];
    assert_eq!(told(&by_patient, &twice), ["1 error once_none_paid 0 count=2 paid=0"]);
    assert_eq!(told(&by_patient, &[unread(fee())]), [""; 0], "no row surely counts");
    let paid = [fee(), fee().unread(Column::Paid)];
    assert_eq!(once(&paid), [undecided(1, 2)], "the advice depends on what was paid");

    let long = |units| line(8859).units(units);
    assert_eq!(minutes(&[long(100), long(0).unread(Column::Units)]), [undecided(1, 2)]);
    let over = [long(181), long(0).unread(Column::Code)];
    assert_eq!(minutes(&over).len(), 1);
    assert!(minutes(&over)[0].contains("sum_exceeded"), "more minutes do not change that");

    assert_eq!(missing(&[visit(), unread(fee())]), [undecided(1, 2)]);
    assert_eq!(missing(&[visit(), fee(), unread(fee())]), ["1 pass pass 0"]);
    let elsewhere = || visit().unread(Column::Place);
    let taken_back = [fee(), fee().preliminary(-935), elsewhere()];
    assert_eq!(missing(&taken_back), [undecided(3, 3)], "the fee may be due");
    let gain = "1 optimisation fee_missing 935 gain_cents=935";
    assert_eq!(missing(&[visit(), elsewhere()]), [gain], "it is due already");
}

#[test]
fn row_with_unread_cell_counts_by_its_keys() {
    let units = fee().unread(Column::Units);
    assert_eq!(once(&[fee(), units]), ["1 error once_none_paid 935 count=2 paid=0"]);
    let patient = fee().unread(Column::Patient);
    assert_eq!(once(&[fee(), patient]), ["1 pass pass 0"]);
}

/// A table of so many groups has them in another order, and they are concluded in two slices.
#[test]
fn findings_of_groups_come_by_row() {
    let patients = || 1..=4098_u32;
    let row_of = |told: &String| told.split(' ').next().unwrap().parse::<u32>().unwrap();
    let fees: Vec<_> = patients().chain(patients().rev()).map(|it| fee().patient(it)).collect();
    assert!(once(&fees).iter().map(row_of).eq(patients()));
    let cents = rule(json!({
        "kind": "sum_limit", "per": ["patient"], "period": "day", "unit": "cents", "limit": 1,
        "terms": [{ "column": "paid" }]
    }));
    let paid: Vec<_> = patients().map(|patient| fee().patient(patient).paid(2)).collect();
    assert!(told(&cents, &paid).iter().map(row_of).eq(patients()));
}

#[test]
fn amount_that_may_come_off_leaves_a_sum_open() {
    let cents = rule(json!({
        "kind": "sum_limit", "per": ["doctor"], "period": "day", "unit": "cents", "limit": 100,
        "terms": [{ "column": "paid" }], "when": { "places": ["55"] }
    }));
    let paid = |cents: i64| line(8857).at(55_002).paid(cents);
    let unsure = |cents: i64| paid(cents).unread(Column::Place);
    let outcome = |rows: &[TestRow]| told(&cents, rows)[0].split(' ').nth(2).unwrap().to_owned();
    assert_eq!(outcome(&[paid(150), unsure(-60)]), "undecided");
    assert_eq!(outcome(&[paid(150), unsure(-40)]), "sum_exceeded_cents");
    assert_eq!(outcome(&[paid(50), unsure(60)]), "undecided");
    assert_eq!(outcome(&[paid(50), unsure(30), unsure(30)]), "undecided");
    assert_eq!(outcome(&[paid(100), unsure(1)]), "undecided");
    assert_eq!(outcome(&[paid(150), unsure(-30), unsure(-30)]), "undecided");
    let exceeded = "1 error sum_exceeded_cents 50 excess_cents=50 limit_cents=100 total_cents=150";
    assert_eq!(told(&cents, &[paid(150)]), [exceeded]);
    assert_eq!(outcome(&[paid(50), unsure(40)]), "pass");
}

/// One group of each kind is left after the groups that are concluded at once.
#[test]
fn groups_of_one_and_of_several_rows_come_in_one_order() {
    let patients = || 1..=4098_u32;
    let again = patients().filter(|patient| patient.is_multiple_of(2));
    let fees: Vec<_> = patients().chain(again).map(|it| fee().patient(it)).collect();
    let expected = |patient: u32| match patient.is_multiple_of(2) {
        true => format!("{patient} error once_none_paid 935 count=2 paid=0"),
        false => format!("{patient} pass pass 0"),
    };
    assert!(once(&fees).into_iter().eq(patients().map(expected)));
}
