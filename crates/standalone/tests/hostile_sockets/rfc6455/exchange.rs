//! One exchange of raw frames with a node, and the check of a table of exchanges. The reader of the
//! node's frames is written from RFC 6455 and shares no code with the node.

use testing::{patience::patiently, websocket::masked_frame};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::clinic::Clinic;

pub(super) const CONTINUATION: u8 = 0;
pub(super) const TEXT: u8 = 1;
pub(super) const BINARY: u8 = 2;
pub(super) const CLOSE: u8 = 8;
pub(super) const PING: u8 = 9;
pub(super) const PONG: u8 = 10;

/// How many writes a case takes when its bytes are sent in pieces. The frames of most cases are
/// shorter, so that each byte has a write of its own.
const PIECES: usize = 40;

/// A frame of the node.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Text(String),
    Binary(Vec<u8>),
    Pong(Vec<u8>),
    /// The code, if the frame has one. The reason is free.
    Close(Option<u16>),
}

/// The bytes of a client, and all frames with which the node must answer them before it ends the
/// connection.
pub(super) struct Case {
    /// The section of RFC 6455 that demands the answers.
    section: &'static str,
    about: String,
    bytes: Vec<u8>,
    answers: Vec<Answer>,
}

impl Case {
    /// The connection survives these bytes: the close of the client that follows is answered.
    pub(super) fn survives(
        section: &'static str,
        about: impl Into<String>,
        frames: &[Vec<u8>],
        mut answers: Vec<Answer>,
    ) -> Self {
        answers.push(Answer::Close(Some(1000)));
        Self::new(section, about, &[frames.concat(), closing(1000)], answers)
    }

    /// The only answer is a close frame with this code.
    pub(super) fn closes(
        section: &'static str,
        about: impl Into<String>,
        frames: &[Vec<u8>],
        code: u16,
    ) -> Self {
        Self::new(section, about, frames, vec![Answer::Close(Some(code))])
    }

    pub(super) fn new(
        section: &'static str,
        about: impl Into<String>,
        frames: &[Vec<u8>],
        answers: Vec<Answer>,
    ) -> Self {
        Self { section, about: about.into(), bytes: frames.concat(), answers }
    }
}

/// A close frame with a code and no reason.
pub(super) fn closing(code: u16) -> Vec<u8> {
    masked_frame(true, CLOSE, &code.to_be_bytes())
}

/// A masked frame whose length is stated in these bytes, which begin with the 7-bit length.
pub(super) fn frame_stating(first: u8, length: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    frame.extend(length);
    frame[1] |= 0x80;
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// Runs each case on connected sockets in JSON, with its bytes in one write and in many.
///
/// # Panics
/// When a case gets other answers. The message lists all such cases.
pub(super) async fn check(cases: Vec<Case>) {
    let clinic = Clinic::start().await;
    let mut failures = Vec::new();
    for Case { section, about, bytes, answers } in cases {
        for piece in [bytes.len(), bytes.len().div_ceil(PIECES)] {
            let heard = exchange(clinic.connect().await.into_tcp(), bytes.chunks(piece)).await;
            if heard != answers {
                failures.push(format!(
                    "RFC 6455 §{section}, {about}, in writes of {piece} bytes:\n  \
                     wanted {answers:?}\n  heard  {heard:?}"
                ));
            }
        }
    }
    clinic.stop().await;
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Writes the pieces, and returns the frames of the node up to the end of the connection.
pub(super) async fn exchange(
    mut socket: TcpStream,
    pieces: impl Iterator<Item = &[u8]>,
) -> Vec<Answer> {
    for piece in pieces {
        // A node that has already closed takes no more bytes.
        let _ = socket.write_all(piece).await;
    }
    let mut heard = Vec::new();
    // The node may reset what it has not read.
    let _ = patiently("the end of the connection", socket.read_to_end(&mut heard)).await;
    answers_in(&heard)
}

/// Reads the frames of a server (RFC 6455 §5.2).
///
/// # Panics
/// When the bytes break a rule for a server: masks (§5.1), reserved bits, the shortest length form
/// (§5.2), fragments, which the node never sends, and frames after a close (§5.5.1).
fn answers_in(mut bytes: &[u8]) -> Vec<Answer> {
    let mut answers = Vec::new();
    while let [first, second, rest @ ..] = bytes {
        assert!(!matches!(answers.last(), Some(Answer::Close(_))), "a frame after a close");
        let (length, rest) = match second {
            0..126 => (usize::from(*second), rest),
            126 => (usize::from(u16::from_be_bytes([rest[0], rest[1]])), &rest[2..]),
            _ => panic!("a mask, or an answer of 64 KiB: {second}"),
        };
        assert!(*second < 126 || length > 125, "a length that is not in its shortest form");
        let (payload, rest) = rest.split_at_checked(length).expect("the payload is whole");
        answers.push(answer(*first, payload));
        bytes = rest;
    }
    assert!(bytes.is_empty(), "a frame without its second byte");
    answers
}

/// The frame with this first byte, which must be final and without reserved bits.
fn answer(first: u8, payload: &[u8]) -> Answer {
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).expect("the text is UTF-8").to_owned();
    assert_eq!(first & 0xf0, 0x80, "a fragment, or a reserved bit");
    match (first & 0x0f, payload) {
        (TEXT, payload) => Answer::Text(text(payload)),
        (BINARY, payload) => Answer::Binary(payload.to_vec()),
        (PONG, payload) => Answer::Pong(payload.to_vec()),
        (CLOSE, []) => Answer::Close(None),
        (CLOSE, [high, low, reason @ ..]) => {
            assert!(payload.len() <= 125, "a close frame of {} bytes", payload.len());
            text(reason);
            Answer::Close(Some(u16::from_be_bytes([*high, *low])))
        }
        (opcode, _) => panic!("a frame with the opcode {opcode}"),
    }
}
