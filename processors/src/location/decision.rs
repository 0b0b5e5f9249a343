//! The result of a decision.

use schemas::{
    appointment::AppointmentChange,
    codes::Code,
    command::CommandResult,
    event::Event,
    ids::{AppointmentId, QueueId},
    record::CommandRecord,
};

use super::{Location, state::Queue};
use crate::{alerts::AlertChange, effect::Settlement};

/// A command that is applied. Every command except a tick has at least one event.
#[derive(Default)]
pub struct Decision {
    /// The events, in order.
    pub events: Vec<Event>,
    /// The result for the caller.
    pub result: CommandResult,
    /// Whether the result waits for another location.
    pub moving: bool,
    /// The commands that other locations must carry out next.
    pub follow_ups: Vec<CommandRecord>,
    /// The changes of devices that the command asks for.
    pub alerts: Vec<AlertChange>,
    /// The outcome that replaces `moving` as the outcome of an earlier command.
    pub settles: Option<Settlement<Result<CommandResult, Code>>>,
}

impl From<Event> for Decision {
    fn from(event: Event) -> Self {
        Self { events: vec![event], ..Self::default() }
    }
}

/// The queue with this id.
///
/// # Errors
/// When the location has no such queue.
pub(super) fn queue_of<'a>(state: &'a Location, id: &QueueId) -> Result<&'a Queue, Code> {
    state.header.queues.get(id).ok_or(Code::QueueUnknown)
}

/// The result of a command that reports or moves an appointment.
pub(super) fn result_of(appointment: &AppointmentId, change: AppointmentChange) -> CommandResult {
    CommandResult {
        appointment: Some(appointment.clone()),
        change: Some(change),
        ..CommandResult::default()
    }
}
