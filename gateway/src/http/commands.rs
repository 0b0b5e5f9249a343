//! Commands to locations, queues, stations and tickets, and the outcomes of commands.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use schemas::{
    codes::Code,
    ids::{CommandId, LocationId, QueueId, StationId, TicketId},
};

use super::{
    Problem, Shared,
    caller::{Caller, Segments},
    command_request::{CommandRequest, visible_to},
    requests::{self, CONFIGURE, CommandTarget, not_an_id},
};
use crate::context::NodeContext;

pub(super) async fn location(
    State(node): Shared,
    Segments([location]): Segments<1>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let location = LocationId::new(location).map_err(not_an_id)?;
    give(&node, &request, CommandTarget::Location(location), CONFIGURE).await
}

pub(super) async fn queue(
    State(node): Shared,
    Segments([queue]): Segments<1>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let queue = QueueId::new(queue).map_err(not_an_id)?;
    give(&node, &request, CommandTarget::Queue(queue), CONFIGURE).await
}

pub(super) async fn station(
    State(node): Shared,
    Segments([station]): Segments<1>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let station = StationId::new(station).map_err(not_an_id)?;
    give(&node, &request, CommandTarget::Station(station), CONFIGURE).await
}

pub(super) async fn station_action(
    State(node): Shared,
    Segments([station, action]): Segments<2>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let station = StationId::new(station).map_err(not_an_id)?;
    give_action(&node, &request, CommandTarget::Station(station), &action).await
}

pub(super) async fn queue_action(
    State(node): Shared,
    Segments([queue, action]): Segments<2>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let queue = QueueId::new(queue).map_err(not_an_id)?;
    give_action(&node, &request, CommandTarget::Queue(queue), &action).await
}

pub(super) async fn ticket_action(
    State(node): Shared,
    Segments([ticket, action]): Segments<2>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let ticket = TicketId::new(ticket).map_err(not_an_id)?;
    give_action(&node, &request, CommandTarget::Ticket(ticket), &action).await
}

/// The outcome of a command that was sent before.
pub(super) async fn outcome(
    State(node): Shared,
    Caller(claims): Caller,
    Segments([command]): Segments<1>,
) -> Result<Response, Problem> {
    let command = CommandId::new(command).map_err(not_an_id)?;
    match node.commands.outcome(&claims.tenant, &command).await? {
        Some(outcome) => Ok(Json(visible_to(&claims, outcome)).into_response()),
        None => Err(Problem::from(Code::NotFound)
            .explained("no such command, or not decided yet")
            .of_command(command)),
    }
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
