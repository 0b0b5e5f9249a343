//! The outcome of a command.

use serde::{Deserialize, Serialize};

use crate::{
    Millis,
    appointment::AppointmentChange,
    codes::Code,
    ids::{AppointmentId, CommandId, StationId, TicketId},
};

/// The outcome of a command. A repeat of the command, with the same content, gets the same outcome.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct CommandOutcome {
    /// The id of the command.
    pub command: CommandId,
    /// Time of the command's record.
    pub at: Millis,
    /// Whether the command was applied.
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// Whether a command was applied, under which version, or refused, with which code.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Verdict {
    /// The command was applied here and waits for another location. Replaced by another verdict
    /// when that location has answered.
    Moving {
        /// The epoch. A decimal string in JSON, because it can pass 2^53.
        #[serde(with = "crate::view::decimal")]
        #[cfg_attr(any(test, feature = "json-schema"), schemars(with = "String"))]
        epoch: u64,
        /// The version that the command has.
        version: u64,
        /// The result for the caller.
        #[serde(default, skip_serializing_if = "CommandResult::is_empty")]
        result: CommandResult,
    },
    /// The command was applied.
    Applied {
        /// The epoch. A decimal string in JSON, because it can pass 2^53.
        #[serde(with = "crate::view::decimal")]
        #[cfg_attr(any(test, feature = "json-schema"), schemars(with = "String"))]
        epoch: u64,
        /// The version that the command has.
        version: u64,
        /// The result for the caller.
        #[serde(default, skip_serializing_if = "CommandResult::is_empty")]
        result: CommandResult,
    },
    /// The command was refused.
    Refused {
        /// Why.
        code: Code,
    },
}

/// The result of an applied command for its caller.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct CommandResult {
    /// The ticket that was issued or called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<TicketId>,
    /// The label of that ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The station that the ticket was called to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub station: Option<StationId>,
    /// The appointment that was reported or checked in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appointment: Option<AppointmentId>,
    /// The change that the fact about an appointment made, or why it changed nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<AppointmentChange>,
}

impl CommandResult {
    /// Whether the command returns nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_is_empty_until_it_has_something() {
        assert!(CommandResult::default().is_empty());
        let change = Some(AppointmentChange::Booked);
        assert!(!CommandResult { change, ..CommandResult::default() }.is_empty());
    }
}
