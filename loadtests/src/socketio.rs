//! A Socket.IO v5 client over a raw WebSocket (Engine.IO v4), behaving as the published JavaScript client does: it
//! answers pings, takes silence for the end, and comes back with jitter, with the position it holds.

use std::{borrow::Cow, pin::pin, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::tungstenite::Message;

use crate::{
    breach::Breach,
    follower::{Ended, Follower, Hub, now_us},
    frames::StreamData,
    ws::{HANDSHAKE, open},
};

const PATH: &str = "/socket.io/?EIO=4&transport=websocket";
/// Packet types of Engine.IO, and those of Socket.IO behind a message.
const OPEN: &str = "0";
const CLOSE: &str = "1";
const PING: &str = "2";
const PONG: &str = "3";
const CONNECT: &str = "40";
const DISCONNECT: &str = "41";
const EVENT: &str = "42";
const ACK: &str = "43";
const CONNECT_ERROR: &str = "44";
/// Id of the only acknowledgement that is asked for, that of the subscription.
const SUBSCRIBE: &str = "0";

/// What to do after a packet.
enum Next {
    Nothing,
    Send(String),
    End(Ended),
}

/// What opens the transport; milliseconds.
#[derive(Deserialize)]
struct Opened {
    #[serde(rename = "pingInterval")]
    ping_interval: u64,
    #[serde(rename = "pingTimeout")]
    ping_timeout: u64,
}

/// Why something was refused.
#[derive(Deserialize)]
struct Refusal<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(default)]
    retry: bool,
}

/// The acknowledgement of a subscribe.
#[derive(Deserialize)]
struct Subscribed<'a> {
    #[serde(borrow)]
    error: Option<Refusal<'a>>,
    #[serde(default, borrow)]
    epoch: Cow<'a, str>,
    #[serde(default)]
    version: u64,
    #[serde(default)]
    recovered: bool,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// An event of the followed channel.
#[derive(Deserialize)]
struct Told<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    epoch: Cow<'a, str>,
    version: u64,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// The last event of a connection that the server ends.
#[derive(Deserialize)]
struct Closing {
    code: u16,
    reconnect: bool,
}

struct Session<'a> {
    follower: &'a Follower,
    hub: &'a Hub,
    permit: Option<OwnedSemaphorePermit>,
    silence: Duration,
    heard: Instant,
    /// When the subscription has to be answered.
    due: Option<Instant>,
}

/// One connection, from dialling to its end.
pub async fn follow(follower: &Follower, hub: &Hub, permit: Option<OwnedSemaphorePermit>) -> Ended {
    let Ok(Ok(mut socket)) = timeout(HANDSHAKE, open(follower, PATH, None)).await else {
        return Ended::Lost(None);
    };
    let heard = Instant::now();
    let due = Some(heard + HANDSHAKE);
    let mut session = Session { follower, hub, permit, silence: HANDSHAKE, heard, due };
    let mut timer = pin!(sleep_until(session.wake_at()));
    let mut cut = pin!(follower.cut.notified());
    loop {
        let next = tokio::select! {
            biased;
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => session.packet(&text),
                Some(Ok(Message::Binary(_))) => malformed("a binary packet, which no view has"),
                Some(Ok(Message::Close(_)) | Err(_)) | None => Next::End(Ended::Lost(None)),
                Some(Ok(_)) => Next::Nothing,
            },
            () = &mut timer => {
                if session.wake_at() <= Instant::now() {
                    return Ended::Lost(None);
                }
                timer.as_mut().reset(session.wake_at());
                Next::Nothing
            }
            () = &mut cut => Next::End(Ended::Cut),
        };
        match next {
            Next::Nothing => {}
            Next::Send(text) => {
                if socket.send(Message::text(text)).await.is_err() {
                    return Ended::Lost(None);
                }
            }
            Next::End(ended) => return ended,
        }
    }
}

fn malformed(what: &str) -> Next {
    Next::End(Ended::Final(Breach::Malformed, what.to_owned()))
}

fn turned_away(why: String) -> Next {
    Next::End(Ended::Final(Breach::TurnedAway, why))
}

impl Session<'_> {
    fn wake_at(&self) -> Instant {
        let silent_at = self.heard + self.silence;
        self.due.map_or(silent_at, |due| due.min(silent_at))
    }

    /// One Engine.IO packet, which is one WebSocket frame.
    fn packet(&mut self, text: &str) -> Next {
        self.heard = Instant::now();
        let kinds = [EVENT, ACK, CONNECT, DISCONNECT, CONNECT_ERROR, PING, OPEN, CLOSE];
        let known = kinds.into_iter().find_map(|kind| Some((kind, text.strip_prefix(kind)?)));
        match known {
            Some((EVENT, body)) => self.event(body),
            Some((ACK, body)) => self.answered(body),
            Some((PING, "")) => Next::Send(PONG.to_owned()),
            Some((OPEN, body)) => self.opened(body),
            Some((CONNECT, _)) => Next::Send(self.subscribe()),
            // The published client does not come back after either of the two.
            Some((DISCONNECT, _)) => turned_away("disconnected by the server".to_owned()),
            Some((CONNECT_ERROR, body)) => turned_away(format!("connect was refused: {body}")),
            Some((CLOSE, _)) => Next::End(Ended::Lost(None)),
            _ => malformed("a packet of no kind"),
        }
    }

    fn opened(&mut self, body: &str) -> Next {
        let Ok(Opened { ping_interval, ping_timeout }) = serde_json::from_str(body) else {
            return malformed("an open packet that cannot be read");
        };
        self.silence = Duration::from_millis(ping_interval + ping_timeout);
        Next::Send(format!("{CONNECT}{}", json!({"token": self.hub.token})))
    }

    fn subscribe(&self) -> String {
        let mut request = json!({"channel": self.follower.channel});
        if let Some((epoch, version)) = self.follower.watch().position() {
            request["epoch"] = epoch.to_string().into();
            request["version"] = version.into();
        }
        format!("{EVENT}{SUBSCRIBE}{}", json!(["subscribe", request]))
    }

    fn answered(&mut self, body: &str) -> Next {
        let answer = body.strip_prefix(SUBSCRIBE).map(serde_json::from_str::<[Subscribed<'_>; 1]>);
        let Some(Ok([answer])) = answer else {
            return malformed("an acknowledgement that cannot be read");
        };
        match answer.error {
            Some(Refusal { retry: true, .. }) => return Next::End(Ended::Lost(None)),
            Some(Refusal { code, .. }) => {
                return turned_away(format!("subscribe was refused with {code}"));
            }
            None => {}
        }
        self.due = None;
        let now_us = now_us();
        let mut watch = self.follower.watch();
        watch.began(&answer.epoch, answer.recovered, now_us);
        match (answer.recovered, answer.data) {
            (false, Some(data)) => watch.whole(answer.version, data),
            (false, None) => watch.note(Breach::Malformed, "neither recovered nor a snapshot"),
            (true, data) => {
                if let Some(data) = data {
                    watch.step(answer.version, data, now_us, false);
                }
                watch.moved_to(answer.version);
            }
        }
        drop(watch);
        self.follower.became_live(&mut self.permit);
        Next::Nothing
    }

    fn event(&mut self, body: &str) -> Next {
        let now_us = now_us();
        let Ok((name, body)) = serde_json::from_str::<(Cow<'_, str>, &RawValue)>(body) else {
            return malformed("an event that cannot be read");
        };
        match &*name {
            "error" => match serde_json::from_str(body.get()) {
                Ok(Refusal { retry: true, .. }) => Next::End(Ended::Lost(None)),
                Ok(Refusal { code, .. }) => turned_away(format!("unsubscribed with {code}")),
                Err(_) => malformed("an error event that cannot be read"),
            },
            "close" => match serde_json::from_str(body.get()) {
                // The transport ends by itself.
                Ok(Closing { reconnect: true, .. }) => Next::Nothing,
                Ok(Closing { code, .. }) => {
                    turned_away(format!("closed for good with code {code}"))
                }
                Err(_) => malformed("a close event that cannot be read"),
            },
            kind if self.follower.channel.split(':').next() == Some(kind) => {
                let Ok(told) = serde_json::from_str::<Told<'_>>(body.get()) else {
                    return malformed("a view's event that cannot be read");
                };
                let data = StreamData { epoch: told.epoch, offset: told.version, data: told.data };
                self.follower.watch().told(&told.kind, &data, false, now_us);
                Next::Nothing
            }
            _ => malformed("an event nobody asked for"),
        }
    }
}
