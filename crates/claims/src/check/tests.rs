mod failures;

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proptest::{collection::vec, option, prelude::*, sample::select};
use schemas::{
    finding::{Finding, FindingOutcome},
    language::Language,
    reference::ReferenceTable,
    rule::{Column, Rule},
    run::{FindingCounts, RunSummary},
    view::raw,
};
use serde_json::json;

use super::{
    BLOCK, CheckOptions, CheckStep, FileCheck,
    fixtures::{TestRow, brief, find, line, rule, shipped, tables},
};
use crate::{
    file::{FileError, FileFormat},
    rules::{self, Evaluator, FindingSink, KeyedRow, Rules},
    tables::Tables,
};

/// An export of these rows.
fn csv(lines: &[TestRow]) -> String {
    let titles: Vec<&str> = Column::ALL.iter().map(|column| column.title()).collect();
    let rows = lines.iter().zip(1..).map(|(line, number): (_, u64)| {
        let cell = |column: &Column| cell(line, number, *column);
        Column::ALL.iter().map(cell).collect::<Vec<_>>().join(";")
    });
    let rows: Vec<String> = std::iter::once(titles.join(";")).chain(rows).collect();
    rows.join("\r\n")
}

fn cell(line: &TestRow, number: u64, column: Column) -> String {
    let time = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
    let amount = |cents: i64| format!("{},{:02}", cents / 100, cents % 100);
    if let Some(text) = line.cells.get(&column) {
        return text.clone();
    }
    match column {
        Column::Number => Some(number.to_string()),
        Column::Invoice => Some("123456789".into()),
        Column::ServiceDate => {
            line.date.map(|(year, month, day)| format!("{year:04}-{month:02}-{day:02}"))
        }
        Column::Start => line.start.map(time),
        Column::End => line.end.map(time),
        Column::Place => line.place.map(|place| format!("{place:05}")),
        Column::Code => line.code.map(|code| format!("{code:04}")),
        Column::Units => line.units.map(|units| units.to_string()),
        Column::Contexts => Some(line.contexts.join(", ")),
        Column::Preliminary => line.preliminary.map(amount),
        Column::Paid => line.paid.map(amount),
        Column::Doctor => {
            line.doctor.map(|doctor| format!("{doctor:07}-00001 | Test, Test - Test"))
        }
        Column::Patient => line.patient.map(|patient| format!("TEST{patient:08} - TEST, TEST")),
        _ => None,
    }
    .unwrap_or_default()
}

/// Ten rows that break several rules, of single rows and over all rows.
fn rows() -> Vec<TestRow> {
    let visit = |patient| line(15_801).patient(patient).preliminary(900_000);
    let mut rows = vec![
        line(19_928),
        visit(1).time(600, 645).preliminary(5000),
        line(8875).patient(1).paid(935),
        line(8875).patient(1),
        line(9999).patient(2),
        TestRow { doctor: None, ..visit(2) },
        line(8859).units(181).patient(3).cell(Column::Invoice, "12"),
    ];
    rows.extend((3..6).map(visit));
    rows
}

/// Every finding of a file, and its summary.
fn finish(mut checking: FileCheck<'_, &[u8]>) -> (Vec<Finding>, RunSummary) {
    let mut found = Vec::new();
    loop {
        if let CheckStep::Done(summary) = checking.step(&mut found).unwrap() {
            return (found, summary);
        }
    }
}

/// A check of `rows` by the shipped rules that are on, changed before its first row.
fn check(
    options: CheckOptions,
    change: impl FnOnce(&mut FileCheck<'_, &[u8]>),
) -> (Vec<Finding>, RunSummary) {
    let (rules, tables, file) =
        (Rules::compile(&rules::shipped()).unwrap(), tables(), csv(&rows()));
    let mut checking =
        FileCheck::new(file.as_bytes(), &FileFormat::default(), &rules, &tables, options).unwrap();
    change(&mut checking);
    finish(checking)
}

fn of_rule<'f>(found: &'f [Finding], rule: &'f str) -> impl Iterator<Item = String> + 'f {
    found.iter().filter(move |finding| finding.rule.as_str() == rule).map(brief)
}

/// The place of a rule among those that are on.
fn position(id: &str) -> usize {
    let rules = rules::shipped();
    rules.iter().filter(|rule| rule.enabled).position(|rule| rule.id.as_str() == id).unwrap()
}

fn told(found: &[Finding]) -> Vec<String> {
    found.iter().map(|finding| format!("{} {}", finding.rule, brief(finding))).collect()
}

#[test]
fn findings_come_by_row_then_by_rule() {
    let (found, summary) = check(CheckOptions::default(), |_| ());
    assert_eq!(
        told(&found),
        [
            "longer-visits 2 optimisation longer_visit 3955 better_cents=8955 billed_cents=5000 \
                 minutes=45",
            "known-code 5 warning code_unknown 0 code=9999",
            "doctor-required 6 error required_missing 0 column=doctor",
            "invoice-form 7 warning pattern_mismatch 0 column=invoice",
            "office-fee 1 error office_fee_minimum 3240 code=19928 needed=6 seen=5",
            "gmf-yearly-fee 4 error once_one_paid 935 count=2 paid=1",
            "gmf-yearly-missing 6 optimisation fee_missing 935 gain_cents=935",
            "gmf-yearly-missing 7 optimisation fee_missing 935 gain_cents=935",
            "gmf-yearly-missing 9 optimisation fee_missing 935 gain_cents=935",
            "gmf-yearly-missing 10 optimisation fee_missing 935 gain_cents=935",
            "intervention-minutes 7 error sum_exceeded 0 excess=1 limit=180 total=181 unit=minutes",
        ]
    );
    let counts = FindingCounts { error: 4, warning: 2, optimisation: 5, pass: summary.counts.pass };
    let took_ms = summary.took_ms;
    assert_eq!(
        summary,
        RunSummary {
            rows: 10,
            rows_unreadable: 0,
            counts,
            at_risk_cents: 3240 + 935,
            to_gain_cents: 3955 + 4 * 935,
            took_ms,
            stored: 11
        }
    );
}

#[test]
fn passes_are_counted_always_and_listed_on_demand() {
    let (found, summary) = check(CheckOptions::default(), |_| ());
    let (all, with_passes) =
        check(CheckOptions { list_passes: true, ..CheckOptions::default() }, |_| ());
    assert!(summary.counts.pass > 0);
    assert_eq!(summary.counts, with_passes.counts);
    assert_eq!(all.len() as u64, with_passes.stored);
    assert_eq!(with_passes.stored - summary.stored, summary.counts.pass);
    let without: Vec<Finding> = all
        .into_iter()
        .filter(|finding| finding.severity != schemas::rule::Severity::Pass)
        .collect();
    assert_eq!(without, found);
}

#[test]
fn check_runs_by_block_then_by_rule() {
    let (rules, tables) = (Rules::compile(&rules::shipped()).unwrap(), Tables::empty());
    let file = csv(&vec![line(15_801); BLOCK as usize + 1]);
    let mut checking = FileCheck::new(
        file.as_bytes(),
        &FileFormat::default(),
        &rules,
        &tables,
        CheckOptions::default(),
    )
    .unwrap();
    let mut found = Vec::new();
    assert_eq!(checking.step(&mut found).unwrap(), CheckStep::Reading);
    assert_eq!(checking.rows_done(), u64::from(BLOCK));
    assert!(checking.bytes_done() < file.len() as u64);
    assert!(checking.tallies().all(|(_, tally)| tally.took_us.is_none()));
    assert_eq!(checking.step(&mut found).unwrap(), CheckStep::Concluding);
    assert_eq!(
        (checking.rows_done(), checking.bytes_done()),
        (u64::from(BLOCK) + 1, file.len() as u64)
    );
    let on = rules::shipped().iter().filter(|rule| rule.enabled).count();
    for done in 0..on {
        let finished = checking.tallies().filter(|(_, tally)| tally.took_us.is_some()).count();
        assert_eq!(finished, done + 1, "the file's own first, then one rule a step");
        assert_eq!(checking.step(&mut found).unwrap(), CheckStep::Concluding);
    }
    let CheckStep::Done(summary) = checking.step(&mut found).unwrap() else { panic!("it is over") };
    assert_eq!(checking.step(&mut found).unwrap(), CheckStep::Done(summary.clone()));
    assert_eq!((summary.rows, summary.counts), (u64::from(BLOCK) + 1, checking.counts()));
    let ids: BTreeSet<&str> = checking.tallies().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids.len(), on + 1);
    assert!(ids.contains("file"));
}

#[test]
fn unreadable_row_is_reported_and_skipped() {
    let (rules, tables) = (Rules::compile(&rules::shipped()).unwrap(), tables());
    let mut lines = rows();
    lines.insert(1, line(8857).patient(9).cell(Column::ServiceDate, "2025-13-01"));
    let file = csv(&lines);
    let begin = FileCheck::new(
        file.as_bytes(),
        &FileFormat::default(),
        &rules,
        &tables,
        CheckOptions::default(),
    );
    let mut checking = begin.unwrap();
    let mut found = Vec::new();
    while !matches!(checking.step(&mut found).unwrap(), CheckStep::Done(_)) {}
    let (_, tally) = checking.tallies().next().unwrap();
    assert_eq!(tally.counts, FindingCounts { error: 1, ..FindingCounts::default() });
    let (found, summary) = finish(checking_again(&file, &rules, &tables));
    assert_eq!(told(&found)[0], "file 2 error row_unreadable 0 column=service_date line=3");
    assert_eq!(
        (summary.rows, summary.rows_unreadable, summary.stored),
        (11, 1, found.len() as u64)
    );
    let (without, _) = check(CheckOptions::default(), |_| ());
    let moved = |finding: &Finding| Finding {
        row: finding.row - u64::from(finding.row > 2),
        ..finding.clone()
    };
    assert_eq!(found[1..].iter().map(moved).collect::<Vec<_>>(), without);
}

fn checking_again<'r>(
    file: &'r str,
    rules: &'r Rules,
    tables: &'r Tables,
) -> FileCheck<'r, &'r [u8]> {
    FileCheck::new(file.as_bytes(), &FileFormat::default(), rules, tables, CheckOptions::default())
        .unwrap()
}

#[test]
fn foreign_file_is_refused_before_any_row() {
    let (rules, tables) = (Rules::compile(&[]).unwrap(), Tables::empty());
    let begin = |bytes| {
        FileCheck::new(bytes, &FileFormat::default(), &rules, &tables, CheckOptions::default())
            .err()
    };
    assert!(matches!(begin(b"a;b\n1;2\n".as_slice()), Some(FileError::Refused(_))));
    let empty = csv(&[]);
    let (found, summary) = finish(checking_again(&empty, &rules, &tables));
    assert_eq!((found.len(), summary.rows, summary.counts), (0, 0, FindingCounts::default()));
}

/// An evaluator that finds what another finds, until it fails.
struct FailingEvaluator<'r> {
    evaluator: Box<dyn Evaluator + 'r>,
    at_row: Option<u64>,
}

impl Evaluator for FailingEvaluator<'_> {
    fn row(&mut self, seen: &KeyedRow<'_>, found: &mut FindingSink<'_>) {
        self.evaluator.row(seen, found);
        assert_ne!(Some(seen.row.number), self.at_row, "it fails here");
    }

    fn conclude(&mut self, found: &mut FindingSink<'_>) -> bool {
        self.evaluator.conclude(found);
        panic!("it fails here");
    }
}

fn fail(checking: &mut FileCheck<'_, &[u8]>, id: &str, at_row: Option<u64>) {
    let evaluator = &mut checking.evaluators.each[position(id)].evaluator;
    *evaluator = evaluator
        .take()
        .map(|evaluator| Box::new(FailingEvaluator { evaluator, at_row }) as Box<dyn Evaluator>);
}

#[test]
fn check_can_move_between_threads() {
    fn movable<T: Send>() {}
    movable::<FileCheck<'static, std::fs::File>>();
}

/// Days of one doctor each, that together have every outcome of the office fee.
fn office_days() -> Vec<TestRow> {
    let doctor = Cell::new(100);
    let day = |registered: u32, walk_in: u32, fees: &[TestRow]| -> Vec<TestRow> {
        doctor.set(doctor.get() + 1);
        let visits = (0..registered).map(|patient| line(15_801).patient(patient));
        let walk_ins =
            (0..walk_in).map(|patient| line(15_801).patient(1000 + patient).context("G160"));
        fees.iter()
            .cloned()
            .chain(visits)
            .chain(walk_ins)
            .map(|line| line.doctor(doctor.get()))
            .collect()
    };
    let (small, large) = (line(19_928), line(19_929));
    [
        day(6, 0, &[small.clone().at(20_001)]),
        day(5, 0, std::slice::from_ref(&small)),
        day(6, 0, std::slice::from_ref(&large)),
        day(5, 0, &[small.clone(), large.clone()]),
        day(5, 10, std::slice::from_ref(&small)),
        day(12, 0, &[small.clone(), large.clone()]),
        day(12, 0, std::slice::from_ref(&small)),
        day(6, 10, std::slice::from_ref(&small)),
        day(6, 10, &[]),
        day(6, 0, std::slice::from_ref(&small)),
        day(12, 0, std::slice::from_ref(&large)),
    ]
    .concat()
}

/// Findings of every outcome there is, made by the code that makes them.
fn every_outcome() -> Vec<Finding> {
    let mut found = find(&[shipped("office-fee")], &tables(), &office_days(), true);
    let fee = |patient: u32| line(8875).patient(patient);
    let billed = [fee(1), fee(1), fee(2), fee(2).paid(1), fee(3).paid(1), fee(3).paid(1)];
    found.extend(find(&[shipped("gmf-yearly-fee")], &tables(), &billed, true));
    let unread = fee(1).unread(Column::Code);
    found.extend(find(&[shipped("gmf-yearly-fee")], &tables(), &[fee(1), unread], true));
    let cents = rule(json!({
        "kind": "sum_limit", "per": ["doctor"], "period": "day", "unit": "cents", "limit": 1,
        "terms": [{ "column": "paid" }]
    }));
    found.extend(find(&[cents], &tables(), &[line(8857).paid(2)], true));
    let mut known = tables();
    let context = [("AR".to_owned(), raw(&json!({"description": "", "edition": 1})))];
    known.set_stored(ReferenceTable::Contexts, &context.into()).unwrap();
    let contexts = rule(json!({ "kind": "known_context" }));
    let rows = [line(8857).context("STAR"), line(8857).context("AR")];
    found.extend(find(&[contexts], &known, &rows, true));
    let row_wise = line(9999).units(5000).context("STAR").cell(Column::Invoice, "1");
    let of: Vec<Rule> =
        rules::shipped().into_iter().map(|rule| Rule { enabled: true, ..rule }).collect();
    found.extend(find(&of, &tables(), &[row_wise], true));
    let options = CheckOptions { list_passes: true, ..CheckOptions::default() };
    found.extend(check(options, |checking| fail(checking, "office-fee", Some(1))).0);
    found.extend(
        check(CheckOptions { budget: Duration::ZERO, ..CheckOptions::default() }, |_| ()).0,
    );
    let (rules, tables) = (Rules::compile(&[]).unwrap(), Tables::empty());
    let unreadable = csv(&[
        line(8857).cell(Column::Paid, "x"),
        line(8857).cell(Column::ServiceDate, "04/03/2025"),
        line(8857).cell(Column::Start, "9h00"),
    ]);
    found.extend(finish(checking_again(&unreadable, &rules, &tables)).0);
    found
}

#[test]
fn every_outcome_has_a_message_in_both_languages() {
    let found = every_outcome();
    let outcomes: BTreeSet<FindingOutcome> = found.iter().map(|finding| finding.outcome).collect();
    let all: BTreeSet<FindingOutcome> = FindingOutcome::ALL.iter().copied().collect();
    assert_eq!(outcomes, all);
    for finding in &found {
        for language in [Language::French, Language::English] {
            for part in finding.outcome.template(language).split('{').skip(1) {
                let name = part.split('}').next().unwrap();
                assert!(finding.params.contains_key(name), "{}: {name}", finding.outcome.as_str());
            }
            let message = finding.message(language);
            assert!(!message.contains(['{', '}', '…']), "{message}");
        }
    }
}

/// A row with values from small domains, so that rows meet in groups.
fn some_line() -> impl Strategy<Value = TestRow> {
    let code = prop_oneof![
        16 => Just(15_801_u32),
        6 => select([15_804, 15_815, 8857, 8859, 8875, 9999].as_slice()),
        1 => select([19_928, 19_929].as_slice()),
    ];
    let place = prop_oneof![8 => Just(55_001_u32), 1 => Just(55_002), 1 => Just(20_001)];
    let context =
        select(["G160", "AR", "ICEP", "STAR", "MTA13"].as_slice()).prop_map(str::to_owned);
    let contexts =
        prop_oneof![3 => Just(vec![]), 2 => Just(vec!["G160".to_owned()]), 1 => vec(context, 0..3)];
    let keys = (option::weighted(0.95, 1..3_u64), option::weighted(0.9, 0..40_u32), 4..6_u8);
    let amounts = (option::of(0..200_i64), option::of(0..9000_i64), option::of(0..2_i64));
    let times = option::of((600..700_u16, 600..800_u16));
    (code, place, contexts, keys, amounts, times).prop_map(
        |(code, place, contexts, keys, amounts, times)| {
            let (doctor, patient, day) = keys;
            let (units, preliminary, paid) = amounts;
            let (start, end) = (times.map(|times| times.0), times.map(|times| times.1));
            TestRow {
                date: Some((2025, 3, day)),
                doctor,
                patient,
                contexts,
                units,
                preliminary,
                paid,
                start,
                end,
                ..line(code)
            }
            .at(place)
        },
    )
}

fn all_rules() -> Vec<Rule> {
    rules::shipped().into_iter().map(|rule| Rule { enabled: true, ..rule }).collect()
}

/// How often each finding is there, whichever row it names.
fn without_rows(found: &[Finding]) -> BTreeMap<String, usize> {
    let mut times = BTreeMap::new();
    for finding in found {
        let text = format!("{} {}", finding.rule, brief(&Finding { row: 0, ..finding.clone() }));
        *times.entry(text).or_default() += 1;
    }
    times
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn another_order_of_rows_finds_the_same(
        (lines, shuffled) in vec(some_line(), 0..120)
            .prop_flat_map(|lines| (Just(lines.clone()), Just(lines).prop_shuffle()))
    ) {
        let found = |lines: &[TestRow]| find(&all_rules(), &tables(), lines, true);
        prop_assert_eq!(without_rows(&found(&lines)), without_rows(&found(&shuffled)));
    }

    #[test]
    fn doctor_days_are_independent(lines in vec(some_line(), 0..120)) {
        let rules = [shipped("office-fee"), shipped("intervention-minutes")];
        let found = |lines: &[TestRow]| without_rows(&find(&rules, &tables(), lines, true));
        let mut apart = BTreeMap::new();
        for doctor in [1, 2] {
            let own = lines.iter().filter(|line| line.doctor == Some(doctor));
            let own: Vec<TestRow> = own.cloned().collect();
            for (finding, times) in found(&own) {
                *apart.entry(finding).or_default() += times;
            }
        }
        prop_assert_eq!(found(&lines), apart);
    }

    #[test]
    fn rules_are_independent_of_each_other(lines in vec(some_line(), 0..60)) {
        let together = find(&all_rules(), &tables(), &lines, true);
        for rule in all_rules() {
            let own = together.iter().filter(|finding| finding.rule == rule.id);
            let own: Vec<Finding> = own.cloned().collect();
            prop_assert_eq!(find(&[rule], &tables(), &lines, true), own);
        }
    }
}

#[test]
fn rows_with_dates_in_another_form_are_counted() {
    let (rules, tables) = (Rules::compile(&rules::shipped()).unwrap(), tables());
    let mut lines = rows();
    for line in &mut lines[..3] {
        *line = line.clone().cell(Column::ServiceDate, "04/03/2025");
    }
    let (found, summary) = finish(checking_again(&csv(&lines), &rules, &tables));
    assert_eq!((summary.rows, summary.rows_unreadable), (10, 3));
    let forms = found.iter().filter(|finding| finding.outcome == FindingOutcome::DateForm);
    assert_eq!(forms.count(), 1, "one finding for the file");
}

#[test]
fn row_of_another_width_is_counted() {
    let (rules, tables) = (Rules::compile(&rules::shipped()).unwrap(), tables());
    let file = csv(&rows()) + "\r\n1;2";
    let (found, summary) = finish(checking_again(&file, &rules, &tables));
    assert_eq!((summary.rows, summary.rows_unreadable), (11, 1));
    let unreadable = "file 11 error row_unreadable 0 column=ramq_id line=12";
    assert!(told(&found).iter().any(|told| told == unreadable), "{:?}", told(&found));
}
