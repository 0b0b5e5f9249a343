//! Every limit of a node: its name, the client by which it counts, its default, its code, and the
//! reason for the number. `docs/limits.md` is generated from this table.

use schemas::codes::Code;

use crate::backends::quota::Quota;

/// The value of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LimitValue {
    /// Requests in a window.
    Rate(Quota),
    /// Things held at once.
    Places(u32),
    /// A bound of the protocol, in words. No setting changes it.
    Fixed(&'static str),
}

const fn rate(count: u32, window_s: u32) -> LimitValue {
    match Quota::new(count, window_s) {
        Some(quota) => LimitValue::Rate(quota),
        None => panic!("a default is a valid quota"),
    }
}

/// The clients whose requests a limit counts together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One subject of one tenant, on all nodes together.
    SubjectEverywhere,
    /// One subject of one tenant, on each node.
    Subject,
    /// One tenant, on each node.
    Tenant,
    /// One tenant, on all nodes together.
    TenantEverywhere,
    /// One IPv4 address or IPv6 /64, on each node.
    Address,
    /// One socket or stream.
    Connection,
    /// All clients of a node together.
    Node,
}

impl Scope {
    pub fn text(self) -> &'static str {
        match self {
            Self::SubjectEverywhere => "subject, all nodes",
            Self::Subject => "subject, each node",
            Self::Tenant => "tenant, each node",
            Self::TenantEverywhere => "tenant, all nodes",
            Self::Address => "address, each node",
            Self::Connection => "connection",
            Self::Node => "node",
        }
    }
}

macro_rules! limits {
    ($(
        $name:ident = $text:literal, $scope:ident, $value:expr, $code:ident,
        $what:literal, $why:literal;
    )*) => {
        /// One limit.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Limit {
            $(#[doc = $what] $name,)*
        }

        impl Limit {
            /// Every limit.
            pub const ALL: [Limit; [$($text),*].len()] = [$(Limit::$name),*];

            /// The name in settings, in headers and in the label of metrics.
            pub fn name(self) -> &'static str {
                match self { $(Limit::$name => $text,)* }
            }

            pub fn scope(self) -> Scope {
                match self { $(Limit::$name => Scope::$scope,)* }
            }

            pub fn default(self) -> LimitValue {
                match self { $(Limit::$name => $value,)* }
            }

            /// The code of a refusal.
            pub fn code(self) -> Code {
                match self { $(Limit::$name => Code::$code,)* }
            }

            /// The requests that the limit counts.
            pub fn what(self) -> &'static str {
                match self { $(Limit::$name => $what,)* }
            }

            /// The reason for the default.
            pub fn why(self) -> &'static str {
                match self { $(Limit::$name => $why,)* }
            }
        }
    };
}

limits! {
    Dashboard = "dashboard", SubjectEverywhere, rate(60, 60), RateLimited,
        "Reads of loads, boards, schedules, histories, figures, lists of runs and the audit",
        "A dashboard changes at most once a second; a screen follows its channel instead";
    Booking = "booking", SubjectEverywhere, rate(10, 60), RateLimited,
        "Commands of a patient",
        "A person checks in once or leaves a line; more is a script";
    Bulk = "bulk", SubjectEverywhere, rate(5, 300), RateLimited,
        "Exports of findings, figures and the audit, trials of rules, and loads of reference tables",
        "Each reads a whole run or takes a core for seconds";
    Upload = "upload", SubjectEverywhere, rate(30, 300), RateLimited,
        "Uploads of claims files",
        "A clerk drops the files of a month at once, about two dozen";
    Desk = "desk", SubjectEverywhere, rate(600, 60), RateLimited,
        "Commands of staff, accepted or refused",
        "Receptions often share one login: five people at two keys a second";
    Source = "source", SubjectEverywhere, rate(6000, 60), RateLimited,
        "Facts of a booking system",
        "A day of 20,000 appointments is sent in four minutes";
    Lookup = "lookup", SubjectEverywhere, rate(300, 60), RateLimited,
        "Look-ups of the outcome of a command",
        "A client asks again after each two seconds, for ten commands at once";
    Rest = "rest", SubjectEverywhere, rate(100, 60), RateLimited,
        "All other requests with a token",
        "A page makes about ten requests when it opens, and then follows channels";
    Failures = "failures", Subject, rate(60, 60), TooManyFailures,
        "Requests with a token that were answered by 403 or 404",
        "Stale links and removed queues cause a few; only guessing of ids causes one a second";
    AddressFailures = "address-failures", Address, rate(300, 60), TooManyFailures,
        "Requests without a valid token that were answered by 401, 403 or 404",
        "All screens of a clinic behind one address may lose their tokens at once. Requests with a \
         valid token are never refused for it";
    AddressRequests = "address-requests", Address, rate(3000, 15), AddressLimited,
        "All requests, except those for health",
        "A carrier or a clinic puts thousands of phones behind one address. A page takes about \
         fifteen requests, so 200 pages may open at once, and 13 a second after that. Requests \
         with a valid token are never refused for it";
    Handshakes = "handshakes", Address, rate(3000, 15), AddressLimited,
        "Handshakes of TLS, on a node that has a certificate",
        "All screens and phones behind one address may come back at once. A handshake takes up to \
         a millisecond of a core. The refusal is a closed connection: nothing can be said yet";
    TenantCommands = "tenant-commands", Tenant, rate(30_000, 60), TenantLimited,
        "All commands of a tenant",
        "A sixth of what one processor decides, and ten times what 120 busy desks press";
    WaitingOfSubject = "waiting-subject", Subject, LimitValue::Places(32), TooManyWaiting,
        "Commands that wait for their outcome",
        "A person waits for one; a booking system with 32 connections reaches 400 facts a second";
    WaitingOfTenant = "waiting-tenant", Tenant, LimitValue::Places(1000), TooManyWaiting,
        "Commands of a tenant that wait for their outcome",
        "A tenth of the node's places; 500 commands a second when each waits two seconds";
    LookupsOfSubject = "lookups-subject", Subject, LimitValue::Places(16), TooManyWaiting,
        "Look-ups that wait for the outcome of a command",
        "A client has a few undecided commands; look-ups never take a place of commands";
    LookupsOfTenant = "lookups-tenant", Tenant, LimitValue::Places(200), TooManyWaiting,
        "Look-ups of a tenant that wait for the outcome of a command",
        "A tenth of the node's places for look-ups";
    UploadsOfSubject = "uploads-subject", Subject, LimitValue::Places(2), TooManyUploads,
        "Uploads under way",
        "The page sends one file after another; a second window stays possible";
    UploadsOfTenant = "uploads-tenant", Tenant, LimitValue::Places(4), TooManyUploads,
        "Uploads of a tenant under way",
        "A quarter of the node's places, each of which takes 10 MiB of memory";
    QueriesOfTenant = "queries-tenant", Tenant, LimitValue::Places(3), TooManyQueries,
        "Lists of runs, findings and exports that PostgreSQL is reading",
        "Fewer than half of the node's eight connections, so that other tenants always have some";
    Openings = "openings", Node, rate(6000, 1), TooManyConnections,
        "New connections. They begin evenly, each address in turn; 4,096 of each shard wait, and \
         further ones are refused",
        "20,000 clients of a lost node are back in four seconds. Meanwhile frames of those who are \
         connected take up to a tenth of a second on two cores";
    Connections = "connections", Node, LimitValue::Places(100_000), TooManyConnections,
        "Open connections, idle ones included. Never more than the process's descriptors less 512",
        "A connection takes 3 to 12 KiB, so these fit 1 GiB";
    ConnectionsOfAddress = "connections-address", Address, LimitValue::Places(2000),
        TooManyConnections,
        "Open connections, idle ones included",
        "A clinic or a carrier has hundreds of screens and phones behind one address. Ten hostile \
         addresses must not fill a node of 20,000 descriptors";
    ConnectionsOfSubject = "connections-subject", Subject, LimitValue::Places(64),
        TooManyConnections,
        "Sockets and streams",
        "A person has a dozen pages open, and the screens of a clinic may share one token";
    ConnectionsOfTenant = "connections-tenant", Tenant, LimitValue::Places(12_000),
        TooManyConnections,
        "Sockets and streams of a tenant",
        "The longest line, 10,000 people, and its staff; another tenant still finds room on a node \
         of 20,000 descriptors";
    Refused = "refused", Node, LimitValue::Places(128), TooManyConnections,
        "Connections past these limits that are told so and may ask for health",
        "Each is open for two seconds at most; further ones are closed at once";
    RefusedOfAddress = "refused-address", Address, LimitValue::Places(8), TooManyConnections,
        "Connections past these limits that are told so and may ask for health",
        "One address cannot keep a balancer from asking for health";
    Newcomers = "newcomers", Node, LimitValue::Places(2000), TooManyConnections,
        "Socket.IO sessions that have not shown a token yet",
        "One request begins a session of a few KiB, so these take 20 MiB at most";
    NewcomersOfAddress = "newcomers-address", Address, LimitValue::Places(200), TooManyConnections,
        "Socket.IO sessions that have not shown a token yet",
        "The phones and screens of a clinic share an address and all come back after an outage; \
         each shows its token after one or two round trips";
    SubscribesOfSubject = "subscribes-subject", Subject, rate(1200, 60), TooManySubscribes,
        "Subscribes, each of which may load a view",
        "The screens that share a token return at once, each with a handful of channels";
    LinkFailures = "link-failures", Address, rate(60, 300), TooManyFailures,
        "Wrong links and codes of tickets, and wrong codes of check-in points",
        "A person mistypes a code once or twice. A right link is never refused for it";
    WrongCodes = "wrong-codes", Node, rate(600, 60), TooManyFailures,
        "Wrong codes of tickets from all addresses together",
        "So few guesses find one of 10,000 live tickets in 13 years, from however many addresses. \
         A right link is never refused for it";
    Scans = "scans", SubjectEverywhere, rate(600, 60), RateLimited,
        "Requests of phones that have scanned the code of one check-in point",
        "Sixty people arrive in a minute at the busiest door, each with a handful of requests";
    ScansOfAddress = "scans-address", Address, rate(300, 60), RateLimited,
        "Requests of phones that have scanned a check-in code",
        "All patients of a clinic may use its wireless network, thirty of them in a minute";
    WrongBookings = "wrong-bookings", Address, rate(20, 300), TooManyFailures,
        "Wrong codes and factors of bookings from phones",
        "A person mistypes once or twice, and a waiting room behind one address a few times. A \
         code is tried ten times in an hour at most besides";
    WrongBookingsOfKiosk = "wrong-bookings-kiosk", Subject, rate(60, 300), TooManyFailures,
        "Wrong codes and factors of bookings at one kiosk",
        "Everybody who comes mistypes once, twelve people in a minute";
    WalkIns = "walk-ins", Address, rate(60, 300), RateLimited,
        "Tickets without an appointment that phones take",
        "A waiting room behind one address; a queue is bounded by its own settings besides";
    Pairings = "pairings", Address, rate(30, 60), RateLimited,
        "Pairings that screens without a credential begin",
        "Each screen asks for a code once in ten minutes; a new site hangs up two dozen at once";
    PairingsOfNode = "pairings-node", Node, rate(300, 60), RateLimited,
        "Pairings that screens at all addresses begin together",
        "Each is kept for ten minutes in 200 bytes: 3,000 at most for each node";
    Sessions = "sessions", Subject, rate(10, 60), RateLimited,
        "Lists of sessions",
        "A person looks at the own sessions now and then; an admin asks for a few people";
    SessionsOfTenant = "sessions-tenant", Tenant, rate(30, 60), RateLimited,
        "Lists of sessions that a tenant asks for",
        "Each is a pass over the connections of every node: 2 ms for 20,000 of them";
    SessionsOfNode = "sessions-node", Node, rate(300, 60), RateLimited,
        "Lists of sessions that this node answers, for all tenants together",
        "One hundredth of the time of a shard. Past it, lists lack the connections of this node";
    QueuedRuns = "queued-runs", TenantEverywhere, LimitValue::Places(100), TooManyRuns,
        "Runs of a tenant that wait for a worker. Requests of the same moment may pass it",
        "An hour of work for one worker. The office waits for its own runs, and for those that \
         others have under way";
    ControlFrames = "control-frames", Connection, LimitValue::Fixed("20, then 10 a second"),
        RateLimited,
        "Pings, pongs and closes of a WebSocket. Settings, pings and priorities of HTTP/2 have \
         five times the burst and twice the rate",
        "Clients and proxies ping once in ten seconds or more";
    Fragments = "fragments", Connection, LimitValue::Fixed("32 of one message"), RateLimited,
        "Fragments of a WebSocket's message",
        "Each costs a turn of the parser, however few bytes it has";
    Commands = "commands", Connection, LimitValue::Fixed("512, then 50 a second"), RateLimited,
        "Commands, and messages as one more each",
        "A client that returns sends 65 commands at once, and then a handful a minute";
    Subscribes = "subscribes", Connection, LimitValue::Fixed("128, then 10 a second"),
        TooManySubscribes,
        "Subscribes, each of which may load a view",
        "All channels of a connection twice at once, and then more than a person can open";
    SlowReaders = "slow-readers", Node, LimitValue::Fixed("64 MiB"), TryAgain,
        "Bytes that wait for clients which read slowly. The clients that have been behind for \
         longest are closed",
        "A large snapshot for each of 32 slow clients, or small replies for thousands";
    Loads = "loads", Node, LimitValue::Fixed("64 at once, 20,000 waiting"), TryAgain,
        "Loads of views",
        "The stores answer so many in time; those who wait are all clients of a node that return \
         at once";
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn limits_have_unique_names_and_temporary_codes() {
        let names: HashSet<_> = Limit::ALL.iter().map(|limit| limit.name()).collect();
        assert_eq!(names.len(), Limit::ALL.len());
        for limit in Limit::ALL {
            // The limits of the node's own load refuse clients that asked for nothing much.
            let of_node = matches!(limit, Limit::Loads | Limit::SlowReaders);
            let status = if of_node { 503 } else { 429 };
            assert_eq!(limit.code().status(), status, "{}", limit.name());
            assert!(limit.code().is_temporary(), "{}", limit.name());
        }
    }
}
