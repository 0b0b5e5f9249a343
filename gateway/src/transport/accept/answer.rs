//! The answer to one request: a response, or the takeover of its socket by a WebSocket or a stream.

use std::{cell::RefCell, sync::Arc};

use axum::{body::Body, response::IntoResponse};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use schemas::codes::Code;
use tower::ServiceExt;

use super::{
    Acceptor,
    sse::{self, OpenStream},
};
use crate::{
    client_address::{ClientAddress, audited_client::AuditedClient},
    context::NodeContext,
    http::{Edge, Problem, is_free, is_socketio_path, lacks_host},
    limits::{Limit, LimitRefusal, admission::Admission},
    transport::{
        socketio::{self, SocketIo},
        websocket_handshake,
    },
    wire::{frames::Form, lent_socket::LentSocket},
};

/// The path of SSE streams.
const STREAM: &str = "/v1/stream";

/// The connection for which a socket is taken back from hyper.
pub(super) enum Takeover {
    WebSocket { form: Form },
    Stream(OpenStream),
}

/// A takeover, and the response head and first bytes that announce it.
pub(super) struct Upgrade {
    pub head: Response<()>,
    pub first: String,
    pub client: AuditedClient,
    pub takeover: Takeover,
}

/// The answer to a request: a response, or the upgrade for which its socket is taken over.
type Answer = Result<Response<Body>, Box<Upgrade>>;

/// Answers a request.
pub(super) async fn answer(
    acceptor: &Acceptor,
    lent_socket: &Arc<LentSocket>,
    admission: &RefCell<Option<Admission>>,
    request: Request<Incoming>,
) -> Answer {
    let node = &acceptor.context.node;
    let edge = Edge::new(node, &request);
    if let Some(refusal) = edge.host_refusal() {
        return Ok(refusal);
    }
    if lacks_host(&request) {
        let refusal = Problem::from(Code::Malformed);
        let refusal = refusal.explained("the request names no host that can be read");
        return Ok(edge.finish(refusal.into_response()));
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
    match path {
        "/connection/websocket" => open_websocket(node, &edge, admission, &request).await,
        STREAM if request.method() == Method::GET => {
            open_stream(node, &edge, admission, &request).await
        }
        STREAM => Ok(edge.answer().unwrap_or_else(|| {
            let refusal = Problem::from(Code::UnknownMethod);
            let refusal = refusal.with_status(StatusCode::METHOD_NOT_ALLOWED).into_response();
            let allow = [(header::ALLOW, HeaderValue::from_static("GET"))];
            edge.finish((allow, refusal).into_response())
        })),
        path if is_socketio_path(path) => Ok(match edge.answer() {
            Some(answer) => answer,
            None => edge.finish(answer_socketio(acceptor, lent_socket, admission, request).await),
        }),
        _ => Ok(acceptor
            .router
            .clone()
            .oneshot(request.map(Body::new))
            .await
            .unwrap_or_else(|never| match never {})),
    }
}

/// Opens a WebSocket.
async fn open_websocket(
    node: &NodeContext,
    edge: &Edge,
    admission: &RefCell<Option<Admission>>,
    request: &Request<Incoming>,
) -> Answer {
    let counted = count_opening(node, admission, request)
        .await
        .map_err(|refusal| Box::new(Problem::from(refusal).into_response()));
    match counted.and_then(|()| websocket_handshake::handshake(edge, request)) {
        Ok((response, form)) => Err(Box::new(Upgrade {
            head: edge.finish(response),
            first: String::new(),
            client: audited_client(node, request),
            takeover: Takeover::WebSocket { form },
        })),
        Err(refusal) => Ok(edge.finish(*refusal)),
    }
}

/// Opens a stream of events.
async fn open_stream(
    node: &NodeContext,
    edge: &Edge,
    admission: &RefCell<Option<Admission>>,
    request: &Request<Incoming>,
) -> Answer {
    if let Err(refusal) = count_opening(node, admission, request).await {
        return Ok(edge.finish(sse::refuse(node, refusal.into())));
    }
    match sse::open(node, edge, request).await {
        Ok((response, stream)) => Err(Box::new(Upgrade {
            head: edge.finish(response),
            first: sse::preamble(),
            client: audited_client(node, request),
            takeover: Takeover::Stream(stream),
        })),
        Err(refusal) => Ok(edge.finish(sse::refuse(node, refusal))),
    }
}

/// Answers a request of Socket.IO. The socket of a WebSocket keeps its places, because it is open
/// for longer than hyper deals with it.
async fn answer_socketio(
    acceptor: &Acceptor,
    lent_socket: &Arc<LentSocket>,
    admission: &RefCell<Option<Admission>>,
    mut request: Request<Incoming>,
) -> Response<Body> {
    let node = &acceptor.context.node;
    let opens =
        !SocketIo::is_of_session(&request) || request.headers().contains_key(header::UPGRADE);
    if opens {
        if let Err(refusal) = count_opening(node, admission, &request).await {
            return Problem::from(refusal).into_response();
        }
        let client = audited_client(node, &request);
        request.extensions_mut().insert(client);
    }
    let inbox = &acceptor.context.inbox;
    let address = ClientAddress::from_extensions(request.extensions()).group();
    let response = acceptor.socketio.answer(request, lent_socket, inbox).await;
    if response.status() == StatusCode::TOO_MANY_REQUESTS {
        node.limits.hold_back(node.limits.address_key(address)).await;
    }
    if response.status() == StatusCode::SWITCHING_PROTOCOLS
        && let Some(Admission::Admitted(places)) = admission.take()
    {
        lent_socket.keep_places(places);
    }
    node.metrics.http_request(socketio::PATH, response.status());
    response
}

/// Counts a request that opens a WebSocket or a stream for the address of its client, behind a
/// proxy too. A refusal is held back.
async fn count_opening(
    node: &NodeContext,
    admission: &RefCell<Option<Admission>>,
    request: &Request<Incoming>,
) -> Result<(), LimitRefusal> {
    let client = ClientAddress::from_extensions(request.extensions());
    let address = node.limits.address_key(client.group());
    let count = || {
        node.limits.spend(Limit::AddressRequests, address)?;
        match &mut *admission.borrow_mut() {
            Some(Admission::Admitted(places)) => places.count_for(&node.limits, client),
            Some(Admission::Refused { refusal, .. }) => Err(*refusal),
            None => Ok(()),
        }
    };
    let counted = count();
    if counted.is_err() {
        node.limits.hold_back(address).await;
    }
    counted
}

/// The client of a request, for the audit of its connection.
fn audited_client(node: &NodeContext, request: &Request<Incoming>) -> AuditedClient {
    node.audit.client(ClientAddress::from_extensions(request.extensions()), request.headers())
}
