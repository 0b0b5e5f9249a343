use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::access::auth::FetchError;

fn fetch() -> FetchDocument {
    Arc::new(|_| Box::pin(async { Err(FetchError::TimedOut) }))
}

/// An issuer that can be used as it is.
fn good() -> Value {
    json!({
        "issuer": "https://login.example/realms/clinic", "audience": "clinicwire",
        "jwks_url": "https://login.example/realms/clinic/protocol/openid-connect/certs",
        "algorithms": ["RS256"], "tenant": "lakeside",
    })
}

/// The good issuer with fields set, or taken away by `null`.
fn with(fields: Value) -> Value {
    let mut issuer = good();
    for (name, value) in fields.as_object().unwrap() {
        issuer[name] = value.clone();
    }
    issuer.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    issuer
}

fn read(issuers: &[Value]) -> Result<Issuers, String> {
    let text = json!({ "issuers": issuers }).to_string();
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src/access/auth/known"));
    Issuers::from_json(text.as_bytes(), folder, &fetch()).map_err(|fault| fault.to_string())
}

#[test]
fn each_fault_is_named_with_its_place() {
    let table = [
        (json!({ "issuer": "" }), "issuers[0].issuer: "),
        (json!({ "issuer": "clinicwire" }), "issuers[0].issuer: this is the name"),
        (json!({ "renew_s": { "owner": 60 } }), "issuers[0].renew_s.?: unknown variant `owner`"),
        (json!({ "issuer": null }), "issuers[0]: missing field `issuer`"),
        (json!({ "audience": "" }), "issuers[0].audience: "),
        (json!({ "jwks_url": null }), "issuers[0].jwks_url: give either"),
        (json!({ "jwks_url": "http://login.example/keys" }), "issuers[0].jwks_url: must begin"),
        (json!({ "jwks_url": "ftp://127.0.0.1/keys" }), "issuers[0].jwks_url: must begin"),
        (
            json!({ "jwks_url": "https://me:secret@login.example/" }),
            "issuers[0].jwks_url: must not",
        ),
        (json!({ "jwks_url": "/keys" }), "issuers[0].jwks_url: names no host"),
        (json!({ "algorithms": [] }), "issuers[0].algorithms: list at least one"),
        (json!({ "algorithms": ["RS256", "ES256"] }), "issuers[0].algorithms: list at least one"),
        (json!({ "algorithms": ["HS256"] }), "issuers[0].algorithms[0]: unknown variant"),
        (json!({ "algorithms": ["none"] }), "issuers[0].algorithms[0]: unknown variant"),
        (json!({ "tenant": null }), "issuers[0].tenant: say for which"),
        (json!({ "tenants": ["north"] }), "issuers[0].tenant: say for which"),
        (json!({ "tenant": null, "tenants": [] }), "issuers[0].tenant: say for which"),
        (json!({ "tenant": "No Tenant" }), "issuers[0].tenant: "),
        (json!({ "claims": { "roles": "role" } }), "issuers[0].claims.roles: unknown field"),
        (json!({ "roles": { "Accueil": "owner" } }), "issuers[0].roles.Accueil: unknown variant"),
        (json!({ "max_token_life_s": 0 }), "issuers[0].max_token_life_s: must be 60 to 2592000"),
        (json!({ "leeway_s": 600 }), "issuers[0].leeway_s: must be 0 to 120"),
        (json!({ "stale_s": 200 }), "issuers[0].stale_s: must be longer"),
        (json!({ "jku": "https://a" }), "issuers[0].jku: unknown field"),
        (
            json!({ "jwks_url": null, "algorithms": null,
                "keys": [{ "file": "none.pem", "kid": "a", "algorithm": "RS256" }] }),
            "issuers[0].keys[0]: cannot read ",
        ),
        (
            json!({ "jwks_url": null, "algorithms": null,
                "keys": [{ "file": "rsa-1024.pem", "kid": "a", "algorithm": "RS256" }] }),
            "issuers[0].keys[0]: the RSA key is shorter",
        ),
    ];
    for (fields, expected) in table {
        let fault = read(&[with(fields.clone())]).err().unwrap_or_default();
        assert!(fault.contains(expected), "{fields}: {fault:?}");
    }
    assert!(read(&[]).is_err_and(|fault| fault.starts_with("issuers: expected 1")));
}

#[test]
fn issuers_of_one_tenant_need_a_prefix() {
    let other = |fields: Value| {
        let mut issuer = with(json!({ "issuer": "https://hr.example" }));
        issuer.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        issuer
    };
    let clash = "issuers[1].subject_prefix: ";
    assert!(read(&[good(), other(json!({}))]).is_err_and(|fault| fault.contains(clash)));
    assert!(read(&[good(), other(json!({ "subject_prefix": "hr:" }))]).is_ok());
    assert!(read(&[good(), other(json!({ "tenant": "north" }))]).is_ok());
    let same_name = read(&[good(), with(json!({ "tenant": "north" }))]);
    assert!(same_name.is_err_and(|fault| fault.contains("issuers[1].issuer: another")));
}

#[test]
fn good_issuers_are_read() {
    let table = [
        json!({}),
        json!({ "jwks_url": "http://127.0.0.1:3000/jwks" }),
        json!({ "jwks_url": "http://localhost/jwks" }),
        json!({ "jwks_url": "http://[::1]:80/jwks" }),
        json!({ "algorithms": ["RS256", "PS256"] }),
        json!({ "tenant": null, "tenants": ["north", "south"] }),
        json!({ "tenant": null, "any_tenant": true }),
        json!({ "claims": { "role": ["realm_access", "roles"] } }),
        json!({ "roles": { "Accueil": "reception" } }),
        json!({ "renew_s": { "display": 7_776_000 } }),
        json!({ "iat_optional": true }),
        json!({ "jwks_url": null, "algorithms": null,
            "keys": [{ "file": "rs256.pem", "kid": "a", "algorithm": "RS256" }] }),
    ];
    for fields in table {
        assert_eq!(read(&[with(fields.clone())]).err(), None, "{fields}");
    }
}
