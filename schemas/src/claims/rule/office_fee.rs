//! The parameters of the office fees.

use serde::{Deserialize, Serialize};

/// The parameters of the office fees: two codes, each with its amount and its minimum of patients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OfficeFee {
    /// The smaller fee.
    pub small: FeeTariff,
    /// The larger fee.
    pub large: FeeTariff,
    /// The most that a doctor may be paid for one day.
    pub day_limit_cents: i64,
    /// First digits of the places that are private offices. A fee without a place was not billed in
    /// one.
    pub office_places: Vec<String>,
    /// The contexts of walk-in visits.
    pub walk_in_contexts: Vec<String>,
    /// Whether to count only patients with a paid row on that day. All rows still decide whether a
    /// patient is a walk-in.
    #[serde(default)]
    pub paid_only: bool,
}

/// The amount of an office fee and its minimum of patients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FeeTariff {
    /// The billing code.
    pub code: String,
    /// The amount.
    pub cents: i64,
    /// The minimum of registered patients, when the fee is billed for them.
    pub min_registered: u32,
    /// The minimum of walk-in patients, when the fee is billed for them.
    pub min_walk_in: u32,
}
