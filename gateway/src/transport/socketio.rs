//! Socket.IO, for the apps that already speak it. socketioxide owns its sessions and their packets; this module
//! lets requests in, checks who connects, and hands what clients say to the shard that took their first request,
//! where a connection lives as all others do.

pub mod client;
mod emitter;
mod events;
mod link;

use std::{sync::Arc, time::Duration};

use axum::body::Body;
use gateway_core::{
    protocol::MAX_COMMANDS,
    session::{CONNECT_WITHIN_S, MAX_CHANNELS, PING_S, PONG_WITHIN_S},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use schemas::codes::Code;
use socketioxide::{
    ParserConfig, SocketIo as Namespaces,
    adapter::LocalAdapter,
    extract::{AckSender, SocketRef, TryData},
    handler::{ConnectHandler, FromMessageParts, MessageHandler, Value},
    service::SocketIoService,
    socket::{DisconnectReason, Sid, Socket},
};
use tokio::sync::mpsc;
use tower::ServiceExt;

use self::events::Auth;
pub use self::{
    emitter::Emitter,
    link::{Event, Heard, Link, Polling},
};
use crate::{
    access::auth::Verifier, clock, metrics::Metrics, stream::shard::ToShard,
    transport::connection::MAX_MESSAGE, transport::lent_socket::LentSocket,
};

/// Where sessions live, with the slash at the end that clients ask with.
pub const PATH: &str = "/socket.io/";
/// What a session's socket holds while it is idle: longer messages are read in pieces.
const READ_BUFFER: usize = 512;
/// Packets socketioxide may hold for one session: the acknowledgements of as many events as may wait, and as
/// many first states as channels, with room for pings. Bytes are what bounds a session; a full queue only ends
/// one whose packets are small and many.
const MAX_PACKETS: usize = MAX_COMMANDS + 2 * MAX_CHANNELS;
/// Attachments of a packet that is refused in words, as no event has any; more close the session.
const MAX_ATTACHMENTS: usize = 16;
/// How long a client may take to send its attachments, to finish its upgrade, or to send a request's body.
const SEND_WITHIN: Duration = Duration::from_secs(10);

/// The sessions of a node. A polling client's requests arrive at any of its listeners, so all share them.
#[derive(Clone)]
pub struct SocketIo {
    service: SocketIoService<axum::Router>,
    polling: Arc<Polling>,
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
            // Asked for nothing: only requests of the path come here.
            .build_with_inner_svc(axum::Router::new());
        let admit = async move |socket: SocketRef, TryData(auth): TryData<Auth>| {
            admit(&verifier, &socket, auth.map_err(|_| Code::Malformed))
                .inspect_err(|code| metrics.error(*code))
        };
        namespaces.ns("/", join.with(admit));
        Self { service, polling: Arc::default() }
    }

    /// Answers a request that came by `lent_socket`. A session it opens belongs to the shard of that inbox.
    pub async fn answer(
        &self,
        mut request: Request<Incoming>,
        lent_socket: &Arc<LentSocket>,
        inbox: &mpsc::Sender<ToShard>,
    ) -> Response<Body> {
        let query = request.uri().query().unwrap_or_default();
        let upgrades = value(query, "transport") == Some("websocket");
        let known = match value(query, "sid").map(str::parse) {
            Some(sid) => match sid.ok().and_then(|sid: Sid| self.polling.get(&sid)?.upgrade()) {
                Some(link) if !link.is_cut() => Some(link),
                _ => return unknown_session(),
            },
            None => None,
        };
        keep_only_needed(request.headers_mut());
        let Some(link) = known else {
            let link = Arc::new(Link::new(inbox.clone(), upgrades.then(|| lent_socket.clone())));
            request.extensions_mut().insert(link.clone());
            let response = self.serve(request).await;
            return if upgrades { response } else { self.remember(&link, response).await };
        };
        if upgrades {
            return match link.upgrades_to(lent_socket.clone()) {
                true => self.serve(request).await,
                false => with_status(StatusCode::BAD_REQUEST),
            };
        }
        if request.method() == Method::GET {
            return self.poll(&link, request).await;
        }
        match tokio::time::timeout(SEND_WITHIN, self.serve(request)).await {
            Ok(response) => response,
            Err(_) => with_status(StatusCode::REQUEST_TIMEOUT),
        }
    }

    /// Waits for packets, unless the session is cut meanwhile.
    async fn poll(&self, link: &Link, request: Request<Incoming>) -> Response<Body> {
        link.poll_begins();
        tokio::select! {
            biased;
            () = link.until_cut() => unknown_session(),
            response = self.serve(request) => {
                link.poll_ends();
                response
            }
        }
    }

    async fn serve(&self, request: Request<Incoming>) -> Response<Body> {
        let response = self.service.clone().oneshot(request).await;
        response.unwrap_or_else(|never| match never {}).map(Body::new)
    }

    /// Reads the new session's id from the packet that opens it, to know its later requests. The first of
    /// them, an upgrade, may be earlier than the client's connect packet.
    async fn remember(&self, link: &Arc<Link>, response: Response<Body>) -> Response<Body> {
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
            link.is_in(&self.polling, sid);
        }
        Response::from_parts(head, Body::from(body))
    }
}

/// Lets a client in whose token is good, and remembers what it wants to follow at once.
fn admit(verifier: &Verifier, socket: &SocketRef, auth: Result<Auth, Code>) -> Result<(), Code> {
    let Auth { token, subscribe } = auth?;
    let link = socket.req_parts().extensions.get::<Arc<Link>>().ok_or(Code::Internal)?;
    let claims = verifier.verify(&token, clock::now())?;
    if subscribe.len() > MAX_CHANNELS {
        return Err(Code::ChannelLimit);
    }
    if !link.admit(claims) {
        return Err(Code::TryAgain);
    }
    for wanted in subscribe {
        link.hear(Event { request: Ok(wanted.into()), ack: None });
    }
    socket.on_fallback(Ear(link.clone()));
    let left = link.clone();
    socket.on_disconnect(async move |reason: DisconnectReason| left.leave(reason));
    Ok(())
}

/// Hands a client that was told it is connected to its shard.
async fn join(socket: SocketRef) {
    let Some(link) = socket.req_parts().extensions.get::<Arc<Link>>().cloned() else { return };
    let emitter = Box::new(Emitter::new(socket, link.clone()));
    if link.inbox().send(ToShard::SocketIo(emitter)).await.is_err() {
        link.cut();
    }
}

/// Hears every event of one client, in order: socketioxide would run each as a task of its own.
struct Ear(Arc<Link>);

impl MessageHandler<LocalAdapter, Ear> for Ear {
    fn call(&self, socket: Arc<Socket>, mut value: Value, id: Option<i64>) {
        let request = match &value {
            Value::Str(text, None) => events::read(text.as_str()),
            _ => Err(Code::Malformed),
        };
        let ack = id.and_then(|_| AckSender::from_message_parts(&socket, &mut value, &id).ok());
        self.0.hear(Event { request, ack });
    }
}

fn value<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|part| part.strip_prefix(name)?.strip_prefix('='))
}

/// A session keeps its first request for as long as it lives: leave nothing in it that is not read.
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

/// What Engine.IO says of a session that is not here: the client begins another.
fn unknown_session() -> Response<Body> {
    let mut response = Response::new(Body::from(r#"{"code":1,"message":"Session ID unknown"}"#));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// The answer to a browser that asks whether a page of another, allowed origin may send its request.
pub fn preflight() -> Response<Body> {
    const ALLOWED: [(HeaderName, &str); 3] = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (header::ACCESS_CONTROL_ALLOW_HEADERS, "content-type"),
        (header::ACCESS_CONTROL_MAX_AGE, "600"),
    ];
    let mut response = with_status(StatusCode::NO_CONTENT);
    for (name, value) in ALLOWED {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
