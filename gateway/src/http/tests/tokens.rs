//! Renewed tokens, and crossings into another tenant.

use super::*;

const CROSSING: &str = "/v1/tenants/north/crossings";

impl Node {
    async fn cross(&self, role: Role, reason: &str) -> Answer {
        let bearer = format!("Bearer {}", token(role));
        let headers = [("authorization", &*bearer), ("clinicwire-reason", reason)];
        self.send("POST", CROSSING, &headers, "").await
    }
}

#[tokio::test]
async fn display_and_patient_renew_and_keep_their_rights() {
    let node = node();
    for (role, status) in
        [(Role::Display, 200), (Role::Patient, 200), (Role::Reception, 403), (Role::Admin, 403)]
    {
        let answer = node.ask(role, "POST", "/v1/tokens/renew", "").await;
        assert_eq!(answer.status, status, "{role:?}: {}", answer.text);
        if status != 200 {
            assert_eq!(answer.code(), "not_renewable");
            continue;
        }
        let renewed = answer.json()["token"].as_str().unwrap().to_owned();
        let path = if role == Role::Display {
            "/v1/boards/riverside".to_owned()
        } else {
            format!("/v1/tickets/{TICKET}")
        };
        assert_eq!(node.ask_as(&renewed, "GET", &path, "").await.status, 200, "{role:?}");
        let foreign = node.ask_as(&renewed, "GET", "/v1/queues/riverside.general", "").await;
        assert_eq!(foreign.status, 403, "{role:?}");
        let again = node.ask_as(&renewed, "POST", "/v1/tokens/renew", "").await;
        assert_eq!(again.status, 200, "{role:?}");
    }
}

#[tokio::test]
async fn revocation_of_the_first_token_ends_its_successors() {
    let node = node();
    let answer = node.ask(Role::Display, "POST", "/v1/tokens/renew", "").await;
    let renewed = answer.json()["token"].as_str().unwrap().to_owned();
    let body = json!({ "kind": "subject", "id": "subject-1" }).to_string();
    assert_eq!(node.ask(Role::Admin, "POST", "/v1/revocations", &body).await.status, 202);
    let (tenant, revocation) = node.fakes.revoked.lock().unwrap().pop().unwrap();
    node.context.revocations.add(tenant, &revocation, now());
    for path in ["/v1/tokens/renew", "/v1/stream-tickets"] {
        let answer = node.ask_as(&renewed, "POST", path, "").await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "token_revoked"), "{path}");
    }
}

#[tokio::test]
async fn crossing_needs_a_reason_and_is_audited() {
    let node = node();
    for reason in ["", "because", &"x".repeat(501)] {
        let answer = node.cross(Role::SuperAdmin, reason).await;
        assert_eq!((answer.status, answer.code().as_str()), (422, "reason_missing"));
    }
    for (_, entry) in node.audited() {
        assert_eq!((&*entry.action, entry.code), ("tenant.cross", Some(Code::ReasonMissing)));
    }
    let answer = node.cross(Role::SuperAdmin, "Ticket 4711: the board is dark").await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let audited = node.audited();
    let told: Vec<_> = audited
        .iter()
        .map(|(tenant, record)| {
            (&**tenant, &*record.action, record.other_tenant.as_ref().unwrap().as_str())
        })
        .collect();
    assert_eq!(told, [("north", "tenant.cross", "demo"), ("demo", "tenant.cross", "north")]);
    for (_, entry) in audited {
        assert_eq!(entry.reason.as_deref(), Some("Ticket 4711: the board is dark"));
        assert_eq!(entry.what, ["north"]);
    }
    let body = answer.json();
    let minutes = (body["expires"].as_i64().unwrap() - now()) / 60_000;
    assert!((14..=15).contains(&minutes), "{minutes}");
    let crossed = body["token"].as_str().unwrap();
    let seen = node.ask_as(crossed, "GET", "/v1/rules", "").await;
    assert_eq!(seen.headers["clinicwire-crossing"], body["expires"].to_string());
    for (method, path) in [("GET", "/v1/nothing"), ("PATCH", "/v1/rules")] {
        let refused = node.ask_as(crossed, method, path, "").await;
        assert_eq!(refused.headers["clinicwire-crossing"], body["expires"].to_string(), "{path}");
    }
    let at_home = node.ask(Role::SuperAdmin, "GET", "/v1/rules", "").await;
    assert!(!at_home.headers.contains_key("clinicwire-crossing"));
    let again = node.ask_as(crossed, "POST", "/v1/tokens/renew", "").await;
    assert_eq!(again.code(), "not_renewable");
}

#[tokio::test]
async fn nobody_else_crosses_and_nothing_crosses_unaudited() {
    let node = node();
    for role in Role::ALL.into_iter().filter(|role| *role != Role::SuperAdmin) {
        let answer = node.cross(role, "a very good reason").await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{role:?}");
    }
    node.fakes.audit_fails.store(true, Ordering::Relaxed);
    let answer = node.cross(Role::SuperAdmin, "a very good reason").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "try_again"));
}

const EMERGENCY: &str = "/v1/locations/north/crossings";

impl Node {
    async fn cross_to_location(&self, token: &str, path: &str, reason: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", &*bearer), ("clinicwire-reason", reason)];
        self.send("POST", path, &headers, "").await
    }
}

#[tokio::test]
async fn staff_reach_another_location_for_an_audited_reason() {
    let node = node();
    let reason = "Code blue in the waiting room";
    for role in [Role::Reception, Role::Doctor] {
        let answer = node.cross_to_location(&token(role), EMERGENCY, "help").await;
        assert_eq!((answer.status, answer.code().as_str()), (422, "reason_missing"));
        node.audited();
        let answer = node.cross_to_location(&token(role), EMERGENCY, reason).await;
        assert_eq!(answer.status, 200, "{role:?}: {}", answer.text);
        let audited = node.audited();
        assert_eq!(audited.len(), 1);
        let crossing = &audited[0].1;
        assert_eq!((&*crossing.action, &*crossing.what), ("location.cross", &["north".into()][..]));
        assert_eq!(crossing.reason.as_deref(), Some(reason));
        let body = answer.json();
        let minutes = (body["expires"].as_i64().unwrap() - now()) / 60_000;
        assert!((14..=15).contains(&minutes), "{minutes}");
        let crossed = body["token"].as_str().unwrap();
        // The rights of the role there, and nowhere else.
        for (path, is_forbidden) in [
            ("/v1/boards/north", false),
            ("/v1/queues/north.general", false),
            ("/v1/boards/riverside", true),
            ("/v1/queues/riverside.general", true),
        ] {
            let answer = node.ask_as(crossed, "GET", path, "").await;
            assert_eq!(answer.status == 403, is_forbidden, "{role:?} {path}");
            assert_eq!(answer.headers["clinicwire-crossing"], body["expires"].to_string());
        }
        assert!(node.audited().iter().all(|(_, entry)| entry.crossed), "{role:?}");
        let rules = node.ask_as(crossed, "GET", "/v1/rules", "").await;
        assert_eq!(rules.status, 403, "{role:?}");
        // It leads no further, and does not last.
        let further =
            node.cross_to_location(crossed, "/v1/locations/south/crossings", reason).await;
        assert_eq!(further.code(), "forbidden");
        let renewed = node.ask_as(crossed, "POST", "/v1/tokens/renew", "").await;
        assert_eq!(renewed.code(), "not_renewable");
    }
}

#[tokio::test]
async fn unknown_tenants_and_locations_are_not_crossed_into() {
    let node = node();
    let reason = "a very good reason";
    for (role, path, action, code) in [
        (Role::SuperAdmin, "/v1/tenants/nowhere/crossings", "tenant.cross", Code::TenantUnknown),
        (Role::Doctor, "/v1/locations/nowhere/crossings", "location.cross", Code::LocationUnknown),
    ] {
        let answer = node.cross_to_location(&token(role), path, reason).await;
        assert_eq!((answer.status, answer.code().as_str()), (422, code.as_str()));
        let audited = node.audited();
        let [(tenant, entry)] = &audited[..] else { panic!("{} entries", audited.len()) };
        assert_eq!((&**tenant, &*entry.action, entry.code), ("demo", action, Some(code)));
        assert_eq!((&*entry.what[0], entry.reason.as_deref()), ("nowhere", Some(reason)));
    }
}

#[tokio::test]
async fn revocation_at_home_ends_a_crossing_into_another_tenant() {
    for kind in ["subject", "permissions"] {
        let node = node();
        let answer = node.cross(Role::SuperAdmin, "Ticket 4711: the board is dark").await;
        let crossed = answer.json()["token"].as_str().unwrap().to_owned();
        let body = json!({ "kind": kind, "id": "subject-1" }).to_string();
        assert_eq!(node.ask(Role::Admin, "POST", "/v1/revocations", &body).await.status, 202);
        let (tenant, revocation) = node.fakes.revoked.lock().unwrap().pop().unwrap();
        assert_eq!(node.ask_as(&crossed, "GET", "/v1/rules", "").await.status, 200);
        node.context.revocations.add(tenant, &revocation, now());
        let answer = node.ask_as(&crossed, "GET", "/v1/rules", "").await;
        assert_eq!(answer.code(), "token_revoked", "{kind}");
    }
}

#[tokio::test]
async fn nobody_else_crosses_to_a_location() {
    let node = node();
    let staff =
        [Role::Reception, Role::SupportStaff, Role::Doctor, Role::Therapist, Role::Counselor];
    let reason = "a very good reason";
    for role in Role::ALL {
        let answer = node.cross_to_location(&token(role), EMERGENCY, reason).await;
        assert_eq!(answer.status, if staff.contains(&role) { 200 } else { 403 }, "{role:?}");
    }
    let home = "/v1/locations/riverside/crossings";
    let at_home = node.cross_to_location(&token(Role::Doctor), home, reason).await;
    assert_eq!(at_home.code(), "forbidden");
    node.fakes.audit_fails.store(true, Ordering::Relaxed);
    let unaudited = node.cross_to_location(&token(Role::Doctor), EMERGENCY, reason).await;
    assert_eq!((unaudited.status, unaudited.code().as_str()), (503, "try_again"));
}

#[tokio::test]
async fn revocation_ends_a_crossing_to_a_location() {
    let node = node();
    let answer = node.cross_to_location(&token(Role::Doctor), EMERGENCY, "Code blue, room 4").await;
    let crossed = answer.json()["token"].as_str().unwrap().to_owned();
    let body = json!({ "kind": "subject", "id": "subject-1" }).to_string();
    assert_eq!(node.ask(Role::Admin, "POST", "/v1/revocations", &body).await.status, 202);
    let (tenant, revocation) = node.fakes.revoked.lock().unwrap().pop().unwrap();
    node.context.revocations.add(tenant, &revocation, now());
    let answer = node.ask_as(&crossed, "GET", "/v1/boards/north", "").await;
    assert_eq!(answer.code(), "token_revoked");
}
