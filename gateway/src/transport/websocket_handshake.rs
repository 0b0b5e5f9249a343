//! The handshake of a WebSocket (RFC 6455 §4.2), and the encoding agreed on in it.

use axum::{body::Body, response::IntoResponse};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header,
};
use schemas::codes::Code;
use tungstenite::handshake::derive_accept_key;

use crate::{
    http::{Edge, Problem},
    wire::frames::Form,
};

/// The only version of the protocol (RFC 6455 §4.4).
const VERSION: &str = "13";

/// Checks a handshake. Returns the head of its acceptance and the negotiated form, or a refusal.
pub(super) fn handshake<B>(
    edge: &Edge,
    request: &Request<B>,
) -> Result<(Response<()>, Form), Box<Response<Body>>> {
    let refusal = |status, code| Box::new(Problem::from(code).with_status(status).into_response());
    let mut response = match check(request) {
        Ok(key) => accept(&key),
        Err(status) => {
            let mut response = refusal(status, Code::Malformed);
            if status == StatusCode::UPGRADE_REQUIRED {
                let headers = response.headers_mut();
                headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
                headers.insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
            }
            return Err(response);
        }
    };
    if let Some(code) = edge.page_refusal() {
        return Err(refusal(StatusCode::FORBIDDEN, code));
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
pub(super) fn acceptance<B>(request: &Request<B>) -> Option<Response<()>> {
    check(request).ok().map(|key| accept(&key))
}

/// Checks what RFC 6455 §4.2.1 demands of the request. Returns the key of the client, or the status
/// of a refusal.
fn check<B>(request: &Request<B>) -> Result<Vec<u8>, StatusCode> {
    let headers = request.headers();
    if request.version() < Version::HTTP_11 || only_value(headers, header::HOST).is_none() {
        return Err(StatusCode::BAD_REQUEST);
    }
    let upgrade = request.method() == Method::GET
        && lists(headers, "connection", "upgrade")
        && lists(headers, "upgrade", "websocket");
    let version = only_value(headers, header::SEC_WEBSOCKET_VERSION);
    if !upgrade || version.is_none_or(|version| version != VERSION) {
        return Err(StatusCode::UPGRADE_REQUIRED);
    }
    let key = only_value(headers, header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    key.filter(|key| is_key(key)).map(<[u8]>::to_vec).ok_or(StatusCode::BAD_REQUEST)
}

/// The value of a header that has one line.
fn only_value(headers: &HeaderMap, name: HeaderName) -> Option<&HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

/// Whether the text is the base64 of 16 bytes.
fn is_key(key: &[u8]) -> bool {
    let is_digit = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
    key.strip_suffix(b"==").is_some_and(|digits| digits.len() == 22 && digits.iter().all(is_digit))
}

fn accept(key: &[u8]) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answered = response.headers_mut();
    answered.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    answered.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    let accept = HeaderValue::from_str(&derive_accept_key(key));
    answered.insert(header::SEC_WEBSOCKET_ACCEPT, accept.expect("base64 makes a header"));
    response
}

/// The items of a comma-separated header, which may have several lines.
fn items<'a>(headers: &'a HeaderMap, name: &str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(',')).map(str::trim).filter(|item| !item.is_empty())
}

/// Whether the comma-separated header contains the item.
fn lists(headers: &HeaderMap, name: &str, item: &str) -> bool {
    items(headers, name).any(|part| part.eq_ignore_ascii_case(item))
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
    } else if items(headers, "sec-websocket-protocol").next().is_some() {
        None
    } else if query.any(|pair| matches!(pair, "format=protobuf" | "cf_protocol=protobuf")) {
        Some((Form::WsProtobuf, None))
    } else {
        Some((Form::WsJson, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 5] = [
        ("host", "clinic.example"),
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    /// A handshake in which the header `name` has these lines.
    fn request(name: &str, lines: &[&str]) -> Request<()> {
        let mut request = Request::builder();
        for (good, value) in GOOD.into_iter().filter(|(good, _)| *good != name) {
            request = request.header(good, value);
        }
        for line in lines {
            request = request.header(name, *line);
        }
        request.body(()).unwrap()
    }

    #[test]
    fn faulty_handshake_is_refused_by_its_status() {
        let key = GOOD[4].1;
        for (name, lines, status) in [
            ("host", &[][..], 400),
            ("host", &["a", "b"], 400),
            ("connection", &["keep-alive"], 426),
            ("upgrade", &["h2c"], 426),
            ("sec-websocket-version", &["8"], 426),
            ("sec-websocket-key", &[], 400),
            ("sec-websocket-key", &["c2hvcnQ="], 400),
            ("sec-websocket-key", &["dGhlIHNhbXBsZSBub25jZQ??"], 400),
            ("sec-websocket-key", &[key, key], 400),
        ] {
            let refused = check(&request(name, lines)).unwrap_err();
            assert_eq!(refused, status, "{name} {lines:?}");
        }
        let mut old = request("", &[]);
        *old.version_mut() = Version::HTTP_10;
        assert_eq!(check(&old).unwrap_err(), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn lines_of_a_header_are_one_list() {
        assert!(check(&request("connection", &["keep-alive", "x, upgrade"])).is_ok());
        assert!(check(&request("upgrade", &["h2c", "WebSocket"])).is_ok());
        let offers = request("sec-websocket-protocol", &["x", "y, centrifuge-protobuf"]);
        let (form, protocol) = requested_form(&offers).unwrap();
        assert_eq!((form, protocol), (Form::WsProtobuf, Some("centrifuge-protobuf")));
        assert!(requested_form(&request("sec-websocket-protocol", &["x", "y"])).is_none());
        assert!(requested_form(&request("sec-websocket-protocol", &[""])).is_some());
    }
}
