//! The handshake of a WebSocket (RFC 6455 §4.2), and the encoding agreed on in it.

use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use schemas::codes::Code;
use tungstenite::handshake::derive_accept_key;

use super::{empty, text};
use crate::{
    http::{Edge, Problem},
    stream::frames::Form,
};

/// Checks a handshake. Returns the head of its acceptance and the negotiated form, or a refusal.
pub(super) fn handshake<B>(
    edge: &Edge,
    request: &Request<B>,
) -> Result<(Response<()>, Form), Problem> {
    let refusal = |status, code| Problem::from(code).with_status(status);
    let Some(mut response) = acceptance(request) else {
        return Err(refusal(StatusCode::UPGRADE_REQUIRED, Code::Malformed));
    };
    if edge.is_refused() {
        return Err(refusal(StatusCode::FORBIDDEN, Code::OriginNotAllowed));
    }
    let (form, protocol) = requested_form(request)
        .ok_or_else(|| refusal(StatusCode::BAD_REQUEST, Code::Unavailable))?;
    if let Some(protocol) = protocol {
        let protocol = HeaderValue::from_static(protocol);
        response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    }
    Ok((response, form))
}

/// The head that accepts a WebSocket, without a subprotocol. `None` when the request is not a
/// handshake.
pub(in crate::transport) fn acceptance<B>(request: &Request<B>) -> Option<Response<()>> {
    let headers = request.headers();
    let upgrade = request.method() == Method::GET
        && lists(headers, "connection", "upgrade")
        && lists(headers, "upgrade", "websocket");
    let key = text(headers, "sec-websocket-key");
    if !upgrade || text(headers, "sec-websocket-version") != "13" || key.len() != 24 {
        return None;
    }
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    let answered = response.headers_mut();
    answered.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    answered.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()));
    answered.insert(header::SEC_WEBSOCKET_ACCEPT, accept.expect("base64 makes a header"));
    Some(response)
}

/// Whether the comma-separated header contains the item.
fn lists(headers: &HeaderMap, name: &str, item: &str) -> bool {
    text(headers, name).split(',').any(|part| part.trim().eq_ignore_ascii_case(item))
}

/// The form that a client asks for, by subprotocol or by query, and the subprotocol to confirm. The
/// default is JSON; `None` when the client offers only unknown subprotocols. Python's SDK sends an
/// empty list of subprotocols.
fn requested_form<B>(request: &Request<B>) -> Option<(Form, Option<&'static str>)> {
    let headers = request.headers();
    let offers = |name: &str| lists(headers, "sec-websocket-protocol", name);
    let mut query = request.uri().query().unwrap_or_default().split('&');
    if offers("centrifuge-protobuf") {
        Some((Form::WsProtobuf, Some("centrifuge-protobuf")))
    } else if offers("centrifuge-json") {
        Some((Form::WsJson, Some("centrifuge-json")))
    } else if !text(headers, "sec-websocket-protocol").trim().is_empty() {
        None
    } else if query.any(|pair| matches!(pair, "format=protobuf" | "cf_protocol=protobuf")) {
        Some((Form::WsProtobuf, None))
    } else {
        Some((Form::WsJson, None))
    }
}
