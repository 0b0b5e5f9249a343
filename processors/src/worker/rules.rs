//! Compiled rules per tenant, kept while the tenant's rules do not change.

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

/// Most tenants whose rules are kept. Past it all are dropped and compiled again on demand, which
/// takes a few milliseconds each.
const HELD: usize = 1_000;

/// The rules that a run applies.
pub struct ReadyRules {
    pub rules: Rules,
    /// Rules that were accepted once and can no longer be applied. Each is reported as failed, and
    /// stops no other rule.
    pub unusable: Vec<RuleId>,
}

impl ReadyRules {
    /// Compiles the enabled rules.
    pub fn new(rules: &[Rule]) -> Self {
        let (good, bad): (Vec<Rule>, Vec<Rule>) = rules
            .iter()
            .filter(|rule| rule.enabled)
            .cloned()
            .partition(|rule| validate(rule).is_ok());
        let unusable = bad.into_iter().map(|rule| rule.id);
        match Rules::compile(&good) {
            Ok(rules) => Self { rules, unusable: unusable.collect() },
            // Rules that are valid on their own can only conflict when two have the same id, and a
            // tenant has each id once.
            Err(_) => Self {
                rules: Rules::compile(&[]).expect("an empty set of rules compiles"),
                unusable: unusable.chain(good.into_iter().map(|rule| rule.id)).collect(),
            },
        }
    }

    /// The findings that report rules that cannot be applied.
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

/// The rules of every tenant that this worker has used.
pub struct TenantRules {
    /// The rules of tenants that have stored none.
    otherwise: Vec<Rule>,
    held: Mutex<HashMap<TenantId, (Position, Arc<ReadyRules>)>>,
}

impl TenantRules {
    pub fn new(otherwise: Vec<Rule>) -> Self {
        Self { otherwise, held: Mutex::default() }
    }

    /// The current rules of the tenant.
    ///
    /// # Errors
    /// When the ledger cannot tell whether the rules changed.
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
            .map_err(|error| AttemptFault::new("reading the rules failed", error))?;
        let stored = match (changed, held) {
            (Some(stored), _) => stored,
            (None, Some((_, ready))) => return Ok(ready),
            (None, None) => StoredRules::default(),
        };
        let rules = if stored.rules.is_empty() { self.otherwise.clone() } else { stored.rules };
        let ready = tokio::task::spawn_blocking(move || ReadyRules::new(&rules)).await;
        let ready = Arc::new(
            ready.map_err(|error| AttemptFault::new("compiling the rules failed", error))?,
        );
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
    fn unusable_rule_fails_alone() {
        let rules = [
            pattern("good", "[0-9]+", true),
            pattern("bad", "(", true),
            pattern("off", "(", false),
        ];
        let ready = ReadyRules::new(&rules);
        let failed = ready.failed();
        assert_eq!(failed.len(), 1, "a disabled rule is not applied");
        assert_eq!(
            (failed[0].rule.as_str(), failed[0].outcome),
            ("bad", FindingOutcome::RuleFailed)
        );
        let only_good = ReadyRules::new(&rules[..1]);
        assert!(only_good.failed().is_empty());
    }
}
