//! A stream in memory between a node and one client, with the verbs of a nonblocking socket on both
//! sides.

use std::{
    collections::VecDeque,
    future::poll_fn,
    io::{self, ErrorKind, Read, Write},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use crate::wire::socket::{Layer, Socket};

/// Bytes that wait for the client. Past them a write would block, as with a full send buffer.
const TO_CLIENT: usize = 8 * 1024;

/// Makes both ends of a stream.
pub fn pair() -> (Socket, ClientEnd) {
    let state = Arc::new(Mutex::new(State::default()));
    (Socket::Layered(Box::new(NodeEnd(state.clone()))), ClientEnd(state))
}

#[derive(Default)]
struct State {
    to_node: VecDeque<u8>,
    to_client: VecDeque<u8>,
    /// The node sends no more bytes.
    node_ended: bool,
    /// The client has gone.
    client_gone: bool,
    node_reads: Option<Waker>,
    node_writes: Option<Waker>,
    client_reads: Option<Waker>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

/// Moves bytes out of a queue.
fn take(queue: &mut VecDeque<u8>, buffer: &mut [u8]) -> usize {
    let length = queue.len().min(buffer.len());
    for (to, byte) in buffer.iter_mut().zip(queue.drain(..length)) {
        *to = byte;
    }
    length
}

struct NodeEnd(Arc<Mutex<State>>);

impl NodeEnd {
    fn end(&self) {
        let mut state = lock(&self.0);
        state.node_ended = true;
        wake(&mut state.client_reads);
        wake(&mut state.node_reads);
        wake(&mut state.node_writes);
    }
}

impl Drop for NodeEnd {
    fn drop(&mut self) {
        self.end();
    }
}

impl Layer for NodeEnd {
    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.0);
        if !state.to_node.is_empty() || state.client_gone {
            return Poll::Ready(());
        }
        state.node_reads = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = lock(&self.0);
        if state.to_client.len() < TO_CLIENT || state.client_gone {
            return Poll::Ready(());
        }
        state.node_writes = Some(cx.waker().clone());
        Poll::Pending
    }

    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = lock(&self.0);
        if state.to_node.is_empty() && !state.client_gone {
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(take(&mut state.to_node, buffer))
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = lock(&self.0);
        if state.client_gone || state.node_ended {
            return Err(ErrorKind::BrokenPipe.into());
        }
        let length = bytes.len().min(TO_CLIENT - state.to_client.len());
        if length == 0 && !bytes.is_empty() {
            return Err(ErrorKind::WouldBlock.into());
        }
        state.to_client.extend(&bytes[..length]);
        wake(&mut state.client_reads);
        Ok(length)
    }

    fn try_flush(&self) -> io::Result<()> {
        Ok(())
    }

    fn has_unsent(&self) -> bool {
        false
    }

    fn finish(&self) -> io::Result<()> {
        self.end();
        Ok(())
    }

    fn cut(&self) {
        lock(&self.0).to_client.clear();
        self.end();
    }
}

/// The end of a client. Reads and writes never wait: a read without bytes is `WouldBlock`. Dropping
/// it ends the connection.
pub struct ClientEnd(Arc<Mutex<State>>);

impl ClientEnd {
    /// Waits until there are bytes to read, or the node has ended the connection.
    pub async fn readable(&self) {
        poll_fn(|cx| {
            let mut state = lock(&self.0);
            if !state.to_client.is_empty() || state.node_ended {
                return Poll::Ready(());
            }
            state.client_reads = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

impl Read for &ClientEnd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = lock(&self.0);
        if state.to_client.is_empty() && !state.node_ended {
            return Err(ErrorKind::WouldBlock.into());
        }
        let length = take(&mut state.to_client, buffer);
        wake(&mut state.node_writes);
        Ok(length)
    }
}

impl Write for &ClientEnd {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = lock(&self.0);
        if state.node_ended {
            return Err(ErrorKind::BrokenPipe.into());
        }
        state.to_node.extend(bytes);
        wake(&mut state.node_reads);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for ClientEnd {
    fn drop(&mut self) {
        let mut state = lock(&self.0);
        state.client_gone = true;
        wake(&mut state.node_reads);
        wake(&mut state.node_writes);
    }
}
