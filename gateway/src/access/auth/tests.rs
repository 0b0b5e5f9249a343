use jsonwebtoken::EncodingKey;
use proptest::prelude::*;
use schemas::{
    access::MAX_TOKEN_LIFE_MS,
    ids::{LocationId, QueueId},
};
use serde_json::{Value, json};

use super::{
    keys::{DEVELOPMENT_ISSUER, DEVELOPMENT_KID},
    *,
};

const NOW: Millis = KNOWN_TIME;
const NOW_S: i64 = NOW / 1000;
const RSA_PEM: &str = KNOWN[0].2;

fn key() -> DevelopmentKey {
    DevelopmentKey::from_words("a test")
}

/// Claims that are accepted as they are.
fn good() -> Value {
    json!({
        "iss": DEVELOPMENT_ISSUER, "aud": DEFAULT_AUDIENCE, "sub": "subject-1", "exp": NOW_S + 60,
        "nbf": NOW_S - 60, "iat": NOW_S - 60, "tenant": "demo", "role": "reception",
        "locations": ["riverside"], "queues": ["riverside.general"], "tickets": [],
    })
}

fn header(algorithm: Algorithm) -> Header {
    Header { kid: Some(DEVELOPMENT_KID.to_owned()), ..Header::new(algorithm) }
}

fn sign(header: &Header, claims: &Value) -> String {
    jsonwebtoken::encode(header, claims, &EncodingKey::from_secret(&key().secret("token"))).unwrap()
}

fn verify(token: &str) -> Result<Claims, Code> {
    Verifier::new(key().keys()).unwrap().verify(token, NOW)
}

/// The good claims with `name` set, or taken away by `null`.
fn with(name: &str, value: &Value) -> String {
    let mut claims = good();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value.clone();
    }
    sign(&header(Algorithm::HS256), &claims)
}

#[test]
fn valid_token_gives_its_exact_claims() {
    let claims =
        verify(&sign(&header(Algorithm::HS256), &good())).unwrap_or_else(|code| panic!("{code}"));
    assert_eq!(claims.tenant.as_str(), "demo");
    assert_eq!(&*claims.subject, "subject-1");
    assert_eq!(claims.role, Role::Reception);
    assert_eq!(claims.locations, [LocationId::new("riverside").unwrap()]);
    assert_eq!(claims.queues, [QueueId::new("riverside.general").unwrap()]);
    assert!(claims.tickets.is_empty());
    assert_eq!(claims.expires, NOW + 60_000);
}

#[test]
fn each_claim_that_is_wrong_has_its_code() {
    let invalid = Code::TokenInvalid;
    let table = [
        ("exp", json!(NOW_S), Code::TokenExpired),
        ("exp", json!(NOW_S - 1), Code::TokenExpired),
        ("exp", json!((NOW_S + 60).to_string()), invalid),
        ("exp", Value::Null, invalid),
        ("exp", json!(NOW), invalid),
        ("exp", json!(-1), invalid),
        ("exp", json!(1e300), invalid),
        ("exp", json!([NOW_S + 60]), invalid),
        ("nbf", json!(NOW_S + 6), Code::TokenNotYetValid),
        ("nbf", json!((NOW_S - 60).to_string()), invalid),
        ("nbf", json!(true), invalid),
        ("iss", json!("https://elsewhere.example"), Code::TokenWrongIssuer),
        ("iss", json!([DEVELOPMENT_ISSUER]), invalid),
        ("iss", Value::Null, invalid),
        ("aud", json!("billing"), Code::TokenWrongAudience),
        ("aud", json!(["billing", "other"]), Code::TokenWrongAudience),
        ("aud", json!([]), Code::TokenWrongAudience),
        ("aud", json!(7), invalid),
        ("aud", Value::Null, invalid),
        ("sub", Value::Null, invalid),
        ("sub", json!(""), invalid),
        ("iat", json!(NOW_S + 6), Code::TokenNotYetValid),
        ("iat", json!("yesterday"), invalid),
        ("iat", Value::Null, invalid),
        ("iat", json!(NOW_S + 60 - MAX_TOKEN_LIFE_MS / 1000 - 1), invalid),
        ("exp", json!(NOW_S + MAX_TOKEN_LIFE_MS / 1000 + 1), invalid),
        // An ID token or a refresh token is signed with the same key.
        ("typ", json!("ID"), invalid),
        ("typ", json!("Refresh"), invalid),
        ("token_use", json!("id"), invalid),
        ("aud", json!([DEFAULT_AUDIENCE, 7]), invalid),
        ("sid", json!(7), invalid),
        ("sid", json!(""), invalid),
        ("jti", json!("j".repeat(129)), invalid),
        ("permission_version", json!("3"), invalid),
        ("permission_version", json!(-1), invalid),
        ("sub", json!(7), invalid),
        ("sub", json!("s".repeat(MAX_SUBJECT + 1)), invalid),
        ("sub", json!("a\0b"), invalid),
        ("sub", json!("a\nb"), invalid),
        ("tenant", Value::Null, invalid),
        ("tenant", json!("Demo/../other"), invalid),
        ("role", json!("owner"), invalid),
        ("role", json!(["offline_access"]), invalid),
        ("role", json!(["admin", 1]), invalid),
        ("role", json!({"admin": true}), invalid),
        ("role", Value::Null, invalid),
        ("locations", json!("riverside"), invalid),
        ("locations", json!(["River Side"]), invalid),
        ("queues", json!([1]), invalid),
        ("tickets", json!(["riverside.1"]), invalid),
    ];
    for (claim, value, code) in table {
        assert_eq!(verify(&with(claim, &value)).err(), Some(code), "{claim} = {value}");
    }
}

#[test]
fn token_without_issue_time_needs_an_issuer_that_allows_it() {
    let token = with("iat", &Value::Null);
    assert_eq!(verify(&token).err(), Some(Code::TokenInvalid));
    let issuer = Issuer { iat_optional: true, ..key().keys().into() };
    let claims = unchecked(Issuers::new(vec![issuer])).verify(&token, NOW).unwrap();
    assert_eq!(claims.origin.issued, claims.expires - MAX_TOKEN_LIFE_MS);
    assert_eq!(claims.origin.renewable_until, 0);
}

#[test]
fn optional_differences_are_accepted() {
    let table = [
        ("exp", json!(NOW_S as f64 + 60.5)),
        ("nbf", Value::Null),
        ("nbf", json!(NOW_S + 5)),
        ("aud", json!(["billing", DEFAULT_AUDIENCE])),
        ("locations", Value::Null),
        ("queues", Value::Null),
        ("tickets", Value::Null),
        ("email_verified", json!(true)),
        ("typ", json!("Bearer")),
        ("token_use", json!("access")),
        ("iat", json!(NOW_S + 5)),
        ("role", json!(["offline_access", "RECEPTIONIST"])),
        ("permission_version", json!(3)),
    ];
    for (claim, value) in table {
        assert_eq!(verify(&with(claim, &value)).err(), None, "{claim} = {value}");
    }
}

#[test]
fn unsupported_header_is_refused() {
    let good_header = || header(Algorithm::HS256);
    let table = [
        ("unknown kid", Header { kid: Some("other".into()), ..good_header() }),
        ("hostile kid", Header { kid: Some("../../etc/passwd' OR 1=1".into()), ..good_header() }),
        ("another HMAC", header(Algorithm::HS512)),
        ("an unknown extension", Header { crit: Some(vec!["b64".into()]), ..good_header() }),
        ("another type", Header { typ: Some("dpop+jwt".into()), ..good_header() }),
    ];
    for (name, header) in table {
        assert_eq!(verify(&sign(&header, &good())).err(), Some(Code::TokenInvalid), "{name}");
    }
    // Pointers to keys are not followed: the configured key decides, and it did not sign this.
    let pointer = Header { jku: Some("https://attacker.example/keys".into()), ..good_header() };
    let foreign = EncodingKey::from_secret(b"another secret");
    let token = jsonwebtoken::encode(&pointer, &good(), &foreign).unwrap();
    assert_eq!(verify(&token).err(), Some(Code::TokenInvalid));
}

#[test]
fn without_a_key_id_the_only_key_decides() {
    let token = sign(&Header::new(Algorithm::HS256), &good());
    assert!(verify(&token).is_ok());
    let mut keys = key().keys();
    keys.add_pem("second", KeyAlgorithm::Rs256, RSA_PEM.as_bytes()).unwrap();
    assert_eq!(Verifier::new(keys).unwrap().verify(&token, NOW).err(), Some(Code::TokenInvalid));
}

#[test]
fn algorithm_none_is_refused() {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for alg in ["none", "None", "NONE", "nOnE"] {
        let message =
            format!("{}.{}", encode(&json!({"alg": alg, "kid": DEVELOPMENT_KID})), encode(&good()));
        assert_eq!(verify(&format!("{message}.")).err(), Some(Code::TokenInvalid), "{alg}");
        assert_eq!(verify(&message).err(), Some(Code::TokenInvalid), "{alg}");
    }
}

#[test]
fn public_key_is_never_a_shared_secret() {
    let mut keys = Keys::new(DEVELOPMENT_ISSUER, DEFAULT_AUDIENCE);
    keys.add_pem("known", KeyAlgorithm::Rs256, RSA_PEM.as_bytes()).unwrap();
    let verifier = Verifier::new(keys).unwrap();
    let header = Header { kid: Some("known".into()), ..Header::new(Algorithm::HS256) };
    let token =
        jsonwebtoken::encode(&header, &good(), &EncodingKey::from_secret(RSA_PEM.as_bytes()))
            .unwrap();
    assert_eq!(verifier.verify(&token, NOW).err(), Some(Code::TokenInvalid));
}

#[test]
fn key_verifies_only_its_algorithm() {
    for (name, algorithm, pem, token) in KNOWN {
        let mut keys = Keys::new(KNOWN_ISSUER, DEFAULT_AUDIENCE);
        keys.add_pem("known", algorithm, pem.as_bytes()).unwrap();
        let verifier = unchecked(Issuers::new(vec![known_issuer(keys)]));
        let role = verifier.verify(token, KNOWN_TIME).map(|claims| claims.role);
        assert_eq!(role, Ok(Role::Display), "{name}");
        for (other, _, _, foreign) in KNOWN.into_iter().filter(|(other, ..)| *other != name) {
            assert_eq!(
                verifier.verify(foreign, KNOWN_TIME).err(),
                Some(Code::TokenInvalid),
                "{name}, {other}"
            );
        }
    }
}

#[test]
fn token_of_other_key_is_refused() {
    let other = DevelopmentKey::from_words("another secret");
    let token = jsonwebtoken::encode(
        &header(Algorithm::HS256),
        &good(),
        &EncodingKey::from_secret(&other.secret("token")),
    );
    assert_eq!(verify(&token.unwrap()).err(), Some(Code::TokenInvalid));
    assert_ne!(key().secret("token"), key().grant_secret());
}

#[test]
fn keys_that_cannot_be_trusted_are_not_configured() {
    let mut keys = Keys::new("issuer", "audience");
    let private = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    let weak = include_str!("known/rsa-1024.pem");
    let other_curve = include_str!("known/p-384.pem");
    let (rs, es, ed) = (KeyAlgorithm::Rs256, KeyAlgorithm::Es256, KeyAlgorithm::EdDsa);
    assert!(matches!(keys.add_pem("k", rs, private.as_bytes()), Err(KeyError::Private)));
    assert!(matches!(keys.add_pem("k", rs, weak.as_bytes()), Err(KeyError::Short)));
    for (algorithm, pem) in
        [(es, other_curve), (es, RSA_PEM), (ed, RSA_PEM), (rs, other_curve), (rs, "not a key")]
    {
        let error = keys.add_pem("k", algorithm, pem.as_bytes());
        assert!(matches!(error, Err(KeyError::Unreadable(_))), "{algorithm:?}");
    }
    assert!(matches!(Verifier::new(keys.clone()).err(), Some(KeyError::NoKeys)));
    keys.add_pem("k", rs, RSA_PEM.as_bytes()).unwrap();
    assert!(matches!(keys.add_pem("k", rs, RSA_PEM.as_bytes()), Err(KeyError::SameKid)));
    assert!(matches!("HS256".parse::<KeyAlgorithm>(), Err(KeyError::UnknownAlgorithm)));
}

#[test]
fn missing_or_oversized_token_is_refused_unread() {
    assert_eq!(verify("").err(), Some(Code::TokenMissing));
    let long = with("padding", &json!("x".repeat(MAX_TOKEN)));
    assert_eq!(verify(&long).err(), Some(Code::TokenInvalid));
}

proptest! {
    #[test]
    fn any_text_as_token_never_panics(text in ".{0,200}") {
        prop_assert!(verify(&text).is_err());
    }

    #[test]
    fn token_with_changed_byte_is_refused(at in 0usize..10_000, byte in "[A-Za-z0-9_-]") {
        let token = sign(&header(Algorithm::HS256), &good());
        let at = at % token.len();
        let mut changed = token.clone();
        changed.replace_range(at..=at, &byte);
        // The last digit of a base64 text carries unused bits, which the decoder refuses unless
        // they are zero.
        prop_assert_eq!(verify(&changed).is_ok(), changed == token);
    }
}
