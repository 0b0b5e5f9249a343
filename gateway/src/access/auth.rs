//! Tokens: the trusted keys, and the checks a token must pass before its claims are used.

use std::{collections::HashMap, sync::Arc};

use gateway_core::access::{Claims, Role};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, errors::Error as JwtError,
};
use schemas::{
    Millis,
    codes::Code,
    ids::{AppointmentId, DoctorId, LocationId, QueueId, TenantId, TicketId},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Largest token: it must fit a header line and the first message on a socket. A longer one is
/// `token_invalid`.
pub const MAX_TOKEN: usize = 8 * 1024;
/// Longest subject in bytes: it is part of every record and every SSE id.
pub const MAX_SUBJECT: usize = 128;
/// How far an issuer's clock may be ahead of ours in `nbf`: servers with NTP differ by less. `exp`
/// has no leeway, because a token that ends a second early costs only one refresh.
const NBF_LEEWAY_MS: Millis = 5_000;
/// The key id of development tokens.
const DEVELOPMENT_KID: &str = "insecure-development-key";
/// The default words of a development key. They are public, so such a key protects nothing.
pub const WELL_KNOWN_WORDS: &str = "clinicwire development";
/// The issuer and the audience of development tokens.
const DEVELOPMENT_ISSUER: &str = "clinicwire-development";
pub const DEFAULT_AUDIENCE: &str = "clinicwire";

/// A signature algorithm. A key verifies only the algorithm it was configured for, whatever the
/// header of a token asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAlgorithm {
    Rs256,
    Es256,
    EdDsa,
}

impl std::str::FromStr for KeyAlgorithm {
    type Err = KeyError;
    fn from_str(text: &str) -> Result<Self, KeyError> {
        match text {
            "RS256" => Ok(Self::Rs256),
            "ES256" => Ok(Self::Es256),
            "EdDSA" => Ok(Self::EdDsa),
            _ => Err(KeyError::UnknownAlgorithm),
        }
    }
}

impl KeyAlgorithm {
    fn jwt(self) -> Algorithm {
        match self {
            Self::Rs256 => Algorithm::RS256,
            Self::Es256 => Algorithm::ES256,
            Self::EdDsa => Algorithm::EdDSA,
        }
    }
}

/// Why a key cannot be used. The text never quotes the key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("no key is configured: no token could ever be verified")]
    NoKeys,
    #[error("two keys have the same key id")]
    SameKid,
    #[error("the algorithm is none of RS256, ES256, EdDSA")]
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

#[derive(Clone)]
struct Key {
    algorithm: Algorithm,
    key: DecodingKey,
    validation: Validation,
}

/// The keys and names that a gateway trusts. All are configured: a token's own `jku`, `x5u` or
/// `jwk` is never followed.
#[derive(Clone)]
pub struct Keys {
    issuer: String,
    audience: String,
    by_kid: HashMap<String, Key>,
}

impl Keys {
    /// An empty set of keys, for tokens that `issuer` issued for `audience`.
    pub fn new(issuer: impl Into<String>, audience: impl Into<String>) -> Self {
        Self { issuer: issuer.into(), audience: audience.into(), by_kid: HashMap::new() }
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
        /// The DER form of an RSA public key with a modulus of 2048 bits has 270 bytes.
        const RSA_2048_DER: usize = 256;
        if pem.windows(11).any(|window| window == b"PRIVATE KEY") {
            return Err(KeyError::Private);
        }
        let key = match algorithm {
            KeyAlgorithm::Rs256 => DecodingKey::from_rsa_pem(pem),
            KeyAlgorithm::Es256 => DecodingKey::from_ec_pem(pem),
            KeyAlgorithm::EdDsa => DecodingKey::from_ed_pem(pem),
        }
        .map_err(KeyError::Unreadable)?;
        // The library notices a key of another curve only on use, so use the key once here.
        jsonwebtoken::crypto::verify("AAAA", b"", &key, algorithm.jwt())
            .map_err(KeyError::Unreadable)?;
        let bytes = key.try_get_as_bytes().map_err(KeyError::Unreadable)?;
        if algorithm == KeyAlgorithm::Rs256 && bytes.len() < RSA_2048_DER {
            return Err(KeyError::Short);
        }
        self.add(kid, algorithm.jwt(), key)
    }

    fn add(&mut self, kid: &str, algorithm: Algorithm, key: DecodingKey) -> Result<(), KeyError> {
        // The library checks the signature only. `verify` checks the claims with the caller's
        // clock.
        let mut validation = Validation::new(algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        match self.by_kid.insert(kid.to_owned(), Key { algorithm, key, validation }) {
            None => Ok(()),
            Some(_) => Err(KeyError::SameKid),
        }
    }
}

/// A shared secret in place of an issuer's key, for development and demonstrations only.
#[derive(Clone)]
pub struct DevelopmentKey([u8; 32]);

impl DevelopmentKey {
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
        keys.add(
            DEVELOPMENT_KID,
            Algorithm::HS256,
            DecodingKey::from_secret(&self.secret("token")),
        )
        .expect("a new set of keys has no second key of this id");
        keys
    }

    /// The secret for the ids of SSE events that belongs to this key.
    pub fn grant_secret(&self) -> [u8; 32] {
        self.secret("grant")
    }

    /// Derives one secret per purpose, so that a token is never a valid grant.
    fn secret(&self, purpose: &str) -> [u8; 32] {
        Sha256::new().chain_update(self.0).chain_update(purpose).finalize().into()
    }
}

/// Signs a token that a gateway with this development key accepts from `not_before` until
/// `claims.expires`.
pub fn development_token(key: &DevelopmentKey, claims: &Claims, not_before: Millis) -> String {
    let body = TokenBody {
        iss: DEVELOPMENT_ISSUER.to_owned(),
        aud: Audience::One(DEFAULT_AUDIENCE.to_owned()),
        sub: claims.subject.to_string(),
        exp: (claims.expires / 1000) as f64,
        nbf: Some((not_before / 1000) as f64),
        tenant: claims.tenant.clone(),
        role: claims.role,
        locations: claims.locations.clone(),
        queues: claims.queues.clone(),
        tickets: claims.tickets.clone(),
        appointments: claims.appointments.clone(),
        doctor: claims.doctor.clone(),
    };
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some(DEVELOPMENT_KID.to_owned());
    jsonwebtoken::encode(&header, &body, &EncodingKey::from_secret(&key.secret("token")))
        .expect("our own claims have a JSON form and HMAC takes any key")
}

/// The claims in a token. A claim of the wrong type, or a missing claim without a default, makes
/// the whole token invalid. Other claims are ignored.
#[derive(Serialize, Deserialize)]
struct TokenBody {
    iss: String,
    aud: Audience,
    sub: String,
    /// Seconds since the Unix epoch. RFC 7519 allows fractions.
    exp: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    nbf: Option<f64>,
    tenant: TenantId,
    role: Role,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    locations: Vec<LocationId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    queues: Vec<QueueId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tickets: Vec<TicketId>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    appointments: Vec<AppointmentId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    doctor: Option<DoctorId>,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    fn names(&self, audience: &str) -> bool {
        match self {
            Audience::One(one) => one == audience,
            Audience::Many(many) => many.iter().any(|one| one == audience),
        }
    }
}

/// Checks tokens. The checks are pure: time is an argument, and nothing is fetched.
pub struct Verifier {
    keys: Keys,
}

impl Verifier {
    /// Uses these keys, after checking that this build verifies every algorithm. Otherwise the
    /// first token would reveal a build without a backend for its algorithm.
    ///
    /// # Errors
    /// [`KeyError`] when there is no key, or when a known token of an algorithm is not verified.
    pub fn new(keys: Keys) -> Result<Self, KeyError> {
        if keys.by_kid.is_empty() {
            return Err(KeyError::NoKeys);
        }
        self_test()?;
        Ok(Self { keys })
    }

    /// Verifies a token and returns its claims.
    ///
    /// # Errors
    /// The code of the refusal. No claim of a token with a bad signature is used.
    pub fn verify(&self, token: &str, now: Millis) -> Result<Claims, Code> {
        if token.is_empty() {
            return Err(Code::TokenMissing);
        }
        if token.len() > MAX_TOKEN {
            return Err(Code::TokenInvalid);
        }
        let header = jsonwebtoken::decode_header(token).map_err(|_| Code::TokenInvalid)?;
        let key = self.key_for(&header)?;
        let signed = jsonwebtoken::decode::<TokenBody>(token, &key.key, &key.validation);
        self.judge(signed.map_err(|_| Code::TokenInvalid)?.claims, now)
    }

    fn key_for(&self, header: &Header) -> Result<&Key, Code> {
        // No critical extension is supported.
        if header.crit.is_some() || !header.typ.as_deref().is_none_or(is_access_token) {
            return Err(Code::TokenInvalid);
        }
        let key = match &header.kid {
            Some(kid) => self.keys.by_kid.get(kid),
            // Issuers with one key often omit the key id.
            None if self.keys.by_kid.len() == 1 => self.keys.by_kid.values().next(),
            None => None,
        };
        key.filter(|key| key.algorithm == header.alg).ok_or(Code::TokenInvalid)
    }

    fn judge(&self, body: TokenBody, now: Millis) -> Result<Claims, Code> {
        if body.iss != self.keys.issuer {
            return Err(Code::TokenWrongIssuer);
        }
        if !body.aud.names(&self.keys.audience) {
            return Err(Code::TokenWrongAudience);
        }
        let expires = millis(body.exp)?;
        if expires <= now {
            return Err(Code::TokenExpired);
        }
        if body
            .nbf
            .map(millis)
            .transpose()?
            .is_some_and(|nbf| nbf > now.saturating_add(NBF_LEEWAY_MS))
        {
            return Err(Code::TokenNotYetValid);
        }
        if body.sub.is_empty() || body.sub.len() > MAX_SUBJECT {
            return Err(Code::TokenInvalid);
        }
        Ok(Claims {
            tenant: body.tenant,
            subject: body.sub.into(),
            role: body.role,
            locations: body.locations,
            queues: body.queues,
            tickets: body.tickets,
            appointments: body.appointments,
            doctor: body.doctor,
            expires,
        })
    }
}

/// Accepts `JWT` and the type of access tokens (RFC 9068). An ID token of OpenID Connect is of type
/// `JWT` too; its audience keeps it out.
fn is_access_token(typ: &str) -> bool {
    typ.eq_ignore_ascii_case("JWT")
        || typ.eq_ignore_ascii_case("at+jwt")
        || typ.eq_ignore_ascii_case("application/at+jwt")
}

/// Converts the seconds of a token to milliseconds.
fn millis(seconds: f64) -> Result<Millis, Code> {
    /// The end of the year 9999. A larger number is a mistake, such as milliseconds.
    const LAST: f64 = 253_402_300_800.0;
    if (0.0..LAST).contains(&seconds) {
        Ok((seconds * 1000.0) as Millis)
    } else {
        Err(Code::TokenInvalid)
    }
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

fn self_test() -> Result<(), KeyError> {
    for (name, algorithm, pem, token) in KNOWN {
        let mut keys = Keys::new(KNOWN_ISSUER, DEFAULT_AUDIENCE);
        keys.add_pem("known", algorithm, pem.as_bytes())?;
        let verifier = Verifier { keys };
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
    };
    let token = development_token(&key, &claims, KNOWN_TIME);
    let verified = Verifier { keys: key.keys() }.verify(&token, KNOWN_TIME);
    if verified.as_ref() == Ok(&claims) { Ok(()) } else { Err(KeyError::SelfTest("HS256")) }
}

#[cfg(test)]
mod tests;
