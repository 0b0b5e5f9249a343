//! A socket that is lent to an HTTP server. The owner can take it back, read how many bytes it has
//! written, and cut it.

pub mod refusal;

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use gateway_core::send_buffer::MIN_DRAIN;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::refusal::{Exchange, ExchangeStage, Refusal};
use super::socket::Socket;
use crate::limits::admission::SocketPlaces;

/// Time in which a peer takes [`MIN_DRAIN`] bytes of an answer of HTTP. The system reports room for
/// more bytes only when a third of its buffer is free, which takes a slow phone 20 s.
const ANSWER_STALL: Duration = Duration::from_secs(30);

/// The owner's side of a lent socket.
pub struct LentSocket {
    /// The lock is never contended: one thread at a time deals with a socket.
    socket: Mutex<Option<Socket>>,
    written: AtomicU64,
    /// Whether the last write has to wait for the peer.
    blocked: AtomicBool,
    progress: AtomicWaker,
    exchange: ExchangeStage,
    /// The places of a socket that the borrower keeps after its last request.
    places: Mutex<Option<SocketPlaces>>,
}

impl LentSocket {
    pub fn new(socket: Socket) -> Arc<Self> {
        Arc::new(Self {
            socket: Mutex::new(Some(socket)),
            written: AtomicU64::new(0),
            blocked: AtomicBool::new(false),
            progress: AtomicWaker::new(),
            exchange: ExchangeStage::default(),
            places: Mutex::default(),
        })
    }

    fn socket(&self) -> MutexGuard<'_, Option<Socket>> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the socket back. For the borrower, the stream is then not connected.
    pub fn take(&self) -> Option<Socket> {
        self.socket().take()
    }

    /// Sets how far the borrower is with a request.
    pub fn set_exchange(&self, exchange: Exchange) {
        self.exchange.set(exchange);
    }

    /// Keeps the places of the socket until the borrower drops it.
    pub fn keep_places(&self, places: SocketPlaces) {
        *self.places.lock().unwrap_or_else(PoisonError::into_inner) = Some(places);
    }

    /// Bytes that the system has taken so far.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Waits until the peer has taken too few bytes of an answer for too long.
    pub async fn until_stalled(&self) {
        let is_blocked = || self.blocked.load(Ordering::Acquire);
        loop {
            let (was_blocked, before) = (is_blocked(), self.written());
            tokio::time::sleep(ANSWER_STALL).await;
            if was_blocked && is_blocked() && self.written() - before < MIN_DRAIN as u64 {
                return;
            }
        }
    }

    /// Returns whether the socket is gone: taken back by the owner, or dropped by the borrower.
    pub fn is_gone(&self) -> bool {
        self.socket().is_none()
    }

    /// Registers `waker` to be woken by the next bytes written, and when the borrower drops the
    /// socket.
    pub fn wake_on_progress(&self, waker: &Waker) {
        self.progress.register(waker);
    }

    /// Shuts down the sending side. The client can still send.
    pub fn finish(&self) {
        if let Some(socket) = &*self.socket() {
            // The end of a socket whose client is gone fails, which changes nothing.
            let _ = socket.finish();
        }
    }

    /// Ends the connection at once, as [`Socket::cut`] does.
    pub fn cut(&self) {
        if let Some(socket) = &*self.socket() {
            socket.cut();
        }
    }

    fn count_written(&self, poll: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(count)) = poll {
            self.written.fetch_add(count as u64, Ordering::AcqRel);
            self.progress.wake();
        }
        self.blocked.store(poll.is_pending(), Ordering::Release);
        poll
    }
}

/// The borrower's side of a [`LentSocket`], which reads and writes.
pub struct LentStream {
    lent: Arc<LentSocket>,
    /// A refusal of the borrower's own, to which headers are added.
    refusal: Option<Box<Refusal>>,
}

impl Drop for LentStream {
    fn drop(&mut self) {
        self.lent.take();
        drop(self.lent.places.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.lent.progress.wake();
    }
}

impl LentStream {
    pub fn new(lent: Arc<LentSocket>) -> Self {
        Self { lent, refusal: None }
    }

    fn with<T>(
        &self,
        poll: impl FnOnce(Pin<&mut Socket>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match self.lent.socket().as_mut() {
            Some(socket) => poll(Pin::new(socket)),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Writes a refusal with the headers of every answer. `None` when the bytes are no refusal.
    fn poll_refusal(
        &mut self,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Option<Poll<io::Result<usize>>> {
        if self.refusal.is_none() && self.lent.exchange.get() == Exchange::None {
            let is_layered = matches!(&*self.lent.socket(), Some(Socket::Layered(_)));
            self.refusal = Refusal::new(bytes, is_layered).map(Box::new);
        }
        let mut refusal = self.refusal.take()?;
        let written = self.poll_rest(cx, &mut refusal);
        match &written {
            Poll::Pending => self.refusal = Some(refusal),
            // Nothing follows a refusal.
            Poll::Ready(_) => self.lent.exchange.set(Exchange::Answering),
        }
        Some(written)
    }

    fn poll_rest(&self, cx: &mut Context<'_>, refusal: &mut Refusal) -> Poll<io::Result<usize>> {
        while let rest @ [_, ..] = refusal.rest() {
            match ready!(self.with(|socket| socket.poll_write(cx, rest)))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => refusal.advance(written),
            }
        }
        Poll::Ready(Ok(refusal.taken()))
    }
}

impl AsyncRead for LentStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(|socket| socket.poll_read(cx, buffer))
    }
}

impl AsyncWrite for LentStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = match self.poll_refusal(cx, bytes) {
            Some(written) => written,
            None => self.with(|socket| socket.poll_write(cx, bytes)),
        };
        self.lent.count_written(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // hyper writes a head in one piece.
        let first = bytes.iter().find(|part| !part.is_empty());
        let written = match self.poll_refusal(cx, first.map_or(&[][..], |part| &part[..])) {
            Some(written) => written,
            None => self.with(|socket| socket.poll_write_vectored(cx, bytes)),
        };
        self.lent.count_written(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.lent.socket().as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.with(|socket| socket.poll_flush(cx)))?;
        self.lent.exchange.flushed();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|socket| socket.poll_shutdown(cx))
    }
}

#[cfg(test)]
mod tests {
    use std::task::Wake;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::{TcpListener, TcpStream},
    };

    use super::*;

    async fn pair() -> (Arc<LentSocket>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (LentSocket::new(near.into()), listener.accept().await.unwrap().0)
    }

    struct WakeCount(AtomicU64);

    impl Wake for WakeCount {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn written_bytes_are_counted_and_wake_the_owner() {
        let (lent_socket, mut far) = pair().await;
        let wakes = Arc::new(WakeCount(AtomicU64::new(0)));
        lent_socket.wake_on_progress(&wakes.clone().into());
        LentStream::new(lent_socket.clone()).write_all(b"seven b").await.unwrap();
        assert_eq!((lent_socket.written(), wakes.0.load(Ordering::SeqCst)), (7, 1));
        far.read_exact(&mut [0; 7]).await.unwrap();
    }

    #[tokio::test]
    async fn socket_taken_back_is_gone_for_the_borrower() {
        let (lent_socket, _far) = pair().await;
        let mut stream = LentStream::new(lent_socket.clone());
        assert!(lent_socket.take().is_some());
        assert_eq!(stream.write_all(b"x").await.unwrap_err().kind(), io::ErrorKind::NotConnected);
        assert!(lent_socket.take().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn peer_that_takes_a_byte_now_and_then_stalls() {
        for (taken, stalls) in [(0, true), (1, true), (MIN_DRAIN, false)] {
            let (lent_socket, _far) = pair().await;
            let taking = async {
                loop {
                    let _ = lent_socket.count_written(Poll::Ready(Ok(taken)));
                    let _ = lent_socket.count_written(Poll::Pending);
                    tokio::time::sleep(Duration::from_secs(3)).await;
                }
            };
            let stalled = tokio::time::timeout(3 * ANSWER_STALL, lent_socket.until_stalled());
            let stalled = tokio::select! {
                () = taking => unreachable!("it takes bytes without end"),
                stalled = stalled => stalled,
            };
            assert_eq!(stalled.is_ok(), stalls, "{taken} bytes each 3 s");
        }
    }

    #[tokio::test]
    async fn cut_ends_a_waiting_read_and_write() {
        let (lent_socket, far) = pair().await;
        let reading = tokio::spawn({
            let mut stream = LentStream::new(lent_socket.clone());
            async move { stream.read(&mut [0; 8]).await }
        });
        let writing = tokio::spawn({
            let mut stream = LentStream::new(lent_socket.clone());
            // More bytes than the buffers of both sockets hold: the far side never reads.
            async move { stream.write_all(&vec![0; 64 << 20]).await }
        });
        while lent_socket.written() == 0 {
            tokio::task::yield_now().await;
        }
        lent_socket.cut();
        assert!(matches!(reading.await.unwrap(), Ok(0) | Err(_)));
        assert!(writing.await.unwrap().is_err());
        drop(far);
    }
}
