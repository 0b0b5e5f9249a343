//! Tokens that Clinicwire issues itself: successors of tokens that may be renewed, those of ticket
//! links and displays, and the short token of a super admin in another tenant. All nodes sign and
//! accept them with one secret.

use gateway_core::access::{Claims, Credential, Origin, Role};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use schemas::{
    Millis,
    access::{RevocationTag, TargetKind},
    codes::Code,
    ids::{AppointmentId, DoctorId, LocationId, QueueId, TenantId, TicketId},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The issuer of own tokens. No other issuer may have this name.
pub const OWN_ISSUER: &str = "clinicwire";
/// The life of a renewed token. A page renews it halfway, so a node may be away for half of it.
pub const RENEWED_LIFE_MS: Millis = 60 * 60 * 1000;
/// The life of a renewed token of a display, which may be switched off at night.
pub const DISPLAY_LIFE_MS: Millis = 24 * 60 * 60 * 1000;
/// How long a super admin may stay in another tenant, and staff at another location.
pub const CROSSING_LIFE_MS: Millis = 15 * 60 * 1000;

/// Signs and verifies own tokens.
pub struct OwnTokens {
    signing: EncodingKey,
    verifying: DecodingKey,
    validation: Validation,
}

/// The payload of an own token. Times are milliseconds.
#[derive(Serialize, Deserialize)]
struct OwnPayload {
    iss: String,
    sub: String,
    /// Seconds, for programs that look into tokens.
    exp: i64,
    expires: Millis,
    tenant: TenantId,
    role: Role,
    locations: Vec<LocationId>,
    queues: Vec<QueueId>,
    tickets: Vec<TicketId>,
    appointments: Vec<AppointmentId>,
    doctor: Option<DoctorId>,
    issued: Millis,
    permission_version: Option<u32>,
    permissions: u64,
    tags: Vec<u64>,
    renewable_until: Millis,
    /// Whether a super admin crossed into this tenant, or staff to this location. Pages show it.
    crossed: bool,
    credential: Credential,
}

impl OwnTokens {
    /// `secret` is that of the nodes' grants.
    pub fn new(secret: &[u8; 32]) -> Self {
        let secret =
            Sha256::new().chain_update(secret).chain_update("clinicwire own tokens").finalize();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_aud = false;
        Self {
            signing: EncodingKey::from_secret(&secret),
            verifying: DecodingKey::from_secret(&secret),
            validation,
        }
    }

    /// Signs a token with these claims.
    pub fn sign(&self, claims: &Claims) -> String {
        let Origin { issued, permission_version, permissions, tags, .. } = claims.origin;
        let payload = OwnPayload {
            iss: OWN_ISSUER.to_owned(),
            sub: claims.subject.to_string(),
            exp: claims.expires / 1000,
            expires: claims.expires,
            tenant: claims.tenant.clone(),
            role: claims.role,
            locations: claims.locations.clone(),
            queues: claims.queues.clone(),
            tickets: claims.tickets.clone(),
            appointments: claims.appointments.clone(),
            doctor: claims.doctor.clone(),
            issued,
            permission_version,
            permissions: permissions.0,
            tags: tags.iter().map(|tag| tag.0).collect(),
            renewable_until: claims.origin.renewable_until,
            crossed: claims.origin.crossed,
            credential: claims.origin.credential,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &payload, &self.signing)
            .expect("our own claims have a JSON form and HMAC takes any key")
    }

    /// Verifies a token whose issuer is [`OWN_ISSUER`].
    ///
    /// # Errors
    /// `token_invalid` or `token_expired`.
    pub fn verify(&self, token: &str, now: Millis) -> Result<Claims, Code> {
        let claims = self.read(token)?;
        if claims.expires <= now { Err(Code::TokenExpired) } else { Ok(claims) }
    }

    /// Like [`OwnTokens::verify`], for a token that is to be renewed: that of a display may have
    /// expired, because the screen was switched off.
    ///
    /// # Errors
    /// `token_invalid`, or `token_expired` when the token cannot be renewed any more.
    pub fn verify_for_renewal(&self, token: &str, now: Millis) -> Result<Claims, Code> {
        let claims = self.read(token)?;
        let until = match claims.origin.credential {
            Credential::Display { .. } => claims.origin.renewable_until,
            Credential::Issued | Credential::TicketLink => claims.expires,
        };
        if until <= now { Err(Code::TokenExpired) } else { Ok(claims) }
    }

    fn read(&self, token: &str) -> Result<Claims, Code> {
        let decoded = jsonwebtoken::decode::<OwnPayload>(token, &self.verifying, &self.validation);
        let payload = decoded.map_err(|_| Code::TokenInvalid)?.claims;
        if payload.iss != OWN_ISSUER {
            return Err(Code::TokenInvalid);
        }
        let tags: Vec<_> = payload.tags.into_iter().map(RevocationTag).collect();
        let origin = Origin {
            issued: payload.issued,
            permission_version: payload.permission_version,
            permissions: RevocationTag(payload.permissions),
            tags: tags.try_into().map_err(|_| Code::TokenInvalid)?,
            renewable_until: payload.renewable_until,
            crossed: payload.crossed,
            credential: payload.credential,
        };
        Ok(Claims {
            tenant: payload.tenant,
            subject: payload.sub.into(),
            role: payload.role,
            locations: payload.locations,
            queues: payload.queues,
            tickets: payload.tickets,
            appointments: payload.appointments,
            doctor: payload.doctor,
            expires: payload.expires,
            origin,
        })
    }
}

/// The claims of the token that follows a valid one of an issuer. It has the same rights and the
/// same origin, so that a revocation of the first token ends it too.
///
/// # Errors
/// `not_renewable` when the issuer allows no renewal, or none any more.
pub fn renewed(claims: &Claims, now: Millis) -> Result<Claims, Code> {
    let life = if claims.role == Role::Display { DISPLAY_LIFE_MS } else { RENEWED_LIFE_MS };
    let until = claims.origin.renewable_until;
    if claims.origin.crossed || until <= now {
        return Err(Code::NotRenewable);
    }
    // A renewal never ends before the token that it replaces.
    let expires = (now + life).min(until).max(claims.expires);
    Ok(Claims { expires, ..claims.clone() })
}

/// The claims of a super admin in another tenant.
///
/// # Errors
/// `forbidden` unless the bearer is a super admin with a token of its own tenant, which is another.
pub fn crossed(claims: &Claims, tenant: TenantId, now: Millis) -> Result<Claims, Code> {
    let crosses = claims.role == Role::SuperAdmin && !claims.origin.crossed;
    if !crosses || claims.tenant == tenant || !claims.locations.is_empty() {
        return Err(Code::Forbidden);
    }
    // Admins of the other tenant can end the crossing by its subject or session. Admins of the own
    // tenant end it with the first token.
    let mut origin = Origin::new(&tenant, &claims.subject, now);
    let session = format!("crossing:{}", claims.origin.session());
    origin.add(&tenant, TargetKind::Session, &session);
    origin.add_home(&claims.origin);
    origin.crossed = true;
    Ok(Claims {
        tenant,
        subject: claims.subject.clone(),
        role: Role::SuperAdmin,
        locations: Vec::new(),
        queues: Vec::new(),
        tickets: Vec::new(),
        appointments: Vec::new(),
        doctor: None,
        expires: (now + CROSSING_LIFE_MS).min(claims.expires),
        origin,
    })
}

/// The claims of staff who reach a location of their tenant at which they do not work, in an
/// emergency. They have the rights of their role there. A revocation of the first token ends this
/// one too.
///
/// # Errors
/// `forbidden` unless the role works at locations, its token lists some, and this is none of them.
pub fn crossed_to_location(
    claims: &Claims,
    location: LocationId,
    now: Millis,
) -> Result<Claims, Code> {
    let crosses = claims.role.works_at_locations() && !claims.origin.crossed;
    if !crosses || claims.locations.is_empty() || claims.locations.contains(&location) {
        return Err(Code::Forbidden);
    }
    let mut crossed = claims.clone();
    // The crossing is a session of its own, so that it can be ended alone.
    let session = format!("crossing:{location}:{}", claims.origin.session());
    crossed.origin.begin_session(&claims.tenant, &session);
    crossed.locations = vec![location];
    crossed.queues = Vec::new();
    crossed.expires = (now + CROSSING_LIFE_MS).min(claims.expires);
    crossed.origin.crossed = true;
    crossed.origin.renewable_until = 0;
    Ok(crossed)
}

#[cfg(test)]
mod tests;
