//! Ids that route. The id of a queue, station, ticket or appointment begins with the id of its
//! location, so every id names its aggregate. `Debug` never shows an id that a patient holds.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

mod aggregate;
mod fingerprint;
mod form;
mod source_key;

pub use aggregate::{Aggregate, AggregateKind};
pub use fingerprint::Fingerprint;
pub use source_key::{MAX_SOURCE_KEY, SourceKey};

use self::form::{
    is_command, is_event, is_file, is_run, is_schedule, is_scoped_slug, is_slug, is_source,
    is_ticket, is_webhook,
};

/// Longest slug in bytes, for a tenant, location, queue, station, check-in point, doctor, source or
/// rule. The limit bounds Kafka keys and Redis key names.
pub const MAX_SLUG: usize = 40;
/// Hex digits of a ticket's 128 random bits, which make its link unguessable.
pub const TICKET_HEX: usize = 32;
/// Most visits of one appointment. A patient who checks in more often than this is no patient, and
/// a person with the link of the appointment may open this many tickets. One more check-in is
/// refused as `too_many_visits`.
pub const MAX_VISITS: u8 = 16;
/// Hex digits of a run's owner tag: 64 bits of a digest of the subject who started the run.
pub const OWNER_HEX: usize = 16;
/// Longest command id in bytes. Callers may choose their own (`Idempotency-Key`).
pub const MAX_COMMAND_ID: usize = 64;

/// A text that does not have the form of its kind of id. The field names the kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an id of a {0}")]
pub struct InvalidId(pub &'static str);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $valid:path, $pattern:expr, $debug:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(
            any(test, feature = "json-schema"),
            derive(schemars::JsonSchema),
            schemars(extend("pattern" = $pattern))
        )]
        #[serde(try_from = "Arc<str>", into = "Arc<str>")]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the form of `text`.
            ///
            /// # Errors
            /// [`InvalidId`] when the text does not have the form of this kind of id.
            pub fn new(text: impl Into<Arc<str>>) -> Result<Self, InvalidId> {
                let text = text.into();
                if $valid(&text) { Ok(Self(text)) } else { Err(InvalidId($kind)) }
            }

            /// The form of the id as a regular expression, for descriptions of the API.
            pub const PATTERN: &'static str = $pattern;

            /// The text of the id.
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
    /// A customer: a clinic or a group of clinics. The id is always taken from a token or from the
    /// key of a record, never from a request's body.
    TenantId, "tenant", is_slug, form::SLUG, "TenantId({})"
);
id!(
    /// A site with its own time zone. A location is one aggregate: one writer, one order of
    /// versions.
    LocationId, "location", is_slug, form::SLUG, "LocationId({})"
);
id!(
    /// A queue of a location: `<location>.<slug>`.
    QueueId, "queue", is_scoped_slug, form::SCOPED_SLUG, "QueueId({})"
);
id!(
    /// A station, which is a room or a counter: `<location>.<slug>`.
    StationId, "station", is_scoped_slug, form::SCOPED_SLUG, "StationId({})"
);
id!(
    /// A display that staff paired with a location: `<location>.<16 hex digits>`. The id is no
    /// secret.
    DisplayId, "display", is_scoped_slug, form::SCOPED_SLUG, "DisplayId({})"
);
id!(
    /// A check-in point, a poster's code or a kiosk: `<location>.<slug>`.
    CheckInPointId, "check-in point", is_scoped_slug, form::SCOPED_SLUG, "CheckInPointId({})"
);
id!(
    /// A ticket, one person's place in a queue: `<location>.<32 hex digits>`. Holding the id gives
    /// access to the ticket, so `Debug` hides it.
    TicketId, "ticket", is_ticket, form::TICKET, "TicketId(…{0:.0})"
);
id!(
    /// An appointment: `<location>.<32 hex digits>`. The tickets of its visits follow from these
    /// digits, so access to the appointment is access to its tickets. `Debug` hides the id.
    AppointmentId, "appointment", is_ticket, form::TICKET, "AppointmentId(…{0:.0})"
);
id!(
    /// A doctor, or another person who sees patients by appointment, as the clinic's own systems
    /// name them.
    DoctorId, "doctor", is_slug, form::SLUG, "DoctorId({})"
);
id!(
    /// A doctor's schedule at a location: `<location>/<doctor>`.
    ScheduleId, "schedule", is_schedule, form::SCHEDULE, "ScheduleId({})"
);
id!(
    /// A system of record that sends appointments, unique within its tenant. Names that begin with
    /// `clinicwire` are reserved for the programs of this project.
    SourceId, "source", is_source, form::SLUG, "SourceId({})"
);
id!(
    /// The id of a command, which its caller chooses. See
    /// [`CommandIdentity`](crate::identity::CommandIdentity).
    CommandId, "command", is_command, form::COMMAND, "CommandId({})"
);
id!(
    /// A run, one check of a claims file: `r_<16 hex digits>_<32 hex digits>`. The first part is a
    /// tag of the subject who started the run, so access to "own" runs needs no lookup. The
    /// underscore keeps a run's id distinct from every location's.
    RunId, "run", is_run, form::RUN, "RunId({})"
);
id!(
    /// An uploaded file: `f_<32 hex digits>`.
    FileId, "file", is_file, form::FILE, "FileId({})"
);
id!(
    /// A rule that claims files are checked against, unique within its tenant.
    RuleId, "rule", is_slug, form::SLUG, "RuleId({})"
);
id!(
    /// An outward event: `e_<32 hex digits>`.
    EventId, "event", is_event, form::EVENT, "EventId({})"
);
id!(
    /// An endpoint of a tenant that gets outward events: `w_<32 hex digits>`.
    WebhookId, "webhook", is_webhook, form::WEBHOOK, "WebhookId({})"
);

macro_rules! scoped {
    ($($name:ident),*) => {$(
        impl $name {
            /// The location that this id belongs to.
            pub fn location(&self) -> LocationId {
                let location = self.0.split_once('.').map_or(&*self.0, |(location, _)| location);
                LocationId(location.into())
            }

            /// Whether this id belongs to `location`. Allocates nothing.
            pub fn belongs_to(&self, location: &LocationId) -> bool {
                self.0.strip_prefix(location.as_str()).is_some_and(|rest| rest.starts_with('.'))
            }
        }
    )*};
}
scoped!(QueueId, StationId, DisplayId, CheckInPointId, TicketId, AppointmentId);

/// The ids of one person's visit are near one another: each ticket of an appointment adds one to
/// the appointment's 128 bits, and each move to another location adds [`MOVE_STEP`]. Two ids closer
/// than this belong to the same person: random ids are never that close.
const KIN: u128 = 256;
/// The step from a ticket's bits to those of its successor at another location: more than the
/// visits of one appointment.
const MOVE_STEP: u128 = 16;

/// The 128 bits at the end of the id of a ticket or an appointment.
fn bits_of(id: &str) -> u128 {
    u128::from_str_radix(&id[id.len() - TICKET_HEX..], 16).expect("the id ends in 32 hex digits")
}

/// Whether two ids of tickets or appointments belong to the same person, wherever they are.
fn are_kin(one: &str, other: &str) -> bool {
    let (one, other) = (bits_of(one), bits_of(other));
    one.wrapping_sub(other).min(other.wrapping_sub(one)) < KIN
}

impl DisplayId {
    /// A display of `location`. 64 random bits are enough for the few displays of a location.
    pub fn from_random(location: &LocationId, random: u64) -> Self {
        Self(format!("{location}.{random:016x}").into())
    }
}

impl TicketId {
    /// A ticket of `location`. The 128 bits must come from a cryptographic source.
    pub fn from_random(location: &LocationId, random: u128) -> Self {
        Self(format!("{location}.{random:032x}").into())
    }

    /// The id that continues this ticket at another location, at its move number `number`, counted
    /// from 1. A move that was refused uses up its number, so no id is used twice.
    pub fn successor(&self, location: &LocationId, number: u32) -> Self {
        let bits = bits_of(&self.0).wrapping_add(MOVE_STEP * u128::from(number));
        Self::from_random(location, bits)
    }

    /// Whether both tickets belong to the same person: one continues the other at another location,
    /// or both belong to one appointment. Access to one is access to the other.
    pub fn is_kin(&self, other: &TicketId) -> bool {
        are_kin(&self.0, &other.0)
    }
}

impl AppointmentId {
    /// An appointment at `location`. The 128 bits must come from a cryptographic source.
    pub fn from_random(location: &LocationId, random: u128) -> Self {
        Self(format!("{location}.{random:032x}").into())
    }

    /// The id of the ticket of visit `number`, counted from 0: the 128 bits of the appointment plus
    /// the number.
    pub fn visit_ticket(&self, number: u8) -> TicketId {
        TicketId::from_random(&self.location(), bits_of(&self.0).wrapping_add(number.into()))
    }

    /// Whether the ticket is the one of a visit that this appointment can have.
    pub fn has_ticket(&self, ticket: &TicketId) -> bool {
        ticket.belongs_to(&self.location())
            && bits_of(&ticket.0).wrapping_sub(bits_of(&self.0)) < u128::from(MAX_VISITS)
    }

    /// The id of the same appointment after it moved to `location`.
    pub fn moved_to(&self, location: &LocationId) -> Self {
        let digits = &self.0[self.0.len() - TICKET_HEX..];
        Self(format!("{location}.{digits}").into())
    }

    /// Whether both are the same person's appointment, here or at the location to which it moved.
    pub fn is_kin(&self, other: &AppointmentId) -> bool {
        are_kin(&self.0, &other.0)
    }

    /// Whether the ticket is of a visit of this appointment, here or at another location.
    pub fn is_kin_of(&self, ticket: &TicketId) -> bool {
        are_kin(&self.0, &ticket.0)
    }
}

impl ScheduleId {
    /// The schedule of `doctor` at `location`.
    pub fn from_parts(location: &LocationId, doctor: &DoctorId) -> Self {
        Self(format!("{location}/{doctor}").into())
    }

    fn split(&self) -> (&str, &str) {
        self.0.split_once('/').expect("an id of a schedule has its slash")
    }

    /// The location of the schedule.
    pub fn location(&self) -> LocationId {
        LocationId(self.split().0.into())
    }

    /// The doctor of the schedule.
    pub fn doctor(&self) -> DoctorId {
        DoctorId(self.split().1.into())
    }
}

impl RunId {
    /// A run that the subject with the tag `owner` starts, with 128 random bits.
    pub fn from_parts(owner: u64, bits: u128) -> Self {
        Self(format!("r_{owner:016x}_{bits:032x}").into())
    }

    /// The tag of the subject who started the run.
    pub fn owner(&self) -> u64 {
        u64::from_str_radix(&self.0[2..2 + OWNER_HEX], 16)
            .expect("an id of a run has its hex digits")
    }
}

impl FileId {
    /// A file with 128 random bits.
    pub fn from_random(random: u128) -> Self {
        Self(format!("f_{random:032x}").into())
    }

    /// The path of the file in the object store. The tenant is part of the path, so an id alone
    /// never opens another tenant's file.
    pub fn path(&self, tenant: &TenantId) -> String {
        format!("{tenant}/{self}")
    }

    /// The path of the label, a JSON object beside the file with its name and size. Gateways write
    /// the label last; workers remove it with the file.
    pub fn label_path(&self, tenant: &TenantId) -> String {
        format!("{}.json", self.path(tenant))
    }

    /// The tenant and file that a path of the object store belongs to, whether it is the file or
    /// its label. `None` for any other path.
    pub fn from_path(path: &str) -> Option<(TenantId, Self)> {
        let (tenant, file) = path.strip_suffix(".json").unwrap_or(path).split_once('/')?;
        Some((TenantId::new(tenant).ok()?, Self::new(file).ok()?))
    }
}

impl EventId {
    /// An event with these 128 bits of a digest.
    pub fn from_random(random: u128) -> Self {
        Self(format!("e_{random:032x}").into())
    }
}

impl WebhookId {
    /// A webhook with 128 random bits.
    pub fn from_random(random: u128) -> Self {
        Self(format!("w_{random:032x}").into())
    }
}

impl CommandId {
    /// A command id made of 128 random bits.
    pub fn from_random(random: u128) -> Self {
        Self(format!("{random:032x}").into())
    }
}

#[cfg(test)]
mod tests;
