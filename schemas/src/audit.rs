//! Records of the audit: who opened, read, changed or was refused what.

use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{Millis, channel::MAX_CHANNEL, codes::Code, ids::TenantId, record::WireRecord};

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

/// What one client opened, read or did, or was refused.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct AuditEntry {
    /// When, by the gateway's clock.
    pub at: Millis,
    /// The subject of the token, which is a pseudonym.
    pub subject: String,
    /// The role of the token.
    pub role: String,
    /// The address of the client. Absent for a socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    /// The first part of the client's `User-Agent`. Absent for a socket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The action, such as `ticket.call` or `channel.open`.
    pub action: String,
    /// The ids or channels that the action concerns. Empty for a list.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub what: Vec<String>,
    /// Why the action was refused. Absent when it was not, or not by the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// The tenant that a super admin crossed into, or came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_tenant: Option<TenantId>,
    /// Why a super admin crossed into another tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl AuditEntry {
    /// Cuts what a client may write at any length. Nothing has a name longer than a channel's.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.what.truncate(MAX_NAMES);
        self.what.iter_mut().for_each(|name| cut(name, MAX_CHANNEL));
        if let Some(agent) = &mut self.agent {
            cut(agent, MAX_AGENT);
        }
        self
    }
}

fn cut(text: &mut String, limit: usize) {
    text.truncate(text.floor_char_boundary(limit));
}

const AUDIT_TYPE: &str = "clinicwire.audit.seen.v1";

impl AuditRecord {
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
mod tests {
    use super::*;
    use crate::record::MAX_RECORD_BYTES;

    #[test]
    fn largest_record_fits_its_topic() {
        let text = |length: usize| "\u{1}".repeat(length);
        let entry = AuditEntry {
            at: Millis::MAX,
            subject: "s".repeat(200),
            role: "lab_technician".to_owned(),
            address: Some(IpAddr::from([0xffff; 8])),
            agent: Some(text(9_000)),
            action: "appointment.undo-check-in".to_owned(),
            what: vec![text(9_000); 500],
            code: Some(Code::IdempotencyKeyReused),
            other_tenant: None,
            reason: Some(text(500)),
        };
        let entry = entry.bounded();
        assert_eq!((entry.what.len(), entry.what[0].len()), (MAX_NAMES, MAX_CHANNEL));
        let record = AuditRecord { entries: vec![entry; MAX_ENTRIES] };
        let wire = record.to_wire(&TenantId::new("demo").unwrap(), u128::MAX);
        assert!(wire.size() <= MAX_RECORD_BYTES, "{}", wire.size());
    }

    #[test]
    fn text_is_cut_between_characters() {
        let mut text = "é".repeat(80);
        cut(&mut text, 101);
        assert_eq!(text.len(), 100);
    }
}
