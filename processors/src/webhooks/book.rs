//! The webhooks of one tenant as a value. The view `webhooks` has one entry per webhook.

use std::collections::BTreeMap;

use schemas::{
    Millis,
    codes::Code,
    command::{Command, CommandResult, Verdict},
    event::Event,
    ids::WebhookId,
    outward::OutwardData,
    record::{CommandRecord, FOLLOW_UP_SOURCE, ViewDelta},
    view::{Delta, Position},
    webhook::{MAX_OVERLAP_S, MAX_WEBHOOKS, PreviousSecret, Replay, Webhook, WebhookState},
};
use serde::{Deserialize, Serialize};

use super::WebhookChange;
use crate::effect::{RecordEffect, RecordTime};

/// The name of the view.
pub const VIEW: &str = "webhooks";

/// The webhooks of a tenant in memory.
pub struct WebhookBook {
    position: Position,
    header: WebhookBookHeader,
}

/// The whole state of a tenant's webhooks.
#[derive(Clone, Default, Serialize, Deserialize)]
pub struct WebhookBookHeader {
    /// The latest append time of its records.
    now: Millis,
    webhooks: BTreeMap<WebhookId, Webhook>,
}

impl WebhookBook {
    /// Creates a book without webhooks, at version 0.
    pub fn new(epoch: u64) -> Self {
        Self::restore(Position { epoch, version: 0 }, WebhookBookHeader::default())
    }

    /// Restores a book from its stored state.
    pub fn restore(position: Position, header: WebhookBookHeader) -> Self {
        Self { position, header }
    }

    /// The current position.
    pub fn position(&self) -> Position {
        self.position
    }

    /// The state that the ledger keeps.
    pub fn header(&self) -> &WebhookBookHeader {
        &self.header
    }

    /// Decides the record at its append time, applies the event and returns its effect.
    pub fn handle(&mut self, record: &CommandRecord, time: RecordTime) -> RecordEffect {
        let at = self.header.now.max(time.appended_at);
        self.header.now = at;
        match self.decide(record, at, time.decided_at) {
            Ok(event) => {
                let (outward, change) = effects(&event);
                let delta = self.replay(self.position.version + 1, at, &event);
                let Position { epoch, version } = self.position;
                let result = CommandResult::default();
                RecordEffect {
                    verdict: Verdict::Applied { epoch, version, result },
                    outward: Vec::from_iter(outward),
                    webhooks: Vec::from_iter(change),
                    ..RecordEffect::applied(self.position, at, vec![event], vec![delta])
                }
            }
            Err(code) => RecordEffect::refused(self.position, at, code),
        }
    }

    /// Applies the event of one version, from a decision or from the journal, and returns the
    /// change of the view.
    pub fn replay(&mut self, version: u64, at: Millis, event: &Event) -> ViewDelta {
        let mut delta = Delta { from: self.position.version, to: version, at, ..Delta::default() };
        let webhooks = &mut self.header.webhooks;
        match event {
            Event::WebhookStored { stored } => {
                delta.put(stored.webhook.as_str(), stored);
                webhooks.insert(stored.webhook.clone(), stored.clone());
            }
            Event::WebhookDeleted { webhook } => {
                webhooks.remove(webhook);
                delta.drop_key(webhook.as_str());
            }
            _ => {}
        }
        self.header.now = at;
        self.position.version = version;
        ViewDelta { view: VIEW.to_owned(), keep_s: None, urgent: false, delta }
    }

    /// Decides one command when the owner's clock shows `decided_at`.
    ///
    /// # Errors
    /// The code under which the command is refused.
    fn decide(
        &self,
        record: &CommandRecord,
        at: Millis,
        decided_at: Millis,
    ) -> Result<Event, Code> {
        if record.is_expired(decided_at) {
            return Err(Code::CommandExpired);
        }
        let webhooks = &self.header.webhooks;
        let known =
            |webhook: &WebhookId| webhooks.get(webhook).cloned().ok_or(Code::WebhookUnknown);
        let next = Position { version: self.position.version + 1, ..self.position };
        let edition = next.version;
        let in_state = |webhook: &WebhookId, state| {
            let stored = Webhook { state, edition, ..known(webhook)? };
            Ok(Event::WebhookStored { stored })
        };
        match &record.command {
            Command::CreateWebhook { webhook, settings } => {
                if settings.fault().is_some() {
                    return Err(Code::InvalidValue);
                }
                if webhooks.len() >= MAX_WEBHOOKS {
                    return Err(Code::TooManyWebhooks);
                }
                if webhooks.contains_key(webhook) {
                    return Err(Code::IllegalMove);
                }
                Ok(Event::WebhookStored {
                    stored: Webhook {
                        webhook: webhook.clone(),
                        settings: settings.clone(),
                        state: WebhookState::Active,
                        created_at: at,
                        edition,
                        secret: next,
                        previous: None,
                    },
                })
            }
            Command::ChangeWebhook { webhook, settings, edition: made_from } => {
                let held = known(webhook)?;
                if settings.fault().is_some() {
                    return Err(Code::InvalidValue);
                }
                if made_from.is_some_and(|made_from| made_from != held.edition) {
                    return Err(Code::SettingsChanged);
                }
                let stored = Webhook { settings: settings.clone(), edition, ..held };
                Ok(Event::WebhookStored { stored })
            }
            Command::DeleteWebhook { webhook } => {
                Ok(Event::WebhookDeleted { webhook: known(webhook)?.webhook })
            }
            Command::RotateWebhook { webhook, keep_s } => {
                let held = known(webhook)?;
                if *keep_s > MAX_OVERLAP_S {
                    return Err(Code::InvalidValue);
                }
                let until = at + Millis::from(*keep_s) * 1000;
                let previous = Some(PreviousSecret { secret: held.secret, until });
                let stored = Webhook { secret: next, previous, ..held };
                Ok(Event::WebhookStored { stored })
            }
            Command::PauseWebhook { webhook } => in_state(webhook, WebhookState::Paused),
            Command::ResumeWebhook { webhook } => in_state(webhook, WebhookState::Active),
            // Only a sender knows that the receiver is gone.
            Command::DisableWebhook { webhook } if record.source == FOLLOW_UP_SOURCE => {
                in_state(webhook, WebhookState::Disabled)
            }
            Command::TestWebhook { webhook } => {
                Ok(Event::WebhookTested { webhook: known(webhook)?.webhook })
            }
            Command::ReplayWebhook { webhook, replay } => {
                let webhook = known(webhook)?.webhook;
                if matches!(replay, Replay::Time { from, until } if from >= until) {
                    return Err(Code::InvalidValue);
                }
                Ok(Event::WebhookReplayed { webhook, replay: replay.clone() })
            }
            _ => Err(Code::IllegalMove),
        }
    }
}

/// The outward event and the change of the store that an event causes.
fn effects(event: &Event) -> (Option<OutwardData>, Option<WebhookChange>) {
    match event {
        Event::WebhookStored { stored } => (None, Some(WebhookChange::Store(stored.clone()))),
        Event::WebhookDeleted { webhook } => (None, Some(WebhookChange::Delete(webhook.clone()))),
        Event::WebhookTested { webhook } => {
            (Some(OutwardData::WebhookTest { webhook: webhook.clone() }), None)
        }
        Event::WebhookReplayed { webhook, replay } => {
            (None, Some(WebhookChange::Replay(webhook.clone(), replay.clone())))
        }
        _ => (None, None),
    }
}

/// The command that disables a webhook whose receiver is gone. `parts` make its id.
#[cfg(feature = "push")]
pub(super) fn disable(
    tenant: &schemas::ids::TenantId,
    webhook: &WebhookId,
    parts: &[&str],
) -> schemas::record::WireRecord {
    let aggregate = schemas::ids::Aggregate::webhooks(tenant);
    let command = Command::DisableWebhook { webhook: webhook.clone() };
    CommandRecord::by_installation(parts, aggregate, command).to_wire()
}

#[cfg(test)]
mod tests;
