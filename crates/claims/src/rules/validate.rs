//! Validation of rules: everything that can be wrong with a stored rule, by field.

use std::{collections::HashSet, hash::Hash};

use regex::{Regex, RegexBuilder};
use schemas::{
    bounds::MAX_TEXT,
    ids::{MAX_SLUG, RuleId},
    rule::{
        Bilingual, Column, FeeTariff, GroupKey, OfficeFee, RangeBound, RowFilter, Rule, RuleCheck,
        Severity, SumTerm, TermAmount, Unit,
    },
};

use super::{FILE_RULE, filter::context, row_wise};

#[cfg(test)]
mod tests;

/// Largest amount in a rule: 100 million dollars. Sums of a rule's own amounts then never overflow.
pub const MAX_CENTS: i64 = 10_000_000_000;
/// Longest list in a rule. The insurer has fewer codes.
pub const MAX_LIST: usize = 10_000;
/// Longest description of a code in characters. The insurer's have a few hundred.
pub const MAX_DESCRIPTION: usize = 1_000;
/// Longest pattern, in characters.
pub const MAX_PATTERN: usize = 500;
/// Most bytes of a compiled pattern, and of its cache while it runs. A tenant's 200 rules then cost
/// a worker less than half a gigabyte.
const PATTERN_BYTES: usize = 1 << 20;
/// Minutes of a day. No visit is longer.
const DAY_MINUTES: u16 = 24 * 60;

/// A rule that cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("rule {rule}: {field} {wrong}")]
pub struct RuleError {
    /// The rule.
    pub rule: RuleId,
    /// The field as JSON names it. Dots separate parts of lists and objects: `when.codes`,
    /// `terms.1.codes`.
    pub field: String,
    /// The problem of the field.
    pub wrong: RuleProblem,
}

/// A problem of one field of a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what is wrong")]
pub enum RuleProblem {
    #[error("is empty")]
    Empty,
    #[error("is longer than {0}")]
    TooLong(usize),
    #[error("must have only lower-case letters, digits and dashes")]
    NotASlug,
    #[error("is reserved for findings about the file")]
    Reserved,
    #[error("appears twice")]
    Twice,
    #[error("does not suit this kind of check")]
    Severity,
    #[error("must be a code of four or five digits")]
    NotACode,
    #[error("must have one to five digits")]
    NotDigits,
    #[error("must be from {min} to {max}")]
    OutOfRange { min: i64, max: i64 },
    #[error("is not a valid pattern, or needs too much memory")]
    Pattern,
    #[error("is a column that cannot be used here")]
    Column,
    #[error("does not have the type of the column")]
    BoundType,
    #[error("is missing: a range needs at least one bound")]
    NoBound,
    #[error("is above the other bound")]
    AboveOther,
    #[error("must be below the amount of the larger fee")]
    NotSmaller,
}

impl RuleError {
    pub(super) fn new(rule: &Rule, field: impl Into<String>, wrong: RuleProblem) -> Self {
        Self { rule: rule.id.clone(), field: field.into(), wrong }
    }
}

type Field = Result<(), (String, RuleProblem)>;

/// Checks whether a rule can be applied.
///
/// # Errors The first wrong field, and its fault.
pub fn validate(rule: &Rule) -> Result<(), RuleError> {
    head(rule)
        .and_then(|()| check(&rule.check))
        .map_err(|(field, wrong)| RuleError::new(rule, field, wrong))
}

fn wrong(field: impl Into<String>, wrong: RuleProblem) -> Field {
    Err((field.into(), wrong))
}

fn ensure(holds: bool, field: &str, why: RuleProblem) -> Field {
    if holds { Ok(()) } else { wrong(field, why) }
}

/// Prefixes the field of a part with the field of the whole.
fn under(whole: &str, part: Field) -> Field {
    part.map_err(|(field, wrong)| (format!("{whole}.{field}"), wrong))
}

fn head(rule: &Rule) -> Field {
    ensure(rule.id.as_str() != FILE_RULE, "id", RuleProblem::Reserved)?;
    let Bilingual { fr, en } = &rule.name;
    text("name.fr", fr, MAX_TEXT)?;
    text("name.en", en, MAX_TEXT)?;
    let slug = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let category = &rule.category;
    ensure(
        (1..=MAX_SLUG).contains(&category.len()) && category.bytes().all(slug),
        "category",
        RuleProblem::NotASlug,
    )?;
    // The amount of a breach counts as at risk, so its severity cannot be a gain or a pass.
    let only_gains =
        matches!(rule.check, RuleCheck::MissingThoughDue { .. } | RuleCheck::BetterCode { .. });
    let fits = match rule.severity {
        Severity::Error | Severity::Warning => true,
        Severity::Optimisation => only_gains,
        Severity::Pass => false,
    };
    ensure(fits, "severity", RuleProblem::Severity)
}

fn check(check: &RuleCheck) -> Field {
    match check {
        RuleCheck::Required { when, .. }
        | RuleCheck::KnownCode { when }
        | RuleCheck::KnownContext { when } => under("when", filter(when)),
        RuleCheck::Pattern { pattern, when, .. } => {
            whole_pattern(pattern).map_err(|wrong| ("pattern".to_owned(), wrong))?;
            under("when", filter(when))
        }
        RuleCheck::Range { column, min, max, when } => {
            range(*column, min.as_ref(), max.as_ref())?;
            under("when", filter(when))
        }
        RuleCheck::Allowed { column, values, when } => {
            list("values", values, |value| {
                // A value that is only the mark of a context would match no context.
                let empty = *column == Column::Contexts && context(value).is_empty();
                if empty { Err(RuleProblem::Empty) } else { is_text(value, MAX_DESCRIPTION) }
            })?;
            under("when", filter(when))
        }
        RuleCheck::Once { per, when, cents, .. } => {
            keys(per)?;
            amount("cents", *cents, 0)?;
            under("when", filter(when))
        }
        RuleCheck::SumLimit { per, unit, terms: parts, limit, when, .. } => {
            keys(per)?;
            terms(*unit, parts)?;
            amount("limit", *limit, 1)?;
            under("when", filter(when))
        }
        RuleCheck::MissingThoughDue { per, due, missing, gain_cents, .. } => {
            keys(per)?;
            under("due", filter(due))?;
            // Without a condition, every row would be the missing one.
            ensure(*missing != RowFilter::default(), "missing", RuleProblem::Empty)?;
            under("missing", filter(missing))?;
            amount("gain_cents", *gain_cents, 1)
        }
        RuleCheck::BetterCode { from_minutes, base_cents, step_minutes, step_cents, when } => {
            minutes("from_minutes", *from_minutes)?;
            amount("base_cents", *base_cents, 1)?;
            minutes("step_minutes", *step_minutes)?;
            amount("step_cents", *step_cents, 0)?;
            under("when", filter(when))
        }
        RuleCheck::OfficeFee(fee) => office_fee(fee),
    }
}

fn is_text(text: &str, most: usize) -> Result<(), RuleProblem> {
    if text.trim().is_empty() {
        return Err(RuleProblem::Empty);
    }
    if text.chars().count() > most { Err(RuleProblem::TooLong(most)) } else { Ok(()) }
}

fn text(field: &str, text: &str, most: usize) -> Field {
    is_text(text, most).map_err(|wrong| (field.to_owned(), wrong))
}

/// Checks a list that must not be empty, and each of its parts.
fn list<T>(field: &str, parts: &[T], each: impl Fn(&T) -> Result<(), RuleProblem>) -> Field {
    ensure(!parts.is_empty(), field, RuleProblem::Empty)?;
    list_or_none(field, parts, each)
}

fn list_or_none<T>(
    field: &str,
    parts: &[T],
    each: impl Fn(&T) -> Result<(), RuleProblem>,
) -> Field {
    ensure(parts.len() <= MAX_LIST, field, RuleProblem::TooLong(MAX_LIST))?;
    parts.iter().try_for_each(|part| each(part).map_err(|wrong| (field.to_owned(), wrong)))
}

fn is_digits(text: &str, fewest: usize) -> bool {
    (fewest..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit())
}

#[expect(clippy::ptr_arg, reason = "passed as the check of each part of a list")]
fn is_code(text: &String) -> Result<(), RuleProblem> {
    if is_digits(text, 4) { Ok(()) } else { Err(RuleProblem::NotACode) }
}

#[expect(clippy::ptr_arg, reason = "passed as the check of each part of a list")]
fn is_place(text: &String) -> Result<(), RuleProblem> {
    if is_digits(text, 1) { Ok(()) } else { Err(RuleProblem::NotDigits) }
}

#[expect(clippy::ptr_arg, reason = "passed as the check of each part of a list")]
fn is_context(text: &String) -> Result<(), RuleProblem> {
    is_text(&context(text), MAX_TEXT)
}

fn amount(field: &str, amount: i64, min: i64) -> Field {
    let max = MAX_CENTS;
    ensure((min..=max).contains(&amount), field, RuleProblem::OutOfRange { min, max })
}

fn minutes(field: &str, minutes: u16) -> Field {
    let (min, max) = (1, DAY_MINUTES);
    let wrong = RuleProblem::OutOfRange { min: min.into(), max: max.into() };
    ensure((min..=max).contains(&minutes), field, wrong)
}

fn keys(per: &[GroupKey]) -> Field {
    ensure(!per.is_empty(), "per", RuleProblem::Empty)?;
    ensure(all_differ(per), "per", RuleProblem::Twice)
}

fn all_differ<T: Hash + Eq>(parts: &[T]) -> bool {
    let mut seen = HashSet::new();
    parts.iter().all(|part| seen.insert(part))
}

fn filter(filter: &RowFilter) -> Field {
    list_or_none("codes", &filter.codes, is_code)?;
    list_or_none("codes_not", &filter.codes_not, is_code)?;
    for (field, texts) in
        [("leaves", &filter.leaves), ("groups", &filter.groups), ("tops", &filter.tops)]
    {
        list_or_none(field, texts, |text| is_text(text, MAX_DESCRIPTION))?;
    }
    list_or_none("contexts", &filter.contexts, is_context)?;
    list_or_none("contexts_not", &filter.contexts_not, is_context)?;
    list_or_none("places", &filter.places, is_place)
}

fn range(column: Column, min: Option<&RangeBound>, max: Option<&RangeBound>) -> Field {
    let number = |field: &str, bound: Option<&RangeBound>| {
        let Some(bound) = bound else { return Ok(None) };
        match row_wise::bound(column, bound) {
            Some(number) => Ok(Some(number)),
            None => Err((field.to_owned(), RuleProblem::BoundType)),
        }
    };
    match (number("min", min)?, number("max", max)?) {
        (None, None) => wrong("min", RuleProblem::NoBound),
        (Some(min), Some(max)) => ensure(min <= max, "min", RuleProblem::AboveOther),
        _ => Ok(()),
    }
}

fn terms(unit: Unit, terms: &[SumTerm]) -> Field {
    list("terms", terms, |_| Ok(()))?;
    for (at, term) in terms.iter().enumerate() {
        let part = list_or_none("codes", &term.codes, is_code).and_then(|()| match term.amount {
            TermAmount::Fixed(fixed) => amount("fixed", fixed, 1),
            TermAmount::Column(column) => {
                let fits = match unit {
                    Unit::Cents => matches!(column, Column::Preliminary | Column::Paid),
                    Unit::Minutes | Unit::Units => column == Column::Units,
                };
                ensure(fits, "column", RuleProblem::Column)
            }
        });
        under(&format!("terms.{at}"), part)?;
    }
    Ok(())
}

fn office_fee(fee: &OfficeFee) -> Field {
    under("small", one_fee(&fee.small))?;
    under("large", one_fee(&fee.large))?;
    let number = |fee: &FeeTariff| fee.code.parse::<u32>().ok();
    ensure(number(&fee.small) != number(&fee.large), "large.code", RuleProblem::Twice)?;
    ensure(fee.small.cents < fee.large.cents, "small.cents", RuleProblem::NotSmaller)?;
    // A limit below the larger fee would forbid what the rule advises.
    amount("day_limit_cents", fee.day_limit_cents, fee.large.cents)?;
    list("office_places", &fee.office_places, is_place)?;
    list_or_none("walk_in_contexts", &fee.walk_in_contexts, is_context)
}

fn one_fee(fee: &FeeTariff) -> Field {
    ensure(is_code(&fee.code).is_ok(), "code", RuleProblem::NotACode)?;
    amount("cents", fee.cents, 1)?;
    // With a minimum of 0, every day without patients would qualify.
    amount("min_registered", fee.min_registered.into(), 1)?;
    amount("min_walk_in", fee.min_walk_in.into(), 1)
}

/// Compiles the pattern so that it matches a cell as a whole.
pub(super) fn whole_pattern(pattern: &str) -> Result<Regex, RuleProblem> {
    is_text(pattern, MAX_PATTERN)?;
    let build = |pattern: &str| {
        let mut builder = RegexBuilder::new(pattern);
        builder
            .size_limit(PATTERN_BYTES)
            .dfa_size_limit(PATTERN_BYTES)
            .build()
            .map_err(|_| RuleProblem::Pattern)
    };
    // First alone: `a)(b` is a pattern only between the parentheses.
    build(pattern)?;
    build(&format!(r"\A(?:{pattern})\z"))
}
