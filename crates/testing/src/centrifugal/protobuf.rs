//! Messages in Protobuf, as far as clients use them, written from the public schema
//! (`client.proto`).

use prost::Message;
use serde_json::value::RawValue;

use super::messages::{self, ClientCommand};

#[derive(Clone, PartialEq, Message)]
pub struct Command {
    #[prost(uint32, tag = "1")]
    pub id: u32,
    #[prost(message, optional, tag = "4")]
    pub connect: Option<ConnectRequest>,
    #[prost(message, optional, tag = "5")]
    pub subscribe: Option<SubscribeRequest>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ConnectRequest {
    #[prost(string, tag = "1")]
    pub token: String,
    #[prost(string, tag = "4")]
    pub name: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct SubscribeRequest {
    #[prost(string, tag = "1")]
    pub channel: String,
    #[prost(bool, tag = "3")]
    pub recover: bool,
    #[prost(string, tag = "6")]
    pub epoch: String,
    #[prost(uint64, tag = "7")]
    pub offset: u64,
}

/// The default message, which has no bytes, is a ping.
#[derive(Clone, PartialEq, Message)]
pub struct Reply {
    #[prost(uint32, tag = "1")]
    pub id: u32,
    #[prost(message, optional, tag = "2")]
    pub error: Option<ErrorReply>,
    #[prost(message, optional, tag = "4")]
    pub push: Option<Push>,
    #[prost(message, optional, tag = "5")]
    pub connect: Option<ConnectResult>,
    #[prost(message, optional, tag = "6")]
    pub subscribe: Option<SubscribeResult>,
}

#[derive(Clone, PartialEq, Message)]
pub struct ErrorReply {
    #[prost(uint32, tag = "1")]
    pub code: u32,
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(bool, tag = "3")]
    pub temporary: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct Push {
    #[prost(string, tag = "2")]
    pub channel: String,
    #[prost(message, optional, tag = "4")]
    pub publication: Option<Publication>,
    #[prost(message, optional, tag = "7")]
    pub unsubscribe: Option<Unsubscribe>,
}

#[derive(Clone, PartialEq, Message)]
pub struct Publication {
    #[prost(bytes = "vec", tag = "4")]
    pub data: Vec<u8>,
    #[prost(uint64, tag = "6")]
    pub offset: u64,
}

#[derive(Clone, PartialEq, Message)]
pub struct Unsubscribe {
    #[prost(uint32, tag = "2")]
    pub code: u32,
    #[prost(string, tag = "3")]
    pub reason: String,
}

#[derive(Clone, PartialEq, Message)]
pub struct ConnectResult {
    #[prost(string, tag = "1")]
    pub client: String,
    #[prost(uint32, tag = "7")]
    pub ping: u32,
    #[prost(bool, tag = "8")]
    pub pong: bool,
}

#[derive(Clone, PartialEq, Message)]
pub struct SubscribeResult {
    #[prost(bool, tag = "3")]
    pub recoverable: bool,
    #[prost(string, tag = "6")]
    pub epoch: String,
    #[prost(message, repeated, tag = "7")]
    pub publications: Vec<Publication>,
    #[prost(bool, tag = "8")]
    pub recovered: bool,
    #[prost(uint64, tag = "9")]
    pub offset: u64,
    #[prost(bytes = "vec", tag = "11")]
    pub data: Vec<u8>,
}

impl From<&ClientCommand<'_>> for Command {
    fn from(command: &ClientCommand<'_>) -> Self {
        match *command {
            ClientCommand::Connect { id, token } => {
                let connect =
                    ConnectRequest { token: token.to_owned(), name: "testing".to_owned() };
                Self { id, connect: Some(connect), subscribe: None }
            }
            ClientCommand::Subscribe { id, channel, since } => {
                let (epoch, offset) = since.unwrap_or_default();
                let subscribe = SubscribeRequest {
                    channel: channel.to_owned(),
                    recover: since.is_some(),
                    epoch: since.map(|_| epoch.to_string()).unwrap_or_default(),
                    offset,
                };
                Self { id, connect: None, subscribe: Some(subscribe) }
            }
            ClientCommand::Pong => Self::default(),
        }
    }
}

/// Payloads are JSON in this encoding too.
fn raw_json(bytes: &[u8]) -> Option<&RawValue> {
    serde_json::from_slice(bytes).ok()
}

impl Publication {
    fn borrowed(&self) -> Option<messages::Publication<'_>> {
        Some(messages::Publication { data: raw_json(&self.data)?, offset: self.offset })
    }
}

impl Reply {
    /// The message as it is read from JSON, or `None` when a payload is not JSON.
    #[must_use]
    pub fn borrowed(&self) -> Option<messages::Reply<'_>> {
        let error = self.error.as_ref().map(|error| messages::ErrorReply {
            code: error.code,
            message: (&*error.message).into(),
            temporary: error.temporary,
        });
        let connect = self.connect.as_ref();
        let connect =
            connect.map(|it| messages::ConnectResult { ping: u64::from(it.ping), pong: it.pong });
        let subscribe = match &self.subscribe {
            Some(result) => Some(result.borrowed()?),
            None => None,
        };
        let push = match &self.push {
            Some(push) => Some(push.borrowed()?),
            None => None,
        };
        Some(messages::Reply { id: self.id, error, connect, subscribe, push })
    }
}

impl SubscribeResult {
    fn borrowed(&self) -> Option<messages::SubscribeResult<'_>> {
        let publications =
            self.publications.iter().map(Publication::borrowed).collect::<Option<_>>()?;
        Some(messages::SubscribeResult {
            epoch: (&*self.epoch).into(),
            offset: self.offset,
            recoverable: self.recoverable,
            recovered: self.recovered,
            data: match self.data.is_empty() {
                true => None,
                false => Some(raw_json(&self.data)?),
            },
            publications,
        })
    }
}

impl Push {
    fn borrowed(&self) -> Option<messages::Push<'_>> {
        let publication = match &self.publication {
            Some(publication) => Some(publication.borrowed()?),
            None => None,
        };
        let unsubscribe = self.unsubscribe.as_ref();
        let unsubscribe = unsubscribe
            .map(|it| messages::Unsubscribe { code: it.code, reason: (&*it.reason).into() });
        Some(messages::Push { publication, unsubscribe })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subscribe_has_the_bytes_of_the_schema() {
        let command = ClientCommand::Subscribe { id: 2, channel: "board:r", since: Some((7, 300)) };
        let expected: &[u8] = &[
            8, 2, 42, 17, 10, 7, b'b', b'o', b'a', b'r', b'd', b':', b'r', 24, 1, 50, 1, b'7', 56,
            172, 2,
        ];
        assert_eq!(Command::from(&command).encode_to_vec(), expected);
        assert_eq!(Command::from(&ClientCommand::Pong).encode_to_vec(), [0_u8; 0]);
    }

    #[test]
    fn publication_is_read_from_schema_bytes() {
        let bytes: &[u8] = &[34, 12, 18, 1, b'c', 34, 7, 34, 2, b'{', b'}', 48, 172, 2];
        let reply = Reply::decode(bytes).expect("a reply");
        let reply = reply.borrowed().expect("JSON in it");
        let publication = reply.push.and_then(|push| push.publication).expect("a publication");
        assert_eq!((publication.data.get(), publication.offset), ("{}", 300));
    }

    #[test]
    fn payload_without_json_is_rejected() {
        let publication = Publication { data: b"{".to_vec(), offset: 1 };
        let push = Push { publication: Some(publication), ..Push::default() };
        assert!(Reply { push: Some(push), ..Reply::default() }.borrowed().is_none());
    }
}
