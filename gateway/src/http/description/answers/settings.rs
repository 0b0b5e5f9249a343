//! The settings of locations, queues and stations.

use schemars::JsonSchema;
use schemas::{
    ids::{LocationId, QueueId, StationId},
    settings::{
        BrandingSettings, LocationSettings, MessageSettings, PrivacySettings, QueueSettings,
        StationSettings,
    },
    view::Position,
};

macro_rules! settings {
    ($($(#[$doc:meta])* $name:ident { $field:ident: $id:ty, $entry:ty })*) => {$(
        $(#[$doc])*
        #[derive(JsonSchema)]
        pub(in crate::http) struct $name {
            $field: $id,
            #[serde(flatten)]
            position: Position,
            #[serde(flatten)]
            settings: $entry,
        }
    )*};
}

settings! {
    /// The settings of a location.
    LocationAnswer { location: LocationId, LocationSettings }
    /// The details that lines and boards of a location show.
    PrivacyAnswer { location: LocationId, PrivacySettings }
    /// The messages of a location's boards.
    MessagesAnswer { location: LocationId, MessageSettings }
    /// The colour and the logo of a location.
    BrandingAnswer { location: LocationId, BrandingSettings }
    /// The settings of a queue.
    QueueAnswer { queue: QueueId, QueueSettings }
    /// The settings of a station.
    StationAnswer { station: StationId, StationSettings }
}

/// A queue in the list of a location.
#[derive(JsonSchema)]
pub(in crate::http) struct ListedQueue {
    queue: QueueId,
    #[serde(flatten)]
    settings: QueueSettings,
}

/// The queues of a location.
#[derive(JsonSchema)]
pub(in crate::http) struct QueueList {
    #[serde(flatten)]
    position: Position,
    entries: Vec<ListedQueue>,
}

/// A station in the list of a location.
#[derive(JsonSchema)]
pub(in crate::http) struct ListedStation {
    station: StationId,
    #[serde(flatten)]
    settings: StationSettings,
}

/// The stations of a location.
#[derive(JsonSchema)]
pub(in crate::http) struct StationList {
    #[serde(flatten)]
    position: Position,
    entries: Vec<ListedStation>,
}
