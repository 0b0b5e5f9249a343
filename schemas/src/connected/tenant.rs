//! Tenants as super admins create and change them: quotas, limits and times of keeping data. Each
//! is an aggregate of its own, whose records of `clinicwire.access.v1` every gateway and processor
//! reads.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    Millis,
    codes::Code,
    ids::TenantId,
    record::{Actor, WireRecord},
};

/// Longest name in characters.
pub const MAX_NAME: usize = 200;
/// Longest time for which anything is kept, in days: ten years.
pub const MAX_DAYS: u32 = 3_650;
/// Most limits that a tenant may have of its own: more than there are names of limits.
pub const MAX_LIMITS: usize = 100;

/// The id under which the limits of the whole installation are stored. No tenant may have it.
pub const INSTALLATION: &str = "clinicwire-installation";

/// The part of a tenant that a super admin chooses.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct TenantSettings {
    /// The name of the organisation, for super admins. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The most that the tenant may have.
    #[serde(default)]
    pub quotas: TenantQuotas,
    /// The limits of the tenant's requests and connections that differ from the installation's, by
    /// name: `"desk": "900/60"`, `"connections-tenant": "500"` or `"rest": "off"`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub limits: BTreeMap<String, String>,
    /// How long data is kept.
    #[serde(default)]
    pub retention: TenantRetention,
}

/// The most that a tenant may have. Absent: no quota.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct TenantQuotas {
    /// Most locations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locations: Option<u32>,
    /// Most queues of each location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queues: Option<u32>,
    /// Most people in line at each location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live_tickets: Option<u32>,
}

/// How long data of a tenant is kept, in days. Absent: as the installation says.
#[derive(Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct TenantRetention {
    /// Days that the history of tickets is kept.
    #[cfg_attr(any(test, feature = "json-schema"), schemars(range(min = 1, max = MAX_DAYS)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_days: Option<u32>,
    /// Days that claims runs are kept, with their findings. New runs get the new time.
    #[cfg_attr(any(test, feature = "json-schema"), schemars(range(min = 1, max = MAX_DAYS)))]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_days: Option<u32>,
}

impl TenantSettings {
    /// The field that is outside of its bounds, and the bounds. Gateways check the values of the
    /// limits besides.
    pub fn fault(&self) -> Option<(&'static str, &'static str)> {
        let is_name = |name: &String| {
            !name.is_empty()
                && name.chars().count() <= MAX_NAME
                && !name.chars().any(char::is_control)
        };
        let TenantRetention { history_days, run_days } = self.retention;
        let days = [history_days, run_days].into_iter().flatten();
        if !self.name.iter().all(is_name) {
            return Some(("name", "1 to 200 characters in one line"));
        }
        if !days.into_iter().all(|days| (1..=MAX_DAYS).contains(&days)) {
            return Some(("retention", "1 to 3650 days"));
        }
        (self.limits.len() > MAX_LIMITS).then_some(("limits", "at most 100"))
    }
}

/// A tenant that a super admin has created.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct StoredTenant {
    /// The settings.
    pub settings: TenantSettings,
    /// When it was created.
    pub created_at: Millis,
    /// The version of the last change, for a change that must not overwrite another one.
    pub edition: u64,
    /// The person who made the last change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<Actor>,
}

/// The type of the settings of a tenant.
pub(super) const SETTINGS_TYPE: &str = "clinicwire.access.tenant_settings.v1";

impl StoredTenant {
    /// The key of the record: `<tenant>/settings`, so that compaction keeps the last settings.
    fn key(tenant: &TenantId) -> String {
        format!("{tenant}/settings")
    }

    /// Writes the record. Its id follows from the edition, so that a record that is written again
    /// is the same.
    ///
    /// # Panics
    /// Never: all settings have a JSON form.
    pub fn to_wire(&self, tenant: &TenantId) -> WireRecord {
        let value = serde_json::to_vec(self).expect("settings always have a JSON form");
        let headers = super::access::headers(SETTINGS_TYPE, self.edition.into());
        WireRecord { key: Self::key(tenant), headers, value: value.into() }
    }

    pub(super) fn from_wire(record: &WireRecord) -> Result<(TenantId, Self), Code> {
        let tenant = super::access::tenant_of(record)?;
        let stored = serde_json::from_slice(&record.value).map_err(|_| Code::RecordMalformed)?;
        if Self::key(&tenant) != record.key {
            return Err(Code::RecordForeignId);
        }
        Ok((tenant, stored))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::AccessRecord;

    #[test]
    fn settings_survive_their_record() {
        let quotas = TenantQuotas { live_tickets: Some(7), ..TenantQuotas::default() };
        let settings = TenantSettings { quotas, ..TenantSettings::default() };
        let stored = StoredTenant { settings, created_at: 7, edition: 3, by: None };
        let tenant = TenantId::new("demo").unwrap();
        let record = stored.to_wire(&tenant);
        assert!(AccessRecord::from_wire(&record) == Ok(AccessRecord::Settings(tenant, stored)));
        let moved = WireRecord { key: "demo/elsewhere".to_owned(), ..record };
        assert_eq!(AccessRecord::from_wire(&moved).err(), Some(Code::RecordForeignId));
    }

    #[test]
    fn values_out_of_bounds_are_named() {
        let settings = |text: &str| serde_json::from_str::<TenantSettings>(text).unwrap();
        for (text, field) in [
            ("{}", None),
            (r#"{"name": "North", "retention": {"run_days": 3650}}"#, None),
            (r#"{"name": ""}"#, Some("name")),
            (r#"{"retention": {"run_days": 0}}"#, Some("retention")),
            (r#"{"retention": {"history_days": 3651}}"#, Some("retention")),
        ] {
            assert_eq!(settings(text).fault().map(|(field, _)| field), field, "{text}");
        }
        let limits = |count| {
            let limits = (0..count).map(|n| (n.to_string(), 1.to_string())).collect();
            TenantSettings { limits, ..TenantSettings::default() }.fault()
        };
        assert_eq!(limits(MAX_LIMITS), None);
        assert_eq!(limits(MAX_LIMITS + 1).unwrap().0, "limits");
    }
}
