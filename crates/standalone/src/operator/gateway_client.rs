//! A client of one gateway for the subcommands.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, Uri,
    body::{Bytes, Incoming},
    header,
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

use super::arguments::GatewayArgs;
use crate::ready;

/// A gateway answers a command after 2 s at the latest, and a list after 5 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// Attempts of a command whose answer was lost or is not there yet. Each repeats its key.
const ATTEMPTS: usize = 5;
const PAUSE: Duration = Duration::from_millis(500);
const DEFAULT_PORT: u16 = 8080;

/// A gateway and the token for it.
pub(super) struct GatewayClient {
    client: Client<HttpConnector, Full<Bytes>>,
    url: String,
    token: String,
}

impl GatewayClient {
    /// The gateway of the arguments. Without a token, that of `role` at a clinic on this machine.
    ///
    /// # Errors
    /// When the address is no `http` address, or there is no token.
    pub(super) fn new(arguments: &GatewayArgs, role: &str) -> Result<Self> {
        let address: Uri = arguments.url.parse().context("--url is no address")?;
        if address.scheme_str() != Some("http") {
            bail!("--url begins with http://: use a gateway's own port, or a tunnel to it");
        }
        let token = match &arguments.token {
            Some(token) => token.clone(),
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
        let client = Client::builder(TokioExecutor::new()).build_http();
        Ok(Self { client, url: arguments.url.trim_end_matches('/').to_owned(), token })
    }

    /// Gives a command until it has an outcome, under one key.
    ///
    /// # Errors
    /// The problem of a refusal, in words, and that nothing answers.
    pub(super) async fn command(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let key = format!("{:032x}", fastrand::u128(..));
        for attempt in 1.. {
            let sent = self.send(method.clone(), path, Some(body), Some(&key)).await;
            let (status, answer) = match sent {
                Err(error) if attempt == ATTEMPTS => return Err(error),
                Err(_) => (503, Value::Null),
                Ok(answer) => answer,
            };
            match status {
                200 | 201 => return Ok(answer),
                202 if answer["outcome"] == "moving" => return Ok(answer),
                202 | 429 | 503 if attempt < ATTEMPTS => tokio::time::sleep(PAUSE).await,
                _ => return Err(refusal(status, &answer)),
            }
        }
        unreachable!("the last attempt returns")
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<(u16, Value)> {
        let exchange = async {
            let answer = self.request(method, path, body, key).await?;
            let status = answer.status().as_u16();
            let bytes = answer.into_body().collect().await?.to_bytes();
            Ok((status, serde_json::from_slice(&bytes).unwrap_or_default()))
        };
        let answered = tokio::time::timeout(ANSWER_WITHIN, exchange).await;
        answered.with_context(|| format!("{} does not answer", self.url))?
    }

    /// Sends a request with a body of JSON.
    ///
    /// # Errors
    /// The problem of a refusal, in words, and that nothing answers.
    pub(super) async fn ask(&self, method: Method, path: &str, body: &Value) -> Result<Value> {
        let (status, answer) = self.send(method, path, Some(body), None).await?;
        if (200..300).contains(&status) { Ok(answer) } else { Err(refusal(status, &answer)) }
    }

    /// Opens a stream, whose body has no end.
    ///
    /// # Errors
    /// When nothing answers, or not by a stream.
    pub(super) async fn open(&self, path: &str) -> Result<Incoming> {
        let opened = self.request(Method::GET, path, None, None);
        let answer = tokio::time::timeout(ANSWER_WITHIN, opened).await;
        let answer = answer.with_context(|| format!("{} does not answer", self.url))??;
        if !answer.status().is_success() {
            bail!("the stream was answered by {}", answer.status());
        }
        Ok(answer.into_body())
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
        key: Option<&str>,
    ) -> Result<Response<Incoming>> {
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.url))
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(Full::new(bytes)).context("the request cannot be built")?;
        let answer = self.client.request(request).await;
        answer.with_context(|| format!("nothing answers at {}", self.url))
    }
}

/// A refusal in words: what happened, which field, and the code to look up.
fn refusal(status: u16, problem: &Value) -> anyhow::Error {
    let text = |field: &str| problem[field].as_str().unwrap_or_default().to_owned();
    let (title, detail, code) = (text("title"), text("detail"), text("code"));
    match (title.is_empty(), detail.is_empty()) {
        (true, _) => anyhow::anyhow!("the gateway answered {status}"),
        (false, true) => anyhow::anyhow!("{title} ({code})"),
        (false, false) => anyhow::anyhow!("{title} {detail} ({code})"),
    }
}
