//! The commands and reads of the swarm over HTTP.

use std::{sync::atomic::AtomicU64, time::Duration};

use anyhow::{Context, Result};
use hyper::{Method, body::Bytes};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Value, json};
use testing::http::{ApiClient, ApiRequest, ApiResponse};
use tokio::time::{Instant, sleep};

use crate::target::Node;

/// A request without an answer by then counts as lost. The server answers 202 after 2 s at the
/// latest.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// The pause between two reads of a document that is not there yet.
const PAUSE: Duration = Duration::from_millis(100);

/// A client of all nodes that gives up on a command after the deadline.
pub struct Api {
    client: ApiClient,
    /// The time limit of a command, restarts of the processor included.
    deadline: Duration,
}

/// The outcome of an applied command.
#[derive(Deserialize)]
pub struct AppliedOutcome {
    pub version: u64,
    /// The record's append time.
    pub at: i64,
    #[serde(default)]
    pub result: Value,
}

/// The reason why a command has no outcome.
#[derive(Debug)]
pub enum CommandFailure {
    /// The processor or the gateway refused it: status and code of the problem.
    Refused(u16, String),
    /// There was no answer before the deadline; the text says what came last.
    NoOutcome(String),
}

impl std::fmt::Display for CommandFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(status, code) => write!(f, "refused with {status} {code}"),
            Self::NoOutcome(last) => f.write_str(last),
        }
    }
}

impl std::error::Error for CommandFailure {}

/// Reads a successful answer.
fn parse<T: DeserializeOwned>(answer: Result<ApiResponse>) -> Result<T, CommandFailure> {
    let answer = answer.map_err(|error| CommandFailure::NoOutcome(format!("{error:#}")))?;
    // A question about a refused command is answered by 200.
    if !answer.is_success() || answer.body["outcome"] == "refused" {
        let code = answer.problem_code().to_owned();
        return Err(CommandFailure::Refused(answer.status, code));
    }
    let parsed = answer.parse();
    parsed.map_err(|error| CommandFailure::Refused(answer.status, format!("{error:#}")))
}

impl Api {
    #[must_use]
    pub fn new(deadline: Duration) -> Self {
        Self { client: ApiClient::new(ANSWER_TIMEOUT), deadline }
    }

    /// Commands whose first answer was 202.
    #[must_use]
    pub fn late(&self) -> &AtomicU64 {
        &self.client.late
    }

    /// Requests that were repeated under the same key.
    #[must_use]
    pub fn repeats(&self) -> &AtomicU64 {
        &self.client.repeats
    }

    /// Runs one command until it has an outcome. A command that expired was not applied, and is
    /// sent again under another key.
    ///
    /// # Errors
    /// When it is refused, or has no outcome by the deadline.
    pub async fn command(
        &self,
        node: &Node,
        token: &str,
        method: Method,
        path: &str,
        body: Value,
    ) -> Result<AppliedOutcome, CommandFailure> {
        let command = ApiRequest::new(method, path).token(token).json(body);
        let deadline = Instant::now() + self.deadline;
        loop {
            let answer = self.client.settle(&node.url, command.clone(), deadline).await;
            let is_expired =
                answer.as_ref().is_ok_and(|answer| answer.problem_code() == "command_expired");
            if !is_expired || Instant::now() >= deadline {
                return parse(answer);
            }
        }
    }

    /// Posts a body until it is answered, and reads the document of the answer. A 202 is an answer.
    ///
    /// # Errors
    /// When it is refused, or not answered by the deadline.
    pub async fn post<T: DeserializeOwned>(
        &self,
        node: &Node,
        token: &str,
        path: &str,
        (kind, body): (&'static str, Bytes),
    ) -> Result<T, CommandFailure> {
        let request = ApiRequest::post(path).token(token).bytes(body).header("content-type", kind);
        let deadline = Instant::now() + self.deadline;
        parse(self.client.send_until_answered(&node.url, request, deadline).await)
    }

    /// Reads the document at `path` until it is there or the deadline passes.
    ///
    /// # Errors
    /// The last error.
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

    /// Reads the document at `path`.
    ///
    /// # Errors
    /// When the answer is something else.
    pub async fn read<T: DeserializeOwned>(
        &self,
        node: &Node,
        token: &str,
        path: &str,
    ) -> Result<T> {
        self.client.send(&node.url, ApiRequest::get(path).token(token)).await?.parse()
    }

    /// Requests a one-time ticket for a stream of `channel`.
    ///
    /// # Errors
    /// When the node gives none.
    pub async fn stream_ticket(&self, node: &Node, token: &str, channel: &str) -> Result<String> {
        let body = json!({"channels": [channel]});
        let request = ApiRequest::post("/v1/stream-tickets").token(token).json(body);
        let answer: Value = self.client.send(&node.url, request).await?.parse()?;
        let ticket = answer["ticket"].as_str().context("read the stream ticket")?;
        Ok(ticket.to_owned())
    }
}
