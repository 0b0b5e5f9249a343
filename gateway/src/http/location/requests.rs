//! Converts the path and body of each command route to a command.

pub(in crate::http) mod bodies;

use schemas::{
    appointment::AppointmentStatus,
    appointment_report::AppointmentReport,
    branding::Branding,
    codes::Code,
    command::Command,
    ids::{
        AppointmentId, CheckInPointId, LocationId, MAX_SOURCE_KEY, QueueId, StationId, TicketId,
    },
    privacy::Privacy,
    ticket::Priority,
};

use crate::{
    http::{
        Problem,
        shared::body::{not_an_id, nothing, parse, read},
    },
    random,
};
use bodies::{
    BrandingBody, CallBody, CheckInBody, EndpointBody, ForceBody, IssueBody, LocationBody,
    MessagesBody, OrderBody, PauseBody, PriorityBody, PrivacyBody, QueueBody, ReasonBody,
    ReorderBody, StationBody, TransferBody,
};

/// The target of a command, from the path.
pub(in crate::http) enum CommandTarget {
    Location(LocationId),
    Queue(QueueId),
    Station(StationId),
    Ticket(TicketId),
    CheckInPoint(CheckInPointId),
}

impl CommandTarget {
    /// The location that decides the command.
    pub(in crate::http) fn location(&self) -> LocationId {
        match self {
            CommandTarget::Location(id) => id.clone(),
            CommandTarget::Queue(id) => id.location(),
            CommandTarget::Station(id) => id.location(),
            CommandTarget::Ticket(id) => id.location(),
            CommandTarget::CheckInPoint(id) => id.location(),
        }
    }
}

/// The action of PUT on its target.
pub(in crate::http) const CONFIGURE: &str = "configure";

/// Converts `action` on `target` with this body to a command.
pub(in crate::http) fn command(
    target: CommandTarget,
    action: &str,
    body: &[u8],
) -> Result<Command, Problem> {
    match target {
        CommandTarget::Location(_) => location(body),
        CommandTarget::Station(station) => of_station(station, action, body),
        CommandTarget::Queue(queue) => of_queue(queue, action, body),
        CommandTarget::Ticket(ticket) => of_ticket(ticket, action, body),
        CommandTarget::CheckInPoint(point) => of_check_in_point(point, action, body),
    }
}

fn location(body: &[u8]) -> Result<Command, Problem> {
    const EXPECTED: &str = concat!(
        r#"{"name","time_zone","languages":[…],"timers"?,"bands"?,"call_order"?,"#,
        r#""address"?,"edition"?}"#
    );
    let LocationBody { name, time_zone, languages, timers, bands, call_order, address, edition } =
        read(body, EXPECTED)?;
    Ok(Command::ConfigureLocation {
        name,
        time_zone,
        languages,
        timers,
        bands,
        call_order,
        address,
        edition,
    })
}

/// Reads what lines and boards show.
pub(in crate::http) fn privacy(body: &[u8]) -> Result<Command, Problem> {
    const EXPECTED: &str = concat!(
        r#"{"lines":{"start"?,"doctor"?,"name"?},"#,
        r#""boards":{"waiting"?,"earlier"?,"doctor"?,"name"?},"edition"?}"#
    );
    let PrivacyBody { lines, boards, edition } = read(body, EXPECTED)?;
    Ok(Command::ChangePrivacy { privacy: Privacy { lines, boards }, edition })
}

/// Reads the messages of the boards.
pub(in crate::http) fn messages(body: &[u8]) -> Result<Command, Problem> {
    let MessagesBody { messages, edition } =
        read(body, r#"{"messages":[{"<language>":"…"}],"edition"?}"#)?;
    Ok(Command::ChangeMessages { messages, edition })
}

/// Reads the colour and the logo.
pub(in crate::http) fn branding(body: &[u8]) -> Result<Command, Problem> {
    let BrandingBody { name, colour, logo, edition } =
        read(body, r##"{"name"?,"colour"?:"#rrggbb","logo"?,"edition"?}"##)?;
    Ok(Command::ChangeBranding { branding: Branding { name, colour, logo }, edition })
}

/// Reads the order of the queues.
pub(in crate::http) fn queue_order(body: &[u8]) -> Result<Command, Problem> {
    let OrderBody { queues, edition } = read(body, r#"{"queues":[…],"edition"?}"#)?;
    let queues = queues.into_iter().map(QueueId::new).collect::<Result<_, _>>();
    Ok(Command::OrderQueues { queues: queues.map_err(not_an_id)?, edition })
}

fn of_station(station: StationId, action: &str, body: &[u8]) -> Result<Command, Problem> {
    match action {
        CONFIGURE => {
            let StationBody { name, queues, edition } =
                read(body, r#"{"name","queues"?:[…],"edition"?}"#)?;
            let ids = |queues: Vec<String>| queues.into_iter().map(QueueId::new).collect();
            let queues = queues.map(ids).transpose().map_err(not_an_id)?;
            Ok(Command::ConfigureStation { station, name, queues, edition })
        }
        "call-next" => {
            let ForceBody { force } = read(body, r#"{"force"?}"#)?;
            Ok(Command::CallNextAtStation { station, force })
        }
        "open" => nothing(body, Command::OpenStation { station }),
        "close" => nothing(body, Command::CloseStation { station }),
        _ => Err(Code::NotFound.into()),
    }
}

fn of_queue(queue: QueueId, action: &str, body: &[u8]) -> Result<Command, Problem> {
    use Command as C;
    match action {
        CONFIGURE => {
            let QueueBody { name, prefix, service_s, max_tickets, edition } =
                read(body, r#"{"name","prefix","service_s"?,"max_tickets"?,"edition"?}"#)?;
            Ok(C::ConfigureQueue { queue, name, prefix, service_s, max_tickets, edition })
        }
        "tickets" => {
            let IssueBody { priority } = read(body, r#"{"priority"?}"#)?;
            issue(queue, priority)
        }
        "call-next" => {
            let (station, force) = call(body)?;
            Ok(C::CallNext { queue, station, force })
        }
        "open" => nothing(body, C::OpenQueue { queue }),
        "pause" => {
            let PauseBody { message } = read(body, r#"{"message"?}"#)?;
            Ok(C::PauseQueue { queue, message })
        }
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
        "call" => {
            let (station, force) = call(body)?;
            Ok(C::CallTicket { ticket, station, force })
        }
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
        "yield" => nothing(body, C::YieldTicket { ticket }),
        "transfer" => transfer(ticket, body),
        "prioritise" => {
            let PriorityBody { priority, reason } = read(body, r#"{"priority","reason"?}"#)?;
            Ok(C::Prioritise { ticket, priority: urgency(priority)?, reason })
        }
        "revert" => nothing(body, C::RevertTicket { ticket }),
        "subscribe-alerts" => {
            let device = read(body, r#"{"endpoint","keys":{"p256dh","auth"}}"#)?;
            Ok(C::SubscribeAlerts { ticket, device })
        }
        "unsubscribe-alerts" => {
            let EndpointBody { endpoint } = read(body, r#"{"endpoint"}"#)?;
            Ok(C::UnsubscribeAlerts { ticket, endpoint })
        }
        _ => Err(Code::NotFound.into()),
    }
}

fn of_check_in_point(point: CheckInPointId, action: &str, body: &[u8]) -> Result<Command, Problem> {
    match action {
        CONFIGURE => {
            let expected = r#"{"name","kind","queues"?:[…],"factor"?,"place"?}"#;
            let setup = read(body, expected)?;
            Ok(Command::ConfigureCheckInPoint { point, setup, edition: None })
        }
        "rotate" => nothing(body, Command::RotateCheckInPoint { point }),
        "revoke" => nothing(body, Command::RevokeCheckInPoint { point }),
        _ => Err(Code::NotFound.into()),
    }
}

fn issue(queue: QueueId, priority: Option<i64>) -> Result<Command, Problem> {
    let ticket = TicketId::from_random(&queue.location(), random::bits()?);
    Ok(Command::IssueTicket { queue, ticket, priority: urgency(priority.unwrap_or_default())? })
}

/// Reads a check-in, by appointment or into a queue. Returns the command and its location.
pub(in crate::http) fn check_in(body: &[u8]) -> Result<(LocationId, Command), Problem> {
    const EXPECTED: &str =
        r#"{"appointment","queue"?,"override_reason"?} or {"queue","priority"?}"#;
    let CheckInBody { appointment, queue, priority, override_reason } = read(body, EXPECTED)?;
    let queue = queue.map(QueueId::new).transpose().map_err(not_an_id)?;
    match (appointment, queue, priority) {
        (None, ..) if override_reason.is_some() => {
            Err(Problem::malformed(format!("expected {EXPECTED}")))
        }
        (Some(appointment), queue, None) => {
            let appointment = AppointmentId::new(appointment).map_err(not_an_id)?;
            let location = appointment.location();
            if queue.as_ref().is_some_and(|queue| !queue.belongs_to(&location)) {
                return Err(Code::WrongLocation.into());
            }
            let command = match override_reason {
                Some(reason) => Command::OverrideCheckIn { appointment, queue, reason },
                None => Command::CheckIn { appointment, queue },
            };
            Ok((location, command))
        }
        (None, Some(queue), priority) => Ok((queue.location(), issue(queue, priority)?)),
        _ => Err(Problem::malformed(format!("expected {EXPECTED}"))),
    }
}

/// Reads a source's fact. The problem names the wrong field and what it must be, because its reader
/// is a programmer of another system.
pub(in crate::http) fn report(body: &[u8]) -> Result<AppointmentReport, Problem> {
    parse(body).map_err(|unread| {
        let (code, detail) = match unread.field.as_deref() {
            Some("location" | "moved_from" | "queue" | "doctor.id") => {
                (Code::InvalidId, "location, moved_from, queue and doctor.id are ids".to_owned())
            }
            Some("key") => {
                let bound =
                    format!("a key has 1 to {MAX_SOURCE_KEY} bytes and no control characters");
                (Code::InvalidValue, bound)
            }
            Some("start" | "end" | "updated_at") => {
                (Code::InvalidValue, "start, end and updated_at are times of RFC 3339".to_owned())
            }
            Some("status") => {
                let words = AppointmentStatus::ALL.map(AppointmentStatus::as_str).join(", ");
                (Code::InvalidValue, format!("a status is one of {words}"))
            }
            _ => {
                return unread.expecting(
                    r#"{"location","key","version"|"updated_at","status","start"?,"end"?,…}"#,
                );
            }
        };
        Problem::from(code).explained(detail)
    })
}

fn transfer(ticket: TicketId, body: &[u8]) -> Result<Command, Problem> {
    let TransferBody { queue } = read(body, r#"{"queue"}"#)?;
    let queue = QueueId::new(queue).map_err(not_an_id)?;
    Ok(Command::TransferTicket { ticket, queue })
}

fn call(body: &[u8]) -> Result<(StationId, bool), Problem> {
    let CallBody { station, force } = read(body, r#"{"station","force"?}"#)?;
    Ok((StationId::new(station).map_err(not_an_id)?, force))
}

fn reason(body: &[u8]) -> Result<Option<String>, Problem> {
    read(body, r#"{"reason"?}"#).map(|ReasonBody { reason }| reason)
}

fn urgency(priority: i64) -> Result<Priority, Problem> {
    u8::try_from(priority)
        .ok()
        .and_then(Priority::new)
        .ok_or_else(|| Problem::from(Code::InvalidValue).explained("a priority is 0 to 9"))
}
