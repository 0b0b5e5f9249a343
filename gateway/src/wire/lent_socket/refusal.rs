//! hyper itself refuses a request whose head it cannot read (400, 414, 431), and no service sees
//! that answer. The socket knows it all the same: hyper writes while no request is being answered.
//! The headers of every answer are added there.
//!
//! One refusal stays bare: that of a request that came behind another one, whose answer the client
//! has not taken yet. Its bytes cannot be distinguished from those of the earlier answer.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

use super::LentSocket;
use crate::wire::security_headers::header_lines;

/// How far a connection is with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exchange {
    /// No request is being answered, and all bytes of earlier answers have left.
    None,
    /// A request was read. Also for good, once the bytes of the socket are no HTTP any more.
    Answering,
    /// hyper has the whole answer, which may not have left.
    Answered,
}

/// An [`Exchange`] that both sides of a lent socket reach.
pub(super) struct ExchangeStage(AtomicU8);

impl Default for ExchangeStage {
    fn default() -> Self {
        Self(AtomicU8::new(Exchange::None as u8))
    }
}

impl ExchangeStage {
    pub(super) fn get(&self) -> Exchange {
        match self.0.load(Ordering::Acquire) {
            stage if stage == Exchange::None as u8 => Exchange::None,
            stage if stage == Exchange::Answered as u8 => Exchange::Answered,
            _ => Exchange::Answering,
        }
    }

    pub(super) fn set(&self, exchange: Exchange) {
        self.0.store(exchange as u8, Ordering::Release);
    }

    /// All bytes have left.
    pub(super) fn flushed(&self) {
        if self.get() == Exchange::Answered {
            self.set(Exchange::None);
        }
    }
}

/// A refusal of hyper's own on its way to the client.
pub(super) struct Refusal {
    bytes: Vec<u8>,
    written: usize,
    /// The bytes that hyper gave.
    taken: usize,
}

impl Refusal {
    /// The refusal with our headers. `None` when the bytes do not begin with one.
    pub(super) fn new(bytes: &[u8], is_secure: bool) -> Option<Self> {
        let is_refusal = bytes.starts_with(b"HTTP/1.") && bytes.get(8..10) == Some(b" 4");
        let line = bytes.windows(2).position(|pair| pair == b"\r\n").filter(|_| is_refusal)? + 2;
        let with_headers =
            [&bytes[..line], header_lines(is_secure).as_bytes(), &bytes[line..]].concat();
        Some(Self { bytes: with_headers, written: 0, taken: bytes.len() })
    }

    pub(super) fn rest(&self) -> &[u8] {
        &self.bytes[self.written..]
    }

    pub(super) fn advance(&mut self, written: usize) {
        self.written += written;
    }

    pub(super) fn taken(&self) -> usize {
        self.taken
    }
}

/// Held by the body of an answer. Its end tells the socket that hyper has all of it.
pub struct AnswerEnd(pub Arc<LentSocket>);

impl Drop for AnswerEnd {
    fn drop(&mut self) {
        self.0.set_exchange(Exchange::Answered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_added_behind_the_status_of_a_refusal() {
        let refused = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\r\n";
        let refusal = Refusal::new(refused, false).unwrap();
        let text = std::str::from_utf8(refusal.rest()).unwrap();
        assert!(text.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"), "{text}");
        assert!(text.contains("\r\nx-content-type-options: nosniff\r\n"), "{text}");
        assert!(text.ends_with("\r\ncontent-length: 0\r\n\r\n"), "{text}");
        assert_eq!(refusal.taken(), refused.len());
        for other in [&b"HTTP/1.1 101 Switching Protocols\r\n\r\n"[..], b"HTTP/1.1 4", b"\x81\x02"]
        {
            assert!(Refusal::new(other, false).is_none(), "{other:?}");
        }
    }
}
