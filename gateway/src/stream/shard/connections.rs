//! The connections of a shard: finding them, writing to them, and the one timer of each.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    task::{Context, Poll},
};

use bytes::Bytes;
use gateway_core::{
    protocol::Reply,
    send_buffer::MAX_WAITING_OF_NODE,
    session::Session,
    subscription::{Stage, Subscription},
};
use schemas::{
    Millis,
    codes::{Close, Code},
    view::Position,
};

use super::{
    connection::{Connection, DeadlineCheck, Opening},
    typed_slab::TypedSlab,
};
use crate::{
    inbox::ids::{ConnId, SubscriptionId},
    limits::admission::SubjectPlaces,
    wire::{
        frames::{self, Form, PerForm},
        peer::{
            Peer,
            outcome::{Ready, SendOutcome},
        },
    },
};

#[derive(Default)]
pub struct Connections {
    slab: TypedSlab<ConnId, Connection>,
    /// Connections by the second at which their deadlines are checked. An entry is stale if the
    /// connection's own `timer` names another second.
    timers: BTreeMap<u64, Vec<ConnId>>,
    /// Seconds since the shard started, and the wall clock at that second.
    pub now: u64,
    pub wall: Millis,
    /// Buffer for a frame that is completed for one connection.
    scratch: Vec<u8>,
    sent: PerForm<SentCount>,
    /// Bytes that wait for all peers.
    waiting: u64,
    /// The share of this shard in [`MAX_WAITING_OF_NODE`].
    max_waiting: u64,
    /// Connections that were cut because too many bytes waited.
    cut: u64,
}

/// Frames of state that peers took, and their bytes.
#[derive(Default, Clone, Copy)]
pub struct SentCount {
    pub frames: u64,
    pub bytes: u64,
}

impl Connections {
    /// The connections of one of `shards` shards.
    pub fn of_shard(shards: usize) -> Self {
        Self { max_waiting: (MAX_WAITING_OF_NODE / shards.max(1)) as u64, ..Self::default() }
    }

    /// Finds a connection that may have been removed, and whose id may be in use again.
    pub fn find(&self, id: ConnId) -> Option<&Connection> {
        self.slab.get(id)
    }

    /// The connection of an id that its task or a listener list holds, which is never missing.
    pub fn get(&self, id: ConnId) -> Option<&Connection> {
        let connection = self.slab.get(id);
        debug_assert!(connection.is_some(), "a connection is removed after its last use");
        connection
    }

    /// Like [`Connections::get`], to change the connection.
    pub fn get_mut(&mut self, id: ConnId) -> Option<&mut Connection> {
        let connection = self.slab.get_mut(id);
        debug_assert!(connection.is_some(), "a connection is removed after its last use");
        connection
    }

    /// Finds a subscription that may have ended, and whose id may be in use again.
    pub fn find_subscription(&self, at: SubscriptionId) -> Option<(&Connection, &Subscription)> {
        let connection = self.slab.get(at.conn)?;
        Some((connection, connection.session.subscriptions.get(at.slot)?))
    }

    /// The subscription of an id from a listener list, which is never missing: a subscription
    /// leaves the list when it ends.
    pub fn subscription(&self, at: SubscriptionId) -> Option<(&Connection, &Subscription)> {
        let found = self.find_subscription(at);
        debug_assert!(found.is_some(), "listener lists name only subscriptions that exist");
        found
    }

    /// Like [`Connections::subscription`], to change the subscription.
    pub fn subscription_mut(&mut self, at: SubscriptionId) -> Option<&mut Subscription> {
        let found = self.slab.get_mut(at.conn);
        let found = found.and_then(|conn| conn.session.subscriptions.get_mut(at.slot));
        debug_assert!(found.is_some(), "listener lists name only subscriptions that exist");
        found
    }

    /// Marks that the client of a subscription has been sent everything up to `held`.
    /// `first` is the first position that it was sent.
    pub fn mark_live(&mut self, at: SubscriptionId, first: Position, held: Position, seen: u64) {
        if let Some(subscription) = self.subscription_mut(at) {
            subscription.stage = Stage::Live { held, first, seen };
        }
    }

    pub fn count(&self) -> usize {
        self.slab.len()
    }

    pub fn ids(&self) -> Vec<ConnId> {
        self.slab.keys()
    }

    pub fn add(&mut self, peer: Peer, form: Form, opening: Opening, session: Session) -> ConnId {
        let connection = Connection::new(peer, form, opening, session, self.now, fastrand::f32());
        let id = self.slab.insert(connection);
        self.schedule(id);
        id
    }

    pub fn remove(&mut self, id: ConnId) -> Option<Connection> {
        let removed = self.slab.remove(id);
        debug_assert!(removed.is_some(), "a connection is removed once, by its task");
        self.waiting -= removed.as_ref().map_or(0, |connection| connection.peer.counted());
        removed
    }

    /// Uses a connection whose waiting bytes may change by that.
    fn with_counted<T>(
        &mut self,
        id: ConnId,
        act: impl FnOnce(&mut Connection, u64) -> T,
    ) -> Option<T> {
        let now = self.now;
        let connection = self.get_mut(id)?;
        let before = connection.peer.counted();
        let result = act(connection, now);
        let after = connection.peer.count(now);
        self.note_waiting(before, after);
        Some(result)
    }

    /// Follows up on a change of the bytes that wait for one peer.
    fn note_waiting(&mut self, before: u64, after: u64) {
        self.waiting = self.waiting + after - before;
        if self.waiting > self.max_waiting {
            self.cut_slowest();
        }
    }

    /// Closes the connections that have been behind for longest, until an eighth of the bound is
    /// free: so the search among all connections is rare at any rate of bytes.
    fn cut_slowest(&mut self) {
        let behind = |id: ConnId| {
            // Bytes that were given up are not waiting any more.
            let peer = Some(&self.slab.get(id)?.peer).filter(|peer| peer.counted() > 0)?;
            Some((peer.behind_since()?, Reverse(peer.counted()), id.index()))
        };
        let ids = self.slab.keys().into_iter();
        let mut slowest: Vec<_> = ids.filter_map(|id| Some((behind(id)?, id))).collect();
        slowest.sort_unstable_by_key(|(order, _)| *order);
        for (_, id) in slowest {
            if self.waiting <= self.max_waiting / 8 * 7 {
                return;
            }
            let Some(connection) = self.slab.get_mut(id) else { continue };
            self.waiting -= connection.peer.counted();
            connection.peer.discard();
            connection.close(Close::Slow);
            self.cut += 1;
        }
    }

    /// Connections that were cut since the last call because too many bytes waited for all.
    pub fn take_cut(&mut self) -> u64 {
        std::mem::take(&mut self.cut)
    }

    /// Keeps the places of a connection's subject until the connection is removed.
    pub fn hold_places(&mut self, id: ConnId, places: SubjectPlaces) {
        if let Some(connection) = self.get_mut(id) {
            connection.places = Some(places);
        }
    }

    /// Lifts the deadline of the connect command.
    pub fn mark_connected(&mut self, id: ConnId) {
        if let Some(connection) = self.get_mut(id) {
            connection.clear_answer_deadline();
            self.schedule(id);
        }
    }

    pub fn poll(&mut self, id: ConnId, cx: &mut Context<'_>) -> Poll<Ready> {
        let polled = self.with_counted(id, |connection, now| connection.poll(cx, now));
        polled.unwrap_or(Poll::Ready(Ready::Close(Close::ServerError)))
    }

    /// Ends a connection soon: its task sends the close frame and removes it.
    pub fn close(&mut self, id: ConnId, close: Close) {
        if let Some(connection) = self.get_mut(id) {
            connection.close(close);
        }
    }

    pub fn is_closing(&self, id: ConnId) -> bool {
        self.get(id).is_none_or(Connection::is_closing)
    }

    /// Sends a reply, behind the bytes that wait.
    pub fn reply(&mut self, id: ConnId, reply: &Reply<'_>) {
        let sent = self.with_counted(id, |connection, now| {
            connection.peer.send_reply(connection.form, reply, now)
        });
        if let Some(outcome) = sent {
            self.settle(id, outcome);
        }
    }

    /// Sends bytes to a WebSocket or SSE client, behind the bytes that wait.
    pub fn send_bytes(&mut self, id: ConnId, bytes: Bytes) {
        let sent = self.with_counted(id, |connection, now| {
            let peer = connection.tcp_peer_mut();
            debug_assert!(peer.is_some(), "a Socket.IO client is sent replies and state alone");
            peer.map(|peer| peer.send_bytes(bytes, now))
        });
        if let Some(outcome) = sent.flatten() {
            self.settle(id, outcome);
        }
    }

    /// Sends a frame of state with the shared part `shared`. If the peer takes it, the subscription
    /// then stands at `position`, with the fingerprint `seen`. If earlier bytes wait, the
    /// connection is marked as behind.
    pub fn send_state(&mut self, at: SubscriptionId, position: Position, seen: u64, shared: &[u8]) {
        let Self { slab, scratch, now, sent, .. } = self;
        let Some(connection) = slab.get_mut(at.conn).filter(|conn| !conn.is_closing()) else {
            return;
        };
        let Connection { peer, form, opening, session, .. } = connection;
        let frame = match form {
            Form::WsJson | Form::WsProtobuf | Form::SocketIo => shared,
            Form::Sse => {
                scratch.clear();
                scratch.extend_from_slice(shared);
                let positions = session.subscriptions.positions_with(at.slot, position);
                frames::write_sse_id(scratch, positions, &opening.sealed);
                &scratch[..]
            }
        };
        let Some(subscription) = session.subscriptions.get_mut(at.slot) else {
            debug_assert!(false, "state is sent to subscriptions that exist");
            return;
        };
        let before = peer.counted();
        let outcome = peer.send_state(&subscription.channel, frame, *now);
        let after = peer.count(*now);
        if outcome.is_ok_and(|outcome| outcome != SendOutcome::Busy) {
            let first = match subscription.stage {
                Stage::Live { first, .. } if first.epoch > 0 => first,
                _ => position,
            };
            subscription.stage = Stage::Live { held: position, first, seen };
            let count = sent.get_mut(*form);
            count.frames += 1;
            count.bytes += frame.len() as u64;
        }
        self.note_waiting(before, after);
        self.settle(at.conn, outcome);
    }

    /// Follows up on bytes that a peer was given.
    fn settle(&mut self, id: ConnId, outcome: Result<SendOutcome, Close>) {
        match outcome {
            Ok(SendOutcome::Written) => {}
            Ok(SendOutcome::InFlight) => self.schedule(id),
            Ok(SendOutcome::Queued) => {
                if let Some(connection) = self.get_mut(id) {
                    connection.wake();
                }
                self.schedule(id);
            }
            Ok(SendOutcome::Busy) => {
                if let Some(connection) = self.get_mut(id) {
                    connection.behind = true;
                }
            }
            Err(close) => self.close(id, close),
        }
    }

    /// Writes the bytes that wait. Returns whether all have left and the client lacks state.
    pub fn flush(&mut self, id: ConnId) -> bool {
        let flushed = self.with_counted(id, |connection, now| match connection.peer.flush(now) {
            Ok(true) => std::mem::take(&mut connection.behind),
            Ok(false) => false,
            Err(close) => {
                connection.close(close);
                false
            }
        });
        flushed.unwrap_or_default()
    }

    /// Writes the bytes that wait, as far as the socket takes them. Returns whether all have left.
    pub fn flush_rest(&mut self, id: ConnId) -> bool {
        let flushed =
            self.with_counted(id, |connection, now| connection.peer.flush(now) == Ok(true));
        flushed.unwrap_or_default()
    }

    /// Moves the connection's timer forward to its next deadline. An earlier timer stays: when it
    /// is due, the deadlines are checked and the timer is set again.
    pub fn schedule(&mut self, id: ConnId) {
        let (now, wall) = (self.now, self.wall);
        let Some(connection) = self.get_mut(id) else { return };
        let next = connection.next_deadline(now, wall).max(now + 1);
        if next < connection.timer {
            connection.timer = next;
            self.timers.entry(next).or_default().push(id);
        }
    }

    /// Takes the connections whose timer is due.
    pub fn take_due(&mut self) -> Vec<ConnId> {
        let later = self.timers.split_off(&(self.now + 1));
        let due = std::mem::replace(&mut self.timers, later);
        let mut ids = Vec::new();
        for (second, candidates) in due {
            for id in candidates {
                // The entry is stale if an earlier one replaced it, or if its connection was
                // removed.
                if let Some(connection) = self.slab.get_mut(id)
                    && connection.timer == second
                {
                    connection.timer = u64::MAX;
                    ids.push(id);
                }
            }
        }
        ids
    }

    /// Checks the deadlines of one connection. Returns the subscriptions that have waited for too
    /// long.
    pub fn check_deadlines(&mut self, id: ConnId) -> Vec<SubscriptionId> {
        let (now, wall) = (self.now, self.wall);
        let Some(connection) = self.get_mut(id) else { return Vec::new() };
        match connection.check_deadlines(now, wall) {
            DeadlineCheck::Close(close) => {
                if close == Close::TokenExpired && connection.form == Form::Sse {
                    self.reply(id, &Reply::Error { id: 0, code: Code::TokenExpired });
                }
                self.close(id, close);
                Vec::new()
            }
            DeadlineCheck::Keep { ping, late } => {
                if ping {
                    self.reply(id, &Reply::Ping);
                }
                self.schedule(id);
                late.into_iter().map(|slot| SubscriptionId { conn: id, slot }).collect()
            }
        }
    }

    /// Frames of state that peers took since the last [`Connections::take_sent`].
    pub fn frames_sent(&self) -> u64 {
        self.sent.values().iter().map(|count| count.frames).sum()
    }

    pub fn take_sent(&mut self) -> [(Form, SentCount); Form::ALL.len()] {
        let sent = std::mem::take(&mut self.sent);
        let counts = sent.values().map(|count| *count);
        std::array::from_fn(|index| (Form::ALL[index], counts[index]))
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::{client_address::audited_client::AuditedClient, wire::peer::tcp::TcpPeer};

    /// A share of 1 KiB.
    const SHARDS: usize = MAX_WAITING_OF_NODE / 1024;

    /// A connection whose client reads nothing, and whose socket is full.
    async fn slow(connections: &mut Connections) -> (ConnId, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let far = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let socket = listener.accept().await.unwrap().0;
        socket.writable().await.unwrap();
        while socket.try_write(&[0; 64 * 1024]).is_ok() {}
        let peer = Peer::Tcp(TcpPeer::new(Rc::new(socket.into())));
        let opening = Opening { client: AuditedClient::default(), sealed: "".into() };
        (connections.add(peer, Form::WsJson, opening, Session::default()), far)
    }

    #[tokio::test]
    async fn too_many_waiting_bytes_cut_who_is_behind_for_longest() {
        let mut connections = Connections::of_shard(SHARDS);
        let (first, _far_first) = slow(&mut connections).await;
        let (second, _far_second) = slow(&mut connections).await;
        let (third, _far_third) = slow(&mut connections).await;
        let mut send = |id: ConnId, now: u64, bytes: usize| {
            connections.now = now;
            connections.send_bytes(id, vec![0; bytes].into());
            [first, second, third].map(|id| connections.is_closing(id))
        };
        assert_eq!(send(second, 1, 300), [false; 3]);
        assert_eq!(send(first, 2, 500), [false; 3]);
        assert_eq!(send(third, 3, 300), [false, true, false]);
        assert_eq!(send(third, 4, 400), [true, true, false]);
        assert_eq!((connections.waiting, connections.take_cut()), (700, 2));
        for id in [first, second, third] {
            connections.remove(id);
        }
        assert_eq!(connections.waiting, 0);
    }
}
