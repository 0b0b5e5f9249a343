//! The requests of Engine.IO, and their faults.

use axum::body::Body;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use socketioxide::socket::Sid;

/// The part of a request below `/socket.io/` that decides who answers it.
pub(crate) struct SocketIoRequest {
    /// The session that it names. Without one, it begins a session.
    pub session: Option<Sid>,
    /// Whether it is to become a WebSocket.
    pub websocket: bool,
}

/// Reads a request.
pub(crate) fn read<B>(request: &Request<B>) -> Result<SocketIoRequest, Fault> {
    let query = request.uri().query().unwrap_or_default();
    let websocket = match value(query, "transport") {
        Some("websocket") => true,
        Some("polling") => false,
        _ => return Err(Fault::UnknownTransport),
    };
    if let Some(sid) = value(query, "sid") {
        let session = sid.parse().map_err(|_| Fault::UnknownSession)?;
        return Ok(SocketIoRequest { session: Some(session), websocket });
    }
    if request.method() != Method::GET {
        return Err(Fault::BadMethod);
    }
    if value(query, "EIO") != Some("4") {
        return Err(Fault::UnsupportedVersion);
    }
    Ok(SocketIoRequest { session: None, websocket })
}

fn value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

/// Removes all headers that nobody reads: socketioxide keeps the first request of a session for as
/// long as the session exists.
pub(super) fn keep_only_needed(headers: &mut HeaderMap) {
    let mut kept = HeaderMap::new();
    for name in [header::SEC_WEBSOCKET_KEY, header::CONTENT_TYPE] {
        if let Some(value) = headers.remove(&name) {
            kept.insert(name, value);
        }
    }
    *headers = kept;
}

pub(super) fn with_status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// The fault of a request, in the words and numbers of Engine.IO's reference server.
pub(crate) enum Fault {
    UnknownTransport,
    UnknownSession,
    BadMethod,
    UnsupportedVersion,
}

impl Fault {
    pub(super) fn answer(&self) -> Response<Body> {
        let body = match self {
            Fault::UnknownTransport => r#"{"code":0,"message":"Transport unknown"}"#,
            Fault::UnknownSession => r#"{"code":1,"message":"Session ID unknown"}"#,
            Fault::BadMethod => r#"{"code":2,"message":"Bad handshake method"}"#,
            Fault::UnsupportedVersion => r#"{"code":5,"message":"Unsupported protocol version"}"#,
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = StatusCode::BAD_REQUEST;
        response
            .headers_mut()
            .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}
