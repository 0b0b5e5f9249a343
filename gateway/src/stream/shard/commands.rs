//! What clients ask for by commands: each is carried out and replied to.

use std::sync::Arc;

use gateway_core::{
    access::Claims,
    protocol::{Command, MAX_COMMANDS, Method, Reply, json, protobuf},
    session::{Ask, PING_S},
};
use schemas::{
    Millis,
    codes::{Close, Code},
};

use super::Shard;
use crate::{clock, stream::frames::Form};

impl Shard {
    /// A WebSocket's text frame.
    pub fn receive_text(&mut self, id: u32, text: &str) {
        self.receive(id, Form::WsJson, json::commands(text));
    }

    /// A WebSocket's binary frame.
    pub fn receive_binary(&mut self, id: u32, bytes: &[u8]) {
        self.receive(id, Form::WsProtobuf, protobuf::commands(bytes));
    }

    /// Carries out commands that came in `form`, which must be the connection's own.
    fn receive<'a>(
        &mut self,
        id: u32,
        form: Form,
        commands: impl Iterator<Item = Option<Command<'a>>>,
    ) {
        for (index, command) in commands.enumerate() {
            let Some(conn) = self.conns.get_mut(id) else { return };
            let Some(command) = command.filter(|_| index < MAX_COMMANDS && conn.form == form)
            else {
                return self.conns.close(id, Close::BadRequest);
            };
            self.carry_out(id, command);
            if self.conns.is_closing(id) {
                return;
            }
        }
    }

    pub(super) fn carry_out(&mut self, id: u32, command: Command<'_>) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        match conn.session.receive(command) {
            Ask::Connect { id: request, token } => self.connect(id, request, &token),
            Ask::Refresh { id: request, token } => self.refresh(id, request, &token),
            Ask::Subscribe { id: request, channel, since } => {
                if let Some(slot) = self.follow(id, request, channel, since) {
                    self.answer(id, slot);
                }
            }
            Ask::Unsubscribe { id: request, slot } => {
                self.leave(id, slot);
                self.conns.reply(id, &Reply::Done { id: request, method: Method::Unsubscribe });
            }
            Ask::Done { id: request, method } => {
                self.conns.reply(id, &Reply::Done { id: request, method });
            }
            Ask::Error { id: request, code } => {
                self.conns.reply(id, &Reply::Error { id: request, code })
            }
            Ask::Close(close) => self.conns.close(id, close),
            Ask::Nothing => conn.pong(),
        }
    }

    fn connect(&mut self, id: u32, request: u32, token: &str) {
        let wall = clock::now();
        match self.links.verifier.verify(token, wall) {
            Ok(claims) => {
                let ttl_s = ttl_s(&claims, wall);
                if let Some(conn) = self.conns.get_mut(id) {
                    conn.session.connected(Arc::new(claims));
                }
                self.conns.connected(id);
                let client = format!("{:x}.{id:x}", self.links.index);
                let connected = Reply::Connect {
                    id: request,
                    client: &client,
                    version: concat!("clinicwire ", env!("CARGO_PKG_VERSION")),
                    ttl_s,
                    ping_s: PING_S as u32,
                };
                self.conns.reply(id, &connected);
            }
            Err(code) => {
                self.conns.reply(id, &Reply::Error { id: request, code });
                // With an expired one the SDK fetches a newer token and tries again.
                if code != Code::TokenExpired {
                    self.conns.close(id, Close::InvalidToken);
                }
            }
        }
    }

    fn refresh(&mut self, id: u32, request: u32, token: &str) {
        let wall = clock::now();
        let claims = match self.links.verifier.verify(token, wall) {
            Ok(claims) => Arc::new(claims),
            Err(Code::TokenExpired) => {
                return self
                    .conns
                    .reply(id, &Reply::Error { id: request, code: Code::TokenExpired });
            }
            Err(_) => return self.conns.close(id, Close::InvalidToken),
        };
        let ttl_s = ttl_s(&claims, wall);
        let Some(conn) = self.conns.get_mut(id) else { return };
        match conn.session.refreshed(claims) {
            Ok(lost) => {
                self.conns.reply(id, &Reply::Refresh { id: request, ttl_s });
                for slot in lost {
                    self.end(id, slot, Close::SubscriptionExpired);
                }
                self.conns.look_again(id);
            }
            Err(close) => self.conns.close(id, close),
        }
    }
}

fn ttl_s(claims: &Claims, now: Millis) -> u32 {
    u32::try_from((claims.expires - now).max(1000) / 1000).unwrap_or(u32::MAX)
}
