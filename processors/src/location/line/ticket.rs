//! A ticket, and what an undo of its last step needs.

use std::collections::BTreeSet;

use schemas::{
    Millis,
    event::TicketStatus,
    figures::Figure,
    handover::TicketHandover,
    ids::{AppointmentId, DoctorId, QueueId, TicketId},
    line::LinePlace,
    push::DeviceId,
    ticket::TicketState,
};
use serde::{Deserialize, Serialize};

use crate::location::{
    history::{CurrentStay, LineTime},
    question::Question,
    state::{RecentCall, ServiceTime},
};

/// One person's place in a queue. `Debug` is left out on purpose, so that no part of a ticket
/// appears in a log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// The id of the ticket.
    pub id: TicketId,
    /// The label that the patient and the board show.
    pub label: String,
    /// The service day that counted the label.
    pub day: String,
    /// When the ticket was issued.
    pub issued_at: Millis,
    /// The appointment that the ticket checked in.
    pub appointment: Option<AppointmentId>,
    /// Why staff issued the ticket although check-in was not open, if they did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_reason: Option<String>,
    /// When the ticket last moved. Its timers count from here.
    pub moved_at: Millis,
    /// The queue, the state and the other values that a move changes.
    pub standing: TicketStatus,
    /// The last step, as long as it can be undone.
    pub undo: Option<Undo>,
    /// The ticket at another location that this one continues.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<TicketId>,
    /// The move to another location that is not settled yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handover: Option<TicketMove>,
    /// Whether the person stays here although the ticket's origin takes the move back. Set once
    /// this location has decided it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stays: Option<bool>,
    /// The standing to which a leaving ticket returns, unless the destination accepts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back: Option<TicketStatus>,
    /// How many moves to other locations were begun, also refused ones.
    #[serde(default)]
    pub moves: u32,
    /// How often the patient let others go first.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub yields: u32,
    /// The doctor of the appointment when the ticket was issued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doctor: Option<DoctorId>,
    /// The stay that the ticket is in.
    #[serde(default)]
    pub stay: CurrentStay,
    /// Since when the ticket is in its queue. Rows of older versions lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<LineTime>,
    /// The devices that are alerted.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub devices: BTreeSet<DeviceId>,
    /// The version of the view `ticket:<id>`.
    pub view: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// The move of a ticket to another location that is not settled yet.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketMove {
    /// Where the ticket moves to, and who asked for it.
    pub handover: TicketHandover,
    /// The version of the step that began the move.
    pub began: u64,
    /// The question to the destination. `None` before the time limit of the move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<Question>,
}

impl Ticket {
    /// Whether the ticket is live, or its move to another location is not settled. A location
    /// keeps such tickets in memory.
    pub fn is_unfinished(&self) -> bool {
        self.is_live() || self.handover.is_some()
    }

    /// Whether the ticket has not ended.
    pub fn is_live(&self) -> bool {
        !self.standing.state.is_end()
    }

    /// The queue of another location that the ticket is moving to.
    pub(crate) fn moving_to(&self) -> Option<&QueueId> {
        let leaving = self.standing.state == TicketState::Leaving;
        self.handover.as_ref().filter(|_| leaving).map(|moving| &moving.handover.queue)
    }

    /// The place of the ticket in its line, valid while the ticket waits.
    pub(crate) fn place(&self) -> LinePlace {
        LinePlace::new(self.id.clone(), self.standing.priority, self.standing.rank)
    }
}

/// The last step of a ticket, as long as it can be undone.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// The version of the step.
    pub version: u64,
    /// The standing before the step.
    pub standing: TicketStatus,
    /// The changes outside the ticket.
    #[serde(default, skip_serializing_if = "StepTrace::is_empty")]
    pub trace: StepTrace,
}

/// The changes of a step outside its ticket.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct StepTrace {
    /// The count that rose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<LoadCount>,
    /// The last calls before the step, which was a call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<LastCalls>,
    /// The service time of the queue before the step, which ended a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceTime>,
    /// The delay of the doctor before the step, which started a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay: Option<LastDelay>,
    /// How the step changed the recent calls of the board.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recent: Option<RecentChange>,
    /// The figures that the step counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub figures: Vec<Figure>,
    /// Since when the ticket was in its queue before the step, which changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<LineTime>,
}

impl StepTrace {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A count of the load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadCount {
    /// Calls.
    Called,
    /// Services that ended.
    Served,
    /// Patients who never came.
    NoShow,
}

/// The last call of a queue and of a station, each with its version.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastCalls {
    pub(crate) queue: (Option<Millis>, u64),
    pub(crate) station: (Option<QueueId>, u64),
}

impl LastCalls {
    /// The queue from which the station called before.
    pub(crate) fn served(&self) -> Option<&QueueId> {
        self.station.0.as_ref()
    }
}

/// The delay of a doctor, with the version that set it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastDelay {
    pub(crate) doctor: DoctorId,
    pub(crate) delay_min: u32,
    pub(crate) version: u64,
}

impl LastDelay {
    pub(crate) fn doctor(&self) -> &DoctorId {
        &self.doctor
    }
}

/// A change of the recent calls.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecentChange {
    /// The call was added, and this one made room for it.
    Added(Option<RecentCall>),
    /// The call was removed.
    Removed,
}
