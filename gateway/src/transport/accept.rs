//! Accepts sockets. hyper reads each request from a socket that it is only lent. When the request
//! opens a WebSocket or a stream, the socket is taken back, hyper's buffers are dropped, and the
//! small task of the connection begins.

mod answer;
mod handshake;
mod http1;
#[cfg(feature = "tls")]
mod http2;
pub(crate) mod sse;
mod waiting_room;

use std::{cell::RefCell, rc::Rc, sync::PoisonError, time::Duration};

use axum::Router;
use http::{HeaderMap, Response, StatusCode};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::spawn_local,
};

use self::{
    answer::{Takeover, Upgrade},
    sse::OpenStream,
    waiting_room::{Pace, WaitingRoom},
};
use super::{connection, socketio::SocketIo};
use crate::{
    client_address::{
        ClientAddress, TrustedProxies, audited_client::AuditedClient, proxy_protocol,
    },
    context::NodeContext,
    limits::{
        Limit,
        admission::{self, Admission, SocketPlaces},
    },
    stream::shard::{Opening, Shard, context::ShardContext},
    wire::{
        lent_socket::LentSocket,
        peer::link::has_polling,
        socket::{Protocol, Socket},
    },
};

/// Time from accepting a socket, or from the end of a response, to the whole head of the next
/// request. Past it the socket is closed: a slow head is an attack or a dead peer.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// The same time on a node that has few connections left, and for a client that was refused one.
const CROWDED_HEAD_WITHIN: Duration = Duration::from_secs(2);
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

impl Acceptor {
    /// Waits until the node drains, and no client polls any more if `polls` says that one may.
    ///
    /// A client that polls has no connection through which it could be told why its session ends:
    /// it gets the reason as the answer to a later request.
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
        // A client that opens connections without end must not delay the others of this thread.
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

/// Counts a socket that the system refused, and waits.
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
/// `None` when the proxy does not send its header: the client behind it would count as the proxy.
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
    let lent_socket = LentSocket::new(socket);
    #[cfg(feature = "tls")]
    if protocol == Protocol::Http2 {
        let connection = http2::Connection { peer, admission, idle_within: head_within };
        // Boxed, so that connections of HTTP/1.1 do not pay for it.
        Box::pin(http2::serve(acceptor, lent_socket, connection)).await;
        return None;
    }
    debug_assert_eq!(protocol, Protocol::Http1, "only TLS agrees on another one");
    http1::serve(acceptor, lent_socket, http1::Connection { peer, admission, head_within }).await
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
