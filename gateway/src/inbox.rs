//! Messages to a shard from other tasks.

pub mod ids;

use std::{sync::Arc, time::Duration};

use gateway_core::subscription::{AuditEntryId, HotViewId};
use schemas::{
    Millis,
    codes::Code,
    ids::{Aggregate, TenantId},
    view::{Position, View},
};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use self::ids::{FetchId, SubscriptionId};
use crate::{views::tails::TailRecord, wire::peer::socketio::SocketIoPeer};

pub enum ShardMessage {
    /// A record of an aggregate that the shard listens to.
    Record(Arc<TailRecord>),
    /// The answer to a fetch.
    Fetched(FetchedView),
    /// The audit entries that subscriptions wait for are written, or could not be.
    Audited { entries: Vec<(SubscriptionId, AuditEntryId)>, written: Result<(), Code> },
    /// How far the authority is with a view whose listeners claim a later position. `None` without
    /// an answer.
    Confirmed { view: HotViewId, check: FetchId, authority: Option<Position> },
    /// A request for the connections of a subject.
    Sessions { tenant: TenantId, subject: Arc<str>, answer: oneshot::Sender<Vec<OpenConnection>> },
    /// A Socket.IO client connected.
    SocketIo(Box<SocketIoPeer>),
    /// Records were lost, so that no hot view is current any more.
    Refetch,
    /// Records of the aggregate are missing from the stream, so that no hot view of it is current.
    Missed(Aggregate),
    /// Close all connections within this time.
    Drain(Duration),
}

/// The answer to a fetch: the view, or `None` when it does not exist.
pub struct FetchedView {
    pub view: HotViewId,
    pub fetch: FetchId,
    pub result: Result<Option<View>, Code>,
}

/// One open connection of a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenConnection {
    /// The session, by the tag that a revocation of it has.
    pub session: String,
    /// When the token was issued. 0 when it does not say.
    pub issued: Millis,
    /// When the connection ends with its token, unless the token is renewed.
    pub expires: Millis,
    /// Whether the token is that of a crossing.
    #[serde(default)]
    pub crossed: bool,
    /// `websocket`, `sse` or `socketio`.
    pub transport: String,
    /// The number of open channels.
    pub channels: usize,
}
