//! A hot view: a view that a shard keeps current while it has listeners. It is either keyed, folded
//! from the stream, or the view of one ticket, derived from the queue in which the ticket stands.

use std::vec;

use gateway_core::subscription::{HotViewId, ListenerIndex};
use schemas::{
    channel::Channel,
    ids::{Aggregate, TicketId},
    line::Line,
    ticket::{TicketView, TicketViewRef},
    view::{Delta, Fold, Position, View, raw},
};
use serde_json::value::RawValue;
use tokio::{task::AbortHandle, time::Instant};

use super::pace::Pace;
use crate::inbox::ids::{FetchId, SubscriptionId, TicketIndex};

pub struct HotView {
    pub aggregate: Aggregate,
    pub fetch: FetchState,
    /// When a client's claim to a later position was last followed by a fetch.
    pub claim_checked: Option<Instant>,
    pub kind: HotViewKind,
    listeners: Vec<SubscriptionId>,
}

pub enum HotViewKind {
    /// Boxed: tickets are many, and each would be as large as a keyed view.
    Keyed(Box<KeyedView>),
    Ticket(TicketWatch),
}

/// A keyed view with listeners of its own, or with watched tickets.
pub struct KeyedView {
    pub channel: Channel,
    pub live: Option<LiveView>,
    /// Hot views of the watched tickets that stand in this queue.
    pub tickets: Vec<HotViewId>,
    /// The steps since the last one that was sent, merged.
    pub step: Option<Delta>,
    pub pace: Pace,
    /// The listeners that are being served, while they are more than one slice of the sweep.
    pub fanout: Option<Fanout>,
}

/// The listeners of a keyed view that the sweep serves in slices. It ends with the content of the
/// view that it serves.
pub struct Fanout {
    /// The step for listeners that stand where it begins.
    pub step: Option<Delta>,
    /// Whether the pace of the view holds its step back, so that only pending subscriptions are
    /// answered.
    pub answers_only: bool,
    /// Listeners to serve. Some may have left since.
    pub waiting: vec::IntoIter<SubscriptionId>,
    /// Whether a frame was sent to one of them.
    pub has_sent: bool,
    /// Whether the view has changed since the fan-out began.
    pub has_changed: bool,
}

/// The content of a keyed view, current since its fetch.
pub struct LiveView {
    pub view: View,
    /// The view of a queue, read as a line.
    pub line: Option<Line>,
    /// The view as JSON, once a listener has needed it at this version.
    snapshot: Option<Box<RawValue>>,
}

/// A ticket with listeners.
pub struct TicketWatch {
    pub ticket: TicketId,
    pub standing: TicketStanding,
}

pub enum TicketStanding {
    Unknown,
    /// In the queue of a hot view, whose ticket list names this ticket at `listed`. The ticket is
    /// known to be there since `version`.
    InQueue {
        queue: HotViewId,
        listed: TicketIndex,
        version: u64,
    },
    Ended {
        position: Position,
        view: Box<TicketView>,
    },
}

/// The fetch under way, if any, and how many fetches in a row were too old.
#[derive(Default)]
pub struct FetchState {
    pub latest: Option<FetchId>,
    pub task: Option<FetchTask>,
    /// The newest record of the aggregate that the node had when the fetch began.
    pub seen: Position,
    pub attempts: u8,
    /// The view store may lack steps of the view: only the authority is asked.
    pub from_authority: bool,
}

/// The task of a fetch. It ends with the state that waits for it, so that an unneeded view loads
/// nothing.
pub struct FetchTask(AbortHandle);

impl FetchTask {
    pub fn new(task: AbortHandle) -> Self {
        Self(task)
    }
}

impl Drop for FetchTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The state of a ticket as its patient sees it now.
pub struct TicketNow<'a> {
    pub position: Position,
    pub seen: TicketViewRef<'a>,
}

impl HotView {
    /// Creates a view that nobody listens to yet, without content.
    pub fn new(aggregate: Aggregate, channel: Channel) -> Self {
        let kind = match channel {
            Channel::Ticket(ticket) => {
                HotViewKind::Ticket(TicketWatch { ticket, standing: TicketStanding::Unknown })
            }
            channel => HotViewKind::Keyed(Box::new(KeyedView {
                channel,
                live: None,
                tickets: Vec::new(),
                step: None,
                pace: Pace::default(),
                fanout: None,
            })),
        };
        let (fetch, listeners) = (FetchState::default(), Vec::new());
        Self { aggregate, fetch, claim_checked: None, kind, listeners }
    }

    pub fn keyed(&self) -> Option<&KeyedView> {
        match &self.kind {
            HotViewKind::Keyed(keyed) => Some(keyed),
            HotViewKind::Ticket(_) => None,
        }
    }

    pub fn keyed_mut(&mut self) -> Option<&mut KeyedView> {
        match &mut self.kind {
            HotViewKind::Keyed(keyed) => Some(keyed),
            HotViewKind::Ticket(_) => None,
        }
    }

    pub fn watch(&self) -> Option<&TicketWatch> {
        match &self.kind {
            HotViewKind::Ticket(watch) => Some(watch),
            HotViewKind::Keyed(_) => None,
        }
    }

    pub fn watch_mut(&mut self) -> Option<&mut TicketWatch> {
        match &mut self.kind {
            HotViewKind::Ticket(watch) => Some(watch),
            HotViewKind::Keyed(_) => None,
        }
    }

    /// The name of the stored view.
    pub fn name(&self) -> String {
        match &self.kind {
            HotViewKind::Keyed(keyed) => keyed.channel.to_string(),
            HotViewKind::Ticket(watch) => Channel::Ticket(watch.ticket.clone()).to_string(),
        }
    }

    pub fn listeners(&self) -> &[SubscriptionId] {
        &self.listeners
    }

    /// The index that the next listener gets.
    pub fn next_listener(&self) -> ListenerIndex {
        ListenerIndex::from_index(self.listeners.len())
    }

    pub fn add_listener(&mut self, listener: SubscriptionId) {
        self.listeners.push(listener);
    }

    /// Removes the listener at `listed`. Returns the listener that has moved to `listed`, if any.
    pub fn remove_listener(&mut self, listed: ListenerIndex) -> Option<SubscriptionId> {
        self.listeners.swap_remove(listed.index());
        self.listeners.get(listed.index()).copied()
    }

    /// Returns whether the view was removed, such as that of a removed queue. Its last state has no
    /// entries.
    pub fn is_gone(&self) -> bool {
        let live = self.keyed().and_then(|keyed| keyed.live.as_ref());
        live.is_some_and(|live| live.view.entries.is_empty())
    }

    /// Returns whether nobody needs this view any more.
    pub fn is_idle(&self) -> bool {
        self.listeners.is_empty() && self.keyed().is_none_or(|keyed| keyed.tickets.is_empty())
    }
}

impl KeyedView {
    /// Forgets the content, because it is not current.
    pub fn clear(&mut self) {
        (self.live, self.step, self.fanout) = (None, None, None);
    }

    /// Replaces the content. Listeners get it by its position, not by a step.
    pub fn replace(&mut self, live: LiveView) {
        self.clear();
        self.live = Some(live);
    }

    /// Folds a delta of the stream. `Dropped` also while the view is being fetched, because the
    /// tail then holds the step.
    pub fn fold(&mut self, epoch: u64, delta: &Delta) -> Fold {
        let Some(live) = &mut self.live else { return Fold::Dropped };
        let fold = live.fold(epoch, delta);
        if fold == Fold::Applied {
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

impl LiveView {
    pub fn new(view: View, line: Option<Line>) -> Self {
        Self { view, line, snapshot: None }
    }

    /// The view as JSON.
    pub fn snapshot(&mut self) -> &RawValue {
        self.snapshot.get_or_insert_with(|| raw(&self.view))
    }

    fn fold(&mut self, epoch: u64, delta: &Delta) -> Fold {
        let current = self.view.position.epoch;
        if current != epoch {
            return if current < epoch { Fold::Gap } else { Fold::Dropped };
        }
        let fold = self.view.fold(delta);
        if fold == Fold::Applied {
            self.snapshot = None;
            if let Some(line) = &mut self.line
                && let Err(error) = line.apply(delta)
            {
                tracing::error!(%error, "a delta of a queue's view cannot be read");
                return Fold::Gap;
            }
        }
        fold
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn closed_view_cancels_its_fetch() {
        let channel = Channel::parse("board:riverside").unwrap();
        let mut view = HotView::new(Aggregate::parse("demo/riverside").unwrap(), channel);
        let fetching = tokio::spawn(std::future::pending::<()>());
        view.fetch.task = Some(FetchTask::new(fetching.abort_handle()));
        drop(view);
        assert!(fetching.await.unwrap_err().is_cancelled());
    }
}
