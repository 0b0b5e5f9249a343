//! The limits of HTTP.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::*;
use crate::{
    client_address::{ClientHeader, TrustedProxies},
    limits::Limit,
    node,
};

const BOARD: &str = "/v1/boards/riverside";

fn limited(changes: &[&str]) -> Node {
    let changes: Vec<_> = changes.iter().map(|change| change.parse().unwrap()).collect();
    node_with(LimitSettings::default().changed(&changes))
}

#[tokio::test]
async fn each_kind_of_route_spends_its_rate() {
    let node = limited(&[]);
    for (role, method, path, rate) in [
        (Role::Reception, "GET", BOARD, "\"dashboard\";q=60;w=60"),
        (Role::Admin, "GET", "/v1/loads/riverside", "\"dashboard\";q=60;w=60"),
        (Role::Doctor, "GET", "/v1/schedules/riverside/dr-roy", "\"dashboard\";q=60;w=60"),
        (Role::Viewer, "GET", "/v1/runs", "\"dashboard\";q=60;w=60"),
        (Role::Patient, "POST", "/v1/check-ins", "\"booking\";q=10;w=60"),
        (Role::Reception, "POST", "/v1/check-ins", "\"desk\";q=600;w=60"),
        (Role::Admin, "PUT", "/v1/locations/riverside", "\"desk\";q=600;w=60"),
        (Role::Editor, "POST", "/v1/runs", "\"desk\";q=600;w=60"),
        (Role::Source, "POST", "/v1/appointments", "\"source\";q=6000;w=60"),
        (Role::Reception, "GET", "/v1/commands/a", "\"lookup\";q=300;w=60"),
        (Role::Editor, "POST", "/v1/files", "\"upload\";q=30;w=300"),
        (Role::Editor, "GET", "/v1/runs/a/findings.csv", "\"bulk\";q=5;w=300"),
        (Role::Admin, "POST", "/v1/rules/a/try", "\"bulk\";q=5;w=300"),
        (Role::Patient, "GET", "/v1/messages", "\"rest\";q=100;w=60"),
        (Role::Patient, "POST", "/v1/stream-tickets", "\"rest\";q=100;w=60"),
    ] {
        let answer = node.ask(role, method, path, "").await;
        assert_eq!(answer.header("ratelimit-policy"), rate, "{method} {path}");
    }
    // Nothing is spent without a token.
    for path in ["/", "/health/live", "/metrics", BOARD] {
        let answer = node.send("GET", path, &[], "").await;
        assert_eq!(answer.header("ratelimit-policy"), "", "{path}");
    }
}

#[tokio::test]
async fn spent_rate_says_when_to_return() {
    let node = limited(&["dashboard=2/60"]);
    for left in [1, 0] {
        let answer = node.ask(Role::Reception, "GET", BOARD, "").await;
        let state = format!("\"dashboard\";r={left};t=");
        assert!(answer.header("ratelimit").starts_with(&state), "{}", answer.header("ratelimit"));
    }
    let answer = node.ask(Role::Reception, "GET", BOARD, "").await;
    assert_eq!((answer.status, answer.code().as_str()), (429, "rate_limited"));
    assert_eq!(answer.json()["limit"], "dashboard");
    assert_eq!(answer.header("retry-after"), "30");
    assert_eq!(answer.header("ratelimit"), "\"dashboard\";r=0;t=30");
    // Other kinds of requests and other subjects are served.
    assert_eq!(
        node.ask(Role::Reception, "GET", "/v1/queues/riverside.general", "").await.status,
        200
    );
    let other = token_of("demo", "subject-2", Role::Reception);
    assert_eq!(node.ask_as(&other, "GET", BOARD, "").await.status, 200);
    let metrics = node.send("GET", "/metrics", &[], "").await.text;
    assert!(metrics.contains("clinicwire_limited_total{limit=\"dashboard\"} 1"));
}

#[tokio::test]
async fn commands_of_all_nodes_spend_one_rate() {
    let (one, two) = (limited(&["desk=4/60"]), limited(&["desk=4/60"]));
    // Another node has spent three.
    let tag = claims_of("demo", "subject-1", Role::Reception).owner_tag();
    for _ in 0..3 {
        let key = format!("desk:demo:{tag:016x}");
        one.fakes.spend(&key, Quota::new(4, 60).unwrap()).await.unwrap();
    }
    let open = "/v1/queues/riverside.general/open";
    assert_eq!(one.ask(Role::Reception, "POST", open, "").await.status, 200);
    assert_eq!(one.ask(Role::Reception, "POST", open, "").await.code(), "rate_limited");
    assert_eq!(two.ask(Role::Reception, "POST", open, "").await.status, 200);
}

#[tokio::test]
async fn refused_commands_are_spent_too() {
    let node = limited(&["booking=5/60"]);
    for _ in 0..5 {
        let answer = node.ask(Role::Patient, "POST", "/v1/queues/riverside.general/open", "").await;
        assert_eq!(answer.status, 403);
    }
    let answer = node.ask(Role::Patient, "POST", "/v1/queues/riverside.general/open", "").await;
    assert_eq!((answer.status, answer.code().as_str()), (429, "rate_limited"));
    assert!(node.fakes.appended.lock().unwrap().is_empty());
}

#[tokio::test]
async fn tenant_has_a_rate_of_commands() {
    let node = limited(&["tenant-commands=3/60"]);
    let open = "/v1/queues/riverside.general/open";
    for subject in ["a", "b", "c"] {
        let token = token_of("demo", subject, Role::Reception);
        assert_eq!(node.ask_as(&token, "POST", open, "").await.status, 200);
    }
    let token = token_of("demo", "d", Role::Reception);
    let answer = node.ask_as(&token, "POST", open, "").await;
    assert_eq!((answer.status, answer.code().as_str()), (429, "tenant_limited"));
    assert_eq!(node.ask_as(&token, "GET", BOARD, "").await.status, 200);
    let other = token_of("other", "a", Role::Reception);
    assert_ne!(node.ask_as(&other, "POST", open, "").await.status, 429);
}

#[tokio::test]
async fn guesses_of_ids_end_for_their_subject_alone() {
    let node = limited(&["failures=5/60"]);
    let guess = |n: u32| format!("/v1/tickets/riverside.{n:08x}{:024x}", 0);
    for n in 100..105 {
        assert_eq!(node.ask(Role::Patient, "GET", &guess(n), "").await.status, 403);
    }
    let answer = node.ask(Role::Patient, "GET", &guess(105), "").await;
    assert_eq!((answer.status, answer.code().as_str()), (429, "too_many_failures"));
    // Reception has the same address, and another subject.
    let reception = token_of("demo", "reception", Role::Reception);
    assert_eq!(node.ask_as(&reception, "GET", BOARD, "").await.status, 200);
    // A command that is not decided yet is no guess.
    let clerk = token_of("demo", "clerk", Role::Reception);
    for _ in 0..6 {
        let answer = node.ask_as(&clerk, "GET", "/v1/commands/not-decided?source=his", "").await;
        assert_eq!(answer.status, 404);
    }
}

#[tokio::test]
async fn bad_tokens_end_for_their_address_alone() {
    let node = limited(&["address-failures=5/60"]);
    let (guesser, other) = ("192.0.2.7", "192.0.2.8");
    for token in ["", "nonsense", "a.b.c", "x", "y"] {
        assert_eq!(node.get_from(guesser, token, BOARD).await.status, 401);
    }
    for (token, path) in [("", BOARD), ("nonsense", BOARD), ("", "/no/such/page")] {
        let answer = node.get_from(guesser, token, path).await;
        assert_eq!((answer.status, answer.code().as_str()), (429, "too_many_failures"), "{path}");
    }
    assert_eq!(node.get_from(other, "nonsense", BOARD).await.status, 401);
    // A client with a token, and the pages, are served at the same address.
    let reception = token(Role::Reception);
    assert_eq!(node.get_from(guesser, &reception, BOARD).await.status, 200);
    assert_eq!(node.get_from(guesser, "", "/").await.status, 200);
}

#[tokio::test]
async fn address_has_a_rate_of_requests() {
    let node = limited(&["address-requests=3/60"]);
    for path in ["/", "/", "/"] {
        assert_eq!(node.get_from("2001:db8::1", "", path).await.status, 200);
    }
    // Addresses of one /64 are one client.
    let answer = node.get_from("2001:db8::2", "", "/").await;
    assert_eq!((answer.status, answer.code().as_str()), (429, "address_limited"));
    assert_eq!(answer.header("retry-after"), "20");
    assert_eq!(node.get_from("2001:db8:0:1::1", "", "/").await.status, 200);
    // Staff at the same address are served; a client with a bad token is not.
    let staff = token(Role::Reception);
    assert_eq!(node.get_from("2001:db8::3", &staff, BOARD).await.status, 200);
    assert_eq!(node.get_from("2001:db8::3", "nonsense", BOARD).await.code(), "address_limited");
    assert_eq!(node.get_from("2001:db8::1", "", "/health/live").await.status, 200);
    assert_eq!(node.get_from("2001:db8::1", "", "/metrics").await.code(), "address_limited");
}

/// Asks a node over a socket, whose first bytes are `before`.
async fn asked_through_proxy(node: &node::RunningNode, before: &str, header: &str) -> String {
    let mut socket = TcpStream::connect(node.address()).await.unwrap();
    let request = format!("{before}GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{header}\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = socket.read_to_string(&mut answer).await;
    answer.get(9..12).unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_behind_a_proxy_count_by_their_own_addresses() {
    let limits = LimitSettings::default().changed(&["address-requests=2/3600".parse().unwrap()]);
    for proxy_protocol in [false, true] {
        let loopback = vec!["127.0.0.0/8".parse().unwrap()];
        let proxies = TrustedProxies::new(loopback, ClientHeader::XForwardedFor, proxy_protocol);
        let settings = Settings { proxies, limits: limits.clone(), ..test_settings() };
        let fakes = super::node().fakes;
        let node = node::start(settings, backends(&fakes, Arc::new(InMemory::new()))).unwrap();
        let ask = async |client: &str| match proxy_protocol {
            true => {
                let before = format!("PROXY TCP4 {client} 127.0.0.1 40000 8080\r\n");
                asked_through_proxy(&node, &before, "x-forwarded-for: 198.51.100.1\r\n").await
            }
            false => {
                let header = format!("x-forwarded-for: 198.51.100.1, {client}\r\n");
                asked_through_proxy(&node, "", &header).await
            }
        };
        for (client, status) in
            [("192.0.2.7", "200"), ("192.0.2.7", "200"), ("192.0.2.7", "429"), ("192.0.2.8", "200")]
        {
            assert_eq!(ask(client).await, status, "{client} {proxy_protocol}");
        }
        if proxy_protocol {
            assert_eq!(asked_through_proxy(&node, "", "").await, "", "it has no header");
        }
        node.shut_down().await;
    }
}

#[tokio::test]
async fn lists_of_a_tenant_have_places() {
    let node = limited(&[]);
    let limits = &node.context.limits;
    let tenant = limits.tenant_key(&TenantId::new("demo").unwrap());
    let places: Vec<_> =
        std::iter::from_fn(|| limits.place(Limit::QueriesOfTenant, tenant).ok()).collect();
    assert_eq!(places.len(), 3);
    let answer = node.ask(Role::Viewer, "GET", "/v1/runs", "").await;
    assert_eq!((answer.status, answer.code().as_str()), (429, "too_many_queries"));
    assert_eq!(answer.header("retry-after"), "1");
    let other = token_of("other", "subject-1", Role::Viewer);
    assert_eq!(node.ask_as(&other, "GET", "/v1/runs", "").await.status, 200);
    drop(places);
    assert_eq!(node.ask(Role::Viewer, "GET", "/v1/runs", "").await.status, 200);
}
