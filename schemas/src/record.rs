//! Records of the topics: CloudEvents 1.0 in binary mode, with the attributes in `ce_*` headers and
//! JSON as the value.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    Millis,
    codes::Code,
    command::{Command, CommandOutcome},
    identity::{CommandIdentity, Fingerprint},
    ids::{Aggregate, AggregateKind, CommandId, QueueId, StationId},
    view::{Delta, Position},
};

/// The topic of facts and commands that change a location.
pub const CARE_TOPIC: &str = "clinicwire.care.v1";
/// The topic of requests and progress of runs, and of changes to the rules.
pub const RUNS_TOPIC: &str = "clinicwire.runs.v1";
/// The topic of the results of both: deltas of views and outcomes of commands.
pub const VIEWS_TOPIC: &str = "clinicwire.views.v1";
/// The topic of the audit: who opened, read, changed or was refused what.
pub const AUDIT_TOPIC: &str = "clinicwire.audit.v1";
/// The compacted topic of revocations, which every gateway reads whole.
pub const ACCESS_TOPIC: &str = "clinicwire.access.v1";

/// Most bytes of a record's key, headers and value. Kafka's producers and topics refuse 1,000,000
/// bytes by default, and count their own framing too.
pub const MAX_RECORD_BYTES: usize = 900_000;

/// The source of follow-up commands. No caller can name it: gateways and bridges write sources of
/// their own.
pub const FOLLOW_UP_SOURCE: &str = "clinicwire-processors/follow-up";

const TYPE_PREFIX: &str = "clinicwire.";
const MAJOR: &str = ".v1";

/// The header with the fingerprint of a command's request, and that of the command in `views`.
const FINGERPRINT: &str = "ce_fingerprint";
/// The header with the subject of a command's actor.
const ACTOR: &str = "ce_actor";

/// A record as a topic carries it, in Kafka or in memory.
#[derive(Clone, PartialEq, Eq)]
pub struct WireRecord {
    /// The key, which is the text of the aggregate and decides the partition.
    pub key: String,
    /// Name and value of each header.
    pub headers: Vec<(String, String)>,
    /// The JSON value.
    pub value: Bytes,
}

impl WireRecord {
    /// The value of the first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }

    /// The bytes that count for [`MAX_RECORD_BYTES`].
    pub fn size(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len());
        self.key.len() + headers.sum::<usize>() + self.value.len()
    }
}

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
        AggregateKind::Location => CARE_TOPIC,
        AggregateKind::Run | AggregateKind::Rules => RUNS_TOPIC,
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
        self.fingerprint.unwrap_or_else(|| Fingerprint::of_content(&self.aggregate, &self.command))
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

/// Longest source, subject or role in bytes. They are part of keys and indexes of the ledger.
const MAX_ATTRIBUTE: usize = 200;

/// Whether every store can keep a source, subject or role: neither empty nor long, no control
/// characters.
pub fn is_attribute(text: &str) -> bool {
    (1..=MAX_ATTRIBUTE).contains(&text.len()) && !text.chars().any(char::is_control)
}

fn plain(text: &str) -> Result<String, Code> {
    is_attribute(text).then(|| text.to_owned()).ok_or(Code::RecordMalformed)
}

/// Whether everything that the command acts on belongs to the aggregate of its key. Only a transfer
/// may name a queue of another location.
fn refers_only_to(command: &Command, aggregate: &Aggregate) -> bool {
    use Command as C;
    if command.aggregate_kind() != aggregate.kind() {
        return false;
    }
    let Some(location) = aggregate.location_id() else { return true };
    let other_ids = match command {
        C::ReorderQueue { tickets, .. } => {
            tickets.iter().all(|ticket| ticket.belongs_to(&location))
        }
        C::ConfigureStation { queues: Some(queues), .. } => {
            queues.iter().all(|queue| queue.belongs_to(&location))
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
        && command.appointment().is_none_or(|appointment| appointment.belongs_to(&location))
}

/// The queue that must belong to the command's location. The target of a transfer need not, and a
/// check-in at another location is refused by the decision.
fn own_queue(command: &Command) -> Option<&QueueId> {
    use Command as C;
    match command {
        C::ConfigureQueue { queue, .. }
        | C::OpenQueue { queue }
        | C::PauseQueue { queue }
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
        | C::OpenStation { station }
        | C::CloseStation { station }
        | C::CallNextAtStation { station, .. }
        | C::CallNext { station, .. }
        | C::CallTicket { station, .. } => Some(station),
        _ => None,
    }
}

/// The command of a record: its identity and, where known, its content. A gateway finds by them
/// the callers that wait for its outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedCommand {
    /// The identity.
    pub identity: CommandIdentity,
    /// The content. `None` when the record could not be read, or when the outcome replaces an
    /// earlier one.
    pub fingerprint: Option<Fingerprint>,
}

impl NamedCommand {
    /// Reads what names the command of a record that cannot be applied, if that much of it can be
    /// read.
    pub fn from_wire(record: &WireRecord) -> Option<(Aggregate, Self)> {
        let aggregate = Aggregate::parse(&record.key).ok()?;
        let identity = CommandIdentity {
            tenant: aggregate.tenant(),
            source: plain(record.header("ce_source")?).ok()?,
            subject: record.header(ACTOR).map(plain).transpose().ok()?.unwrap_or_default(),
            command: CommandId::new(record.header("ce_id")?).ok()?,
        };
        let fingerprint = record.header(FINGERPRINT).and_then(|text| text.parse().ok());
        Some((aggregate, Self { identity, fingerprint }))
    }

    /// Names the command of `outcome`, which is published with the name.
    pub fn publish(self, outcome: CommandOutcome) -> PublishedOutcome {
        let CommandIdentity { source, subject, .. } = self.identity;
        PublishedOutcome { source, subject, fingerprint: self.fingerprint, outcome }
    }
}

/// The outcome of a command with the rest of its identity. The tenant is in the record's key.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct PublishedOutcome {
    /// The source of the command's record.
    pub source: String,
    /// The subject of the actor. Empty for a program.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// The fingerprint of the command that this outcome answers. Absent when the record could not
    /// be read, or when the outcome replaces an earlier one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
    /// The outcome.
    #[serde(flatten)]
    pub outcome: CommandOutcome,
}

/// The step of one view in a record of `views`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct ViewDelta {
    /// The name of the view, which is the name of its channel.
    pub view: String,
    /// Seconds to keep the view from now on. Absent: keep the view until it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_s: Option<u32>,
    /// Whether a paced view must send this step at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub urgent: bool,
    /// The step.
    pub delta: Delta,
}

/// The result of one record of `care` or `runs`: all deltas of its version and the outcome of its
/// command. A refusal has an outcome, the position that was judged, and deltas only of timers that
/// fired before.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct ViewsRecord {
    /// The position of the aggregate after the record.
    pub position: Position,
    /// Time of the record.
    pub at: Millis,
    /// The steps of the views that changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deltas: Vec<ViewDelta>,
    /// More views changed than a record can name. A reader loads every view of the aggregate again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub reload: bool,
    /// The outcome of the command, when the record was one that somebody sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<PublishedOutcome>,
}

/// The headers of a record of `views`: all that a gateway reads before it knows whether anybody
/// listens to the aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewsHead {
    /// The aggregate that changed.
    pub aggregate: Aggregate,
    /// The position of the aggregate after the record.
    pub position: Position,
    /// The command whose outcome the record has.
    pub command: Option<NamedCommand>,
}

const VIEWS_TYPE: &str = "clinicwire.views.changed.v1";

impl ViewsRecord {
    /// A record that changes no view.
    pub fn of_outcome(position: Position, at: Millis, outcome: PublishedOutcome) -> Self {
        Self { position, at, deltas: Vec::new(), reload: false, outcome: Some(outcome) }
    }

    /// Writes the record.
    ///
    /// # Panics
    /// Never: every record of `views` has a JSON form.
    pub fn to_wire(&self, aggregate: &Aggregate) -> WireRecord {
        let mut headers = vec![
            ("ce_specversion".to_owned(), "1.0".to_owned()),
            ("ce_type".to_owned(), VIEWS_TYPE.to_owned()),
            ("ce_source".to_owned(), "clinicwire-processors".to_owned()),
            ("ce_epoch".to_owned(), self.position.epoch.to_string()),
            ("ce_version".to_owned(), self.position.version.to_string()),
            ("content-type".to_owned(), "application/json".to_owned()),
        ];
        let id = match &self.outcome {
            Some(PublishedOutcome { source, subject, fingerprint, outcome }) => {
                headers.push(("ce_command".to_owned(), outcome.command.to_string()));
                headers.push(("ce_commandsource".to_owned(), source.clone()));
                if !subject.is_empty() {
                    headers.push((ACTOR.to_owned(), subject.clone()));
                }
                if let Some(fingerprint) = fingerprint {
                    headers.push((FINGERPRINT.to_owned(), fingerprint.to_string()));
                }
                // Commands of two callers may have the same id.
                let names = [source.as_str(), subject, outcome.command.as_str()];
                let name = Fingerprint::from_parts(names.map(str::as_bytes));
                format!("{}.{}.{name}", self.position.epoch, self.position.version)
            }
            None => format!("{}.{}", self.position.epoch, self.position.version),
        };
        headers.push(("ce_id".to_owned(), id));
        let value = serde_json::to_vec(self).expect("a views record always has a JSON form");
        WireRecord { key: aggregate.to_string(), headers, value: value.into() }
    }

    /// Reads the value of a record of `views`.
    ///
    /// # Errors
    /// `record_malformed` for any other value.
    pub fn from_value(value: &[u8]) -> Result<Self, Code> {
        serde_json::from_slice(value).map_err(|_| Code::RecordMalformed)
    }
}

impl ViewsHead {
    /// Reads the key and the headers only.
    ///
    /// # Errors
    /// The code for which a gateway skips the record.
    pub fn from_wire(record: &WireRecord) -> Result<Self, Code> {
        if record.header("ce_type") != Some(VIEWS_TYPE) {
            return Err(Code::RecordUnknownType);
        }
        let number = |name| {
            record.header(name).and_then(|text| text.parse().ok()).ok_or(Code::RecordMalformed)
        };
        let aggregate = Aggregate::parse(&record.key).map_err(|_| Code::RecordBadKey)?;
        let position = Position { epoch: number("ce_epoch")?, version: number("ce_version")? };
        let command = match record.header("ce_command") {
            Some(id) => Some(answered_command(&aggregate, id, record)?),
            None => None,
        };
        Ok(Self { aggregate, position, command })
    }
}

/// The command with this id whose outcome a record of `views` has.
fn answered_command(
    aggregate: &Aggregate,
    id: &str,
    record: &WireRecord,
) -> Result<NamedCommand, Code> {
    let malformed = |_| Code::RecordMalformed;
    let identity = CommandIdentity {
        tenant: aggregate.tenant(),
        source: record.header("ce_commandsource").ok_or(Code::RecordMalformed)?.to_owned(),
        subject: record.header(ACTOR).unwrap_or_default().to_owned(),
        command: CommandId::new(id).map_err(malformed)?,
    };
    let fingerprint = record.header(FINGERPRINT).map(str::parse).transpose().map_err(malformed)?;
    Ok(NamedCommand { identity, fingerprint })
}

#[cfg(test)]
mod tests;
