//! The task of one WebSocket or SSE connection. It runs only to read, and to write when a write
//! would have blocked: the shard itself writes what it has to say.

use std::{
    cell::RefCell,
    future::poll_fn,
    io::{self, ErrorKind, Read, Write},
    ops::ControlFlow,
    rc::Rc,
    time::Duration,
};

use gateway_core::protocol::MAX_MESSAGE;
use schemas::codes::Close;
use tokio::net::TcpStream;
use tungstenite::{
    Error, Message,
    error::CapacityError,
    protocol::{Role, WebSocketConfig, WebSocketContext},
};

use crate::{
    stream::{
        frames::{self, Form},
        shard::{Shard, ids::ConnId},
    },
    transport::peer::outcome::Ready,
};

/// Bytes of read buffer that an idle WebSocket holds. Longer commands are read in pieces.
const READ_BUFFER: usize = 512;
/// How long a client may take to read its close frame and to end its side of the connection.
const FAREWELL: Duration = Duration::from_secs(1);

/// A connection's registration in its shard. Dropping it removes the connection, however its task
/// ends.
struct Registration {
    shard: Rc<RefCell<Shard>>,
    id: ConnId,
    socket: Rc<TcpStream>,
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
pub async fn run_ws(shard: Rc<RefCell<Shard>>, socket: TcpStream, form: Form) {
    let socket = Rc::new(socket);
    let id = shard.borrow_mut().add_ws(socket.clone(), form);
    let registration = Registration { shard, id, socket };
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(READ_BUFFER)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let mut frames = WebSocketContext::new(Role::Server, Some(config));
    loop {
        match registration.ready().await {
            Ready::Read => {
                if read_frames(&registration, &mut frames).is_break() {
                    return;
                }
            }
            Ready::Write => registration.shard.borrow_mut().flush(registration.id),
            Ready::Close(close) => {
                say_farewell(&registration, Some(close)).await;
                return;
            }
        }
    }
}

/// Reads the frames that the socket holds. Breaks when the client is gone.
fn read_frames(registration: &Registration, frames: &mut WebSocketContext) -> ControlFlow<()> {
    use ControlFlow::{Break, Continue};
    let Registration { shard, id, socket } = registration;
    let mut stream = SocketStream { socket, answers: Vec::new() };
    loop {
        let read = frames.read(&mut stream);
        // The pongs and close frames of tungstenite wait behind earlier bytes, as all replies do.
        if !stream.answers.is_empty() {
            let answers = std::mem::take(&mut stream.answers);
            shard.borrow_mut().connections().send_bytes(*id, answers.into());
        }
        match read {
            Ok(Message::Text(text)) => shard.borrow_mut().receive_text(*id, &text),
            Ok(Message::Binary(bytes)) => shard.borrow_mut().receive_binary(*id, &bytes),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
            Ok(Message::Close(_)) => return Break(()),
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return Continue(()),
            Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => {
                registration.close(Close::TooLarge);
                return Continue(());
            }
            Err(Error::Protocol(_) | Error::Utf8(_)) => {
                registration.close(Close::BadRequest);
                return Continue(());
            }
            Err(_) => return Break(()),
        }
        if shard.borrow_mut().connections().is_closing(*id) {
            return Continue(());
        }
    }
}

/// Serves an SSE stream whose response head has been written, and which the shard has added as
/// `id`.
pub async fn run_sse(shard: Rc<RefCell<Shard>>, socket: Rc<TcpStream>, id: ConnId) {
    let registration = Registration { shard, id, socket };
    loop {
        match registration.ready().await {
            // An SSE client sends nothing, so only the end of its input matters.
            Ready::Read => match registration.socket.try_read(&mut [0; 256]) {
                Ok(0) => return,
                Err(error) if error.kind() != ErrorKind::WouldBlock => return,
                _ => {}
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
    let Registration { shard, id, socket } = registration;
    let flushed = shard.borrow_mut().connections().flush_rest(*id);
    if let Some(close) = close {
        shard.borrow().count_close(close);
        let frame = frames::encode_close(close.code(), close.reason());
        if !flushed || socket.try_write(&frame).is_err() {
            return;
        }
    }
    if socket2::SockRef::from(&**socket).shutdown(std::net::Shutdown::Write).is_err() {
        return;
    }
    let _ = tokio::time::timeout(FAREWELL, async {
        while socket.readable().await.is_ok() {
            match socket.try_read(&mut [0; 1024]) {
                Ok(0) => return,
                Err(error) if error.kind() != ErrorKind::WouldBlock => return,
                _ => {}
            }
        }
    })
    .await;
}

/// The stream that tungstenite reads and writes: it reads from the socket, and keeps the answers
/// that tungstenite writes for the shard to send.
struct SocketStream<'a> {
    socket: &'a TcpStream,
    answers: Vec<u8>,
}

impl Read for SocketStream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.try_read(buffer)
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
