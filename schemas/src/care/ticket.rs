//! Tickets: their states, and what their patients see.

use serde::{Deserialize, Serialize};

use crate::{
    Millis,
    clinic::ClinicInfo,
    ids::{QueueId, TicketId},
};

/// The state of a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TicketState {
    /// The patient has an appointment and has not checked in.
    Expected,
    /// The patient waits to be called.
    Waiting,
    /// The patient was called to a station.
    Called,
    /// The patient is with the clinician.
    InService,
    /// Staff set the ticket aside.
    OnHold,
    /// The patient was called and was not there.
    Absent,
    /// The patient is on the way to another location, which has not accepted yet. The place in line
    /// is kept.
    Leaving,
    /// Ended: the service is over.
    Completed,
    /// Ended: the patient never came.
    NoShow,
    /// Ended: the clinic or the patient cancelled the ticket.
    Cancelled,
    /// Ended: the patient left.
    Left,
    /// Ended: another ticket continues at another location.
    Transferred,
}

impl TicketState {
    /// Every state.
    pub const ALL: &'static [TicketState] = &[
        TicketState::Expected,
        TicketState::Waiting,
        TicketState::Called,
        TicketState::InService,
        TicketState::OnHold,
        TicketState::Absent,
        TicketState::Completed,
        TicketState::NoShow,
        TicketState::Cancelled,
        TicketState::Left,
        TicketState::Transferred,
    ];

    /// Whether the ticket has ended. The last state of a ticket stays readable for a day.
    pub fn is_end(self) -> bool {
        use TicketState::{Cancelled, Completed, Left, NoShow, Transferred};
        matches!(self, Completed | NoShow | Cancelled | Left | Transferred)
    }

    /// The state that JSON spells like this.
    pub fn parse(name: &str) -> Option<Self> {
        let known = Self::ALL.iter().chain(&[Self::Leaving]);
        known.copied().find(|state| state.as_str() == name)
    }

    /// The state as JSON spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            TicketState::Expected => "expected",
            TicketState::Waiting => "waiting",
            TicketState::Called => "called",
            TicketState::InService => "in_service",
            TicketState::OnHold => "on_hold",
            TicketState::Absent => "absent",
            TicketState::Leaving => "leaving",
            TicketState::Completed => "completed",
            TicketState::NoShow => "no_show",
            TicketState::Cancelled => "cancelled",
            TicketState::Left => "left",
            TicketState::Transferred => "transferred",
        }
    }
}

/// The state of a queue: whether tickets are issued and called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum QueueState {
    /// Tickets are issued and called.
    Open,
    /// Tickets are issued, but nobody is called.
    Paused,
    /// No ticket is issued. Patients who already wait are still called.
    Closed,
}

/// The priority of a ticket, from 0 (routine) to 9 (most urgent). A higher priority is called
/// first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[cfg_attr(any(test, feature = "json-schema"), schemars(extend("maximum" = Priority::MAX)))]
#[serde(try_from = "u8", into = "u8")]
pub struct Priority(u8);

impl Priority {
    /// The most urgent priority.
    pub const MAX: u8 = 9;

    /// A priority from 0 to [`Priority::MAX`]. `None` for a larger number.
    pub fn new(value: u8) -> Option<Self> {
        (value <= Self::MAX).then_some(Self(value))
    }

    /// The priority as a number.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Priority {
    type Error = &'static str;
    fn try_from(value: u8) -> Result<Self, Self::Error> {
        Self::new(value).ok_or("a priority must be from 0 to 9")
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> u8 {
        priority.0
    }
}

/// A call of a ticket to a station, as its patient sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct Call {
    /// The name of the station, as people read it on a door.
    pub station: String,
    /// When the ticket was called.
    pub at: Millis,
    /// How often the call was repeated.
    pub recalls: u32,
}

/// When a waiting patient will probably be called. Two moments in place of durations, so a page
/// counts down without a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct Estimate {
    /// The earliest likely moment.
    pub from: Millis,
    /// The latest likely moment.
    pub to: Millis,
}

/// Why nobody can say when a waiting patient will be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum NoEstimate {
    /// The queue is paused.
    Paused,
    /// No station that serves the queue is open.
    NoOpenStation,
    /// The queue has called nobody yet.
    NotStarted,
}

/// The state behind the channel of one ticket: all that its patient sees, and nothing about anyone
/// else.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct TicketView {
    /// Time of the record that led to this state.
    pub at: Millis,
    /// The ticket's id.
    pub ticket: TicketId,
    /// The label that is shown and called, such as `A-042`.
    pub label: String,
    /// The queue that the ticket is in.
    pub queue: QueueId,
    /// The name of the queue.
    pub queue_name: String,
    /// The state of the queue.
    pub queue_state: QueueState,
    /// Why the queue is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_message: Option<String>,
    /// The state of the ticket.
    pub state: TicketState,
    /// When the ticket was issued.
    pub issued_at: Millis,
    /// The place in the queue, 1 for the next to be called. Only while waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// How many people will be called before, if nobody more urgent comes. Only while waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead: Option<u32>,
    /// When the patient will probably be called. Only while waiting in a queue that calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    /// Why a waiting patient has no estimate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_estimate: Option<NoEstimate>,
    /// The call to a station, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Call>,
    /// Why the ticket is on hold or has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The queue of another location that the ticket is moving to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving_to: Option<QueueId>,
    /// The ticket that continues at another location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<TicketId>,
    /// The clinic that the ticket is of.
    pub clinic: ClinicInfo,
}

/// A borrowed [`TicketView`] with the same JSON. A queue's line derives thousands of them from one
/// change without a copy.
#[expect(missing_docs, reason = "the fields are those of TicketView")]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct TicketViewRef<'a> {
    pub at: Millis,
    pub ticket: &'a TicketId,
    pub label: &'a str,
    pub queue: &'a QueueId,
    pub queue_name: &'a str,
    pub queue_state: QueueState,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue_message: Option<&'a str>,
    pub state: TicketState,
    pub issued_at: Millis,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ahead: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_estimate: Option<NoEstimate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<CallRef<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moving_to: Option<&'a QueueId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub successor: Option<&'a TicketId>,
    pub clinic: &'a ClinicInfo,
}

/// A borrowed [`Call`] with the same JSON.
#[expect(missing_docs, reason = "the fields are those of Call")]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct CallRef<'a> {
    pub station: &'a str,
    pub at: Millis,
    pub recalls: u32,
}

impl TicketViewRef<'_> {
    /// A hash of all that the patient sees. The time of the record is left out, because it changes
    /// alone without the patient seeing a difference.
    pub fn fingerprint(&self) -> u64 {
        use std::hash::BuildHasher;
        rustc_hash::FxBuildHasher.hash_one(TicketViewRef { at: 0, ..*self })
    }

    /// Copies the view.
    pub fn to_view(&self) -> TicketView {
        TicketView {
            at: self.at,
            ticket: self.ticket.clone(),
            label: self.label.to_owned(),
            queue: self.queue.clone(),
            queue_name: self.queue_name.to_owned(),
            queue_state: self.queue_state,
            queue_message: self.queue_message.map(str::to_owned),
            state: self.state,
            issued_at: self.issued_at,
            position: self.position,
            ahead: self.ahead,
            estimate: self.estimate,
            no_estimate: self.no_estimate,
            call: self.call.map(|call| Call {
                station: call.station.to_owned(),
                at: call.at,
                recalls: call.recalls,
            }),
            reason: self.reason.map(str::to_owned),
            moving_to: self.moving_to.cloned(),
            successor: self.successor.cloned(),
            clinic: self.clinic.clone(),
        }
    }
}

impl TicketView {
    /// Borrows the view.
    pub fn as_view_ref(&self) -> TicketViewRef<'_> {
        TicketViewRef {
            at: self.at,
            ticket: &self.ticket,
            label: &self.label,
            queue: &self.queue,
            queue_name: &self.queue_name,
            queue_state: self.queue_state,
            queue_message: self.queue_message.as_deref(),
            state: self.state,
            issued_at: self.issued_at,
            position: self.position,
            ahead: self.ahead,
            estimate: self.estimate,
            no_estimate: self.no_estimate,
            call: self.call.as_ref().map(|call| CallRef {
                station: &call.station,
                at: call.at,
                recalls: call.recalls,
            }),
            reason: self.reason.as_deref(),
            moving_to: self.moving_to.as_ref(),
            successor: self.successor.as_ref(),
            clinic: &self.clinic,
        }
    }
}

/// The single entry (key `ticket`) of the stored view `ticket:<id>`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TicketEntry {
    /// The ticket is live. Its state follows from the view of this queue.
    In(QueueId),
    /// The ticket has ended, with this last state.
    Ended(Box<TicketView>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_read_as_they_are_written() {
        use TicketState as S;
        let ends = [S::Completed, S::NoShow, S::Cancelled, S::Left, S::Transferred];
        for state in S::ALL.iter().copied().chain([S::Leaving]) {
            assert_eq!(S::parse(state.as_str()), Some(state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
            assert_eq!(state.is_end(), ends.contains(&state), "{state:?}");
        }
        assert_eq!(S::parse("lost"), None);
    }

    #[test]
    fn priorities_end_at_nine() {
        for value in 0..=Priority::MAX {
            let priority = Priority::new(value).unwrap();
            assert_eq!((priority.get(), u8::from(priority)), (value, value));
            assert_eq!(Priority::try_from(value), Ok(priority));
        }
        assert_eq!(Priority::new(10), None);
        assert!(serde_json::from_str::<Priority>("10").is_err());
    }
}
