//! The HTTP routes, over a node whose backends are in memory.

mod appointments;
mod audit;
mod audited;
mod channels;
mod commands;
mod displays;
mod edge;
mod fakes;
mod files;
mod limits;
mod observed;
mod reference;
mod revocations;
mod rules;
mod runs;
mod scans;
mod sessions;
mod tenants;
mod ticket_links;
#[cfg(feature = "tls")]
mod tls;
mod tokens;
mod webhooks;

use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::body::{Body, to_bytes};
use gateway_core::access::{Claims, Origin, Role};
use http::{HeaderMap, Method};
use object_store::{ObjectStore, memory::InMemory};
use schemas::{
    access::{AccessRecord, Revocation, SessionsQuestion, TenantStatus},
    audit::{AuditEntry, AuditRecord},
    clinic::ClinicInfo,
    command::{Command, CommandOutcome, CommandResult, Verdict},
    finding::Finding,
    identity::CommandIdentity,
    ids::{
        Aggregate, AppointmentId, CommandId, DoctorId, LocationId, QueueId, RunId, StationId,
        TenantId, TicketId,
    },
    line::{QUEUE_KEY, QueueEntry, QueueHead, TICKET_KEY},
    record::{ACCESS_TOPIC, AUDIT_TOPIC, CommandRecord, NamedCommand, WireRecord, topic_for},
    ticket::{Priority, QueueState, TicketEntry, TicketState},
    view::{Position, View, raw},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tower::ServiceExt;

use self::fakes::{Decision, FakeBackends};
use super::*;
use crate::{
    BoxFuture,
    access::auth::{DevelopmentKey, development_token},
    backends::Backends,
    backends::log::{FeedItem, Log, NotAppended},
    backends::queries::{
        AuditQuery, AuditRow, DeliveriesQuery, FindingPlace, FindingsPage, FindingsQuery,
        ListedDelivery, ListedRun, Queries, RecordedOutcome, RunsQuery, WebhookQueue,
    },
    backends::quota::{Bucket, Moment, Quota, Spent},
    backends::short_keys::{KeysUnavailable, ShortKeys},
    backends::snapshots::{NotRead, Snapshot, Snapshots},
    client_address::ReportedClient,
    limits::settings::LimitSettings,
    readiness::{Condition, Readiness},
    settings::{Settings, test_settings},
};

const TICKET: &str = "riverside.00000000000000000000000000000001";
const ENDED: &str = "riverside.00000000000000000000000000000002";
const GONE: &str = "riverside.00000000000000000000000000003000";
const APPOINTMENT: &str = "riverside.00000000000000000000000000a000a1";

fn id(ticket: &str) -> TicketId {
    TicketId::new(ticket).unwrap()
}

fn queue() -> QueueId {
    QueueId::new("riverside.general").unwrap()
}

/// A queue with one waiting ticket, a ticket that has ended, and a booked appointment.
fn views() -> HashMap<String, View> {
    let view = |entries: Vec<(&str, _)>| View {
        position: Position { epoch: 7, version: 16 },
        at: 1_000,
        entries: entries.into_iter().map(|(key, entry)| (key.to_owned(), entry)).collect(),
    };
    let head = QueueHead {
        name: "General".into(),
        state: QueueState::Open,
        prefix: "A".into(),
        service_s: 600,
        servers: 1,
        message: None,
        last_call_at: None,
        clinic: ClinicInfo {
            name: "Riverside Clinic".into(),
            time_zone: "America/Toronto".into(),
            ..ClinicInfo::default()
        },
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
        moving_to: None,
        moved_from: None,
        appointment: None,
        priority_reason: None,
    };
    let line = view(vec![(QUEUE_KEY, raw(&head)), (TICKET, raw(&entry))]);
    let mut ended =
        schemas::line::Line::from_view(queue(), &line).unwrap().ticket_view(&id(TICKET)).unwrap();
    (ended.ticket, ended.state, ended.position) = (id(ENDED), TicketState::Left, None);
    HashMap::from([
        ("queue:riverside.general".to_owned(), line),
        (format!("ticket:{TICKET}"), view(vec![(TICKET_KEY, raw(&TicketEntry::In(queue())))])),
        (
            format!("ticket:{ENDED}"),
            view(vec![(TICKET_KEY, raw(&TicketEntry::Ended(Box::new(ended))))]),
        ),
        ("board:riverside".to_owned(), view(vec![("board", raw(&json!({"name": "Riverside"})))])),
        (
            format!("appointment:{APPOINTMENT}"),
            view(vec![(
                "appointment",
                raw(&json!({"appointment": APPOINTMENT, "status": "booked"})),
            )]),
        ),
        (
            "schedule:riverside/dr-roy".to_owned(),
            view(vec![
                ("schedule", raw(&json!({"doctor": "Dr Roy"}))),
                (APPOINTMENT, raw(&json!({"status": "booked"}))),
            ]),
        ),
        (
            "settings:riverside".to_owned(),
            view(vec![
                ("location", raw(&json!({"name": "Riverside"}))),
                ("queue:riverside.general", raw(&json!({"prefix": "A"}))),
                ("station:riverside.room-1", raw(&json!({"open": true}))),
                ("station:riverside.room-2", raw(&json!({"open": false}))),
            ]),
        ),
        // The view of a removed queue.
        ("queue:riverside.removed".to_owned(), view(vec![])),
        ("load:riverside".to_owned(), view(vec![("load", raw(&json!({"waiting": 1})))])),
        ("load:north".to_owned(), view(vec![("load", raw(&json!({"waiting": 0})))])),
    ])
}

struct Node {
    router: Router,
    fakes: Arc<FakeBackends>,
    store: Arc<InMemory>,
    context: Arc<NodeContext>,
}

fn backends(fakes: &Arc<FakeBackends>, files: Arc<dyn ObjectStore>) -> Backends {
    Backends {
        log: fakes.clone(),
        snapshots: fakes.clone(),
        queries: fakes.clone(),
        short_keys: fakes.clone(),
        files,
        readiness: Readiness::default(),
    }
}

/// A node without limits, for tests of other things.
fn node() -> Node {
    node_with(LimitSettings::off())
}

fn node_with(limits: LimitSettings) -> Node {
    let origins = vec!["https://desk.example".to_owned()];
    let run_retention = Duration::from_hours(1);
    node_of(Settings { origins, max_file: files::MAX, run_retention, limits, ..test_settings() })
}

fn node_of(settings: Settings) -> Node {
    let (answered, mut answers) = mpsc::unbounded_channel();
    let fakes = Arc::new(FakeBackends {
        decision: Mutex::new(Decision::Applied(CommandResult::default())),
        appended: Mutex::default(),
        answered,
        recorded: Mutex::default(),
        views: Mutex::new(views()),
        runs: Mutex::default(),
        findings: Mutex::default(),
        audited: Mutex::default(),
        stored_audit: Mutex::default(),
        audit_fails: AtomicBool::new(false),
        keys: Mutex::default(),
        spent: Mutex::default(),
        revoked: Mutex::default(),
        tenants: Mutex::default(),
        sessions: Mutex::default(),
    });
    let store = Arc::new(InMemory::new());
    let backends = backends(&fakes, store.clone());
    let context = Arc::new(NodeContext::new(&settings, backends).unwrap());
    context.revocations.finish_reading();
    let answering = context.clone();
    tokio::spawn(async move {
        while let Some((named, outcome)) = answers.recv().await {
            answering.commands.answer(&named, &outcome);
        }
    });
    Node { router: router(context.clone()), fakes, store, context }
}

fn key() -> DevelopmentKey {
    DevelopmentKey::from_words("a test of a node")
}

/// A token for an hour that lists the location `riverside`, its general queue, and `dr-roy` as the
/// bearer's id in schedules.
fn token(role: Role) -> String {
    token_of("demo", "subject-1", role)
}

fn token_of(tenant: &str, subject: &str, role: Role) -> String {
    development_token(&key(), &claims_of(tenant, subject, role), now())
}

fn claims_of(tenant: &str, subject: &str, role: Role) -> Claims {
    let anywhere = matches!(role, Role::Admin | Role::SuperAdmin | Role::Source);
    let here = LocationId::new("riverside").unwrap();
    Claims {
        tenant: TenantId::new(tenant).unwrap(),
        subject: subject.into(),
        role,
        locations: if anywhere { vec![] } else { vec![here] },
        queues: vec![queue()],
        tickets: vec![id(TICKET), id(ENDED)],
        appointments: vec![AppointmentId::new(APPOINTMENT).unwrap()],
        doctor: Some(DoctorId::new("dr-roy").unwrap()),
        expires: now() + 3_600_000,
        origin: Origin::default(),
    }
}

/// The client that a socket adds to its requests.
fn client(address: &str, is_secure: Option<bool>) -> ReportedClient {
    ReportedClient { address: ClientAddress::new(address.parse().unwrap()), is_secure }
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

    /// The code of the problem. Checks that the answer has the form of RFC 9457.
    fn code(&self) -> String {
        let problem = self.json();
        assert_eq!(self.headers["content-type"], "application/problem+json");
        assert_eq!(problem["status"], self.status);
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()));
        let code = problem["code"].as_str().unwrap_or_else(|| panic!("no code in {problem}"));
        assert_eq!(problem["type"], format!("urn:clinicwire:problem:{code}"));
        code.to_owned()
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Node {
    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        self.send_body(method, path, headers, Body::from(body.to_owned())).await
    }

    async fn send_body(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Answer {
        let mut request =
            Request::builder().method(method).uri(path).header("host", "clinic.example");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.answer(request.body(body).unwrap()).await
    }

    async fn answer(&self, request: Request) -> Answer {
        let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
        let response = self.router.clone().oneshot(request).await;
        let (parts, body) = response.unwrap().into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        description::check_answer(&method, &path, parts.status.as_u16(), &text);
        Answer { status: parts.status.as_u16(), headers: parts.headers, text }
    }

    /// A GET from an address, without a token if `token` is empty.
    async fn get_from(&self, address: &str, token: &str, path: &str) -> Answer {
        let mut request = Request::builder().uri(path).header("host", "clinic.example");
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let request = request.extension(client(address, None));
        self.answer(request.body(Body::empty()).unwrap()).await
    }

    async fn ask(&self, role: Role, method: &str, path: &str, body: &str) -> Answer {
        self.ask_as(&token(role), method, path, body).await
    }

    async fn ask_as(&self, token: &str, method: &str, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        self.send(
            method,
            path,
            &[("authorization", &bearer), ("content-type", "application/json")],
            body,
        )
        .await
    }

    fn audited(&self) -> Vec<(String, AuditEntry)> {
        std::mem::take(&mut self.fakes.audited.lock().unwrap())
    }

    fn decide(&self, decision: Decision) {
        *self.fakes.decision.lock().unwrap() = decision;
    }

    /// Makes the outcome of a command known to the authority.
    fn record(&self, command: &CommandRecord, verdict: Verdict) {
        let outcome = CommandOutcome { command: command.id.clone(), at: 1, verdict };
        let recorded = RecordedOutcome {
            aggregate: command.aggregate.clone(),
            fingerprint: command.fingerprint,
            outcome,
        };
        self.fakes.recorded.lock().unwrap().insert(command.identity(), recorded);
    }

    fn last(&self) -> CommandRecord {
        self.fakes.appended.lock().unwrap().last().unwrap().clone()
    }
}
