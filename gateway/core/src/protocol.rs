//! The Centrifugal client protocol, version 2: what a client may ask and what it is answered, in words of our own.
//! [`json`] and [`protobuf`] read commands and write replies; their field names and numbers are the protocol's
//! (`client.proto` of centrifugal/protocol, MIT).

pub mod json;
pub mod protobuf;

use std::borrow::Cow;

use schemas::{
    channel::Channel,
    codes::{Close, Code},
    view::Position,
};
use serde_json::value::RawValue;

/// Commands one frame may carry: a client batches its connect and its subscribes.
pub const MAX_COMMANDS: usize = 128;

/// One command. An id of 0 is a pong's: nothing else may go without an answer.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub struct Command<'a> {
    pub id: u32,
    pub request: Request<'a>,
}

/// What a command asks for.
#[cfg_attr(test, derive(Debug, PartialEq))]
pub enum Request<'a> {
    Connect {
        token: Cow<'a, str>,
    },
    /// `since`: the position a returning client holds.
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
    /// A method of the protocol that is not offered here.
    NotOffered,
}

impl<'a> Request<'a> {
    /// A subscribe in the protocol's terms. A position without a readable epoch, such as a client's "state
    /// invalidated" mark, is none.
    fn subscribe(channel: Cow<'a, str>, recover: bool, epoch: &str, version: u64) -> Self {
        let since = match epoch.parse() {
            Ok(epoch) if recover => Some(Position { epoch, version }),
            _ => None,
        };
        Request::Subscribe { channel, since }
    }
}

/// What a client is told beside publications, each of which a form writes by its `write_publication`.
pub enum Reply<'a> {
    Error {
        id: u32,
        code: Code,
    },
    /// `ttl_s`: seconds until the token expires; `ping_s`: seconds between the server's pings.
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
    /// The command was carried out; there is nothing to say beyond that.
    Done {
        id: u32,
        method: Method,
    },
    /// The server's ping, which the client answers with a pong.
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
    /// What the client lacks since `held`, in at most one publication.
    Recovered { position: Position, held: u64, missed: Option<&'a RawValue> },
}

#[cfg(test)]
mod tests;
