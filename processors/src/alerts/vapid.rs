//! The key by which an installation introduces itself to push services (VAPID, RFC 8292), and the
//! tokens that it signs.

use std::{
    collections::HashMap,
    fmt,
    str::FromStr,
    sync::{Mutex, PoisonError},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use p256::{
    SecretKey,
    elliptic_curve::{rand_core::OsRng, sec1::ToEncodedPoint},
    pkcs8::EncodePrivateKey,
};
use schemas::Millis;
use serde::Serialize;

/// How long a token is valid. RFC 8292 allows a day at most.
const TOKEN_LIFE_S: Millis = 12 * 60 * 60;
/// For how long before its end a token is not used any more: the clocks of push services differ.
const RENEW_BEFORE_S: Millis = 60 * 60;

/// Why a text is no VAPID key. It does not quote the text.
#[derive(Debug, thiserror::Error)]
#[error("not the private key of P-256 as 32 bytes in base64url")]
pub struct InvalidKey;

/// The private key of an installation. `Debug` hides it.
#[derive(Clone)]
pub struct VapidKey(SecretKey);

impl fmt::Debug for VapidKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VapidKey({})", self.public())
    }
}

/// Reads the form that the tools of Web Push print: 32 bytes in base64url without padding.
impl FromStr for VapidKey {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim()).map_err(|_| InvalidKey)?;
        SecretKey::from_slice(&bytes).map(Self).map_err(|_| InvalidKey)
    }
}

impl VapidKey {
    /// A new random key.
    pub fn generate() -> Self {
        Self(SecretKey::random(&mut OsRng))
    }

    /// The private key, as the settings have it.
    pub fn private(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.to_bytes())
    }

    /// The public key, as pages and push services have it: an uncompressed point in base64url.
    pub fn public(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.public_key().to_encoded_point(false))
    }
}

/// Signs the tokens of one key. A push service gets the same token until that one is old.
pub(super) struct VapidSigner {
    key: EncodingKey,
    public: String,
    /// The contact for push services: a `mailto:` or `https:` address.
    contact: String,
    /// Token and end in seconds by the origin of the push service.
    tokens: Mutex<HashMap<String, (String, Millis)>>,
}

#[derive(Serialize)]
struct VapidClaims<'a> {
    aud: &'a str,
    exp: Millis,
    sub: &'a str,
}

/// Most origins whose tokens are kept. The wildcards of the known services have a few dozen; past
/// it, all tokens are signed anew.
const MAX_TOKENS: usize = 1_000;

impl VapidSigner {
    pub(super) fn new(key: &VapidKey, contact: String) -> Self {
        let document = key.0.to_pkcs8_der().expect("a private key has a PKCS #8 form");
        let public = key.public();
        let key = EncodingKey::from_ec_der(document.as_bytes());
        Self { key, public, contact, tokens: Mutex::default() }
    }

    /// The value of `Authorization` for the push service of this origin at `now`.
    pub(super) fn authorization(&self, origin: &str, now: Millis) -> String {
        let now_s = now / 1000;
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if tokens.len() >= MAX_TOKENS {
            tokens.clear();
        }
        let is_fresh = |(_, until): &&(String, Millis)| now_s < until - RENEW_BEFORE_S;
        let token = match tokens.get(origin).filter(is_fresh) {
            Some((token, _)) => token.clone(),
            None => {
                let exp = now_s + TOKEN_LIFE_S;
                let claims = VapidClaims { aud: origin, exp, sub: &self.contact };
                let token =
                    jsonwebtoken::encode(&Header::new(Algorithm::ES256), &claims, &self.key)
                        .expect("a key of P-256 signs any claims");
                tokens.insert(origin.to_owned(), (token.clone(), exp));
                token
            }
        };
        format!("vapid t={token}, k={}", self.public)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_text_round_trips_and_debug_hides_it() {
        let key = VapidKey::generate();
        let read: VapidKey = key.private().parse().unwrap();
        assert_eq!(read.public(), key.public());
        assert_eq!(key.public().len(), 87);
        assert!(!format!("{key:?}").contains(&key.private()));
        for bad in ["", "AAAA", &"A".repeat(43), &key.public()] {
            assert!(bad.parse::<VapidKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn token_is_signed_once_per_service_until_it_is_old() {
        let signer = VapidSigner::new(&VapidKey::generate(), "mailto:it@clinic.example".into());
        let first = signer.authorization("https://one.example", 0);
        assert_eq!(signer.authorization("https://one.example", 60_000), first);
        assert_ne!(signer.authorization("https://two.example", 0), first);
        let later = (TOKEN_LIFE_S - RENEW_BEFORE_S) * 1000;
        assert_ne!(signer.authorization("https://one.example", later), first);
    }
}
