//! Messages of the Centrifugal protocol in Protobuf, as far as a follower uses them: written down here from its
//! public schema (`client.proto`), so that a mistake in the server's own is not made twice.

use prost::Message;
use serde_json::value::RawValue;

use super::form;
use crate::frames;

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

/// The default one, of no bytes, is a ping.
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

impl From<&form::Command<'_>> for Command {
    fn from(command: &form::Command<'_>) -> Self {
        match *command {
            form::Command::Connect { id, token } => {
                let connect = ConnectRequest { token: token.to_owned(), name: "swarm".to_owned() };
                Self { id, connect: Some(connect), subscribe: None }
            }
            form::Command::Subscribe { id, channel, since } => {
                let (epoch, offset) = since.unwrap_or_default();
                let subscribe = SubscribeRequest {
                    channel: channel.to_owned(),
                    recover: since.is_some(),
                    epoch: since.map(|_| epoch.to_string()).unwrap_or_default(),
                    offset,
                };
                Self { id, connect: None, subscribe: Some(subscribe) }
            }
            form::Command::Pong => Self::default(),
        }
    }
}

/// Payloads are JSON in this form too.
fn text(bytes: &[u8]) -> Option<&RawValue> {
    serde_json::from_slice(bytes).ok()
}

impl Publication {
    fn borrowed(&self) -> Option<frames::Publication<'_>> {
        Some(frames::Publication { data: text(&self.data)?, offset: self.offset })
    }
}

impl Reply {
    /// The same as a message in JSON is read; none when a payload is no JSON.
    #[must_use]
    pub fn borrowed(&self) -> Option<frames::Reply<'_>> {
        let error = self.error.as_ref().map(|error| frames::ErrorReply {
            code: error.code,
            message: (&*error.message).into(),
            temporary: error.temporary,
        });
        let connect = self.connect.as_ref();
        let connect =
            connect.map(|it| frames::ConnectResult { ping: u64::from(it.ping), pong: it.pong });
        let subscribe = match &self.subscribe {
            Some(result) => Some(result.borrowed()?),
            None => None,
        };
        let push = match &self.push {
            Some(push) => Some(push.borrowed()?),
            None => None,
        };
        Some(frames::Reply { id: self.id, error, connect, subscribe, push })
    }
}

impl SubscribeResult {
    fn borrowed(&self) -> Option<frames::SubscribeResult<'_>> {
        let publications =
            self.publications.iter().map(Publication::borrowed).collect::<Option<_>>()?;
        Some(frames::SubscribeResult {
            epoch: (&*self.epoch).into(),
            offset: self.offset,
            recoverable: self.recoverable,
            recovered: self.recovered,
            data: match self.data.is_empty() {
                true => None,
                false => Some(text(&self.data)?),
            },
            publications,
        })
    }
}

impl Push {
    fn borrowed(&self) -> Option<frames::Push<'_>> {
        let publication = match &self.publication {
            Some(publication) => Some(publication.borrowed()?),
            None => None,
        };
        let unsubscribe = self.unsubscribe.as_ref();
        let unsubscribe = unsubscribe
            .map(|it| frames::Unsubscribe { code: it.code, reason: (&*it.reason).into() });
        Some(frames::Push { publication, unsubscribe })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subscribe_has_the_bytes_of_the_schema() {
        let command = form::Command::Subscribe { id: 2, channel: "board:r", since: Some((7, 300)) };
        let expected: &[u8] = &[
            8, 2, 42, 17, 10, 7, b'b', b'o', b'a', b'r', b'd', b':', b'r', 24, 1, 50, 1, b'7', 56,
            172, 2,
        ];
        assert_eq!(Command::from(&command).encode_to_vec(), expected);
        assert_eq!(Command::from(&form::Command::Pong).encode_to_vec(), [0_u8; 0]);
    }

    #[test]
    fn a_publication_is_read_from_the_bytes_of_the_schema() {
        let bytes: &[u8] = &[34, 12, 18, 1, b'c', 34, 7, 34, 2, b'{', b'}', 48, 172, 2];
        let reply = Reply::decode(bytes).expect("a reply");
        let reply = reply.borrowed().expect("JSON in it");
        let publication = reply.push.and_then(|push| push.publication).expect("a publication");
        assert_eq!((publication.data.get(), publication.offset), ("{}", 300));
    }

    #[test]
    fn a_payload_that_is_no_json_is_not_taken_for_one() {
        let publication = Publication { data: b"{".to_vec(), offset: 1 };
        let push = Push { publication: Some(publication), ..Push::default() };
        assert!(Reply { push: Some(push), ..Reply::default() }.borrowed().is_none());
    }
}
