//! Accepts sockets. hyper reads each request from a socket that it is only lent. When the request
//! opens a WebSocket or a stream, the socket is taken back, hyper's buffers are dropped, and the
//! small task of the connection begins.

mod handshake;
#[cfg(feature = "tls")]
mod http2;
pub(crate) mod sse;
mod waiting_room;
pub(super) mod websocket;

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    rc::Rc,
    sync::{Arc, PoisonError},
    time::Duration,
};

use axum::{Router, body::Body, response::IntoResponse};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use schemas::codes::Code;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{oneshot, watch},
    task::spawn_local,
};
use tower::ServiceExt;

use self::{
    sse::OpenStream,
    waiting_room::{Pace, WaitingRoom},
};
use super::{
    connection,
    guarded_body::GuardedBody,
    socketio::{self, SocketIo},
};
use crate::{
    client_address::{
        ClientAddress, TrustedProxies, audited_client::AuditedClient, proxy_protocol,
    },
    context::NodeContext,
    http::{Edge, Problem, hold_back, is_free, is_socketio_path},
    limits::{
        Limit, LimitRefusal,
        admission::{self, Admission, SocketPlaces},
    },
    stream::shard::{Opening, Shard, context::ShardContext},
    wire::{
        frames::Form,
        lent_socket::{
            LentSocket, LentStream,
            refusal::{AnswerEnd, Exchange},
        },
        peer::link::has_polling,
        socket::{Protocol, Socket},
    },
};

/// Time from accepting a socket, or from the end of a response, to the whole head of the next
/// request. Past it the socket is closed: a slow head is an attack or a dead peer.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// The same time on a node that has few connections left, and for a client that was refused one.
const CROWDED_HEAD_WITHIN: Duration = Duration::from_secs(2);
/// The path of SSE streams.
const STREAM: &str = "/v1/stream";
/// Largest request head: hyper's smallest bound. A longer head is answered with 431.
const HEAD_BYTES: usize = 16 * 1024;
/// Pause after the system refused a socket, usually because descriptors ran out. Meanwhile further
/// clients wait in the backlog of the listener.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Sockets that a shard accepts before its connections have a turn, some 20 µs each.
const ACCEPTED_IN_A_TURN: u32 = 16;

/// How often a draining node looks whether a client still polls.
const POLLING_CHECK: Duration = Duration::from_millis(50);

/// Accepts the sockets of one shard.
pub struct Acceptor {
    pub shard: Rc<RefCell<Shard>>,
    pub context: ShardContext,
    pub socketio: SocketIo,
    pub router: Router,
    pub draining: watch::Receiver<bool>,
}

/// The connection for which a socket is taken back from hyper.
enum Takeover {
    WebSocket { form: Form },
    Stream(OpenStream),
}

/// A takeover, and the response head and first bytes that announce it.
struct Upgrade {
    head: Response<()>,
    first: String,
    client: AuditedClient,
    takeover: Takeover,
}

impl Acceptor {
    /// Waits until the node drains, and no client polls any more if `polls` says that one may.
    ///
    /// A client that polls has no connection through which it could be told why its session ends:
    /// it learns that by a later request.
    async fn until_drained(&self, polls: impl Fn() -> bool) {
        let mut draining = self.draining.clone();
        // The sender is dropped only when the node is gone.
        let _ = draining.wait_for(|draining| *draining).await;
        while polls() && has_polling(&self.context.polling) {
            tokio::time::sleep(POLLING_CHECK).await;
        }
    }
}

/// An accepted socket that has not begun.
struct AcceptedSocket {
    socket: TcpStream,
    peer: ClientAddress,
    admission: Admission,
}

/// Accepts sockets until the node drains and no client polls any more. They begin at the pace of
/// the node.
pub async fn serve(listener: TcpListener, acceptor: Rc<Acceptor>) {
    let mut drained = std::pin::pin!(acceptor.until_drained(|| true));
    let ShardContext { node, shards, .. } = &acceptor.context;
    let mut pace = Pace::new(node.limits.settings().quota(Limit::Openings), *shards);
    let mut room = WaitingRoom::default();
    let mut accepted_at_once = 0;
    loop {
        // Somebody who dials without end must not keep the others of this thread waiting.
        accepted_at_once = (accepted_at_once + 1) % ACCEPTED_IN_A_TURN;
        if accepted_at_once == 0 {
            tokio::task::yield_now().await;
        }
        while !room.is_empty() && pace.take() {
            room.pop().into_iter().for_each(|accepted| begin(&acceptor, accepted));
        }
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => {
                    let peer = ClientAddress::new(peer.ip());
                    if let Some(accepted) = take_in(node, socket, peer)
                        && let Some(surplus) = room.push(peer.group(), accepted)
                        && let Some(refused) = refuse_late(node, surplus)
                    {
                        begin(&acceptor, refused);
                    }
                }
                Err(error) => note_accept_failure(node, &error).await,
            },
            () = pace.step(), if !room.is_empty() => {}
            () = &mut drained => break,
        }
    }
    while let Some(accepted) = room.pop() {
        begin(&acceptor, accepted);
    }
}

/// Admits a socket. `None` when it closes at once.
fn take_in(node: &NodeContext, socket: TcpStream, peer: ClientAddress) -> Option<AcceptedSocket> {
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "a socket closed before it was served");
        return None;
    }
    let admission = admission::admit(&node.limits, &node.proxies, peer)?;
    Some(AcceptedSocket { socket, peer, admission })
}

/// Refuses a socket for which there is no room to wait. `None` when it closes at once.
fn refuse_late(node: &NodeContext, accepted: AcceptedSocket) -> Option<AcceptedSocket> {
    let AcceptedSocket { socket, peer, admission } = accepted;
    let admission = match admission {
        Admission::Admitted(places) => {
            drop(places);
            admission::refuse(&node.limits, peer, node.limits.refuse(Limit::Openings))?
        }
        refused @ Admission::Refused { .. } => refused,
    };
    Some(AcceptedSocket { socket, peer, admission })
}

fn begin(acceptor: &Rc<Acceptor>, accepted: AcceptedSocket) {
    let AcceptedSocket { socket, peer, admission } = accepted;
    spawn_local(admit(acceptor.clone(), socket, peer, admission));
}

/// Notes that the system refused a socket, and waits.
async fn note_accept_failure(node: &NodeContext, error: &std::io::Error) {
    node.metrics.accept_failures.inc();
    let due = node.refused_sockets.lock().unwrap_or_else(PoisonError::into_inner).add(1);
    if let Some(count) = due {
        tracing::warn!(%error, count, "sockets could not be accepted");
    }
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// Counts one connection that speaks HTTP. A draining shard waits until there is none.
struct HttpConnection(Rc<RefCell<Shard>>);

impl HttpConnection {
    fn begin(shard: &Rc<RefCell<Shard>>) -> Self {
        shard.borrow_mut().http_connections += 1;
        Self(shard.clone())
    }
}

impl Drop for HttpConnection {
    fn drop(&mut self) {
        self.0.borrow_mut().http_connections -= 1;
    }
}

/// Speaks HTTP until the socket is taken over or closed. The HTTP part is boxed and dropped before
/// the task of the connection begins, which keeps that task small.
async fn admit(
    acceptor: Rc<Acceptor>,
    socket: TcpStream,
    peer: ClientAddress,
    admission: Admission,
) {
    let counted = HttpConnection::begin(&acceptor.shard);
    let speaking = Box::pin(speak_http(&acceptor, socket, peer, admission));
    let Some((socket, upgrade, places)) = speaking.await else { return };
    drop(counted);
    let head = head_text(&upgrade.head) + &upgrade.first;
    if !write_head(&socket, head.as_bytes()).await {
        return;
    }
    let shard = acceptor.shard.clone();
    let client = upgrade.client;
    match upgrade.takeover {
        Takeover::WebSocket { form } => {
            spawn_local(connection::run_ws(shard, socket, form, client, places));
        }
        Takeover::Stream(opening) => begin_stream(&shard, socket, opening, client, places),
    }
}

/// Begins a stream whose head has been written.
fn begin_stream(
    shard: &Rc<RefCell<Shard>>,
    socket: Socket,
    opening: OpenStream,
    client: AuditedClient,
    places: SocketPlaces,
) {
    let OpenStream { claims, sealed, channels, subject } = opening;
    let socket = Rc::new(socket);
    let opening = Opening { client, sealed: sealed.into() };
    let id = shard.borrow_mut().add_sse(socket.clone(), claims, opening, channels);
    shard.borrow_mut().connections().hold_places(id, subject);
    spawn_local(connection::run_sse(shard.clone(), socket, id, Some(places)));
}

/// Writes a response head. It fits the empty buffer of any socket, so a socket that takes only a
/// part of it is dead.
async fn write_head(socket: &Socket, head: &[u8]) -> bool {
    tokio::time::timeout(HEAD_WITHIN, socket.writable()).await.is_ok()
        && socket.try_write(head).is_ok_and(|written| written == head.len())
}

/// The peer of the connection, or the client that a trusted proxy names in the PROXY protocol.
/// `None` when the proxy does not send its header: whoever that connection is for would count as
/// the proxy.
async fn proxied_peer(
    proxies: &TrustedProxies,
    socket: &mut TcpStream,
    peer: ClientAddress,
) -> Option<ClientAddress> {
    if !proxies.sends_proxy_header(peer) {
        return Some(peer);
    }
    match tokio::time::timeout(HEAD_WITHIN, proxy_protocol::read(socket)).await {
        Ok(Ok(client)) => Some(client.unwrap_or(peer)),
        Ok(Err(error)) => {
            tracing::debug!(%error, "a proxy's connection has no header of the PROXY protocol");
            None
        }
        Err(_) => None,
    }
}

/// Serves requests on the socket; returns the socket, its upgrade and its places once it is taken
/// over.
async fn speak_http(
    acceptor: &Rc<Acceptor>,
    mut socket: TcpStream,
    peer: ClientAddress,
    admission: Admission,
) -> Option<(Socket, Upgrade, SocketPlaces)> {
    let node = &acceptor.context.node;
    let peer = proxied_peer(&node.proxies, &mut socket, peer).await?;
    let is_refused = matches!(admission, Admission::Refused { .. });
    let head_within = match is_refused || admission::is_crowded(&node.limits) {
        true => CROWDED_HEAD_WITHIN,
        false => HEAD_WITHIN,
    };
    let (socket, protocol) = handshake::take(node, socket, peer, head_within).await?;
    let is_tls = handshake::is_required(node);
    let lent_socket = LentSocket::new(socket);
    #[cfg(feature = "tls")]
    if protocol == Protocol::Http2 {
        let connection = http2::Connection { peer, admission, idle_within: head_within };
        // Boxed, so that connections of HTTP/1.1 do not pay for it.
        Box::pin(http2::serve(acceptor, lent_socket, connection)).await;
        return None;
    }
    debug_assert_eq!(protocol, Protocol::Http1, "only TLS agrees on another one");
    let (take, taken) = oneshot::channel();
    let take = Rc::new(Cell::new(Some(take)));
    let polls = Cell::new(false);
    let admission = Rc::new(RefCell::new(Some(admission)));
    let has_asked = Cell::new(false);
    let service = service_fn(|mut request: Request<Incoming>| {
        let client = node.proxies.client(peer, request.headers()).over(is_tls);
        request.extensions_mut().insert(client);
        polls.set(polls.get() || SocketIo::is_of_session(&request));
        lent_socket.set_exchange(Exchange::Answering);
        let (acceptor, lent_socket, take) = (acceptor.clone(), lent_socket.clone(), take.clone());
        let admission = admission.clone();
        let asks_again = has_asked.replace(true);
        async move {
            // hyper would answer up to sixteen pipelined requests in one turn of this connection.
            if asks_again {
                tokio::task::yield_now().await;
            }
            match answer(&acceptor, &lent_socket, &admission, request).await {
                Ok(response) => {
                    // What follows a switch is no HTTP.
                    let ends = response.status() != StatusCode::SWITCHING_PROTOCOLS;
                    let end = ends.then(|| AnswerEnd(lent_socket));
                    Ok::<_, Infallible>(response.map(|body| GuardedBody { body, _guard: end }))
                }
                Err(upgrade) => {
                    // The caller takes the socket away, so hyper never gets an answer here.
                    if let Some(take) = take.take() {
                        let _ = take.send(*upgrade);
                    }
                    std::future::pending().await
                }
            }
        }
    });
    // hyper would close a connection without a request at once if it were shut down.
    let is_late = *acceptor.draining.borrow();
    let serving = http1::Builder::new()
        .keep_alive(!is_late && !is_refused)
        .timer(TokioTimer::new())
        .header_read_timeout(head_within)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(LentStream::new(lent_socket.clone())), service)
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    let upgrade = tokio::select! {
        biased;
        upgrade = taken => upgrade.ok(),
        _ = serving.as_mut() => None,
        () = acceptor.until_drained(|| polls.get()), if !is_late => {
            serving.as_mut().graceful_shutdown();
            let _ = serving.await;
            None
        }
        () = lent_socket.until_stalled() => None,
    }?;
    // A refused connection is never taken over.
    match admission.take()? {
        Admission::Admitted(places) => Some((lent_socket.take()?, upgrade, places)),
        Admission::Refused { .. } => None,
    }
}

/// Counts a request that opens a WebSocket or a stream for the address of its client, behind a
/// proxy too. A refusal is held back.
async fn count_opening(
    node: &NodeContext,
    admission: &RefCell<Option<Admission>>,
    request: &Request<Incoming>,
) -> Result<(), LimitRefusal> {
    let client = ClientAddress::from_extensions(request.extensions());
    let count = || {
        node.limits.spend(Limit::AddressRequests, node.limits.address_key(client.group()))?;
        match &mut *admission.borrow_mut() {
            Some(Admission::Admitted(places)) => places.count_for(&node.limits, client),
            Some(Admission::Refused { refusal, .. }) => Err(*refusal),
            None => Ok(()),
        }
    };
    let counted = count();
    if counted.is_err() {
        hold_back().await;
    }
    counted
}

/// The client of a request, for the audit of its connection.
fn audited_client(node: &NodeContext, request: &Request<Incoming>) -> AuditedClient {
    node.audit.client(ClientAddress::from_extensions(request.extensions()), request.headers())
}

/// Answers a request, or returns the upgrade for which its socket is taken over.
async fn answer(
    acceptor: &Acceptor,
    lent_socket: &Arc<LentSocket>,
    admission: &RefCell<Option<Admission>>,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Box<Upgrade>> {
    let node = &acceptor.context.node;
    let edge = Edge::new(node, &request);
    if let Some(refusal) = edge.host_refusal() {
        return Ok(refusal);
    }
    if *acceptor.draining.borrow() && !SocketIo::is_of_session(&request) {
        return Ok(edge.finish(Problem::from(Code::Draining).into_response()));
    }
    let refusal = match &*admission.borrow() {
        Some(Admission::Refused { refusal, .. }) => Some(*refusal),
        Some(Admission::Admitted(_)) | None => None,
    };
    let path = request.uri().path();
    if let Some(refusal) = refusal.filter(|_| path != STREAM && !is_free(path)) {
        return Ok(edge.finish(Problem::from(refusal).into_response()));
    }
    let upgrade = |takeover, request: &Request<Incoming>, response: Response<()>, first: String| {
        let client = audited_client(node, request);
        Err(Box::new(Upgrade { head: edge.finish(response), first, client, takeover }))
    };
    match path {
        "/connection/websocket" => {
            let counted = count_opening(node, admission, &request)
                .await
                .map_err(|refusal| Box::new(Problem::from(refusal).into_response()));
            match counted.and_then(|()| websocket::handshake(&edge, &request)) {
                Ok((response, form)) => {
                    upgrade(Takeover::WebSocket { form }, &request, response, String::new())
                }
                Err(refusal) => Ok(edge.finish(*refusal)),
            }
        }
        STREAM if request.method() == Method::GET => {
            if let Err(refusal) = count_opening(node, admission, &request).await {
                return Ok(edge.finish(sse::refuse(node, refusal.into())));
            }
            match sse::open(node, &edge, &request).await {
                Ok((response, stream)) => {
                    upgrade(Takeover::Stream(stream), &request, response, sse::preamble())
                }
                Err(refusal) => Ok(edge.finish(sse::refuse(node, refusal))),
            }
        }
        "/v1/stream" => Ok(edge.answer().unwrap_or_else(|| {
            let refusal = Problem::from(Code::UnknownMethod);
            let refusal = refusal.with_status(StatusCode::METHOD_NOT_ALLOWED).into_response();
            let allow = [(header::ALLOW, HeaderValue::from_static("GET"))];
            edge.finish((allow, refusal).into_response())
        })),
        path if is_socketio_path(path) => Ok(match edge.answer() {
            Some(answer) => answer,
            None => {
                let opens = !SocketIo::is_of_session(&request)
                    || request.headers().contains_key(header::UPGRADE);
                if opens && let Err(refusal) = count_opening(node, admission, &request).await {
                    return Ok(edge.finish(Problem::from(refusal).into_response()));
                }
                if opens {
                    let client = audited_client(node, &request);
                    request.extensions_mut().insert(client);
                }
                let inbox = &acceptor.context.inbox;
                let response = acceptor.socketio.answer(request, lent_socket, inbox).await;
                if response.status() == StatusCode::TOO_MANY_REQUESTS {
                    hold_back().await;
                }
                // The socket of a WebSocket is open for longer than hyper deals with it.
                if response.status() == StatusCode::SWITCHING_PROTOCOLS
                    && let Some(Admission::Admitted(places)) = admission.take()
                {
                    lent_socket.keep_places(places);
                }
                node.metrics.http_request(socketio::PATH, response.status());
                edge.finish(response)
            }
        }),
        _ => Ok(acceptor
            .router
            .clone()
            .oneshot(request.map(Body::new))
            .await
            .unwrap_or_else(|never| match never {})),
    }
}

/// The text of a response head, for sockets that hyper does not answer any more.
fn head_text(response: &Response<()>) -> String {
    let status = response.status();
    let reason = status.canonical_reason().unwrap_or_default();
    let mut text = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16());
    for (name, value) in response.headers() {
        // Values are ours, but for the origin of an allowed page, which is one of our texts too.
        text.push_str(&format!("{name}: {}\r\n", value.to_str().unwrap_or_default()));
    }
    text.push_str("\r\n");
    text
}

/// The text of a request header; empty when it is absent or not text.
fn text<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// A response without a body.
fn empty(status: StatusCode) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = status;
    response
}
