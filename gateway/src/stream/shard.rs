//! A shard: one thread that owns its connections and its hot views, without locks. Intake sends it
//! records. It folds them, decides the next frame of each client, and writes straight to the
//! sockets. No function here awaits: views are fetched on the node's runtime, and come back as
//! messages.

mod commands;
mod connection;
mod connections;
pub mod context;
mod drain;
mod encoded_frames;
mod hot_view;
mod hot_views;
mod pace;
mod revoking;
mod sessions;
mod socketio;
mod subscriptions;
mod sweep;
mod traced;
mod typed_slab;

use std::{rc::Rc, sync::Arc};

use gateway_core::{
    access::Claims, frame_meter::FrameExcess, rate::Micros, session::Session,
    subscription::AuditEntryId,
};
use schemas::{channel::Channel, codes::Close, view::Position};
use tokio::time::Instant;

pub use self::connection::Opening;
use self::{
    connections::Connections,
    context::ShardContext,
    drain::Drain,
    encoded_frames::EncodedFrames,
    hot_views::{HotViews, Refusal},
    traced::TracedDelivery,
};
use crate::{
    client_address::audited_client::AuditedClient,
    clock,
    inbox::{
        ShardMessage,
        ids::{ConnId, SubscriptionId},
    },
    limits::Limit,
    wire::{
        frames::Form,
        peer::{Peer, link::has_polling, socketio::SocketIoPeer, tcp::TcpPeer},
        socket::Socket,
    },
};

pub struct Shard {
    context: Rc<ShardContext>,
    connections: Connections,
    views: HotViews,
    frames: EncodedFrames,
    next_audit_entry: AuditEntryId,
    /// Open connections that speak plain HTTP. A draining shard waits for them.
    pub http_connections: usize,
    started: Instant,
    /// The generation of the revocations that all connections were checked against.
    checked_revocations: u64,
    /// Set once the node drains.
    drain: Option<Drain>,
    /// Set while the step of a sampled record is delivered.
    delivery: Option<TracedDelivery>,
}

impl Shard {
    pub fn new(context: ShardContext) -> Self {
        let context = Rc::new(context);
        let mut shard = Self {
            connections: Connections::of_shard(context.shards),
            views: HotViews::new(context.clone()),
            frames: EncodedFrames::new(context.node.metrics.clone()),
            next_audit_entry: AuditEntryId::FIRST,
            http_connections: 0,
            started: Instant::now(),
            checked_revocations: 0,
            drain: None,
            delivery: None,
            context,
        };
        shard.read_clocks();
        shard
    }

    fn read_clocks(&mut self) {
        self.connections.now = self.started.elapsed().as_secs();
        self.connections.wall = clock::now();
    }

    /// The clock of the rates of this shard's clients.
    pub fn rate_clock(&self) -> Micros {
        Micros(u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    pub fn connections(&mut self) -> &mut Connections {
        &mut self.connections
    }

    /// Adds a WebSocket connection. `form` is the encoding negotiated in the handshake.
    pub fn add_ws(&mut self, socket: Rc<Socket>, form: Form, client: AuditedClient) -> ConnId {
        self.count_opened(form);
        let peer = Peer::Tcp(TcpPeer::new(socket));
        let opening = Opening { client, sealed: "".into() };
        self.connections.add(peer, form, opening, Session::default())
    }

    /// Adds an SSE stream. Its response head has been written, and its grant authorises `channels`.
    /// The sealed form of the grant in `opening` is for the ids of its events.
    pub fn add_sse(
        &mut self,
        socket: Rc<Socket>,
        claims: Arc<Claims>,
        opening: Opening,
        channels: Vec<(Channel, Option<Position>)>,
    ) -> ConnId {
        self.count_opened(Form::Sse);
        let session = Session::with_claims(claims);
        let peer = Peer::Tcp(TcpPeer::new(socket));
        let conn = self.connections.add(peer, Form::Sse, opening, session);
        if self.close_newcomer(conn) {
            return conn;
        }
        // All subscriptions first, because the id of an event names the positions of all channels.
        let subscriptions: Vec<_> = channels
            .into_iter()
            .filter_map(|(channel, since)| self.subscribe(conn, 0, channel, since))
            .collect();
        for at in subscriptions {
            self.answer(at);
        }
        conn
    }

    fn count_opened(&self, form: Form) {
        let (metrics, transport) = (&self.context.node.metrics, form.transport());
        metrics.connections.for_transport(transport).inc();
        metrics.connections_opened.for_transport(transport).inc();
    }

    /// Removes a connection and its subscriptions.
    pub fn remove(&mut self, conn: ConnId) {
        for at in self.subscriptions_of(conn) {
            self.remove_subscription(at);
        }
        if let Some(connection) = self.connections.remove(conn) {
            self.context.node.metrics.connections.for_transport(connection.form.transport()).dec();
        }
    }

    fn subscriptions_of(&self, conn: ConnId) -> Vec<SubscriptionId> {
        let connection = self.connections.get(conn);
        let slots = connection.map(|connection| connection.session.subscriptions.slots());
        slots.unwrap_or_default().into_iter().map(|slot| SubscriptionId { conn, slot }).collect()
    }

    /// Ends a connection that passed a limit.
    pub fn close_limited(&mut self, conn: ConnId, limit: Limit) {
        self.context.node.metrics.limited(limit.name());
        self.connections.close(conn, Close::TooManyRequests);
    }

    /// Ends a connection whose client sent more frames than it may, or a longer message.
    pub fn close_for_frames(&mut self, conn: ConnId, excess: FrameExcess) {
        match excess {
            FrameExcess::Control => self.close_limited(conn, Limit::ControlFrames),
            FrameExcess::Fragments => self.close_limited(conn, Limit::Fragments),
            FrameExcess::Messages => self.close_limited(conn, Limit::Commands),
            FrameExcess::Length => self.connections.close(conn, Close::TooLarge),
            FrameExcess::ForbiddenLength => self.connections.close(conn, Close::ProtocolError),
        }
    }

    pub fn count_close(&self, close: Close) {
        self.context.node.metrics.close(close);
    }

    /// Writes the bytes that wait for a connection which became writable, then the state that it
    /// missed.
    pub fn flush(&mut self, conn: ConnId) {
        if self.connections.flush(conn) {
            for at in self.subscriptions_of(conn) {
                self.catch_up(at);
            }
        }
    }

    /// Handles a message. Returns a Socket.IO client that connected, which the caller adds with its
    /// task.
    pub fn handle(&mut self, message: ShardMessage) -> Option<Box<SocketIoPeer>> {
        match message {
            ShardMessage::Record(record) => self.views.fold(&record),
            ShardMessage::Fetched(fetched) => match self.views.place_fetched(fetched) {
                Some(Refusal::Waiting(waiting, code)) => {
                    waiting.into_iter().for_each(|at| self.refuse(at, code));
                }
                Some(Refusal::Gone(listeners)) => {
                    listeners.into_iter().for_each(|at| self.end_gone(at));
                }
                None => {}
            },
            ShardMessage::Audited { entries, written } => {
                for (subscription, entry) in entries {
                    self.finish_audit(subscription, entry, written);
                }
            }
            ShardMessage::Confirmed { view, check, authority } => {
                for at in self.views.take_confirmed(view, check) {
                    self.finish_doubt(at, view, authority);
                }
            }
            ShardMessage::SocketIo(peer) => return Some(peer),
            ShardMessage::Sessions { tenant, subject, answer } => {
                // The request for the list may have timed out.
                let _ = answer.send(self.connections_of(&tenant, &subject));
            }
            ShardMessage::Refetch => self.views.refetch_all(),
            ShardMessage::Missed(aggregate) => self.views.refetch_aggregate(&aggregate),
            ShardMessage::Drain(window) => {
                let (ids, now) = (self.connections.ids(), self.connections.now);
                self.drain = Some(Drain::new(ids, now, window));
                self.close_drained();
            }
        }
        None
    }

    /// Sends the changes of the handled messages to all listeners.
    pub fn serve_changes(&mut self) {
        self.sweep();
    }

    /// The moment at which [`Shard::send_delayed`] has something to send.
    pub fn next_due(&self) -> Option<Instant> {
        self.views.next_due()
    }

    /// Sends the steps of paced views that are due.
    pub fn send_delayed(&mut self) {
        self.views.mark_due(Instant::now());
        self.sweep();
    }

    /// Checks every deadline. Called once a second.
    pub fn tick(&mut self) {
        self.read_clocks();
        for conn in self.connections.take_due() {
            for at in self.connections.check_deadlines(conn) {
                self.give_up(at);
            }
        }
        self.close_revoked();
        self.views.retry_failed();
        self.close_drained();
        let metrics = &self.context.node.metrics;
        for _ in 0..self.connections.take_cut() {
            metrics.limited(Limit::SlowReaders.name());
        }
        for (form, sent) in self.connections.take_sent() {
            metrics.deliveries.for_transport(form.transport()).inc_by(sent.frames);
            metrics.bytes_written.for_transport(form.transport()).inc_by(sent.bytes);
        }
        self.sweep();
    }

    /// Closes the connections whose second of the drain has come.
    fn close_drained(&mut self) {
        let Some(drain) = &mut self.drain else { return };
        while let Some(conn) = drain.take_due(self.connections.now) {
            // The client may have left since the drain began, and another may have its id. All
            // connections are closed anyway.
            let Some(connection) = self.connections.find(conn) else { continue };
            if connection.form == Form::Sse {
                // Only SSE has a field for the pause before a reconnect, in milliseconds.
                let retry = 500 + fastrand::u32(0..4500);
                self.connections.send_bytes(conn, format!("retry: {retry}\n\n").into());
            }
            self.connections.close(conn, Close::Shutdown);
        }
    }

    /// Returns whether the drain is over and the last connection has left.
    pub fn is_drained(&self) -> bool {
        self.drain.as_ref().is_some_and(Drain::is_done)
            // A client of another shard may poll through the listener of this one.
            && !has_polling(&self.context.polling)
            && self.connections.count() == 0
            && self.http_connections == 0
    }
}

#[cfg(test)]
mod tests;
