//! A plain HTTP client.

use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::{HeaderMap, Method, Request, body::Bytes, header};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::Value;

use crate::world::patiently;

pub struct Api(Client<HttpConnector, Full<Bytes>>);

impl Default for Api {
    fn default() -> Self {
        Self(Client::builder(TokioExecutor::new()).build_http())
    }
}

/// One request.
#[derive(Clone)]
pub struct Call {
    method: Method,
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
    /// The body where it is JSON.
    pub body: Value,
}

impl Call {
    pub fn new(method: Method, path: &str) -> Self {
        Self { method, path: path.to_owned(), headers: Vec::new(), body: Bytes::new() }
    }

    pub fn get(path: &str) -> Self {
        Self::new(Method::GET, path)
    }

    pub fn post(path: &str) -> Self {
        Self::new(Method::POST, path)
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn token(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    pub fn key(self, key: &str) -> Self {
        self.header("idempotency-key", key)
    }

    pub fn json(self, body: Value) -> Self {
        self.text(&body.to_string()).header("content-type", "application/json")
    }

    pub fn text(self, body: &str) -> Self {
        self.bytes(body.as_bytes())
    }

    pub fn bytes(mut self, body: &[u8]) -> Self {
        self.body = Bytes::copy_from_slice(body);
        self
    }
}

impl Api {
    pub async fn call(&self, node: &str, call: Call) -> Answer {
        self.try_call(node, call).await.expect("the node answers")
    }

    /// `None` when there was no answer.
    pub async fn try_call(&self, node: &str, call: Call) -> Option<Answer> {
        let mut request =
            Request::builder().method(call.method).uri(format!("{node}{}", call.path));
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(call.body)).expect("a request that can be written");
        let exchange = async {
            let answer = self.0.request(request).await.ok()?;
            let (parts, body) = answer.into_parts();
            let text = String::from_utf8_lossy(&body.collect().await.ok()?.to_bytes()).into_owned();
            let body = serde_json::from_str(&text).unwrap_or_default();
            Some(Answer { status: parts.status.as_u16(), headers: parts.headers, text, body })
        };
        patiently(&call.path, exchange).await
    }

    /// A command until it has an outcome, as a careful caller does: repeated under one key while nobody knows,
    /// asked for where a 202 says.
    pub async fn settle(&self, node: &str, call: Call) -> Answer {
        let key = format!("{:032x}", fastrand::u128(..));
        let named = call.headers.iter().any(|(name, _)| *name == "idempotency-key");
        let call = if named { call } else { call.key(&key) };
        let token = call.headers.iter().find(|(name, _)| *name == "authorization").cloned();
        let mut poll: Option<String> = None;
        let settled = async {
            loop {
                let next = match &poll {
                    Some(path) => {
                        let mut ask = Call::get(path);
                        ask.headers.extend(token.clone());
                        ask
                    }
                    None => call.clone(),
                };
                match self.try_call(node, next).await {
                    Some(answer) if answer.status == 202 => {
                        let at =
                            answer.headers.get(header::LOCATION).expect("a 202 says where to ask");
                        poll = Some(at.to_str().expect("an address").to_owned());
                    }
                    Some(answer)
                        if answer.status == 503 || (answer.status == 404 && poll.is_some()) =>
                    {
                        poll = None
                    }
                    Some(answer) => return answer,
                    None => poll = None,
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        patiently(&call.path, settled).await
    }
}
