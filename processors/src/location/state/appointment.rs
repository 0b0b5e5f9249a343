//! The stored state of an appointment and of its visits.

use std::ops::Range;

use schemas::{
    Millis,
    appointment::{AppointmentFact, AppointmentStatus},
    clinic::ClinicInfo,
    figures::FigureKey,
    handover::AppointmentHandover,
    ids::{AppointmentId, DoctorId, SourceId, SourceKey, TicketId},
    ticket::TicketState,
};
use serde::{Deserialize, Serialize};

use crate::location::question::Question;

/// One appointment. `Debug` is left out on purpose, as for a ticket.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appointment {
    /// The id of the appointment.
    pub id: AppointmentId,
    /// The newest accepted fact. Its status is what the source reports; the desk may know better.
    pub fact: AppointmentFact,
    /// When the newest fact was accepted.
    pub reported_at: Millis,
    /// The status that results from the fact, the visits and the timers.
    pub status: AppointmentStatus,
    /// The start has passed and nobody has checked in.
    pub late: bool,
    /// The last timer has fired: nobody came, or the source said nothing more.
    pub expired: bool,
    /// When the appointment was first missed, since it was last booked anew. It is counted once,
    /// and no longer when an undo makes its visit live again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missed_at: Option<Millis>,
    /// The check-ins, in order. At most [`MAX_VISITS`](schemas::ids::MAX_VISITS).
    pub visits: Vec<Visit>,
    /// The appointment at another location that continues this one.
    pub successor: Option<AppointmentId>,
    /// The move to another location that has no answer yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving: Option<AppointmentMove>,
    /// The revision of the newest fact that was passed on to the other location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub passed_on: Option<u64>,
    /// When the source first reported the appointment. Rows of older versions lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub booked_at: Option<Millis>,
    /// The figure that counts the appointment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<FigureKey>,
    /// What the view `appointment:<id>` shows of the location. Rows of older versions lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clinic: Option<ClinicInfo>,
    /// The version of the view `appointment:<id>`.
    pub view: u64,
}

/// The move of an appointment to another location that has no answer yet.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppointmentMove {
    /// Where the appointment moves to, and who reported it.
    pub handover: AppointmentHandover,
    /// The fact that moves the appointment.
    pub fact: AppointmentFact,
    /// Whether the appointment was known here before.
    pub known: bool,
    /// The version of the step that began the move.
    pub began: u64,
    /// The question to the destination.
    pub question: Question,
    /// Facts that arrived since, oldest first.
    pub deferred: Vec<DeferredFact>,
}

/// A fact that waits until its appointment has moved.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeferredFact {
    /// The fact.
    pub fact: AppointmentFact,
    /// Whether the booking has moved back here with this fact.
    pub here: bool,
}

/// One check-in of an appointment, and the part of its ticket that the appointment shows.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visit {
    /// The ticket.
    pub ticket: TicketId,
    /// The label of the ticket.
    pub label: String,
    /// The state of the ticket.
    pub state: TicketState,
    /// When the ticket ended.
    pub ended_at: Option<Millis>,
    /// The start for which the patient checked in.
    pub start: Option<Millis>,
    /// The source has booked the appointment anew since, so the visit no longer decides its status.
    pub over: bool,
}

impl Visit {
    /// Whether the ticket of the visit has not ended.
    pub fn is_live(&self) -> bool {
        !self.state.is_end()
    }
}

/// How long an open appointment without times is kept after its source last reported it: a quarter
/// of a year, as long as most waiting lists go without an answer.
const UNDATED_FOR: Millis = 90 * 24 * 60 * 60 * 1000;

impl Appointment {
    /// The name of the appointment at its source.
    pub fn source(&self) -> (&SourceId, &SourceKey) {
        (&self.fact.source, &self.fact.key)
    }

    /// The doctor, and how many minutes late the doctor is when the service starts at `now`. The
    /// delay has steps of five minutes, so that it rarely changes what other patients see.
    pub(in crate::location) fn delay_at(&self, now: Millis) -> Option<(&DoctorId, u32)> {
        const STEP_MIN: Millis = 5;
        let late_min = (now - self.fact.start?).max(0) / 60_000;
        Some((&self.fact.doctor.as_ref()?.id, u32::try_from(late_min / STEP_MIN * STEP_MIN).ok()?))
    }

    /// When the location must have the appointment in memory: at its start, or, without times, when
    /// its last timer fires. A moment, and not a service day, since the time zone of the location
    /// can change.
    pub fn wakes_at(&self) -> Option<Millis> {
        let silent = || self.is_open().then(|| self.reported_at.saturating_add(UNDATED_FOR));
        self.fact.start.or_else(silent)
    }

    /// Whether a location keeps the appointment in memory on the service day `today`: it is on that
    /// day, or it is open and on an earlier day, or it is kept whatever its day.
    pub fn is_near(&self, today: &Range<Millis>) -> bool {
        let wakes = |at: Millis| at < today.end && (self.is_open() || today.start <= at);
        self.is_kept() || self.wakes_at().is_some_and(wakes)
    }

    /// Whether a location keeps the appointment in memory on any day: its patient is here, or its
    /// move to another location is not settled.
    pub fn is_kept(&self) -> bool {
        self.is_here() || self.moving.is_some()
    }

    /// Whether the appointment is still shown: it is open or kept, or it began at this moment or
    /// later. The view of an ended appointment is kept for a day after its start.
    pub fn is_shown(&self, since: Millis) -> bool {
        self.is_open() || self.is_kept() || self.wakes_at().is_some_and(|at| since <= at)
    }

    /// The last visit, unless the appointment was booked anew since.
    pub fn visit(&self) -> Option<&Visit> {
        self.visits.last().filter(|visit| !visit.over)
    }

    /// Whether the patient has a ticket that has not ended.
    pub fn is_here(&self) -> bool {
        self.visit().is_some_and(Visit::is_live)
    }

    /// Whether the patient is here and not being seen yet. A patient who is absent, set aside or on
    /// the way to another location does not make the doctor late.
    pub(in crate::location) fn waits(&self) -> bool {
        let is_here =
            matches!(self.status, AppointmentStatus::Arrived | AppointmentStatus::CheckedIn);
        let waits =
            |visit: &Visit| matches!(visit.state, TicketState::Waiting | TicketState::Called);
        is_here && self.visit().is_none_or(waits)
    }

    /// Whether something is still expected of the appointment.
    pub fn is_open(&self) -> bool {
        !self.status.is_end()
    }
}
