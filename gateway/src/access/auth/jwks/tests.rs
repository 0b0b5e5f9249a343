use serde_json::json;

use super::*;

/// The public keys of the known tokens, an RSA key of 1024 bits and a key of the curve P-384.
const KEYS: &str = include_str!("../known/keys.json");
const ALL: [KeyAlgorithm; 4] =
    [KeyAlgorithm::Rs256, KeyAlgorithm::Ps256, KeyAlgorithm::Es256, KeyAlgorithm::EdDsa];

fn key(kid: &str) -> Value {
    let document: Value = serde_json::from_str(KEYS).unwrap();
    let keys = document["keys"].as_array().unwrap();
    keys.iter().find(|key| key["kid"] == kid).unwrap().clone()
}

/// The key with some fields set, or taken away by `null`.
fn with(kid: &str, fields: Value) -> Value {
    let mut key = key(kid);
    for (name, value) in fields.as_object().unwrap() {
        key[name] = value.clone();
    }
    key.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    key
}

fn read_one(key: Value, algorithms: &[KeyAlgorithm]) -> Option<Vec<Algorithm>> {
    let document = json!({ "keys": [key] }).to_string();
    let set = read(document.as_bytes(), algorithms).ok()?;
    Some(set.find(None).unwrap().validation.algorithms.clone())
}

#[test]
fn only_signature_keys_of_the_family_are_used() {
    use Algorithm as A;
    let table = [
        (key("rs256"), Some(vec![A::RS256, A::PS256])),
        (with("rs256", json!({ "alg": "RS256", "use": "sig" })), Some(vec![A::RS256])),
        (with("rs256", json!({ "key_ops": ["verify"] })), Some(vec![A::RS256, A::PS256])),
        (with("rs256", json!({ "use": "enc" })), None),
        (with("rs256", json!({ "key_ops": ["wrapKey"] })), None),
        (with("rs256", json!({ "alg": "RSA-OAEP" })), None),
        // The key of one algorithm is no key of another, and no shared secret.
        (with("rs256", json!({ "alg": "HS256" })), None),
        (with("rs256", json!({ "alg": "RS512" })), None),
        (key("rsa-1024"), None),
        (key("es256"), Some(vec![A::ES256])),
        (key("p-384"), None),
        (key("eddsa"), Some(vec![A::EdDSA])),
        (json!({ "kty": "oct", "kid": "secret", "k": "AAAA", "alg": "HS256" }), None),
        (json!({ "kty": "future", "kid": "unknown" }), None),
    ];
    for (key, algorithms) in table {
        assert_eq!(read_one(key.clone(), &ALL), algorithms, "{key}");
    }
    assert_eq!(read_one(key("rs256"), &[KeyAlgorithm::Es256]), None);
}

#[test]
fn unusable_keys_do_not_hide_others() {
    let odd = json!({ "kty": 7 });
    let document = json!({ "keys": [odd, key("rsa-1024"), key("rs256"), key("es256")] });
    let set = read(document.to_string().as_bytes(), &[KeyAlgorithm::Rs256]).unwrap();
    assert_eq!(set.len(), 1);
    assert!(set.contains("rs256"));
}

#[test]
fn document_without_keys_is_refused() {
    for document in ["", "{}", "[]", r#"{"keys":{}}"#, r#"{"keys":"#] {
        assert!(
            matches!(read(document.as_bytes(), &ALL), Err(JwksError::Unreadable)),
            "{document}"
        );
    }
    assert!(matches!(read(br#"{"keys":[]}"#, &ALL), Err(JwksError::NoKeys)));
}

#[test]
fn number_of_keys_is_bounded() {
    let keys: Vec<Value> =
        (0..MAX_KEYS + 9).map(|n| with("es256", json!({ "kid": format!("k-{n}") }))).collect();
    let document = json!({ "keys": keys }).to_string();
    assert_eq!(read(document.as_bytes(), &ALL).unwrap().len(), MAX_KEYS);
}
