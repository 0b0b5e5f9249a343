//! Every error and close code, in one table: what a caller can tell apart, and whether trying again helps.

use serde::{Deserialize, Serialize};

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $status:literal, $reply:literal, $title:literal;)*) => {
        /// A stable code. Its `title` is written for people; neither ever changes its meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
        pub enum Code {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl Code {
            pub const ALL: &'static [Code] = &[$(Code::$name),*];

            /// The code on every wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// The HTTP status of a problem with this code.
            pub fn status(self) -> u16 {
                match self { $(Code::$name => $status,)* }
            }

            /// The number of an error reply in the Centrifugal protocol.
            pub fn reply(self) -> u32 {
                match self { $(Code::$name => $reply,)* }
            }

            /// One sentence for people.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)* }
            }
        }
    };
}

codes! {
    // Who is asking
    TokenMissing = "token_missing", 401, 101, "No token was sent.";
    TokenInvalid = "token_invalid", 401, 101, "The token cannot be trusted.";
    TokenExpired = "token_expired", 401, 109, "The token has expired.";
    TokenNotYetValid = "token_not_yet_valid", 401, 101, "The token is not valid yet.";
    TokenWrongAudience = "token_wrong_audience", 401, 101, "The token was issued for another service.";
    TokenWrongIssuer = "token_wrong_issuer", 401, 101, "The token comes from an issuer that is not trusted here.";
    Forbidden = "forbidden", 403, 103, "This role may not do that, or not here.";
    StreamTicketInvalid = "stream_ticket_invalid", 401, 101, "The stream ticket is unknown, spent or too old.";
    OriginNotAllowed = "origin_not_allowed", 403, 103, "Pages of this origin may not connect.";
    // What was asked
    Malformed = "malformed", 400, 107, "The request cannot be read.";
    InvalidId = "invalid_id", 400, 107, "That is not an id of this kind.";
    InvalidValue = "invalid_value", 422, 107, "A value is outside what is allowed.";
    UnknownChannel = "unknown_channel", 404, 102, "There is no such channel.";
    UnknownMethod = "unknown_method", 404, 104, "There is no such method.";
    NotFound = "not_found", 404, 102, "There is nothing here.";
    AlreadySubscribed = "already_subscribed", 409, 105, "This connection already follows that channel.";
    NotSubscribed = "not_subscribed", 409, 107, "This connection does not follow that channel.";
    ChannelLimit = "channel_limit", 422, 106, "This connection follows as many channels as it may.";
    TooLarge = "too_large", 413, 107, "The message is larger than allowed.";
    // Not now
    TryAgain = "try_again", 503, 100, "This node cannot answer at the moment. Try again.";
    Unavailable = "unavailable", 503, 108, "This feature is not offered here.";
    Draining = "draining", 503, 100, "This node is shutting down. Another one answers.";
    Internal = "internal", 500, 100, "Something failed on our side.";
    // What a location refuses
    CommandExpired = "command_expired", 409, 107, "The command arrived after the time it was good for.";
    LocationUnknown = "location_unknown", 422, 107, "There is no such location.";
    QueueUnknown = "queue_unknown", 422, 107, "There is no such queue at this location.";
    StationUnknown = "station_unknown", 422, 107, "There is no such station at this location.";
    TicketUnknown = "ticket_unknown", 422, 107, "There is no such ticket at this location.";
    TicketExists = "ticket_exists", 409, 107, "A ticket with this id was issued before.";
    PrefixTaken = "prefix_taken", 409, 107, "Another queue of this location uses that prefix.";
    QueueNotOpen = "queue_not_open", 409, 107, "The queue takes no tickets.";
    QueuePaused = "queue_paused", 409, 107, "The queue is paused.";
    QueueEmpty = "queue_empty", 409, 107, "Nobody is waiting.";
    IllegalMove = "illegal_move", 409, 107, "The ticket or queue is not in a state that allows this.";
    NothingToRevert = "nothing_to_revert", 409, 107, "There is no step to undo.";
    SuccessorMissing = "successor_missing", 422, 107, "A transfer to another location must name the ticket that goes on.";
    StationClosed = "station_closed", 409, 107, "Nobody is at that station.";
    AppointmentUnknown = "appointment_unknown", 422, 107, "There is no such appointment at this location.";
    AppointmentOver = "appointment_over", 409, 107, "The appointment is over or was called off.";
    AlreadyCheckedIn = "already_checked_in", 409, 107, "The appointment was checked in before.";
    QueueMissing = "queue_missing", 422, 107, "The appointment has no queue of its own: name one.";
    TimesMissing = "times_missing", 422, 107, "An appointment that is not merely proposed, waiting for a time or called off has a start and an end.";
    TimesReversed = "times_reversed", 422, 107, "The appointment ends before it starts.";
    StatusCannotFollow = "status_cannot_follow", 409, 107, "That status cannot follow the one the appointment has.";
    /// Of a tick: nobody waits for it.
    NothingDue = "nothing_due", 409, 107, "No timer was due.";
    // What a run refuses, or fails with
    FileUnknown = "file_unknown", 404, 102, "There is no such file, or it was removed.";
    FileEmpty = "file_empty", 422, 107, "The file is empty.";
    ChecksumMismatch = "checksum_mismatch", 422, 107, "What arrived is not what the checksum says was sent.";
    FileNotAnExport = "file_not_an_export", 422, 107, "The file is not an export of claims: a column it must have is missing or stands twice.";
    FileNotText = "file_not_text", 422, 107, "The file is not text.";
    FileMalformed = "file_malformed", 422, 107, "The file's rows cannot be told apart.";
    RunUnknown = "run_unknown", 422, 107, "There is no such run.";
    RunExists = "run_exists", 409, 107, "A run with this id was asked for before.";
    RunOver = "run_over", 409, 107, "The run is over.";
    RunNotRetryable = "run_not_retryable", 409, 107, "The run did not fail, or would fail again.";
    RunOtherAttempt = "run_other_attempt", 409, 107, "Another attempt at the run has taken its place.";
    RunWorkerLost = "run_worker_lost", 503, 107, "The workers that checked the file were lost, each time.";
    RunFaulted = "run_faulted", 503, 107, "The check could not be carried out because of a fault on our side.";
    RuleUnknown = "rule_unknown", 404, 102, "There is no such rule.";
    RuleInvalid = "rule_invalid", 422, 107, "The rule cannot be applied as it is.";
    // What a topic carried that nobody could apply
    RecordMalformed = "record_malformed", 422, 107, "The record's data cannot be read.";
    RecordUnknownType = "record_unknown_type", 422, 107, "Nobody here knows records of that type.";
    RecordUnknownVersion = "record_unknown_version", 422, 107, "The record's type has a newer major version.";
    RecordBadKey = "record_bad_key", 422, 107, "The record's key names no aggregate.";
    RecordWrongPartition = "record_wrong_partition", 422, 107, "The record lies on a partition its key does not lead to.";
    RecordForeignId = "record_foreign_id", 422, 107, "The record names something of another aggregate.";
}

impl Code {
    /// Whether the same request may succeed later without a change.
    pub fn is_temporary(self) -> bool {
        matches!(self, Code::TryAgain | Code::Draining | Code::Internal)
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a server ends a socket or a subscription. The number alone tells a client of the Centrifugal protocol
/// whether to come back: it reconnects below 3500 and in 4000–4499, and resubscribes from 2500.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Close {
    /// Unsubscribed: the client must load a snapshot.
    InsufficientState,
    /// Unsubscribed: the token no longer covers the channel.
    SubscriptionExpired,
    Shutdown,
    ServerError,
    TokenExpired,
    /// No byte left for ten seconds, or too many replies are waiting.
    Slow,
    NoPong,
    InvalidToken,
    BadRequest,
    /// No first command in time.
    Stale,
    PermissionDenied,
    TooLarge,
}

impl Close {
    pub const ALL: &'static [Close] = &[
        Close::InsufficientState,
        Close::SubscriptionExpired,
        Close::Shutdown,
        Close::ServerError,
        Close::TokenExpired,
        Close::Slow,
        Close::NoPong,
        Close::InvalidToken,
        Close::BadRequest,
        Close::Stale,
        Close::PermissionDenied,
        Close::TooLarge,
    ];

    pub fn code(self) -> u16 {
        self.row().0
    }

    /// The reason on the wire: shorter than the 123 bytes a close frame can carry.
    pub fn reason(self) -> &'static str {
        self.row().1
    }

    /// Whether a client should come back after it.
    pub fn should_reconnect(self) -> bool {
        matches!(self.code(), ..3500 | 4000..4500)
    }

    fn row(self) -> (u16, &'static str) {
        match self {
            Close::InsufficientState => (2500, "insufficient state"),
            Close::SubscriptionExpired => (2501, "subscription expired"),
            Close::Shutdown => (3001, "shutdown"),
            Close::ServerError => (3004, "internal server error"),
            Close::TokenExpired => (3005, "connection expired"),
            Close::Slow => (3008, "slow"),
            Close::NoPong => (3012, "no pong"),
            Close::InvalidToken => (3500, "invalid token"),
            Close::BadRequest => (3501, "bad request"),
            Close::Stale => (3502, "stale"),
            Close::PermissionDenied => (3507, "permission denied"),
            // Outside the protocol's own numbers, in the range that does not come back: the same message
            // would be too large again.
            Close::TooLarge => (4500, "message too large"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_code_has_one_name_and_reads_back() {
        let names: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            let json = serde_json::to_string(code).unwrap();
            assert_eq!(json, format!("\"{code}\""));
            assert_eq!(serde_json::from_str::<Code>(&json).unwrap(), *code);
            assert!((400..600).contains(&code.status()), "{code}");
        }
    }

    #[test]
    fn every_close_fits_its_frame_and_has_its_own_number() {
        let numbers: HashSet<_> = Close::ALL.iter().map(|close| close.code()).collect();
        assert_eq!(numbers.len(), Close::ALL.len());
        assert!(Close::ALL.iter().all(|close| close.reason().len() <= 123));
    }
}
