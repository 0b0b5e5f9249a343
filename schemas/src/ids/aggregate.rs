//! Aggregates and their keys.

use std::{fmt, sync::Arc};

use super::{
    Fingerprint, InvalidId, LocationId, RunId, SourceId, SourceKey, TenantId,
    form::{is_appointment_key, is_run, is_slug},
};

/// An aggregate, which owns one order of versions: a location, a run, the rules, the webhooks or
/// the settings of a tenant, or the key of an appointment. Its text `<tenant>/<id>` is the key of a
/// record in every topic.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Aggregate(Arc<str>);

/// The kind of an aggregate, which its key tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AggregateKind {
    /// A location.
    Location,
    /// A run.
    Run,
    /// The rules of a tenant.
    Rules,
    /// The webhooks of a tenant.
    Webhooks,
    /// The settings of a tenant.
    Tenant,
    /// The key of an appointment at its source.
    AppointmentKey,
}

/// The id of the rules aggregate of every tenant. It is no slug, so no location can have it.
const RULES: &str = "_rules";
/// The id of the webhooks aggregate of every tenant.
const WEBHOOKS: &str = "_webhooks";
/// The id of the aggregate of every tenant's settings.
const TENANT: &str = "_tenant";

impl Aggregate {
    /// The aggregate of a location.
    pub fn location(tenant: &TenantId, location: &LocationId) -> Self {
        Self(format!("{tenant}/{location}").into())
    }

    /// The aggregate of a run.
    pub fn run(tenant: &TenantId, run: &RunId) -> Self {
        Self(format!("{tenant}/{run}").into())
    }

    /// The aggregate of the tenant's rules.
    pub fn rules(tenant: &TenantId) -> Self {
        Self(format!("{tenant}/{RULES}").into())
    }

    /// The aggregate of the tenant's webhooks.
    pub fn webhooks(tenant: &TenantId) -> Self {
        Self(format!("{tenant}/{WEBHOOKS}").into())
    }

    /// The aggregate of the tenant's settings.
    pub fn tenant_settings(tenant: &TenantId) -> Self {
        Self(format!("{tenant}/{TENANT}").into())
    }

    /// The aggregate of the key that a source gave an appointment. Its id is a digest, since a key
    /// may have any characters.
    pub fn appointment_key(tenant: &TenantId, source: &SourceId, key: &SourceKey) -> Self {
        let parts = [source.as_str().as_bytes(), key.as_str().as_bytes()];
        let digest = Fingerprint::from_parts(parts);
        Self(format!("{tenant}/k_{digest}").into())
    }

    /// Reads a record's key.
    ///
    /// # Errors
    /// [`InvalidId`] when the key is not `<tenant>/<id>` of a known kind.
    pub fn parse(key: &str) -> Result<Self, InvalidId> {
        match key.split_once('/') {
            Some((tenant, id)) if is_slug(tenant) && is_known(id) => Ok(Self(key.into())),
            _ => Err(InvalidId("aggregate")),
        }
    }

    /// The key of the aggregate's records.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn split(&self) -> (&str, &str) {
        self.0.split_once('/').expect("an aggregate is built with its slash")
    }

    /// The kind of the aggregate.
    pub fn kind(&self) -> AggregateKind {
        match self.id() {
            RULES => AggregateKind::Rules,
            WEBHOOKS => AggregateKind::Webhooks,
            TENANT => AggregateKind::Tenant,
            id if id.starts_with("r_") => AggregateKind::Run,
            id if id.starts_with("k_") => AggregateKind::AppointmentKey,
            _ => AggregateKind::Location,
        }
    }

    /// The tenant that owns the aggregate.
    pub fn tenant(&self) -> TenantId {
        TenantId(self.split().0.into())
    }

    /// The part of the key after the tenant.
    pub fn id(&self) -> &str {
        self.split().1
    }

    /// The location, when the aggregate is one.
    pub fn location_id(&self) -> Option<LocationId> {
        (self.kind() == AggregateKind::Location).then(|| LocationId(self.id().into()))
    }

    /// The run, when the aggregate is one.
    pub fn run_id(&self) -> Option<RunId> {
        (self.kind() == AggregateKind::Run).then(|| RunId(self.id().into()))
    }
}

/// Whether a text is the id of an aggregate of a known kind.
fn is_known(id: &str) -> bool {
    let is_fixed = [RULES, WEBHOOKS, TENANT].contains(&id);
    is_fixed || is_slug(id) || is_run(id) || is_appointment_key(id)
}

impl fmt::Display for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Leaves out the digest of an appointment's key, which may be the number of a patient.
impl fmt::Debug for Aggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            AggregateKind::AppointmentKey => write!(f, "Aggregate({}/k_…)", self.split().0),
            _ => write!(f, "Aggregate({})", self.0),
        }
    }
}
