//! The byte stream between a node and one client: a plain TCP socket, TLS over one, or a stream
//! inside an HTTP/2 connection. All have the verbs of a nonblocking socket.

#[cfg(feature = "tls")]
pub mod pipe;
#[cfg(feature = "tls")]
pub mod tls;

use std::{
    future::poll_fn,
    io::{self, ErrorKind},
    net::Shutdown,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// The protocol that a client and the node agreed on (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    #[cfg(feature = "tls")]
    Http2,
}

#[cfg(feature = "tls")]
impl Protocol {
    /// The names of all protocols, the preferred one first.
    pub const NAMES: [&'static [u8]; 2] = [b"h2", b"http/1.1"];
}

pub enum Socket {
    Tcp(TcpStream),
    /// Boxed, because plain sockets are many more and smaller.
    #[cfg_attr(
        not(any(feature = "tls", feature = "simulation")),
        expect(dead_code, reason = "only TLS makes layers")
    )]
    Layered(Box<dyn Layer>),
}

// A plain socket costs what the TCP socket costs.
const _: () = assert!(size_of::<Socket>() == size_of::<TcpStream>());

/// A stream on top of another. Sends and reads are as of a nonblocking socket: they fail with
/// `WouldBlock` when they would have to wait, and the `poll_…_ready` then register the waker.
pub trait Layer: Send {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<()>;

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<()>;

    /// Returns 0 at the end of the client's bytes.
    ///
    /// # Errors
    /// `WouldBlock`; `Interrupted` when bytes arrived that bring no content, and there may be more;
    /// and the errors of a broken stream.
    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Returns how many bytes were taken.
    ///
    /// # Errors
    /// `WouldBlock`, and the errors of a broken stream.
    fn try_write(&self, bytes: &[u8]) -> io::Result<usize>;

    /// Sends what was taken and has not left.
    ///
    /// # Errors
    /// `WouldBlock` when some of it still waits, and the errors of a broken stream.
    fn try_flush(&self) -> io::Result<()>;

    /// Whether bytes that were taken wait for a flush.
    fn has_unsent(&self) -> bool;

    /// Ends the sending side, as far as that takes no waiting.
    fn finish(&self) -> io::Result<()>;

    /// Ends both sides at once. Waiting tasks wake up.
    fn cut(&self);
}

impl Socket {
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            // An error shows when the socket is read.
            Socket::Tcp(tcp) => tcp.poll_read_ready(cx).map(drop),
            Socket::Layered(layer) => layer.poll_read_ready(cx),
        }
    }

    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Socket::Tcp(tcp) => tcp.poll_write_ready(cx).map(drop),
            Socket::Layered(layer) => layer.poll_write_ready(cx),
        }
    }

    pub async fn readable(&self) {
        poll_fn(|cx| self.poll_read_ready(cx)).await;
    }

    pub async fn writable(&self) {
        poll_fn(|cx| self.poll_write_ready(cx)).await;
    }

    /// # Errors
    /// The errors of [`Layer::try_read`].
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(tcp) => tcp.try_read(buffer),
            Socket::Layered(layer) => layer.try_read(buffer),
        }
    }

    /// # Errors
    /// The errors of [`Layer::try_write`].
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(tcp) => tcp.try_write(bytes),
            Socket::Layered(layer) => layer.try_write(bytes),
        }
    }

    /// # Errors
    /// The errors of [`Layer::try_flush`].
    pub fn try_flush(&self) -> io::Result<()> {
        match self {
            Socket::Tcp(_) => Ok(()),
            Socket::Layered(layer) => layer.try_flush(),
        }
    }

    pub fn has_unsent(&self) -> bool {
        match self {
            Socket::Tcp(_) => false,
            Socket::Layered(layer) => layer.has_unsent(),
        }
    }

    /// Ends the sending side. The client can still send.
    ///
    /// # Errors
    /// The system's, when the client is gone.
    pub fn finish(&self) -> io::Result<()> {
        match self {
            Socket::Tcp(tcp) => socket2::SockRef::from(tcp).shutdown(Shutdown::Write),
            Socket::Layered(layer) => layer.finish(),
        }
    }

    /// Ends the connection at once: bytes that the client has not taken are discarded. Unlike a
    /// drop, the shutdown wakes tasks that wait to read from the socket or to write to it.
    pub fn cut(&self) {
        match self {
            Socket::Tcp(tcp) => cut(tcp),
            Socket::Layered(layer) => layer.cut(),
        }
    }
}

fn cut(tcp: &TcpStream) {
    let socket = socket2::SockRef::from(tcp);
    let _ = socket.set_linger(Some(Duration::ZERO));
    let _ = socket.shutdown(Shutdown::Both);
}

impl From<TcpStream> for Socket {
    fn from(tcp: TcpStream) -> Self {
        Self::Tcp(tcp)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let layer = match self.get_mut() {
            Socket::Tcp(tcp) => return Pin::new(tcp).poll_read(cx, buffer),
            Socket::Layered(layer) => layer,
        };
        loop {
            ready!(layer.poll_read_ready(cx));
            match layer.try_read(buffer.initialize_unfilled()) {
                Ok(length) => {
                    buffer.advance(length);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // Everybody else has a turn first.
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let layer = match self.get_mut() {
            Socket::Tcp(tcp) => return Pin::new(tcp).poll_write(cx, bytes),
            Socket::Layered(layer) => layer,
        };
        loop {
            match layer.try_write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(layer.poll_write_ready(cx));
                }
                other => return Poll::Ready(other),
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Socket::Tcp(tcp) => Pin::new(tcp).poll_write_vectored(cx, bytes),
            layered => {
                let first = bytes.iter().find(|part| !part.is_empty());
                Pin::new(layered).poll_write(cx, first.map_or(&[][..], |part| &part[..]))
            }
        }
    }

    /// A layer gets one piece, so that it makes one record of a head and its body.
    fn is_write_vectored(&self) -> bool {
        matches!(self, Socket::Tcp(_))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            match self.try_flush() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(self.poll_write_ready(cx));
                }
                other => return Poll::Ready(other),
            }
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.as_mut().poll_flush(cx))?;
        Poll::Ready(self.finish())
    }
}
