//! Rules made ready, per tenant, for as long as the tenant's stay as they are.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use claims::rules::{Rules, validate};
use schemas::{
    finding::{Finding, FindingOutcome},
    ids::{RuleId, TenantId},
    rule::{Rule, Severity},
    view::Position,
};

use super::fault::AttemptFault;
use crate::work::{StoredRules, Work};

/// Tenants whose rules are held. Past it all are let go and made again when a run asks: a few milliseconds each.
const HELD: usize = 1_000;

/// What a run goes by.
pub struct ReadyRules {
    pub rules: Rules,
    /// Rules that were taken once and cannot be applied any more: each is told as failed, and stops no other.
    pub unusable: Vec<RuleId>,
}

impl ReadyRules {
    /// Those that are enabled, of these.
    pub fn new(rules: &[Rule]) -> Self {
        let (good, bad): (Vec<Rule>, Vec<Rule>) = rules
            .iter()
            .filter(|rule| rule.enabled)
            .cloned()
            .partition(|rule| validate(rule).is_ok());
        let unusable = bad.into_iter().map(|rule| rule.id);
        match Rules::compile(&good) {
            Ok(rules) => Self { rules, unusable: unusable.collect() },
            // What is valid by itself can only collide with another of its id, and a tenant has each id once.
            Err(_) => Self {
                rules: Rules::compile(&[]).expect("no rule is no wrong rule"),
                unusable: unusable.chain(good.into_iter().map(|rule| rule.id)).collect(),
            },
        }
    }

    /// What is told of rules that cannot be applied.
    pub fn failed(&self) -> Vec<Finding> {
        let failed = |rule: &RuleId| Finding {
            row: 0,
            rule: rule.clone(),
            severity: Severity::Error,
            outcome: FindingOutcome::RuleFailed,
            params: Default::default(),
            cents: 0,
        };
        self.unusable.iter().map(failed).collect()
    }
}

/// Every tenant's rules this worker has used.
pub struct TenantRules {
    /// Of tenants that have stored none.
    otherwise: Vec<Rule>,
    held: Mutex<HashMap<TenantId, (Position, Arc<ReadyRules>)>>,
}

impl TenantRules {
    pub fn new(otherwise: Vec<Rule>) -> Self {
        Self { otherwise, held: Mutex::default() }
    }

    /// The tenant's rules as they stand now.
    ///
    /// # Errors
    /// When the ledger does not say whether they changed.
    pub async fn of(
        &self,
        work: &dyn Work,
        tenant: &TenantId,
    ) -> Result<Arc<ReadyRules>, AttemptFault> {
        let held = self.held().get(tenant).cloned();
        let known = held.as_ref().map(|(position, _)| *position);
        let changed = work
            .rules(tenant, known)
            .await
            .map_err(|error| AttemptFault::new("rules were not read", error))?;
        let stored = match (changed, held) {
            (Some(stored), _) => stored,
            (None, Some((_, ready))) => return Ok(ready),
            (None, None) => StoredRules::default(),
        };
        let rules = if stored.rules.is_empty() { self.otherwise.clone() } else { stored.rules };
        let ready = tokio::task::spawn_blocking(move || ReadyRules::new(&rules)).await;
        let ready =
            Arc::new(ready.map_err(|error| AttemptFault::new("rules were not made ready", error))?);
        let mut held = self.held();
        if held.len() >= HELD {
            held.clear();
        }
        held.insert(tenant.clone(), (stored.position, Arc::clone(&ready)));
        Ok(ready)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, HashMap<TenantId, (Position, Arc<ReadyRules>)>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(id: &str, pattern: &str, enabled: bool) -> Rule {
        let json = serde_json::json!({
            "id": id, "name": {"fr": "Forme", "en": "Form"}, "category": "form", "enabled": enabled,
            "kind": "pattern", "column": "invoice", "pattern": pattern,
        });
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn a_rule_that_cannot_be_applied_is_told_as_failed_and_stops_no_other() {
        let rules = [
            pattern("good", "[0-9]+", true),
            pattern("bad", "(", true),
            pattern("off", "(", false),
        ];
        let ready = ReadyRules::new(&rules);
        let failed = ready.failed();
        assert_eq!(failed.len(), 1, "one that is disabled is none");
        assert_eq!(
            (failed[0].rule.as_str(), failed[0].outcome),
            ("bad", FindingOutcome::RuleFailed)
        );
        let only_good = ReadyRules::new(&rules[..1]);
        assert!(only_good.failed().is_empty());
    }
}
