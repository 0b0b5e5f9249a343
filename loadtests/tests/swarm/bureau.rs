//! A scripted claims service: uploads, runs and their channels as far as the swarm uses them, with
//! one fault. The engine of the product checks the files.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use claims::{rules::builtin, tables::Tables};
use clinicwire_loadtests::{client::now_us, payloads::Entries};
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response,
    body::{Bytes, Incoming},
    header,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use schemas::{
    finding::Finding,
    language::Language,
    rule::StoredRule,
    run::{RuleTally, RunSummary},
};
use serde_json::{Value, json};
use testing::claims_files::check::check_file;
use tokio::{net::TcpListener, sync::mpsc, time::sleep};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};

/// One fault, which the swarm has to find.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// Each upload and each request gets 503 once. This is no breach.
    RefusesOnce,
    /// Progress falls within an attempt.
    ProgressFalls,
    /// A second attempt starts from the beginning. This is no breach.
    SecondAttempt,
    /// The run completes and then fails.
    EndsTwice,
    /// The run never ends.
    NeverEnds,
    /// The run fails.
    Fails,
    /// The list of findings omits one that was counted.
    OmitsFinding,
    /// The snapshot has another entry than the followed view.
    SnapshotDiffers,
    /// Runs are refused.
    RefusesRuns,
}

pub(crate) struct Bureau {
    fault: Fault,
    /// A run (the first is 1) and its number of followers. Other runs have one follower. A run
    /// waits for its followers, so every follower sees every step.
    followed: (usize, usize),
    /// The highest number of runs that were open at the same time.
    pub(crate) most_open: AtomicUsize,
    files: Mutex<HashMap<String, Bytes>>,
    runs: Mutex<HashMap<String, Run>>,
    tried: Mutex<Vec<String>>,
}

#[derive(Default)]
struct Run {
    version: u64,
    entries: Entries,
    listed: Vec<Finding>,
    listeners: Vec<mpsc::UnboundedSender<Value>>,
}

/// The result of the engine.
struct EngineResult {
    findings: Vec<Finding>,
    tallies: Vec<(String, RuleTally)>,
    summary: RunSummary,
}

/// Serves until the runtime of the test ends. Also returns the address.
pub(crate) async fn serve(fault: Fault, followed: (usize, usize)) -> (String, Arc<Bureau>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let bureau = Arc::new(Bureau {
        fault,
        followed,
        most_open: AtomicUsize::new(0),
        files: Mutex::default(),
        runs: Mutex::default(),
        tried: Mutex::default(),
    });
    let served = bureau.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            let bureau = bureau.clone();
            tokio::spawn(async move {
                let service = service_fn(|request| answer(bureau.clone(), request));
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                // A client may leave in the middle of an exchange.
                let _ = connection.with_upgrades().await;
            });
        }
    });
    (format!("http://{addr}"), served)
}

fn reply(status: u16, body: &Value) -> Response<Full<Bytes>> {
    Response::builder().status(status).body(Full::new(body.to_string().into())).unwrap()
}

fn random(prefix: &str) -> String {
    format!("{prefix}_{:032x}", fastrand::u128(..))
}

async fn answer(
    bureau: Arc<Bureau>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    if path == "/connection/websocket" {
        return Ok(upgrade(bureau, request));
    }
    let key = request.headers().get("Idempotency-Key").map(|key| key.to_str().unwrap().to_owned());
    let body = request.into_body().collect().await.unwrap().to_bytes();
    if bureau.fault == Fault::RefusesOnce && method == Method::POST {
        let (mut tried, key) = (bureau.tried.lock().unwrap(), key.unwrap());
        if !tried.contains(&key) {
            tried.push(key);
            return Ok(reply(503, &json!({"code": "try_again"})));
        }
    }
    let parts: Vec<&str> = path.split('/').skip(2).collect();
    Ok(match (method, &parts[..]) {
        (Method::POST, ["files"]) => {
            let (file, bytes) = (random("f"), body.len());
            bureau.files.lock().unwrap().insert(file.clone(), body);
            reply(201, &json!({"file": file, "bytes": bytes}))
        }
        (Method::POST, ["runs"]) if bureau.fault == Fault::RefusesRuns => {
            reply(403, &json!({"code": "forbidden"}))
        }
        (Method::POST, ["runs"]) => {
            let asked: Value = serde_json::from_slice(&body).unwrap();
            reply(202, &json!({"run": accept(&bureau, &asked), "state": "queued"}))
        }
        (Method::GET, ["rules"]) => {
            let rules = builtin().into_iter().map(|rule| StoredRule { rule, edition: 0 });
            reply(200, &json!({"rules": rules.collect::<Vec<_>>(), "builtin": true}))
        }
        (Method::GET, ["runs", run]) => {
            let runs = bureau.runs.lock().unwrap();
            let mut whole = whole(&runs[*run]);
            if bureau.fault == Fault::SnapshotDiffers {
                whole["entries"]["counts"]["error"] = 0.into();
            }
            reply(200, &whole)
        }
        (Method::GET, ["runs", run, "findings"]) => {
            let listed = |finding: &Finding| {
                let mut listed = json!(finding);
                listed["message"] = finding.message(Language::English).into();
                listed
            };
            let runs = bureau.runs.lock().unwrap();
            reply(
                200,
                &json!({"findings": runs[*run].listed.iter().map(listed).collect::<Vec<_>>()}),
            )
        }
        other => panic!("{other:?} has no script"),
    })
}

fn whole(run: &Run) -> Value {
    let at = now_us() / 1000;
    json!({"epoch": "1700000000", "version": run.version, "at": at, "entries": run.entries})
}

fn head(state: &str, attempt: u32) -> Value {
    let now = now_us() / 1000;
    let mut head = json!({"state": state, "name": "a.csv", "bytes": 1, "attempt": attempt});
    head["requested_at"] = (now - 9).into();
    if state != "queued" {
        head["started_at"] = (now - 4).into();
    }
    head
}

fn accept(bureau: &Arc<Bureau>, asked: &Value) -> String {
    let id = random("r");
    let file = bureau.files.lock().unwrap()[asked["file"].as_str().unwrap()].clone();
    let mut run = Run::default();
    run.entries.insert("run".to_owned(), head("queued", 1));
    run.version = 1;
    let mut runs = bureau.runs.lock().unwrap();
    runs.insert(id.clone(), run);
    let open = runs.values().filter(|run| ["queued", "running"].contains(&run.state())).count();
    bureau.most_open.fetch_max(open, Ordering::Relaxed);
    let (nth, followers) = bureau.followed;
    let followers = if runs.len() == nth { followers } else { 1 };
    tokio::spawn(carry_out(bureau.clone(), id.clone(), file, followers));
    id
}

fn checked(file: &Bytes) -> EngineResult {
    let mut findings = Vec::new();
    let keep = |finding| findings.push(finding);
    let checked = check_file(&file[..], &builtin(), &Tables::empty(), false, keep).unwrap();
    let tallies = checked.tallies.iter().map(|(rule, tally)| (rule.to_string(), *tally)).collect();
    EngineResult { findings, tallies, summary: checked.summary }
}

async fn carry_out(bureau: Arc<Bureau>, id: String, file: Bytes, followers: usize) {
    let EngineResult { findings, tallies, summary } =
        tokio::task::spawn_blocking(move || checked(&file)).await.unwrap();
    while bureau.runs.lock().unwrap()[&id].listeners.len() < followers {
        sleep(Duration::from_millis(5)).await;
    }
    let step = |set: Value| bureau.runs.lock().unwrap().get_mut(&id).unwrap().step(&set);
    let mut waits = head("queued", 1);
    waits["ahead"] = 0.into();
    step(json!({ "run": waits }));
    let mut attempt = 1;
    step(json!({"run": head("running", attempt), "progress": progress(0)}));
    let mut found = json!({"progress": progress(500)});
    for (n, finding) in findings.iter().take(100).enumerate() {
        found[format!("finding:{:03}", n + 1)] = json!(finding);
    }
    step(found.clone());
    if bureau.fault == Fault::ProgressFalls {
        step(json!({"progress": progress(400)}));
    }
    if bureau.fault == Fault::SecondAttempt {
        attempt = 2;
        let mut again = json!({"run": head("running", 2)});
        found.as_object().unwrap().keys().for_each(|key| again[key] = Value::Null);
        step(again);
        step(found);
    }
    if bureau.fault == Fault::NeverEnds {
        return;
    }
    let mut end = json!({"counts": summary.counts, "progress": progress(1000)});
    end["run"] = head("completed", attempt);
    end["run"]["ended_at"] = (now_us() / 1000).into();
    end["run"]["summary"] = json!(summary);
    tallies.iter().for_each(|(rule, tally)| end[format!("rule:{rule}")] = json!(tally));
    if bureau.fault == Fault::Fails {
        end["run"] = head("failed", 1);
        end["run"]["failure"] = json!({"code": "file_not_text", "retryable": false});
    }
    let mut listed = findings;
    listed.sort_by_key(Finding::sort_key);
    if bureau.fault == Fault::OmitsFinding {
        listed.remove(0);
    }
    bureau.runs.lock().unwrap().get_mut(&id).unwrap().listed = listed;
    step(end);
    if bureau.fault == Fault::EndsTwice {
        step(json!({"run": head("failed", 1)}));
    }
}

fn progress(permille: u32) -> Value {
    json!({
        "phase": if permille < 900 { "reading" } else { "storing" },
        "permille": permille, "rows_done": permille,
        "bytes_done": permille, "bytes_total": 1_000, "rows_per_s": 10,
    })
}

impl Run {
    fn state(&self) -> &str {
        self.entries["run"]["state"].as_str().unwrap()
    }

    /// Appends a record that sets these entries, and removes those that are null.
    fn step(&mut self, entries: &Value) {
        let (mut set, mut remove) = (Entries::new(), Vec::new());
        for (key, entry) in entries.as_object().unwrap() {
            match entry {
                Value::Null => remove.push(key.clone()),
                entry => drop(set.insert(key.clone(), entry.clone())),
            }
        }
        remove.iter().for_each(|key| drop(self.entries.remove(key)));
        self.entries.extend(set.clone());
        self.version += 1;
        let data = json!({
            "from": self.version - 1, "to": self.version, "at": now_us() / 1000,
            "set": set, "remove": remove,
        });
        let push = json!({"push": {"channel": "c", "pub": {"data": data, "offset": self.version}}});
        self.listeners.retain(|listener| listener.send(push.clone()).is_ok());
    }
}

fn upgrade(bureau: Arc<Bureau>, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    let key = derive_accept_key(request.headers()["Sec-WebSocket-Key"].as_bytes());
    tokio::spawn(async move {
        let upgraded = hyper::upgrade::on(&mut request).await.unwrap();
        let socket =
            WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, None).await;
        talk(&bureau, socket).await;
    });
    let response = Response::builder().status(101).header(header::CONNECTION, "Upgrade");
    let response =
        response.header(header::UPGRADE, "websocket").header("Sec-WebSocket-Accept", key);
    response.body(Full::default()).unwrap()
}

/// Serves one connection with one subscription.
async fn talk(bureau: &Bureau, mut socket: WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>) {
    let (sender, mut steps) = mpsc::unbounded_channel::<Value>();
    loop {
        let text = tokio::select! {
            step = steps.recv() => step.expect("this task holds a sender").to_string(),
            message = socket.next() => {
                let Some(Ok(Message::Text(text))) = message else { return };
                let replies = text.lines().map(|line| {
                    replied(bureau, &serde_json::from_str(line).unwrap(), &sender).to_string()
                });
                replies.collect::<Vec<_>>().join("\n")
            }
        };
        if socket.send(Message::text(text)).await.is_err() {
            return;
        }
    }
}

fn replied(bureau: &Bureau, command: &Value, steps: &mpsc::UnboundedSender<Value>) -> Value {
    let id = &command["id"];
    if command.get("connect").is_some() {
        return json!({"id": id, "connect": {"client": "c", "version": "0", "ping": 25}});
    }
    let channel = command["subscribe"]["channel"].as_str().unwrap();
    let mut runs = bureau.runs.lock().unwrap();
    let run = runs.get_mut(channel.strip_prefix("run:").unwrap()).unwrap();
    run.listeners.push(steps.clone());
    json!({"id": id, "subscribe": {
        "recoverable": true, "epoch": "1700000000", "offset": run.version, "data": whole(run),
    }})
}
