//! Displays, check-in points, and the scans at them.

use schemars::JsonSchema;
use schemas::{
    Millis,
    appointment::AppointmentStatus,
    check_in::{CheckInFactor, CheckInPointKind, CheckInPointSettings},
    codes::Code,
    ids::{CheckInPointId, DisplayId, LocationId, QueueId, TenantId, TicketId},
    settings::DisplaySettings,
    view::Position,
};

use super::LinkAnswer;

/// A pairing that has begun.
#[derive(JsonSchema)]
pub(in crate::http) struct PairingAnswer {
    /// The code that the screen shows.
    code: String,
    /// The secret by which the screen asks for its credential.
    secret: String,
    /// Seconds.
    expires_in: u64,
    /// Seconds between two questions of the screen.
    poll_s: u64,
}

/// A screen that waits for its pairing.
#[derive(JsonSchema)]
pub(in crate::http) struct WaitingAnswer {
    /// `waiting`
    state: String,
}

/// A screen that was paired.
#[derive(JsonSchema)]
pub(in crate::http) struct PairedAnswer {
    display: DisplayId,
    location: LocationId,
    name: String,
    check_in_point: Option<CheckInPointId>,
}

/// The credential of a screen.
#[derive(JsonSchema)]
pub(in crate::http) struct CredentialAnswer {
    token: String,
    expires: Millis,
    tenant: TenantId,
    renewable_until: Option<Millis>,
    display: DisplayId,
    location: LocationId,
    name: String,
    check_in_point: Option<CheckInPointId>,
}

/// A screen in the list of a location.
#[derive(JsonSchema)]
pub(in crate::http) struct ListedDisplay {
    display: DisplayId,
    #[serde(flatten)]
    settings: DisplaySettings,
}

/// The screens of a location.
#[derive(JsonSchema)]
pub(in crate::http) struct DisplayList {
    displays: Vec<ListedDisplay>,
}

/// A check-in point.
#[derive(JsonSchema)]
pub(in crate::http) struct ListedCheckInPoint {
    check_in_point: CheckInPointId,
    #[serde(flatten)]
    settings: CheckInPointSettings,
    /// The path of the page that the code of a poster opens.
    path: Option<String>,
}

/// The check-in points of a location.
#[derive(JsonSchema)]
pub(in crate::http) struct CheckInPointList {
    #[serde(flatten)]
    position: Position,
    check_in_points: Vec<ListedCheckInPoint>,
}

/// One check-in point.
#[derive(JsonSchema)]
pub(in crate::http) struct CheckInPointAnswer {
    #[serde(flatten)]
    point: ListedCheckInPoint,
    #[serde(flatten)]
    position: Position,
}

/// The location of a check-in point, as its page shows it.
#[derive(JsonSchema)]
pub(in crate::http) struct ScannedLocation {
    name: String,
    time_zone: String,
    languages: Vec<String>,
}

/// A check-in point, as its page shows it.
#[derive(JsonSchema)]
pub(in crate::http) struct ScannedPoint {
    name: String,
    kind: CheckInPointKind,
}

/// A queue in which patients may take a ticket.
#[derive(JsonSchema)]
pub(in crate::http) struct WalkInQueue {
    queue: QueueId,
    name: String,
}

/// The questions and offers of the page of a check-in point.
#[derive(JsonSchema)]
pub(in crate::http) struct ScanOffer {
    location: ScannedLocation,
    check_in_point: ScannedPoint,
    factor: CheckInFactor,
    /// The number of digits of the factor.
    digits: u32,
    asks_position: bool,
    walk_in: Vec<WalkInQueue>,
}

/// The result of one booking of a scan, or of a ticket without an appointment.
#[derive(JsonSchema)]
pub(in crate::http) struct ScanResult {
    /// The code, as the patient typed it.
    booking: Option<String>,
    /// `checked_in`, `pending` or `refused`. Absent for an appointment that was found.
    outcome: Option<String>,
    /// Why it was refused.
    code: Option<Code>,
    start: Option<Millis>,
    end: Option<Millis>,
    doctor: Option<String>,
    status: Option<AppointmentStatus>,
    ticket: Option<TicketId>,
    label: Option<String>,
    link: Option<LinkAnswer>,
}

/// The appointments of proved bookings.
#[derive(JsonSchema)]
pub(in crate::http) struct FoundAppointments {
    appointments: Vec<ScanResult>,
}

/// The results of a scan.
#[derive(JsonSchema)]
pub(in crate::http) struct ScanResults {
    results: Vec<ScanResult>,
}

/// A suspicious pattern. It names no booking.
#[derive(JsonSchema)]
pub(in crate::http) struct ScanFlag {
    /// `two_places` or `many_codes`
    kind: String,
    check_in_point: CheckInPointId,
    /// When it was last seen.
    at: Millis,
    /// How often it was seen.
    times: u32,
}

/// The suspicious patterns of a location.
#[derive(JsonSchema)]
pub(in crate::http) struct FlagList {
    flags: Vec<ScanFlag>,
}
