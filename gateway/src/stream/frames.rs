//! Frames as bytes, ready for a socket: a WebSocket frame, or an SSE event. What all listeners of a view share is
//! encoded once per wire form.

use std::io::Write;

use bytes::Bytes;
use gateway_core::{
    protocol::{Reply, json, protobuf},
    session,
};
use schemas::{channel::Channel, codes::Code, view::Position};
use serde::Serialize;

use crate::metrics::Transport;

/// Seconds between two beats of an SSE stream, below the idle time-outs of common proxies.
const BEAT_S: u64 = 15;

/// How a connection's frames look, and with that what its client can be asked to do. The frame cache has one place
/// for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The Centrifugal protocol in JSON, in WebSocket text frames.
    WsJson,
    /// The same in Protobuf, in binary frames.
    WsProtobuf,
    Sse,
    /// Socket.IO: bodies of events, which socketioxide frames.
    SocketIo,
}

impl Form {
    pub const ALL: [Form; 4] = [Form::WsJson, Form::WsProtobuf, Form::Sse, Form::SocketIo];

    pub fn index(self) -> usize {
        self as usize
    }

    pub fn transport(self) -> Transport {
        match self {
            Form::WsJson | Form::WsProtobuf => Transport::WebSocket,
            Form::Sse => Transport::Sse,
            Form::SocketIo => Transport::SocketIo,
        }
    }

    /// Whether the client sends commands and each is replied to. Otherwise its channels came with its request, whose
    /// grant was audited when it was given out, and the first thing it hears is what it is owed.
    pub fn has_replies(self) -> bool {
        self != Form::Sse
    }

    /// Whether the client subscribes again when it is told that its position means nothing any more. Otherwise it is
    /// sent the whole state as if it were a change.
    pub fn resubscribes(self) -> bool {
        matches!(self, Form::WsJson | Form::WsProtobuf)
    }

    /// Whether a ping of ours is answered, so that silence tells of a dead peer.
    pub fn has_pongs(self) -> bool {
        matches!(self, Form::WsJson | Form::WsProtobuf)
    }

    /// Seconds between pings, or between what stands in for them; `None` where they are not ours to send.
    pub fn ping_s(self) -> Option<u64> {
        match self {
            Form::WsJson | Form::WsProtobuf => Some(session::PING_S),
            Form::Sse => Some(BEAT_S),
            Form::SocketIo => None,
        }
    }
}

/// What a publication's data is; the event's name on SSE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Snapshot,
    Delta,
    State,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Snapshot => "snapshot",
            Kind::Delta => "delta",
            Kind::State => "state",
        }
    }
}

/// Room for the longest WebSocket header before a payload whose length is not known yet.
const HEADER_ROOM: usize = 10;
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;

/// Puts the header of an unmasked, final frame before a payload that begins at [`HEADER_ROOM`]; answers where
/// the frame begins. RFC 6455 §5.2.
fn put_header(buffer: &mut [u8], opcode: u8) -> usize {
    let length = buffer.len() - HEADER_ROOM;
    let (start, marker) = match length {
        0..=125 => (8, u8::try_from(length).unwrap_or(125)),
        126..=0xffff => {
            buffer[8..10].copy_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
            (6, 126)
        }
        _ => {
            buffer[2..10].copy_from_slice(&(length as u64).to_be_bytes());
            (0, 127)
        }
    };
    buffer[start] = opcode;
    buffer[start + 1] = marker;
    start
}

/// Calls `write` for the payload and leaves the whole frame in `buffer`; answers where it begins.
fn ws_frame(buffer: &mut Vec<u8>, opcode: u8, write: impl FnOnce(&mut Vec<u8>)) -> usize {
    buffer.clear();
    buffer.resize(HEADER_ROOM, 0);
    write(buffer);
    put_header(buffer, opcode)
}

/// A frame of its own around `payload`.
fn ws_around(opcode: u8, payload: &[u8]) -> Bytes {
    let mut buffer = Vec::with_capacity(payload.len() + HEADER_ROOM);
    let start = ws_frame(&mut buffer, opcode, |buffer| buffer.extend_from_slice(payload));
    Bytes::from(buffer).split_off(start)
}

/// The frame of a reply.
pub fn reply(form: Form, reply: &Reply<'_>) -> Bytes {
    match form {
        Form::WsJson => ws_around(TEXT, &json::write(reply)),
        Form::WsProtobuf => ws_around(BINARY, &protobuf::write(reply)),
        Form::Sse => match reply {
            Reply::Ping => Bytes::from_static(SSE_BEAT),
            Reply::Unsubscribe { channel, .. } => {
                sse_error(Some(channel), Code::Forbidden, None).into()
            }
            Reply::Error { code, .. } => sse_error(None, *code, None).into(),
            // A stream asks for nothing.
            Reply::Connect { .. }
            | Reply::Refresh { .. }
            | Reply::Subscribe { .. }
            | Reply::Done { .. } => Bytes::new(),
        },
        // Replies are emitted, not framed.
        Form::SocketIo => Bytes::new(),
    }
}

/// A close frame.
pub fn ws_close(code: u16, reason: &str) -> Vec<u8> {
    let mut buffer = Vec::new();
    let start = ws_frame(&mut buffer, CLOSE, |buffer| {
        buffer.extend_from_slice(&code.to_be_bytes());
        buffer.extend_from_slice(reason.as_bytes());
    });
    buffer.drain(..start);
    buffer
}

/// Writes the part of a publication that every listener of the form shares into `buffer`; answers where it
/// begins.
pub fn shared(
    form: Form,
    buffer: &mut Vec<u8>,
    channel: &Channel,
    kind: Kind,
    position: Position,
    data: &impl Serialize,
) -> usize {
    let write = |buffer: &mut Vec<u8>| {
        serde_json::to_writer(buffer, data).expect("our own types always have a JSON form");
    };
    match form {
        Form::WsJson => ws_frame(buffer, TEXT, |buffer| {
            json::write_publication(buffer, channel, position.version, write)
        }),
        Form::WsProtobuf => ws_frame(buffer, BINARY, |buffer| {
            protobuf::write_publication(buffer, channel, position.version, write);
        }),
        Form::Sse => {
            buffer.clear();
            let (event, Position { epoch, version }) = (kind.name(), position);
            // Ids and numbers need no escaping in JSON, and JSON text of ours has no line break.
            write!(
                buffer,
                "event: {event}\ndata: {{\"channel\":\"{channel}\",\"epoch\":\"{epoch}\",\"offset\":{version},\"data\":"
            )
            .expect("writing to memory cannot fail");
            write(buffer);
            buffer.extend_from_slice(b"}\n");
            0
        }
        Form::SocketIo => {
            buffer.clear();
            let (kind, Position { epoch, version }) = (kind.name(), position);
            write!(
                buffer,
                "{{\"channel\":\"{channel}\",\"type\":\"{kind}\",\"epoch\":\"{epoch}\",\"version\":{version},\"data\":"
            )
            .expect("writing to memory cannot fail");
            write(buffer);
            buffer.push(b'}');
            0
        }
    }
}

/// Ends an SSE event whose shared part was written: the position, for `Last-Event-ID`.
pub fn write_sse_id(to: &mut Vec<u8>, positions: impl Iterator<Item = Position>, sealed: &str) {
    to.extend_from_slice(b"id: ");
    for (index, position) in positions.enumerate() {
        let separator = if index == 0 { "" } else { "_" };
        write!(to, "{separator}{}.{}", position.epoch, position.version)
            .expect("writing to memory cannot fail");
    }
    write!(to, ":{sealed}\n\n").expect("writing to memory cannot fail");
}

/// An error inside an SSE stream. `id` tells the next request of a browser that the stream was refused.
pub fn sse_error(channel: Option<&Channel>, code: Code, id: Option<&str>) -> Vec<u8> {
    let (message, retry) = (code.title(), code.is_temporary() || code == Code::TokenExpired);
    let channel = channel.map(|channel| format!("\"channel\":\"{channel}\",")).unwrap_or_default();
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!(
        "event: error\n{id}data: {{{channel}\"code\":\"{code}\",\"message\":\"{message}\",\"retry\":{retry}}}\n\n"
    )
    .into_bytes()
}

/// The `Last-Event-ID` of a stream that was refused: the browser comes back with it and is told to stop.
pub const REFUSED: &str = "refused";

/// Keeps proxies from closing an idle stream, and tells a page that it is alive.
pub const SSE_BEAT: &[u8] = b"event: beat\ndata: {}\n\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_frame_has_the_shortest_header_for_its_length() {
        for (length, header) in [(0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)] {
            let payload = vec![b'x'; length];
            let frame = ws_around(TEXT, &payload);
            assert_eq!(frame.len(), header + length);
            assert_eq!(frame[0], TEXT);
            assert_eq!(&frame[header..], payload);
        }
        assert_eq!(ws_around(TEXT, &vec![0; 300])[1..4], [126, 1, 44]);
        assert_eq!(ws_around(TEXT, &vec![0; 70_000])[1..10], [127, 0, 0, 0, 0, 0, 1, 17, 112]);
    }

    #[test]
    fn a_publication_reads_the_same_on_every_form() {
        let channel = Channel::parse("board:riverside").unwrap();
        let position = Position { epoch: 7, version: 9 };
        let data = serde_json::json!({"from": 8});
        let mut buffer = Vec::new();
        let start = shared(Form::WsJson, &mut buffer, &channel, Kind::Delta, position, &data);
        assert_eq!(
            std::str::from_utf8(&buffer[start + 2..]).unwrap(),
            r#"{"push":{"channel":"board:riverside","pub":{"data":{"from":8},"offset":9}}}"#
        );
        let start = shared(Form::WsProtobuf, &mut buffer, &channel, Kind::Delta, position, &data);
        assert_eq!(
            buffer[start..],
            *b"\x82\x24\x23\x22\x21\x12\x0fboard:riverside\x22\x0e\x22\x0a{\"from\":8}\x30\x09"
        );
        shared(Form::SocketIo, &mut buffer, &channel, Kind::Delta, position, &data);
        assert_eq!(
            std::str::from_utf8(&buffer).unwrap(),
            r#"{"channel":"board:riverside","type":"delta","epoch":"7","version":9,"data":{"from":8}}"#
        );
        shared(Form::Sse, &mut buffer, &channel, Kind::Delta, position, &data);
        write_sse_id(
            &mut buffer,
            [position, Position { epoch: 7, version: 2 }].into_iter(),
            "seal",
        );
        assert_eq!(
            std::str::from_utf8(&buffer).unwrap(),
            "event: delta\ndata: {\"channel\":\"board:riverside\",\"epoch\":\"7\",\"offset\":9,\"data\":{\"from\":8}}\nid: 7.9_7.2:seal\n\n"
        );
    }
}
