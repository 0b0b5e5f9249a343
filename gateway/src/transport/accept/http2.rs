//! HTTP/2: many requests on one connection, which hyper keeps until its end. A stream of events is
//! the body of an answer. Browsers open WebSockets on connections of their own, with HTTP/1.1.

mod content;

use std::{
    cell::{Cell, RefCell},
    convert::Infallible,
    io,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{body::Body, response::IntoResponse};
use gateway_core::rate::{Bucket, Micros, Rate};
use http::{HeaderValue, Request, Response, Uri, header};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use schemas::codes::Code;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::{spawn_local, yield_now},
    time::{Instant, interval},
};

use self::content::ContentCounter;
use super::{
    Acceptor, HEAD_BYTES,
    answer::{Takeover, Upgrade, answer},
    begin_stream, sse,
};
use crate::{
    client_address::ClientAddress,
    http::Problem,
    limits::{
        Limit,
        admission::{self, Admission},
    },
    transport::{guarded_body::GuardedBody, socketio::SocketIo},
    wire::{
        lent_socket::{LentSocket, LentStream, refusal::Exchange},
        socket::pipe::pipe,
    },
};

/// Requests and streams of one connection at once. A page asks for about fifteen things when it
/// opens, and follows its channels on one stream; a browser shares the connection among its tabs.
/// Programs send fifty before they have read this bound, and those past it are refused.
const MAX_STREAMS: u32 = 64;
/// Streams that a client has reset and hyper has not accepted yet. Past them the connection ends:
/// a browser resets only the requests of a page that a person has left.
const MAX_PENDING_RESETS: usize = 20;
/// Streams that this side has reset because of what the client sent. Past them the connection ends.
const MAX_ERRORS: usize = 64;
/// Bytes of a request body that may be under way, for one stream and for all of them.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// Bytes of an answer that wait for the client's window.
const SEND_BUFFER: usize = 64 * 1024;
/// Bytes that are read before everybody else of the shard has a turn: some 900 of the smallest
/// frames, which take less than a millisecond.
const TURN_BYTES: usize = 16 * 1024;
/// Settings, pings, priorities and frames of unknown types that a client may send. Past them the
/// connection ends: this side has to answer settings and pings. Libraries ping a few times in a
/// second while they measure a connection.
const CONTROL_FRAMES: Rate = Rate { burst: 100, per_second: 20 };
/// How long a connection with open requests may neither take nor send content. The longest silence
/// of a client that takes what it gets is the pause between two beats of a stream, 25 s.
const STALLED: Duration = Duration::from_mins(1);

/// Looks at a connection in the time that it may be idle. Its client is asked to leave in the first
/// look past that time, and cut in the next one.
const LOOKS: u32 = 4;

/// A connection before its first request.
pub(super) struct Connection {
    pub peer: ClientAddress,
    pub admission: Admission,
    /// How long the connection may be without a request.
    pub idle_within: Duration,
}

/// The state that all requests of a connection share.
struct ConnectionState {
    acceptor: Rc<Acceptor>,
    lent_socket: Arc<LentSocket>,
    peer: ClientAddress,
    admission: RefCell<Option<Admission>>,
    /// Whether a Socket.IO client polls.
    polls: Cell<bool>,
    /// Requests whose answers have not ended.
    open: Cell<usize>,
    /// Requests so far.
    begun: Cell<u64>,
    /// Bytes of content so far, in both directions.
    content: Cell<u64>,
}

/// Serves requests until the connection ends, the client leaves it idle, or the node has drained.
pub(super) async fn serve(
    acceptor: &Rc<Acceptor>,
    lent_socket: Arc<LentSocket>,
    connection: Connection,
) {
    let Connection { peer, admission, idle_within } = connection;
    // No byte of HTTP/2 is to be taken for a refusal of HTTP/1.1.
    lent_socket.set_exchange(Exchange::Answering);
    let shared = Rc::new(ConnectionState {
        acceptor: acceptor.clone(),
        lent_socket: lent_socket.clone(),
        peer,
        admission: RefCell::new(Some(admission)),
        polls: Cell::new(false),
        open: Cell::new(0),
        begun: Cell::new(0),
        content: Cell::new(0),
    });
    let serving = {
        let stream = PacedStream::new(lent_socket, shared.clone());
        let shared = shared.clone();
        let service = service_fn(move |request| {
            let shared = shared.clone();
            async move { Ok::<_, Infallible>(shared.answer(request).await) }
        });
        http().serve_connection(TokioIo::new(stream), service)
    };
    let mut serving = pin!(serving);
    let mut drained = pin!(acceptor.until_drained(|| shared.polls.get()));
    let mut ticks = interval(idle_within / LOOKS);
    let mut quiet = SilenceWatch::new(idle_within);
    let mut is_ending = false;
    loop {
        let seen = tokio::select! {
            biased;
            _ = serving.as_mut() => return,
            () = drained.as_mut(), if !is_ending => Silence::Idle,
            _ = ticks.tick() => {
                quiet.observe((shared.begun.get(), shared.content.get()), shared.open.get())
            }
        };
        match seen {
            Silence::Short => {}
            Silence::Idle if !is_ending => {
                is_ending = true;
                serving.as_mut().graceful_shutdown();
            }
            // The client does not leave, or does not take what it asked for.
            Silence::Idle | Silence::Stalled => return,
        }
    }
}

/// HTTP/2 with the bounds of this file.
fn http() -> http2::Builder<LocalTasks> {
    let mut builder = http2::Builder::new(LocalTasks);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(HEAD_BYTES as u32)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .max_local_error_reset_streams(MAX_ERRORS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER);
    builder
}

/// How long nothing has happened on a connection: no request came, and no content moved. Pings do
/// not count, nor do this side's frames about the end of the connection.
struct SilenceWatch {
    idle_within: Duration,
    activity: (u64, u64),
    since: Instant,
}

/// The meaning of a silence of the client.
#[derive(Debug, PartialEq, Eq)]
enum Silence {
    Short,
    /// The client has no open request.
    Idle,
    /// The client does not read an answer, or does not send an announced body.
    Stalled,
}

impl SilenceWatch {
    fn new(idle_within: Duration) -> Self {
        Self { idle_within, activity: (0, 0), since: Instant::now() }
    }

    /// Looks at the requests and the content so far, and at the requests that are open.
    fn observe(&mut self, activity: (u64, u64), open: usize) -> Silence {
        if activity != self.activity {
            (self.activity, self.since) = (activity, Instant::now());
        }
        match self.since.elapsed() {
            silence if silence >= STALLED => Silence::Stalled,
            silence if open == 0 && silence >= self.idle_within => Silence::Idle,
            _ => Silence::Short,
        }
    }
}

impl ConnectionState {
    async fn answer(
        self: Rc<Self>,
        mut request: Request<Incoming>,
    ) -> Response<GuardedBody<OpenRequest>> {
        let open = OpenRequest::begin(&self);
        // A request that its client has reset meanwhile ends here.
        yield_now().await;
        like_http1(&mut request);
        let node = &self.acceptor.context.node;
        let client = node.proxies.client(self.peer, request.headers()).over(true);
        request.extensions_mut().insert(client);
        self.polls.set(self.polls.get() || SocketIo::is_of_session(&request));
        let answered = answer(&self.acceptor, &self.lent_socket, &self.admission, request).await;
        let response = answered.unwrap_or_else(|upgrade| self.stream(*upgrade, client.address));
        response.map(|body| GuardedBody { body, _guard: open })
    }

    /// Begins a stream of events. It counts as a connection of its client.
    fn stream(&self, upgrade: Upgrade, client: ClientAddress) -> Response<Body> {
        let Upgrade { mut head, first, client: audited, takeover } = upgrade;
        let Takeover::Stream(opening) = takeover else {
            debug_assert!(false, "no header of HTTP/2 asks for a WebSocket");
            return Problem::from(Code::Malformed).into_response();
        };
        head.headers_mut().remove(header::CONNECTION);
        let node = &self.acceptor.context.node;
        let places = match admission::take_stream_places(&node.limits, client) {
            Ok(places) => places,
            Err(refusal) => {
                let refused = sse::refuse(node, refusal.code().into());
                return head.map(|()| refused.into_body());
            }
        };
        let (socket, body) = pipe();
        let told = socket.try_write(first.as_bytes());
        debug_assert!(told.is_ok_and(|length| length == first.len()), "an empty pipe takes it");
        begin_stream(&self.acceptor.shard, socket, opening, audited, places);
        head.map(|()| Body::new(body))
    }
}

/// Names the host and the path as HTTP/1.1 does (RFC 9113 §8.3.1).
fn like_http1(request: &mut Request<Incoming>) {
    let authority = request.uri().authority();
    if let Some(host) = authority.and_then(|name| HeaderValue::from_str(name.as_str()).ok()) {
        request.headers_mut().insert(header::HOST, host);
    }
    if let Some(path) = request.uri().path_and_query().cloned() {
        *request.uri_mut() = Uri::from(path);
    }
}

/// Counts a request until its answer has ended.
struct OpenRequest(Rc<ConnectionState>);

impl OpenRequest {
    fn begin(shared: &Rc<ConnectionState>) -> Self {
        shared.open.set(shared.open.get() + 1);
        shared.begun.set(shared.begun.get() + 1);
        Self(shared.clone())
    }
}

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
    }
}

/// Runs the requests of a connection on the thread of its shard.
#[derive(Clone, Copy)]
struct LocalTasks;

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for LocalTasks {
    fn execute(&self, task: F) {
        spawn_local(task);
    }
}

/// A stream that pauses after [`TURN_BYTES`]: hyper reads frames for as long as there are some. It
/// counts the content that passes, and ends when the client passes [`CONTROL_FRAMES`].
struct PacedStream {
    stream: LentStream,
    read: usize,
    control: Bucket,
    started: Instant,
    received: ContentCounter,
    sent: ContentCounter,
    shared: Rc<ConnectionState>,
}

impl PacedStream {
    fn new(lent_socket: Arc<LentSocket>, shared: Rc<ConnectionState>) -> Self {
        Self {
            stream: LentStream::new(lent_socket),
            read: 0,
            control: Bucket::default(),
            started: Instant::now(),
            received: ContentCounter::of_client(),
            sent: ContentCounter::of_server(),
            shared,
        }
    }

    fn add(&self, content: u64) {
        self.shared.content.set(self.shared.content.get() + content);
    }

    /// Whether the client may have sent the control frames that were counted.
    fn may_go_on(&mut self) -> bool {
        let now = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let frames = self.received.take_control();
        let may = (0..frames).all(|_| self.control.take(CONTROL_FRAMES, Micros(now)));
        if !may {
            let node = &self.shared.acceptor.context.node;
            node.metrics.limited(Limit::ControlFrames.name());
        }
        may
    }
}

impl AsyncRead for PacedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.read >= TURN_BYTES {
            self.read = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let content = self.received.count(&buffer.filled()[before..]);
        self.add(content);
        if !self.may_go_on() {
            return Poll::Ready(Err(io::Error::other("too many control frames")));
        }
        let read = buffer.filled().len() - before;
        self.read = if polled.is_pending() { 0 } else { self.read + read };
        polled
    }
}

impl AsyncWrite for PacedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(written)) = polled {
            let content = self.sent.count(&bytes[..written]);
            self.add(content);
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_ends_idle_connections_soon_and_stalled_ones_after_a_minute() {
        let (idle, wait) = (Duration::from_secs(10), tokio::time::advance);
        let mut quiet = SilenceWatch::new(idle);
        wait(idle / 2).await;
        assert_eq!(quiet.observe((1, 0), 1), Silence::Short, "a request came");
        wait(idle).await;
        assert_eq!(quiet.observe((1, 0), 1), Silence::Short, "its answer is not taken yet");
        assert_eq!(quiet.observe((1, 0), 0), Silence::Idle, "nothing is asked for");
        wait(STALLED - idle).await;
        assert_eq!(quiet.observe((1, 0), 1), Silence::Stalled, "nobody takes the answer");
        assert_eq!(quiet.observe((1, 1), 1), Silence::Short, "content moves again");
    }
}
