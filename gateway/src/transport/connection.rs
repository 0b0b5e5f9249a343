//! The task of one WebSocket or SSE connection. It runs only to read, and to write when a write
//! would have blocked: the shard itself writes all other frames.

use std::{
    cell::RefCell,
    future::poll_fn,
    io::{self, ErrorKind, Read, Write},
    rc::Rc,
    time::Duration,
};

use gateway_core::{
    frame_meter::{FrameExcess, FrameMeter},
    protocol::MAX_MESSAGE,
    rate::Micros,
};
use schemas::codes::Close;
use tungstenite::{
    Error, Message,
    error::{CapacityError, ProtocolError},
    protocol::{Role, WebSocketConfig, WebSocketContext},
};

use crate::{
    client_address::audited_client::AuditedClient,
    inbox::ids::ConnId,
    limits::admission::SocketPlaces,
    stream::shard::Shard,
    wire::{
        frames::{self, Form},
        peer::outcome::Ready,
        socket::Socket,
    },
};

/// Bytes of read buffer that an idle WebSocket holds. Longer commands are read in pieces.
const READ_BUFFER: usize = 512;
/// Bytes that one WebSocket may send before all others of its shard have a turn: some 60 commands,
/// or 700 of the smallest frames, which take less than a millisecond.
const TURN_BYTES: usize = 4096;
/// Bytes that an SSE client may send after its request, which is none if it is a browser. A client
/// that sends more is cut.
const MAX_SSE_INPUT: usize = 4096;
/// How long a client may take to read its close frame and to end its side of the connection.
const FAREWELL: Duration = Duration::from_secs(1);
/// Bytes of a client that are still read then: its longest message. A client that sends more is
/// reset, and may miss its close frame.
const FAREWELL_BYTES: usize = MAX_MESSAGE;

/// A connection's registration in its shard. Dropping it removes the connection, however its task
/// ends.
struct Registration {
    shard: Rc<RefCell<Shard>>,
    id: ConnId,
    socket: Rc<Socket>,
    /// `None` in tests, which bring sockets of their own.
    _places: Option<SocketPlaces>,
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.shard.borrow_mut().remove(self.id);
    }
}

impl Registration {
    async fn ready(&self) -> Ready {
        poll_fn(|cx| self.shard.borrow_mut().connections().poll(self.id, cx)).await
    }

    fn close(&self, close: Close) {
        self.shard.borrow_mut().connections().close(self.id, close);
    }
}

/// Serves a WebSocket after its handshake.
pub async fn run_ws(
    shard: Rc<RefCell<Shard>>,
    socket: Socket,
    form: Form,
    client: AuditedClient,
    places: SocketPlaces,
) {
    let socket = Rc::new(socket);
    let id = shard.borrow_mut().add_ws(socket.clone(), form, client);
    let registration = Registration { shard, id, socket, _places: Some(places) };
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(READ_BUFFER)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let mut frames = WebSocketContext::new(Role::Server, Some(config));
    let mut meter = FrameMeter::default();
    loop {
        match registration.ready().await {
            Ready::Read => match read_frames(&registration, &mut frames, &mut meter) {
                ReadTurn::Idle => {}
                ReadTurn::Spent => tokio::task::yield_now().await,
                ReadTurn::Closed => return say_farewell(&registration, None).await,
                ReadTurn::Gone => return,
            },
            Ready::Write => registration.shard.borrow_mut().flush(registration.id),
            Ready::Close(close) => {
                say_farewell(&registration, Some(close)).await;
                return;
            }
        }
    }
}

/// The end of a turn of reading.
enum ReadTurn {
    /// The socket holds nothing more, or the connection is about to be closed.
    Idle,
    /// The budget is spent: everybody else has a turn first.
    Spent,
    /// The client has closed, and is answered.
    Closed,
    /// The client is gone.
    Gone,
}

/// Reads the frames that the socket holds, up to the budget of one turn.
fn read_frames(
    registration: &Registration,
    frames: &mut WebSocketContext,
    meter: &mut FrameMeter,
) -> ReadTurn {
    let Registration { shard, id, socket, .. } = registration;
    let now = shard.borrow().rate_clock();
    let mut stream = SocketStream { socket, meter, now, budget: TURN_BYTES, answers: Vec::new() };
    loop {
        let read = frames.read(&mut stream);
        if matches!(read, Ok(Message::Close(_))) {
            // The answer waits in the context until it is flushed, which then reports the end.
            let _ = frames.flush(&mut stream);
        }
        // The pongs and close frames of tungstenite wait behind earlier bytes, as all replies do.
        if !stream.answers.is_empty() {
            let answers = std::mem::take(&mut stream.answers);
            shard.borrow_mut().connections().send_bytes(*id, answers.into());
        }
        match read {
            Ok(Message::Text(text)) => shard.borrow_mut().receive_text(*id, &text),
            Ok(Message::Binary(bytes)) => shard.borrow_mut().receive_binary(*id, &bytes),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
            Ok(Message::Close(_)) => return ReadTurn::Closed,
            Err(Error::Io(error)) => return end_turn(registration, &stream, &error),
            Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => {
                registration.close(Close::TooLarge);
                return ReadTurn::Idle;
            }
            Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake)) => {
                return ReadTurn::Gone;
            }
            Err(Error::Protocol(_)) => {
                registration.close(Close::ProtocolError);
                return ReadTurn::Idle;
            }
            Err(Error::Utf8(_)) => {
                registration.close(Close::InvalidText);
                return ReadTurn::Idle;
            }
            Err(_) => return ReadTurn::Gone,
        }
        if shard.borrow_mut().connections().is_closing(*id) {
            return ReadTurn::Idle;
        }
    }
}

/// The end of a turn in which the stream gave no more bytes.
fn end_turn(registration: &Registration, stream: &SocketStream<'_>, error: &io::Error) -> ReadTurn {
    let excess = error.get_ref().and_then(|source| source.downcast_ref());
    match (error.kind(), excess) {
        (ErrorKind::WouldBlock, _) if stream.budget == 0 => ReadTurn::Spent,
        // Bytes of TLS that bring no frame.
        (ErrorKind::Interrupted, _) => ReadTurn::Spent,
        (ErrorKind::WouldBlock, _) => ReadTurn::Idle,
        (_, Some(FrameLimit(excess))) => {
            registration.shard.borrow_mut().close_for_frames(registration.id, *excess);
            ReadTurn::Idle
        }
        (_, None) => ReadTurn::Gone,
    }
}

/// Serves an SSE stream whose response head has been written, and which the shard has added as
/// `id`.
pub async fn run_sse(
    shard: Rc<RefCell<Shard>>,
    socket: Rc<Socket>,
    id: ConnId,
    places: Option<SocketPlaces>,
) {
    let registration = Registration { shard, id, socket, _places: places };
    let mut input = 0;
    loop {
        match registration.ready().await {
            // An SSE client sends nothing, so only the end of its input matters.
            Ready::Read => match registration.socket.try_read(&mut [0; 256]) {
                Ok(0) => return,
                Ok(bytes) => {
                    input += bytes;
                    if input > MAX_SSE_INPUT {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    tokio::task::yield_now().await;
                }
                Err(_) => return,
            },
            Ready::Write => registration.shard.borrow_mut().flush(registration.id),
            Ready::Close(_) => {
                say_farewell(&registration, None).await;
                return;
            }
        }
    }
}

/// Sends the close frame, if the socket takes it at once, and waits a moment for the client to read
/// it. Closing a socket with unread input would reset the connection and destroy the close frame.
async fn say_farewell(registration: &Registration, close: Option<Close>) {
    let Registration { shard, id, socket, .. } = registration;
    let flushed = shard.borrow_mut().connections().flush_rest(*id);
    if let Some(close) = close {
        shard.borrow().count_close(close);
        let frame = frames::encode_close(close.code(), close.reason());
        if !flushed || socket.try_write(&frame).is_err() {
            return;
        }
    }
    if socket.finish().is_err() {
        return;
    }
    let _ = tokio::time::timeout(FAREWELL, async {
        let mut input = 0;
        while input < FAREWELL_BYTES {
            socket.readable().await;
            match socket.try_read(&mut [0; 1024]) {
                Ok(0) => return,
                Ok(bytes) => input += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
            // A socket that always holds bytes would never let the others have a turn.
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// The stream that tungstenite reads and writes: it reads from the socket within the budget of a
/// turn, counts the frames, and keeps the answers that tungstenite writes for the shard to send.
struct SocketStream<'a> {
    socket: &'a Socket,
    meter: &'a mut FrameMeter,
    now: Micros,
    /// Bytes that may still be read in this turn.
    budget: usize,
    answers: Vec<u8>,
}

/// The error of a stream whose client sent more frames than it may.
#[derive(Debug, thiserror::Error)]
#[error("too many frames")]
struct FrameLimit(FrameExcess);

impl Read for SocketStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.budget == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        let length = buffer.len().min(self.budget);
        let read = self.socket.try_read(&mut buffer[..length])?;
        self.budget -= read;
        self.meter
            .count(&buffer[..read], self.now)
            .map_err(|excess| io::Error::other(FrameLimit(excess)))?;
        Ok(read)
    }
}

impl Write for SocketStream<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.answers.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
