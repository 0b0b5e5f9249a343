//! Appointments: what a source knows of one, what its patient sees, and a doctor's schedule.
//!
//! The statuses are those of FHIR's Appointment (R4 and R5,
//! <https://hl7.org/fhir/valueset-appointmentstatus.html>).

use serde::{Deserialize, Serialize};

use crate::{
    Millis,
    clinic::ClinicInfo,
    ids::{AppointmentId, DoctorId, LocationId, QueueId, SourceId, SourceKey, TicketId},
    ticket::TicketState,
};

/// The key of the single entry of the view `appointment:<id>`.
pub const APPOINTMENT_KEY: &str = "appointment";
/// The key of the doctor's own entry in a schedule. Every other key is the id of an appointment.
pub const SCHEDULE_KEY: &str = "schedule";

/// The status of an appointment, as FHIR defines it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AppointmentStatus {
    /// None of the participants has agreed yet.
    Proposed,
    /// Some participants have agreed.
    Pending,
    /// All participants have agreed.
    Booked,
    /// The patient has arrived and is not checked in.
    Arrived,
    /// The appointment took place.
    Fulfilled,
    /// The appointment was cancelled.
    Cancelled,
    /// The patient never came.
    Noshow,
    /// The appointment never existed.
    EnteredInError,
    /// The patient is checked in and has a ticket.
    CheckedIn,
    /// The patient waits for a time.
    Waitlist,
}

impl AppointmentStatus {
    /// Every status.
    pub const ALL: [AppointmentStatus; 10] = [
        Self::Proposed,
        Self::Pending,
        Self::Booked,
        Self::Arrived,
        Self::Fulfilled,
        Self::Cancelled,
        Self::Noshow,
        Self::EnteredInError,
        Self::CheckedIn,
        Self::Waitlist,
    ];

    /// The status as FHIR spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Pending => "pending",
            Self::Booked => "booked",
            Self::Arrived => "arrived",
            Self::Fulfilled => "fulfilled",
            Self::Cancelled => "cancelled",
            Self::Noshow => "noshow",
            Self::EnteredInError => "entered-in-error",
            Self::CheckedIn => "checked-in",
            Self::Waitlist => "waitlist",
        }
    }

    /// Whether the appointment has ended.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Fulfilled | Self::Cancelled | Self::Noshow | Self::EnteredInError)
    }

    /// Whether an appointment with this status may lack its times: FHIR's invariant app-3, and also
    /// an appointment that was entered in error.
    pub fn may_lack_times(self) -> bool {
        matches!(self, Self::Proposed | Self::Cancelled | Self::Waitlist | Self::EnteredInError)
    }
}

/// A doctor, or another person who sees patients by appointment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct Doctor {
    /// The id that the clinic's own systems use.
    pub id: DoctorId,
    /// The name, as patients read it on a door.
    pub name: String,
}

/// All that a source knows about an appointment at one moment. A fact is never partial: facts can
/// come late, twice or out of order, and the newest one alone is complete.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct AppointmentFact {
    /// The system that sent the fact.
    pub source: SourceId,
    /// The source's key of the appointment. Source and key together identify the appointment.
    pub key: SourceKey,
    /// The source's own version of the appointment, or the milliseconds of its last change. The
    /// fact with the greater revision is newer, whichever came first. A source always uses one of
    /// the two.
    pub revision: u64,
    /// Whether the revision is the time of the last change.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revision_is_time: bool,
    /// The status.
    pub status: AppointmentStatus,
    /// The start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Millis>,
    /// The end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Millis>,
    /// The doctor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doctor: Option<Doctor>,
    /// The queue that the appointment's ticket is issued in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueId>,
    /// The name that staff use for the appointment: initials or a chart number, as the clinic
    /// decides. Only staff see the label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Why the appointment was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The location that the appointment moved to. It ends here and is booked there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<LocationId>,
}

impl AppointmentFact {
    /// Whether everything that the fact names belongs to `location`, or to the location that the
    /// appointment moves to.
    pub fn refers_only_to(&self, location: &LocationId) -> bool {
        let place = self.moved_to.as_ref().unwrap_or(location);
        self.queue.as_ref().is_none_or(|queue| queue.belongs_to(place))
    }
}

/// The change that a fact made, or why it changed nothing. Also a word of metrics, outcomes and the
/// journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AppointmentChange {
    /// The appointment is new, or booked again.
    Booked,
    /// Start or end changed.
    Rescheduled,
    /// The doctor, queue or label changed, or a status before `booked`.
    Modified,
    /// The patient has arrived.
    Arrived,
    /// The patient is checked in.
    CheckedIn,
    /// The appointment took place.
    Fulfilled,
    /// The appointment was cancelled.
    Cancelled,
    /// The patient never came.
    NoShow,
    /// The appointment never existed.
    EnteredInError,
    /// The appointment moved to another location.
    Moved,
    /// The front desk overrides the status; the rest was applied.
    Overruled,
    /// The appointment is moving; the fact is reported again once it has moved.
    Deferred,
    /// The fact was known already.
    Repeated,
    /// The fact is older than what is known.
    Stale,
}

impl AppointmentChange {
    /// Every change.
    pub const ALL: [AppointmentChange; 14] = [
        Self::Booked,
        Self::Rescheduled,
        Self::Modified,
        Self::Arrived,
        Self::CheckedIn,
        Self::Fulfilled,
        Self::Cancelled,
        Self::NoShow,
        Self::EnteredInError,
        Self::Moved,
        Self::Overruled,
        Self::Deferred,
        Self::Repeated,
        Self::Stale,
    ];

    /// The change as JSON spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Booked => "booked",
            Self::Rescheduled => "rescheduled",
            Self::Modified => "modified",
            Self::Arrived => "arrived",
            Self::CheckedIn => "checked_in",
            Self::Fulfilled => "fulfilled",
            Self::Cancelled => "cancelled",
            Self::NoShow => "no_show",
            Self::EnteredInError => "entered_in_error",
            Self::Moved => "moved",
            Self::Overruled => "overruled",
            Self::Deferred => "deferred",
            Self::Repeated => "repeated",
            Self::Stale => "stale",
        }
    }
}

/// The state behind the channel of one appointment: all that its patient sees.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct AppointmentView {
    /// The appointment.
    pub appointment: AppointmentId,
    /// The status.
    pub status: AppointmentStatus,
    /// The start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Millis>,
    /// The end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Millis>,
    /// Whether the start has passed and nobody has checked in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// The name of the doctor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doctor: Option<String>,
    /// Minutes that the doctor is behind, in steps of five, as of the last start. Only before the
    /// appointment starts.
    #[serde(default)]
    pub delay_min: u32,
    /// The start of the earliest appointment of the doctor whose patient waits here: once this
    /// moment has passed, the doctor is behind by at least the time since. Only before the
    /// appointment starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<Millis>,
    /// The ticket of the last visit, unless the appointment was booked anew since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<TicketId>,
    /// The label of that ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket_label: Option<String>,
    /// Every visit, in order: the check-ins and how they ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub visits: Vec<AppointmentVisit>,
    /// Why the appointment was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The location that the appointment is moving to, while that location has not answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving_to: Option<LocationId>,
    /// The appointment that continues at another location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<AppointmentId>,
    /// The clinic where the appointment is. An appointment on a later day keeps the state of the
    /// clinic at the appointment's last change.
    pub clinic: ClinicInfo,
}

/// One visit of an appointment: a check-in with its ticket.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct AppointmentVisit {
    /// The ticket.
    pub ticket: TicketId,
    /// The label of the ticket.
    pub label: String,
    /// How the visit ended. Absent while the ticket is live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<TicketState>,
}

/// The doctor in their schedule (key `schedule`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct ScheduleHead {
    /// The name of the doctor.
    pub doctor: String,
    /// The service day, `YYYY-MM-DD`.
    pub day: String,
    /// The IANA name of the location's time zone.
    pub time_zone: String,
    /// Minutes that the doctor is behind, in steps of five, as of the last start.
    pub delay_min: u32,
    /// The start of the earliest appointment whose patient waits here: once this moment has
    /// passed, the doctor is behind by at least the time since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_since: Option<Millis>,
}

/// One appointment in a schedule. The key is the id of the appointment.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct ScheduleEntry {
    /// The status.
    pub status: AppointmentStatus,
    /// The start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Millis>,
    /// The end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Millis>,
    /// Whether the start has passed and nobody has checked in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// The name that staff use for the appointment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Why the appointment was cancelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The ticket of the last visit, unless the appointment was booked anew since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<ScheduleTicket>,
}

/// The ticket of a checked-in appointment in a schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct ScheduleTicket {
    /// The label, such as `A-042`.
    pub label: String,
    /// The state.
    pub state: TicketState,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn status_and_change_names_match_their_json() {
        for status in AppointmentStatus::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        for change in AppointmentChange::ALL {
            assert_eq!(serde_json::to_value(change).unwrap(), change.as_str());
        }
    }

    #[test]
    fn debug_hides_the_appointment() {
        let id = AppointmentId::from_random(&LocationId::new("north").unwrap(), 7);
        assert!(!format!("{id:?}").contains("north"));
    }

    #[test]
    fn status_says_whether_the_appointment_ended_and_may_lack_times() {
        use AppointmentStatus as S;
        let with = |holds: fn(S) -> bool| S::ALL.into_iter().filter(move |status| holds(*status));
        let ends = [S::Fulfilled, S::Cancelled, S::Noshow, S::EnteredInError];
        assert!(with(S::is_end).eq(ends));
        let without_times = [S::Proposed, S::Cancelled, S::EnteredInError, S::Waitlist];
        assert!(with(S::may_lack_times).eq(without_times));
    }
}
