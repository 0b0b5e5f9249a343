//! The rules that claims files are checked against, as data: a new rule of these kinds needs no new
//! build.

mod column;
mod office_fee;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{ids::RuleId, language::Language};

pub use column::Column;
pub use office_fee::{FeeTariff, OfficeFee};

/// Most rules that one tenant may store. Each rule looks at every row; more rules are refused as
/// `invalid_value`.
pub const MAX_RULES: usize = 200;

/// One rule. Its JSON has the kind of the check and that kind's parameters beside the other fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct Rule {
    /// The id.
    pub id: RuleId,
    /// The name for people.
    pub name: Bilingual,
    /// A slug that groups rules on a page.
    pub category: String,
    /// Whether checks use the rule. True by default.
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// The severity of a breach: an error or a warning. A gain is always an optimisation.
    #[serde(default)]
    pub severity: Severity,
    /// The check and its parameters.
    #[serde(flatten)]
    pub check: RuleCheck,
}

fn enabled() -> bool {
    true
}

/// A rule as the rule book stores it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct StoredRule {
    /// The rule.
    #[serde(flatten)]
    pub rule: Rule,
    /// The version of the rule book at which the rule last changed. 0 for a rule that changed
    /// before editions were counted.
    #[serde(default)]
    pub edition: u64,
}

/// A text for people, at most [`crate::bounds::MAX_TEXT`] characters in each language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct Bilingual {
    /// The French text.
    pub fr: String,
    /// The English text.
    pub en: String,
}

/// How much a finding matters, the most important first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The claim must be corrected.
    #[default]
    Error,
    /// The claim should be reviewed.
    Warning,
    /// Money could be gained.
    Optimisation,
    /// The check passed. Passes are counted, and listed only on request.
    Pass,
}

impl Severity {
    /// Every severity.
    pub const ALL: [Severity; 4] =
        [Severity::Error, Severity::Warning, Severity::Optimisation, Severity::Pass];

    /// The severity as JSON spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Optimisation => "optimisation",
            Severity::Pass => "pass",
        }
    }
}

/// The check of a rule. Amounts are in cents, lengths in minutes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RuleCheck {
    /// The column must not be empty.
    Required {
        /// The column.
        column: Column,
        /// The rows to look at.
        #[serde(default)]
        when: RowFilter,
    },
    /// The column must match the whole pattern, unless it is empty.
    Pattern {
        /// The column.
        column: Column,
        /// A regular expression in the syntax of the Rust crate `regex`.
        pattern: String,
        /// The rows to look at.
        #[serde(default)]
        when: RowFilter,
    },
    /// The column must lie between the bounds, both included, unless it is empty.
    Range {
        /// The column.
        column: Column,
        /// The lower bound.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<RangeBound>,
        /// The upper bound.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<RangeBound>,
        /// The rows to look at.
        #[serde(default)]
        when: RowFilter,
    },
    /// The column must be one of the values, unless it is empty. Case does not matter. In the
    /// column of contexts, every context must be one of the values.
    Allowed {
        /// The column.
        column: Column,
        /// The allowed values.
        values: Vec<String>,
        /// The rows to look at.
        #[serde(default)]
        when: RowFilter,
    },
    /// The code of the row must be in the code table, unless the row has none. Without a table,
    /// this check finds nothing.
    KnownCode {
        /// The rows to look at.
        #[serde(default)]
        when: RowFilter,
    },
    /// Each context of the row must be in the table of contexts. Without a table, this check finds
    /// nothing.
    KnownContext {
        /// The rows to look at.
        #[serde(default)]
        when: RowFilter,
    },
    /// A group must have at most one such row in a period.
    Once {
        /// The grouping of rows.
        per: Vec<GroupKey>,
        /// The time that a group spans.
        period: Period,
        /// The rows to look at.
        #[serde(default)]
        when: RowFilter,
        /// Cents at risk for each row beyond the first. 0 when unknown.
        #[serde(default)]
        cents: i64,
    },
    /// The sum over a group in a period must not be above the limit. A row counts when a term names
    /// its code and, for a term that is a column, the column is not empty.
    SumLimit {
        /// The grouping of rows.
        per: Vec<GroupKey>,
        /// The time that a group spans.
        period: Period,
        /// The unit of the sum.
        unit: Unit,
        /// The terms that rows add to the sum.
        terms: Vec<SumTerm>,
        /// The limit.
        limit: i64,
        /// The rows to look at.
        #[serde(default)]
        when: RowFilter,
    },
    /// A group that has a row `due` and none `missing` in a period could have billed one.
    MissingThoughDue {
        /// The grouping of rows.
        per: Vec<GroupKey>,
        /// The time that a group spans.
        period: Period,
        /// Rows that make the fee due.
        due: RowFilter,
        /// Rows that bill the fee.
        missing: RowFilter,
        /// Cents to gain.
        gain_cents: i64,
    },
    /// A visit of at least `from_minutes` may be worth `base_cents`, plus `step_cents` for each
    /// full `step_minutes` beyond, compared with its preliminary amount.
    BetterCode {
        /// The shortest visit to look at.
        from_minutes: u16,
        /// The amount of the shortest visit.
        base_cents: i64,
        /// The length of a step.
        step_minutes: u16,
        /// The amount of a step.
        step_cents: i64,
        /// The rows to look at.
        #[serde(default)]
        when: RowFilter,
    },
    /// The office fees of a doctor's day.
    OfficeFee(OfficeFee),
}

impl RuleCheck {
    /// The kind as JSON spells it.
    pub fn kind(&self) -> &'static str {
        match self {
            RuleCheck::Required { .. } => "required",
            RuleCheck::Pattern { .. } => "pattern",
            RuleCheck::Range { .. } => "range",
            RuleCheck::Allowed { .. } => "allowed",
            RuleCheck::KnownCode { .. } => "known_code",
            RuleCheck::KnownContext { .. } => "known_context",
            RuleCheck::Once { .. } => "once",
            RuleCheck::SumLimit { .. } => "sum_limit",
            RuleCheck::MissingThoughDue { .. } => "missing_though_due",
            RuleCheck::BetterCode { .. } => "better_code",
            RuleCheck::OfficeFee(_) => "office_fee",
        }
    }
}

/// The rows that a check looks at: the rows that meet all conditions. An absent or empty condition
/// is always met.
///
/// - A row without a code meets none of `codes`, `leaves`, `groups` and `tops`, and always meets
///   `codes_not`. A code that is not in the code table meets none of `leaves`, `groups` and `tops`.
/// - Texts of the code table and contexts are compared as a whole, without regard to case and to
///   surrounding spaces. A leading `#` of a context does not count. `STAR` is not `AR`.
/// - A row without a place meets no `places`. `gmf: false` is met by exactly the rows that do not
///   meet `gmf: true`, which includes rows without a place. Likewise, `paid: false` includes rows
///   without a paid amount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RowFilter {
    /// The code is one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<String>,
    /// The code is none of these, whatever the other conditions are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub codes_not: Vec<String>,
    /// The description of the code in the code table is one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub leaves: Vec<String>,
    /// The level-1 group of the code is one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// The top level of the code is one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tops: Vec<String>,
    /// Whether one of `codes`, `leaves`, `groups` and `tops` is enough. By default, all must hold.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub any_of: bool,
    /// The row has at least one of these contexts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contexts: Vec<String>,
    /// The row has none of these contexts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contexts_not: Vec<String>,
    /// The five digits of the place begin with one of these, each of one to five digits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<String>,
    /// Whether the table of establishments marks the place as a family medicine group (GMF).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gmf: Option<bool>,
    /// Whether the paid amount is above zero.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paid: Option<bool>,
}

/// The grouping of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum GroupKey {
    /// The patient.
    Patient,
    /// The doctor.
    Doctor,
    /// The billing code.
    Code,
    /// The place of practice.
    Place,
}

/// The time that a group spans, by the service date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Period {
    /// One day.
    Day,
    /// One calendar month.
    Month,
    /// One calendar year.
    Year,
}

/// The unit of a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// Minutes.
    Minutes,
    /// Cents.
    Cents,
    /// Billed units.
    Units,
}

impl Unit {
    /// Every unit.
    pub const ALL: [Unit; 3] = [Unit::Minutes, Unit::Cents, Unit::Units];

    /// The unit as JSON spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Unit::Minutes => "minutes",
            Unit::Cents => "cents",
            Unit::Units => "units",
        }
    }

    /// The unit for people, in the plural.
    pub fn title(self, language: Language) -> &'static str {
        match (self, language) {
            (Unit::Units, Language::French) => "unités",
            _ => self.as_str(),
        }
    }
}

/// The amount that the rows of some codes add to a sum. The first term that names the code of a row
/// counts. A term without codes names all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SumTerm {
    /// The codes. Empty for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<String>,
    /// The amount that a row adds.
    #[serde(flatten)]
    pub amount: TermAmount,
}

/// The amount that one row adds to a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TermAmount {
    /// The same number for each row.
    Fixed(i64),
    /// The number in the column: units, or an amount in cents.
    Column(Column),
}

/// A bound of a range. Its type depends on the column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum RangeBound {
    /// Cents, a number of units, a code or a place.
    Number(i64),
    /// A date `YYYY-MM-DD` or a time `HH:MM`.
    Text(Arc<str>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severity_names_match_their_json() {
        for severity in Severity::ALL {
            assert_eq!(serde_json::to_value(severity).unwrap(), severity.as_str());
        }
    }

    #[test]
    fn kind_of_a_check_matches_its_json() {
        for kind in ["required", "known_code", "known_context"] {
            let json = serde_json::json!({"kind": kind, "column": "code"});
            let check: RuleCheck = serde_json::from_value(json).unwrap();
            assert_eq!(check.kind(), kind);
            assert_eq!(serde_json::to_value(&check).unwrap()["kind"], kind);
        }
    }
}
