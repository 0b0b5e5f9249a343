//! The places of an issuer's claims, and their conversion to Clinicwire's claims and roles.

use std::{collections::HashMap, sync::Arc};

use gateway_core::access::{Claims, Origin, Role};
use schemas::{
    Millis,
    access::{MAX_TARGET_ID, TargetKind},
    codes::Code,
    ids::TenantId,
    record::is_attribute,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

/// The payload of a token.
pub(super) type Payload = Map<String, Value>;

/// The place of a claim: one name, which may contain dots and slashes as Auth0's namespaced claims
/// do, or the names from the outside in, such as Keycloak's `["realm_access", "roles"]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum ClaimPath {
    Name(String),
    Nested(Vec<String>),
}

impl ClaimPath {
    fn named(name: &str) -> Self {
        Self::Name(name.to_owned())
    }

    /// The claim, or `None` when it is absent or `null`.
    fn find<'a>(&self, payload: &'a Payload) -> Option<&'a Value> {
        let found = match self {
            Self::Name(name) => payload.get(name),
            Self::Nested(names) => {
                let (first, rest) = names.split_first()?;
                rest.iter().try_fold(payload.get(first)?, |value, name| value.get(name))
            }
        };
        found.filter(|value| !value.is_null())
    }
}

/// The place of each claim. The defaults are Clinicwire's own names.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClaimPaths {
    /// The tenant.
    pub tenant: ClaimPath,
    /// A word, or an array of words of which at least one is known.
    pub role: ClaimPath,
    /// The locations to which the token is bound.
    pub locations: ClaimPath,
    /// The queues to which the token is bound.
    pub queues: ClaimPath,
    /// The tickets of a patient.
    pub tickets: ClaimPath,
    /// The appointments of a patient.
    pub appointments: ClaimPath,
    /// The doctor whose schedule the token opens.
    pub doctor: ClaimPath,
    /// The session at the issuer. OpenID Connect calls it `sid`.
    pub session: ClaimPath,
    /// The device of a display.
    pub device: ClaimPath,
    /// The link that the token was exchanged for.
    pub ticket_link: ClaimPath,
    /// The version of the subject's permissions at the issue of the token.
    pub permission_version: ClaimPath,
}

impl Default for ClaimPaths {
    fn default() -> Self {
        let named = ClaimPath::named;
        Self {
            tenant: named("tenant"),
            role: named("role"),
            locations: named("locations"),
            queues: named("queues"),
            tickets: named("tickets"),
            appointments: named("appointments"),
            doctor: named("doctor"),
            session: named("sid"),
            device: named("device"),
            ticket_link: named("ticket_link"),
            permission_version: named("permission_version"),
        }
    }
}

/// Converts the payload of a verified token to claims.
#[derive(Debug, Clone, Default)]
pub(super) struct ClaimMapping {
    pub(super) paths: ClaimPaths,
    /// Role words of the issuer beside the built-in ones, in the form of [`normal_word`].
    pub(super) roles: HashMap<String, Role>,
    /// Whether the issuer may give the role `super_admin`. Otherwise the word is unknown.
    pub(super) super_admins: bool,
    /// Put before each subject, so that two issuers of one tenant never name the same person.
    pub(super) subject_prefix: String,
}

impl ClaimMapping {
    /// The tenant that the token names.
    ///
    /// # Errors
    /// `token_invalid` without one.
    pub(super) fn tenant(&self, payload: &Payload) -> Result<TenantId, Code> {
        optional(&self.paths.tenant, payload)?.ok_or(Code::TokenInvalid)
    }

    /// The claims of a payload whose issuer, audience and times were checked.
    ///
    /// # Errors
    /// `token_invalid` when a claim is missing or has the wrong type.
    pub(super) fn claims(
        &self,
        payload: &Payload,
        tenant: TenantId,
        issued: Millis,
        expires: Millis,
    ) -> Result<Claims, Code> {
        let paths = &self.paths;
        let subject = payload.get("sub").and_then(Value::as_str).ok_or(Code::TokenInvalid)?;
        let subject: Arc<str> = format!("{}{subject}", self.subject_prefix).into();
        let is_named = subject.len() > self.subject_prefix.len();
        // Processors set aside a command whose subject not every store can keep.
        if !is_named || subject.len() > super::MAX_SUBJECT || !is_attribute(&subject) {
            return Err(Code::TokenInvalid);
        }
        let origin = self.origin(payload, &tenant, &subject, issued)?;
        Ok(Claims {
            role: self.role(payload)?,
            locations: list(&paths.locations, payload)?,
            queues: list(&paths.queues, payload)?,
            tickets: list(&paths.tickets, payload)?,
            appointments: list(&paths.appointments, payload)?,
            doctor: optional(&paths.doctor, payload)?,
            tenant,
            subject,
            expires,
            origin,
        })
    }

    fn origin(
        &self,
        payload: &Payload,
        tenant: &TenantId,
        subject: &str,
        issued: Millis,
    ) -> Result<Origin, Code> {
        let mut origin = Origin::new(tenant, subject, issued);
        let paths = &self.paths;
        origin.permission_version = optional(&paths.permission_version, payload)?;
        let token_id = ClaimPath::named("jti");
        let device = (TargetKind::Device, &paths.device);
        let link = (TargetKind::TicketLink, &paths.ticket_link);
        // A token belongs to a device or to a link. If it names both, the link is ignored.
        let bearer = if paths.device.find(payload).is_some() { device } else { link };
        let session = TargetKind::Session;
        for (kind, path) in [(session, &paths.session), (session, &token_id), bearer] {
            let id: Option<String> = optional(path, payload)?;
            if let Some(id) = id {
                if id.is_empty() || id.len() > MAX_TARGET_ID {
                    return Err(Code::TokenInvalid);
                }
                origin.add(tenant, kind, &id);
            }
        }
        Ok(origin)
    }

    /// The role. Issuers list many words that mean nothing here, such as Keycloak's
    /// `offline_access`. Of several roles the one with the widest rights counts, in the order of
    /// [`WIDEST_FIRST`].
    fn role(&self, payload: &Payload) -> Result<Role, Code> {
        let named: Vec<Role> = match self.paths.role.find(payload) {
            Some(Value::String(word)) => self.known_role(word).into_iter().collect(),
            Some(Value::Array(words)) => words
                .iter()
                .map(|word| word.as_str().ok_or(Code::TokenInvalid))
                .collect::<Result<Vec<_>, _>>()?
                .into_iter()
                .filter_map(|word| self.known_role(word))
                .collect(),
            _ => return Err(Code::TokenInvalid),
        };
        WIDEST_FIRST.into_iter().find(|role| named.contains(role)).ok_or(Code::TokenInvalid)
    }

    fn known_role(&self, word: &str) -> Option<Role> {
        let word = normal_word(word);
        let built_in = || match word.as_str() {
            "clinic_admin" => Some(Role::Admin),
            "receptionist" => Some(Role::Reception),
            word => Role::ALL.into_iter().find(|role| role.as_str() == word),
        };
        let role = self.roles.get(&word).copied().or_else(built_in)?;
        (role != Role::SuperAdmin || self.super_admins).then_some(role)
    }
}

/// All roles, the one that reaches most first.
pub(super) const WIDEST_FIRST: [Role; Role::ALL.len()] = [
    Role::SuperAdmin,
    Role::Admin,
    Role::Reception,
    Role::SupportStaff,
    Role::Doctor,
    Role::Therapist,
    Role::Counselor,
    Role::Pharmacist,
    Role::LabTechnician,
    Role::FinanceBilling,
    Role::Editor,
    Role::Viewer,
    Role::Source,
    Role::Display,
    Role::Patient,
    Role::CheckInPoint,
];

/// The form in which role words are compared: lower case, with `_` between the parts.
pub(super) fn normal_word(word: &str) -> String {
    word.trim().to_lowercase().replace(['-', ' '], "_")
}

fn optional<T: DeserializeOwned>(path: &ClaimPath, payload: &Payload) -> Result<Option<T>, Code> {
    let read = |value: &Value| T::deserialize(value).map_err(|_| Code::TokenInvalid);
    path.find(payload).map(read).transpose()
}

fn list<T: DeserializeOwned>(path: &ClaimPath, payload: &Payload) -> Result<Vec<T>, Code> {
    Ok(optional(path, payload)?.unwrap_or_default())
}

#[cfg(test)]
mod tests;
