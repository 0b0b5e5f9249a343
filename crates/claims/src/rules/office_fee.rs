//! The office fees of a doctor's day: two codes, billed once for the registered patients and once
//! for the walk-in patients, or the larger one alone.
//!
//! The steps run in this order, each on what the one before left: place, minimum, maximum, missed
//! gain, pass. A fee with a wrong place or without its minimum takes no part in later steps. A day
//! with a breach gets no advice on gains.

use std::mem;

use rustc_hash::FxHashMap;
use schemas::{
    finding::FindingOutcome,
    rule::{Column, FeeTariff, OfficeFee},
};

use super::{
    evaluator::{Evaluator, FindingSink, KeyedRow, NO_ROW, packed, take_back},
    filter::{PlacePrefixes, carries, contexts},
};

mod gains;
mod minimum;
#[cfg(test)]
mod tests;
mod unsure;

use gains::missed_gain;
use minimum::check_minimum;
use unsure::{UnsureDay, conclude_unsure};

/// Collects the days. [`conclude_day`] evaluates them.
pub(super) struct OfficeFees<'r> {
    fee: &'r OfficeFee,
    small: Option<u32>,
    large: Option<u32>,
    office: PlacePrefixes,
    walk_in: Vec<String>,
    /// The index in `days` of each doctor and date.
    numbers: FxHashMap<(u32, u32), u32>,
    days: Vec<DoctorDay>,
    /// By day and patient. The only map that grows with the visits.
    patients: FxHashMap<(u32, u32), DayPatient>,
    /// By day: what depends on cells that cannot be read.
    unsure: FxHashMap<u32, UnsureDay>,
}

/// The rows of a patient on a day, without those that were taken back. A patient has a handful of
/// rows a day; past 127 the count stays there.
#[derive(Clone, Copy)]
struct DayPatient {
    first: u32,
    /// Rows without a walk-in context.
    registered: i8,
    /// Rows with a walk-in context.
    walk_in: i8,
    paid: i8,
}

/// The fees and patients of a doctor's day.
#[derive(Default)]
struct DoctorDay {
    fees: Vec<BilledFee>,
    registered: PatientGroup,
    walk_in: PatientGroup,
}

/// A fee that was billed.
#[derive(Clone, Copy)]
struct BilledFee {
    row: u32,
    claim: u32,
    is_reversal: bool,
    large: bool,
    /// Whether the fee was billed for the walk-in patients.
    walk_in: bool,
    in_office: bool,
    /// Whether it was billed in an office depends on a cell that cannot be read.
    place_unread: bool,
}

/// The patients of one group: how many, and the smallest row.
#[derive(Clone, Copy)]
struct PatientGroup {
    count: u32,
    first: u32,
}

impl Default for PatientGroup {
    fn default() -> Self {
        Self { count: 0, first: NO_ROW }
    }
}

impl PatientGroup {
    fn add(&mut self, row: u32) {
        self.count += 1;
        self.first = self.first.min(row);
    }
}

impl<'r> OfficeFees<'r> {
    pub fn new(fee: &'r OfficeFee) -> Self {
        Self {
            fee,
            small: fee.small.code.parse().ok(),
            large: fee.large.code.parse().ok(),
            office: PlacePrefixes::new(&fee.office_places),
            walk_in: contexts(&fee.walk_in_contexts),
            numbers: FxHashMap::default(),
            days: Vec::new(),
            patients: FxHashMap::default(),
            unsure: FxHashMap::default(),
        }
    }

    fn day(&mut self, doctor: u32, date: u32) -> u32 {
        let next = self.days.len() as u32;
        let number = *self.numbers.entry((doctor, date)).or_insert(next);
        if number == next {
            self.days.push(DoctorDay::default());
        }
        number
    }
}

impl OfficeFees<'_> {
    fn note_unsure(&mut self, day: u32, row: u32) -> &mut UnsureDay {
        let none = UnsureDay { row, registered: 0, walk_in: 0, is_open: false };
        self.unsure.entry(day).or_insert(none)
    }

    fn visit(&mut self, day: u32, patient: u32, keyed: &KeyedRow<'_>) {
        let (row, at) = (keyed.row, keyed.at);
        let walk_in = carries(row, &self.walk_in);
        let new = DayPatient { first: at, registered: 0, walk_in: 0, paid: 0 };
        let patient = self.patients.entry((day, patient)).or_insert(new);
        let step = if row.is_reversal() { -1 } else { 1 };
        let group = if walk_in { &mut patient.walk_in } else { &mut patient.registered };
        *group = group.saturating_add(step);
        let paid = row.paid.map_or(0, i64::signum);
        patient.paid = patient.paid.saturating_add(paid as i8);
        patient.first = patient.first.min(at);
        if self.fee.paid_only && row.unread.contains(Column::Paid) {
            self.note_unsure(day, at).is_open = true;
        }
    }

    /// Adds the patients to their days.
    fn count_patients(&mut self) {
        for ((day, _), patient) in mem::take(&mut self.patients) {
            let is_seen = patient.registered > 0 || patient.walk_in > 0;
            if !is_seen || self.fee.paid_only && patient.paid <= 0 {
                continue;
            }
            let day = &mut self.days[day as usize];
            let group =
                if patient.registered <= 0 { &mut day.walk_in } else { &mut day.registered };
            group.add(patient.first);
        }
    }
}

impl Evaluator for OfficeFees<'_> {
    fn row(&mut self, keyed: &KeyedRow<'_>, _found: &mut FindingSink<'_>) {
        let (row, at) = (keyed.row, keyed.at);
        let (Some(doctor), Some(date)) = (keyed.doctor, row.date) else {
            return;
        };
        let large = row.code.is_some() && row.code == self.large;
        let is_fee = large || row.code.is_some() && row.code == self.small;
        let unread = |column| row.unread.contains(column);
        if is_fee {
            let day = self.day(doctor, packed(date));
            self.days[day as usize].fees.push(BilledFee {
                row: at,
                claim: keyed.claim(),
                is_reversal: row.is_reversal(),
                large,
                walk_in: carries(row, &self.walk_in),
                in_office: self.office.contains(row.place),
                place_unread: unread(Column::Place),
            });
            if unread(Column::Place) {
                self.note_unsure(day, at).is_open = true;
            }
        } else if unread(Column::Code) {
            let day = self.day(doctor, packed(date));
            self.note_unsure(day, at).is_open = true;
        } else if let Some(patient) = keyed.patient {
            let day = self.day(doctor, packed(date));
            self.visit(day, patient, keyed);
        } else if unread(Column::Patient) {
            let walk_in = carries(row, &self.walk_in);
            let day = self.day(doctor, packed(date));
            let unsure = self.note_unsure(day, at);
            *if walk_in { &mut unsure.walk_in } else { &mut unsure.registered } += 1;
        }
    }

    fn conclude(&mut self, found: &mut FindingSink<'_>) -> bool {
        self.count_patients();
        for (day, number) in self.days.iter_mut().zip(0..) {
            day.fees.sort_unstable_by_key(|billed| billed.row);
            take_back(&mut day.fees, |billed| (billed.claim, billed.is_reversal));
            match self.unsure.get(&number) {
                Some(unsure) => conclude_unsure(self.fee, day, unsure, found),
                None => conclude_day(self.fee, day, found),
            }
        }
        false
    }
}

/// Reports all findings of one day.
fn conclude_day(fee: &OfficeFee, day: &DoctorDay, found: &mut FindingSink<'_>) {
    let before = found.len();
    let in_office = in_private_office(fee, &day.fees, found);
    let held = check_minimum(fee, day, &in_office, found);
    check_maximum(fee, &held, found);
    if found.len() == before {
        missed_gain(fee, day, found);
    }
    if found.len() == before
        && let Some(first) = day.fees.first()
    {
        pass(fee, day, first.row, found);
    }
}

/// The fees that were billed in a private office. Reports the others.
fn in_private_office(
    fee: &OfficeFee,
    fees: &[BilledFee],
    found: &mut FindingSink<'_>,
) -> Vec<BilledFee> {
    let (placed, elsewhere): (Vec<BilledFee>, Vec<BilledFee>) =
        fees.iter().partition(|billed| billed.in_office);
    for billed in elsewhere {
        let tariff = tariff(fee, billed.large);
        let params = [("code", tariff.code.as_str().into())];
        found.breach(billed.row.into(), FindingOutcome::OfficeFeePlace, tariff.cents, params);
    }
    placed
}

/// Reports fees that are correct alone but exceed the maximum together.
fn check_maximum(fee: &OfficeFee, fees: &[BilledFee], found: &mut FindingSink<'_>) {
    let total = total(fee, fees);
    if total <= fee.day_limit_cents {
        return;
    }
    let large = fees.iter().any(|billed| billed.large);
    let keep = tariff(fee, large);
    // The number of fees of the kept code that the daily limit allows: one by the default
    // amounts, unless three small ones were billed.
    let same = fees.iter().filter(|billed| billed.large == large).count() as i64;
    let count = same.min(fee.day_limit_cents / keep.cents);
    let mut kept = 0;
    let surplus = fees.iter().filter(|billed| {
        let keeps = billed.large == large && kept < count;
        kept += i64::from(keeps);
        !keeps
    });
    let Some(last) = surplus.last() else {
        return;
    };
    let excess = total - fee.day_limit_cents;
    found.breach(
        last.row.into(),
        FindingOutcome::OfficeFeeMaximum,
        excess,
        [
            ("total_cents", total.into()),
            ("limit_cents", fee.day_limit_cents.into()),
            ("excess_cents", excess.into()),
            ("keep", times(count, &keep.code).as_str().into()),
        ],
    );
}

fn pass(fee: &OfficeFee, day: &DoctorDay, row: u32, found: &mut FindingSink<'_>) {
    let total = total(fee, &day.fees);
    let outcome = if total < fee.day_limit_cents {
        FindingOutcome::OfficeFeePass
    } else {
        FindingOutcome::OfficeFeePassMaximum
    };
    let params = [
        ("registered", i64::from(day.registered.count).into()),
        ("walk_in", i64::from(day.walk_in.count).into()),
        ("total_cents", total.into()),
    ];
    found.pass_as(row.into(), outcome, params);
}

fn tariff(fee: &OfficeFee, large: bool) -> &FeeTariff {
    if large { &fee.large } else { &fee.small }
}

fn total(fee: &OfficeFee, fees: &[BilledFee]) -> i64 {
    fees.iter().map(|billed| tariff(fee, billed.large).cents).sum()
}

fn group(day: &DoctorDay, walk_in: bool) -> &PatientGroup {
    if walk_in { &day.walk_in } else { &day.registered }
}

fn minimum(tariff: &FeeTariff, walk_in: bool) -> u32 {
    if walk_in { tariff.min_walk_in } else { tariff.min_registered }
}

fn reaches(day: &DoctorDay, tariff: &FeeTariff, walk_in: bool) -> bool {
    group(day, walk_in).count >= minimum(tariff, walk_in)
}

/// A code, with its count when that is above 1.
fn times(count: i64, code: &str) -> String {
    if count == 1 { code.to_owned() } else { format!("{count} × {code}") }
}
