//! Origins, pages, health and metrics.

use super::*;

#[tokio::test]
async fn only_own_and_listed_origins_may_call() {
    let node = node();
    let path = "/v1/boards/riverside";
    let bearer = format!("Bearer {}", token(Role::Display));
    for (origin, allowed) in [
        ("https://clinic.example", true),
        ("http://clinic.example", true),
        ("https://desk.example", true),
        ("https://desk.example.attacker.example", false),
        ("https://clinic.example.attacker.example", false),
        ("null", false),
    ] {
        let answer =
            node.send("GET", path, &[("authorization", &bearer), ("origin", origin)], "").await;
        assert_eq!(answer.status, if allowed { 200 } else { 403 }, "{origin}");
        let shown = answer.header("access-control-allow-origin");
        assert_eq!(shown, if allowed { origin } else { "" });
        if !allowed {
            assert_eq!(answer.code(), "origin_not_allowed");
        }
    }
    let preflight = [("origin", "https://desk.example"), ("access-control-request-method", "POST")];
    let answer = node.send("OPTIONS", "/v1/stream-tickets", &preflight, "").await;
    assert_eq!(answer.status, 204);
    assert!(answer.header("access-control-allow-headers").contains("authorization"));
}

#[tokio::test]
async fn own_page_behind_a_proxy_that_replaces_host_is_told_so() {
    let node = node();
    let bearer = format!("Bearer {}", token(Role::Display));
    let mut headers = vec![("authorization", &*bearer), ("origin", "https://front.example")];
    let foreign = node.send("GET", "/v1/boards/riverside", &headers, "").await;
    assert_eq!((foreign.status, foreign.code().as_str()), (403, "origin_not_allowed"));
    headers.push(("sec-fetch-site", "same-origin"));
    let own = node.send("GET", "/v1/boards/riverside", &headers, "").await;
    assert_eq!((own.status, own.code().as_str()), (403, "origin_mismatch"));
    assert!(own.json()["detail"].as_str().unwrap().contains("--origin"));
}

#[tokio::test]
async fn listed_origins_may_poll_with_cookies() {
    let node = node();
    let preflight = [
        ("origin", "https://desk.example"),
        ("access-control-request-method", "GET"),
        ("access-control-request-headers", "x-app-version"),
    ];
    for (path, credentials, headers) in
        [("/socket.io/", "true", "x-app-version"), ("/v1/boards/riverside", "", "authorization")]
    {
        let answer = node.send("OPTIONS", path, &preflight, "").await;
        assert_eq!(answer.status, 204, "{path}");
        assert_eq!(answer.header("access-control-allow-credentials"), credentials, "{path}");
        assert!(answer.header("access-control-allow-headers").starts_with(headers), "{path}");
    }
}

/// A request of a page that came by the host `clinic.example`, through a proxy that tells the
/// scheme.
fn page_request(origin: &str, is_secure: Option<bool>) -> Request {
    let request = Request::builder()
        .uri("/v1/boards/riverside")
        .header("host", "clinic.example")
        .header("origin", origin)
        .header("authorization", format!("Bearer {}", token(Role::Display)))
        .extension(client("192.0.2.7", is_secure));
    request.body(Body::empty()).unwrap()
}

#[tokio::test]
async fn scheme_counts_in_origin_where_it_is_known() {
    let node = node();
    for (origin, is_secure, status) in [
        ("https://clinic.example", Some(true), 200),
        ("http://clinic.example", Some(true), 403),
        ("http://clinic.example", Some(false), 200),
        ("https://clinic.example", Some(false), 403),
        ("https://clinic.example", None, 200),
        ("https://desk.example", Some(true), 200),
    ] {
        let answer = node.answer(page_request(origin, is_secure)).await;
        assert_eq!(answer.status, status, "{origin} {is_secure:?}");
        let hsts = answer.header("strict-transport-security");
        assert_eq!(hsts.is_empty(), is_secure != Some(true), "{origin} {is_secure:?}");
    }
}

#[tokio::test]
async fn only_listed_hosts_are_served() {
    let settings = Settings { hosts: vec!["clinic.example".to_owned()], ..test_settings() };
    let node = node_of(settings);
    for (host, path, status) in [
        ("clinic.example", "/", 200),
        ("CLINIC.example:8443", "/", 200),
        ("attacker.example", "/", 421),
        ("clinic.example.attacker.example", "/", 421),
        ("", "/v1/boards/riverside", 421),
        ("10.0.0.7:8080", "/health/live", 200),
        ("10.0.0.7:8080", "/metrics", 200),
    ] {
        let request = Request::builder().uri(path).header("host", host);
        let answer = node.answer(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, status, "{host} {path}");
        if status == 421 {
            assert_eq!(answer.code(), "host_not_allowed");
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
        }
    }
    // A proxy and a node that read different names would take one request for two hosts.
    let own = "clinic.example";
    for (target, hosts, status) in [
        ("http://clinic.example/", &[own][..], 200),
        ("http://clinic.example:80/", &["CLINIC.example"], 200),
        ("http://attacker.example/", &[own], 421),
        ("http://clinic.example/", &["attacker.example"], 421),
        ("/", &[own, own], 421),
        ("/", &[own, "attacker.example"], 421),
        ("/", &["attacker.example", own], 421),
    ] {
        let request = hosts
            .iter()
            .fold(Request::builder().uri(target), |request, host| request.header("host", *host));
        let answer = node.answer(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, status, "{target} {hosts:?}");
    }
}

#[tokio::test]
async fn private_listener_alone_tells_metrics_and_reasons() {
    let private_listen = Some(([127, 0, 0, 1], 0).into());
    let settings = Settings { private_listen, ..test_settings() };
    let node = node_of(settings);
    assert_eq!(node.send("GET", "/metrics", &[], "").await.code(), "not_found");
    let answer = node.send("GET", "/health/ready", &[], "").await;
    assert_eq!((answer.status, answer.text.as_str()), (503, "not ready\n"));
    let private = private_router(node.context.clone());
    for (path, status, text) in [
        ("/metrics", 200, "clinicwire_ready 0"),
        ("/health/ready", 503, "has not been read to its end"),
        ("/health/live", 200, "live"),
        ("/v1/boards/riverside", 404, "not_found"),
    ] {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = private.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        assert_eq!(response.headers()["x-content-type-options"], "nosniff", "{path}");
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        assert!(body.contains(text), "{path}: {body}");
    }
}

#[tokio::test]
async fn pages_have_types_and_security_headers() {
    let node = node();
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/patient", "text/html; charset=utf-8"),
        ("/board", "text/html; charset=utf-8"),
        ("/patient/patient.js", "text/javascript; charset=utf-8"),
        ("/shared/look/style.css", "text/css; charset=utf-8"),
        ("/shared/look/icons.svg", "image/svg+xml"),
    ] {
        let answer = node.send("GET", path, &[], "").await;
        assert_eq!((answer.status, answer.header("content-type")), (200, kind), "{path}");
        assert!(!answer.text.is_empty());
        assert!(answer.header("content-security-policy").starts_with("default-src 'self';"));
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin");
        assert!(answer.header("permissions-policy").contains("camera=()"), "{path}");
        assert_eq!(answer.header("cache-control"), "no-cache");
        let again = node.send("GET", path, &[("if-none-match", answer.header("etag"))], "").await;
        assert_eq!((again.status, again.text.as_str()), (304, ""), "{path}");
    }
    let answer = node.send(Method::POST.as_str(), "/", &[], "").await;
    assert_eq!((answer.status, answer.code().as_str()), (405, "unknown_method"));
}

#[tokio::test]
async fn unknown_address_shows_browsers_a_page() {
    let node = node();
    for path in ["/pateint", "/patient/patient.html", "/not-found/not-found.html", "/v1/nothing"] {
        let accept = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        let answer = node.send("GET", path, &[accept], "").await;
        let kind = answer.header("content-type");
        assert_eq!((answer.status, kind), (404, "text/html; charset=utf-8"), "{path}");
        assert!(answer.text.starts_with("<!doctype html>"), "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        for accept in ["application/json", "*/*"] {
            let answer = node.send("GET", path, &[("accept", accept)], "").await;
            assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"), "{path}");
        }
    }
}

#[tokio::test]
async fn health_tells_alive_from_ready() {
    let node = node();
    assert_eq!(node.send("GET", "/health/live", &[], "").await.status, 200);
    let answer = node.send("GET", "/health/ready", &[], "").await;
    let reason = "the topic of views has not been read to its end yet";
    assert_eq!((answer.status, answer.text), (503, format!("not ready\n{reason}\n")));
    node.context.readiness.set(Condition::CatchingUp, false);
    assert_eq!(node.send("GET", "/health/ready", &[], "").await.status, 200);
    node.context.readiness.set(Condition::StoreDown, true);
    let answer = node.send("GET", "/health/ready", &[], "").await;
    let reason = "degraded: Redis does not answer; views are read from PostgreSQL";
    assert_eq!((answer.status, answer.text), (200, format!("ready\n{reason}\n")));
    node.context.readiness.set(Condition::StoreDown, false);
    node.context.readiness.set(Condition::Draining, true);
    let answer = node.send("GET", "/health/ready", &[], "").await;
    assert_eq!((answer.status, answer.text.as_str()), (503, "not ready\nthe node is stopping\n"));
    assert_eq!(node.send("GET", "/health/live", &[], "").await.status, 200);
}

#[tokio::test]
async fn metrics_count_by_route_and_carry_no_id() {
    let node = node();
    node.ask(Role::Reception, "POST", &format!("/v1/tickets/{TICKET}/start"), "").await;
    node.ask(Role::Reception, "GET", &format!("/v1/tickets/{GONE}"), "").await;
    node.send("GET", "/secret/riverside", &[], "").await;
    let text = node.send("GET", "/metrics", &[], "").await.text;
    for line in [
        r#"clinicwire_http_requests_total{route="/v1/tickets/{ticket}/{action}",status="200"} 1"#,
        r#"clinicwire_http_requests_total{route="/v1/tickets/{ticket}",status="404"} 1"#,
        r#"clinicwire_http_requests_total{route="none",status="404"} 1"#,
        r#"clinicwire_commands_total{kind="ticket.start",result="applied"} 1"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("riverside"));
}

#[tokio::test]
async fn demo_route_answers_only_with_demo() {
    let node = node();
    *node.context.demo.write().unwrap() = Some(json!({"location": "riverside"}));
    let answer = node.get_from("127.0.0.1", "", "/v1/demo").await;
    assert_eq!((answer.status, answer.json()), (200, json!({"location": "riverside"})));
    assert_eq!(answer.header("cache-control"), "no-store");
    // It holds tokens, so nobody on another machine gets it.
    assert_eq!(node.get_from("192.0.2.7", "", "/v1/demo").await.code(), "not_found");
    let forwarded = Request::builder()
        .uri("/v1/demo")
        .header("x-forwarded-for", "192.0.2.7")
        .extension(client("127.0.0.1", None));
    let answer = node.answer(forwarded.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.code(), "not_found");
}
