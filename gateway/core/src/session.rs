//! One client's conversation: (command, time) → what is to be done. The shell verifies tokens, finds views
//! and writes; it asks here what a command means now.

use std::sync::Arc;

use schemas::{
    Millis,
    channel::{Channel, MAX_CHANNEL},
    codes::{Close, Code},
    view::Position,
};

use crate::{
    access::{self, Claims},
    protocol::{Command, Method, Request},
    subscription::Subscription,
};

/// Channels one connection may follow. A page needs a handful; past it a subscribe is refused.
pub const MAX_CHANNELS: usize = 64;
/// Seconds from accepting a socket to its connect command; then it is closed as stale.
pub const CONNECT_WITHIN_S: u64 = 10;
/// Seconds between pings, below the idle time-outs of common proxies.
pub const PING_S: u64 = 25;
/// Seconds a client has for its pong; then it is closed.
pub const PONG_WITHIN_S: u64 = 10;
/// Milliseconds an expired token is still tolerated, so that a refresh on its way arrives.
pub const EXPIRY_GRACE_MS: Millis = 25_000;

/// What a client's command leads to.
pub enum Ask<'a> {
    /// Verify the token, then call [`Session::connected`] or [`Session::refreshed`].
    Connect {
        id: u32,
        token: std::borrow::Cow<'a, str>,
    },
    Refresh {
        id: u32,
        token: std::borrow::Cow<'a, str>,
    },
    /// Allowed, and new on this connection.
    Subscribe {
        id: u32,
        channel: Channel,
        since: Option<Position>,
    },
    /// The slot of the subscription to end.
    Unsubscribe {
        id: u32,
        slot: usize,
    },
    /// There is nothing to do but to say so.
    Done {
        id: u32,
        method: Method,
    },
    Error {
        id: u32,
        code: Code,
    },
    Close(Close),
    Nothing,
}

/// A client's state, small: there is one for each open socket.
#[derive(Default)]
pub struct Session {
    claims: Option<Arc<Claims>>,
    /// Slots, so that a subscription keeps its index while others come and go.
    pub subscriptions: Vec<Option<Subscription>>,
    /// Whether a ping is unanswered.
    pub awaits_pong: bool,
}

impl Session {
    /// A session that needs no connect command: its grant came with the request.
    pub fn granted(claims: Arc<Claims>) -> Self {
        Self { claims: Some(claims), ..Self::default() }
    }

    pub fn claims(&self) -> Option<&Arc<Claims>> {
        self.claims.as_ref()
    }

    /// What a command means now.
    pub fn receive<'a>(&mut self, Command { id, request }: Command<'a>) -> Ask<'a> {
        if let Request::Pong = request {
            return self.pong(id);
        }
        if id == 0 {
            return Ask::Close(Close::BadRequest);
        }
        let Some(claims) = &self.claims else {
            return match request {
                Request::Connect { token } => Ask::Connect { id, token },
                _ => Ask::Close(Close::BadRequest),
            };
        };
        match request {
            Request::Connect { .. } => Ask::Close(Close::BadRequest),
            Request::Refresh { token } => Ask::Refresh { id, token },
            Request::Subscribe { channel, since } => match self.may_subscribe(claims, &channel) {
                Ok(channel) => Ask::Subscribe { id, channel, since },
                Err(code) => Ask::Error { id, code },
            },
            Request::Unsubscribe { channel } => match self.slot_of(&channel) {
                Some(slot) => Ask::Unsubscribe { id, slot },
                None => Ask::Done { id, method: Method::Unsubscribe },
            },
            Request::Ping => Ask::Done { id, method: Method::Ping },
            Request::NotOffered => Ask::Error { id, code: Code::Unavailable },
            Request::Pong => Ask::Nothing,
        }
    }

    /// An answer to a ping; one that nobody asked for ends the connection, as the protocol has it.
    fn pong(&mut self, id: u32) -> Ask<'static> {
        if id != 0 && self.claims.is_some() {
            return Ask::Error { id, code: Code::UnknownMethod };
        }
        if std::mem::take(&mut self.awaits_pong) {
            Ask::Nothing
        } else {
            Ask::Close(Close::BadRequest)
        }
    }

    /// Whether the channel may be opened on this connection.
    ///
    /// # Errors
    /// The code of the refusal.
    pub fn may_subscribe(&self, claims: &Claims, name: &str) -> Result<Channel, Code> {
        if name.len() > MAX_CHANNEL {
            return Err(Code::UnknownChannel);
        }
        let channel = Channel::parse(name).map_err(|_| Code::UnknownChannel)?;
        access::may_open(claims, &channel)?;
        if self.slot_of(name).is_some() {
            return Err(Code::AlreadySubscribed);
        }
        if self.subscriptions.iter().flatten().count() >= MAX_CHANNELS {
            return Err(Code::ChannelLimit);
        }
        Ok(channel)
    }

    fn slot_of(&self, name: &str) -> Option<usize> {
        let channel = Channel::parse(name).ok()?;
        self.subscriptions
            .iter()
            .position(|sub| sub.as_ref().is_some_and(|sub| sub.channel == channel))
    }

    /// The token of the connect command was good.
    pub fn connected(&mut self, claims: Arc<Claims>) {
        self.claims = Some(claims);
    }

    /// A newer token. It must be of the same subject and tenant; answers the slots it no longer covers.
    ///
    /// # Errors
    /// The close that ends a connection whose new token is somebody else's.
    pub fn refreshed(&mut self, claims: Arc<Claims>) -> Result<Vec<usize>, Close> {
        let same = self
            .claims
            .as_ref()
            .is_some_and(|old| old.tenant == claims.tenant && old.subject == claims.subject);
        if !same {
            return Err(Close::InvalidToken);
        }
        let lost = (self.subscriptions.iter().enumerate())
            .filter(|(_, sub)| {
                sub.as_ref().is_some_and(|sub| access::may_open(&claims, &sub.channel).is_err())
            })
            .map(|(slot, _)| slot)
            .collect();
        self.claims = Some(claims);
        Ok(lost)
    }

    /// Takes a slot for a new subscription.
    pub fn add(&mut self, subscription: Subscription) -> usize {
        match self.subscriptions.iter().position(Option::is_none) {
            Some(slot) => {
                self.subscriptions[slot] = Some(subscription);
                slot
            }
            None => {
                // One at a time: most connections follow one channel for as long as they live.
                self.subscriptions.reserve_exact(1);
                self.subscriptions.push(Some(subscription));
                self.subscriptions.len() - 1
            }
        }
    }

    /// When the token's grace is over.
    pub fn expires_at(&self) -> Option<Millis> {
        self.claims.as_ref().map(|claims| claims.expires.saturating_add(EXPIRY_GRACE_MS))
    }
}

#[cfg(test)]
mod tests;
