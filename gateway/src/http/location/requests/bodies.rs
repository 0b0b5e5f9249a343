//! The bodies of commands.

use schemars::JsonSchema;
use schemas::{
    branding::{Colour, LogoName},
    ids::{AppointmentId, QueueId, StationId, TicketId},
    load::LoadBands,
    privacy::{BoardPrivacy, LinePrivacy},
    settings::{BoardMessage, CallOrder},
    ticket::Priority,
    timers::Timers,
};
use serde::Deserialize;

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct LocationBody {
    #[schemars(length(min = 1, max = 120))]
    pub(super) name: String,
    pub(super) time_zone: String,
    pub(super) languages: Vec<String>,
    #[serde(default)]
    pub(super) timers: Timers,
    pub(super) bands: Option<LoadBands>,
    #[serde(default)]
    pub(super) call_order: CallOrder,
    #[schemars(length(min = 1, max = 120))]
    pub(super) address: Option<String>,
    pub(super) edition: Option<u64>,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct PrivacyBody {
    #[serde(default)]
    pub(super) lines: LinePrivacy,
    #[serde(default)]
    pub(super) boards: BoardPrivacy,
    pub(super) edition: Option<u64>,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct MessagesBody {
    pub(super) messages: Vec<BoardMessage>,
    pub(super) edition: Option<u64>,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct BrandingBody {
    pub(super) name: Option<String>,
    pub(super) colour: Option<Colour>,
    pub(super) logo: Option<LogoName>,
    pub(super) edition: Option<u64>,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct OrderBody {
    #[schemars(with = "Vec<QueueId>")]
    pub(super) queues: Vec<String>,
    pub(super) edition: Option<u64>,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct EndpointBody {
    pub(super) endpoint: String,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct PauseBody {
    #[schemars(length(min = 1, max = 120))]
    pub(super) message: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct QueueBody {
    #[schemars(length(min = 1, max = 120))]
    pub(super) name: String,
    #[schemars(regex(pattern = "^[A-Z0-9]{1,4}$"))]
    pub(super) prefix: String,
    #[schemars(range(min = 30, max = 14_400))]
    pub(super) service_s: Option<u32>,
    #[schemars(range(min = 1, max = 10_000))]
    pub(super) max_tickets: Option<u32>,
    pub(super) edition: Option<u64>,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct StationBody {
    #[schemars(length(min = 1, max = 120))]
    pub(super) name: String,
    #[schemars(with = "Option<Vec<QueueId>>")]
    pub(super) queues: Option<Vec<String>>,
    pub(super) edition: Option<u64>,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct IssueBody {
    #[schemars(with = "Option<Priority>")]
    pub(super) priority: Option<i64>,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct CheckInBody {
    #[schemars(with = "Option<AppointmentId>")]
    pub(super) appointment: Option<String>,
    #[schemars(with = "Option<QueueId>")]
    pub(super) queue: Option<String>,
    #[schemars(with = "Option<Priority>")]
    pub(super) priority: Option<i64>,
    #[schemars(length(min = 1, max = 120))]
    pub(super) override_reason: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct PriorityBody {
    #[schemars(with = "Priority")]
    pub(super) priority: i64,
    #[schemars(length(min = 1, max = 120))]
    pub(super) reason: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct CallBody {
    #[schemars(with = "StationId")]
    pub(super) station: String,
    #[serde(default)]
    pub(super) force: bool,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct ForceBody {
    #[serde(default)]
    pub(super) force: bool,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct ReasonBody {
    #[schemars(length(min = 1, max = 120))]
    pub(super) reason: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct TransferBody {
    #[schemars(with = "QueueId")]
    pub(super) queue: String,
}

#[derive(Deserialize, JsonSchema)]
pub(in crate::http) struct ReorderBody {
    #[schemars(with = "Vec<TicketId>")]
    pub(super) tickets: Vec<String>,
}
