//! A client of event streams that behaves as a browser's `EventSource`, after a page has fetched
//! the one-time ticket for it.

use std::{pin::pin, time::Duration};

use anyhow::{Context, Result};
use testing::sse::{EventStream, StreamEvent};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

use super::{ConnectionEnd, SharedState, SwarmClient, now_us};
use crate::{
    breach::Breach,
    payloads::{StreamData, StreamError},
};

/// The time limit for the ticket, TCP and the head of the answer together.
const OPENING: Duration = Duration::from_secs(10);
/// The server sends a beat every 15 s. Three missed beats mean a dead connection.
const SILENCE: Duration = Duration::from_secs(45);
/// The pause of browsers before a reconnect, unless the server sets another with `retry:`.
const RETRY: Duration = Duration::from_secs(3);

/// The state that an `EventSource` keeps between connections.
#[derive(Default)]
pub struct ReconnectState {
    /// The address, with a ticket that the first connection spends.
    path: Option<String>,
    last_id: Option<String>,
    retry: Option<Duration>,
}

/// Follows the channel over one connection, from dialling to its end.
pub async fn follow(
    follower: &SwarmClient,
    hub: &SharedState,
    state: &mut ReconnectState,
    mut permit: Option<OwnedSemaphorePermit>,
) -> ConnectionEnd {
    let mut stream = match timeout(OPENING, open(follower, hub, state)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(_)) | Err(_) => return state.lost(),
    };
    match stream.status {
        200 => {}
        204 => return ConnectionEnd::Over,
        status => {
            let why = format!("status {status}, after which an EventSource never reconnects");
            return ConnectionEnd::Final(Breach::TurnedAway, why);
        }
    }
    let mut cut = pin!(follower.cut.notified());
    let mut first = true;
    loop {
        let event = tokio::select! {
            biased;
            event = timeout(SILENCE, stream.next()) => event.ok().flatten(),
            () = &mut cut => return ConnectionEnd::Cut,
        };
        state.last_id.clone_from(&stream.last_id);
        state.retry = stream.retry.or(state.retry);
        let Some(event) = event else { return state.lost() };
        if let Some(end) = take(follower, state, &event, &mut first, now_us()) {
            return end;
        }
        if !first {
            follower.became_live(&mut permit);
        }
    }
}

impl ReconnectState {
    /// A browser repeats its address. Without a received id there is nothing to resume from, and
    /// the ticket in the address is spent, so the page fetches another.
    fn lost(&mut self) -> ConnectionEnd {
        if self.last_id.is_none() {
            self.path = None;
        }
        ConnectionEnd::Lost(Some(self.retry.unwrap_or(RETRY)))
    }
}

async fn open(
    follower: &SwarmClient,
    hub: &SharedState,
    state: &mut ReconnectState,
) -> Result<EventStream> {
    if state.path.is_none() {
        let ticket = hub.api.stream_ticket(&follower.node, &hub.token, &follower.channel).await?;
        state.path = Some(format!("/v1/stream?ticket={ticket}&channel={}", follower.channel));
    }
    let path = state.path.as_deref().unwrap_or_default();
    let tcp = follower.dial().await.context("connect")?;
    EventStream::open(tcp, &follower.node.authority, path, state.last_id.as_deref()).await
}

/// Passes one event to the client's watch, and answers when the stream is to end.
fn take(
    follower: &SwarmClient,
    state: &mut ReconnectState,
    event: &StreamEvent,
    first: &mut bool,
    now_us: i64,
) -> Option<ConnectionEnd> {
    let malformed = |what: &str| Some(ConnectionEnd::Final(Breach::Malformed, what.to_owned()));
    match event.name.as_str() {
        "snapshot" | "delta" | "state" => {
            let Ok(data) = serde_json::from_str::<StreamData<'_>>(&event.data) else {
                return malformed("a stream event that cannot be read");
            };
            follower.watch().event(&event.name, &data, *first, now_us);
            *first = false;
            None
        }
        "problem" => match serde_json::from_str::<StreamError>(&event.data) {
            Ok(StreamError { retry: true, .. }) => {
                state.path = None;
                Some(state.lost())
            }
            Ok(error) => Some(ConnectionEnd::Final(
                Breach::TurnedAway,
                format!("the stream ended with error {}", error.code),
            )),
            Err(_) => malformed("an error event that cannot be read"),
        },
        "end" => Some(ConnectionEnd::Over),
        _ => None,
    }
}
