//! Tokens: the trusted issuers, and the checks a token must pass before its claims are used.

mod claim_mapping;
mod issuer;
mod issuers_file;
mod jwks;
mod keys;
mod remote_keys;

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use gateway_core::access::{Claims, Origin, Role};
use jsonwebtoken::{Algorithm, Header, errors::Error as JwtError};
use schemas::{Millis, codes::Code, ids::TenantId};
use serde::Deserialize;

use self::{claim_mapping::Payload, issuer::KeySource, keys::KeyFamily, remote_keys::RemoteKeys};
use super::{
    own_tokens::{OWN_ISSUER, OwnTokens},
    revocations::Revocations,
};
use crate::readiness::{Condition, Readiness};

pub use self::{
    issuer::Issuer,
    issuers_file::IssuersFault,
    keys::{DevelopmentKey, Keys, WELL_KNOWN_WORDS, development_token},
    remote_keys::{FETCH_WITHIN, FetchDocument, FetchError, MAX_DOCUMENT},
};

/// Largest token: it must fit a header line and the first message on a socket. A longer one is
/// `token_invalid`.
pub const MAX_TOKEN: usize = 8 * 1024;
/// Longest subject in bytes: it is part of every record and every SSE id.
pub const MAX_SUBJECT: usize = 128;
/// The audience of tokens unless configured.
pub const DEFAULT_AUDIENCE: &str = "clinicwire";
/// How often the state of fetched keys is copied to the node's readiness.
const REPORT_INTERVAL: std::time::Duration = std::time::Duration::from_millis(200);

/// A signature algorithm. A key verifies only the algorithms it was configured for, whatever the
/// header of a token asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[expect(missing_docs, reason = "the names are those of JSON Web Algorithms (RFC 7518, RFC 8037)")]
pub enum KeyAlgorithm {
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "RS384")]
    Rs384,
    #[serde(rename = "RS512")]
    Rs512,
    #[serde(rename = "PS256")]
    Ps256,
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "ES384")]
    Es384,
    #[serde(rename = "EdDSA")]
    EdDsa,
}

impl std::str::FromStr for KeyAlgorithm {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        Self::deserialize(serde::de::value::StrDeserializer::<serde::de::value::Error>::new(text))
            .map_err(|_| KeyError::UnknownAlgorithm)
    }
}

impl KeyAlgorithm {
    fn jwt(self) -> Algorithm {
        match self {
            Self::Rs256 => Algorithm::RS256,
            Self::Rs384 => Algorithm::RS384,
            Self::Rs512 => Algorithm::RS512,
            Self::Ps256 => Algorithm::PS256,
            Self::Es256 => Algorithm::ES256,
            Self::Es384 => Algorithm::ES384,
            Self::EdDsa => Algorithm::EdDSA,
        }
    }

    fn family(self) -> KeyFamily {
        match self {
            Self::Rs256 | Self::Rs384 | Self::Rs512 | Self::Ps256 => KeyFamily::Rsa,
            Self::Es256 | Self::Es384 => KeyFamily::Ec,
            Self::EdDsa => KeyFamily::Ed,
        }
    }
}

/// Why a key cannot be used. The text never quotes the key.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what is wrong")]
pub enum KeyError {
    #[error("no key is configured: no token could ever be verified")]
    NoKeys,
    #[error("two keys have the same key id")]
    SameKid,
    #[error("the algorithm is none of RS256, RS384, RS512, PS256, ES256, ES384, EdDSA")]
    UnknownAlgorithm,
    #[error("this is a private key: give the public one, a gateway never signs")]
    Private,
    #[error("the RSA key is shorter than 2048 bits")]
    Short,
    #[error("not a PEM public key for this algorithm")]
    Unreadable(#[source] JwtError),
    #[error("this build cannot verify tokens signed with {0}")]
    SelfTest(&'static str),
}

/// The issuers that a node trusts. Clones share their keys.
#[derive(Clone)]
pub struct Issuers(Arc<[Issuer]>);

impl From<Keys> for Issuers {
    fn from(keys: Keys) -> Self {
        Self::new(vec![keys.into()])
    }
}

impl Issuers {
    fn new(issuers: Vec<Issuer>) -> Self {
        Self(issuers.into())
    }

    fn find(&self, name: &str) -> Option<&Issuer> {
        self.0.iter().find(|issuer| issuer.name == name)
    }

    fn remote(&self) -> Vec<Arc<RemoteKeys>> {
        let remote = |issuer: &Issuer| match &issuer.keys {
            KeySource::Remote(remote) => Some(remote.clone()),
            KeySource::Configured(_) => None,
        };
        self.0.iter().filter_map(remote).collect()
    }

    /// Whether no token could be verified now, because the keys of every issuer are still to be
    /// fetched.
    pub fn lack_keys(&self) -> bool {
        let remote = self.remote();
        remote.len() == self.0.len() && remote.iter().all(|keys| !keys.has_keys())
    }

    /// Fetches keys for as long as it is polled, and sets the conditions of the node that follow
    /// from them. Returns at once when all keys are configured.
    pub async fn keep_fresh(self, readiness: Readiness) {
        let remote = self.remote();
        if remote.is_empty() {
            return;
        }
        let fetching = remote.iter().map(|keys| keys.keep_fresh());
        let report = async {
            loop {
                readiness.set(Condition::KeysMissing, self.lack_keys());
                readiness.set(Condition::KeysLate, remote.iter().any(|keys| keys.is_late()));
                tokio::time::sleep(REPORT_INTERVAL).await;
            }
        };
        tokio::join!(futures_util::future::join_all(fetching), report);
    }
}

/// Checks tokens. The checks are pure: time is an argument, and nothing is fetched.
pub struct Verifier {
    issuers: Issuers,
    revocations: Arc<Revocations>,
    own_tokens: Option<OwnTokens>,
}

impl Verifier {
    /// Trusts these issuers, after checking that this build verifies every algorithm. Otherwise
    /// the first token would reveal a build without a backend for its algorithm.
    ///
    /// # Errors
    /// [`KeyError`] when an issuer has no key, or when a known token of an algorithm is not
    /// verified.
    pub fn new(issuers: impl Into<Issuers>) -> Result<Self, KeyError> {
        let issuers = issuers.into();
        let lacks_keys = |issuer: &Issuer| match &issuer.keys {
            KeySource::Configured(set) => set.is_empty(),
            KeySource::Remote(_) => false,
        };
        if issuers.0.is_empty() || issuers.0.iter().any(lacks_keys) {
            return Err(KeyError::NoKeys);
        }
        self_test()?;
        Ok(unchecked(issuers))
    }

    /// Accepts tokens that the nodes with this secret issued too.
    pub fn with_own_tokens(self, secret: &[u8; 32]) -> Self {
        Self { own_tokens: Some(OwnTokens::new(secret)), ..self }
    }

    /// Signs a token that the nodes with the same secret accept.
    ///
    /// # Errors
    /// `unavailable` without such a secret.
    pub fn sign(&self, claims: &Claims) -> Result<String, Code> {
        self.own_tokens.as_ref().map(|own| own.sign(claims)).ok_or(Code::Unavailable)
    }

    /// Whether the configuration names the tenant as one that an issuer speaks for.
    pub fn names(&self, tenant: &TenantId) -> bool {
        self.issuers.0.iter().any(|issuer| issuer.tenants.names(tenant))
    }

    /// When the crossing of this token ends, if it is one. Revocations are not checked.
    pub fn crossing_end(&self, token: &str, now: Millis) -> Option<Millis> {
        let own = self.own_tokens.as_ref().filter(|_| token.len() <= MAX_TOKEN)?;
        own.verify(token, now).ok().filter(|it| it.origin.crossed).map(|it| it.expires)
    }

    /// Refuses revoked tokens too.
    pub fn with_revocations(self, revocations: Arc<Revocations>) -> Self {
        Self { revocations, ..self }
    }

    /// Checks that the token behind these claims was not revoked.
    ///
    /// # Errors
    /// The code of the refusal.
    pub fn check(&self, claims: &Claims) -> Result<(), Code> {
        self.revocations.check(claims)
    }

    /// Verifies a token and returns its claims.
    ///
    /// # Errors
    /// The code of the refusal. No claim of a token with a bad signature is used, except to choose
    /// the issuer whose keys must verify it.
    pub fn verify(&self, token: &str, now: Millis) -> Result<Claims, Code> {
        self.verify_by(token, now, OwnTokens::verify)
    }

    /// Verifies a token that asks to be renewed, by the rules of [`Verifier::verify`]. Only the
    /// credential of a display may have expired.
    ///
    /// # Errors
    /// The code of the refusal.
    pub fn verify_for_renewal(&self, token: &str, now: Millis) -> Result<Claims, Code> {
        self.verify_by(token, now, OwnTokens::verify_for_renewal)
    }

    fn verify_by(
        &self,
        token: &str,
        now: Millis,
        own_token: fn(&OwnTokens, &str, Millis) -> Result<Claims, Code>,
    ) -> Result<Claims, Code> {
        if token.is_empty() {
            return Err(Code::TokenMissing);
        }
        if token.len() > MAX_TOKEN {
            return Err(Code::TokenInvalid);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| Code::TokenInvalid)?;
        check_header(&header)?;
        let name = named_issuer(token)?;
        if name == OWN_ISSUER
            && let Some(own) = &self.own_tokens
        {
            let claims = own_token(own, token, now)?;
            self.check(&claims)?;
            return Ok(claims);
        }
        let issuer = self.issuers.find(&name).ok_or(Code::TokenWrongIssuer)?;
        let key = issuer.key(&header)?;
        let signed = jsonwebtoken::decode::<Payload>(token, &key.key, &key.validation);
        let claims = issuer.judge(&signed.map_err(|_| Code::TokenInvalid)?.claims, now)?;
        self.check(&claims)?;
        Ok(claims)
    }
}

/// Checks that the token is an access token without critical extensions, of which none is
/// supported.
fn check_header(header: &Header) -> Result<(), Code> {
    if header.crit.is_some() || !header.typ.as_deref().is_none_or(is_access_token) {
        return Err(Code::TokenInvalid);
    }
    Ok(())
}

/// The issuer that a token names, before its signature is verified.
fn named_issuer(token: &str) -> Result<String, Code> {
    #[derive(Deserialize)]
    struct UnverifiedClaims {
        iss: String,
    }
    let payload = token.split('.').nth(1).ok_or(Code::TokenInvalid)?;
    let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| Code::TokenInvalid)?;
    let named: UnverifiedClaims =
        serde_json::from_slice(&payload).map_err(|_| Code::TokenInvalid)?;
    Ok(named.iss)
}

/// Accepts `JWT` and the type of access tokens (RFC 9068). An ID token of OpenID Connect is of type
/// `JWT` too; its audience keeps it out.
fn is_access_token(typ: &str) -> bool {
    typ.eq_ignore_ascii_case("JWT")
        || typ.eq_ignore_ascii_case("at+jwt")
        || typ.eq_ignore_ascii_case("application/at+jwt")
}

/// A token of each algorithm, with the issuer, audience and times below. The signing keys were
/// deleted.
const KNOWN: [(&str, KeyAlgorithm, &str, &str); 3] = [
    (
        "RS256",
        KeyAlgorithm::Rs256,
        include_str!("auth/known/rs256.pem"),
        include_str!("auth/known/rs256.jwt"),
    ),
    (
        "ES256",
        KeyAlgorithm::Es256,
        include_str!("auth/known/es256.pem"),
        include_str!("auth/known/es256.jwt"),
    ),
    (
        "EdDSA",
        KeyAlgorithm::EdDsa,
        include_str!("auth/known/eddsa.pem"),
        include_str!("auth/known/eddsa.jwt"),
    ),
];
const KNOWN_ISSUER: &str = "https://issuer.example";
/// A time between `nbf` and `exp` of the known tokens.
const KNOWN_TIME: Millis = 1_800_000_000_000;

/// The issuer of the known tokens, which do not say when they were issued and live for decades.
fn known_issuer(keys: Keys) -> Issuer {
    Issuer { max_life_ms: Millis::MAX, iat_optional: true, ..keys.into() }
}

/// A verifier that was not tested itself.
fn unchecked(issuers: Issuers) -> Verifier {
    Verifier { issuers, revocations: Arc::new(Revocations::none()), own_tokens: None }
}

fn self_test() -> Result<(), KeyError> {
    for (name, algorithm, pem, token) in KNOWN {
        let mut keys = Keys::new(KNOWN_ISSUER, DEFAULT_AUDIENCE);
        keys.add_pem("known", algorithm, pem.as_bytes())?;
        let verifier = unchecked(Issuers::new(vec![known_issuer(keys)]));
        let (message, signature) = token.rsplit_once('.').ok_or(KeyError::SelfTest(name))?;
        let first = if signature.starts_with('A') { "B" } else { "A" };
        let forged = format!("{message}.{first}{}", &signature[1..]);
        if verifier.verify(token, KNOWN_TIME).is_err()
            || verifier.verify(&forged, KNOWN_TIME).is_ok()
        {
            return Err(KeyError::SelfTest(name));
        }
    }
    let key = DevelopmentKey::new([7; 32]);
    let claims = Claims {
        tenant: TenantId::new("self-test").map_err(|_| KeyError::SelfTest("HS256"))?,
        subject: Arc::from("self-test"),
        role: Role::Display,
        locations: vec![],
        queues: vec![],
        tickets: vec![],
        appointments: vec![],
        doctor: None,
        expires: KNOWN_TIME + 1000,
        origin: Origin::default(),
    };
    let claims =
        Claims { origin: Origin::new(&claims.tenant, &claims.subject, KNOWN_TIME), ..claims };
    let token = development_token(&key, &claims, KNOWN_TIME);
    let verified = unchecked(key.keys().into()).verify(&token, KNOWN_TIME);
    let is_same = |read: Claims| {
        let origin = Origin { renewable_until: 0, ..read.origin };
        Claims { origin, ..read } == claims
    };
    if verified.is_ok_and(is_same) { Ok(()) } else { Err(KeyError::SelfTest("HS256")) }
}

#[cfg(test)]
mod tests;
