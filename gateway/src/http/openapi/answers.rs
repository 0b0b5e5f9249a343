//! The answers whose bodies handlers put together from stored entries, as types for the document.
//! Tests with generated requests compare them with the answers of a running gateway.

#![expect(dead_code, reason = "the document is made of the types, and handlers copy entries")]

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemas::{
    Millis,
    access::TargetKind,
    appointment::{AppointmentStatus, AppointmentView, ScheduleEntry, ScheduleHead},
    audit::AuditEntry,
    check_in::{CheckInFactor, CheckInPointKind, CheckInPointSettings},
    codes::Code,
    command::CommandOutcome,
    ids::{
        CheckInPointId, CommandId, DisplayId, FileId, LocationId, QueueId, RunId, StationId,
        TenantId, TicketId,
    },
    line::{BoardCall, BoardHead, BoardMove, BoardQueue, QueueEntry, QueueHead},
    load::{LoadHead, LoadQuarter, LoadQueue, LoadStation},
    rule::Rule,
    run::{FindingCounts, RuleTally, RunHead, RunProgress, RunState},
    settings::{
        BrandingSettings, DisplaySettings, LocationSettings, MessageSettings, PrivacySettings,
        QueueSettings, StationSettings,
    },
    ticket::TicketView,
    view::Position,
};

use crate::http::findings::FindingMessage;

/// Why a request was refused (RFC 9457).
#[derive(JsonSchema)]
pub(in crate::http) struct Problem {
    /// `urn:clinicwire:problem:` and the code.
    r#type: String,
    /// One sentence for people. Texts may change: programs use `code`.
    title: String,
    status: u16,
    /// The stable code. `docs/errors.md` lists all of them.
    code: Code,
    /// The fault of this request, and the value that is expected. Never quotes the request.
    detail: Option<String>,
    /// The id of the command, to send it again under the same id.
    command: Option<CommandId>,
    /// The name of the limit that refused the request.
    limit: Option<String>,
}

/// Where a phone says that it is.
#[derive(JsonSchema)]
pub(in crate::http) struct PhonePlace {
    /// Degrees north of the equator.
    latitude: f64,
    /// Degrees east of Greenwich.
    longitude: f64,
    /// Metres by which the phone may be wrong.
    #[serde(default)]
    accuracy_m: f64,
}

/// An object that is described elsewhere.
#[derive(JsonSchema)]
pub(in crate::http) struct OpenObject(BTreeMap<String, serde_json::Value>);

/// A body without fields.
#[derive(JsonSchema)]
pub(in crate::http) struct Empty {}

/// A command that is not decided yet.
#[derive(JsonSchema)]
pub(in crate::http) struct PendingCommand {
    command: CommandId,
    /// `pending`, or `moving` while another location has to answer.
    outcome: String,
}

/// The outcome of a command.
#[derive(JsonSchema)]
pub(in crate::http) struct CommandAnswer {
    #[serde(flatten)]
    outcome: CommandOutcome,
    /// The link by which the patient holds the ticket that was issued, if the caller may have it.
    link: Option<LinkAnswer>,
    /// The code by which the patient of a reported appointment checks in.
    booking_code: Option<String>,
}

/// The link of a ticket.
#[derive(JsonSchema)]
pub(in crate::http) struct LinkAnswer {
    /// The path of the page that takes the link.
    path: String,
    /// The key, to exchange it for a token.
    key: String,
    /// The code to type in its place.
    code: Option<String>,
}

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

/// A logo that was stored.
#[derive(JsonSchema)]
pub(in crate::http) struct LogoAnswer {
    logo: schemas::branding::LogoName,
}

/// The key with which a browser subscribes to alerts.
#[derive(JsonSchema)]
pub(in crate::http) struct AlertKey {
    /// `null` when the installation sends no alerts.
    public_key: Option<String>,
}

/// A one-time ticket that opens a stream.
#[derive(JsonSchema)]
pub(in crate::http) struct StreamTicketAnswer {
    ticket: String,
    /// Seconds.
    expires_in: u64,
}

/// A token.
#[derive(JsonSchema)]
pub(in crate::http) struct TokenAnswer {
    token: String,
    /// When the token expires.
    expires: Millis,
    tenant: TenantId,
    /// Until when the token can be renewed.
    renewable_until: Option<Millis>,
    /// The ticket of an exchanged link.
    ticket: Option<TicketId>,
}

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

/// An uploaded file.
#[derive(JsonSchema)]
pub(in crate::http) struct FileAnswer {
    file: FileId,
    name: String,
    bytes: u64,
    /// In hex digits.
    sha256: String,
}

/// A run that was requested.
#[derive(JsonSchema)]
pub(in crate::http) struct RequestedRun {
    run: RunId,
    state: RunState,
    /// The channel that follows the run.
    channel: String,
}

/// A run in the list of the tenant.
#[derive(JsonSchema)]
pub(in crate::http) struct ListedRun {
    run: RunId,
    requested_by_me: bool,
    #[serde(flatten)]
    head: RunHead,
}

/// A page of runs, newest first.
#[derive(JsonSchema)]
pub(in crate::http) struct RunPage {
    runs: Vec<ListedRun>,
    /// The cursor of the next page. Absent on the last one.
    next: Option<String>,
}

/// A page of findings, in the order of the rows.
#[derive(JsonSchema)]
pub(in crate::http) struct FindingPage {
    findings: Vec<FindingMessage>,
    /// The cursor of the next page. Absent on the last one.
    next: Option<String>,
}

/// The texts of findings.
#[derive(JsonSchema)]
pub(in crate::http) struct MessageTexts {
    /// The message of each outcome, with the names of its parameters in braces.
    outcomes: BTreeMap<String, String>,
    /// The words of parameters.
    words: serde_json::Value,
}

/// The rules of a tenant.
#[derive(JsonSchema)]
pub(in crate::http) struct RuleList {
    rules: Vec<Rule>,
    /// Whether they are the built-in rules, because the tenant has stored none.
    builtin: bool,
}

/// The result of trying a rule.
#[derive(JsonSchema)]
pub(in crate::http) struct TrialAnswer {
    counts: FindingCounts,
    /// The first findings.
    findings: Vec<FindingMessage>,
    rows: u64,
    /// Whether the trial stopped before the end of the file.
    partial: bool,
    took_ms: u64,
}

/// An entry of the audit.
#[derive(JsonSchema)]
pub(in crate::http) struct ListedAuditEntry {
    /// The number in the chain of the tenant.
    number: u64,
    logged_at: Millis,
    #[serde(flatten)]
    entry: AuditEntry,
}

/// A page of the audit, newest first.
#[derive(JsonSchema)]
pub(in crate::http) struct AuditPage {
    entries: Vec<ListedAuditEntry>,
    /// The cursor of the next page. Absent on the last one.
    next: Option<String>,
}

/// A revocation.
#[derive(JsonSchema)]
pub(in crate::http) struct RevocationAnswer {
    kind: TargetKind,
    id: String,
    /// Tokens that were issued before are refused.
    at: Millis,
}

/// A session that was ended.
#[derive(JsonSchema)]
pub(in crate::http) struct EndedSession {
    session: String,
    at: Millis,
}

/// An open connection of a session.
#[derive(JsonSchema)]
pub(in crate::http) struct ListedConnection {
    transport: String,
    channels: u64,
    expires: Millis,
}

/// A session.
#[derive(JsonSchema)]
pub(in crate::http) struct ListedSession {
    session: String,
    issued: Millis,
    /// Whether it is a stay in another tenant or at another location.
    crossed: bool,
    connections: Vec<ListedConnection>,
}

/// The connected sessions of a subject.
#[derive(JsonSchema)]
pub(in crate::http) struct SessionList {
    subject: String,
    at: Millis,
    /// The caller's own session.
    own: String,
    sessions: Vec<ListedSession>,
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
