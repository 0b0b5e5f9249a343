//! The history of tickets: one stay for each time that a ticket spends in one state, queue and
//! room. A stay names nobody: it has the label that the boards show, and no field of an
//! appointment.

use serde::{Deserialize, Serialize};

use crate::{
    Millis,
    ids::{QueueId, StationId, TicketId},
    ticket::TicketState,
};

/// The time of a ticket in one state, queue and room. An undo begins another stay, because history
/// is never rewritten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct Stay {
    /// The ticket.
    pub ticket: TicketId,
    /// The number of the stay among those of its ticket, from 1 on.
    pub number: u32,
    /// The label of the ticket.
    pub label: String,
    /// The queue.
    pub queue: QueueId,
    /// The state.
    pub state: TicketState,
    /// When the stay began.
    pub from: Millis,
    /// When the stay ended. Absent while it lasts, and for the last state of an ended ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Millis>,
    /// The station of the call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub station: Option<StationId>,
    /// Why the ticket is on hold or has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The place of a stay in a history. Later stays have greater places.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct StayPlace {
    /// When the stay began.
    pub from: Millis,
    /// The ticket.
    pub ticket: TicketId,
    /// The number of the stay among those of its ticket.
    pub number: u32,
}

impl Stay {
    /// The place in a history.
    pub fn place(&self) -> StayPlace {
        StayPlace { from: self.from, ticket: self.ticket.clone(), number: self.number }
    }
}
