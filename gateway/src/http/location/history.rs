//! The history of a ticket, a queue and a location, by pages.

use axum::{extract::State, response::Response};
use gateway_core::access;
use schemas::{
    Millis,
    codes::Code,
    history::{Stay, StayPlace},
    ids::{LocationId, QueueId, TenantId, TicketId},
};
use serde::Deserialize;

use crate::{
    backends::history::{HistoryQuery, HistoryScope},
    context::NodeContext,
    http::{
        NodeState, Problem,
        access::audit::time,
        shared::{
            body::not_an_id,
            caller::{Caller, QueryParams, Segments},
            cursor::{self, Cursor},
            snapshots,
        },
    },
};

/// Selects stays, newest first.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct HistoryParams {
    /// Only stays that began then or later.
    from: Option<String>,
    /// Only stays that began earlier.
    until: Option<String>,
    cursor: Option<String>,
    #[schemars(range(min = 1, max = 500))]
    limit: Option<u32>,
}

impl HistoryParams {
    fn asked(&self, scope: HistoryScope, limit: u32) -> Result<HistoryQuery, Problem> {
        let from = self.from.as_deref().map_or(Ok(0), time)?;
        let until = self.until.as_deref().map_or(Ok(Millis::MAX), time)?;
        if until < from {
            return Err(
                Problem::from(Code::InvalidValue).explained("a history ends after it begins")
            );
        }
        Ok(HistoryQuery {
            scope,
            began: from..until,
            after: self.cursor.as_deref().map(StayPlace::open).transpose()?,
            // One more stay shows whether there is a next page.
            limit: limit + 1,
        })
    }

    /// Whether the page has the newest stays of all.
    fn is_whole(&self) -> bool {
        self.from.is_none() && self.until.is_none() && self.cursor.is_none()
    }
}

impl Cursor for StayPlace {
    fn text(&self) -> String {
        format!("{} {} {}", self.from, self.number, self.ticket)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, ' ');
        Some(Self {
            from: parts.next()?.parse().ok()?,
            number: parts.next()?.parse().ok()?,
            ticket: TicketId::new(parts.next()?).ok()?,
        })
    }
}

/// The history of a ticket, for staff of its location and for its patient. A ticket has a stay from
/// its issue on, so one without stays is unknown or too old.
pub(in crate::http) async fn of_ticket(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([ticket]): Segments<1>,
    QueryParams(params): QueryParams<HistoryParams>,
) -> Result<Response, Problem> {
    let ticket = TicketId::new(ticket).map_err(not_an_id)?;
    access::may_read_ticket_history(&claims, &ticket)?;
    let limit = cursor::page(params.limit)?;
    let asked = params.asked(HistoryScope::Ticket(ticket), limit)?;
    let stays = read(&node, &claims.tenant, &asked).await?;
    if stays.is_empty() && params.is_whole() {
        return Err(Code::NotFound.into());
    }
    Ok(answer(stays, limit))
}

pub(in crate::http) async fn of_queue(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([queue]): Segments<1>,
    QueryParams(params): QueryParams<HistoryParams>,
) -> Result<Response, Problem> {
    let queue = QueueId::new(queue).map_err(not_an_id)?;
    let location = queue.location();
    access::may_read_history(&claims, &location)?;
    snapshots::settings(&node, &claims, &location).await?;
    let limit = cursor::page(params.limit)?;
    let asked = params.asked(HistoryScope::Queue(queue), limit)?;
    Ok(answer(read(&node, &claims.tenant, &asked).await?, limit))
}

pub(in crate::http) async fn of_location(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([location]): Segments<1>,
    QueryParams(params): QueryParams<HistoryParams>,
) -> Result<Response, Problem> {
    let location = LocationId::new(location).map_err(not_an_id)?;
    access::may_read_history(&claims, &location)?;
    snapshots::settings(&node, &claims, &location).await?;
    let limit = cursor::page(params.limit)?;
    let asked = params.asked(HistoryScope::Location(location), limit)?;
    Ok(answer(read(&node, &claims.tenant, &asked).await?, limit))
}

async fn read(
    node: &NodeContext,
    tenant: &TenantId,
    asked: &HistoryQuery,
) -> Result<Vec<Stay>, Code> {
    crate::http::found(node, tenant, node.queries.history(tenant, asked)).await
}

fn answer(mut stays: Vec<Stay>, limit: u32) -> Response {
    let next = cursor::cut(&mut stays, limit, Stay::place);
    cursor::answer("stays", stays, next)
}
