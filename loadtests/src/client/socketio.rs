//! A Socket.IO v5 client over a WebSocket (Engine.IO v4) that behaves as the published JavaScript
//! client does: it answers pings, treats silence as a lost connection, and reconnects with jitter
//! from the held position.

use std::{borrow::Cow, pin::pin, time::Duration};

use futures_util::{SinkExt, StreamExt};
use serde::Deserialize;
use serde_json::{json, value::RawValue};
use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::tungstenite::Message;

use super::{
    ConnectionEnd, SharedState, SwarmClient, now_us,
    ws::{HANDSHAKE, open},
};
use crate::{breach::Breach, payloads::StreamData};

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
/// The id of the only acknowledgement that is requested: that of the subscription.
const SUBSCRIBE: &str = "0";

/// The reaction to a packet.
enum Reaction {
    Nothing,
    Send(String),
    End(ConnectionEnd),
}

/// The first packet of a transport; times in milliseconds.
#[derive(Deserialize)]
struct OpenPacket {
    #[serde(rename = "pingInterval")]
    ping_interval: u64,
    #[serde(rename = "pingTimeout")]
    ping_timeout: u64,
}

/// The reason of a refusal.
#[derive(Deserialize)]
struct ErrorEvent<'a> {
    #[serde(borrow)]
    code: Cow<'a, str>,
    #[serde(default)]
    retry: bool,
}

/// The acknowledgement of a subscription.
#[derive(Deserialize)]
struct SubscribeAck<'a> {
    #[serde(borrow)]
    error: Option<ErrorEvent<'a>>,
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
struct ViewEvent<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    epoch: Cow<'a, str>,
    version: u64,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// The last event before the server closes the connection.
#[derive(Deserialize)]
struct CloseEvent {
    code: u16,
    reconnect: bool,
}

struct Session<'a> {
    follower: &'a SwarmClient,
    hub: &'a SharedState,
    permit: Option<OwnedSemaphorePermit>,
    silence: Duration,
    /// When the last packet arrived.
    last_packet: Instant,
    /// The deadline for the acknowledgement of the subscription.
    due: Option<Instant>,
}

/// Follows the channel over one connection, from dialling to its end.
pub async fn follow(
    follower: &SwarmClient,
    hub: &SharedState,
    permit: Option<OwnedSemaphorePermit>,
) -> ConnectionEnd {
    let Ok(Ok(mut socket)) = timeout(HANDSHAKE, open(follower, PATH, None)).await else {
        return ConnectionEnd::Lost(None);
    };
    let last_packet = Instant::now();
    let due = Some(last_packet + HANDSHAKE);
    let mut session = Session { follower, hub, permit, silence: HANDSHAKE, last_packet, due };
    let mut timer = pin!(sleep_until(session.wake_at()));
    let mut cut = pin!(follower.cut.notified());
    loop {
        let next = tokio::select! {
            biased;
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => session.packet(&text),
                Some(Ok(Message::Binary(_))) => malformed("a binary packet"),
                Some(Ok(Message::Close(_)) | Err(_)) | None => {
                    Reaction::End(ConnectionEnd::Lost(None))
                }
                Some(Ok(_)) => Reaction::Nothing,
            },
            () = &mut timer => {
                if session.wake_at() <= Instant::now() {
                    return ConnectionEnd::Lost(None);
                }
                timer.as_mut().reset(session.wake_at());
                Reaction::Nothing
            }
            () = &mut cut => Reaction::End(ConnectionEnd::Cut),
        };
        match next {
            Reaction::Nothing => {}
            Reaction::Send(text) => {
                if socket.send(Message::text(text)).await.is_err() {
                    return ConnectionEnd::Lost(None);
                }
            }
            Reaction::End(ended) => return ended,
        }
    }
}

fn malformed(what: &str) -> Reaction {
    Reaction::End(ConnectionEnd::Final(Breach::Malformed, what.to_owned()))
}

fn turned_away(why: String) -> Reaction {
    Reaction::End(ConnectionEnd::Final(Breach::TurnedAway, why))
}

impl Session<'_> {
    fn wake_at(&self) -> Instant {
        let silent_at = self.last_packet + self.silence;
        self.due.map_or(silent_at, |due| due.min(silent_at))
    }

    /// Handles one Engine.IO packet, which is one WebSocket frame.
    fn packet(&mut self, text: &str) -> Reaction {
        self.last_packet = Instant::now();
        let kinds = [EVENT, ACK, CONNECT, DISCONNECT, CONNECT_ERROR, PING, OPEN, CLOSE];
        let known = kinds.into_iter().find_map(|kind| Some((kind, text.strip_prefix(kind)?)));
        match known {
            Some((EVENT, body)) => self.event(body),
            Some((ACK, body)) => self.answered(body),
            Some((PING, "")) => Reaction::Send(PONG.to_owned()),
            Some((OPEN, body)) => self.opened(body),
            Some((CONNECT, _)) => Reaction::Send(self.subscribe()),
            // The published client does not reconnect after either of the two.
            Some((DISCONNECT, _)) => turned_away("disconnected by the server".to_owned()),
            Some((CONNECT_ERROR, body)) => turned_away(format!("connect was refused: {body}")),
            Some((CLOSE, _)) => Reaction::End(ConnectionEnd::Lost(None)),
            _ => malformed("a packet of an unknown kind"),
        }
    }

    fn opened(&mut self, body: &str) -> Reaction {
        let Ok(OpenPacket { ping_interval, ping_timeout }) = serde_json::from_str(body) else {
            return malformed("an open packet that cannot be read");
        };
        self.silence = Duration::from_millis(ping_interval + ping_timeout);
        Reaction::Send(format!("{CONNECT}{}", json!({"token": self.hub.token})))
    }

    fn subscribe(&self) -> String {
        let mut request = json!({"channel": self.follower.channel});
        if let Some((epoch, version)) = self.follower.watch().position() {
            request["epoch"] = epoch.to_string().into();
            request["version"] = version.into();
        }
        format!("{EVENT}{SUBSCRIBE}{}", json!(["subscribe", request]))
    }

    fn answered(&mut self, body: &str) -> Reaction {
        let answer =
            body.strip_prefix(SUBSCRIBE).map(serde_json::from_str::<[SubscribeAck<'_>; 1]>);
        let Some(Ok([answer])) = answer else {
            return malformed("an acknowledgement that cannot be read");
        };
        match answer.error {
            Some(ErrorEvent { retry: true, .. }) => {
                return Reaction::End(ConnectionEnd::Lost(None));
            }
            Some(ErrorEvent { code, .. }) => {
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
        Reaction::Nothing
    }

    fn event(&mut self, body: &str) -> Reaction {
        let now_us = now_us();
        let Ok((name, body)) = serde_json::from_str::<(Cow<'_, str>, &RawValue)>(body) else {
            return malformed("an event that cannot be read");
        };
        match &*name {
            "error" => match serde_json::from_str(body.get()) {
                Ok(ErrorEvent { retry: true, .. }) => Reaction::End(ConnectionEnd::Lost(None)),
                Ok(ErrorEvent { code, .. }) => turned_away(format!("unsubscribed with {code}")),
                Err(_) => malformed("an error event that cannot be read"),
            },
            "close" => match serde_json::from_str(body.get()) {
                // The server closes the transport next.
                Ok(CloseEvent { reconnect: true, .. }) => Reaction::Nothing,
                Ok(CloseEvent { code, .. }) => {
                    turned_away(format!("closed for good with code {code}"))
                }
                Err(_) => malformed("a close event that cannot be read"),
            },
            kind if self.follower.channel.split(':').next() == Some(kind) => {
                let Ok(event) = serde_json::from_str::<ViewEvent<'_>>(body.get()) else {
                    return malformed("a view's event that cannot be read");
                };
                let data =
                    StreamData { epoch: event.epoch, offset: event.version, data: event.data };
                self.follower.watch().event(&event.kind, &data, false, now_us);
                Reaction::Nothing
            }
            _ => malformed("an unexpected event"),
        }
    }
}
