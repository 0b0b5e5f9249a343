//! Yearly limits, the yearly fee that was not billed, minutes of interventions, and amounts of a day.

use jiff::civil::{Date, date};
use schemas::finding::FindingOutcome::{
    FeeMissing, OnceNonePaid, OnceOnePaid, OnceSeveralPaid, SumExceeded, SumExceededCents,
};

use super::Case;
use crate::claims::{
    line::Line,
    names::{Doctor, Patient},
    rules::{
        ANNUAL_CODES, DAY_AMOUNT, DAY_AMOUNT_CENTS, INTERVENTION_MINUTES, YEARLY_FEE,
        YEARLY_FEE_MISSING,
    },
    stage::Stage,
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

/// The first and the last day of the year in which the scene plays.
fn year(stage: &Stage<'_>) -> (Date, Date) {
    (date(stage.day.year(), 1, 1), date(stage.day.year(), 12, 31))
}

/// One visit with this code at this day.
fn with_code(stage: &mut Stage<'_>, patient: Patient, code: u32, day: Date) -> Line {
    let doctor = stage.doctor();
    stage.visit(doctor, patient).code(code).on(day)
}

/// Two or three of a code in a year, of which these were paid; each by another doctor.
fn repeated(
    stage: &mut Stage<'_>,
    code: u32,
    paid: &[Option<i64>],
    found: usize,
    finds: impl Fn(Line) -> Line,
) {
    let patient = stage.patient();
    for (index, paid) in paid.iter().enumerate() {
        let (day, spelling) = (stage.day, stage.rng.u8(..2));
        let line = with_code(stage, Patient { spelling, ..patient }, code, day).paid(*paid);
        stage.push(if index == found { finds(line) } else { line });
    }
}

/// What any limit of one a year finds; `cents` for each row too many.
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
            Case::new(name, move |stage| {
                let cents = cents * (paid.len() as i64 - 1);
                repeated(stage, code, paid, found, |line| line.finds(rule, outcome, cents));
            })
        };
    let mut cases: Vec<Case> = repeats.into_iter().map(case).collect();
    cases.extend([
        Case::new("the first and the last day of a year", move |stage| {
            let (patient, (first, last)) = (stage.patient(), year(stage));
            let line = with_code(stage, patient, code, last).finds(rule, OnceNonePaid, cents);
            stage.push(line);
            let line = with_code(stage, patient, code, first);
            stage.push(line);
        }),
        Case::new("the last day of a year and the first of the next", move |stage| {
            let (patient, (first, _)) = (stage.patient(), year(stage));
            for day in [first.yesterday().expect("years before have days"), first] {
                let line = with_code(stage, patient, code, day).passes(rule);
                stage.push(line);
            }
        }),
        Case::new("two patients alike in eleven characters", move |stage| {
            let day = stage.day;
            for patient in stage.siblings() {
                let line = with_code(stage, patient, code, day).passes(rule);
                stage.push(line);
            }
        }),
        Case::new("without a patient or a date no limit", move |stage| {
            let (patient, day) = (stage.patient(), stage.day);
            for _ in 0..2 {
                let line = with_code(stage, patient, code, day);
                stage.push(Line { patient: None, ..line.clone() });
                stage.push(Line { date: None, ..line });
            }
        }),
    ]);
    cases
}

fn annual_codes() -> [Case; 2] {
    [
        Case::new("two annual codes, once each", |stage| {
            let (patient, day) = (stage.patient(), stage.day);
            for code in [TAKING_CHARGE, TAKING_CHARGE_80, PERIODIC_ELSEWHERE] {
                let line = with_code(stage, patient, code, day).passes(ANNUAL_CODES);
                stage.push(line);
            }
        }),
        Case::new("no annual code, twice", |stage| {
            let (patient, day) = (stage.patient(), stage.day);
            for _ in 0..2 {
                let line = with_code(stage, patient, DUE_VISITS.start, day);
                stage.push(line);
            }
        }),
    ]
}

const GAIN: i64 = 935;

fn at_gmf(stage: &mut Stage<'_>, patient: Patient, code: u32, contexts: &'static str) -> Line {
    let doctor = stage.doctor();
    stage.visit(doctor, patient).place(GMF_OFFICES.start).code(code).contexts(contexts)
}

/// A visit that could have entitled to the fee, and a fee that is or is not billed.
fn missing() -> Vec<Case> {
    let mut cases: Vec<Case> = [
        ("a visit of a patient under 80, no fee", DUE_VISITS.start),
        ("a visit of a patient from 80, no fee", DUE_VISITS_80.start),
        ("an intervention by units at a GMF, no fee", INTERVENTION_BY_UNITS),
        ("an intervention at a GMF, no fee", INTERVENTION),
    ]
    .into_iter()
    .map(|(name, code)| Case::new(name, move |stage| due_once_found(stage, code, "STAR, GAPS")))
    .collect();
    for contexts in ["MTA13", "gmfu", "STAR, #GAP", " G160", "#ar"] {
        cases.push(Case::new("a visit with a context that does not count", move |stage| {
            let patient = stage.patient();
            let line = at_gmf(stage, patient, DUE_VISITS.start, contexts);
            stage.push(line);
        }));
    }
    for place in [OFFICES.start, UNLISTED_OFFICE] {
        cases.push(Case::new("a visit at no GMF", move |stage| {
            let patient = stage.patient();
            let line = at_gmf(stage, patient, DUE_VISITS.start, "").place(place);
            stage.push(line);
        }));
    }
    cases.extend([
        Case::new("a visit of no qualifying group", |stage| {
            let patient = stage.patient();
            let line = at_gmf(stage, patient, PLAIN_VISITS.start, "");
            stage.push(line);
        }),
        Case::new("the first qualifying visit of several", |stage| {
            let patient = stage.patient();
            let line = at_gmf(stage, patient, DUE_VISITS.start, "AR");
            stage.push(line);
            let line = at_gmf(stage, patient, DUE_VISITS.start, "").finds(
                YEARLY_FEE_MISSING,
                FeeMissing,
                GAIN,
            );
            stage.push(line);
            let line = at_gmf(stage, patient, DUE_VISITS_80.start, "");
            stage.push(line);
        }),
        Case::new("a fee anywhere in the year, before the visit in the file", |stage| {
            let (patient, (_, last)) = (stage.patient(), year(stage));
            let line = with_code(stage, patient, YEARLY_FEE_CODE, last).passes(YEARLY_FEE);
            stage.push(line);
            let line = at_gmf(stage, patient, DUE_VISITS.start, "").passes(YEARLY_FEE_MISSING);
            stage.push(line);
        }),
        Case::new("a fee of the year before", |stage| {
            let (patient, (first, _)) = (stage.patient(), year(stage));
            let line = at_gmf(stage, patient, DUE_VISITS.start, "").on(first);
            stage.push(line.finds(YEARLY_FEE_MISSING, FeeMissing, GAIN));
            let before = first.yesterday().expect("years before have days");
            let line = with_code(stage, patient, YEARLY_FEE_CODE, before).passes(YEARLY_FEE);
            stage.push(line);
        }),
        Case::new("a sibling's fee", |stage| {
            let ([one, other], day) = (stage.siblings(), stage.day);
            let line = with_code(stage, one, YEARLY_FEE_CODE, day).passes(YEARLY_FEE);
            stage.push(line);
            let line = at_gmf(stage, other, DUE_VISITS.start, "").finds(
                YEARLY_FEE_MISSING,
                FeeMissing,
                GAIN,
            );
            stage.push(line);
        }),
    ]);
    cases
}

/// A qualifying visit without the fee; an intervention counts its minutes besides.
fn due_once_found(stage: &mut Stage<'_>, code: u32, contexts: &'static str) {
    let patient = stage.patient();
    let line = at_gmf(stage, patient, code, contexts).units(30).finds(
        YEARLY_FEE_MISSING,
        FeeMissing,
        GAIN,
    );
    let counts = [INTERVENTION, INTERVENTION_BY_UNITS].contains(&code);
    stage.push(if counts { line.passes(INTERVENTION_MINUTES) } else { line });
}

/// Interventions of one doctor with one patient: the minutes of the second kind stand in the units.
fn interventions(
    stage: &mut Stage<'_>,
    doctor: Doctor,
    codes: &[(u32, i64, &'static str)],
) -> Vec<Line> {
    let patient = stage.patient();
    let line = |(code, units, contexts): &(u32, i64, &'static str)| {
        stage.visit(doctor, patient).code(*code).units(*units).contexts(contexts)
    };
    codes.iter().map(line).collect()
}

fn push_first(stage: &mut Stage<'_>, mut lines: Vec<Line>, finds: impl Fn(Line) -> Line) {
    lines[0] = finds(lines[0].clone());
    lines.into_iter().for_each(|line| stage.push(line));
}

/// A row with minutes: its code, its units, its contexts.
type Minutes = (u32, i64, &'static str);

const FIXED: Minutes = (INTERVENTION, 1, "");

const fn units(minutes: i64) -> Minutes {
    (INTERVENTION_BY_UNITS, minutes, "ETAB")
}

/// Days of one doctor, and whether their minutes are too many.
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
        Case::new(name, move |stage| {
            let doctor = stage.doctor();
            let lines = interventions(stage, doctor, codes);
            push_first(stage, lines, |line| {
                if exceeds {
                    line.finds(INTERVENTION_MINUTES, SumExceeded, 0)
                } else {
                    line.passes(INTERVENTION_MINUTES)
                }
            });
        })
    };
    let mut cases: Vec<Case> = MINUTES.iter().map(day).collect();
    cases.push(Case::new("minutes of two days and of a colleague", |stage| {
        let (doctor, tomorrow) =
            (stage.doctor(), stage.day.tomorrow().expect("a day has a next one"));
        for (doctor, day) in
            [(doctor, stage.day), (doctor, tomorrow), (Stage::colleague(doctor), stage.day)]
        {
            let lines = interventions(stage, doctor, &[units(100), units(80)]);
            let lines = lines.into_iter().map(|line| line.on(day)).collect();
            push_first(stage, lines, |line| line.passes(INTERVENTION_MINUTES));
        }
    }));
    cases
}

fn amounts() -> [Case; 2] {
    let day = |name, beyond: i64| {
        Case::new(name, move |stage| {
            let (doctor, patient) = (stage.doctor(), stage.patient());
            let line = stage.visit(doctor, patient).preliminary(1_000);
            stage.push(if beyond > 0 {
                line.finds(DAY_AMOUNT, SumExceededCents, beyond)
            } else {
                line
            });
            let line = stage.visit(doctor, patient).preliminary(DAY_AMOUNT_CENTS + beyond - 1_000);
            stage.push(line);
        })
    };
    [day("the most of a day's amount", 0), day("a cent above a day's amount", 1)]
}
