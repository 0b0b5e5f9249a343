//! A proxy that falsifies a server's messages: one fault each, which the swarm has to find.

use std::{
    collections::HashSet,
    convert::Infallible,
    sync::{Arc, Mutex},
};

use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    header,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use serde_json::{Value, json};
use testing::{centrifugal::PATH, websocket};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The last phone in line gets an offset below the one that it holds.
    OffsetFalls,
    /// The last phone in line moves away from the front.
    PositionRises,
    /// The last phone in line gets no publication after the first calls.
    LastCallsMissing,
    /// The last phone in line gets a publication twice, under two offsets.
    NothingNew,
    /// Every call names another ticket than the first in line.
    WrongCall,
    /// The first answer to every call is lost.
    LostAnswers,
    /// The first answer to every call is lost, and its repetition is a new command.
    DoubledCommands,
    /// A delta is missing.
    MissingDelta,
    /// A resuming client gets no missed publications although it missed some.
    MissedIsForgotten,
    /// A resuming client gets an older position.
    ResumesBelow,
    /// A resuming client gets another epoch.
    NewEpochOnResume,
    RefusedSubscriptions,
    /// Commands are not decided while the processor is dead.
    DeadProcessor,
}

pub(crate) struct Proxy {
    fault: Fault,
    processor_runs: Box<dyn Fn() -> bool + Send + Sync>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Version and id of the last ticket.
    last_ticket: (u64, String),
    /// Keys of the calls whose answer was lost.
    lost: HashSet<String>,
    /// Whether the fault of the last phone has begun.
    began: bool,
}

/// The place from which a phone gets every step at once, so that the fault meets a publication.
const NEAR: u64 = 9;

type Answer = Response<Full<Bytes>>;

impl Proxy {
    pub(crate) fn new(fault: Fault) -> Self {
        Self { fault, processor_runs: Box::new(|| true), state: Mutex::default() }
    }

    pub(crate) fn with_processor(runs: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        Self { processor_runs: Box::new(runs), ..Self::new(Fault::DeadProcessor) }
    }

    /// Serves until the runtime of the test ends, and returns the address.
    pub(crate) async fn serve(self, upstream: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (proxy, upstream) = (Arc::new(self), Arc::<str>::from(upstream));
        let client = Client::builder(TokioExecutor::new()).build_http();
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (proxy, upstream, client) = (proxy.clone(), upstream.clone(), client.clone());
                let service = service_fn(move |request| {
                    answer(proxy.clone(), client.clone(), upstream.clone(), request)
                });
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                // A client may leave in the middle of an exchange.
                tokio::spawn(async move { drop(connection.with_upgrades().await) });
            }
        });
        url
    }

    /// The answer in place of the server's, for commands that do not reach it.
    fn intercept(&self, method: &str, path: &str, key: &str) -> Option<Answer> {
        let is_call = path.ends_with("/call-next");
        if method != "POST" || !is_call || (self.processor_runs)() {
            return None;
        }
        let answer = Response::builder().status(202);
        let answer = answer.header(header::LOCATION, format!("/v1/commands/{key}"));
        Some(answer.body(Full::default()).unwrap())
    }

    /// Whether the answer to this call is to be lost.
    fn loses(&self, path: &str, key: &str) -> bool {
        matches!(self.fault, Fault::LostAnswers | Fault::DoubledCommands)
            && path.ends_with("/call-next")
            && self.state.lock().unwrap().lost.insert(key.to_owned())
    }

    /// Falsifies an answer over HTTP.
    fn answered(&self, path: &str, body: Bytes) -> Bytes {
        let Ok(mut outcome) = serde_json::from_slice::<Value>(&body) else { return body };
        let state = &mut *self.state.lock().unwrap();
        if let (true, Some(ticket)) =
            (path.ends_with("/tickets"), outcome["result"]["ticket"].as_str())
        {
            let issued = (outcome["version"].as_u64().unwrap_or(0), ticket.to_owned());
            state.last_ticket = state.last_ticket.clone().max(issued);
        }
        if self.fault == Fault::WrongCall && path.ends_with("/call-next") {
            outcome["result"]["ticket"] = state.last_ticket.1.clone().into();
            return outcome.to_string().into();
        }
        body
    }

    /// Falsifies a message from the server. `pushes` counts the publications of the connection.
    fn message(&self, mut message: Value, pushes: &mut u32) -> Vec<Value> {
        if let Some(result) = message.get_mut("subscribe") {
            if self.fault == Fault::RefusedSubscriptions {
                let error = json!({"code": 103, "message": "permission denied"});
                return vec![json!({"id": message["id"], "error": error})];
            }
            if result["was_recovering"] == true {
                self.resumed(result);
            }
            return vec![message];
        }
        if message["push"].get("pub").is_none() {
            return vec![message];
        }
        *pushes += 1;
        if self.fault == Fault::MissingDelta && *pushes == 3 {
            return Vec::new();
        }
        self.last_phone(message)
    }

    fn resumed(&self, result: &mut Value) {
        let fields = result.as_object_mut().unwrap();
        match self.fault {
            Fault::MissedIsForgotten => {
                let missed = fields.remove("publications").unwrap_or_default();
                let last = missed.as_array().and_then(|all| all.last()).map(|it| &it["offset"]);
                fields.insert("offset".to_owned(), last.cloned().unwrap_or_default());
            }
            Fault::ResumesBelow => {
                fields.remove("publications");
                fields.insert("recovered".to_owned(), false.into());
                fields.insert("offset".to_owned(), 1.into());
                let data = json!({"at": 1, "version": 1, "entries": {}});
                fields.insert("data".to_owned(), data);
            }
            Fault::NewEpochOnResume => {
                fields.insert("epoch".to_owned(), "1".into());
            }
            _ => {}
        }
    }

    fn last_phone(&self, mut message: Value) -> Vec<Value> {
        let state = &mut *self.state.lock().unwrap();
        let push = &mut message["push"];
        if push["channel"] != format!("ticket:{}", state.last_ticket.1) {
            return vec![message];
        }
        let publication = &mut push["pub"];
        let position = publication["data"]["position"].as_u64();
        let first = !state.began && position.is_some_and(|position| position < NEAR);
        state.began |= first;
        let offset = publication["offset"].as_u64().unwrap();
        match self.fault {
            Fault::LastCallsMissing if state.began => return Vec::new(),
            Fault::OffsetFalls if first => publication["offset"] = (offset - 5).into(),
            Fault::PositionRises if first => {
                publication["data"]["position"] = 100.into();
                publication["data"]["ahead"] = 99.into();
            }
            Fault::NothingNew if first => {
                let mut again = message.clone();
                again["push"]["pub"]["offset"] = (offset + 1).into();
                return vec![message, again];
            }
            _ => {}
        }
        vec![message]
    }
}

async fn answer(
    proxy: Arc<Proxy>,
    client: Client<HttpConnector, Full<Bytes>>,
    upstream: Arc<str>,
    request: Request<Incoming>,
) -> anyhow::Result<Answer> {
    let path = request.uri().path().to_owned();
    if path == PATH {
        return Ok(upgrade(proxy, upstream, request)?);
    }
    let (mut parts, body) = request.into_parts();
    let key = parts.headers.get("idempotency-key").map_or("", |key| key.to_str().unwrap());
    let key = key.to_owned();
    if let Some(answer) = proxy.intercept(parts.method.as_str(), &path, &key) {
        return Ok(answer);
    }
    let loses = proxy.loses(&path, &key);
    if proxy.fault == Fault::DoubledCommands && path.ends_with("/call-next") && !loses {
        parts.headers.insert("idempotency-key", format!("{key}-again").parse().unwrap());
    }
    parts.uri = format!("http://{upstream}{}", parts.uri).parse().unwrap();
    let body = Full::new(body.collect().await?.to_bytes());
    let answer = client.request(Request::from_parts(parts, body)).await?;
    // An error ends the connection, as the death of a node does.
    anyhow::ensure!(!loses, "the answer is lost");
    let (mut parts, body) = answer.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    let body = proxy.answered(&path, body.collect().await?.to_bytes());
    Ok(Response::from_parts(parts, Full::new(body)))
}

fn upgrade(
    proxy: Arc<Proxy>,
    upstream: Arc<str>,
    mut request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    let accept = derive_accept_key(request.headers()[header::SEC_WEBSOCKET_KEY].as_bytes());
    let upgrading = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let client = TokioIo::new(upgrading.await.unwrap());
        let client = WebSocketStream::from_raw_socket(client, Role::Server, None).await;
        let tcp = TcpStream::connect(&*upstream).await.unwrap();
        let server = websocket::open(tcp, &upstream, PATH, Default::default()).await.unwrap();
        let (mut to_client, mut from_client) = client.split();
        let (mut to_server, mut from_server) = server.split();
        let mut pushes = 0;
        loop {
            let sent = tokio::select! {
                message = from_client.next() => match message {
                    Some(Ok(message)) => to_server.send(message).await,
                    _ => return,
                },
                message = from_server.next() => match message {
                    Some(Ok(Message::Text(text))) => {
                        let text = falsify(&proxy, &text, &mut pushes);
                        if text.is_empty() { continue }
                        to_client.send(Message::text(text)).await
                    }
                    Some(Ok(message)) => to_client.send(message).await,
                    _ => return,
                },
            };
            if sent.is_err() {
                return;
            }
        }
    });
    let answer = Response::builder()
        .status(101)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "websocket")
        .header(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok(answer.body(Full::default()).unwrap())
}

/// Falsifies a frame, which has a message on each line.
fn falsify(proxy: &Proxy, frame: &str, pushes: &mut u32) -> String {
    let lines = frame.lines().flat_map(|line| match line {
        "{}" => vec![line.to_owned()],
        _ => {
            let messages = proxy.message(serde_json::from_str(line).unwrap(), pushes);
            messages.iter().map(Value::to_string).collect()
        }
    });
    lines.collect::<Vec<_>>().join("\n")
}
