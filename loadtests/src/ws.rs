//! A WebSocket client of the Centrifugal protocol in JSON, behaving as the published JavaScript SDK does.

use std::{pin::pin, time::Duration};

use anyhow::{Context, Result};
use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::{
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Message,
        protocol::{CloseFrame, WebSocketConfig},
    },
};

use crate::{
    breach::Breach,
    follower::{Ended, Follower, Hub, backoff, now_us},
    frames::{ErrorReply, Push, Reply, SubscribeResult},
};

/// For TCP and the upgrade together.
const HANDSHAKE: Duration = Duration::from_secs(10);
/// The SDK gives a reply 5 s, then starts over.
const REPLY: Duration = Duration::from_secs(5);
/// The SDK takes a connection for dead after the ping interval and 10 s more without a frame.
const GRACE: Duration = Duration::from_secs(10);
/// Small frames only; the default of 128 KiB for each client would be the swarm's largest cost.
const READ_BUFFER: usize = 4096;

/// Ids of our commands: connect is the first, each subscribe takes the next.
const CONNECT: u32 = 1;

/// What to do after a message.
enum Next {
    Nothing,
    Send(String),
    End(Ended),
}

struct Session<'a> {
    follower: &'a Follower,
    hub: &'a Hub,
    permit: Option<OwnedSemaphorePermit>,
    last_id: u32,
    pong: bool,
    silence: Duration,
    heard: Instant,
    reply_due: Option<Instant>,
    resubscribe_at: Option<Instant>,
    failures: u32,
}

/// One connection, from dialling to its end.
pub async fn follow(follower: &Follower, hub: &Hub, permit: Option<OwnedSemaphorePermit>) -> Ended {
    let Ok(Ok(mut socket)) = timeout(HANDSHAKE, open(follower)).await else {
        return Ended::Lost(None);
    };
    let mut session = Session::new(follower, hub, permit);
    if socket.send(Message::text(session.hello())).await.is_err() {
        return Ended::Lost(None);
    }
    let mut timer = pin!(sleep_until(session.wake_at()));
    let mut cut = pin!(follower.cut.notified());
    loop {
        let next = tokio::select! {
            biased;
            message = socket.next() => match message {
                Some(Ok(Message::Text(text))) => session.frame(&text),
                Some(Ok(Message::Close(frame))) => Next::End(closed(frame.as_ref())),
                Some(Ok(_)) => Next::Nothing,
                Some(Err(_)) | None => Next::End(Ended::Lost(None)),
            },
            () = &mut timer => {
                let next = session.timer();
                timer.as_mut().reset(session.wake_at());
                next
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
        if session.wake_at() < timer.deadline() {
            timer.as_mut().reset(session.wake_at());
        }
    }
}

async fn open(follower: &Follower) -> Result<WebSocketStream<TcpStream>> {
    let stream = follower.dial().await.context("connect")?;
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER).write_buffer_size(0);
    let url = format!("ws://{}/connection/websocket", follower.node.authority);
    Ok(client_async_with_config(url, stream, Some(config)).await.context("upgrade")?.0)
}

/// The SDKs' rule for close codes: which of them end a client for good.
fn closed(frame: Option<&CloseFrame>) -> Ended {
    let code = frame.map_or(1006, |frame| u16::from(frame.code));
    match code {
        3500..=3999 | 4500..=4999 => {
            Ended::Final(Breach::TurnedAway, format!("closed for good with code {code}"))
        }
        _ => Ended::Lost(None),
    }
}

impl<'a> Session<'a> {
    fn new(follower: &'a Follower, hub: &'a Hub, permit: Option<OwnedSemaphorePermit>) -> Self {
        let now = Instant::now();
        Self {
            follower,
            hub,
            permit,
            last_id: CONNECT,
            pong: false,
            silence: REPLY + GRACE,
            heard: now,
            reply_due: Some(now + REPLY),
            resubscribe_at: None,
            failures: 0,
        }
    }

    /// Connect and subscribe in one frame, as the JavaScript SDK batches them.
    fn hello(&mut self) -> String {
        let connect = json!({"id": CONNECT, "connect": {"token": self.hub.token, "name": "swarm"}});
        format!("{connect}\n{}", self.subscribe())
    }

    fn subscribe(&mut self) -> String {
        self.last_id += 1;
        self.resubscribe_at = None;
        self.reply_due = Some(Instant::now() + REPLY);
        let mut request = json!({"channel": self.follower.channel});
        if let Some((epoch, offset)) = self.follower.watch().pair() {
            request["recover"] = true.into();
            request["epoch"] = epoch.to_string().into();
            request["offset"] = offset.into();
        }
        json!({"id": self.last_id, "subscribe": request}).to_string()
    }

    fn wake_at(&self) -> Instant {
        let silent_at = self.heard + self.silence;
        [self.reply_due, self.resubscribe_at].into_iter().flatten().fold(silent_at, Instant::min)
    }

    fn timer(&mut self) -> Next {
        let now = Instant::now();
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.reply_due) || self.heard + self.silence <= now {
            Next::End(Ended::Lost(None))
        } else if due(self.resubscribe_at) {
            Next::Send(self.subscribe())
        } else {
            Next::Nothing
        }
    }

    /// One WebSocket frame: messages joined by newlines.
    fn frame(&mut self, text: &str) -> Next {
        self.heard = Instant::now();
        let now_us = now_us();
        let mut next = Next::Nothing;
        let mut publications = false;
        for line in text.lines() {
            if line == "{}" {
                if self.pong {
                    next = Next::Send("{}".to_owned());
                }
                continue;
            }
            let Ok(reply) = serde_json::from_str::<Reply<'_>>(line) else {
                return Next::End(Ended::Final(
                    Breach::Malformed,
                    "a message that cannot be read".to_owned(),
                ));
            };
            let step = match reply.push {
                Some(push) => {
                    publications |= push.publication.is_some();
                    self.push(&push, now_us)
                }
                None => self.reply(&reply, now_us),
            };
            match step {
                Next::Nothing => {}
                Next::Send(_) => next = step,
                Next::End(_) => return step,
            }
        }
        self.follower.watch().frames += u64::from(publications);
        next
    }

    fn reply(&mut self, reply: &Reply<'_>, now_us: i64) -> Next {
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
        Next::Nothing
    }

    fn refused(&mut self, id: u32, error: &ErrorReply<'_>) -> Next {
        let what = if id == CONNECT { "connect" } else { "subscribe" };
        if !error.temporary && error.code >= 100 {
            let why = format!("{what} was refused with error {} {}", error.code, error.message);
            return Next::End(Ended::Final(Breach::TurnedAway, why));
        }
        if id == CONNECT {
            return Next::End(Ended::Lost(None));
        }
        self.reply_due = None;
        self.resubscribe_at = Some(Instant::now() + backoff(self.failures));
        self.failures += 1;
        Next::Nothing
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
                // An SDK takes the result's offset first, which is the one it asked from, and advances with each
                // publication. A server may also answer the offset at which it stands.
                if result.offset < watch.offset() {
                    watch.moved_to(result.offset); // a step back, which is noted
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

    fn push(&mut self, push: &Push<'_>, now_us: i64) -> Next {
        if let Some(publication) = &push.publication {
            self.follower.watch().step(publication.offset, publication.data, now_us, true);
        }
        match &push.unsubscribe {
            // The SDK resubscribes at once.
            Some(unsubscribed) if unsubscribed.code >= 2500 => {
                self.follower.watch().losses += 1;
                Next::Send(self.subscribe())
            }
            Some(unsubscribed) => {
                let why = format!("unsubscribed with code {} {}", unsubscribed.code, unsubscribed.reason);
                Next::End(Ended::Final(Breach::TurnedAway, why))
            }
            None => Next::Nothing,
        }
    }
}
