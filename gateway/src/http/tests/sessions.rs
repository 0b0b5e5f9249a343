//! Listing and ending sessions.

use schemas::access::{RevocationTag, TargetKind};

use super::*;

const PATH: &str = "/v1/sessions";
const PHONE: &str = "00000000000000a1";
const DESK: &str = "00000000000000a2";

/// A node of an installation of two, on which `subject-1` has two sessions.
fn node_with_sessions() -> Node {
    let node = node();
    let open = |session: &str, transport: &str| {
        json!({
            "session": session,
            "issued": 5,
            "expires": 9,
            "transport": transport,
            "channels": 1,
        })
    };
    *node.fakes.sessions.lock().unwrap() = vec![
        json!([open(PHONE, "websocket"), open(DESK, "sse")]),
        json!([open(PHONE, "socketio")]),
    ];
    node
}

fn token_as(role: Role, subject: &str) -> String {
    token_of("demo", subject, role)
}

/// The revocations so far.
fn revoked(node: &Node) -> Vec<(String, Revocation)> {
    let revoked = std::mem::take(&mut *node.fakes.revoked.lock().unwrap());
    revoked.into_iter().map(|(tenant, revocation)| (tenant.to_string(), revocation)).collect()
}

#[tokio::test]
async fn sessions_of_all_nodes_are_listed_together() {
    let node = node_with_sessions();
    let listed = node.ask_as(&token_as(Role::Doctor, "subject-1"), "GET", PATH, "").await;
    assert_eq!(listed.status, 200, "{}", listed.text);
    let connection =
        |transport: &str| json!({ "transport": transport, "channels": 1, "expires": 9 });
    let expected = json!([
        {
            "session": PHONE,
            "issued": 5,
            "crossed": false,
            "connections": [connection("websocket"), connection("socketio")],
        },
        {
            "session": DESK,
            "issued": 5,
            "crossed": false,
            "connections": [connection("sse")],
        },
    ]);
    assert_eq!(listed.json()["sessions"], expected);
    let path = format!("{PATH}?subject=subject-1");
    let by_admin = node.ask_as(&token_as(Role::Admin, "boss"), "GET", &path, "").await;
    assert_eq!(by_admin.json()["sessions"], expected);
    let (_, entry) = node.audited().pop().unwrap();
    assert_eq!((&*entry.action, &*entry.what), ("session.list", &["subject-1".to_owned()][..]));
}

#[tokio::test]
async fn sessions_of_others_are_for_admins_of_their_tenant() {
    let node = node_with_sessions();
    let path = format!("{PATH}?subject=subject-1");
    for role in Role::ALL {
        let answer = node.ask_as(&token_as(role, "ann"), "GET", &path, "").await;
        let admin = matches!(role, Role::Admin | Role::SuperAdmin);
        assert_eq!(answer.status, if admin { 200 } else { 403 }, "{role:?}");
    }
    let foreign = token_of("north", "boss", Role::Admin);
    let answer = node.ask_as(&foreign, "GET", &path, "").await;
    assert_eq!(answer.json()["sessions"], json!([]));
}

#[tokio::test]
async fn ended_session_is_revoked_by_the_tag_that_was_listed() {
    let node = node_with_sessions();
    let path = format!("{PATH}/{PHONE}");
    let answer = node.ask_as(&token_as(Role::Doctor, "subject-1"), "DELETE", &path, "").await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let [(tenant, revocation)] = &revoked(&node)[..] else { panic!("one revocation") };
    let tag = revocation.tag(&TenantId::new("demo").unwrap());
    assert_eq!((tenant.as_str(), revocation.target.kind), ("demo", TargetKind::Listed));
    assert_eq!(tag, RevocationTag(0xa1));
    let admin = node.ask_as(&token_as(Role::Admin, "boss"), "DELETE", &path, "").await;
    assert_eq!(admin.status, 202);
    assert_eq!(revoked(&node).len(), 1);
}

#[tokio::test]
async fn nobody_else_ends_a_session() {
    let node = node_with_sessions();
    let path = format!("{PATH}/{PHONE}");
    for (bearer, path) in [
        (token_as(Role::Doctor, "ann"), &*path),
        (token_as(Role::Doctor, "subject-1"), "/v1/sessions/00000000000000ff"),
        (token_as(Role::Admin, "boss"), "/v1/sessions/anything"),
    ] {
        let answer = node.ask_as(&bearer, "DELETE", path, "").await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{path}");
    }
    assert!(revoked(&node).is_empty());
}

#[tokio::test]
async fn own_session_ends_without_being_listed() {
    let node = node();
    let claims = claims_of("demo", "ann", Role::Doctor);
    let origin = Origin::new(&claims.tenant, "ann", now());
    let bearer = node.context.verifier.sign(&Claims { origin, ..claims }).unwrap();
    let path = format!("{PATH}/{}", origin.session());
    assert_eq!(node.ask_as(&bearer, "DELETE", &path, "").await.status, 202);
    for (tenant, revocation) in revoked(&node) {
        let tenant = TenantId::new(tenant).unwrap();
        node.context.revocations.add(tenant, &revocation, now());
    }
    assert_eq!(node.ask_as(&bearer, "GET", PATH, "").await.code(), "token_revoked");
}

#[tokio::test(start_paused = true)]
async fn list_without_an_answer_is_not_taken_for_an_empty_one() {
    let answer = node().ask_as(&token_as(Role::Doctor, "ann"), "GET", PATH, "").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "try_again"));
}

#[tokio::test]
async fn lists_are_limited_for_each_subject() {
    let limits = ["sessions=2/3600".parse().unwrap()];
    let node = node_with(LimitSettings::default().changed(&limits));
    *node.fakes.sessions.lock().unwrap() = vec![json!([])];
    let bearer = token_as(Role::Doctor, "subject-1");
    let mut statuses = Vec::new();
    for _ in 0..3 {
        statuses.push(node.ask_as(&bearer, "GET", PATH, "").await.status);
    }
    assert_eq!(statuses, [200, 200, 429]);
}
