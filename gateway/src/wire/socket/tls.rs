//! TLS over a TCP socket, with the verbs of a nonblocking socket.
//!
//! tokio-rustls has futures only. A shard writes without waiting, and a socket changes hands from
//! hyper to a connection, so this file drives rustls with the bytes that the socket accepts and
//! returns without waiting.

use std::{
    cell::RefCell,
    io::{self, BufRead, ErrorKind, IoSlice, Read, Write},
    net::Shutdown,
    sync::Arc,
    task::{Context, Poll},
};

use rustls::{ServerConfig, ServerConnection};
use tokio::net::TcpStream;

use super::{Layer, Protocol, Socket, cut};

/// The content of the largest record (RFC 8446 §5.1). No more is encrypted before the record ahead
/// of it has left, so that state for a slow client stays a mark and is not queued as bytes.
const RECORD: usize = 16 * 1024;

/// Does the handshake of a client. The caller limits its time.
///
/// # Errors
/// The system's, and those of rustls.
pub async fn accept(tcp: TcpStream, config: Arc<ServerConfig>) -> io::Result<(Socket, Protocol)> {
    let mut session = ServerConnection::new(config).map_err(io::Error::other)?;
    while session.is_handshaking() {
        let step = if session.wants_write() {
            tcp.writable().await?;
            session.write_tls(&mut Wire(&tcp))
        } else {
            tcp.readable().await?;
            receive(&mut session, &tcp)
        };
        match step {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ => {}
        }
    }
    let protocol = match session.alpn_protocol() {
        Some(name) if name == Protocol::NAMES[0] => Protocol::Http2,
        _ => Protocol::Http1,
    };
    let tls = TlsSocket { tcp, session: RefCell::new(session) };
    // The tickets of later sessions may wait until the first answer.
    let _ = tls.try_flush();
    Ok((Socket::Layered(Box::new(tls)), protocol))
}

/// Reads once from the socket. Returns the number of bytes, 0 at the end.
fn receive(session: &mut ServerConnection, tcp: &TcpStream) -> io::Result<usize> {
    let length = session.read_tls(&mut Wire(tcp))?;
    session.process_new_packets().map_err(|error| {
        // The alert says why. A client whose socket is full does not learn it.
        let _ = session.write_tls(&mut Wire(tcp));
        io::Error::new(ErrorKind::InvalidData, error)
    })?;
    Ok(length)
}

struct TlsSocket {
    tcp: TcpStream,
    /// Borrowed within one call only.
    session: RefCell<ServerConnection>,
}

fn flush(session: &mut ServerConnection, tcp: &TcpStream) -> io::Result<()> {
    while session.wants_write() {
        session.write_tls(&mut Wire(tcp))?;
    }
    Ok(())
}

impl Layer for TlsSocket {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let has_content = match self.session.borrow_mut().reader().fill_buf() {
            Ok(_) => true,
            Err(error) => error.kind() != ErrorKind::WouldBlock,
        };
        if has_content { Poll::Ready(()) } else { self.tcp.poll_read_ready(cx).map(drop) }
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.tcp.poll_write_ready(cx).map(drop)
    }

    /// Reads at most once from the socket, so that records without content cannot keep a shard.
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let session = &mut *self.session.borrow_mut();
        match read_content(session, buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            read => return read,
        }
        if receive(session, &self.tcp)? == 0 {
            return Ok(0);
        }
        match read_content(session, buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                Err(ErrorKind::Interrupted.into())
            }
            read => read,
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let session = &mut *self.session.borrow_mut();
        let mut taken = 0;
        for record in bytes.chunks(RECORD) {
            match flush(session, &self.tcp) {
                Ok(()) => taken += session.writer().write(record)?,
                Err(error) if error.kind() == ErrorKind::WouldBlock && taken > 0 => break,
                Err(error) => return Err(error),
            }
        }
        match flush(session, &self.tcp) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
    }

    fn try_flush(&self) -> io::Result<()> {
        flush(&mut self.session.borrow_mut(), &self.tcp)
    }

    fn has_unsent(&self) -> bool {
        self.session.borrow().wants_write()
    }

    fn finish(&self) -> io::Result<()> {
        let session = &mut *self.session.borrow_mut();
        session.send_close_notify();
        // A client whose socket is full learns the end by the shutdown alone.
        let _ = flush(session, &self.tcp);
        socket2::SockRef::from(&self.tcp).shutdown(Shutdown::Write)
    }

    fn cut(&self) {
        cut(&self.tcp);
    }
}

/// Reads what was decrypted. Many clients end without saying so, which HTTP and WebSocket notice by
/// themselves.
fn read_content(session: &mut ServerConnection, buffer: &mut [u8]) -> io::Result<usize> {
    match session.reader().read(buffer) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(0),
        read => read,
    }
}

/// The socket below, as rustls reads and writes it.
struct Wire<'a>(&'a TcpStream);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
