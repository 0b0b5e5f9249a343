//! Suspending and resuming a tenant.

use std::collections::BTreeMap;

use schemas::tenant::{INSTALLATION, StoredTenant, TenantQuotas, TenantSettings};

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
    let metrics = node.context.metrics.text(&node.context.readiness);
    assert!(metrics.contains("clinicwire_tenants{state=\"suspended\"} 1\n"), "{metrics}");
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
            for path in ["/v1/tenants/demo", "/v1/tenants", "/v1/limits"] {
                let read = node.ask_as(&other, "GET", path, "").await;
                assert_eq!(read.status == 200, role == Role::SuperAdmin, "{role:?} {path}");
            }
        }
        let boss = token_of("north", "boss", Role::SuperAdmin);
        let hasty = node.change_tenant(&boss, &path, "because").await;
        assert_eq!((hasty.status, hasty.code().as_str()), (422, "reason_missing"));
        let path = format!("/v1/tenants/nowhere/{word}");
        let unknown = node.change_tenant(&boss, &path, REASON).await;
        assert_eq!((unknown.status, unknown.code().as_str()), (422, "tenant_unknown"));
    }
}

impl Node {
    async fn store_tenant(&self, token: &str, method: &str, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [
            ("authorization", &*bearer),
            ("clinicwire-reason", REASON),
            ("content-type", "application/json"),
        ];
        self.send(method, path, &headers, body).await
    }

    /// Records settings of a tenant as the intake does.
    fn hear_settings(&self, tenant: &str, settings: TenantSettings) {
        let stored = StoredTenant { settings, created_at: 7, edition: 3, by: None };
        let tenant = TenantId::new(tenant).unwrap();
        self.context.limits.set_tenant(&tenant, &stored.settings.limits);
        self.context.revocations.set_settings(tenant, stored);
    }
}

#[tokio::test]
async fn settings_of_a_tenant_go_to_its_own_aggregate() {
    let node = node();
    let boss = token_of("north", "boss", Role::SuperAdmin);
    let body = r#"{"tenant": "south", "name": "South", "quotas": {"locations": 2},
        "limits": {"desk": "900/60"}, "retention": {"history_days": 30}}"#;
    let answer = node.store_tenant(&boss, "POST", "/v1/tenants", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let sent = node.last();
    assert_eq!(sent.aggregate.as_str(), "south/_tenant");
    let Command::CreateTenant { settings } = sent.command else { panic!("it is created") };
    assert_eq!((settings.name.as_deref(), settings.quotas.locations), (Some("South"), Some(2)));
    let mut audited: Vec<_> = node.audited().into_iter().map(|(tenant, _)| tenant).collect();
    audited.sort();
    audited.dedup();
    assert_eq!(audited, ["north", "south"], "both know why");

    let path = "/v1/tenants/south";
    let body = r#"{"quotas": {"locations": 3}, "edition": 4}"#;
    assert_eq!(node.store_tenant(&boss, "PUT", path, body).await.status, 200);
    let Command::ChangeTenant { settings, edition } = node.last().command else {
        panic!("it is changed")
    };
    assert_eq!((settings.quotas.locations, edition), (Some(3), Some(4)));

    for (body, status, code) in [
        (r#"{"limits": {"desk": "many"}}"#, 422, "invalid_value"),
        (r#"{"limits": {"connections": "5"}}"#, 422, "invalid_value"),
        (r#"{"quotas": {"rooms": 5}}"#, 400, "malformed"),
    ] {
        let answer = node.store_tenant(&boss, "PUT", path, body).await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{body}");
    }
    let admin = token_of("south", "ann", Role::Admin);
    assert_eq!(node.store_tenant(&admin, "PUT", path, "{}").await.status, 403);
}

#[tokio::test]
async fn tenants_are_listed_by_pages() {
    let node = node();
    let boss = token_of("north", "boss", Role::SuperAdmin);
    for tenant in ["a", "b", "c"] {
        node.hear_settings(tenant, TenantSettings::default());
    }
    let metrics = node.context.metrics.text(&node.context.readiness);
    assert!(metrics.contains("clinicwire_tenants{state=\"created\"} 3\n"), "{metrics}");
    let list = async |after: &str| {
        let path = format!("/v1/tenants?limit=2{after}");
        let page = node.ask_as(&boss, "GET", &path, "").await.json();
        let tenants = page["tenants"].as_array().unwrap().clone();
        let ids: Vec<_> =
            tenants.iter().map(|it| it["tenant"].as_str().unwrap().to_owned()).collect();
        (ids, page["next"].as_str().map(str::to_owned))
    };
    let (first, next) = list("").await;
    assert_eq!(first, ["a", "b"]);
    let (second, last) = list(&format!("&after={}", next.unwrap())).await;
    assert_eq!((second, last), (vec!["c".to_owned()], None));
    let one = node.ask_as(&boss, "GET", "/v1/tenants/a", "").await;
    assert_eq!((one.header("etag"), &one.json()["edition"]), ("\"3\"", &json!(3)));
}

#[tokio::test]
async fn tenant_has_no_more_locations_than_its_quota() {
    let node = node();
    let quotas = TenantQuotas { locations: Some(2), ..TenantQuotas::default() };
    node.hear_settings("demo", TenantSettings { quotas, ..TenantSettings::default() });
    let body = r#"{"name": "Here", "time_zone": "UTC", "languages": ["en"]}"#;
    let put = async |path| node.ask(Role::Admin, "PUT", path, body).await;
    let refused = put("/v1/locations/hillside").await;
    assert_eq!((refused.status, refused.code().as_str()), (409, "quota_reached"));
    assert!(refused.text.contains("at most 2 locations"), "{}", refused.text);
    let changed = put("/v1/locations/riverside").await;
    assert_eq!(changed.status, 200, "a location that is there can be changed: {}", changed.text);
}

#[tokio::test]
async fn tenant_has_the_limits_of_its_own() {
    let node = node();
    let limits = BTreeMap::from([("rest".to_owned(), "1/60".to_owned())]);
    node.hear_settings("demo", TenantSettings { limits, ..TenantSettings::default() });
    let read = async || node.ask(Role::Reception, "GET", "/v1/queues/riverside.general", "").await;
    let first = read().await;
    assert_eq!(first.header("ratelimit-policy"), "\"rest\";q=1;w=60");
    assert_eq!(read().await.code(), "rate_limited");
}

#[tokio::test]
async fn limits_of_the_installation_change_without_a_restart() {
    let node = node();
    let boss = token_of("north", "boss", Role::SuperAdmin);
    let body = r#"{"limits": {"rest": "1/60"}}"#;
    let answer = node.store_tenant(&boss, "PUT", "/v1/limits", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(node.last().aggregate.as_str(), "clinicwire-installation/_tenant");
    let limits = BTreeMap::from([("rest".to_owned(), "2/60".to_owned())]);
    node.hear_settings(INSTALLATION, TenantSettings { limits, ..TenantSettings::default() });
    let read = async || node.ask(Role::Reception, "GET", "/v1/queues/riverside.general", "").await;
    assert_eq!(read().await.header("ratelimit-policy"), "\"rest\";q=2;w=60");
    let shown = node.ask_as(&boss, "GET", "/v1/limits", "").await.json();
    let rest = shown["limits"].as_array().unwrap().iter().find(|it| it["name"] == "rest");
    assert_eq!((&rest.unwrap()["value"], &shown["edition"]), (&json!("2/60"), &json!(3)));
    for limit in ["connections", "openings", "commands"] {
        let body = json!({"limits": {limit: "5"}}).to_string();
        let answer = node.store_tenant(&boss, "PUT", "/v1/limits", &body).await;
        assert_eq!(answer.code(), "invalid_value", "{limit}");
    }
    let body = r#"{"tenant": "clinicwire-installation"}"#;
    assert_eq!(node.store_tenant(&boss, "POST", "/v1/tenants", body).await.code(), "invalid_id");
    assert!(node.ask_as(&boss, "GET", "/v1/tenants", "").await.text.contains("[]"), "no tenant");
}
