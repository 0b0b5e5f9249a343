//! A stream inside an HTTP/2 connection: a shard writes to it as to a socket, and hyper reads it as
//! the body of an answer, as fast as the client takes it.

use std::{
    convert::Infallible,
    io::{self, ErrorKind},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::{Bytes, BytesMut};
use hyper::body::Frame;

use super::{Layer, Socket};

/// Bytes that wait for the client's window. Past them a write would block, as with the bytes that
/// the system keeps unsent for a TCP socket, and the connection keeps its mark.
const CAPACITY: usize = 16 * 1024;

/// Makes both ends of a stream.
pub fn pipe() -> (Socket, PipeBody) {
    let shared = Arc::new(PipeState::default());
    (Socket::Layered(Box::new(PipeEnd(shared.clone()))), PipeBody(shared))
}

/// The lock is never contended: both ends are used by one thread.
#[derive(Default)]
struct PipeState(Mutex<State>);

#[derive(Default)]
struct State {
    waiting: BytesMut,
    /// No more bytes are written.
    ended: bool,
    /// Nobody reads any more: the client left, or its connection ended.
    abandoned: bool,
    body: Option<Waker>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl PipeState {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        let mut state = self.state();
        state.ended = true;
        wake(&mut state.body);
    }
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// The shard's end.
struct PipeEnd(Arc<PipeState>);

impl Drop for PipeEnd {
    fn drop(&mut self) {
        self.0.end();
    }
}

impl Layer for PipeEnd {
    /// The client sends nothing, so only its end is awaited.
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.state();
        if state.abandoned {
            return Poll::Ready(());
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.0.state();
        if state.abandoned || state.waiting.len() < CAPACITY {
            return Poll::Ready(());
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    fn try_read(&self, _: &mut [u8]) -> io::Result<usize> {
        if self.0.state().abandoned { Ok(0) } else { Err(ErrorKind::WouldBlock.into()) }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state();
        if state.abandoned || state.ended {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let length = bytes.len().min(CAPACITY - state.waiting.len());
        if length == 0 && !bytes.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        state.waiting.extend_from_slice(&bytes[..length]);
        wake(&mut state.body);
        Ok(length)
    }

    fn try_flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn has_unsent(&self) -> bool {
        false
    }

    fn finish(&self) -> io::Result<()> {
        self.0.end();
        Ok(())
    }

    fn cut(&self) {
        self.0.state().waiting.clear();
        self.0.end();
    }
}

/// hyper's end.
pub struct PipeBody(Arc<PipeState>);

impl Drop for PipeBody {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.abandoned = true;
        state.waiting = BytesMut::new();
        wake(&mut state.reader);
        wake(&mut state.writer);
    }
}

impl hyper::body::Body for PipeBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut state = self.0.state();
        if !state.waiting.is_empty() {
            let bytes = state.waiting.split().freeze();
            wake(&mut state.writer);
            return Poll::Ready(Some(Ok(Frame::data(bytes))));
        }
        if state.ended {
            return Poll::Ready(None);
        }
        state.body = Some(cx.waker().clone());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn full_pipe_takes_no_more_until_it_is_read() {
        let (socket, mut body) = pipe();
        assert_eq!(socket.try_write(&[1; CAPACITY + 1]).unwrap(), CAPACITY);
        assert_eq!(socket.try_write(&[2]).unwrap_err().kind(), ErrorKind::WouldBlock);
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert_eq!(frame.len(), CAPACITY);
        socket.writable().await;
        assert_eq!(socket.try_write(&[2]).unwrap(), 1);
        socket.finish().unwrap();
        assert_eq!(body.collect().await.unwrap().to_bytes(), &[2][..]);
    }

    #[tokio::test]
    async fn client_that_leaves_is_the_end_of_input() {
        let (socket, body) = pipe();
        let left = async { drop(body) };
        tokio::join!(socket.readable(), left);
        assert_eq!(socket.try_read(&mut [0; 8]).unwrap(), 0);
        assert_eq!(socket.try_write(&[1]).unwrap_err().kind(), ErrorKind::BrokenPipe);
    }
}
