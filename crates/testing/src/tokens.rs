//! Tokens signed with the development key of the nodes.

use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The words of the development key when none are given. They are public.
pub const DEFAULT_WORDS: &str = "clinicwire development";

/// Signs tokens as an issuer with the development key does.
#[derive(Clone)]
pub struct DevelopmentIssuer {
    key: EncodingKey,
    valid_s: u64,
}

impl DevelopmentIssuer {
    /// The issuer whose key the nodes derive from the same words. Tokens expire after `valid_s`
    /// seconds.
    #[must_use]
    pub fn from_words(words: &str, valid_s: u64) -> Self {
        let secret = Sha256::digest(words.as_bytes());
        let key = Sha256::new().chain_update(secret).chain_update("token").finalize();
        Self { key: EncodingKey::from_secret(&key), valid_s }
    }

    /// Signs a token for `role` of the tenant `demo`. The object `claims` replaces and adds claims.
    ///
    /// # Panics
    /// When `claims` is not an object.
    #[must_use]
    pub fn sign(&self, role: &str, claims: &Value) -> String {
        let mut body = json!({
            "iss": "clinicwire-development",
            "aud": "clinicwire",
            "sub": format!("somebody-{role}"),
            "exp": unix_seconds() + self.valid_s,
            "nbf": unix_seconds() - 60,
            "iat": unix_seconds() - 60,
            "tenant": "demo",
            "role": role,
        });
        for (name, claim) in claims.as_object().expect("claims are an object") {
            body[name] = claim.clone();
        }
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("insecure-development-key".to_owned());
        jsonwebtoken::encode(&header, &body, &self.key).expect("a key of the right kind")
    }
}

/// Unix time in seconds.
#[must_use]
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
