//! The settings of a location: the entries of the view `settings:<location>`.
//!
//! The view has the entries `location` ([`LocationSettings`]), one `queue:<id>` ([`QueueSettings`])
//! per queue, one `station:<id>` ([`StationSettings`]) per station, one `display:<id>`
//! ([`DisplaySettings`]) per paired display, and one `check-in-point:<id>`
//! ([`CheckInPointSettings`](crate::check_in::CheckInPointSettings)) per check-in point. Each has
//! the fields with which it was configured, and what staff opened, paused or closed since.
//! The entries `privacy` ([`PrivacySettings`]), `messages` ([`MessageSettings`]) and `branding`
//! ([`BrandingSettings`]) exist once an admin has changed them.
//!
//! An edition is the version of the location at which the settings of an entry last changed. A
//! change that names another edition is refused as `settings_changed`, so that two admins never
//! overwrite each other unawares.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    Millis,
    branding::Branding,
    ids::{CheckInPointId, DisplayId, QueueId},
    load::LoadBands,
    privacy::Privacy,
    ticket::QueueState,
    timers::Timers,
};

/// The key of the location's own entry in its settings.
pub const LOCATION_KEY: &str = "location";
/// The key of what lines and boards show.
pub const PRIVACY_KEY: &str = "privacy";
/// The key of the messages of the boards.
pub const MESSAGES_KEY: &str = "messages";
/// The key of the colour and the logo.
pub const BRANDING_KEY: &str = "branding";

/// One message of a board: its text by language tag (BCP 47). A board shows the text of the
/// language that it shows, or else the first.
pub type BoardMessage = BTreeMap<String, String>;

/// The order in which people of one priority are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum CallOrder {
    /// By the time of the check-in.
    #[default]
    Arrival,
    /// A patient with an appointment has the turn of its start, unless they checked in later than
    /// [`Timers::call_grace_s`] after it. Everybody else has the turn of their check-in.
    Appointment,
}

/// The location: the entry `location`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct LocationSettings {
    /// The name of the location.
    pub name: String,
    /// The IANA name of the time zone.
    pub time_zone: String,
    /// BCP 47 tags. The first is the default.
    pub languages: Vec<String>,
    /// The timers.
    pub timers: Timers,
    /// From when on a dashboard marks numbers as high. Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bands: Option<LoadBands>,
    /// The order in which people of one priority are called.
    pub call_order: CallOrder,
    /// The postal address, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// The edition of these settings.
    #[serde(default)]
    pub edition: u64,
    /// The edition of the order of the queues. 0 before an admin has ordered them.
    #[serde(default)]
    pub queue_order_edition: u64,
}

/// The privacy settings of lines and boards: the entry `privacy`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct PrivacySettings {
    /// The privacy settings.
    #[serde(flatten)]
    pub privacy: Privacy,
    /// The edition of these settings.
    pub edition: u64,
}

/// The messages of the boards: the entry `messages`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct MessageSettings {
    /// The messages, in the order in which boards show them.
    pub messages: Vec<BoardMessage>,
    /// The edition of these settings.
    pub edition: u64,
}

/// The colour and the logo: the entry `branding`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct BrandingSettings {
    /// The branding.
    #[serde(flatten)]
    pub branding: Branding,
    /// The edition of these settings.
    pub edition: u64,
}

/// One queue: an entry `queue:<id>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct QueueSettings {
    /// The name of the queue.
    pub name: String,
    /// The letters that the queue's labels begin with.
    pub prefix: String,
    /// Seconds that the clinic expects of one service. Measured services correct them.
    pub service_s: u32,
    /// Most live tickets of the queue. One more is refused.
    pub max_tickets: u32,
    /// Whether tickets are issued and called.
    pub state: QueueState,
    /// The place in the clinic's own order of the queues, from 0. Absent: behind them, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<u32>,
    /// The edition of these settings. Opening, pausing and closing do not change it.
    #[serde(default)]
    pub edition: u64,
}

/// One station: an entry `station:<id>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct StationSettings {
    /// The name, as people read it on a door.
    pub name: String,
    /// Whether the station can call.
    pub open: bool,
    /// The queues that the station serves. Absent: every queue. An empty list: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queues: Option<BTreeSet<QueueId>>,
    /// The edition of these settings. Opening and closing do not change it.
    #[serde(default)]
    pub edition: u64,
}

/// One paired display: an entry `display:<id>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct DisplaySettings {
    /// The name by which staff know the screen.
    pub name: String,
    /// When staff paired it.
    pub paired_at: Millis,
    /// The check-in point whose kiosk the display is. Absent: it shows the board.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_in_point: Option<CheckInPointId>,
    /// The edition of the display: the version at which it was paired or renamed last.
    #[serde(default)]
    pub edition: u64,
}

/// The key of a display's entry in the settings of its location.
pub fn display_key(display: &DisplayId) -> String {
    format!("{DISPLAY_PREFIX}{display}")
}

/// The prefix of the keys of displays.
pub const DISPLAY_PREFIX: &str = "display:";

/// The key of a check-in point's entry in the settings of its location.
pub fn check_in_point_key(point: &CheckInPointId) -> String {
    format!("{CHECK_IN_POINT_PREFIX}{point}")
}

/// The prefix of the keys of check-in points.
pub const CHECK_IN_POINT_PREFIX: &str = "check-in-point:";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_entries_name_their_things() {
        let north = crate::ids::LocationId::new("north").unwrap();
        let key = display_key(&DisplayId::from_random(&north, 0));
        assert_eq!(key, format!("display:north.{:016x}", 0));
        let point = CheckInPointId::new("north.door").unwrap();
        assert_eq!(check_in_point_key(&point), "check-in-point:north.door");
    }
}
