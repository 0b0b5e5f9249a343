//! Records of the audit: who opened, read or changed what, and who was refused.

use core::net::IpAddr;
use std::{borrow::Cow, fmt, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    Millis,
    channel::MAX_CHANNEL,
    codes::Code,
    ids::{TICKET_HEX, TenantId},
    record::WireRecord,
    view::Position,
};

/// Most entries of one record: the largest fit into what a topic takes, even if every character of
/// their texts is escaped.
pub const MAX_ENTRIES: usize = 75;
/// Most names of one entry. A stream has as many channels, and no route names more.
const MAX_NAMES: usize = 8;
/// Longest user agent in bytes. A longer one is cut: its first words name the browser.
const MAX_AGENT: usize = 160;

/// One record of `clinicwire.audit.v1`: entries of one tenant that a gateway wrote together. A
/// client is shown nothing before its entry is acknowledged.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct AuditRecord {
    /// The entries, in the order in which they were asked for.
    pub entries: Vec<AuditEntry>,
}

/// One thing that a client opened, read or did, or was refused.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct AuditEntry {
    /// When, by the gateway's clock.
    pub at: Millis,
    /// The subject of the token, which is a pseudonym.
    pub subject: Arc<str>,
    /// The role of the token.
    pub role: Cow<'static, str>,
    /// The address of the client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The first part of the client's `User-Agent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Arc<str>>,
    /// The action, such as `ticket.call` or `channel.open`.
    pub action: Cow<'static, str>,
    /// The ids or channels that the action concerns. Empty for a list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub what: Vec<String>,
    /// Why the action was refused. Absent when it was not, or not by the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// The tenant that a super admin crossed into, or came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_tenant: Option<TenantId>,
    /// The reason of a crossing into another tenant or to another location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether the token is that of a crossing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub crossed: bool,
    /// For `channel.close`: the first position of the channel that the client was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<Position>,
    /// For `channel.close`: the last position of the channel that the client was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Position>,
}

impl AuditEntry {
    /// Cuts the texts that a client may send at any length. No name is longer than a channel's.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.what.truncate(MAX_NAMES);
        self.what.iter_mut().for_each(|name| cut(name, MAX_CHANNEL));
        self
    }

    /// The persons whose tickets or appointments the entry names, each of them once.
    pub fn persons(&self) -> Vec<PersonKey> {
        let mut persons: Vec<_> =
            self.what.iter().filter_map(|name| PersonKey::of_name(name)).collect();
        persons.sort_unstable();
        persons.dedup();
        persons
    }
}

/// The part of a client's `User-Agent` that entries keep. Its first words name the browser.
pub fn agent(header: &str) -> Arc<str> {
    header[..header.floor_char_boundary(MAX_AGENT)].into()
}

/// The part that the ids of one person's tickets and appointments have in common: their 128 bits
/// without the last eight, which count visits and moves (see [`crate::ids`]). `Debug` hides the key
/// like the ids.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonKey(u128);

impl PersonKey {
    /// The key of a ticket or an appointment, given by its id or its channel. `None` for any other
    /// name.
    pub fn of_name(name: &str) -> Option<Self> {
        Some(Self(bits(name)? >> 8))
    }

    /// The keys that ids of the same person can have: visits and moves add to the bits, and the sum
    /// can carry into the next key.
    pub fn near(name: &str) -> Option<[Self; 3]> {
        let key = bits(name)? >> 8;
        let wrap = |key: u128| Self(key & (u128::MAX >> 8));
        Some([wrap(key.wrapping_sub(1)), Self(key), wrap(key + 1)])
    }
}

/// The bits at the end of the id of a ticket or an appointment.
fn bits(name: &str) -> Option<u128> {
    let (before, hex) = name.split_at_checked(name.len().checked_sub(TICKET_HEX)?)?;
    let is_id = before.ends_with('.')
        && hex.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    is_id.then(|| u128::from_str_radix(hex, 16).ok()).flatten()
}

/// The text in the index of the store: 30 hex digits.
impl fmt::Display for PersonKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:030x}", self.0)
    }
}

impl fmt::Debug for PersonKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonKey(…)")
    }
}

/// An entry as a gateway wrote it.
#[derive(Clone)]
pub struct WrittenEntry {
    /// The bytes in the log. The hash chain of the store covers them, so that also the fields of a
    /// newer gateway are kept and proven.
    pub text: Box<RawValue>,
    /// The entry.
    pub entry: AuditEntry,
}

fn cut(text: &mut String, limit: usize) {
    text.truncate(text.floor_char_boundary(limit));
}

const AUDIT_TYPE: &str = "clinicwire.audit.seen.v1";

#[derive(Deserialize)]
struct RawRecord {
    entries: Vec<Box<RawValue>>,
}

impl AuditRecord {
    /// Reads a record, and the tenant from its key.
    ///
    /// # Errors
    /// The code for which the record is parked.
    pub fn from_wire(record: &WireRecord) -> Result<(TenantId, Vec<WrittenEntry>), Code> {
        match record.header("ce_type") {
            Some(AUDIT_TYPE) => {}
            Some(other) if other.starts_with("clinicwire.audit.seen.") => {
                return Err(Code::RecordUnknownVersion);
            }
            _ => return Err(Code::RecordUnknownType),
        }
        let tenant = TenantId::new(record.key.as_str()).map_err(|_| Code::RecordBadKey)?;
        let malformed = |_| Code::RecordMalformed;
        let raw: RawRecord = serde_json::from_slice(&record.value).map_err(malformed)?;
        let written = |text: Box<RawValue>| {
            let entry = serde_json::from_str(text.get()).map_err(malformed)?;
            Ok(WrittenEntry { text, entry })
        };
        Ok((tenant, raw.entries.into_iter().map(written).collect::<Result<_, Code>>()?))
    }

    /// Writes the record of [`AUDIT_TOPIC`](crate::record::AUDIT_TOPIC) under the tenant's key. The
    /// random `id` makes the record unique.
    ///
    /// # Panics
    /// Never: every record of the audit has a JSON form.
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

#[cfg(test)]
mod tests;
