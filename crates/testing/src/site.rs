//! A location with one open queue, created over the API.

use anyhow::{Result, ensure};
use hyper::Method;
use serde_json::json;
use tokio::time::Instant;

use crate::http::{ApiClient, ApiRequest};

/// Creates a location with an open queue, and returns the queue. `admin` is a token that may
/// configure the location.
///
/// # Errors
/// When a command is refused, or has no outcome by `deadline`.
pub async fn open(
    api: &ApiClient,
    node: &str,
    admin: &str,
    location: &str,
    deadline: Instant,
) -> Result<String> {
    let queue = format!("{location}.general");
    let site = json!({"name": "Test site", "time_zone": "America/Toronto", "languages": ["fr"]});
    for (method, path, body) in [
        (Method::PUT, format!("/v1/locations/{location}"), site),
        (Method::PUT, format!("/v1/queues/{queue}"), json!({"name": "All", "prefix": "A"})),
        (Method::POST, format!("/v1/queues/{queue}/open"), json!({})),
    ] {
        let command = ApiRequest::new(method, &path).token(admin).json(body);
        let answer = api.settle(node, command, deadline).await?;
        ensure!(answer.is_success(), "{path}: {} {}", answer.status, answer.text);
    }
    Ok(queue)
}
