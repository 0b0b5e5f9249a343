//! The rules and the reference tables of one tenant as a value. A worker that checks a claims file
//! reads the rules from the view `rules`, and each table from a view of its own. Each view has one
//! entry per rule, code, establishment or context.

mod reference;

use std::collections::BTreeMap;

use schemas::{
    Millis,
    codes::Code,
    command::Command,
    event::Event,
    ids::RuleId,
    record::{CommandRecord, ViewDelta},
    rule::{MAX_RULES, Rule},
    view::{Delta, Position},
};
use serde::{Deserialize, Serialize};

use crate::effect::{RecordEffect, RecordTime};

/// The name of the view of rules.
pub const VIEW: &str = "rules";
/// The name of the view with the edition of each rule. Workers of older versions read the entries
/// of the view `rules`, which therefore have no further field.
pub const EDITIONS_VIEW: &str = "rules:editions";

/// The rules of a tenant in memory.
pub struct RuleBook {
    position: Position,
    header: RuleBookHeader,
}

/// The whole state of a rule book.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct RuleBookHeader {
    /// The latest append time of its records.
    now: Millis,
    rules: BTreeMap<RuleId, Rule>,
    /// The edition of each rule that changed since editions are counted.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    editions: BTreeMap<RuleId, u64>,
    /// The version of the view with the editions.
    #[serde(default)]
    editions_version: u64,
    /// The version of the view `rules`. Absent: the version of the rule book, because nothing but
    /// rules has changed yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rules_version: Option<u64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    tables: reference::Tables,
}

impl RuleBook {
    /// Creates a rule book without rules, at version 0.
    pub fn new(epoch: u64) -> Self {
        Self::restore(Position { epoch, version: 0 }, RuleBookHeader::default())
    }

    /// Restores a rule book from its stored state.
    pub fn restore(position: Position, header: RuleBookHeader) -> Self {
        Self { position, header }
    }

    /// The current position.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The state that the ledger keeps.
    pub fn header(&self) -> &RuleBookHeader {
        &self.header
    }

    /// Decides the record at its append time, applies the event and returns the change of the view.
    pub fn handle(&mut self, record: &CommandRecord, time: RecordTime) -> RecordEffect {
        let at = self.header.now.max(time.appended_at);
        self.header.now = at;
        match decide(&self.header, record, time.decided_at) {
            Ok(event) => {
                let deltas = self.replay(self.position.version + 1, at, &event);
                RecordEffect::applied(self.position, at, vec![event], deltas)
            }
            Err(code) => RecordEffect::refused(self.position, at, code),
        }
    }

    /// Applies the event of one version, from a decision or from the journal, and returns the
    /// changes of the views.
    pub fn replay(&mut self, version: u64, at: Millis, event: &Event) -> Vec<ViewDelta> {
        let before = self.position.version;
        self.header.now = at;
        self.position.version = version;
        let header = &mut self.header;
        if let Some(delta) = reference::replay(&mut header.tables, version, at, event) {
            header.rules_version.get_or_insert(before);
            return vec![delta];
        }
        let from = header.rules_version.unwrap_or(before);
        let mut delta = Delta { from, to: version, at, ..Delta::default() };
        if let Some(held) = &mut header.rules_version {
            *held = version;
        }
        let from = std::mem::replace(&mut header.editions_version, version);
        let mut editions = Delta { from, to: version, at, ..Delta::default() };
        let mut put = |delta: &mut Delta, rule: &Rule| {
            delta.put(rule.id.as_str(), rule);
            editions.put(rule.id.as_str(), &version);
            header.editions.insert(rule.id.clone(), version);
        };
        match event {
            Event::RulePut { rule } => {
                put(&mut delta, rule);
                header.rules.insert(rule.id.clone(), rule.clone());
            }
            Event::RuleEnabled { rule, enabled } => {
                if let Some(rule) = header.rules.get_mut(rule) {
                    rule.enabled = *enabled;
                    put(&mut delta, rule);
                }
            }
            Event::RuleDeleted { rule } => {
                header.rules.remove(rule);
                header.editions.remove(rule);
                delta.drop_key(rule.as_str());
                editions.drop_key(rule.as_str());
            }
            _ => {}
        }
        let step = |view: &str, delta| ViewDelta {
            view: view.to_owned(),
            keep_s: None,
            urgent: false,
            delta,
        };
        vec![step(VIEW, delta), step(EDITIONS_VIEW, editions)]
    }
}

/// Decides one command when the owner's clock shows `decided_at`. A rule is accepted only if it can
/// be applied.
///
/// # Errors
/// The code under which the command is refused.
fn decide(
    header: &RuleBookHeader,
    record: &CommandRecord,
    decided_at: Millis,
) -> Result<Event, Code> {
    if record.is_expired(decided_at) {
        return Err(Code::CommandExpired);
    }
    if let Some(decided) = reference::decide(&header.tables, &record.command) {
        return decided;
    }
    let rules = &header.rules;
    let held = |rule: &RuleId| header.editions.get(rule).copied().unwrap_or_default();
    let known =
        |rule: &RuleId| rules.contains_key(rule).then(|| rule.clone()).ok_or(Code::RuleUnknown);
    match &record.command {
        Command::PutRule { rule, edition } => {
            check_edition(held(&rule.id), *edition)?;
            claims::rules::validate(rule).map_err(|_| Code::RuleInvalid)?;
            if rules.len() >= MAX_RULES && !rules.contains_key(&rule.id) {
                return Err(Code::InvalidValue);
            }
            Ok(Event::RulePut { rule: rule.clone() })
        }
        Command::EnableRule { rule } => {
            Ok(Event::RuleEnabled { rule: known(rule)?, enabled: true })
        }
        Command::DisableRule { rule } => {
            Ok(Event::RuleEnabled { rule: known(rule)?, enabled: false })
        }
        Command::DeleteRule { rule, edition } => {
            let known = known(rule)?;
            check_edition(held(rule), *edition)?;
            Ok(Event::RuleDeleted { rule: known })
        }
        _ => Err(Code::IllegalMove),
    }
}

/// Checks that an entry is still the one from which a change was made.
fn check_edition(held: u64, edition: Option<u64>) -> Result<(), Code> {
    match edition {
        Some(edition) if edition != held => Err(Code::SettingsChanged),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
