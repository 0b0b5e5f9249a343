//! The rules of one tenant as a value. A worker that checks a claims file reads them from the view
//! `rules`, which has one entry per rule.

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

/// The name of the view.
pub const VIEW: &str = "rules";

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
        match decide(&self.header.rules, record, time.decided_at) {
            Ok(event) => {
                let delta = self.replay(self.position.version + 1, at, &event);
                RecordEffect::applied(self.position, at, vec![event], delta)
            }
            Err(code) => RecordEffect::refused(self.position, at, code),
        }
    }

    /// Applies the event of one version, from a decision or from the journal, and returns the
    /// change of the view.
    pub fn replay(&mut self, version: u64, at: Millis, event: &Event) -> ViewDelta {
        let mut delta = Delta { from: self.position.version, to: version, at, ..Delta::default() };
        let rules = &mut self.header.rules;
        match event {
            Event::RulePut { rule } => {
                delta.put(rule.id.as_str(), rule);
                rules.insert(rule.id.clone(), rule.clone());
            }
            Event::RuleEnabled { rule, enabled } => {
                if let Some(rule) = rules.get_mut(rule) {
                    rule.enabled = *enabled;
                    delta.put(rule.id.as_str(), rule);
                }
            }
            Event::RuleDeleted { rule } => {
                rules.remove(rule);
                delta.drop_key(rule.as_str());
            }
            _ => {}
        }
        self.header.now = at;
        self.position.version = version;
        ViewDelta { view: VIEW.to_owned(), keep_s: None, urgent: false, delta }
    }
}

/// Decides one command when the owner's clock shows `decided_at`. A rule is accepted only if it can
/// be applied.
///
/// # Errors
/// The code under which the command is refused.
fn decide(
    rules: &BTreeMap<RuleId, Rule>,
    record: &CommandRecord,
    decided_at: Millis,
) -> Result<Event, Code> {
    if record.is_expired(decided_at) {
        return Err(Code::CommandExpired);
    }
    let known =
        |rule: &RuleId| rules.contains_key(rule).then(|| rule.clone()).ok_or(Code::RuleUnknown);
    match &record.command {
        Command::PutRule { rule } => {
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
        Command::DeleteRule { rule } => Ok(Event::RuleDeleted { rule: known(rule)? }),
        _ => Err(Code::IllegalMove),
    }
}

#[cfg(test)]
mod tests;
