use gateway_core::access::{Origin, Role};
use schemas::{
    access::{RevocationTarget, TargetKind},
    record::Actor,
    tenant::TenantSettings,
};

use super::*;

const AT: Millis = 1_000_000;

fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

fn claims(subject: &str, issued: Millis) -> Claims {
    let origin = Origin::new(&tenant("demo"), subject, issued);
    Claims {
        tenant: tenant("demo"),
        subject: subject.into(),
        role: Role::Display,
        locations: vec![],
        queues: vec![],
        tickets: vec![],
        appointments: vec![],
        doctor: None,
        expires: issued + 60_000,
        origin,
    }
}

fn with(mut claims: Claims, kind: TargetKind, id: &str) -> Claims {
    claims.origin.add(&tenant("demo"), kind, id);
    claims
}

fn revocation(kind: TargetKind, id: &str, permission_version: Option<u32>) -> Revocation {
    Revocation {
        target: RevocationTarget { kind, id: id.to_owned() },
        permission_version,
        at: 0,
        by: Actor { subject: "boss".to_owned(), role: "admin".to_owned() },
    }
}

fn revoked(kind: TargetKind, id: &str) -> Revocations {
    let revocations = Revocations::none();
    revocations.add(tenant("demo"), &revocation(kind, id, None), AT);
    revocations
}

#[test]
fn each_kind_ends_only_older_tokens_of_its_target() {
    use TargetKind as K;
    let plain = |issued| claims("ann", issued);
    for (kind, id) in
        [(K::Subject, "ann"), (K::Session, "s"), (K::Device, "d"), (K::TicketLink, "t")]
    {
        let revocations = revoked(kind, id);
        let of_target = |issued| match kind {
            K::Subject => plain(issued),
            _ => with(plain(issued), kind, id),
        };
        assert_eq!(revocations.check(&of_target(AT - 1)), Err(Code::TokenRevoked), "{kind:?}");
        assert_eq!(revocations.check(&of_target(AT)), Err(Code::TokenRevoked), "{kind:?}");
        assert_eq!(revocations.check(&of_target(AT + 1)), Ok(()), "{kind:?}: a newer token");
        assert_eq!(revocations.check(&with(claims("bob", 0), kind, "other")), Ok(()), "{kind:?}");
        let mut foreign = of_target(AT - 1);
        foreign.tenant = tenant("other");
        assert_eq!(revocations.check(&foreign), Ok(()), "{kind:?}");
    }
}

#[test]
fn bump_of_permissions_asks_for_a_newer_token() {
    let revocations = Revocations::none();
    let bump = revocation(TargetKind::Permissions, "ann", Some(3));
    revocations.add(tenant("demo"), &bump, AT);
    let versioned = |version, issued| {
        let mut claims = claims("ann", issued);
        claims.origin.permission_version = version;
        revocations.check(&claims)
    };
    let changed = Err(Code::PermissionsChanged);
    assert_eq!(versioned(Some(2), AT + 1), changed);
    assert_eq!(versioned(Some(3), AT - 1), Ok(()));
    assert_eq!(versioned(None, AT - 1), changed, "without a version the time decides");
    assert_eq!(versioned(None, AT + 1), Ok(()));
}

#[test]
fn nothing_is_accepted_before_the_topic_is_read() {
    let revocations = Revocations::default();
    assert_eq!(revocations.check(&claims("ann", AT)), Err(Code::TryAgain));
    revocations.finish_reading();
    assert_eq!(revocations.check(&claims("ann", AT)), Ok(()));
}

#[test]
fn later_revocation_counts_in_any_order() {
    let revocations = revoked(TargetKind::Subject, "ann");
    revocations.add(tenant("demo"), &revocation(TargetKind::Subject, "ann", None), AT - 500);
    assert_eq!(revocations.check(&claims("ann", AT)), Err(Code::TokenRevoked));
    assert_eq!(revocations.count(), 1);
}

#[test]
fn revocation_is_forgotten_after_the_longest_token_life() {
    let revocations = revoked(TargetKind::Subject, "ann");
    let later = AT + MAX_TOKEN_LIFE_MS + PRUNE_INTERVAL_MS + 1;
    revocations.add(tenant("demo"), &revocation(TargetKind::Subject, "bob", None), later);
    assert_eq!(revocations.count(), 1);
}

#[test]
fn too_many_revocations_outdate_the_tenants_older_tokens() {
    let revocations = Revocations::none();
    for number in 0..=MAX_OF_TENANT {
        let id = format!("s-{number}");
        let at = AT + i64::try_from(number).unwrap();
        revocations.add(tenant("demo"), &revocation(TargetKind::Subject, &id, None), at);
    }
    assert!(revocations.count() <= MAX_OF_TENANT);
    // A revoked token stays refused, although its revocation is no longer held.
    assert!(revocations.check(&claims("s-0", AT - 1)).is_err());
    assert_eq!(revocations.check(&claims("ann", AT)), Err(Code::PermissionsChanged));
    assert_eq!(revocations.check(&claims("ann", AT * 2)), Ok(()));
    let mut foreign = claims("ann", AT);
    foreign.tenant = tenant("other");
    assert_eq!(revocations.check(&foreign), Ok(()), "another tenant notices nothing");
}

/// Tags can be computed by anybody who knows the name of a person.
#[test]
fn admin_of_another_tenant_ends_no_crossing() {
    let mut crossed = claims("ann", AT - 1);
    crossed.origin.crossed = true;
    let named = crossed.origin.session().to_string();
    for (tenant, ends) in [("demo", true), ("stranger", false)] {
        let revocations = Revocations::none();
        let listed = revocation(TargetKind::Listed, &named, None);
        revocations.add(TenantId::new(tenant).unwrap(), &listed, AT);
        assert_eq!(revocations.check(&crossed).is_err(), ends, "{tenant}");
    }
}

#[test]
fn suspended_tenant_has_no_valid_token_until_it_is_resumed() {
    let revocations = Revocations::none();
    let status = |suspended| TenantStatus {
        suspended,
        reason: "unpaid".to_owned(),
        at: AT,
        by: Actor { subject: "boss".to_owned(), role: "super_admin".to_owned() },
    };
    let of_other = Claims { tenant: tenant("other"), ..claims("ann", AT) };
    let before = revocations.generation();
    revocations.set_tenant(tenant("demo"), status(true));
    assert_ne!(revocations.generation(), before, "shards notice it");
    let newer = claims("ann", AT + MAX_TOKEN_LIFE_MS * 2);
    assert_eq!(revocations.check(&newer), Err(Code::TenantSuspended));
    let tag = RevocationTag::new(&tenant("demo"), TargetKind::TicketLink, "t");
    assert_eq!(revocations.check_tag(&tenant("demo"), tag), Err(Code::TenantSuspended));
    assert_eq!(revocations.check(&of_other), Ok(()));
    assert!(revocations.suspension(&tenant("demo")) == Some(status(true)));
    // Revocations are removed once they are old, and the state of a tenant is not.
    let late = AT + MAX_TOKEN_LIFE_MS * 3;
    revocations.add(tenant("other"), &revocation(TargetKind::Subject, "bob", None), late);
    assert_eq!(revocations.check_tenant(&tenant("demo")), Err(Code::TenantSuspended));
    revocations.set_tenant(tenant("demo"), status(false));
    assert_eq!(revocations.check(&newer), Ok(()));
    assert!(revocations.suspension(&tenant("demo")).is_none());
}

#[test]
fn node_of_created_tenants_serves_no_other() {
    let revocations = Revocations::new(true);
    revocations.finish_reading();
    let boss = Claims { role: Role::SuperAdmin, ..claims("boss", AT) };
    assert_eq!(revocations.check(&claims("ann", AT)), Err(Code::TenantNotServed));
    assert_eq!(revocations.check(&boss), Ok(()), "somebody creates the first one");
    let stored =
        StoredTenant { settings: TenantSettings::default(), created_at: AT, edition: 1, by: None };
    revocations.set_settings(tenant("demo"), stored);
    assert_eq!(revocations.check(&claims("ann", AT)), Ok(()));
    assert_eq!(revocations.check_tenant(&tenant("other")), Err(Code::TenantNotServed));
    assert_eq!(revocations.known_tenants(None, 9), [tenant("demo")]);
    assert!(revocations.known_tenants(Some(&tenant("demo")), 9).is_empty());
}
