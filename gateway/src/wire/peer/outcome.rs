//! The answers of a peer to its connection.

use schemas::codes::Close;

/// The next thing for the connection's task to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Ready {
    /// Read what the client sent.
    Read,
    /// Write the bytes that wait, and then the state that the client lacks.
    Write,
    /// Send the close frame and end.
    Close(Close),
}

/// The result of giving bytes to a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendOutcome {
    /// The system has taken all of them.
    Written,
    /// The system has taken some of them at most. The rest waits in the peer until the connection's
    /// task, which must be woken, finds the socket writable.
    Queued,
    /// The Socket.IO session writes them by itself. Their deadline has started.
    InFlight,
    /// Earlier bytes still wait, so none of these were taken.
    Busy,
}
