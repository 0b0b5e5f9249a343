//! The state of a channel, read for a request.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use gateway_core::access::{self, Claims};
use schemas::{
    channel::Channel,
    codes::Code,
    ids::{Aggregate, LocationId, QueueId, TicketId},
    line::TICKET_KEY,
    ticket::TicketEntry,
    view::View,
};

use crate::{
    backends::snapshots::TicketInLine, context::NodeContext, http::Problem,
    views::reader::FetchGoal,
};

/// Answers with the state of a channel, for whoever may open it.
pub(in crate::http) async fn keyed(
    node: &NodeContext,
    claims: &Claims,
    channel: Channel,
) -> Result<Response, Problem> {
    access::may_open(claims, &channel)?;
    let view = load(node, claims, &channel).await?.ok_or(Code::NotFound)?;
    Ok(Json(view).into_response())
}

/// The state of a channel, or `None` for one that nothing stands behind.
pub(in crate::http) async fn load(
    node: &NodeContext,
    claims: &Claims,
    channel: &Channel,
) -> Result<Option<View>, Code> {
    let aggregate = channel.aggregate(&claims.tenant);
    let name = channel.to_string();
    let view = node.reader.fetch(&aggregate, &name, goal(node, &aggregate, &name)).await?;
    // A view without entries was removed, such as that of a removed queue.
    Ok(view.filter(|view| !view.entries.is_empty()))
}

/// A ticket of a queue, or `None` when there is no such queue.
pub(in crate::http) async fn ticket_in_line(
    node: &NodeContext,
    claims: &Claims,
    queue: &QueueId,
    ticket: &TicketId,
) -> Result<Option<TicketInLine>, Code> {
    let channel = Channel::Queue(queue.clone());
    let aggregate = channel.aggregate(&claims.tenant);
    let goal = goal(node, &aggregate, &channel.to_string());
    node.reader.ticket(&aggregate, queue, ticket, goal).await
}

/// Nothing older than what this node has seen of the view.
fn goal(node: &NodeContext, aggregate: &Aggregate, view: &str) -> FetchGoal {
    let (floor, seen) = (node.tails.floor(aggregate, view), node.tails.position(aggregate));
    FetchGoal { floor, seen, ..FetchGoal::default() }
}

/// The view of a location's settings, if the caller may see it.
pub(in crate::http) async fn settings(
    node: &NodeContext,
    claims: &Claims,
    location: &LocationId,
) -> Result<View, Problem> {
    let channel = Channel::Settings(location.clone());
    access::may_open(claims, &channel)?;
    Ok(load(node, claims, &channel).await?.ok_or(Code::NotFound)?)
}

/// The entry of a view `ticket:<id>`.
pub(in crate::http) fn place(view: &View) -> Result<TicketEntry, Code> {
    let entry = view.entries.get(TICKET_KEY).ok_or(Code::NotFound)?;
    serde_json::from_str(entry.get()).map_err(unreadable)
}

/// A stored view that cannot be read. The error is not logged, because its text would quote the
/// view.
pub(in crate::http) fn unreadable<E>(_: E) -> Code {
    tracing::error!("a stored view cannot be read");
    Code::Internal
}
