//! Appointments: what a source knows of one, what its patient sees of it, and how it stands in a doctor's day.
//!
//! The statuses are FHIR's (Appointment, R4 and R5, <https://hl7.org/fhir/valueset-appointmentstatus.html>).

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    Millis,
    codes::Code,
    ids::{AppointmentId, DoctorId, LocationId, QueueId, SourceId, TicketId},
    ticket::TicketState,
};

/// Key of the single entry of the view `appointment:<id>`.
pub const APPOINTMENT_KEY: &str = "appointment";
/// Key of the doctor's own entry in a schedule; every other key is an appointment's id.
pub const SCHEDULE_KEY: &str = "schedule";
/// Longest name a source may have for an appointment: it stands in an index.
pub const MAX_SOURCE_KEY: usize = 100;

/// FHIR's status of an appointment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum AppointmentStatus {
    Proposed,
    Pending,
    Booked,
    Arrived,
    Fulfilled,
    Cancelled,
    Noshow,
    EnteredInError,
    CheckedIn,
    Waitlist,
}

impl AppointmentStatus {
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

    /// FHIR's word.
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

    /// Whether nothing more is expected of the appointment.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Fulfilled | Self::Cancelled | Self::Noshow | Self::EnteredInError)
    }

    /// Whether it may lack its times (FHIR's invariant app-3; one that never was has none either).
    pub fn may_lack_times(self) -> bool {
        matches!(self, Self::Proposed | Self::Cancelled | Self::Waitlist | Self::EnteredInError)
    }
}

/// The name a source has for an appointment. It may identify a patient: `Debug` hides it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
pub struct SourceKey(String);

impl SourceKey {
    /// # Errors
    /// `invalid_value` for a text that is empty, longer than [`MAX_SOURCE_KEY`] bytes, or has control characters.
    pub fn new(text: impl Into<String>) -> Result<Self, Code> {
        let text = text.into();
        let good =
            (1..=MAX_SOURCE_KEY).contains(&text.len()) && !text.chars().any(char::is_control);
        if good { Ok(Self(text)) } else { Err(Code::InvalidValue) }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for SourceKey {
    type Error = Code;
    fn try_from(text: String) -> Result<Self, Code> {
        Self::new(text)
    }
}

impl From<SourceKey> for String {
    fn from(key: SourceKey) -> String {
        key.0
    }
}

impl fmt::Debug for SourceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SourceKey(…)")
    }
}

/// Whoever sees the patient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct Doctor {
    pub id: DoctorId,
    /// As patients read it on a door.
    pub name: String,
}

/// All a source knows of an appointment at one moment: never a part, so that facts may come late, twice or in any order
/// and the newest one alone tells everything.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct AppointmentFact {
    pub source: SourceId,
    /// With the source, what names the appointment.
    pub key: SourceKey,
    /// The source's own version of the appointment, or milliseconds of its last change: of two facts the greater is the
    /// newer, whichever came first. A source uses one of the two.
    pub revision: u64,
    pub status: AppointmentStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Millis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Millis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doctor: Option<Doctor>,
    /// The queue its ticket is to stand in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueId>,
    /// What staff call it: initials or a chart number, as the clinic decides. Shown to staff only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Why it was called off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// It takes place there now: over here, and booked there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_to: Option<LocationId>,
}

impl AppointmentFact {
    /// Whether everything the fact names is of `location`, or of where the appointment moves to.
    pub fn refers_only_to(&self, location: &LocationId) -> bool {
        let place = self.moved_to.as_ref().unwrap_or(location);
        self.queue.as_ref().is_none_or(|queue| queue.belongs_to(place))
    }
}

/// What a fact changed, or why it changed nothing. The word for metrics, outcomes and the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AppointmentChange {
    Booked,
    Rescheduled,
    /// Doctor, queue, label or a status before "booked".
    Modified,
    Arrived,
    CheckedIn,
    Fulfilled,
    Cancelled,
    NoShow,
    EnteredInError,
    /// To another location.
    Moved,
    /// The desk knows the status better; the rest was taken in.
    Overruled,
    /// Known already.
    Repeated,
    /// Older than what is known.
    Stale,
}

impl AppointmentChange {
    pub const ALL: [AppointmentChange; 13] = [
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
        Self::Repeated,
        Self::Stale,
    ];

    /// The word, as JSON spells it.
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
            Self::Repeated => "repeated",
            Self::Stale => "stale",
        }
    }
}

/// Everything the channel of one appointment says, each time it says something.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct AppointmentView {
    pub appointment: AppointmentId,
    pub status: AppointmentStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Millis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Millis>,
    /// Its time came and nobody has checked in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// The doctor's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doctor: Option<String>,
    /// Minutes the doctor is behind, in steps of five; only before the appointment begins.
    #[serde(default)]
    pub delay_min: u32,
    /// Its ticket and label, once checked in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<TicketId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket_label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The appointment that goes on at another location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<AppointmentId>,
}

/// The doctor, in their schedule (key `schedule`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct ScheduleHead {
    pub doctor: String,
    /// The service day, `YYYY-MM-DD`.
    pub day: String,
    /// IANA name of the location's time zone.
    pub time_zone: String,
    /// Minutes behind, in steps of five.
    pub delay_min: u32,
}

/// One appointment in a schedule (key: its id).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct ScheduleEntry {
    pub status: AppointmentStatus,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Millis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Millis>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<ScheduleTicket>,
}

/// The ticket of a checked-in appointment, as a schedule shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct ScheduleTicket {
    pub label: String,
    pub state: TicketState,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statuses_are_spelt_as_fhir_spells_them() {
        for status in AppointmentStatus::ALL {
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        for change in AppointmentChange::ALL {
            assert_eq!(serde_json::to_value(change).unwrap(), change.as_str());
        }
    }

    #[test]
    fn a_key_and_an_appointment_hide_themselves() {
        let key = SourceKey::new("ROYM80123456").unwrap();
        assert!(!format!("{key:?}").contains("ROYM"));
        let id = AppointmentId::from_random(&LocationId::new("north").unwrap(), 7);
        assert!(!format!("{id:?}").contains("north"));
        for bad in ["", "a\nb", &"x".repeat(MAX_SOURCE_KEY + 1)] {
            assert_eq!(SourceKey::new(bad), Err(Code::InvalidValue));
        }
    }
}
