//! Commands: a request becomes a record, its outcome becomes the response.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use gateway_core::access::{self, Claims, Role};
use http::{HeaderMap, StatusCode, header};
use schemas::{
    Millis,
    channel::Channel,
    codes::Code,
    command::{Command, CommandOutcome, Verdict},
    ids::{Aggregate, CommandId, LocationId, QueueId, StationId, TicketId},
    record::{Actor, CommandRecord},
};
use serde_json::json;

use super::{
    Api, Problem, Shared,
    caller::{Caller, JsonText, Segments},
    now,
    requests::{self, CONFIGURE, Target, not_an_id},
};
use crate::{commands::Submitted, random};

/// The CloudEvents source of what gateways write: with a command's id it names the record once and for all.
pub const SOURCE: &str = "clinicwire-gateway";
/// How long a command is good for when its caller does not say: whoever pressed a button has looked away or
/// pressed again by then.
const VALID_FOR: Duration = Duration::from_secs(30);

pub(super) async fn location(
    State(api): Shared,
    Caller(claims): Caller,
    Segments([location]): Segments<1>,
    headers: HeaderMap,
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    let target = Target::Location(LocationId::new(location).map_err(not_an_id)?);
    give(&api, &claims, &headers, target, CONFIGURE, &body).await
}

pub(super) async fn queue(
    State(api): Shared,
    Caller(claims): Caller,
    Segments([queue]): Segments<1>,
    headers: HeaderMap,
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    let target = Target::Queue(QueueId::new(queue).map_err(not_an_id)?);
    give(&api, &claims, &headers, target, CONFIGURE, &body).await
}

pub(super) async fn station(
    State(api): Shared,
    Caller(claims): Caller,
    Segments([station]): Segments<1>,
    headers: HeaderMap,
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    let target = Target::Station(StationId::new(station).map_err(not_an_id)?);
    give(&api, &claims, &headers, target, CONFIGURE, &body).await
}

pub(super) async fn station_action(
    State(api): Shared,
    Caller(claims): Caller,
    Segments([station, action]): Segments<2>,
    headers: HeaderMap,
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    if action == CONFIGURE {
        return Err(Code::NotFound.into());
    }
    let target = Target::Station(StationId::new(station).map_err(not_an_id)?);
    give(&api, &claims, &headers, target, &action, &body).await
}

pub(super) async fn queue_action(
    State(api): Shared,
    Caller(claims): Caller,
    Segments([queue, action]): Segments<2>,
    headers: HeaderMap,
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    // Configuring is a PUT on the queue itself.
    if action == CONFIGURE {
        return Err(Code::NotFound.into());
    }
    let target = Target::Queue(QueueId::new(queue).map_err(not_an_id)?);
    give(&api, &claims, &headers, target, &action, &body).await
}

pub(super) async fn ticket_action(
    State(api): Shared,
    Caller(claims): Caller,
    Segments([ticket, action]): Segments<2>,
    headers: HeaderMap,
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    let target = Target::Ticket(TicketId::new(ticket).map_err(not_an_id)?);
    give(&api, &claims, &headers, target, &action, &body).await
}

/// The outcome of a command that was sent before.
pub(super) async fn outcome(
    State(api): Shared,
    Caller(claims): Caller,
    Segments([command]): Segments<1>,
) -> Result<Response, Problem> {
    let command = CommandId::new(command).map_err(not_an_id)?;
    match api.commands.outcome(&claims.tenant, &command).await? {
        Some(outcome) => Ok(Json(shown_to(&claims, outcome)).into_response()),
        None => Err(Problem::from(Code::NotFound)
            .explained("no such command, or not decided yet")
            .of_command(command)),
    }
}

async fn give(
    api: &Api,
    claims: &Claims,
    headers: &HeaderMap,
    target: Target,
    action: &str,
    body: &[u8],
) -> Result<Response, Problem> {
    let location = target.location();
    let command = requests::command(target, action, body)?;
    give_to(api, claims, headers, &location, command).await
}

/// Gives a location a command, if the caller may.
pub(super) async fn give_to(
    api: &Api,
    claims: &Claims,
    headers: &HeaderMap,
    location: &LocationId,
    command: Command,
) -> Result<Response, Problem> {
    let allowed = access::may_command(claims, location, &command);
    allowed.map_err(|code| refused(api, command.kind(), code))?;
    answer(api, claims, headers, Aggregate::location(&claims.tenant, location), command).await
}

/// Counts a command that its giver may not give.
pub(super) fn refused(api: &Api, kind: &'static str, code: Code) -> Problem {
    api.metrics.command(kind, code.as_str());
    code.into()
}

/// Gives a command that is allowed, and answers with its outcome.
pub(super) async fn answer(
    api: &Api,
    claims: &Claims,
    headers: &HeaderMap,
    aggregate: Aggregate,
    command: Command,
) -> Result<Response, Problem> {
    let id = command_id(claims, headers)?
        .map_or_else(|| random::bits().map(CommandId::from_random), Ok)?;
    Ok(match send(api, claims, headers, aggregate, id.clone(), command).await? {
        Some(outcome) => Json(shown_to(claims, outcome)).into_response(),
        None => pending(&id),
    })
}

/// Gives a command that is allowed; `None` when it is appended and not decided yet.
pub(super) async fn send(
    api: &Api,
    claims: &Claims,
    headers: &HeaderMap,
    aggregate: Aggregate,
    id: CommandId,
    command: Command,
) -> Result<Option<CommandOutcome>, Problem> {
    let kind = command.kind();
    let record = CommandRecord {
        aggregate,
        id: id.clone(),
        source: SOURCE.to_owned(),
        valid_until: valid_until(headers, &command)?,
        actor: Some(Actor {
            subject: claims.subject.to_string(),
            role: claims.role.as_str().to_owned(),
        }),
        command,
    };
    let sent = match api.commands.submit(record).await {
        Ok(Submitted::Decided(CommandOutcome { verdict: Verdict::Refused { code }, .. })) => {
            Err(code)
        }
        Ok(Submitted::Decided(outcome)) => Ok(Some(outcome)),
        Ok(Submitted::Pending) => Ok(None),
        Err(code) => Err(code),
    };
    let result = match &sent {
        Ok(Some(_)) => "applied",
        Ok(None) => "pending",
        Err(code) => code.as_str(),
    };
    api.metrics.command(kind, result);
    sent.map_err(|code| Problem::from(code).of_command(id))
}

fn pending(id: &CommandId) -> Response {
    let location = [(header::LOCATION, format!("/v1/commands/{id}"))];
    (StatusCode::ACCEPTED, location, Json(json!({ "command": id, "outcome": "pending" })))
        .into_response()
}

/// The outcome without what the caller may not open. Ids of commands are chosen by their callers: another one of the
/// tenant may have used the same. A source opens no appointment, but hands its id to the patient.
fn shown_to(claims: &Claims, mut outcome: CommandOutcome) -> CommandOutcome {
    let Verdict::Applied { result, .. } = &mut outcome.verdict else { return outcome };
    let hidden = |channel| access::may_open(claims, &channel).is_err();
    if result.ticket.clone().map(Channel::Ticket).is_some_and(hidden) {
        (result.ticket, result.label, result.station) = (None, None, None);
    }
    let appointment = result.appointment.clone().map(Channel::Appointment);
    if appointment.is_none_or(hidden) && access::source(claims).is_err() {
        (result.appointment, result.change) = (None, None);
    }
    outcome
}

/// The id a caller gave its command, so that sending it again does nothing more. A source's stands behind its name: two
/// sources that count alike must not take each other's facts for their own.
pub(super) fn command_id(
    claims: &Claims,
    headers: &HeaderMap,
) -> Result<Option<CommandId>, Problem> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(None) };
    let key = key.to_str().unwrap_or_default();
    let bad =
        |_| Problem::from(Code::InvalidId).explained("Idempotency-Key is not an id of a command");
    let id = match claims.role {
        Role::Source => format!("{}:{key}", claims.subject).into(),
        _ => Arc::from(key),
    };
    CommandId::new(id).map_err(bad).map(Some)
}

/// Until when the command is good, as its caller says. A fact that waits is still one, and its source's version tells
/// whether it is the newest: it goes stale only if its caller says so.
fn valid_until(headers: &HeaderMap, command: &Command) -> Result<Option<Millis>, Problem> {
    match headers.get("valid-until") {
        None if matches!(command, Command::ReportAppointment { .. }) => Ok(None),
        None => Ok(Some(now() + VALID_FOR.as_millis() as Millis)),
        Some(until) => {
            let until = until.to_str().ok().and_then(|text| text.parse::<jiff::Timestamp>().ok());
            let bad = || {
                Problem::from(Code::InvalidValue).explained("Valid-Until is not a time of RFC 3339")
            };
            until.map(|until| Some(until.as_millisecond())).ok_or_else(bad)
        }
    }
}
