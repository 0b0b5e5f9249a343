//! The sweep: from changed views to the sockets. A frame is encoded once per publication and form.
//! A connection whose earlier bytes still wait keeps its mark, and catches up when they have left.

use gateway_core::subscription::{CatchUp, HotViewId, Stage, decide_catch_up};
use schemas::{
    channel::Channel,
    view::{Delta, Position},
};
use tokio::time::Instant;

use super::{
    Shard,
    hot_view::{Fanout, HotView, HotViewKind, KeyedView},
    pace::is_paced,
    traced::TracedDelivery,
};
use crate::{
    clock,
    inbox::ids::SubscriptionId,
    wire::frames::{Publication, PublicationKind},
};

/// Listeners that one turn of the sweep serves, about three milliseconds of writes. Other tasks of
/// the shard run before the next turn, and other views are served before the next slice of the same
/// view, so that a board with thousands of followers delays nobody.
const SLICE: usize = if cfg!(test) { 8 } else { 512 };

impl Shard {
    /// Serves the listeners of changed views, at most [`SLICE`] of them.
    /// [`Shard::has_unserved`] says whether more wait.
    pub(super) fn sweep(&mut self) {
        let mut left = SLICE;
        while left > 0
            && let Some(id) = self.views.next_changed()
        {
            self.begin_delivery(id);
            // The view may have been closed since it changed.
            let served = match self.views.find(id).map(|view| &view.kind) {
                Some(HotViewKind::Keyed(_)) => self.sweep_view(id, left),
                Some(HotViewKind::Ticket(_)) => self.sweep_ticket(id),
                None => 0,
            };
            self.end_delivery(id);
            left = left.saturating_sub(served);
        }
    }

    /// Returns whether listeners of changed views wait for the next turn.
    pub fn has_unserved(&self) -> bool {
        self.views.has_changed()
    }

    /// Serves up to `most` listeners of a keyed view: with its step, if its pace allows, and with
    /// answers to subscriptions. Returns how many it served. The tickets in the view follow.
    fn sweep_view(&mut self, id: HotViewId, most: usize) -> usize {
        if let Some(view) = self.views.find(id).filter(|view| view.is_gone()) {
            let listeners = view.listeners().to_vec();
            if let Some(keyed) = self.views.find_mut(id).and_then(HotView::keyed_mut) {
                keyed.fanout = None;
            }
            for &at in &listeners {
                self.end_gone(at);
            }
            return listeners.len();
        }
        let Some(mut fanout) = self.take_fanout(id) else { return 0 };
        let slice: Vec<_> = fanout.waiting.by_ref().take(most).collect();
        let sent_before = self.connections.frames_sent();
        for at in self.send_step(id, fanout.step.as_ref(), &slice) {
            self.answer(at);
            if !fanout.answers_only {
                self.catch_up(at);
            }
        }
        fanout.has_sent |= self.connections.frames_sent() > sent_before;
        self.put_back(id, fanout);
        slice.len()
    }

    /// The listeners of a view that wait to be served: those that an earlier turn left, or all.
    fn take_fanout(&mut self, id: HotViewId) -> Option<Fanout> {
        if let Some(fanout) = self.views.get_mut(id)?.keyed_mut()?.fanout.take() {
            return Some(fanout);
        }
        let answers_only = !self.views.may_send_step(id, Instant::now());
        let view = self.views.get_mut(id)?;
        let listeners = view.listeners().to_vec();
        let keyed = view.keyed_mut()?;
        let step = if answers_only { None } else { keyed.step.take() };
        // A view that is being fetched again serves its listeners once it is at hand.
        let waiting = if keyed.live.is_some() { listeners } else { Vec::new() }.into_iter();
        Some(Fanout { step, answers_only, waiting, has_sent: false, has_changed: false })
    }

    /// Ends a turn of a fan-out. The view may have been closed meanwhile, with its last listener.
    fn put_back(&mut self, id: HotViewId, fanout: Fanout) {
        if fanout.waiting.len() > 0 {
            if let Some(keyed) = self.views.find_mut(id).and_then(HotView::keyed_mut) {
                keyed.fanout = Some(fanout);
                self.views.sweep_further(id);
            }
            return;
        }
        if fanout.has_changed {
            self.views.sweep_further(id);
        }
        if !fanout.answers_only {
            self.views.sweep_tickets_of(id);
        }
        // The delay of a step that its pace held back would say nothing of this node.
        let channel = self.views.find(id).and_then(HotView::keyed).map(|keyed| &keyed.channel);
        let is_counted = fanout.has_sent && !channel.is_some_and(is_paced);
        if let Some(step) = fanout.step.filter(|_| is_counted) {
            self.observe_delay(&step);
        }
    }

    /// Observes how old a step is now that its listeners have been served. One observation for all
    /// of them costs nothing beside their frames.
    fn observe_delay(&self, step: &Delta) {
        let delay_ms = (clock::now() - step.at).max(0);
        let trace = self.delivery.as_ref().map(TracedDelivery::trace);
        self.context.node.metrics.delivery_delay(delay_ms as f64 / 1000.0, trace);
    }

    /// Sends a step to those of `listeners` that stand where the step begins. Returns the other
    /// ones.
    fn send_step(
        &mut self,
        id: HotViewId,
        step: Option<&Delta>,
        listeners: &[SubscriptionId],
    ) -> Vec<SubscriptionId> {
        let Self { views, connections, frames, .. } = self;
        let view = views.get(id).and_then(HotView::keyed);
        let Some(KeyedView { channel, live: Some(live), .. }) = view else { return Vec::new() };
        let kind = PublicationKind::Delta;
        let epoch = live.view.position.epoch;
        let publication = step.map(|data| {
            let position = Position { epoch, version: data.to };
            Publication { channel, kind, position, data }
        });
        let range = step.map(|step| (step.from, step.to));
        frames.clear();
        let mut rest = Vec::new();
        for &at in listeners {
            // The listener may have left since an earlier turn, and another subscription may have
            // its id.
            let listener = connections.find_subscription(at);
            let Some((connection, subscription)) = listener.filter(|(_, it)| it.view == id) else {
                continue;
            };
            match (&subscription.stage, &publication) {
                (Stage::Live { held, .. }, Some(publication))
                    if decide_catch_up(*held, publication.position, range)
                        == CatchUp::NewestStep =>
                {
                    let frame = frames.get(connection.form, publication);
                    connections.send_state(at, publication.position, 0, frame);
                }
                _ => rest.push(at),
            }
        }
        rest
    }

    /// Sends the state of a ticket to every listener for whom it has changed. Returns their number.
    fn sweep_ticket(&mut self, id: HotViewId) -> usize {
        let Self { views, connections, frames, .. } = self;
        let (Some(view), Some(now)) = (views.get(id), views.ticket_now(id)) else { return 0 };
        let Some(watch) = view.watch() else { return 0 };
        let channel = Channel::Ticket(watch.ticket.clone());
        let (position, fingerprint) = (now.position, now.seen.fingerprint());
        let kind = PublicationKind::State;
        let publication = Publication { channel: &channel, kind, position, data: &now.seen };
        frames.clear();
        let (mut rest, listeners) = (Vec::new(), view.listeners().len());
        for &at in view.listeners() {
            let Some((connection, subscription)) = connections.subscription(at) else { continue };
            match subscription.stage {
                Stage::Pending { .. } => rest.push(at),
                // The client has to subscribe again, because its epoch is over.
                Stage::Live { held, .. }
                    if held.epoch < position.epoch && connection.form.resubscribes() =>
                {
                    rest.push(at);
                }
                Stage::Live { held, seen, .. } if seen == fingerprint || held > position => {}
                Stage::Live { .. } => {
                    let frame = frames.get(connection.form, &publication);
                    connections.send_state(at, position, fingerprint, frame);
                }
            }
        }
        for at in rest {
            self.answer(at);
            self.catch_up(at);
        }
        listeners
    }
}
