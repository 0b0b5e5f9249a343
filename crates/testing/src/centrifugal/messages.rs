//! Messages in both directions. Those from the server are read with little work: text stays
//! borrowed, and payloads stay unparsed.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A message to the server.
pub enum ClientCommand<'a> {
    Connect {
        id: u32,
        token: &'a str,
    },
    /// Resumes from `since`, an epoch and an offset, where it is given.
    Subscribe {
        id: u32,
        channel: &'a str,
        since: Option<(u64, u64)>,
    },
    Pong,
}

/// A message from the server.
pub enum ServerMessage<'a> {
    Ping,
    Reply(Reply<'a>),
}

/// A reply or a push.
#[derive(Deserialize)]
pub struct Reply<'a> {
    #[serde(default)]
    pub id: u32,
    #[serde(borrow)]
    pub error: Option<ErrorReply<'a>>,
    pub connect: Option<ConnectResult>,
    #[serde(borrow)]
    pub subscribe: Option<SubscribeResult<'a>>,
    #[serde(borrow)]
    pub push: Option<Push<'a>>,
}

#[derive(Deserialize)]
pub struct ErrorReply<'a> {
    pub code: u32,
    #[serde(default, borrow)]
    pub message: Cow<'a, str>,
    #[serde(default)]
    pub temporary: bool,
}

#[derive(Deserialize)]
pub struct ConnectResult {
    /// Seconds between pings; 0 or absent means none.
    #[serde(default)]
    pub ping: u64,
    #[serde(default)]
    pub pong: bool,
}

#[derive(Deserialize)]
pub struct SubscribeResult<'a> {
    #[serde(default, borrow)]
    pub epoch: Cow<'a, str>,
    #[serde(default)]
    pub offset: u64,
    #[serde(default)]
    pub recoverable: bool,
    #[serde(default)]
    pub recovered: bool,
    #[serde(borrow)]
    pub data: Option<&'a RawValue>,
    #[serde(default, borrow)]
    pub publications: Vec<Publication<'a>>,
}

#[derive(Deserialize)]
pub struct Push<'a> {
    #[serde(rename = "pub", borrow)]
    pub publication: Option<Publication<'a>>,
    #[serde(borrow)]
    pub unsubscribe: Option<Unsubscribe<'a>>,
}

#[derive(Deserialize)]
pub struct Publication<'a> {
    #[serde(borrow)]
    pub data: &'a RawValue,
    #[serde(default)]
    pub offset: u64,
}

#[derive(Deserialize)]
pub struct Unsubscribe<'a> {
    pub code: u32,
    #[serde(default, borrow)]
    pub reason: Cow<'a, str>,
}
