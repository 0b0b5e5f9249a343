//! The hot views of a shard: opening and closing them, their listeners and watched tickets, and
//! folding the stream into them.

mod confirming;
mod fetching;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    rc::Rc,
};

use gateway_core::subscription::{HotViewId, ListenerIndex};
use schemas::{
    channel::Channel,
    ids::{Aggregate, TicketId},
    line::TICKET_KEY,
    ticket::TicketEntry,
    view::{Fold, Position},
};
use serde_json::value::RawValue;
use telemetry::TraceContext;
use tokio::time::Instant;

use self::confirming::Confirmation;
pub use self::fetching::Refusal;
use super::{
    context::ShardContext,
    hot_view::{HotView, HotViewKind, KeyedView, LiveView, TicketNow, TicketStanding, TicketWatch},
    traced::TracedViews,
    typed_slab::TypedSlab,
};
use crate::{
    inbox::ids::{FetchId, SubscriptionId, TicketIndex},
    views::tails::TailRecord,
};

pub struct HotViews {
    context: Rc<ShardContext>,
    views: TypedSlab<HotViewId, HotView>,
    by_aggregate: HashMap<Aggregate, AggregateViews>,
    /// Views for the next round of the sweep. Some may have been closed since.
    changed: Vec<HotViewId>,
    /// Views that this round of the sweep still serves. Some may have been closed since.
    sweeping: VecDeque<HotViewId>,
    /// Views whose step waits until then, because their last step was sent a moment ago. An entry
    /// may be stale.
    delayed: BTreeSet<(Instant, HotViewId)>,
    /// Views whose fetch failed. Some may have been closed since.
    retry: Vec<HotViewId>,
    next_fetch: FetchId,
    /// Views about which the authority is being asked.
    confirming: HashMap<HotViewId, Confirmation>,
    /// Views that sampled records changed.
    traced: TracedViews,
}

/// The hot views of one aggregate.
#[derive(Default)]
struct AggregateViews {
    /// The newest epoch seen, or 0 before the first.
    epoch: u64,
    /// In order, so that a simulated run is repeatable.
    by_name: BTreeMap<String, HotViewId>,
}

impl HotViews {
    pub fn new(context: Rc<ShardContext>) -> Self {
        Self {
            context,
            views: TypedSlab::default(),
            by_aggregate: HashMap::new(),
            changed: Vec::new(),
            sweeping: VecDeque::new(),
            delayed: BTreeSet::new(),
            retry: Vec::new(),
            next_fetch: FetchId::FIRST,
            confirming: HashMap::new(),
            traced: TracedViews::default(),
        }
    }

    /// Finds a view that may have been closed, and whose id may be in use again.
    pub fn find(&self, id: HotViewId) -> Option<&HotView> {
        self.views.get(id)
    }

    /// The view of an id that a subscription, a ticket or a name holds, which is never missing: a
    /// view is closed only when nobody needs it.
    pub fn get(&self, id: HotViewId) -> Option<&HotView> {
        let view = self.views.get(id);
        debug_assert!(view.is_some(), "a view with listeners or tickets stays open");
        view
    }

    /// Like [`HotViews::find`], to change the view.
    pub fn find_mut(&mut self, id: HotViewId) -> Option<&mut HotView> {
        self.views.get_mut(id)
    }

    /// Like [`HotViews::get`], to change the view.
    pub fn get_mut(&mut self, id: HotViewId) -> Option<&mut HotView> {
        let view = self.views.get_mut(id);
        debug_assert!(view.is_some(), "a view with listeners or tickets stays open");
        view
    }

    /// The id of an open view.
    fn find_by_name(&self, aggregate: &Aggregate, name: &str) -> Option<HotViewId> {
        self.by_aggregate.get(aggregate)?.by_name.get(name).copied()
    }

    /// The view behind a channel. The first call opens and fetches it, for a client that holds
    /// `claim`.
    pub fn open(
        &mut self,
        aggregate: &Aggregate,
        channel: &Channel,
        claim: Option<Position>,
    ) -> HotViewId {
        let name = channel.to_string();
        if let Some(id) = self.find_by_name(aggregate, &name) {
            return id;
        }
        let id = self.views.insert(HotView::new(aggregate.clone(), channel.clone()));
        if !self.by_aggregate.contains_key(aggregate) {
            self.context.node.tails.listen(aggregate, self.context.index);
        }
        self.by_aggregate.entry(aggregate.clone()).or_default().by_name.insert(name, id);
        // A ticket in a line that is hot already needs no fetch to find its queue.
        let queue = match channel {
            Channel::Ticket(ticket) => self.find_queue_with(aggregate, ticket),
            _ => None,
        };
        match queue {
            Some(queue) => self.enter_queue(id, queue, 0),
            // The position of a ticket's client is that of its queue, which is fetched next.
            None if matches!(channel, Channel::Ticket(_)) => self.fetch(id, None),
            None => {
                if let Some(view) = self.get_mut(id).filter(|_| claim.is_some()) {
                    view.claim_checked = Some(Instant::now());
                }
                self.fetch(id, claim);
            }
        }
        id
    }

    /// Finds a hot queue in which the ticket stands.
    fn find_queue_with(&self, aggregate: &Aggregate, ticket: &TicketId) -> Option<HotViewId> {
        self.by_aggregate.get(aggregate)?.by_name.values().copied().find(|id| {
            let keyed = self.get(*id).and_then(HotView::keyed);
            let line = keyed.and_then(|keyed| keyed.live.as_ref()?.line.as_ref());
            line.is_some_and(|line| line.contains(ticket))
        })
    }

    /// Forgets a view that nobody needs any more.
    fn close_if_idle(&mut self, id: HotViewId) {
        if !self.get(id).is_some_and(HotView::is_idle) {
            return;
        }
        self.leave_queue(id);
        let Some(view) = self.views.remove(id) else { return };
        self.confirming.remove(&id);
        self.traced.take(id);
        if let Some(views) = self.by_aggregate.get_mut(&view.aggregate) {
            views.by_name.remove(&view.name());
            if views.by_name.is_empty() {
                self.by_aggregate.remove(&view.aggregate);
                self.context.node.tails.leave(&view.aggregate, self.context.index);
            }
        }
    }

    /// Removes a listener, and closes the view if it was the last. Returns the listener that has
    /// moved to `listed`, if any.
    pub fn remove_listener(
        &mut self,
        id: HotViewId,
        listed: ListenerIndex,
    ) -> Option<SubscriptionId> {
        let moved = self.get_mut(id)?.remove_listener(listed);
        self.close_if_idle(id);
        moved
    }

    /// Lets a ticket follow the queue of another hot view.
    fn enter_queue(&mut self, id: HotViewId, queue: HotViewId, since: u64) {
        // A fetch and a record may both name the queue where the ticket already is. Leaving the
        // queue first could close it.
        if let Some(TicketWatch { standing, .. }) = self.get_mut(id).and_then(HotView::watch_mut)
            && let TicketStanding::InQueue { queue: current, version, .. } = standing
            && *current == queue
        {
            *version = since.max(*version);
            return;
        }
        self.leave_queue(id);
        let Some(keyed) = self.get_mut(queue).and_then(HotView::keyed_mut) else { return };
        let listed = TicketIndex::from_index(keyed.tickets.len());
        keyed.tickets.push(id);
        if let Some(watch) = self.get_mut(id).and_then(HotView::watch_mut) {
            watch.standing = TicketStanding::InQueue { queue, listed, version: since };
        }
    }

    /// Takes a ticket out of its queue, if it is in one, and closes the queue if it was the last
    /// need.
    fn leave_queue(&mut self, id: HotViewId) {
        let Some(watch) = self.get_mut(id).and_then(HotView::watch_mut) else { return };
        let standing = std::mem::replace(&mut watch.standing, TicketStanding::Unknown);
        let TicketStanding::InQueue { queue, listed, .. } = standing else { return };
        let Some(keyed) = self.get_mut(queue).and_then(HotView::keyed_mut) else { return };
        keyed.tickets.swap_remove(listed.index());
        if let Some(moved) = keyed.tickets.get(listed.index()).copied()
            && let Some(watch) = self.get_mut(moved).and_then(HotView::watch_mut)
            && let TicketStanding::InQueue { listed: index, .. } = &mut watch.standing
        {
            *index = listed;
        }
        self.close_if_idle(queue);
    }

    /// Folds a record into the hot views that it changes.
    pub fn fold(&mut self, record: &TailRecord) {
        // The shard may have stopped listening while the record was on its way.
        let Some(views) = self.by_aggregate.get_mut(&record.aggregate) else { return };
        if record.position.epoch > views.epoch {
            let is_first = std::mem::replace(&mut views.epoch, record.position.epoch) == 0;
            if !is_first {
                // A new epoch of the aggregate: everything folded so far belongs to the old one,
                // and the view store may still hold it.
                return self.refetch_aggregate(&record.aggregate);
            }
        }
        let Some(content) = record.content() else { return };
        if content.reload {
            return self.refetch_aggregate(&record.aggregate);
        }
        // Queues first, so that a ticket that moves is already in the line to which it moves.
        for of_tickets in [false, true] {
            let is_wanted = |name: &str| name.starts_with("ticket:") == of_tickets;
            for delta in content.deltas.iter().filter(|delta| is_wanted(&delta.view)) {
                if let Some(id) = self.find_by_name(&record.aggregate, &delta.view) {
                    let before = self.changed.len();
                    self.fold_delta(id, record.position, delta);
                    if let Some(trace) = &record.trace
                        && self.changed.len() > before
                    {
                        self.traced.add(id, trace);
                    }
                }
            }
        }
    }

    fn fold_delta(
        &mut self,
        id: HotViewId,
        position: Position,
        change: &schemas::record::ViewDelta,
    ) {
        let Some(view) = self.get_mut(id) else { return };
        match &mut view.kind {
            HotViewKind::Keyed(keyed) => match keyed.fold(position.epoch, &change.delta) {
                Fold::Applied => {
                    if change.urgent {
                        keyed.pace.hurry();
                    }
                    self.changed.push(id);
                }
                Fold::Dropped => {}
                Fold::Gap => self.refetch(id),
            },
            HotViewKind::Ticket(_) if change.delta.omitted => self.refetch(id),
            HotViewKind::Ticket(_) => {
                if let Some(entry) = change.delta.set.get(TICKET_KEY) {
                    let position = Position { version: change.delta.to, ..position };
                    self.place_ticket(id, entry, position);
                }
            }
        }
    }

    /// Places a ticket in its queue, or ends it, as its stored entry says.
    fn place_ticket(&mut self, id: HotViewId, entry: &RawValue, position: Position) {
        let place = match serde_json::from_str(entry.get()) {
            Ok(place) => place,
            Err(error) => {
                let column = error.column();
                tracing::error!(column, "the place of a ticket cannot be read");
                return;
            }
        };
        match place {
            TicketEntry::In(queue) => {
                let Some(aggregate) = self.get(id).map(|view| view.aggregate.clone()) else {
                    return;
                };
                let queue = self.open(&aggregate, &Channel::Queue(queue), None);
                self.enter_queue(id, queue, position.version);
            }
            TicketEntry::Ended(view) => {
                self.leave_queue(id);
                if let Some(watch) = self.get_mut(id).and_then(HotView::watch_mut) {
                    watch.standing = TicketStanding::Ended { position, view };
                }
            }
        }
        self.changed.push(id);
    }

    /// The state of a watched ticket as its patient sees it now. `None` for a keyed view, and while
    /// the ticket's line is not at hand.
    pub fn ticket_now(&self, id: HotViewId) -> Option<TicketNow<'_>> {
        let TicketWatch { ticket, standing } = self.get(id)?.watch()?;
        match standing {
            TicketStanding::Unknown => None,
            TicketStanding::Ended { position, view } => {
                Some(TicketNow { position: *position, seen: view.as_view_ref() })
            }
            TicketStanding::InQueue { queue, version, .. } => {
                let LiveView { view, line, .. } = self.get(*queue)?.keyed()?.live.as_ref()?;
                let version = view.position.version.max(*version);
                let position = Position { version, ..view.position };
                Some(TicketNow { position, seen: line.as_ref()?.ticket_view_ref(ticket)? })
            }
        }
    }

    /// Takes the next view for the sweep. A round of the sweep serves every view once that had
    /// changed when the round began, and the tickets in them: a slice of its listeners if they are
    /// a crowd. So neither a crowd nor a view that changes all the time delays the listeners of
    /// another view.
    pub fn next_changed(&mut self) -> Option<HotViewId> {
        if self.sweeping.is_empty() {
            let Self { changed, sweeping, views, .. } = self;
            changed.sort_unstable();
            for same in changed.chunk_by(|a, b| a == b) {
                let keyed = views.get_mut(same[0]).and_then(HotView::keyed_mut);
                if let Some(fanout) = keyed.and_then(|keyed| keyed.fanout.as_mut()) {
                    // One entry is that of `sweep_further`.
                    fanout.has_changed |= same.len() > 1;
                }
                sweeping.push_back(same[0]);
            }
            changed.clear();
        }
        self.sweeping.pop_front()
    }

    /// Returns whether the sweep has views to serve.
    pub fn has_changed(&self) -> bool {
        !self.sweeping.is_empty() || !self.changed.is_empty()
    }

    /// Lets the next round of the sweep serve a view further, or again.
    pub fn sweep_further(&mut self, id: HotViewId) {
        self.changed.push(id);
    }

    /// Lets the sweep serve the tickets of a queue.
    pub fn sweep_tickets_of(&mut self, id: HotViewId) {
        let keyed = self.views.get(id).and_then(HotView::keyed);
        self.sweeping.extend(keyed.into_iter().flat_map(|keyed| keyed.tickets.iter().copied()));
    }

    /// Checks the pace of a changed view. Returns whether its step may be sent now. If not, the
    /// view is marked for later.
    pub fn may_send_step(&mut self, id: HotViewId, now: Instant) -> bool {
        let Some(KeyedView { channel, step, pace, .. }) =
            self.get_mut(id).and_then(HotView::keyed_mut)
        else {
            return false;
        };
        match pace.waits_until(channel, now) {
            Some(until) => {
                self.delayed.insert((until, id));
                false
            }
            None => {
                if step.is_some() {
                    pace.step_sent(now);
                }
                true
            }
        }
    }

    /// Takes the newest sampled record that changed a view since it was last sent.
    pub fn take_trace(&mut self, id: HotViewId) -> Option<TraceContext> {
        self.traced.take(id)
    }

    /// Notes that a sampled record changed a view.
    pub fn add_trace(&mut self, id: HotViewId, record: &TraceContext) {
        self.traced.add(id, record);
    }

    /// When the next delayed view is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.delayed.first().map(|(due, _)| *due)
    }

    /// Marks the delayed views that are due by `now` as changed. The step of such a view may have
    /// been sent meanwhile, or the view closed; the sweep then finds nothing to send.
    pub fn mark_due(&mut self, now: Instant) {
        while let Some((_, id)) = self.delayed.first().filter(|(due, _)| *due <= now).copied() {
            self.delayed.pop_first();
            self.changed.push(id);
        }
    }
}
