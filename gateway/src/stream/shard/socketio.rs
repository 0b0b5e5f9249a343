//! The Socket.IO clients among the connections of a shard.

use std::task::Context;

use gateway_core::session::Session;
use schemas::codes::Close;

use super::{Opening, Shard};
use crate::{
    inbox::ids::ConnId,
    limits::admission,
    wire::{
        frames::Form,
        peer::{Peer, link::ClientEvent, socketio::SocketIoPeer},
    },
};

impl Shard {
    /// Adds a client whose token has been verified. `None` if the client has left meanwhile.
    pub fn add_socketio(&mut self, peer: Box<SocketIoPeer>) -> Option<ConnId> {
        let claims = peer.claims()?;
        let places = admission::take_subject_places(&self.context.node.limits, &claims);
        let session = Session::with_claims(claims);
        let opening = Opening { client: peer.client(), sealed: "".into() };
        self.count_opened(Form::SocketIo);
        let conn = self.connections.add(Peer::SocketIo(peer), Form::SocketIo, opening, session);
        match places {
            Ok(places) => self.connections.hold_places(conn, places),
            Err(_) => self.connections.close(conn, Close::TryAgain),
        }
        self.close_newcomer(conn);
        if self.drain.is_some() {
            self.connections.close(conn, Close::Shutdown);
        }
        Some(conn)
    }

    /// Carries out the events of a client.
    pub fn receive_events(&mut self, conn: ConnId, events: Vec<ClientEvent>) {
        for event in events {
            let Some(peer) = self.socketio_peer(conn) else { return };
            match peer.command(event) {
                Ok(command) => self.carry_out(conn, command),
                Err(reply) => self.connections.reply(conn, &reply),
            }
            if self.connections.is_closing(conn) {
                return;
            }
        }
    }

    /// Sends a client the reason of its end. Returns whether the client can receive it.
    pub fn say_farewell(&mut self, conn: ConnId, close: Close) -> bool {
        let now = self.connections.now;
        self.socketio_peer(conn).is_some_and(|peer| peer.say_farewell(close, now).is_ok())
    }

    /// Returns whether everything that was emitted has left. Progress wakes the task.
    pub fn has_left(&mut self, conn: ConnId, cx: &Context<'_>) -> bool {
        let now = self.connections.now;
        self.socketio_peer(conn).is_none_or(|peer| peer.has_left(cx, now))
    }

    /// The peer of a client, which only its own task asks for.
    fn socketio_peer(&mut self, conn: ConnId) -> Option<&mut SocketIoPeer> {
        match &mut self.connections.get_mut(conn)?.peer {
            Peer::SocketIo(peer) => Some(peer),
            Peer::Tcp(_) => {
                debug_assert!(false, "the task of a Socket.IO client has its own id");
                None
            }
        }
    }
}
