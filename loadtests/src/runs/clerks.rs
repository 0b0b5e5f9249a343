//! Whoever acts in a tenant, and their tokens, signed with the development key of the nodes.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::json;
use sha2::{Digest, Sha256};

/// Longer than any measurement.
const VALID_S: u64 = 24 * 60 * 60;

/// The people of one tenant.
#[derive(Clone)]
pub struct Clerks {
    pub tenant: String,
    /// A token, as are the others.
    pub editor: String,
    pub viewer: String,
    pub admin: String,
}

/// The people of the tenants t-1, t-2 …
///
/// # Errors
/// When there is to be none, or nothing can be signed.
pub fn signed(words: &str, tenants: usize) -> Result<Vec<Clerks>> {
    ensure!(tenants > 0, "runs belong to at least one tenant");
    let key = key(words);
    let clerks = |number: usize| {
        let tenant = format!("t-{number}");
        let sign = |role| sign(&key, &tenant, role);
        Ok(Clerks {
            editor: sign("editor")?,
            viewer: sign("viewer")?,
            admin: sign("admin")?,
            tenant,
        })
    };
    (1..=tenants).map(clerks).collect()
}

/// What the programs make of the same words.
fn key(words: &str) -> EncodingKey {
    let secret = Sha256::digest(words.as_bytes());
    EncodingKey::from_secret(&Sha256::new().chain_update(secret).chain_update("token").finalize())
}

fn sign(key: &EncodingKey, tenant: &str, role: &str) -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).context("read the clock")?.as_secs();
    let body = json!({
        "iss": "clinicwire-development",
        "aud": "clinicwire",
        "sub": format!("swarm-{role}"),
        "exp": now + VALID_S,
        "nbf": now,
        "tenant": tenant,
        "role": role,
    });
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("insecure-development-key".to_owned());
    jsonwebtoken::encode(&header, &body, key).context("sign a token")
}

#[cfg(test)]
mod tests {
    use gateway::{
        access::auth::{DevelopmentKey, Verifier},
        clock::now,
    };
    use gateway_core::access::Role;

    use super::*;

    #[test]
    fn a_node_with_the_same_words_takes_each_of_them_for_what_they_are() {
        let node = Verifier::new(DevelopmentKey::from_words("some words").keys()).unwrap();
        let clerks = signed("some words", 2).unwrap();
        let told = |token: &str| {
            let claims = node.verify(token, now()).unwrap();
            (claims.tenant.to_string(), claims.role)
        };
        assert_eq!(told(&clerks[0].editor), ("t-1".to_owned(), Role::Editor));
        assert_eq!(told(&clerks[1].viewer), ("t-2".to_owned(), Role::Viewer));
        assert_eq!(told(&clerks[1].admin), ("t-2".to_owned(), Role::Admin));
        assert!(node.verify(&signed("other words", 1).unwrap()[0].editor, now()).is_err());
    }
}
