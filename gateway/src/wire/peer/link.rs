//! The state that the requests of one Socket.IO session, the tasks of socketioxide and the task of
//! the shard share.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    task::Waker,
};

use dashmap::DashMap;
use futures_util::task::AtomicWaker;
use gateway_core::{
    access::Claims,
    frame_meter::FrameExcess,
    protocol::{MAX_COMMANDS, Request},
};
use schemas::codes::Code;
use socketioxide::{
    extract::AckSender,
    socket::{DisconnectReason, Sid},
};
use tokio::sync::Notify;

use crate::{limits::admission::NewcomerPlaces, wire::lent_socket::LentSocket};

/// The sessions of a node that began by polling, by session id, so that their later requests find
/// them.
pub type PollingSessions = DashMap<Sid, Weak<SessionLink>>;

/// Whether a client still polls, so that it needs this node to learn why its session ends.
pub fn has_polling(sessions: &PollingSessions) -> bool {
    // The last owner of a link takes it off the list, which the iterator would still lock.
    let links: Vec<_> = sessions.iter().filter_map(|entry| entry.value().upgrade()).collect();
    links.iter().any(|link| !link.is_cut() && link.lent_socket().is_none())
}

/// How often the client of one session may leave and connect again. Each time costs a timer.
const MAX_RETURNS: u8 = 100;

/// One event of a client, and the way to acknowledge it if the client wants that.
pub struct ClientEvent {
    pub request: Result<Request<'static>, Code>,
    pub ack: Option<AckSender>,
}

/// The input of a client since the shard's task last looked.
pub enum ClientInput {
    Events(Vec<ClientEvent>),
    /// The client left, or its session ended.
    Gone {
        timed_out: bool,
    },
    /// More than [`MAX_COMMANDS`] events wait.
    Flood,
    /// The client sent more frames than it may, or a longer message.
    Excess(FrameExcess),
}

/// The shared state of one session. socketioxide keeps it for as long as the session exists.
pub struct SessionLink {
    state: Mutex<LinkState>,
    /// Wakes the shard's task.
    waker: AtomicWaker,
    /// Ends a poll that waits, and the session with it.
    cut: Notify,
    /// Ends a poll that waits, so that its client can upgrade.
    noop: Notify,
    /// Wakes a client that connects again when the task of its earlier connection has ended.
    reopened: Notify,
    /// The list of polling sessions that names this session, and its id there.
    listed: OnceLock<(Arc<PollingSessions>, Sid)>,
}

#[derive(Default)]
struct LinkState {
    claims: Option<Arc<Claims>>,
    /// The places of a session whose client has not connected yet.
    newcomer: Option<NewcomerPlaces>,
    events: Vec<ClientEvent>,
    flood: bool,
    excess: Option<FrameExcess>,
    gone: Option<DisconnectReason>,
    cut: bool,
    /// How often the client left and connected again.
    returns: u8,
    /// Whether a WebSocket is probed, to which the session may upgrade.
    probing: bool,
    /// The socket of the session's WebSocket, also while a polling session upgrades to it.
    lent_socket: Option<Arc<LentSocket>>,
    polled: PolledBytes,
    farewell: FarewellProgress,
}

/// Progress of the last packet to a polling session. It is unknown which answer carries the packet.
/// A poll that begins after the packet was emitted carries it, unless an earlier answer did.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum FarewellProgress {
    /// There is no last packet yet.
    #[default]
    None,
    Emitted,
    /// A poll has begun since the packet was emitted.
    PolledFor,
    /// The poll after the packet has been answered.
    Delivered,
}

/// Byte counts of a polling session: emitted, put into an answer, and known to have arrived because
/// the client polled again.
#[derive(Default, Clone, Copy)]
struct PolledBytes {
    emitted: u64,
    answered: u64,
    arrived: u64,
}

impl LinkState {
    fn has_websocket(&self) -> bool {
        self.lent_socket.as_ref().is_some_and(|lent_socket| !lent_socket.is_gone())
    }
}

impl SessionLink {
    /// Creates the link of a session that begins on `lent_socket`, or by polling if there is none.
    pub fn new(lent_socket: Option<Arc<LentSocket>>) -> Self {
        Self {
            state: Mutex::new(LinkState { lent_socket, ..LinkState::default() }),
            waker: AtomicWaker::new(),
            cut: Notify::new(),
            noop: Notify::new(),
            reopened: Notify::new(),
            listed: OnceLock::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, LinkState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the places of a newcomer until its client connects.
    pub fn keep_places(&self, places: NewcomerPlaces) {
        self.state().newcomer = Some(places);
    }

    /// Remembers the list that names this session. Dropping the link removes it from the list.
    pub fn listed_in(&self, list: &Arc<PollingSessions>, sid: Sid) {
        let _ = self.listed.set((list.clone(), sid));
    }

    /// Keeps the claims of the client for the shard. Returns whether the session may connect: it
    /// has one connection at a time.
    pub fn connect(&self, claims: Claims) -> bool {
        let mut state = self.state();
        let first = state.gone.is_none() && !state.cut && state.claims.is_none();
        if first {
            state.claims = Some(Arc::new(claims));
            state.newcomer = None;
        }
        first
    }

    /// Lets a client that left, and kept its transport, connect again. Returns whether it may.
    pub fn reopen(&self) -> bool {
        let mut state = self.state();
        let left = state.gone == Some(DisconnectReason::ClientNSDisconnect);
        if !left || state.cut || state.returns == MAX_RETURNS {
            return false;
        }
        state.returns += 1;
        state.gone = None;
        state.claims = None;
        state.flood = false;
        drop(state);
        self.reopened.notify_waiters();
        true
    }

    /// Waits until the connection that the client has left is gone, if there is one. A client that
    /// has not left makes it wait without end, so callers bound the wait.
    pub async fn until_reopened(&self) {
        let reopened = self.reopened.notified();
        if self.is_admitted() {
            reopened.await;
        }
    }

    /// Whether the client is connected.
    pub fn is_admitted(&self) -> bool {
        self.state().claims.is_some()
    }

    /// The claims of the connected client.
    pub fn claims(&self) -> Option<Arc<Claims>> {
        self.state().claims.clone()
    }

    /// Keeps an event for the shard's task.
    pub fn push_event(&self, event: ClientEvent) {
        let mut state = self.state();
        if state.gone.is_some() || state.cut {
            return;
        }
        if state.events.len() < MAX_COMMANDS {
            state.events.push(event);
        } else {
            state.flood = true;
        }
        drop(state);
        self.waker.wake();
    }

    /// Notes that the client sent more frames than it may, or a longer message. Its connection gets
    /// the reason and ends. A session without a connection ends at once.
    pub fn exceed(&self, excess: FrameExcess) {
        let mut state = self.state();
        state.excess = Some(excess);
        let is_admitted = state.claims.is_some();
        drop(state);
        if is_admitted { self.waker.wake() } else { self.cut() }
    }

    /// Notes that the client left the namespace, or that its session ended.
    pub fn leave(&self, reason: DisconnectReason) {
        let mut state = self.state();
        state.gone.get_or_insert(reason);
        let events = std::mem::take(&mut state.events);
        drop(state);
        // An acknowledgement holds the session, and the session holds this link.
        drop(events);
        self.waker.wake();
    }

    /// Takes the input of the client, for the shard's task.
    pub fn take_input(&self) -> ClientInput {
        let mut state = self.state();
        if let Some(reason) = state.gone {
            ClientInput::Gone { timed_out: reason == DisconnectReason::HeartbeatTimeout }
        } else if let Some(excess) = state.excess {
            ClientInput::Excess(excess)
        } else if state.flood {
            ClientInput::Flood
        } else {
            ClientInput::Events(std::mem::take(&mut state.events))
        }
    }

    pub fn has_input(&self) -> bool {
        let state = self.state();
        !state.events.is_empty() || state.gone.is_some() || state.flood || state.excess.is_some()
    }

    /// Registers `waker` to be woken by the next news, and by the next bytes that the WebSocket
    /// writes.
    pub fn wake_on_news(&self, waker: &Waker) {
        self.waker.register(waker);
        if let Some(lent_socket) = &self.state().lent_socket {
            lent_socket.wake_on_progress(waker);
        }
    }

    pub fn lent_socket(&self) -> Option<Arc<LentSocket>> {
        self.state().lent_socket.clone()
    }

    /// Begins to probe a WebSocket. Returns whether it may be probed: a session has one WebSocket,
    /// and probes one at a time.
    pub fn probe_begins(&self) -> bool {
        let mut state = self.state();
        let may = !state.probing && !state.has_websocket();
        state.probing |= may;
        may
    }

    /// Notes that the probe has ended. Another may begin.
    pub fn probe_ends(&self) {
        self.state().probing = false;
    }

    /// Ends a poll that waits, if there is one, although there are no packets.
    pub fn end_poll(&self) {
        self.noop.notify_waiters();
    }

    /// Waits until the client's poll has to end.
    pub async fn until_noop(&self) {
        self.noop.notified().await;
    }

    /// Notes that a poll was ended without the packets that it could have carried.
    pub fn poll_ends_empty(&self) {
        let mut state = self.state();
        if state.farewell == FarewellProgress::PolledFor {
            state.farewell = FarewellProgress::Emitted;
        }
    }

    /// Upgrades the session to a WebSocket. Returns whether it may: a session has one WebSocket at
    /// a time.
    pub fn upgrade(&self, lent_socket: Arc<LentSocket>) -> bool {
        let mut state = self.state();
        if state.has_websocket() {
            return false;
        }
        state.lent_socket = Some(lent_socket);
        drop(state);
        self.waker.wake();
        true
    }

    /// Notes that a poll begins, which shows that the answer to the previous poll has arrived.
    pub fn poll_begins(&self) {
        let mut state = self.state();
        state.polled.arrived = state.polled.answered;
        if state.farewell == FarewellProgress::Emitted {
            state.farewell = FarewellProgress::PolledFor;
        }
        drop(state);
        self.waker.wake();
    }

    /// Notes that a poll is answered with everything emitted so far.
    pub fn poll_ends(&self) {
        let mut state = self.state();
        state.polled.answered = state.polled.emitted;
        if state.farewell == FarewellProgress::PolledFor {
            state.farewell = FarewellProgress::Delivered;
        }
        drop(state);
        self.waker.wake();
    }

    /// Notes that the last packet of the session has been emitted.
    pub fn farewell_emitted(&self) {
        self.state().farewell = FarewellProgress::Emitted;
    }

    /// Returns whether a polling client has been answered with the last packet, or there is no such
    /// packet.
    pub fn has_delivered_farewell(&self) -> bool {
        matches!(self.state().farewell, FarewellProgress::None | FarewellProgress::Delivered)
    }

    /// Counts bytes that are about to be emitted to a polling session.
    pub fn count_emitted(&self, bytes: u64) {
        self.state().polled.emitted += bytes;
    }

    /// Bytes that a polling session has emitted, and those that have arrived. During an upgrade no
    /// poll begins, so bytes that were put into an answer then count as arrived.
    pub fn polled_bytes(&self) -> (u64, u64) {
        let state = self.state();
        let PolledBytes { emitted, answered, arrived } = state.polled;
        (emitted, if state.lent_socket.is_some() { answered } else { arrived })
    }

    /// Ends the session's transport at once, so that its client begins another session.
    pub fn cut(&self) {
        let mut state = self.state();
        state.cut = true;
        let (lent_socket, events) = (state.lent_socket.clone(), std::mem::take(&mut state.events));
        drop(state);
        drop(events);
        if let Some(lent_socket) = lent_socket {
            lent_socket.cut();
        }
        self.cut.notify_waiters();
    }

    pub fn is_cut(&self) -> bool {
        self.state().cut
    }

    /// Waits until the session is cut.
    pub async fn until_cut(&self) {
        let cut = self.cut.notified();
        if !self.is_cut() {
            cut.await;
        }
    }
}

impl Drop for SessionLink {
    fn drop(&mut self) {
        if let Some((list, sid)) = self.listed.get() {
            list.remove(sid);
        }
    }
}

#[cfg(test)]
mod tests;
