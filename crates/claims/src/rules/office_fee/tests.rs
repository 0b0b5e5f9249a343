use schemas::rule::{Column, OfficeFee, Rule, RuleCheck};

use crate::check::fixtures::{TestRow, line, shipped, told};

fn small() -> TestRow {
    line(19_928)
}

fn large() -> TestRow {
    line(19_929)
}

fn visit(patient: u32) -> TestRow {
    line(15_801).patient(patient)
}

impl TestRow {
    fn walk_in(self) -> TestRow {
        self.context("G160")
    }
}

/// So many registered patients, then so many walk-ins.
fn visits(registered: u32, walk_in: u32) -> Vec<TestRow> {
    let registered = (0..registered).map(visit);
    registered.chain((0..walk_in).map(|patient| visit(1000 + patient).walk_in())).collect()
}

/// The rule with other parameters.
fn with(change: impl FnOnce(&mut OfficeFee)) -> Rule {
    let mut rule = shipped("office-fee");
    let RuleCheck::OfficeFee(fee) = &mut rule.check else { panic!("it is the office fee") };
    change(fee);
    rule
}

/// The verdict on a day: its fees from row 1 on, its visits behind them.
fn by(rule: &Rule, registered: u32, walk_in: u32, fees: &[TestRow]) -> Vec<String> {
    told(rule, &[fees, &visits(registered, walk_in)].concat())
}

fn day(registered: u32, walk_in: u32, fees: &[TestRow]) -> Vec<String> {
    by(&shipped("office-fee"), registered, walk_in, fees)
}

fn passes(registered: u32, walk_in: u32, total: u32) -> String {
    let outcome = if total < 6480 { "office_fee_pass" } else { "office_fee_pass_maximum" };
    format!("1 pass {outcome} 0 registered={registered} total_cents={total} walk_in={walk_in}")
}

fn cancel(row: u32, code: u32, needed: u32, seen: u32) -> String {
    let cents = if code == 19_928 { 3240 } else { 6480 };
    format!("{row} error office_fee_minimum {cents} code={code} needed={needed} seen={seen}")
}

#[test]
fn small_fee_needs_six_registered_or_ten_walk_ins() {
    assert_eq!(day(5, 0, &[small()]), [cancel(1, 19_928, 6, 5)]);
    assert_eq!(day(6, 0, &[small()]), [passes(6, 0, 3240)]);
    assert_eq!(day(0, 9, &[small().walk_in()]), [cancel(1, 19_928, 10, 9)]);
    assert_eq!(day(0, 10, &[small().walk_in()]), [passes(0, 10, 3240)]);
}

#[test]
fn large_fee_needs_twelve_registered_or_twenty_walk_ins() {
    let smaller = |needed, seen| {
        format!(
            "1 error office_fee_minimum_smaller 3240 better=19928 code=19929 needed={needed} \
                 seen={seen}"
        )
    };
    assert_eq!(day(5, 0, &[large()]), [cancel(1, 19_929, 12, 5)]);
    assert_eq!(day(6, 0, &[large()]), [smaller(12, 6)]);
    assert_eq!(day(11, 0, &[large()]), [smaller(12, 11)]);
    assert_eq!(day(12, 0, &[large()]), [passes(12, 0, 6480)]);
    assert_eq!(day(0, 9, &[large().walk_in()]), [cancel(1, 19_929, 20, 9)]);
    assert_eq!(day(0, 10, &[large().walk_in()]), [smaller(20, 10)]);
    assert_eq!(day(0, 12, &[large().walk_in()]), [smaller(20, 12)]);
    assert_eq!(day(0, 19, &[large().walk_in()]), [smaller(20, 19)]);
    assert_eq!(day(0, 20, &[large().walk_in()]), [passes(0, 20, 6480)]);
}

#[test]
fn fee_is_for_private_offices_only() {
    let wrong = |cents, code| format!("1 error office_fee_place {cents} code={code}");
    assert_eq!(day(6, 0, &[small().at(49_999)]), [wrong(3240, 19_928)]);
    assert_eq!(day(6, 0, &[small().at(50_000)]), [passes(6, 0, 3240)]);
    assert_eq!(day(12, 0, &[large().at(20_001)]), [wrong(6480, 19_929)]);
    assert_eq!(day(6, 0, &[TestRow { place: None, ..small() }]), [wrong(3240, 19_928)]);
}

#[test]
fn misplaced_fee_is_excluded() {
    let elsewhere = small().at(20_001);
    let wrong = "1 error office_fee_place 3240 code=19928";
    assert_eq!(day(2, 0, std::slice::from_ref(&elsewhere)), [wrong], "its minimum is not judged");
    assert_eq!(
        day(12, 0, &[elsewhere.clone(), large()]),
        [wrong],
        "it does not count towards the maximum"
    );
    assert_eq!(
        day(12, 0, &[elsewhere.clone(), small()]),
        [wrong],
        "a day with an error gets no advice"
    );
    assert_eq!(
        day(2, 10, &[elsewhere.walk_in(), small()]),
        [wrong, "2 optimisation office_fee_other_group 0 code=19928"],
        "the other group counts as having no fee"
    );
}

#[test]
fn fee_of_small_group_moves_to_free_group() {
    let other = |code| format!("1 optimisation office_fee_other_group 0 code={code}");
    assert_eq!(day(5, 9, &[small()]), [cancel(1, 19_928, 6, 5)]);
    assert_eq!(day(5, 10, &[small()]), [other(19_928)]);
    assert_eq!(day(5, 9, &[small().walk_in()]), [cancel(1, 19_928, 10, 9)]);
    assert_eq!(day(6, 9, &[small().walk_in()]), [other(19_928)]);
    assert_eq!(day(11, 20, &[large()]), [other(19_929)], "before the advice to bill the small one");
    assert!(day(11, 19, &[large()])[0].starts_with("1 error office_fee_minimum_smaller"));
    assert_eq!(day(5, 19, &[large()]), [cancel(1, 19_929, 12, 5)]);
    assert_eq!(
        day(5, 10, &[small(), small().walk_in()]),
        [cancel(1, 19_928, 6, 5)],
        "it has a fee"
    );
}

#[test]
fn two_fees_that_both_fail_are_one_error() {
    let both = "1 error office_fee_minimum_both";
    assert_eq!(
        day(5, 9, &[small(), small().walk_in()]),
        [format!("{both} 6480 code=19928 other=19928")]
    );
    assert_eq!(
        day(5, 9, &[large().walk_in(), small()]),
        [format!("{both} 9720 code=19928 other=19929")]
    );
    assert_eq!(day(5, 0, &[large(), large()]), [format!("{both} 12960 code=19929 other=19929")]);
    let three = day(5, 0, &[small(), small(), small()]);
    assert_eq!(
        three,
        [1, 2, 3].map(|row| cancel(row, 19_928, 6, 5)),
        "three are reported one by one"
    );
}

#[test]
fn both_fees_are_reported_when_one_fails() {
    assert_eq!(day(6, 9, &[small(), small().walk_in()]), [cancel(2, 19_928, 10, 9)]);
    assert_eq!(
        day(6, 9, &[large(), small().walk_in()]),
        [
            "1 error office_fee_minimum_smaller 3240 better=19928 code=19929 needed=12 seen=6"
                .to_owned(),
            cancel(2, 19_928, 10, 9)
        ]
    );
    let other =
        ["1", "2"].map(|row| format!("{row} optimisation office_fee_other_group 0 code=19928"));
    assert_eq!(day(5, 10, &[small(), small()]), other);
}

#[test]
fn fees_above_daily_limit_name_fees_to_keep() {
    let above = |row, total, keep| {
        let excess = total - 6480;
        format!(
            "{row} error office_fee_maximum {excess} excess_cents={excess} keep={keep} \
                 limit_cents=6480 total_cents={total}"
        )
    };
    assert_eq!(day(6, 10, &[small(), small().walk_in()]), [passes(6, 10, 6480)]);
    assert_eq!(day(12, 10, &[large(), small().walk_in()]), [above(2, 9720, "19929")]);
    assert_eq!(day(12, 10, &[small().walk_in(), large()]), [above(1, 9720, "19929")]);
    assert_eq!(day(12, 20, &[large(), large().walk_in()]), [above(2, 12_960, "19929")]);
    assert_eq!(day(6, 10, &[small(), small(), small().walk_in()]), [above(3, 9720, "2 × 19928")]);
    assert_eq!(day(12, 10, &[large(), small().walk_in(), small()]), [above(3, 12_960, "19929")]);
}

#[test]
fn limit_may_be_reached_but_not_exceeded() {
    let limit = |large_cents| with(|fee| fee.large.cents = large_cents);
    let fees = [small(), small().walk_in()];
    let told = by(&limit(6480), 6, 10, &fees);
    assert_eq!(told, [passes(6, 10, 6480)]);
    let mut higher = with(|fee| fee.small.cents = 3241);
    assert!(
        by(&higher, 6, 10, &fees)[0]
            .starts_with("2 error office_fee_maximum 2 excess_cents=2 keep=19928")
    );
    higher = with(|fee| (fee.small.cents, fee.large.cents) = (1, 6480));
    let told = by(&higher, 12, 10, &[large(), small().walk_in()]);
    assert_eq!(
        told,
        ["2 error office_fee_maximum 1 excess_cents=1 keep=19929 limit_cents=6480 \
                 total_cents=6481"]
    );
}

#[test]
fn fee_below_minimum_is_not_in_maximum() {
    assert_eq!(day(12, 9, &[large(), small().walk_in()]), [cancel(2, 19_928, 10, 9)]);
    let moved = day(11, 20, &[large(), small()]);
    assert_eq!(moved.len(), 2, "one that goes to the other group does: {moved:?}");
    assert!(moved[1].starts_with("2 error office_fee_maximum 3240"));
}

#[test]
fn lone_small_fee_upgrades_to_large() {
    let upgrade = |seen| {
        format!(
            "1 optimisation office_fee_upgrade 3240 better=19929 code=19928 gain_cents=3240 \
                 seen={seen}"
        )
    };
    assert_eq!(day(11, 0, &[small()]), [passes(11, 0, 3240)]);
    assert_eq!(day(12, 0, &[small()]), [upgrade(12)]);
    assert_eq!(day(0, 19, &[small().walk_in()]), [passes(0, 19, 3240)]);
    assert_eq!(day(0, 20, &[small().walk_in()]), [upgrade(20)]);
    assert_eq!(day(12, 10, &[small()]), [upgrade(12)], "before the advice of a second one");
    assert_eq!(day(12, 10, &[small(), small().walk_in()]), [passes(12, 10, 6480)], "not of two");
}

#[test]
fn lone_small_fee_gets_second_for_other_group() {
    let second = |seen| {
        format!("1 optimisation office_fee_second 3240 code=19928 gain_cents=3240 seen={seen}")
    };
    assert_eq!(day(6, 9, &[small()]), [passes(6, 9, 3240)]);
    assert_eq!(day(6, 10, &[small()]), [second(10)]);
    assert_eq!(day(5, 10, &[small().walk_in()]), [passes(5, 10, 3240)]);
    assert_eq!(day(6, 10, &[small().walk_in()]), [second(6)]);
    let dear = with(|fee| fee.small.cents = 3241);
    assert!(by(&dear, 6, 10, &[small()])[0].contains("pass"), "two would be above the limit");
}

#[test]
fn day_without_fee_gets_best_advice() {
    let unbilled = |row, better, gain, seen| {
        format!(
            "{row} optimisation office_fee_unbilled {gain} better={better} gain_cents={gain} \
                 seen={seen}"
        )
    };
    assert!(day(5, 9, &[]).is_empty(), "a day without a fee and without a group is not spoken of");
    assert_eq!(day(6, 0, &[]), [unbilled(1, "19928", 3240, 6)]);
    assert_eq!(day(5, 10, &[]), [unbilled(6, "19928", 3240, 10)]);
    assert_eq!(day(11, 0, &[]), [unbilled(1, "19928", 3240, 11)]);
    assert_eq!(day(12, 0, &[]), [unbilled(1, "19929", 6480, 12)]);
    assert_eq!(day(0, 19, &[]), [unbilled(1, "19928", 3240, 19)]);
    assert_eq!(day(5, 20, &[]), [unbilled(6, "19929", 6480, 20)]);
    assert_eq!(day(6, 20, &[]), [unbilled(7, "19929", 6480, 20)]);
    assert_eq!(day(12, 20, &[]), [unbilled(1, "19929", 6480, 12)]);
    assert_eq!(
        day(6, 10, &[]),
        [unbilled(1, "2 × 19928", 6480, 16)],
        "one small fee for each group"
    );
    let dear = with(|fee| fee.small.cents = 3241);
    assert_eq!(
        by(&dear, 6, 10, &[]),
        [unbilled(1, "19928", 3241, 6)],
        "two would be above the limit"
    );
}

#[test]
fn patient_counts_once_per_day() {
    let rule = shipped("office-fee");
    let told_of = |lines: &[TestRow]| told(&rule, &[&[small()], lines].concat());
    let five = || visits(5, 0);
    assert_eq!(told_of(&[five(), vec![visit(0), visit(0)]].concat()), [cancel(1, 19_928, 6, 5)]);
    assert_eq!(told_of(&[five(), vec![visit(9)]].concat()), [passes(6, 0, 3240)]);
    assert_eq!(told_of(&[five(), vec![visit(9).walk_in()]].concat()), [cancel(1, 19_928, 6, 5)]);
    assert_eq!(
        told_of(&[five(), vec![visit(9).walk_in(), visit(9)]].concat()),
        [passes(6, 0, 3240)]
    );
    assert_eq!(
        told_of(&[five(), vec![visit(9), visit(9).walk_in()]].concat()),
        [passes(6, 0, 3240)]
    );
    assert_eq!(told_of(&[five(), vec![visit(9).context("STAR")]].concat()), [passes(6, 0, 3240)]);
    assert_eq!(
        told_of(&[five(), vec![visit(9).context("AR")]].concat()),
        [cancel(1, 19_928, 6, 5)]
    );
}

#[test]
fn rows_of_office_fees_count_no_patient() {
    let fee = small().patient(77);
    assert_eq!(day(5, 0, &[fee]), [cancel(1, 19_928, 6, 5)]);
    assert_eq!(
        told(&shipped("office-fee"), &vec![line(15_801); 12]),
        [""; 0],
        "nor rows without a patient"
    );
}

#[test]
fn fee_group_needs_whole_context() {
    assert_eq!(day(6, 0, &[small().context("STAR")]), [passes(6, 0, 3240)]);
    assert_eq!(day(0, 10, &[small().context("X").context("AR")]), [passes(0, 10, 3240)]);
    let marked = with(|fee| fee.walk_in_contexts = vec![" #g160".into()]);
    assert_eq!(by(&marked, 0, 10, &[small().walk_in()]), [passes(0, 10, 3240)]);
}

#[test]
fn rule_may_count_only_paid_patients() {
    let paid = with(|fee| fee.paid_only = true);
    let of = |lines: Vec<TestRow>| told(&paid, &[vec![small()], lines].concat());
    let six_paid: Vec<TestRow> = (0..6).map(|patient| visit(patient).paid(1)).collect();
    assert_eq!(of(six_paid.clone()), [passes(6, 0, 3240)]);
    let mut one_unpaid = six_paid;
    one_unpaid[3].paid = Some(0);
    assert_eq!(of(one_unpaid.clone()), [cancel(1, 19_928, 6, 5)]);
    assert_eq!(
        told(&shipped("office-fee"), &[vec![small()], one_unpaid.clone()].concat()),
        [passes(6, 0, 3240)]
    );
    one_unpaid.push(visit(3).paid(1).walk_in());
    assert_eq!(
        of(one_unpaid),
        [passes(6, 0, 3240)],
        "one paid row is enough, and every row tells the group"
    );
}

#[test]
fn doctors_and_days_are_separate() {
    let rule = shipped("office-fee");
    let split: Vec<TestRow> = visits(12, 0)
        .into_iter()
        .zip(0..)
        .map(|(line, at)| if at % 2 == 0 { line.doctor(2) } else { line.on(2025, 3, 5) })
        .collect();
    let none = "office_fee_minimum 3240 code=19928 needed=6 seen=0";
    let told_of = told(&rule, &[vec![small()], split].concat());
    assert_eq!(told_of.len(), 3, "{told_of:?}");
    assert_eq!(told_of[0], format!("1 error {none}"));
    assert!(told_of[1..].iter().all(|told| told.contains("office_fee_unbilled 3240")));
    let lacking = [
        TestRow { doctor: None, ..small() },
        TestRow { date: None, ..small() },
        TestRow { code: None, ..small() },
    ];
    assert!(told(&rule, &lacking).is_empty());
}

#[test]
fn breach_has_rule_severity_and_gain_stays_gain() {
    let mut rule = shipped("office-fee");
    rule.severity = schemas::rule::Severity::Warning;
    assert!(by(&rule, 5, 0, &[small()])[0].starts_with("1 warning office_fee_minimum"));
    assert!(by(&rule, 12, 0, &[small()])[0].starts_with("1 optimisation office_fee_upgrade"));
}

#[test]
fn smallest_row_represents_a_day() {
    let rule = shipped("office-fee");
    let rows = [visits(0, 10), visits(6, 0), vec![small().walk_in(), small()]].concat();
    assert_eq!(told(&rule, &rows), [passes(6, 10, 6480).replacen('1', "17", 1)]);
}

fn claim(invoice: &str, cents: i64, row: TestRow) -> TestRow {
    row.cell(Column::Invoice, invoice).preliminary(cents)
}

#[test]
fn reversed_fee_is_not_billed() {
    let [first, second] = ["1", "2"].map(|invoice| claim(invoice, 3240, small()));
    let back = claim("1", -3240, small());
    assert_eq!(
        day(6, 0, &[first.clone(), back.clone(), second.clone()]),
        [passes(6, 0, 3240).replacen('1', "3", 1)]
    );
    let gain = &day(6, 0, &[first, back])[0];
    assert!(gain.contains("office_fee_unbilled"), "{gain}");
    let other = claim("3", -3240, small());
    assert_eq!(day(6, 0, &[second, other]), [passes(6, 0, 3240)], "its claim is in another file");
}

#[test]
fn patient_with_reversed_visit_does_not_count() {
    let visit = |cents| visit(6).preliminary(cents);
    assert_eq!(day(5, 0, &[small(), visit(100)]), [passes(6, 0, 3240)]);
    assert_eq!(day(5, 0, &[small(), visit(100), visit(-100)]), [cancel(1, 19_928, 6, 5)]);
    // Nor in the other group.
    let walk_in = || small().walk_in();
    let cancelled = [cancel(1, 19_928, 10, 9)];
    assert_eq!(day(0, 9, &[walk_in(), visit(100), visit(-100)]), cancelled);
    let gone = [walk_in(), visit(100).walk_in(), visit(-100).walk_in()];
    assert_eq!(day(0, 9, &gone), cancelled);
    let again = [small(), visit(100), visit(-100), visit(100)];
    assert_eq!(day(5, 0, &again), [passes(6, 0, 3240)]);
    // The rebilled visit is a walk-in, and the patient with it.
    let moved = [small(), visit(100), visit(-100), visit(100).walk_in()];
    assert_eq!(day(6, 0, &moved), [passes(6, 1, 3240)]);
}

#[test]
fn unread_cell_can_leave_a_day_undecided() {
    let undecided = |unread: u32| format!("1 warning undecided 0 unread={unread}");
    let patient = visit(9).unread(Column::Patient);
    assert_eq!(day(5, 0, &[small(), patient.clone()]), [undecided(2)]);
    assert_eq!(day(6, 0, &[small(), patient.clone()]), [passes(6, 0, 3240)], "no minimum near");
    assert_eq!(day(11, 0, &[small(), patient.clone()]), [undecided(2)], "12 allow the larger fee");
    assert_eq!(day(5, 0, std::slice::from_ref(&patient))[0].split(' ').nth(2), Some("undecided"));
    assert_eq!(day(3, 0, &[patient]), [""; 0]);
    let walk_in = visit(9).walk_in().unread(Column::Patient);
    assert_eq!(day(0, 9, &[small().walk_in(), walk_in.clone()]), [undecided(2)]);
    assert_eq!(day(0, 10, &[small().walk_in(), walk_in]), [passes(0, 10, 3240)]);
    assert_eq!(day(6, 0, &[small().unread(Column::Place)]), [undecided(1)]);
    assert_eq!(day(6, 0, &[small(), visit(9).unread(Column::Code)]), [undecided(2)]);
    let elsewhere = [small().at(20_001), visit(9).unread(Column::Code)];
    assert_eq!(
        day(6, 0, &elsewhere),
        ["1 error office_fee_place 3240 code=19928"],
        "it is certain"
    );
    assert_eq!(day(6, 0, &[small(), visit(5).unread(Column::Units)]), [passes(6, 0, 3240)]);
    let paid_only = with(|fee| fee.paid_only = true);
    let told = by(&paid_only, 0, 0, &[small(), visit(5).unread(Column::Paid)]);
    assert_eq!(told, [undecided(2)]);
}
