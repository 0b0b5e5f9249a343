//! The demo's HTTP client. It repeats each command under one id until it has an outcome, so that a
//! lost answer never doubles the effect.

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
use serde_json::Value;

mod requests;

/// A request without an answer by then counts as lost. A gateway answers 202 after 2 s at the
/// latest.
const ANSWER: Duration = Duration::from_secs(10);
/// The pause before a command is sent again or its outcome is read again.
const PAUSE: Duration = Duration::from_millis(200);
/// The pause between two readiness checks: short, because the start of the demo waits for it.
const READY_PAUSE: Duration = Duration::from_millis(10);

type Source = Box<dyn std::error::Error + Send + Sync>;

/// An error that ends the client. It waits out all others.
#[derive(Debug, thiserror::Error)]
pub enum DemoClientError {
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

/// The result of one exchange about a command.
enum Step {
    Done(Verdict),
    /// 202: the outcome is at this address.
    Later(String),
    /// Unknown: send the command again under its id.
    Again(&'static str),
}

/// The tokens of the demo's callers.
pub struct CallerTokens {
    /// An admin's token, for commands at the location.
    pub admin: String,
    /// A source's token, for facts about appointments.
    pub source: String,
}

pub struct DemoClient {
    client: Client<HttpConnector, Full<Bytes>>,
    nodes: Vec<String>,
    /// The node in use. The next one is tried when it does not answer.
    node: AtomicUsize,
    badges: CallerTokens,
    location: LocationId,
}

impl DemoClient {
    /// A client for `location` that uses any of `nodes` (base addresses, at least one).
    pub fn new(nodes: Vec<String>, badges: CallerTokens, location: LocationId) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(ANSWER));
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self { client, nodes, node: AtomicUsize::new(0), badges, location }
    }

    pub fn location(&self) -> &LocationId {
        &self.location
    }

    /// Waits until a node is ready to serve.
    ///
    /// # Errors
    /// [`DemoClientError::Unreachable`] with the last reason, past `patience`.
    pub async fn ready_within(&self, patience: Duration) -> Result<(), DemoClientError> {
        let give_up = tokio::time::Instant::now() + patience;
        loop {
            let url = self.url();
            let source: Source = match self
                .exchange(&self.badges.admin, Method::GET, "/health/ready", None, None)
                .await
            {
                Ok(answer) if answer.status.is_success() => return Ok(()),
                Ok(_) => "it is not ready".into(),
                Err(error) => error,
            };
            if tokio::time::Instant::now() >= give_up {
                return Err(DemoClientError::Unreachable { url, source: Some(source) });
            }
            self.node.fetch_add(1, Ordering::Relaxed);
            tokio::time::sleep(READY_PAUSE).await;
        }
    }

    /// Sends a command until it has an outcome, however long its gateway is away.
    ///
    /// # Errors
    /// When the token does not allow it, or the gateway does not know such a command.
    pub async fn send(&self, command: &Command) -> Result<Verdict, DemoClientError> {
        // Ids must differ from those of an earlier demo with the same seed, whose outcomes are
        // stored.
        let mut id = CommandId::from_random(fastrand::u128(..));
        let (method, path, body) = requests::request_of(&self.location, command);
        let token = match command {
            Command::ReportAppointment { .. } => &self.badges.source,
            _ => &self.badges.admin,
        };
        let mut poll: Option<String> = None;
        let mut told = false;
        loop {
            let answer = match &poll {
                Some(at) => self.exchange(token, Method::GET, at, None, None).await,
                None => self.exchange(token, method.clone(), &path, Some(&body), Some(&id)).await,
            };
            match self.step(command, answer, poll.is_some())? {
                // The processors were away until the command expired: it had no effect.
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
    ) -> Result<Step, DemoClientError> {
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
                    Err(_) => Err(DemoClientError::NotUnderstood {
                        command: command.kind(),
                        status: status.as_u16(),
                        code,
                    }),
                }
            }
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                Err(DemoClientError::NotAllowed(code))
            }
            StatusCode::NOT_FOUND if polled => Ok(Step::Again("the command is not known")),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                Ok(Step::Again("too busy"))
            }
            status if status.is_server_error() => Ok(Step::Again("the gateway has trouble")),
            status => Err(DemoClientError::NotUnderstood {
                command: command.kind(),
                status: status.as_u16(),
                code,
            }),
        }
    }

    /// Reads the snapshot of a queue; `None` when there is no such queue yet.
    ///
    /// # Errors
    /// When the gateway does not answer with a snapshot.
    pub async fn queue(&self, queue: &QueueId) -> Result<Option<View>, DemoClientError> {
        loop {
            let path = format!("/v1/queues/{queue}");
            let answer = self.exchange(&self.badges.admin, Method::GET, &path, None, None).await;
            let answer = answer.map_err(|source| DemoClientError::Unreachable {
                url: self.url(),
                source: Some(source),
            })?;
            match answer.status {
                StatusCode::OK => {
                    return serde_json::from_slice(&answer.bytes).map(Some).map_err(|error| {
                        DemoClientError::Unreachable { url: self.url(), source: Some(error.into()) }
                    });
                }
                StatusCode::NOT_FOUND => return Ok(None),
                StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                    return Err(DemoClientError::NotAllowed(Code::Forbidden.to_string()));
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
        token: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
        id: Option<&CommandId>,
    ) -> Result<Answer, Source> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url()))
            .header(header::AUTHORIZATION, format!("Bearer {token}"));
        if let Some(id) = id {
            request = request.header("Idempotency-Key", id.as_str());
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request =
            request.body(Full::new(body.map(Value::to_string).unwrap_or_default().into()))?;
        let exchange = async {
            let answer = self.client.request(request).await?;
            let location = answer
                .headers()
                .get(header::LOCATION)
                .and_then(|at| at.to_str().ok())
                .map(str::to_owned);
            let status = answer.status();
            let bytes = answer.into_body().collect().await?.to_bytes();
            Ok(Answer { status, location, bytes })
        };
        tokio::time::timeout(ANSWER, exchange).await?
    }
}
