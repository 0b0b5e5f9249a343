use schemas::access::TargetKind;

use super::*;

const NOW: Millis = 1_800_000_000_000;
const HOUR_MS: Millis = 60 * 60 * 1000;

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn claims(role: Role) -> Claims {
    let mut origin = Origin::new(&tenant("demo"), "ann", NOW - HOUR_MS);
    origin.add(&tenant("demo"), TargetKind::Session, "s");
    origin.renewable_until = NOW + 10 * HOUR_MS;
    Claims {
        tenant: tenant("demo"),
        subject: "ann".into(),
        role,
        locations: vec![],
        queues: vec![],
        tickets: vec![],
        appointments: vec![],
        doctor: Some(DoctorId::new("dr-roy").unwrap()),
        expires: NOW + 60_000,
        origin,
    }
}

#[test]
fn signed_claims_are_read_back_until_they_expire() {
    let own = OwnTokens::new(&[1; 32]);
    let claims = claims(Role::Doctor);
    let token = own.sign(&claims);
    assert!(own.verify(&token, NOW) == Ok(claims.clone()));
    assert_eq!(own.verify(&token, claims.expires).err(), Some(Code::TokenExpired));
    let other = OwnTokens::new(&[2; 32]);
    assert_eq!(other.verify(&token, NOW).err(), Some(Code::TokenInvalid));
}

#[test]
fn renewal_keeps_rights_and_origin_to_its_end() {
    let reception = renewed(&claims(Role::Reception), NOW).unwrap();
    assert_eq!(reception.expires, NOW + RENEWED_LIFE_MS);
    assert_eq!(reception.origin, claims(Role::Reception).origin);
    let display = renewed(&claims(Role::Display), NOW).unwrap();
    assert_eq!(display.expires, NOW + 10 * HOUR_MS, "never past the end of renewals");
    let last = renewed(&display, NOW + 9 * HOUR_MS).unwrap();
    assert_eq!(last.expires, NOW + 10 * HOUR_MS);
    assert_eq!(renewed(&last, NOW + 10 * HOUR_MS).err(), Some(Code::NotRenewable));
    let mut fixed = claims(Role::Reception);
    fixed.origin.renewable_until = 0;
    assert_eq!(renewed(&fixed, NOW).err(), Some(Code::NotRenewable));
}

#[test]
fn only_super_admins_cross_once_and_for_minutes() {
    let admin = Claims { expires: NOW + HOUR_MS, ..claims(Role::SuperAdmin) };
    let there = crossed(&admin, tenant("north"), NOW).unwrap();
    assert_eq!((there.tenant.as_str(), there.expires), ("north", NOW + CROSSING_LIFE_MS));
    assert!(there.origin.crossed);
    assert_eq!(renewed(&there, NOW).err(), Some(Code::NotRenewable));
    let forbidden = Some(Code::Forbidden);
    assert_eq!(crossed(&there, tenant("south"), NOW).err(), forbidden, "no crossing from there");
    assert_eq!(crossed(&admin, tenant("demo"), NOW).err(), forbidden, "the own tenant");
    for role in Role::ALL.into_iter().filter(|role| *role != Role::SuperAdmin) {
        assert_eq!(crossed(&claims(role), tenant("north"), NOW).err(), forbidden, "{role:?}");
    }
    let bound = Claims { locations: vec![LocationId::new("riverside").unwrap()], ..admin };
    assert_eq!(crossed(&bound, tenant("north"), NOW).err(), forbidden, "bound to a location");
}

#[test]
fn crossing_counts_for_fifteen_minutes_and_ends_with_its_session() {
    let tokens = OwnTokens::new(&[7; 32]);
    let home = |role| {
        let mut claims = Claims { expires: NOW + HOUR_MS, ..claims(role) };
        claims.origin.add(&tenant("demo"), TargetKind::Session, "at home");
        claims
    };
    let mut staff = home(Role::Reception);
    staff.locations = vec![LocationId::new("riverside").unwrap()];
    let admin = home(Role::SuperAdmin);
    for (home, there) in [
        (&admin, crossed(&admin, tenant("north"), NOW).unwrap()),
        (&staff, crossed_to_location(&staff, LocationId::new("north").unwrap(), NOW).unwrap()),
    ] {
        let token = tokens.sign(&there);
        let last = NOW + 15 * 60 * 1000 - 1;
        assert!(tokens.verify(&token, last).is_ok_and(|read| read == there));
        assert_eq!(tokens.verify(&token, last + 1).err(), Some(Code::TokenExpired));
        assert_eq!(tokens.verify_for_renewal(&token, last + 1).err(), Some(Code::TokenExpired));
        // The crossing is a session of its own, and ends with the session at home.
        assert!(there.origin.session() != home.origin.session());
        for tag in home.origin.tags.iter().filter(|tag| **tag != RevocationTag::NONE) {
            assert!(there.origin.tags.contains(tag), "{:?}", home.role);
        }
    }
}
