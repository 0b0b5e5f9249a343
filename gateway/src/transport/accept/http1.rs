//! Connections of HTTP/1.1. hyper reads requests from the lent socket until one of them opens a
//! WebSocket or a stream, for which the socket is taken over.

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    pin::pin,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use http::{Request, Response, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::oneshot;

use super::{
    Acceptor, HEAD_BYTES,
    answer::{Upgrade, answer},
    handshake,
};
use crate::{
    client_address::ClientAddress,
    limits::admission::{Admission, SocketPlaces},
    transport::{guarded_body::GuardedBody, socketio::SocketIo},
    wire::{
        lent_socket::{
            LentSocket, LentStream,
            refusal::{AnswerEnd, Exchange},
        },
        socket::Socket,
    },
};

/// A connection before its first request.
pub(super) struct Connection {
    pub peer: ClientAddress,
    pub admission: Admission,
    /// How long each request head may take.
    pub head_within: Duration,
}

/// The state that all requests of a connection share.
struct ConnectionState {
    acceptor: Rc<Acceptor>,
    lent_socket: Arc<LentSocket>,
    peer: ClientAddress,
    is_tls: bool,
    admission: RefCell<Option<Admission>>,
    /// Whether a Socket.IO client polls.
    polls: Cell<bool>,
    /// Whether a request has come before.
    has_asked: Cell<bool>,
    /// Told when a request takes the socket over.
    takeover: Cell<Option<oneshot::Sender<Upgrade>>>,
}

/// Serves requests on the socket; returns the socket, its upgrade and its places once it is taken
/// over.
pub(super) async fn serve(
    acceptor: &Rc<Acceptor>,
    lent_socket: Arc<LentSocket>,
    connection: Connection,
) -> Option<(Socket, Upgrade, SocketPlaces)> {
    let Connection { peer, admission, head_within } = connection;
    let is_refused = matches!(admission, Admission::Refused { .. });
    let (take, taken) = oneshot::channel();
    let shared = Rc::new(ConnectionState {
        acceptor: acceptor.clone(),
        lent_socket: lent_socket.clone(),
        peer,
        is_tls: handshake::is_required(&acceptor.context.node),
        admission: RefCell::new(Some(admission)),
        polls: Cell::new(false),
        has_asked: Cell::new(false),
        takeover: Cell::new(Some(take)),
    });
    let service = service_fn(|mut request| {
        let asks_again = shared.begin(&mut request);
        shared.clone().answer(request, asks_again)
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
    let mut serving = pin!(serving);
    let upgrade = tokio::select! {
        biased;
        upgrade = taken => upgrade.ok(),
        _ = serving.as_mut() => None,
        () = acceptor.until_drained(|| shared.polls.get()), if !is_late => {
            serving.as_mut().graceful_shutdown();
            let _ = serving.await;
            None
        }
        () = lent_socket.until_stalled() => None,
    }?;
    // A refused connection is never taken over.
    match shared.admission.take()? {
        Admission::Admitted(places) => Some((lent_socket.take()?, upgrade, places)),
        Admission::Refused { .. } => None,
    }
}

impl ConnectionState {
    /// Counts a request and adds its client. Returns whether the connection has had one before.
    fn begin(&self, request: &mut Request<Incoming>) -> bool {
        let node = &self.acceptor.context.node;
        let client = node.proxies.client(self.peer, request.headers()).over(self.is_tls);
        request.extensions_mut().insert(client);
        self.polls.set(self.polls.get() || SocketIo::is_of_session(request));
        self.lent_socket.set_exchange(Exchange::Answering);
        self.has_asked.replace(true)
    }

    async fn answer(
        self: Rc<Self>,
        request: Request<Incoming>,
        asks_again: bool,
    ) -> Result<Response<GuardedBody<Option<AnswerEnd>>>, Infallible> {
        // hyper would answer up to sixteen pipelined requests in one turn of this connection.
        if asks_again {
            tokio::task::yield_now().await;
        }
        match answer(&self.acceptor, &self.lent_socket, &self.admission, request).await {
            Ok(response) => {
                // After a switch of protocols, the bytes are not HTTP.
                let ends = response.status() != StatusCode::SWITCHING_PROTOCOLS;
                let end = ends.then(|| AnswerEnd(self.lent_socket.clone()));
                Ok(response.map(|body| GuardedBody { body, _guard: end }))
            }
            Err(upgrade) => {
                // The caller takes the socket away, so hyper never gets an answer here.
                if let Some(takeover) = self.takeover.take() {
                    let _ = takeover.send(*upgrade);
                }
                std::future::pending().await
            }
        }
    }
}
