//! Follows the channel of one client over successive connections: it connects, listens, and
//! reconnects as the published SDKs do.

use std::sync::Arc;

use testing::centrifugal::encoding::Encoding;
use tokio::time::sleep;

use super::{
    ConnectionEnd, SharedState, SwarmClient, Transport, backoff, now_us, socketio, sse, ws,
};

/// Follows the channel until a connection ends for good.
pub async fn follow(client: Arc<SwarmClient>, hub: Arc<SharedState>) {
    let mut state = sse::ReconnectState::default();
    let mut attempt = 0;
    loop {
        let permit = hub.gate.clone().acquire_owned().await.ok();
        let ended = match client.transport {
            Transport::Ws => ws::follow(&client, &hub, Encoding::Json, permit).await,
            Transport::WsProtobuf => ws::follow(&client, &hub, Encoding::Protobuf, permit).await,
            Transport::Sse => sse::follow(&client, &hub, &mut state, permit).await,
            Transport::Socketio => socketio::follow(&client, &hub, permit).await,
        };
        if client.ended() {
            attempt = 0;
        }
        match ended {
            ConnectionEnd::Cut => {
                // This task holds the sender in `hub`, so waiting cannot fail.
                let _ = hub.go.subscribe().wait_for(|go| *go).await;
            }
            ConnectionEnd::Lost(pause) => {
                client.watch().lost(now_us());
                sleep(pause.unwrap_or_else(|| backoff(attempt))).await;
                attempt += 1;
            }
            ConnectionEnd::Over => return,
            ConnectionEnd::Final(breach, why) => return client.watch().note(breach, &why),
        }
    }
}
