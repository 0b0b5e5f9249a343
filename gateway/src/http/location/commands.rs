//! Commands to locations, queues, stations and tickets, and the outcomes of commands.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use gateway_core::access::{self, Claims};
use schemas::{
    codes::Code,
    command::{Command, CommandOutcome},
    identity::CommandIdentity,
    ids::{CommandId, Fingerprint, LocationId, QueueId, StationId, TicketId},
    record::{NamedCommand, is_attribute},
};
use serde::Deserialize;

use super::{
    alerts,
    requests::{self, CONFIGURE, CommandTarget},
};
use crate::{
    context::NodeContext,
    http::{
        NodeState, Problem,
        shared::{
            audited::NamedInBody,
            body::{not_an_id, nothing},
            caller::{Caller, QueryParams, Segments},
            command_request::{CommandRequest, OutcomeAnswer, SOURCE, own_command, shown},
        },
    },
};

pub(in crate::http) async fn location(
    State(node): NodeState,
    Segments([location]): Segments<1>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let location = LocationId::new(location).map_err(not_an_id)?;
    give(&node, &request, CommandTarget::Location(location), CONFIGURE).await
}

/// Reads the body of a PUT on a part of a location's settings.
type ReadPart = fn(&[u8]) -> Result<Command, Problem>;

async fn give_part(
    node: &NodeContext,
    location: String,
    request: &CommandRequest,
    read: ReadPart,
) -> Result<Response, Problem> {
    let location = LocationId::new(location).map_err(not_an_id)?;
    let command = read(&request.body)?;
    request.give(node, &location, command).await
}

pub(in crate::http) async fn privacy(
    State(node): NodeState,
    Segments([location]): Segments<1>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    give_part(&node, location, &request, requests::privacy).await
}

pub(in crate::http) async fn messages(
    State(node): NodeState,
    Segments([location]): Segments<1>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    give_part(&node, location, &request, requests::messages).await
}

pub(in crate::http) async fn branding(
    State(node): NodeState,
    Segments([location]): Segments<1>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    give_part(&node, location, &request, requests::branding).await
}

pub(in crate::http) async fn queue_order(
    State(node): NodeState,
    Segments([location]): Segments<1>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    give_part(&node, location, &request, requests::queue_order).await
}

pub(in crate::http) async fn queue(
    State(node): NodeState,
    Segments([queue]): Segments<1>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let queue = QueueId::new(queue).map_err(not_an_id)?;
    give(&node, &request, CommandTarget::Queue(queue), CONFIGURE).await
}

/// The queue to which the people of a removed queue move.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct RemoveParams {
    #[schemars(with = "Option<QueueId>")]
    move_to: Option<String>,
}

/// Removes a queue, and moves its live tickets to another one if the query names it.
pub(in crate::http) async fn remove_queue(
    State(node): NodeState,
    Segments([queue]): Segments<1>,
    QueryParams(RemoveParams { move_to }): QueryParams<RemoveParams>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let queue = QueueId::new(queue).map_err(not_an_id)?;
    let move_to = move_to.map(QueueId::new).transpose().map_err(not_an_id)?;
    let location = queue.location();
    let command = nothing(&request.body, Command::RemoveQueue { queue, move_to })?;
    request.give(&node, &location, command).await
}

pub(in crate::http) async fn station(
    State(node): NodeState,
    Segments([station]): Segments<1>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let station = StationId::new(station).map_err(not_an_id)?;
    give(&node, &request, CommandTarget::Station(station), CONFIGURE).await
}

pub(in crate::http) async fn remove_station(
    State(node): NodeState,
    Segments([station]): Segments<1>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let station = StationId::new(station).map_err(not_an_id)?;
    let location = station.location();
    let command = nothing(&request.body, Command::RemoveStation { station })?;
    request.give(&node, &location, command).await
}

pub(in crate::http) async fn station_action(
    State(node): NodeState,
    Segments([station, action]): Segments<2>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let station = StationId::new(station).map_err(not_an_id)?;
    give_action(&node, &request, CommandTarget::Station(station), &action).await
}

pub(in crate::http) async fn queue_action(
    State(node): NodeState,
    Segments([queue, action]): Segments<2>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let queue = QueueId::new(queue).map_err(not_an_id)?;
    give_action(&node, &request, CommandTarget::Queue(queue), &action).await
}

pub(in crate::http) async fn ticket_action(
    State(node): NodeState,
    Segments([ticket, action]): Segments<2>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let ticket = TicketId::new(ticket).map_err(not_an_id)?;
    if action == alerts::SUBSCRIBE {
        return alerts::subscribe(&node, &request, ticket, &action).await;
    }
    give_action(&node, &request, CommandTarget::Ticket(ticket), &action).await
}

/// The query of an outcome.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct OutcomeParams {
    /// The content that the caller sent.
    #[schemars(with = "Option<String>", regex(pattern = "^[0-9a-f]{32}$"))]
    fingerprint: Option<Fingerprint>,
    /// The source of somebody else's command. Absent: a gateway.
    source: Option<String>,
    /// The subject of somebody else's command. Absent with a source: a program without an actor.
    subject: Option<String>,
}

impl OutcomeParams {
    /// The identity of the command, which is the caller's own if the query names nobody.
    fn identity(self, claims: &Claims, command: &CommandId) -> CommandIdentity {
        let own = own_command(claims, command);
        match (self.source, self.subject) {
            (None, None) => own,
            (source, subject) => CommandIdentity {
                source: source.unwrap_or_else(|| SOURCE.to_owned()),
                subject: subject.unwrap_or_default(),
                ..own
            },
        }
    }
}

/// The outcome of a command that was sent before: the caller's own, or another one for reception
/// and admins. Everybody else gets the answer for an unknown command.
pub(in crate::http) async fn outcome(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([command]): Segments<1>,
    QueryParams(asked): QueryParams<OutcomeParams>,
) -> Result<Response, Problem> {
    let command = CommandId::new(command).map_err(not_an_id)?;
    let fingerprint = asked.fingerprint;
    let identity = asked.identity(&claims, &command);
    let found = if identity == own_command(&claims, &command) {
        node.commands.outcome(&NamedCommand { identity, fingerprint }).await
    } else {
        foreign_outcome(&node, &claims, &identity).await
    };
    match found.map_err(|code| Problem::from(code).of_command(command.clone()))? {
        Some(outcome) => {
            let names = shown(&outcome).collect();
            let answer = OutcomeAnswer::new(&node, &claims, outcome).await;
            let mut answer = Json(answer).into_response();
            answer.extensions_mut().insert(NamedInBody(names));
            Ok(answer)
        }
        None => Err(Problem::from(Code::NotFound)
            .explained("no such command, or not decided yet")
            .of_command(command)),
    }
}

/// The outcome of another caller's command, if the bearer may read it. Nothing waits here, so the
/// time of the answer does not tell whether the command exists.
async fn foreign_outcome(
    node: &NodeContext,
    claims: &Claims,
    identity: &CommandIdentity,
) -> Result<Option<CommandOutcome>, Code> {
    let CommandIdentity { source, subject, .. } = identity;
    let is_name = is_attribute(source) && (subject.is_empty() || is_attribute(subject));
    if !is_name || access::may_read_outcomes(claims).is_err() {
        return Ok(None);
    }
    let recorded = node.commands.recorded(identity).await?;
    Ok(recorded.and_then(|recorded| {
        let location = recorded.aggregate.location_id();
        access::may_read_outcome(claims, location.as_ref()).is_ok().then_some(recorded.outcome)
    }))
}

/// Gives the command of a POST. Configuring is a PUT on the target itself.
async fn give_action(
    node: &NodeContext,
    request: &CommandRequest,
    target: CommandTarget,
    action: &str,
) -> Result<Response, Problem> {
    if action == CONFIGURE {
        return Err(Code::NotFound.into());
    }
    give(node, request, target, action).await
}

async fn give(
    node: &NodeContext,
    request: &CommandRequest,
    target: CommandTarget,
    action: &str,
) -> Result<Response, Problem> {
    let location = target.location();
    let command = requests::command(target, action, &request.body)?;
    request.give(node, &location, command).await
}
