//! Reads the document in which an issuer publishes its keys (JWK Set, RFC 7517).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
use serde_json::Value;

use super::{
    KeyAlgorithm,
    keys::{Key, KeyFamily, KeySet, check_use},
};

/// Most keys that are read from a document. Issuers publish two or three; further ones are left
/// out.
const MAX_KEYS: usize = 64;
/// Longest key id in bytes. Keys with a longer one are left out.
const MAX_KID: usize = 256;
/// The bounds of an RSA modulus in bytes: 2048 to 8192 bits. Larger ones make each check slow.
const RSA_BYTES: std::ops::RangeInclusive<usize> = 256..=1024;

/// Why a document gives no keys.
#[derive(Debug, thiserror::Error)]
pub(super) enum JwksError {
    #[error("the document is no JWK Set")]
    Unreadable,
    #[error("the document has no key that verifies one of the configured algorithms")]
    NoKeys,
}

/// Reads the keys that verify some of `algorithms`. Other keys, such as those for encryption, are
/// left out: issuers publish them in the same document.
///
/// # Errors
/// [`JwksError`] when no key is left.
pub(super) fn read(document: &[u8], algorithms: &[KeyAlgorithm]) -> Result<KeySet, JwksError> {
    let document: Value = serde_json::from_slice(document).map_err(|_| JwksError::Unreadable)?;
    let listed = document.get("keys").and_then(Value::as_array).ok_or(JwksError::Unreadable)?;
    let mut set = KeySet::default();
    for listed in listed.iter().take(MAX_KEYS) {
        // A key of an unknown kind must not hide the others.
        let Ok(jwk) = serde_json::from_value::<Jwk>(listed.clone()) else { continue };
        // Some issuers with one key give it no id. Tokens then have none either.
        let kid = jwk.common.key_id.clone().unwrap_or_default();
        if let Some(key) = usable(&jwk, algorithms)
            && kid.len() <= MAX_KID
            && !set.contains(&kid)
        {
            let _ = set.add(&kid, key);
        }
    }
    if set.is_empty() { Err(JwksError::NoKeys) } else { Ok(set) }
}

/// The key, if it is made for signatures and verifies some of `algorithms`.
fn usable(jwk: &Jwk, algorithms: &[KeyAlgorithm]) -> Option<Key> {
    let common = &jwk.common;
    let for_signatures =
        common.public_key_use.as_ref().is_none_or(|of| *of == PublicKeyUse::Signature)
            && common.key_operations.as_ref().is_none_or(|of| of.contains(&KeyOperations::Verify));
    if !for_signatures {
        return None;
    }
    let family = match &jwk.algorithm {
        AlgorithmParameters::RSA(key) => {
            let modulus = URL_SAFE_NO_PAD.decode(&key.n).ok()?;
            let length = modulus.iter().skip_while(|byte| **byte == 0).count();
            RSA_BYTES.contains(&length).then_some(KeyFamily::Rsa)?
        }
        AlgorithmParameters::EllipticCurve(_) => KeyFamily::Ec,
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            KeyFamily::Ed
        }
        // A shared secret has no place in a public document.
        _ => return None,
    };
    let declared = match common.key_algorithm {
        Some(algorithm) => Some(Algorithm::try_from(algorithm).ok()?),
        None => None,
    };
    let key = DecodingKey::from_jwk(jwk).ok()?;
    let verified: Vec<Algorithm> = algorithms
        .iter()
        .filter(|algorithm| algorithm.family() == family)
        .filter(|algorithm| declared.is_none_or(|declared| declared == algorithm.jwt()))
        .filter(|algorithm| check_use(&key, **algorithm).is_ok())
        .map(|algorithm| algorithm.jwt())
        .collect();
    (!verified.is_empty()).then(|| Key::new(verified, key))
}

#[cfg(test)]
mod tests;
