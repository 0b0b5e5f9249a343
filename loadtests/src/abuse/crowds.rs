//! Hostile crowds: many sockets, each of which does little.

use std::{
    collections::VecDeque,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

use anyhow::Result;
use serde_json::{Value, json};
use testing::websocket::masked_frame;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::{
    Siege,
    node::HOSTILE_ADDRESSES,
    requests::{bearer, request},
    sockets::{REFUSED_PAUSE, next_socket, open_from, send_and_read},
};

/// Sockets that one attacker holds: four of them hold 16,000, and this process may have 20,000
/// descriptors. Past it, the oldest is closed.
const HELD: usize = 4000;
/// How long an attacker waits for a node that does not answer a dial.
const DIAL_TIMEOUT: Duration = Duration::from_secs(1);

/// The sockets that an attacker holds.
pub struct OpenSockets(VecDeque<TcpStream>);

impl OpenSockets {
    pub fn new() -> Self {
        Self(VecDeque::with_capacity(HELD))
    }

    /// Holds one more.
    pub fn add(&mut self, socket: TcpStream) {
        if self.0.len() == HELD {
            self.0.pop_front();
        }
        self.0.push_back(socket);
    }

    /// Sends a byte on each, and drops those that the node has closed.
    pub fn send_a_byte(&mut self) {
        self.0.retain(|socket| socket.try_write(b"a").is_ok());
    }
}

/// Opens connections from all hostile addresses, and sends nothing on them.
pub async fn idle_connections(siege: &Siege) {
    let mut held = OpenSockets::new();
    for address in (0..HOSTILE_ADDRESSES).cycle() {
        siege.attempts.fetch_add(1, Relaxed);
        let dialed = siege.node.dial_hostile_from(address);
        match timeout(DIAL_TIMEOUT, dialed).await {
            Ok(Ok(socket)) => held.add(socket),
            Ok(Err(_)) | Err(_) => sleep(REFUSED_PAUSE).await,
        }
    }
}

fn connect(token: &str) -> Vec<u8> {
    let connect = json!({"id": 1, "connect": {"token": token}});
    masked_frame(true, 1, connect.to_string().as_bytes())
}

fn subscribe(id: u32, channel: &str) -> Value {
    json!({"id": id, "subscribe": {"channel": channel}})
}

/// Opens sockets with the token of one display, and follows the board on each.
pub async fn display_sockets(siege: &Siege) {
    let token = siege.node.token("display", &json!({"sub": "hostile-display"}));
    let board = subscribe(2, &format!("board:{}", siege.node.location));
    let first = [connect(&token), masked_frame(true, 1, board.to_string().as_bytes())].concat();
    let mut held = OpenSockets::new();
    loop {
        let mut socket = next_socket(siege).await;
        if socket.write_all(&first).await.is_ok() {
            held.add(socket);
        }
    }
}

/// Follows runs that do not exist, other ones on each socket.
pub async fn run_subscriptions(siege: &Siege) {
    let token = siege.node.token("viewer", &json!({"sub": "hostile-viewer"}));
    let connect = connect(&token);
    loop {
        let socket = next_socket(siege).await;
        let guesses: Vec<String> = (2..100)
            .map(|id| {
                let run = format!("run:r_{:016x}_{:032x}", fastrand::u64(..), fastrand::u128(..));
                subscribe(id, &run).to_string()
            })
            .collect();
        let batch = masked_frame(true, 1, guesses.join("\n").as_bytes());
        siege.attempts.fetch_add(guesses.len() as u64, Relaxed);
        let _ = send_and_read(siege, socket, &connect, &batch).await;
    }
}

/// Asks for the whole queue again and again, and reads a byte in a second.
pub async fn slow_readers(siege: &Siege) {
    /// Sockets of each attacker. One subject may have 64.
    const READERS: usize = 50;
    /// As fast as one connection may subscribe.
    const PAUSE: Duration = Duration::from_millis(110);
    let queue = format!("queue:{}", siege.node.queue);
    let unsubscribe = json!({"id": 3, "unsubscribe": {"channel": queue}});
    let pair = format!("{}\n{unsubscribe}", subscribe(2, &queue));
    let pair = masked_frame(true, 1, pair.as_bytes());
    let read_slowly = async |subject: String| -> Result<()> {
        let token = siege.node.token("reception", &json!({"sub": subject}));
        let mut socket = next_socket(siege).await;
        socket.write_all(&connect(&token)).await?;
        let mut read = Instant::now();
        loop {
            socket.write_all(&pair).await?;
            siege.attempts.fetch_add(1, Relaxed);
            sleep(PAUSE).await;
            if read.elapsed() > Duration::from_secs(1) {
                socket.read_u8().await?;
                read = Instant::now();
            }
        }
    };
    let readers = (0..READERS).map(|_| async {
        loop {
            let _ = read_slowly(format!("slow-{}", fastrand::u8(..8))).await;
            sleep(REFUSED_PAUSE).await;
        }
    });
    futures_util::future::join_all(readers).await;
}

/// Comes back from many addresses with good tokens, as the clients of a lost node do, without end.
pub async fn reconnects(siege: &Siege) {
    let board = subscribe(2, &format!("board:{}", siege.node.location));
    let board = masked_frame(true, 1, board.to_string().as_bytes());
    let mut held = OpenSockets::new();
    for address in (0..HOSTILE_ADDRESSES).cycle() {
        let subject = format!("phone-{}", fastrand::u16(..));
        let token = siege.node.token("reception", &json!({"sub": subject}));
        siege.attempts.fetch_add(1, Relaxed);
        let opened = open_from(siege, address);
        match timeout(DIAL_TIMEOUT, opened).await {
            Ok(Ok(mut socket)) => {
                if socket.write_all(&[connect(&token), board.clone()].concat()).await.is_ok() {
                    held.add(socket);
                }
            }
            Ok(Err(_)) | Err(_) => sleep(REFUSED_PAUSE).await,
        }
    }
}

/// Sends the headers of requests a byte in a second, from all hostile addresses.
pub async fn slow_headers(siege: &Siege) {
    const PAUSE: Duration = Duration::from_secs(1);
    let mut held = OpenSockets::new();
    let mut due = Instant::now() + PAUSE;
    for address in (0..HOSTILE_ADDRESSES).cycle() {
        siege.attempts.fetch_add(1, Relaxed);
        match timeout(DIAL_TIMEOUT, siege.node.dial_hostile_from(address)).await {
            Ok(Ok(mut socket)) => {
                if socket.write_all(b"GET /health/live HTTP/1.1\r\nx-slow: ").await.is_ok() {
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

/// Sends one request on each of many connections again and again, waiting for each answer.
async fn ask_on_many(siege: &Siege, request: &[u8]) {
    /// Connections of each attacker: four of them reach the limit of an address.
    const CONNECTIONS: usize = 450;
    let ask = async || -> Result<()> {
        let mut socket = siege.node.dial_hostile().await?;
        let mut answer = vec![0; 64 * 1024];
        loop {
            siege.attempts.fetch_add(1, Relaxed);
            socket.write_all(request).await?;
            anyhow::ensure!(socket.read(&mut answer).await? > 0, "the node closed");
        }
    };
    let repeat = async || loop {
        let _ = ask().await;
        sleep(REFUSED_PAUSE).await;
    };
    futures_util::future::join_all((0..CONNECTIONS).map(|_| repeat())).await;
}

/// Asks for the metrics of the node.
pub async fn metrics(siege: &Siege) {
    ask_on_many(siege, &request(siege, "GET /metrics", &[], "")).await;
}

/// Sends tokens that nobody signed.
pub async fn bad_tokens(siege: &Siege) {
    let token = format!("{}x", bearer(siege, "admin"));
    let path = format!("GET /v1/boards/{}", siege.node.location);
    ask_on_many(siege, &request(siege, &path, &[("authorization", &token)], "")).await;
}
