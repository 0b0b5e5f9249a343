//! Tokens that replace older ones of the same rights.

use axum::{extract::State, response::Response};
use gateway_core::access::Credential;

use super::{displays, ticket_links, tokens};
use crate::{
    access::own_tokens,
    http::{NodeState, Problem, now, shared::caller::RenewingCaller},
};

/// Replaces a token by a newer one with the same rights: if its issuer allows it, while its ticket
/// lives, or while its display is paired.
pub(in crate::http) async fn renew(
    State(node): NodeState,
    RenewingCaller(claims): RenewingCaller,
) -> Result<Response, Problem> {
    let renewed = match claims.origin.credential {
        Credential::Issued => own_tokens::renewed(&claims, now())?,
        Credential::TicketLink => ticket_links::renewed(&node, &claims).await?,
        Credential::Display { .. } => displays::renewed(&node, &claims).await?,
    };
    tokens::token(&node, &renewed)
}
