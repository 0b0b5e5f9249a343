//! The bridge turns the records of a source's own topic into records of `care`. This module
//! converts the records; `servers::bridge` reads and writes them.
//!
//! The topic that the bridge reads decides the tenant and the source. A record cannot state either
//! of them.

use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use schemas::{
    appointment_report::AppointmentReport,
    codes::Code,
    ids::{Aggregate, CommandId, Fingerprint, SourceId, TenantId},
    log::{LogOffset, PartitionId},
    record::{CommandRecord, WireRecord},
};

/// The tenant and the source of one topic.
#[derive(Debug, Clone)]
pub struct Bridge {
    /// The tenant of every record.
    pub tenant: TenantId,
    /// The source of every record.
    pub source: SourceId,
    /// The topic to read.
    pub topic: String,
}

/// A record of the source's topic.
pub struct SourceRecord {
    /// The partition of the record.
    pub partition: PartitionId,
    /// The offset of the record.
    pub offset: LogOffset,
    /// The record.
    pub record: WireRecord,
}

/// The result of converting one record of the source.
pub enum BridgedRecord {
    /// A command for a location.
    Command(WireRecord),
    /// The record could not be read. It is passed on unchanged, under a key for which the runner
    /// parks it.
    Unreadable(WireRecord, Code),
}

/// Records passed on since the start, counted after `care` acknowledged them.
#[derive(Default)]
pub struct BridgeCounters {
    /// Records that were converted to commands.
    pub commands: AtomicU64,
    /// Records that could not be read.
    pub unreadable: AtomicU64,
}

/// Largest record that is passed on unchanged, headers and key included. With the headers that the
/// bridge adds, it is half of what brokers accept. Of a larger record only its place in the topic
/// is passed on.
const LARGEST: usize = 512 << 10;

impl Bridge {
    /// Converts a record. `bits` are random, for the id of a new appointment.
    pub fn convert(&self, input: SourceRecord, bits: u128) -> BridgedRecord {
        match self.command(&input, bits) {
            Ok(command) => BridgedRecord::Command(command.to_wire()),
            Err(code) => BridgedRecord::Unreadable(self.unreadable(input, code), code),
        }
    }

    fn command(&self, input: &SourceRecord, bits: u128) -> Result<CommandRecord, Code> {
        if size(&input.record) > LARGEST {
            return Err(Code::TooLarge);
        }
        let report: AppointmentReport =
            serde_json::from_slice(&input.record.value).map_err(|_| Code::RecordMalformed)?;
        let (location, command) = report.into_command(self.source.clone(), bits)?;
        Ok(CommandRecord {
            aggregate: Aggregate::location(&self.tenant, &location),
            id: self.id(input),
            source: format!("clinicwire-bridge/{}", self.source),
            fingerprint: None,
            valid_until: None,
            actor: None,
            command,
        })
    }

    /// The id that the source gave the record, or else the place of the record and a hash of its
    /// value: a topic that was created again has another record at the same place. Both are the
    /// same each time the record is read. A text that is no id of a command, because it is too long
    /// or has other characters, is hashed as a whole.
    fn id(&self, input: &SourceRecord) -> CommandId {
        let given = input.record.header("ce_id").filter(|id| !id.is_empty());
        let (kind, text) = match given {
            Some(id) => ("id", id.to_owned()),
            None => {
                let value = Fingerprint::from_parts([&*input.record.value]).bits() as u64;
                let SourceRecord { partition, offset, .. } = input;
                ("place", format!("{}.{partition}.{offset}.{value:016x}", self.topic))
            }
        };
        CommandId::new(text.as_str()).unwrap_or_else(|_| {
            let hash = Fingerprint::from_parts([kind.as_bytes(), text.as_bytes()]);
            CommandId::from_random(hash.bits())
        })
    }

    /// No key of an aggregate starts with `!`, so the runner parks the record. People who look at
    /// parked records see the tenant, the source and the origin.
    fn unreadable(&self, input: SourceRecord, code: Code) -> WireRecord {
        let SourceRecord { partition, offset, mut record } = input;
        if code == Code::TooLarge {
            record = WireRecord { key: String::new(), headers: Vec::new(), value: Bytes::new() };
        }
        let origin = [
            ("bridge_topic", self.topic.clone()),
            ("bridge_partition", partition.to_string()),
            ("bridge_offset", offset.to_string()),
            ("bridge_key", record.key),
            ("bridge_code", code.to_string()),
        ];
        let mut headers = record.headers;
        headers.extend(origin.map(|(name, value)| (name.to_owned(), value)));
        WireRecord {
            key: format!("!{}/{}", self.tenant, self.source),
            headers,
            value: record.value,
        }
    }
}

fn size(record: &WireRecord) -> usize {
    let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    record.key.len() + record.value.len() + headers
}

#[cfg(test)]
mod tests;
