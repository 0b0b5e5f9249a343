//! The task of one socket. It runs only to read, and to write when a write would have blocked: what the shard
//! has to say it writes itself.

use std::{
    cell::RefCell,
    future::poll_fn,
    io::{self, ErrorKind, Read, Write},
    rc::Rc,
    time::Duration,
};

use schemas::codes::Close;
use tokio::net::TcpStream;
use tungstenite::{
    Error, Message,
    error::CapacityError,
    protocol::{Role, WebSocketConfig, WebSocketContext},
};

use crate::{
    stream::frames::{self, Form},
    stream::shard::{Ready, Shard},
};

/// Longest message a client may send: a token and its subscribes are far below. More closes the socket.
pub const MAX_MESSAGE: usize = 64 * 1024;
/// What a WebSocket holds while it is idle: commands longer than this are read in pieces.
const READ_BUFFER: usize = 512;
/// How long a closed socket may take to read its farewell.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a connection holds of its shard: taken out when the task ends, however it ends.
struct Seat {
    shard: Rc<RefCell<Shard>>,
    id: u32,
    socket: Rc<TcpStream>,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.shard.borrow_mut().remove(self.id);
    }
}

impl Seat {
    async fn ready(&self) -> Ready {
        poll_fn(|cx| self.shard.borrow_mut().conns().poll(self.id, cx)).await
    }

    fn close(&self, close: Close) {
        self.shard.borrow_mut().conns().close(self.id, close);
    }
}

/// Serves a WebSocket whose handshake has been answered.
pub async fn run_ws(shard: Rc<RefCell<Shard>>, socket: TcpStream, form: Form) {
    let socket = Rc::new(socket);
    let id = shard.borrow_mut().add_ws(socket.clone(), form);
    let seat = Seat { shard, id, socket };
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(READ_BUFFER)
        .max_message_size(Some(MAX_MESSAGE))
        .max_frame_size(Some(MAX_MESSAGE));
    let mut frames = WebSocketContext::new(Role::Server, Some(config));
    loop {
        match seat.ready().await {
            Ready::Read => {
                if read_frames(&seat, &mut frames).is_break() {
                    return;
                }
            }
            Ready::Write => seat.shard.borrow_mut().flush(seat.id),
            Ready::Close(close) => {
                farewell(&seat, Some(close)).await;
                return;
            }
        }
    }
}

/// Reads what the socket holds; breaks when the client is gone.
fn read_frames(seat: &Seat, frames: &mut WebSocketContext) -> std::ops::ControlFlow<()> {
    use std::ops::ControlFlow::{Break, Continue};
    let mut pipe = Pipe { socket: &seat.socket, answers: Vec::new() };
    loop {
        let read = frames.read(&mut pipe);
        // Pongs and close answers that tungstenite wants to write go the way of all replies.
        if !pipe.answers.is_empty() {
            let answers = std::mem::take(&mut pipe.answers);
            seat.shard.borrow_mut().conns().push(seat.id, answers.into());
        }
        match read {
            Ok(Message::Text(text)) => seat.shard.borrow_mut().receive_text(seat.id, &text),
            Ok(Message::Binary(bytes)) => seat.shard.borrow_mut().receive_binary(seat.id, &bytes),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
            Ok(Message::Close(_)) => return Break(()),
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return Continue(()),
            Err(Error::Capacity(CapacityError::MessageTooLong { .. })) => {
                seat.close(Close::TooLarge);
                return Continue(());
            }
            Err(Error::Protocol(_) | Error::Utf8(_)) => {
                seat.close(Close::BadRequest);
                return Continue(());
            }
            Err(_) => return Break(()),
        }
        if seat.shard.borrow_mut().conns().is_closing(seat.id) {
            return Continue(());
        }
    }
}

/// Serves an SSE stream whose head has been written and which the shard has taken in as `id`.
pub async fn run_sse(shard: Rc<RefCell<Shard>>, socket: Rc<TcpStream>, id: u32) {
    let seat = Seat { shard, id, socket };
    loop {
        match seat.ready().await {
            // A client of a stream has nothing to say: only its end is of interest.
            Ready::Read => match seat.socket.try_read(&mut [0; 256]) {
                Ok(0) => return,
                Err(error) if error.kind() != ErrorKind::WouldBlock => return,
                _ => {}
            },
            Ready::Write => seat.shard.borrow_mut().flush(seat.id),
            Ready::Close(_) => {
                farewell(&seat, None).await;
                return;
            }
        }
    }
}

/// Says why, if the socket takes it at once, and waits a moment for the client to hear it: closing with
/// unread input would reset the connection and destroy the reason.
async fn farewell(seat: &Seat, close: Option<Close>) {
    let waits = !seat.shard.borrow_mut().conns().flush_rest(seat.id);
    if let Some(close) = close {
        seat.shard.borrow().count_close(close);
        if waits || seat.socket.try_write(&frames::ws_close(close.code(), close.reason())).is_err()
        {
            return;
        }
    }
    if socket2::SockRef::from(&*seat.socket).shutdown(std::net::Shutdown::Write).is_err() {
        return;
    }
    let _ = tokio::time::timeout(FAREWELL, async {
        while seat.socket.readable().await.is_ok() {
            match seat.socket.try_read(&mut [0; 1024]) {
                Ok(0) => return,
                Err(error) if error.kind() != ErrorKind::WouldBlock => return,
                _ => {}
            }
        }
    })
    .await;
}

/// What tungstenite reads from and writes to: the socket as it is now, and a place for its answers.
struct Pipe<'a> {
    socket: &'a TcpStream,
    answers: Vec<u8>,
}

impl Read for Pipe<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.try_read(buffer)
    }
}

impl Write for Pipe<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.answers.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
