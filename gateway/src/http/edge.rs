//! The layer that every answer passes: which pages may call, and the headers of every answer,
//! refusals and streams included.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use schemas::codes::Code;

use super::Problem;
use crate::{context::NodeContext, transport::socketio};

/// How long a browser may remember the answer to a preflight: long enough for one visit.
const PREFLIGHT_SECONDS: &str = "600";
/// Pages run only what this host serves.
const POLICY: &str =
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page behind a request, as the request's headers name it.
pub struct Edge {
    /// Whether the path answers pages of listed origins, and no other foreign pages.
    guarded: bool,
    /// The origin of an allowed page.
    origin: Option<HeaderValue>,
    foreign: bool,
    preflight: bool,
}

impl Edge {
    /// `origins` are those whose pages may call beside our own.
    pub fn new<B>(origins: &[String], request: &Request<B>) -> Self {
        let (path, headers) = (request.uri().path(), request.headers());
        let foreign = !is_allowed(origins, headers);
        let origin = headers.get(header::ORIGIN).filter(|_| !foreign).cloned();
        let preflight = request.method() == Method::OPTIONS
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let guarded =
            path.starts_with("/v1/") || path.starts_with("/connection/") || socketio::is_path(path);
        Self { guarded, origin, foreign, preflight }
    }

    /// Whether the page behind the request may use this node. Clients that are not browsers send no
    /// origin; only their token admits them.
    pub fn is_refused(&self) -> bool {
        self.guarded && self.foreign
    }

    /// The answer that needs no route: a refusal of a foreign page, or that to a preflight.
    pub fn answer(&self) -> Option<Response> {
        if self.is_refused() {
            return Some(self.finish(Problem::from(Code::OriginNotAllowed).into_response()));
        }
        let preflight = self.guarded && self.preflight && self.origin.is_some();
        preflight.then(|| self.finish(StatusCode::NO_CONTENT.into_response()))
    }

    /// Sets the headers that every answer has.
    pub fn finish<B>(&self, mut response: Response<B>) -> Response<B> {
        secure(response.headers_mut());
        if let Some(origin) = self.origin.as_ref().filter(|_| self.guarded) {
            self.allow(origin, response.headers_mut());
        }
        response
    }

    /// Lets the page of an allowed origin read the answer.
    fn allow(&self, origin: &HeaderValue, headers: &mut HeaderMap) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.append(header::VARY, HeaderValue::from_static("origin"));
        let mut set = |name, value| headers.insert(name, HeaderValue::from_static(value));
        if self.preflight {
            set(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, DELETE");
            set(
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                "authorization, content-digest, content-type, idempotency-key, valid-until",
            );
            set(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
        } else {
            set(
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                "content-disposition, date, location, ratelimit, ratelimit-policy, retry-after",
            );
        }
    }
}

/// Whether the page behind a request is one of this host or of a listed origin.
fn is_allowed(origins: &[String], headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("null"));
    let Some(origin) = text(header::ORIGIN) else {
        return true;
    };
    let own = origin
        .split_once("://")
        .is_some_and(|(_, authority)| text(header::HOST) == Some(authority));
    own || origins.iter().any(|listed| listed == origin)
}

/// Browsers run only what this host serves, guess no types, send no referrer (the link of a ticket
/// is its key), and keep nothing unless the route said otherwise.
fn secure(headers: &mut HeaderMap) {
    let mut set = |name: HeaderName, value| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    set(header::CONTENT_SECURITY_POLICY, POLICY);
    set(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(header::REFERRER_POLICY, "no-referrer");
    set(header::CACHE_CONTROL, "no-store");
}

/// The layer of the routes.
pub(super) async fn layer(
    State(node): State<Arc<NodeContext>>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let edge = Edge::new(&node.origins, &request);
    match edge.answer() {
        Some(answer) => answer,
        None => edge.finish(next.run(request).await),
    }
}
