//! Sessions, revocations and the audit.

use schemars::JsonSchema;
use schemas::{Millis, access::TargetKind, audit::AuditEntry, ids::TenantId};

use crate::http::access::tenants::ShownTenant;

/// An entry of the audit.
#[derive(JsonSchema)]
pub(in crate::http) struct ListedAuditEntry {
    /// The number in the chain of the tenant.
    number: u64,
    logged_at: Millis,
    #[serde(flatten)]
    entry: AuditEntry,
}

/// A page of the audit, newest first.
#[derive(JsonSchema)]
pub(in crate::http) struct AuditPage {
    entries: Vec<ListedAuditEntry>,
    /// The cursor of the next page. Absent on the last one.
    next: Option<String>,
}

/// A revocation.
#[derive(JsonSchema)]
pub(in crate::http) struct RevocationAnswer {
    kind: TargetKind,
    id: String,
    /// Tokens that were issued before are refused.
    at: Millis,
}

/// A session that was ended.
#[derive(JsonSchema)]
pub(in crate::http) struct EndedSession {
    session: String,
    at: Millis,
}

/// An open connection of a session.
#[derive(JsonSchema)]
pub(in crate::http) struct ListedConnection {
    transport: String,
    channels: u64,
    expires: Millis,
}

/// A session.
#[derive(JsonSchema)]
pub(in crate::http) struct ListedSession {
    session: String,
    issued: Millis,
    /// Whether the session is a crossing into another tenant or to another location.
    crossed: bool,
    connections: Vec<ListedConnection>,
}

/// The connected sessions of a subject.
#[derive(JsonSchema)]
pub(in crate::http) struct SessionList {
    subject: String,
    at: Millis,
    /// The caller's own session.
    own: String,
    sessions: Vec<ListedSession>,
}

/// A page of tenants.
#[derive(JsonSchema)]
pub(in crate::http) struct TenantPage {
    tenants: Vec<ShownTenant>,
    /// The cursor of the next page, if there is one.
    next: Option<String>,
}

/// The state of a tenant.
#[derive(JsonSchema)]
pub(in crate::http) struct TenantAnswer {
    tenant: TenantId,
    suspended: bool,
    /// When the state was asked for, in Unix milliseconds.
    at: Option<Millis>,
    /// Why the tenant is suspended.
    reason: Option<String>,
}
