//! The sockets of a shard: writing to them, and the one timer each has.

use std::{
    collections::BTreeMap,
    io::ErrorKind,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use gateway_core::{
    outbox::Outbox,
    protocol::Reply,
    session::{self, Session},
    subscription::{Stage, Subscription},
};
use schemas::{
    Millis,
    codes::{Close, Code},
    view::Position,
};
use slab::Slab;
use tokio::net::TcpStream;

use crate::{
    stream::frames::{self, Form},
    transport::socketio::Emitter,
};

/// What a connection is written to.
pub enum Peer {
    Socket(Rc<TcpStream>),
    /// Boxed: sockets are many more.
    Emitter(Box<Emitter>),
}

/// One open socket. There are tens of thousands: every field counts.
pub struct Conn {
    pub peer: Peer,
    pub form: Form,
    /// SSE only: what seals the grant in each event's id.
    sealed: Box<str>,
    pub session: Session,
    outbox: Outbox,
    /// Whether some subscription was not sent its newest state because bytes were waiting.
    pub behind: bool,
    closing: Option<Close>,
    waker: Option<Waker>,
    /// Seconds of the shard's clock; `timer` is the second its next look is due.
    timer: u64,
    ping_at: u64,
    /// Until connected: when it is stale. While a ping is unanswered: when it is given up.
    answer_by: u64,
}

/// What the connection's task should do.
#[derive(Debug, PartialEq, Eq)]
pub enum Ready {
    Read,
    Write,
    Close(Close),
}

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// It is on its way, whole or in part; the rest follows by itself.
    Yes,
    /// Bytes wait already: nothing was taken.
    NotNow,
}

#[derive(Default)]
pub struct Conns {
    slab: Slab<Conn>,
    timers: BTreeMap<u64, Vec<u32>>,
    /// Seconds since the shard began, and the wall clock with it.
    pub now: u64,
    pub wall: Millis,
    scratch: Vec<u8>,
    /// What sockets of each form were handed since the last count.
    pub sent: [Count; Form::ALL.len()],
}

/// Frames of state, and their bytes.
#[derive(Default)]
pub struct Count {
    pub frames: u64,
    pub bytes: u64,
}

impl Conns {
    pub fn get(&self, id: u32) -> Option<&Conn> {
        self.slab.get(id as usize)
    }

    pub fn get_mut(&mut self, id: u32) -> Option<&mut Conn> {
        self.slab.get_mut(id as usize)
    }

    pub fn count(&self) -> usize {
        self.slab.len()
    }

    pub fn ids(&self) -> Vec<u32> {
        self.slab.iter().map(|(id, _)| id as u32).collect()
    }

    /// Takes a socket in. `jitter` (0..1) spreads the first ping, so that the sockets of a restart do not
    /// ping together for ever.
    pub fn add(
        &mut self,
        peer: Peer,
        form: Form,
        sealed: Box<str>,
        session: Session,
        jitter: f32,
    ) -> u32 {
        let first = form.ping_s().map(|period| (period as f32 * (0.5 + jitter / 2.0)) as u64);
        let connected = session.claims().is_some();
        let conn = Conn {
            peer,
            form,
            sealed,
            session,
            outbox: Outbox::default(),
            behind: false,
            closing: None,
            waker: None,
            timer: u64::MAX,
            ping_at: first.map_or(u64::MAX, |first| self.now + first.max(1)),
            answer_by: if connected { u64::MAX } else { self.now + session::CONNECT_WITHIN_S },
        };
        let id = self.slab.insert(conn) as u32;
        self.look_again(id);
        id
    }

    pub fn remove(&mut self, id: u32) -> Conn {
        self.slab.remove(id as usize)
    }

    /// The client has connected: from now on only pings are to be answered.
    pub fn connected(&mut self, id: u32) {
        if let Some(conn) = self.get_mut(id) {
            conn.answer_by = u64::MAX;
        }
        self.look_again(id);
    }

    pub fn poll(&mut self, id: u32, cx: &mut Context<'_>) -> Poll<Ready> {
        let now = self.now;
        let Some(conn) = self.get_mut(id) else {
            return Poll::Ready(Ready::Close(Close::ServerError));
        };
        if let Some(close) = conn.closing {
            return Poll::Ready(Ready::Close(close));
        }
        if !conn.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            conn.waker = Some(cx.waker().clone());
        }
        let socket = match &mut conn.peer {
            Peer::Socket(socket) => socket,
            Peer::Emitter(emitter) => return emitter.poll(cx, conn.behind, now),
        };
        if !conn.outbox.is_empty() && socket.poll_write_ready(cx).is_ready() {
            return Poll::Ready(Ready::Write);
        }
        if socket.poll_read_ready(cx).is_ready() {
            return Poll::Ready(Ready::Read);
        }
        Poll::Pending
    }

    /// Ends the connection soon: its task says farewell and takes it out.
    pub fn close(&mut self, id: u32, close: Close) {
        if let Some(conn) = self.get_mut(id)
            && conn.closing.is_none()
        {
            conn.closing = Some(close);
            conn.wake();
        }
    }

    /// Sends a reply: now if nothing waits, otherwise behind what waits.
    pub fn reply(&mut self, id: u32, reply: &Reply<'_>) {
        let now = self.now;
        let Some(conn) = self.get_mut(id) else { return };
        let Peer::Emitter(emitter) = &mut conn.peer else {
            let frame = frames::reply(conn.form, reply);
            return self.push(id, frame);
        };
        match emitter.reply(reply, now) {
            Ok(()) => self.look_again(id),
            Err(close) => self.close(id, close),
        }
    }

    /// Sends bytes that must not be lost.
    pub fn push(&mut self, id: u32, bytes: Bytes) {
        let now = self.now;
        let Some(conn) = self.get_mut(id) else { return };
        if bytes.is_empty() {
            return;
        }
        let rest = if conn.outbox.is_empty() {
            match conn.try_write(&bytes) {
                Ok(written) => bytes.slice(written..),
                Err(close) => return self.close(id, close),
            }
        } else {
            bytes
        };
        if rest.is_empty() {
            return;
        }
        let pushed = conn.outbox.push(rest, now);
        conn.wake();
        match pushed {
            Ok(()) => self.look_again(id),
            Err(_) => self.close(id, Close::Slow),
        }
    }

    /// Sends a frame of state whose shared part is `shared`, if nothing waits; `slot` will stand at `position`.
    pub fn send_state(&mut self, id: u32, slot: usize, position: Position, shared: &[u8]) -> Sent {
        let now = self.now;
        let mut scratch = std::mem::take(&mut self.scratch);
        let Some(conn) = self.slab.get_mut(id as usize) else { return Sent::NotNow };
        if !conn.outbox.is_empty() || conn.closing.is_some() {
            conn.behind = true;
            self.scratch = scratch;
            return Sent::NotNow;
        }
        let form = conn.form;
        if let Peer::Emitter(emitter) = &mut conn.peer {
            self.scratch = scratch;
            let Some(Some(subscription)) = conn.session.subscriptions.get(slot) else {
                return Sent::NotNow;
            };
            let emitted = emitter.emit_state(subscription.channel.kind(), shared, now);
            return self.emitted(id, emitted, shared.len());
        }
        let frame = match form {
            Form::WsJson | Form::WsProtobuf | Form::SocketIo => shared,
            Form::Sse => {
                scratch.clear();
                scratch.extend_from_slice(shared);
                let positions = conn.positions(slot, position);
                frames::write_sse_id(&mut scratch, positions.into_iter(), &conn.sealed);
                &scratch
            }
        };
        let (mut close, mut waits) = (None, false);
        match conn.try_write(frame) {
            Ok(written) if written == frame.len() => {}
            Ok(written) => {
                waits = true;
                if conn.outbox.push(Bytes::copy_from_slice(&frame[written..]), now).is_err() {
                    close = Some(Close::Slow);
                }
                conn.wake();
            }
            Err(reason) => close = Some(reason),
        }
        let count = &mut self.sent[form.index()];
        count.frames += 1;
        count.bytes += frame.len() as u64;
        self.scratch = scratch;
        if waits {
            self.look_again(id);
        }
        if let Some(close) = close {
            self.close(id, close);
        }
        Sent::Yes
    }

    /// What became of a frame of state that was to be emitted.
    fn emitted(&mut self, id: u32, emitted: Result<bool, Close>, bytes: usize) -> Sent {
        match emitted {
            Ok(true) => {
                let count = &mut self.sent[Form::SocketIo.index()];
                count.frames += 1;
                count.bytes += bytes as u64;
                self.look_again(id);
                return Sent::Yes;
            }
            Ok(false) => {
                if let Some(conn) = self.get_mut(id) {
                    conn.behind = true;
                }
            }
            Err(close) => self.close(id, close),
        }
        Sent::NotNow
    }

    /// Writes what waits. Answers whether nothing waits any more and state is owed.
    pub fn flush(&mut self, id: u32) -> bool {
        let now = self.now;
        let Some(conn) = self.get_mut(id) else { return false };
        let socket = match &mut conn.peer {
            Peer::Socket(socket) => socket,
            Peer::Emitter(emitter) => {
                return emitter.waiting(now) == 0 && std::mem::take(&mut conn.behind);
            }
        };
        while let Some(front) = conn.outbox.front() {
            match socket.try_write(front) {
                Ok(taken) => conn.outbox.took(taken, now),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(_) => {
                    self.close(id, Close::ServerError);
                    return false;
                }
            }
        }
        std::mem::take(&mut conn.behind)
    }

    pub fn is_closing(&self, id: u32) -> bool {
        self.get(id).is_none_or(|conn| conn.closing.is_some())
    }

    /// Writes what waits, as far as the socket takes it; answers whether all of it left.
    pub fn flush_rest(&mut self, id: u32) -> bool {
        self.flush(id);
        self.get(id).is_some_and(|conn| conn.outbox.is_empty())
    }

    /// Puts the connection's timer at its next deadline.
    pub fn look_again(&mut self, id: u32) {
        let now = self.now;
        let wall = self.wall;
        let Some(conn) = self.get_mut(id) else { return };
        let next = conn.next_deadline(now, wall).max(now + 1);
        if next < conn.timer {
            conn.timer = next;
            self.timers.entry(next).or_default().push(id);
        }
    }

    /// Connections whose timer is due.
    pub fn due(&mut self) -> Vec<u32> {
        let later = self.timers.split_off(&(self.now + 1));
        let due = std::mem::replace(&mut self.timers, later);
        let mut ids = Vec::new();
        for (second, candidates) in due {
            for id in candidates {
                // An entry that another, earlier one has replaced is stale, as is one of a socket long gone.
                if let Some(conn) = self.get_mut(id)
                    && conn.timer == second
                {
                    conn.timer = u64::MAX;
                    ids.push(id);
                }
            }
        }
        ids
    }

    /// Looks at one connection's deadlines; answers the slots whose subscribe was waited for too long.
    pub fn tick(&mut self, id: u32) -> Vec<usize> {
        let (now, wall) = (self.now, self.wall);
        let Some(conn) = self.get_mut(id) else { return Vec::new() };
        let form = conn.form;
        let close = if conn.stalls_at(now).is_some_and(|at| at <= now) {
            Some(Close::Slow)
        } else if conn.answer_by <= now {
            Some(if conn.session.claims().is_some() { Close::NoPong } else { Close::Stale })
        } else if conn.session.expires_at().is_some_and(|at| at <= wall) {
            Some(Close::TokenExpired)
        } else {
            None
        };
        if let Some(close) = close {
            if close == Close::TokenExpired && form == Form::Sse {
                self.reply(id, &Reply::Error { id: 0, code: Code::TokenExpired });
            }
            self.close(id, close);
            return Vec::new();
        }
        let ping = conn.ping_at <= now && conn.session.claims().is_some();
        if conn.ping_at <= now {
            conn.ping_at = form.ping_s().map_or(u64::MAX, |period| now + period);
        }
        if ping && form.has_pongs() {
            conn.session.awaits_pong = true;
            conn.answer_by = now + session::PONG_WITHIN_S;
        }
        let late = conn.late(now);
        if ping {
            self.reply(id, &Reply::Ping);
        }
        self.look_again(id);
        late
    }
}

impl Conn {
    fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// Writes as much as the socket takes now: 0 when it takes nothing.
    fn try_write(&self, bytes: &[u8]) -> Result<usize, Close> {
        // What an emitter takes is not bytes.
        let Peer::Socket(socket) = &self.peer else { return Err(Close::ServerError) };
        match socket.try_write(bytes) {
            Ok(written) => Ok(written),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
            Err(_) => Err(Close::ServerError),
        }
    }

    /// The second at which this connection is slow, if it takes nothing until then.
    fn stalls_at(&mut self, now: u64) -> Option<u64> {
        match &mut self.peer {
            Peer::Socket(_) => self.outbox.deadline(),
            Peer::Emitter(emitter) => emitter.deadline(now),
        }
    }

    /// Whether this request is replied to. Otherwise the first thing its client hears is what it is owed.
    pub fn takes_reply(&mut self, request: u32) -> bool {
        match &mut self.peer {
            Peer::Socket(_) => self.form.has_replies(),
            Peer::Emitter(emitter) => emitter.takes_reply(request),
        }
    }

    pub fn pong(&mut self) {
        self.answer_by = u64::MAX;
    }

    /// Positions of all channels in their order, with `slot` already at `position`.
    fn positions(&self, slot: usize, position: Position) -> Vec<Position> {
        (self.session.subscriptions.iter().enumerate())
            .map(|(index, subscription)| match subscription {
                _ if index == slot => position,
                Some(Subscription { stage: Stage::Live { held, .. }, .. }) => *held,
                Some(Subscription { stage: Stage::Asked { floor: Some(floor), .. }, .. }) => *floor,
                _ => Position::default(),
            })
            .collect()
    }

    fn asked(&self) -> impl Iterator<Item = (usize, u64)> {
        self.session.subscriptions.iter().enumerate().filter_map(|(slot, subscription)| {
            match subscription.as_ref()?.stage {
                Stage::Asked { give_up_at, .. } => Some((slot, give_up_at)),
                Stage::Live { .. } => None,
            }
        })
    }

    fn late(&self, now: u64) -> Vec<usize> {
        self.asked().filter(|(_, give_up_at)| *give_up_at <= now).map(|(slot, _)| slot).collect()
    }

    fn next_deadline(&mut self, now: u64, wall: Millis) -> u64 {
        let expires = self
            .session
            .expires_at()
            .map_or(u64::MAX, |at| now + u64::try_from((at - wall).max(0) / 1000).unwrap_or(0) + 1);
        let asked = self.asked().map(|(_, give_up_at)| give_up_at).min();
        [
            self.ping_at,
            self.answer_by,
            expires,
            asked.unwrap_or(u64::MAX),
            self.stalls_at(now).unwrap_or(u64::MAX),
        ]
        .into_iter()
        .min()
        .unwrap_or(u64::MAX)
    }
}
