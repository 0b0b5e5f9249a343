//! An SSE client that behaves as a browser's `EventSource` after the page fetched a one-time ticket for it.

use std::{pin::pin, time::Duration};

use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Empty};
use hyper::{Request, StatusCode, body::Bytes, body::Incoming, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    sync::OwnedSemaphorePermit,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    breach::Breach,
    follower::{Ended, Follower, Hub, now_us},
    frames::{StreamData, StreamError},
};

/// For the ticket, TCP and the answer's head together.
const OPENING: Duration = Duration::from_secs(10);
/// The server sends a comment every 15 s; three missed mean a dead connection.
const SILENCE: Duration = Duration::from_secs(45);
/// What browsers wait before they reconnect, unless `retry:` says otherwise.
const RETRY: Duration = Duration::from_secs(3);

/// What an `EventSource` keeps between connections: its URL (with the spent ticket), position and pause.
#[derive(Default)]
pub struct Stream {
    path: Option<String>,
    last_id: Option<String>,
    retry: Option<Duration>,
}

type Connection = http1::Connection<TokioIo<TcpStream>, Empty<Bytes>>;

/// One connection, from dialling to its end.
pub async fn follow(
    follower: &Follower,
    hub: &Hub,
    stream: &mut Stream,
    mut permit: Option<OwnedSemaphorePermit>,
) -> Ended {
    let (connection, mut body) = match timeout(OPENING, open(follower, hub, stream)).await {
        Ok(Ok((StatusCode::OK, connection, body))) => (connection, body),
        Ok(Ok((StatusCode::NO_CONTENT, ..))) => return Ended::Over,
        Ok(Ok((status, ..))) => {
            let why = format!("status {status}, after which an EventSource never comes back");
            return Ended::Final(Breach::TurnedAway, why);
        }
        Ok(Err(_)) | Err(_) => return stream.lost(),
    };
    let mut connected = true;
    let mut connection = pin!(connection);
    let mut cut = pin!(follower.cut.notified());
    let mut silent = pin!(sleep_until(Instant::now() + SILENCE));
    let mut heard = Instant::now();
    let mut reader = Reader::default();
    let mut first = true;
    loop {
        let bytes = tokio::select! {
            biased;
            frame = body.frame() => match frame {
                Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
                Some(Err(_)) | None => break,
            },
            _ = &mut connection, if connected => {
                connected = false;
                continue;
            }
            () = &mut cut => return Ended::Cut,
            () = &mut silent => {
                if heard.elapsed() >= SILENCE {
                    break;
                }
                silent.as_mut().reset(heard + SILENCE);
                continue;
            }
        };
        heard = Instant::now();
        reader.buffer.extend_from_slice(&bytes);
        let now_us = now_us();
        while let Some(event) = reader.next(stream) {
            if let Some(ended) = take(follower, stream, &event, &mut first, now_us) {
                return ended;
            }
            if !first {
                follower.became_live(&mut permit);
            }
        }
    }
    stream.lost()
}

impl Stream {
    /// The browser repeats its URL; one that never received an `id:` has nothing to resume with its spent ticket.
    fn lost(&mut self) -> Ended {
        if self.last_id.is_none() {
            self.path = None;
        }
        Ended::Lost(Some(self.retry.unwrap_or(RETRY)))
    }
}

async fn open(
    follower: &Follower,
    hub: &Hub,
    stream: &mut Stream,
) -> Result<(StatusCode, Connection, Incoming)> {
    if stream.path.is_none() {
        let ticket = hub.api.stream_ticket(&follower.node, &hub.token, &follower.channel).await?;
        stream.path = Some(format!("/v1/stream?ticket={ticket}&channel={}", follower.channel));
    }
    let mut request = Request::get(stream.path.as_deref().unwrap_or_default())
        .header(header::HOST, &follower.node.authority)
        .header(header::ACCEPT, "text/event-stream");
    if let Some(id) = &stream.last_id {
        request = request.header("Last-Event-ID", id);
    }
    let request = request.body(Empty::new()).context("build the request")?;
    let tcp = follower.dial().await.context("connect")?;
    let (mut sender, mut connection) =
        http1::handshake(TokioIo::new(tcp)).await.context("start HTTP")?;
    let mut sending = pin!(sender.send_request(request));
    let answer = tokio::select! {
        answer = &mut sending => answer.context("no answer")?,
        ended = &mut connection => bail!("closed before an answer: {ended:?}"),
    };
    Ok((answer.status(), connection, answer.into_body()))
}

/// Shows one event to the client's watch; tells when the stream is to end.
fn take(
    follower: &Follower,
    stream: &mut Stream,
    event: &Event,
    first: &mut bool,
    now_us: i64,
) -> Option<Ended> {
    let malformed = |what: &str| Some(Ended::Final(Breach::Malformed, what.to_owned()));
    match event.name.as_str() {
        "snapshot" | "delta" | "state" => {
            let Ok(data) = serde_json::from_str::<StreamData<'_>>(&event.data) else {
                return malformed("a stream event that cannot be read");
            };
            follower.watch().told(&event.name, &data, *first, now_us);
            *first = false;
            None
        }
        "error" => match serde_json::from_str::<StreamError>(&event.data) {
            Ok(StreamError { retry: true, .. }) => {
                stream.path = None;
                Some(stream.lost())
            }
            Ok(error) => Some(Ended::Final(
                Breach::TurnedAway,
                format!("the stream ended with error {}", error.code),
            )),
            Err(_) => malformed("an error event that cannot be read"),
        },
        "end" => Some(Ended::Over),
        _ => None,
    }
}

/// One event of the stream.
#[derive(Default)]
struct Event {
    name: String,
    data: String,
}

/// Cuts bytes into events by the rules of the HTML standard, as far as servers use them.
#[derive(Default)]
struct Reader {
    buffer: Vec<u8>,
    event: Event,
}

impl Reader {
    /// The next whole event; `id:` and `retry:` go into `stream` as they are met.
    fn next(&mut self, stream: &mut Stream) -> Option<Event> {
        let mut read = 0;
        let mut whole = None;
        while let Some(end) = self.buffer[read..].iter().position(|byte| *byte == b'\n') {
            let line = String::from_utf8_lossy(&self.buffer[read..read + end]);
            read += end + 1;
            let line = line.trim_end_matches('\r');
            if line.is_empty() {
                let event = std::mem::take(&mut self.event);
                if !event.data.is_empty() {
                    whole = Some(event);
                    break;
                }
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut self.event.name),
                "data" if self.event.data.is_empty() => value.clone_into(&mut self.event.data),
                "data" => self.event.data.extend(["\n", value]),
                "id" => stream.last_id = Some(value.to_owned()),
                "retry" => stream.retry = value.parse().ok().map(Duration::from_millis),
                _ => {}
            }
        }
        self.buffer.drain(..read);
        whole
    }
}
