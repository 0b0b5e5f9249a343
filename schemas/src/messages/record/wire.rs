//! A record as a topic carries it.

use bytes::Bytes;

use crate::codes::Code;

/// The header with the fingerprint of a command's request, and that of the command in `views`.
pub(super) const FINGERPRINT: &str = "ce_fingerprint";
/// The header with the subject of a command's actor.
pub(super) const ACTOR: &str = "ce_actor";

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

    /// The bytes that count for [`MAX_RECORD_BYTES`](super::MAX_RECORD_BYTES).
    pub fn size(&self) -> usize {
        let headers = self.headers.iter().map(|(name, value)| name.len() + value.len());
        self.key.len() + headers.sum::<usize>() + self.value.len()
    }
}

/// Longest source, subject or role in bytes. They are part of keys and indexes of the ledger.
const MAX_ATTRIBUTE: usize = 200;

/// Whether every store can keep a source, subject or role: neither empty nor long, no control
/// characters.
pub fn is_attribute(text: &str) -> bool {
    (1..=MAX_ATTRIBUTE).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// The text, if it [is an attribute](is_attribute).
pub(super) fn plain(text: &str) -> Result<String, Code> {
    is_attribute(text).then(|| text.to_owned()).ok_or(Code::RecordMalformed)
}
