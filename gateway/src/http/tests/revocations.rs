//! Revoking access over HTTP.

use schemas::access::TargetKind;

use super::*;

const PATH: &str = "/v1/revocations";

#[tokio::test]
async fn admin_revokes_each_kind() {
    let node = node();
    let targets = [
        ("subject", "ann", TargetKind::Subject),
        ("session", "s-1", TargetKind::Session),
        ("device", "screen-1", TargetKind::Device),
        ("ticket_link", TICKET, TargetKind::TicketLink),
        ("permissions", "ann", TargetKind::Permissions),
        ("listed", "00000000000000a1", TargetKind::Listed),
    ];
    for (word, id, kind) in targets {
        let body = json!({ "kind": word, "id": id }).to_string();
        let answer = node.ask(Role::Admin, "POST", PATH, &body).await;
        assert_eq!(answer.status, 202, "{word}: {}", answer.text);
        let (tenant, revocation) = node.fakes.revoked.lock().unwrap().pop().unwrap();
        assert_eq!(tenant.as_str(), "demo");
        assert!(revocation.target.kind == kind && revocation.target.id == id, "{word}");
        assert_eq!(revocation.by.subject, "subject-1");
    }
}

#[tokio::test]
async fn unusable_revocation_is_refused() {
    let node = node();
    let long = "x".repeat(129);
    let table = [
        (json!({ "kind": "subject", "id": "" }), 422, "invalid_value"),
        (json!({ "kind": "subject", "id": long }), 422, "invalid_value"),
        (json!({ "kind": "everyone", "id": "a" }), 400, "malformed"),
        (json!({ "kind": "ticket_link", "id": "no ticket" }), 400, "invalid_id"),
        (json!({ "kind": "listed", "id": "ann" }), 400, "invalid_id"),
        (json!({ "kind": "subject", "id": "a", "permission_version": 1 }), 422, "invalid_value"),
    ];
    for (body, status, code) in table {
        let answer = node.ask(Role::Admin, "POST", PATH, &body.to_string()).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{body}");
    }
    assert!(node.fakes.revoked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn only_admins_revoke_within_their_locations() {
    let node = node();
    let body = |kind: &str, id: &str| json!({ "kind": kind, "id": id }).to_string();
    for role in Role::ALL {
        let answer = node.ask(role, "POST", PATH, &body("subject", "ann")).await;
        let allowed = matches!(role, Role::Admin | Role::SuperAdmin);
        assert_eq!(answer.status, if allowed { 202 } else { 403 }, "{role:?}");
    }
    let here = LocationId::new("riverside").unwrap();
    let bound = Claims { locations: vec![here], ..claims_of("demo", "boss", Role::Admin) };
    let bound = development_token(&key(), &bound, now());
    let elsewhere = TICKET.replace("riverside", "north");
    for (kind, id, status) in
        [("ticket_link", TICKET, 202), ("ticket_link", &*elsewhere, 403), ("subject", "ann", 403)]
    {
        let answer = node.ask_as(&bound, "POST", PATH, &body(kind, id)).await;
        assert_eq!(answer.status, status, "{kind} {id}");
    }
}

#[tokio::test]
async fn revoked_token_is_refused_on_every_route() {
    let node = node();
    let path = "/v1/boards/riverside";
    assert_eq!(node.ask(Role::Display, "GET", path, "").await.status, 200);
    let body = json!({ "kind": "subject", "id": "subject-1" }).to_string();
    assert_eq!(node.ask(Role::Admin, "POST", PATH, &body).await.status, 202);
    let (tenant, revocation) = node.fakes.revoked.lock().unwrap().pop().unwrap();
    node.context.revocations.add(tenant, &revocation, now() + 1_000);
    for (method, path) in [
        ("GET", path),
        ("GET", "/v1/queues/riverside.general"),
        ("POST", "/v1/stream-tickets"),
        ("POST", "/v1/queues/riverside.general/tickets"),
        ("GET", "/v1/runs"),
        ("GET", "/v1/rules"),
        ("POST", PATH),
    ] {
        let answer = node.ask(Role::Admin, method, path, "").await;
        assert_eq!((answer.status, answer.code().as_str()), (401, "token_revoked"), "{path}");
    }
}
