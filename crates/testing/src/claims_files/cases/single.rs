//! Cases of rules about single rows: longer visits, formats of cells, and unreadable rows.

use schemas::{
    finding::FindingOutcome::{
        self, CodeUnknown, DateForm, LongerVisit, NotAllowed, OfficeFeePass, OnceNonePaid,
        OutOfRange, PatternMismatch, RequiredMissing, RowUnreadable, TimeForm, Undecided,
    },
    rule::Column,
};

use super::Case;
use crate::claims_files::{
    group::RowGroup,
    row::ClaimRow,
    rules::{
        DOCTOR_REQUIRED, FILE, INTERVENTION_MINUTES, INVOICE_FORM, KNOWN_CODE, KNOWN_ROLES,
        LONGER_VISITS, OFFICE_FEE, UNITS_RANGE, YEARLY_FEE,
    },
    tables::{
        ACTS, FEE_SMALL, INTERVENTION, INTERVENTION_BY_UNITS, PLAIN_VISITS, UNKNOWN_CODES,
        YEARLY_FEE as YEARLY_FEE_CODE,
    },
};

pub fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = VISITS.iter().map(visit).collect();
    cases.extend(FORMS.iter().map(|(name, column, text, finds)| {
        Case::new(name, move |group| {
            let row = plain(group).raw(*column, text);
            group.push(match finds {
                Some((rule, outcome)) => row.finds(rule, *outcome, 0),
                None => row,
            });
        })
    }));
    cases.extend(UNREADABLE.iter().map(|(column, text)| {
        Case::new("a cell that cannot be read", move |group| {
            let row = plain(group).raw(*column, text).finds(FILE, RowUnreadable, 0);
            group.push(row);
        })
    }));
    cases.extend(OTHER_FORMS.iter().map(|(column, text, outcome)| {
        Case::new("a date or a time in another form", move |group| {
            let row = plain(group).raw(*column, text).finds(FILE, *outcome, 0);
            group.push(row);
        })
    }));
    cases.extend(others());
    cases
}

fn plain(group: &mut RowGroup<'_>) -> ClaimRow {
    let (doctor, patient) = (group.doctor(), group.patient());
    group.visit(doctor, patient)
}

const fn clock(hour: u16, minute: u16) -> Option<u16> {
    Some(hour * 60 + minute)
}

/// A visit of some duration, and the cents that it could gain: `None` when it is too short to be
/// judged or not a visit.
struct Visit {
    name: &'static str,
    code: u32,
    times: (Option<u16>, Option<u16>),
    preliminary: Option<i64>,
    gain: Option<i64>,
}

const fn lasting(
    name: &'static str,
    times: (Option<u16>, Option<u16>),
    preliminary: Option<i64>,
    gain: Option<i64>,
) -> Visit {
    Visit { name, code: PLAIN_VISITS.start, times, preliminary, gain }
}

const VISITS: &[Visit] = &[
    lasting("29 minutes", (clock(9, 0), clock(9, 29)), Some(1), None),
    lasting("30 minutes, a cent too little", (clock(9, 0), clock(9, 30)), Some(5_969), Some(1)),
    lasting("30 minutes, enough", (clock(9, 0), clock(9, 30)), Some(5_970), Some(0)),
    lasting("44 minutes, enough", (clock(9, 16), clock(10, 0)), Some(5_970), Some(0)),
    lasting("45 minutes, a cent too little", (clock(9, 15), clock(10, 0)), Some(8_954), Some(1)),
    lasting("45 minutes, enough", (clock(9, 15), clock(10, 0)), Some(8_955), Some(0)),
    lasting("59 minutes, enough", (clock(9, 15), clock(10, 14)), Some(8_955), Some(0)),
    lasting("60 minutes", (clock(9, 15), clock(10, 15)), Some(8_955), Some(2_985)),
    lasting("30 minutes without an amount", (clock(0, 1), clock(0, 31)), None, Some(5_970)),
    lasting("29 minutes past midnight", (clock(23, 45), clock(0, 14)), Some(1), None),
    lasting("30 minutes past midnight", (clock(23, 45), clock(0, 15)), Some(5_000), Some(970)),
    lasting("30 minutes to midnight", (clock(23, 30), clock(0, 0)), Some(5_000), Some(970)),
    lasting("30 minutes from midnight", (clock(0, 0), clock(0, 30)), Some(5_000), Some(970)),
    lasting("from 00:00 without an end", (clock(0, 0), None), Some(1), None),
    lasting("from 09:00 without an end", (clock(9, 0), None), Some(1), None),
    lasting("an end without a start", (None, clock(9, 0)), Some(1), None),
    lasting("from a time to the same", (clock(9, 0), clock(9, 0)), Some(1), None),
    Visit {
        name: "an intervention of two hours",
        code: INTERVENTION,
        times: (clock(9, 0), clock(11, 0)),
        preliminary: Some(1),
        gain: None,
    },
    Visit {
        name: "an intervention by units of two hours",
        code: INTERVENTION_BY_UNITS,
        times: (clock(9, 0), clock(11, 0)),
        preliminary: Some(1),
        gain: None,
    },
    Visit {
        name: "an act of two hours",
        code: ACTS.start,
        times: (clock(9, 0), clock(11, 0)),
        preliminary: Some(1),
        gain: None,
    },
];

fn visit(visit: &'static Visit) -> Case {
    Case::new(visit.name, |group| {
        let row = plain(group)
            .code(visit.code)
            .at(visit.times.0, visit.times.1)
            .preliminary(visit.preliminary);
        group.push(match visit.gain {
            // The rule of longer visits skips interventions; the rule of minutes counts them.
            None if [INTERVENTION, INTERVENTION_BY_UNITS].contains(&visit.code) => {
                row.units(120).passes(INTERVENTION_MINUTES)
            }
            None => row,
            Some(0) => row.passes(LONGER_VISITS),
            Some(gain) => row.finds(LONGER_VISITS, LongerVisit, gain),
        });
    })
}

type Form = (&'static str, Column, &'static str, Option<(&'static str, FindingOutcome)>);

const FORMS: &[Form] = &[
    ("no doctor", Column::Doctor, "", Some((DOCTOR_REQUIRED, RequiredMissing))),
    ("a doctor of spaces", Column::Doctor, "   ", Some((DOCTOR_REQUIRED, RequiredMissing))),
    (
        "an invoice of eight digits",
        Column::Invoice,
        "12345678",
        Some((INVOICE_FORM, PatternMismatch)),
    ),
    (
        "an invoice of ten digits",
        Column::Invoice,
        "1234567890",
        Some((INVOICE_FORM, PatternMismatch)),
    ),
    (
        "an invoice with a letter",
        Column::Invoice,
        "12345678O",
        Some((INVOICE_FORM, PatternMismatch)),
    ),
    ("an invoice with spaces around it", Column::Invoice, " 123456789 ", None),
    ("no invoice", Column::Invoice, "", None),
    ("units below none", Column::Units, "-1", Some((UNITS_RANGE, OutOfRange))),
    ("no units", Column::Units, "0", None),
    ("the most units", Column::Units, "1440", None),
    ("a unit too many", Column::Units, "1441", Some((UNITS_RANGE, OutOfRange))),
    ("a role nobody knows", Column::Role, "Médecin absent", Some((KNOWN_ROLES, NotAllowed))),
    ("a role in upper case", Column::Role, "MÉDECIN TRAITANT", None),
    ("no role", Column::Role, "", None),
    ("no code", Column::Code, "", None),
    ("no place", Column::Place, "", None),
];

/// Dates and times in another form: one finding of the file for each.
const OTHER_FORMS: [(Column, &str, FindingOutcome); 2] =
    [(Column::ServiceDate, "12/03/2024", DateForm), (Column::Start, "9h30", TimeForm)];

const UNREADABLE: &[(Column, &str)] = &[
    (Column::ServiceDate, "2024-02-30"),
    (Column::ServiceDate, "2023-02-29"),
    (Column::Start, "24:00"),
    (Column::End, "12:60"),
    (Column::Place, "5501"),
    (Column::Place, "55O01"),
    (Column::Code, "157"),
    (Column::Code, "15x01"),
    (Column::Units, "1,5"),
    (Column::Units, "une"),
    (Column::Preliminary, "douze"),
    (Column::Preliminary, "1,234"),
    (Column::Paid, "12,,00"),
    (Column::Doctor, "Dr Inconnu"),
    (Column::Doctor, "900004-00000 | Inconnu"),
    (Column::Patient, "INCONNU"),
    (Column::Patient, "QZA12040040099 - INCONNU"),
];

/// Adds visits of five patients at a new doctor, and returns that of a sixth.
fn six_visits(group: &mut RowGroup<'_>) -> ClaimRow {
    let doctor = group.doctor();
    for _ in 0..5 {
        let patient = group.patient();
        let row = group.visit(doctor, patient);
        group.push(row);
    }
    let patient = group.patient();
    group.visit(doctor, patient)
}

fn others() -> [Case; 7] {
    [
        Case::new("a code the table does not hold", |group| {
            let code = group.rng.u32(UNKNOWN_CODES);
            let row = plain(group).code(code).finds(KNOWN_CODE, CodeUnknown, 0);
            group.push(row);
        }),
        Case::new("two cells that cannot be read are one finding", |group| {
            let row = plain(group).raw(Column::Paid, "rien").raw(Column::Code, "rien");
            group.push(row.finds(FILE, RowUnreadable, 0));
        }),
        Case::new("the other cells of an unreadable row are checked", |group| {
            let row = plain(group)
                .raw(Column::Place, "rien")
                .raw(Column::Invoice, "1")
                .raw(Column::Doctor, "")
                .finds(FILE, RowUnreadable, 0)
                .finds(INVOICE_FORM, PatternMismatch, 0)
                .finds(DOCTOR_REQUIRED, RequiredMissing, 0);
            group.push(row);
        }),
        Case::new("a patient with an unreadable cell counts", |group| {
            let row = six_visits(group).raw(Column::Units, "?").finds(FILE, RowUnreadable, 0);
            let doctor = row.doctor.expect("a visit has a doctor");
            group.push(row);
            let row = group.row(doctor).code(FEE_SMALL).preliminary(3240);
            group.push(row.finds(OFFICE_FEE, OfficeFeePass, 0));
        }),
        Case::new("a patient who cannot be read may count", |group| {
            let row = six_visits(group).raw(Column::Patient, "?").finds(FILE, RowUnreadable, 0);
            let doctor = row.doctor.expect("a visit has a doctor");
            group.push(row);
            let row = group.row(doctor).code(FEE_SMALL).preliminary(3240);
            group.push(row.finds(OFFICE_FEE, Undecided, 0));
        }),
        Case::new("a second fee with an unreadable cell counts", |group| {
            let (doctor, patient) = (group.doctor(), group.patient());
            let fee = group.visit(doctor, patient).code(YEARLY_FEE_CODE).paid(None);
            group.push(fee.clone().finds(YEARLY_FEE, OnceNonePaid, 935));
            group.push(fee.raw(Column::End, "99:99").finds(FILE, RowUnreadable, 0));
        }),
        Case::new("a second fee that was taken back does not count", |group| {
            let (doctor, patient) = (group.doctor(), group.patient());
            let fee = |group: &mut RowGroup<'_>, invoice, cents: i64| {
                let row = group.visit(doctor, patient).code(YEARLY_FEE_CODE);
                row.raw(Column::Invoice, invoice).preliminary(cents)
            };
            let row = fee(group, "700000001", 935).passes(YEARLY_FEE);
            group.push(row);
            let row = fee(group, "700000002", 935);
            group.push(row);
            let row = fee(group, "700000002", -935);
            group.push(row);
        }),
    ]
}
