//! Ids that route: an id of a queue, station or ticket begins with its location's id, so that it names its
//! aggregate by itself. `Debug` never shows an id a patient holds.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// Longest slug of a tenant, location, queue or station; it bounds Kafka keys and Redis key names.
pub const MAX_SLUG: usize = 40;
/// Hex digits of a ticket's 128 random bits: what makes its link unguessable.
pub const TICKET_HEX: usize = 32;
/// Hex digits of a run's owner tag: 64 bits of a digest of who started it.
pub const OWNER_HEX: usize = 16;
/// Longest id of a command, as callers may bring their own (`Idempotency-Key`).
pub const MAX_COMMAND_ID: usize = 64;

/// An id whose text does not have the form of its kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of a {0}")]
pub struct InvalidId(pub &'static str);

fn is_slug(text: &str) -> bool {
    (1..=MAX_SLUG).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

fn is_scoped_slug(text: &str) -> bool {
    text.split_once('.').is_some_and(|(location, slug)| is_slug(location) && is_slug(slug))
}

fn is_ticket(text: &str) -> bool {
    text.split_once('.')
        .is_some_and(|(location, random)| is_slug(location) && is_hex(random, TICKET_HEX))
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn is_run(text: &str) -> bool {
    text.strip_prefix("r_")
        .and_then(|rest| rest.split_once('_'))
        .is_some_and(|(owner, random)| is_hex(owner, OWNER_HEX) && is_hex(random, TICKET_HEX))
}

fn is_file(text: &str) -> bool {
    text.strip_prefix("f_").is_some_and(|random| is_hex(random, TICKET_HEX))
}

fn is_schedule(text: &str) -> bool {
    text.split_once('/').is_some_and(|(location, doctor)| is_slug(location) && is_slug(doctor))
}

fn is_command(text: &str) -> bool {
    (1..=MAX_COMMAND_ID).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.:-".contains(&b))
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $valid:path, $debug:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
        #[serde(try_from = "Arc<str>", into = "Arc<str>")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the form of `text`.
            ///
            /// # Errors
            /// [`InvalidId`] when the text is not of this kind's form.
            pub fn new(text: impl Into<Arc<str>>) -> Result<Self, InvalidId> {
                let text = text.into();
                if $valid(&text) { Ok(Self(text)) } else { Err(InvalidId($kind)) }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<Arc<str>> for $name {
            type Error = InvalidId;
            fn try_from(text: Arc<str>) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }

        impl From<$name> for Arc<str> {
            fn from(id: $name) -> Arc<str> {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, $debug, self.0)
            }
        }
    };
}

id!(
    /// A customer: a clinic or a group of clinics. Always taken from a token or a record's key.
    TenantId, "tenant", is_slug, "TenantId({})"
);
id!(
    /// A site with its own time zone: one aggregate, one writer, one order.
    LocationId, "location", is_slug, "LocationId({})"
);
id!(
    /// One line at a location: `<location>.<slug>`.
    QueueId, "queue", is_scoped_slug, "QueueId({})"
);
id!(
    /// A room or counter: `<location>.<slug>`.
    StationId, "station", is_scoped_slug, "StationId({})"
);
id!(
    /// One person's place: `<location>.<32 hex digits>`. Whoever holds it may follow it, so `Debug` hides it.
    TicketId, "ticket", is_ticket, "TicketId(…{0:.0})"
);
id!(
    /// One appointment: `<location>.<32 hex digits>`. Its ticket has the same digits, so that whoever may follow the one
    /// may follow the other; `Debug` hides it.
    AppointmentId, "appointment", is_ticket, "AppointmentId(…{0:.0})"
);
id!(
    /// Whoever sees patients by appointment, as the clinic's own systems call them.
    DoctorId, "doctor", is_slug, "DoctorId({})"
);
id!(
    /// One doctor's day at a location: `<location>/<doctor>`.
    ScheduleId, "schedule", is_schedule, "ScheduleId({})"
);
id!(
    /// A system of record that tells of appointments, within its tenant.
    SourceId, "source", is_slug, "SourceId({})"
);
id!(
    /// The id of a command, unique per tenant: the same id again is answered with the first outcome.
    CommandId, "command", is_command, "CommandId({})"
);
id!(
    /// One check of a claims file: `r_<16 hex digits>_<32 hex digits>`. The first part is a tag of who started it, so that
    /// "own" is decided without asking anybody; the underscore keeps it apart from every location.
    RunId, "run", is_run, "RunId({})"
);
id!(
    /// An uploaded file: `f_<32 hex digits>`.
    FileId, "file", is_file, "FileId({})"
);
id!(
    /// A rule of a tenant's claims checks.
    RuleId, "rule", is_slug, "RuleId({})"
);

macro_rules! scoped {
    ($($name:ident),*) => {$(
        impl $name {
            /// The location this id belongs to.
            pub fn location(&self) -> LocationId {
                let location = self.0.split_once('.').map_or(&*self.0, |(location, _)| location);
                LocationId(location.into())
            }

            /// Whether this id belongs to `location`, without building another id.
            pub fn belongs_to(&self, location: &LocationId) -> bool {
                self.0.strip_prefix(location.as_str()).is_some_and(|rest| rest.starts_with('.'))
            }
        }
    )*};
}
scoped!(QueueId, StationId, TicketId, AppointmentId);

impl TicketId {
    /// The ticket of `location` with these 128 bits, which must come from a cryptographic source.
    pub fn from_random(location: &LocationId, random: u128) -> Self {
        Self(format!("{location}.{random:032x}").into())
    }
}

impl TicketId {
    /// The appointment that is checked in by this ticket, if there is one.
    pub fn appointment(&self) -> AppointmentId {
        AppointmentId(self.0.clone())
    }
}

impl AppointmentId {
    /// The appointment at `location` with these 128 bits, which must come from a cryptographic source.
    pub fn from_random(location: &LocationId, random: u128) -> Self {
        Self(format!("{location}.{random:032x}").into())
    }

    /// The ticket that checks this appointment in.
    pub fn ticket(&self) -> TicketId {
        TicketId(self.0.clone())
    }

    /// The same appointment once it has moved to `location`.
    pub fn at(&self, location: &LocationId) -> Self {
        let digits = &self.0[self.0.len() - TICKET_HEX..];
        Self(format!("{location}.{digits}").into())
    }
}

impl ScheduleId {
    pub fn from_parts(location: &LocationId, doctor: &DoctorId) -> Self {
        Self(format!("{location}/{doctor}").into())
    }

    fn split(&self) -> (&str, &str) {
        self.0.split_once('/').expect("an id of a schedule has its slash")
    }

    pub fn location(&self) -> LocationId {
        LocationId(self.split().0.into())
    }

    pub fn doctor(&self) -> DoctorId {
        DoctorId(self.split().1.into())
    }
}

impl RunId {
    /// The run of whoever has this tag, with these 128 bits.
    pub fn from_parts(owner: u64, bits: u128) -> Self {
        Self(format!("r_{owner:016x}_{bits:032x}").into())
    }

    /// The tag of who started the run.
    pub fn owner(&self) -> u64 {
        u64::from_str_radix(&self.0[2..2 + OWNER_HEX], 16)
            .expect("an id of a run has its hex digits")
    }
}

impl FileId {
    /// The file with these 128 bits.
    pub fn from_random(random: u128) -> Self {
        Self(format!("f_{random:032x}").into())
    }

    /// Where the file lies in the store of files: below its tenant, so that an id alone opens nobody else's.
    pub fn path(&self, tenant: &TenantId) -> String {
        format!("{tenant}/{self}")
    }

    /// Where it is said, beside the file, what it is: gateways write it, workers remove it with the file.
    pub fn label_path(&self, tenant: &TenantId) -> String {
        format!("{}.json", self.path(tenant))
    }

    /// Whose file an object is, or is about, by its path; `None` for what is not ours.
    pub fn from_path(path: &str) -> Option<(TenantId, Self)> {
        let (tenant, file) = path.strip_suffix(".json").unwrap_or(path).split_once('/')?;
        Some((TenantId::new(tenant).ok()?, Self::new(file).ok()?))
    }
}

impl CommandId {
    /// A command id made of these 128 bits.
    pub fn from_random(random: u128) -> Self {
        Self(format!("{random:032x}").into())
    }

    /// The id of the command that follows from this one, for `purpose`; the same whenever it is asked.
    pub fn follow_up(&self, purpose: &str) -> Self {
        let keep = self.0.len().min(MAX_COMMAND_ID - 1 - purpose.len());
        Self(format!("{}.{purpose}", &self.0[..keep]).into())
    }
}

/// What owns one order of versions: a location, a run, or the rules of a tenant. As `<tenant>/<id>` it is the key of a
/// record in every topic.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Aggregate(Arc<str>);

/// What kind of thing an aggregate is: its key tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AggregateKind {
    Location,
    Run,
    Rules,
}

/// The id of every tenant's rules; no location can have it.
const RULES: &str = "_rules";

impl Aggregate {
    pub fn location(tenant: &TenantId, location: &LocationId) -> Self {
        Self(format!("{tenant}/{location}").into())
    }

    pub fn run(tenant: &TenantId, run: &RunId) -> Self {
        Self(format!("{tenant}/{run}").into())
    }

    /// The rules by which the tenant's claims files are checked.
    pub fn rules(tenant: &TenantId) -> Self {
        Self(format!("{tenant}/{RULES}").into())
    }

    /// Reads a record's key.
    ///
    /// # Errors
    /// [`InvalidId`] when it is not `<tenant>/<id>` of a known kind.
    pub fn parse(key: &str) -> Result<Self, InvalidId> {
        match key.split_once('/') {
            Some((tenant, id)) if is_slug(tenant) && (is_slug(id) || is_run(id) || id == RULES) => {
                Ok(Self(key.into()))
            }
            _ => Err(InvalidId("aggregate")),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn split(&self) -> (&str, &str) {
        self.0.split_once('/').expect("an aggregate is built with its slash")
    }

    pub fn kind(&self) -> AggregateKind {
        match self.id() {
            RULES => AggregateKind::Rules,
            id if id.starts_with("r_") => AggregateKind::Run,
            _ => AggregateKind::Location,
        }
    }

    pub fn tenant(&self) -> TenantId {
        TenantId(self.split().0.into())
    }

    /// What the key has behind the tenant.
    pub fn id(&self) -> &str {
        self.split().1
    }

    /// The location, of an aggregate that is one.
    pub fn location_id(&self) -> Option<LocationId> {
        (self.kind() == AggregateKind::Location).then(|| LocationId(self.id().into()))
    }

    /// The run, of an aggregate that is one.
    pub fn run_id(&self) -> Option<RunId> {
        (self.kind() == AggregateKind::Run).then(|| RunId(self.id().into()))
    }
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Aggregate({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_accept_their_form_and_nothing_else() {
        for good in ["a", "riverside", "north-2"] {
            assert!(LocationId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "A", "a b", "a.b", "a/b", "é", &"x".repeat(41)] {
            assert!(LocationId::new(bad).is_err(), "{bad}");
        }
        assert!(QueueId::new("riverside.general").is_ok());
        for bad in ["riverside", "riverside.", ".general", "a.b.c", "a.B"] {
            assert!(QueueId::new(bad).is_err(), "{bad}");
        }
        let ticket = TicketId::from_random(&LocationId::new("riverside").unwrap(), 7);
        assert!(TicketId::new(ticket.as_str()).is_ok());
        for bad in ["riverside.7", "riverside.0000000000000000000000000000000G"] {
            assert!(TicketId::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_id_names_its_location() {
        let queue = QueueId::new("riverside.general").unwrap();
        assert_eq!(queue.location().as_str(), "riverside");
        assert!(queue.belongs_to(&LocationId::new("riverside").unwrap()));
        assert!(!queue.belongs_to(&LocationId::new("river").unwrap()));
    }

    #[test]
    fn debug_never_shows_a_ticket() {
        let ticket = TicketId::from_random(&LocationId::new("riverside").unwrap(), 0xdead_beef);
        let text = format!("{ticket:?}");
        assert!(!text.contains("riverside") && !text.contains("beef"), "{text}");
    }

    #[test]
    fn a_follow_up_command_has_one_id_and_keeps_the_bound() {
        let long = CommandId::new("c".repeat(MAX_COMMAND_ID)).unwrap();
        let next = long.follow_up("successor");
        assert_eq!(next, long.follow_up("successor"));
        assert!(CommandId::new(next.as_str()).is_ok());
    }
}
