//! A socket that speaks WebSocket or SSE, with the bytes that wait for it.

use std::{
    io::ErrorKind,
    rc::Rc,
    task::{Context, Poll},
};

use super::outcome::{Ready, SendOutcome};
use crate::wire::{
    frames::{self, Form},
    socket::Socket,
};
use bytes::Bytes;
use gateway_core::{protocol::Reply, send_buffer::SendBuffer};
use schemas::codes::Close;

pub struct TcpPeer {
    socket: Rc<Socket>,
    send_buffer: SendBuffer,
}

impl TcpPeer {
    pub fn new(socket: Rc<Socket>) -> Self {
        Self { socket, send_buffer: SendBuffer::default() }
    }

    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<Ready> {
        if self.has_waiting() && self.socket.poll_write_ready(cx).is_ready() {
            return Poll::Ready(Ready::Write);
        }
        if self.socket.poll_read_ready(cx).is_ready() {
            return Poll::Ready(Ready::Read);
        }
        Poll::Pending
    }

    /// Whether bytes wait: here, or as a record of TLS.
    fn has_waiting(&self) -> bool {
        !self.send_buffer.is_empty() || self.socket.has_unsent()
    }

    /// The outcome of a write that took everything.
    fn written(&self) -> SendOutcome {
        if self.socket.has_unsent() { SendOutcome::Queued } else { SendOutcome::Written }
    }

    /// # Errors
    /// [`Close::ServerError`] when the socket cannot be written to.
    pub fn send_state(&mut self, frame: &[u8], now: u64) -> Result<SendOutcome, Close> {
        if self.has_waiting() {
            return Ok(SendOutcome::Busy);
        }
        let written = self.try_write(frame)?;
        match &frame[written..] {
            [] => Ok(self.written()),
            rest => self.queue(Bytes::copy_from_slice(rest), now),
        }
    }

    /// # Errors
    /// The errors of [`TcpPeer::send_bytes`].
    pub fn send_reply(
        &mut self,
        form: Form,
        reply: &Reply<'_>,
        now: u64,
    ) -> Result<SendOutcome, Close> {
        self.send_bytes(frames::encode_reply(form, reply), now)
    }

    /// Sends bytes that must not be lost, behind those that wait.
    ///
    /// # Errors
    /// [`Close::Slow`] when too many bytes wait, [`Close::ServerError`] when the socket cannot be
    /// written to.
    pub fn send_bytes(&mut self, bytes: Bytes, now: u64) -> Result<SendOutcome, Close> {
        let written = if self.send_buffer.is_empty() { self.try_write(&bytes)? } else { 0 };
        if written == bytes.len() {
            return Ok(self.written());
        }
        self.queue(bytes.slice(written..), now)
    }

    fn queue(&mut self, bytes: Bytes, now: u64) -> Result<SendOutcome, Close> {
        self.send_buffer.push(bytes, now).map_err(|_| Close::Slow)?;
        Ok(SendOutcome::Queued)
    }

    /// Writes as many bytes as the socket takes now, which may be none.
    fn try_write(&self, bytes: &[u8]) -> Result<usize, Close> {
        if bytes.is_empty() {
            return Ok(0);
        }
        match self.socket.try_write(bytes) {
            Ok(written) => Ok(written),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(_) => Err(Close::ServerError),
        }
    }

    /// Writes the bytes that wait, as far as the socket takes them. Returns whether all have left.
    ///
    /// # Errors
    /// [`Close::ServerError`] when the socket cannot be written to.
    pub fn flush(&mut self, now: u64) -> Result<bool, Close> {
        while let Some(front) = self.send_buffer.front() {
            match self.socket.try_write(front) {
                Ok(written) => self.send_buffer.advance(written, now),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(_) => return Err(Close::ServerError),
            }
        }
        match self.socket.try_flush() {
            Ok(()) => Ok(self.send_buffer.is_empty()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
            Err(_) => Err(Close::ServerError),
        }
    }

    pub fn send_buffer(&self) -> &SendBuffer {
        &self.send_buffer
    }

    /// Gives up the bytes that wait.
    pub fn discard(&mut self) {
        self.send_buffer.discard();
    }

    pub fn deadline(&self) -> Option<u64> {
        self.send_buffer.deadline()
    }
}
