//! A client of one gateway for the subcommands.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode, Uri,
    body::{Bytes, Incoming},
    header,
};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde_json::Value;

use super::{
    arguments::GatewayArgs,
    connector::{Connector, connector},
};
use crate::ready;

/// A gateway answers a command after 2 s at the latest, and a list after 5 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Attempts of a command whose answer was lost or is not there yet. Each repeats its key.
const ATTEMPTS: usize = 5;
/// The pause between attempts where the gateway names none.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest pause. A gateway names longer ones where a rate counts by the hour: the operator
/// then decides.
const MOST_PAUSE: Duration = Duration::from_secs(30);
const DEFAULT_PORT: u16 = 8080;

/// The reason why a request has no result.
#[derive(Debug, thiserror::Error)]
pub(super) enum RequestError {
    /// The gateway has answered, and not by a success.
    #[error("{text}")]
    Refused { status: StatusCode, text: String },
    /// The command was accepted, but its outcome did not come while this program waited.
    #[error(
        "the gateway has no outcome of the command yet; before you repeat it, read \
         GET /v1/commands/{command}"
    )]
    Undecided { command: String },
    #[error("{url} does not answer within {} s", ANSWER_WITHIN.as_secs())]
    Silent { url: String },
    #[error("nothing answers at {url}")]
    Unreachable {
        url: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl RequestError {
    /// Whether a later request may succeed: the gateway is away or busy.
    pub(super) fn is_temporary(&self) -> bool {
        match self {
            Self::Refused { status, .. } => is_busy(*status),
            Self::Undecided { .. } => false,
            Self::Silent { .. } | Self::Unreachable { .. } => true,
        }
    }

    /// Whether the gateway has refused the content of this request, and not its sender.
    pub(super) fn is_of_content(&self) -> bool {
        let content = [
            StatusCode::BAD_REQUEST,
            StatusCode::NOT_FOUND,
            StatusCode::CONFLICT,
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::UNPROCESSABLE_ENTITY,
        ];
        matches!(self, Self::Refused { status, .. } if content.contains(status))
    }
}

fn is_busy(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

/// An answer that was read to its end.
struct Answer {
    status: StatusCode,
    retry_after: Option<Duration>,
    body: Value,
}

/// A gateway and the token for it.
pub(super) struct GatewayClient {
    client: Client<Connector, Full<Bytes>>,
    url: String,
    token: String,
}

impl GatewayClient {
    /// The gateway of the arguments. Without a token, the token of `role` at a clinic on this
    /// machine.
    ///
    /// # Errors
    /// When the address or the file of authorities cannot be used, or there is no token.
    pub(super) fn new(arguments: &GatewayArgs, role: &str) -> Result<Self> {
        let address: Uri = arguments.url.parse().context("--url is not an address")?;
        match address.scheme_str() {
            Some("http") => {}
            Some("https") if cfg!(feature = "tls") => {}
            Some("https") => bail!("this build speaks no TLS: build it with --features tls"),
            _ => bail!("--url begins with https:// or http://"),
        }
        let token = match &arguments.token {
            Some(token) => token.trim().to_owned(),
            None => {
                let port = address.port_u16().unwrap_or(DEFAULT_PORT);
                let named = arguments.ready_file.clone();
                let path = named.or_else(|| ready::default_path(port));
                let path = path.context("no token: give --token or CLINICWIRE_TOKEN")?;
                ready::read_token(&path, role).context(
                    "no token: give --token, CLINICWIRE_TOKEN, or the --ready-file of a clinic \
                     that runs on this machine",
                )?
            }
        };
        let is_readable = header::HeaderValue::from_str(&token).is_ok();
        anyhow::ensure!(is_readable, "the token contains characters that no token has");
        let connector = connector(arguments.ca.as_deref())?;
        let client = Client::builder(TokioExecutor::new()).build(connector);
        Ok(Self { client, url: arguments.url.trim_end_matches('/').to_owned(), token })
    }

    /// Sends a command until it has an outcome, under one key.
    ///
    /// # Errors
    /// A refusal in words, and that nothing answers.
    pub(super) async fn command(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<Value, RequestError> {
        let key = format!("{:032x}", fastrand::u128(..));
        for attempt in 1.. {
            let sent = self.send(method.clone(), path, body, Some(&key)).await;
            let is_last = attempt == ATTEMPTS;
            let pause = match sent {
                Ok(Answer { status: StatusCode::ACCEPTED, .. }) if is_last => {
                    return Err(RequestError::Undecided { command: key });
                }
                Ok(Answer { status: StatusCode::ACCEPTED, .. }) => PAUSE,
                Ok(Answer { status, body, .. }) if status.is_success() => return Ok(body),
                Ok(Answer { status, retry_after, .. })
                    if is_busy(status) && !is_last && retry_after.is_none_or(is_short) =>
                {
                    retry_after.unwrap_or(PAUSE)
                }
                Ok(answer) => return Err(refusal(&answer)),
                Err(error) if is_last || !error.is_temporary() => return Err(error),
                Err(_) => PAUSE,
            };
            tokio::time::sleep(pause).await;
        }
        unreachable!("the last attempt returns")
    }

    /// Sends a request with a body of JSON.
    ///
    /// # Errors
    /// A refusal in words, and that nothing answers.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, RequestError> {
        let answer = self.send(Method::POST, path, body, None).await?;
        if answer.status.is_success() { Ok(answer.body) } else { Err(refusal(&answer)) }
    }

    /// Opens a stream of events, whose body has no end. It continues after the event `last_id`.
    ///
    /// # Errors
    /// A refusal in words, and that nothing answers.
    pub(super) async fn open_stream(
        &self,
        path: &str,
        last_id: Option<&str>,
    ) -> Result<Incoming, RequestError> {
        let mut request = Request::get(format!("{}{path}", self.url));
        if let Some(id) = last_id {
            request = request.header("last-event-id", id);
        }
        let answer = self.exchange(request, Bytes::new()).await?;
        if answer.status() == StatusCode::OK {
            return Ok(answer.into_body());
        }
        Err(refusal(&self.read(answer).await?))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        key: Option<&str>,
    ) -> Result<Answer, RequestError> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let answer = self.exchange(request, Bytes::from(body.to_string())).await?;
        self.read(answer).await
    }

    async fn exchange(
        &self,
        request: hyper::http::request::Builder,
        body: Bytes,
    ) -> Result<Response<Incoming>, RequestError> {
        let request = request.body(Full::new(body)).map_err(|error| self.unreachable(error))?;
        let answer = self.within(self.client.request(request)).await?;
        answer.map_err(|error| self.unreachable(error))
    }

    async fn read(&self, answer: Response<Incoming>) -> Result<Answer, RequestError> {
        let status = answer.status();
        let retry_after = answer.headers().get(header::RETRY_AFTER);
        let retry_after = retry_after.and_then(|seconds| seconds.to_str().ok()?.parse().ok());
        let body = self.within(answer.into_body().collect()).await?;
        let body = body.map_err(|error| self.unreachable(error))?.to_bytes();
        Ok(Answer {
            status,
            retry_after: retry_after.map(Duration::from_secs),
            body: serde_json::from_slice(&body).unwrap_or_default(),
        })
    }

    async fn within<T>(&self, answer: impl Future<Output = T>) -> Result<T, RequestError> {
        let answer = tokio::time::timeout(ANSWER_WITHIN, answer).await;
        answer.map_err(|_| RequestError::Silent { url: self.url.clone() })
    }

    fn unreachable(&self, source: impl std::error::Error + Send + Sync + 'static) -> RequestError {
        RequestError::Unreachable { url: self.url.clone(), source: Box::new(source) }
    }
}

fn is_short(pause: Duration) -> bool {
    pause <= MOST_PAUSE
}

/// A refusal in words: what happened, which field, and the code to look up.
fn refusal(answer: &Answer) -> RequestError {
    let text = |field: &str| answer.body[field].as_str().unwrap_or_default();
    let text = match (text("title"), text("detail"), text("code")) {
        ("", ..) => {
            format!("the answer {} does not come from a Clinicwire gateway", answer.status)
        }
        (title, "", code) => format!("{title} ({code})"),
        (title, detail, code) => format!("{title} {detail} ({code})"),
    };
    RequestError::Refused { status: answer.status, text }
}
