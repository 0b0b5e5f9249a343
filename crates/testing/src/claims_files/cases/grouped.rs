//! Cases of rules about several rows: yearly limits, the missing yearly fee, minutes of
//! interventions, and amounts of a day.

use jiff::civil::{Date, date};
use schemas::finding::FindingOutcome::{
    FeeMissing, OnceNonePaid, OnceOnePaid, OnceSeveralPaid, SumExceeded, SumExceededCents,
};

use super::Case;
use crate::claims_files::{
    group::RowGroup,
    people::{Doctor, Patient},
    row::ClaimRow,
    rules::{
        ANNUAL_CODES, DAY_AMOUNT, DAY_AMOUNT_CENTS, INTERVENTION_MINUTES, YEARLY_FEE,
        YEARLY_FEE_MISSING,
    },
    tables::{
        DUE_VISITS, DUE_VISITS_80, GMF_OFFICES, INTERVENTION, INTERVENTION_BY_UNITS, OFFICES,
        PERIODIC, PERIODIC_ELSEWHERE, PLAIN_VISITS, TAKING_CHARGE, TAKING_CHARGE_80,
        UNLISTED_OFFICE, YEARLY_FEE as YEARLY_FEE_CODE,
    },
};

pub fn cases() -> Vec<Case> {
    let mut cases = once(ANNUAL_CODES, PERIODIC, 0);
    cases.extend(once(YEARLY_FEE, YEARLY_FEE_CODE, 935));
    cases.extend(annual_codes());
    cases.extend(missing());
    cases.extend(minutes());
    cases.extend(amounts());
    cases
}

/// The first and the last day of the group's year.
fn year(group: &RowGroup<'_>) -> (Date, Date) {
    (date(group.day.year(), 1, 1), date(group.day.year(), 12, 31))
}

/// A visit with this code on this day, at a new doctor.
fn with_code(group: &mut RowGroup<'_>, patient: Patient, code: u32, day: Date) -> ClaimRow {
    let doctor = group.doctor();
    group.visit(doctor, patient).code(code).on(day)
}

/// Repeats a code within a year, each time at another doctor and with the given paid amount.
/// `finds` adds the finding to the row `found`.
fn repeated(
    group: &mut RowGroup<'_>,
    code: u32,
    paid: &[Option<i64>],
    found: usize,
    finds: impl Fn(ClaimRow) -> ClaimRow,
) {
    let patient = group.patient();
    for (index, paid) in paid.iter().enumerate() {
        let (day, spelling) = (group.day, group.rng.u8(..2));
        let row = with_code(group, Patient { spelling, ..patient }, code, day).paid(*paid);
        group.push(if index == found { finds(row) } else { row });
    }
}

/// Cases of a limit of once a year. A finding is worth `cents` for each excess row.
fn once(rule: &'static str, code: u32, cents: i64) -> Vec<Case> {
    const PAID: Option<i64> = Some(1);
    const UNPAID: Option<i64> = Some(0);
    let repeats: [(&'static str, &'static [Option<i64>], _, usize); 9] = [
        ("twice, none paid", &[None, UNPAID], OnceNonePaid, 0),
        ("three times, none paid", &[UNPAID, None, None], OnceNonePaid, 0),
        ("twice, the first paid", &[PAID, UNPAID], OnceOnePaid, 1),
        ("twice, the second paid", &[None, PAID], OnceOnePaid, 0),
        ("three times, the second paid", &[None, PAID, None], OnceOnePaid, 0),
        ("three times, the first paid", &[PAID, None, None], OnceOnePaid, 1),
        ("twice, both paid", &[PAID, PAID], OnceSeveralPaid, 0),
        ("three times, the last two paid", &[None, PAID, PAID], OnceSeveralPaid, 1),
        ("three times, the outer two paid", &[PAID, None, PAID], OnceSeveralPaid, 0),
    ];
    let case =
        move |(name, paid, outcome, found): (&'static str, &'static [Option<i64>], _, usize)| {
            Case::new(name, move |group| {
                let cents = cents * (paid.len() as i64 - 1);
                repeated(group, code, paid, found, |row| row.finds(rule, outcome, cents));
            })
        };
    let mut cases: Vec<Case> = repeats.into_iter().map(case).collect();
    cases.extend([
        Case::new("the first and the last day of a year", move |group| {
            let (patient, (first, last)) = (group.patient(), year(group));
            let row = with_code(group, patient, code, last).finds(rule, OnceNonePaid, cents);
            group.push(row);
            let row = with_code(group, patient, code, first);
            group.push(row);
        }),
        Case::new("the last day of a year and the first of the next", move |group| {
            let (patient, (first, _)) = (group.patient(), year(group));
            for day in [first.yesterday().expect("years before have days"), first] {
                let row = with_code(group, patient, code, day).passes(rule);
                group.push(row);
            }
        }),
        Case::new("two patients alike in eleven characters", move |group| {
            let day = group.day;
            for patient in group.siblings() {
                let row = with_code(group, patient, code, day).passes(rule);
                group.push(row);
            }
        }),
        Case::new("without a patient or a date no limit", move |group| {
            let (patient, day) = (group.patient(), group.day);
            for _ in 0..2 {
                let row = with_code(group, patient, code, day);
                group.push(ClaimRow { patient: None, ..row.clone() });
                group.push(ClaimRow { date: None, ..row });
            }
        }),
    ]);
    cases
}

fn annual_codes() -> [Case; 2] {
    [
        Case::new("two annual codes, once each", |group| {
            let (patient, day) = (group.patient(), group.day);
            for code in [TAKING_CHARGE, TAKING_CHARGE_80, PERIODIC_ELSEWHERE] {
                let row = with_code(group, patient, code, day).passes(ANNUAL_CODES);
                group.push(row);
            }
        }),
        Case::new("no annual code, twice", |group| {
            let (patient, day) = (group.patient(), group.day);
            for _ in 0..2 {
                let row = with_code(group, patient, DUE_VISITS.start, day);
                group.push(row);
            }
        }),
    ]
}

const GAIN: i64 = 935;

fn at_gmf(
    group: &mut RowGroup<'_>,
    patient: Patient,
    code: u32,
    contexts: &'static str,
) -> ClaimRow {
    let doctor = group.doctor();
    group.visit(doctor, patient).place(GMF_OFFICES.start).code(code).contexts(contexts)
}

/// Cases of visits that may entitle to the yearly fee, with and without the fee.
fn missing() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        ("a visit of a patient under 80, no fee", DUE_VISITS.start),
        ("a visit of a patient from 80, no fee", DUE_VISITS_80.start),
        ("an intervention by units at a GMF, no fee", INTERVENTION_BY_UNITS),
        ("an intervention at a GMF, no fee", INTERVENTION),
    ]
    .into_iter()
    .map(|(name, code)| Case::new(name, move |group| due_once_found(group, code, "STAR, GAPS")))
    .collect();
    for contexts in ["MTA13", "gmfu", "STAR, #GAP", " G160", "#ar"] {
        cases.push(Case::new("a visit with a context that does not count", move |group| {
            let patient = group.patient();
            let row = at_gmf(group, patient, DUE_VISITS.start, contexts);
            group.push(row);
        }));
    }
    for place in [OFFICES.start, UNLISTED_OFFICE] {
        cases.push(Case::new("a visit at no GMF", move |group| {
            let patient = group.patient();
            let row = at_gmf(group, patient, DUE_VISITS.start, "").place(place);
            group.push(row);
        }));
    }
    cases.extend(fees_of_a_year());
    cases
}

/// Cases of several visits and fees of one patient.
fn fees_of_a_year() -> [Case; 5] {
    [
        Case::new("a visit of no qualifying group", |group| {
            let patient = group.patient();
            let row = at_gmf(group, patient, PLAIN_VISITS.start, "");
            group.push(row);
        }),
        Case::new("the first qualifying visit of several", |group| {
            let patient = group.patient();
            let row = at_gmf(group, patient, DUE_VISITS.start, "AR");
            group.push(row);
            let row = at_gmf(group, patient, DUE_VISITS.start, "").finds(
                YEARLY_FEE_MISSING,
                FeeMissing,
                GAIN,
            );
            group.push(row);
            let row = at_gmf(group, patient, DUE_VISITS_80.start, "");
            group.push(row);
        }),
        Case::new("a fee anywhere in the year, before the visit in the file", |group| {
            let (patient, (_, last)) = (group.patient(), year(group));
            let row = with_code(group, patient, YEARLY_FEE_CODE, last).passes(YEARLY_FEE);
            group.push(row);
            let row = at_gmf(group, patient, DUE_VISITS.start, "").passes(YEARLY_FEE_MISSING);
            group.push(row);
        }),
        Case::new("a fee of the year before", |group| {
            let (patient, (first, _)) = (group.patient(), year(group));
            let row = at_gmf(group, patient, DUE_VISITS.start, "").on(first);
            group.push(row.finds(YEARLY_FEE_MISSING, FeeMissing, GAIN));
            let before = first.yesterday().expect("years before have days");
            let row = with_code(group, patient, YEARLY_FEE_CODE, before).passes(YEARLY_FEE);
            group.push(row);
        }),
        Case::new("a sibling's fee", |group| {
            let ([one, other], day) = (group.siblings(), group.day);
            let row = with_code(group, one, YEARLY_FEE_CODE, day).passes(YEARLY_FEE);
            group.push(row);
            let row = at_gmf(group, other, DUE_VISITS.start, "").finds(
                YEARLY_FEE_MISSING,
                FeeMissing,
                GAIN,
            );
            group.push(row);
        }),
    ]
}

/// Adds a qualifying visit without the fee. The minutes of an intervention count too.
fn due_once_found(group: &mut RowGroup<'_>, code: u32, contexts: &'static str) {
    let patient = group.patient();
    let row = at_gmf(group, patient, code, contexts).units(30).finds(
        YEARLY_FEE_MISSING,
        FeeMissing,
        GAIN,
    );
    let counts = [INTERVENTION, INTERVENTION_BY_UNITS].contains(&code);
    group.push(if counts { row.passes(INTERVENTION_MINUTES) } else { row });
}

/// Interventions of one doctor with one patient. Interventions by units have their minutes as
/// units.
fn interventions(
    group: &mut RowGroup<'_>,
    doctor: Doctor,
    codes: &[(u32, i64, &'static str)],
) -> Vec<ClaimRow> {
    let patient = group.patient();
    let row = |(code, units, contexts): &(u32, i64, &'static str)| {
        group.visit(doctor, patient).code(*code).units(*units).contexts(contexts)
    };
    codes.iter().map(row).collect()
}

fn push_first(
    group: &mut RowGroup<'_>,
    mut rows: Vec<ClaimRow>,
    finds: impl Fn(ClaimRow) -> ClaimRow,
) {
    rows[0] = finds(rows[0].clone());
    rows.into_iter().for_each(|row| group.push(row));
}

/// Code, units and contexts of an intervention.
type Minutes = (u32, i64, &'static str);

const FIXED: Minutes = (INTERVENTION, 1, "");

const fn units(minutes: i64) -> Minutes {
    (INTERVENTION_BY_UNITS, minutes, "ETAB")
}

/// Name, interventions of one doctor's day, and whether their minutes exceed the limit.
const MINUTES: &[(&str, &[Minutes], bool)] = &[
    ("180 minutes, fixed", &[FIXED; 6], false),
    ("210 minutes, fixed", &[FIXED; 7], true),
    ("180 minutes by units", &[units(180)], false),
    ("181 minutes by units", &[units(181)], true),
    ("180 minutes of both", &[units(120), FIXED, FIXED], false),
    ("181 minutes of both", &[FIXED, units(121), FIXED], true),
    (
        "minutes that do not count",
        &[
            units(180),
            (INTERVENTION, 1, "ICEP"),
            (INTERVENTION, 1, "#icsm"),
            (INTERVENTION, 1, "STAR, ICTOX "),
        ],
        false,
    ),
    ("a context that only resembles one", &[units(151), (INTERVENTION, 1, "ICEPT")], true),
];

fn minutes() -> Vec<Case> {
    let day = |(name, codes, exceeds): &(&'static str, &'static [Minutes], bool)| {
        let (codes, exceeds) = (*codes, *exceeds);
        Case::new(name, move |group| {
            let doctor = group.doctor();
            let rows = interventions(group, doctor, codes);
            push_first(group, rows, |row| {
                if exceeds {
                    row.finds(INTERVENTION_MINUTES, SumExceeded, 0)
                } else {
                    row.passes(INTERVENTION_MINUTES)
                }
            });
        })
    };
    let mut cases: Vec<Case> = MINUTES.iter().map(day).collect();
    cases.push(Case::new("minutes of two days and of a colleague", |group| {
        let (doctor, tomorrow) =
            (group.doctor(), group.day.tomorrow().expect("a day has a next one"));
        for (doctor, day) in
            [(doctor, group.day), (doctor, tomorrow), (RowGroup::colleague(doctor), group.day)]
        {
            let rows = interventions(group, doctor, &[units(100), units(80)]);
            let rows = rows.into_iter().map(|row| row.on(day)).collect();
            push_first(group, rows, |row| row.passes(INTERVENTION_MINUTES));
        }
    }));
    cases
}

fn amounts() -> [Case; 2] {
    let day = |name, beyond: i64| {
        Case::new(name, move |group| {
            let (doctor, patient) = (group.doctor(), group.patient());
            let row = group.visit(doctor, patient).preliminary(1_000);
            group.push(if beyond > 0 {
                row.finds(DAY_AMOUNT, SumExceededCents, beyond)
            } else {
                row
            });
            let row = group.visit(doctor, patient).preliminary(DAY_AMOUNT_CENTS + beyond - 1_000);
            group.push(row);
        })
    };
    [day("the most of a day's amount", 0), day("a cent above a day's amount", 1)]
}
