//! Moves to another location, in two steps with an answer: the person or the booking stays where it
//! is until the destination has accepted.
//!
//! The origin sends `receive` to the destination, which answers with `settle`. When the origin
//! takes the move back (a time limit, an undo, a departure), it sends `withdraw`, and the
//! destination alone decides whether the person is there already. So exactly one of the two ends.

use serde::{Deserialize, Serialize};

use crate::{
    Millis,
    attempt::AttemptNumber,
    codes::Code,
    identity::CommandIdentity,
    ids::{AppointmentId, CommandId, QueueId, TicketId},
};

/// The move of a ticket to another location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct TicketHandover {
    /// The queue to move to.
    pub queue: QueueId,
    /// The ticket that continues there once the destination has accepted.
    pub successor: TicketId,
    /// When the origin stops waiting for an answer.
    pub until: Millis,
    /// The command that asked for the move. Its outcome is `moving` until the move is settled.
    pub command: CommandIdentity,
    /// The answer that the origin waits for.
    pub stage: HandoverStage,
}

/// The move of an appointment to another location.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct AppointmentHandover {
    /// The appointment that continues there, unless the destination knows the booking already.
    pub successor: AppointmentId,
    /// The command that reported the move. Its outcome is `moving` until the move is settled.
    pub command: CommandIdentity,
    /// The id of the command that asked the destination first.
    pub asked_by: CommandId,
}

/// The question of an origin whether the destination has booked an appointment. The answer names
/// it, so that no answer counts for a later question or move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct MoveQuestion {
    /// The id of the command that asked first.
    pub first: CommandId,
    /// How often the question was repeated.
    pub attempt: AttemptNumber,
}

/// The answer that the origin of a ticket's move waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum HandoverStage {
    /// The answer to `receive`. Until then the origin keeps the place.
    Leaving,
    /// The answer to `withdraw`, which the origin sent for this reason.
    Withdrawing(Code),
}

/// The answer of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum HandoverAnswer {
    /// To `receive`: the successor is in line, or the booking is known.
    Accepted,
    /// To `receive`: refused with this code. To `withdraw`: the successor has ended, or never came
    /// to be and never will.
    Refused(Code),
    /// To `withdraw`: too late, the successor is called, served or has moved on.
    Kept,
}
