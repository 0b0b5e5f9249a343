//! The identity of a command, and the fingerprint of its content. A repeat of both gets the first
//! outcome. A repeat of the identity with another content is refused.

use std::{fmt, io, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    command::Command,
    ids::{Aggregate, AppointmentId, CommandId, InvalidId, TenantId, TicketId},
};

/// The identity of a command. Two callers that choose the same key have two commands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct CommandIdentity {
    /// The tenant.
    pub tenant: TenantId,
    /// The CloudEvents source: the program that wrote the record.
    pub source: String,
    /// The subject of the actor. Empty for a program without an actor.
    pub subject: String,
    /// The id that the caller chose.
    pub command: CommandId,
}

/// Leaves out the subject, which is the pseudonym of a person.
impl fmt::Debug for CommandIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tenant, source, command, .. } = self;
        write!(f, "CommandIdentity({tenant}, {source}, …, {command})")
    }
}

/// The first 128 bits of a SHA-256 digest of a command's content. The text is 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(any(test, feature = "json-schema"), schemars(with = "String"))]
pub struct Fingerprint(u128);

/// Hex digits of a fingerprint.
const DIGITS: usize = 32;

impl Fingerprint {
    /// The fingerprint of these parts. Each part is hashed with its length, so no two lists of
    /// parts are hashed as the same bytes.
    pub fn from_parts<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self::from_digest(hash)
    }

    /// The fingerprint of a command without the random ids that its sender drew as candidates: a
    /// repeat draws others.
    ///
    /// # Panics
    /// Never: every command has a JSON form.
    pub fn of_content(aggregate: &Aggregate, command: &Command) -> Self {
        let mut hash = HashWriter(Sha256::new_with_prefix(aggregate.as_str()));
        hash.0.update("\n");
        let stripped = without_candidates(command);
        serde_json::to_writer(&mut hash, stripped.as_ref().unwrap_or(command))
            .expect("a command always has a JSON form");
        Self::from_digest(hash.0)
    }

    fn from_digest(hash: Sha256) -> Self {
        let digest = hash.finalize();
        Self(u128::from_be_bytes(*digest.first_chunk().expect("a digest has 32 bytes")))
    }

    /// The 128 bits.
    pub fn bits(self) -> u128 {
        self.0
    }
}

/// The command with a fixed id in place of a candidate id. `None` when the command has none.
fn without_candidates(command: &Command) -> Option<Command> {
    use Command as C;
    match command {
        C::IssueTicket { queue, priority, .. } => Some(C::IssueTicket {
            queue: queue.clone(),
            ticket: TicketId::from_random(&queue.location(), 0),
            priority: *priority,
        }),
        C::ReportAppointment { appointment, fact } => Some(C::ReportAppointment {
            appointment: AppointmentId::from_random(&appointment.location(), 0),
            fact: fact.clone(),
        }),
        _ => None,
    }
}

struct HashWriter(Sha256);

impl io::Write for HashWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:0DIGITS$x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = InvalidId("fingerprint");
        let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if text.len() != DIGITS || !is_hex {
            return Err(invalid);
        }
        u128::from_str_radix(text, 16).map(Self).map_err(|_| invalid)
    }
}

impl TryFrom<String> for Fingerprint {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<Fingerprint> for String {
    fn from(fingerprint: Fingerprint) -> Self {
        fingerprint.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::{LocationId, QueueId},
        ticket::Priority,
    };

    fn aggregate(location: &str) -> Aggregate {
        let tenant = TenantId::new("demo").unwrap();
        Aggregate::location(&tenant, &LocationId::new(location).unwrap())
    }

    fn issue(ticket: u128, priority: u8) -> Command {
        let queue = QueueId::new("riverside.general").unwrap();
        let ticket = TicketId::from_random(&queue.location(), ticket);
        Command::IssueTicket { queue, ticket, priority: Priority::new(priority).unwrap() }
    }

    #[test]
    fn candidate_ids_do_not_change_the_fingerprint() {
        let riverside = aggregate("riverside");
        let first = Fingerprint::of_content(&riverside, &issue(1, 0));
        assert_eq!(first, Fingerprint::of_content(&riverside, &issue(2, 0)));
        assert_ne!(first, Fingerprint::of_content(&riverside, &issue(1, 3)));
        assert_ne!(first, Fingerprint::of_content(&aggregate("north"), &issue(1, 0)));
    }

    #[test]
    fn parts_are_hashed_with_their_bounds() {
        let of = |parts: &[&str]| Fingerprint::from_parts(parts.iter().map(|part| part.as_bytes()));
        assert_eq!(of(&["PUT", "/a"]), of(&["PUT", "/a"]));
        assert_ne!(of(&["PUT", "/a"]), of(&["PUT/", "a"]));
        assert_ne!(of(&["PUT", "/a"]), of(&["PUT", "/a", ""]));
    }

    #[test]
    fn fingerprint_text_round_trips() {
        for bits in [0, 1, u128::MAX] {
            assert_eq!(Fingerprint(bits).to_string().parse(), Ok(Fingerprint(bits)));
        }
        for text in ["", "0", &"g".repeat(32), &"+".repeat(32), &"0".repeat(33)] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
    }

    #[test]
    fn debug_hides_the_subject() {
        let identity = CommandIdentity {
            tenant: TenantId::new("demo").unwrap(),
            source: "clinicwire-gateway".to_owned(),
            subject: "jeanne".to_owned(),
            command: CommandId::new("c-1").unwrap(),
        };
        assert!(!format!("{identity:?}").contains("jeanne"));
    }
}
