//! Rules of a claims check as data: a new rule of these kinds needs no build.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{ids::RuleId, language::Language};

/// Rules one tenant may store. Each costs a pass over every row; more is refused as `invalid_value`.
pub const MAX_RULES: usize = 200;

/// One rule. The JSON carries the kind of its check, and that kind's parameters, beside the rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct Rule {
    pub id: RuleId,
    pub name: Bilingual,
    /// A slug by which pages group rules.
    pub category: String,
    #[serde(default = "enabled")]
    pub enabled: bool,
    /// How bad a breach is: an error or a warning. Outcomes that are gains stay optimisations.
    #[serde(default)]
    pub severity: Severity,
    #[serde(flatten)]
    pub check: RuleCheck,
}

fn enabled() -> bool {
    true
}

/// A text for people, at most [`crate::command::MAX_TEXT`] characters in each language.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct Bilingual {
    pub fr: String,
    pub en: String,
}

/// How much a finding matters, the most first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    #[default]
    Error,
    Warning,
    /// Money could be gained.
    Optimisation,
    /// What was checked is as it should be: counted, and listed only when asked for.
    Pass,
}

impl Severity {
    pub const ALL: [Severity; 4] =
        [Severity::Error, Severity::Warning, Severity::Optimisation, Severity::Pass];

    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Optimisation => "optimisation",
            Severity::Pass => "pass",
        }
    }
}

/// What a rule checks, of which rows. Amounts are cents, lengths minutes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RuleCheck {
    /// The column is not empty.
    Required {
        column: Column,
        #[serde(default)]
        when: RowFilter,
    },
    /// The column, where not empty, matches the whole pattern.
    Pattern {
        column: Column,
        pattern: String,
        #[serde(default)]
        when: RowFilter,
    },
    /// The column, where not empty, lies between the bounds, both included.
    Range {
        column: Column,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        min: Option<RangeBound>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max: Option<RangeBound>,
        #[serde(default)]
        when: RowFilter,
    },
    /// The column, where not empty, is one of these, case aside. Of contexts, each is.
    Allowed {
        column: Column,
        values: Vec<String>,
        #[serde(default)]
        when: RowFilter,
    },
    /// The row's code, where there is one, stands in the table of codes. Without a table nothing is said.
    KnownCode {
        #[serde(default)]
        when: RowFilter,
    },
    /// At most one such row per group and period.
    Once {
        per: Vec<GroupKey>,
        period: Period,
        #[serde(default)]
        when: RowFilter,
        /// At stake for each row too many; 0 where that is unknown.
        #[serde(default)]
        cents: i64,
    },
    /// The sum of the terms per group and period stays at or below the limit. A row contributes when a term names its
    /// code and, where that term is a column, the column is not empty.
    SumLimit {
        per: Vec<GroupKey>,
        period: Period,
        unit: Unit,
        terms: Vec<SumTerm>,
        limit: i64,
        #[serde(default)]
        when: RowFilter,
    },
    /// A group that has a row `due` and none `missing` in a period could have had one.
    MissingThoughDue {
        per: Vec<GroupKey>,
        period: Period,
        due: RowFilter,
        missing: RowFilter,
        gain_cents: i64,
    },
    /// A visit of at least `from_minutes` may be worth `base_cents`, and `step_cents` for each completed
    /// `step_minutes` beyond, against its preliminary amount.
    BetterCode {
        from_minutes: u16,
        base_cents: i64,
        step_minutes: u16,
        step_cents: i64,
        #[serde(default)]
        when: RowFilter,
    },
    /// The office fees of a doctor's day.
    OfficeFee(OfficeFee),
}

impl RuleCheck {
    /// The kind, as the JSON spells it.
    pub fn kind(&self) -> &'static str {
        match self {
            RuleCheck::Required { .. } => "required",
            RuleCheck::Pattern { .. } => "pattern",
            RuleCheck::Range { .. } => "range",
            RuleCheck::Allowed { .. } => "allowed",
            RuleCheck::KnownCode { .. } => "known_code",
            RuleCheck::Once { .. } => "once",
            RuleCheck::SumLimit { .. } => "sum_limit",
            RuleCheck::MissingThoughDue { .. } => "missing_though_due",
            RuleCheck::BetterCode { .. } => "better_code",
            RuleCheck::OfficeFee(_) => "office_fee",
        }
    }
}

/// The rows a check looks at: those that meet every condition given. An absent or empty one is always met.
///
/// - A row without a code meets none of `codes`, `leaves`, `groups`, `tops`, and always meets `codes_not`. The same holds
///   for a code that is not in the table of codes, as to `leaves`, `groups` and `tops`.
/// - Texts of the table of codes and contexts are compared whole, case and the spaces around them aside; contexts also
///   without a leading `#`. `STAR` is not `AR`.
/// - A row without a place meets no `places`. `gmf: false` is met by exactly the rows that do not meet `gmf: true`, so also
///   by those without a place; `paid: false` likewise, so also by those without a paid amount.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RowFilter {
    /// The code is one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<String>,
    /// The code is none of these, whatever the other conditions say of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub codes_not: Vec<String>,
    /// The code's description in the table of codes is one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub leaves: Vec<String>,
    /// The code's level-1 group is one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// The code's top level is one of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tops: Vec<String>,
    /// Those given of `codes`, `leaves`, `groups` and `tops` are alternatives instead of conditions that must all hold.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub any_of: bool,
    /// At least one of these contexts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contexts: Vec<String>,
    /// None of these contexts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub contexts_not: Vec<String>,
    /// The place's five digits begin with one of these, of one to five digits each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub places: Vec<String>,
    /// The place is flagged GMF in the table of establishments, or is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gmf: Option<bool>,
    /// The paid amount is above zero, or is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paid: Option<bool>,
}

/// What rows are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum GroupKey {
    Patient,
    Doctor,
    Code,
    Place,
}

/// The time a group spans, by the service date.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Period {
    Day,
    Month,
    /// The calendar year.
    Year,
}

/// What a sum counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    Minutes,
    Cents,
    Units,
}

impl Unit {
    pub const ALL: [Unit; 3] = [Unit::Minutes, Unit::Cents, Unit::Units];

    /// The unit, as the JSON spells it.
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

/// What rows of these codes add to a sum; the first term that names the row's code counts, one without codes any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SumTerm {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub codes: Vec<String>,
    #[serde(flatten)]
    pub amount: TermAmount,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TermAmount {
    /// The same for each row.
    Fixed(i64),
    /// The column's number: units, or an amount in cents.
    Column(Column),
}

/// A bound of a range: cents, or the number of units, of a code or of a place, or a date `YYYY-MM-DD`, or a time `HH:MM`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum RangeBound {
    Number(i64),
    Text(Arc<str>),
}

/// Parameters of the office fee: two codes, each with its amount and the patients it needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct OfficeFee {
    pub small: FeeTariff,
    pub large: FeeTariff,
    /// The most a doctor may be paid a day.
    pub day_limit_cents: i64,
    /// First digits of the places that are private offices. A fee without a place is not in one.
    pub office_places: Vec<String>,
    pub walk_in_contexts: Vec<String>,
    /// Count only patients who have a paid row that day. Whether one is a walk-in is still told from all of them.
    #[serde(default)]
    pub paid_only: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct FeeTariff {
    pub code: String,
    pub cents: i64,
    pub min_registered: u32,
    pub min_walk_in: u32,
}

macro_rules! columns {
    ($($name:ident = $wire:literal, $title:literal;)*) => {
        /// The columns of an export, in its order.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
        #[serde(rename_all = "snake_case")]
        pub enum Column { $($name,)* }

        impl Column {
            pub const ALL: &'static [Column] = &[$(Column::$name),*];

            /// The name in rules and findings.
            pub fn as_str(self) -> &'static str {
                match self { $(Column::$name => $wire,)* }
            }

            /// The title in the file's header row.
            pub fn title(self) -> &'static str {
                match self { $(Column::$name => $title,)* }
            }
        }
    };
}

columns! {
    Number = "number", "#";
    Invoice = "invoice", "Facture";
    RamqId = "ramq_id", "ID RAMQ";
    ServiceDate = "service_date", "Date de Service";
    Start = "start", "Début";
    End = "end", "Fin";
    Period = "period", "Periode";
    Place = "place", "Lieu de pratique";
    Sector = "sector", "Secteur d'activité";
    Diagnosis = "diagnosis", "Diagnostic";
    Code = "code", "Code";
    Units = "units", "Unités";
    Role = "role", "Rôle";
    Contexts = "contexts", "Élément de contexte";
    Preliminary = "preliminary", "Montant Preliminaire";
    Paid = "paid", "Montant payé";
    Doctor = "doctor", "Doctor Info";
    TotalPreliminary = "total_preliminary", "DEV NOTE - À TRADUIRE: Report_DailyClaimInfo_TotalPrelAmount";
    TotalFinal = "total_final", "DEV NOTE - À TRADUIRE: Report_DailyClaimInfo_TotalFinalAmount";
    TotalCount = "total_count", "DEV NOTE - À TRADUIRE: Report_DailyClaimInfo_TotalCount";
    Agency = "agency", "Agence";
    Patient = "patient", "Patient";
    GrandTotal = "grand_total", "Grand Total";
}
