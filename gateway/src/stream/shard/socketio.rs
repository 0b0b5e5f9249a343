//! Clients of Socket.IO among the connections of a shard.

use std::task::Context;

use gateway_core::session::Session;
use schemas::codes::Close;

use super::{Peer, Shard, jitter};
use crate::{
    stream::frames::Form,
    transport::socketio::{Emitter, Event},
};

impl Shard {
    /// Takes a client in whose token was good; `None` if it is gone again.
    pub fn add_socketio(&mut self, emitter: Box<Emitter>) -> Option<u32> {
        let session = Session::granted(emitter.claims()?);
        self.count_opened(Form::SocketIo);
        let id =
            self.conns.add(Peer::Emitter(emitter), Form::SocketIo, "".into(), session, jitter());
        if self.drain.is_some() {
            self.conns.close(id, Close::Shutdown);
        }
        Some(id)
    }

    /// Carries out what a client asked.
    pub fn hear(&mut self, id: u32, events: Vec<Event>) {
        for event in events {
            let Some(emitter) = self.emitter(id) else { return };
            match emitter.command(event) {
                Ok(command) => self.carry_out(id, command),
                Err(reply) => self.conns.reply(id, &reply),
            }
            if self.conns.is_closing(id) {
                return;
            }
        }
    }

    /// Tells a client why its connection ends; answers whether it may hear it.
    pub fn say_farewell(&mut self, id: u32, close: Close) -> bool {
        let now = self.conns.now;
        self.emitter(id).is_some_and(|emitter| emitter.say_farewell(close, now).is_ok())
    }

    /// Whether everything that was emitted has left; the task is woken when more has.
    pub fn has_heard(&mut self, id: u32, cx: &Context<'_>) -> bool {
        let now = self.conns.now;
        self.emitter(id).is_none_or(|emitter| emitter.has_left(cx, now))
    }

    fn emitter(&mut self, id: u32) -> Option<&mut Emitter> {
        match &mut self.conns.get_mut(id)?.peer {
            Peer::Emitter(emitter) => Some(emitter),
            Peer::Socket(_) => None,
        }
    }
}
