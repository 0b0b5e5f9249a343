//! A socket lent to others: it can be taken back, it counts the bytes it has written, and it can be cut.

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

/// What its owner keeps of a socket that is stream.
pub struct LentSocket {
    /// Never waited for: one thread at a time has to do with a socket.
    socket: Mutex<Option<TcpStream>>,
    written: AtomicU64,
    progress: AtomicWaker,
}

impl LentSocket {
    pub fn new(socket: TcpStream) -> Arc<Self> {
        Arc::new(Self {
            socket: Mutex::new(Some(socket)),
            written: AtomicU64::new(0),
            progress: AtomicWaker::new(),
        })
    }

    fn socket(&self) -> MutexGuard<'_, Option<TcpStream>> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the socket back: whoever it was lent to finds it gone.
    pub fn take(&self) -> Option<TcpStream> {
        self.socket().take()
    }

    /// Bytes the system has taken so far.
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Acquire)
    }

    /// Whether there is no socket any more: it was taken back, or whoever had it let it go.
    pub fn is_gone(&self) -> bool {
        self.socket().is_none()
    }

    /// Has `waker` woken by the next bytes written, and when the socket is let go.
    pub fn wake_on_progress(&self, waker: &Waker) {
        self.progress.register(waker);
    }

    /// Ends what is sent; the peer may still be heard.
    pub fn finish(&self) {
        if let Some(socket) = &*self.socket() {
            // A socket whose peer is gone has nothing left to end.
            let _ = socket2::SockRef::from(socket).shutdown(std::net::Shutdown::Write);
        }
    }

    /// Ends the connection without waiting for anything: what the peer has not taken is thrown away. Shutting
    /// down rather than dropping the socket wakes whoever reads from it or waits to write.
    pub fn cut(&self) {
        if let Some(socket) = &*self.socket() {
            let socket = socket2::SockRef::from(socket);
            let _ = socket.set_linger(Some(Duration::ZERO));
            let _ = socket.shutdown(std::net::Shutdown::Both);
        }
    }

    fn wrote(&self, poll: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(count)) = poll {
            self.written.fetch_add(count as u64, Ordering::AcqRel);
            self.progress.wake();
        }
        poll
    }
}

/// The side of a [`LentSocket`] that reads and writes.
pub struct LentStream(pub Arc<LentSocket>);

impl Drop for LentStream {
    fn drop(&mut self) {
        self.0.take();
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
        self.0.wrote(self.with(|socket| socket.poll_write(cx, bytes)))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.wrote(self.with(|socket| socket.poll_write_vectored(cx, bytes)))
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

    struct Woken(AtomicU64);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[tokio::test]
    async fn what_is_written_is_counted_and_told() {
        let (lent_socket, mut far) = pair().await;
        let woken = Arc::new(Woken(AtomicU64::new(0)));
        lent_socket.wake_on_progress(&woken.clone().into());
        LentStream(lent_socket.clone()).write_all(b"seven b").await.unwrap();
        assert_eq!((lent_socket.written(), woken.0.load(Ordering::SeqCst)), (7, 1));
        far.read_exact(&mut [0; 7]).await.unwrap();
    }

    #[tokio::test]
    async fn a_socket_taken_back_is_gone_for_whoever_had_it() {
        let (lent_socket, _far) = pair().await;
        let mut stream = LentStream(lent_socket.clone());
        assert!(lent_socket.take().is_some());
        assert_eq!(stream.write_all(b"x").await.unwrap_err().kind(), io::ErrorKind::NotConnected);
        assert!(lent_socket.take().is_none());
    }

    #[tokio::test]
    async fn a_cut_ends_a_read_and_a_write_that_wait() {
        let (lent_socket, far) = pair().await;
        let reading = tokio::spawn({
            let mut stream = LentStream(lent_socket.clone());
            async move { stream.read(&mut [0; 8]).await }
        });
        let writing = tokio::spawn({
            let mut stream = LentStream(lent_socket.clone());
            // More than two sockets hold: the far side never reads.
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
