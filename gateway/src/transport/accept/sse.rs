//! Opening an SSE stream: by a one-time ticket, or by the id of the last event that a browser saw.

use std::sync::Arc;

use axum::body::Body;
use gateway_core::access::Claims;
use http::{HeaderValue, Request, Response, StatusCode, header};
use schemas::{channel::Channel, codes::Code, view::Position};

use super::{empty, text};
use crate::{
    access::grant::{MAX_STREAM_CHANNELS, spend_ticket},
    clock,
    context::NodeContext,
    http::Edge,
    limits::{
        Limit, LimitRefusal,
        admission::{self, SubjectPlaces},
    },
    wire::frames::{self, REFUSED},
};

/// A stream that may begin.
pub(super) struct OpenStream {
    pub claims: Arc<Claims>,
    /// The sealed grant, which is part of the id of each event.
    pub sealed: String,
    pub channels: Vec<(Channel, Option<Position>)>,
    pub subject: SubjectPlaces,
}

/// Why a stream does not begin.
pub(super) enum StreamRefusal {
    Code(Code),
    /// The client may come back after a time.
    Later(LimitRefusal),
    /// The client was refused before and came back: the answer makes it stop.
    Final,
}

impl From<Code> for StreamRefusal {
    fn from(code: Code) -> Self {
        Self::Code(code)
    }
}

impl From<LimitRefusal> for StreamRefusal {
    fn from(refusal: LimitRefusal) -> Self {
        Self::Later(refusal)
    }
}

/// Checks the request for a stream. Returns the head of its response and the stream.
pub(super) async fn open<B>(
    node: &NodeContext,
    edge: &Edge,
    request: &Request<B>,
) -> Result<(Response<()>, OpenStream), StreamRefusal> {
    if let Some(code) = edge.page_refusal() {
        return Err(code.into());
    }
    let query: Vec<(String, String)> =
        axum::extract::Query::try_from_uri(request.uri()).map_err(|_| Code::Malformed)?.0;
    let value =
        |name: &str| query.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
    let last = match text(request.headers(), "last-event-id") {
        "" => value("last_event_id").unwrap_or_default(),
        last => last,
    };
    if last == REFUSED {
        return Err(StreamRefusal::Final);
    }
    let channels = requested_channels(&query)?;
    let (positions, sealed) = last.split_once(':').unwrap_or_default();
    let now = clock::now();
    // A browser that reconnects by itself repeats the URL with its spent ticket. Then the grant in
    // the id of its last event replaces the ticket. A page whose grant has expired brings a new
    // ticket.
    let grant = match (value("ticket"), sealed.is_empty()) {
        (Some(ticket), true) => spend_ticket(&*node.short_keys, ticket, channels, now).await?,
        (Some(ticket), false) => match node.grant_key.open(sealed, &channels, now) {
            Ok(grant) => grant,
            Err(_) => spend_ticket(&*node.short_keys, ticket, channels, now).await?,
        },
        (None, false) => node.grant_key.open(sealed, &channels, now)?,
        (None, true) => return Err(Code::TokenMissing.into()),
    };
    let sealed = node.grant_key.seal(&grant);
    let positions = read_positions(positions, grant.channels.len());
    let channels = grant.channels.into_iter().zip(positions).collect();
    let claims = Claims {
        tenant: grant.tenant,
        subject: grant.subject,
        // A grant names its channels. A stream can ask for no other.
        role: grant.role,
        locations: Vec::new(),
        queues: Vec::new(),
        tickets: Vec::new(),
        appointments: Vec::new(),
        doctor: None,
        expires: grant.expires,
        origin: grant.origin,
    };
    node.verifier.check(&claims)?;
    let key = node.limits.subject_key(&claims.tenant, &claims.subject);
    for _ in &channels {
        node.limits.spend(Limit::SubscribesOfSubject, key)?;
    }
    let subject = admission::take_subject_places(&node.limits, &claims)?;
    Ok((head(), OpenStream { claims: Arc::new(claims), sealed, channels, subject }))
}

fn requested_channels(query: &[(String, String)]) -> Result<Vec<Channel>, Code> {
    let channels: Vec<Channel> = query
        .iter()
        .filter(|(key, _)| key == "channel")
        .map(|(_, name)| Channel::parse(name).map_err(|_| Code::UnknownChannel))
        .collect::<Result<_, _>>()?;
    match channels.len() {
        0 => Err(Code::Malformed),
        count if count > MAX_STREAM_CHANNELS => Err(Code::ChannelLimit),
        _ => Ok(channels),
    }
}

/// Reads `<epoch>.<version>` of each channel. A position that is unreadable or zero counts as none.
pub(crate) fn read_positions(text: &str, channels: usize) -> Vec<Option<Position>> {
    let mut positions: Vec<Option<Position>> = text
        .split('_')
        .map(|position| {
            let (epoch, version) = position.split_once('.')?;
            let position = Position { epoch: epoch.parse().ok()?, version: version.parse().ok()? };
            (position.epoch > 0).then_some(position)
        })
        .collect();
    positions.resize(channels, None);
    positions
}

/// The head of a stream. Its body ends with the connection and needs no framing.
fn head() -> Response<()> {
    let mut response = empty(StatusCode::OK);
    let headers = response.headers_mut();
    event_stream(headers);
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// The first bytes of a stream's body: how long the browser waits before it reconnects, spread over
/// 1 to 5 s, and a first beat.
pub(super) fn preamble() -> String {
    let beat = std::str::from_utf8(frames::SSE_BEAT).unwrap_or_default();
    format!("retry: {}\n\n{beat}", fastrand::u32(1000..5000))
}

fn event_stream(headers: &mut http::HeaderMap) {
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform"));
}

/// The answer to a refused stream. A browser's `EventSource` gives up for ever on anything but a
/// 200, so a refusal is an event, with the time after which the browser may come back. The request
/// after a final refusal gets a 204, which makes the browser stop.
pub(super) fn refuse(node: &NodeContext, refusal: StreamRefusal) -> Response<Body> {
    let (code, retry) = match refusal {
        StreamRefusal::Code(code) => (code, String::new()),
        StreamRefusal::Later(refusal) => {
            (refusal.code(), format!("retry: {}\n\n", refusal.retry_after.as_millis()))
        }
        StreamRefusal::Final => return empty(StatusCode::NO_CONTENT).map(|()| Body::empty()),
    };
    node.metrics.error(code);
    let id = (!code.is_temporary()).then_some(REFUSED);
    let mut body = retry.into_bytes();
    body.extend(frames::encode_sse_error(None, code, id));
    let mut response = Response::new(Body::from(body));
    event_stream(response.headers_mut());
    response
}
