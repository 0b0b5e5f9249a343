//! The location `riverside` of the tenant `demo`: [`SampleLocation`] as plain functions.

use schemas::{
    appointment::{AppointmentFact, AppointmentStatus},
    command::Command,
    ids::{Aggregate, AppointmentId, LocationId, QueueId, StationId, TicketId},
    record::CommandRecord,
};

use super::SampleLocation;

/// The location itself.
#[must_use]
pub fn here() -> SampleLocation {
    SampleLocation::default()
}

#[must_use]
pub fn location() -> LocationId {
    here().id
}

#[must_use]
pub fn aggregate() -> Aggregate {
    here().aggregate()
}

#[must_use]
pub fn queue(slug: &str) -> QueueId {
    here().queue(slug)
}

#[must_use]
pub fn station(slug: &str) -> StationId {
    here().station(slug)
}

#[must_use]
pub fn ticket(number: u128) -> TicketId {
    here().ticket(number)
}

#[must_use]
pub fn appointment(number: u128) -> AppointmentId {
    here().appointment(number)
}

#[must_use]
pub fn record(id: &str, command: Command) -> CommandRecord {
    here().record(id, command)
}

#[must_use]
pub fn opening() -> Vec<Command> {
    here().opening()
}

#[must_use]
pub fn full_opening() -> Vec<Command> {
    here().full_opening()
}

#[must_use]
pub fn issue(queue: &str, number: u128) -> Command {
    here().issue(queue, number)
}

#[must_use]
pub fn call_next(queue: &str, station: &str) -> Command {
    here().call_next(queue, station)
}

#[must_use]
pub fn leave(number: u128) -> Command {
    here().leave(number)
}

#[must_use]
pub fn fact(number: u128, revision: u64, status: AppointmentStatus) -> AppointmentFact {
    here().fact(number, revision, status)
}
