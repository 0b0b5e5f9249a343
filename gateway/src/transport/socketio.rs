//! Socket.IO, for the apps that already speak it. socketioxide owns the sessions and their packets.
//! This module answers their requests, checks the token of each client, and passes the client to
//! the shard that accepted its first request. There it is a connection like all others.

pub mod client;
pub(crate) mod probe;
mod refusal;
pub(crate) mod requests;
mod wire;

use std::{sync::Arc, time::Duration};

use axum::{body::Body, response::IntoResponse};
use bytes::BytesMut;
use gateway_core::{
    event_names::EventNames,
    frame_meter::FrameExcess,
    protocol::{MAX_COMMANDS, MAX_MESSAGE},
    session::{CONNECT_WITHIN_S, MAX_CHANNELS, PING_S, PONG_WITHIN_S},
};
use http::{Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::BodyExt;
use hyper::{body::Incoming, upgrade::OnUpgrade};
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

use self::{
    requests::{Fault, keep_only_needed, with_status},
    wire::Wire,
};
use super::websocket_handshake;
use crate::{
    access::auth::Verifier,
    client_address::ClientAddress,
    clock,
    http::{Problem, is_socketio_path},
    inbox::ShardMessage,
    limits::{Limits, admission},
    metrics::Metrics,
    wire::{
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

/// Bytes of read buffer that the WebSocket of an idle session holds. Longer messages are read in
/// pieces.
const READ_BUFFER: usize = 512;
/// Packets that socketioxide may hold for one session: the acknowledgements of as many events as
/// may wait, and the first state of each channel, with room for pings. The bound in bytes is
/// reached earlier; this one closes only a session whose waiting packets are small and many.
const MAX_PACKETS: usize = MAX_COMMANDS + 2 * MAX_CHANNELS;
/// Attachments up to which a packet is refused by an acknowledgement, because no event takes any:
/// more than any app sends, and few, because socketioxide adds up their lengths at each one.
/// Together they have [`MAX_MESSAGE`] bytes. A packet with more closes the session.
const MAX_ATTACHMENTS: usize = 100;
/// How long a client may take to send the attachments of a packet or the body of a request, or to
/// finish its upgrade.
const SEND_WITHIN: Duration = Duration::from_secs(10);
/// The packet that ends a poll without content.
const NOOP: &str = "6";

/// The Socket.IO service of a node. All shards share it, because the requests of a polling client
/// arrive at any of them.
#[derive(Clone)]
pub struct SocketIo {
    service: SocketIoService<axum::Router>,
    polling: Arc<PollingSessions>,
    limits: Arc<Limits>,
}

impl SocketIo {
    pub fn new(verifier: Arc<Verifier>, limits: Arc<Limits>, metrics: Arc<Metrics>) -> Self {
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
        Self { service, polling: Arc::default(), limits }
    }

    /// The sessions of all shards that began by polling.
    pub fn polling(&self) -> &Arc<PollingSessions> {
        &self.polling
    }

    /// Whether this is a request of a session, not one that begins a session.
    pub fn is_of_session(request: &Request<Incoming>) -> bool {
        is_socketio_path(request.uri().path())
            && requests::read(request).is_ok_and(|wanted| wanted.session.is_some())
    }

    /// Answers a request on `lent_socket`. A session that it opens belongs to the shard with that
    /// inbox.
    pub async fn answer(
        &self,
        mut request: Request<Incoming>,
        lent_socket: &Arc<LentSocket>,
        inbox: &mpsc::Sender<ShardMessage>,
    ) -> Response<Body> {
        let wanted = match requests::read(&request) {
            Ok(wanted) => wanted,
            Err(fault) => return fault.answer(),
        };
        let upgrades = wanted.websocket;
        let Some(sid) = wanted.session else {
            let client = ClientAddress::from_extensions(request.extensions());
            let places = match admission::take_newcomer_places(&self.limits, client) {
                Ok(places) => places,
                Err(refusal) => return Problem::from(refusal).into_response(),
            };
            let link = SessionLink::new(upgrades.then(|| lent_socket.clone()));
            link.keep_places(places);
            let session = NewSession { link: Arc::new(link), inbox: inbox.clone() };
            return self.begin(request, session, upgrades).await;
        };
        let link = self.polling.get(&sid).and_then(|link| link.upgrade());
        let Some(link) = link.filter(|link| !link.is_cut()) else {
            return Fault::UnknownSession.answer();
        };
        if upgrades {
            return self.probe(request, link, lent_socket);
        }
        if request.method() == Method::POST && is_too_large(&request) {
            link.exceed(FrameExcess::Length);
            // The client gets the reason by its poll, unless it reads the answer to this request
            // first.
            let _ = tokio::time::timeout(SEND_WITHIN, link.until_cut()).await;
            return Problem::from(Code::TooLarge).into_response();
        }
        keep_only_needed(request.headers_mut());
        if request.method() == Method::GET {
            return self.poll(&link, request).await;
        }
        match tokio::time::timeout(SEND_WITHIN, self.serve(request.map(with_plain_names))).await {
            Ok(response) => response,
            Err(_) => with_status(StatusCode::REQUEST_TIMEOUT),
        }
    }

    /// Begins a session, by the answer to a poll or on a WebSocket.
    async fn begin(
        &self,
        mut request: Request<Incoming>,
        session: NewSession,
        upgrades: bool,
    ) -> Response<Body> {
        let link = session.link.clone();
        request.extensions_mut().insert(session);
        if !upgrades {
            keep_only_needed(request.headers_mut());
            let response = self.serve(request.map(Body::new)).await;
            return self.remember(&link, response).await;
        }
        let mut service = self.service.clone();
        accept_websocket(request, async move |upgrade, head| {
            if let Ok(stream) = upgrade.await {
                let request = Request::from_parts(head, ());
                // The query was read, so socketioxide can read it too.
                let _ = service.call((Wire::new(TokioIo::new(stream), link), request)).await;
            }
        })
    }

    /// Accepts a WebSocket to which a polling session may upgrade.
    fn probe(
        &self,
        request: Request<Incoming>,
        link: Arc<SessionLink>,
        lent_socket: &Arc<LentSocket>,
    ) -> Response<Body> {
        if !link.probe_begins() {
            return with_status(StatusCode::BAD_REQUEST);
        }
        let (service, lent_socket) = (self.service.clone(), lent_socket.clone());
        let probed = link.clone();
        let response = accept_websocket(request, async move |upgrade, head| {
            probe::run(service, probed, lent_socket, upgrade, head).await;
        });
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            link.probe_ends();
        }
        response
    }

    /// Answers a poll once there are packets, when its client upgrades, or when the session is cut.
    async fn poll(&self, link: &SessionLink, request: Request<Incoming>) -> Response<Body> {
        link.poll_begins();
        tokio::select! {
            biased;
            () = link.until_cut() => Fault::UnknownSession.answer(),
            response = self.serve(request.map(Body::new)) => {
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

    async fn serve(&self, request: Request<Body>) -> Response<Body> {
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

/// Replaces escapes in the names of the events in a request.
fn with_plain_names(body: Incoming) -> Body {
    let mut names = EventNames::default();
    Body::new(body.map_frame(move |frame| {
        frame.map_data(|data| {
            let mut data = BytesMut::from(data);
            names.pass_body(&mut data);
            data.freeze()
        })
    }))
}

/// Whether the body of a request is longer than the longest message.
fn is_too_large(request: &Request<Incoming>) -> bool {
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    length.is_some_and(|length: u64| length > MAX_MESSAGE as u64)
}

/// Extension of the first request of a session: its link, and the inbox of its shard.
#[derive(Clone)]
struct NewSession {
    link: Arc<SessionLink>,
    inbox: mpsc::Sender<ShardMessage>,
}

/// Accepts a WebSocket, and runs `serve` once hyper has handed its stream over. A request that is
/// not a handshake is refused.
fn accept_websocket(
    mut request: Request<Incoming>,
    serve: impl AsyncFnOnce(OnUpgrade, Parts) + 'static,
) -> Response<Body> {
    let Some(acceptance) = websocket_handshake::acceptance(&request) else {
        return with_status(StatusCode::UPGRADE_REQUIRED);
    };
    let upgrade = hyper::upgrade::on(&mut request);
    keep_only_needed(request.headers_mut());
    let (head, _) = request.into_parts();
    spawn_local(async move { serve(upgrade, head).await });
    acceptance.map(|()| Body::empty())
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
