//! From a change to the sockets: one sweep over the listeners of what changed. Frames are encoded once per
//! view, wire form and step; a socket that cannot take one keeps its mark and catches up when it can.

use gateway_core::{
    protocol::{Reply, Start},
    subscription::{Owed, Stage, owed},
};
use schemas::{
    codes::Close,
    ticket::TicketViewRef,
    view::{Delta, Position, raw},
};
use serde_json::value::RawValue;
use slab::Slab;

use super::{
    Shard,
    conns::Sent,
    sources::{HotView, Listener, Live, Place, Source, Watch, hot, hot_mut},
};
use crate::stream::frames::{self, Form, Kind};

/// One frame per wire form, each encoded when the first listener needs it. Its buffers are used again.
#[derive(Default)]
pub(super) struct Frames {
    forms: [Frame; Form::ALL.len()],
}

#[derive(Default)]
struct Frame {
    buffer: Vec<u8>,
    /// Where the frame begins in the buffer, once it is encoded.
    start: Option<usize>,
}

impl Frames {
    /// Forgets what is encoded: the next frames are of something else.
    fn clear(&mut self) {
        for frame in &mut self.forms {
            frame.start = None;
        }
    }

    fn get(&mut self, form: Form, encode: impl FnOnce(&mut Vec<u8>) -> usize) -> &[u8] {
        let Frame { buffer, start } = &mut self.forms[form.index()];
        let start = *start.get_or_insert_with(|| encode(buffer));
        &buffer[start..]
    }
}

/// What a ticket's patient sees now, at which position.
struct Now<'a> {
    position: Position,
    seen: TicketViewRef<'a>,
}

impl Shard {
    /// Serves everybody who listens to what changed since the last sweep.
    pub(super) fn sweep(&mut self) {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        for index in changed.drain(..) {
            match self.sources.get(index as usize) {
                Some(Source::View(_)) => self.sweep_view(index),
                Some(Source::Ticket(_)) => self.sweep_ticket(index),
                None => {}
            }
        }
        // Serving may refuse, and so change, but never marks a source changed.
        if self.changed.is_empty() {
            self.changed = changed;
        }
    }

    fn sweep_view(&mut self, index: u32) {
        if !self.keeps_pace(index) {
            return;
        }
        let Some(view) = hot_mut(&mut self.sources, index) else { return };
        let step = view.step.take();
        let listeners = std::mem::take(&mut view.listeners);
        let rest = self.send_step(index, &listeners, step.as_ref());
        if let Some(view) = hot_mut(&mut self.sources, index) {
            view.listeners = listeners;
        }
        for (id, slot) in rest {
            self.answer(id, slot as usize);
            self.catch_up(id, slot as usize);
        }
        let Some(view) = hot(&self.sources, index) else { return };
        for watch in view.watches.clone() {
            self.sweep_ticket(watch);
        }
    }

    /// Sends the step to every listener that stands where it begins; answers the others.
    fn send_step(
        &mut self,
        index: u32,
        listeners: &[Listener],
        step: Option<&Delta>,
    ) -> Vec<Listener> {
        let Some(HotView { live: Some(live), channel, .. }) = hot(&self.sources, index) else {
            return Vec::new();
        };
        let position = live.view.position;
        let range = step.map(|step| (step.from, step.to));
        self.frames.clear();
        let mut rest = Vec::new();
        for &(id, slot) in listeners {
            let Some(conn) = self.conns.get(id) else { continue };
            let Some(Some(subscription)) = conn.session.subscriptions.get(slot as usize) else {
                continue;
            };
            let form = conn.form;
            match (&subscription.stage, step) {
                (Stage::Live { held, .. }, Some(step))
                    if owed(*held, position, range) == Owed::Step =>
                {
                    let frame = self.frames.get(form, |buffer| {
                        frames::shared(form, buffer, channel, Kind::Delta, position, step)
                    });
                    if self.conns.send_state(id, slot as usize, position, frame) == Sent::Yes {
                        hold(&mut self.conns, id, slot as usize, position, 0);
                    }
                }
                _ => rest.push((id, slot)),
            }
        }
        rest
    }

    fn sweep_ticket(&mut self, index: u32) {
        let Some(now) = ticket_now(&self.sources, index) else { return };
        let Some(Source::Ticket(watch)) = self.sources.get(index as usize) else { return };
        let fingerprint = now.seen.fingerprint();
        let mut waiting: Vec<Listener> = Vec::new();
        self.frames.clear();
        for &(id, slot) in &watch.listeners {
            let Some(conn) = self.conns.get(id) else { continue };
            let Some(Some(subscription)) = conn.session.subscriptions.get(slot as usize) else {
                continue;
            };
            let Stage::Live { held, seen } = subscription.stage else {
                waiting.push((id, slot));
                continue;
            };
            if held.epoch < now.position.epoch && conn.form.resubscribes() {
                waiting.push((id, slot));
                continue;
            }
            if seen == fingerprint || held > now.position {
                continue;
            }
            let (form, channel) = (conn.form, &subscription.channel);
            let frame = self.frames.get(form, |buffer| {
                frames::shared(form, buffer, channel, Kind::State, now.position, &now.seen)
            });
            if self.conns.send_state(id, slot as usize, now.position, frame) == Sent::Yes {
                hold(&mut self.conns, id, slot as usize, now.position, fingerprint);
            }
        }
        for (id, slot) in waiting {
            self.answer(id, slot as usize);
            self.catch_up(id, slot as usize);
        }
    }

    /// Answers a subscription that waits, if its view is at hand and not behind the client.
    pub(super) fn answer(&mut self, id: u32, slot: usize) {
        let Some(conn) = self.conns.get(id) else { return };
        let Some(Some(subscription)) = conn.session.subscriptions.get(slot) else { return };
        let Stage::Asked { request, floor, audit: None, .. } = subscription.stage else { return };
        let Some(start) = self.beginning(subscription.source, floor) else { return };
        if !self.conns.get_mut(id).is_some_and(|conn| conn.takes_reply(request)) {
            // Its first event is simply what it is owed.
            let unchanged = if start.data.is_none() { start.seen } else { 0 };
            hold(&mut self.conns, id, slot, floor.unwrap_or_default(), unchanged);
            return self.catch_up(id, slot);
        }
        let Beginning { position, seen, data, recovered } = start;
        let start = match (recovered, floor) {
            (true, Some(held)) => {
                Start::Recovered { position, held: held.version, missed: data.as_deref() }
            }
            _ => match data.as_deref() {
                Some(data) => Start::Snapshot { position, data, was_recovering: floor.is_some() },
                None => return,
            },
        };
        hold(&mut self.conns, id, slot, position, seen);
        self.conns.reply(id, &Reply::Subscribe { id: request, start });
    }

    /// How a subscription of `source` begins for a client that holds `floor`; `None` while that cannot be said.
    fn beginning(&mut self, source: u32, floor: Option<Position>) -> Option<Beginning> {
        let behind = |position: Position| {
            floor.is_some_and(|floor| owed(floor, position, None) == Owed::Behind)
        };
        if let Some(now) = ticket_now(&self.sources, source) {
            if behind(now.position) {
                return None;
            }
            let same_epoch = floor.is_some_and(|floor| floor.epoch == now.position.epoch);
            let missed = floor != Some(now.position);
            return Some(Beginning {
                position: now.position,
                seen: now.seen.fingerprint(),
                data: missed.then(|| raw(&now.seen)),
                recovered: same_epoch,
            });
        }
        let Some(HotView { live: Some(live), aggregate, channel, .. }) =
            hot_mut(&mut self.sources, source)
        else {
            return None;
        };
        let position = live.view.position;
        if behind(position) {
            return None;
        }
        let (recovered, data) = match floor.map(|floor| owed(floor, position, None)) {
            Some(Owed::Nothing) => (true, None),
            Some(Owed::Since(version)) => {
                let held = Position { version, ..position };
                match self.links.tails.since(
                    aggregate,
                    &channel.to_string(),
                    held,
                    position.version,
                ) {
                    Some(delta) => (true, Some(raw(&delta))),
                    None => (false, Some(live.snapshot().to_owned())),
                }
            }
            _ => (false, Some(live.snapshot().to_owned())),
        };
        Some(Beginning { position, seen: 0, data, recovered })
    }

    /// Sends a live subscription what it lacks, from wherever it stands.
    pub(super) fn catch_up(&mut self, id: u32, slot: usize) {
        let Some(conn) = self.conns.get(id) else { return };
        let Some(Some(subscription)) = conn.session.subscriptions.get(slot) else { return };
        let Stage::Live { held, seen } = subscription.stage else { return };
        let (form, index, channel) = (conn.form, subscription.source, subscription.channel.clone());
        if let Some(now) = ticket_now(&self.sources, index) {
            if held.epoch < now.position.epoch && form.resubscribes() {
                return self.end(id, slot, Close::InsufficientState);
            }
            let fingerprint = now.seen.fingerprint();
            if seen != fingerprint && held <= now.position {
                let (position, data) = (now.position, raw(&now.seen));
                self.send(id, slot, &channel, Kind::State, position, fingerprint, &data);
            }
            return;
        }
        let Some(HotView { live: Some(live), aggregate, .. }) = hot_mut(&mut self.sources, index)
        else {
            return;
        };
        let position = live.view.position;
        let (kind, data) = match owed(held, position, None) {
            Owed::Nothing | Owed::Behind | Owed::Step => return,
            Owed::Snapshot if form.resubscribes() => {
                return self.end(id, slot, Close::InsufficientState);
            }
            Owed::Snapshot => (Kind::Snapshot, live.snapshot().to_owned()),
            Owed::Since(_) => {
                match self.links.tails.since(
                    aggregate,
                    &channel.to_string(),
                    held,
                    position.version,
                ) {
                    Some(delta) => (Kind::Delta, raw(&delta)),
                    None => (Kind::Snapshot, live.snapshot().to_owned()),
                }
            }
        };
        self.send(id, slot, &channel, kind, position, 0, &data);
    }

    #[expect(clippy::too_many_arguments, reason = "one frame is exactly these facts")]
    fn send(
        &mut self,
        id: u32,
        slot: usize,
        channel: &schemas::channel::Channel,
        kind: Kind,
        position: Position,
        seen: u64,
        data: &RawValue,
    ) {
        let Some(form) = self.conns.get(id).map(|conn| conn.form) else { return };
        self.frames.clear();
        let frame = self
            .frames
            .get(form, |buffer| frames::shared(form, buffer, channel, kind, position, &data));
        if self.conns.send_state(id, slot, position, frame) == Sent::Yes {
            hold(&mut self.conns, id, slot, position, seen);
        }
    }
}

/// What the patient of a watched ticket sees now; `None` while its line is not at hand.
fn ticket_now(sources: &Slab<Source>, index: u32) -> Option<Now<'_>> {
    let Some(Source::Ticket(Watch { place, ticket, .. })) = sources.get(index as usize) else {
        return None;
    };
    match place {
        Place::Unknown => None,
        Place::Ended { position, view } => {
            Some(Now { position: *position, seen: view.as_view_ref() })
        }
        Place::In { queue, version, .. } => {
            let Some(HotView { live: Some(Live { view, line: Some(line), .. }), .. }) =
                hot(sources, *queue)
            else {
                return None;
            };
            let position =
                Position { version: view.position.version.max(*version), ..view.position };
            Some(Now { position, seen: line.ticket_view_ref(ticket)? })
        }
    }
}

/// How a subscription begins.
struct Beginning {
    position: Position,
    seen: u64,
    /// The snapshot or state, or what was missed when `recovered`.
    data: Option<Box<RawValue>>,
    recovered: bool,
}

/// Moves a subscription's mark.
fn hold(conns: &mut super::Conns, id: u32, slot: usize, held: Position, seen: u64) {
    if let Some(conn) = conns.get_mut(id)
        && let Some(Some(subscription)) = conn.session.subscriptions.get_mut(slot)
    {
        subscription.stage = Stage::Live { held, seen };
    }
}
