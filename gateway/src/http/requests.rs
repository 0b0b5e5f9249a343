//! Path and body of each command route, and the command it stands for.

use schemas::{
    codes::Code,
    command::Command,
    ids::{InvalidId, LocationId, QueueId, StationId, TicketId},
    load::Bands,
    ticket::Priority,
    timers::Timers,
};
use serde::{Deserialize, de::DeserializeOwned};

use super::Problem;
use crate::random;

/// What the path names.
pub(super) enum Target {
    Location(LocationId),
    Queue(QueueId),
    Station(StationId),
    Ticket(TicketId),
}

impl Target {
    /// The location whose log takes the command.
    pub(super) fn location(&self) -> LocationId {
        match self {
            Target::Location(id) => id.clone(),
            Target::Queue(id) => id.location(),
            Target::Station(id) => id.location(),
            Target::Ticket(id) => id.location(),
        }
    }
}

/// What PUT does to what its path names.
pub(super) const CONFIGURE: &str = "configure";

/// The command of `action` on `target` with this body.
pub(super) fn command(target: Target, action: &str, body: &[u8]) -> Result<Command, Problem> {
    match target {
        Target::Location(_) => location(body),
        Target::Station(station) => {
            let StationBody { name } = read(body, r#"{"name"}"#)?;
            Ok(Command::ConfigureStation { station, name })
        }
        Target::Queue(queue) => of_queue(queue, action, body),
        Target::Ticket(ticket) => of_ticket(ticket, action, body),
    }
}

fn location(body: &[u8]) -> Result<Command, Problem> {
    let LocationBody { name, time_zone, languages, timers, bands } =
        read(body, r#"{"name","time_zone","languages":[…],"timers"?,"bands"?}"#)?;
    Ok(Command::ConfigureLocation { name, time_zone, languages, timers, bands })
}

fn of_queue(queue: QueueId, action: &str, body: &[u8]) -> Result<Command, Problem> {
    use Command as C;
    match action {
        CONFIGURE => {
            let QueueBody { name, prefix, service_s } = read(body, r#"{"name","prefix","service_s"?}"#)?;
            Ok(C::ConfigureQueue { queue, name, prefix, service_s })
        }
        "tickets" => {
            let IssueBody { priority } = read(body, r#"{"priority"?}"#)?;
            let ticket = TicketId::from_random(&queue.location(), random::bits()?);
            Ok(C::IssueTicket { queue, ticket, priority: urgency(priority.unwrap_or_default())? })
        }
        "call-next" => Ok(C::CallNext { queue, station: station(body)? }),
        "open" => nothing(body, C::OpenQueue { queue }),
        "pause" => nothing(body, C::PauseQueue { queue }),
        "resume" => nothing(body, C::ResumeQueue { queue }),
        "close" => nothing(body, C::CloseQueue { queue }),
        "reorder" => {
            let ReorderBody { tickets } = read(body, r#"{"tickets":[…]}"#)?;
            let tickets = tickets.into_iter().map(TicketId::new).collect::<Result<_, _>>();
            Ok(C::ReorderQueue { queue, tickets: tickets.map_err(not_an_id)? })
        }
        _ => Err(Code::NotFound.into()),
    }
}

fn of_ticket(ticket: TicketId, action: &str, body: &[u8]) -> Result<Command, Problem> {
    use Command as C;
    match action {
        "call" => Ok(C::CallTicket { ticket, station: station(body)? }),
        "recall" => nothing(body, C::RecallTicket { ticket }),
        "start" => nothing(body, C::StartService { ticket }),
        "complete" => nothing(body, C::CompleteTicket { ticket }),
        "hold" => Ok(C::HoldTicket { ticket, reason: reason(body)? }),
        "resume" => nothing(body, C::ResumeTicket { ticket }),
        "absent" => nothing(body, C::MarkAbsent { ticket }),
        "return" => nothing(body, C::ReturnTicket { ticket }),
        "no-show" => nothing(body, C::MarkNoShow { ticket }),
        "cancel" => Ok(C::CancelTicket { ticket, reason: reason(body)? }),
        "leave" => nothing(body, C::LeaveTicket { ticket }),
        "transfer" => transfer(ticket, body),
        "prioritise" => {
            let PriorityBody { priority } = read(body, r#"{"priority"}"#)?;
            Ok(C::Prioritise { ticket, priority: urgency(priority)? })
        }
        "revert" => nothing(body, C::RevertTicket { ticket }),
        _ => Err(Code::NotFound.into()),
    }
}

/// To another location the ticket goes on under a new id, which is made here because a decision has no
/// randomness. The same command sent again is answered with the first one.
fn transfer(ticket: TicketId, body: &[u8]) -> Result<Command, Problem> {
    let TransferBody { queue } = read(body, r#"{"queue"}"#)?;
    let queue = QueueId::new(queue).map_err(not_an_id)?;
    let there = queue.location();
    let successor = match ticket.is_of(&there) {
        true => None,
        false => Some(TicketId::from_random(&there, random::bits()?)),
    };
    Ok(Command::TransferTicket { ticket, queue, successor })
}

fn station(body: &[u8]) -> Result<StationId, Problem> {
    let CallBody { station } = read(body, r#"{"station"}"#)?;
    StationId::new(station).map_err(not_an_id)
}

fn reason(body: &[u8]) -> Result<Option<String>, Problem> {
    read(body, r#"{"reason"?}"#).map(|ReasonBody { reason }| reason)
}

pub(super) fn nothing(body: &[u8], command: Command) -> Result<Command, Problem> {
    read(body, "{}").map(|Nothing {}| command)
}

fn urgency(priority: i64) -> Result<Priority, Problem> {
    u8::try_from(priority)
        .ok()
        .and_then(Priority::new)
        .ok_or_else(|| Problem::from(Code::InvalidValue).explained("a priority is 0 to 9"))
}

pub(super) fn not_an_id(error: InvalidId) -> Problem {
    Problem::from(Code::InvalidId).explained(error.to_string())
}

/// Reads a body, nothing being the same as `{}`. The problem says where reading failed and what was expected,
/// but quotes nothing: a body may name people.
pub(super) fn read<T: DeserializeOwned>(body: &[u8], expected: &str) -> Result<T, Problem> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| {
        let (line, column) = (error.line(), error.column());
        Problem::malformed(format!("expected {expected}; reading stopped at line {line}, column {column}"))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LocationBody {
    name: String,
    time_zone: String,
    languages: Vec<String>,
    #[serde(default)]
    timers: Timers,
    bands: Option<Bands>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct QueueBody {
    name: String,
    prefix: String,
    service_s: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct StationBody {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IssueBody {
    priority: Option<i64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PriorityBody {
    priority: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallBody {
    station: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReasonBody {
    reason: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TransferBody {
    queue: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReorderBody {
    tickets: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}
