//! The stored state of a location: one small header row, one row per ticket and one row per
//! appointment.

mod appointment;

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use schemas::{
    Millis,
    branding::Branding,
    check_in::CheckInPointSettings,
    ids::{AppointmentId, CheckInPointId, DisplayId, DoctorId, QueueId, StationId},
    load::{FactCounts, LoadBands, LoadMinute, LoadQuarter},
    privacy::Privacy,
    settings::{BoardMessage, CallOrder},
    ticket::QueueState,
    timers::Timers,
};
use serde::{Deserialize, Serialize};

pub use self::appointment::{Appointment, AppointmentMove, DeferredFact, Visit};
use super::settings::MAX_TICKETS;

/// Everything that a location stores, except its tickets and appointments. The header grows with
/// queues and stations, never with people.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LocationHeader {
    /// The name of the location.
    pub name: String,
    /// The IANA name of the time zone, which decides the service day.
    pub time_zone: String,
    /// Language tags (BCP 47) between which the board alternates.
    pub languages: Vec<String>,
    /// When absences, forgotten tickets and the day end.
    pub timers: Timers,
    /// The bounds of the dashboard's bands, if the clinic set them.
    pub bands: Option<LoadBands>,
    /// The order in which people of one priority are called.
    pub call_order: CallOrder,
    /// The postal address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
    /// How much lines and boards show of people.
    #[serde(default)]
    pub privacy: Privacy,
    /// The messages of the boards. At most `MAX_MESSAGES` of the settings.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<BoardMessage>,
    /// The colour and the logo.
    #[serde(default, skip_serializing_if = "Branding::is_empty")]
    pub branding: Branding,
    /// The versions at which the settings changed last.
    #[serde(default)]
    pub editions: Editions,
    /// The queues.
    pub queues: BTreeMap<QueueId, Queue>,
    /// The stations.
    pub stations: BTreeMap<StationId, Station>,
    /// The paired displays. At most `MAX_DISPLAYS` of the settings.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub displays: BTreeMap<DisplayId, Display>,
    /// The check-in points. At most `MAX_CHECK_IN_POINTS` of the settings.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub check_in_points: BTreeMap<CheckInPointId, CheckInPointSettings>,
    /// The service day that `numbers` counts, as `YYYY-MM-DD`. The day never goes back, even when
    /// the time zone is corrected westwards. Otherwise a label of that day would be given twice.
    pub day: String,
    /// When the location began to count `day`. Unlike `day_starts`, this does not move with the
    /// time zone.
    #[serde(default)]
    pub day_since: Millis,
    /// The last number given for each prefix on `day`.
    pub numbers: BTreeMap<String, u32>,
    /// The calls of the service day that the board shows as recent, oldest first.
    pub recents: Vec<RecentCall>,
    /// When the service day began.
    pub day_starts: Millis,
    /// When the service day ends.
    pub day_ends: Millis,
    /// When the clinic last decided that tickets end with their service day. 0 if they always did.
    #[serde(default)]
    pub day_ends_tickets_since: Millis,
    /// Doctors with a schedule: those who have appointments on the service day or had some on the
    /// day before. At most `MAX_DOCTORS` of the settings.
    pub doctors: BTreeMap<DoctorId, DoctorDay>,
    /// Minutes of the last hour in which a patient was called or served, oldest first.
    pub hour: Vec<LoadMinute>,
    /// The service day by quarter hour, keyed by its start. `booked` is counted from appointments
    /// and not stored.
    pub quarters: BTreeMap<Millis, LoadQuarter>,
    /// Counts of facts on the service day.
    pub facts: FactCounts,
    /// Moves to this location that were taken back before they arrived, oldest first, and when.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub barred: Vec<(String, Millis)>,
    /// The renewal of what appointments show of the location, while it is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewal: Option<Renewal>,
    /// The version of the view `load:<location>`.
    pub load_view: u64,
    /// The version of the view `board:<location>`.
    pub board_view: u64,
    /// The version of the view `settings:<location>`.
    pub settings_view: u64,
    /// The clock of the location: the latest append time of its records.
    pub now: Millis,
}

/// How far the appointments of a location show its new name and time zone.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Renewal {
    /// The last appointment that was looked at, in the order of their ids.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<AppointmentId>,
}

impl LocationHeader {
    /// The service day as moments.
    pub fn today(&self) -> Range<Millis> {
        self.day_starts..self.day_ends
    }
}

/// The version of the step that last changed each kind of settings. 0 for never.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Editions {
    /// Name, zone, languages, timers, bands, order of calls and address.
    pub location: u64,
    /// What lines and boards show.
    pub privacy: u64,
    /// The messages of the boards.
    pub messages: u64,
    /// The colour and the logo.
    pub branding: u64,
    /// The order of the queues.
    #[serde(default)]
    pub queue_order: u64,
}

/// A queue of a location.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    /// The name of the queue.
    pub name: String,
    /// The first part of its labels.
    pub prefix: String,
    /// Whether the queue issues and calls.
    pub state: QueueState,
    /// Why the queue is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The place in the clinic's own order of the queues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<u32>,
    /// The version of the step that last configured the queue.
    #[serde(default)]
    pub edition: u64,
    /// How long one service takes.
    pub service: ServiceTime,
    /// Most live tickets of the queue.
    pub max_tickets: u32,
    /// When a ticket of the queue was last called.
    pub last_call_at: Option<Millis>,
    /// The version of that call.
    pub last_call_version: u64,
    /// The version of the view `queue:<id>`.
    pub view: u64,
}

impl Queue {
    /// Creates a queue, which is closed.
    pub(super) fn new(name: String, prefix: String, service: ServiceTime) -> Self {
        Self {
            name,
            prefix,
            state: QueueState::Closed,
            message: None,
            place: None,
            edition: 0,
            service,
            max_tickets: MAX_TICKETS,
            last_call_at: None,
            last_call_version: 0,
            view: 0,
        }
    }
}

/// How long one service takes: the time that the clinic expects, corrected by measured services.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceTime {
    /// Seconds that the clinic expects.
    pub configured_s: u32,
    /// The exponential mean of the measured services, in milliseconds.
    pub mean_ms: i64,
    /// The number of services in the mean, up to 20.
    pub visits: u32,
    /// The version of the last measured service.
    pub version: u64,
}

impl ServiceTime {
    /// Seconds of a service in a queue without a configured time: the median of an outpatient
    /// consultation.
    pub const DEFAULT_S: u32 = 720;
    /// The configured time weighs as much as this many visits, so that one unusual consultation in
    /// the morning does not move it far.
    const PRIOR: i64 = 4;
    /// The number of visits after which older ones fade: about one morning of one doctor.
    const WINDOW: u32 = 20;
    /// The step of the shown value, so that a view rarely changes because of it.
    const STEP_MS: i64 = 30_000;

    pub(super) fn new(configured_s: u32) -> Self {
        Self { configured_s, mean_ms: 0, visits: 0, version: 0 }
    }

    /// Adds one service to the mean. A time outside the configurable range is a forgotten or
    /// mistaken click, and counts as the nearest plausible time.
    pub(super) fn measure(&mut self, took: Millis, version: u64) {
        self.visits = (self.visits + 1).min(Self::WINDOW);
        self.mean_ms += (plausible_service(took) - self.mean_ms) / i64::from(self.visits);
        self.version = version;
    }

    /// Takes a service out of the mean that was measured before others. The mean of the others is
    /// exact while all are in the mean, and near it once older ones fade.
    pub(super) fn forget(&mut self, took: Millis) {
        let visits = i64::from(self.visits);
        if visits <= 1 {
            (self.mean_ms, self.visits) = (0, 0);
            return;
        }
        self.mean_ms = (self.mean_ms * visits - plausible_service(took)) / (visits - 1);
        self.visits -= 1;
    }

    /// Expected seconds of one service, rounded to half a minute.
    pub fn expected_s(&self) -> u32 {
        let visits = i64::from(self.visits);
        let total = Self::PRIOR * i64::from(self.configured_s) * 1000 + visits * self.mean_ms;
        let steps = (total / (Self::PRIOR + visits) + Self::STEP_MS / 2) / Self::STEP_MS;
        u32::try_from(steps.max(1) * Self::STEP_MS / 1000).unwrap_or(u32::MAX)
    }
}

fn plausible_service(took: Millis) -> Millis {
    let bounds = super::settings::SERVICE_S;
    took.clamp(i64::from(*bounds.start()) * 1000, i64::from(*bounds.end()) * 1000)
}

/// A room or counter.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Station {
    /// The name of the station.
    pub name: String,
    /// Whether tickets can be called to it.
    pub open: bool,
    /// The queues that it serves. `None`: every queue of the location.
    pub queues: Option<BTreeSet<QueueId>>,
    /// The queue from which it last called.
    pub served: Option<QueueId>,
    /// The version of that call.
    pub served_version: u64,
    /// The version of the step that last configured the station.
    #[serde(default)]
    pub edition: u64,
}

impl Station {
    /// The queues that the station serves while it is open.
    pub(super) fn served_queues(&self) -> impl Iterator<Item = &QueueId> {
        let last = self.served.iter().filter(|_| self.queues.is_none());
        self.queues.iter().flatten().chain(last)
    }
}

/// A screen that staff paired.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Display {
    /// The name by which staff know the screen.
    pub name: String,
    /// When staff paired it.
    pub paired_at: Millis,
    /// The check-in point whose kiosk it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check_in_point: Option<CheckInPointId>,
    /// The version at which it was paired or renamed last.
    #[serde(default)]
    pub edition: u64,
}

/// A call that is over and that the board still shows.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentCall {
    /// The service day of the label.
    pub day: String,
    /// The label of the ticket.
    pub label: String,
    /// The station of the call.
    pub station: StationId,
    /// When the ticket was called.
    pub at: Millis,
    /// How often the call was repeated.
    pub recalls: u32,
}

impl RecentCall {
    /// Most recent calls on a board: as many as one screen lists in letters that people can read
    /// across a room. A further call removes the oldest.
    pub const MAX: usize = 8;
}

/// The service day of a doctor.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoctorDay {
    /// The doctor's name.
    pub name: String,
    /// Minutes that the doctor is late, in steps of five.
    pub delay_min: u32,
    /// The version of the step that set the delay.
    pub delay_version: u64,
    /// The version of the view `schedule:<location>/<doctor>`.
    pub view: u64,
}
