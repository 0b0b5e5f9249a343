//! The snapshots of channels.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemas::{
    Millis,
    appointment::{AppointmentView, ScheduleEntry, ScheduleHead},
    check_in::CheckInPointSettings,
    line::{BoardCall, BoardHead, BoardMove, BoardQueue, QueueEntry, QueueHead},
    load::{LoadHead, LoadQuarter, LoadQueue, LoadStation},
    run::{FindingCounts, RuleTally, RunHead, RunProgress},
    settings::{
        BrandingSettings, DisplaySettings, LocationSettings, MessageSettings, PrivacySettings,
        QueueSettings, StationSettings,
    },
    ticket::TicketView,
    view::Position,
};

macro_rules! snapshots {
    ($($(#[$doc:meta])* $name:ident of $entry:ident { $($part:ident),* })*) => {$(
        $(#[$doc])*
        #[derive(JsonSchema)]
        pub(in crate::http) struct $name {
            #[serde(flatten)]
            position: Position,
            /// Time of the record behind the version.
            at: Millis,
            /// The entries by key.
            entries: BTreeMap<String, $entry>,
        }

        #[derive(JsonSchema)]
        #[serde(untagged)]
        #[allow(clippy::enum_variant_names, reason = "variants are named as their types")]
        pub(in crate::http) enum $entry { $($part($part)),* }
    )*};
}

snapshots! {
    /// The line of a queue: the entry `queue`, and one for each ticket under its id.
    QueueSnapshot of QueueSnapshotEntry { QueueHead, QueueEntry }
    /// A board: the entry `board`, `queue:<id>`, `call:<day>/<label>` and `move:<day>/<label>`.
    BoardSnapshot of BoardSnapshotEntry { BoardHead, BoardQueue, BoardCall, BoardMove }
    /// How busy a location is: `load`, `queue:<id>`, `station:<id>` and `quarter:<start>`.
    LoadSnapshot of LoadSnapshotEntry { LoadHead, LoadQueue, LoadStation, LoadQuarter }
    /// One appointment: the entry `appointment`.
    AppointmentSnapshot of AppointmentSnapshotEntry { AppointmentView }
    /// A doctor's service day: the entry `schedule`, and one for each appointment under its id.
    ScheduleSnapshot of ScheduleSnapshotEntry { ScheduleHead, ScheduleEntry }
    /// A run: the entries `run`, `progress`, `counts`, and those of its rules and first findings.
    RunSnapshot of RunSnapshotEntry { RunHead, RunProgress, FindingCounts, RuleTally, Finding }
    /// The settings of a location: `location`, `privacy`, `messages`, `branding`, `queue:<id>`,
    /// `station:<id>`, `display:<id>` and `check-in-point:<id>`.
    SettingsSnapshot of SettingsSnapshotEntry {
        LocationSettings, PrivacySettings, MessageSettings, BrandingSettings, QueueSettings,
        StationSettings, DisplaySettings, CheckInPointSettings
    }
}

type Finding = schemas::finding::Finding;

/// The place of one ticket.
#[derive(JsonSchema)]
pub(in crate::http) struct TicketSnapshot {
    #[serde(flatten)]
    position: Position,
    #[serde(flatten)]
    state: TicketView,
}
