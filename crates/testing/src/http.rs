//! A client of the HTTP API. It repeats a command under its own key until the command has an
//! outcome, as a careful caller does, so that a lost answer never doubles the effect.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use anyhow::{Context, Result};
use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, body::Bytes, header};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

/// The lowest speed of a body, in bytes per microsecond: 5 MB/s, far below that of loopback.
const BODY_RATE: u64 = 5;
/// The pause before an outcome is requested again, or a command is repeated.
const PAUSE: Duration = Duration::from_millis(100);
const KEY_HEADER: &str = "idempotency-key";

/// A client for any number of nodes.
pub struct ApiClient {
    client: Client<HttpConnector, Full<Bytes>>,
    answer_timeout: Duration,
    /// Commands whose first answer was 202.
    pub late: AtomicU64,
    /// Requests that were repeated under the same key.
    pub repeats: AtomicU64,
}

/// One request.
#[derive(Clone)]
pub struct ApiRequest {
    pub method: Method,
    pub path: String,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

/// The answer to a request.
#[derive(Debug)]
pub struct ApiResponse {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    /// The body as JSON, or null when it is something else.
    pub body: Value,
}

impl ApiRequest {
    #[must_use]
    pub fn new(method: Method, path: &str) -> Self {
        Self { method, path: path.to_owned(), headers: Vec::new(), body: Bytes::new() }
    }

    #[must_use]
    pub fn get(path: &str) -> Self {
        Self::new(Method::GET, path)
    }

    #[must_use]
    pub fn post(path: &str) -> Self {
        Self::new(Method::POST, path)
    }

    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    #[must_use]
    pub fn token(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Sets the idempotency key.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.header(KEY_HEADER, key)
    }

    #[must_use]
    pub fn json(self, body: Value) -> Self {
        self.bytes(body.to_string()).header("content-type", "application/json")
    }

    #[must_use]
    pub fn text(self, body: &str) -> Self {
        self.bytes(body.to_owned())
    }

    #[must_use]
    pub fn bytes(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Adds a random idempotency key unless the request has a key.
    fn with_some_key(self) -> Self {
        let has_key = self.headers.iter().any(|(name, _)| *name == KEY_HEADER);
        if has_key { self } else { self.key(&format!("{:032x}", fastrand::u128(..))) }
    }

    /// A request for the outcome at `path`, with the credentials of this request.
    #[must_use]
    pub fn poll(&self, path: &str) -> Self {
        let token = self.headers.iter().filter(|(name, _)| *name == "authorization");
        Self { headers: token.cloned().collect(), ..Self::get(path) }
    }
}

impl ApiResponse {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self.status, 408 | 429) || self.status >= 500
    }

    #[must_use]
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The code of a problem document.
    #[must_use]
    pub fn problem_code(&self) -> &str {
        self.body["code"].as_str().unwrap_or("without a code")
    }

    /// Reads the body.
    ///
    /// # Errors
    /// When the status is not a success, or the body is something else.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T> {
        anyhow::ensure!(self.is_success(), "{} {}", self.status, self.problem_code());
        serde_json::from_str(&self.text).context("parse the answer")
    }

    /// The address in `Location`: where the outcome of a command can be read.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        self.headers.get(header::LOCATION)?.to_str().ok()
    }
}

impl ApiClient {
    /// A client that gives up on an answer after `answer_timeout`, plus the time that a body takes.
    #[must_use]
    pub fn new(answer_timeout: Duration) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(answer_timeout));
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Self { client, answer_timeout, late: AtomicU64::new(0), repeats: AtomicU64::new(0) }
    }

    /// Sends a request once. `node` is an address such as `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// When no answer arrives in time.
    pub async fn send(&self, node: &str, request: ApiRequest) -> Result<ApiResponse> {
        let ApiRequest { method, path, headers, body } = request;
        let within = self.answer_timeout + Duration::from_micros(body.len() as u64 / BODY_RATE);
        let mut request = Request::builder().method(method).uri(format!("{node}{path}"));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(body)).context("build the request")?;
        let exchange = async {
            let answer = self.client.request(request).await.context("send the request")?;
            let (parts, body) = answer.into_parts();
            let bytes = body.collect().await.context("read the answer")?.to_bytes();
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let body = serde_json::from_str(&text).unwrap_or_default();
            Ok(ApiResponse { status: parts.status.as_u16(), headers: parts.headers, text, body })
        };
        timeout(within, exchange).await.context("no answer in time")?
    }

    /// Sends a request until it has an answer that is not transient. All attempts have the same
    /// idempotency key. A 202 is an answer like any other.
    ///
    /// # Errors
    /// When there is no such answer by `deadline`; the text says what came last.
    pub async fn send_until_answered(
        &self,
        node: &str,
        request: ApiRequest,
        deadline: Instant,
    ) -> Result<ApiResponse> {
        let request = request.with_some_key();
        loop {
            let last = match self.send(node, request.clone()).await {
                Ok(answer) if !answer.is_transient() => return Ok(answer),
                Ok(answer) => answer.status.to_string(),
                Err(error) => format!("{error:#}"),
            };
            anyhow::ensure!(Instant::now() < deadline, "no answer before the deadline: {last}");
            self.repeats.fetch_add(1, Ordering::Relaxed);
            sleep(PAUSE).await;
        }
    }

    /// Sends a command until it has an outcome: repeats it while its outcome is unknown, and polls
    /// the address of a 202. Answers with the outcome or the refusal.
    ///
    /// # Errors
    /// When there is neither by `deadline`; the text says what came last.
    pub async fn settle(
        &self,
        node: &str,
        command: ApiRequest,
        deadline: Instant,
    ) -> Result<ApiResponse> {
        let command = command.with_some_key();
        let mut poll: Option<ApiRequest> = None;
        loop {
            let last = match self.send(node, poll.as_ref().unwrap_or(&command).clone()).await {
                Ok(answer) if answer.status == 202 => {
                    if poll.is_none() {
                        self.late.fetch_add(1, Ordering::Relaxed);
                    }
                    poll = Some(command.poll(answer.location().context("a 202 without location")?));
                    "202, not decided yet".to_owned()
                }
                Ok(answer) if poll.is_some() && answer.body["outcome"] == "moving" => {
                    "the other location has not answered".to_owned()
                }
                // A restarted node does not know the command: a repetition finds the first outcome.
                Ok(answer) if answer.is_transient() || (answer.status == 404 && poll.is_some()) => {
                    poll = None;
                    self.repeats.fetch_add(1, Ordering::Relaxed);
                    answer.status.to_string()
                }
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    poll = None;
                    self.repeats.fetch_add(1, Ordering::Relaxed);
                    format!("{error:#}")
                }
            };
            anyhow::ensure!(Instant::now() < deadline, "no outcome before the deadline: {last}");
            sleep(PAUSE).await;
        }
    }
}
