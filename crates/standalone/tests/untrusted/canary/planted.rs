//! The tenant with the canary, and the tokens of strangers.

use std::{sync::Arc, time::Duration};

use claims::tables::Tables;
use gateway::{access::auth::DevelopmentKey, limits::settings::LimitSettings};
use hyper::Method;
use serde_json::{Value, json};
use standalone::one_process::{OneProcess, Settings};
use testing::{
    http::{ApiClient, ApiRequest, ApiResponse},
    patience::eventually,
    tokens::DevelopmentIssuer,
};
use tokio::time::Instant;

/// A text that only the planted tenant has: in every name, reason, file and rule.
pub const CANARY: &str = "Zq7Canary";
/// The subject of the planted patient's token.
pub const PATIENT: &str = "zq7-planted-patient";
pub const LOCATION: &str = "planted";
const ELSEWHERE: &str = "elsewhere";
const WORDS: &str = "words of the tests with a canary";
const PATIENCE: Duration = Duration::from_secs(30);

/// A running node with the planted tenant, and the ids that strangers know.
pub struct Planted {
    server: OneProcess,
    issuer: DevelopmentIssuer,
    api: ApiClient,
    pub ticket: String,
    pub appointment: String,
    pub file: String,
    pub run: String,
    /// The idempotency key of a command of the planted tenant.
    pub command: String,
    pub display: String,
    pub point: String,
    /// The code of the planted appointment's booking.
    pub booking: String,
    /// The code by which the display was paired.
    pub pairing: String,
    /// A session of the planted tenant's admin.
    pub session: String,
    /// A webhook of the planted tenant.
    pub webhook: String,
}

/// A person who may see nothing of the planted tenant or of its location.
pub struct Stranger {
    pub name: String,
    pub token: String,
    /// Whether the token is of the planted tenant: then its tenant's lists are its own.
    pub is_colleague: bool,
}

impl Planted {
    pub async fn start() -> Self {
        let server = OneProcess::start(Settings {
            listen: ([127, 0, 0, 1], 0).into(),
            shards: 1,
            key: DevelopmentKey::from_words(WORDS),
            drain: Duration::ZERO,
            tables: Arc::new(Tables::empty()),
            // Limits would refuse the many requests before their rights are looked at.
            limits: LimitSettings::off(),
            push_services: schemas::push::PushServices::default(),
            webhook_networks: Vec::new(),
            tls: None,
        });
        let mut planted = Self {
            server: server.unwrap(),
            issuer: DevelopmentIssuer::from_words(WORDS, 3600),
            api: ApiClient::new(PATIENCE),
            ticket: String::new(),
            appointment: String::new(),
            file: String::new(),
            run: String::new(),
            command: "planted-command".to_owned(),
            display: String::new(),
            booking: String::new(),
            point: format!("{LOCATION}.door"),
            pairing: String::new(),
            session: String::new(),
            webhook: String::new(),
        };
        planted.open().await;
        planted.pair_a_display().await;
        planted.put_up_a_poster().await;
        planted.check_a_file().await;
        planted
    }

    async fn open(&mut self) {
        let name = |what: &str| format!("{what} {CANARY}");
        for location in [LOCATION, ELSEWHERE] {
            let mut zone = json!({"name": name("Site"), "time_zone": "UTC", "languages": ["en"]});
            zone["address"] = json!(name("Street"));
            self.put(format!("/v1/locations/{location}"), zone).await;
            let messages = json!({"messages": [{"en": name("Message")}]});
            self.put(format!("/v1/locations/{location}/messages"), messages).await;
            let branding = json!({"name": name("Group"), "colour": "#0f62fe"});
            self.put(format!("/v1/locations/{location}/branding"), branding).await;
        }
        let queue = queue();
        self.put(format!("/v1/queues/{queue}"), json!({"name": name("Line"), "prefix": "A"})).await;
        self.post(format!("/v1/queues/{queue}/open"), json!({})).await;
        self.put(format!("/v1/stations/{}", station()), json!({"name": name("Room")})).await;
        let issue = ApiRequest::post(&format!("/v1/queues/{queue}/tickets")).json(json!({}));
        let issued = self.settle("admin", issue.key(&self.command)).await;
        self.ticket = text(&issued.body["result"]["ticket"]);
        let held =
            self.post(format!("/v1/tickets/{}/hold", self.ticket), json!({"reason": CANARY}));
        held.await;
        let moment = |minutes| {
            (jiff::Timestamp::now() + jiff::SignedDuration::from_mins(minutes)).to_string()
        };
        let fact = json!({
            "location": LOCATION, "key": "k-1", "version": 1, "status": "booked",
            "start": moment(0), "end": moment(20), "queue": queue, "label": CANARY,
            "doctor": {"id": "dr-planted", "name": name("Dr")},
            "check_in": {"birth_year": "1980", "person": CANARY},
        });
        let report = ApiRequest::post("/v1/appointments").json(fact);
        let reported = self.settle("source", report).await;
        self.appointment = text(&reported.body["result"]["appointment"]);
        self.booking = text(&reported.body["booking_code"]);
        let mut rule = json!(testing::claims_files::rules::planted()[0]);
        rule.as_object_mut().unwrap().remove("id");
        self.put("/v1/rules/planted-rule".to_owned(), rule).await;
        let url = format!("https://hooks.example/{CANARY}");
        let create = ApiRequest::post("/v1/webhooks").json(json!({
            "url": url,
            // Nothing is sent, so that the list of webhooks stays as it is.
            "events": ["webhook.test"],
        }));
        self.webhook = text(&self.settle("admin", create).await.body["webhook"]);
        let context = json!({"description": CANARY});
        self.put("/v1/reference/contexts/PLANTED".to_owned(), context).await;
    }

    async fn pair_a_display(&mut self) {
        let begin = ApiRequest::post("/v1/displays/pairings").json(json!({}));
        self.pairing = text(&self.send(begin).await.body["code"]);
        let path = format!("/v1/displays/pairings/{}/approve", self.pairing);
        let body = json!({"location": LOCATION, "name": format!("Screen {CANARY}")});
        let approve = ApiRequest::post(&path).token(&self.own("admin")).json(body);
        self.display = text(&self.send(approve).await.body["display"]);
        let list = ApiRequest::get("/v1/sessions").token(&self.own("admin"));
        self.session = text(&self.send(list).await.body["own"]);
    }

    async fn put_up_a_poster(&self) {
        let poster = json!({"name": format!("Door {CANARY}"), "kind": "poster"});
        self.put(format!("/v1/check-in-points/{}", self.point), poster).await;
    }

    async fn check_a_file(&mut self) {
        let editor = self.own("editor");
        let path = format!("/v1/files?name={CANARY}.csv");
        let upload = ApiRequest::post(&path).token(&editor).bytes(format!("{CANARY};b\n1;2\n"));
        let stored = self.send(upload.header("content-type", "text/csv")).await;
        self.file = text(&stored.body["file"]);
        let run = ApiRequest::post("/v1/runs").token(&editor).json(json!({"file": self.file}));
        self.run = text(&self.send(run).await.body["run"]);
        let path = format!("/v1/runs/{}", self.run);
        eventually("the run has ended", async || {
            let answer = self.send(ApiRequest::get(&path).token(&self.own("admin"))).await;
            answer.text.contains("ended_at").then_some(())
        })
        .await;
    }

    /// Everything that the planted tenant itself can read, as one text.
    pub async fn everything(&self) -> String {
        let (queue, station) = (queue(), station());
        let mut all = String::new();
        for path in [
            format!("/v1/locations/{LOCATION}"),
            format!("/v1/locations/{LOCATION}/privacy"),
            format!("/v1/locations/{LOCATION}/messages"),
            format!("/v1/locations/{LOCATION}/branding"),
            format!("/v1/locations/{LOCATION}/queues"),
            format!("/v1/locations/{LOCATION}/stations"),
            format!("/v1/queues/{queue}"),
            format!("/v1/stations/{station}"),
            format!("/v1/boards/{LOCATION}"),
            format!("/v1/tickets/{}", self.ticket),
            format!("/v1/appointments/{}", self.appointment),
            format!("/v1/schedules/{LOCATION}/dr-planted"),
            format!("/v1/runs/{}", self.run),
            format!("/v1/displays?location={LOCATION}"),
            format!("/v1/check-in-points?location={LOCATION}"),
            "/v1/runs".to_owned(),
            "/v1/rules".to_owned(),
            "/v1/webhooks".to_owned(),
            format!("/v1/webhooks/{}", self.webhook),
        ] {
            let answer = self.send(ApiRequest::get(&path).token(&self.own("admin"))).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text);
            all.push_str(&answer.text);
        }
        all
    }

    /// The strangers: each role of another tenant that names everything planted, each role of
    /// another location, and another patient of the same line.
    pub fn strangers(&self) -> Vec<Stranger> {
        let named = json!({
            "tenant": "stranger", "locations": [LOCATION], "queues": [queue()],
            "tickets": [self.ticket], "appointments": [self.appointment], "doctor": "dr-planted",
        });
        let elsewhere = json!({ "tenant": "planted",
            "locations": [ELSEWHERE], "queues": [format!("{ELSEWHERE}.general")],
            "doctor": "dr-planted",
        });
        let other = json!({ "tenant": "planted",
            "tickets": [format!("{LOCATION}.{}", "0".repeat(32))],
            "appointments": [format!("{LOCATION}.{}", "1".repeat(32))],
        });
        let roles = gateway_core::access::Role::ALL.map(gateway_core::access::Role::as_str);
        let stranger = |name: &str, role: &str, claims: &Value| {
            let mut claims = claims.clone();
            claims["sub"] = format!("{name}-{role}").into();
            let token = self.issuer.sign(role, &claims);
            let is_colleague = claims["tenant"] == "planted";
            Stranger { name: format!("{name} {role}"), token, is_colleague }
        };
        let of_tenant = roles.iter().map(|role| stranger("other tenant's", role, &named));
        let of_location = roles
            .iter()
            // A patient has no location, and a super admin all of them.
            .filter(|role| !matches!(**role, "patient" | "super_admin"))
            .map(|role| stranger("other location's", role, &elsewhere));
        let patient = std::iter::once(stranger("another", "patient", &other));
        of_tenant.chain(of_location).chain(patient).collect()
    }

    fn own(&self, role: &str) -> String {
        let sub = if role == "patient" { PATIENT } else { role };
        self.issuer.sign(role, &json!({"tenant": "planted", "sub": sub}))
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.server.address())
    }

    pub fn authority(&self) -> String {
        self.server.address().to_string()
    }

    pub async fn send(&self, request: ApiRequest) -> ApiResponse {
        self.api.send(&self.url(), request).await.unwrap()
    }

    async fn settle(&self, role: &str, request: ApiRequest) -> ApiResponse {
        let request = request.token(&self.own(role));
        let deadline = Instant::now() + PATIENCE;
        let answer = self.api.settle(&self.url(), request, deadline).await.unwrap();
        assert!(answer.is_success(), "{}", answer.text);
        answer
    }

    async fn put(&self, path: String, body: Value) {
        self.settle("admin", ApiRequest::new(Method::PUT, &path).json(body)).await;
    }

    async fn post(&self, path: String, body: Value) {
        self.settle("admin", ApiRequest::post(&path).json(body)).await;
    }

    pub async fn stop(self) {
        self.server.shut_down().await;
    }
}

pub fn queue() -> String {
    format!("{LOCATION}.general")
}

pub fn station() -> String {
    format!("{LOCATION}.room-1")
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}
