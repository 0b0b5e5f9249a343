//! The Centrifugal client protocol, version 2, in JSON: what a client may send and what it is answered.
//! Field names are the protocol's (`client.proto` of centrifugal/protocol, MIT). Zero values are left out.

use std::borrow::Cow;

use schemas::{
    channel::Channel,
    codes::{Close, Code},
    view::Pair,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Commands one frame may carry: a client batches its connect and its subscribes.
pub const MAX_COMMANDS: usize = 128;

/// One command: `id` and at most one request. An id of 0 without a request is a pong.
#[derive(Deserialize)]
pub struct Command<'a> {
    #[serde(default)]
    pub id: u32,
    #[serde(borrow)]
    connect: Option<TokenRequest<'a>>,
    #[serde(borrow)]
    subscribe: Option<SubscribeRequest<'a>>,
    #[serde(borrow)]
    unsubscribe: Option<ChannelRequest<'a>>,
    #[serde(borrow)]
    refresh: Option<TokenRequest<'a>>,
    ping: Option<serde::de::IgnoredAny>,
    send: Option<serde::de::IgnoredAny>,
    publish: Option<serde::de::IgnoredAny>,
    presence: Option<serde::de::IgnoredAny>,
    presence_stats: Option<serde::de::IgnoredAny>,
    history: Option<serde::de::IgnoredAny>,
    rpc: Option<serde::de::IgnoredAny>,
    sub_refresh: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct TokenRequest<'a> {
    #[serde(borrow, default)]
    token: Cow<'a, str>,
}

#[derive(Deserialize)]
struct ChannelRequest<'a> {
    #[serde(borrow, default)]
    channel: Cow<'a, str>,
}

#[derive(Deserialize)]
struct SubscribeRequest<'a> {
    #[serde(borrow, default)]
    channel: Cow<'a, str>,
    #[serde(default)]
    recover: bool,
    #[serde(borrow, default)]
    epoch: Cow<'a, str>,
    #[serde(default)]
    offset: u64,
}

/// What a command asks for.
pub enum Request<'a> {
    Connect {
        token: Cow<'a, str>,
    },
    /// `since`: the position a returning client holds.
    Subscribe {
        channel: Cow<'a, str>,
        since: Option<Pair>,
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

impl<'a> Command<'a> {
    /// Reads one line of a frame; `None` when it is no command.
    pub fn read(line: &'a str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }

    pub fn request(self) -> Request<'a> {
        if let Some(TokenRequest { token }) = self.connect {
            return Request::Connect { token };
        }
        if let Some(request) = self.subscribe {
            // A position without a readable epoch, such as a client's "state invalidated" mark, is none.
            let since = match request.epoch.parse() {
                Ok(epoch) if request.recover => Some(Pair { epoch, version: request.offset }),
                _ => None,
            };
            return Request::Subscribe { channel: request.channel, since };
        }
        if let Some(ChannelRequest { channel }) = self.unsubscribe {
            return Request::Unsubscribe { channel };
        }
        if let Some(TokenRequest { token }) = self.refresh {
            return Request::Refresh { token };
        }
        let others = [self.send, self.publish, self.presence, self.presence_stats, self.history, self.rpc];
        if self.sub_refresh.is_some() || others.iter().any(Option::is_some) {
            Request::NotOffered
        } else if self.ping.is_some() {
            Request::Ping
        } else {
            Request::Pong
        }
    }
}

#[derive(Serialize)]
struct ErrorReply {
    id: u32,
    error: ErrorBody,
}

#[derive(Serialize)]
struct ErrorBody {
    code: u32,
    message: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    temporary: bool,
}

/// An error reply; `message` is our stable code.
pub fn error_reply(id: u32, code: Code) -> Vec<u8> {
    let error = ErrorBody { code: code.reply(), message: code.as_str(), temporary: code.temporary() };
    json(&ErrorReply { id, error })
}

/// What a client learns when it has connected.
#[derive(Serialize)]
pub struct ConnectResult<'a> {
    pub client: &'a str,
    pub version: &'a str,
    pub expires: bool,
    /// Seconds until the token expires.
    pub ttl: u32,
    /// Seconds between the server's pings.
    pub ping: u32,
    pub pong: bool,
}

pub fn connect_reply(id: u32, connect: &ConnectResult<'_>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Reply<'a> {
        id: u32,
        connect: &'a ConnectResult<'a>,
    }
    json(&Reply { id, connect })
}

pub fn refresh_reply(id: u32, client: &str, ttl: u32) -> Vec<u8> {
    #[derive(Serialize)]
    struct Reply<'a> {
        id: u32,
        refresh: Refresh<'a>,
    }
    #[derive(Serialize)]
    struct Refresh<'a> {
        client: &'a str,
        expires: bool,
        ttl: u32,
    }
    json(&Reply { id, refresh: Refresh { client, expires: true, ttl } })
}

/// An empty result of `method`.
pub fn empty_reply(id: u32, method: &str) -> Vec<u8> {
    format!(r#"{{"id":{id},"{method}":{{}}}}"#).into_bytes()
}

/// How a subscription begins.
pub enum Start<'a> {
    /// The whole state.
    Snapshot { pair: Pair, data: &'a RawValue, was_recovering: bool },
    /// What the client lacks since `held`, in at most one publication.
    Recovered { pair: Pair, held: u64, missed: Option<&'a RawValue> },
}

pub fn subscribe_reply(id: u32, start: &Start<'_>) -> Vec<u8> {
    #[derive(Serialize)]
    struct Reply<'a> {
        id: u32,
        subscribe: Subscribe<'a>,
    }
    #[derive(Serialize, Default)]
    struct Subscribe<'a> {
        // SDKs send no position later unless both are true.
        recoverable: bool,
        positioned: bool,
        epoch: String,
        offset: u64,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        recovered: bool,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        was_recovering: bool,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        publications: Vec<Publication<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<&'a RawValue>,
    }
    let subscribe = match *start {
        Start::Snapshot { pair, data, was_recovering } => Subscribe {
            epoch: pair.epoch.to_string(),
            offset: pair.version,
            was_recovering,
            data: Some(data),
            ..Subscribe::default()
        },
        // The offset is the request's: an SDK advances it while it applies the publications.
        Start::Recovered { pair, held, missed } => Subscribe {
            epoch: pair.epoch.to_string(),
            offset: held,
            recovered: true,
            was_recovering: true,
            publications: missed.map(|data| Publication { data, offset: pair.version }).into_iter().collect(),
            ..Subscribe::default()
        },
    };
    json(&Reply { id, subscribe: Subscribe { recoverable: true, positioned: true, ..subscribe } })
}

#[derive(Serialize)]
struct Publication<'a> {
    data: &'a RawValue,
    offset: u64,
}

/// Writes a publication on `channel`; `data` writes JSON text.
pub fn write_publication(to: &mut Vec<u8>, channel: &Channel, offset: u64, data: impl FnOnce(&mut Vec<u8>)) {
    use std::io::Write;
    // A channel name is built of ids, none of which needs escaping in JSON.
    for part in ["{\"push\":{\"channel\":\"", channel.kind(), ":", channel.id(), "\",\"pub\":{\"data\":"] {
        to.extend_from_slice(part.as_bytes());
    }
    data(to);
    write!(to, ",\"offset\":{offset}}}}}}}").expect("writing to memory cannot fail");
}

/// Ends a subscription from the server's side.
pub fn unsubscribe_push(channel: &Channel, close: Close) -> Vec<u8> {
    let (code, reason) = (close.code(), close.reason());
    format!(r#"{{"push":{{"channel":"{channel}","unsubscribe":{{"code":{code},"reason":"{reason}"}}}}}}"#)
        .into_bytes()
}

/// The server's ping, which the client answers with the same text.
pub const PING: &[u8] = b"{}";

fn json(reply: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(reply).expect("replies always have a JSON form")
}

#[cfg(test)]
mod tests;
