//! The rules that files are generated for: the shipped rules that are enabled, and two more for the
//! outcomes that no enabled shipped rule has.

use claims::rules::shipped;
use schemas::rule::Rule;

/// The rule name of findings about cells that cannot be read.
pub const FILE: &str = "file";
pub const OFFICE_FEE: &str = "office-fee";
pub const ANNUAL_CODES: &str = "annual-codes";
pub const YEARLY_FEE: &str = "gmf-yearly-fee";
pub const YEARLY_FEE_MISSING: &str = "gmf-yearly-missing";
pub const INTERVENTION_MINUTES: &str = "intervention-minutes";
pub const LONGER_VISITS: &str = "longer-visits";
pub const DOCTOR_REQUIRED: &str = "doctor-required";
pub const INVOICE_FORM: &str = "invoice-form";
pub const UNITS_RANGE: &str = "units-range";
pub const KNOWN_CODE: &str = "known-code";
/// Not shipped: see [`planted`].
pub const DAY_AMOUNT: &str = "day-amount";
pub const KNOWN_ROLES: &str = "known-roles";

/// The limit of [`DAY_AMOUNT`], above the sum of any day of a practice.
pub const DAY_AMOUNT_CENTS: i64 = 1_000_000;

/// Rules whose passes are planted too.
pub const LISTED_PASSES: [&str; 6] =
    [OFFICE_FEE, ANNUAL_CODES, YEARLY_FEE, YEARLY_FEE_MISSING, INTERVENTION_MINUTES, LONGER_VISITS];

/// The shipped rules that are enabled, a limit of amounts, and a column with a list of allowed
/// values.
#[must_use]
pub fn planted() -> Vec<Rule> {
    let more: Vec<Rule> = serde_json::from_str(include_str!("rules.json"))
        .expect("the built-in rules are valid JSON");
    shipped().into_iter().filter(|rule| rule.enabled).chain(more).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_enabled_rule_has_planted_findings() {
        let rules = planted();
        let mut ids: Vec<&str> = rules.iter().map(|rule| rule.id.as_str()).collect();
        let mut named =
            [&LISTED_PASSES[..], &[DOCTOR_REQUIRED, INVOICE_FORM, UNITS_RANGE, KNOWN_CODE]]
                .concat();
        named.extend([DAY_AMOUNT, KNOWN_ROLES]);
        ids.sort_unstable();
        named.sort_unstable();
        assert_eq!(ids, named);
    }
}
