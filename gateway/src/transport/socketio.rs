//! Socket.IO, for the apps that already speak it. socketioxide owns the sessions and their packets.
//! This module answers their requests, checks the token of each client, and passes the client to
//! the shard that accepted its first request. There it is a connection like all others.

pub mod client;
mod probe;
mod refusal;
mod wire;

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use gateway_core::{
    protocol::{MAX_COMMANDS, MAX_MESSAGE},
    session::{CONNECT_WITHIN_S, MAX_CHANNELS, PING_S, PONG_WITHIN_S},
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use schemas::codes::Code;
use socketioxide::{
    ParserConfig, SocketIo as Namespaces,
    adapter::LocalAdapter,
    extract::{AckSender, SocketRef, TryData},
    handler::{ConnectHandler, FromMessageParts, MessageHandler, Value},
    service::SocketIoService,
    socket::{DisconnectReason, Sid, Socket},
};
use tokio::{sync::mpsc, task::spawn_local};
use tower::{Service, ServiceExt};

use self::wire::Wire;

use crate::{
    access::auth::Verifier,
    clock,
    metrics::Metrics,
    stream::message::ShardMessage,
    transport::{
        accept::websocket,
        lent_socket::LentSocket,
        peer::{
            events::{self, Auth},
            link::{ClientEvent, PollingSessions, SessionLink},
            socketio::SocketIoPeer,
        },
    },
};

/// Path of all requests, with the slash at the end that clients send by default.
pub const PATH: &str = "/socket.io/";

/// Whether requests of this path are answered here.
pub fn is_path(path: &str) -> bool {
    path.strip_prefix("/socket.io").is_some_and(|rest| matches!(rest, "" | "/"))
}

/// Bytes of read buffer that the WebSocket of an idle session holds. Longer messages are read in
/// pieces.
const READ_BUFFER: usize = 512;
/// Packets that socketioxide may hold for one session: the acknowledgements of as many events as
/// may wait, and the first state of each channel, with room for pings. The bound in bytes is
/// reached earlier; this one closes only a session whose waiting packets are small and many.
const MAX_PACKETS: usize = MAX_COMMANDS + 2 * MAX_CHANNELS;
/// Attachments up to which a packet is refused by an acknowledgement, because no event takes any. A
/// packet with more closes the session.
const MAX_ATTACHMENTS: usize = 16;
/// How long a client may take to send the attachments of a packet or the body of a request, or to
/// finish its upgrade.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// The packet that ends a poll and says nothing.
const NOOP: &str = "6";

/// The Socket.IO service of a node. All shards share it, because the requests of a polling client
/// arrive at any of them.
#[derive(Clone)]
pub struct SocketIo {
    service: SocketIoService<axum::Router>,
    polling: Arc<PollingSessions>,
}

impl SocketIo {
    pub fn new(verifier: Arc<Verifier>, metrics: Arc<Metrics>) -> Self {
        let parser = ParserConfig::common()
            .max_incoming_binaries(MAX_ATTACHMENTS)
            .max_incoming_binary_buf_size(MAX_MESSAGE)
            .packet_completion_timeout(SEND_WITHIN);
        let (service, namespaces) = Namespaces::builder()
            .ping_interval(Duration::from_secs(PING_S))
            .ping_timeout(Duration::from_secs(PONG_WITHIN_S))
            .connect_timeout(Duration::from_secs(CONNECT_WITHIN_S))
            .upgrade_timeout(SEND_WITHIN)
            .max_payload(MAX_MESSAGE as u64)
            .ws_max_message_size(MAX_MESSAGE)
            .ws_max_frame_size(MAX_MESSAGE)
            .ws_read_buffer_size(READ_BUFFER)
            .max_buffer_size(MAX_PACKETS)
            .with_parser(parser)
            // The inner service is never called: only requests of `PATH` come here.
            .build_with_inner_svc(axum::Router::new());
        let admit = async move |socket: SocketRef, TryData(auth): TryData<Auth>| {
            let auth = auth.map_err(|_| Code::Malformed);
            admit(&verifier, &socket, auth).await.inspect_err(|code| metrics.error(*code))
        };
        namespaces.ns("/", join.with(admit));
        Self { service, polling: Arc::default() }
    }

    /// Whether a client still polls, so that it needs this node to learn why its session ends.
    pub fn has_polling(&self) -> bool {
        let polls = |link: Arc<SessionLink>| !link.is_cut() && link.lent_socket().is_none();
        self.polling.iter().any(|entry| entry.value().upgrade().is_some_and(polls))
    }

    /// Whether this is a request of a session that exists.
    pub fn is_of_session(request: &Request<Incoming>) -> bool {
        is_path(request.uri().path())
            && value(request.uri().query().unwrap_or_default(), "sid").is_some()
    }

    /// Answers a request on `lent_socket`. A session that it opens belongs to the shard with that
    /// inbox.
    pub async fn answer(
        &self,
        mut request: Request<Incoming>,
        lent_socket: &Arc<LentSocket>,
        inbox: &mpsc::Sender<ShardMessage>,
    ) -> Response<Body> {
        let (session, upgrades) = match self.find_session(&request) {
            Ok(found) => found,
            Err(fault) => return fault.answer(),
        };
        if upgrades {
            return self.open_websocket(request, session, lent_socket, inbox);
        }
        keep_only_needed(request.headers_mut());
        let Some(link) = session else {
            let link = Arc::new(SessionLink::new(None));
            let session = NewSession { link: link.clone(), inbox: inbox.clone() };
            request.extensions_mut().insert(session);
            let response = self.serve(request).await;
            return self.remember(&link, response).await;
        };
        if request.method() == Method::GET {
            return self.poll(&link, request).await;
        }
        match tokio::time::timeout(SEND_WITHIN, self.serve(request)).await {
            Ok(response) => response,
            Err(_) => with_status(StatusCode::REQUEST_TIMEOUT),
        }
    }

    /// Finds the session of a request, if it names one, and whether it asks for a WebSocket.
    fn find_session(
        &self,
        request: &Request<Incoming>,
    ) -> Result<(Option<Arc<SessionLink>>, bool), Fault> {
        let query = request.uri().query().unwrap_or_default();
        let upgrades = match value(query, "transport") {
            Some("websocket") => true,
            Some("polling") => false,
            _ => return Err(Fault::UnknownTransport),
        };
        if let Some(sid) = value(query, "sid") {
            let sid: Sid = sid.parse().map_err(|_| Fault::UnknownSession)?;
            let link = self.polling.get(&sid).and_then(|link| link.upgrade());
            let link = link.filter(|link| !link.is_cut()).ok_or(Fault::UnknownSession)?;
            return Ok((Some(link), upgrades));
        }
        if request.method() != Method::GET {
            return Err(Fault::BadMethod);
        }
        if value(query, "EIO") != Some("4") {
            return Err(Fault::UnsupportedVersion);
        }
        Ok((None, upgrades))
    }

    /// Accepts a WebSocket: for a new session, or to probe whether a polling one can upgrade to it.
    fn open_websocket(
        &self,
        mut request: Request<Incoming>,
        session: Option<Arc<SessionLink>>,
        lent_socket: &Arc<LentSocket>,
        inbox: &mpsc::Sender<ShardMessage>,
    ) -> Response<Body> {
        let Some(acceptance) = websocket::acceptance(&request) else {
            return with_status(StatusCode::UPGRADE_REQUIRED);
        };
        let upgrade = hyper::upgrade::on(&mut request);
        keep_only_needed(request.headers_mut());
        let (mut head, _) = request.into_parts();
        let mut service = self.service.clone();
        match session {
            Some(link) if link.probe_begins() => {
                spawn_local(probe::run(service, link, lent_socket.clone(), upgrade, head));
            }
            Some(_) => return with_status(StatusCode::BAD_REQUEST),
            None => {
                let link = Arc::new(SessionLink::new(Some(lent_socket.clone())));
                head.extensions.insert(NewSession { link: link.clone(), inbox: inbox.clone() });
                let request = Request::from_parts(head, ());
                spawn_local(async move {
                    if let Ok(stream) = upgrade.await {
                        let wire = Wire::new(TokioIo::new(stream), link);
                        // The query was read, so socketioxide can read it too.
                        let _ = service.call((wire, request)).await;
                    }
                });
            }
        }
        acceptance.map(|()| Body::empty())
    }

    /// Answers a poll once there are packets, when its client upgrades, or when the session is cut.
    async fn poll(&self, link: &SessionLink, request: Request<Incoming>) -> Response<Body> {
        link.poll_begins();
        tokio::select! {
            biased;
            () = link.until_cut() => Fault::UnknownSession.answer(),
            response = self.serve(request) => {
                let response = refuse_in_full(link, response).await;
                link.poll_ends();
                response
            }
            () = link.until_noop() => {
                link.poll_ends_empty();
                Response::new(Body::from(NOOP))
            }
        }
    }

    async fn serve(&self, request: Request<Incoming>) -> Response<Body> {
        let response = self.service.clone().oneshot(request).await;
        response.unwrap_or_else(|never| match never {}).map(Body::new)
    }

    /// Reads the id of a new session from the packet that opens it, so that its later requests find
    /// it. The first of them, an upgrade, may arrive before the client's connect packet.
    async fn remember(&self, link: &Arc<SessionLink>, response: Response<Body>) -> Response<Body> {
        #[derive(serde::Deserialize)]
        struct Open {
            sid: Sid,
        }
        let (head, body) = response.into_parts();
        let Ok(body) = body.collect().await else {
            return with_status(StatusCode::INTERNAL_SERVER_ERROR);
        };
        let body = body.to_bytes();
        if let Some(Ok(Open { sid })) = body.strip_prefix(b"0").map(serde_json::from_slice) {
            self.polling.insert(sid, Arc::downgrade(link));
            link.listed_in(&self.polling, sid);
        }
        Response::from_parts(head, Body::from(body))
    }
}

/// Extension of the first request of a session: its link, and the inbox of its shard.
#[derive(Clone)]
struct NewSession {
    link: Arc<SessionLink>,
    inbox: mpsc::Sender<ShardMessage>,
}

/// Completes a refusal in the answer to a poll. It cannot be one after the client was admitted.
async fn refuse_in_full(link: &SessionLink, response: Response<Body>) -> Response<Body> {
    if link.is_admitted() {
        return response;
    }
    let (mut head, body) = response.into_parts();
    let Ok(body) = body.collect().await else {
        return with_status(StatusCode::INTERNAL_SERVER_ERROR);
    };
    let body = body.to_bytes();
    match std::str::from_utf8(&body).ok().and_then(refusal::in_answer) {
        Some(told) => {
            head.headers.remove(header::CONTENT_LENGTH);
            Response::from_parts(head, Body::from(told))
        }
        None => Response::from_parts(head, Body::from(body)),
    }
}

/// Verifies the token of a client that connects, and keeps the channels that it subscribes to at
/// once.
async fn admit(
    verifier: &Verifier,
    socket: &SocketRef,
    auth: Result<Auth, Code>,
) -> Result<(), Code> {
    let Auth { token, subscribe } = auth?;
    let session = socket.req_parts().extensions.get::<NewSession>().ok_or(Code::Internal)?;
    let link = &session.link;
    let claims = verifier.verify(&token, clock::now())?;
    if subscribe.len() > MAX_CHANNELS {
        return Err(Code::ChannelLimit);
    }
    // The client may have left a moment ago. A session that cannot be reopened ends anyway.
    let _ = tokio::time::timeout(SEND_WITHIN, link.until_reopened()).await;
    if !link.connect(claims) {
        return Err(Code::TryAgain);
    }
    for request in subscribe {
        link.push_event(ClientEvent { request: Ok(request.into()), ack: None });
    }
    socket.on_fallback(EventHandler(link.clone()));
    let link = link.clone();
    socket.on_disconnect(async move |reason: DisconnectReason| link.leave(reason));
    Ok(())
}

/// Passes a connected client to its shard.
async fn join(socket: SocketRef) {
    let Some(session) = socket.req_parts().extensions.get::<NewSession>().cloned() else {
        debug_assert!(false, "the first request of a session has this extension");
        return;
    };
    let peer = Box::new(SocketIoPeer::new(socket, session.link.clone()));
    if session.inbox.send(ShardMessage::SocketIo(peer)).await.is_err() {
        session.link.cut();
    }
}

/// Handles every event of one client in order. With its ordinary handlers, socketioxide would run
/// each event in a task of its own.
struct EventHandler(Arc<SessionLink>);

impl MessageHandler<LocalAdapter, EventHandler> for EventHandler {
    fn call(&self, socket: Arc<Socket>, mut value: Value, id: Option<i64>) {
        let request = match &value {
            Value::Str(text, None) => events::read(text.as_str()),
            _ => Err(Code::Malformed),
        };
        let ack = id.and_then(|_| AckSender::from_message_parts(&socket, &mut value, &id).ok());
        self.0.push_event(ClientEvent { request, ack });
    }
}

fn value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

/// Removes all headers that nobody reads: socketioxide keeps the first request of a session for as
/// long as the session exists.
fn keep_only_needed(headers: &mut HeaderMap) {
    let mut kept = HeaderMap::new();
    for name in [header::SEC_WEBSOCKET_KEY, header::CONTENT_TYPE] {
        if let Some(value) = headers.remove(&name) {
            kept.insert(name, value);
        }
    }
    *headers = kept;
}

fn with_status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// What is wrong with a request, in the words and numbers of Engine.IO's reference server.
enum Fault {
    UnknownTransport,
    UnknownSession,
    BadMethod,
    UnsupportedVersion,
}

impl Fault {
    fn answer(&self) -> Response<Body> {
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
