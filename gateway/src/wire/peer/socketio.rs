//! A Socket.IO session as a peer: events and acknowledgements, emitted only as fast as they leave,
//! so that only replies ever wait inside socketioxide.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use gateway_core::{
    access::Claims,
    protocol::{ClientCommand, Reply, Request},
    send_buffer::{MAX_WAITING, MIN_DRAIN, STALL_S},
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
    link::{ClientEvent, SessionLink},
    outcome::{Ready, SendOutcome},
};
use crate::{client_address::audited_client::AuditedClient, wire::frames::unsubscribe_code};

pub struct SocketIoPeer {
    socket: SocketRef,
    link: Arc<SessionLink>,
    /// Requests that are not answered yet.
    requests: Vec<OpenRequest>,
    /// Id of the last request. The ids are given here: a Socket.IO event has none.
    last_request: u32,
    /// The count of bytes written to the WebSocket at which everything emitted so far has left. A
    /// polling session is counted in its link instead.
    due: u64,
    /// Whether the session is known to have a WebSocket.
    on_websocket: bool,
    /// Bytes that had left when this peer last looked.
    left: u64,
    /// Second in which something was emitted while nothing waited.
    begun: u64,
    /// Second from which on bytes are counted that leave, and the bytes that had left by then.
    since: u64,
    left_since: u64,
    /// The bytes that waited when they were last counted. `None` once they were given up.
    counted: Option<u64>,
}

/// A request that is not answered yet.
struct OpenRequest {
    id: u32,
    /// The channel that the request names, if any.
    channel: Option<Box<str>>,
    ack: Option<AckSender>,
}

impl SocketIoPeer {
    pub fn new(socket: SocketRef, link: Arc<SessionLink>) -> Self {
        Self {
            socket,
            link,
            requests: Vec::new(),
            last_request: 0,
            due: 0,
            on_websocket: false,
            left: 0,
            begun: 0,
            since: 0,
            left_since: 0,
            counted: Some(0),
        }
    }

    pub fn link(&self) -> &Arc<SessionLink> {
        &self.link
    }

    /// The claims of the connected client.
    pub fn claims(&self) -> Option<Arc<Claims>> {
        self.link.claims()
    }

    /// The client, as its first request named it.
    pub fn client(&self) -> AuditedClient {
        self.socket.req_parts().extensions.get::<AuditedClient>().cloned().unwrap_or_default()
    }

    /// Returns the next action of the connection's task. `behind` says whether the client lacks
    /// state, which is sent once nothing waits.
    pub fn poll(&mut self, cx: &mut Context<'_>, behind: bool, now: u64) -> Poll<Ready> {
        self.link.wake_on_news(cx.waker());
        if self.link.has_input() {
            return Poll::Ready(Ready::Read);
        }
        if self.waiting(now) == 0 && behind {
            return Poll::Ready(Ready::Write);
        }
        Poll::Pending
    }

    /// Returns whether everything that was emitted has left. Progress wakes the task.
    pub fn has_left(&mut self, cx: &Context<'_>, now: u64) -> bool {
        self.link.wake_on_news(cx.waker());
        self.waiting(now) == 0 && (self.on_websocket || self.link.has_delivered_farewell())
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
                    // Packets that waited for a poll now leave by the WebSocket, uncounted. The
                    // count is then too low, never too high.
                    self.on_websocket = true;
                    self.due = left;
                }
                (self.due, left)
            }
            None => self.link.polled_bytes(),
        };
        self.left = left;
        // The count begins anew when a session changes to a WebSocket.
        if left < self.left_since || left >= self.left_since + MIN_DRAIN as u64 {
            (self.since, self.left_since) = (now, left);
        }
        emitted.saturating_sub(left)
    }

    /// Notes that something is emitted while nothing waits.
    fn begin_waiting(&mut self, now: u64) {
        (self.begun, self.since, self.left_since) = (now, now, self.left);
    }

    /// The bytes that waited when they were last counted.
    pub fn counted(&self) -> u64 {
        self.counted.unwrap_or_default()
    }

    /// Counts the bytes that wait.
    pub fn count(&mut self, now: u64) -> u64 {
        if self.counted.is_some() {
            self.counted = Some(self.waiting(now));
        }
        self.counted()
    }

    /// The second since when bytes have waited without a break.
    pub fn behind_since(&self) -> Option<u64> {
        (self.counted() > 0).then_some(self.begun)
    }

    /// Counts no bytes any more: the session is about to be cut, and socketioxide drops them.
    pub fn discard(&mut self) {
        self.counted = None;
    }

    /// The second at which the client is closed as slow, unless it takes enough bytes before.
    pub fn deadline(&mut self, now: u64) -> Option<u64> {
        (self.waiting(now) > 0).then(|| self.since + STALL_S)
    }

    /// Emits a frame of state as the event `name`, unless earlier bytes still wait.
    ///
    /// # Errors
    /// The close that ends a connection which cannot be written to.
    pub fn send_state(&mut self, name: &str, body: &[u8], now: u64) -> Result<SendOutcome, Close> {
        if self.waiting(now) > 0 {
            return Ok(SendOutcome::Busy);
        }
        self.begin_waiting(now);
        let raw: &RawValue = serde_json::from_slice(body).map_err(|_| Close::ServerError)?;
        self.count_emitted(body.len() as u64);
        self.socket.emit(name, raw).map_err(|_| Close::Slow)?;
        Ok(SendOutcome::InFlight)
    }

    /// Emits an event that must not be lost.
    ///
    /// # Errors
    /// [`Close::Slow`] when too many bytes wait, or the close of a connection which cannot be
    /// written to.
    fn emit(
        &mut self,
        name: &str,
        body: &(impl Serialize + ?Sized),
        now: u64,
    ) -> Result<(), Close> {
        self.reserve(body, now)?;
        self.socket.emit(name, body).map_err(|_| Close::Slow)
    }

    /// Acknowledges a request, if its client wants an acknowledgement.
    fn acknowledge(
        &mut self,
        request: OpenRequest,
        body: &(impl Serialize + ?Sized),
        now: u64,
    ) -> Result<(), Close> {
        let Some(ack) = request.ack else { return Ok(()) };
        self.reserve(body, now)?;
        ack.send(body).map_err(|_| Close::Slow)
    }

    /// Counts a body that may wait behind others. A body alone may be larger than the bound,
    /// because a snapshot has to fit.
    fn reserve(&mut self, body: &(impl Serialize + ?Sized), now: u64) -> Result<(), Close> {
        let length = length(body);
        let waiting = self.waiting(now);
        if waiting == 0 {
            self.begin_waiting(now);
        } else if waiting + length > MAX_WAITING as u64 {
            return Err(Close::Slow);
        }
        self.count_emitted(length);
        Ok(())
    }

    /// Counts bytes before they are emitted. A poll on another thread may be answered with them at
    /// once, and bytes counted only afterwards would seem to wait for ever.
    fn count_emitted(&mut self, bytes: u64) {
        if self.on_websocket {
            self.due = self.due.max(self.left) + bytes;
        } else {
            self.link.count_emitted(bytes);
        }
    }

    /// Turns a client's event into a command, and remembers its acknowledgement.
    ///
    /// # Errors
    /// The reply to an event that is not a command.
    pub fn command(
        &mut self,
        event: ClientEvent,
    ) -> Result<ClientCommand<'static>, Reply<'static>> {
        self.last_request = self.last_request.wrapping_add(1).max(1);
        let id = self.last_request;
        let channel = match &event.request {
            Ok(Request::Subscribe { channel, .. } | Request::Unsubscribe { channel }) => {
                Some(channel.as_ref().into())
            }
            _ => None,
        };
        self.requests.push(OpenRequest { id, channel, ack: event.ack });
        match event.request {
            Ok(request) => Ok(ClientCommand { id, request }),
            Err(code) => Err(Reply::Error { id, code }),
        }
    }

    /// Returns whether the request is acknowledged. If not, this forgets it, and the first event of
    /// state answers it.
    pub fn takes_reply(&mut self, id: u32) -> bool {
        let Some(index) = self.requests.iter().position(|request| request.id == id) else {
            return false;
        };
        if self.requests[index].ack.is_none() {
            self.requests.swap_remove(index);
            return false;
        }
        true
    }

    /// Removes an open request. `None` when the client wanted no acknowledgement of it, or when an
    /// unsubscribe took it back.
    fn close_request(&mut self, id: u32) -> Option<OpenRequest> {
        let index = self.requests.iter().position(|request| request.id == id)?;
        Some(self.requests.swap_remove(index))
    }

    /// Sends a reply as an acknowledgement, or as an `error` event.
    ///
    /// # Errors
    /// The close that ends a connection which is too slow or cannot be written to.
    pub fn send_reply(&mut self, reply: &Reply<'_>, now: u64) -> Result<SendOutcome, Close> {
        match reply {
            Reply::Error { id, code } => match self.close_request(*id) {
                Some(request) if request.ack.is_some() => {
                    self.acknowledge(request, &events::refusal(*code), now)
                }
                request => {
                    let channel = request.and_then(|request| request.channel);
                    self.emit("error", &events::error(channel.as_deref(), *code), now)
                }
            },
            Reply::Subscribe { id, start } => match self.close_request(*id) {
                Some(request) => {
                    let channel = request.channel.clone().unwrap_or_default();
                    self.acknowledge(request, &events::subscribed(&channel, start), now)
                }
                None => Ok(()),
            },
            Reply::Refresh { id, ttl_s } => match self.close_request(*id) {
                Some(request) => self.acknowledge(request, &events::refreshed(*ttl_s), now),
                None => Ok(()),
            },
            Reply::Done { id, .. } => self.acknowledge_unsubscribe(*id, now),
            Reply::Unsubscribe { channel, close } => {
                let code = unsubscribe_code(*close);
                self.emit("error", &events::error(Some(&channel.to_string()), code), now)
            }
            // socketioxide itself acknowledges a connect and sends pings.
            Reply::Connect { .. } | Reply::Ping => Ok(()),
        }?;
        Ok(SendOutcome::InFlight)
    }

    /// Acknowledges an unsubscribe. A subscribe to the same channel that still waits is refused.
    fn acknowledge_unsubscribe(&mut self, id: u32, now: u64) -> Result<(), Close> {
        let Some(request) = self.close_request(id) else { return Ok(()) };
        let channel = request.channel.clone().unwrap_or_default();
        while let Some(index) =
            self.requests.iter().position(|other| other.channel.as_ref() == Some(&channel))
        {
            let taken_back = self.requests.swap_remove(index);
            self.acknowledge(taken_back, &events::refusal(Code::NotSubscribed), now)?;
        }
        self.acknowledge(request, &events::unsubscribed(&channel), now)
    }

    /// Sends the client the reason of its end. A client that should not come back also gets the
    /// packet that disconnects it: after this packet it does not reconnect, while it does after a
    /// broken transport.
    ///
    /// # Errors
    /// The close of a connection which is too slow or cannot be written to.
    pub fn say_farewell(&mut self, close: Close, now: u64) -> Result<(), Close> {
        self.emit("close", &events::close(close), now)?;
        if !close.should_reconnect() {
            // The length of that packet is unknown here. One byte makes `has_left` wait for it.
            self.count_emitted(1);
            self.socket.clone().disconnect().map_err(|_| Close::Slow)?;
            self.link.farewell_emitted();
        }
        Ok(())
    }
}

/// The length of a body as JSON, without keeping the text.
fn length(body: &(impl Serialize + ?Sized)) -> u64 {
    struct ByteCount(u64);
    impl std::io::Write for ByteCount {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut count = ByteCount(0);
    // A body that cannot be written fails again, and visibly, when it is emitted.
    let _ = serde_json::to_writer(&mut count, body);
    count.0
}
