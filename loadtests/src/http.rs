//! Commands and reads over HTTP. A command is repeated under its own id until it has an outcome, as a careful
//! caller would, so that a lost answer never doubles its effect.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode, body::Bytes, header};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::target::Node;

/// A request that has no answer by then counts as lost; the server answers 202 after 2 s at the latest.
const ANSWER: Duration = Duration::from_secs(10);
/// Bytes a microsecond that a body takes at least on its way: 5 MB a second, far below what loopback does.
const BODY_RATE: u64 = 5;
const JSON: &str = "application/json";
/// How long to wait before asking again for an outcome, or sending a command again.
const PAUSE: Duration = Duration::from_millis(100);

/// The HTTP side of the swarm.
pub struct Api {
    client: Client<HttpConnector, Full<Bytes>>,
    /// How long a command may take altogether, restarts of the processor included.
    deadline: Duration,
    /// Answers with 202.
    pub late: AtomicU64,
    /// Commands sent again under the same id.
    pub repeats: AtomicU64,
}

/// What a command came to.
#[derive(Deserialize)]
pub struct Outcome {
    pub version: u64,
    /// The record's append time.
    pub at: i64,
    #[serde(default)]
    pub result: Value,
}

/// Why a command has no outcome.
#[derive(Debug)]
pub enum Failure {
    /// The reducer, or the gateway, said no: status and code of the problem.
    Refused(u16, String),
    /// Nothing was said before the deadline; the last thing seen.
    NoOutcome(String),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(status, code) => write!(f, "refused with {status} {code}"),
            Self::NoOutcome(last) => write!(f, "no outcome before the deadline, last seen: {last}"),
        }
    }
}

impl std::error::Error for Failure {}

/// What one exchange told about the command.
enum Step {
    Done(Outcome),
    Refused(u16, String),
    /// 202: ask there.
    Later(String),
    /// Nobody knows: send it again.
    Again(String),
}

impl Api {
    #[must_use]
    pub fn new(deadline: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(ANSWER));
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self { client, deadline, late: AtomicU64::new(0), repeats: AtomicU64::new(0) }
    }

    /// Runs one command to its outcome.
    ///
    /// # Errors
    /// When it was refused, or had no outcome by the deadline.
    pub async fn command(
        &self,
        node: &Node,
        token: &str,
        method: Method,
        path: &str,
        body: Value,
    ) -> Result<Outcome, Failure> {
        let id = format!("{:032x}", fastrand::u128(..));
        let end = Instant::now() + self.deadline;
        let mut poll: Option<String> = None;
        loop {
            let step = match &poll {
                Some(at) => self.ask(node, token, Method::GET, at, None, &id).await,
                None => self.ask(node, token, method.clone(), path, Some(&body), &id).await,
            };
            let last = match step {
                Step::Done(outcome) => return Ok(outcome),
                Step::Refused(status, code) => return Err(Failure::Refused(status, code)),
                Step::Later(at) => {
                    if poll.is_none() {
                        self.late.fetch_add(1, Ordering::Relaxed);
                    }
                    poll = Some(at);
                    "202, not decided yet".to_owned()
                }
                Step::Again(why) => {
                    poll = None;
                    self.repeats.fetch_add(1, Ordering::Relaxed);
                    why
                }
            };
            if Instant::now() > end {
                return Err(Failure::NoOutcome(last));
            }
            sleep(PAUSE).await;
        }
    }

    async fn ask(
        &self,
        node: &Node,
        token: &str,
        method: Method,
        path: &str,
        body: Option<&Value>,
        id: &str,
    ) -> Step {
        let polled = body.is_none();
        let body = body.map(|body| (JSON, body.to_string().into()));
        let (status, location, bytes) =
            match self.exchange(node, token, method, path, body, id).await {
                Ok(answer) => answer,
                Err(error) => return Step::Again(format!("{error:#}")),
            };
        match status {
            StatusCode::OK | StatusCode::CREATED => match serde_json::from_slice(&bytes) {
                Ok(outcome) => Step::Done(outcome),
                Err(error) => {
                    Step::Refused(status.as_u16(), format!("an answer without an outcome: {error}"))
                }
            },
            StatusCode::ACCEPTED => {
                Step::Later(location.unwrap_or_else(|| format!("/v1/commands/{id}")))
            }
            // A node that was restarted does not know the command: its repeat finds the first outcome.
            StatusCode::NOT_FOUND if polled => {
                Step::Again("404 for the command's status".to_owned())
            }
            status if may_pass(status) => Step::Again(status.to_string()),
            status => Step::Refused(status.as_u16(), problem_code(&bytes)),
        }
    }

    async fn exchange(
        &self,
        node: &Node,
        token: &str,
        method: Method,
        path: &str,
        body: Option<(&'static str, Bytes)>,
        id: &str,
    ) -> Result<(StatusCode, Option<String>, Bytes)> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", node.url))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header("Idempotency-Key", id);
        let mut bytes = Bytes::new();
        if let Some((kind, body)) = body {
            request = request.header(header::CONTENT_TYPE, kind);
            bytes = body;
        }
        let within = ANSWER + Duration::from_micros(bytes.len() as u64 / BODY_RATE);
        let request = request.body(Full::new(bytes)).context("build the request")?;
        let exchange = async {
            let answer = self.client.request(request).await.context("send a request")?;
            let location = answer
                .headers()
                .get(header::LOCATION)
                .and_then(|at| at.to_str().ok())
                .map(str::to_owned);
            let status = answer.status();
            let bytes = answer.into_body().collect().await.context("read an answer")?.to_bytes();
            Ok((status, location, bytes))
        };
        timeout(within, exchange).await.context("no answer in time")?
    }

    /// Posts a body of this content type, and gives the document that answers it; sent again under the same key when
    /// the answer is lost, or says that it may be. An answer of 202 is one like any other.
    ///
    /// # Errors
    /// When it was refused, or not answered by the deadline.
    pub async fn post<T: DeserializeOwned>(
        &self,
        node: &Node,
        token: &str,
        path: &str,
        (kind, body): (&'static str, Bytes),
    ) -> Result<T, Failure> {
        let id = format!("{:032x}", fastrand::u128(..));
        let end = Instant::now() + self.deadline;
        loop {
            let body = Some((kind, body.clone()));
            let last = match self.exchange(node, token, Method::POST, path, body, &id).await {
                Ok((status, _, bytes)) if status.is_success() => {
                    let document = serde_json::from_slice(&bytes);
                    return document
                        .map_err(|error| Failure::Refused(status.as_u16(), error.to_string()));
                }
                Ok((status, _, bytes)) if !may_pass(status) => {
                    return Err(Failure::Refused(status.as_u16(), problem_code(&bytes)));
                }
                Ok((status, ..)) => status.to_string(),
                Err(error) => format!("{error:#}"),
            };
            if Instant::now() > end {
                return Err(Failure::NoOutcome(last));
            }
            self.repeats.fetch_add(1, Ordering::Relaxed);
            sleep(PAUSE).await;
        }
    }

    /// The same as [`Api::read`], asked again until it is there or the deadline is over.
    ///
    /// # Errors
    /// The last one.
    pub async fn read_in_time<T: DeserializeOwned>(
        &self,
        node: &Node,
        token: &str,
        path: &str,
    ) -> Result<T> {
        let end = Instant::now() + self.deadline;
        loop {
            match self.read(node, token, path).await {
                Err(_) if Instant::now() < end => sleep(PAUSE).await,
                answer => return answer,
            }
        }
    }

    /// The snapshot, or any other document, at `path`.
    ///
    /// # Errors
    /// When the answer is not 200 with that document.
    pub async fn read<T: DeserializeOwned>(
        &self,
        node: &Node,
        token: &str,
        path: &str,
    ) -> Result<T> {
        let (status, _, bytes) = self.exchange(node, token, Method::GET, path, None, "").await?;
        anyhow::ensure!(status == StatusCode::OK, "{status} {}", problem_code(&bytes));
        serde_json::from_slice(&bytes).context("understand the answer")
    }

    /// A one-time ticket for a stream of `channel`.
    ///
    /// # Errors
    /// When the node does not give one.
    pub async fn stream_ticket(&self, node: &Node, token: &str, channel: &str) -> Result<String> {
        #[derive(Deserialize)]
        struct Given {
            ticket: String,
        }
        let body = (JSON, json!({ "channels": [channel] }).to_string().into());
        let (status, _, bytes) =
            self.exchange(node, token, Method::POST, "/v1/stream-tickets", Some(body), "").await?;
        anyhow::ensure!(status.is_success(), "{status} {}", problem_code(&bytes));
        Ok(serde_json::from_slice::<Given>(&bytes).context("understand the stream ticket")?.ticket)
    }
}

/// Whether the same request may fare better later.
fn may_pass(status: StatusCode) -> bool {
    matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
        || status.is_server_error()
}

fn problem_code(bytes: &[u8]) -> String {
    let problem: Value = serde_json::from_slice(bytes).unwrap_or_default();
    problem["code"].as_str().unwrap_or("without a code").to_owned()
}
