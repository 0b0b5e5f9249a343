//! Suspending and resuming a tenant.

use super::*;

const REASON: &str = "The contract of this clinic has ended";

impl Node {
    async fn change_tenant(&self, token: &str, path: &str, reason: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", &*bearer), ("clinicwire-reason", reason)];
        self.send("POST", path, &headers, "").await
    }

    /// Reads the records of tenants as the intake does.
    fn hear_tenants(&self) -> Vec<TenantStatus> {
        let heard = std::mem::take(&mut *self.fakes.tenants.lock().unwrap());
        let hear = |(tenant, status): (TenantId, TenantStatus)| {
            self.context.revocations.set_tenant(tenant, status.clone());
            status
        };
        heard.into_iter().map(hear).collect()
    }
}

#[tokio::test]
async fn suspended_tenant_is_refused_until_it_is_resumed() {
    let node = node();
    let boss = token_of("north", "boss", Role::SuperAdmin);
    let path = "/v1/boards/riverside";
    assert_eq!(node.ask(Role::Display, "GET", path, "").await.status, 200);
    let answer = node.change_tenant(&boss, "/v1/tenants/demo/suspend", REASON).await;
    assert_eq!(
        (answer.status, &answer.json()["suspended"]),
        (202, &json!(true)),
        "{}",
        answer.text
    );
    let [status] = &node.hear_tenants()[..] else { panic!("one record") };
    assert_eq!((status.suspended, &*status.reason, &*status.by.subject), (true, REASON, "boss"));
    for (method, path) in [
        ("GET", path),
        ("POST", "/v1/stream-tickets"),
        ("POST", "/v1/queues/riverside.general/tickets"),
        ("GET", "/v1/rules"),
        ("POST", "/v1/tokens/renew"),
    ] {
        let answer = node.ask(Role::Admin, method, path, "").await;
        assert_eq!((answer.status, answer.code().as_str()), (403, "tenant_suspended"), "{path}");
    }
    let crossing = node.change_tenant(&boss, "/v1/tenants/demo/crossings", REASON).await;
    assert_eq!((crossing.status, crossing.code().as_str()), (403, "tenant_suspended"));
    let read = node.ask_as(&boss, "GET", "/v1/tenants/demo", "").await.json();
    assert_eq!((&read["suspended"], &read["reason"]), (&json!(true), &json!(REASON)));
    let answer = node.change_tenant(&boss, "/v1/tenants/demo/resume", REASON).await;
    assert_eq!((answer.status, node.hear_tenants().len()), (202, 1));
    assert_eq!(node.ask(Role::Display, "GET", path, "").await.status, 200);
}

#[tokio::test]
async fn change_of_a_tenant_is_in_both_audits() {
    let node = node();
    let boss = token_of("north", "boss", Role::SuperAdmin);
    node.change_tenant(&boss, "/v1/tenants/demo/suspend", REASON).await;
    let mut audited: Vec<_> = node
        .audited()
        .into_iter()
        .map(|(tenant, entry)| (tenant, entry.action.to_string(), entry.reason))
        .collect();
    audited.sort();
    let entry =
        |tenant: &str| (tenant.to_owned(), "tenant.suspend".to_owned(), Some(REASON.to_owned()));
    assert_eq!(audited, [entry("demo"), entry("north")]);
    node.fakes.tenants.lock().unwrap().clear();
    node.fakes.audit_fails.store(true, Ordering::Relaxed);
    let answer = node.change_tenant(&boss, "/v1/tenants/demo/suspend", REASON).await;
    assert_eq!((answer.status, node.hear_tenants().len()), (503, 0), "nothing without its entry");
}

#[tokio::test]
async fn only_super_admins_of_other_tenants_manage_a_tenant() {
    let node = node();
    for word in ["suspend", "resume"] {
        let path = format!("/v1/tenants/demo/{word}");
        for role in Role::ALL {
            let own = node.change_tenant(&token(role), &path, REASON).await;
            assert_eq!((own.status, own.code().as_str()), (403, "forbidden"), "{role:?}, its own");
            let other = token_of("north", "boss", role);
            let answer = node.change_tenant(&other, &path, REASON).await;
            let expected = if role == Role::SuperAdmin { 202 } else { 403 };
            assert_eq!(answer.status, expected, "{role:?} {word}: {}", answer.text);
            let read = node.ask_as(&other, "GET", "/v1/tenants/demo", "").await;
            assert_eq!(read.status == 200, role == Role::SuperAdmin, "{role:?}");
        }
        let boss = token_of("north", "boss", Role::SuperAdmin);
        let hasty = node.change_tenant(&boss, &path, "because").await;
        assert_eq!((hasty.status, hasty.code().as_str()), (422, "reason_missing"));
        let path = format!("/v1/tenants/nowhere/{word}");
        let unknown = node.change_tenant(&boss, &path, REASON).await;
        assert_eq!((unknown.status, unknown.code().as_str()), (422, "tenant_unknown"));
    }
}
