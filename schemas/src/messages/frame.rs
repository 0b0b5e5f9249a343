//! The messages that are Clinicwire's own on the event stream (SSE) and on Socket.IO.
//!
//! A WebSocket carries the Centrifugal protocol instead, with the same `data` inside its
//! publications. The gateway writes these messages byte by byte, once for all their receivers; the
//! types below say what a client reads.

use serde::{Deserialize, Serialize};

use crate::codes::Code;

/// The kind of a message's data. On the event stream, it is the name of the event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FrameKind {
    /// A whole keyed view: a [`View`](crate::view::View).
    Snapshot,
    /// A step of a keyed view: a [`Delta`](crate::view::Delta).
    Delta,
    /// The whole small state behind a `ticket:` or `appointment:` channel: a
    /// [`TicketView`](crate::ticket::TicketView) or an
    /// [`AppointmentView`](crate::appointment::AppointmentView).
    State,
}

/// The data of an event `snapshot`, `delta` or `state` on the event stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct StreamFrame {
    /// The channel, such as `board:riverside`.
    pub channel: String,
    /// The epoch after this message. A decimal string, because it can pass 2^53.
    #[serde(with = "crate::view::decimal")]
    #[cfg_attr(any(test, feature = "json-schema"), schemars(with = "String"))]
    pub epoch: u64,
    /// The version after this message.
    pub offset: u64,
    /// Whether the position that the client held was lost. The data then replaces a later version
    /// too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
    /// The name of the event: a view, a delta or a state.
    pub data: serde_json::Value,
}

/// A message on Socket.IO.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct SocketFrame {
    /// The channel, such as `board:riverside`.
    pub channel: String,
    /// The kind of `data`.
    #[serde(rename = "type")]
    pub kind: FrameKind,
    /// The epoch after this message. A decimal string, because it can pass 2^53.
    #[serde(with = "crate::view::decimal")]
    #[cfg_attr(any(test, feature = "json-schema"), schemars(with = "String"))]
    pub epoch: u64,
    /// The version after this message.
    pub version: u64,
    /// Whether the position that the client held was lost. The data then replaces a later version
    /// too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reset: bool,
    /// A view, a delta or a state.
    pub data: serde_json::Value,
}

/// The data of an event `error`, on the event stream and on Socket.IO.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct FrameError {
    /// The channel that the error is about. Absent when it is about the whole connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// The stable code.
    pub code: Code,
    /// The code's title, one sentence for people.
    pub message: String,
    /// Whether the same request can succeed later, or with a newer token.
    pub retry: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The texts are those of the gateway's tests of its frames.
    #[test]
    fn frames_of_the_gateway_can_be_read() {
        let stream = r#"{"channel":"board:riverside","epoch":"7","offset":9,"data":{"from":8}}"#;
        let frame: StreamFrame = serde_json::from_str(stream).unwrap();
        assert_eq!((frame.channel.as_str(), frame.epoch, frame.offset), ("board:riverside", 7, 9));
        let socket = concat!(
            r#"{"channel":"board:riverside","type":"delta","epoch":"7","#,
            r#""version":9,"data":{"from":8}}"#,
        );
        let frame: SocketFrame = serde_json::from_str(socket).unwrap();
        assert_eq!((frame.kind, frame.epoch, frame.version), (FrameKind::Delta, 7, 9));
        let error = r#"{"code":"forbidden","message":"…","retry":false}"#;
        assert_eq!(serde_json::from_str::<FrameError>(error).unwrap().code, Code::Forbidden);
    }
}
