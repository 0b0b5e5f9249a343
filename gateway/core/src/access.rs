//! Who may open which channel and give which command: one table. What stands nowhere in it is denied.

use std::{fmt, sync::Arc};

use schemas::{
    Millis,
    channel::Channel,
    codes::Code,
    command::Command,
    ids::{LocationId, QueueId, TenantId, TicketId},
};
use serde::{Deserialize, Serialize};

/// What somebody is to a clinic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Patient,
    Display,
    Reception,
    Doctor,
    Admin,
}

impl Role {
    pub const ALL: [Role; 5] = [Role::Patient, Role::Display, Role::Reception, Role::Doctor, Role::Admin];

    /// The word in tokens and in the journal.
    pub fn as_str(self) -> &'static str {
        match self {
            Role::Patient => "patient",
            Role::Display => "display",
            Role::Reception => "reception",
            Role::Doctor => "doctor",
            Role::Admin => "admin",
        }
    }
}

/// What a verified token says of its bearer.
#[derive(Clone, PartialEq, Eq)]
pub struct Claims {
    pub tenant: TenantId,
    /// A pseudonym of the token's issuer; it goes to the journal, never to a log.
    pub subject: Arc<str>,
    pub role: Role,
    pub locations: Vec<LocationId>,
    pub queues: Vec<QueueId>,
    pub tickets: Vec<TicketId>,
    pub expires: Millis,
}

/// Never the subject, nor an id that a patient holds.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("tenant", &self.tenant)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// How far a role reaches for one kind of thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Nothing,
    /// The tickets the token lists.
    OwnTickets,
    /// Whatever belongs to the locations the token lists.
    OwnLocations,
    /// The queues the token lists.
    OwnQueues,
    /// Everything of the token's tenant.
    Tenant,
}

const N: Reach = Reach::Nothing;
const O: Reach = Reach::OwnTickets;
const L: Reach = Reach::OwnLocations;
const Q: Reach = Reach::OwnQueues;
const T: Reach = Reach::Tenant;

/// The kinds of channels, then the kinds of commands; the columns are those of [`Role::ALL`]:
/// patient, display, reception, doctor, admin.
///
/// A doctor reaches queues by assignment but tickets by location: a ticket's id does not tell its queue, and
/// asking the ticket's state here would judge by a state that may be old. What a doctor sees of a ticket of
/// another queue is what the board of that location and the ticket's own screen show anyway; a command on it
/// is journalled under the doctor's subject.
const TABLE: &[(&str, [Reach; 5])] = &[
    ("ticket", [O, N, L, L, T]),
    ("queue", [N, N, L, Q, T]),
    ("board", [N, L, L, L, T]),
    ("location.configure", [N, N, N, N, T]),
    ("queue.configure", [N, N, N, N, T]),
    ("station.configure", [N, N, N, N, T]),
    ("queue.open", [N, N, L, N, T]),
    ("queue.pause", [N, N, L, Q, T]),
    ("queue.resume", [N, N, L, Q, T]),
    ("queue.close", [N, N, L, N, T]),
    ("queue.reorder", [N, N, L, N, T]),
    ("queue.call_next", [N, N, L, Q, T]),
    ("ticket.issue", [N, N, L, N, T]),
    ("ticket.call", [N, N, L, L, T]),
    ("ticket.recall", [N, N, L, L, T]),
    ("ticket.start", [N, N, L, L, T]),
    ("ticket.complete", [N, N, L, L, T]),
    ("ticket.hold", [N, N, L, L, T]),
    ("ticket.resume", [N, N, L, L, T]),
    ("ticket.absent", [N, N, L, L, T]),
    ("ticket.return", [N, N, L, L, T]),
    ("ticket.no_show", [N, N, L, L, T]),
    ("ticket.cancel", [N, N, L, N, T]),
    ("ticket.leave", [O, N, L, N, T]),
    ("ticket.transfer", [N, N, L, L, T]),
    ("ticket.prioritise", [N, N, L, N, T]),
    ("ticket.revert", [N, N, L, L, T]),
];

fn reach(role: Role, kind: &str) -> Reach {
    let row = TABLE.iter().find(|(name, _)| *name == kind);
    row.map_or(Reach::Nothing, |(_, columns)| columns[role as usize])
}

impl Claims {
    /// Whether the role reaches things of `kind` there. `location` is the one the thing belongs to.
    fn reaches(
        &self,
        kind: &str,
        location: &LocationId,
        queue: Option<&QueueId>,
        ticket: Option<&TicketId>,
    ) -> Result<(), Code> {
        let reached = match reach(self.role, kind) {
            Reach::Nothing => false,
            Reach::OwnTickets => {
                ticket.is_some_and(|ticket| ticket.is_of(location) && self.tickets.contains(ticket))
            }
            Reach::OwnLocations => self.locations.contains(location),
            Reach::OwnQueues => {
                queue.is_some_and(|queue| queue.is_of(location) && self.queues.contains(queue))
            }
            Reach::Tenant => true,
        };
        if reached { Ok(()) } else { Err(Code::Forbidden) }
    }
}

/// Whether the bearer may open `channel`.
///
/// # Errors
/// `forbidden` otherwise, whether or not the channel exists.
pub fn may_open(claims: &Claims, channel: &Channel) -> Result<(), Code> {
    let (queue, ticket) = match channel {
        Channel::Ticket(ticket) => (None, Some(ticket)),
        Channel::Queue(queue) => (Some(queue), None),
        Channel::Board(_) => (None, None),
    };
    claims.reaches(channel.kind(), &channel.location(), queue, ticket)
}

/// Whether the bearer may give `command` to a location. Whether its ids belong there is the record's rule.
///
/// # Errors
/// `forbidden` otherwise, whether or not anything it names exists.
pub fn may_command(claims: &Claims, aggregate_location: &LocationId, command: &Command) -> Result<(), Code> {
    use Command as C;
    let queue = match command {
        C::OpenQueue { queue }
        | C::PauseQueue { queue }
        | C::ResumeQueue { queue }
        | C::CloseQueue { queue }
        | C::ReorderQueue { queue, .. }
        | C::IssueTicket { queue, .. }
        | C::CallNext { queue, .. } => Some(queue),
        _ => None,
    };
    claims.reaches(command.kind(), aggregate_location, queue, command.ticket())?;
    match command {
        // A transfer issues a ticket where it leads to: whoever may not act there may not send people there.
        C::TransferTicket { queue, .. } if !queue.is_of(aggregate_location) => {
            claims.reaches(command.kind(), &queue.location(), Some(queue), None)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
