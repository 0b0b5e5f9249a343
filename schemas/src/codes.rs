//! Every error code in one table, with its texts for people.

mod close;

use serde::{Deserialize, Serialize};

pub use close::Close;

macro_rules! codes {
    ($(
        $(#[doc = $doc:literal])*
        $name:ident = $text:literal, $status:literal, $reply:literal, $title:literal;
    )*) => {
        /// An error code. Codes are stable; their titles are written for people and may change.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
        pub enum Code {
            $($(#[doc = $doc])* #[serde(rename = $text)] $name,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &'static [Code] = &[$(Code::$name),*];

            /// The code as every protocol spells it.
            pub fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// The HTTP status of an answer with this code.
            pub fn status(self) -> u16 {
                match self { $(Code::$name => $status,)* }
            }

            /// The number of an error reply with this code in the Centrifugal protocol.
            pub fn reply(self) -> u32 {
                match self { $(Code::$name => $reply,)* }
            }

            /// When the code is used, for programmers.
            pub fn meaning(self) -> &'static str {
                match self { $(Code::$name => concat!($($doc),*).trim_ascii(),)* }
            }

            /// One sentence for people.
            pub fn title(self) -> &'static str {
                match self { $(Code::$name => $title,)* }
            }
        }
    };
}

codes! {
    // Authentication and access
    /// No token was sent.
    TokenMissing = "token_missing", 401, 101, "The request has no token.";
    /// The signature or the form of the token is wrong.
    TokenInvalid = "token_invalid", 401, 101, "The token is not valid.";
    /// The token is past its `exp`.
    TokenExpired = "token_expired", 401, 109, "The token has expired.";
    /// The token is before its `nbf`.
    TokenNotYetValid = "token_not_yet_valid", 401, 101, "The token is not valid yet.";
    /// The `aud` of the token names another service.
    TokenWrongAudience = "token_wrong_audience", 401, 101,
        "The token was issued for another service.";
    /// The `iss` of the token is not trusted here.
    TokenWrongIssuer = "token_wrong_issuer", 401, 101,
        "The token comes from an issuer that isn't trusted here.";
    /// The token was revoked, or belongs to a session, device or link that was.
    TokenRevoked = "token_revoked", 401, 101, "Access with this token was ended.";
    /// The rights of the bearer changed after the token was issued. A newer token is accepted.
    PermissionsChanged = "permissions_changed", 401, 109,
        "Your rights have changed. Sign in again to go on.";
    /// The tenant of the token is suspended. Its data is kept, and a resumed tenant's tokens are
    /// accepted again.
    TenantSuspended = "tenant_suspended", 403, 103,
        "Your organisation's access is suspended. Ask whoever runs this service.";
    /// The installation serves only tenants that a super admin has created, and this is none.
    TenantNotServed = "tenant_not_served", 403, 103,
        "Your organisation isn't registered here. Ask whoever runs this service.";
    /// The issuer of the token allows no renewal, or none any more.
    NotRenewable = "not_renewable", 403, 103, "This token can't be renewed. Sign in again.";
    /// A crossing into another tenant names no reason.
    ReasonMissing = "reason_missing", 422, 107,
        "Say why you need to see another organisation's data.";
    /// A renewed credential of a display was used again: somebody has a copy of it.
    CredentialReused = "credential_reused", 401, 101,
        "This screen's access was used on another screen, so it was ended. Pair the screen again.";
    /// The code or link of a ticket is wrong, or the code has ended.
    TicketLinkUnknown = "ticket_link_unknown", 404, 102,
        "This code or link isn't valid, or its visit is over. Ask at the desk.";
    /// The ticket of the link has ended, and the time to look at its end has passed.
    TicketLinkEnded = "ticket_link_ended", 410, 102, "This visit is over, and so is its link.";
    /// No screen shows this pairing code, or no longer.
    PairingUnknown = "pairing_unknown", 404, 102,
        "No screen shows this code now. Check the code on the screen.";
    /// Somebody else approved the pairing, or is about to.
    PairingTaken = "pairing_taken", 409, 107, "This screen was already paired by somebody else.";
    /// The role of the token does not allow the request.
    Forbidden = "forbidden", 403, 103, "Your role isn't allowed to do this at this location.";
    /// The one-time ticket of an event stream is unknown, used or expired.
    StreamTicketInvalid = "stream_ticket_invalid", 401, 101,
        "The stream ticket is unknown, already used or expired.";
    /// The origin of the page is not on the list.
    OriginNotAllowed = "origin_not_allowed", 403, 103,
        "Pages from this origin aren't allowed to connect.";
    /// The page is the node's own, but the `Host` of its request is another one: a proxy in front
    /// has replaced it.
    OriginMismatch = "origin_mismatch", 403, 103,
        "A proxy in front of this server changes the address that pages ask for.";
    /// The `Host` of the request is not on the list.
    HostNotAllowed = "host_not_allowed", 421, 107, "This address isn't served here.";
    // Requests
    /// The body, a header or a frame cannot be parsed.
    Malformed = "malformed", 400, 107, "The request can't be read.";
    /// A text does not have the form of its kind of id.
    InvalidId = "invalid_id", 400, 107, "An id doesn't have the right form.";
    /// A value is outside its bounds.
    InvalidValue = "invalid_value", 422, 107, "A value isn't allowed here.";
    /// No channel has this name.
    UnknownChannel = "unknown_channel", 404, 102, "This channel doesn't exist.";
    /// No method has this name.
    UnknownMethod = "unknown_method", 404, 104, "This method doesn't exist.";
    /// The resource or the route does not exist.
    NotFound = "not_found", 404, 102, "There's nothing at this address.";
    /// A second subscribe to the same channel.
    AlreadySubscribed = "already_subscribed", 409, 105,
        "This connection is already subscribed to the channel.";
    /// An unsubscribe without a subscription.
    NotSubscribed = "not_subscribed", 409, 107, "This connection isn't subscribed to the channel.";
    /// The connection has as many subscriptions as it may have.
    ChannelLimit = "channel_limit", 422, 106, "This connection has reached its limit of channels.";
    /// The frame has more commands than a frame may have.
    CommandLimit = "command_limit", 422, 106, "The message has too many commands.";
    /// The message is larger than its limit.
    TooLarge = "too_large", 413, 107, "The message is too large.";
    // Faults and load
    /// The node is overloaded, or lacks something that it waits for.
    TryAgain = "try_again", 503, 100, "The server can't answer right now. Try again.";
    /// A client opened more channels in a short time than it may.
    TooManySubscribes = "too_many_subscribes", 429, 111,
        "Too many channels were opened in a short time. Try again in a moment.";
    /// The address, the subject, the tenant or the node has as many open connections as it may
    /// have.
    TooManyConnections = "too_many_connections", 429, 111,
        "There are too many open connections. Close some, or try again in a minute.";
    /// The subject sent more requests of one kind than it may.
    RateLimited = "rate_limited", 429, 111,
        "Too many requests in a short time. Wait a moment, then try again.";
    /// The tenant sent more commands than it may.
    TenantLimited = "tenant_limited", 429, 111,
        "Your organisation has sent too many requests in a short time. Try again in a moment.";
    /// The network address sent more requests than it may.
    AddressLimited = "address_limited", 429, 111,
        "Too many requests have come from your network. Wait a moment, then try again.";
    /// Too many requests of the subject or the address were refused.
    TooManyFailures = "too_many_failures", 429, 111,
        "Too many requests were refused. Check the link or sign in again, then wait a minute.";
    /// The subject or the tenant waits for as many outcomes as it may.
    TooManyWaiting = "too_many_waiting", 429, 111,
        "Earlier requests haven't been answered yet. Wait for them, then try again.";
    /// The subject or the tenant has as many uploads under way as it may have.
    TooManyUploads = "too_many_uploads", 429, 111,
        "Other files are still being uploaded. Try again when they have arrived.";
    /// The upload brings fewer bytes than it must.
    UploadTooSlow = "upload_too_slow", 408, 107,
        "The upload was too slow to finish. Try again with a better connection.";
    /// The tenant reads as many lists and exports as it may at once.
    TooManyQueries = "too_many_queries", 429, 111,
        "Other lists are still being prepared. Try again in a moment.";
    /// The tenant has as many runs waiting for a worker as it may have.
    TooManyRuns = "too_many_runs", 429, 111,
        "Too many checks are waiting already. Try again when some of them are done.";
    /// The deployment does not offer the feature.
    Unavailable = "unavailable", 503, 108, "This feature isn't available here.";
    /// The node is shutting down.
    Draining = "draining", 503, 100, "The server is shutting down. Reconnect to reach another one.";
    /// A fault of the server.
    Internal = "internal", 500, 100, "Something went wrong on our side.";
    // Commands
    /// A command with the same source, subject and key, and another content, was sent before.
    IdempotencyKeyReused = "idempotency_key_reused", 422, 107,
        "This key was already used for another request. Choose a new key.";
    /// The command was decided after its `valid_until`.
    CommandExpired = "command_expired", 409, 107, "The command arrived too late to be carried out.";
    /// Neither the configuration nor the authority knows the tenant.
    TenantUnknown = "tenant_unknown", 422, 107, "This organisation doesn't exist.";
    /// A super admin has created the tenant already.
    TenantExists = "tenant_exists", 409, 107, "This organisation exists already.";
    /// The tenant has as many of something as its quotas allow; the detail names the quota.
    QuotaReached = "quota_reached", 409, 107,
        "Your organisation has as many of these as it may have. Ask whoever runs this service.";
    /// The location was never configured.
    LocationUnknown = "location_unknown", 422, 107, "This location doesn't exist.";
    /// The location has no such queue.
    QueueUnknown = "queue_unknown", 422, 107, "This queue doesn't exist at this location.";
    /// The location has no such station.
    StationUnknown = "station_unknown", 422, 107, "This station doesn't exist at this location.";
    /// The location has no such display.
    DisplayUnknown = "display_unknown", 422, 107, "This screen isn't paired with this location.";
    /// The code of a check-in point was replaced, the point is out of use, or the text is no code.
    QrExpired = "qr_expired", 410, 102,
        "This check-in code isn't valid any more. Scan the code at the entrance, or ask the staff.";
    /// The location has no such check-in point.
    CheckInPointUnknown = "check_in_point_unknown", 422, 107,
        "This check-in point doesn't exist at this location.";
    /// The location has no such ticket.
    TicketUnknown = "ticket_unknown", 422, 107, "This ticket doesn't exist at this location.";
    /// A ticket with this id was issued before.
    TicketExists = "ticket_exists", 409, 107, "A ticket with this id already exists.";
    /// Somebody else has changed the settings since the edition that the command names.
    SettingsChanged = "settings_changed", 409, 107,
        "Somebody else has changed these settings meanwhile.";
    /// Two queues of a location cannot share a prefix.
    PrefixTaken = "prefix_taken", 409, 107, "Another queue of this location uses this prefix.";
    /// The queue is closed, so no ticket is issued.
    QueueNotOpen = "queue_not_open", 409, 107, "The queue isn't issuing tickets.";
    /// The queue is paused, so nobody is called.
    QueuePaused = "queue_paused", 409, 107, "The queue is paused.";
    /// Nobody waits in the queue.
    QueueEmpty = "queue_empty", 409, 107, "Nobody is waiting.";
    /// The location does not let patients move back, or not any more.
    YieldNotAllowed = "yield_not_allowed", 409, 107,
        "You can't let others go first any more. Ask the staff.";
    /// The installation sends no alerts.
    AlertsNotOffered = "alerts_not_offered", 404, 102, "This clinic sends no alerts to phones.";
    /// The address of a device is at no push service that the installation accepts.
    PushServiceUnknown = "push_service_unknown", 422, 107,
        "This browser's alerts can't be used here.";
    /// The ticket alerts as many devices as it may.
    TooManyDevices = "too_many_devices", 409, 107,
        "This ticket already alerts three devices. Turn alerts off on one of them.";
    /// Nobody of the same priority waits behind the ticket.
    NobodyBehind = "nobody_behind", 409, 107, "Nobody is behind you in this line.";
    /// The state of the ticket or queue does not allow the command.
    IllegalMove = "illegal_move", 409, 107,
        "The ticket or queue is in a state that does not allow this.";
    /// The ticket has no step that can be undone.
    NothingToRevert = "nothing_to_revert", 409, 107, "There's no step to undo.";
    /// The queue still has live tickets.
    QueueNotEmpty = "queue_not_empty", 409, 107,
        "There are still people in the queue. Move them to another one.";
    /// The queue has more live tickets than one step may move.
    QueueTooLong = "queue_too_long", 409, 107,
        "There are too many people in the queue to move them all at once.";
    /// The queue has as many live tickets as its settings allow.
    QueueFull = "queue_full", 409, 107,
        "This line is full for now. Ask the staff, or come back when it has moved on.";
    /// The location has as many live tickets as it may have.
    LocationFull = "location_full", 409, 107,
        "There are too many people in line here to add another one. Ask the staff.";
    /// A patient is still called to the station.
    StationBusy = "station_busy", 409, 107,
        "The person called to this station hasn't come yet.";
    /// The ticket or appointment is on the way to another location, or a move that was taken back
    /// is not settled yet.
    Moving = "moving", 409, 107,
        "An earlier move to another location isn't settled yet. Try again in a minute.";
    /// The destination of a move did not answer in time.
    MoveTimedOut = "move_timed_out", 504, 107, "The other location didn't answer in time.";
    /// The origin took the move back.
    MoveTakenBack = "move_taken_back", 409, 107, "The move was taken back.";
    /// A closed station cannot call.
    StationClosed = "station_closed", 409, 107, "The station is closed.";
    /// The location has no such appointment.
    NoAppointment = "no_appointment", 422, 107,
        "This appointment doesn't exist at this location.";
    /// No booking has this code, or the second factor is wrong. A guesser cannot distinguish them.
    NoAppointmentFound = "no_appointment_found", 404, 102,
        "No appointment was found with these details. Check them, or ask the staff.";
    /// The phone is not at the check-in point, or does not say where it is.
    TooFar = "too_far", 409, 107,
        "Check in when you are at the clinic, and allow this page to see where you are.";
    /// The appointment has ended.
    AppointmentOver = "appointment_over", 409, 107, "The appointment is over or was cancelled.";
    /// The appointment has a ticket already.
    AlreadyCheckedIn = "already_checked_in", 409, 107, "The appointment is already checked in.";
    /// The appointment has no check-in that could be undone.
    NotCheckedIn = "not_checked_in", 409, 107, "The appointment isn't checked in.";
    /// The appointment was checked in as often as it may be.
    TooManyVisits = "too_many_visits", 409, 107,
        "The appointment was checked in too often. Issue a ticket without it.";
    /// The window for checking in has not begun.
    TooEarly = "too_early", 409, 107, "It's too early to check in for this appointment.";
    /// The window for checking in has ended.
    AppointmentExpired = "appointment_expired", 409, 107,
        "The time to check in for this appointment has passed.";
    /// The appointment is at another location than the check-in.
    WrongLocation = "wrong_location", 409, 107, "The appointment is at another location.";
    /// Neither the appointment nor the check-in names a queue.
    QueueMissing = "queue_missing", 422, 107, "The appointment has no queue. Choose one.";
    /// Only an appointment that is proposed, cancelled, on a waitlist or entered in error may lack
    /// its times (FHIR, app-3).
    TimesMissing = "times_missing", 422, 107,
        "An appointment with this status needs a start and an end.";
    /// The end of the appointment is not after its start.
    TimesReversed = "times_reversed", 422, 107, "The appointment ends before it starts.";
    /// The time of a source's last change lies more than ten minutes ahead of the location's clock.
    /// If it were accepted, every real fact that follows would count as older.
    TimeAhead = "time_ahead", 422, 107,
        "The time of the change is in the future. Check the clock of the sending system.";
    /// The service day already has appointments of as many doctors as a location can list.
    TooManyDoctors = "too_many_doctors", 422, 107,
        "Too many doctors have appointments at this location on one day.";
    /// The status of an appointment cannot follow its present one.
    StatusCannotFollow = "status_cannot_follow", 409, 107,
        "The appointment can't change from its current status to this one.";
    /// A tick found no timer due. Nobody waits for the outcome.
    NothingDue = "nothing_due", 409, 107, "No timer was due.";
    // Files, runs and rules
    /// The file was never uploaded, or was removed.
    FileUnknown = "file_unknown", 404, 102, "The file doesn't exist or was removed.";
    /// The file has no bytes.
    FileEmpty = "file_empty", 422, 107, "The file is empty.";
    /// The digest of the received bytes differs from the one that was sent.
    ChecksumMismatch = "checksum_mismatch", 422, 107,
        "The file doesn't match its checksum. Upload it again.";
    /// A required column is missing or there twice.
    FileNotAnExport = "file_not_an_export", 422, 107,
        "The file isn't a claims export: a required column is missing or appears twice.";
    /// The file contains bytes that no text has.
    FileNotText = "file_not_text", 422, 107, "The file isn't text.";
    /// A row is too large, or its quote is never closed.
    FileMalformed = "file_malformed", 422, 107, "The file's rows can't be told apart.";
    /// The run does not exist.
    RunUnknown = "run_unknown", 422, 107, "This check doesn't exist.";
    /// A run with this id was requested before.
    RunExists = "run_exists", 409, 107, "A check with this id already exists.";
    /// The run has ended.
    RunOver = "run_over", 409, 107, "The check is over.";
    /// The run did not fail, or failed for a lasting reason.
    RunNotRetryable = "run_not_retryable", 409, 107, "The check didn't fail, or would fail again.";
    /// A worker reports on an attempt that was replaced.
    RunOtherAttempt = "run_other_attempt", 409, 107,
        "Another attempt at the check has replaced this one.";
    /// The worker was lost on each attempt.
    RunWorkerLost = "run_worker_lost", 503, 107, "The check was interrupted on every attempt.";
    /// A fault of the server ended each attempt.
    RunFaulted = "run_faulted", 503, 107,
        "The check couldn't run because of a problem on our side.";
    /// The tenant has no such rule.
    RuleUnknown = "rule_unknown", 404, 102, "This rule doesn't exist.";
    /// A parameter of the rule is wrong.
    RuleInvalid = "rule_invalid", 422, 107, "The rule can't be applied as it is.";
    /// The tenant has no such webhook.
    WebhookUnknown = "webhook_unknown", 404, 102, "This webhook doesn't exist.";
    /// The tenant has as many webhooks as it may have.
    TooManyWebhooks = "too_many_webhooks", 409, 107,
        "There are as many webhooks as there may be. Delete one that isn't used any more.";
    /// The installation has no key for the secrets of webhooks.
    WebhooksNotOffered = "webhooks_not_offered", 404, 102,
        "This installation sends no webhooks. Ask those who run it.";
    /// A reference table cannot be loaded; the detail names the line and the column.
    TableInvalid = "table_invalid", 422, 107, "The table can't be loaded as it is.";
    /// The reference table has no entry with this key.
    ReferenceUnknown = "reference_unknown", 404, 102, "The table has no such entry.";
    // Parked records
    /// The value or a header of a record cannot be parsed.
    RecordMalformed = "record_malformed", 422, 107, "The record's data can't be read.";
    /// No reader knows the type of the record.
    RecordUnknownType = "record_unknown_type", 422, 107, "The record's type is unknown.";
    /// The major version of the type is newer than the reader.
    RecordUnknownVersion = "record_unknown_version", 422, 107,
        "The record's type has a newer major version.";
    /// The key of the record is not that of an aggregate.
    RecordBadKey = "record_bad_key", 422, 107, "The record's key names no aggregate.";
    /// The record is not on the partition of its key.
    RecordWrongPartition = "record_wrong_partition", 422, 107,
        "The record is on the wrong partition for its key.";
    /// The record names an id of another aggregate.
    RecordForeignId = "record_foreign_id", 422, 107,
        "The record names an id that belongs to another aggregate.";
    /// The append time of the record is far ahead of the clock of the partition's owner.
    RecordFromFuture = "record_from_future", 503, 107,
        "The clocks of our servers disagree, so this wasn't carried out. Try again in a moment.";
    /// A processor failed while it decided the record, each time it tried.
    RecordPanicked = "record_panicked", 500, 107,
        "Something went wrong on our side, so this wasn't carried out. We've kept it to look into.";
    /// The database refused to store the effect of the record, each time it was asked.
    RecordNotStored = "record_not_stored", 500, 107,
        "Our database couldn't store this, so it wasn't carried out. We've kept it to look into.";
}

impl Code {
    /// Whether the same request may succeed later, unchanged. An SDK then tries again by itself.
    pub fn is_temporary(self) -> bool {
        matches!(
            self,
            Code::TryAgain
                | Code::TooManySubscribes
                | Code::TooManyConnections
                | Code::RateLimited
                | Code::TenantLimited
                | Code::AddressLimited
                | Code::TooManyFailures
                | Code::TooManyWaiting
                | Code::TooManyUploads
                | Code::UploadTooSlow
                | Code::TooManyQueries
                | Code::TooManyRuns
                | Code::Draining
                | Code::Internal
                | Code::TokenNotYetValid
                | Code::RecordFromFuture
        )
    }
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_round_trip() {
        let names: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            let json = serde_json::to_string(code).unwrap();
            assert_eq!(json, format!("\"{code}\""));
            assert_eq!(serde_json::from_str::<Code>(&json).unwrap(), *code);
            assert!((400..600).contains(&code.status()), "{code}");
        }
    }

    /// The table of `docs/errors.md` between its two marks.
    fn table() -> String {
        let mut table = String::from("| code | status | again | when | what people read |\n");
        table.push_str("|---|---|---|---|---|\n");
        for code in Code::ALL {
            let again = if code.is_temporary() { "yes" } else { "" };
            let (status, when, title) = (code.status(), code.meaning(), code.title());
            table.push_str(&format!("| `{code}` | {status} | {again} | {when} | {title} |\n"));
        }
        table
    }

    #[test]
    fn documented_codes_are_fresh() {
        const START: &str = "<!-- the codes of schemas/src/codes.rs -->\n\n";
        const END: &str = "\n<!-- end of the codes -->";
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/errors.md");
        let page = std::fs::read_to_string(path).unwrap();
        let (before, rest) = page.split_once(START).expect("the page has the first mark");
        let (stored, after) = rest.split_once(END).expect("the page has the second mark");
        if std::env::var_os("CLINICWIRE_WRITE_DOCUMENTS").is_some() {
            std::fs::write(path, format!("{before}{START}{}{END}{after}", table())).unwrap();
            return;
        }
        assert!(
            stored == table(),
            "docs/errors.md is stale; run: CLINICWIRE_WRITE_DOCUMENTS=1 cargo test -p \
             clinicwire-schemas documented_codes"
        );
    }
}
