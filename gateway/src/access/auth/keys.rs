//! Keys that verify tokens: those of an issuer, and the shared secret of a development node.

use std::{collections::HashMap, sync::Arc};

use gateway_core::access::Claims;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use schemas::{
    Millis,
    ids::{AppointmentId, DoctorId, LocationId, QueueId, TenantId, TicketId},
};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{DEFAULT_AUDIENCE, KeyAlgorithm, KeyError};

/// The key id of development tokens.
pub(super) const DEVELOPMENT_KID: &str = "insecure-development-key";
/// The default words of a development key. They are public, so such a key protects nothing.
pub const WELL_KNOWN_WORDS: &str = "clinicwire development";
/// The issuer of development tokens.
pub(super) const DEVELOPMENT_ISSUER: &str = "clinicwire-development";

/// A key with the only algorithms that it verifies, whatever the header of a token asks for.
pub(super) struct Key {
    pub(super) key: DecodingKey,
    pub(super) validation: Validation,
}

impl Key {
    pub(super) fn new(algorithms: Vec<Algorithm>, key: DecodingKey) -> Self {
        // The library checks the signature only. `Issuer::judge` checks the claims with the
        // caller's clock.
        let mut validation = Validation { algorithms, ..Validation::default() };
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        Self { key, validation }
    }

    pub(super) fn verifies(&self, algorithm: Algorithm) -> bool {
        self.validation.algorithms.contains(&algorithm)
    }
}

/// Keys by their ids.
#[derive(Clone, Default)]
pub(super) struct KeySet(HashMap<String, Arc<Key>>);

impl KeySet {
    /// # Errors
    /// [`KeyError::SameKid`] when the id is taken.
    pub(super) fn add(&mut self, kid: &str, key: Key) -> Result<(), KeyError> {
        match self.0.insert(kid.to_owned(), Arc::new(key)) {
            None => Ok(()),
            Some(_) => Err(KeyError::SameKid),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn contains(&self, kid: &str) -> bool {
        self.0.contains_key(kid)
    }

    /// Finds the key of this id. Issuers with one key often omit the id.
    pub(super) fn find(&self, kid: Option<&str>) -> Option<&Arc<Key>> {
        match kid {
            Some(kid) => self.0.get(kid),
            None if self.0.len() == 1 => self.0.values().next(),
            None => None,
        }
    }
}

/// One issuer with configured keys, whose tokens have Clinicwire's own claims.
#[derive(Clone)]
pub struct Keys {
    pub(super) issuer: String,
    pub(super) audience: String,
    pub(super) set: KeySet,
}

impl Keys {
    /// An empty set of keys, for tokens that `issuer` issued for `audience`.
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self { issuer: issuer.into(), audience: audience.into(), set: KeySet::default() }
    }

    /// Trusts a public key under its key id.
    ///
    /// # Errors
    /// [`KeyError`] when this is no public key of that algorithm, too weak, or its id is taken.
    pub fn add_pem(
        &mut self,
        kid: &str,
        algorithm: KeyAlgorithm,
        pem: &[u8],
    ) -> Result<(), KeyError> {
        self.set.add(kid, pem_key(algorithm, pem)?)
    }
}

/// Reads a public key in PEM.
fn pem_key(algorithm: KeyAlgorithm, pem: &[u8]) -> Result<Key, KeyError> {
    /// The DER form of an RSA public key with a modulus of 2048 bits has 270 bytes.
    const RSA_2048_DER: usize = 256;
    if pem.windows(11).any(|window| window == b"PRIVATE KEY") {
        return Err(KeyError::Private);
    }
    let key = match algorithm.family() {
        KeyFamily::Rsa => DecodingKey::from_rsa_pem(pem),
        KeyFamily::Ec => DecodingKey::from_ec_pem(pem),
        KeyFamily::Ed => DecodingKey::from_ed_pem(pem),
    }
    .map_err(KeyError::Unreadable)?;
    check_use(&key, algorithm)?;
    let bytes = key.try_get_as_bytes().map_err(KeyError::Unreadable)?;
    if algorithm.family() == KeyFamily::Rsa && bytes.len() < RSA_2048_DER {
        return Err(KeyError::Short);
    }
    Ok(Key::new(vec![algorithm.jwt()], key))
}

/// Uses the key once: the library notices a key of another curve only on use.
///
/// # Errors
/// [`KeyError::Unreadable`]
pub(super) fn check_use(key: &DecodingKey, algorithm: KeyAlgorithm) -> Result<(), KeyError> {
    jsonwebtoken::crypto::verify("AAAA", b"", key, algorithm.jwt())
        .map(drop)
        .map_err(KeyError::Unreadable)
}

/// The kind of key that an algorithm needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyFamily {
    Rsa,
    Ec,
    Ed,
}

/// A shared secret in place of an issuer's key, for development and demonstrations only.
#[derive(Clone)]
pub struct DevelopmentKey([u8; 32]);

impl DevelopmentKey {
    /// The key with these 32 bytes.
    pub fn new(secret: [u8; 32]) -> Self {
        Self(secret)
    }

    /// The same words give the same key, so that several nodes and scripts agree on one.
    pub fn from_words(words: &str) -> Self {
        Self(Sha256::digest(words.as_bytes()).into())
    }

    /// A set of keys that trusts only this key.
    pub fn keys(&self) -> Keys {
        let mut keys = Keys::new(DEVELOPMENT_ISSUER, DEFAULT_AUDIENCE);
        let key = DecodingKey::from_secret(&self.secret("token"));
        keys.set
            .add(DEVELOPMENT_KID, Key::new(vec![Algorithm::HS256], key))
            .expect("a new set of keys has no second key of this id");
        keys
    }

    /// The secret for the ids of SSE events that belongs to this key.
    pub fn grant_secret(&self) -> [u8; 32] {
        self.secret("grant")
    }

    /// Derives one secret per purpose, so that a token is never a valid grant.
    pub(super) fn secret(&self, purpose: &str) -> [u8; 32] {
        Sha256::new().chain_update(self.0).chain_update(purpose).finalize().into()
    }
}

/// Signs a token that a gateway with this development key accepts from `not_before` until
/// `claims.expires`.
pub fn development_token(key: &DevelopmentKey, claims: &Claims, not_before: Millis) -> String {
    let body = DevelopmentBody {
        iss: DEVELOPMENT_ISSUER,
        aud: DEFAULT_AUDIENCE,
        sub: &claims.subject,
        exp: claims.expires / 1000,
        nbf: not_before / 1000,
        iat: not_before / 1000,
        tenant: &claims.tenant,
        role: claims.role.as_str(),
        locations: &claims.locations,
        queues: &claims.queues,
        tickets: &claims.tickets,
        appointments: &claims.appointments,
        doctor: claims.doctor.as_ref(),
        permission_version: claims.origin.permission_version,
    };
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some(DEVELOPMENT_KID.to_owned());
    jsonwebtoken::encode(&header, &body, &EncodingKey::from_secret(&key.secret("token")))
        .expect("our own claims have a JSON form and HMAC takes any key")
}

/// The claims of a development token. Times are seconds.
#[derive(Serialize)]
struct DevelopmentBody<'a> {
    iss: &'static str,
    aud: &'static str,
    sub: &'a str,
    exp: i64,
    nbf: i64,
    iat: i64,
    tenant: &'a TenantId,
    role: &'static str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    locations: &'a [LocationId],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    queues: &'a [QueueId],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    tickets: &'a [TicketId],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    appointments: &'a [AppointmentId],
    #[serde(skip_serializing_if = "Option::is_none")]
    doctor: Option<&'a DoctorId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    permission_version: Option<u32>,
}
