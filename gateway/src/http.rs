//! Everything but sockets: commands, snapshots, stream tickets, pages, health and metrics.

mod access;
mod check_in;
pub(crate) mod claims;
mod description;
mod location;
mod pages;
mod shared;
mod webhooks;

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::{MatchedPath, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{delete, get, patch, post, put},
};
use http::{HeaderMap, StatusCode, header};
use schemas::{codes::Code, ids::TenantId};

#[cfg(test)]
pub(crate) use self::shared::command_request::SOURCE as COMMAND_SOURCE;
use self::shared::{audited, bearer, caller::CallerNotes, edge, limits, trace::sampled_trace};
pub use self::shared::{edge::Edge, problem::Problem};
pub(crate) use self::shared::{
    edge::{is_socketio_path, lacks_host},
    limits::is_free,
    trace::ActiveSpan,
};
use crate::{
    backends::snapshots::NotRead, client_address::ClientAddress, clock::now, context::NodeContext,
    limits::Limit, metrics::OPEN_METRICS,
};

/// How long the authority may take for a page of a list. Past it: `try_again`.
const LIST_WITHIN: Duration = Duration::from_secs(5);

type NodeState = State<Arc<NodeContext>>;
type Routes = Router<Arc<NodeContext>>;

/// The routes of `/v1`, of pages, of health and metrics. Sockets and streams are taken before.
pub fn router(node: Arc<NodeContext>) -> Router {
    pages::routes(Router::new())
        .merge(location_routes())
        .merge(line_routes())
        .merge(history_routes())
        .merge(appointment_routes())
        .merge(check_in_routes())
        .merge(claims_routes())
        .merge(access_routes())
        .merge(webhook_routes())
        .route("/v1/openapi.json", get(description::serve))
        .route("/v1/asyncapi.json", get(description::serve_channels))
        .route("/v1/demo", get(demo))
        .route("/health/live", get(|| async { "live\n" }))
        .route("/health/ready", get(ready))
        .merge(if node.has_private_listener { Router::new() } else { metrics_route() })
        .fallback(pages::not_found)
        .method_not_allowed_fallback(|| async {
            Problem::from(Code::UnknownMethod).with_status(StatusCode::METHOD_NOT_ALLOWED)
        })
        .layer(middleware::from_fn_with_state(node.clone(), audited::layer))
        .layer(middleware::from_fn_with_state(node.clone(), limits::layer))
        .layer(middleware::from_fn_with_state(node.clone(), edge::layer))
        .layer(middleware::from_fn_with_state(node.clone(), count))
        .with_state(node)
}

/// The settings of locations, queues and stations.
fn location_routes() -> Routes {
    use location::{channels, commands, logos, settings};
    Router::new()
        .route("/v1/locations/{location}", get(settings::location).put(commands::location))
        .route("/v1/locations/{location}/privacy", get(settings::privacy).put(commands::privacy))
        .route("/v1/locations/{location}/messages", get(settings::messages).put(commands::messages))
        .route("/v1/locations/{location}/branding", get(settings::branding).put(commands::branding))
        .route("/v1/locations/{location}/logo", put(logos::upload))
        .route("/logos/{name}", get(logos::one))
        .route("/v1/locations/{location}/queue-order", put(commands::queue_order))
        .route("/v1/locations/{location}/queues", get(settings::queues))
        .route("/v1/locations/{location}/stations", get(settings::stations))
        .route(
            "/v1/queues/{queue}",
            get(channels::queue).put(commands::queue).delete(commands::remove_queue),
        )
        .route("/v1/queues/{queue}/settings", get(settings::queue))
        .route(
            "/v1/stations/{station}",
            get(settings::station).put(commands::station).delete(commands::remove_station),
        )
}

/// Queues and tickets while patients wait.
fn line_routes() -> Routes {
    use access::{ticket_links, ticket_qr};
    use location::{alerts, channels, commands};
    Router::new()
        .route("/v1/queues/{queue}/{action}", post(commands::queue_action))
        .route("/v1/stations/{station}/{action}", post(commands::station_action))
        .route("/v1/tickets/{ticket}", get(channels::ticket))
        .route("/v1/tickets/{ticket}/alerts", get(alerts::key))
        .route("/v1/tickets/{ticket}/link", get(ticket_links::of_ticket))
        .route("/v1/tickets/{ticket}/link.svg", get(ticket_qr::svg))
        .route("/v1/tickets/{ticket}/link.png", get(ticket_qr::png))
        .route("/t/{code}", get(ticket_links::open_page))
        .route("/v1/ticket-links/exchange", post(ticket_links::exchange))
        .route("/v1/tickets/{ticket}/{action}", post(commands::ticket_action))
        .route("/v1/boards/{location}", get(channels::board))
        .route("/v1/loads/{location}", get(channels::location_load))
        .route("/v1/commands/{command}", get(commands::outcome))
}

/// The histories of tickets, queues and locations, and the figures of locations.
fn history_routes() -> Routes {
    use location::{analytics, history};
    Router::new()
        .route("/v1/tickets/{ticket}/history", get(history::of_ticket))
        .route("/v1/queues/{queue}/history", get(history::of_queue))
        .route("/v1/locations/{location}/history", get(history::of_location))
        .route("/v1/locations/{location}/analytics", get(analytics::figures))
}

/// Appointments, schedules and check-ins at the desk.
fn appointment_routes() -> Routes {
    use location::appointments;
    Router::new()
        .route("/v1/appointments", post(appointments::report))
        .route("/v1/appointments/{appointment}", get(appointments::one))
        .route("/v1/appointments/{appointment}/{action}", post(appointments::action))
        .route("/v1/check-ins", post(appointments::check_in))
        .route("/v1/schedules/{location}/{doctor}", get(appointments::schedule))
}

/// Check-in points, and the scans of patients at them.
fn check_in_routes() -> Routes {
    use check_in::{check_in_points, scans};
    Router::new()
        .route("/v1/check-in-points", get(check_in_points::list))
        .route(
            "/v1/check-in-points/{point}",
            get(check_in_points::one)
                .put(check_in_points::configure)
                .delete(check_in_points::remove),
        )
        .route("/v1/check-in-points/{point}/code.svg", get(check_in_points::svg))
        .route("/v1/check-in-points/{point}/code.png", get(check_in_points::png))
        .route("/v1/check-in-points/{point}/{action}", post(check_in_points::action))
        .route("/c/{code}", get(scans::open_page))
        .route("/v1/scans/open", post(scans::open))
        .route("/v1/scans/find", post(scans::find))
        .route("/v1/scans/check-in", post(scans::check_in))
        .route("/v1/scans/walk-in", post(scans::walk_in))
        .route("/v1/scans/flags", get(scans::flags))
}

/// Claims files, their runs and findings, and the rules of the checks.
fn claims_routes() -> Routes {
    use claims::{files, findings, reference, rules, runs};
    Router::new()
        .route("/v1/files", post(files::upload))
        .route("/v1/runs", get(runs::list).post(runs::request))
        .route("/v1/runs/{run}", get(runs::one))
        .route("/v1/runs/{run}/findings", get(findings::list))
        .route("/v1/runs/{run}/findings.csv", get(findings::export))
        .route("/v1/runs/{run}/{action}", post(runs::action))
        .route("/v1/messages", get(findings::messages))
        .route("/v1/rules", get(rules::list))
        .route("/v1/rules/{rule}", put(rules::put).delete(rules::delete))
        .route("/v1/rules/{rule}/{action}", post(rules::action))
        .route("/v1/reference", get(reference::list))
        .route(
            "/v1/reference/{table}",
            get(reference::page)
                .put(reference::replace)
                .patch(reference::merge)
                .delete(reference::clear),
        )
        .route(
            "/v1/reference/{table}/{key}",
            get(reference::one).put(reference::put).delete(reference::delete),
        )
}

/// Tokens, sessions, displays, streams and the audit.
fn access_routes() -> Routes {
    use access::{audit, displays, limits, renewal, revocations, sessions, tenants, tokens};
    use location::channels;
    Router::new()
        .route("/v1/displays", get(displays::list))
        .route("/v1/displays/{display}", patch(displays::rename).delete(displays::unpair))
        .route("/v1/displays/pairings", post(displays::begin))
        .route("/v1/displays/pairings/{code}/approve", post(displays::approve))
        .route("/v1/displays/pairings/{code}/credential", post(displays::credential))
        .route("/v1/tokens/renew", post(renewal::renew))
        .route("/v1/limits", get(limits::list).put(limits::change))
        .route("/v1/tenants", get(tenants::list).post(tenants::create))
        .route("/v1/tenants/{tenant}", get(tenants::one).put(tenants::change))
        .route("/v1/tenants/{tenant}/suspend", post(tenants::suspend))
        .route("/v1/tenants/{tenant}/resume", post(tenants::resume))
        .route("/v1/tenants/{tenant}/crossings", post(tokens::cross))
        .route("/v1/locations/{location}/crossings", post(tokens::cross_to_location))
        .route("/v1/audit", get(audit::list))
        .route("/v1/revocations", post(revocations::revoke))
        .route("/v1/sessions", get(sessions::list))
        .route("/v1/sessions/{session}", delete(sessions::end))
        .route("/v1/stream-tickets", post(channels::stream_ticket))
}

/// Webhooks and what was sent to them.
fn webhook_routes() -> Routes {
    Router::new()
        .route("/v1/webhooks", get(webhooks::list).post(webhooks::create))
        .route(
            "/v1/webhooks/{webhook}",
            get(webhooks::one).put(webhooks::change).delete(webhooks::delete),
        )
        .route("/v1/webhooks/{webhook}/deliveries", get(webhooks::deliveries))
        .route("/v1/webhooks/{webhook}/{action}", post(webhooks::action))
}

fn metrics_route() -> Routes {
    Router::new().route("/metrics", get(metrics))
}

/// The routes of the private listener: health with its reasons, and metrics.
pub fn private_router(node: Arc<NodeContext>) -> Router {
    metrics_route()
        .route("/health/live", get(|| async { "live\n" }))
        .route("/health/ready", get(ready_with_reasons))
        .fallback(|| async { Problem::from(Code::NotFound) })
        .layer(middleware::map_response(edge::secured))
        .with_state(node)
}

/// The answer of the authority to a list of a tenant, if it came in time.
///
/// # Errors
/// `too_many_queries` when the tenant has as many lists read as it may have, and `try_again`.
async fn found<T>(
    node: &NodeContext,
    tenant: &TenantId,
    asked: impl Future<Output = Result<T, NotRead>>,
) -> Result<T, Code> {
    let _place = node.limits.place(Limit::QueriesOfTenant, node.limits.tenant_key(tenant))?;
    match tokio::time::timeout(LIST_WITHIN, asked).await {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(error)) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "a list could not be read");
            Err(Code::TryAgain)
        }
        Err(_) => {
            tracing::warn!("a list took too long to read");
            Err(Code::TryAgain)
        }
    }
}

/// The tokens of the demo, for this machine alone unless the node was told otherwise. A forwarded
/// request comes from somebody whose machine is not known here.
async fn demo(State(node): NodeState, request: Request) -> Response {
    let client = ClientAddress::from_extensions(request.extensions());
    let headers = request.headers();
    let is_forwarded = headers.contains_key("x-forwarded-for") || headers.contains_key("forwarded");
    if !node.public_demo && (!client.is_loopback() || is_forwarded) {
        return Problem::from(Code::NotFound).into_response();
    }
    match &*node.demo.read().unwrap_or_else(PoisonError::into_inner) {
        Some(demo) => Json(demo).into_response(),
        None => Problem::from(Code::NotFound).into_response(),
    }
}

/// Whether the node takes new clients. Behind a private listener, only that one tells why not.
async fn ready(state: NodeState) -> Response {
    if !state.has_private_listener {
        return ready_with_reasons(state).await;
    }
    match state.readiness.is_ready() {
        true => "ready\n".into_response(),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n").into_response(),
    }
}

async fn ready_with_reasons(State(node): NodeState) -> Response {
    let status = match node.readiness.is_ready() {
        true => StatusCode::OK,
        false => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, node.readiness.report()).into_response()
}

/// All metrics, in the text format that the scraper asks for.
async fn metrics(State(node): NodeState, headers: HeaderMap) -> impl IntoResponse {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let takes_open = accept.is_some_and(|accept| accept.contains("application/openmetrics-text"));
    let (format, text) = match takes_open {
        true => (OPEN_METRICS, node.metrics.open_metrics(&node.readiness)),
        false => (prometheus::TEXT_FORMAT, node.metrics.text(&node.readiness)),
    };
    ([(header::CONTENT_TYPE, format)], text)
}

/// Shows a crossing in the answer, and counts by the route's pattern, never by path: paths carry
/// ids.
async fn count(State(node): NodeState, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let notes = CallerNotes::default();
    request.extensions_mut().insert(notes.clone());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let authorization = request.headers().get(header::AUTHORIZATION).cloned();
    let mut response = next.run(request).await;
    let until = notes.crossing_ends().or_else(|| {
        // A refusal before anybody has verified the token, such as 404 or 405.
        let authorization = authorization.filter(|_| !response.status().is_success())?;
        bearer::crossing_end(&node, &authorization)
    });
    if let Some(until) = until {
        response.headers_mut().insert(access::tokens::CROSSING, until.into());
    }
    let (route, status) = (route.as_ref().map_or("none", MatchedPath::as_str), response.status());
    node.metrics.http_request(route, status);
    let trace = if node.tracer.is_on() { sampled_trace(response.headers()) } else { None };
    node.metrics.http_duration(route, status, begun.elapsed(), trace);
    if let Some(tenant) = notes.tenant().filter(|_| is_error(status)) {
        node.metrics.tenant_error(tenant, status);
    }
    response
}

fn is_error(status: StatusCode) -> bool {
    status.is_client_error() || status.is_server_error()
}

#[cfg(test)]
mod tests;
