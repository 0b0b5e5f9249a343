//! Records: CloudEvents 1.0 in binary mode, with the attributes in `ce_*` headers and JSON as the value.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    Millis,
    codes::Code,
    command::{Command, CommandOutcome},
    ids::{Aggregate, AggregateKind, CommandId, RunId, TenantId},
    view::{Delta, Position},
};

/// Everything that moves a location.
pub const CARE_TOPIC: &str = "clinicwire.care.v1";
/// Everything that moves a run, and the rules runs go by.
pub const RUNS_TOPIC: &str = "clinicwire.runs.v1";
/// What became of it: deltas and outcomes.
pub const VIEWS_TOPIC: &str = "clinicwire.views.v1";
/// What gateways let somebody see or do that is not their own.
pub const AUDIT_TOPIC: &str = "clinicwire.audit.v1";

const TYPE_PREFIX: &str = "clinicwire.";
const MAJOR: &str = ".v1";

/// A record as a topic carries it, whichever log keeps it.
#[derive(Clone, PartialEq, Eq)]
pub struct WireRecord {
    /// The aggregate: decides the partition.
    pub key: String,
    pub headers: Vec<(String, String)>,
    pub value: Bytes,
}

impl WireRecord {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str())
    }
}

/// Who asked: a subject that is already a pseudonym, and its role. It goes to the journal, never to a log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct Actor {
    pub subject: String,
    pub role: String,
}

/// The topic that carries what moves aggregates of this kind.
pub fn topic_for(kind: AggregateKind) -> &'static str {
    match kind {
        AggregateKind::Location => CARE_TOPIC,
        AggregateKind::Run | AggregateKind::Rules => RUNS_TOPIC,
    }
}

/// A command in the topic of its aggregate.
#[derive(Clone, PartialEq)]
pub struct CommandRecord {
    pub aggregate: Aggregate,
    pub id: CommandId,
    /// The CloudEvents source: who wrote the record. (source, id) names it once and for all.
    pub source: String,
    /// Past this time it is refused as expired.
    pub valid_until: Option<Millis>,
    pub actor: Option<Actor>,
    pub command: Command,
}

impl CommandRecord {
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
        if let Some(actor) = &self.actor {
            headers.push(("ce_actor".to_owned(), actor.subject.clone()));
            headers.push(("ce_role".to_owned(), actor.role.clone()));
        }
        let value = serde_json::to_vec(&self.command).expect("a command always has a JSON form");
        WireRecord { key: self.aggregate.to_string(), headers, value: value.into() }
    }

    /// Reads a record of `care` or `runs`.
    ///
    /// # Errors
    /// The code under which the record is parked: its key, type, version, data, or an id of another location.
    pub fn from_wire(record: &WireRecord) -> Result<Self, Code> {
        let aggregate = Aggregate::parse(&record.key).map_err(|_| Code::RecordBadKey)?;
        let header = |name| record.header(name).ok_or(Code::RecordMalformed);
        let kind = header("ce_type")?.strip_prefix(TYPE_PREFIX).ok_or(Code::RecordUnknownType)?;
        let (kind, major) = kind.rsplit_once('.').ok_or(Code::RecordUnknownType)?;
        if !Command::KINDS.contains(&kind) {
            return Err(Code::RecordUnknownType);
        }
        if major != &MAJOR[1..] {
            return Err(Code::RecordUnknownVersion);
        }
        let command: Command =
            serde_json::from_slice(&record.value).map_err(|_| Code::RecordMalformed)?;
        if command.kind() != kind {
            return Err(Code::RecordMalformed);
        }
        if !names_only(&command, &aggregate) {
            return Err(Code::RecordForeignId);
        }
        let valid_until = record.header("ce_validuntil").map(str::parse).transpose();
        let actor = match (record.header("ce_actor"), record.header("ce_role")) {
            (Some(subject), Some(role)) => {
                Some(Actor { subject: plain(subject)?, role: plain(role)? })
            }
            _ => None,
        };
        Ok(Self {
            id: CommandId::new(header("ce_id")?).map_err(|_| Code::RecordMalformed)?,
            source: plain(header("ce_source")?)?,
            valid_until: valid_until.map_err(|_| Code::RecordMalformed)?,
            actor,
            command,
            aggregate,
        })
    }
}

/// Longest source, subject or role: they stand in keys and indexes of the ledger.
const MAX_ATTRIBUTE: usize = 200;

/// An attribute that any store can hold: not empty, not long, without control characters.
fn plain(text: &str) -> Result<String, Code> {
    let good = (1..=MAX_ATTRIBUTE).contains(&text.len()) && !text.chars().any(char::is_control);
    good.then(|| text.to_owned()).ok_or(Code::RecordMalformed)
}

/// Whether everything the command acts on belongs to the aggregate of its key. The queue a ticket is
/// transferred to may be elsewhere, and so is then its successor.
fn names_only(command: &Command, aggregate: &Aggregate) -> bool {
    use Command as C;
    if command.aggregate_kind() != aggregate.kind() {
        return false;
    }
    let Some(location) = aggregate.location_id() else { return true };
    let ticket = command.ticket().is_none_or(|ticket| ticket.belongs_to(&location));
    let queue = match command {
        C::ConfigureQueue { queue, .. }
        | C::OpenQueue { queue }
        | C::PauseQueue { queue }
        | C::ResumeQueue { queue }
        | C::CloseQueue { queue }
        | C::ReorderQueue { queue, .. }
        | C::IssueTicket { queue, .. }
        | C::CallNext { queue, .. } => queue.belongs_to(&location),
        _ => true,
    };
    let station = match command {
        C::ConfigureStation { station, .. }
        | C::OpenStation { station }
        | C::CloseStation { station }
        | C::CallNext { station, .. }
        | C::CallTicket { station, .. } => station.belongs_to(&location),
        _ => true,
    };
    let tickets = match command {
        C::ReorderQueue { tickets, .. } => {
            tickets.iter().all(|ticket| ticket.belongs_to(&location))
        }
        C::CheckIn { queue: Some(queue), .. } => queue.belongs_to(&location),
        C::ReportAppointment { fact, .. } => fact.refers_only_to(&location),
        C::TransferTicket { queue, successor: Some(successor), .. } => {
            successor.location() == queue.location()
        }
        _ => true,
    };
    let appointment =
        command.appointment().is_none_or(|appointment| appointment.belongs_to(&location));
    ticket && queue && station && tickets && appointment
}

/// One view's step in a record of `views`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct ViewDelta {
    /// The view's name, which is its channel's.
    pub view: String,
    /// Seconds the view is kept from now on; absent: until it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_s: Option<u32>,
    /// A paced view may not wait with this step.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub urgent: bool,
    pub delta: Delta,
}

/// What one record of `care` or `runs` did: all deltas of its version, and the outcome of the command. A refusal has an
/// outcome, and the position that was judged; deltas only of timers that fired before it.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct ViewsRecord {
    pub position: Position,
    pub at: Millis,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deltas: Vec<ViewDelta>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<CommandOutcome>,
}

/// What a gateway needs of a record of `views` before it knows whether anybody listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ViewsHead {
    pub aggregate: Aggregate,
    pub position: Position,
    /// The command it answers.
    pub command: Option<CommandId>,
}

const VIEWS_TYPE: &str = "clinicwire.views.changed.v1";

impl ViewsRecord {
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
            Some(outcome) => {
                headers.push(("ce_command".to_owned(), outcome.command.to_string()));
                format!("{}.{}.{}", self.position.epoch, self.position.version, outcome.command)
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
    /// `record_malformed` when it is none.
    pub fn from_value(value: &[u8]) -> Result<Self, Code> {
        serde_json::from_slice(value).map_err(|_| Code::RecordMalformed)
    }
}

impl ViewsHead {
    /// Reads key and headers only.
    ///
    /// # Errors
    /// The code that says why a gateway skips the record.
    pub fn from_wire(record: &WireRecord) -> Result<Self, Code> {
        if record.header("ce_type") != Some(VIEWS_TYPE) {
            return Err(Code::RecordUnknownType);
        }
        let number = |name| {
            record.header(name).and_then(|text| text.parse().ok()).ok_or(Code::RecordMalformed)
        };
        Ok(Self {
            aggregate: Aggregate::parse(&record.key).map_err(|_| Code::RecordBadKey)?,
            position: Position { epoch: number("ce_epoch")?, version: number("ce_version")? },
            command: record
                .header("ce_command")
                .map(CommandId::new)
                .transpose()
                .map_err(|_| Code::RecordMalformed)?,
        })
    }
}

/// Somebody saw, or did, what is another's: written before it is shown or done.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct AuditRecord {
    pub at: Millis,
    /// Who: a subject that is already a pseudonym, and its role.
    pub subject: String,
    pub role: String,
    /// What was done: a word of a closed set.
    pub action: String,
    /// The run it was done to; absent for a list of runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
}

const AUDIT_TYPE: &str = "clinicwire.audit.seen.v1";

impl AuditRecord {
    /// The record of [`AUDIT_TOPIC`], under the tenant's key. The random `id` tells it from every other.
    pub fn to_wire(&self, tenant: &TenantId, id: u128) -> WireRecord {
        let headers = [
            ("ce_specversion", "1.0".to_owned()),
            ("ce_id", format!("{id:032x}")),
            ("ce_source", "clinicwire-gateway".to_owned()),
            ("ce_type", AUDIT_TYPE.to_owned()),
            ("content-type", "application/json".to_owned()),
        ];
        let headers = headers.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let value = serde_json::to_vec(self).expect("a record of the audit always has a JSON form");
        WireRecord { key: tenant.to_string(), headers, value: value.into() }
    }
}

/// The partition of a key under the `murmur2` partitioner of Kafka's Java clients: the Murmur2 hash with seed
/// `0x9747b28c`, made positive by its lower 31 bits, modulo the number of partitions.
pub fn partition_for_key(key: &str, partitions: u32) -> u32 {
    (murmur2(key.as_bytes()) & 0x7fff_ffff) % partitions.max(1)
}

/// MurmurHash2, 32 bit, as `org.apache.kafka.common.utils.Utils.murmur2` computes it.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c_u32 ^ u32::try_from(data.len()).unwrap_or(u32::MAX);
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    for (index, byte) in tail.iter().enumerate() {
        hash ^= u32::from(*byte) << (8 * index);
    }
    if !tail.is_empty() {
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests;
