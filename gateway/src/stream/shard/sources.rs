//! What subscriptions listen to: hot views, folded here while somebody listens, and tickets, each derived
//! from the view of the queue it stands in.

use std::collections::HashMap;

use schemas::{
    channel::Channel,
    codes::Code,
    ids::{Aggregate, TicketId},
    line::{Line, TICKET_KEY},
    ticket::{TicketEntry, TicketView},
    view::{Delta, Fold, Position, View, raw},
};
use serde_json::value::RawValue;
use slab::Slab;

use super::{Shard, ToShard, pace::Pace};
use crate::stream::tails::{Step, delta_of};

/// Loads of one view in a row that may turn out too old before its listeners are told to try again.
const MAX_ATTEMPTS: u8 = 3;

/// (connection, slot of its subscription).
pub type Listener = (u32, u32);

/// The views of one aggregate that this shard holds.
#[derive(Default)]
pub struct Named {
    epoch: u64,
    views: HashMap<String, u32>,
}

pub enum Source {
    /// Boxed: tickets are many, and each would be as large as the largest.
    View(Box<HotView>),
    Ticket(Watch),
}

/// A keyed view with listeners: of its own, or of tickets in it.
pub struct HotView {
    pub aggregate: Aggregate,
    pub channel: Channel,
    pub live: Option<Live>,
    load: Load,
    pub listeners: Vec<Listener>,
    /// Sources of the tickets that stand in this queue.
    pub watches: Vec<u32>,
    /// What happened since the last step was sent, merged.
    pub step: Option<Delta>,
    pub pace: Pace,
}

pub struct Live {
    pub view: View,
    pub line: Option<Line>,
    /// The view as JSON, once somebody needed it at this version.
    snapshot: Option<Box<RawValue>>,
}

impl Live {
    pub fn snapshot(&mut self) -> &RawValue {
        self.snapshot.get_or_insert_with(|| raw(&self.view))
    }
}

/// A ticket somebody follows.
pub struct Watch {
    pub aggregate: Aggregate,
    pub ticket: TicketId,
    pub place: Place,
    load: Load,
    pub listeners: Vec<Listener>,
}

pub enum Place {
    Unknown,
    /// In the queue of that source, which names this watch at `listed`; known since `version`.
    In {
        queue: u32,
        listed: u32,
        version: u64,
    },
    Ended {
        position: Position,
        view: Box<TicketView>,
    },
}

/// A load under way, told from an older one by its number; 0 is none.
#[derive(Default)]
struct Load {
    number: u64,
    attempts: u8,
}

/// The answer to a load.
pub struct Loaded {
    source: u32,
    number: u64,
    result: Result<Option<View>, Code>,
}

/// The view of source `index`, if it is one.
pub fn hot(sources: &Slab<Source>, index: u32) -> Option<&HotView> {
    match sources.get(index as usize) {
        Some(Source::View(view)) => Some(view),
        _ => None,
    }
}

/// The same, to change.
pub fn hot_mut(sources: &mut Slab<Source>, index: u32) -> Option<&mut HotView> {
    match sources.get_mut(index as usize) {
        Some(Source::View(view)) => Some(view),
        _ => None,
    }
}

impl Source {
    pub fn listeners(&self) -> &Vec<Listener> {
        match self {
            Source::View(hot) => &hot.listeners,
            Source::Ticket(watch) => &watch.listeners,
        }
    }

    pub fn listeners_mut(&mut self) -> &mut Vec<Listener> {
        match self {
            Source::View(hot) => &mut hot.listeners,
            Source::Ticket(watch) => &mut watch.listeners,
        }
    }

    fn load_mut(&mut self) -> &mut Load {
        match self {
            Source::View(hot) => &mut hot.load,
            Source::Ticket(watch) => &mut watch.load,
        }
    }

    fn aggregate(&self) -> &Aggregate {
        match self {
            Source::View(hot) => &hot.aggregate,
            Source::Ticket(watch) => &watch.aggregate,
        }
    }

    /// The name of the stored view.
    fn name(&self) -> String {
        match self {
            Source::View(hot) => hot.channel.to_string(),
            Source::Ticket(watch) => Channel::Ticket(watch.ticket.clone()).to_string(),
        }
    }

    fn is_idle(&self) -> bool {
        match self {
            Source::View(hot) => hot.listeners.is_empty() && hot.watches.is_empty(),
            Source::Ticket(watch) => watch.listeners.is_empty(),
        }
    }
}

impl Shard {
    /// The source behind a channel; the first who asks has it loaded.
    pub(super) fn open(&mut self, aggregate: &Aggregate, channel: &Channel) -> u32 {
        let name = channel.to_string();
        if let Some(source) = self.names.get(aggregate).and_then(|named| named.views.get(&name)) {
            return *source;
        }
        let source = match channel {
            Channel::Ticket(ticket) => Source::Ticket(Watch {
                aggregate: aggregate.clone(),
                ticket: ticket.clone(),
                place: Place::Unknown,
                load: Load::default(),
                listeners: Vec::new(),
            }),
            _ => Source::View(Box::new(HotView {
                aggregate: aggregate.clone(),
                channel: channel.clone(),
                live: None,
                load: Load::default(),
                listeners: Vec::new(),
                watches: Vec::new(),
                step: None,
                pace: Pace::default(),
            })),
        };
        let index = self.sources.insert(source) as u32;
        if !self.names.contains_key(aggregate) {
            self.links.tails.listen(aggregate, self.links.index);
        }
        let named = self.names.entry(aggregate.clone()).or_default();
        named.views.insert(name, index);
        match channel {
            Channel::Ticket(ticket) if self.stand_where_seen(index, aggregate, ticket) => {}
            _ => self.load(index),
        }
        index
    }

    /// Finds a ticket in a line this shard holds anyway, which saves asking the store where it stands.
    fn stand_where_seen(&mut self, watch: u32, aggregate: &Aggregate, ticket: &TicketId) -> bool {
        let Some(named) = self.names.get(aggregate) else { return false };
        let queue = named.views.values().copied().find(|source| {
            let line =
                hot(&self.sources, *source).and_then(|view| view.live.as_ref()?.line.as_ref());
            line.is_some_and(|line| line.contains(ticket))
        });
        queue.is_some_and(|queue| {
            self.stand(watch, queue, 0);
            true
        })
    }

    /// Lets a watch follow the queue of source `queue`.
    fn stand(&mut self, watch: u32, queue: u32, version: u64) {
        // Told twice, by its load and by a record: leaving the queue first would close it for want of listeners.
        if let Some(Source::Ticket(Watch {
            place: Place::In { queue: here, version: known, .. },
            ..
        })) = self.sources.get_mut(watch as usize)
            && *here == queue
        {
            *known = version.max(*known);
            return;
        }
        self.step_out(watch);
        let Some(Source::View(hot)) = self.sources.get_mut(queue as usize) else { return };
        let listed = hot.watches.len() as u32;
        hot.watches.push(watch);
        if let Some(Source::Ticket(watch)) = self.sources.get_mut(watch as usize) {
            watch.place = Place::In { queue, listed, version };
        }
    }

    /// Takes a watch out of its queue.
    fn step_out(&mut self, index: u32) {
        let Some(Source::Ticket(watch)) = self.sources.get_mut(index as usize) else { return };
        let Place::In { queue, listed, .. } = std::mem::replace(&mut watch.place, Place::Unknown)
        else {
            return;
        };
        let Some(Source::View(hot)) = self.sources.get_mut(queue as usize) else { return };
        hot.watches.swap_remove(listed as usize);
        let moved = hot.watches.get(listed as usize).copied();
        if let Some(Source::Ticket(Watch { place: Place::In { listed: place, .. }, .. })) =
            moved.and_then(|moved| self.sources.get_mut(moved as usize))
        {
            *place = listed;
        }
        self.close_if_idle(queue);
    }

    /// Forgets a source nobody needs any more.
    fn close_if_idle(&mut self, index: u32) {
        if !self.sources.get(index as usize).is_some_and(Source::is_idle) {
            return;
        }
        self.step_out(index);
        let source = self.sources.remove(index as usize);
        let aggregate = source.aggregate();
        if let Some(named) = self.names.get_mut(aggregate) {
            named.views.remove(&source.name());
            if named.views.is_empty() {
                self.names.remove(aggregate);
                self.links.tails.leave(aggregate, self.links.index);
            }
        }
    }

    /// Ends a subscription on this side: nobody is told.
    pub(super) fn leave(&mut self, id: u32, slot: usize) {
        let Some(conn) = self.conns.get_mut(id) else { return };
        let Some(subscription) = conn.session.subscriptions.get_mut(slot).and_then(Option::take)
        else {
            return;
        };
        self.links.metrics.subscriptions.of(&subscription.channel).dec();
        let Some(source) = self.sources.get_mut(subscription.source as usize) else { return };
        let listed = subscription.listed as usize;
        source.listeners_mut().swap_remove(listed);
        if let Some((moved, moved_slot)) = source.listeners().get(listed).copied()
            && let Some(Some(moved)) = (self.conns.get_mut(moved))
                .and_then(|conn| conn.session.subscriptions.get_mut(moved_slot as usize))
        {
            moved.listed = subscription.listed;
        }
        self.close_if_idle(subscription.source);
    }

    /// Asks for a source's view, never older than what intake has seen of it.
    fn load(&mut self, index: u32) {
        self.loads += 1;
        let number = self.loads;
        let Some(source) = self.sources.get_mut(index as usize) else { return };
        source.load_mut().number = number;
        let (aggregate, name) = (source.aggregate().clone(), source.name());
        let floor = self.links.tails.floor(&aggregate, &name);
        let (reader, inbox) = (self.links.reader.clone(), self.links.inbox.clone());
        self.links.node.spawn(async move {
            let result = reader.load(&aggregate, &name, floor).await;
            let _ = inbox.send(ToShard::Loaded(Loaded { source: index, number, result })).await;
        });
    }

    /// Loads a source again: what it holds is not current. Its listeners keep what they have meanwhile.
    pub(super) fn reload(&mut self, index: u32) {
        match self.sources.get_mut(index as usize) {
            Some(Source::View(hot)) => {
                hot.live = None;
                hot.step = None;
            }
            // A version of an epoch that may be over; the queue's own, loaded again too, is never below it.
            Some(Source::Ticket(Watch { place: Place::In { version, .. }, .. })) => *version = 0,
            Some(Source::Ticket(_)) | None => {}
        }
        self.load(index);
    }

    pub(super) fn loaded(&mut self, loaded: Loaded) {
        let index = loaded.source;
        let Some(source) = self.sources.get_mut(index as usize) else { return };
        if source.load_mut().number != loaded.number {
            return;
        }
        let (aggregate, name) = (source.aggregate().clone(), source.name());
        let view = match loaded.result {
            Ok(view) => self.join_tail(&aggregate, &name, view),
            Err(code) => return self.load_failed(index, code),
        };
        match view {
            Joined::Current(view) => self.place_view(index, &aggregate, view),
            Joined::Absent => self.refuse_all(index, Code::UnknownChannel),
            Joined::TooOld => {
                let load = self.sources[index as usize].load_mut();
                load.attempts += 1;
                if load.attempts < MAX_ATTEMPTS {
                    self.load(index);
                } else {
                    self.load_failed(index, Code::TryAgain);
                }
            }
        }
    }

    /// Continues a snapshot from the tail: drops what it contains, applies the rest.
    fn join_tail(&self, aggregate: &Aggregate, name: &str, view: Option<View>) -> Joined {
        let steps = self.links.tails.steps(aggregate);
        let mut view = match view {
            Some(view) => view,
            None => match steps.iter().find(|step| delta_of(step, name).is_some()) {
                // Created so recently that no store had it: its whole life is in the tail.
                Some(step) => View::empty(step.position.epoch),
                None => return Joined::Absent,
            },
        };
        for step in &steps {
            if step.position.epoch > view.position.epoch {
                return Joined::TooOld;
            }
            if step.position.epoch == view.position.epoch
                && let Some(delta) = delta_of(step, name)
                && view.fold(delta) == Fold::Gap
            {
                return Joined::TooOld;
            }
        }
        Joined::Current(view)
    }

    fn place_view(&mut self, index: u32, aggregate: &Aggregate, view: View) {
        if let Some(named) = self.names.get_mut(aggregate) {
            named.epoch = named.epoch.max(view.position.epoch);
        }
        let source = &mut self.sources[index as usize];
        *source.load_mut() = Load::default();
        match source {
            Source::View(hot) => {
                let line = match &hot.channel {
                    Channel::Queue(queue) => match Line::from_view(queue.clone(), &view) {
                        Ok(line) => Some(line),
                        Err(error) => {
                            tracing::error!(%error, "a queue's view cannot be read");
                            return self.load_failed(index, Code::Internal);
                        }
                    },
                    _ => None,
                };
                hot.live = Some(Live { view, line, snapshot: None });
                // Nobody knows whether a step it contains was urgent.
                hot.pace.hurry();
                self.changed.push(index);
            }
            Source::Ticket(_) => match view.entries.get(TICKET_KEY) {
                Some(entry) => self.place_ticket(index, entry, view.position),
                None => self.refuse_all(index, Code::UnknownChannel),
            },
        }
    }

    /// A ticket stands in a queue, or has ended.
    fn place_ticket(&mut self, index: u32, entry: &RawValue, position: Position) {
        let place = match serde_json::from_str(entry.get()) {
            Ok(place) => place,
            Err(error) => {
                let column = serde_json::Error::column(&error);
                tracing::error!(column, "a ticket's place cannot be read");
                return;
            }
        };
        let Some(Source::Ticket(watch)) = self.sources.get(index as usize) else { return };
        let aggregate = watch.aggregate.clone();
        match place {
            TicketEntry::In(queue) => {
                let queue = self.open(&aggregate, &Channel::Queue(queue));
                self.stand(index, queue, position.version);
            }
            TicketEntry::Ended(view) => {
                self.step_out(index);
                if let Some(Source::Ticket(watch)) = self.sources.get_mut(index as usize) {
                    watch.place = Place::Ended { position, view };
                }
            }
        }
        self.changed.push(index);
    }

    /// A load that failed: who asked is told, who was answered before is served by a later one.
    fn load_failed(&mut self, index: u32, code: Code) {
        if let Some(source) = self.sources.get_mut(index as usize) {
            *source.load_mut() = Load::default();
            self.retry.push(index);
        }
        self.refuse_all(index, code);
    }

    /// Refuses everybody who still waits for this source, directly or by a ticket in it.
    fn refuse_all(&mut self, index: u32, code: Code) {
        let Some(source) = self.sources.get(index as usize) else { return };
        let mut waiting = source.listeners().clone();
        if let Source::View(hot) = source {
            for watch in &hot.watches {
                waiting.extend(self.sources[*watch as usize].listeners());
            }
        }
        for (id, slot) in waiting {
            self.refuse(id, slot as usize, code);
        }
    }

    /// Folds a record into the views it touches that are held here.
    pub(super) fn fold(&mut self, step: &Step) {
        let Some(named) = self.names.get_mut(&step.aggregate) else { return };
        if step.position.epoch > named.epoch {
            // A new life of the aggregate: nothing folded so far means anything in it.
            let begins = std::mem::replace(&mut named.epoch, step.position.epoch) == 0;
            if !begins {
                for source in named.views.values().copied().collect::<Vec<_>>() {
                    self.reload(source);
                }
                return;
            }
        }
        let Some(record) = step.record() else { return };
        // Lines first: a ticket that moves is then already in the line it moves to.
        for tickets in [false, true] {
            for delta in
                record.deltas.iter().filter(|delta| delta.view.starts_with("ticket:") == tickets)
            {
                let source = self
                    .names
                    .get(&step.aggregate)
                    .and_then(|named| named.views.get(&delta.view))
                    .copied();
                let Some(index) = source else { continue };
                match &mut self.sources[index as usize] {
                    Source::View(hot) => match hot.fold(step.position.epoch, &delta.delta) {
                        Fold::Applied => {
                            if delta.urgent {
                                hot.pace.hurry();
                            }
                            self.changed.push(index);
                        }
                        Fold::Dropped => {}
                        Fold::Gap => self.reload(index),
                    },
                    Source::Ticket(_) => {
                        if let Some(entry) = delta.delta.set.get(TICKET_KEY) {
                            self.place_ticket(
                                index,
                                entry,
                                Position { version: delta.delta.to, ..step.position },
                            );
                        }
                    }
                }
            }
        }
    }
}

/// What became of a snapshot that was joined with the tail.
enum Joined {
    Current(View),
    /// There is no such view.
    Absent,
    /// Steps are missing between the two.
    TooOld,
}

impl HotView {
    /// `Dropped` also while it is being loaded: the tail holds the step.
    fn fold(&mut self, epoch: u64, delta: &Delta) -> Fold {
        let Some(live) = &mut self.live else { return Fold::Dropped };
        if live.view.position.epoch != epoch {
            return if live.view.position.epoch < epoch { Fold::Gap } else { Fold::Dropped };
        }
        let fold = live.view.fold(delta);
        if fold == Fold::Applied {
            live.snapshot = None;
            if let Some(line) = &mut live.line
                && let Err(error) = line.apply(delta)
            {
                tracing::error!(%error, "a step of a queue's view cannot be read");
                return Fold::Gap;
            }
            match &mut self.step {
                Some(step) => {
                    step.merge(delta);
                }
                None => self.step = Some(delta.clone()),
            }
        }
        fold
    }
}
