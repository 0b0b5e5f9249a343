//! Cases of office fees: a table of days, their fees and the expected findings.

use schemas::finding::FindingOutcome::{
    self, OfficeFeeMaximum, OfficeFeeMinimum, OfficeFeeMinimumBoth, OfficeFeeMinimumSmaller,
    OfficeFeeOtherGroup, OfficeFeePass, OfficeFeePassMaximum, OfficeFeePlace, OfficeFeeSecond,
    OfficeFeeUnbilled, OfficeFeeUpgrade,
};

use super::{super::practice::fee_cents, Case};
use crate::claims_files::{
    group::RowGroup,
    people::{Doctor, Patient},
    row::ClaimRow,
    rules::OFFICE_FEE,
    tables::{FEE_LARGE, FEE_SMALL, HOSPITALS, OTHER_PLACES},
};

/// A fee row: code, group of patients and place.
#[derive(Clone, Copy)]
enum Fee {
    /// 19928 for registered patients, and for walk-ins.
    S,
    SWalk,
    /// 19929 for registered patients, and for walk-ins.
    L,
    LWalk,
    /// 19928 and 19929 in a hospital.
    SHospital,
    LHospital,
    /// 19928 at a place that is neither office nor hospital.
    SElsewhere,
}

/// The row that a finding belongs to.
#[derive(Clone, Copy)]
enum At {
    Fee(usize),
    FirstRegistered,
    FirstWalkIn,
    /// The first patient of either group.
    FirstPatient,
}

use At::{FirstPatient, FirstRegistered, FirstWalkIn};
use Fee::{L, LHospital, LWalk, S, SElsewhere, SHospital, SWalk};

const FIRST: At = At::Fee(0);
const SECOND: At = At::Fee(1);
const THIRD: At = At::Fee(2);

struct Day {
    name: &'static str,
    registered: u32,
    walk_ins: u32,
    fees: &'static [Fee],
    finds: &'static [(At, FindingOutcome, i64)],
}

const fn day(
    name: &'static str,
    registered: u32,
    walk_ins: u32,
    fees: &'static [Fee],
    finds: &'static [(At, FindingOutcome, i64)],
) -> Day {
    Day { name, registered, walk_ins, fees, finds }
}

const PASS: &[(At, FindingOutcome, i64)] = &[(FIRST, OfficeFeePass, 0)];
const MAXIMUM: &[(At, FindingOutcome, i64)] = &[(FIRST, OfficeFeePassMaximum, 0)];
const UPGRADE: &[(At, FindingOutcome, i64)] = &[(FIRST, OfficeFeeUpgrade, 3240)];
const TWO: &[(At, FindingOutcome, i64)] = &[(FIRST, OfficeFeeSecond, 3240)];
const OTHER_GROUP: &[(At, FindingOutcome, i64)] = &[(FIRST, OfficeFeeOtherGroup, 0)];
const CANCEL_SMALL: &[(At, FindingOutcome, i64)] = &[(FIRST, OfficeFeeMinimum, 3240)];
const CANCEL_LARGE: &[(At, FindingOutcome, i64)] = &[(FIRST, OfficeFeeMinimum, 6480)];
const SMALLER: &[(At, FindingOutcome, i64)] = &[(FIRST, OfficeFeeMinimumSmaller, 3240)];

const DAYS: &[Day] = &[
    // Passes: at the minimum of a fee, and just below the minimum of a higher fee.
    day("6 registered, 19928", 6, 0, &[S], PASS),
    day("11 registered, 9 walk-ins, 19928", 11, 9, &[S], PASS),
    day("10 walk-ins, 19928", 0, 10, &[SWalk], PASS),
    day("5 registered, 19 walk-ins, 19928", 5, 19, &[SWalk], PASS),
    day("12 registered, 19929", 12, 0, &[L], MAXIMUM),
    day("20 walk-ins, 19929", 0, 20, &[LWalk], MAXIMUM),
    day("12 registered, 20 walk-ins, 19929", 12, 20, &[L], MAXIMUM),
    day("6 registered, 10 walk-ins, two 19928", 6, 10, &[S, SWalk], MAXIMUM),
    day("12 registered, 20 walk-ins, two 19928", 12, 20, &[SWalk, S], MAXIMUM),
    day("no fee and none qualifies", 5, 9, &[], &[]),
    // Wrong place.
    day("19928 in a hospital", 6, 0, &[SHospital], &[(FIRST, OfficeFeePlace, 3240)]),
    day("19928 in a hospital, few patients", 2, 0, &[SHospital], &[(FIRST, OfficeFeePlace, 3240)]),
    day("19929 in a hospital", 12, 0, &[LHospital], &[(FIRST, OfficeFeePlace, 6480)]),
    day("19928 elsewhere", 6, 0, &[SElsewhere], &[(FIRST, OfficeFeePlace, 3240)]),
    day(
        "both in hospitals",
        6,
        0,
        &[SHospital, LHospital],
        &[(FIRST, OfficeFeePlace, 3240), (SECOND, OfficeFeePlace, 6480)],
    ),
    day(
        "one in a hospital, one too few",
        5,
        0,
        &[SHospital, S],
        &[(FIRST, OfficeFeePlace, 3240), (SECOND, OfficeFeeMinimum, 3240)],
    ),
    day(
        "one in a hospital counts for no maximum",
        12,
        0,
        &[L, SHospital],
        &[(SECOND, OfficeFeePlace, 3240)],
    ),
    day(
        "an error leaves no better advice",
        12,
        10,
        &[S, SHospital],
        &[(SECOND, OfficeFeePlace, 3240)],
    ),
    // Below the minimum.
    day("5 registered, 19928", 5, 0, &[S], CANCEL_SMALL),
    day("9 walk-ins, 19928", 0, 9, &[SWalk], CANCEL_SMALL),
    day("no patient, 19928", 0, 0, &[S], CANCEL_SMALL),
    day("5 registered, 19929", 5, 0, &[L], CANCEL_LARGE),
    day("9 walk-ins, 19929", 0, 9, &[LWalk], CANCEL_LARGE),
    day("6 registered, 19929", 6, 0, &[L], SMALLER),
    day("11 registered, 19929", 11, 0, &[L], SMALLER),
    day("10 walk-ins, 19929", 0, 10, &[LWalk], SMALLER),
    day("19 walk-ins, 19929", 0, 19, &[LWalk], SMALLER),
    // Billed for the wrong group.
    day("5 registered, 9 walk-ins, 19928", 5, 9, &[S], CANCEL_SMALL),
    day("5 registered, 10 walk-ins, 19928", 5, 10, &[S], OTHER_GROUP),
    day("5 registered, 9 walk-ins, 19928 for these", 5, 9, &[SWalk], CANCEL_SMALL),
    day("6 registered, 9 walk-ins, 19928 for these", 6, 9, &[SWalk], OTHER_GROUP),
    day("11 registered, 20 walk-ins, 19929", 11, 20, &[L], OTHER_GROUP),
    day("11 registered, 19 walk-ins, 19929", 11, 19, &[L], SMALLER),
    day("12 registered, 9 walk-ins, 19929 for these", 12, 9, &[LWalk], OTHER_GROUP),
    day(
        "the other group has a fee already",
        6,
        9,
        &[S, SWalk],
        &[(SECOND, OfficeFeeMinimum, 3240)],
    ),
    day(
        "the other group has a fee, which could be more",
        12,
        9,
        &[SWalk, S],
        &[(FIRST, OfficeFeeMinimum, 3240)],
    ),
    day(
        "each has its own advice",
        6,
        9,
        &[L, SWalk],
        &[(FIRST, OfficeFeeMinimumSmaller, 3240), (SECOND, OfficeFeeMinimum, 3240)],
    ),
    // Both fees below the minimum.
    day(
        "both groups too small, two 19928",
        5,
        9,
        &[S, SWalk],
        &[(FIRST, OfficeFeeMinimumBoth, 6480)],
    ),
    day(
        "both groups too small, 19929 and 19928",
        5,
        9,
        &[LWalk, S],
        &[(FIRST, OfficeFeeMinimumBoth, 9720)],
    ),
    // Above the maximum. Two 19928 reach the maximum exactly: see the passes.
    day("19929 and 19928", 12, 10, &[L, SWalk], &[(SECOND, OfficeFeeMaximum, 3240)]),
    day("19928 and 19929", 6, 20, &[S, LWalk], &[(FIRST, OfficeFeeMaximum, 3240)]),
    day("two 19929", 12, 20, &[L, LWalk], &[(SECOND, OfficeFeeMaximum, 6480)]),
    day("19929 and two 19928", 12, 10, &[SWalk, L, SWalk], &[(THIRD, OfficeFeeMaximum, 6480)]),
    // A higher fee is possible. The other sides of these boundaries are among the passes.
    day("12 registered, 19928", 12, 0, &[S], UPGRADE),
    day("20 walk-ins, 19928", 0, 20, &[SWalk], UPGRADE),
    day("12 registered, 10 walk-ins, 19928", 12, 10, &[S], UPGRADE),
    day("6 registered, 10 walk-ins, 19928", 6, 10, &[S], TWO),
    day("6 registered, 10 walk-ins, 19928 for these", 6, 10, &[SWalk], TWO),
    day("6 registered, 9 walk-ins, 19928", 6, 9, &[S], PASS),
    day("5 registered, 10 walk-ins, 19928 for these", 5, 10, &[SWalk], PASS),
    day("6 registered, no fee", 6, 0, &[], &[(FirstRegistered, OfficeFeeUnbilled, 3240)]),
    day(
        "11 registered, 9 walk-ins, no fee",
        11,
        9,
        &[],
        &[(FirstRegistered, OfficeFeeUnbilled, 3240)],
    ),
    day("12 registered, no fee", 12, 0, &[], &[(FirstRegistered, OfficeFeeUnbilled, 6480)]),
    day(
        "12 registered, 10 walk-ins, no fee",
        12,
        10,
        &[],
        &[(FirstRegistered, OfficeFeeUnbilled, 6480)],
    ),
    day(
        "6 registered, 10 walk-ins, no fee",
        6,
        10,
        &[],
        &[(FirstPatient, OfficeFeeUnbilled, 6480)],
    ),
    day("10 walk-ins, no fee", 0, 10, &[], &[(FirstWalkIn, OfficeFeeUnbilled, 3240)]),
    day("5 registered, 19 walk-ins, no fee", 5, 19, &[], &[(FirstWalkIn, OfficeFeeUnbilled, 3240)]),
    day("5 registered, 20 walk-ins, no fee", 5, 20, &[], &[(FirstWalkIn, OfficeFeeUnbilled, 6480)]),
];

const WALK_IN: [&str; 6] = ["G160", "ar", " #G160", "AR,ETAB", "#ETAB , #ar ", "STAR, g160"];

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> =
        DAYS.iter().map(|day| Case::new(day.name, move |group| add_to(day, group))).collect();
    cases.extend(counted_patients());
    cases.extend(counted_rows());
    cases
}

/// Cases of the group that a patient belongs to.
fn counted_patients() -> [Case; 5] {
    [
        Case::new("a patient with one plain row is registered", |group| {
            counted(group, PASS, |group, doctor, patient| {
                vec![group.visit(doctor, patient).contexts("G160"), group.visit(doctor, patient)]
            });
        }),
        Case::new("a patient with two walk-in rows is a walk-in", |group| {
            counted(group, CANCEL_SMALL, |group, doctor, patient| {
                vec![
                    group.visit(doctor, patient).contexts("G160"),
                    group.visit(doctor, patient).contexts("#ar"),
                ]
            });
        }),
        Case::new("STAR is not AR", |group| {
            counted(group, PASS, |group, doctor, patient| {
                vec![group.visit(doctor, patient).contexts("STAR, G1601")]
            });
        }),
        Case::new("a patient counts once, however spelled", |group| {
            counted(group, CANCEL_SMALL, |group, doctor, patient| {
                let before = Patient { number: patient.number + 1, spelling: 1 };
                vec![group.visit(doctor, before)]
            });
        }),
        Case::new("a row without a patient counts nobody", |group| {
            counted(group, CANCEL_SMALL, |group, doctor, patient| {
                vec![ClaimRow { patient: None, ..group.visit(doctor, patient) }]
            });
        }),
    ]
}

/// Cases of rows that do or do not count as a patient of the day.
fn counted_rows() -> [Case; 6] {
    [
        Case::new("the patient of a fee row does not count", |group| {
            let (doctor, patient) = (group.doctor(), group.patient());
            registered(group, doctor, 5);
            let row = fee_row(group, doctor, S);
            push_found(group, ClaimRow { patient: Some(patient), ..row }, CANCEL_SMALL);
        }),
        Case::new("a row of another day does not count", |group| {
            let tomorrow = group.day.tomorrow().expect("a day of the file has a next one");
            counted(group, CANCEL_SMALL, |group, doctor, patient| {
                vec![group.visit(doctor, patient).on(tomorrow)]
            });
        }),
        Case::new("a row without a date counts nobody", |group| {
            counted(group, CANCEL_SMALL, |group, doctor, patient| {
                vec![ClaimRow { date: None, ..group.visit(doctor, patient) }]
            });
        }),
        Case::new("a colleague's patient does not count", |group| {
            counted(group, CANCEL_SMALL, |group, doctor, patient| {
                vec![group.visit(RowGroup::colleague(doctor), patient)]
            });
        }),
        Case::new("a doctor spelled otherwise is the same", |group| {
            counted(group, PASS, |group, doctor, patient| {
                vec![group.visit(Doctor { spelling: 1, ..doctor }, patient)]
            });
        }),
        Case::new("patients alike in eleven characters are two", |group| {
            let doctor = group.doctor();
            let siblings = group.siblings();
            for patient in siblings {
                let row = group.visit(doctor, patient);
                group.push(row);
            }
            registered(group, doctor, 4);
            let row = fee_row(group, doctor, S);
            push_found(group, row, PASS);
        }),
    ]
}

fn registered(group: &mut RowGroup<'_>, doctor: Doctor, count: u32) {
    for _ in 0..count {
        let patient = group.patient();
        let row = group.visit(doctor, patient);
        group.push(row);
    }
}

fn push_found(group: &mut RowGroup<'_>, row: ClaimRow, finds: &[(At, FindingOutcome, i64)]) {
    let [(_, outcome, cents)] = finds else { unreachable!("one finding at this row") };
    group.push(row.finds(OFFICE_FEE, *outcome, *cents));
}

/// Adds five registered patients, the rows of a sixth, and a 19928, which needs six patients.
fn counted(
    group: &mut RowGroup<'_>,
    finds: &[(At, FindingOutcome, i64)],
    sixth: impl Fn(&mut RowGroup<'_>, Doctor, Patient) -> Vec<ClaimRow>,
) {
    let (doctor, patient) = (group.doctor(), group.patient());
    registered(group, doctor, 5);
    for row in sixth(group, doctor, patient) {
        group.push(row);
    }
    let row = fee_row(group, doctor, S);
    push_found(group, row, finds);
}

fn fee_row(group: &mut RowGroup<'_>, doctor: Doctor, fee: Fee) -> ClaimRow {
    let (code, walk_in, place) = match fee {
        S => (FEE_SMALL, false, None),
        SWalk => (FEE_SMALL, true, None),
        L => (FEE_LARGE, false, None),
        LWalk => (FEE_LARGE, true, None),
        SHospital => (FEE_SMALL, false, Some(HOSPITALS.start)),
        LHospital => (FEE_LARGE, false, Some(HOSPITALS.start)),
        SElsewhere => (FEE_SMALL, false, Some(OTHER_PLACES.start)),
    };
    let contexts = if walk_in { WALK_IN[group.rng.usize(..WALK_IN.len())] } else { "" };
    let row = group.row(doctor).code(code).contexts(contexts).preliminary(fee_cents(code));
    match place {
        Some(place) => row.place(place),
        None => row,
    }
}

/// Adds the patients and fees of a day in random order. The fees keep the order of the table.
fn add_to(day: &Day, group: &mut RowGroup<'_>) {
    let doctor = group.doctor();
    let (mut registered, mut walk_ins, mut fees) = (0, 0, 0);
    loop {
        let left =
            [day.registered - registered, day.walk_ins - walk_ins, day.fees.len() as u32 - fees];
        if left == [0; 3] {
            return;
        }
        let draw = group.rng.u32(..left.iter().sum::<u32>());
        if draw >= left[0] + left[1] {
            let row = fee_row(group, doctor, day.fees[fees as usize]);
            let row = found(row, day, |at| matches!(at, At::Fee(fee) if fee as u32 == fees));
            group.push(row);
            fees += 1;
            continue;
        }
        let patient = group.patient();
        let mut row = group.visit(doctor, patient);
        let first = registered + walk_ins == 0;
        if draw < left[0] {
            let first_registered = registered == 0;
            row = found(row, day, |at| match at {
                FirstRegistered => first_registered,
                FirstPatient => first,
                _ => false,
            });
            registered += 1;
        } else {
            let first_walk_in = walk_ins == 0;
            row.contexts = WALK_IN[group.rng.usize(..WALK_IN.len())];
            row = found(row, day, |at| match at {
                FirstWalkIn => first_walk_in,
                FirstPatient => first,
                _ => false,
            });
            walk_ins += 1;
        }
        // Some patients have a second row, which changes no count.
        let again =
            (group.rng.u8(..6) == 0).then(|| ClaimRow { expected: Vec::new(), ..row.clone() });
        group.push(row);
        again.into_iter().for_each(|row| group.push(row));
    }
}

/// Adds the findings that the table states for this row.
fn found(row: ClaimRow, day: &Day, here: impl Fn(At) -> bool) -> ClaimRow {
    let finds = day.finds.iter().filter(|(at, ..)| here(*at));
    finds.fold(row, |row, (_, outcome, cents)| row.finds(OFFICE_FEE, *outcome, *cents))
}
