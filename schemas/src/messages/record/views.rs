//! Records of `views`: the deltas of one record, and the outcome of its command.

use serde::{Deserialize, Serialize};

use super::wire::{ACTOR, FINGERPRINT, WireRecord, plain};
use crate::{
    Millis,
    codes::Code,
    command::CommandOutcome,
    identity::CommandIdentity,
    ids::{Aggregate, CommandId, Fingerprint},
    view::{Delta, Position},
};

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
    /// Reads the names of the command in a record that cannot be applied, if that part can be read.
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

impl PublishedOutcome {
    /// Reads the outcome in the value of a record of `views`, and nothing else of it.
    ///
    /// # Errors
    /// `record_malformed` when the value cannot be read.
    pub fn from_value(value: &[u8]) -> Result<Option<Self>, Code> {
        #[derive(Deserialize)]
        struct OutcomePart {
            #[serde(default)]
            outcome: Option<PublishedOutcome>,
        }
        let part: Result<OutcomePart, _> = serde_json::from_slice(value);
        part.map(|part| part.outcome).map_err(|_| Code::RecordMalformed)
    }
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
    /// The outcome of the command. Absent for a record without a caller, such as a tick.
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
