//! Every reason for which a server ends a connection or a subscription.

/// The reason for which a server ends a connection or a subscription. The number alone tells a
/// client of the Centrifugal protocol whether to come back: the client reconnects below 3500 and
/// in 4000–4499, and subscribes again for 2500–2999. `docs/errors.md` says what each published SDK
/// does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Close {
    /// Unsubscribed: the client must subscribe again and load a snapshot.
    InsufficientState,
    /// Unsubscribed for good: the token no longer covers the channel.
    NotCovered,
    /// The node is shutting down.
    Shutdown,
    /// A fault of the server.
    ServerError,
    /// The token has expired.
    TokenExpired,
    /// The client read nothing for ten seconds, or too many replies wait for it.
    Slow,
    /// The client did not answer a ping.
    NoPong,
    /// The client sent too many commands or frames in a short time.
    TooManyRequests,
    /// The connection cannot be served now.
    TryAgain,
    /// The token is not valid.
    InvalidToken,
    /// The client broke the protocol.
    BadRequest,
    /// The client sent no first command in time.
    Stale,
    /// Access was revoked.
    PermissionDenied,
    /// The rights of the bearer changed: the client must reconnect with a newer token.
    PermissionsChanged,
    /// The client sent a message above the limit.
    TooLarge,
    /// The client broke the framing of WebSocket (RFC 6455, section 7.4.1).
    ProtocolError,
    /// The client sent text that is not UTF-8 (RFC 6455, section 8.1).
    InvalidText,
}

impl Close {
    /// Every reason.
    pub const ALL: &'static [Close] = &[
        Close::InsufficientState,
        Close::NotCovered,
        Close::Shutdown,
        Close::ServerError,
        Close::TokenExpired,
        Close::Slow,
        Close::NoPong,
        Close::TooManyRequests,
        Close::TryAgain,
        Close::InvalidToken,
        Close::BadRequest,
        Close::Stale,
        Close::PermissionDenied,
        Close::PermissionsChanged,
        Close::TooLarge,
        Close::ProtocolError,
        Close::InvalidText,
    ];

    /// The number of the reason.
    pub fn code(self) -> u16 {
        self.row().0
    }

    /// The text of the reason. At most 123 bytes, which fit a close frame.
    pub fn reason(self) -> &'static str {
        self.row().1
    }

    /// Whether a client should reconnect.
    pub fn should_reconnect(self) -> bool {
        matches!(self.code(), ..3500 | 4000..4500)
    }

    fn row(self) -> (u16, &'static str) {
        match self {
            Close::InsufficientState => (2500, "insufficient state"),
            Close::NotCovered => (2000, "not covered by the token"),
            Close::Shutdown => (3001, "shutdown"),
            Close::ServerError => (3004, "internal server error"),
            Close::TokenExpired => (3005, "connection expired"),
            Close::Slow => (3008, "slow"),
            Close::NoPong => (3012, "no pong"),
            Close::TooManyRequests => (3013, "too many requests"),
            // In the range with a reconnect: the SDKs wait longer after each attempt.
            Close::TryAgain => (4001, "try again"),
            Close::InvalidToken => (3500, "invalid token"),
            Close::BadRequest => (3501, "bad request"),
            // Not the protocol's own 3502, which ends an SDK: a stalled network looks the same.
            Close::Stale => (4000, "stale"),
            Close::PermissionDenied => (3507, "permission denied"),
            // In the range with a reconnect: the reply to its old token, 109, makes an SDK ask for
            // a newer one.
            Close::PermissionsChanged => (4002, "permissions changed"),
            // A number outside the protocol's own, in the range without a reconnect: the same
            // message would be too large again.
            Close::TooLarge => (4500, "message too large"),
            Close::ProtocolError => (1002, "WebSocket protocol error"),
            Close::InvalidText => (1007, "text is not UTF-8"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn close_reasons_fit_and_are_unique() {
        let numbers: HashSet<_> = Close::ALL.iter().map(|close| close.code()).collect();
        assert_eq!(numbers.len(), Close::ALL.len());
        assert!(Close::ALL.iter().all(|close| close.reason().len() <= 123));
    }

    #[test]
    fn client_reconnects_unless_the_same_would_happen_again() {
        let lasting =
            [Close::InvalidToken, Close::BadRequest, Close::PermissionDenied, Close::TooLarge];
        let ends = Close::ALL.iter().copied().filter(|close| !close.should_reconnect());
        assert!(ends.eq(lasting));
        let reasons: HashSet<_> = Close::ALL.iter().map(|close| close.reason()).collect();
        assert!(reasons.len() == Close::ALL.len() && !reasons.contains(""));
    }
}
