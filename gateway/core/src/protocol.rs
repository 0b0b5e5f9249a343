//! The Centrifugal client protocol, version 2: the commands and replies, independent of their
//! encoding. [`json`] and [`protobuf`] read commands and write replies; their field names and
//! numbers are those of the protocol (`client.proto` of centrifugal/protocol, MIT).

pub mod json;
pub mod protobuf;

use std::borrow::Cow;

use schemas::{
    channel::Channel,
    codes::{Close, Code},
    view::Position,
};
use serde_json::value::RawValue;

/// Bytes of the longest message that a client may send. A token and its subscribes are far below. A
/// longer message closes the connection.
pub const MAX_MESSAGE: usize = 64 * 1024;

/// Commands that one frame may carry. A client batches its connect and its subscribes; a frame with
/// more commands closes the connection.
pub const MAX_COMMANDS: usize = 128;

/// One command of a client. Only a pong has the id 0, because every other command is answered.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct ClientCommand<'a> {
    pub id: u32,
    pub request: Request<'a>,
}

/// The request of a command.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub enum Request<'a> {
    Connect {
        token: Cow<'a, str>,
    },
    /// `since` is the position that a returning client holds.
    Subscribe {
        channel: Cow<'a, str>,
        since: Option<Position>,
    },
    Unsubscribe {
        channel: Cow<'a, str>,
    },
    Refresh {
        token: Cow<'a, str>,
    },
    Ping,
    Pong,
    /// A method of the protocol that this server does not offer.
    NotOffered,
}

impl<'a> Request<'a> {
    /// Reads the position of a subscribe. One without a readable epoch, such as the mark by which a
    /// client says that its state is invalid, counts as none.
    fn subscribe(channel: Cow<'a, str>, recover: bool, epoch: &str, version: u64) -> Self {
        let since = match epoch.parse() {
            Ok(epoch) if recover => Some(Position { epoch, version }),
            _ => None,
        };
        Request::Subscribe { channel, since }
    }
}

/// A message to a client other than a publication, which `write_publication` of each encoding
/// writes.
pub enum Reply<'a> {
    Error {
        id: u32,
        code: Code,
    },
    /// `ttl_s` is the seconds until the token expires, `ping_s` the seconds between the server's
    /// pings.
    Connect {
        id: u32,
        client: &'a str,
        version: &'a str,
        ttl_s: u32,
        ping_s: u32,
    },
    Refresh {
        id: u32,
        ttl_s: u32,
    },
    Subscribe {
        id: u32,
        start: Start<'a>,
    },
    /// The command was carried out, and its result is empty.
    Done {
        id: u32,
        method: Method,
    },
    /// A ping of the server, which the client answers with a pong.
    Ping,
    /// The server ends a subscription.
    Unsubscribe {
        channel: &'a Channel,
        close: Close,
    },
}

/// Methods whose result is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    Unsubscribe,
    Ping,
}

/// How a subscription begins.
pub enum Start<'a> {
    /// The whole state.
    Snapshot { position: Position, data: &'a RawValue, was_recovering: bool },
    /// The steps since version `held`, merged into at most one publication.
    Recovered { position: Position, held: u64, missed: Option<&'a RawValue> },
}

#[cfg(test)]
mod tests;
