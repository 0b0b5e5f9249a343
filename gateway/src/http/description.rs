//! The descriptions of `/v1`: OpenAPI 3.1 for requests, AsyncAPI 3 for channels and topics. Both
//! are made of the types that handlers read and write, of the codes of problems, of the table of
//! rights and of the table of limits.

mod answers;
mod asyncapi;
mod components;
mod openapi;
mod operation;
mod operations;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(super) use tests::check_answer;

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The text of a document and its entity tag.
type Served = (String, HeaderValue);

/// The documents, each made at its first request.
static REQUESTS: LazyLock<Served> = LazyLock::new(|| served(&requests()));
static CHANNELS: LazyLock<Served> = LazyLock::new(|| served(&asyncapi::document()));

fn served(document: &Value) -> Served {
    let text = document.to_string();
    let digest = Sha256::digest(&text);
    let tag: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let tag = HeaderValue::from_str(&format!("\"{tag}\"")).expect("hex digits make a header");
    (text, tag)
}

/// The document of requests.
fn requests() -> Value {
    openapi::document(&operations::all())
}

/// Answers with the document of requests. It is public: it says nothing of any clinic.
pub(super) async fn serve(headers: HeaderMap) -> Response {
    answer(&REQUESTS, &headers)
}

/// Answers with the document of channels and topics, which is public too.
pub(super) async fn serve_channels(headers: HeaderMap) -> Response {
    answer(&CHANNELS, &headers)
}

fn answer((text, tag): &'static Served, headers: &HeaderMap) -> Response {
    let caching = [
        (header::ETAG, tag.clone()),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ];
    if headers.get(header::IF_NONE_MATCH) == Some(tag) {
        return (StatusCode::NOT_MODIFIED, caching).into_response();
    }
    let kind = [(header::CONTENT_TYPE, "application/json")];
    (caching, kind, text.as_str()).into_response()
}
