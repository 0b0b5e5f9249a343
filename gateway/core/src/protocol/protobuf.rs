//! The protocol in Protobuf: each message follows its length as a varint. Data is JSON text here
//! too. Only fields that a gateway reads or writes are declared; a decoder of Protobuf skips all
//! others. Messages that hold a token or the name of a channel have no `Debug`.

use prost::Message;
use schemas::channel::Channel;

use super::{ClientCommand, Method, Reply, Request, Start};

/// A command. It should hold one request; of several, the first that `request` looks for counts.
#[derive(Message)]
#[prost(skip_debug)]
struct CommandMessage {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(message, optional, tag = "4")]
    connect: Option<TokenRequest>,
    #[prost(message, optional, tag = "5")]
    subscribe: Option<SubscribeRequest>,
    #[prost(message, optional, tag = "6")]
    unsubscribe: Option<ChannelRequest>,
    #[prost(message, optional, tag = "7")]
    publish: Option<Nothing>,
    #[prost(message, optional, tag = "8")]
    presence: Option<Nothing>,
    #[prost(message, optional, tag = "9")]
    presence_stats: Option<Nothing>,
    #[prost(message, optional, tag = "10")]
    history: Option<Nothing>,
    #[prost(message, optional, tag = "11")]
    ping: Option<Nothing>,
    #[prost(message, optional, tag = "12")]
    send: Option<Nothing>,
    #[prost(message, optional, tag = "13")]
    rpc: Option<Nothing>,
    #[prost(message, optional, tag = "14")]
    refresh: Option<TokenRequest>,
    #[prost(message, optional, tag = "15")]
    sub_refresh: Option<Nothing>,
}

/// A connect or a refresh: both messages hold their token in the same field.
#[derive(Message)]
#[prost(skip_debug)]
struct TokenRequest {
    #[prost(string, tag = "1")]
    token: String,
}

#[derive(Message)]
#[prost(skip_debug)]
struct ChannelRequest {
    #[prost(string, tag = "1")]
    channel: String,
}

#[derive(Message)]
#[prost(skip_debug)]
struct SubscribeRequest {
    #[prost(string, tag = "1")]
    channel: String,
    #[prost(bool, tag = "3")]
    recover: bool,
    #[prost(string, tag = "6")]
    epoch: String,
    #[prost(uint64, tag = "7")]
    offset: u64,
}

/// An empty message, or one whose fields are not read.
#[derive(Message)]
struct Nothing {}

/// Reads the commands of a binary frame. The first that cannot be read is `None` and the last item.
/// No memory is allocated for a length that is larger than the frame.
pub fn commands(mut frame: &[u8]) -> impl Iterator<Item = Option<ClientCommand<'static>>> {
    std::iter::from_fn(move || {
        if frame.is_empty() {
            return None;
        }
        let command = split(&mut frame).and_then(|message| CommandMessage::decode(message).ok());
        if command.is_none() {
            frame = &[];
        }
        Some(command.map(|command| ClientCommand { id: command.id, request: command.request() }))
    })
}

/// Removes the first message from a frame.
fn split<'a>(frame: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = prost::decode_length_delimiter(&mut *frame).ok()?;
    let (message, rest) = frame.split_at_checked(length)?;
    *frame = rest;
    Some(message)
}

impl CommandMessage {
    fn request<'a>(self) -> Request<'a> {
        if let Some(TokenRequest { token }) = self.connect {
            return Request::Connect { token: token.into() };
        }
        if let Some(SubscribeRequest { channel, recover, epoch, offset }) = self.subscribe {
            return Request::subscribe(channel.into(), recover, &epoch, offset);
        }
        if let Some(ChannelRequest { channel }) = self.unsubscribe {
            return Request::Unsubscribe { channel: channel.into() };
        }
        if let Some(TokenRequest { token }) = self.refresh {
            return Request::Refresh { token: token.into() };
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

#[derive(Message)]
#[prost(skip_debug)]
struct ReplyMessage {
    #[prost(uint32, tag = "1")]
    id: u32,
    #[prost(message, optional, tag = "2")]
    error: Option<Error>,
    #[prost(message, optional, tag = "4")]
    push: Option<Push>,
    #[prost(message, optional, tag = "5")]
    connect: Option<ConnectResult>,
    #[prost(message, optional, tag = "6")]
    subscribe: Option<SubscribeResult>,
    #[prost(message, optional, tag = "7")]
    unsubscribe: Option<Nothing>,
    #[prost(message, optional, tag = "12")]
    ping: Option<Nothing>,
    #[prost(message, optional, tag = "14")]
    refresh: Option<RefreshResult>,
}

#[derive(Message)]
struct Error {
    #[prost(uint32, tag = "1")]
    code: u32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(bool, tag = "3")]
    temporary: bool,
}

#[derive(Message)]
struct ConnectResult {
    #[prost(string, tag = "1")]
    client: String,
    #[prost(string, tag = "2")]
    version: String,
    #[prost(bool, tag = "3")]
    expires: bool,
    #[prost(uint32, tag = "4")]
    ttl: u32,
    #[prost(uint32, tag = "7")]
    ping: u32,
    #[prost(bool, tag = "8")]
    pong: bool,
}

#[derive(Message)]
struct RefreshResult {
    #[prost(bool, tag = "3")]
    expires: bool,
    #[prost(uint32, tag = "4")]
    ttl: u32,
}

#[derive(Message)]
#[prost(skip_debug)]
struct SubscribeResult {
    #[prost(bool, tag = "3")]
    recoverable: bool,
    #[prost(string, tag = "6")]
    epoch: String,
    #[prost(message, repeated, tag = "7")]
    publications: Vec<Publication>,
    #[prost(bool, tag = "8")]
    recovered: bool,
    #[prost(uint64, tag = "9")]
    offset: u64,
    #[prost(bool, tag = "10")]
    positioned: bool,
    #[prost(bytes = "vec", tag = "11")]
    data: Vec<u8>,
    #[prost(bool, tag = "12")]
    was_recovering: bool,
}

#[derive(Message)]
#[prost(skip_debug)]
struct Publication {
    #[prost(bytes = "vec", tag = "4")]
    data: Vec<u8>,
    #[prost(uint64, tag = "6")]
    offset: u64,
}

#[derive(Message)]
#[prost(skip_debug)]
struct Push {
    #[prost(string, tag = "2")]
    channel: String,
    #[prost(message, optional, tag = "4")]
    publication: Option<Publication>,
    #[prost(message, optional, tag = "7")]
    unsubscribe: Option<Unsubscribe>,
}

#[derive(Message)]
struct Unsubscribe {
    #[prost(uint32, tag = "2")]
    code: u32,
    #[prost(string, tag = "3")]
    reason: String,
}

/// Encodes a reply as the payload of a binary frame.
pub fn write(reply: &Reply<'_>) -> Vec<u8> {
    let message = match *reply {
        Reply::Error { id, code } => {
            let error = Error {
                code: code.reply(),
                message: code.as_str().into(),
                temporary: code.is_temporary(),
            };
            ReplyMessage { id, error: Some(error), ..ReplyMessage::default() }
        }
        Reply::Connect { id, client, version, ttl_s, ping_s } => {
            let connect = ConnectResult {
                client: client.into(),
                version: version.into(),
                expires: true,
                ttl: ttl_s,
                ping: ping_s,
                pong: true,
            };
            ReplyMessage { id, connect: Some(connect), ..ReplyMessage::default() }
        }
        Reply::Refresh { id, ttl_s } => {
            let refresh = RefreshResult { expires: true, ttl: ttl_s };
            ReplyMessage { id, refresh: Some(refresh), ..ReplyMessage::default() }
        }
        Reply::Subscribe { id, ref start } => {
            ReplyMessage { id, subscribe: Some(subscribe(start)), ..ReplyMessage::default() }
        }
        Reply::Done { id, method: Method::Unsubscribe } => {
            ReplyMessage { id, unsubscribe: Some(Nothing {}), ..ReplyMessage::default() }
        }
        Reply::Done { id, method: Method::Ping } => {
            ReplyMessage { id, ping: Some(Nothing {}), ..ReplyMessage::default() }
        }
        Reply::Ping => ReplyMessage::default(),
        Reply::Unsubscribe { channel, close } => {
            let unsubscribe =
                Unsubscribe { code: close.code().into(), reason: close.reason().into() };
            push(Push {
                channel: channel.to_string(),
                unsubscribe: Some(unsubscribe),
                publication: None,
            })
        }
    };
    message.encode_length_delimited_to_vec()
}

fn push(push: Push) -> ReplyMessage {
    ReplyMessage { push: Some(push), ..ReplyMessage::default() }
}

fn subscribe(start: &Start<'_>) -> SubscribeResult {
    // SDKs send their position on a later subscribe only if both flags are true.
    let begun =
        SubscribeResult { recoverable: true, positioned: true, ..SubscribeResult::default() };
    match *start {
        Start::Snapshot { position, data, was_recovering, .. } => SubscribeResult {
            epoch: position.epoch.to_string(),
            offset: position.version,
            was_recovering,
            data: data.get().into(),
            ..begun
        },
        // The offset repeats the request's: an SDK advances it while it applies the publications.
        Start::Recovered { position, held, missed } => SubscribeResult {
            epoch: position.epoch.to_string(),
            offset: held,
            recovered: true,
            was_recovering: true,
            publications: (missed.into_iter())
                .map(|data| Publication { data: data.get().into(), offset: position.version })
                .collect(),
            ..begun
        },
    }
}

/// Writes a publication on `channel` as the payload of a binary frame. `data` writes its JSON text.
pub fn write_publication(
    to: &mut Vec<u8>,
    channel: &Channel,
    offset: u64,
    data: impl FnOnce(&mut Vec<u8>),
) {
    let mut text = Vec::new();
    data(&mut text);
    let publication = Publication { data: text, offset };
    let message = push(Push {
        channel: channel.to_string(),
        publication: Some(publication),
        unsubscribe: None,
    });
    message.encode_length_delimited(to).expect("memory has room for a message");
}

#[cfg(test)]
mod tests;
