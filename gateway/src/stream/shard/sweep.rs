//! The sweep: from changed views to the sockets. A frame is encoded once per publication and form.
//! A connection whose earlier bytes still wait keeps its mark, and catches up when they have left.

use gateway_core::subscription::{CatchUp, HotViewId, Stage, decide_catch_up};
use schemas::{channel::Channel, view::Delta};
use tokio::time::Instant;

use super::{
    Shard,
    hot_view::{HotView, HotViewKind, KeyedView},
};
use crate::{
    clock,
    inbox::ids::SubscriptionId,
    wire::frames::{Publication, PublicationKind},
};

impl Shard {
    /// Serves all listeners of the views that changed since the last sweep.
    pub(super) fn sweep(&mut self) {
        let changed = self.views.take_changed();
        for &id in &changed {
            // The view may have been closed since it changed.
            match self.views.find(id).map(|view| &view.kind) {
                Some(HotViewKind::Keyed(_)) => self.sweep_view(id),
                Some(HotViewKind::Ticket(_)) => self.sweep_ticket(id),
                None => {}
            }
        }
        self.views.recycle_changed(changed);
    }

    /// Sends the step of a keyed view to its listeners and to the tickets in it, if its pace
    /// allows.
    fn sweep_view(&mut self, id: HotViewId) {
        if let Some(view) = self.views.find(id).filter(|view| view.is_gone()) {
            for at in view.listeners().to_vec() {
                self.end_gone(at);
            }
            return;
        }
        if !self.views.may_send_step(id, Instant::now()) {
            // A paced view has no tickets. Its pending subscriptions are answered at once.
            let listeners = self.views.get(id).map(|view| view.listeners().to_vec());
            for at in listeners.unwrap_or_default() {
                self.answer(at);
            }
            return;
        }
        let view = self.views.get_mut(id).and_then(HotView::keyed_mut);
        let step = view.and_then(|view| view.step.take());
        let sent_before = self.connections.frames_sent();
        for at in self.send_step(id, step.as_ref()) {
            self.answer(at);
            self.catch_up(at);
        }
        let view = self.views.find(id).and_then(HotView::keyed);
        for ticket in view.map(|view| view.tickets.clone()).unwrap_or_default() {
            self.sweep_ticket(ticket);
        }
        if let Some(step) = step
            && self.connections.frames_sent() > sent_before
        {
            self.observe_delay(&step);
        }
    }

    /// Observes how old a step is now that its listeners have been served. One observation for all
    /// of them costs nothing beside their frames.
    fn observe_delay(&self, step: &Delta) {
        let delay_ms = (clock::now() - step.at).max(0);
        self.context.node.metrics.delivery_delay_seconds.observe(delay_ms as f64 / 1000.0);
    }

    /// Sends a step to every listener that stands where the step begins. Returns the other
    /// listeners.
    fn send_step(&mut self, id: HotViewId, step: Option<&Delta>) -> Vec<SubscriptionId> {
        let Self { views, connections, frames, .. } = self;
        let Some(view) = views.get(id) else { return Vec::new() };
        // A view that is being fetched again serves its listeners once it is at hand.
        let Some(KeyedView { channel, live: Some(live), .. }) = view.keyed() else {
            return Vec::new();
        };
        let position = live.view.position;
        let kind = PublicationKind::Delta;
        let publication = step.map(|data| Publication { channel, kind, position, data });
        let range = step.map(|step| (step.from, step.to));
        frames.clear();
        let mut rest = Vec::new();
        for &at in view.listeners() {
            let Some((connection, subscription)) = connections.subscription(at) else { continue };
            match (&subscription.stage, &publication) {
                (Stage::Live { held, .. }, Some(publication))
                    if decide_catch_up(*held, position, range) == CatchUp::NewestStep =>
                {
                    let frame = frames.get(connection.form, publication);
                    connections.send_state(at, position, 0, frame);
                }
                _ => rest.push(at),
            }
        }
        rest
    }

    /// Sends the state of a ticket to every listener for whom it has changed.
    fn sweep_ticket(&mut self, id: HotViewId) {
        let Self { views, connections, frames, .. } = self;
        let (Some(view), Some(now)) = (views.get(id), views.ticket_now(id)) else { return };
        let Some(watch) = view.watch() else { return };
        let channel = Channel::Ticket(watch.ticket.clone());
        let (position, fingerprint) = (now.position, now.seen.fingerprint());
        let kind = PublicationKind::State;
        let publication = Publication { channel: &channel, kind, position, data: &now.seen };
        frames.clear();
        let mut rest = Vec::new();
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
    }
}
