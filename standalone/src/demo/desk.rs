//! The demo's reception desk: sends commands to a gateway over HTTP, each under one id until it has an outcome,
//! so that a lost answer never doubles its effect.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode, body::Bytes, header};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use schemas::{
    codes::Code,
    command::{Command, Verdict},
    ids::{CommandId, LocationId, QueueId},
    view::View,
};
use serde_json::{Value, json};

/// An exchange that has no answer by then counts as lost; a gateway answers 202 after 2 s at the latest.
const ANSWER: Duration = Duration::from_secs(10);
/// The pause before a command is sent again or its outcome asked for again.
const PAUSE: Duration = Duration::from_millis(200);
/// The pause before a node is asked again whether it is ready: short, as the first start of a demo waits for it.
const READY_PAUSE: Duration = Duration::from_millis(10);

type Source = Box<dyn std::error::Error + Send + Sync>;

/// Why the desk cannot work at all; everything else it outwaits.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    #[error("the gateway does not accept the token: {0}")]
    NotAllowed(String),
    #[error("the gateway does not understand {command}: {status} {code}")]
    NotUnderstood { command: &'static str, status: u16, code: String },
    #[error("nothing answers at {url}")]
    Unreachable {
        url: String,
        #[source]
        source: Option<Source>,
    },
}

/// A gateway's answer.
struct Answer {
    status: StatusCode,
    location: Option<String>,
    bytes: Bytes,
}

/// What one exchange told about a command.
enum Step {
    Done(Verdict),
    /// 202: ask there.
    Later(String),
    /// Nobody knows: send it again under its id.
    Again(&'static str),
}

pub struct Desk {
    client: Client<HttpConnector, Full<Bytes>>,
    nodes: Vec<String>,
    /// The node in use; the next one is tried when it does not answer.
    node: AtomicUsize,
    token: String,
    location: LocationId,
}

impl Desk {
    /// A desk of `location` that works through any of `nodes` (base addresses, at least one).
    pub fn new(nodes: Vec<String>, token: String, location: LocationId) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(ANSWER));
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self { client, nodes, node: AtomicUsize::new(0), token, location }
    }

    pub fn location(&self) -> &LocationId {
        &self.location
    }

    /// Waits until a node is ready to serve.
    ///
    /// # Errors
    /// [`DeskError::Unreachable`] with the last reason, past `patience`.
    pub async fn ready_within(&self, patience: Duration) -> Result<(), DeskError> {
        let give_up = tokio::time::Instant::now() + patience;
        loop {
            let url = self.url();
            let source: Source = match self.exchange(Method::GET, "/health/ready", None, None).await {
                Ok(answer) if answer.status.is_success() => return Ok(()),
                Ok(_) => "it is not ready".into(),
                Err(error) => error,
            };
            if tokio::time::Instant::now() >= give_up {
                return Err(DeskError::Unreachable { url, source: Some(source) });
            }
            self.node.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(READY_PAUSE).await;
        }
    }

    /// Runs a command to its outcome, however long its gateway is away.
    ///
    /// # Errors
    /// When the token does not allow it, or the gateway does not know such a command.
    pub async fn send(&self, command: &Command) -> Result<Verdict, DeskError> {
        // Ids must differ from those of an earlier run with the same seed, whose outcomes are remembered.
        let mut id = CommandId::from_random(fastrand::u128(..));
        let (method, path, body) = request_of(&self.location, command);
        let mut poll: Option<String> = None;
        let mut told = false;
        loop {
            let answer = match &poll {
                Some(at) => self.exchange(Method::GET, at, None, None).await,
                None => self.exchange(method.clone(), &path, Some(&body), Some(&id)).await,
            };
            match self.step(command, answer, poll.is_some())? {
                // The processors were away for longer than a command is good for: it was never done.
                Step::Done(Verdict::Refused { code: Code::CommandExpired }) => {
                    id = CommandId::from_random(fastrand::u128(..));
                    poll = None;
                }
                Step::Done(verdict) => return Ok(verdict),
                Step::Later(at) => poll = Some(at),
                Step::Again(why) => {
                    if !told {
                        tracing::warn!(node = self.url(), why, "the demo waits for its gateway");
                        told = true;
                    }
                    poll = None;
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn step(
        &self,
        command: &Command,
        answer: Result<Answer, Source>,
        polled: bool,
    ) -> Result<Step, DeskError> {
        let Ok(answer) = answer else {
            self.node.fetch_add(1, Ordering::Relaxed);
            return Ok(Step::Again("no answer"));
        };
        let status = answer.status;
        if status == StatusCode::OK
            && let Ok(verdict) = serde_json::from_slice(&answer.bytes)
        {
            return Ok(Step::Done(verdict));
        }
        let problem: Value = serde_json::from_slice(&answer.bytes).unwrap_or_default();
        let code = problem["code"].as_str().unwrap_or("without a code").to_owned();
        match status {
            StatusCode::ACCEPTED => {
                Ok(answer.location.map_or(Step::Again("202 without a location"), Step::Later))
            }
            StatusCode::CONFLICT | StatusCode::UNPROCESSABLE_ENTITY => {
                match serde_json::from_value(code.clone().into()) {
                    Ok(code) => Ok(Step::Done(Verdict::Refused { code })),
                    Err(_) => Err(DeskError::NotUnderstood {
                        command: command.kind(),
                        status: status.as_u16(),
                        code,
                    }),
                }
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(DeskError::NotAllowed(code)),
            StatusCode::NOT_FOUND if polled => Ok(Step::Again("the command is not known")),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => Ok(Step::Again("too busy")),
            status if status.is_server_error() => Ok(Step::Again("the gateway has trouble")),
            status => {
                Err(DeskError::NotUnderstood { command: command.kind(), status: status.as_u16(), code })
            }
        }
    }

    /// The queue's snapshot; nothing when there is no such queue yet.
    ///
    /// # Errors
    /// When the gateway does not answer with one.
    pub async fn queue(&self, queue: &QueueId) -> Result<Option<View>, DeskError> {
        loop {
            let answer = self.exchange(Method::GET, &format!("/v1/queues/{queue}"), None, None).await;
            let answer =
                answer.map_err(|source| DeskError::Unreachable { url: self.url(), source: Some(source) })?;
            match answer.status {
                StatusCode::OK => {
                    return serde_json::from_slice(&answer.bytes).map(Some).map_err(|error| {
                        DeskError::Unreachable { url: self.url(), source: Some(error.into()) }
                    });
                }
                StatusCode::NOT_FOUND => return Ok(None),
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    return Err(DeskError::NotAllowed(Code::Forbidden.to_string()));
                }
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
    }

    fn url(&self) -> String {
        self.nodes[self.node.load(Ordering::Relaxed) % self.nodes.len()].clone()
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        id: Option<&CommandId>,
    ) -> Result<Answer, Source> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url()))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        if let Some(id) = id {
            request = request.header("Idempotency-Key", id.as_str());
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(body.map(Value::to_string).unwrap_or_default().into()))?;
        let exchange = async {
            let answer = self.client.request(request).await?;
            let location =
                answer.headers().get(header::LOCATION).and_then(|at| at.to_str().ok()).map(str::to_owned);
            let status = answer.status();
            let bytes = answer.into_body().collect().await?.to_bytes();
            Ok(Answer { status, location, bytes })
        };
        tokio::time::timeout(ANSWER, exchange).await?
    }
}

/// The API's request for a command: method, path and body.
pub fn request_of(location: &LocationId, command: &Command) -> (Method, String, Value) {
    use Command as C;
    let queue_move =
        |queue: &QueueId, verb: &str, body| (Method::POST, format!("/v1/queues/{queue}/{verb}"), body);
    match command {
        C::ConfigureLocation { name, time_zone, languages, timers, bands } => (
            Method::PUT,
            format!("/v1/locations/{location}"),
            json!({"name": name, "time_zone": time_zone, "languages": languages, "timers": timers, "bands": bands}),
        ),
        C::ConfigureQueue { queue, name, prefix, service_s } => {
            let mut body = json!({"name": name, "prefix": prefix});
            if let Some(service_s) = service_s {
                body["service_s"] = (*service_s).into();
            }
            (Method::PUT, format!("/v1/queues/{queue}"), body)
        }
        C::ConfigureStation { station, name } => {
            (Method::PUT, format!("/v1/stations/{station}"), json!({"name": name}))
        }
        C::OpenQueue { queue } => queue_move(queue, "open", json!({})),
        C::PauseQueue { queue } => queue_move(queue, "pause", json!({})),
        C::ResumeQueue { queue } => queue_move(queue, "resume", json!({})),
        C::CloseQueue { queue } => queue_move(queue, "close", json!({})),
        C::ReorderQueue { queue, tickets } => queue_move(queue, "reorder", json!({"tickets": tickets})),
        C::IssueTicket { queue, priority, .. } => queue_move(queue, "tickets", json!({"priority": priority})),
        C::CallNext { queue, station } => queue_move(queue, "call-next", json!({"station": station})),
        C::PutRule { rule } => {
            let mut body = json!(rule);
            body.as_object_mut().expect("a rule is an object").remove("id"); // the path names it
            (Method::PUT, format!("/v1/rules/{}", rule.id), body)
        }
        _ => ticket_move(command),
    }
}

fn ticket_move(command: &Command) -> (Method, String, Value) {
    use Command as C;
    let (verb, body) = match command {
        C::CallTicket { station, .. } => ("call", json!({"station": station})),
        C::RecallTicket { .. } => ("recall", json!({})),
        C::StartService { .. } => ("start", json!({})),
        C::CompleteTicket { .. } => ("complete", json!({})),
        C::HoldTicket { reason, .. } => ("hold", json!({"reason": reason})),
        C::ResumeTicket { .. } => ("resume", json!({})),
        C::MarkAbsent { .. } => ("absent", json!({})),
        C::ReturnTicket { .. } => ("return", json!({})),
        C::MarkNoShow { .. } => ("no-show", json!({})),
        C::CancelTicket { reason, .. } => ("cancel", json!({"reason": reason})),
        C::LeaveTicket { .. } => ("leave", json!({})),
        C::TransferTicket { queue, .. } => ("transfer", json!({"queue": queue})),
        C::Prioritise { priority, .. } => ("prioritise", json!({"priority": priority})),
        // The commands of queues and of the location are read by the caller.
        _ => ("revert", json!({})),
    };
    let ticket = command.ticket().map(ToString::to_string).unwrap_or_default();
    (Method::POST, format!("/v1/tickets/{ticket}/{verb}"), body)
}
