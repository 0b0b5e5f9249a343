//! Hostile HTTP requests over real sockets: the answer to a client past a limit, and the service of
//! its neighbours.
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::{sync::Arc, time::Duration};

use claims::tables::Tables;
use gateway::{access::auth::DevelopmentKey, limits::settings::LimitSettings};
use serde_json::{Value, json};
use standalone::one_process::{OneProcess, Settings};
use testing::{
    http::{ApiClient, ApiRequest, ApiResponse},
    site,
    tokens::DevelopmentIssuer,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout},
};

const WORDS: &str = "words of the tests with hostile requests";
const LOCATION: &str = "riverside";
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a neighbour may wait while a hostile client is at work: less than an unknown outcome
/// takes.
const NEIGHBOUR_WITHIN: Duration = Duration::from_secs(2);

/// A node with one open queue, that is stopped at the end.
struct Clinic {
    server: OneProcess,
    issuer: DevelopmentIssuer,
    api: ApiClient,
}

impl Clinic {
    async fn start(changes: &[&str]) -> Arc<Self> {
        let changes: Vec<_> = changes.iter().map(|change| change.parse().unwrap()).collect();
        let settings = Settings {
            listen: ([127, 0, 0, 1], 0).into(),
            tls: None,
            shards: 1,
            key: DevelopmentKey::from_words(WORDS),
            drain: Duration::ZERO,
            tables: Arc::new(Tables::empty()),
            limits: LimitSettings::default().changed(&changes),
            push_services: schemas::push::PushServices::default(),
            webhook_networks: Vec::new(),
        };
        let clinic = Self {
            server: OneProcess::start(settings).unwrap(),
            issuer: DevelopmentIssuer::from_words(WORDS, 3600),
            api: ApiClient::new(PATIENCE),
        };
        let admin = clinic.token("admin", "admin");
        let (url, deadline) = (clinic.url(), Instant::now() + PATIENCE);
        site::open(&clinic.api, &url, &admin, LOCATION, deadline).await.unwrap();
        Arc::new(clinic)
    }

    fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    fn token(&self, role: &str, subject: &str) -> String {
        self.issuer.sign(role, &json!({"locations": [LOCATION], "sub": subject}))
    }

    async fn send(&self, request: ApiRequest) -> ApiResponse {
        self.api.send(&self.url(), request).await.unwrap()
    }

    async fn issue_ticket(&self, subject: &str) -> ApiResponse {
        let token = self.token("reception", subject);
        self.send(ApiRequest::post(&queue("/tickets")).token(&token).json(json!({}))).await
    }

    /// Sends bytes, and reads the answer until the node closes the connection.
    async fn exchange(&self, bytes: &[u8]) -> String {
        let mut socket = TcpStream::connect(self.server.address()).await.unwrap();
        // A node that refuses early may have closed already.
        let _ = socket.write_all(bytes).await;
        let mut answer = Vec::new();
        let _ = timeout(PATIENCE, socket.read_to_end(&mut answer)).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    async fn stop(self: Arc<Self>) {
        let Ok(clinic) = Arc::try_unwrap(self) else { panic!("a client is still at work") };
        clinic.server.shut_down().await;
    }
}

fn queue(action: &str) -> String {
    format!("/v1/queues/{LOCATION}.general{action}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lookups_of_unknown_ids_hold_up_no_reception() {
    let clinic = Clinic::start(&[]).await;
    let hostile = clinic.token("reception", "hostile");
    let lookups: Vec<_> = (0..100)
        .map(|n| {
            let (clinic, hostile) = (clinic.clone(), hostile.clone());
            tokio::spawn(async move {
                clinic.send(ApiRequest::get(&format!("/v1/commands/no-{n}")).token(&hostile)).await
            })
        })
        .collect();
    for n in 0..20 {
        let issued = timeout(NEIGHBOUR_WITHIN, clinic.issue_ticket(&format!("desk-{n}"))).await;
        assert_eq!(issued.expect("reception is served").status, 200);
    }
    let (mut waited, mut refused) = (0, 0);
    for lookup in lookups {
        let answer = lookup.await.unwrap();
        match answer.status {
            404 => waited += 1,
            429 => {
                assert_eq!(answer.problem_code(), "too_many_waiting");
                assert!(answer.headers.contains_key("retry-after"));
                refused += 1;
            }
            status => panic!("{status} {}", answer.text),
        }
    }
    assert!(waited >= 16 && refused > 0, "{waited} waited, {refused} refused");
    clinic.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flood_of_commands_ends_for_its_subject_alone() {
    let clinic = Clinic::start(&["desk=30/3600"]).await;
    let mut refused = 0;
    for _ in 0..40 {
        let answer = clinic.issue_ticket("hostile").await;
        if answer.status == 429 {
            assert_eq!(
                (answer.problem_code(), &answer.body["limit"]),
                ("rate_limited", &json!("desk"))
            );
            refused += 1;
        }
    }
    assert_eq!(refused, 10);
    assert_eq!(clinic.issue_ticket("neighbour").await.status, 200);
    clinic.stop().await;
}

/// Begins an upload that brings no byte.
async fn begin_upload(clinic: &Clinic, token: &str) -> TcpStream {
    let mut socket = TcpStream::connect(clinic.server.address()).await.unwrap();
    let head = format!(
        "POST /v1/files?name=a.csv HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\
         content-type: text/csv\r\ncontent-length: 40000000\r\n\r\na",
        clinic.server.address()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    socket
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_uploads_of_a_tenant_stop_no_other() {
    let clinic = Clinic::start(&[]).await;
    let mut slow = Vec::new();
    for n in 0..20 {
        slow.push(begin_upload(&clinic, &clinic.token("editor", &format!("clerk-{n}"))).await);
    }
    let upload = async |claims: Value| {
        let token = clinic.issuer.sign("editor", &claims);
        let upload = ApiRequest::post("/v1/files?name=a.csv").token(&token).bytes("a;b\n");
        clinic.send(upload.header("content-type", "text/csv")).await
    };
    // The places of the tenant are taken as soon as its heads are read.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = upload(json!({"sub": "clerk"})).await;
        if answer.status == 429 {
            assert_eq!(answer.problem_code(), "too_many_uploads");
            break;
        }
        assert!(Instant::now() < deadline, "the places are never taken");
    }
    let answer = upload(json!({"sub": "clerk", "tenant": "other"})).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    drop(slow);
    clinic.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn oversized_requests_are_refused() {
    let clinic = Clinic::start(&[]).await;
    let token = clinic.token("reception", "hostile");
    let head = |headers: &str| {
        format!("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n{headers}\r\n").into_bytes()
    };
    let many: String = (0..200).map(|n| format!("x-{n}: 1\r\n")).collect();
    let long = format!("x: {}\r\n", "x".repeat(20 * 1024));
    for headers in [many, long] {
        let answer = clinic.exchange(&head(&headers)).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
    let body = "x".repeat(65 * 1024);
    let command = ApiRequest::post(&queue("/tickets")).token(&token).text(&body);
    let answer = clinic.send(command.header("content-type", "application/json")).await;
    assert_eq!((answer.status, answer.problem_code()), (413, "too_large"));
    assert_eq!(clinic.issue_ticket("neighbour").await.status, 200);
    clinic.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_without_a_readable_host_are_refused() {
    let clinic = Clinic::start(&[]).await;
    for (line, host, status) in [
        ("GET / HTTP/1.1", "host: a\r\n", 200),
        ("GET / HTTP/1.1", "host: [::1]:8080\r\n", 200),
        ("GET / HTTP/1.1", "", 400),
        ("GET / HTTP/1.1", "host:\r\n", 400),
        ("GET / HTTP/1.1", "host: a b\r\n", 400),
        ("GET / HTTP/1.1", "host: clinic@a\r\n", 400),
        ("GET / HTTP/1.1", "host: a/b\r\n", 400),
        ("GET /v1/openapi.json HTTP/1.1", "", 400),
        ("GET /health/live HTTP/1.1", "", 200),
        // Old checks of balancers name no host.
        ("GET /health/live HTTP/1.0", "", 200),
    ] {
        let request = format!("{line}\r\n{host}connection: close\r\n\r\n");
        let answer = clinic.exchange(request.as_bytes()).await;
        let said = answer.split(' ').nth(1);
        assert_eq!(said, Some(status.to_string().as_str()), "{line} {host:?}: {answer}");
        assert_eq!(status == 400, answer.contains("\"malformed\""), "{answer}");
    }
    clinic.stop().await;
}

/// Reads one answer without a body that matters, up to the end of its head.
async fn read_head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(PATIENCE, socket.read_u8()).await.unwrap().unwrap());
    }
    String::from_utf8(head).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unreadable_heads_are_refused_with_our_headers() {
    let clinic = Clinic::start(&[]).await;
    let long = format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(100_000));
    let cases = [
        ("GET / HTTP/1.1\r\nno header\r\n\r\n".to_owned(), 400),
        ("G@T / HTTP/1.1\r\n\r\n".to_owned(), 400),
        (long, 431),
    ];
    for (request, status) in cases {
        let bare = clinic.exchange(request.as_bytes()).await;
        // The same behind a request that was served.
        let mut socket = TcpStream::connect(clinic.server.address()).await.unwrap();
        socket.write_all(b"HEAD / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let served = read_head(&mut socket).await;
        assert_eq!(served.matches("nosniff").count(), 1, "{served}");
        let _ = socket.write_all(request.as_bytes()).await;
        let second = read_head(&mut socket).await;
        for answer in [bare, second] {
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
            assert!(answer.contains("\r\ncontent-security-policy: default-src"), "{answer}");
            assert_eq!(answer.matches("nosniff").count(), 1, "{answer}");
        }
    }
    clinic.stop().await;
}
