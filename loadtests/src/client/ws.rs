//! A WebSocket client of the Centrifugal protocol that behaves as the published JavaScript SDK
//! does.

use std::{ops::ControlFlow, pin::pin, time::Duration};

use anyhow::{Context, Result};
use futures_util::{SinkExt, StreamExt};
use testing::{
    centrifugal::{
        PATH,
        encoding::Encoding,
        messages::{ClientCommand, ErrorReply, Push, Reply, ServerMessage, SubscribeResult},
    },
    websocket::{self, Handshake},
};
use tokio::{
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::CloseFrame},
};

use super::{ConnectionEnd, SharedState, SwarmClient, backoff, now_us};
use crate::breach::Breach;

/// The time limit for TCP and the upgrade together.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(10);
/// The SDK waits 5 s for a reply, then reconnects.
const REPLY: Duration = Duration::from_secs(5);
/// The SDK considers a connection dead when no frame arrives for the ping interval plus 10 s.
const GRACE: Duration = Duration::from_secs(10);
/// The id of the connect command. Each subscribe command has the next one.
const CONNECT: u32 = 1;

/// The reaction to a message.
enum Reaction {
    Nothing,
    Send(Message),
    End(ConnectionEnd),
}

struct Session<'a> {
    follower: &'a SwarmClient,
    hub: &'a SharedState,
    encoding: Encoding,
    permit: Option<OwnedSemaphorePermit>,
    last_id: u32,
    pong: bool,
    silence: Duration,
    /// When the last frame arrived.
    last_frame: Instant,
    reply_due: Option<Instant>,
    resubscribe_at: Option<Instant>,
    failures: u32,
}

/// Follows the channel over one connection, from dialling to its end.
pub async fn follow(
    follower: &SwarmClient,
    hub: &SharedState,
    encoding: Encoding,
    permit: Option<OwnedSemaphorePermit>,
) -> ConnectionEnd {
    let opening = open(follower, PATH, encoding.subprotocol());
    let Ok(Ok(mut socket)) = timeout(HANDSHAKE, opening).await else {
        return ConnectionEnd::Lost(None);
    };
    let mut session = Session::new(follower, hub, encoding, permit);
    if socket.send(session.hello()).await.is_err() {
        return ConnectionEnd::Lost(None);
    }
    let mut timer = pin!(sleep_until(session.wake_at()));
    let mut cut = pin!(follower.cut.notified());
    loop {
        let next = tokio::select! {
            biased;
            message = socket.next() => match message {
                Some(Ok(frame @ (Message::Text(_) | Message::Binary(_)))) => session.frame(&frame),
                Some(Ok(Message::Close(frame))) => Reaction::End(closed(frame.as_ref())),
                Some(Ok(_)) => Reaction::Nothing,
                Some(Err(_)) | None => Reaction::End(ConnectionEnd::Lost(None)),
            },
            () = &mut timer => {
                let next = session.timer();
                timer.as_mut().reset(session.wake_at());
                next
            }
            () = &mut cut => Reaction::End(ConnectionEnd::Cut),
        };
        match next {
            Reaction::Nothing => {}
            Reaction::Send(frame) => {
                if socket.send(frame).await.is_err() {
                    return ConnectionEnd::Lost(None);
                }
            }
            Reaction::End(ended) => return ended,
        }
        if session.wake_at() < timer.deadline() {
            timer.as_mut().reset(session.wake_at());
        }
    }
}

/// Opens a WebSocket at this path of the client's node.
///
/// # Errors
/// When the node does not upgrade the connection to the subprotocol.
pub(crate) async fn open(
    follower: &SwarmClient,
    path: &str,
    subprotocol: Option<&'static str>,
) -> Result<WebSocketStream<TcpStream>> {
    let tcp = follower.dial().await.context("connect")?;
    let handshake = Handshake { subprotocol, origin: None };
    websocket::open(tcp, &follower.node.authority, path, handshake).await
}

/// The rule of the SDKs for close codes: some of them end a client for good.
fn closed(frame: Option<&CloseFrame>) -> ConnectionEnd {
    let code = frame.map_or(1006, |frame| u16::from(frame.code));
    match code {
        3500..=3999 | 4500..=4999 => {
            ConnectionEnd::Final(Breach::TurnedAway, format!("closed for good with code {code}"))
        }
        _ => ConnectionEnd::Lost(None),
    }
}

impl<'a> Session<'a> {
    fn new(
        follower: &'a SwarmClient,
        hub: &'a SharedState,
        encoding: Encoding,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let now = Instant::now();
        Self {
            follower,
            hub,
            encoding,
            permit,
            last_id: CONNECT,
            pong: false,
            silence: REPLY + GRACE,
            last_frame: now,
            reply_due: Some(now + REPLY),
            resubscribe_at: None,
            failures: 0,
        }
    }

    /// Connects and subscribes in one frame, as the JavaScript SDK does.
    fn hello(&mut self) -> Message {
        let connect = ClientCommand::Connect { id: CONNECT, token: &self.hub.token };
        let subscribe = self.subscription();
        self.encoding.encode(&[connect, subscribe])
    }

    fn subscribe(&mut self) -> Message {
        let subscribe = self.subscription();
        self.encoding.encode(&[subscribe])
    }

    fn subscription(&mut self) -> ClientCommand<'a> {
        self.last_id += 1;
        self.resubscribe_at = None;
        self.reply_due = Some(Instant::now() + REPLY);
        let since = self.follower.watch().position();
        ClientCommand::Subscribe { id: self.last_id, channel: &self.follower.channel, since }
    }

    fn wake_at(&self) -> Instant {
        let silent_at = self.last_frame + self.silence;
        [self.reply_due, self.resubscribe_at].into_iter().flatten().fold(silent_at, Instant::min)
    }

    fn timer(&mut self) -> Reaction {
        let now = Instant::now();
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.reply_due) || self.last_frame + self.silence <= now {
            Reaction::End(ConnectionEnd::Lost(None))
        } else if due(self.resubscribe_at) {
            Reaction::Send(self.subscribe())
        } else {
            Reaction::Nothing
        }
    }

    /// Handles one WebSocket frame, which has any number of messages.
    fn frame(&mut self, frame: &Message) -> Reaction {
        self.last_frame = Instant::now();
        let now_us = now_us();
        let mut next = Reaction::Nothing;
        let mut publications = false;
        let encoding = self.encoding;
        let read = encoding.decode_each(frame, |message| {
            let step = match message {
                ServerMessage::Ping if self.pong => {
                    Reaction::Send(encoding.encode(&[ClientCommand::Pong]))
                }
                ServerMessage::Ping => Reaction::Nothing,
                ServerMessage::Reply(Reply { push: Some(push), .. }) => {
                    publications |= push.publication.is_some();
                    self.push(&push, now_us)
                }
                ServerMessage::Reply(reply) => self.reply(&reply, now_us),
            };
            match step {
                Reaction::Nothing => ControlFlow::Continue(()),
                Reaction::Send(_) => {
                    next = step;
                    ControlFlow::Continue(())
                }
                Reaction::End(_) => {
                    next = step;
                    ControlFlow::Break(())
                }
            }
        });
        if read.is_err() {
            let what = "a message that cannot be read".to_owned();
            return Reaction::End(ConnectionEnd::Final(Breach::Malformed, what));
        }
        self.follower.watch().frames += u64::from(publications);
        next
    }

    fn reply(&mut self, reply: &Reply<'_>, now_us: i64) -> Reaction {
        if let Some(error) = &reply.error {
            return self.refused(reply.id, error);
        }
        if let Some(connected) = &reply.connect {
            self.pong = connected.pong;
            if connected.ping > 0 {
                self.silence = Duration::from_secs(connected.ping) + GRACE;
            }
        }
        if let Some(subscribed) = &reply.subscribe {
            self.subscribed(subscribed, now_us);
        }
        Reaction::Nothing
    }

    fn refused(&mut self, id: u32, error: &ErrorReply<'_>) -> Reaction {
        let what = if id == CONNECT { "connect" } else { "subscribe" };
        if !error.temporary && error.code >= 100 {
            let why = format!("{what} was refused with error {} {}", error.code, error.message);
            return Reaction::End(ConnectionEnd::Final(Breach::TurnedAway, why));
        }
        if id == CONNECT {
            return Reaction::End(ConnectionEnd::Lost(None));
        }
        self.reply_due = None;
        self.resubscribe_at = Some(Instant::now() + backoff(self.failures));
        self.failures += 1;
        Reaction::Nothing
    }

    fn subscribed(&mut self, result: &SubscribeResult<'_>, now_us: i64) {
        self.reply_due = None;
        self.failures = 0;
        let mut watch = self.follower.watch();
        watch.began(&result.epoch, result.recovered, now_us);
        if !result.recoverable {
            watch.note(Breach::Malformed, "a subscription that is not recoverable");
        }
        match (result.recovered, result.data) {
            (false, Some(data)) => watch.whole(result.offset, data),
            (false, None) => watch.note(Breach::Malformed, "neither recovered nor a snapshot"),
            (true, _) => {
                // The offset of a result may be the requested one or the current one. An SDK takes
                // it and then advances with each publication.
                if result.offset < watch.offset() {
                    watch.moved_to(result.offset); // notes the step back
                }
                for publication in &result.publications {
                    watch.step(publication.offset, publication.data, now_us, false);
                }
                let reached = watch.offset().max(result.offset);
                watch.moved_to(reached);
            }
        }
        drop(watch);
        self.follower.became_live(&mut self.permit);
    }

    fn push(&mut self, push: &Push<'_>, now_us: i64) -> Reaction {
        if let Some(publication) = &push.publication {
            self.follower.watch().step(publication.offset, publication.data, now_us, true);
        }
        match &push.unsubscribe {
            // The SDK resubscribes at once.
            Some(unsubscribed) if unsubscribed.code >= 2500 => {
                self.follower.watch().losses += 1;
                Reaction::Send(self.subscribe())
            }
            Some(unsubscribed) => {
                let why =
                    format!("unsubscribed with code {} {}", unsubscribed.code, unsubscribed.reason);
                Reaction::End(ConnectionEnd::Final(Breach::TurnedAway, why))
            }
            None => Reaction::Nothing,
        }
    }
}
