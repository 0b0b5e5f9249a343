//! The table of rights in words, for descriptions of the API.

use super::{
    role::Role,
    table::{Reach, reach},
};

impl Reach {
    /// The things on which a role with this reach may carry the action out.
    fn words(self) -> &'static str {
        match self {
            Reach::Nothing => "nothing",
            Reach::OwnTickets => "the tickets of the token",
            Reach::OwnAppointments => "the appointments of the token",
            Reach::OwnSchedule => "the schedule of the token's doctor",
            Reach::OwnLocations => "the locations of the token",
            Reach::OwnQueues => "the queues of the token",
            Reach::OwnRuns => "the runs that it started",
            Reach::OwnName => "its own name",
            Reach::Tenant => "the whole tenant",
            Reach::Listed => "the locations of the token, or the whole tenant without a list",
        }
    }
}

/// Every role that may open a channel of this kind or do this, with what it reaches, in words.
pub fn roles_of(kind: &str) -> impl Iterator<Item = (Role, &'static str)> {
    let reached = Role::ALL.into_iter().map(move |role| (role, reach(role, kind)));
    reached.filter(|(_, reach)| *reach != Reach::Nothing).map(|(role, reach)| (role, reach.words()))
}
