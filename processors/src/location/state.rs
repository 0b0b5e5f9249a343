//! What is kept of a location: one small header row, and one row per ticket.

use std::collections::BTreeMap;

use schemas::{
    Millis,
    appointment::{AppointmentFact, AppointmentStatus, SourceKey},
    event::TicketStatus,
    ids::{AppointmentId, DoctorId, QueueId, SourceId, StationId, TicketId},
    line::LinePlace,
    load::{FactCounts, LoadBands, LoadMinute, LoadQuarter},
    ticket::{QueueState, TicketState},
    timers::Timers,
};
use serde::{Deserialize, Serialize};

/// Everything of a location but its tickets. It grows with queues and stations, never with people.
#[derive(Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct LocationHeader {
    pub name: String,
    /// IANA name: it decides which day "today" is.
    pub time_zone: String,
    pub languages: Vec<String>,
    pub timers: Timers,
    pub bands: Option<LoadBands>,
    pub queues: BTreeMap<QueueId, Queue>,
    pub stations: BTreeMap<StationId, Station>,
    /// The service day `numbers` counts, `YYYY-MM-DD`. It never goes back, not even when the time zone is
    /// corrected westwards: a label of that day would be given twice.
    pub day: String,
    /// The last number given under each prefix on `day`.
    pub numbers: BTreeMap<String, u32>,
    /// The calls the board shows as recent, oldest first.
    pub recents: Vec<RecentCall>,
    /// Doctors with appointments on the service day, or once, while somebody may still look at their schedule.
    pub doctors: BTreeMap<DoctorId, DoctorDay>,
    /// Minutes of the last hour in which somebody was called or served, oldest first.
    pub hour: Vec<LoadMinute>,
    /// The service day by quarter hour, by its start; `booked` is not kept but counted.
    pub quarters: BTreeMap<Millis, LoadQuarter>,
    /// Facts of the service day.
    pub facts: FactCounts,
    /// Version of the view `load:<location>`.
    pub load_view: u64,
    /// Version of the view `board:<location>`.
    pub board_view: u64,
    /// The location's clock: the latest append time it has seen.
    pub now: Millis,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    pub name: String,
    pub prefix: String,
    pub state: QueueState,
    pub service: ServiceTime,
    /// The rank of the next ticket to join at the end.
    pub next_rank: u64,
    /// The smallest rank ever given: a reorder goes on below it.
    pub first_rank: u64,
    pub last_call_at: Option<Millis>,
    /// Version of the view `queue:<id>`.
    pub view: u64,
}

impl Queue {
    /// Where the ranks of a queue begin: the middle of the 48 bits a rank has, as tickets join above it and
    /// reorders go below it. Either side lasts for 2^47 tickets, a thousand a second for 4,000 years; a
    /// reorder beyond is refused as `invalid_value`.
    pub const MIDDLE_RANK: u64 = 1 << 47;

    /// A new queue is closed.
    pub(super) fn new(name: String, prefix: String, service: ServiceTime) -> Self {
        Self {
            name,
            prefix,
            state: QueueState::Closed,
            service,
            next_rank: Self::MIDDLE_RANK,
            first_rank: Self::MIDDLE_RANK,
            last_call_at: None,
            view: 0,
        }
    }
}

/// How long one service takes: what the clinic expects, corrected by what was measured.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceTime {
    pub configured_s: u32,
    /// Exponential mean of the measured services.
    pub mean_ms: i64,
    /// How many services the mean rests on, up to [`ServiceTime::WINDOW`].
    pub visits: u32,
}

impl ServiceTime {
    /// What a queue is taken to need when nobody said: the median of an outpatient consultation.
    pub const DEFAULT_S: u32 = 720;
    /// The configured time counts as this many visits: one odd consultation in the morning does not move it far.
    const PRIOR: i64 = 4;
    /// Visits after which older ones fade: about a morning of one doctor.
    const WINDOW: u32 = 20;
    /// The step of what is shown, so that a view rarely changes for it.
    const STEP_MS: i64 = 30_000;

    pub(super) fn new(configured_s: u32) -> Self {
        Self { configured_s, mean_ms: 0, visits: 0 }
    }

    /// Takes in one service. What is outside the configurable range is a forgotten or a mistaken click and
    /// counts as the nearest plausible time.
    pub(super) fn measure(&mut self, took: Millis) {
        let bounds = super::settings::SERVICE_S;
        let took = took.clamp(i64::from(*bounds.start()) * 1000, i64::from(*bounds.end()) * 1000);
        self.visits = (self.visits + 1).min(Self::WINDOW);
        self.mean_ms += (took - self.mean_ms) / i64::from(self.visits);
    }

    /// Expected seconds of one service, rounded to half a minute.
    pub fn expected_s(&self) -> u32 {
        let visits = i64::from(self.visits);
        let total = Self::PRIOR * i64::from(self.configured_s) * 1000 + visits * self.mean_ms;
        let steps = (total / (Self::PRIOR + visits) + Self::STEP_MS / 2) / Self::STEP_MS;
        u32::try_from(steps.max(1) * Self::STEP_MS / 1000).unwrap_or(u32::MAX)
    }
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Station {
    pub name: String,
    pub open: bool,
    /// The queue it called from last.
    pub served: Option<QueueId>,
}

/// A call that is over, as the board still shows it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecentCall {
    pub day: String,
    pub label: String,
    pub station: StationId,
    pub at: Millis,
    pub recalls: u32,
}

impl RecentCall {
    /// Recent calls on a board: as many as one screen lists in letters that can be read across a room. The
    /// oldest makes room.
    pub const MAX: usize = 8;
}

/// One person's place. `Debug` is left out on purpose: nothing of it belongs into a log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    pub id: TicketId,
    pub label: String,
    /// The service day the label was counted on.
    pub day: String,
    pub issued_at: Millis,
    /// The appointment it checked in.
    pub appointment: Option<AppointmentId>,
    /// Its last step: what its timers count from.
    pub moved_at: Millis,
    pub standing: TicketStatus,
    /// The last step, as long as it can be taken back.
    pub undo: Option<Undo>,
    /// Version of the view `ticket:<id>`.
    pub view: u64,
}

/// A doctor's service day.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoctorDay {
    pub name: String,
    /// Minutes behind, in steps of five.
    pub delay_min: u32,
    /// Version of the view `schedule:<location>/<doctor>`.
    pub view: u64,
}

/// One appointment. `Debug` is left out on purpose, as for a ticket.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appointment {
    pub id: AppointmentId,
    /// The newest fact that was taken in; its status is what the source says, which the desk may know better.
    pub fact: AppointmentFact,
    /// The service day of its start; none without times.
    pub day: Option<String>,
    /// What it comes to.
    pub status: AppointmentStatus,
    /// Its time came and nobody had checked in.
    pub late: bool,
    /// Nobody came for so long that it counts as a no-show, whatever the source says.
    pub missed: bool,
    /// Checked in: what the desk's ticket says of it.
    pub ticket: Option<TicketSummary>,
    /// Where it goes on.
    pub successor: Option<AppointmentId>,
    /// Version of the view `appointment:<id>`.
    pub view: u64,
}

/// The ticket of an appointment, as far as the appointment shows it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketSummary {
    pub label: String,
    pub state: TicketState,
}

impl Appointment {
    /// What names it at its source.
    pub fn source(&self) -> (&SourceId, &SourceKey) {
        (&self.fact.source, &self.fact.key)
    }

    /// Its doctor, and how many minutes behind they are when its service starts at `now`: in steps of five, so that it
    /// rarely changes what others see.
    pub(super) fn delay_at(&self, now: Millis) -> Option<(&DoctorId, u32)> {
        const STEP_MIN: Millis = 5;
        let late_min = (now - self.fact.start?).max(0) / 60_000;
        Some((&self.fact.doctor.as_ref()?.id, u32::try_from(late_min / STEP_MIN * STEP_MIN).ok()?))
    }

    /// Whether a location keeps it in memory on the service day `today`: it is of that day, or open and of an earlier one,
    /// or its patient is there already.
    pub fn is_near(&self, today: &str) -> bool {
        let day = self.day.as_deref();
        day == Some(today)
            || self.is_open() && (self.ticket.is_some() || day.is_some_and(|day| day < today))
    }

    /// Whether something is still expected of it.
    pub fn is_open(&self) -> bool {
        !self.status.is_end() && !self.ticket.as_ref().is_some_and(|desk| desk.state.is_end())
    }
}

/// Where a ticket stood before the step of `version`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    pub version: u64,
    pub standing: TicketStatus,
}

impl Ticket {
    /// Whether the ticket is not over.
    pub fn is_live(&self) -> bool {
        !self.standing.state.is_end()
    }

    /// Its place among those who wait, if it waits.
    pub(super) fn place(&self) -> LinePlace {
        LinePlace::new(self.id.clone(), self.standing.priority, self.standing.rank)
    }
}
