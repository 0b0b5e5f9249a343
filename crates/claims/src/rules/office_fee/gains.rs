//! The gains that a day without a breach has missed.

use schemas::{
    finding::FindingOutcome,
    rule::{FeeTariff, OfficeFee},
};

use super::{DoctorDay, PatientGroup, group, reaches, times};
use crate::rules::evaluator::FindingSink;

/// Reports the first gain that a day without a breach has missed.
pub(super) fn missed_gain(fee: &OfficeFee, day: &DoctorDay, found: &mut FindingSink<'_>) {
    match day.fees[..] {
        [] => unbilled(fee, day, found),
        [billed] if !billed.large => {
            let row = billed.row.into();
            let code = ("code", fee.small.code.as_str().into());
            let seen = |walk_in| ("seen", i64::from(group(day, walk_in).count).into());
            let gain = fee.large.cents - fee.small.cents;
            if reaches(day, &fee.large, billed.walk_in) && fee.large.cents <= fee.day_limit_cents {
                let better = ("better", fee.large.code.as_str().into());
                let params = [code, better, seen(billed.walk_in), ("gain_cents", gain.into())];
                found.gain(row, FindingOutcome::OfficeFeeUpgrade, gain, params);
            } else if reaches(day, &fee.small, !billed.walk_in)
                && 2 * fee.small.cents <= fee.day_limit_cents
            {
                let gain = fee.small.cents;
                let params = [code, seen(!billed.walk_in), ("gain_cents", gain.into())];
                found.gain(row, FindingOutcome::OfficeFeeSecond, gain, params);
            }
        }
        _ => {}
    }
}

/// Reports the largest amount that could have been billed on a day without a fee.
fn unbilled(fee: &OfficeFee, day: &DoctorDay, found: &mut FindingSink<'_>) {
    let one = |tariff: &FeeTariff| {
        let walk_in = [false, true].into_iter().find(|walk_in| reaches(day, tariff, *walk_in))?;
        Some((tariff.cents, times(1, &tariff.code), *group(day, walk_in)))
    };
    let both = || {
        let reached = [false, true].into_iter().all(|walk_in| reaches(day, &fee.small, walk_in));
        let (registered, walk_in) = (day.registered, day.walk_in);
        let patients = PatientGroup {
            count: registered.count + walk_in.count,
            first: registered.first.min(walk_in.first),
        };
        reached.then(|| (2 * fee.small.cents, times(2, &fee.small.code), patients))
    };
    // The first of equal amounts wins, because one fee is simpler than two.
    let mut best: Option<(i64, String, PatientGroup)> = None;
    for allowed in [one(&fee.large), one(&fee.small), both()].into_iter().flatten() {
        if allowed.0 <= fee.day_limit_cents && best.as_ref().is_none_or(|best| allowed.0 > best.0) {
            best = Some(allowed);
        }
    }
    if let Some((gain, better, patients)) = best {
        let params = [
            ("seen", i64::from(patients.count).into()),
            ("better", better.as_str().into()),
            ("gain_cents", gain.into()),
        ];
        found.gain(patients.first.into(), FindingOutcome::OfficeFeeUnbilled, gain, params);
    }
}
