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

/// Commands that one frame may carry. A client batches its connect and its subscribes. Each further
/// command of the frame is refused.
pub const MAX_COMMANDS: usize = 128;

/// One command of a client. Only a pong has the id 0, because every other command is answered.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct ClientCommand<'a> {
    /// The id that the client chose. The reply repeats it.
    pub id: u32,
    /// The request of the client.
    pub request: Request<'a>,
}

/// The request of a command.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub enum Request<'a> {
    /// The first command of a connection.
    Connect {
        /// The client's JWT, not yet verified.
        token: Cow<'a, str>,
    },
    /// Follow a channel.
    Subscribe {
        /// The name of the channel, not yet parsed.
        channel: Cow<'a, str>,
        /// The position that a returning client holds.
        since: Option<Position>,
    },
    /// Stop following a channel.
    Unsubscribe {
        /// The name of the channel, not yet parsed.
        channel: Cow<'a, str>,
    },
    /// Replace the token before it expires.
    Refresh {
        /// The new JWT, not yet verified.
        token: Cow<'a, str>,
    },
    /// A ping of the client, which gets a reply.
    Ping,
    /// The answer to a ping of the server. It gets no reply.
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
    /// The command was refused.
    Error {
        /// The id of the command.
        id: u32,
        /// Why the command was refused.
        code: Code,
    },
    /// The client is connected.
    Connect {
        /// The id of the command.
        id: u32,
        /// The id of the connection.
        client: &'a str,
        /// The name and version of the server.
        version: &'a str,
        /// Seconds until the token expires.
        ttl_s: u32,
        /// Seconds between the server's pings.
        ping_s: u32,
    },
    /// The token was replaced.
    Refresh {
        /// The id of the command.
        id: u32,
        /// Seconds until the new token expires.
        ttl_s: u32,
    },
    /// The subscription begins.
    Subscribe {
        /// The id of the command.
        id: u32,
        /// The state or the steps that the client lacks.
        start: Start<'a>,
    },
    /// The command was carried out, and its result is empty.
    Done {
        /// The id of the command.
        id: u32,
        /// The method, which selects the field of the empty result.
        method: Method,
    },
    /// A ping of the server, which the client answers with a pong.
    Ping,
    /// The server ends a subscription.
    Unsubscribe {
        /// The channel of the subscription.
        channel: &'a Channel,
        /// Why it ends.
        close: Close,
    },
}

/// Methods whose result is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// See [`Request::Unsubscribe`].
    Unsubscribe,
    /// See [`Request::Ping`].
    Ping,
}

/// How a subscription begins.
pub enum Start<'a> {
    /// The whole state.
    Snapshot {
        /// The position of the state.
        position: Position,
        /// The state, in the form of the channel's views.
        data: &'a RawValue,
        /// Whether the client sent a position.
        was_recovering: bool,
        /// Whether that position was lost, so that the state replaces a later version too. In the
        /// Centrifugal protocol, a subscribe that was recovering and did not recover says the same.
        resets: bool,
    },
    /// The steps since the client's version, merged into at most one publication.
    Recovered {
        /// The position after the steps.
        position: Position,
        /// The version that the client held.
        held: u64,
        /// The merged steps. `None` when the client lacks none.
        missed: Option<&'a RawValue>,
    },
}

#[cfg(test)]
mod tests;
