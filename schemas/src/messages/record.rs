//! Records of the topics: CloudEvents 1.0 in binary mode, with the attributes in `ce_*` headers and
//! JSON as the value.

mod views;
mod wire;

use serde::{Deserialize, Serialize};

use crate::{
    Millis,
    codes::Code,
    command::Command,
    identity::CommandIdentity,
    ids::{
        Aggregate, AggregateKind, CheckInPointId, CommandId, DisplayId, Fingerprint, QueueId,
        StationId,
    },
};

pub use views::{NamedCommand, PublishedOutcome, ViewDelta, ViewsHead, ViewsRecord};
use wire::{ACTOR, FINGERPRINT, plain};
pub use wire::{WireRecord, is_attribute};

/// The topic of facts and commands that change a location.
pub const CARE_TOPIC: &str = "clinicwire.care.v1";
/// The topic of requests and progress of runs, and of changes to rules and webhooks.
pub const RUNS_TOPIC: &str = "clinicwire.runs.v1";
/// The topic of the results of both: deltas of views and outcomes of commands.
pub const VIEWS_TOPIC: &str = "clinicwire.views.v1";
/// The topic of the audit: who opened, read or changed what, and who was refused.
pub const AUDIT_TOPIC: &str = "clinicwire.audit.v1";
/// The compacted topic of revocations, which every gateway reads whole.
pub const ACCESS_TOPIC: &str = "clinicwire.access.v1";
/// The topic of outward events, for other systems.
pub const EVENTS_TOPIC: &str = "clinicwire.events.v1";

/// Most bytes of a record's key, headers and value. Kafka's producers and topics refuse 1,000,000
/// bytes by default, and count their own framing too.
pub const MAX_RECORD_BYTES: usize = 900_000;

/// The source of follow-up commands. No caller can name it: gateways and bridges write sources of
/// their own.
pub const FOLLOW_UP_SOURCE: &str = "clinicwire-processors/follow-up";

const TYPE_PREFIX: &str = "clinicwire.";
const MAJOR: &str = ".v1";

/// The person who sent a command. Kept in the journal, never logged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct Actor {
    /// The subject of the token, which is a pseudonym.
    pub subject: String,
    /// The role of the token.
    pub role: String,
}

/// The topic of commands to aggregates of this kind.
pub fn topic_for(kind: AggregateKind) -> &'static str {
    match kind {
        AggregateKind::Location | AggregateKind::AppointmentKey => CARE_TOPIC,
        AggregateKind::Run
        | AggregateKind::Rules
        | AggregateKind::Webhooks
        | AggregateKind::Tenant => RUNS_TOPIC,
    }
}

/// A command in the topic of its aggregate.
#[derive(Clone, PartialEq)]
pub struct CommandRecord {
    /// The aggregate that decides the command. Its text is the key of the record.
    pub aggregate: Aggregate,
    /// The id of the command, which its caller chose.
    pub id: CommandId,
    /// The CloudEvents source: the program that wrote the record.
    pub source: String,
    /// The fingerprint of the request that the command was read from. `None` for a record of a
    /// program: its content is compared.
    pub fingerprint: Option<Fingerprint>,
    /// The command is refused as expired when the owner's clock is past this time.
    pub valid_until: Option<Millis>,
    /// The person who sent the command. `None` for a program.
    pub actor: Option<Actor>,
    /// The command.
    pub command: Command,
}

impl CommandRecord {
    /// The identity of the command.
    pub fn identity(&self) -> CommandIdentity {
        CommandIdentity {
            tenant: self.aggregate.tenant(),
            source: self.source.clone(),
            subject: self.actor.as_ref().map(|actor| actor.subject.clone()).unwrap_or_default(),
            command: self.id.clone(),
        }
    }

    /// The fingerprint that a repeat must share: of the request, or else of the content.
    pub fn effective_fingerprint(&self) -> Fingerprint {
        self.fingerprint.unwrap_or_else(|| self.command.fingerprint(&self.aggregate))
    }

    /// The command that this one causes at `aggregate`. Its actor is the person behind this
    /// command. Its id is a hash of this command's identity and content and of `purpose`, so the
    /// same command always causes the same id, and no two commands cause one.
    pub fn follow_up(&self, purpose: &str, aggregate: Aggregate, command: Command) -> Self {
        let actor = self.actor.as_ref();
        let subject = actor.map(|actor| actor.subject.as_str()).unwrap_or_default();
        let fingerprint = self.effective_fingerprint().to_string();
        let parts = [
            self.aggregate.as_str(),
            &self.source,
            subject,
            self.id.as_str(),
            &fingerprint,
            purpose,
        ];
        Self::caused_by(&parts, aggregate, self.actor.clone(), command)
    }

    /// The command that a timer causes at `aggregate` in the course of an earlier command. No
    /// person is behind it.
    pub fn follow_up_of(
        earlier: &CommandIdentity,
        purpose: &str,
        aggregate: Aggregate,
        command: Command,
    ) -> Self {
        let CommandIdentity { tenant, source, subject, command: id } = earlier;
        let parts = [tenant.as_str(), source, subject, id.as_str(), purpose];
        Self::caused_by(&parts, aggregate, None, command)
    }

    /// A command that the installation itself gives at `aggregate`, without a person or an earlier
    /// command behind it. Its id is a hash of `parts`.
    pub fn by_installation(parts: &[&str], aggregate: Aggregate, command: Command) -> Self {
        Self::caused_by(parts, aggregate, None, command)
    }

    /// A record of the reserved source, whose id is a hash of `parts`.
    fn caused_by(
        parts: &[&str],
        aggregate: Aggregate,
        actor: Option<Actor>,
        command: Command,
    ) -> Self {
        let hash = Fingerprint::from_parts(parts.iter().map(|part| part.as_bytes()));
        Self {
            aggregate,
            id: CommandId::from_random(hash.bits()),
            source: FOLLOW_UP_SOURCE.to_owned(),
            fingerprint: None,
            valid_until: None,
            actor,
            command,
        }
    }

    /// Writes the record.
    ///
    /// # Panics
    /// Never: every command has a JSON form.
    pub fn to_wire(&self) -> WireRecord {
        let mut headers = vec![
            ("ce_specversion".to_owned(), "1.0".to_owned()),
            ("ce_id".to_owned(), self.id.to_string()),
            ("ce_source".to_owned(), self.source.clone()),
            ("ce_type".to_owned(), format!("{TYPE_PREFIX}{}{MAJOR}", self.command.kind())),
            ("content-type".to_owned(), "application/json".to_owned()),
        ];
        if let Some(until) = self.valid_until {
            headers.push(("ce_validuntil".to_owned(), until.to_string()));
        }
        if let Some(fingerprint) = self.fingerprint {
            headers.push((FINGERPRINT.to_owned(), fingerprint.to_string()));
        }
        if let Some(actor) = &self.actor {
            headers.push((ACTOR.to_owned(), actor.subject.clone()));
            headers.push(("ce_role".to_owned(), actor.role.clone()));
        }
        let value = serde_json::to_vec(&self.command).expect("a command always has a JSON form");
        WireRecord { key: self.aggregate.to_string(), headers, value: value.into() }
    }

    /// Whether the end of validity has passed when the owner's clock shows `decided_at`. The append
    /// time does not count: a command that waited out an outage must not be carried out late.
    pub fn is_expired(&self, decided_at: Millis) -> bool {
        self.valid_until.is_some_and(|until| until < decided_at)
    }

    /// Reads a record of `care` or `runs`.
    ///
    /// # Errors
    /// The code under which the record is parked: for its key, type, version or data, or an id that
    /// belongs to another aggregate.
    pub fn from_wire(record: &WireRecord) -> Result<Self, Code> {
        let aggregate = Aggregate::parse(&record.key).map_err(|_| Code::RecordBadKey)?;
        let header = |name| record.header(name).ok_or(Code::RecordMalformed);
        let kind = command_kind(header("ce_type")?)?;
        let command: Command =
            serde_json::from_slice(&record.value).map_err(|_| Code::RecordMalformed)?;
        if command.kind() != kind {
            return Err(Code::RecordMalformed);
        }
        if !refers_only_to(&command, &aggregate) {
            return Err(Code::RecordForeignId);
        }
        let valid_until = record.header("ce_validuntil").map(str::parse).transpose();
        let fingerprint = record.header(FINGERPRINT).map(str::parse).transpose();
        let actor = match (record.header(ACTOR), record.header("ce_role")) {
            (Some(subject), Some(role)) => {
                Some(Actor { subject: plain(subject)?, role: plain(role)? })
            }
            _ => None,
        };
        Ok(Self {
            id: CommandId::new(header("ce_id")?).map_err(|_| Code::RecordMalformed)?,
            source: plain(header("ce_source")?)?,
            fingerprint: fingerprint.map_err(|_| Code::RecordMalformed)?,
            valid_until: valid_until.map_err(|_| Code::RecordMalformed)?,
            actor,
            command,
            aggregate,
        })
    }
}

/// The kind of command in a CloudEvents type such as `clinicwire.ticket.issue.v1`.
fn command_kind(event_type: &str) -> Result<&str, Code> {
    let kind = event_type.strip_prefix(TYPE_PREFIX).ok_or(Code::RecordUnknownType)?;
    let (kind, major) = kind.rsplit_once('.').ok_or(Code::RecordUnknownType)?;
    if !Command::KINDS.contains(&kind) {
        return Err(Code::RecordUnknownType);
    }
    if major != &MAJOR[1..] {
        return Err(Code::RecordUnknownVersion);
    }
    Ok(kind)
}

/// Whether everything that the command acts on belongs to the aggregate of its key. Only a transfer
/// may name a queue of another location.
fn refers_only_to(command: &Command, aggregate: &Aggregate) -> bool {
    use Command as C;
    if command.aggregate_kind() != aggregate.kind() {
        return false;
    }
    if let C::ClaimAppointment { fact, .. } = command {
        let key = Aggregate::appointment_key(&aggregate.tenant(), &fact.source, &fact.key);
        return *aggregate == key;
    }
    let Some(location) = aggregate.location_id() else { return true };
    let other_ids = match command {
        C::ReorderQueue { tickets, .. } => {
            tickets.iter().all(|ticket| ticket.belongs_to(&location))
        }
        C::ConfigureStation { queues: Some(queues), .. } => {
            queues.iter().all(|queue| queue.belongs_to(&location))
        }
        C::OrderQueues { queues, .. } => queues.iter().all(|queue| queue.belongs_to(&location)),
        C::ConfigureCheckInPoint { setup, .. } => {
            setup.queues.iter().all(|queue| queue.belongs_to(&location))
        }
        C::RemoveQueue { move_to: Some(queue), .. } => queue.belongs_to(&location),
        C::ReportAppointment { fact, .. } | C::ReceiveAppointment { fact, .. } => {
            fact.refers_only_to(&location)
        }
        _ => true,
    };
    other_ids
        && command.ticket().is_none_or(|ticket| ticket.belongs_to(&location))
        && own_queue(command).is_none_or(|queue| queue.belongs_to(&location))
        && own_station(command).is_none_or(|station| station.belongs_to(&location))
        && own_point(command).is_none_or(|point| point.belongs_to(&location))
        && own_display(command).is_none_or(|display| display.belongs_to(&location))
        && command.appointment().is_none_or(|appointment| appointment.belongs_to(&location))
}

/// The queue that must belong to the command's location. The target of a transfer need not, and a
/// check-in at another location is refused by the decision.
fn own_queue(command: &Command) -> Option<&QueueId> {
    use Command as C;
    match command {
        C::ConfigureQueue { queue, .. }
        | C::OpenQueue { queue }
        | C::PauseQueue { queue, .. }
        | C::ResumeQueue { queue }
        | C::CloseQueue { queue }
        | C::ReorderQueue { queue, .. }
        | C::RemoveQueue { queue, .. }
        | C::IssueTicket { queue, .. }
        | C::ReceiveTicket { queue, .. }
        | C::CallNext { queue, .. } => Some(queue),
        _ => None,
    }
}

/// The station that the command names.
fn own_station(command: &Command) -> Option<&StationId> {
    use Command as C;
    match command {
        C::ConfigureStation { station, .. }
        | C::RemoveStation { station }
        | C::OpenStation { station }
        | C::CloseStation { station }
        | C::CallNextAtStation { station, .. }
        | C::CallNext { station, .. }
        | C::CallTicket { station, .. } => Some(station),
        _ => None,
    }
}

/// The check-in point that the command names.
fn own_point(command: &Command) -> Option<&CheckInPointId> {
    use Command as C;
    match command {
        C::ConfigureCheckInPoint { point, .. }
        | C::RotateCheckInPoint { point }
        | C::RevokeCheckInPoint { point }
        | C::RemoveCheckInPoint { point }
        | C::PairDisplay { check_in_point: Some(point), .. } => Some(point),
        _ => None,
    }
}

/// The display that the command names.
fn own_display(command: &Command) -> Option<&DisplayId> {
    use Command as C;
    match command {
        C::PairDisplay { display, .. }
        | C::RenameDisplay { display, .. }
        | C::UnpairDisplay { display } => Some(display),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
