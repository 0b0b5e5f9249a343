//! Webhooks: the endpoints of a tenant to which outward events are sent, by the Standard Webhooks
//! specification.

mod secret;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    Millis,
    ids::{EventId, LocationId, WebhookId},
    outward::OutwardData,
    push::origin_of,
    view::Position,
};

pub use secret::{InvalidWebhookKey, WebhookKey, WebhookSecret};

/// Most webhooks of a tenant. Each event is stored once for each of them; one more is refused as
/// `too_many_webhooks`.
pub const MAX_WEBHOOKS: usize = 20;
/// Longest description in characters.
pub const MAX_DESCRIPTION: usize = 200;
/// Most locations that a webhook may list. A tenant with more lists none, which means all.
pub const MAX_LOCATIONS: usize = 200;
/// Seconds for which messages are signed with the old secret too, after a rotation.
pub const DEFAULT_OVERLAP_S: u32 = 24 * 60 * 60;
/// Longest such time: a week.
pub const MAX_OVERLAP_S: u32 = 7 * 24 * 60 * 60;

/// The part of a webhook that an admin chooses.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct WebhookSettings {
    /// The address: `https://…`. Plain HTTP is accepted for the machine itself, for development.
    pub url: String,
    /// Words for the admins of the tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The kinds of events, such as `ticket.called`. Empty: all.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub events: BTreeSet<String>,
    /// The locations. Empty: all, with the runs of the tenant.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub locations: BTreeSet<LocationId>,
}

impl WebhookSettings {
    /// The field that is outside of its bounds, and the bounds.
    pub fn fault(&self) -> Option<(&'static str, &'static str)> {
        let is_text = |text: &String| {
            text.chars().count() <= MAX_DESCRIPTION && !text.chars().any(char::is_control)
        };
        if !is_webhook_url(&self.url) {
            return Some(("url", "an https:// address without a user and a fragment"));
        }
        if !self.description.iter().all(is_text) {
            return Some(("description", "at most 200 characters in one line"));
        }
        if !self.events.iter().all(|kind| OutwardData::KINDS.contains(&kind.as_str())) {
            return Some(("events", "kinds of events, as the guide of webhooks lists them"));
        }
        (self.locations.len() > MAX_LOCATIONS).then_some(("locations", "at most 200, or none"))
    }

    /// Whether the webhook gets events of this kind at this location.
    pub fn accepts(&self, kind: &str, location: Option<&LocationId>) -> bool {
        let is_kind = self.events.is_empty() || self.events.contains(kind);
        let is_here = self.locations.is_empty()
            || location.is_some_and(|location| self.locations.contains(location));
        is_kind && is_here
    }
}

/// Whether the text has the form of a webhook's address. The sender checks the address behind the
/// name.
fn is_webhook_url(url: &str) -> bool {
    // `origin_of` demands a path, which an address of a receiver may lack.
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = if rest.contains('/') { "-" } else { "/-" };
    let Some((origin, host)) = origin_of(&format!("{url}{path}")) else { return false };
    let is_loopback = ["localhost", "127.0.0.1", "[::1]"].iter().any(|name| {
        host.strip_prefix(name).is_some_and(|port| port.is_empty() || port.starts_with(':'))
    });
    origin.starts_with("https://") || is_loopback
}

/// The state of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum WebhookState {
    /// Events are sent.
    Active,
    /// An admin has paused it: events wait.
    Paused,
    /// The receiver has answered 410: nothing is sent or kept until an admin resumes it.
    Disabled,
}

impl WebhookState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Active, Self::Paused, Self::Disabled];

    /// The state as rows and JSON spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Disabled => "disabled",
        }
    }
}

/// One webhook. Its secrets are derived from the key of the installation, so that no store holds
/// them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct Webhook {
    /// The webhook.
    pub webhook: WebhookId,
    /// The settings.
    pub settings: WebhookSettings,
    /// The state.
    pub state: WebhookState,
    /// When it was created.
    pub created_at: Millis,
    /// The version of the last change of settings or state. A change may name it, and is refused
    /// if somebody else has changed them since.
    pub edition: u64,
    /// The step that made the secret, from which the secret is derived.
    pub secret: Position,
    /// The secret before the last rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousSecret>,
}

/// A secret that a rotation replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct PreviousSecret {
    /// The step that made the secret.
    pub secret: Position,
    /// Until when messages are signed with it too.
    pub until: Millis,
}

/// The events that an admin has sent again.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Replay {
    /// One event.
    Event {
        /// The event.
        event: EventId,
    },
    /// All dead letters.
    Dead {},
    /// All events of a time that the webhook accepts.
    Time {
        /// The first moment.
        from: Millis,
        /// The moment after the last.
        until: Millis,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> WebhookSettings {
        WebhookSettings {
            url: url.to_owned(),
            description: None,
            events: BTreeSet::new(),
            locations: BTreeSet::new(),
        }
    }

    #[test]
    fn only_safe_addresses_are_accepted() {
        for (url, good) in [
            ("https://hooks.example", true),
            ("https://hooks.example/clinicwire?a=b", true),
            ("https://hooks.example:8443/x", true),
            ("http://127.0.0.1:9000/x", true),
            ("http://localhost:9000", true),
            ("http://hooks.example/x", false),
            ("https://user:word@hooks.example/x", false),
            ("https://hooks.example/x#part", false),
            ("https://", false),
            ("ftp://hooks.example/x", false),
            ("hooks.example/x", false),
            ("https://hooks.example\\@10.0.0.1/", false),
        ] {
            assert_eq!(settings(url).fault().is_none(), good, "{url}");
        }
    }

    #[test]
    fn filter_selects_by_kind_and_location() {
        let riverside = LocationId::new("riverside").unwrap();
        let all = settings("https://hooks.example");
        assert!(all.accepts("ticket.called", Some(&riverside)) && all.accepts("run.failed", None));
        let mut some = all.clone();
        some.events.insert("ticket.called".to_owned());
        some.locations.insert(riverside.clone());
        assert!(some.accepts("ticket.called", Some(&riverside)));
        assert!(!some.accepts("ticket.issued", Some(&riverside)));
        assert!(!some.accepts("ticket.called", None));
        some.events.insert("ticket.eaten".to_owned());
        assert_eq!(some.fault().unwrap().0, "events");
    }

    #[test]
    fn field_out_of_its_bounds_is_named() {
        let with = |change: fn(&mut WebhookSettings)| {
            let mut settings = settings("https://hooks.example");
            change(&mut settings);
            settings.fault().map(|(field, _)| field)
        };
        let locations = |count| (0..count).map(|n| LocationId::new(format!("l-{n}")).unwrap());
        assert_eq!(with(|it| it.description = Some("é".repeat(MAX_DESCRIPTION))), None);
        let field = Some("description");
        assert_eq!(with(|it| it.description = Some("é".repeat(MAX_DESCRIPTION + 1))), field);
        assert_eq!(with(|it| it.description = Some("a\nb".to_owned())), field);
        let mut many = settings("https://hooks.example");
        many.locations.extend(locations(MAX_LOCATIONS));
        assert_eq!(many.fault(), None);
        many.locations.extend(locations(MAX_LOCATIONS + 1));
        assert_eq!(many.fault().unwrap().0, "locations");
    }

    #[test]
    fn state_names_match_their_json() {
        for state in WebhookState::ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }
}
