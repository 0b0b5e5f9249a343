//! Records of the topic `clinicwire.access.v1`: which tokens no longer count, and questions that
//! every gateway answers.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    Millis,
    codes::Code,
    ids::TenantId,
    record::{Actor, WireRecord},
    tenant::StoredTenant,
};

use super::tenant::SETTINGS_TYPE;

/// Longest id of a target in bytes, which is also the longest subject, `sid` or `jti` of a token.
pub const MAX_TARGET_ID: usize = 128;

/// Longest life of any token, and so the longest time for which a revocation must be kept.
pub const MAX_TOKEN_LIFE_MS: Millis = 30 * 24 * 60 * 60 * 1000;

/// The kinds of things that a revocation can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub enum TargetKind {
    /// Every token of a subject.
    Subject,
    /// The tokens of a session, by their `sid` or `jti`.
    Session,
    /// The tokens of a paired device.
    Device,
    /// The tokens of a ticket link, by the id of its ticket.
    TicketLink,
    /// The tokens of a subject with an older permission version. Their bearer gets a newer token.
    Permissions,
    /// The tokens of a session by the id that lists of sessions show: the 16 hexadecimal digits of
    /// a [`RevocationTag`].
    Listed,
}

impl TargetKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Subject,
        Self::Session,
        Self::Device,
        Self::TicketLink,
        Self::Permissions,
        Self::Listed,
    ];

    /// The kind as JSON spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Session => "session",
            Self::Device => "device",
            Self::TicketLink => "ticket_link",
            Self::Permissions => "permissions",
            Self::Listed => "listed",
        }
    }
}

/// The tokens that a revocation ends.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct RevocationTarget {
    /// The kind of thing that the id names.
    pub kind: TargetKind,
    /// The subject, session, device or ticket.
    pub id: String,
}

/// Leaves out the id, which may be a person's or a patient's.
impl fmt::Debug for RevocationTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RevocationTarget({:?}, …)", self.kind)
    }
}

/// A digest of a tenant and a target: 64 bits of SHA-256, so that a connection can be compared with
/// many revocations at little cost. Two targets share a tag with a chance of one in 2^64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RevocationTag(pub u64);

impl RevocationTag {
    /// The tag of nothing, which no revocation has.
    pub const NONE: Self = Self(0);

    /// The tag of a target. That of a listed session is in its id.
    pub fn new(tenant: &TenantId, kind: TargetKind, id: &str) -> Self {
        if kind == TargetKind::Listed
            && let Ok(tag) = id.parse()
        {
            return tag;
        }
        let mut hash = Sha256::new();
        for part in [tenant.as_str(), kind.as_str(), id] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let bits = u64::from_be_bytes(*hash.finalize().first_chunk().expect("32 bytes"));
        Self(bits.max(1))
    }
}

/// The tag as lists of sessions show it.
impl fmt::Display for RevocationTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A text that is no tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the tag of a session")]
pub struct InvalidTag;

impl std::str::FromStr for RevocationTag {
    type Err = InvalidTag;

    fn from_str(text: &str) -> Result<Self, InvalidTag> {
        let is_tag = text.len() == 16
            && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        let bits = u64::from_str_radix(text, 16).map_err(|_| InvalidTag)?;
        if is_tag && bits != 0 { Ok(Self(bits)) } else { Err(InvalidTag) }
    }
}

/// The value of a record of `clinicwire.access.v1`: from its append time on, older tokens of the
/// target are refused.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct Revocation {
    /// The revoked thing.
    pub target: RevocationTarget,
    /// For [`TargetKind::Permissions`]: tokens with a lower version are refused. Tokens without a
    /// version are refused when they were issued before the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permission_version: Option<u32>,
    /// When it was asked for, by the gateway's clock.
    pub at: Millis,
    /// The person who asked for the revocation.
    pub by: Actor,
}

/// The type of a revocation.
const REVOKED_TYPE: &str = "clinicwire.access.revoked.v1";
/// The type of a question.
const ASKED_TYPE: &str = "clinicwire.access.asked.v1";

/// The value of a record of `clinicwire.access.v1` that asks every gateway for the connections of a
/// subject. Answers go into the short-lived keys.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct SessionsQuestion {
    /// The name under which answers are stored: 32 hexadecimal digits.
    pub question: String,
    /// The subject.
    pub subject: String,
}

/// The value of a record of `clinicwire.access.v1` that suspends a tenant or resumes it. The last
/// record of a tenant counts.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct TenantStatus {
    /// Whether the tokens of the tenant are refused.
    pub suspended: bool,
    /// Why, as the super admin stated it.
    pub reason: String,
    /// When it was asked for, by the gateway's clock.
    pub at: Millis,
    /// The person who asked for it.
    pub by: Actor,
}

/// The type of the state of a tenant.
const TENANT_TYPE: &str = "clinicwire.access.tenant.v1";

impl TenantStatus {
    /// The key of the record: `<tenant>/tenant`, so that compaction keeps the last state.
    fn key(tenant: &TenantId) -> String {
        format!("{tenant}/tenant")
    }

    /// Writes the record. The random `id` makes it unique.
    ///
    /// # Panics
    /// Never: every state has a JSON form.
    pub fn to_wire(&self, tenant: &TenantId, id: u128) -> WireRecord {
        let value = serde_json::to_vec(self).expect("a state always has a JSON form");
        let headers = headers(TENANT_TYPE, id);
        WireRecord { key: Self::key(tenant), headers, value: value.into() }
    }

    fn from_wire(record: &WireRecord) -> Result<(TenantId, Self), Code> {
        let tenant = tenant_of(record)?;
        let status = serde_json::from_slice(&record.value).map_err(|_| Code::RecordMalformed)?;
        if Self::key(&tenant) != record.key {
            return Err(Code::RecordForeignId);
        }
        Ok((tenant, status))
    }
}

/// A record of `clinicwire.access.v1`, with its tenant.
#[derive(Clone, PartialEq, Eq)]
pub enum AccessRecord {
    /// Older tokens of a target are refused from now on.
    Revoked(TenantId, Revocation),
    /// A request for the connections of a subject.
    Asked(TenantId, SessionsQuestion),
    /// A tenant was suspended or resumed.
    Tenant(TenantId, TenantStatus),
    /// A tenant was created, or its settings changed.
    Settings(TenantId, StoredTenant),
}

impl AccessRecord {
    /// Reads a record.
    ///
    /// # Errors
    /// The code for a record of no such type, or whose key is not that of its value.
    pub fn from_wire(record: &WireRecord) -> Result<Self, Code> {
        if record.header("ce_type") == Some(ASKED_TYPE) {
            let (tenant, question) = SessionsQuestion::from_wire(record)?;
            return Ok(Self::Asked(tenant, question));
        }
        if record.header("ce_type") == Some(TENANT_TYPE) {
            let (tenant, status) = TenantStatus::from_wire(record)?;
            return Ok(Self::Tenant(tenant, status));
        }
        if record.header("ce_type") == Some(SETTINGS_TYPE) {
            let (tenant, stored) = StoredTenant::from_wire(record)?;
            return Ok(Self::Settings(tenant, stored));
        }
        let (tenant, revocation) = Revocation::from_wire(record)?;
        Ok(Self::Revoked(tenant, revocation))
    }
}

pub(super) fn headers(record_type: &str, id: u128) -> Vec<(String, String)> {
    let headers = [
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", format!("{id:032x}")),
        ("ce_source", "clinicwire-gateway".to_owned()),
        ("ce_type", record_type.to_owned()),
        ("content-type", "application/json".to_owned()),
    ];
    headers.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

pub(super) fn tenant_of(record: &WireRecord) -> Result<TenantId, Code> {
    let tenant = record.key.split('/').next().unwrap_or_default();
    TenantId::new(tenant).map_err(|_| Code::RecordBadKey)
}

impl SessionsQuestion {
    /// The key of the record: `<tenant>/sessions`, so that compaction keeps one old question of
    /// each tenant.
    fn key(tenant: &TenantId) -> String {
        format!("{tenant}/sessions")
    }

    /// Writes the record. The random `id` makes it unique.
    ///
    /// # Panics
    /// Never: every question has a JSON form.
    pub fn to_wire(&self, tenant: &TenantId, id: u128) -> WireRecord {
        let value = serde_json::to_vec(self).expect("a question always has a JSON form");
        WireRecord { key: Self::key(tenant), headers: headers(ASKED_TYPE, id), value: value.into() }
    }

    fn from_wire(record: &WireRecord) -> Result<(TenantId, Self), Code> {
        let tenant = tenant_of(record)?;
        let question = serde_json::from_slice(&record.value).map_err(|_| Code::RecordMalformed)?;
        if Self::key(&tenant) != record.key {
            return Err(Code::RecordForeignId);
        }
        Ok((tenant, question))
    }
}

impl Revocation {
    /// The key of the record: `<tenant>/<kind>/<id>`, so that compaction keeps the last revocation
    /// of each target.
    fn key(&self, tenant: &TenantId) -> String {
        format!("{tenant}/{}/{}", self.target.kind.as_str(), self.target.id)
    }

    /// The tag of the target.
    pub fn tag(&self, tenant: &TenantId) -> RevocationTag {
        RevocationTag::new(tenant, self.target.kind, &self.target.id)
    }

    /// Writes the record. The random `id` makes it unique.
    ///
    /// # Panics
    /// Never: every revocation has a JSON form.
    pub fn to_wire(&self, tenant: &TenantId, id: u128) -> WireRecord {
        let value = serde_json::to_vec(self).expect("a revocation always has a JSON form");
        let headers = headers(REVOKED_TYPE, id);
        WireRecord { key: self.key(tenant), headers, value: value.into() }
    }

    /// Reads a record, and the tenant from its key.
    ///
    /// # Errors
    /// The code for a record that is none of this type, or whose key is not that of its value.
    pub fn from_wire(record: &WireRecord) -> Result<(TenantId, Self), Code> {
        match record.header("ce_type") {
            Some(REVOKED_TYPE) => {}
            Some(other) if other.starts_with("clinicwire.access.revoked.") => {
                return Err(Code::RecordUnknownVersion);
            }
            _ => return Err(Code::RecordUnknownType),
        }
        let tenant = tenant_of(record)?;
        let revocation: Self =
            serde_json::from_slice(&record.value).map_err(|_| Code::RecordMalformed)?;
        if revocation.key(&tenant) != record.key {
            return Err(Code::RecordForeignId);
        }
        Ok((tenant, revocation))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revocation(kind: TargetKind) -> Revocation {
        Revocation {
            target: RevocationTarget { kind, id: "a/subject é".to_owned() },
            permission_version: Some(3),
            at: 17,
            by: Actor { subject: "boss".to_owned(), role: "admin".to_owned() },
        }
    }

    #[test]
    fn revocation_survives_its_record() {
        let tenant = TenantId::new("demo").unwrap();
        for kind in TargetKind::ALL {
            let record = revocation(kind).to_wire(&tenant, 1);
            let (found, read) = Revocation::from_wire(&record).unwrap();
            assert!(found == tenant && read == revocation(kind), "{kind:?}");
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }

    #[test]
    fn record_of_other_key_or_type_is_refused() {
        let tenant = TenantId::new("demo").unwrap();
        let good = revocation(TargetKind::Subject).to_wire(&tenant, 1);
        let with_type = |ce_type: &str| {
            let mut record = good.clone();
            record.headers[3].1 = ce_type.to_owned();
            record
        };
        let with_key = |key: &str| WireRecord { key: key.to_owned(), ..good.clone() };
        let table = [
            (with_type("clinicwire.access.revoked.v2"), Code::RecordUnknownVersion),
            (with_type("clinicwire.audit.seen.v1"), Code::RecordUnknownType),
            (with_key("No Tenant/subject/a"), Code::RecordBadKey),
            (with_key("demo/subject/another"), Code::RecordForeignId),
            (with_key("other/session/a/subject é"), Code::RecordForeignId),
            (WireRecord { value: "{}".into(), ..good.clone() }, Code::RecordMalformed),
        ];
        for (record, code) in table {
            assert_eq!(Revocation::from_wire(&record).err(), Some(code));
        }
    }

    #[test]
    fn record_is_an_event_and_its_target_is_in_no_log() {
        let tenant = TenantId::new("demo").unwrap();
        let record = revocation(TargetKind::Subject).to_wire(&tenant, 7);
        for (name, value) in [
            ("ce_specversion", "1.0"),
            ("ce_id", "00000000000000000000000000000007"),
            ("ce_source", "clinicwire-gateway"),
            ("ce_type", REVOKED_TYPE),
            ("content-type", "application/json"),
        ] {
            assert_eq!(record.header(name), Some(value));
        }
        let shown = format!("{:?}", revocation(TargetKind::Subject).target);
        assert!(shown.contains("Subject") && !shown.contains("a/subject"), "{shown}");
        let tag = revocation(TargetKind::Device).tag(&tenant);
        assert_eq!(tag, RevocationTag::new(&tenant, TargetKind::Device, "a/subject é"));
    }

    #[test]
    fn tag_depends_on_tenant_kind_and_id() {
        let (one, two) = (TenantId::new("one").unwrap(), TenantId::new("two").unwrap());
        let tag = RevocationTag::new(&one, TargetKind::Subject, "a");
        assert_ne!(tag, RevocationTag::new(&two, TargetKind::Subject, "a"));
        assert_ne!(tag, RevocationTag::new(&one, TargetKind::Session, "a"));
        assert_ne!(tag, RevocationTag::new(&one, TargetKind::Subject, "b"));
        assert_ne!(tag, RevocationTag::NONE);
    }

    #[test]
    fn question_survives_its_record_and_is_no_revocation() {
        let tenant = TenantId::new("demo").unwrap();
        let asked = SessionsQuestion { question: "0".repeat(32), subject: "ann".to_owned() };
        let record = asked.to_wire(&tenant, 1);
        let read = AccessRecord::from_wire(&record);
        assert!(read == Ok(AccessRecord::Asked(tenant.clone(), asked)));
        assert_eq!(Revocation::from_wire(&record).err(), Some(Code::RecordUnknownType));
        let moved = WireRecord { key: "demo/elsewhere".to_owned(), ..record };
        assert_eq!(AccessRecord::from_wire(&moved).err(), Some(Code::RecordForeignId));
        let revoked = revocation(TargetKind::Session);
        let read = AccessRecord::from_wire(&revoked.to_wire(&tenant, 1));
        assert!(read == Ok(AccessRecord::Revoked(tenant, revoked)));
    }

    #[test]
    fn state_of_a_tenant_survives_its_record() {
        let tenant = TenantId::new("demo").unwrap();
        let by = Actor { subject: "boss".to_owned(), role: "super_admin".to_owned() };
        let status = TenantStatus { suspended: true, reason: "unpaid".to_owned(), at: 7, by };
        let record = status.to_wire(&tenant, 1);
        let read = AccessRecord::from_wire(&record);
        assert!(read == Ok(AccessRecord::Tenant(tenant, status)));
        let moved = WireRecord { key: "demo/elsewhere".to_owned(), ..record };
        assert_eq!(AccessRecord::from_wire(&moved).err(), Some(Code::RecordForeignId));
    }

    #[test]
    fn listed_session_has_the_tag_that_was_listed() {
        let tenant = TenantId::new("demo").unwrap();
        let tag = RevocationTag::new(&tenant, TargetKind::Session, "s-1");
        assert_eq!(tag.to_string().parse(), Ok(tag));
        assert_eq!(RevocationTag::new(&tenant, TargetKind::Listed, &tag.to_string()), tag);
        for bad in ["", "0000000000000000", "+000000000000001", "00000000000000A1", "1"] {
            assert_eq!(bad.parse::<RevocationTag>(), Err(InvalidTag), "{bad}");
        }
    }
}
