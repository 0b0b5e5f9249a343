use std::{collections::HashMap, sync::Mutex, time::Duration};

use axum::body::{Body, to_bytes};
use gateway_core::access::{Claims, Role};
use http::{HeaderMap, Method};
use schemas::{
    command::{Command, CommandResult, Outcome, Verdict},
    ids::{Aggregate, CommandId, LocationId, QueueId, StationId, TenantId, TicketId},
    line::{QUEUE_KEY, QueueEntry, QueueHead, TICKET_KEY},
    record::{CommandRecord, WireRecord},
    ticket::{Priority, QueueState, TicketPlace, TicketState},
    view::{Pair, View, raw},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower::ServiceExt;

use super::*;
use crate::{
    BoxFuture,
    auth::{DevelopmentKey, development_token},
    log::{Fed, Log, NotAppended},
    queries::Queries,
    short_keys::KeysUnavailable,
    snapshots::{NotRead, Snapshot, Snapshots},
};

const TICKET: &str = "riverside.00000000000000000000000000000001";
const ENDED: &str = "riverside.00000000000000000000000000000002";
const GONE: &str = "riverside.00000000000000000000000000000003";

/// What the clinic behind the node does with a command.
#[derive(Clone)]
enum Decides {
    Applied(CommandResult),
    Refused(Code),
    /// Takes longer than anybody waits.
    Nothing,
}

/// The seams of one node in memory, and a clinic that decides as it is told.
struct World {
    decides: Mutex<Decides>,
    appended: Mutex<Vec<CommandRecord>>,
    answered: mpsc::UnboundedSender<Outcome>,
    views: HashMap<String, View>,
    keys: Mutex<HashMap<String, String>>,
}

impl Log for World {
    fn append(&self, record: WireRecord) -> BoxFuture<'_, Result<(), NotAppended>> {
        let record = CommandRecord::from_wire(&record).unwrap_or_else(|code| panic!("{code}"));
        let verdict = match self.decides.lock().unwrap().clone() {
            Decides::Applied(result) => Some(Verdict::Applied {
                epoch: 7,
                version: 17,
                result,
            }),
            Decides::Refused(code) => Some(Verdict::Refused { code }),
            Decides::Nothing => None,
        };
        if let Some(verdict) = verdict {
            self.answered
                .send(Outcome {
                    command: record.id.clone(),
                    at: 1,
                    verdict,
                })
                .unwrap();
        }
        self.appended.lock().unwrap().push(record);
        Box::pin(async { Ok(()) })
    }

    fn follow(&self) -> mpsc::Receiver<Fed> {
        mpsc::channel(1).1
    }
}

impl Snapshots for World {
    fn load<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        view: &'a str,
    ) -> BoxFuture<'a, Result<Snapshot, NotRead>> {
        let own = aggregate.as_str() == "demo/riverside";
        let held = self.views.get(view).filter(|_| own).cloned();
        Box::pin(async { Ok(held.map_or(Snapshot::Absent, Snapshot::Held)) })
    }
}

impl Queries for World {
    fn view<'a>(&'a self, _: &'a Aggregate, _: &'a str) -> BoxFuture<'a, Result<Option<View>, NotRead>> {
        Box::pin(async { Ok(None) })
    }

    fn outcome<'a>(
        &'a self,
        tenant: &'a TenantId,
        command: &'a CommandId,
    ) -> BoxFuture<'a, Result<Option<Outcome>, NotRead>> {
        let result = CommandResult {
            ticket: Some(id(TICKET)),
            label: Some("A-001".into()),
            station: None,
        };
        let known = tenant.as_str() == "demo" && command.as_str() == "known";
        let verdict = Verdict::Applied {
            epoch: 7,
            version: 17,
            result,
        };
        let outcome = Outcome {
            command: command.clone(),
            at: 1,
            verdict,
        };
        Box::pin(async move { Ok(known.then_some(outcome)) })
    }
}

impl ShortKeys for World {
    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        _: Duration,
    ) -> BoxFuture<'a, Result<(), KeysUnavailable>> {
        self.keys.lock().unwrap().insert(key.to_owned(), value.to_owned());
        Box::pin(async { Ok(()) })
    }

    fn take<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<String>, KeysUnavailable>> {
        let value = self.keys.lock().unwrap().remove(key);
        Box::pin(async { Ok(value) })
    }
}

fn id(ticket: &str) -> TicketId {
    TicketId::new(ticket).unwrap()
}

fn queue() -> QueueId {
    QueueId::new("riverside.general").unwrap()
}

/// A queue with one waiting ticket, and a ticket that has ended.
fn views() -> HashMap<String, View> {
    let view = |entries: Vec<(&str, _)>| View {
        pair: Pair {
            epoch: 7,
            version: 16,
        },
        at: 1_000,
        entries: entries
            .into_iter()
            .map(|(key, entry)| (key.to_owned(), entry))
            .collect(),
    };
    let head = QueueHead {
        name: "General".into(),
        state: QueueState::Open,
        prefix: "A".into(),
        service_s: 600,
        servers: 1,
        last_call_at: None,
    };
    let entry = QueueEntry {
        label: "A-001".into(),
        state: TicketState::Waiting,
        priority: Priority::default(),
        rank: 1,
        issued_at: 900,
        called_at: None,
        started_at: None,
        station: None,
        recalls: 0,
        reason: None,
    };
    let line = view(vec![(QUEUE_KEY, raw(&head)), (TICKET, raw(&entry))]);
    let mut ended = schemas::line::Line::read(queue(), &line)
        .unwrap()
        .ticket_view(&id(TICKET))
        .unwrap();
    (ended.ticket, ended.state, ended.position) = (id(ENDED), TicketState::Left, None);
    HashMap::from([
        ("queue:riverside.general".to_owned(), line),
        (
            format!("ticket:{TICKET}"),
            view(vec![(TICKET_KEY, raw(&TicketPlace::In(queue())))]),
        ),
        (
            format!("ticket:{ENDED}"),
            view(vec![(TICKET_KEY, raw(&TicketPlace::Ended(Box::new(ended))))]),
        ),
        (
            "board:riverside".to_owned(),
            view(vec![("board", raw(&json!({"name": "Riverside"})))]),
        ),
    ])
}

struct Node {
    router: Router,
    world: Arc<World>,
    api: Arc<Api>,
}

fn node() -> Node {
    let (answered, mut answers) = mpsc::unbounded_channel();
    let world = Arc::new(World {
        decides: Mutex::new(Decides::Applied(CommandResult::default())),
        appended: Mutex::default(),
        answered,
        views: views(),
        keys: Mutex::default(),
    });
    let commands = Arc::new(Commands::new(world.clone(), world.clone()));
    let api = Arc::new(Api {
        verifier: Arc::new(Verifier::new(key().keys()).unwrap()),
        commands: commands.clone(),
        reader: Arc::new(Reader::new(world.clone(), world.clone())),
        short_keys: world.clone(),
        grant_key: GrantKey::new(&key().grant_secret()),
        metrics: Arc::default(),
        ready: Arc::default(),
        demo: Arc::default(),
        origins: vec!["https://desk.example".to_owned()],
    });
    tokio::spawn(async move {
        while let Some(outcome) = answers.recv().await {
            commands.answer(&TenantId::new("demo").unwrap(), outcome);
        }
    });
    Node {
        router: router(api.clone()),
        world,
        api,
    }
}

fn key() -> DevelopmentKey {
    DevelopmentKey::from_words("a test of routes")
}

/// A token for somebody of riverside and its general queue, good for an hour.
fn token(role: Role) -> String {
    let claims = Claims {
        tenant: TenantId::new("demo").unwrap(),
        subject: "subject-1".into(),
        role,
        locations: vec![LocationId::new("riverside").unwrap()],
        queues: vec![queue()],
        tickets: vec![id(TICKET), id(ENDED)],
        expires: now() + 3_600_000,
    };
    development_token(&key(), &claims, now())
}

struct Answer {
    status: u16,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// The code of a problem that keeps the form of RFC 9457.
    fn code(&self) -> String {
        let problem = self.json();
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(problem["status"], self.status);
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()));
        let code = problem["code"]
            .as_str()
            .unwrap_or_else(|| panic!("no code in {problem}"));
        assert_eq!(problem["type"], format!("urn:clinicwire:problem:{code}"));
        code.to_owned()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Node {
    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "clinic.example");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self
            .router
            .clone()
            .oneshot(request.body(Body::from(body.to_owned())).unwrap())
            .await;
        let (parts, body) = response.unwrap().into_parts();
        let text = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().to_vec()).unwrap();
        Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            text,
        }
    }

    async fn ask(&self, role: Role, method: &str, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {}", token(role));
        self.send(
            method,
            path,
            &[("authorization", &bearer), ("content-type", "application/json")],
            body,
        )
        .await
    }

    fn decide(&self, decides: Decides) {
        *self.world.decides.lock().unwrap() = decides;
    }

    fn last(&self) -> CommandRecord {
        self.world.appended.lock().unwrap().last().unwrap().clone()
    }
}

/// Every command route: method, path below `/v1`, a body, and the kind of command it stands for.
const ROUTES: &[(&str, &str, &str, &str)] = &[
    (
        "PUT",
        "locations/riverside",
        r#"{"name":"R","time_zone":"UTC","languages":["fr"]}"#,
        "location.configure",
    ),
    (
        "PUT",
        "queues/riverside.general",
        r#"{"name":"G","prefix":"A","service_s":300}"#,
        "queue.configure",
    ),
    (
        "PUT",
        "stations/riverside.room-1",
        r#"{"name":"Room 1"}"#,
        "station.configure",
    ),
    ("POST", "queues/riverside.general/open", "", "queue.open"),
    ("POST", "queues/riverside.general/pause", "{}", "queue.pause"),
    ("POST", "queues/riverside.general/resume", "{}", "queue.resume"),
    ("POST", "queues/riverside.general/close", "{}", "queue.close"),
    (
        "POST",
        "queues/riverside.general/reorder",
        r#"{"tickets":[]}"#,
        "queue.reorder",
    ),
    (
        "POST",
        "queues/riverside.general/tickets",
        r#"{"priority":9}"#,
        "ticket.issue",
    ),
    (
        "POST",
        "queues/riverside.general/call-next",
        r#"{"station":"riverside.room-1"}"#,
        "queue.call_next",
    ),
    (
        "POST",
        "tickets/T/call",
        r#"{"station":"riverside.room-1"}"#,
        "ticket.call",
    ),
    ("POST", "tickets/T/recall", "", "ticket.recall"),
    ("POST", "tickets/T/start", "", "ticket.start"),
    ("POST", "tickets/T/complete", "", "ticket.complete"),
    ("POST", "tickets/T/hold", r#"{"reason":"lab"}"#, "ticket.hold"),
    ("POST", "tickets/T/resume", "", "ticket.resume"),
    ("POST", "tickets/T/absent", "", "ticket.absent"),
    ("POST", "tickets/T/return", "", "ticket.return"),
    ("POST", "tickets/T/no-show", "", "ticket.no_show"),
    ("POST", "tickets/T/cancel", "{}", "ticket.cancel"),
    ("POST", "tickets/T/leave", "", "ticket.leave"),
    (
        "POST",
        "tickets/T/transfer",
        r#"{"queue":"riverside.blood"}"#,
        "ticket.transfer",
    ),
    (
        "POST",
        "tickets/T/prioritise",
        r#"{"priority":3}"#,
        "ticket.prioritise",
    ),
    ("POST", "tickets/T/revert", "", "ticket.revert"),
];

fn path_of(route: &str) -> String {
    format!("/v1/{}", route.replace("/T/", &format!("/{TICKET}/")))
}

#[tokio::test]
async fn every_kind_of_command_has_its_route() {
    let node = node();
    for (method, route, body, kind) in ROUTES {
        let answer = node.ask(Role::Admin, method, &path_of(route), body).await;
        assert_eq!(answer.status, 200, "{route}: {}", answer.text);
        let record = node.last();
        assert_eq!(record.command.kind(), *kind, "{route}");
        assert_eq!(record.aggregate.as_str(), "demo/riverside");
    }
    let mut kinds: Vec<_> = ROUTES.iter().map(|(.., kind)| *kind).collect();
    let mut all = Command::KINDS.to_vec();
    kinds.sort_unstable();
    all.sort_unstable();
    assert_eq!(kinds, all);
}

#[tokio::test]
async fn every_route_refuses_who_sends_no_token_and_who_may_not() {
    let node = node();
    for (method, route, body, _) in ROUTES {
        let answer = node
            .send(
                method,
                &path_of(route),
                &[("content-type", "application/json")],
                body,
            )
            .await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "token_missing"),
            "{route}"
        );
        assert_eq!(answer.header("www-authenticate"), "Bearer");
        let answer = node.ask(Role::Display, method, &path_of(route), body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (403, "forbidden"),
            "{route}"
        );
    }
    for path in ["queues/riverside.general", "commands/known", "boards/riverside"] {
        let answer = node
            .send(
                "GET",
                &format!("/v1/{path}"),
                &[("authorization", "Bearer x.y.z")],
                "",
            )
            .await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "token_invalid"),
            "{path}"
        );
    }
    let answer = node
        .send(
            "GET",
            "/v1/boards/riverside",
            &[("authorization", "Basic abc")],
            "",
        )
        .await;
    assert_eq!(answer.code(), "token_invalid");
    assert!(node.world.appended.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_applied_command_is_answered_with_its_position_and_result() {
    let node = node();
    let station = StationId::new("riverside.room-1").unwrap();
    let result = CommandResult {
        ticket: Some(id(TICKET)),
        label: Some("A-001".into()),
        station: Some(station),
    };
    node.decide(Decides::Applied(result));
    let bearer = format!("Bearer {}", token(Role::Reception));
    let headers = [
        ("authorization", bearer.as_str()),
        ("content-type", "application/json; charset=utf-8"),
        ("idempotency-key", "desk-1.42"),
        ("valid-until", "2031-01-01T00:00:00Z"),
    ];
    let body = r#"{"station":"riverside.room-1"}"#;
    let answer = node
        .send("POST", "/v1/queues/riverside.general/call-next", &headers, body)
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        answer.json(),
        json!({"command": "desk-1.42", "at": 1, "outcome": "applied", "epoch": "7", "version": 17,
            "result": {"ticket": TICKET, "label": "A-001", "station": "riverside.room-1"}})
    );
    let record = node.last();
    assert_eq!(record.id.as_str(), "desk-1.42");
    assert_eq!(record.source, commands::SOURCE);
    assert_eq!(record.valid_until, Some(1_924_992_000_000));
    let actor = record.actor.unwrap();
    assert_eq!(
        (actor.subject.as_str(), actor.role.as_str()),
        ("subject-1", "reception")
    );
}

#[tokio::test]
async fn a_command_without_a_key_gets_its_own_and_half_a_minute() {
    let node = node();
    let before = now();
    for _ in 0..2 {
        node.ask(
            Role::Reception,
            "POST",
            "/v1/queues/riverside.general/tickets",
            "",
        )
        .await;
    }
    let appended = node.world.appended.lock().unwrap();
    assert_ne!(appended[0].id.as_str(), appended[1].id.as_str());
    assert_ne!(appended[0].command.ticket(), appended[1].command.ticket());
    let until = appended[0].valid_until.unwrap();
    assert!((before + 30_000..=now() + 30_000).contains(&until));
}

#[tokio::test]
async fn a_refused_command_is_a_problem_that_names_it() {
    let node = node();
    let path = format!("/v1/tickets/{TICKET}/start");
    for (code, status) in [
        (Code::IllegalMove, 409),
        (Code::TicketUnknown, 422),
        (Code::CommandExpired, 409),
    ] {
        node.decide(Decides::Refused(code));
        let answer = node.ask(Role::Reception, "POST", &path, "").await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code.as_str()));
        assert_eq!(answer.json()["command"], node.last().id.as_str());
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_command_is_accepted_and_found_later() {
    let node = node();
    node.decide(Decides::Nothing);
    let path = format!("/v1/tickets/{TICKET}/start");
    let answer = node.ask(Role::Reception, "POST", &path, "").await;
    assert_eq!(answer.status, 202);
    let id = node.last().id;
    assert_eq!(answer.header("location"), format!("/v1/commands/{id}"));
    assert_eq!(answer.json(), json!({"command": id, "outcome": "pending"}));

    let answer = node.ask(Role::Reception, "GET", "/v1/commands/known", "").await;
    assert_eq!(
        (answer.status, &answer.json()["result"]["label"]),
        (200, &json!("A-001"))
    );
    let answer = node
        .ask(Role::Reception, "GET", answer_path(&id).as_str(), "")
        .await;
    assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
}

fn answer_path(id: &CommandId) -> String {
    format!("/v1/commands/{id}")
}

#[tokio::test]
async fn nobody_learns_of_a_ticket_by_guessing_the_id_of_a_command() {
    let node = node();
    let answer = node.ask(Role::Display, "GET", "/v1/commands/known", "").await;
    assert_eq!((answer.status, answer.json().get("result")), (200, None));

    let stranger = TicketId::from_random(&LocationId::new("riverside").unwrap(), 99);
    let result = CommandResult {
        ticket: Some(stranger),
        label: Some("A-099".into()),
        station: None,
    };
    node.decide(Decides::Applied(result));
    let answer = node
        .ask(Role::Patient, "POST", &format!("/v1/tickets/{TICKET}/leave"), "")
        .await;
    assert_eq!((answer.status, answer.json().get("result")), (200, None));
}

#[tokio::test]
async fn a_transfer_names_a_successor_only_to_another_location() {
    let node = node();
    let path = format!("/v1/tickets/{TICKET}/transfer");
    for (queue, elsewhere) in [("riverside.blood", false), ("north.general", true)] {
        node.ask(Role::Admin, "POST", &path, &json!({ "queue": queue }).to_string())
            .await;
        let Command::TransferTicket { successor, .. } = node.last().command else {
            panic!("no transfer")
        };
        assert_eq!(successor.is_some(), elsewhere, "{queue}");
        assert!(successor.is_none_or(|successor| successor.location().as_str() == "north"));
    }
}

#[tokio::test]
async fn what_cannot_be_a_command_has_its_code_and_reaches_no_log() {
    let node = node();
    let call_next = "/v1/queues/riverside.general/call-next";
    let tickets = "/v1/queues/riverside.general/tickets";
    let table = [
        ("POST", call_next, "{", 400, "malformed"),
        ("POST", call_next, "", 400, "malformed"),
        ("POST", call_next, "[]", 400, "malformed"),
        ("POST", call_next, r#"{"station":7}"#, 400, "malformed"),
        (
            "POST",
            call_next,
            r#"{"station":"riverside.room-1","why":"x"}"#,
            400,
            "malformed",
        ),
        ("POST", call_next, r#"{"station":"Room 1"}"#, 400, "invalid_id"),
        (
            "POST",
            call_next,
            r#"{"station":"north.room-1"}"#,
            422,
            "record_foreign_id",
        ),
        ("POST", tickets, r#"{"priority":10}"#, 422, "invalid_value"),
        ("POST", tickets, r#"{"priority":-1}"#, 422, "invalid_value"),
        ("POST", tickets, r#"{"priority":"high"}"#, 400, "malformed"),
        (
            "POST",
            "/v1/queues/riverside.general/reorder",
            r#"{"tickets":["x"]}"#,
            400,
            "invalid_id",
        ),
        (
            "POST",
            "/v1/queues/riverside.general/configure",
            "{}",
            404,
            "not_found",
        ),
        (
            "POST",
            "/v1/queues/riverside.general/explode",
            "{}",
            404,
            "not_found",
        ),
        ("POST", "/v1/queues/Riverside/open", "{}", 400, "invalid_id"),
        ("POST", "/v1/queues/%ff/open", "{}", 400, "invalid_id"),
        (
            "PUT",
            "/v1/locations/a.b",
            r#"{"name":"R","time_zone":"UTC","languages":[]}"#,
            400,
            "invalid_id",
        ),
        ("POST", "/v1/tickets/riverside.1/start", "", 400, "invalid_id"),
        ("GET", "/v1/commands/a%20b", "", 400, "invalid_id"),
        ("POST", "/v1/locations/riverside", "", 405, "unknown_method"),
        (
            "DELETE",
            "/v1/queues/riverside.general",
            "",
            405,
            "unknown_method",
        ),
        ("GET", "/v1/stream-tickets", "", 405, "unknown_method"),
        ("GET", "/v1/nothing", "", 404, "not_found"),
        ("GET", "/nothing.html", "", 404, "not_found"),
        ("GET", "/v1/demo", "", 404, "not_found"),
    ];
    for (method, path, body, status, code) in table {
        let answer = node.ask(Role::Admin, method, path, body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{method} {path} {body}"
        );
    }
    assert!(node.world.appended.lock().unwrap().is_empty());
}

#[tokio::test]
async fn headers_and_bodies_that_cannot_be_taken_have_their_codes() {
    let node = node();
    let path = "/v1/queues/riverside.general/tickets";
    let bearer = format!("Bearer {}", token(Role::Admin));
    let json = ("content-type", "application/json");
    let table = [
        (
            vec![("content-type", "text/plain")],
            "{}".to_owned(),
            415,
            "malformed",
        ),
        (vec![], "{}".to_owned(), 415, "malformed"),
        (
            vec![json],
            format!("{{{}}}", " ".repeat(64 * 1024)),
            413,
            "too_large",
        ),
        (
            vec![json, ("idempotency-key", "a b")],
            "{}".to_owned(),
            400,
            "invalid_id",
        ),
        (
            vec![json, ("idempotency-key", "")],
            "{}".to_owned(),
            400,
            "invalid_id",
        ),
        (
            vec![json, ("valid-until", "tomorrow")],
            "{}".to_owned(),
            422,
            "invalid_value",
        ),
        (
            vec![json, ("valid-until", "2031-01-01T00:00:00")],
            "{}".to_owned(),
            422,
            "invalid_value",
        ),
    ];
    for (mut headers, body, status, code) in table {
        headers.push(("authorization", &bearer));
        let answer = node.send("POST", path, &headers, &body).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{headers:?}"
        );
    }
}

#[tokio::test]
async fn no_problem_quotes_what_was_sent() {
    let node = node();
    let secret = "Jeanne Tremblay";
    for body in [json!({ "priority": secret }), json!({ secret: 1 }), json!(secret)] {
        let answer = node
            .ask(
                Role::Admin,
                "POST",
                "/v1/queues/riverside.general/tickets",
                &body.to_string(),
            )
            .await;
        assert_eq!(answer.code(), "malformed");
        assert!(!answer.text.contains("Tremblay"), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_snapshot_is_what_its_channel_shows() {
    let node = node();
    let answer = node
        .ask(Role::Reception, "GET", "/v1/queues/riverside.general", "")
        .await;
    let view = answer.json();
    assert_eq!(
        (answer.status, &view["epoch"], &view["version"]),
        (200, &json!("7"), &json!(16))
    );
    assert_eq!(view["entries"][TICKET]["label"], "A-001");

    let state = node
        .ask(Role::Patient, "GET", &format!("/v1/tickets/{TICKET}"), "")
        .await
        .json();
    assert_eq!(
        (&state["state"], &state["position"], &state["ahead"]),
        (&json!("waiting"), &json!(1), &json!(0))
    );
    assert_eq!((&state["epoch"], &state["version"]), (&json!("7"), &json!(16)));

    let state = node
        .ask(Role::Patient, "GET", &format!("/v1/tickets/{ENDED}"), "")
        .await
        .json();
    assert_eq!((&state["state"], state.get("position")), (&json!("left"), None));

    let board = node.ask(Role::Display, "GET", "/v1/boards/riverside", "").await;
    assert_eq!(
        (board.status, &board.json()["entries"]["board"]["name"]),
        (200, &json!("Riverside"))
    );
}

#[tokio::test]
async fn a_snapshot_of_something_else_is_refused_or_not_there() {
    let node = node();
    let table = [
        (Role::Patient, format!("/v1/tickets/{GONE}"), 403, "forbidden"),
        (Role::Reception, format!("/v1/tickets/{GONE}"), 404, "not_found"),
        (
            Role::Patient,
            "/v1/queues/riverside.general".to_owned(),
            403,
            "forbidden",
        ),
        (
            Role::Doctor,
            "/v1/queues/riverside.blood".to_owned(),
            403,
            "forbidden",
        ),
        (Role::Display, "/v1/boards/north".to_owned(), 403, "forbidden"),
        (Role::Admin, "/v1/boards/north".to_owned(), 404, "not_found"),
    ];
    for (role, path, status, code) in table {
        let answer = node.ask(role, "GET", &path, "").await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{role:?} {path}"
        );
    }
}

#[tokio::test]
async fn a_stream_ticket_holds_the_grant_of_its_caller() {
    let node = node();
    let channels = json!({"channels": ["board:riverside", "queue:riverside.general"]});
    let answer = node
        .ask(Role::Doctor, "POST", "/v1/stream-tickets", &channels.to_string())
        .await;
    assert_eq!((answer.status, &answer.json()["expires_in"]), (200, &json!(30)));
    let ticket = answer.json()["ticket"].as_str().unwrap().to_owned();
    let wanted = vec![schemas::channel::Channel::parse("board:riverside").unwrap()];
    let grant = crate::grant::spend_ticket(&*node.world, &ticket, wanted.clone(), now())
        .await
        .unwrap();
    assert_eq!((grant.tenant.as_str(), &*grant.subject), ("demo", "subject-1"));
    assert!(grant.channels == wanted && grant.expires > now());
}

#[tokio::test]
async fn a_stream_ticket_is_refused_for_what_one_may_not_open() {
    let node = node();
    let many: Vec<_> = (0..65).map(|n| format!("board:location-{n}")).collect();
    let table = [
        (
            json!({"channels": ["board:riverside", "queue:riverside.general"]}),
            403,
            "forbidden",
        ),
        (json!({"channels": ["run:1"]}), 404, "unknown_channel"),
        (
            json!({"channels": ["board:riverside", "board:riverside"]}),
            409,
            "already_subscribed",
        ),
        (json!({"channels": []}), 422, "invalid_value"),
        (json!({ "channels": many }), 422, "channel_limit"),
        (json!({"channels": "board:riverside"}), 400, "malformed"),
    ];
    for (body, status, code) in table {
        let answer = node
            .ask(Role::Display, "POST", "/v1/stream-tickets", &body.to_string())
            .await;
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{body}");
    }
    assert!(node.world.keys.lock().unwrap().is_empty());
}

#[tokio::test]
async fn pages_of_this_host_and_of_the_list_may_call_and_no_others() {
    let node = node();
    let path = "/v1/boards/riverside";
    let bearer = format!("Bearer {}", token(Role::Display));
    for (origin, allowed) in [
        ("https://clinic.example", true),
        ("http://clinic.example", true),
        ("https://desk.example", true),
        ("https://desk.example.attacker.example", false),
        ("https://clinic.example.attacker.example", false),
        ("null", false),
    ] {
        let answer = node
            .send("GET", path, &[("authorization", &bearer), ("origin", origin)], "")
            .await;
        assert_eq!(answer.status, if allowed { 200 } else { 403 }, "{origin}");
        let shown = answer.header("access-control-allow-origin");
        assert_eq!(shown, if allowed { origin } else { "" });
        if !allowed {
            assert_eq!(answer.code(), "origin_not_allowed");
        }
    }
    let preflight = [
        ("origin", "https://desk.example"),
        ("access-control-request-method", "POST"),
    ];
    let answer = node.send("OPTIONS", "/v1/stream-tickets", &preflight, "").await;
    assert_eq!(answer.status, 204);
    assert!(
        answer
            .header("access-control-allow-headers")
            .contains("authorization")
    );
}

#[tokio::test]
async fn pages_are_served_with_their_types_and_run_nothing_foreign() {
    let node = node();
    for (path, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/patient", "text/html; charset=utf-8"),
        ("/board", "text/html; charset=utf-8"),
        ("/patient.js", "text/javascript; charset=utf-8"),
        ("/style.css", "text/css; charset=utf-8"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let answer = node.send("GET", path, &[], "").await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, kind),
            "{path}"
        );
        assert!(!answer.text.is_empty());
        assert!(
            answer
                .header("content-security-policy")
                .starts_with("default-src 'self';")
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("cache-control"), "no-cache");
        let again = node
            .send("GET", path, &[("if-none-match", answer.header("etag"))], "")
            .await;
        assert_eq!((again.status, again.text.as_str()), (304, ""), "{path}");
    }
    let answer = node.send(Method::POST.as_str(), "/", &[], "").await;
    assert_eq!((answer.status, answer.code().as_str()), (405, "unknown_method"));
}

#[tokio::test]
async fn health_tells_alive_from_ready() {
    let node = node();
    assert_eq!(node.send("GET", "/health/live", &[], "").await.status, 200);
    let answer = node.send("GET", "/health/ready", &[], "").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "try_again"));
    node.api.ready.set_caught_up(true);
    assert_eq!(node.send("GET", "/health/ready", &[], "").await.status, 200);
    node.api.ready.drain();
    let answer = node.send("GET", "/health/ready", &[], "").await;
    assert_eq!((answer.status, answer.code().as_str()), (503, "draining"));
    assert_eq!(node.send("GET", "/health/live", &[], "").await.status, 200);
}

#[tokio::test]
async fn metrics_count_by_route_and_carry_no_id() {
    let node = node();
    node.ask(
        Role::Reception,
        "POST",
        &format!("/v1/tickets/{TICKET}/start"),
        "",
    )
    .await;
    node.ask(Role::Reception, "GET", &format!("/v1/tickets/{GONE}"), "")
        .await;
    node.send("GET", "/secret/riverside", &[], "").await;
    let text = node.send("GET", "/metrics", &[], "").await.text;
    for line in [
        r#"clinicwire_http_requests_total{route="/v1/tickets/{ticket}/{action}",status="200"} 1"#,
        r#"clinicwire_http_requests_total{route="/v1/tickets/{ticket}",status="404"} 1"#,
        r#"clinicwire_http_requests_total{route="none",status="404"} 1"#,
        r#"clinicwire_commands_total{kind="ticket.start",result="applied"} 1"#,
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    assert!(!text.contains("riverside"));
}

#[tokio::test]
async fn a_demo_is_shown_once_there_is_one() {
    let node = node();
    node.api.demo.set(json!({"location": "riverside"})).unwrap();
    let answer = node.send("GET", "/v1/demo", &[], "").await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({"location": "riverside"}))
    );
    assert_eq!(answer.header("cache-control"), "no-store");
}
