//! One trusted issuer: its keys, the tenants that it may speak for, and the checks of its tokens.

use std::{collections::HashMap, sync::Arc};

use gateway_core::access::{Claims, Role};
use jsonwebtoken::{Algorithm, Header};
use schemas::{Millis, access::MAX_TOKEN_LIFE_MS, codes::Code, ids::TenantId};
use serde_json::Value;

use super::{
    claim_mapping::{ClaimMapping, Payload},
    keys::{Key, KeySet, Keys},
    remote_keys::RemoteKeys,
};

/// How far an issuer's clock may be ahead of ours in `nbf` and `iat` unless configured: servers
/// with NTP differ by less. `exp` has no leeway, because a token that ends a second early costs
/// only one refresh.
pub(super) const DEFAULT_LEEWAY_MS: Millis = 5_000;

/// Where the keys of an issuer come from. All are configured: a token's own `jku`, `x5u` or `jwk`
/// is never followed.
pub(super) enum KeySource {
    Configured(KeySet),
    Remote(Arc<RemoteKeys>),
}

/// The tenants that an issuer may speak for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum TenantRule {
    /// Every token is of this tenant. A claim of the tenant is not read.
    Fixed(TenantId),
    /// The token names one of these.
    OneOf(Vec<TenantId>),
    /// The token names any tenant.
    Any,
}

impl TenantRule {
    /// Whether the rule names the tenant itself.
    pub(super) fn names(&self, tenant: &TenantId) -> bool {
        match self {
            Self::Fixed(one) => one == tenant,
            Self::OneOf(tenants) => tenants.contains(tenant),
            Self::Any => false,
        }
    }

    /// Whether two issuers may speak for the same tenant.
    pub(super) fn overlaps(&self, other: &Self) -> bool {
        let listed = |rule: &Self| match rule {
            Self::Fixed(tenant) => Some(vec![tenant.clone()]),
            Self::OneOf(tenants) => Some(tenants.clone()),
            Self::Any => None,
        };
        match (listed(self), listed(other)) {
            (Some(own), Some(others)) => own.iter().any(|tenant| others.contains(tenant)),
            _ => true,
        }
    }
}

/// A trusted issuer.
pub struct Issuer {
    pub(super) name: String,
    pub(super) audience: String,
    pub(super) keys: KeySource,
    pub(super) tenants: TenantRule,
    pub(super) mapping: ClaimMapping,
    pub(super) max_life_ms: Millis,
    pub(super) leeway_ms: Millis,
    /// Whether a token may leave out `iat`. Such a token counts as issued one longest life before
    /// its `exp`, so that every revocation that may concern it ends it, and no older one.
    pub(super) iat_optional: bool,
    pub(super) renewal: Renewal,
}

/// How long after its issue a token of each role may be renewed by the gateway, in milliseconds.
#[derive(Debug, Clone)]
pub(super) struct Renewal(pub(super) HashMap<Role, Millis>);

impl Default for Renewal {
    /// A display's token may be renewed for a month, a patient's for a day. Staff sign in at their
    /// issuer again.
    fn default() -> Self {
        const DAY_MS: Millis = 24 * 60 * 60 * 1000;
        Self(HashMap::from([(Role::Display, 30 * DAY_MS), (Role::Patient, DAY_MS)]))
    }
}

impl From<Keys> for Issuer {
    fn from(keys: Keys) -> Self {
        Self {
            name: keys.issuer,
            audience: keys.audience,
            keys: KeySource::Configured(keys.set),
            tenants: TenantRule::Any,
            mapping: ClaimMapping { super_admins: true, ..ClaimMapping::default() },
            max_life_ms: MAX_TOKEN_LIFE_MS,
            leeway_ms: DEFAULT_LEEWAY_MS,
            iat_optional: false,
            renewal: Renewal::default(),
        }
    }
}

impl Issuer {
    /// The key that a token with this header was signed with.
    ///
    /// # Errors
    /// `token_invalid`, or `try_again` while the keys of the issuer are not known.
    pub(super) fn key(&self, header: &Header) -> Result<Arc<Key>, Code> {
        let kid = header.kid.as_deref();
        let key = match &self.keys {
            KeySource::Configured(set) => set.find(kid).cloned().ok_or(Code::TokenInvalid)?,
            KeySource::Remote(remote) => remote.find(kid)?,
        };
        let algorithm: Algorithm = header.alg;
        if key.verifies(algorithm) { Ok(key) } else { Err(Code::TokenInvalid) }
    }

    /// Checks the payload of a token whose signature was verified with a key of this issuer.
    ///
    /// # Errors
    /// The code of the refusal.
    pub(super) fn judge(&self, payload: &Payload, now: Millis) -> Result<Claims, Code> {
        if payload.get("iss").and_then(Value::as_str) != Some(&self.name) {
            return Err(Code::TokenWrongIssuer);
        }
        if !names_audience(payload.get("aud"), &self.audience)? {
            return Err(Code::TokenWrongAudience);
        }
        if is_other_token(payload) {
            return Err(Code::TokenInvalid);
        }
        let expires = time(payload, "exp")?.ok_or(Code::TokenInvalid)?;
        let (not_before, issued) = (time(payload, "nbf")?, time(payload, "iat")?);
        if expires <= now {
            return Err(Code::TokenExpired);
        }
        let latest = now.saturating_add(self.leeway_ms);
        if not_before.is_some_and(|at| at > latest) || issued.is_some_and(|at| at > latest) {
            return Err(Code::TokenNotYetValid);
        }
        if expires - issued.unwrap_or(now) > self.max_life_ms {
            return Err(Code::TokenInvalid);
        }
        // Every access token has `iat` (RFC 9068 §2.2). Without it nobody can tell whether the
        // token was issued before a revocation or after it: as older than all of them it would lock
        // out its bearer for good, and as new it would undo each of them.
        let issued_at = match issued {
            Some(issued) => issued,
            None if self.iat_optional => expires.saturating_sub(self.max_life_ms),
            None => return Err(Code::TokenInvalid),
        };
        let tenant = self.tenant(payload)?;
        let mut claims = self.mapping.claims(payload, tenant, issued_at, expires)?;
        let renewal = self.renewal.0.get(&claims.role);
        if let (Some(issued), Some(renewal)) = (issued, renewal) {
            claims.origin.renewable_until = issued.saturating_add(*renewal);
        }
        Ok(claims)
    }

    fn tenant(&self, payload: &Payload) -> Result<TenantId, Code> {
        match &self.tenants {
            TenantRule::Fixed(tenant) => Ok(tenant.clone()),
            TenantRule::OneOf(tenants) => {
                let named = self.mapping.tenant(payload)?;
                if tenants.contains(&named) { Ok(named) } else { Err(Code::TokenInvalid) }
            }
            TenantRule::Any => self.mapping.tenant(payload),
        }
    }
}

/// Whether `aud`, a text or a list of texts, names the audience.
fn names_audience(claim: Option<&Value>, audience: &str) -> Result<bool, Code> {
    match claim {
        Some(Value::String(one)) => Ok(one == audience),
        Some(Value::Array(many)) if many.iter().all(Value::is_string) => {
            Ok(many.iter().any(|one| one == audience))
        }
        _ => Err(Code::TokenInvalid),
    }
}

/// Whether the payload says that this is an ID token or a refresh token. Keycloak says so in `typ`,
/// Cognito in `token_use`.
fn is_other_token(payload: &Payload) -> bool {
    let says = |claim: &str, good: &[&str]| {
        let word = payload.get(claim).and_then(Value::as_str);
        word.is_some_and(|word| !good.iter().any(|good| word.eq_ignore_ascii_case(good)))
    };
    says("typ", &["Bearer", "JWT", "at+jwt", "DPoP"]) || says("token_use", &["access"])
}

/// Reads a time in seconds. RFC 7519 allows fractions, but no text.
fn time(payload: &Payload, claim: &str) -> Result<Option<Millis>, Code> {
    /// The end of the year 9999. A larger number is a mistake, such as milliseconds.
    const LAST: f64 = 253_402_300_800.0;
    match payload.get(claim) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64() {
            Some(seconds) if (0.0..LAST).contains(&seconds) => Ok(Some((seconds * 1e3) as Millis)),
            _ => Err(Code::TokenInvalid),
        },
    }
}
