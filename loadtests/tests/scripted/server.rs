//! The sockets of the scripted server: commands, snapshots, SSE and the Centrifugal protocol, as far as the swarm
//! uses them.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response,
    body::{Bytes, Frame, Incoming},
    header,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::mpsc};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};

use super::{
    clinic::{Answer, Clinic, Fault, Step},
    protobuf,
};

type Body = UnsyncBoxBody<Bytes, Infallible>;
type Reply = Response<Body>;

/// What the server is told to be.
pub(crate) struct Script {
    pub(crate) fault: Fault,
    /// While it says false, commands are kept and answered with 202.
    pub(crate) processor_runs: Box<dyn Fn() -> bool + Send + Sync>,
}

struct Server {
    clinic: Mutex<Clinic>,
    script: Script,
    waiting: Mutex<Vec<(String, String)>>,
}

/// Serves until the test's runtime ends; returns its address.
pub(crate) async fn serve(script: Script) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let clinic = Mutex::new(Clinic::new(script.fault));
    let server = Arc::new(Server { clinic, script, waiting: Mutex::default() });
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let server = server.clone();
            tokio::spawn(async move {
                let service = service_fn(|request| answer(server.clone(), request));
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                // A client that leaves in the middle is part of the tests.
                let _ = connection.with_upgrades().await;
            });
        }
    });
    format!("http://{addr}")
}

fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed_unsync()
}

/// An error ends the connection without an answer.
async fn answer(server: Arc<Server>, request: Request<Incoming>) -> Result<Reply, &'static str> {
    let path = request.uri().path().to_owned();
    match path.as_str() {
        "/connection/websocket" => Ok(upgrade(server, request, Speaks::Centrifugal)),
        "/socket.io/" => Ok(upgrade(server, request, Speaks::SocketIo)),
        "/v1/stream" => Ok(stream(&server, &request)),
        "/v1/stream-tickets" => {
            Ok(Response::new(full(json!({"ticket": "once", "expires_in": 30}).to_string())))
        }
        _ if request.method() == hyper::Method::GET => Ok(read(&server, &path)),
        _ => {
            let own = || format!("{:032x}", fastrand::u128(..));
            let given =
                request.headers().get("Idempotency-Key").map(|id| id.to_str().unwrap().to_owned());
            let id = given.unwrap_or_else(own);
            // Else the connection is left with a request in it and cannot be used again.
            request.into_body().collect().await.map_err(|_| "the client left")?;
            command(&server, &id, &path)
        }
    }
}

fn read(server: &Server, path: &str) -> Reply {
    if let Some(id) = path.strip_prefix("/v1/commands/") {
        return command(server, id, "").unwrap();
    }
    let channel = path
        .replace("/v1/queues/", "queue:")
        .replace("/v1/boards/", "board:")
        .replace("/v1/loads/", "load:")
        .replace("/v1/tickets/", "ticket:");
    Response::new(full(server.clinic.lock().unwrap().whole(&channel).to_string()))
}

fn command(server: &Server, id: &str, path: &str) -> Result<Reply, &'static str> {
    let mut waiting = server.waiting.lock().unwrap();
    if !path.is_empty() && !waiting.iter().any(|kept| kept.0 == id) {
        waiting.push((id.to_owned(), path.to_owned()));
    }
    if !(server.script.processor_runs)() {
        let accepted =
            Response::builder().status(202).header(header::LOCATION, format!("/v1/commands/{id}"));
        return Ok(accepted.body(full("")).unwrap());
    }
    let mut clinic = server.clinic.lock().unwrap();
    let mut ours = None;
    for (kept, path) in waiting.drain(..) {
        let answer = clinic.command(&kept, &path);
        if kept == id {
            ours = Some(answer);
        }
    }
    match ours.unwrap_or_else(|| clinic.command(id, "")) {
        Answer::Outcome(outcome) => Ok(Response::new(full(outcome.to_string()))),
        Answer::Lost => Err("the answer is lost"),
    }
}

fn stream(server: &Server, request: &Request<Incoming>) -> Reply {
    let query = request.uri().query().unwrap();
    let channel =
        query.split('&').find_map(|pair| pair.strip_prefix("channel=")).unwrap().to_owned();
    let held = request
        .headers()
        .get("Last-Event-ID")
        .map(|id| id.to_str().unwrap().parse::<u64>().unwrap());
    let (sender, steps) = mpsc::unbounded_channel();
    let mut clinic = server.clinic.lock().unwrap();
    let epoch = clinic.epoch.to_string();
    let (name, data) = match held {
        Some(from) if !channel.starts_with("ticket:") => ("delta", clinic.missed(&channel, from)),
        _ if channel.starts_with("ticket:") => ("state", clinic.whole(&channel)),
        _ => ("snapshot", clinic.whole(&channel)),
    };
    let event = move |name: &str, offset: u64, data: &Value| {
        let data = json!({"channel": channel, "epoch": epoch, "offset": offset, "data": data});
        let text = format!(": beat\n\nevent: {name}\nid: {offset}\ndata: {data}\n\n");
        Ok::<_, Infallible>(Frame::data(Bytes::from(text)))
    };
    let first = event(name, clinic.version, &data);
    clinic.listen(query.rsplit_once("channel=").unwrap().1, sender);
    let live = futures_util::stream::unfold((steps, event), |(mut steps, event)| async {
        let step: Step = steps.recv().await?;
        let name = if step.data.get("from").is_some() { "delta" } else { "state" };
        Some((event(name, step.offset, &step.data), (steps, event)))
    });
    let body = StreamBody::new(futures_util::stream::iter([first]).chain(live)).boxed_unsync();
    Response::builder().header(header::CONTENT_TYPE, "text/event-stream").body(body).unwrap()
}

#[derive(Clone, Copy, PartialEq)]
enum Speaks {
    Centrifugal,
    SocketIo,
}

fn upgrade(server: Arc<Server>, mut request: Request<Incoming>, speaks: Speaks) -> Reply {
    let key = derive_accept_key(request.headers()["Sec-WebSocket-Key"].as_bytes());
    let subprotocol = request.headers().get("Sec-WebSocket-Protocol").cloned();
    let protobuf = subprotocol.as_ref().is_some_and(|name| name == "centrifuge-protobuf");
    tokio::spawn(async move {
        let upgraded = hyper::upgrade::on(&mut request).await.unwrap();
        let socket =
            WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        match speaks {
            Speaks::Centrifugal => talk(&server, socket, protobuf).await,
            Speaks::SocketIo => talk_events(&server, socket).await,
        }
    });
    let response = Response::builder().status(101).header(header::CONNECTION, "Upgrade");
    let response =
        response.header(header::UPGRADE, "websocket").header("Sec-WebSocket-Accept", key);
    let mut response = response.body(full("")).unwrap();
    if let Some(name) = subprotocol {
        response.headers_mut().insert("Sec-WebSocket-Protocol", name);
    }
    response
}

type Socket = WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>;

/// One connection with one subscription.
async fn talk(server: &Server, mut socket: Socket, protobuf: bool) {
    let (sender, mut steps) = mpsc::unbounded_channel();
    let mut pings = tokio::time::interval(std::time::Duration::from_millis(200));
    let mut unanswered = 0;
    loop {
        let replies = tokio::select! {
            step = steps.recv() => {
                let Step { offset, data } = step.expect("this task holds a sender");
                vec![json!({"push": {"channel": "c", "pub": {"data": data, "offset": offset}}})]
            }
            _ = pings.tick() => {
                unanswered += 1;
                // A client that answers no ping for 20 s of them breaks the protocol.
                assert!(unanswered < 100, "the client does not answer pings");
                vec![json!({})]
            }
            message = socket.next() => {
                let commands = match message {
                    Some(Ok(Message::Text(text))) if !protobuf => {
                        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
                    }
                    Some(Ok(Message::Binary(bytes))) if protobuf => protobuf::commands(&bytes),
                    _ => return,
                };
                if commands == [json!({})] {
                    unanswered = 0;
                    continue;
                }
                commands.iter().map(|command| reply(server, command, &sender)).collect()
            }
        };
        let frame = match protobuf {
            true => Message::binary(protobuf::frame(&replies)),
            false => {
                let texts: Vec<String> = replies.iter().map(Value::to_string).collect();
                Message::text(texts.join("\n"))
            }
        };
        if socket.send(frame).await.is_err() {
            return;
        }
    }
}

/// One Socket.IO connection with one subscription.
async fn talk_events(server: &Server, mut socket: Socket) {
    let (sender, mut steps) = mpsc::unbounded_channel();
    let mut pings = tokio::time::interval(std::time::Duration::from_millis(200));
    let mut unanswered = 0;
    let mut channel = String::new();
    let opened = json!({"sid": "s", "upgrades": [], "pingInterval": 25000, "pingTimeout": 20000});
    if socket.send(Message::text(format!("0{opened}"))).await.is_err() {
        return;
    }
    loop {
        let text = tokio::select! {
            step = steps.recv() => {
                let Step { offset, data } = step.expect("this task holds a sender");
                let kind = if data.get("from").is_some() { "delta" } else { "state" };
                let epoch = server.clinic.lock().unwrap().epoch.to_string();
                let body =
                    json!({"channel": channel, "type": kind, "epoch": epoch, "version": offset, "data": data});
                format!("42{}", json!([channel.split(':').next(), body]))
            }
            _ = pings.tick() => {
                unanswered += 1;
                assert!(unanswered < 100, "the client does not answer pings");
                "2".to_owned()
            }
            message = socket.next() => {
                let Some(Ok(Message::Text(text))) = message else { return };
                if text.as_str() == "3" {
                    unanswered = 0;
                    continue;
                } else if text.starts_with("40{") {
                    r#"40{"sid":"t"}"#.to_owned()
                } else {
                    let asked: Value = serde_json::from_str(text.strip_prefix("420").unwrap()).unwrap();
                    assert_eq!(asked[0], "subscribe");
                    asked[1]["channel"].as_str().unwrap().clone_into(&mut channel);
                    format!("430{}", json!([acknowledged(server, &asked[1], &sender)]))
                }
            }
        };
        if socket.send(Message::text(text)).await.is_err() {
            return;
        }
    }
}

/// The reply to the same subscribe in the words of Socket.IO.
fn acknowledged(server: &Server, asked: &Value, steps: &mpsc::UnboundedSender<Step>) -> Value {
    let mut subscribe = json!({"channel": asked["channel"]});
    if let Some(version) = asked.get("version") {
        subscribe["recover"] = true.into();
        subscribe["offset"] = version.clone();
    }
    let reply = reply(server, &json!({"id": 1, "subscribe": subscribe}), steps);
    let Some(result) = reply.get("subscribe") else {
        return json!({"error": {"code": "forbidden", "message": "no", "retry": false}});
    };
    let missed = result["publications"].get(0).map(|missed| missed["data"].clone());
    let mut answer = json!({
        "channel": asked["channel"], "epoch": result["epoch"], "version": result["offset"],
        "recovered": result["recovered"] == true,
    });
    if let Some(data) = missed.or_else(|| result.get("data").cloned()) {
        let kind = if data.get("from").is_some() { "delta" } else { "snapshot" };
        answer["type"] = kind.into();
        answer["data"] = data;
    }
    answer
}

fn reply(server: &Server, command: &Value, steps: &mpsc::UnboundedSender<Step>) -> Value {
    let id = &command["id"];
    if command.get("connect").is_some() {
        return json!({"id": id, "connect": {"client": "c", "version": "0", "ping": 25, "pong": true}});
    }
    let channel = command["subscribe"]["channel"].as_str().unwrap();
    let mut clinic = server.clinic.lock().unwrap();
    if clinic.fault == Fault::RefusesSubscriptions {
        return json!({"id": id, "error": {"code": 103, "message": "permission denied"}});
    }
    clinic.listen(channel, steps.clone());
    let (epoch, offset) = (clinic.epoch, clinic.version);
    let result = |epoch: u64, offset: u64, rest: Value| {
        let mut result = json!({"recoverable": true, "positioned": true, "epoch": epoch.to_string(), "offset": offset});
        result.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        json!({"id": id, "subscribe": result})
    };
    let fresh = json!({"data": clinic.whole(channel)});
    let recovering = command["subscribe"].get("recover").is_some();
    match clinic.fault {
        Fault::NewEpochOnResume if recovering => return result(epoch + 1, offset, fresh),
        Fault::ResumesBelow if recovering => {
            return result(epoch, 1, json!({"data": {"at": 1, "version": 1, "entries": {}}}));
        }
        Fault::ForgetsWhatWasMissed if recovering => {
            return result(epoch, offset, json!({"recovered": true, "was_recovering": true}));
        }
        _ if !recovering => return result(epoch, offset, fresh),
        _ => {}
    }
    let held = command["subscribe"]["offset"].as_u64().unwrap();
    let missed = json!([{"data": clinic.missed(channel, held), "offset": offset}]);
    result(
        epoch,
        offset,
        json!({"recovered": true, "was_recovering": true, "publications": missed}),
    )
}
