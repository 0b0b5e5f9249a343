//! Rules as data, and their compiled form that evaluates rows.

use regex::Regex;
use schemas::rule::{Rule, RuleCheck};

use crate::tables::Tables;

mod evaluator;
mod filter;
mod grouped;
mod office_fee;
mod row_wise;
mod validate;

pub(crate) use evaluator::{Evaluator, FindingSink, KeyNumbers, KeyedRow, params};
pub use validate::{RuleError, RuleProblem, validate};

/// The rule id of findings about the file itself. No rule may have this id.
pub const FILE_RULE: &str = "file";

/// The rules that come with the program, for a family medicine group in Quebec.
///
/// # Panics
/// Never: a test reads the same file.
pub fn shipped() -> Vec<Rule> {
    serde_json::from_str(include_str!("../data/quebec.json"))
        .expect("a test reads the rules that are shipped")
}

/// The rules of a tenant that has stored none: the office fees only.
pub fn builtin() -> Vec<Rule> {
    let mut rules = shipped();
    rules.retain(|rule| matches!(rule.check, RuleCheck::OfficeFee(_)));
    rules
}

/// The enabled rules, validated and with compiled patterns. Built once for any number of files.
pub struct Rules(Vec<CompiledRule>);

struct CompiledRule {
    rule: Rule,
    /// The compiled pattern, for a check that has one.
    pattern: Option<Regex>,
}

impl Rules {
    /// Compiles the enabled rules.
    ///
    /// # Errors
    /// [`RuleError`] for the first rule that is not valid, or has the id of an earlier one.
    pub fn compile(rules: &[Rule]) -> Result<Self, RuleError> {
        let mut ready: Vec<CompiledRule> = Vec::new();
        for rule in rules.iter().filter(|rule| rule.enabled) {
            validate(rule)?;
            if ready.iter().any(|other| other.rule.id == rule.id) {
                return Err(RuleError::new(rule, "id", RuleProblem::Twice));
            }
            let pattern = match &rule.check {
                RuleCheck::Pattern { pattern, .. } => Some(
                    validate::whole_pattern(pattern)
                        .map_err(|wrong| RuleError::new(rule, "pattern", wrong))?,
                ),
                _ => None,
            };
            ready.push(CompiledRule { rule: rule.clone(), pattern });
        }
        Ok(Self(ready))
    }

    /// Each rule with a new evaluator, in the given order.
    pub(crate) fn evaluators<'r>(
        &'r self,
        tables: &'r Tables,
    ) -> impl Iterator<Item = (&'r Rule, Box<dyn Evaluator + 'r>)> {
        self.0.iter().map(|ready| (&ready.rule, ready.evaluator(tables)))
    }
}

impl CompiledRule {
    fn evaluator<'r>(&'r self, tables: &'r Tables) -> Box<dyn Evaluator + 'r> {
        let rows = |when| filter::RowMatcher::resolve(when, tables);
        match &self.rule.check {
            RuleCheck::Required { column, when } => {
                Box::new(row_wise::RequiredValue::new(*column, rows(when)))
            }
            RuleCheck::Pattern { column, when, .. } => {
                let pattern = self.pattern.as_ref().expect("compiled with its rule");
                Box::new(row_wise::Pattern::new(*column, pattern, rows(when)))
            }
            RuleCheck::Range { column, min, max, when } => {
                Box::new(row_wise::Range::new(*column, min.as_ref(), max.as_ref(), rows(when)))
            }
            RuleCheck::Allowed { column, values, when } => {
                Box::new(row_wise::AllowedValues::new(*column, values, rows(when)))
            }
            RuleCheck::KnownCode { when } => Box::new(row_wise::KnownCode::new(tables, rows(when))),
            RuleCheck::KnownContext { when } => {
                Box::new(row_wise::KnownContexts::new(tables, rows(when)))
            }
            RuleCheck::Once { per, period, when, cents } => Box::new(grouped::BilledOnce::new(
                grouped::Grouping::new(per, *period),
                *cents,
                rows(when),
            )),
            RuleCheck::SumLimit { per, period, unit, terms, limit, when } => {
                let grouping = grouped::Grouping::new(per, *period);
                Box::new(grouped::SumLimit::new(grouping, *unit, terms, *limit, rows(when)))
            }
            RuleCheck::MissingThoughDue { per, period, due, missing, gain_cents } => {
                let grouping = grouped::Grouping::new(per, *period);
                Box::new(grouped::MissingThoughDue::new(
                    grouping,
                    rows(due),
                    rows(missing),
                    *gain_cents,
                ))
            }
            RuleCheck::BetterCode { from_minutes, base_cents, step_minutes, step_cents, when } => {
                Box::new(row_wise::BetterCode {
                    from_minutes: *from_minutes,
                    base_cents: *base_cents,
                    step_minutes: *step_minutes,
                    step_cents: *step_cents,
                    when: rows(when),
                })
            }
            RuleCheck::OfficeFee(fee) => Box::new(office_fee::OfficeFees::new(fee)),
        }
    }
}

#[cfg(test)]
mod tests;
