//! Days whose verdict may depend on a cell that cannot be read.

use schemas::{finding::FindingOutcome, rule::OfficeFee};

use super::{BilledFee, DoctorDay, conclude_day, in_private_office};
use crate::rules::evaluator::FindingSink;

/// Fees and visits that a day could have besides, depending on cells that cannot be read.
pub struct UnsureDay {
    /// The first row with such a cell.
    pub row: u32,
    /// Registered patients who may be others than those counted.
    pub registered: u32,
    /// Walk-in patients who may be others than those counted.
    pub walk_in: u32,
    /// Whether any verdict could change: a fee may be another one or elsewhere.
    pub is_open: bool,
}

/// Reports the findings of a day if they do not depend on unreadable cells, and otherwise that they
/// do.
pub fn conclude_unsure(
    fee: &OfficeFee,
    day: &DoctorDay,
    unsure: &UnsureDay,
    found: &mut FindingSink<'_>,
) {
    let outcomes = |registered: u32, walk_in: u32| -> Vec<(u64, FindingOutcome)> {
        let mut assumed = DoctorDay { fees: day.fees.clone(), ..*day };
        assumed.registered.count += registered;
        assumed.walk_in.count += walk_in;
        let mut findings = Vec::new();
        conclude_day(fee, &assumed, &mut found.trial(&mut findings));
        findings.iter().map(|finding| (finding.row, finding.outcome)).collect()
    };
    // A wrong place is wrong whatever else the day has.
    let (misplaced, others): (Vec<BilledFee>, Vec<BilledFee>) =
        day.fees.iter().partition(|billed| !billed.in_office && !billed.place_unread);
    let is_certain = |row: u64| misplaced.iter().any(|billed| u64::from(billed.row) == row);
    let surely = outcomes(0, 0);
    let UnsureDay { row, registered, walk_in, is_open } = *unsure;
    let mut assumed = [(registered, 0), (0, walk_in), (registered, walk_in)].into_iter();
    let depends = match is_open {
        true => surely.iter().any(|(row, _)| !is_certain(*row)),
        false => assumed.any(|(registered, walk_in)| outcomes(registered, walk_in) != surely),
    };
    if !depends {
        return conclude_day(fee, day, found);
    }
    in_private_office(fee, &misplaced, found);
    let fee_row = others.first().map(|billed| billed.row);
    let first = day.registered.first.min(day.walk_in.first).min(row);
    found.undecided(fee_row.unwrap_or(first).into(), row);
}
