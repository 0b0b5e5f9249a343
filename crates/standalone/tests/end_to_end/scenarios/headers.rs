//! The headers of one answer of each kind. Heads are read from the socket, because a stream has no
//! end.

use std::collections::HashMap;

use testing::patience::patiently;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{stream, world::World};

/// An answer up to its body.
struct Head {
    status: u16,
    headers: HashMap<String, String>,
}

impl Head {
    fn parse(text: &str) -> Self {
        let mut lines = text.split("\r\n").filter(|line| !line.is_empty());
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status line");
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").expect("a header");
            (name.to_ascii_lowercase(), value.to_owned())
        };
        Self { status: status.parse().expect("a status"), headers: lines.map(header).collect() }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// The authority of a node.
fn authority(world: &World) -> &str {
    world.here().strip_prefix("http://").expect("an address with its scheme")
}

/// Sends a request and reads the head of the answer.
async fn head(world: &World, request: &str, headers: &[(&str, &str)]) -> Head {
    let authority = authority(world);
    let mut text = format!("{request} HTTP/1.1\r\nhost: {authority}\r\n");
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text += "\r\n";
    let reading = async {
        let mut socket = TcpStream::connect(authority).await.expect("the node accepts connections");
        socket.write_all(text.as_bytes()).await.expect("the node reads the request");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(socket.read_u8().await.expect("the node answers"));
        }
        Head::parse(&String::from_utf8(answer).expect("a head is text"))
    };
    patiently(request, reading).await
}

/// One request of each kind: its line, its headers, and the status of the answer.
async fn requests(world: &World) -> Vec<(String, Vec<(&'static str, String)>, u16)> {
    let site = world.site().await;
    let board = format!("board:{}", site.location);
    let stream = stream::path_for(world, &site.display, &[&board]).await;
    let snapshot = format!("GET /v1/boards/{}", site.location);
    let bearer = || ("authorization", format!("Bearer {}", site.display));
    let browser = || ("accept", "text/html".to_owned());
    let upgrade = vec![
        ("connection", "upgrade".to_owned()),
        ("upgrade", "websocket".to_owned()),
        ("sec-websocket-version", "13".to_owned()),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==".to_owned()),
    ];
    let polling = "GET /socket.io/?EIO=4&transport=polling".to_owned();
    let preflight = ("access-control-request-method", "POST".to_owned());
    vec![
        ("GET /".to_owned(), vec![browser()], 200),
        ("GET /shared/look/style.css".to_owned(), vec![], 200),
        (snapshot.clone(), vec![bearer()], 200),
        (snapshot, vec![], 401),
        ("GET /no-such-page".to_owned(), vec![browser()], 404),
        (format!("GET {stream}"), vec![], 200),
        ("GET /connection/websocket".to_owned(), upgrade, 101),
        (polling, vec![], 200),
        ("GET /metrics".to_owned(), vec![], 200),
        ("OPTIONS /v1/stream-tickets".to_owned(), vec![preflight], 204),
    ]
}

/// Sends one request of each kind from a page of `origin`, and passes each answer to `check`.
async fn each_kind(world: &World, origin: Option<&str>, check: impl Fn(&str, u16, &Head)) {
    for (request, headers, status) in requests(world).await {
        let mut headers: Vec<_> =
            headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        headers.extend(origin.map(|origin| ("origin", origin)));
        // Only a request of a page is a preflight.
        let is_plain_options = request.starts_with("OPTIONS") && origin.is_none();
        let status = if is_plain_options { 405 } else { status };
        check(&request, status, &head(world, &request, &headers).await);
    }
}

/// Whether pages of allowed origins may call the address of a request.
fn is_guarded(request: &str) -> bool {
    ["/v1/", "/connection/", "/socket.io/"].iter().any(|path| request.contains(path))
}

pub async fn every_answer_has_security_and_cache_headers(world: &World) {
    each_kind(world, None, |request, status, head| {
        assert_eq!(head.status, status, "{request}");
        let policy = head.header("content-security-policy");
        assert!(policy.starts_with("default-src 'self';"), "{request}: {policy}");
        assert_eq!(head.header("x-content-type-options"), "nosniff", "{request}");
        assert_eq!(head.header("referrer-policy"), "no-referrer", "{request}");
        let cache = match request {
            // Browsers keep pages and assets, and ask each time whether they are still right.
            "GET /" | "GET /shared/look/style.css" => "no-cache",
            _ if request.contains("/v1/stream?") => "no-store, no-transform",
            _ => "no-store",
        };
        assert_eq!(head.header("cache-control"), cache, "{request}");
        assert_eq!(head.header("access-control-allow-origin"), "", "{request}");
    })
    .await;
}

pub async fn allowed_origin_may_read_guarded_answers(world: &World) {
    let own = world.here();
    each_kind(world, Some(own), |request, status, head| {
        assert_eq!(head.status, status, "{request}");
        let (origin, vary) = if is_guarded(request) { (own, "origin") } else { ("", "") };
        assert_eq!(head.header("access-control-allow-origin"), origin, "{request}");
        assert_eq!(head.header("vary"), vary, "{request}");
        let is_preflight = request.starts_with("OPTIONS");
        let methods = if is_preflight { "GET, POST, PUT, PATCH, DELETE" } else { "" };
        assert_eq!(head.header("access-control-allow-methods"), methods, "{request}");
        let exposes = is_guarded(request) && !is_preflight;
        let exposed = head.header("access-control-expose-headers");
        assert_eq!(exposed.contains("retry-after"), exposes, "{request}: {exposed}");
    })
    .await;
}

pub async fn foreign_origin_gets_only_public_answers(world: &World) {
    each_kind(world, Some("https://attacker.example"), |request, status, head| {
        // An `EventSource` never reconnects after another status, so the refusal is an event.
        let is_stream = request.contains("/v1/stream?");
        let expected = if is_guarded(request) && !is_stream { 403 } else { status };
        assert_eq!(head.status, expected, "{request}");
        assert_eq!(head.header("access-control-allow-origin"), "", "{request}");
        assert_eq!(head.header("x-content-type-options"), "nosniff", "{request}");
    })
    .await;
}
