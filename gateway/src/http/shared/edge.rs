//! The layer that every answer passes: which pages may call, and the headers of every answer,
//! refusals and streams included.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header, uri::Authority};
use schemas::codes::Code;
use tracing::Instrument;

use super::{
    limits::FREE,
    trace::{self, ActiveSpan, RequestTrace},
};
use crate::{
    client_address::ReportedClient,
    context::NodeContext,
    http::Problem,
    wire::security_headers::{HSTS, add_security_headers},
};

/// How long a browser may remember the answer to a preflight: long enough for one visit.
const PREFLIGHT_SECONDS: &str = "600";
/// Detail of `origin_mismatch`: it tells the operator of a proxy how to correct it.
const MISMATCH: &str = "the Host of the request is not that of its page: the proxy in front must \
    pass Host on unchanged, or the gateway must be started with --origin and the page's origin";
/// The page behind a request, as the request's headers name it.
pub struct Edge {
    /// Whether the path answers pages of listed origins, and no other foreign pages.
    guarded: bool,
    /// The origin of an allowed page.
    origin: Option<HeaderValue>,
    /// Why the page may not use this node, if it may not.
    foreign: Option<Code>,
    preflight: bool,
    /// For Socket.IO, whose clients may send cookies and headers of their own: the headers that a
    /// preflight asks for.
    socketio: Option<Option<HeaderValue>>,
    /// Whether the `Host` is not one of the node's names.
    wrong_host: bool,
    /// Whether a trusted proxy says that the client uses TLS.
    secure: bool,
    trace: RequestTrace,
}

impl Edge {
    pub fn new<B>(node: &NodeContext, request: &Request<B>) -> Self {
        let (path, headers) = (request.uri().path(), request.headers());
        let client = request.extensions().get::<ReportedClient>();
        let is_secure = client.and_then(|client| client.is_secure);
        let foreign = (!is_allowed(&node.origins, headers, is_secure)).then(|| refusal(headers));
        let wrong_host = !FREE.contains(&path) && !is_own_host(&node.hosts, request);
        let origin = headers.get(header::ORIGIN).filter(|_| foreign.is_none()).cloned();
        let preflight = request.method() == Method::OPTIONS
            && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
        let asked = || headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        let socketio = is_socketio_path(path).then(asked);
        let guarded =
            path.starts_with("/v1/") || path.starts_with("/connection/") || socketio.is_some();
        let secure = is_secure == Some(true);
        let trace = RequestTrace::from_headers(headers);
        Self { guarded, origin, foreign, preflight, socketio, wrong_host, secure, trace }
    }

    /// The code of the refusal, if the page behind the request may not use this node. Clients that
    /// are not browsers send no origin; only their token admits them.
    pub fn page_refusal(&self) -> Option<Code> {
        self.foreign.filter(|_| self.guarded)
    }

    /// The refusal of a request for another host. A name that is not ours is that of a page which
    /// made a browser take our address for its own (DNS rebinding).
    pub fn host_refusal(&self) -> Option<Response> {
        self.wrong_host.then(|| self.finish(Problem::from(Code::HostNotAllowed).into_response()))
    }

    /// The answer that needs no route: a refusal of a foreign page, or that to a preflight.
    pub fn answer(&self) -> Option<Response> {
        if let Some(refusal) = self.host_refusal() {
            return Some(refusal);
        }
        if let Some(code) = self.page_refusal() {
            let problem = match code {
                Code::OriginMismatch => Problem::from(code).explained(MISMATCH),
                _ => code.into(),
            };
            return Some(self.finish(problem.into_response()));
        }
        let preflight = self.guarded && self.preflight && self.origin.is_some();
        preflight.then(|| self.finish(StatusCode::NO_CONTENT.into_response()))
    }

    /// Sets the headers that every answer has.
    pub fn finish<B>(&self, mut response: Response<B>) -> Response<B> {
        add_security_headers(response.headers_mut());
        self.trace.set(response.headers_mut());
        if self.secure {
            let name = header::STRICT_TRANSPORT_SECURITY;
            response.headers_mut().insert(name, HeaderValue::from_static(HSTS));
        }
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
            set(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, PATCH, DELETE");
            set(
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                "authorization, content-digest, content-type, idempotency-key, if-match, \
                 traceparent, tracestate, valid-until, x-request-id",
            );
            set(header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS);
        } else {
            set(
                header::ACCESS_CONTROL_EXPOSE_HEADERS,
                "content-disposition, date, etag, location, ratelimit, ratelimit-policy, \
                 retry-after, traceparent, x-request-id",
            );
        }
        if let Some(asked) = &self.socketio {
            set(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, "true");
            if let Some(asked) = asked.as_ref().filter(|_| self.preflight) {
                headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
            }
        }
    }
}

/// The code for a page that is not allowed. A browser says by `Sec-Fetch-Site`, which no page can
/// set, that the page was loaded from the address to which it sends: then the page is our own, and
/// a proxy in front has replaced the `Host`. It is refused all the same, because a page that took
/// our address for its own (DNS rebinding) looks alike.
fn refusal(headers: &HeaderMap) -> Code {
    let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
    if site == Some(b"same-origin") { Code::OriginMismatch } else { Code::OriginNotAllowed }
}

/// Whether a request of HTTP/1.1 names no host, or none that can be one (RFC 9112 §3.2). Those for
/// health and metrics need no host.
pub(crate) fn lacks_host<B>(request: &Request<B>) -> bool {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let is_host = |host: &str| !host.contains('@') && host.parse::<Authority>().is_ok();
    request.version() == Version::HTTP_11
        && !FREE.contains(&request.uri().path())
        && !host.is_some_and(is_host)
}

/// Whether every name that the request gives its host, in `Host` and in an absolute target, is one
/// of the node's, with or without a port. Two lines of `Host` are never right (RFC 9112 §3.2).
fn is_own_host<B>(hosts: &[String], request: &Request<B>) -> bool {
    let is_own = |host: &str| {
        let name = host.rsplit_once(':').filter(|(_, port)| port.parse::<u16>().is_ok());
        let name = name.map_or(host, |(name, _)| name);
        let is = |own: &String| own.eq_ignore_ascii_case(name) || own.eq_ignore_ascii_case(host);
        hosts.is_empty() || hosts.iter().any(is)
    };
    let mut lines = request.headers().get_all(header::HOST).iter();
    let host = lines.next().and_then(|host| host.to_str().ok()).unwrap_or_default();
    let target = request.uri().authority().map(|target| target.as_str());
    lines.next().is_none() && is_own(host) && target.is_none_or(is_own)
}

/// Whether the page behind a request is one of this host or of a listed origin. When a trusted
/// proxy tells the scheme, the origin must have it too: a page that came without TLS may be
/// anybody's.
fn is_allowed(origins: &[String], headers: &HeaderMap, is_secure: Option<bool>) -> bool {
    let text = |name| headers.get(name).map(|value: &HeaderValue| value.to_str().unwrap_or("null"));
    let Some(origin) = text(header::ORIGIN) else {
        return true;
    };
    let own = origin.split_once("://").is_some_and(|(scheme, authority)| {
        let fits =
            is_secure.is_none_or(|is_secure| scheme == if is_secure { "https" } else { "http" });
        fits && text(header::HOST) == Some(authority)
    });
    own || origins.iter().any(|listed| listed == origin)
}

/// Whether a path is that of Socket.IO, whose requests no route answers.
pub(crate) fn is_socketio_path(path: &str) -> bool {
    path.strip_prefix("/socket.io").is_some_and(|rest| matches!(rest, "" | "/"))
}

/// The layer of the private listener, which pages do not call.
pub(in crate::http) async fn secured(mut response: Response<Body>) -> Response<Body> {
    add_security_headers(response.headers_mut());
    response
}

/// The layer of the routes.
pub(in crate::http) async fn layer(
    State(node): State<Arc<NodeContext>>,
    request: Request,
    next: Next,
) -> Response<Body> {
    let mut edge = Edge::new(&node, &request);
    let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let mut span = edge.trace.begin(&node.tracer, request.method(), route);
    let answer = match edge.answer() {
        Some(answer) => answer,
        None => {
            let answered = next.run(request).instrument(edge.trace.log_span());
            edge.finish(ActiveSpan::scope(span.as_ref().map(trace::active), answered).await)
        }
    };
    if let Some(span) = &mut span {
        trace::note_answer(span, answer.status());
    }
    answer
}
