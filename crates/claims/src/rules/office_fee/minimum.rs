//! The minimum of patients of each fee.

use schemas::{finding::FindingOutcome, rule::OfficeFee};

use super::{BilledFee, DoctorDay, group, minimum, reaches, tariff};
use crate::rules::evaluator::FindingSink;

/// The advice for a fee whose group is too small.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Advice {
    OtherGroup,
    Smaller,
    Cancel,
}

/// The fees whose group is large enough, or that can be billed for the other group. Reports the
/// others.
pub(super) fn check_minimum(
    fee: &OfficeFee,
    day: &DoctorDay,
    fees: &[BilledFee],
    found: &mut FindingSink<'_>,
) -> Vec<BilledFee> {
    let advices: Vec<Option<Advice>> =
        fees.iter().map(|billed| advice(fee, day, fees, *billed)).collect();
    if let ([first, second], [Some(Advice::Cancel), Some(Advice::Cancel)]) = (fees, &advices[..]) {
        let mut tariffs = [tariff(fee, first.large), tariff(fee, second.large)];
        tariffs.sort_unstable_by_key(|tariff| tariff.cents);
        let [small, large] = tariffs;
        let params = [("code", small.code.as_str().into()), ("other", large.code.as_str().into())];
        found.breach(
            first.row.into(),
            FindingOutcome::OfficeFeeMinimumBoth,
            small.cents + large.cents,
            params,
        );
        return Vec::new();
    }
    let mut held = Vec::new();
    for (billed, advice) in fees.iter().zip(advices) {
        if matches!(advice, None | Some(Advice::OtherGroup)) {
            held.push(*billed);
        }
        if let Some(advice) = advice {
            report_minimum(fee, day, *billed, advice, found);
        }
    }
    held
}

fn report_minimum(
    fee: &OfficeFee,
    day: &DoctorDay,
    billed: BilledFee,
    advice: Advice,
    found: &mut FindingSink<'_>,
) {
    let tariff = tariff(fee, billed.large);
    let row = billed.row.into();
    let code = ("code", tariff.code.as_str().into());
    let needed = ("needed", i64::from(minimum(tariff, billed.walk_in)).into());
    let seen = ("seen", i64::from(group(day, billed.walk_in).count).into());
    match advice {
        Advice::OtherGroup => found.gain(row, FindingOutcome::OfficeFeeOtherGroup, 0, [code]),
        Advice::Smaller => {
            let cents = tariff.cents - fee.small.cents;
            let better = ("better", fee.small.code.as_str().into());
            found.breach(
                row,
                FindingOutcome::OfficeFeeMinimumSmaller,
                cents,
                [code, needed, seen, better],
            );
        }
        Advice::Cancel => {
            found.breach(row, FindingOutcome::OfficeFeeMinimum, tariff.cents, [code, needed, seen]);
        }
    }
}

/// The advice for a fee. `None` when its group is large enough.
fn advice(
    fee: &OfficeFee,
    day: &DoctorDay,
    fees: &[BilledFee],
    billed: BilledFee,
) -> Option<Advice> {
    let billable = tariff(fee, billed.large);
    if reaches(day, billable, billed.walk_in) {
        return None;
    }
    let other = !billed.walk_in;
    let other_is_free = fees.iter().all(|billed| billed.walk_in != other);
    Some(if other_is_free && reaches(day, billable, other) {
        Advice::OtherGroup
    } else if billed.large && reaches(day, &fee.small, billed.walk_in) {
        Advice::Smaller
    } else {
        Advice::Cancel
    })
}
