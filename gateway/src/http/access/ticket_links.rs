//! Links of tickets: given with a ticket, and exchanged for a token of its patient.

use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse, Response},
};
use gateway_core::access::{self, Claims};
use http::{HeaderMap, StatusCode, header};
use schemas::{Millis, channel::Channel, codes::Code, ids::TicketId, ticket::TicketEntry};
use serde::Deserialize;
use serde_json::json;

use super::tokens;
use crate::{
    access::ticket_links::{self, LINK_LIFE_MS, TicketLink},
    context::NodeContext,
    http::{
        NodeState, Problem, now, pages,
        shared::{
            audited::NamedInBody,
            body::{not_an_id, read},
            caller::{Caller, JsonText, Segments, Visitor},
            link_offers::{offer, page_path},
            snapshots::{load, place},
        },
    },
    limits::{Limit, LimitRefusal},
};

/// Most moves that a link is followed over. The id of a ticket has room for fewer.
const MAX_MOVES: usize = 16;
/// Most characters of a typed code. A code has 10 and a hyphen; longer ones are no codes.
const MAX_TYPED: usize = 24;

#[derive(Deserialize, schemars::JsonSchema)]
pub(in crate::http) struct ExchangeBody {
    link: Option<String>,
    code: Option<String>,
}

/// Exchanges a link or a code for a token. A code that has ended gets the answer of a wrong one, so
/// that a guesser learns nothing. A right link cannot be a guess, so its answer says that it has
/// ended.
pub(in crate::http) async fn exchange(
    State(node): NodeState,
    visitor: Visitor,
    JsonText(body): JsonText,
) -> Result<Response, Problem> {
    let form = r#"{"link"} or {"code"}"#;
    let (link, expiring) = match read(&body, form)? {
        ExchangeBody { link: Some(link), code: None } => open_link(&node, &visitor, &link).await?,
        ExchangeBody { link: None, code: Some(code) } => open_code(&node, &visitor, &code).await?,
        _ => return Err(Problem::malformed(format!("expected {form}"))),
    };
    let claims = link.claims(&expiring.current, now(), expiring.expires);
    visitor.becomes(&claims);
    let token = node.verifier.sign(&claims)?;
    let mut body = tokens::body(&token, &claims);
    body["ticket"] = json!(expiring.current);
    let mut response = Json(body).into_response();
    response.extensions_mut().insert(NamedInBody(vec![link.ticket.to_string()]));
    Ok(response)
}

async fn open_link(
    node: &NodeContext,
    visitor: &Visitor,
    text: &str,
) -> Result<(TicketLink, LinkEnd), Problem> {
    let link = match node.link_key.open(text) {
        Ok(link) => link,
        Err(code) => {
            node.limits.check(Limit::LinkFailures, visitor.address)?;
            node.limits.note(Limit::LinkFailures, visitor.address);
            return Err(code.into());
        }
    };
    spend(node, &link).await?;
    let expiring = expiring(node, &link, now()).await.map_err(|code| match code {
        // The last state of a ticket is kept for a day.
        Code::NotFound => Code::TicketLinkEnded,
        other => other,
    })?;
    Ok((link, expiring))
}

async fn open_code(
    node: &NodeContext,
    visitor: &Visitor,
    typed: &str,
) -> Result<(TicketLink, LinkEnd), Problem> {
    let limits =
        [(Limit::LinkFailures, visitor.address), (Limit::WrongCodes, node.limits.node_key())];
    let check = || limits.into_iter().try_for_each(|(limit, key)| node.limits.check(limit, key));
    // A client past the limits is refused before it waits for another lookup.
    check()?;
    let refused = |code| match code {
        Code::TicketLinkUnknown | Code::TicketLinkEnded | Code::NotFound | Code::TokenRevoked => {
            limits.into_iter().for_each(|(limit, key)| node.limits.note(limit, key));
            Problem::from(Code::TicketLinkUnknown)
        }
        other => other.into(),
    };
    let turn = node.code_lookup.lock().await;
    check()?;
    let link = ticket_links::find_by_code(&*node.short_keys, typed).await.map_err(refused)?;
    drop(turn);
    spend(node, &link).await?;
    let expiring = expiring(node, &link, now()).await.map_err(refused)?;
    Ok((link, expiring))
}

/// Spends the rate of the link. Each exchange loads a view and writes to the audit.
async fn spend(node: &NodeContext, link: &TicketLink) -> Result<(), LimitRefusal> {
    let claims = link.claims(&link.ticket, now(), now());
    node.limits.spend_shared(Limit::Rest, &claims).await.map(drop)
}

/// The ticket that a link opens, and the end of the link.
struct LinkEnd {
    /// The ticket of the link, or the one that continues it after moves.
    current: TicketId,
    expires: Millis,
}

/// Follows the ticket of a link to where it is now.
///
/// # Errors
/// `token_revoked`, `ticket_link_ended`, `not_found` when no ticket has the id any more, and
/// `try_again`.
async fn expiring(node: &NodeContext, link: &TicketLink, now: Millis) -> Result<LinkEnd, Code> {
    let mut current = link.ticket.clone();
    for _ in 0..=MAX_MOVES {
        let here = TicketLink { ticket: current.clone(), ..link.clone() };
        node.revocations.check_tag(&link.tenant, here.tag())?;
        let claims = link.claims(&current, now, now);
        let view = load(node, &claims, &Channel::Ticket(current.clone())).await?;
        let end = match place(&view.ok_or(Code::NotFound)?)? {
            TicketEntry::In(_) => return Ok(LinkEnd { current, expires: now + LINK_LIFE_MS }),
            TicketEntry::Ended(end) => end,
        };
        match end.successor {
            Some(successor) => current = successor,
            None if end.at + LINK_LIFE_MS <= now => return Err(Code::TicketLinkEnded),
            None => return Ok(LinkEnd { current, expires: end.at + LINK_LIFE_MS }),
        }
    }
    Err(Code::TicketLinkEnded)
}

/// The claims that follow those of a link. Stores the link's code again, if it was lost.
///
/// # Errors
/// The errors of [`expiring`], and `not_renewable` for claims of no link.
pub(in crate::http) async fn renewed(node: &NodeContext, claims: &Claims) -> Result<Claims, Code> {
    let link = TicketLink::from_claims(claims).ok_or(Code::NotRenewable)?;
    let LinkEnd { current, expires } = match expiring(node, &link, now()).await {
        Err(Code::NotFound) => return Err(Code::TicketLinkEnded),
        expiring => expiring?,
    };
    let _ = node.link_key.store_code(&*node.short_keys, &link).await;
    Ok(link.claims(&current, claims.origin.issued, expires))
}

/// The link of a ticket, for its patient or the desk.
pub(in crate::http) async fn of_ticket(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([ticket]): Segments<1>,
) -> Result<Response, Problem> {
    let link = link_for(&node, &claims, ticket).await?;
    Ok(Json(offer(&node, &link).await).into_response())
}

/// The path of the page with the link of a ticket, for callers who may have the link.
pub(in crate::http) async fn path_of(
    node: &NodeContext,
    Caller(claims): Caller,
    Segments([ticket]): Segments<1>,
) -> Result<String, Problem> {
    let link = link_for(node, &claims, ticket).await?;
    Ok(page_path(&node.link_key.seal(&link)))
}

/// The link of a live ticket, or of one that ended a short time ago.
async fn link_for(
    node: &NodeContext,
    claims: &Claims,
    ticket: String,
) -> Result<TicketLink, Problem> {
    let ticket = TicketId::new(ticket).map_err(not_an_id)?;
    access::may_link(claims, &ticket)?;
    let link = TicketLink { tenant: claims.tenant.clone(), ticket };
    expiring(node, &link, now()).await?;
    Ok(link)
}

/// Leads from `/t/<code>`, the address that a patient types, to the page. The page exchanges the
/// code: opening this address does not reveal whether the code exists.
pub(in crate::http) async fn open_page(headers: HeaderMap, Path(typed): Path<String>) -> Response {
    let is_code = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if typed.len() > MAX_TYPED || !typed.bytes().all(is_code) {
        return pages::not_found(headers).await;
    }
    // Relative, because a proxy may have the pages under a prefix.
    let page = format!("../patient#code={typed}");
    (StatusCode::SEE_OTHER, [(header::LOCATION, page)]).into_response()
}
