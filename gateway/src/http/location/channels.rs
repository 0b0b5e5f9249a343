//! Channels over HTTP: snapshots, and the tickets that open a stream.

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use gateway_core::access::{self, Claims};
use schemas::{
    channel::Channel,
    codes::Code,
    ids::{LocationId, QueueId, TicketId},
    ticket::{TicketEntry, TicketView},
    view::Position,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{
    access::grant::{self, Grant, MAX_STREAM_CHANNELS},
    http::{
        NodeState, Problem,
        shared::{
            audited::NamedInBody,
            body::{not_an_id, read},
            caller::{Caller, JsonText, Segments},
            snapshots::{keyed, load, place, ticket_in_line},
        },
    },
};

/// Attempts to read a ticket. It may change its queue between the reads of its place and of that
/// queue. Past this the answer is `try_again`.
const PLACE_ATTEMPTS: usize = 3;

pub(in crate::http) async fn queue(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([queue]): Segments<1>,
) -> Result<Response, Problem> {
    keyed(&node, &claims, Channel::Queue(QueueId::new(queue).map_err(not_an_id)?)).await
}

pub(in crate::http) async fn board(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([location]): Segments<1>,
) -> Result<Response, Problem> {
    keyed(&node, &claims, Channel::Board(LocationId::new(location).map_err(not_an_id)?)).await
}

/// The snapshot of a location's load.
pub(in crate::http) async fn location_load(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([location]): Segments<1>,
) -> Result<Response, Problem> {
    keyed(&node, &claims, Channel::Load(LocationId::new(location).map_err(not_an_id)?)).await
}

/// The state of a ticket's channel, and its position.
#[derive(Serialize)]
struct TicketSnapshot {
    #[serde(flatten)]
    position: Position,
    #[serde(flatten)]
    state: TicketView,
}

pub(in crate::http) async fn ticket(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([ticket]): Segments<1>,
) -> Result<Response, Problem> {
    let ticket = TicketId::new(ticket).map_err(not_an_id)?;
    let channel = Channel::Ticket(ticket.clone());
    access::may_open(&claims, &channel)?;
    for _ in 0..PLACE_ATTEMPTS {
        let view = load(&node, &claims, &channel).await?.ok_or(Code::NotFound)?;
        let queue = match place(&view)? {
            TicketEntry::Ended(state) => {
                return Ok(
                    Json(TicketSnapshot { position: view.position, state: *state }).into_response()
                );
            }
            TicketEntry::In(queue) => queue,
        };
        let Some(found) = ticket_in_line(&node, &claims, &queue, &ticket).await? else { continue };
        if let Some(state) = found.state {
            return Ok(Json(TicketSnapshot { position: found.position, state }).into_response());
        }
    }
    Err(Code::TryAgain.into())
}

#[derive(Deserialize, schemars::JsonSchema)]
pub(in crate::http) struct StreamBody {
    #[schemars(length(min = 1, max = MAX_STREAM_CHANNELS))]
    channels: Vec<String>,
}

/// Exchanges the token for a one-time ticket, because an `EventSource` can send a token only in its
/// URL.
pub(in crate::http) async fn stream_ticket(
    State(node): NodeState,
    Caller(claims): Caller,
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    let StreamBody { channels: names } = read(&body, r#"{"channels":[…]}"#)?;
    if names.is_empty() {
        return Err(
            Problem::from(Code::InvalidValue).explained("a stream has at least one channel")
        );
    }
    if names.len() > MAX_STREAM_CHANNELS {
        return Err(Code::ChannelLimit.into());
    }
    let mut channels = Vec::with_capacity(names.len());
    for name in &names {
        let channel = Channel::parse(name).map_err(|_| Code::UnknownChannel)?;
        access::may_open(&claims, &channel)?;
        if channels.contains(&channel) {
            return Err(Code::AlreadySubscribed.into());
        }
        channels.push(channel);
    }
    let Claims { tenant, subject, role, expires, origin, .. } = claims;
    let ticket = grant::issue_ticket(
        &*node.short_keys,
        &Grant { tenant, subject, role, expires, channels, origin },
    )
    .await?;
    let body = json!({ "ticket": ticket, "expires_in": grant::TICKET_TTL.as_secs() });
    let mut response = Json(body).into_response();
    response.extensions_mut().insert(NamedInBody(names));
    Ok(response)
}
