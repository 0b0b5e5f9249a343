use schemas::access::RevocationTag;
use serde_json::json;

use super::*;

const ISSUED: Millis = 1_000;

fn payload(value: Value) -> Payload {
    let mut payload = value.as_object().unwrap().clone();
    payload.entry("sub").or_insert(json!("u-1"));
    payload
}

fn mapping(paths: Value) -> ClaimMapping {
    ClaimMapping { paths: serde_json::from_value(paths).unwrap(), ..ClaimMapping::default() }
}

fn tenant() -> TenantId {
    TenantId::new("demo").unwrap()
}

fn claims(mapping: &ClaimMapping, value: Value) -> Result<Claims, Code> {
    mapping.claims(&payload(value), tenant(), ISSUED, 2_000)
}

#[test]
fn keycloak_and_auth0_shapes_are_read() {
    let keycloak_realm = json!({ "role": ["realm_access", "roles"] });
    let keycloak_client = json!({ "role": ["resource_access", "clinicwire", "roles"] });
    let auth0 = json!({
        "role": "https://clinic.example/roles", "locations": "https://clinic.example/locations",
    });
    let table = [
        (
            keycloak_realm,
            json!({ "realm_access": { "roles": ["offline_access", "RECEPTIONIST"] } }),
            Role::Reception,
        ),
        (
            keycloak_client,
            json!({ "resource_access": { "clinicwire": { "roles": ["clinic-admin"] } } }),
            Role::Admin,
        ),
        (auth0, json!({ "https://clinic.example/roles": ["Doctor"] }), Role::Doctor),
    ];
    for (paths, token, role) in table {
        let found = claims(&mapping(paths), token).map(|claims| claims.role);
        assert_eq!(found, Ok(role));
    }
}

#[test]
fn role_words_of_any_case_are_known() {
    let table = [
        ("SUPER_ADMIN", None),
        ("CLINIC_ADMIN", Some(Role::Admin)),
        ("RECEPTIONIST", Some(Role::Reception)),
        ("Support Staff", Some(Role::SupportStaff)),
        ("LAB-TECHNICIAN", Some(Role::LabTechnician)),
        ("finance_billing", Some(Role::FinanceBilling)),
        ("Accueil", Some(Role::Reception)),
        ("owner", None),
        ("", None),
    ];
    let roles = HashMap::from([("accueil".to_owned(), Role::Reception)]);
    let mapping = ClaimMapping { roles, ..ClaimMapping::default() };
    for (word, role) in table {
        let found = claims(&mapping, json!({ "role": word })).map(|claims| claims.role);
        assert_eq!(found, role.ok_or(Code::TokenInvalid), "{word}");
    }
    let trusted = ClaimMapping { super_admins: true, ..ClaimMapping::default() };
    let found = claims(&trusted, json!({ "role": "SUPER_ADMIN" })).map(|claims| claims.role);
    assert_eq!(found, Ok(Role::SuperAdmin));
}

#[test]
fn widest_of_several_roles_counts() {
    assert!(Role::ALL.iter().all(|role| WIDEST_FIRST.contains(role)));
    let token = json!({ "role": ["patient", "doctor", "SUPER_ADMIN", "clinic_admin"] });
    let found = claims(&ClaimMapping::default(), token).map(|claims| claims.role);
    assert_eq!(found, Ok(Role::Admin), "an untrusted super_admin is no role");
}

#[test]
fn prefix_keeps_subjects_of_issuers_apart() {
    let mapping = ClaimMapping { subject_prefix: "hr:".to_owned(), ..ClaimMapping::default() };
    let found = claims(&mapping, json!({ "role": "admin" })).unwrap();
    assert_eq!(&*found.subject, "hr:u-1");
    assert_eq!(
        claims(&mapping, json!({ "role": "admin", "sub": "" })).err(),
        Some(Code::TokenInvalid)
    );
}

#[test]
fn origin_names_session_device_and_version() {
    let token = json!({
        "role": "display", "sid": "s", "jti": "j", "device": "d", "ticket_link": "ignored",
        "permission_version": 4,
    });
    let origin = claims(&ClaimMapping::default(), token).unwrap().origin;
    let tag = |kind, id| RevocationTag::new(&tenant(), kind, id);
    let tags = [
        tag(TargetKind::Subject, "u-1"),
        tag(TargetKind::Session, "s"),
        tag(TargetKind::Session, "j"),
        tag(TargetKind::Device, "d"),
        RevocationTag::NONE,
        RevocationTag::NONE,
        RevocationTag::NONE,
    ];
    assert_eq!((origin.tags, origin.permission_version), (tags, Some(4)));
    assert_eq!(origin.permissions, tag(TargetKind::Permissions, "u-1"));
    assert_eq!(origin.issued, ISSUED);
}
