//! What one session's requests, socketioxide's tasks and the shard's task know of each other.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak},
    task::Waker,
};

use dashmap::DashMap;
use futures_util::task::AtomicWaker;
use gateway_core::{
    access::Claims,
    protocol::{MAX_COMMANDS, Request},
};
use schemas::codes::Code;
use socketioxide::{
    extract::AckSender,
    socket::{DisconnectReason, Sid},
};
use tokio::sync::{Notify, mpsc};

use crate::{stream::shard::ToShard, transport::lent_socket::LentSocket};

/// The sessions of a node that began by polling: their later requests are told by their id.
pub type Polling = DashMap<Sid, Weak<Link>>;

/// One event of a client, and where its acknowledgement goes if it wants one.
pub struct Event {
    pub request: Result<Request<'static>, Code>,
    pub ack: Option<AckSender>,
}

/// What a client did since it was last looked at.
pub enum Heard {
    Events(Vec<Event>),
    /// It left, or its session ended.
    Gone {
        timed_out: bool,
    },
    /// More events wait than may.
    Flood,
}

/// Shared by everybody who has to do with a session; it lives as long as socketioxide keeps the session.
pub struct Link {
    /// The inbox of the shard the session belongs to.
    inbox: mpsc::Sender<ToShard>,
    state: Mutex<State>,
    /// Wakes the shard's task.
    waker: AtomicWaker,
    /// Ends a poll that waits.
    cut: Notify,
    /// The node's list of polling sessions, and this one's place in it.
    listed: OnceLock<(Arc<Polling>, Sid)>,
}

#[derive(Default)]
struct State {
    claims: Option<Arc<Claims>>,
    events: Vec<Event>,
    flood: bool,
    gone: Option<DisconnectReason>,
    cut: bool,
    /// The socket of the session's WebSocket, also while a polling session upgrades to it.
    lent_socket: Option<Arc<LentSocket>>,
    polled: Polled,
    goodbye: Goodbye,
}

/// How far the last packet of a polling session is. Which answer took it cannot be known, but a poll that begins after it
/// was emitted is answered with it, unless one before was.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Goodbye {
    #[default]
    NotYet,
    Emitted,
    PolledFor,
    Said,
}

/// Bytes of a polling session: emitted, put into an answer, and known to have arrived, as the client came back.
#[derive(Default, Clone, Copy)]
struct Polled {
    emitted: u64,
    answered: u64,
    arrived: u64,
}

impl Link {
    /// Of a session that begins on `lent_socket`, or by polling.
    pub fn new(inbox: mpsc::Sender<ToShard>, lent_socket: Option<Arc<LentSocket>>) -> Self {
        Self {
            inbox,
            state: Mutex::new(State { lent_socket, ..State::default() }),
            waker: AtomicWaker::new(),
            cut: Notify::new(),
            listed: OnceLock::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn inbox(&self) -> &mpsc::Sender<ToShard> {
        &self.inbox
    }

    /// Named in the list of polling sessions; it leaves the list when it is dropped.
    pub fn is_in(&self, list: &Arc<Polling>, sid: Sid) {
        let _ = self.listed.set((list.clone(), sid));
    }

    /// Keeps who connected for the shard. A session connects once: whoever left it begins another.
    pub fn admit(&self, claims: Claims) -> bool {
        let mut state = self.state();
        let first = state.gone.is_none() && !state.cut && state.claims.is_none();
        if first {
            state.claims = Some(Arc::new(claims));
        }
        first
    }

    /// Who connected; for the shard, which takes it over.
    pub fn claims(&self) -> Option<Arc<Claims>> {
        self.state().claims.clone()
    }

    /// Takes an event in for the shard's task.
    pub fn hear(&self, event: Event) {
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

    /// The client left the namespace, or its session ended.
    pub fn leave(&self, reason: DisconnectReason) {
        let mut state = self.state();
        state.gone.get_or_insert(reason);
        let events = std::mem::take(&mut state.events);
        drop(state);
        // Acknowledgements hold the session, which holds this.
        drop(events);
        self.waker.wake();
    }

    /// What the client did, for the shard's task.
    pub fn heard(&self) -> Heard {
        let mut state = self.state();
        if let Some(reason) = state.gone {
            Heard::Gone { timed_out: reason == DisconnectReason::HeartbeatTimeout }
        } else if state.flood {
            Heard::Flood
        } else {
            Heard::Events(std::mem::take(&mut state.events))
        }
    }

    /// Whether there is something to hear.
    pub fn has_news(&self) -> bool {
        let state = self.state();
        !state.events.is_empty() || state.gone.is_some() || state.flood
    }

    /// Has `waker` woken by whatever happens next.
    pub fn wake_on_news(&self, waker: &Waker) {
        self.waker.register(waker);
        if let Some(lent_socket) = &self.state().lent_socket {
            lent_socket.wake_on_progress(waker);
        }
    }

    pub fn lent_socket(&self) -> Option<Arc<LentSocket>> {
        self.state().lent_socket.clone()
    }

    /// The client asks to go on by a WebSocket; answers whether it may, as a session has one at a time.
    pub fn upgrades_to(&self, lent_socket: Arc<LentSocket>) -> bool {
        let mut state = self.state();
        if state.lent_socket.as_ref().is_some_and(|lent_socket| !lent_socket.is_gone()) {
            return false;
        }
        state.lent_socket = Some(lent_socket);
        drop(state);
        self.waker.wake();
        true
    }

    /// A poll begins: what the one before was answered with has arrived.
    pub fn poll_begins(&self) {
        let mut state = self.state();
        state.polled.arrived = state.polled.answered;
        if state.goodbye == Goodbye::Emitted {
            state.goodbye = Goodbye::PolledFor;
        }
        drop(state);
        self.waker.wake();
    }

    /// A poll is answered with everything emitted so far.
    pub fn poll_ends(&self) {
        let mut state = self.state();
        state.polled.answered = state.polled.emitted;
        if state.goodbye == Goodbye::PolledFor {
            state.goodbye = Goodbye::Said;
        }
        drop(state);
        self.waker.wake();
    }

    /// The last packet was emitted.
    pub fn says_goodbye(&self) {
        self.state().goodbye = Goodbye::Emitted;
    }

    /// Whether a polling client has been answered with the last packet, if there is one.
    pub fn has_said_goodbye(&self) -> bool {
        matches!(self.state().goodbye, Goodbye::NotYet | Goodbye::Said)
    }

    /// Bytes are about to be emitted to a polling session.
    pub fn emits(&self, bytes: u64) {
        self.state().polled.emitted += bytes;
    }

    /// Bytes a polling session has emitted, and those that have arrived. No poll begins during an upgrade: what
    /// was put into an answer then counts as arrived.
    pub fn polled(&self) -> (u64, u64) {
        let state = self.state();
        let Polled { emitted, answered, arrived } = state.polled;
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

impl Drop for Link {
    fn drop(&mut self) {
        if let Some((list, sid)) = self.listed.get() {
            list.remove(sid);
        }
    }
}

#[cfg(test)]
mod tests;
