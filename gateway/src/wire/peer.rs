//! The peer of a connection, which its shard writes to: a TCP socket that speaks WebSocket or SSE,
//! or a Socket.IO session. Both kinds have the same verbs.

pub mod events;
pub mod link;
pub mod outcome;
pub mod socketio;
pub mod tcp;

use std::task::{Context, Poll};

use gateway_core::protocol::Reply;
use schemas::{channel::Channel, codes::Close};

use self::{
    outcome::{Ready, SendOutcome},
    socketio::SocketIoPeer,
    tcp::TcpPeer,
};
use super::frames::Form;

pub enum Peer {
    Tcp(TcpPeer),
    /// Boxed, because TCP peers are many more and smaller.
    SocketIo(Box<SocketIoPeer>),
}

impl Peer {
    /// Returns the next action of the connection's task. `behind` says whether the client lacks
    /// state.
    pub fn poll(&mut self, cx: &mut Context<'_>, behind: bool, now: u64) -> Poll<Ready> {
        match self {
            Peer::Tcp(peer) => peer.poll(cx),
            Peer::SocketIo(peer) => peer.poll(cx, behind, now),
        }
    }

    /// Sends a frame of state of `channel`, unless earlier bytes still wait.
    ///
    /// # Errors
    /// The close that ends a connection which cannot be written to.
    pub fn send_state(
        &mut self,
        channel: &Channel,
        frame: &[u8],
        now: u64,
    ) -> Result<SendOutcome, Close> {
        match self {
            Peer::Tcp(peer) => peer.send_state(frame, now),
            Peer::SocketIo(peer) => peer.send_state(channel.kind(), frame, now),
        }
    }

    /// Sends a reply, behind the bytes that wait.
    ///
    /// # Errors
    /// [`Close::Slow`] when too many bytes wait, or the close of a connection which cannot be
    /// written to.
    pub fn send_reply(
        &mut self,
        form: Form,
        reply: &Reply<'_>,
        now: u64,
    ) -> Result<SendOutcome, Close> {
        match self {
            Peer::Tcp(peer) => peer.send_reply(form, reply, now),
            Peer::SocketIo(peer) => peer.send_reply(reply, now),
        }
    }

    /// Writes the bytes that wait. Returns whether all of them have left.
    ///
    /// # Errors
    /// The close that ends a connection which cannot be written to.
    pub fn flush(&mut self, now: u64) -> Result<bool, Close> {
        match self {
            Peer::Tcp(peer) => peer.flush(now),
            Peer::SocketIo(peer) => Ok(peer.waiting(now) == 0),
        }
    }

    /// The bytes that waited for the client when they were last counted.
    pub fn counted(&self) -> u64 {
        match self {
            Peer::Tcp(peer) => peer.send_buffer().waiting() as u64,
            Peer::SocketIo(peer) => peer.counted(),
        }
    }

    /// Counts the bytes that wait for the client.
    pub fn count(&mut self, now: u64) -> u64 {
        match self {
            Peer::Tcp(_) => self.counted(),
            Peer::SocketIo(peer) => peer.count(now),
        }
    }

    /// The second since when bytes have waited for the client without a break.
    pub fn behind_since(&self) -> Option<u64> {
        match self {
            Peer::Tcp(peer) => peer.send_buffer().behind_since(),
            Peer::SocketIo(peer) => peer.behind_since(),
        }
    }

    /// Gives up the bytes that wait for a client which is about to be closed.
    pub fn discard(&mut self) {
        match self {
            Peer::Tcp(peer) => peer.discard(),
            Peer::SocketIo(peer) => peer.discard(),
        }
    }

    /// The second at which the client is closed as slow, unless it takes enough bytes before.
    pub fn deadline(&mut self, now: u64) -> Option<u64> {
        match self {
            Peer::Tcp(peer) => peer.deadline(),
            Peer::SocketIo(peer) => peer.deadline(now),
        }
    }

    /// Returns whether a subscribe is answered by a reply. If not, the first frame of state answers
    /// it.
    pub fn takes_reply(&mut self, form: Form, request: u32) -> bool {
        match self {
            Peer::Tcp(_) => form.has_replies(),
            Peer::SocketIo(peer) => peer.takes_reply(request),
        }
    }
}
