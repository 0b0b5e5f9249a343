//! The events of Socket.IO clients, and the bodies of the events and acknowledgements sent to them.

use std::borrow::Cow;

use gateway_core::protocol::{Request, Start};
use schemas::{
    codes::{Close, Code},
    view::Position,
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::wire::frames::PublicationKind;

/// The `auth` object with which a client connects.
#[derive(Deserialize)]
pub struct Auth {
    #[serde(default)]
    pub token: String,
    /// Channels to subscribe to at once.
    #[serde(default)]
    pub subscribe: Vec<SubscribeRequest>,
}

/// A channel, and the position that a returning client holds.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct SubscribeRequest {
    pub channel: String,
    #[serde(default)]
    epoch: Option<Number>,
    #[serde(default)]
    version: Option<Number>,
}

/// Epochs are sent as text, as everywhere. Numbers are accepted too.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Number {
    Number(u64),
    Text(String),
}

impl Number {
    fn value(&self) -> Option<u64> {
        match self {
            Number::Number(value) => Some(*value),
            Number::Text(text) => text.parse().ok(),
        }
    }
}

impl SubscribeRequest {
    /// The position, if both of its parts can be read.
    fn since(&self) -> Option<Position> {
        let epoch = self.epoch.as_ref()?.value()?;
        let version = self.version.as_ref()?.value()?;
        (epoch > 0).then_some(Position { epoch, version })
    }
}

impl From<SubscribeRequest> for Request<'static> {
    fn from(request: SubscribeRequest) -> Self {
        let since = request.since();
        Request::Subscribe { channel: request.channel.into(), since }
    }
}

/// Reads an event, which has a name and one argument.
///
/// # Errors
/// `unknown_method` for an unknown name, `malformed` for any other fault.
pub fn read(text: &str) -> Result<Request<'static>, Code> {
    #[derive(Deserialize)]
    struct Unsubscribe {
        channel: String,
    }
    #[derive(Deserialize)]
    struct Refresh {
        token: String,
    }
    /// A name may be written with escapes, so it cannot always be borrowed.
    #[derive(Deserialize)]
    struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
    fn one<'a, T: Deserialize<'a>>(arguments: &[&'a RawValue]) -> Result<T, Code> {
        let [argument] = arguments else { return Err(Code::Malformed) };
        serde_json::from_str(argument.get()).map_err(|_| Code::Malformed)
    }
    let parts: Vec<&RawValue> = serde_json::from_str(text).map_err(|_| Code::Malformed)?;
    let (name, arguments) = parts.split_first().ok_or(Code::Malformed)?;
    let Name(name) = serde_json::from_str(name.get()).map_err(|_| Code::Malformed)?;
    match &*name {
        "subscribe" => one::<SubscribeRequest>(arguments).map(Request::from),
        "unsubscribe" => one(arguments)
            .map(|Unsubscribe { channel }| Request::Unsubscribe { channel: channel.into() }),
        "refresh" => {
            one(arguments).map(|Refresh { token }| Request::Refresh { token: token.into() })
        }
        _ => Err(Code::UnknownMethod),
    }
}

#[derive(Serialize)]
struct Error<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    channel: Option<&'a str>,
    code: Code,
    message: &'static str,
    /// Whether the same request may succeed later, or with a newer token.
    retry: bool,
}

impl<'a> Error<'a> {
    fn new(channel: Option<&'a str>, code: Code) -> Self {
        let retry = code.is_temporary() || code == Code::TokenExpired;
        Self { channel, code, message: code.title(), retry }
    }
}

/// The acknowledgement of a refused request.
pub fn refusal(code: Code) -> impl Serialize {
    #[derive(Serialize)]
    struct Refusal {
        error: Error<'static>,
    }
    Refusal { error: Error::new(None, code) }
}

/// The `error` event, for a request without an acknowledgement.
pub fn error(channel: Option<&str>, code: Code) -> impl Serialize {
    Error::new(channel, code)
}

/// The acknowledgement of an `unsubscribe`.
pub fn unsubscribed(channel: &str) -> impl Serialize {
    #[derive(Serialize)]
    struct UnsubscribeEvent<'a> {
        channel: &'a str,
    }
    UnsubscribeEvent { channel }
}

/// The acknowledgement of a `refresh`: seconds until the new token expires.
pub fn refreshed(expires_in: u32) -> impl Serialize {
    #[derive(Serialize)]
    struct RefreshResult {
        expires_in: u32,
    }
    RefreshResult { expires_in }
}

/// The acknowledgement of a `subscribe`: the position, and the state or steps that the client
/// lacks.
pub fn subscribed<'a>(channel: &'a str, start: &Start<'a>) -> impl Serialize {
    #[derive(Serialize)]
    struct SubscribeResult<'a> {
        channel: &'a str,
        epoch: String,
        version: u64,
        recovered: bool,
        /// The position of the client was lost: `data` replaces a later version too.
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        reset: bool,
        #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
        kind: Option<&'static str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<&'a RawValue>,
    }
    let (position, recovered, reset, data) = match *start {
        Start::Snapshot { position, data, resets, .. } => (position, false, resets, Some(data)),
        Start::Recovered { position, missed, .. } => (position, true, false, missed),
    };
    let kind = match recovered {
        // Each publication of a ticket holds its whole state.
        _ if channel.starts_with("ticket:") => PublicationKind::State,
        true => PublicationKind::Delta,
        false => PublicationKind::Snapshot,
    };
    SubscribeResult {
        channel,
        epoch: position.epoch.to_string(),
        version: position.version,
        recovered,
        reset,
        kind: data.map(|_| kind.name()),
        data,
    }
}

/// The `close` event, the last of a connection. `reconnect` says whether the client should come
/// back.
pub fn close(close: Close) -> impl Serialize {
    #[derive(Serialize)]
    struct CloseEvent {
        code: u16,
        reason: &'static str,
        reconnect: bool,
    }
    CloseEvent { code: close.code(), reason: close.reason(), reconnect: close.should_reconnect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_has_a_known_name_and_one_argument() {
        let at = |epoch, version| Some(Position { epoch, version });
        for (text, since) in [
            (r#"["subscribe",{"channel":"board:r"}]"#, None),
            (r#"["subscribe",{"channel":"board:r","epoch":"7","version":9}]"#, at(7, 9)),
            (r#"["subscribe",{"channel":"board:r","epoch":7,"version":"9"}]"#, at(7, 9)),
            (r#"["subscribe",{"channel":"board:r","epoch":7}]"#, None),
            (r#"["subscribe",{"channel":"board:r","epoch":"x","version":9}]"#, None),
            (r#"["subscribe",{"channel":"board:r","epoch":0,"version":0}]"#, None),
        ] {
            let Ok(Request::Subscribe { channel, since: read }) = read(text) else {
                panic!("{text}")
            };
            assert_eq!((&*channel, read), ("board:r", since), "{text}");
        }
        for (text, code) in [
            (r#"["subscribe"]"#, Code::Malformed),
            (r#"["subscribe","board:r"]"#, Code::Malformed),
            (r#"["subscribe",{"channel":7}]"#, Code::Malformed),
            (r#"["subscribe",{"channel":"board:r"},1]"#, Code::Malformed),
            (r#"["subscribe",{"channel":"board:r","version":-1}]"#, Code::Malformed),
            (r#"["refresh",{}]"#, Code::Malformed),
            (r#"["publish",{}]"#, Code::UnknownMethod),
            (r#"["\u0070ublish\n",{}]"#, Code::UnknownMethod),
            (r#"["subscr\u0069be",{"channel":7}]"#, Code::Malformed),
            (r#"[{},{}]"#, Code::Malformed),
            (r#"["publish",1,2]"#, Code::UnknownMethod),
            (r#"{"subscribe":1}"#, Code::Malformed),
            ("[]", Code::Malformed),
            ("", Code::Malformed),
        ] {
            assert_eq!(read(text).err(), Some(code), "{text}");
        }
    }

    #[test]
    fn refusal_says_whether_a_retry_helps() {
        fn text(body: &impl Serialize) -> String {
            serde_json::to_string(body).unwrap()
        }
        assert_eq!(
            text(&refusal(Code::TryAgain)),
            concat!(
                r#"{"error":{"code":"try_again","message":"The server can't answer right now. "#,
                r#"Try again.","retry":true}}"#
            )
        );
        assert_eq!(
            text(&error(Some("board:r"), Code::Forbidden)),
            concat!(
                r#"{"channel":"board:r","code":"forbidden","#,
                r#""message":"Your role isn't allowed to do this at this location.","retry":false}"#
            )
        );
    }
}
