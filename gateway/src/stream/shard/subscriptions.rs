//! The life of a subscription: subscribe, audit, answer, catch up, end.

use gateway_core::{
    access::Claims,
    protocol::{Reply, Start},
    subscription::{
        AuditEntryId, CatchUp, FloorTrust, HotViewId, Stage, Subscription, VOID, decide_catch_up,
    },
};
use schemas::{
    channel::Channel,
    codes::{Close, Code},
    ids::Aggregate,
    view::{Position, raw},
};
use serde_json::value::RawValue;

use super::{
    Shard,
    hot_view::{HotView, KeyedView, LiveView},
};
use crate::{
    access::audit::{AuditedAction, AuditedSubscription},
    inbox::ids::{ConnId, SubscriptionId},
    views::tails::Tails,
    wire::frames::{self, Form, Publication, PublicationKind},
};

/// Seconds that a subscribe may wait for its view, or for this node to reach the client's position.
/// The JavaScript SDK gives a reply five seconds.
const ANSWER_WITHIN_S: u64 = 4;
/// Seconds of these after which the authority is asked about a position that this node has not
/// reached. Records usually arrive in milliseconds.
const DOUBT_AFTER_S: u64 = 3;

/// The first state of a subscription.
struct FirstState {
    position: Position,
    /// Fingerprint of what a ticket's patient sees; 0 for every other channel.
    seen: u64,
    /// The whole state, or the missed steps when `recovered`. `None` when the client misses
    /// nothing.
    data: Option<Box<RawValue>>,
    recovered: bool,
}

impl Shard {
    /// Adds a subscription. `answer` then answers it, as soon as its view is at hand.
    pub(super) fn subscribe(
        &mut self,
        conn: ConnId,
        request: u32,
        channel: Channel,
        since: Option<Position>,
    ) -> Option<SubscriptionId> {
        let connection = self.connections.get(conn)?;
        let claims = connection.session.claims()?.clone();
        self.context.node.metrics.subscriptions.for_channel(&channel).inc();
        let view = self.views.open(&channel.aggregate(&claims.tenant), &channel, since);
        let entry = self.next_audit_entry;
        self.next_audit_entry = entry.next();
        let (audit, name) = (Some(entry), channel.to_string());
        let wait_s = if since.is_some() { DOUBT_AFTER_S } else { ANSWER_WITHIN_S };
        let give_up_at = self.connections.now + wait_s;
        let trust = FloorTrust::Trusted;
        let stage = Stage::Pending { request, floor: since, give_up_at, audit, trust };
        let listed = self.views.get(view)?.next_listener();
        let subscription = Subscription { channel, view, listed, stage };
        let slot = self.connections.get_mut(conn)?.session.subscriptions.add(subscription);
        let at = SubscriptionId { conn, slot };
        self.views.get_mut(view)?.add_listener(at);
        self.audit_open(at, entry, &claims, name);
        self.connections.schedule(conn);
        Some(at)
    }

    /// Writes an audit entry about a channel that a client opens. The subscription is answered
    /// afterwards.
    fn audit_open(
        &self,
        subscription: SubscriptionId,
        entry: AuditEntryId,
        claims: &Claims,
        channel: String,
    ) {
        let inbox = self.context.inbox.clone();
        let waiting = AuditedSubscription { subscription, entry, inbox };
        let done = self.audited("channel.open", subscription.conn, channel);
        self.context.node.audit.write_for(waiting, claims, done);
    }

    /// The audited action of a client on a channel.
    fn audited(&self, action: &'static str, conn: ConnId, channel: String) -> AuditedAction {
        let client = self.connections.get(conn).map(|connection| connection.opening.client.clone());
        AuditedAction {
            action: action.into(),
            what: vec![channel],
            client: client.unwrap_or_default(),
            ..AuditedAction::default()
        }
    }

    /// Writes an audit entry about a channel that a client may not open. The client is shown
    /// nothing, so its refusal does not wait.
    pub(super) fn audit_refusal(&self, conn: ConnId, channel: String, code: Code) {
        let Some(claims) = self.connections.get(conn).and_then(|it| it.session.claims()) else {
            return;
        };
        let done = self.audited("channel.open", conn, channel);
        self.context.node.audit.note(claims, AuditedAction { code: Some(code), ..done });
    }

    /// Writes an audit entry about a channel that a client had open, with the positions that it was
    /// sent.
    fn audit_close(&self, conn: ConnId, channel: &Channel, delivered: (Position, Position)) {
        let Some(claims) = self.connections.get(conn).and_then(|it| it.session.claims()) else {
            return;
        };
        let done = self.audited("channel.close", conn, channel.to_string());
        let delivered = Some(delivered);
        self.context.node.audit.note(claims, AuditedAction { delivered, ..done });
    }

    /// Answers the subscription that waited for an audit entry, or refuses it.
    pub(super) fn finish_audit(
        &mut self,
        at: SubscriptionId,
        entry: AuditEntryId,
        written: Result<(), Code>,
    ) {
        // The subscription may have ended meanwhile, and another may have its id. Only the right
        // one waits for this entry.
        if !self.connections.find_subscription(at).is_some_and(|(_, subscription)| {
            matches!(subscription.stage, Stage::Pending { audit: Some(id), .. } if id == entry)
        }) {
            return;
        }
        if let Err(code) = written {
            return self.refuse(at, code);
        }
        if let Some(subscription) = self.connections.subscription_mut(at)
            && let Stage::Pending { audit, .. } = &mut subscription.stage
        {
            *audit = None;
        }
        self.answer(at);
    }

    /// Answers a subscription that is pending, if its view is at hand and not behind the client.
    pub(super) fn answer(&mut self, at: SubscriptionId) {
        let Some((_, subscription)) = self.connections.subscription(at) else { return };
        let Stage::Pending { request, floor, audit: None, trust, .. } = subscription.stage else {
            return;
        };
        let is_void = trust == FloorTrust::Void;
        let floor = floor.filter(|_| !is_void);
        if self.views.get(subscription.view).is_some_and(HotView::is_gone) {
            return self.refuse(at, Code::UnknownChannel);
        }
        let view = subscription.view;
        let Some(first) = self.first_state(view, floor) else {
            if let Some(floor) = floor {
                self.views.follow_claim(view, floor);
            }
            return;
        };
        let Some(connection) = self.connections.get_mut(at.conn) else { return };
        if !connection.peer.takes_reply(connection.form, request) {
            // The first frame of state is the answer.
            let seen = if first.data.is_none() { first.seen } else { 0 };
            let held = if is_void { VOID } else { floor.unwrap_or_default() };
            self.connections.mark_live(at, floor.unwrap_or_default(), held, seen);
            return self.catch_up(at);
        }
        let FirstState { position, seen, data, recovered } = first;
        let start = match (recovered, floor, data.as_deref()) {
            (true, Some(floor), missed) => {
                Start::Recovered { position, held: floor.version, missed }
            }
            (_, floor, Some(data)) => {
                let was_recovering = floor.is_some() || is_void;
                Start::Snapshot { position, data, was_recovering, resets: is_void }
            }
            (_, _, None) => {
                debug_assert!(false, "only a client that holds the newest position misses nothing");
                return;
            }
        };
        let began = floor.filter(|_| recovered).unwrap_or(position);
        self.connections.mark_live(at, began, position, seen);
        self.connections.reply(at.conn, &Reply::Subscribe { id: request, start });
    }

    /// Gives up on a subscription that has waited for too long: asks the authority about the
    /// client's position first, and refuses the subscription at the second time.
    pub(super) fn give_up(&mut self, at: SubscriptionId) {
        let limit = self.connections.now + ANSWER_WITHIN_S - DOUBT_AFTER_S;
        let Some(subscription) = self.connections.subscription_mut(at) else { return };
        let view = subscription.view;
        match &mut subscription.stage {
            Stage::Pending { floor: Some(_), give_up_at, trust, .. }
                if *trust == FloorTrust::Trusted =>
            {
                (*give_up_at, *trust) = (limit, FloorTrust::Doubted);
                self.connections.schedule(at.conn);
                self.views.confirm(view, at);
            }
            _ => self.refuse(at, Code::TryAgain),
        }
    }

    /// Follows up on the answer of the authority about a view. A client whose position was lost
    /// gets the whole state. If the authority is not behind the client, this node is, and the
    /// client waits on.
    pub(super) fn finish_doubt(
        &mut self,
        at: SubscriptionId,
        asked: HotViewId,
        authority: Option<Position>,
    ) {
        let Some((_, subscription)) = self.connections.find_subscription(at) else { return };
        // The subscription may have ended meanwhile, and another may have its id.
        if self.views.positioned_by(subscription.view) != asked {
            return;
        }
        let Some(subscription) = self.connections.subscription_mut(at) else { return };
        let Stage::Pending { floor: Some(floor), trust, .. } = &mut subscription.stage else {
            return;
        };
        if *trust == FloorTrust::Doubted && authority.is_some_and(|authority| authority < *floor) {
            *trust = FloorTrust::Void;
            self.context.node.metrics.positions_reset.inc();
            self.answer(at);
        }
    }

    /// The first state of a subscription to `view` for a client that holds `floor`. `None` while
    /// the view is not at hand or behind the client.
    fn first_state(&mut self, view: HotViewId, floor: Option<Position>) -> Option<FirstState> {
        if let Some(now) = self.views.ticket_now(view) {
            if floor.is_some_and(|floor| floor > now.position) {
                return None;
            }
            let data = (floor != Some(now.position)).then(|| raw(&now.seen));
            return Some(FirstState {
                position: now.position,
                seen: now.seen.fingerprint(),
                data,
                recovered: floor.is_some_and(|floor| floor.epoch == now.position.epoch),
            });
        }
        let view = self.views.get_mut(view)?;
        let aggregate = view.aggregate.clone();
        let KeyedView { channel, live: Some(live), .. } = view.keyed_mut()? else { return None };
        let position = live.view.position;
        let (recovered, data) = match floor.map(|floor| decide_catch_up(floor, position, None)) {
            Some(CatchUp::NodeBehind) => return None,
            Some(CatchUp::Nothing) => (true, None),
            Some(CatchUp::StepsSince(version)) => {
                let held = Position { version, ..position };
                let tails = &self.context.node.tails;
                let (kind, data) = missed_since(tails, &aggregate, channel, live, held);
                (kind == PublicationKind::Delta, Some(data))
            }
            None | Some(CatchUp::Snapshot | CatchUp::NewestStep) => {
                (false, Some(live.snapshot().to_owned()))
            }
        };
        Some(FirstState { position, seen: 0, data, recovered })
    }

    /// Sends a live subscription the state that it lacks since its position.
    pub(super) fn catch_up(&mut self, at: SubscriptionId) {
        // Answering the subscription may have ended it.
        let Some((connection, subscription)) = self.connections.find_subscription(at) else {
            return;
        };
        let Stage::Live { held, seen, .. } = subscription.stage else { return };
        let form = connection.form;
        if let Some(now) = self.views.ticket_now(subscription.view) {
            if held.epoch < now.position.epoch && form.resubscribes() {
                return self.end(at, Close::InsufficientState);
            }
            let fingerprint = now.seen.fingerprint();
            if seen == fingerprint || held > now.position {
                return;
            }
            let (channel, position) = (&subscription.channel, now.position);
            let kind = match held {
                VOID => PublicationKind::StateReset,
                _ => PublicationKind::State,
            };
            let publication = Publication { channel, kind, position, data: &now.seen };
            self.frames.clear();
            let frame = self.frames.get(form, &publication);
            return self.connections.send_state(at, position, fingerprint, frame);
        }
        let Some(view) = self.views.get_mut(subscription.view) else { return };
        let aggregate = view.aggregate.clone();
        let Some(KeyedView { channel, live: Some(live), .. }) = view.keyed_mut() else { return };
        let position = live.view.position;
        let (kind, data) = match decide_catch_up(held, position, None) {
            CatchUp::Nothing | CatchUp::NodeBehind | CatchUp::NewestStep => return,
            CatchUp::Snapshot if form.resubscribes() => {
                return self.end(at, Close::InsufficientState);
            }
            CatchUp::Snapshot if held == VOID => {
                (PublicationKind::SnapshotReset, live.snapshot().to_owned())
            }
            CatchUp::Snapshot => (PublicationKind::Snapshot, live.snapshot().to_owned()),
            CatchUp::StepsSince(_) => {
                missed_since(&self.context.node.tails, &aggregate, channel, live, held)
            }
        };
        let publication = Publication { channel, kind, position, data: &data };
        self.frames.clear();
        let frame = self.frames.get(form, &publication);
        self.connections.send_state(at, position, 0, frame);
    }

    /// Ends a subscription because its client unsubscribed. A subscribe that still waits is
    /// answered too, since its client may wait for the reply. The code is a temporary one: an SDK
    /// whose user has subscribed again meanwhile takes the reply for that subscribe. The peer of a
    /// Socket.IO session answers by itself.
    pub(super) fn take_back(&mut self, at: SubscriptionId) {
        if let Some((connection, subscription)) = self.connections.subscription(at)
            && let Stage::Pending { request, .. } = subscription.stage
            && connection.form != Form::SocketIo
        {
            let reply = Reply::Error { id: request, code: Code::TryAgain };
            self.connections.reply(at.conn, &reply);
        }
        self.remove_subscription(at);
    }

    /// Ends a subscription and sends its client the reason.
    pub(super) fn end(&mut self, at: SubscriptionId, close: Close) {
        let Some((_, subscription)) = self.connections.subscription(at) else { return };
        if let Stage::Pending { .. } = subscription.stage {
            return self.refuse(at, frames::unsubscribe_code(close));
        }
        let channel = subscription.channel.clone();
        self.connections.reply(at.conn, &Reply::Unsubscribe { channel: &channel, close });
        self.remove_subscription(at);
    }

    /// Refuses a subscription that is pending.
    pub(super) fn refuse(&mut self, at: SubscriptionId, code: Code) {
        let Some((connection, subscription)) = self.connections.subscription(at) else { return };
        let Stage::Pending { request, .. } = subscription.stage else { return };
        if connection.form.has_replies() {
            self.connections.reply(at.conn, &Reply::Error { id: request, code });
            return self.remove_subscription(at);
        }
        self.refuse_on_stream(at, code);
    }

    /// Ends a subscription whose view is gone. A client of the Centrifugal protocol subscribes
    /// again, and then gets `unknown_channel`.
    pub(super) fn end_gone(&mut self, at: SubscriptionId) {
        let Some((connection, subscription)) = self.connections.subscription(at) else { return };
        match subscription.stage {
            Stage::Pending { .. } => self.refuse(at, Code::UnknownChannel),
            Stage::Live { .. } if connection.form.has_replies() => {
                self.end(at, Close::InsufficientState);
            }
            Stage::Live { .. } => self.refuse_on_stream(at, Code::UnknownChannel),
        }
    }

    /// Removes a channel of an SSE stream. After the refusal of the last channel, the browser gets
    /// an id with which it does not reconnect.
    fn refuse_on_stream(&mut self, at: SubscriptionId, code: Code) {
        let Some((connection, subscription)) = self.connections.subscription(at) else { return };
        let is_last = connection.session.subscriptions.count() == 1;
        let id = (is_last && !code.is_temporary()).then_some(frames::REFUSED);
        let error = frames::encode_sse_error(Some(&subscription.channel), code, id);
        self.connections.send_bytes(at.conn, error.into());
        self.remove_subscription(at);
        if is_last {
            // A stream without channels ends, and a browser then comes back by itself.
            self.connections.close(at.conn, Close::PermissionDenied);
        }
    }

    /// Removes a subscription without telling its client.
    pub(super) fn remove_subscription(&mut self, at: SubscriptionId) {
        let connection = self.connections.get_mut(at.conn);
        let removed = connection.and_then(|conn| conn.session.subscriptions.remove(at.slot));
        let Some(Subscription { channel, view, listed, stage }) = removed else {
            debug_assert!(false, "a subscription is removed once");
            return;
        };
        if let Some(delivered) = stage.delivered() {
            self.audit_close(at.conn, &channel, delivered);
        }
        self.context.node.metrics.subscriptions.for_channel(&channel).dec();
        if let Some(moved) = self.views.remove_listener(view, listed)
            && let Some(subscription) = self.connections.subscription_mut(moved)
        {
            subscription.listed = listed;
        }
    }
}

/// The steps of a view since `held`, merged, or the whole view when the tail does not reach back
/// that far.
fn missed_since(
    tails: &Tails,
    aggregate: &Aggregate,
    channel: &Channel,
    live: &mut LiveView,
    held: Position,
) -> (PublicationKind, Box<RawValue>) {
    let to = live.view.position.version;
    match tails.merged_since(aggregate, &channel.to_string(), held, to) {
        // A view that was just fetched can be ahead of the tail.
        Some(delta) if delta.to == to => (PublicationKind::Delta, raw(&delta)),
        Some(_) | None => (PublicationKind::Snapshot, live.snapshot().to_owned()),
    }
}
