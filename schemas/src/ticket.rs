//! A ticket's states, and what its patient sees.

use serde::{Deserialize, Serialize};

use crate::{
    Millis,
    ids::{QueueId, TicketId},
};

/// Where a ticket stands. `expected` belongs to appointments that have not been checked in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TicketState {
    Expected,
    Waiting,
    Called,
    InService,
    OnHold,
    Absent,
    Completed,
    NoShow,
    Cancelled,
    Left,
    Transferred,
}

impl TicketState {
    /// Whether the ticket is over; its last state stays readable for a day.
    pub fn is_end(self) -> bool {
        use TicketState::{Cancelled, Completed, Left, NoShow, Transferred};
        matches!(self, Completed | NoShow | Cancelled | Left | Transferred)
    }

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            TicketState::Expected => "expected",
            TicketState::Waiting => "waiting",
            TicketState::Called => "called",
            TicketState::InService => "in_service",
            TicketState::OnHold => "on_hold",
            TicketState::Absent => "absent",
            TicketState::Completed => "completed",
            TicketState::NoShow => "no_show",
            TicketState::Cancelled => "cancelled",
            TicketState::Left => "left",
            TicketState::Transferred => "transferred",
        }
    }
}

/// Whether a queue takes tickets and calls them. A paused queue takes tickets but calls nobody; a closed one
/// takes none and finishes its line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum QueueState {
    Open,
    Paused,
    Closed,
}

/// Urgency, 0 (usual) to 9 (first). Higher is called first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(try_from = "u8", into = "u8")]
pub struct Priority(u8);

impl Priority {
    pub const MAX: u8 = 9;

    pub fn new(value: u8) -> Option<Self> {
        (value <= Self::MAX).then_some(Self(value))
    }

    pub fn get(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Priority {
    type Error = &'static str;
    fn try_from(value: u8) -> Result<Self, Self::Error> {
        Self::new(value).ok_or("a priority is 0 to 9")
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> u8 {
        priority.0
    }
}

/// A call to a station: what the patient and the board must show.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct Call {
    /// The station's name, as people read it on a door.
    pub station: String,
    pub at: Millis,
    pub recalls: u32,
}

/// When a waiting patient will probably be called: two moments, so that a page counts down by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct Estimate {
    pub from: Millis,
    pub to: Millis,
}

/// Everything the channel of one ticket says, each time it says something. Nothing about anyone else.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct TicketView {
    /// Time of the record that led to this state.
    pub at: Millis,
    pub ticket: TicketId,
    pub label: String,
    pub queue: QueueId,
    pub queue_name: String,
    pub queue_state: QueueState,
    pub state: TicketState,
    pub issued_at: Millis,
    /// 1 = next; only while waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    /// People who will be called before, if nobody urgent comes; only while waiting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ahead: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Call>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The ticket that goes on at another location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<TicketId>,
}

/// The same, borrowed from where it is known: a line tells thousands of patients what they see, and copies
/// nothing for it. Its JSON is that of [`TicketView`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct TicketViewRef<'a> {
    pub at: Millis,
    pub ticket: &'a TicketId,
    pub label: &'a str,
    pub queue: &'a QueueId,
    pub queue_name: &'a str,
    pub queue_state: QueueState,
    pub state: TicketState,
    pub issued_at: Millis,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ahead: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimate: Option<Estimate>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub call: Option<CallRef<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub successor: Option<&'a TicketId>,
}

/// A [`Call`], borrowed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct CallRef<'a> {
    pub station: &'a str,
    pub at: Millis,
    pub recalls: u32,
}

impl TicketViewRef<'_> {
    /// A number that differs whenever what the patient sees differs; the record's time alone does not count.
    pub fn fingerprint(&self) -> u64 {
        use std::hash::BuildHasher;
        rustc_hash::FxBuildHasher.hash_one(TicketViewRef { at: 0, ..*self })
    }

    pub fn to_view(&self) -> TicketView {
        TicketView {
            at: self.at,
            ticket: self.ticket.clone(),
            label: self.label.to_owned(),
            queue: self.queue.clone(),
            queue_name: self.queue_name.to_owned(),
            queue_state: self.queue_state,
            state: self.state,
            issued_at: self.issued_at,
            position: self.position,
            ahead: self.ahead,
            estimate: self.estimate,
            call: self.call.map(|call| Call {
                station: call.station.to_owned(),
                at: call.at,
                recalls: call.recalls,
            }),
            reason: self.reason.map(str::to_owned),
            successor: self.successor.cloned(),
        }
    }
}

impl TicketView {
    pub fn as_view_ref(&self) -> TicketViewRef<'_> {
        TicketViewRef {
            at: self.at,
            ticket: &self.ticket,
            label: &self.label,
            queue: &self.queue,
            queue_name: &self.queue_name,
            queue_state: self.queue_state,
            state: self.state,
            issued_at: self.issued_at,
            position: self.position,
            ahead: self.ahead,
            estimate: self.estimate,
            call: self.call.as_ref().map(|call| CallRef {
                station: &call.station,
                at: call.at,
                recalls: call.recalls,
            }),
            reason: self.reason.as_deref(),
            successor: self.successor.as_ref(),
        }
    }
}

/// The single entry (key `ticket`) of the stored view `ticket:<id>`: the queue to look in while the ticket
/// lives, its last state once it ended.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TicketEntry {
    In(QueueId),
    Ended(Box<TicketView>),
}
