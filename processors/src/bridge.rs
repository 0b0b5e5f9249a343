//! The bridge: what a source tells in a topic of its own becomes records of `care`. Here is what a record becomes; how it
//! is read and written is `servers::bridge`'s.
//!
//! Who tells is decided by where the bridge reads, and never by what a record says: tenant and source are stamped.

use std::sync::atomic::AtomicU64;

use bytes::Bytes;
use schemas::{
    appointment_report::AppointmentReport,
    codes::Code,
    ids::{Aggregate, CommandId, SourceId, TenantId},
    record::{CommandRecord, WireRecord, partition_for_key},
};

/// Whose topic is read.
#[derive(Debug, Clone)]
pub struct Bridge {
    pub tenant: TenantId,
    pub source: SourceId,
    pub topic: String,
}

/// A record as the source's topic has it.
pub struct SourceRecord {
    pub partition: u32,
    pub offset: i64,
    pub record: WireRecord,
}

/// What a record of the source becomes.
pub enum BridgedRecord {
    /// A command for a location.
    Command(WireRecord),
    /// Nothing a location could read: the record as it came, under a key that has the runner set it aside.
    Unreadable(WireRecord, Code),
}

/// Records passed on since the start, once `care` had acknowledged them.
#[derive(Default)]
pub struct BridgeCounters {
    pub commands: AtomicU64,
    pub unreadable: AtomicU64,
}

/// How much of a long topic's name is kept in the id of a record that brings none: with its hash, partition and offset
/// it stays an id of a command.
const TOPIC_IN_ID: usize = 20;

/// Largest record that is handed on as it came, headers and key included: with what is added to it, half of what brokers
/// take. A larger one is handed on as the place where it lies.
const LARGEST: usize = 512 << 10;

impl Bridge {
    /// What the record becomes. `bits` are random, for the id of an appointment that is new.
    pub fn convert(&self, told: SourceRecord, bits: u128) -> BridgedRecord {
        match self.command(&told, bits) {
            Ok(command) => BridgedRecord::Command(command.to_wire()),
            Err(code) => BridgedRecord::Unreadable(self.as_it_came(told, code), code),
        }
    }

    fn command(&self, told: &SourceRecord, bits: u128) -> Result<CommandRecord, Code> {
        if size(&told.record) > LARGEST {
            return Err(Code::TooLarge);
        }
        let report: AppointmentReport =
            serde_json::from_slice(&told.record.value).map_err(|_| Code::RecordMalformed)?;
        let (location, command) = report.into_command(self.source.clone(), bits)?;
        Ok(CommandRecord {
            aggregate: Aggregate::location(&self.tenant, &location),
            id: self.id(told),
            source: format!("clinicwire-bridge/{}", self.source),
            valid_until: None,
            actor: None,
            command,
        })
    }

    /// The id the source gave the record, if it is one of ours; otherwise the record's place. Either is the same whenever
    /// the record is read.
    fn id(&self, told: &SourceRecord) -> CommandId {
        let given = told.record.header("ce_id").and_then(|id| CommandId::new(id).ok());
        given.unwrap_or_else(|| {
            let place =
                |topic: &str| CommandId::new(format!("{topic}.{}.{}", told.partition, told.offset));
            place(&self.topic)
                .or_else(|_| place(&self.short_topic()))
                .expect("a short topic leaves room for two numbers")
        })
    }

    /// The beginning of a topic's name, and Kafka's own hash of all of it.
    fn short_topic(&self) -> String {
        let is_plain = |letter: &char| letter.is_ascii_alphanumeric() || "_.-".contains(*letter);
        let begins: String = self.topic.chars().filter(is_plain).take(TOPIC_IN_ID).collect();
        format!("{begins}:{:08x}", partition_for_key(&self.topic, 1 << 31))
    }

    /// No aggregate's key begins so: whoever looks at what was set aside sees whose it is, and where it came from.
    fn as_it_came(&self, told: SourceRecord, code: Code) -> WireRecord {
        let SourceRecord { partition, offset, mut record } = told;
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
