//! The honest neighbour: a light client of the node that measures its own delays.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use testing::{
    centrifugal::PATH,
    http::{ApiClient, ApiRequest},
    websocket::{self, Handshake},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

use super::node::AbusedNode;

/// An answer that takes longer counts as this long.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Short, so that one slow moment among a thousand requests is no p99.
const HEALTH_PAUSE: Duration = Duration::from_millis(5);
/// As fast as one connection may subscribe.
const SUBSCRIBE_PAUSE: Duration = Duration::from_millis(110);
const COMMAND_PAUSE: Duration = Duration::from_millis(100);
/// Persons at the desk who take turns, so that none of them reaches the limits of one.
const DESKS: usize = 20;

/// Delays in milliseconds.
#[derive(Default)]
pub struct Delays {
    health: Vec<f64>,
    subscribe: Vec<f64>,
    frame: Vec<f64>,
}

impl Delays {
    /// p50 and p99 of requests for health, each on a connection of its own.
    #[must_use]
    pub fn health(&self) -> String {
        quantiles(&self.health)
    }

    /// p50 and p99 from a subscribe to its reply.
    #[must_use]
    pub fn subscribe(&self) -> String {
        quantiles(&self.subscribe)
    }

    /// p50 and p99 from sending a command to the frame that it causes.
    #[must_use]
    pub fn frame(&self) -> String {
        quantiles(&self.frame)
    }
}

fn quantiles(ms: &[f64]) -> String {
    let mut sorted = ms.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |share: f64| sorted.get(((share * sorted.len() as f64).ceil() as usize).max(1) - 1);
    match (at(0.5), at(0.99)) {
        (Some(median), Some(tail)) => format!("{median:.1}/{tail:.0}"),
        _ => "–".to_owned(),
    }
}

/// A running neighbour. It ends when it is dropped.
pub struct Neighbour {
    delays: Arc<Mutex<Delays>>,
    _tasks: JoinSet<()>,
}

impl Neighbour {
    /// Starts measuring.
    ///
    /// # Errors
    /// When its sockets cannot connect.
    pub async fn start(node: &AbusedNode) -> Result<Self> {
        let delays = Arc::new(Mutex::new(Delays::default()));
        let mut tasks = JoinSet::new();
        let (address, authority) = (node.neighbours_address(), node.authority.clone());
        let note = delays.clone();
        tasks.spawn(async move {
            loop {
                let began = Instant::now();
                let _ = timeout(ANSWER_TIMEOUT, ask_health(address, &authority)).await;
                lock(&note).health.push(ms_since(began));
                sleep(HEALTH_PAUSE).await;
            }
        });
        let board = connect(node).await?;
        let channel = format!("board:{}", node.location);
        tasks.spawn(subscribe_in_turns(board, channel, delays.clone()));
        let (heard, versions) = watch::channel(0);
        let mut queue = connect(node).await?;
        ask(&mut queue, 2, "subscribe", &json!({"channel": format!("queue:{}", node.queue)}))
            .await?;
        tasks.spawn(follow(queue, heard));
        tasks.spawn(issue_tickets(Desk::new(node), versions, delays.clone()));
        Ok(Self { delays, _tasks: tasks })
    }

    /// Takes the delays since the last call.
    pub fn take(&self) -> Delays {
        std::mem::take(&mut *lock(&self.delays))
    }
}

fn lock(delays: &Mutex<Delays>) -> std::sync::MutexGuard<'_, Delays> {
    delays.lock().unwrap_or_else(PoisonError::into_inner)
}

fn ms_since(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}

async fn ask_health(address: std::net::SocketAddr, authority: &str) -> Result<()> {
    let mut socket = TcpStream::connect(address).await?;
    let head =
        format!("GET /health/live HTTP/1.1\r\nhost: {authority}\r\nconnection: close\r\n\r\n");
    socket.write_all(head.as_bytes()).await?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await?;
    Ok(())
}

type Socket = WebSocketStream<TcpStream>;

async fn connect(node: &AbusedNode) -> Result<Socket> {
    let tcp = TcpStream::connect(node.neighbours_address()).await?;
    let mut socket = websocket::open(tcp, &node.authority, PATH, Handshake::default()).await?;
    let token = node.token("reception", &json!({}));
    ask(&mut socket, 1, "connect", &json!({"token": token})).await?;
    Ok(socket)
}

/// Sends a command and waits for its reply.
async fn ask(socket: &mut Socket, id: u64, method: &str, request: &Value) -> Result<()> {
    socket.send(Message::text(json!({"id": id, method: request}).to_string())).await?;
    loop {
        for reply in next_messages(socket).await? {
            if reply["id"] == id {
                ensure!(reply["error"].is_null(), "{method}: {reply}");
                return Ok(());
            }
        }
    }
}

/// The messages of the next frame. Pings are answered.
async fn next_messages(socket: &mut Socket) -> Result<Vec<Value>> {
    let frame = socket.next().await.context("the node closed")??;
    let Message::Text(text) = frame else { return Ok(Vec::new()) };
    let mut messages = Vec::new();
    for line in text.lines() {
        if line == "{}" {
            socket.send(Message::text("{}")).await?;
        } else {
            messages.push(serde_json::from_str(line)?);
        }
    }
    Ok(messages)
}

/// Subscribes and unsubscribes, as a person does who opens one page after the other.
async fn subscribe_in_turns(mut socket: Socket, channel: String, delays: Arc<Mutex<Delays>>) {
    let request = json!({"channel": channel});
    for id in (2..).step_by(2) {
        let began = Instant::now();
        let asked = timeout(ANSWER_TIMEOUT, ask(&mut socket, id, "subscribe", &request)).await;
        lock(&delays).subscribe.push(ms_since(began));
        if !matches!(asked, Ok(Ok(()))) {
            return;
        }
        sleep(SUBSCRIBE_PAUSE).await;
        if ask(&mut socket, id + 1, "unsubscribe", &request).await.is_err() {
            return;
        }
    }
}

/// Reports the version of each frame of the queue.
async fn follow(mut socket: Socket, heard: watch::Sender<u64>) {
    while let Ok(messages) = next_messages(&mut socket).await {
        for message in messages {
            if let Some(version) = message["push"]["pub"]["offset"].as_u64() {
                let _ = heard.send(version);
            }
        }
    }
}

/// The persons who issue tickets.
struct Desk {
    url: String,
    path: String,
    tokens: Vec<String>,
}

impl Desk {
    fn new(node: &AbusedNode) -> Self {
        let sign = |desk| node.token("reception", &json!({"sub": format!("desk-{desk}")}));
        Self {
            url: node.url.clone(),
            path: format!("/v1/queues/{}/tickets", node.queue),
            tokens: (0..DESKS).map(sign).collect(),
        }
    }
}

async fn issue_tickets(desk: Desk, mut versions: watch::Receiver<u64>, delays: Arc<Mutex<Delays>>) {
    let api = ApiClient::new(ANSWER_TIMEOUT);
    for token in desk.tokens.iter().cycle() {
        versions.mark_unchanged();
        let began = Instant::now();
        let command = ApiRequest::post(&desk.path).token(token).json(json!({}));
        let command = command.key(&format!("{:032x}", fastrand::u128(..)));
        let (_, heard) =
            tokio::join!(api.send(&desk.url, command), timeout(ANSWER_TIMEOUT, versions.changed()));
        lock(&delays).frame.push(ms_since(began));
        if matches!(heard, Ok(Err(_))) {
            return;
        }
        sleep(COMMAND_PAUSE).await;
    }
}
