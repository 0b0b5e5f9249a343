//! Rows for tests, and what rules find in them.

use std::{borrow::Cow, collections::HashMap};

use schemas::{
    finding::{Finding, Param},
    rule::{Column, Rule},
};

use super::{CheckOptions, evaluators::Evaluators};
use crate::{
    row::{Cells, ColumnSet, Day, DoctorKey, PatientKey, Row},
    rules::Rules,
    tables::{CodeEntry, Tables},
};

/// A row that owns its cells.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TestRow {
    pub date: Option<(i16, u8, u8)>,
    pub start: Option<u16>,
    pub end: Option<u16>,
    pub place: Option<u32>,
    pub code: Option<u32>,
    pub units: Option<i64>,
    pub contexts: Vec<String>,
    pub preliminary: Option<i64>,
    pub paid: Option<i64>,
    pub doctor: Option<u64>,
    pub patient: Option<u32>,
    pub unread: ColumnSet,
    pub cells: HashMap<Column, String>,
}

/// A row of 4 March 2025, of doctor 1, in a private office.
pub fn line(code: u32) -> TestRow {
    TestRow {
        date: Some((2025, 3, 4)),
        place: Some(55_001),
        code: Some(code),
        doctor: Some(1),
        ..TestRow::default()
    }
}

impl TestRow {
    pub fn on(mut self, year: i16, month: u8, day: u8) -> Self {
        self.date = Some((year, month, day));
        self
    }

    pub fn at(mut self, place: u32) -> Self {
        self.place = Some(place);
        self
    }

    /// Minutes since midnight.
    pub fn time(mut self, start: u16, end: u16) -> Self {
        (self.start, self.end) = (Some(start), Some(end));
        self
    }

    pub fn units(mut self, units: i64) -> Self {
        self.units = Some(units);
        self
    }

    /// The code as the reader gives it: upper case, without `#`.
    pub fn context(mut self, context: &str) -> Self {
        self.contexts.push(context.into());
        self
    }

    pub fn preliminary(mut self, cents: i64) -> Self {
        self.preliminary = Some(cents);
        self
    }

    pub fn paid(mut self, cents: i64) -> Self {
        self.paid = Some(cents);
        self
    }

    pub fn doctor(mut self, doctor: u64) -> Self {
        self.doctor = Some(doctor);
        self
    }

    pub fn patient(mut self, patient: u32) -> Self {
        self.patient = Some(patient);
        self
    }

    /// Makes the cell of this column unreadable.
    pub fn unread(mut self, column: Column) -> Self {
        match column {
            Column::ServiceDate => self.date = None,
            Column::Place => self.place = None,
            Column::Code => self.code = None,
            Column::Units => self.units = None,
            Column::Preliminary => self.preliminary = None,
            Column::Paid => self.paid = None,
            Column::Doctor => self.doctor = None,
            Column::Patient => self.patient = None,
            _ => {}
        }
        self.unread.insert(column);
        self
    }

    pub fn cell(mut self, column: Column, text: &str) -> Self {
        self.cells.insert(column, text.into());
        self
    }

    /// Hands over the row with this number.
    pub fn show<T>(&self, number: u64, to: impl FnOnce(&Row<'_>) -> T) -> T {
        let contexts: Vec<&str> = self.contexts.iter().map(String::as_str).collect();
        let key =
            |patient: u32| format!("TEST{patient:08}").into_bytes().try_into().map(PatientKey);
        to(&Row {
            number,
            date: self.date.map(|(year, month, day)| Day { year, month, day }),
            start: self.start,
            end: self.end,
            place: self.place,
            code: self.code,
            units: self.units,
            contexts: &contexts,
            preliminary: self.preliminary,
            paid: self.paid,
            doctor: self.doctor.map(DoctorKey),
            patient: self.patient.and_then(|patient| key(patient % 100_000_000).ok()),
            unread: self.unread,
            cells: self,
        })
    }
}

impl Cells for TestRow {
    fn get(&self, column: Column) -> Option<Cow<'_, str>> {
        self.cells.get(&column).map(|text| text.as_str().into())
    }
}

pub fn rule(json: serde_json::Value) -> Rule {
    let mut rule = serde_json::json!({
        "id": "a-rule", "name": { "fr": "Une règle", "en": "A rule" }, "category": "test"
    });
    rule.as_object_mut().expect("an object").extend(json.as_object().expect("an object").clone());
    serde_json::from_value(rule).expect("a rule")
}

/// Tables with the rows that the shipped rules look up: an annual visit, an ordinary visit and one
/// of the groups that count for the yearly fee.
pub fn tables() -> Tables {
    let mut tables = Tables::empty();
    let mut add = |code, leaf: &str, group: &str, top: &str| {
        let [leaf, group, top] = [leaf, group, top].map(str::to_owned);
        tables.add_code(code, CodeEntry { leaf, group, top, cents: None });
    };
    let visits = "B - CONSULTATION, EXAMEN ET VISITE";
    add(15_815, "Visite de prise en charge", "Autres visites", visits);
    add(15_804, "Visite périodique", "Visites sur rendez-vous (patient de 80 ans ou plus)", visits);
    add(
        15_801,
        "Visite ponctuelle",
        "Visites sur rendez-vous (patient de moins de 80 ans)",
        visits,
    );
    add(8857, "Intervention clinique", "Interventions", visits);
    add(8859, "Intervention clinique, suite", "Interventions", visits);
    add(8875, "Forfait annuel", "Forfaits", "A - TARIFICATION");
    add(19_928, "Frais de cabinet", "Forfaits", "A - TARIFICATION");
    add(19_929, "Frais de cabinet", "Forfaits", "A - TARIFICATION");
    tables.add_gmf(55_001);
    tables
}

/// Everything the rules find in the rows, numbered from 1; passes too when they are listed.
pub fn find(rules: &[Rule], tables: &Tables, lines: &[TestRow], list_passes: bool) -> Vec<Finding> {
    let rules = Rules::compile(rules).expect("valid rules");
    let mut evaluators =
        Evaluators::new(&rules, tables, CheckOptions { list_passes, ..CheckOptions::default() });
    let mut found = Vec::new();
    for (line, number) in lines.iter().zip(1..) {
        line.show(number, |row| {
            let keyed = evaluators.number_row(row);
            evaluators.row(&keyed, std::time::Instant::now(), &mut found)
        });
    }
    for at in 0..evaluators.len() {
        while evaluators.conclude(at, &mut found) {}
    }
    found
}

/// A finding as tests write it: row, severity, outcome, cents, then the parameters by name.
pub fn brief(finding: &Finding) -> String {
    let Finding { row, severity, outcome, cents, params, .. } = finding;
    let mut text = format!("{row} {} {} {cents}", severity.as_str(), outcome.as_str());
    for (name, param) in params {
        match param {
            Param::Number(number) => text.push_str(&format!(" {name}={number}")),
            Param::Word(word) => text.push_str(&format!(" {name}={word}")),
        }
    }
    text
}

/// The findings of one rule, passes listed, against the tables of [`tables`].
pub fn told(rule: &Rule, lines: &[TestRow]) -> Vec<String> {
    find(std::slice::from_ref(rule), &tables(), lines, true).iter().map(brief).collect()
}

/// The rule of this id among those that are shipped.
pub fn shipped(id: &str) -> Rule {
    let mut rule = crate::rules::shipped()
        .into_iter()
        .find(|rule| rule.id.as_str() == id)
        .expect("it is shipped");
    rule.enabled = true;
    rule
}
