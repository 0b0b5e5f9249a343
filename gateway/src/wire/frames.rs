//! Frames as bytes, ready for a socket: WebSocket frames and SSE events. The part of a publication
//! that all its listeners share is encoded once per form.

use std::io::Write;

use bytes::Bytes;
use gateway_core::{
    protocol::{Reply, json, protobuf},
    session,
};
use schemas::{
    channel::Channel,
    codes::{Close, Code},
    view::Position,
};
use serde::Serialize;

use crate::metrics::Transport;

/// Seconds between two beats of an SSE stream, below the idle timeouts of common proxies.
const BEAT_S: u64 = 15;

/// The form of a connection's frames: its protocol and encoding. The form also says what the client
/// can be asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// The Centrifugal protocol in JSON, in WebSocket text frames.
    WsJson,
    /// The Centrifugal protocol in Protobuf, in WebSocket binary frames.
    WsProtobuf,
    /// Server-Sent Events.
    Sse,
    /// Bodies of Socket.IO events, which socketioxide frames.
    SocketIo,
}

impl Form {
    pub const ALL: [Form; 4] = [Form::WsJson, Form::WsProtobuf, Form::Sse, Form::SocketIo];

    pub fn transport(self) -> Transport {
        match self {
            Form::WsJson | Form::WsProtobuf => Transport::WebSocket,
            Form::Sse => Transport::Sse,
            Form::SocketIo => Transport::SocketIo,
        }
    }

    /// Returns whether the client sends commands, each of which gets a reply. Otherwise its
    /// channels came with its request, whose grant was audited when it was given out, and the first
    /// frame is its state.
    pub fn has_replies(self) -> bool {
        self != Form::Sse
    }

    /// Returns whether the client subscribes again after the news that its position is no longer
    /// valid. Otherwise it gets the whole state as a change.
    pub fn resubscribes(self) -> bool {
        matches!(self, Form::WsJson | Form::WsProtobuf)
    }

    /// Returns whether the client answers pings, so that a missing answer shows that it is gone.
    pub fn has_pongs(self) -> bool {
        matches!(self, Form::WsJson | Form::WsProtobuf)
    }

    /// Seconds between pings, or between beats on SSE. `None` where the shard sends neither.
    pub fn ping_s(self) -> Option<u64> {
        match self {
            Form::WsJson | Form::WsProtobuf => Some(session::PING_S),
            Form::Sse => Some(BEAT_S),
            Form::SocketIo => None,
        }
    }
}

/// One value for each form.
#[derive(Default)]
pub struct PerForm<T> {
    ws_json: T,
    ws_protobuf: T,
    sse: T,
    socketio: T,
}

impl<T> PerForm<T> {
    pub fn get_mut(&mut self, form: Form) -> &mut T {
        match form {
            Form::WsJson => &mut self.ws_json,
            Form::WsProtobuf => &mut self.ws_protobuf,
            Form::Sse => &mut self.sse,
            Form::SocketIo => &mut self.socketio,
        }
    }

    pub fn values(&self) -> [&T; Form::ALL.len()] {
        [&self.ws_json, &self.ws_protobuf, &self.sse, &self.socketio]
    }
}

/// The kind of data in a publication. On SSE it is the name of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublicationKind {
    /// The whole view.
    Snapshot,
    /// A step of the view.
    Delta,
    /// The whole state of a ticket.
    State,
    /// The whole view for a client whose position is void: it replaces a later version too.
    SnapshotReset,
    /// The whole state of a ticket for such a client.
    StateReset,
}

impl PublicationKind {
    pub fn name(self) -> &'static str {
        match self {
            PublicationKind::Snapshot | PublicationKind::SnapshotReset => "snapshot",
            PublicationKind::Delta => "delta",
            PublicationKind::State | PublicationKind::StateReset => "state",
        }
    }

    /// The mark of a new position, as a member of a JSON object.
    fn mark(self) -> &'static str {
        match self {
            PublicationKind::SnapshotReset | PublicationKind::StateReset => "\"reset\":true,",
            PublicationKind::Snapshot | PublicationKind::Delta | PublicationKind::State => "",
        }
    }
}

/// Bytes of the longest WebSocket header, reserved in front of a payload of unknown length.
const HEADER_ROOM: usize = 10;
const TEXT: u8 = 0x81;
const BINARY: u8 = 0x82;
const CLOSE: u8 = 0x88;

/// Writes the header of an unmasked, final frame in front of a payload that begins at
/// [`HEADER_ROOM`]. Returns where the frame begins. RFC 6455 §5.2.
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

/// Replaces the content of `buffer` by a frame whose payload `write` appends. Returns where the
/// frame begins.
fn ws_frame(buffer: &mut Vec<u8>, opcode: u8, write: impl FnOnce(&mut Vec<u8>)) -> usize {
    buffer.clear();
    buffer.resize(HEADER_ROOM, 0);
    write(buffer);
    put_header(buffer, opcode)
}

/// A new frame with a copy of `payload`.
fn ws_around(opcode: u8, payload: &[u8]) -> Bytes {
    let mut buffer = Vec::with_capacity(payload.len() + HEADER_ROOM);
    let start = ws_frame(&mut buffer, opcode, |buffer| buffer.extend_from_slice(payload));
    Bytes::from(buffer).split_off(start)
}

/// Encodes a reply. Empty if clients of that form get no such reply.
pub fn encode_reply(form: Form, reply: &Reply<'_>) -> Bytes {
    match form {
        Form::WsJson => ws_around(TEXT, &json::write(reply)),
        Form::WsProtobuf => ws_around(BINARY, &protobuf::write(reply)),
        Form::Sse => match reply {
            Reply::Ping => Bytes::from_static(SSE_BEAT),
            Reply::Unsubscribe { channel, close } => {
                encode_sse_error(Some(channel), unsubscribe_code(*close), None).into()
            }
            Reply::Error { code, .. } => encode_sse_error(None, *code, None).into(),
            // SSE clients send no commands.
            Reply::Connect { .. }
            | Reply::Refresh { .. }
            | Reply::Subscribe { .. }
            | Reply::Done { .. } => Bytes::new(),
        },
        // A Socket.IO peer emits replies as values, not as frames.
        Form::SocketIo => Bytes::new(),
    }
}

/// The code that names the end of a subscription to a client without the Centrifugal protocol.
pub fn unsubscribe_code(close: Close) -> Code {
    match close {
        // Only clients that subscribe again get this close for a view that still exists.
        Close::InsufficientState => Code::UnknownChannel,
        _ => Code::Forbidden,
    }
}

/// Encodes a WebSocket close frame.
pub fn encode_close(code: u16, reason: &str) -> Vec<u8> {
    let mut buffer = Vec::new();
    let start = ws_frame(&mut buffer, CLOSE, |buffer| {
        buffer.extend_from_slice(&code.to_be_bytes());
        buffer.extend_from_slice(reason.as_bytes());
    });
    buffer.drain(..start);
    buffer
}

/// A publication: the content that all its listeners share.
pub struct Publication<'a, D> {
    pub channel: &'a Channel,
    pub kind: PublicationKind,
    pub position: Position,
    pub data: &'a D,
}

impl<D: Serialize> Publication<'_, D> {
    /// Replaces the content of `buffer` by the part of the frame that all listeners of the form
    /// share. Returns where that part begins.
    pub fn encode(&self, form: Form, buffer: &mut Vec<u8>) -> usize {
        let (channel, version) = (self.channel, self.position.version);
        let data = |buffer: &mut Vec<u8>| self.write_data(buffer);
        match form {
            Form::WsJson => ws_frame(buffer, TEXT, |buffer| {
                json::write_publication(buffer, channel, version, data);
            }),
            Form::WsProtobuf => ws_frame(buffer, BINARY, |buffer| {
                protobuf::write_publication(buffer, channel, version, data);
            }),
            Form::Sse => {
                buffer.clear();
                self.write_sse_event(buffer);
                0
            }
            Form::SocketIo => {
                buffer.clear();
                self.write_socketio_body(buffer);
                0
            }
        }
    }

    fn write_data(&self, to: &mut Vec<u8>) {
        serde_json::to_writer(to, self.data).expect("views and deltas always have a JSON form");
    }

    /// Writes an SSE event without its id, which [`write_sse_id`] adds for each listener.
    fn write_sse_event(&self, to: &mut Vec<u8>) {
        let (channel, event, mark) = (self.channel, self.kind.name(), self.kind.mark());
        let Position { epoch, version } = self.position;
        // Ids and numbers need no escaping in JSON, and the JSON text of data has no line break.
        write!(
            to,
            "event: {event}\ndata: {{\"channel\":\"{channel}\",\"epoch\":\"{epoch}\",\
             \"offset\":{version},{mark}\"data\":"
        )
        .expect("writing to memory cannot fail");
        self.write_data(to);
        to.extend_from_slice(b"}\n");
    }

    /// Writes the body of a Socket.IO event.
    fn write_socketio_body(&self, to: &mut Vec<u8>) {
        let (channel, kind, mark) = (self.channel, self.kind.name(), self.kind.mark());
        let Position { epoch, version } = self.position;
        write!(
            to,
            "{{\"channel\":\"{channel}\",\"type\":\"{kind}\",\"epoch\":\"{epoch}\",\
             \"version\":{version},{mark}\"data\":"
        )
        .expect("writing to memory cannot fail");
        self.write_data(to);
        to.push(b'}');
    }
}

/// Completes an SSE event after its shared part. Its id holds the positions of all channels, which
/// a browser returns as `Last-Event-ID`, and the sealed grant.
pub fn write_sse_id(to: &mut Vec<u8>, positions: impl Iterator<Item = Position>, sealed: &str) {
    to.extend_from_slice(b"id: ");
    for (index, position) in positions.enumerate() {
        let separator = if index == 0 { "" } else { "_" };
        write!(to, "{separator}{}.{}", position.epoch, position.version)
            .expect("writing to memory cannot fail");
    }
    write!(to, ":{sealed}\n\n").expect("writing to memory cannot fail");
}

/// Encodes a `problem` event of SSE. An event named `error` would look to a browser's `EventSource`
/// like a broken connection. A browser repeats `id` in its next request, see [`REFUSED`].
pub fn encode_sse_error(channel: Option<&Channel>, code: Code, id: Option<&str>) -> Vec<u8> {
    let (message, retry) = (code.title(), code.is_temporary() || code == Code::TokenExpired);
    let channel = channel.map(|channel| format!("\"channel\":\"{channel}\",")).unwrap_or_default();
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    format!(
        "event: problem\n{id}data: {{{channel}\"code\":\"{code}\",\"message\":\"{message}\",\
         \"retry\":{retry}}}\n\n"
    )
    .into_bytes()
}

/// The event id of a refused stream. A browser comes back with it as `Last-Event-ID` and is told to
/// stop.
pub const REFUSED: &str = "refused";

/// The beat of an SSE stream: keeps proxies from closing it, and shows the page that it is alive.
pub const SSE_BEAT: &[u8] = b"event: beat\ndata: {}\n\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_frame_has_the_shortest_header() {
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
    fn publication_has_one_content_in_every_form() {
        let channel = Channel::parse("board:riverside").unwrap();
        let position = Position { epoch: 7, version: 9 };
        let data = serde_json::json!({"from": 8});
        let kind = PublicationKind::Delta;
        let publication = Publication { channel: &channel, kind, position, data: &data };
        let mut buffer = Vec::new();
        let start = publication.encode(Form::WsJson, &mut buffer);
        assert_eq!(
            std::str::from_utf8(&buffer[start + 2..]).unwrap(),
            r#"{"push":{"channel":"board:riverside","pub":{"data":{"from":8},"offset":9}}}"#
        );
        let start = publication.encode(Form::WsProtobuf, &mut buffer);
        assert_eq!(
            buffer[start..],
            *b"\x82\x24\x23\x22\x21\x12\x0fboard:riverside\x22\x0e\x22\x0a{\"from\":8}\x30\x09"
        );
        publication.encode(Form::SocketIo, &mut buffer);
        assert_eq!(
            std::str::from_utf8(&buffer).unwrap(),
            concat!(
                r#"{"channel":"board:riverside","type":"delta","epoch":"7","version":9,"#,
                r#""data":{"from":8}}"#
            )
        );
        publication.encode(Form::Sse, &mut buffer);
        write_sse_id(
            &mut buffer,
            [position, Position { epoch: 7, version: 2 }].into_iter(),
            "seal",
        );
        assert_eq!(
            std::str::from_utf8(&buffer).unwrap(),
            "event: delta\ndata: {\"channel\":\"board:riverside\",\"epoch\":\"7\",\"offset\":9,\
             \"data\":{\"from\":8}}\nid: 7.9_7.2:seal\n\n"
        );
    }
}
