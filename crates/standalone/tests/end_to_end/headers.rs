//! The headers of one answer of each kind, as they leave the socket.

use serde_json::json;
use testing::{http::ApiRequest, patience::patiently};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::one_process::on_one_process;

/// The headers of every answer, refusals and sockets included.
const EVERYWHERE: [(&str, &str); 5] = [
    ("content-security-policy", "default-src 'self'; "),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("permissions-policy", "camera=(), "),
    ("cross-origin-opener-policy", "same-origin"),
];
/// The caching of files of pages: browsers ask before each use.
const ASKED_FOR: &str = "no-cache";
const NOT_KEPT: &str = "no-store";
const WEBSOCKET: [&str; 4] = [
    "connection: Upgrade",
    "upgrade: websocket",
    "sec-websocket-version: 13",
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
];

/// The head of an answer.
struct Head {
    status: u16,
    text: String,
}

impl Head {
    /// Sends a request over a socket of its own, and reads the head of the answer.
    async fn ask(node: &str, line: &str, headers: &[&str]) -> Self {
        let address = node.strip_prefix("http://").unwrap();
        let mut request = format!("{line} HTTP/1.1\r\nhost: {address}\r\n");
        for header in headers {
            request.push_str(header);
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        let mut socket = TcpStream::connect(address).await.unwrap();
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut text = Vec::new();
        patiently("the head of the answer", async {
            while !text.ends_with(b"\r\n\r\n") {
                text.push(socket.read_u8().await.unwrap());
            }
        })
        .await;
        let text = String::from_utf8(text).unwrap();
        let status = text.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, text }
    }

    /// The only value of a header; empty when it is absent.
    fn header(&self, name: &str) -> &str {
        let lines = self.text.lines().filter_map(|line| line.split_once(": "));
        let mut values = lines.filter(|(header, _)| header.eq_ignore_ascii_case(name));
        let value = values.next().map_or("", |(_, value)| value);
        assert!(values.next().is_none(), "{name} twice: {}", self.text);
        value
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_answer_has_its_headers() {
    on_one_process(async |world| {
        let (site, node) = (world.site().await, world.here());
        let channel = format!("queue:{}", site.general);
        let asked = ApiRequest::post("/v1/stream-tickets").token(&site.reception);
        let ticket = world.api.call(node, asked.json(json!({ "channels": [channel] }))).await;
        let ticket = ticket.body["ticket"].as_str().unwrap().to_owned();
        let queue = format!("GET /v1/queues/{}", site.general);
        let stream = format!("GET /v1/stream?channel={channel}");
        let own_stream = format!("{stream}&ticket={ticket}");
        let bearer = format!("authorization: Bearer {}", site.reception);
        let own_page = format!("origin: {node}");
        let preflight = [own_page.as_str(), "access-control-request-method: PUT"];
        let foreign = ["origin: https://attacker.example"];
        let foreign_socket: Vec<&str> = WEBSOCKET.into_iter().chain(foreign).collect();
        let browser = ["accept: text/html"];
        let poll = "GET /socket.io/?EIO=4&transport=polling";
        let cases: [(&str, &[&str], u16, &str); 19] = [
            ("GET /patient", &[], 200, ASKED_FOR),
            ("GET /shared/look/page.js", &[], 200, ASKED_FOR),
            ("GET /nowhere", &browser, 404, NOT_KEPT),
            ("GET /nowhere", &[], 404, NOT_KEPT),
            ("POST /patient", &["content-length: 0"], 405, NOT_KEPT),
            ("GET /health/live", &[], 200, NOT_KEPT),
            ("GET /metrics", &[], 200, NOT_KEPT),
            (&queue, &[&bearer], 200, NOT_KEPT),
            (&queue, &[], 401, NOT_KEPT),
            (&queue, &foreign, 403, NOT_KEPT),
            ("OPTIONS /v1/check-ins", &preflight, 204, NOT_KEPT),
            (&own_stream, &[], 200, NOT_KEPT),
            // A refusal of a stream is an event, since browsers give up on any other status.
            (&stream, &[], 200, NOT_KEPT),
            ("HEAD /v1/stream", &[], 405, NOT_KEPT),
            ("GET /connection/websocket", &WEBSOCKET, 101, NOT_KEPT),
            ("GET /connection/websocket", &[], 426, NOT_KEPT),
            ("GET /connection/websocket", &foreign_socket, 403, NOT_KEPT),
            (poll, &[], 200, NOT_KEPT),
            (poll, &foreign, 403, NOT_KEPT),
        ];
        for (line, headers, status, caching) in cases {
            let head = Head::ask(node, line, headers).await;
            assert_eq!(head.status, status, "{line} {headers:?}: {}", head.text);
            for (name, value) in EVERYWHERE {
                assert!(head.header(name).starts_with(value), "{line}: {name} in {}", head.text);
            }
            assert!(head.header("cache-control").starts_with(caching), "{line}: {}", head.text);
        }
    })
    .await;
}
