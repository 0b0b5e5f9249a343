//! Which pages may call: those of this host, and of the origins somebody listed.

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use schemas::codes::Code;

use super::{Problem, Shared};

/// How long a browser may remember the answer to a preflight: long enough to be asked once a visit.
const PREFLIGHT_SECONDS: &str = "600";

/// Whether the page behind a request may use this node. Clients that are no browsers send no origin; what
/// keeps them out is the token.
pub fn origin_allowed(origins: &[String], headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("null"));
    let Some(origin) = text(header::ORIGIN) else {
        return true;
    };
    let own = origin
        .split_once("://")
        .is_some_and(|(_, authority)| text(header::HOST) == Some(authority));
    own || origins.iter().any(|listed| listed == origin)
}

/// Refuses foreign pages on `/v1`, answers preflights, and lets the allowed pages read what they get.
pub(super) async fn check(State(api): Shared, request: Request, next: Next) -> Response {
    let Some(origin) = request.headers().get(header::ORIGIN).cloned() else {
        return next.run(request).await;
    };
    if !request.uri().path().starts_with("/v1/") {
        return next.run(request).await;
    }
    if !origin_allowed(&api.origins, request.headers()) {
        return Problem::from(Code::OriginNotAllowed).into_response();
    }
    let preflight = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response =
        if preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
    if preflight {
        set(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, DELETE");
        set(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-digest, content-type, idempotency-key, valid-until",
        );
        set(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
    } else {
        set(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            "content-disposition, date, location, retry-after",
        );
    }
    response
}
