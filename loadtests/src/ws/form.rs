//! The two forms in which messages of the Centrifugal protocol stand on the wire.

use std::ops::ControlFlow;

use prost::Message as _;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::protobuf;
use crate::frames::Reply;

/// How commands are written and replies are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Texts, joined by newlines.
    Json,
    /// Binary messages, each behind its length.
    Protobuf,
}

/// What a client says.
pub enum Command<'a> {
    Connect { id: u32, token: &'a str },
    Subscribe { id: u32, channel: &'a str, since: Option<(u64, u64)> },
    Pong,
}

/// What a server says.
pub enum Received<'a> {
    Ping,
    Reply(Reply<'a>),
}

/// A frame that is not of the form.
pub struct Malformed;

impl Form {
    /// The WebSocket subprotocol; JSON is what a server speaks unasked.
    #[must_use]
    pub fn subprotocol(self) -> Option<&'static str> {
        match self {
            Self::Json => None,
            Self::Protobuf => Some("centrifuge-protobuf"),
        }
    }

    /// All commands in one frame, as the SDKs batch them.
    #[must_use]
    pub fn write(self, commands: &[Command<'_>]) -> Message {
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

    /// Gives each message of a frame to `take`, until it breaks off.
    ///
    /// # Errors
    /// [`Malformed`] for a frame, or a message in it, that cannot be read.
    pub fn each(
        self,
        frame: &Message,
        mut take: impl FnMut(Received<'_>) -> ControlFlow<()>,
    ) -> Result<(), Malformed> {
        match (self, frame) {
            (Self::Json, Message::Text(text)) => {
                for line in text.lines() {
                    let received = match line {
                        "{}" => Received::Ping,
                        _ => Received::Reply(serde_json::from_str(line).map_err(|_| Malformed)?),
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
                        .map_err(|_| Malformed)?;
                    let received = match reply == protobuf::Reply::default() {
                        true => Received::Ping,
                        false => Received::Reply(reply.borrowed().ok_or(Malformed)?),
                    };
                    if take(received).is_break() {
                        break;
                    }
                }
                Ok(())
            }
            _ => Err(Malformed),
        }
    }
}

fn json_text(command: &Command<'_>) -> String {
    match command {
        Command::Connect { id, token } => {
            json!({"id": id, "connect": {"token": token, "name": "swarm"}}).to_string()
        }
        Command::Subscribe { id, channel, since } => {
            let mut request = json!({"channel": channel});
            if let Some((epoch, offset)) = since {
                request["recover"] = true.into();
                request["epoch"] = epoch.to_string().into();
                request["offset"] = (*offset).into();
            }
            json!({"id": id, "subscribe": request}).to_string()
        }
        Command::Pong => "{}".to_owned(),
    }
}
