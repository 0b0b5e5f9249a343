//! Sockets come in here. hyper reads each request head from a socket it is only stream; when the request asks
//! for a WebSocket or a stream that may be opened, the socket is taken back, hyper's buffers are dropped, and
//! the socket's own small task begins.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body};
use gateway_core::access::{Claims, Role};
use http::{Method, Request, Response, StatusCode, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use schemas::{channel::Channel, codes::Code, view::Position};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot, watch},
    task::spawn_local,
};
use tower::ServiceExt;
use tungstenite::handshake::derive_accept_key;

use crate::{
    access::grant::{GrantKey, MAX_STREAM_CHANNELS, spend_ticket},
    backends::short_keys::ShortKeys,
    clock,
    http::origin_allowed,
    metrics::Metrics,
    stream::frames::{self, Form, REFUSED},
    stream::message::ShardMessage,
    stream::shard::Shard,
    transport::connection,
    transport::lent_socket::{LentSocket, LentStream},
    transport::socketio::{self, SocketIo},
};

/// From accepting a socket, or from the end of a response, to the whole head of the next request. Past it the
/// socket is closed: a slow head is an attack or a dead peer.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// hyper's smallest; a head that does not fit is answered with 431.
const HEAD_BYTES: usize = 16 * 1024;
/// How long to wait after the system refused a socket, usually because descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What every socket of a shard is served with.
pub struct Door {
    pub shard: Rc<RefCell<Shard>>,
    /// The shard's own inbox.
    pub inbox: mpsc::Sender<ShardMessage>,
    pub router: Router,
    pub socketio: SocketIo,
    pub short_keys: Arc<dyn ShortKeys>,
    pub grant_key: GrantKey,
    pub metrics: Arc<Metrics>,
    pub origins: Vec<String>,
    pub draining: watch::Receiver<bool>,
}

/// What a socket is taken back for.
enum Taken {
    WebSocket {
        head: String,
        form: Form,
    },
    Stream {
        head: String,
        claims: Arc<Claims>,
        sealed: String,
        channels: Vec<(Channel, Option<Position>)>,
    },
}

/// Accepts until the node drains.
pub async fn serve(listener: TcpListener, door: Rc<Door>) {
    let mut draining = door.draining.clone();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = draining.wait_for(|draining| *draining) => return,
        };
        match accepted {
            Ok((socket, _)) => {
                if let Err(error) = socket.set_nodelay(true) {
                    tracing::debug!(%error, "a socket was gone before it was served");
                    continue;
                }
                spawn_local(admit(door.clone(), socket));
            }
            Err(error) => {
                tracing::warn!(%error, "a socket could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// A connection that speaks HTTP: a draining shard waits for the last one.
struct Speaking(Rc<RefCell<Shard>>);

impl Speaking {
    fn begin(shard: &Rc<RefCell<Shard>>) -> Self {
        shard.borrow_mut().http_connections += 1;
        Self(shard.clone())
    }
}

impl Drop for Speaking {
    fn drop(&mut self) {
        self.0.borrow_mut().http_connections -= 1;
    }
}

/// Speaks HTTP until the socket is taken or closed. The HTTP part is boxed and dropped before the socket's
/// own task begins, which keeps that task small.
async fn admit(door: Rc<Door>, socket: TcpStream) {
    let speaking = Speaking::begin(&door.shard);
    let Some((socket, taken)) = Box::pin(speak_http(&door, socket)).await else { return };
    drop(speaking);
    let shard = door.shard.clone();
    match taken {
        Taken::WebSocket { head, form } => {
            if write_head(&socket, head.as_bytes()).await {
                spawn_local(connection::run_ws(shard, socket, form));
            }
        }
        Taken::Stream { head, claims, sealed, channels } => {
            if write_head(&socket, head.as_bytes()).await {
                let socket = Rc::new(socket);
                let id =
                    shard.borrow_mut().add_sse(socket.clone(), claims, sealed.into(), channels);
                spawn_local(connection::run_sse(shard, socket, id));
            }
        }
    }
}

/// Writes a response head: it fits any socket's empty buffer, so a socket that takes it only in part is dead.
async fn write_head(socket: &TcpStream, head: &[u8]) -> bool {
    matches!(tokio::time::timeout(HEAD_WITHIN, socket.writable()).await, Ok(Ok(())))
        && socket.try_write(head).is_ok_and(|written| written == head.len())
}

async fn speak_http(door: &Rc<Door>, socket: TcpStream) -> Option<(TcpStream, Taken)> {
    let lent_socket = LentSocket::new(socket);
    let (take, taken) = oneshot::channel();
    let take = Rc::new(Cell::new(Some(take)));
    let service = service_fn(|request: Request<Incoming>| {
        let (door, lent_socket, take) = (door.clone(), lent_socket.clone(), take.clone());
        async move {
            match answer(&door, &lent_socket, request).await {
                Ok(response) => Ok::<_, Infallible>(response),
                Err(taking) => {
                    // The driver below takes the socket away; nothing is ever answered here.
                    if let Some(take) = take.take() {
                        let _ = take.send(taking);
                    }
                    std::future::pending().await
                }
            }
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(LentStream(lent_socket.clone())), service)
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    let mut draining = door.draining.clone();
    let taking = tokio::select! {
        biased;
        taking = taken => taking.ok(),
        _ = serving.as_mut() => None,
        _ = draining.wait_for(|draining| *draining) => {
            serving.as_mut().graceful_shutdown();
            let _ = serving.await;
            None
        }
    }?;
    Some((lent_socket.take()?, taking))
}

/// A response, or what the socket is to be taken for.
async fn answer(
    door: &Door,
    lent_socket: &Arc<LentSocket>,
    request: Request<Incoming>,
) -> Result<Response<Body>, Taken> {
    match request.uri().path() {
        "/connection/websocket" => match websocket(door, &request) {
            Ok((head, form)) => Err(Taken::WebSocket { head, form }),
            Err((status, code)) => Ok(problem(status, code)),
        },
        "/v1/stream" if request.method() == Method::GET => match stream(door, &request).await {
            Ok(taken) => Err(taken),
            Err(refusal) => Ok(refused(door, &request, refusal)),
        },
        socketio::PATH => Ok(socket_io(door, lent_socket, request).await),
        _ => Ok(door
            .router
            .clone()
            .oneshot(request.map(Body::new))
            .await
            .unwrap_or_else(|never| match never {})),
    }
}

/// A request of a Socket.IO session. Its body may be read by other pages only if their origin is allowed.
async fn socket_io(
    door: &Door,
    lent_socket: &Arc<LentSocket>,
    request: Request<Incoming>,
) -> Response<Body> {
    if !origin_allowed(&door.origins, request.headers()) {
        return problem(StatusCode::FORBIDDEN, Code::OriginNotAllowed);
    }
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = if request.method() == Method::OPTIONS {
        socketio::preflight()
    } else {
        door.socketio.answer(request, lent_socket, &door.inbox).await
    };
    door.metrics.http_request(socketio::PATH, response.status());
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, http::HeaderValue::from_static("nosniff"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.append(header::VARY, http::HeaderValue::from_static("origin"));
    }
    response
}

fn header<'a, B>(request: &'a Request<B>, name: &str) -> &'a str {
    request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

fn lists<B>(request: &Request<B>, name: &str, item: &str) -> bool {
    header(request, name).split(',').any(|part| part.trim().eq_ignore_ascii_case(item))
}

/// Checks a WebSocket handshake (RFC 6455 §4.2); answers the head of its acceptance and the form agreed on.
fn websocket<B>(door: &Door, request: &Request<B>) -> Result<(String, Form), (StatusCode, Code)> {
    let upgrade = request.method() == Method::GET
        && lists(request, "connection", "upgrade")
        && lists(request, "upgrade", "websocket");
    let key = header(request, "sec-websocket-key");
    if !upgrade || header(request, "sec-websocket-version") != "13" || key.len() != 24 {
        return Err((StatusCode::UPGRADE_REQUIRED, Code::Malformed));
    }
    if !origin_allowed(&door.origins, request.headers()) {
        return Err((StatusCode::FORBIDDEN, Code::OriginNotAllowed));
    }
    let (form, agreed) =
        form_asked_for(request).ok_or((StatusCode::BAD_REQUEST, Code::Unavailable))?;
    let protocol =
        agreed.map(|name| format!("sec-websocket-protocol: {name}\r\n")).unwrap_or_default();
    let accept = derive_accept_key(key.as_bytes());
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n{protocol}sec-websocket-accept: {accept}\r\n\r\n"
    );
    Ok((head, form))
}

/// The form a WebSocket's client asks for, by subprotocol or by query, and the subprotocol that is then agreed on.
/// JSON where neither says anything; `None` where only what is not spoken here is offered. Python's SDK sends an
/// empty list of subprotocols.
fn form_asked_for<B>(request: &Request<B>) -> Option<(Form, Option<&'static str>)> {
    let offers = |name: &str| lists(request, "sec-websocket-protocol", name);
    let mut query = request.uri().query().unwrap_or_default().split('&');
    if offers("centrifuge-protobuf") {
        Some((Form::WsProtobuf, Some("centrifuge-protobuf")))
    } else if offers("centrifuge-json") {
        Some((Form::WsJson, Some("centrifuge-json")))
    } else if !header(request, "sec-websocket-protocol").trim().is_empty() {
        None
    } else if query.any(|pair| matches!(pair, "format=protobuf" | "cf_protocol=protobuf")) {
        Some((Form::WsProtobuf, None))
    } else {
        Some((Form::WsJson, None))
    }
}

/// Why a stream does not begin.
enum Refusal {
    Code(Code),
    /// Refused before, and come back nevertheless: stop.
    Final,
}

impl From<Code> for Refusal {
    fn from(code: Code) -> Self {
        Self::Code(code)
    }
}

async fn stream<B>(door: &Door, request: &Request<B>) -> Result<Taken, Refusal> {
    if !origin_allowed(&door.origins, request.headers()) {
        return Err(Code::OriginNotAllowed.into());
    }
    let query: Vec<(String, String)> =
        axum::extract::Query::try_from_uri(request.uri()).map_err(|_| Code::Malformed)?.0;
    let value =
        |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let last = match header(request, "last-event-id") {
        "" => value("last_event_id").unwrap_or_default(),
        last => last,
    };
    if last == REFUSED {
        return Err(Refusal::Final);
    }
    let channels: Vec<Channel> = query
        .iter()
        .filter(|(key, _)| key == "channel")
        .map(|(_, name)| Channel::parse(name).map_err(|_| Code::UnknownChannel))
        .collect::<Result<_, _>>()?;
    if channels.is_empty() {
        return Err(Code::Malformed.into());
    }
    if channels.len() > MAX_STREAM_CHANNELS {
        return Err(Code::ChannelLimit.into());
    }
    let (positions, sealed) = last.split_once(':').unwrap_or_default();
    let now = clock::now();
    // The browser's own reconnect repeats the URL with its spent ticket: the id then stands for it. A page that
    // comes with an id that no longer opens has brought a new ticket.
    let grant = match (value("ticket"), sealed.is_empty()) {
        (Some(ticket), true) => spend_ticket(&*door.short_keys, ticket, channels, now).await?,
        (Some(ticket), false) => match door.grant_key.open(sealed, &channels, now) {
            Ok(grant) => grant,
            Err(_) => spend_ticket(&*door.short_keys, ticket, channels, now).await?,
        },
        (None, false) => door.grant_key.open(sealed, &channels, now)?,
        (None, true) => return Err(Code::TokenMissing.into()),
    };
    let channels = grant
        .channels
        .iter()
        .cloned()
        .zip(read_positions(positions, grant.channels.len()))
        .collect();
    let sealed = door.grant_key.seal(&grant);
    let claims = Claims {
        tenant: grant.tenant,
        subject: grant.subject,
        // A grant names its channels; a stream can ask for no other, so it needs no role.
        role: Role::Patient,
        locations: Vec::new(),
        queues: Vec::new(),
        tickets: Vec::new(),
        appointments: Vec::new(),
        doctor: None,
        expires: grant.expires,
    };
    let head = stream_head(door, request);
    Ok(Taken::Stream { head, claims: Arc::new(claims), sealed, channels })
}

/// `<epoch>.<version>` of each channel; a position that cannot be read, or is zero, is none.
fn read_positions(text: &str, channels: usize) -> Vec<Option<Position>> {
    let mut positions: Vec<Option<Position>> = text
        .split('_')
        .map(|position| {
            let (epoch, version) = position.split_once('.')?;
            let position = Position { epoch: epoch.parse().ok()?, version: version.parse().ok()? };
            (position.epoch > 0).then_some(position)
        })
        .collect();
    positions.resize(channels, None);
    positions
}

/// The head of a stream, the browser's delay before it comes back, spread, and a first beat. The body ends
/// with the connection, so it needs no framing.
fn stream_head<B>(door: &Door, request: &Request<B>) -> String {
    let retry = 1000 + getrandom::u32().unwrap_or(0) % 4000;
    let cors = match header(request, "origin") {
        "" => String::new(),
        origin if origin_allowed(&door.origins, request.headers()) => {
            format!("access-control-allow-origin: {origin}\r\nvary: origin\r\n")
        }
        _ => String::new(),
    };
    let beat = std::str::from_utf8(frames::SSE_BEAT).unwrap_or_default();
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store, no-transform\r\nx-accel-buffering: no\r\nx-content-type-options: nosniff\r\nconnection: close\r\n{cors}\r\nretry: {retry}\n\n{beat}"
    )
}

/// A browser's `EventSource` gives up for ever on anything but a 200, so a refusal is an event; the request
/// that follows it is told to stop by a 204.
fn refused<B>(door: &Door, request: &Request<B>, refusal: Refusal) -> Response<Body> {
    let Refusal::Code(code) = refusal else {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        return response;
    };
    door.metrics.error(code);
    let id = (!code.is_temporary()).then_some(REFUSED);
    let mut response = Response::new(Body::from(frames::encode_sse_error(None, code, id)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, http::HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, http::HeaderValue::from_static("no-store, no-transform"));
    if let Some(origin) =
        request.headers().get("origin").filter(|_| origin_allowed(&door.origins, request.headers()))
    {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
    response
}

fn problem(status: StatusCode, code: Code) -> Response<Body> {
    let body = serde_json::json!({
        "type": "about:blank", "title": code.title(), "status": status.as_u16(), "code": code,
    });
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/problem+json"));
    response
}
