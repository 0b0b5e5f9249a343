//! The session of one client: what a command means now. The caller verifies tokens, finds views and
//! writes to the socket.

use std::{borrow::Cow, sync::Arc};

use schemas::{
    Millis,
    channel::{Channel, MAX_CHANNEL},
    codes::{Close, Code},
    view::Position,
};

use crate::{
    access::{self, Claims},
    protocol::{ClientCommand, Method, Request},
    rate::{Bucket, Micros, Rate},
    subscription::{SubscriptionSlot, Subscriptions},
};

/// Channels that one connection may follow. A page needs a handful; further subscribes are refused.
pub const MAX_CHANNELS: usize = 64;
/// Commands and messages of one connection; a message counts as one more command. A client that
/// returns sends 65 commands at once, and then a handful a minute. A client with more is closed.
pub const COMMANDS: Rate = Rate { burst: 512, per_second: 50 };
/// Subscribes of one connection, each of which may load a view: twice all channels at once, and
/// then more than a person can open. A further subscribe is refused, and the client tries again.
pub const SUBSCRIBES: Rate = Rate { burst: 2 * MAX_CHANNELS as u32, per_second: 10 };
/// Seconds from accepting a socket to its connect command. After that it is closed as stale.
pub const CONNECT_WITHIN_S: u64 = 10;
/// Seconds between pings, below the idle timeouts of common proxies.
pub const PING_S: u64 = 25;
/// Seconds that a client has for its pong. After that it is closed.
pub const PONG_WITHIN_S: u64 = 10;
/// Most milliseconds before the expiry of its token at which a client is asked to refresh it. The
/// SDKs refresh at the moment that the `ttl` names, and the connection ends with the token.
pub const REFRESH_AHEAD_MS: Millis = 25_000;

/// The consequence of a command, which the caller carries out.
pub enum Effect<'a> {
    /// Verify the token, then call [`Session::connect`].
    Connect {
        /// The id of the command, which the reply repeats.
        id: u32,
        /// The token of the command.
        token: Cow<'a, str>,
    },
    /// Verify the token, then call [`Session::refresh`].
    Refresh {
        /// The id of the command, which the reply repeats.
        id: u32,
        /// The token of the command.
        token: Cow<'a, str>,
    },
    /// Add the subscription: it is allowed, and new on this connection.
    Subscribe {
        /// The id of the command, which the reply repeats.
        id: u32,
        /// The channel of the subscription.
        channel: Channel,
        /// The position that the client holds.
        since: Option<Position>,
    },
    /// End the subscription.
    Unsubscribe {
        /// The id of the command, which the reply repeats.
        id: u32,
        /// The place of the subscription in [`Session::subscriptions`].
        slot: SubscriptionSlot,
    },
    /// Reply that the command is carried out.
    Done {
        /// The id of the command, which the reply repeats.
        id: u32,
        /// The method of the command.
        method: Method,
    },
    /// Reply with the error.
    Error {
        /// The id of the command, which the reply repeats.
        id: u32,
        /// Why the command is refused.
        code: Code,
        /// The channel that the client may not open.
        channel: Option<String>,
    },
    /// Close the connection.
    Close(Close),
    /// The client answered a ping.
    Pong,
}

/// The state of a client. There is one for each open socket, so it is small.
#[derive(Default)]
pub struct Session {
    claims: Option<Arc<Claims>>,
    /// The channels that the client follows.
    pub subscriptions: Subscriptions,
    /// Whether a ping is unanswered.
    pub awaits_pong: bool,
    /// Whether a reply without an id was sent, which SDKs take for a ping.
    replied_without_id: bool,
    commands: Bucket,
    subscribes: Bucket,
}

impl Session {
    /// A session that needs no connect command, because its grant came with the request.
    pub fn with_claims(claims: Arc<Claims>) -> Self {
        Self { claims: Some(claims), ..Self::default() }
    }

    /// The claims of the client's token or grant. `None` until the client connects.
    pub fn claims(&self) -> Option<&Arc<Claims>> {
        self.claims.as_ref()
    }

    /// Counts a command or message. Returns whether the client may send it now.
    pub fn may_command(&mut self, now: Micros) -> bool {
        self.commands.take(COMMANDS, now)
    }

    /// Counts a subscribe. Returns whether the client may open a channel now.
    pub fn may_open_channel(&mut self, now: Micros) -> bool {
        self.subscribes.take(SUBSCRIBES, now)
    }

    /// Decides what a command means now.
    pub fn receive<'a>(&mut self, command: ClientCommand<'a>) -> Effect<'a> {
        let ClientCommand { id, request } = command;
        if let Request::Pong = request {
            return self.receive_pong(id);
        }
        if id == 0 {
            return self.receive_without_id(&request);
        }
        let Some(claims) = &self.claims else {
            return match request {
                Request::Connect { token } => Effect::Connect { id, token },
                _ => Effect::Close(Close::BadRequest),
            };
        };
        match request {
            Request::Connect { .. } => Effect::Close(Close::BadRequest),
            Request::Refresh { token } => Effect::Refresh { id, token },
            Request::Subscribe { channel, since } => match self.may_subscribe(claims, &channel) {
                Ok(channel) => Effect::Subscribe { id, channel, since },
                Err(code) => Effect::Error { id, code, channel: Some(channel.into_owned()) },
            },
            Request::Unsubscribe { channel } => match self.find(&channel) {
                Some(slot) => Effect::Unsubscribe { id, slot },
                None => Effect::Done { id, method: Method::Unsubscribe },
            },
            Request::Ping => Effect::Done { id, method: Method::Ping },
            Request::NotOffered => Effect::Error { id, code: Code::Unavailable, channel: None },
            Request::Pong => Effect::Pong,
        }
    }

    /// Only `send` needs no id, because it has no reply. SDKs take its refusal, which has no id
    /// either, for a ping, and answer it; other clients do not.
    fn receive_without_id(&mut self, request: &Request<'_>) -> Effect<'static> {
        match request {
            Request::NotOffered if self.claims.is_some() => {
                self.replied_without_id = true;
                Effect::Error { id: 0, code: Code::Unavailable, channel: None }
            }
            _ => Effect::Close(Close::BadRequest),
        }
    }

    /// A pong without a ping closes the connection, as the protocol demands.
    fn receive_pong(&mut self, id: u32) -> Effect<'static> {
        if id != 0 && self.claims.is_some() {
            return Effect::Error { id, code: Code::UnknownMethod, channel: None };
        }
        let expected =
            std::mem::take(&mut self.awaits_pong) || std::mem::take(&mut self.replied_without_id);
        if expected { Effect::Pong } else { Effect::Close(Close::BadRequest) }
    }

    /// Checks whether this connection may open the channel of that name.
    ///
    /// # Errors
    /// The code of the refusal.
    pub fn may_subscribe(&self, claims: &Claims, name: &str) -> Result<Channel, Code> {
        if name.len() > MAX_CHANNEL {
            return Err(Code::UnknownChannel);
        }
        let channel = Channel::parse(name).map_err(|_| Code::UnknownChannel)?;
        access::may_open(claims, &channel)?;
        if self.subscriptions.find(&channel).is_some() {
            return Err(Code::AlreadySubscribed);
        }
        if self.subscriptions.count() >= MAX_CHANNELS {
            return Err(Code::ChannelLimit);
        }
        Ok(channel)
    }

    fn find(&self, name: &str) -> Option<SubscriptionSlot> {
        self.subscriptions.find(&Channel::parse(name).ok()?)
    }

    /// Connects the client with the claims of its verified token.
    pub fn connect(&mut self, claims: Arc<Claims>) {
        self.claims = Some(claims);
    }

    /// Replaces the claims by those of a newer token. Returns the slots that it no longer covers.
    ///
    /// # Errors
    /// The close that ends the connection when the token has another subject or tenant.
    pub fn refresh(&mut self, claims: Arc<Claims>) -> Result<Vec<SubscriptionSlot>, Close> {
        let same_bearer = self
            .claims
            .as_ref()
            .is_some_and(|old| old.tenant == claims.tenant && old.subject == claims.subject);
        if !same_bearer {
            return Err(Close::InvalidToken);
        }
        let lost = (self.subscriptions.iter())
            .filter(|(_, subscription)| access::may_open(&claims, &subscription.channel).is_err())
            .map(|(slot, _)| slot)
            .collect();
        self.claims = Some(claims);
        Ok(lost)
    }

    /// When the token expires, and the connection ends.
    pub fn expires_at(&self) -> Option<Millis> {
        self.claims.as_ref().map(|claims| claims.expires)
    }
}

#[cfg(test)]
mod tests;
