//! The stream between a Socket.IO client's WebSocket and socketioxide: it repeats the bytes that
//! our layer has read already, bounds the client's bytes, and adds `data` to the refusal of a
//! client, which socketioxide cannot do.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use gateway_core::{event_names::EventNames, frame_meter::FrameMeter, rate::Micros};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use super::refusal;
use crate::wire::peer::link::SessionLink;

/// Server frames hold up to this many bytes in the short form (RFC 6455 §5.2). Every packet before
/// admission fits.
const SHORT_FRAME: usize = 125;
/// Bytes that one WebSocket may send before all others of its shard have a turn.
const TURN_BYTES: usize = 4096;
/// The first byte of a frame that is a whole text message.
const WHOLE_TEXT: u8 = 0x81;

/// A frame from the server with a whole text message.
///
/// # Panics
/// When the text is longer than the short form of a frame allows.
pub(super) fn text_frame(text: &str) -> Vec<u8> {
    assert!(text.len() <= SHORT_FRAME, "texts of our own are short");
    [&[WHOLE_TEXT, text.len() as u8], text.as_bytes()].concat()
}

pub(super) struct Wire {
    stream: TokioIo<Upgraded>,
    link: Arc<SessionLink>,
    /// Bytes of the client that socketioxide still has to read.
    unread: Bytes,
    /// Bytes that socketioxide is about to write and that the client has already.
    told: usize,
    /// Bytes taken from socketioxide that have not left.
    waiting: BytesMut,
    meter: FrameMeter,
    names: EventNames,
    started: Instant,
    /// Bytes read since the others had a turn.
    turn: usize,
    /// The client sent too much. socketioxide does not read its further bytes, since it would end
    /// the session before the client gets the reason.
    is_refused: bool,
}

impl Wire {
    /// A WebSocket that begins a session.
    pub(super) fn new(stream: TokioIo<Upgraded>, link: Arc<SessionLink>) -> Self {
        Self {
            stream,
            link,
            unread: Bytes::new(),
            told: 0,
            waiting: BytesMut::new(),
            meter: FrameMeter::default(),
            names: EventNames::default(),
            started: Instant::now(),
            turn: 0,
            is_refused: false,
        }
    }

    /// A WebSocket to which a session upgrades: `read` was read from it, and `told` bytes of
    /// answers were written.
    pub(super) fn probed(
        stream: TokioIo<Upgraded>,
        link: Arc<SessionLink>,
        read: Bytes,
        told: usize,
    ) -> Self {
        Self { unread: read, told, ..Self::new(stream, link) }
    }

    fn poll_client(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, buffer);
        }
        let length = self.unread.len().min(buffer.remaining());
        buffer.put_slice(&self.unread.split_to(length));
        Poll::Ready(Ok(()))
    }

    /// Counts bytes of the client, and replaces escapes in the names of its events. Returns whether
    /// it may go on.
    fn may_pass(&mut self, mut bytes: &mut [u8]) -> bool {
        self.turn += bytes.len();
        let now = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        while !bytes.is_empty() {
            let (taken, piece) = match self.meter.step(bytes, Micros(now)) {
                Ok(step) => step,
                Err(excess) => {
                    self.is_refused = true;
                    self.link.exceed(excess);
                    return false;
                }
            };
            let (these, rest) = bytes.split_at_mut(taken);
            if let Some(piece) = piece {
                self.names.pass_frame(piece, these);
            }
            bytes = rest;
        }
        true
    }

    /// Discards the client's bytes until it ends.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut scratch = [0; 1024];
        loop {
            let mut buffer = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.waiting.is_empty() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.waiting))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.waiting.advance(written);
        }
        Poll::Ready(Ok(()))
    }
}

/// Adds whole frames to `out`, with the code in a packet that refuses a client.
fn add_frames(mut frames: &[u8], out: &mut BytesMut) {
    while let [WHOLE_TEXT, length, rest @ ..] = frames
        && let Some((body, next)) = rest.split_at_checked(usize::from(*length))
        && body.len() <= SHORT_FRAME
    {
        match std::str::from_utf8(body).ok().and_then(refusal::with_data) {
            Some(packet) => add_text(&packet, out),
            None => out.extend_from_slice(&frames[..2 + body.len()]),
        }
        frames = next;
    }
    out.extend_from_slice(frames);
}

/// Adds a frame with a text of any length up to 64 KiB.
fn add_text(text: &str, out: &mut BytesMut) {
    out.extend_from_slice(&[WHOLE_TEXT]);
    match u8::try_from(text.len()).ok().filter(|length| usize::from(*length) <= SHORT_FRAME) {
        Some(length) => out.extend_from_slice(&[length]),
        None => {
            let length = u16::try_from(text.len()).expect("a refusal is short");
            out.extend_from_slice(&[126]);
            out.extend_from_slice(&length.to_be_bytes());
        }
    }
    out.extend_from_slice(text.as_bytes());
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.turn >= TURN_BYTES {
            self.turn = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !self.is_refused {
            let before = buffer.filled().len();
            let Poll::Ready(read) = self.poll_client(cx, buffer) else {
                self.turn = 0;
                return Poll::Pending;
            };
            read?;
            if self.may_pass(&mut buffer.filled_mut()[before..]) {
                return Poll::Ready(Ok(()));
            }
            buffer.set_filled(before);
        }
        self.poll_end(cx)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_waiting(cx))?;
        if self.told > 0 {
            let length = self.told.min(bytes.len());
            self.told -= length;
            return Poll::Ready(Ok(length));
        }
        if self.link.is_admitted() {
            return Pin::new(&mut self.stream).poll_write(cx, bytes);
        }
        // All bytes are taken at once, so each write begins with a frame. A client that is not
        // admitted gets a handful of packets.
        let mut waiting = std::mem::take(&mut self.waiting);
        add_frames(bytes, &mut waiting);
        self.waiting = waiting;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_waiting(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_waiting(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use schemas::codes::Code;

    use super::*;

    #[test]
    fn refusal_gets_its_data_and_other_frames_pass() {
        let (open, ping) = (text_frame(r#"0{"sid":"x"}"#), text_frame("2"));
        let close = [0x88, 2, 3, 232];
        for code in [Code::TokenExpired, Code::Forbidden] {
            let refusal = format!(r#"44{{"message":"{code}"}}"#);
            let told = refusal::with_data(&refusal).unwrap();
            let mut out = BytesMut::new();
            add_frames(&[&open[..], &text_frame(&refusal), &ping, &close].concat(), &mut out);
            let length = match u8::try_from(told.len()).unwrap() {
                length @ ..=125 => vec![length],
                length => vec![126, 0, length],
            };
            let told = [&[0x81], &length[..], told.as_bytes()].concat();
            assert_eq!(out, [&open[..], &told, &ping, &close].concat(), "{code}");
        }
    }

    #[test]
    fn frames_that_are_cut_or_long_pass() {
        for bytes in [&[0x81][..], &[0x81, 9, b'4'], &[0x81, 126, 0, 200, b'4'], &[0x82, 1, 0]] {
            let mut out = BytesMut::new();
            add_frames(bytes, &mut out);
            assert_eq!(out, bytes);
        }
    }
}
