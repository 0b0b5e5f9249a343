//! The export of spans by OTLP over HTTP, in Protobuf.
//!
//! A collector that is slow or absent slows nothing: spans wait in the tracer's bounded queue, and
//! those that find no room there, or whose request fails, are lost and counted.

pub mod messages;

use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use prost::Message;
use reqwest::{
    Client, StatusCode, Url,
    header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue},
    redirect::Policy,
};
use tokio::{sync::oneshot, task::JoinHandle, time::timeout};

use crate::{Span, SpanCounts, SpanQueue};

/// Most spans in one request: about 100 kB.
const MAX_BATCH: usize = 512;
/// How long spans wait for others to share their request.
const GATHER_WITHIN: Duration = Duration::from_secs(1);
/// How long a request may take. Meanwhile the queue takes what comes.
const SEND_WITHIN: Duration = Duration::from_secs(5);
/// How long the last spans of a process may take.
const FINISH_WITHIN: Duration = Duration::from_secs(2);
/// The path below an endpoint.
const PATH: &str = "v1/traces";

/// Where spans go, and the process that they come from.
pub struct OtlpSettings {
    /// The address of the collector, such as `http://127.0.0.1:4318`.
    pub endpoint: Url,
    /// Headers of each request, such as a login.
    pub headers: HeaderMap,
    /// The name of the program.
    pub service: &'static str,
    /// Its version.
    pub version: &'static str,
    /// This process among those of the program.
    pub instance: String,
}

/// Reads an endpoint.
///
/// # Errors
/// A message for the person who typed the value.
pub fn parse_endpoint(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    let is_usable = matches!(url.scheme(), "http" | "https") && url.has_host();
    is_usable.then_some(url).ok_or_else(|| "not an address of http or https".to_owned())
}

/// Reads headers as `OTEL_EXPORTER_OTLP_HEADERS` has them: `name=value`, separated by commas.
///
/// # Errors
/// A message for the person who typed the value. It does not quote the value, which may be secret.
pub fn parse_headers(text: &str) -> Result<HeaderMap, String> {
    let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
    let header = |entry: &str| {
        let (name, value) = entry.split_once('=')?;
        let name = HeaderName::try_from(name.trim()).ok()?;
        let mut value = HeaderValue::try_from(value.trim()).ok()?;
        value.set_sensitive(true);
        Some((name, value))
    };
    let read: Option<HeaderMap> = entries.map(header).collect();
    read.ok_or_else(|| "not a list of name=value, separated by commas".to_owned())
}

/// An exporter under way.
pub struct Exporter {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Exporter {
    /// Starts to export on the current runtime.
    ///
    /// # Errors
    /// The client's error, such as when this machine has no root certificates.
    ///
    /// # Panics
    /// Outside a runtime.
    pub fn start(settings: OtlpSettings, queue: SpanQueue) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .user_agent(concat!("clinicwire/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .no_proxy()
            .timeout(SEND_WITHIN)
            .build()?;
        let sender = SpanSender { client, settings, counts: queue.counts.clone(), fails: false };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(export(sender, queue, stopped));
        Ok(Self { stop, task })
    }

    /// Exports the spans that still wait, within two seconds.
    pub async fn finish(self) {
        let _ = self.stop.send(());
        if timeout(FINISH_WITHIN, self.task).await.is_err() {
            tracing::warn!("the last spans were not exported in time");
        }
    }
}

/// Exports until the tracer is dropped or `stopped` resolves.
async fn export(mut sender: SpanSender, mut queue: SpanQueue, mut stopped: oneshot::Receiver<()>) {
    let mut batch = Vec::with_capacity(MAX_BATCH);
    loop {
        tokio::select! {
            received = queue.spans.recv_many(&mut batch, MAX_BATCH) => if received == 0 { return },
            _ = &mut stopped => break,
        }
        let gather = async {
            while batch.len() < MAX_BATCH {
                let room = MAX_BATCH - batch.len();
                if queue.spans.recv_many(&mut batch, room).await == 0 {
                    return;
                }
            }
        };
        tokio::select! {
            _ = timeout(GATHER_WITHIN, gather) => {}
            _ = &mut stopped => break,
        }
        sender.send(&mut batch).await;
    }
    while let Ok(span) = queue.spans.try_recv() {
        batch.push(span);
    }
    if !batch.is_empty() {
        sender.send(&mut batch).await;
    }
}

/// Sends batches to one collector.
struct SpanSender {
    client: Client,
    settings: OtlpSettings,
    counts: Arc<SpanCounts>,
    /// Whether the last request failed. The log has a line when this changes.
    fails: bool,
}

/// Why a batch was lost.
#[derive(Debug, thiserror::Error)]
enum ExportError {
    #[error("the collector answers {0}")]
    Refused(StatusCode),
    #[error("the collector cannot be reached")]
    Unreachable(#[source] reqwest::Error),
}

impl SpanSender {
    /// Sends and empties the batch.
    async fn send(&mut self, batch: &mut Vec<Span>) {
        let count = batch.len() as u64;
        let body = messages::request(&self.settings, batch).encode_to_vec();
        batch.clear();
        let sent = self.post(body).await;
        let counter = if sent.is_ok() { &self.counts.exported } else { &self.counts.failed };
        counter.fetch_add(count, Relaxed);
        let failed = std::mem::replace(&mut self.fails, sent.is_err());
        match sent {
            Err(error) if !failed => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "spans are lost until the collector takes them again");
            }
            Ok(()) if failed => tracing::info!("the collector takes spans again"),
            Ok(()) | Err(_) => {}
        }
    }

    async fn post(&self, body: Vec<u8>) -> Result<(), ExportError> {
        let request = self.client.post(traces_url(&self.settings.endpoint));
        let request = request.headers(self.settings.headers.clone());
        let request = request.header(CONTENT_TYPE, "application/x-protobuf").body(body);
        // The error would quote the address, which may have a login.
        let unreachable = |error: reqwest::Error| ExportError::Unreachable(error.without_url());
        let status = request.send().await.map_err(unreachable)?.status();
        status.is_success().then_some(()).ok_or(ExportError::Refused(status))
    }
}

/// The address of the traces below an endpoint, as the specification of OTLP forms it.
fn traces_url(endpoint: &Url) -> Url {
    let mut url = endpoint.clone();
    let path = format!("{}/{PATH}", endpoint.path().trim_end_matches('/'));
    url.set_path(&path);
    url
}

#[cfg(test)]
mod tests;
