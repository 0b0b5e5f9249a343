//! The limits of HTTP: which rate a request spends.

use std::sync::{Arc, OnceLock};

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use gateway_core::access::{Claims, Role};
use http::{Method, StatusCode, request::Parts};
use schemas::codes::Code;

use super::{bearer, rate_headers::set_headers};
use crate::{
    client_address::ClientAddress,
    context::NodeContext,
    http::Problem,
    limits::{Limit, LimitKey, LimitRefusal, RateState},
};

/// Routes that a full node answers too: balancers and monitoring ask them.
pub(in crate::http) const FREE: [&str; 3] = ["/health/live", "/health/ready", "/metrics"];
/// The one of them that costs more than a refusal, so that its address has a rate.
const METRICS: &str = "/metrics";

/// The limits that count a request. The layer adds it to the request; the extractor of the caller
/// fills it in.
#[derive(Clone)]
struct RequestLimits {
    address: LimitKey,
    caller: Arc<OnceLock<CallerLimits>>,
}

/// The limits of a request with a valid token.
struct CallerLimits {
    key: LimitKey,
    tier: Limit,
    rate: Option<RateState>,
}

/// Whether a full node answers requests for this path too.
pub(crate) fn is_free(path: &str) -> bool {
    FREE.contains(&path)
}

/// The rate that a request of this role spends, by the kind of its route.
pub(in crate::http) fn tier(method: &Method, route: &str, role: Role) -> Limit {
    let is_read = *method == Method::GET || *method == Method::HEAD;
    match route {
        "/v1/files" => Limit::Upload,
        "/v1/runs/{run}/findings.csv" | "/v1/rules/{rule}/{action}" => Limit::Bulk,
        "/v1/reference/{table}" if matches!(*method, Method::PUT | Method::PATCH) => Limit::Bulk,
        "/v1/commands/{command}" => Limit::Lookup,
        "/v1/loads/{location}"
        | "/v1/boards/{location}"
        | "/v1/schedules/{location}/{doctor}"
        | "/v1/runs"
        | "/v1/audit"
        | "/v1/tickets/{ticket}/history"
        | "/v1/queues/{queue}/history"
        | "/v1/locations/{location}/history"
        | "/v1/locations/{location}/analytics"
            if is_read =>
        {
            Limit::Dashboard
        }
        "/v1/stream-tickets" => Limit::Rest,
        _ if is_read => Limit::Rest,
        _ => match role {
            Role::Patient => Limit::Booking,
            Role::Source => Limit::Source,
            _ => Limit::Desk,
        },
    }
}

/// Whether a rate of subjects counts commands.
fn counts_commands(tier: Limit) -> bool {
    matches!(tier, Limit::Booking | Limit::Source | Limit::Desk)
}

/// The layer between the headers of every answer and the routes.
pub(in crate::http) async fn layer(
    State(node): State<Arc<NodeContext>>,
    request: Request,
    next: Next,
) -> Response {
    let client = ClientAddress::from_extensions(request.extensions());
    let response = limited(&node, request, next).await;
    if response.status() == StatusCode::TOO_MANY_REQUESTS {
        node.limits.hold_back(node.limits.address_key(client.group())).await;
    }
    response
}

async fn limited(node: &NodeContext, mut request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let is_counted = |route: &MatchedPath| !is_free(route.as_str()) || route.as_str() == METRICS;
    if !route.as_ref().is_none_or(is_counted) {
        return next.run(request).await;
    }
    let limits = &node.limits;
    let client = ClientAddress::from_extensions(request.extensions());
    let address = limits.address_key(client.group());
    // Staff share an address with everybody on their network. A client with a token has rates of
    // its own, so that a neighbour cannot use them up.
    if let Err(refusal) = limits.spend(Limit::AddressRequests, address)
        && bearer::verified(node, request.headers()).is_err()
    {
        return Problem::from(refusal).into_response();
    }
    // A request without a token for an unknown address can only be a guess.
    if route.is_none()
        && let Err(refusal) = limits.check(Limit::AddressFailures, address)
    {
        return Problem::from(refusal).into_response();
    }
    let caller = Arc::<OnceLock<CallerLimits>>::default();
    request.extensions_mut().insert(RequestLimits { address, caller: caller.clone() });
    let mut response = next.run(request).await;
    note_failure(node, response.status(), address, caller.get());
    // A refusal brings the headers of the rate that refused.
    if let Some(rate) = caller.get().and_then(|caller| caller.rate)
        && !response.headers().contains_key("ratelimit")
    {
        set_headers(rate, response.headers_mut());
    }
    response
}

/// Counts an answer that a guess of tokens, ids or addresses would get. With a valid token it
/// counts for the subject alone: a hostile patient on a clinic's network must not lock out its
/// reception, which has the same address.
fn note_failure(
    node: &NodeContext,
    status: StatusCode,
    address: LimitKey,
    caller: Option<&CallerLimits>,
) {
    let is_refused =
        matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND);
    match caller {
        _ if !is_refused => {}
        // A command that is not decided yet is not found either.
        Some(caller) if caller.tier == Limit::Lookup => {}
        Some(caller) => node.limits.note(Limit::Failures, caller.key),
        None => node.limits.note(Limit::AddressFailures, address),
    }
}

/// Replaces the refusal of a token once its address has sent too many.
pub(in crate::http) fn token_refused(node: &NodeContext, parts: &Parts, code: Code) -> Problem {
    let Some(RequestLimits { address, .. }) = parts.extensions.get() else { return code.into() };
    match node.limits.check(Limit::AddressFailures, *address) {
        Ok(()) => code.into(),
        Err(refusal) => refusal.into(),
    }
}

/// Spends the rates of a request with a valid token.
pub(in crate::http) async fn admit(
    node: &NodeContext,
    parts: &Parts,
    claims: &Claims,
) -> Result<(), Problem> {
    let Some(request) = parts.extensions.get::<RequestLimits>() else { return Ok(()) };
    let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
    let tier = tier(&parts.method, route, claims.role);
    let key = node.limits.subject_key(&claims.tenant, &claims.subject);
    let fill = |rate| {
        // The extractor runs once for each request.
        let _ = request.caller.set(CallerLimits { key, tier, rate });
    };
    let spent = spend(node, claims, key, tier).await;
    fill(spent.as_ref().copied().unwrap_or_default());
    spent.map(drop).map_err(Problem::from)
}

async fn spend(
    node: &NodeContext,
    claims: &Claims,
    key: LimitKey,
    tier: Limit,
) -> Result<Option<RateState>, LimitRefusal> {
    node.limits.check(Limit::Failures, key)?;
    let rate = node.limits.spend_shared(tier, claims).await?;
    if counts_commands(tier) {
        node.limits.spend(Limit::TenantCommands, node.limits.tenant_key(&claims.tenant))?;
    }
    Ok(rate)
}
