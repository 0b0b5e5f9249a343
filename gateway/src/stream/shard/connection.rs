//! One connection of a shard, and its deadlines. All times are seconds of the shard's clock.

use std::task::{Context, Poll, Waker};

use gateway_core::{
    session::{self, Session},
    subscription::{Stage, SubscriptionSlot},
};
use schemas::{Millis, codes::Close};

use crate::{
    client_address::audited_client::AuditedClient,
    limits::admission::SubjectPlaces,
    wire::{
        frames::Form,
        peer::{Peer, outcome::Ready, tcp::TcpPeer},
    },
};

/// The second of a deadline that is not set.
const NEVER: u64 = u64::MAX;

/// How a connection was opened.
pub struct Opening {
    /// The client, for the audit.
    pub client: AuditedClient,
    /// The sealed grant in the id of each event. Empty unless the form is SSE.
    pub sealed: Box<str>,
}

/// An open connection. A shard holds tens of thousands, so every field counts.
pub struct Connection {
    pub peer: Peer,
    pub form: Form,
    pub opening: Box<Opening>,
    pub session: Session,
    /// The places of the subject. `None` until it connects.
    pub places: Option<SubjectPlaces>,
    /// Whether some subscription was not sent its newest state because earlier bytes waited.
    pub behind: bool,
    closing: Option<Close>,
    waker: Option<Waker>,
    /// The second of the connection's entry in the timers, or [`NEVER`].
    pub timer: u64,
    ping_at: u64,
    /// Until the client connects, when the connection is stale. Later, when an unanswered ping ends
    /// it.
    answer_by: u64,
}

// Most connections are idle, so their memory is what a node needs most.
const _: () = assert!(size_of::<Connection>() <= 144);

/// The result of a check of a connection's deadlines.
pub enum DeadlineCheck {
    Close(Close),
    /// `ping` says whether to send a ping. The subscribes in `late` have waited for too long.
    Keep {
        ping: bool,
        late: Vec<SubscriptionSlot>,
    },
}

impl Connection {
    /// `jitter` (0 to 1) spreads the first ping, so that the connections of a restart do not all
    /// ping in the same second for ever.
    pub fn new(
        peer: Peer,
        form: Form,
        opening: Opening,
        session: Session,
        now: u64,
        jitter: f32,
    ) -> Self {
        let first = form.ping_s().map(|period| (period as f32 * (0.5 + jitter / 2.0)) as u64);
        let connected = session.claims().is_some();
        Self {
            peer,
            form,
            opening: Box::new(opening),
            session,
            places: None,
            behind: false,
            closing: None,
            waker: None,
            timer: NEVER,
            ping_at: first.map_or(NEVER, |first| now + first.max(1)),
            answer_by: if connected { NEVER } else { now + session::CONNECT_WITHIN_S },
        }
    }

    /// The peer of a WebSocket or SSE connection.
    pub fn tcp_peer_mut(&mut self) -> Option<&mut TcpPeer> {
        match &mut self.peer {
            Peer::Tcp(peer) => Some(peer),
            Peer::SocketIo(_) => None,
        }
    }

    pub fn poll(&mut self, cx: &mut Context<'_>, now: u64) -> Poll<Ready> {
        if let Some(close) = self.closing {
            return Poll::Ready(Ready::Close(close));
        }
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
        self.peer.poll(cx, self.behind, now)
    }

    /// Wakes the connection's task.
    pub fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// Asks the task to send the close frame and to end. The first reason counts.
    pub fn close(&mut self, close: Close) {
        if self.closing.is_none() {
            self.closing = Some(close);
            self.wake();
        }
    }

    pub fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Clears the deadline once the client has connected or answered a ping.
    pub fn clear_answer_deadline(&mut self) {
        self.answer_by = NEVER;
    }

    /// Checks all deadlines at second `now`, and sets those of the next ping and its answer.
    pub fn check_deadlines(&mut self, now: u64, wall: Millis) -> DeadlineCheck {
        if self.peer.deadline(now).is_some_and(|at| at <= now) {
            return DeadlineCheck::Close(Close::Slow);
        }
        let connected = self.session.claims().is_some();
        if self.answer_by <= now {
            return DeadlineCheck::Close(if connected { Close::NoPong } else { Close::Stale });
        }
        if self.session.expires_at().is_some_and(|at| at <= wall) {
            return DeadlineCheck::Close(Close::TokenExpired);
        }
        let mut ping = false;
        if self.ping_at <= now {
            ping = connected;
            self.ping_at = self.form.ping_s().map_or(NEVER, |period| now + period);
        }
        if ping && self.form.has_pongs() {
            self.session.awaits_pong = true;
            self.answer_by = now + session::PONG_WITHIN_S;
        }
        let late = self.pending().filter(|(_, at)| *at <= now).map(|(slot, _)| slot).collect();
        DeadlineCheck::Keep { ping, late }
    }

    /// The second of the earliest deadline, or [`NEVER`].
    pub fn next_deadline(&mut self, now: u64, wall: Millis) -> u64 {
        let expires = self
            .session
            .expires_at()
            .map_or(NEVER, |at| now + u64::try_from((at - wall).max(0) / 1000).unwrap_or(0) + 1);
        let subscribe = self.pending().map(|(_, give_up_at)| give_up_at).min().unwrap_or(NEVER);
        let stall = self.peer.deadline(now).unwrap_or(NEVER);
        self.ping_at.min(self.answer_by).min(expires).min(subscribe).min(stall)
    }

    /// Subscribes that are not answered yet, with the second at which each is given up.
    fn pending(&self) -> impl Iterator<Item = (SubscriptionSlot, u64)> {
        self.session.subscriptions.iter().filter_map(|(slot, subscription)| {
            match subscription.stage {
                Stage::Pending { give_up_at, .. } => Some((slot, give_up_at)),
                Stage::Live { .. } => None,
            }
        })
    }
}
