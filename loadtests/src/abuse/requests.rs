//! Hostile HTTP requests. Each attack keeps one connection busy until the node closes it, and
//! begins again.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use anyhow::Result;
use serde_json::json;
use testing::http::{ApiClient, ApiRequest};
use tokio::{io::AsyncWriteExt, net::TcpStream, task::JoinSet, time::sleep};

use super::{Siege, sockets::send_and_read};

/// The pause of an attacker whose connection the node refuses.
const REFUSED_PAUSE: Duration = Duration::from_millis(10);
/// Slow uploads of each connection: five times as many as a tenant may have on a node.
const SLOW_UPLOADS: usize = 20;

/// A request that is sent as it is.
pub fn request(siege: &Siege, line: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("{line} HTTP/1.1\r\nhost: {}\r\n", siege.node.authority);
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if !body.is_empty() {
        text.push_str("content-type: application/json\r\n");
    }
    text.push_str(&format!("content-length: {}\r\n\r\n{body}", body.len()));
    text.into_bytes()
}

/// The header of a token that the attackers share.
pub fn bearer(siege: &Siege, role: &str) -> String {
    format!("Bearer {}", siege.node.token(role, &json!({"sub": "hostile"})))
}

/// Connects as soon as the node accepts the attacker.
async fn dial(siege: &Siege) -> TcpStream {
    loop {
        match siege.node.dial_hostile().await {
            Ok(socket) => return socket,
            Err(_) => sleep(REFUSED_PAUSE).await,
        }
    }
}

/// Sends one request in a loop, without waiting for its answers.
pub async fn repeat(siege: &Siege, request: &[u8]) {
    loop {
        let socket = dial(siege).await;
        if send_and_read(siege, socket, b"", request).await.is_err() {
            sleep(REFUSED_PAUSE).await;
        }
    }
}

/// Asks for the outcomes of commands that were never given.
pub async fn lookups(siege: &Siege) {
    let token = bearer(siege, "reception");
    let path = format!("GET /v1/commands/{:032x}", fastrand::u128(..));
    repeat(siege, &request(siege, &path, &[("authorization", &token)], "")).await;
}

/// Issues tickets with one token.
pub async fn tickets(siege: &Siege) {
    let token = bearer(siege, "reception");
    let path = format!("POST /v1/queues/{}/tickets", siege.node.queue);
    repeat(siege, &request(siege, &path, &[("authorization", &token)], "{}")).await;
}

/// Leaves the line with a ticket that does not exist.
pub async fn refused_leaves(siege: &Siege) {
    let token = bearer(siege, "reception");
    let path = format!("POST /v1/tickets/{}.{}/leave", siege.node.location, "0".repeat(32));
    repeat(siege, &request(siege, &path, &[("authorization", &token)], "")).await;
}

/// Requests runs of one small file.
pub async fn runs(siege: &Siege) {
    let token = bearer(siege, "editor");
    let upload = ApiRequest::post("/v1/files?name=a.csv").header("authorization", token.clone());
    let upload = upload.bytes("a;b\n").header("content-type", "text/csv");
    let api = ApiClient::new(Duration::from_secs(10));
    let file = loop {
        match api.send(&siege.node.url, upload.clone()).await {
            Ok(answer) if answer.is_success() => break answer.body["file"].to_string(),
            _ => sleep(Duration::from_secs(1)).await,
        }
    };
    let body = format!("{{\"file\":{file}}}");
    repeat(siege, &request(siege, "POST /v1/runs", &[("authorization", &token)], &body)).await;
}

/// Sends tokens that nobody signed.
pub async fn bad_tokens(siege: &Siege) {
    let token = format!("{}x", bearer(siege, "admin"));
    let path = format!("GET /v1/boards/{}", siege.node.location);
    repeat(siege, &request(siege, &path, &[("authorization", &token)], "")).await;
}

/// Guesses the ids of other people's tickets.
pub async fn guesses(siege: &Siege) {
    let token = bearer(siege, "patient");
    let path = format!("GET /v1/tickets/{}.{}", siege.node.location, "7".repeat(32));
    repeat(siege, &request(siege, &path, &[("authorization", &token)], "")).await;
}

/// Lists all runs of the tenant.
pub async fn lists(siege: &Siege) {
    let token = bearer(siege, "admin");
    repeat(siege, &request(siege, "GET /v1/runs?limit=100", &[("authorization", &token)], ""))
        .await;
}

/// Sends the largest body that a command may have.
pub async fn large_bodies(siege: &Siege) {
    let token = bearer(siege, "reception");
    let path = format!("POST /v1/queues/{}/reorder", siege.node.queue);
    let body = format!("{{\"tickets\":[\"{}\"]}}", "x".repeat(63 * 1024));
    repeat(siege, &request(siege, &path, &[("authorization", &token)], &body)).await;
}

/// Sends JSON that is as deep as a body can be.
pub async fn deep_json(siege: &Siege) {
    let token = bearer(siege, "reception");
    let path = format!("POST /v1/queues/{}/reorder", siege.node.queue);
    let body = format!("{{\"tickets\":{}", "[".repeat(63 * 1024));
    repeat(siege, &request(siege, &path, &[("authorization", &token)], &body)).await;
}

/// Sends bodies whose headers declare compression.
pub async fn compressed_bodies(siege: &Siege) {
    let token = bearer(siege, "reception");
    let path = format!("POST /v1/queues/{}/reorder", siege.node.queue);
    let headers = [("authorization", &*token), ("content-encoding", "gzip")];
    // The bytes are no valid stream: a node that reads them would say so.
    repeat(siege, &request(siege, &path, &headers, &"\u{1f}".repeat(63 * 1024))).await;
}

/// Sends as many headers as a request may have.
pub async fn many_headers(siege: &Siege) {
    let names: Vec<String> = (0..90).map(|n| format!("x-header-{n}")).collect();
    let headers: Vec<_> = names.iter().map(|name| (name.as_str(), "value")).collect();
    repeat(siege, &request(siege, "GET /", &headers, "")).await;
}

/// Uploads large files, a byte at a time.
pub async fn slow_uploads(siege: &Siege) {
    let token = bearer(siege, "editor");
    let mut uploads: JoinSet<()> = JoinSet::new();
    let head = format!(
        "POST /v1/files?name=a.csv HTTP/1.1\r\nhost: {}\r\nauthorization: {token}\r\n\
         content-type: text/csv\r\ncontent-length: 40000000\r\n\r\n",
        siege.node.authority
    );
    loop {
        while uploads.len() < SLOW_UPLOADS {
            let (mut socket, head) = (dial(siege).await, head.clone());
            siege.attempts.fetch_add(1, Relaxed);
            uploads.spawn(async move {
                let _: Result<()> = async {
                    socket.write_all(head.as_bytes()).await?;
                    loop {
                        socket.write_all(b"a").await?;
                        sleep(Duration::from_millis(500)).await;
                    }
                }
                .await;
            });
        }
        let _ = uploads.join_next().await;
        sleep(REFUSED_PAUSE).await;
    }
}
