//! The two encodings of the protocol: JSON and Protobuf.

use std::ops::ControlFlow;

use prost::Message as _;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::{
    messages::{ClientCommand, ServerMessage},
    protobuf,
};

/// How commands are encoded and messages are decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// JSON texts, separated by newlines.
    Json,
    /// Binary messages with their length in front.
    Protobuf,
}

/// A frame that cannot be decoded.
pub struct MalformedFrame;

impl Encoding {
    /// The WebSocket subprotocol. JSON is the default and needs none.
    #[must_use]
    pub fn subprotocol(self) -> Option<&'static str> {
        match self {
            Self::Json => None,
            Self::Protobuf => Some("centrifuge-protobuf"),
        }
    }

    /// Encodes all commands into one frame, as the SDKs batch them.
    #[must_use]
    pub fn encode(self, commands: &[ClientCommand<'_>]) -> Message {
        match self {
            Self::Json => {
                let texts: Vec<String> = commands.iter().map(json_text).collect();
                Message::text(texts.join("\n"))
            }
            Self::Protobuf => {
                let bytes = commands
                    .iter()
                    .flat_map(|it| protobuf::Command::from(it).encode_length_delimited_to_vec());
                Message::binary(bytes.collect::<Vec<u8>>())
            }
        }
    }

    /// Passes each message of a frame to `take`, until it breaks.
    ///
    /// # Errors
    /// [`MalformedFrame`] when the frame, or a message in it, cannot be decoded.
    pub fn decode_each(
        self,
        frame: &Message,
        mut take: impl FnMut(ServerMessage<'_>) -> ControlFlow<()>,
    ) -> Result<(), MalformedFrame> {
        match (self, frame) {
            (Self::Json, Message::Text(text)) => {
                for line in text.lines() {
                    let received = match line {
                        "{}" => ServerMessage::Ping,
                        _ => ServerMessage::Reply(
                            serde_json::from_str(line).map_err(|_| MalformedFrame)?,
                        ),
                    };
                    if take(received).is_break() {
                        break;
                    }
                }
                Ok(())
            }
            (Self::Protobuf, Message::Binary(bytes)) => {
                let mut rest = &bytes[..];
                while !rest.is_empty() {
                    let reply = protobuf::Reply::decode_length_delimited(&mut rest)
                        .map_err(|_| MalformedFrame)?;
                    let received = match reply == protobuf::Reply::default() {
                        true => ServerMessage::Ping,
                        false => ServerMessage::Reply(reply.borrowed().ok_or(MalformedFrame)?),
                    };
                    if take(received).is_break() {
                        break;
                    }
                }
                Ok(())
            }
            _ => Err(MalformedFrame),
        }
    }
}

fn json_text(command: &ClientCommand<'_>) -> String {
    match command {
        ClientCommand::Connect { id, token } => {
            json!({"id": id, "connect": {"token": token, "name": "testing"}}).to_string()
        }
        ClientCommand::Subscribe { id, channel, since } => {
            let mut request = json!({"channel": channel});
            if let Some((epoch, offset)) = since {
                request["recover"] = true.into();
                request["epoch"] = epoch.to_string().into();
                request["offset"] = (*offset).into();
            }
            json!({"id": id, "subscribe": request}).to_string()
        }
        ClientCommand::Pong => "{}".to_owned(),
    }
}
