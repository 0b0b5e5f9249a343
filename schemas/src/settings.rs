//! The settings of a location: the entries of the view `settings:<location>`.
//!
//! The view has the entries `location` ([`LocationSettings`]), one `queue:<id>` ([`QueueSettings`])
//! per queue, one `station:<id>` ([`StationSettings`]) per station, and one `display:<id>`
//! ([`DisplaySettings`]) per paired display. Each has the fields with which it was configured, and
//! what staff opened, paused or closed since.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    Millis,
    ids::{DisplayId, QueueId},
    load::LoadBands,
    ticket::QueueState,
    timers::Timers,
};

/// The key of the location's own entry in its settings.
pub const LOCATION_KEY: &str = "location";

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
}

/// One paired display: an entry `display:<id>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct DisplaySettings {
    /// The name by which staff know the screen.
    pub name: String,
    /// When staff paired it.
    pub paired_at: Millis,
}

/// The key of a display's entry in the settings of its location.
pub fn display_key(display: &DisplayId) -> String {
    format!("{DISPLAY_PREFIX}{display}")
}

/// What the keys of displays begin with.
pub const DISPLAY_PREFIX: &str = "display:";
