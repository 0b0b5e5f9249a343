//! Revocations while their subjects are connected: a subject follows a board at every node over
//! every transport, is revoked at one node, and each connection is timed until it closes.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use futures_util::{SinkExt, StreamExt, TryStreamExt, future::try_join_all, stream};
use serde_json::{Value, json};
use testing::{
    centrifugal::PATH,
    http::{ApiClient, ApiRequest},
    site,
    sse::EventStream,
    tokens::DevelopmentIssuer,
    websocket::{self, Handshake},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message};

use crate::{breach::Breach, report::Report, target::Node};

#[derive(Args)]
pub struct RevocationsArgs {
    /// Subjects that are revoked, each with a connection for every node and transport.
    #[arg(long, default_value_t = 100)]
    revocations: usize,
    /// Subjects that are connected and revoked at once.
    #[arg(long, default_value_t = 10)]
    at_once: usize,
}

/// The promised time from the request of a revocation to the close of each connection.
const PROMISE: Duration = Duration::from_secs(5);
/// How long a connection may take to close before it counts as open for ever.
const GIVE_UP: Duration = Duration::from_secs(60);
/// Seconds for which tokens are valid: longer than any measurement.
const VALID_S: u64 = 24 * 60 * 60;
const SOCKETIO: &str = "/socket.io/?EIO=4&transport=websocket";

type Socket = WebSocketStream<TcpStream>;

/// One connection of a subject.
enum Connection {
    Websocket(Socket),
    Sse(EventStream),
    Socketio(Socket),
}

/// The transports, in the order of [`Clinic::connect`].
const TRANSPORTS: [&str; 3] = ["websocket", "sse", "socketio"];

struct Clinic {
    nodes: Vec<Arc<Node>>,
    api: ApiClient,
    issuer: DevelopmentIssuer,
    admin: String,
    location: String,
}

/// Runs the scenario.
///
/// # Errors
/// When it cannot be set up, or a revocation is refused. Late closes are breaches of the report.
pub async fn run(nodes: Vec<Arc<Node>>, words: &str, args: RevocationsArgs) -> Result<Report> {
    let settings = json!({
        "nodes": nodes.len(),
        "revocations": args.revocations,
        "at_once": args.at_once,
    });
    let mut report = Report::new("revocations", settings);
    let clinic = Clinic::open(nodes, words).await?;
    let revoked: Vec<Vec<Duration>> = stream::iter(0..args.revocations)
        .map(|number| clinic.revoke(number))
        .buffer_unordered(args.at_once.max(1))
        .try_collect()
        .await?;
    let ms = |delays: &mut dyn Iterator<Item = Duration>| -> Vec<f64> {
        delays.map(|delay| delay.as_secs_f64() * 1e3).collect()
    };
    for (place, transport) in TRANSPORTS.into_iter().enumerate() {
        let of_transport = |delays: &Vec<Duration>| -> Vec<Duration> {
            delays.iter().skip(place).step_by(TRANSPORTS.len()).copied().collect()
        };
        let delays = ms(&mut revoked.iter().flat_map(of_transport));
        report.quantiles(&format!("revoked_to_closed_{transport}"), delays);
    }
    let all = ms(&mut revoked.iter().flatten().copied());
    report.figure("closed_connections", all.len() as f64, "");
    for delay in all.iter().filter(|delay| **delay > PROMISE.as_secs_f64() * 1e3) {
        let late = || format!("closed after {delay:.0} ms");
        report.breaches.note(Breach::NeverArrived, late);
    }
    report.quantiles("revoked_to_closed", all);
    Ok(report)
}

impl Clinic {
    async fn open(nodes: Vec<Arc<Node>>, words: &str) -> Result<Self> {
        let issuer = DevelopmentIssuer::from_words(words, VALID_S);
        let admin = issuer.sign("admin", &json!({"sub": "revoking-admin"}));
        let api = ApiClient::new(GIVE_UP);
        let location = format!("revoked-{:012x}", fastrand::u64(..1 << 48));
        let first = nodes.first().context("a node")?;
        let deadline = tokio::time::Instant::now() + GIVE_UP;
        site::open(&api, &first.url, &admin, &location, deadline).await?;
        Ok(Self { nodes, api, issuer, admin, location })
    }

    /// Connects a subject everywhere and revokes it at the node whose turn it is. Returns the
    /// delays of its connections: of each node, one for each transport.
    async fn revoke(&self, number: usize) -> Result<Vec<Duration>> {
        let subject = format!("revoked-{number}-{:08x}", fastrand::u32(..));
        let claims = json!({"sub": subject, "locations": [self.location]});
        let token = self.issuer.sign("display", &claims);
        let connections = try_join_all(self.nodes.iter().map(|node| self.connect(node, &token)));
        let connections = connections.await?.into_iter().flatten();
        let began = Instant::now();
        let closed = connections.map(|connection| async move {
            timeout(GIVE_UP, connection.closed()).await.context("a connection stays open")??;
            anyhow::Ok(began.elapsed())
        });
        let revoked = async {
            let body = json!({"kind": "subject", "id": subject});
            let request = ApiRequest::post("/v1/revocations").token(&self.admin).json(body);
            let node = &self.nodes[number % self.nodes.len()];
            let answer = self.api.send(&node.url, request).await?;
            ensure!(answer.status == 202, "a revocation: {} {}", answer.status, answer.text);
            Ok(())
        };
        let (delays, ()) = tokio::try_join!(try_join_all(closed), revoked)?;
        Ok(delays)
    }

    /// One connection over each transport, each with the board open.
    async fn connect(&self, node: &Node, token: &str) -> Result<[Connection; 3]> {
        let channel = format!("board:{}", self.location);
        let dial = async || TcpStream::connect(node.addr).await.context("connect");
        let open = async |path| {
            websocket::open(dial().await?, &node.authority, path, Handshake::default()).await
        };
        let mut websocket = open(PATH).await?;
        let connect = json!({"id": 1, "connect": {"token": token}});
        let subscribe = json!({"id": 2, "subscribe": {"channel": channel}});
        websocket.send(Message::text(format!("{connect}\n{subscribe}"))).await?;
        until_text(&mut websocket, |text| text.contains("\"id\":2")).await?;
        let request = ApiRequest::post("/v1/stream-tickets").token(token);
        let request = request.json(json!({"channels": [channel]}));
        let ticket: Value = self.api.send(&node.url, request).await?.parse()?;
        let ticket = ticket["ticket"].as_str().context("a stream ticket")?;
        let path = format!("/v1/stream?ticket={ticket}&channel={channel}");
        let mut sse = EventStream::open(dial().await?, &node.authority, &path, None).await?;
        while sse.next().await.context("the stream ended")?.name != "snapshot" {}
        let mut socketio = open(SOCKETIO).await?;
        until_text(&mut socketio, |text| text.starts_with('0')).await?;
        socketio.send(Message::text(format!("40{}", json!({"token": token})))).await?;
        until_text(&mut socketio, |text| text.starts_with("40")).await?;
        let ask = format!("420{}", json!(["subscribe", {"channel": channel}]));
        socketio.send(Message::text(ask)).await?;
        until_text(&mut socketio, |text| text.starts_with("430")).await?;
        Ok([Connection::Websocket(websocket), Connection::Sse(sse), Connection::Socketio(socketio)])
    }
}

/// Reads messages until one has this property. Pings of Engine.IO are passed over: nothing here
/// lasts as long as their timeout.
async fn until_text(socket: &mut Socket, wanted: impl Fn(&str) -> bool) -> Result<()> {
    while let Some(message) = socket.next().await {
        match message? {
            Message::Text(text) if wanted(&text) => return Ok(()),
            Message::Close(frame) => bail!("closed: {frame:?}"),
            _ => {}
        }
    }
    bail!("the connection was lost")
}

impl Connection {
    /// Waits until the server closes the connection because of a revocation.
    async fn closed(self) -> Result<()> {
        match self {
            Self::Websocket(mut socket) => loop {
                match socket.next().await.context("the connection was lost")?? {
                    Message::Close(Some(frame)) if u16::from(frame.code) == 3507 => return Ok(()),
                    Message::Close(frame) => bail!("another close: {frame:?}"),
                    _ => {}
                }
            },
            Self::Sse(mut stream) => loop {
                let event = stream.next().await.context("the stream ended without a word")?;
                if event.name == "problem" {
                    ensure!(event.data.contains("token_revoked"), "another problem");
                    return Ok(());
                }
            },
            Self::Socketio(mut socket) => {
                until_text(&mut socket, |text| text.starts_with("42[\"close\"")).await
            }
        }
    }
}
