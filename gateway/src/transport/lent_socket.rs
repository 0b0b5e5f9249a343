//! A socket that is lent to an HTTP server. The owner can take it back, read how many bytes it has
//! written, and cut it.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

use super::admission::SocketPlaces;

/// The owner's side of a lent socket.
pub struct LentSocket {
    /// The lock is never contended: one thread at a time deals with a socket.
    socket: Mutex<Option<TcpStream>>,
    written: AtomicU64,
    progress: AtomicWaker,
    /// The places of a socket that the borrower keeps after its last request.
    places: Mutex<Option<SocketPlaces>>,
}

impl LentSocket {
    pub fn new(socket: TcpStream) -> Arc<Self> {
        Arc::new(Self {
            socket: Mutex::new(Some(socket)),
            written: AtomicU64::new(0),
            progress: AtomicWaker::new(),
            places: Mutex::default(),
        })
    }

    fn socket(&self) -> MutexGuard<'_, Option<TcpStream>> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the socket back. For the borrower, the stream is then not connected.
    pub fn take(&self) -> Option<TcpStream> {
        self.socket().take()
    }

    /// Keeps the places of the socket until the borrower drops it.
    pub fn keep_places(&self, places: SocketPlaces) {
        *self.places.lock().unwrap_or_else(PoisonError::into_inner) = Some(places);
    }

    /// Bytes that the system has taken so far.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
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
            // The shutdown of a socket whose client is gone fails, which changes nothing.
            let _ = socket2::SockRef::from(socket).shutdown(std::net::Shutdown::Write);
        }
    }

    /// Ends the connection at once: bytes that the client has not taken are discarded. Unlike a
    /// drop, the shutdown wakes tasks that wait to read from the socket or to write to it.
    pub fn cut(&self) {
        if let Some(socket) = &*self.socket() {
            let socket = socket2::SockRef::from(socket);
            let _ = socket.set_linger(Some(Duration::ZERO));
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }

    fn count_written(&self, poll: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(count)) = poll {
            self.written.fetch_add(count as u64, Ordering::AcqRel);
            self.progress.wake();
        }
        poll
    }
}

/// The borrower's side of a [`LentSocket`], which reads and writes.
pub struct LentStream(pub Arc<LentSocket>);

impl Drop for LentStream {
    fn drop(&mut self) {
        self.0.take();
        drop(self.0.places.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.0.progress.wake();
    }
}

impl LentStream {
    fn with<T>(
        &self,
        poll: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match self.0.socket().as_mut() {
            Some(socket) => poll(Pin::new(socket)),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
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
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.count_written(self.with(|socket| socket.poll_write(cx, bytes)))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.count_written(self.with(|socket| socket.poll_write_vectored(cx, bytes)))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|socket| socket.poll_flush(cx))
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
        net::TcpListener,
    };

    use super::*;

    async fn pair() -> (Arc<LentSocket>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (LentSocket::new(near), listener.accept().await.unwrap().0)
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
        LentStream(lent_socket.clone()).write_all(b"seven b").await.unwrap();
        assert_eq!((lent_socket.written(), wakes.0.load(Ordering::SeqCst)), (7, 1));
        far.read_exact(&mut [0; 7]).await.unwrap();
    }

    #[tokio::test]
    async fn socket_taken_back_is_gone_for_the_borrower() {
        let (lent_socket, _far) = pair().await;
        let mut stream = LentStream(lent_socket.clone());
        assert!(lent_socket.take().is_some());
        assert_eq!(stream.write_all(b"x").await.unwrap_err().kind(), io::ErrorKind::NotConnected);
        assert!(lent_socket.take().is_none());
    }

    #[tokio::test]
    async fn cut_ends_a_waiting_read_and_write() {
        let (lent_socket, far) = pair().await;
        let reading = tokio::spawn({
            let mut stream = LentStream(lent_socket.clone());
            async move { stream.read(&mut [0; 8]).await }
        });
        let writing = tokio::spawn({
            let mut stream = LentStream(lent_socket.clone());
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
