//! The protocol in JSON, one command per line. Zero values are left out.

use std::{borrow::Cow, str::FromStr};

use schemas::channel::Channel;
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::value::RawValue;

use super::{ClientCommand, Method, Reply, Request, Start};

/// A command on its line. It should hold one request; of several, the first field below counts.
#[derive(Deserialize)]
struct CommandLine<'a> {
    #[serde(default, deserialize_with = "number")]
    id: u32,
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
    #[serde(borrow, default, deserialize_with = "text")]
    token: Cow<'a, str>,
}

#[derive(Deserialize)]
struct ChannelRequest<'a> {
    #[serde(borrow, default, deserialize_with = "text")]
    channel: Cow<'a, str>,
}

#[derive(Deserialize)]
struct SubscribeRequest<'a> {
    #[serde(borrow, default, deserialize_with = "text")]
    channel: Cow<'a, str>,
    #[serde(default, deserialize_with = "flag")]
    recover: bool,
    #[serde(borrow, default, deserialize_with = "text")]
    epoch: Cow<'a, str>,
    #[serde(default, deserialize_with = "number")]
    offset: u64,
}

/// Reads a text of proto3 JSON. `null` is the default.
fn text<'de: 'a, 'a, D: Deserializer<'de>>(from: D) -> Result<Cow<'a, str>, D::Error> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    let text = Option::<Text<'a>>::deserialize(from)?;
    Ok(text.map(|Text(text)| text).unwrap_or_default())
}

/// Reads a number of proto3 JSON, which may be a text. `null` is the default.
fn number<'de, D, T>(from: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + FromStr + Default,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number<'a, T> {
        Number(T),
        #[serde(borrow)]
        Text(Cow<'a, str>),
    }
    match Option::<Number<'de, T>>::deserialize(from)? {
        None => Ok(T::default()),
        Some(Number::Number(number)) => Ok(number),
        Some(Number::Text(text)) => {
            text.parse().map_err(|_| D::Error::custom("a text that is no number"))
        }
    }
}

/// Reads a boolean of proto3 JSON. `null` is the default.
fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    Ok(Option::<bool>::deserialize(from)?.unwrap_or_default())
}

/// Reads the commands of a text frame, with `None` for a line that is not a command. Blank lines
/// are ignored.
pub fn commands(text: &str) -> impl Iterator<Item = Option<ClientCommand<'_>>> {
    text.lines().filter(|line| !line.trim().is_empty()).map(|line| {
        let line: CommandLine<'_> = serde_json::from_str(line).ok()?;
        Some(ClientCommand { id: line.id, request: line.request() })
    })
}

impl<'a> CommandLine<'a> {
    fn request(self) -> Request<'a> {
        if let Some(TokenRequest { token }) = self.connect {
            return Request::Connect { token };
        }
        if let Some(SubscribeRequest { channel, recover, epoch, offset }) = self.subscribe {
            return Request::subscribe(channel, recover, &epoch, offset);
        }
        if let Some(ChannelRequest { channel }) = self.unsubscribe {
            return Request::Unsubscribe { channel };
        }
        if let Some(TokenRequest { token }) = self.refresh {
            return Request::Refresh { token };
        }
        let others =
            [self.send, self.publish, self.presence, self.presence_stats, self.history, self.rpc];
        if self.sub_refresh.is_some() || others.iter().any(Option::is_some) {
            Request::NotOffered
        } else if self.ping.is_some() {
            Request::Ping
        } else {
            Request::Pong
        }
    }
}

#[derive(Serialize, Default)]
struct ReplyLine<'a> {
    #[serde(skip_serializing_if = "is_zero")]
    id: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Error>,
    #[serde(skip_serializing_if = "Option::is_none")]
    connect: Option<Connect<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    subscribe: Option<Subscribe<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh: Option<Refresh>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unsubscribe: Option<Nothing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ping: Option<Nothing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    push: Option<Push>,
}

fn is_zero(id: &u32) -> bool {
    *id == 0
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct Error {
    code: u32,
    message: &'static str,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    temporary: bool,
}

#[derive(Serialize)]
struct Connect<'a> {
    client: &'a str,
    version: &'a str,
    expires: bool,
    ttl: u32,
    ping: u32,
    pong: bool,
}

#[derive(Serialize)]
struct Refresh {
    expires: bool,
    ttl: u32,
}

#[derive(Serialize, Default)]
struct Subscribe<'a> {
    recoverable: bool,
    positioned: bool,
    epoch: String,
    offset: u64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    recovered: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    was_recovering: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    publications: Option<[Publication<'a>; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct Publication<'a> {
    data: &'a RawValue,
    offset: u64,
}

#[derive(Serialize)]
struct Push {
    channel: String,
    unsubscribe: Unsubscribe,
}

#[derive(Serialize)]
struct Unsubscribe {
    code: u16,
    reason: &'static str,
}

/// Encodes a reply as the payload of a text frame.
pub fn write(reply: &Reply<'_>) -> Vec<u8> {
    let line = match *reply {
        Reply::Error { id, code } => {
            let error = Error {
                code: code.reply(),
                message: code.as_str(),
                temporary: code.is_temporary(),
            };
            ReplyLine { id, error: Some(error), ..ReplyLine::default() }
        }
        Reply::Connect { id, client, version, ttl_s, ping_s } => {
            let connect =
                Connect { client, version, expires: true, ttl: ttl_s, ping: ping_s, pong: true };
            ReplyLine { id, connect: Some(connect), ..ReplyLine::default() }
        }
        Reply::Refresh { id, ttl_s } => {
            let refresh = Refresh { expires: true, ttl: ttl_s };
            ReplyLine { id, refresh: Some(refresh), ..ReplyLine::default() }
        }
        Reply::Subscribe { id, ref start } => {
            ReplyLine { id, subscribe: Some(subscribe(start)), ..ReplyLine::default() }
        }
        Reply::Done { id, method: Method::Unsubscribe } => {
            ReplyLine { id, unsubscribe: Some(Nothing {}), ..ReplyLine::default() }
        }
        Reply::Done { id, method: Method::Ping } => {
            ReplyLine { id, ping: Some(Nothing {}), ..ReplyLine::default() }
        }
        Reply::Ping => ReplyLine::default(),
        Reply::Unsubscribe { channel, close } => {
            let unsubscribe = Unsubscribe { code: close.code(), reason: close.reason() };
            let push = Push { channel: channel.to_string(), unsubscribe };
            ReplyLine { push: Some(push), ..ReplyLine::default() }
        }
    };
    serde_json::to_vec(&line).expect("replies always have a JSON form")
}

fn subscribe<'a>(start: &Start<'a>) -> Subscribe<'a> {
    // SDKs send their position on a later subscribe only if both flags are true.
    let begun = Subscribe { recoverable: true, positioned: true, ..Subscribe::default() };
    match *start {
        Start::Snapshot { position, data, was_recovering, .. } => Subscribe {
            epoch: position.epoch.to_string(),
            offset: position.version,
            was_recovering,
            data: Some(data),
            ..begun
        },
        // The offset repeats the request's: an SDK advances it while it applies the publications.
        Start::Recovered { position, held, missed } => Subscribe {
            epoch: position.epoch.to_string(),
            offset: held,
            recovered: true,
            was_recovering: true,
            publications: missed.map(|data| [Publication { data, offset: position.version }]),
            ..begun
        },
    }
}

/// Writes a publication on `channel` as the payload of a text frame. `data` writes its JSON text.
pub fn write_publication(
    to: &mut Vec<u8>,
    channel: &Channel,
    offset: u64,
    data: impl FnOnce(&mut Vec<u8>),
) {
    use std::io::Write;
    // A channel name consists of ids, which need no escaping in JSON.
    for part in
        ["{\"push\":{\"channel\":\"", channel.kind(), ":", channel.id(), "\",\"pub\":{\"data\":"]
    {
        to.extend_from_slice(part.as_bytes());
    }
    data(to);
    write!(to, ",\"offset\":{offset}}}}}}}").expect("writing to memory cannot fail");
}
