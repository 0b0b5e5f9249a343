//! What a connection writes to in place of a socket: events and acknowledgements, emitted only as fast as they
//! leave, so that nothing but what was asked for ever waits in socketioxide.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use gateway_core::{
    access::Claims,
    outbox::{MAX_WAITING, STALL_S},
    protocol::{Command, Reply, Request},
};
use schemas::codes::{Close, Code};
use serde::Serialize;
use serde_json::value::RawValue;
use socketioxide::{
    TransportType,
    extract::{AckSender, SocketRef},
};

use super::{
    events,
    link::{Event, Link},
};
use crate::stream::shard::Ready;

/// One client of Socket.IO.
pub struct Emitter {
    socket: SocketRef,
    link: Arc<Link>,
    /// Requests that are not answered yet.
    asked: Vec<Asked>,
    /// The number of the last request.
    last: u32,
    /// Bytes of a WebSocket that will have been written once all that was emitted has left. Those of a polling
    /// session are counted in its link.
    due: u64,
    /// Whether the session is known to have a WebSocket.
    on_websocket: bool,
    /// Bytes that had left when it was last looked at, and the second they were first seen to have.
    left: u64,
    since: u64,
}

/// A request under way.
struct Asked {
    id: u32,
    /// The channel it names, if any.
    channel: Option<Box<str>>,
    ack: Option<AckSender>,
}

impl Emitter {
    pub fn new(socket: SocketRef, link: Arc<Link>) -> Self {
        Self {
            socket,
            link,
            asked: Vec::new(),
            last: 0,
            due: 0,
            on_websocket: false,
            left: 0,
            since: 0,
        }
    }

    pub fn link(&self) -> &Arc<Link> {
        &self.link
    }

    /// Who connected.
    pub fn claims(&self) -> Option<Arc<Claims>> {
        self.link.claims()
    }

    /// What the connection's task should do: `behind` tells whether state is owed once all has left.
    pub fn poll(&mut self, cx: &mut Context<'_>, behind: bool, now: u64) -> Poll<Ready> {
        self.link.wake_on_news(cx.waker());
        if self.link.has_news() {
            return Poll::Ready(Ready::Read);
        }
        if self.waiting(now) == 0 && behind {
            return Poll::Ready(Ready::Write);
        }
        Poll::Pending
    }

    /// Whether everything that was emitted has left; the task is woken when more has.
    pub fn has_left(&mut self, cx: &Context<'_>, now: u64) -> bool {
        self.link.wake_on_news(cx.waker());
        self.waiting(now) == 0 && (self.on_websocket || self.link.has_said_goodbye())
    }

    /// Bytes that were emitted and have not left, at second `now`.
    pub fn waiting(&mut self, now: u64) -> u64 {
        let lent_socket = self
            .link
            .lent_socket()
            .filter(|_| self.socket.transport_type() == TransportType::Websocket);
        let (emitted, left) = match lent_socket {
            Some(lent_socket) => {
                let left = lent_socket.written();
                if !self.on_websocket {
                    // What waited to be polled leaves by the WebSocket, uncounted: never too much is demanded.
                    self.on_websocket = true;
                    self.due = left;
                }
                (self.due, left)
            }
            None => self.link.polled(),
        };
        if left != self.left {
            self.left = left;
            self.since = now;
        }
        emitted.saturating_sub(left)
    }

    /// The second at which a client that takes nothing more is given up.
    pub fn deadline(&mut self, now: u64) -> Option<u64> {
        (self.waiting(now) > 0).then(|| self.since + STALL_S)
    }

    /// Emits a frame of state as the event `name`, or answers `false` while something waits to leave.
    ///
    /// # Errors
    /// The close that ends a connection which cannot be written to.
    pub fn emit_state(&mut self, name: &str, body: &[u8], now: u64) -> Result<bool, Close> {
        if self.waiting(now) > 0 {
            return Ok(false);
        }
        self.since = now;
        let raw: &RawValue = serde_json::from_slice(body).map_err(|_| Close::ServerError)?;
        self.emits(body.len() as u64);
        self.socket.emit(name, raw).map_err(|_| Close::Slow)?;
        Ok(true)
    }

    /// Emits an event that must not be lost.
    ///
    /// # Errors
    /// As for [`Emitter::emit_state`]; [`Close::Slow`] when too much waits already.
    pub fn emit(
        &mut self,
        name: &str,
        body: &(impl Serialize + ?Sized),
        now: u64,
    ) -> Result<(), Close> {
        self.make_room(body, now)?;
        self.socket.emit(name, body).map_err(|_| Close::Slow)
    }

    /// Acknowledges a request, if it wants that.
    fn acknowledge(
        &mut self,
        asked: Asked,
        body: &(impl Serialize + ?Sized),
        now: u64,
    ) -> Result<(), Close> {
        let Some(ack) = asked.ack else { return Ok(()) };
        self.make_room(body, now)?;
        ack.send(body).map_err(|_| Close::Slow)
    }

    /// Counts a body that may still wait; one may be larger than the bound, as a snapshot must fit.
    fn make_room(&mut self, body: &(impl Serialize + ?Sized), now: u64) -> Result<(), Close> {
        let length = length(body);
        let waiting = self.waiting(now);
        if waiting == 0 {
            self.since = now;
        } else if waiting + length > MAX_WAITING as u64 {
            return Err(Close::Slow);
        }
        self.emits(length);
        Ok(())
    }

    /// Counts bytes before they are emitted: a poll on another thread may answer them at once, and what is only
    /// counted afterwards would wait for ever.
    fn emits(&mut self, bytes: u64) {
        if self.on_websocket {
            self.due = self.due.max(self.left) + bytes;
        } else {
            self.link.emits(bytes);
        }
    }

    /// Takes a client's event in as a command.
    ///
    /// # Errors
    /// The reply to an event that is none.
    pub fn command(&mut self, event: Event) -> Result<Command<'static>, Reply<'static>> {
        self.last = self.last.wrapping_add(1).max(1);
        let id = self.last;
        let channel = match &event.request {
            Ok(Request::Subscribe { channel, .. } | Request::Unsubscribe { channel }) => {
                Some(channel.as_ref().into())
            }
            _ => None,
        };
        self.asked.push(Asked { id, channel, ack: event.ack });
        match event.request {
            Ok(request) => Ok(Command { id, request }),
            Err(code) => Err(Reply::Error { id, code }),
        }
    }

    /// Whether the request is to be acknowledged. One that is not is forgotten: events alone tell what it asked.
    pub fn takes_reply(&mut self, id: u32) -> bool {
        let Some(index) = self.asked.iter().position(|asked| asked.id == id) else { return false };
        if self.asked[index].ack.is_none() {
            self.asked.swap_remove(index);
            return false;
        }
        true
    }

    fn take(&mut self, id: u32) -> Option<Asked> {
        let index = self.asked.iter().position(|asked| asked.id == id)?;
        Some(self.asked.swap_remove(index))
    }

    /// Tells the client what came of its request, or what ends a subscription.
    ///
    /// # Errors
    /// As for [`Emitter::emit`].
    pub fn reply(&mut self, reply: &Reply<'_>, now: u64) -> Result<(), Close> {
        match reply {
            Reply::Error { id, code } => match self.take(*id) {
                Some(asked) if asked.ack.is_some() => {
                    self.acknowledge(asked, &events::refusal(*code), now)
                }
                asked => {
                    let channel = asked.and_then(|asked| asked.channel);
                    self.emit("error", &events::error(channel.as_deref(), *code), now)
                }
            },
            Reply::Subscribe { id, start } => {
                let Some(asked) = self.take(*id) else { return Ok(()) };
                let channel = asked.channel.clone().unwrap_or_default();
                self.acknowledge(asked, &events::subscribed(&channel, start), now)
            }
            Reply::Refresh { id, ttl_s } => {
                let Some(asked) = self.take(*id) else { return Ok(()) };
                self.acknowledge(asked, &events::refreshed(*ttl_s), now)
            }
            Reply::Done { id, .. } => self.unsubscribed(*id, now),
            Reply::Unsubscribe { channel, .. } => {
                self.emit("error", &events::error(Some(&channel.to_string()), Code::Forbidden), now)
            }
            // socketioxide says that a client is connected, and asks whether it is there.
            Reply::Connect { .. } | Reply::Ping => Ok(()),
        }
    }

    /// Acknowledges an unsubscribe, and refuses the subscribe it took back, if that still waits.
    fn unsubscribed(&mut self, id: u32, now: u64) -> Result<(), Close> {
        let Some(asked) = self.take(id) else { return Ok(()) };
        let channel = asked.channel.clone().unwrap_or_default();
        while let Some(index) =
            self.asked.iter().position(|other| other.channel.as_ref() == Some(&channel))
        {
            let taken_back = self.asked.swap_remove(index);
            self.acknowledge(taken_back, &events::refusal(Code::NotSubscribed), now)?;
        }
        self.acknowledge(asked, &events::unsubscribed(&channel), now)
    }

    /// Says why the connection ends. A client that should not come back is disconnected for good: it does not
    /// after that packet, while it does after a transport that breaks.
    pub fn say_farewell(&mut self, close: Close, now: u64) -> Result<(), Close> {
        self.emit("close", &events::close(close), now)?;
        if !close.should_reconnect() {
            // One more packet must leave, however long it is.
            self.emits(1);
            self.socket.clone().disconnect().map_err(|_| Close::Slow)?;
            self.link.says_goodbye();
        }
        Ok(())
    }
}

/// The bytes of a body as JSON, without keeping them.
fn length(body: &(impl Serialize + ?Sized)) -> u64 {
    struct Count(u64);
    impl std::io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // Emitting it will say what is wrong with it.
    let _ = serde_json::to_writer(&mut count, body);
    count.0
}
