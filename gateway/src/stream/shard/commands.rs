//! The commands of clients: each is carried out and replied to.

use std::sync::Arc;

use gateway_core::{
    access::Claims,
    protocol::{ClientCommand, MAX_COMMANDS, Method, Reply, json, protobuf},
    session::{Effect, PING_S, REFRESH_AHEAD_MS},
};
use schemas::{
    Millis,
    codes::{Close, Code},
};

use super::Shard;
use crate::{
    clock,
    inbox::ids::{ConnId, SubscriptionId},
    limits::{Limit, LimitRefusal, admission},
    random,
    wire::frames::Form,
};

impl Shard {
    /// Carries out the commands of a WebSocket text frame.
    pub fn receive_text(&mut self, conn: ConnId, text: &str) {
        self.receive(conn, Form::WsJson, json::commands(text));
    }

    /// Carries out the commands of a WebSocket binary frame.
    pub fn receive_binary(&mut self, conn: ConnId, bytes: &[u8]) {
        self.receive(conn, Form::WsProtobuf, protobuf::commands(bytes));
    }

    /// Carries out commands that came in `form`, which must be the form of the connection.
    fn receive<'a>(
        &mut self,
        conn: ConnId,
        form: Form,
        commands: impl Iterator<Item = Option<ClientCommand<'a>>>,
    ) {
        let in_form = self.connections.get(conn).is_some_and(|connection| connection.form == form);
        // Also a message without a command costs a turn.
        if !self.may_command(conn) {
            return;
        }
        for (index, command) in commands.enumerate() {
            let Some(command) = command.filter(|_| in_form) else {
                return self.connections.close(conn, Close::BadRequest);
            };
            match index < MAX_COMMANDS {
                true => self.carry_out(conn, command),
                false => self.refuse_surplus(conn, &command),
            }
            if self.connections.is_closing(conn) {
                return;
            }
        }
    }

    /// Counts a command. Ends the connection of a client that sends too many.
    fn may_command(&mut self, conn: ConnId) -> bool {
        let now = self.rate_clock();
        let Some(connection) = self.connections.get_mut(conn) else { return false };
        let allowed = connection.session.may_command(now);
        if !allowed {
            self.close_limited(conn, Limit::Commands);
        }
        allowed
    }

    /// Refuses a command beyond those that a frame may carry. One without an id gets no reply.
    fn refuse_surplus(&mut self, conn: ConnId, command: &ClientCommand<'_>) {
        if self.may_command(conn) && command.id != 0 {
            let reply = Reply::Error { id: command.id, code: Code::CommandLimit };
            self.connections.reply(conn, &reply);
        }
    }

    pub(super) fn carry_out(&mut self, conn: ConnId, command: ClientCommand<'_>) {
        if !self.may_command(conn) {
            return;
        }
        let now = self.rate_clock();
        let Some(connection) = self.connections.get_mut(conn) else { return };
        match connection.session.receive(command) {
            Effect::Error { id, code, channel: Some(channel) } => {
                self.audit_refusal(conn, channel, code);
                self.connections.reply(conn, &Reply::Error { id, code });
            }
            Effect::Connect { id, token } => self.connect(conn, id, &token),
            Effect::Refresh { id, token } => self.refresh(conn, id, &token),
            Effect::Subscribe { id, .. } if !connection.session.may_open_channel(now) => {
                self.context.node.metrics.limited(Limit::Subscribes.name());
                self.connections.reply(conn, &Reply::Error { id, code: Code::TooManySubscribes });
            }
            // The deadline of the token is checked once a second; nothing is opened meanwhile.
            Effect::Subscribe { .. }
                if connection.session.expires_at().is_some_and(|at| at <= clock::now()) =>
            {
                connection.close(Close::TokenExpired);
            }
            Effect::Subscribe { id, channel, since } => {
                if let Err(refusal) = self.spend_subscribe(conn) {
                    let reply = Reply::Error { id, code: refusal.code() };
                    return self.connections.reply(conn, &reply);
                }
                if let Some(at) = self.subscribe(conn, id, channel, since) {
                    self.answer(at);
                }
            }
            Effect::Unsubscribe { id, slot } => {
                self.take_back(SubscriptionId { conn, slot });
                let method = Method::Unsubscribe;
                self.connections.reply(conn, &Reply::Done { id, method });
            }
            Effect::Done { id, method } => {
                self.connections.reply(conn, &Reply::Done { id, method });
            }
            Effect::Error { id, code, channel: None } => {
                self.connections.reply(conn, &Reply::Error { id, code });
            }
            Effect::Close(close) => connection.close(close),
            Effect::Pong => connection.clear_answer_deadline(),
        }
    }

    /// Counts a subscribe for the subject of the connection.
    fn spend_subscribe(&self, conn: ConnId) -> Result<(), LimitRefusal> {
        let claims = self.connections.get(conn).and_then(|connection| connection.session.claims());
        let Some(claims) = claims else { return Ok(()) };
        let limits = &self.context.node.limits;
        let key = limits.subject_key(&claims.tenant, &claims.subject);
        limits.spend(Limit::SubscribesOfSubject, key).map(drop)
    }

    fn connect(&mut self, conn: ConnId, id: u32, token: &str) {
        let wall = clock::now();
        let claims = match self.context.node.verifier.verify(token, wall) {
            Ok(claims) => claims,
            Err(code) => {
                self.connections.reply(conn, &Reply::Error { id, code });
                // Each connect costs the check of a signature, so a socket has one. The SDKs get a
                // newer token or wait, and then come back on another socket.
                let close = match code {
                    Code::TokenExpired => Close::TokenExpired,
                    Code::PermissionsChanged => Close::PermissionsChanged,
                    Code::TokenRevoked | Code::TenantSuspended | Code::TenantNotServed => {
                        Close::PermissionDenied
                    }
                    code if code.is_temporary() => Close::TryAgain,
                    _ => Close::InvalidToken,
                };
                return self.connections.close(conn, close);
            }
        };
        match admission::take_subject_places(&self.context.node.limits, &claims) {
            Ok(places) => self.connections.hold_places(conn, places),
            Err(refusal) => {
                self.connections.reply(conn, &Reply::Error { id, code: refusal.code() });
                return self.connections.close(conn, Close::TryAgain);
            }
        }
        let Ok(client) = random::bits() else {
            return self.connections.close(conn, Close::ServerError);
        };
        let ttl_s = ttl_s(&claims, wall);
        if let Some(connection) = self.connections.get_mut(conn) {
            connection.session.connect(Arc::new(claims));
        }
        self.connections.mark_connected(conn);
        let connected = Reply::Connect {
            id,
            client: &format!("{client:032x}"),
            version: concat!("clinicwire ", env!("CARGO_PKG_VERSION")),
            ttl_s,
            ping_s: PING_S as u32,
        };
        self.connections.reply(conn, &connected);
    }

    fn refresh(&mut self, conn: ConnId, id: u32, token: &str) {
        let wall = clock::now();
        let claims = match self.context.node.verifier.verify(token, wall) {
            Ok(claims) => Arc::new(claims),
            Err(code) if code.is_temporary() => {
                return self.connections.reply(conn, &Reply::Error { id, code });
            }
            Err(code @ (Code::TokenExpired | Code::PermissionsChanged)) => {
                return self.refuse_expired(conn, id, code);
            }
            Err(code) => return self.refuse_token(conn, id, code, Close::InvalidToken),
        };
        let ttl_s = ttl_s(&claims, wall);
        let Some(connection) = self.connections.get_mut(conn) else { return };
        match connection.session.refresh(claims) {
            Ok(lost) => {
                self.connections.reply(conn, &Reply::Refresh { id, ttl_s });
                for slot in lost {
                    self.end(SubscriptionId { conn, slot }, Close::NotCovered);
                }
                self.connections.schedule(conn);
            }
            Err(close) => self.refuse_token(conn, id, Code::TokenInvalid, close),
        }
    }
}

impl Shard {
    /// Closes a connection for the token of its refresh. A Socket.IO client waits for the
    /// acknowledgement, so it gets that first.
    fn refuse_token(&mut self, conn: ConnId, id: u32, code: Code, close: Close) {
        if self.connections.get(conn).is_some_and(|connection| connection.form == Form::SocketIo) {
            self.connections.reply(conn, &Reply::Error { id, code });
        }
        self.connections.close(conn, close);
    }

    /// Refuses a refresh by a token that expired on its way. The SDKs of the Centrifugal protocol
    /// end for good when the reply is error 109, but reconnect after a close, and then get a newer
    /// token.
    fn refuse_expired(&mut self, conn: ConnId, id: u32, code: Code) {
        match self.connections.get(conn).map(|connection| connection.form) {
            Some(Form::WsJson | Form::WsProtobuf) => {
                self.connections.close(conn, Close::TokenExpired);
            }
            _ => self.connections.reply(conn, &Reply::Error { id, code }),
        }
    }
}

/// Seconds until the client should refresh its token, at least 1: some time before the token
/// expires, because the connection ends then.
fn ttl_s(claims: &Claims, now: Millis) -> u32 {
    let left = claims.expires - now;
    let ahead = (left / 4).min(REFRESH_AHEAD_MS);
    u32::try_from((left - ahead).max(1000) / 1000).unwrap_or(u32::MAX)
}
