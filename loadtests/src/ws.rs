//! A WebSocket client of the Centrifugal protocol, in JSON or Protobuf, behaving as the published JavaScript SDK does.

use std::{ops::ControlFlow, pin::pin, time::Duration};

use anyhow::{Context, Result};
use futures_util::{SinkExt, StreamExt};
use tokio::{
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep_until, timeout},
};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Message,
        client::IntoClientRequest,
        http::{HeaderValue, header},
        protocol::{CloseFrame, WebSocketConfig},
    },
};

use crate::{
    breach::Breach,
    follower::{Ended, Follower, Hub, backoff, now_us},
    frames::{ErrorReply, Push, Reply, SubscribeResult},
};

mod form;
pub mod protobuf;

pub use self::form::Form;
use self::form::{Command, Received};

/// For TCP and the upgrade together.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(10);
/// The SDK gives a reply 5 s, then starts over.
const REPLY: Duration = Duration::from_secs(5);
/// The SDK takes a connection for dead after the ping interval and 10 s more without a frame.
const GRACE: Duration = Duration::from_secs(10);
/// Small frames only; the default of 128 KiB for each client would be the swarm's largest cost.
pub(crate) const READ_BUFFER: usize = 4096;

/// Ids of our commands: connect is the first, each subscribe takes the next.
const CONNECT: u32 = 1;

/// What to do after a message.
enum Next {
    Nothing,
    Send(Message),
    End(Ended),
}

struct Session<'a> {
    follower: &'a Follower,
    hub: &'a Hub,
    form: Form,
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
pub async fn follow(
    follower: &Follower,
    hub: &Hub,
    form: Form,
    permit: Option<OwnedSemaphorePermit>,
) -> Ended {
    let opening = open(follower, "/connection/websocket", form.subprotocol());
    let Ok(Ok(mut socket)) = timeout(HANDSHAKE, opening).await else {
        return Ended::Lost(None);
    };
    let mut session = Session::new(follower, hub, form, permit);
    if socket.send(session.hello()).await.is_err() {
        return Ended::Lost(None);
    }
    let mut timer = pin!(sleep_until(session.wake_at()));
    let mut cut = pin!(follower.cut.notified());
    loop {
        let next = tokio::select! {
            biased;
            message = socket.next() => match message {
                Some(Ok(frame @ (Message::Text(_) | Message::Binary(_)))) => session.frame(&frame),
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
            Next::Send(frame) => {
                if socket.send(frame).await.is_err() {
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

/// A WebSocket at this path of the client's node.
///
/// # Errors
/// When it cannot be opened, or not with the subprotocol.
pub(crate) async fn open(
    follower: &Follower,
    path: &str,
    subprotocol: Option<&'static str>,
) -> Result<WebSocketStream<TcpStream>> {
    let stream = follower.dial().await.context("connect")?;
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER).write_buffer_size(0);
    let url = format!("ws://{}{path}", follower.node.authority);
    let mut request = url.into_client_request().context("build the request")?;
    if let Some(name) = subprotocol {
        request
            .headers_mut()
            .insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(name));
    }
    Ok(client_async_with_config(request, stream, Some(config)).await.context("upgrade")?.0)
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
    fn new(
        follower: &'a Follower,
        hub: &'a Hub,
        form: Form,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        let now = Instant::now();
        Self {
            follower,
            hub,
            form,
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
    fn hello(&mut self) -> Message {
        let connect = Command::Connect { id: CONNECT, token: &self.hub.token };
        let subscribe = self.subscription();
        self.form.write(&[connect, subscribe])
    }

    fn subscribe(&mut self) -> Message {
        let subscribe = self.subscription();
        self.form.write(&[subscribe])
    }

    fn subscription(&mut self) -> Command<'a> {
        self.last_id += 1;
        self.resubscribe_at = None;
        self.reply_due = Some(Instant::now() + REPLY);
        let since = self.follower.watch().position();
        Command::Subscribe { id: self.last_id, channel: &self.follower.channel, since }
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

    /// One WebSocket frame: any number of messages.
    fn frame(&mut self, frame: &Message) -> Next {
        self.heard = Instant::now();
        let now_us = now_us();
        let mut next = Next::Nothing;
        let mut publications = false;
        let form = self.form;
        let read = form.each(frame, |received| {
            let step = match received {
                Received::Ping if self.pong => Next::Send(form.write(&[Command::Pong])),
                Received::Ping => Next::Nothing,
                Received::Reply(Reply { push: Some(push), .. }) => {
                    publications |= push.publication.is_some();
                    self.push(&push, now_us)
                }
                Received::Reply(reply) => self.reply(&reply, now_us),
            };
            match step {
                Next::Nothing => ControlFlow::Continue(()),
                Next::Send(_) => {
                    next = step;
                    ControlFlow::Continue(())
                }
                Next::End(_) => {
                    next = step;
                    ControlFlow::Break(())
                }
            }
        });
        if read.is_err() {
            let what = "a message that cannot be read".to_owned();
            return Next::End(Ended::Final(Breach::Malformed, what));
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
                let why =
                    format!("unsubscribed with code {} {}", unsubscribed.code, unsubscribed.reason);
                Next::End(Ended::Final(Breach::TurnedAway, why))
            }
            None => Next::Nothing,
        }
    }
}
