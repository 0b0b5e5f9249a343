//! Everything but sockets: commands, snapshots, stream tickets, pages, health and metrics.

mod caller;
mod channels;
mod commands;
mod origin;
mod pages;
mod problem;
mod requests;

use std::sync::{Arc, PoisonError, RwLock};

use axum::{
    Json, Router,
    extract::{MatchedPath, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use http::{HeaderName, HeaderValue, StatusCode, header};
use schemas::codes::Code;

pub use self::{commands::SOURCE as COMMAND_SOURCE, origin::origin_allowed, problem::Problem};
use crate::{
    auth::Verifier,
    clock::now,
    commands::Commands,
    grant::GrantKey,
    metrics::{Metrics, Readiness},
    reader::Reader,
    short_keys::ShortKeys,
    tails::Tails,
};

/// What the routes need of their node.
pub struct Api {
    pub verifier: Arc<Verifier>,
    pub commands: Arc<Commands>,
    pub reader: Arc<Reader>,
    pub tails: Arc<Tails>,
    pub short_keys: Arc<dyn ShortKeys>,
    pub grant_key: GrantKey,
    pub metrics: Arc<Metrics>,
    pub ready: Arc<Readiness>,
    /// What a demo shows on the start page; without a demo there is nothing.
    pub demo: Arc<RwLock<Option<serde_json::Value>>>,
    /// Origins, as a browser writes them, whose pages may call beside our own.
    pub origins: Vec<String>,
}

type Shared = State<Arc<Api>>;

/// The routes of `/v1`, of pages, of health and metrics. Sockets and streams are taken before.
pub fn router(api: Arc<Api>) -> Router {
    pages::routes(Router::new())
        .route("/v1/locations/{location}", put(commands::location))
        .route("/v1/queues/{queue}", get(channels::queue).put(commands::queue))
        .route("/v1/queues/{queue}/{action}", post(commands::queue_action))
        .route("/v1/stations/{station}", put(commands::station))
        .route("/v1/tickets/{ticket}", get(channels::ticket))
        .route("/v1/tickets/{ticket}/{action}", post(commands::ticket_action))
        .route("/v1/boards/{location}", get(channels::board))
        .route("/v1/commands/{command}", get(commands::outcome))
        .route("/v1/stream-tickets", post(channels::stream_ticket))
        .route("/v1/demo", get(demo))
        .route("/health/live", get(|| async { "live\n" }))
        .route("/health/ready", get(ready))
        .route("/metrics", get(metrics))
        .fallback(|| async { Problem::from(Code::NotFound) })
        .method_not_allowed_fallback(|| async {
            Problem::from(Code::UnknownMethod).with_status(StatusCode::METHOD_NOT_ALLOWED)
        })
        .layer(middleware::from_fn_with_state(api.clone(), origin::check))
        .layer(middleware::from_fn_with_state(api.clone(), count))
        .layer(middleware::map_response(secure))
        .with_state(api)
}

async fn demo(State(api): Shared) -> Response {
    match &*api.demo.read().unwrap_or_else(PoisonError::into_inner) {
        Some(demo) => Json(demo).into_response(),
        None => Problem::from(Code::NotFound).into_response(),
    }
}

async fn ready(State(api): Shared) -> Response {
    if api.ready.is_ready() {
        "ready\n".into_response()
    } else if api.ready.is_draining() {
        Problem::from(Code::Draining).into_response()
    } else {
        Problem::from(Code::TryAgain)
            .explained("the node has not read the log to its end yet")
            .into_response()
    }
}

async fn metrics(State(api): Shared) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], api.metrics.text(&api.ready))
}

/// Counts by the route's pattern, never by path: paths carry ids.
async fn count(State(api): Shared, request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    api.metrics.http_request(route.as_ref().map_or("none", MatchedPath::as_str), response.status());
    response
}

/// What every response says to browsers: run only what this host serves, guess no types, tell no referrer
/// (a link of a ticket is its key), keep nothing unless the route said otherwise.
async fn secure(mut response: Response) -> Response {
    const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let headers = response.headers_mut();
    let mut set = |name: HeaderName, value| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::CACHE_CONTROL, "no-store");
    response
}

#[cfg(test)]
mod tests;
