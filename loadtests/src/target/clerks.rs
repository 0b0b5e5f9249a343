//! Tokens of the clerks of several tenants, signed with the development key of the nodes.

use anyhow::{Result, ensure};
use serde_json::json;
use testing::tokens::DevelopmentIssuer;

/// Seconds for which tokens are valid: longer than any measurement.
const VALID_S: u64 = 24 * 60 * 60;

/// The tokens of one tenant's people.
#[derive(Clone)]
pub struct Clerks {
    pub tenant: String,
    pub editor: String,
    pub viewer: String,
    pub admin: String,
}

/// Signs the tokens of the tenants t-1, t-2 and so on.
///
/// # Errors
/// When `tenants` is 0.
pub fn sign_tokens(words: &str, tenants: usize) -> Result<Vec<Clerks>> {
    ensure!(tenants > 0, "runs belong to at least one tenant");
    let issuer = DevelopmentIssuer::from_words(words, VALID_S);
    let clerks = |number: usize| {
        let tenant = format!("t-{number}");
        let sign = |role| issuer.sign(role, &json!({"tenant": tenant}));
        Clerks { editor: sign("editor"), viewer: sign("viewer"), admin: sign("admin"), tenant }
    };
    Ok((1..=tenants).map(clerks).collect())
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
    fn node_with_the_same_words_trusts_every_token() {
        let node = Verifier::new(DevelopmentKey::from_words("some words").keys()).unwrap();
        let clerks = sign_tokens("some words", 2).unwrap();
        let identity = |token: &str| {
            let claims = node.verify(token, now()).unwrap();
            (claims.tenant.to_string(), claims.role)
        };
        assert_eq!(identity(&clerks[0].editor), ("t-1".to_owned(), Role::Editor));
        assert_eq!(identity(&clerks[1].viewer), ("t-2".to_owned(), Role::Viewer));
        assert_eq!(identity(&clerks[1].admin), ("t-2".to_owned(), Role::Admin));
        assert!(node.verify(&sign_tokens("other words", 1).unwrap()[0].editor, now()).is_err());
    }
}
