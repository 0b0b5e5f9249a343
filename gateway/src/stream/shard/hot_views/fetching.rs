//! Fetching hot views: asking for a snapshot, and joining it with the tail of the stream.

use std::time::Duration;

use gateway_core::subscription::HotViewId;
use schemas::{
    channel::Channel,
    codes::Code,
    ids::Aggregate,
    line::{Line, TICKET_KEY},
    view::{Fold, Position, View},
};
use tokio::time::Instant;

use super::HotViews;
use crate::{
    inbox::{FetchedView, ShardMessage, ids::SubscriptionId},
    stream::shard::hot_view::{
        FetchState, FetchTask, HotView, HotViewKind, LiveView, TicketStanding,
    },
    views::{reader::FetchGoal, tails::delta_of},
};

/// Pause between two fetches of a live view because of clients that claim a later position. A claim
/// may be false.
const CLAIM_PAUSE: Duration = Duration::from_secs(1);
/// Fetches of one view in a row that may be too old before its listeners get `try_again`.
const MAX_ATTEMPTS: u8 = 3;

/// Subscriptions to a view that cannot be had.
pub enum Refusal {
    /// Those that still wait are refused with a code. Refusing one that is live does nothing.
    Waiting(Vec<SubscriptionId>, Code),
    /// There is no such view: those that wait and those that are live end.
    Gone(Vec<SubscriptionId>),
}

/// A snapshot joined with the tail.
enum JoinedView {
    Current(View),
    /// There is no such view.
    Absent,
    /// Steps are missing between the snapshot and the tail.
    TooOld,
}

impl HotViews {
    /// Fetches a view. The answer is never older than what intake has seen of the view, and not
    /// older than a client's `claim` if the authority confirms it.
    pub(super) fn fetch(&mut self, id: HotViewId, claim: Option<Position>) {
        let fetch = self.next_fetch;
        let node = self.context.node.clone();
        let Some(view) = self.get_mut(id) else { return };
        let (aggregate, name) = (view.aggregate.clone(), view.name());
        let floor = node.tails.floor(&aggregate, &name);
        let seen = node.tails.position(&aggregate);
        view.fetch.latest = Some(fetch);
        view.fetch.seen = seen.unwrap_or_default();
        let from_authority = view.fetch.from_authority;
        self.next_fetch = fetch.next();
        let goal = FetchGoal { floor, claim, from_authority, seen };
        let (reader, inbox) = (self.context.node.reader.clone(), self.context.inbox.clone());
        let task = self.context.node.runtime.spawn(async move {
            let result = reader.fetch(&aggregate, &name, goal).await;
            let fetched = FetchedView { view: id, fetch, result };
            let _ = inbox.send(ShardMessage::Fetched(fetched)).await;
        });
        if let Some(view) = self.get_mut(id) {
            view.fetch.task = Some(FetchTask::new(task.abort_handle()));
        }
    }

    /// Fetches a view again, because its content is not current. Listeners keep what they have
    /// meanwhile.
    pub(super) fn refetch(&mut self, id: HotViewId) {
        let Some(view) = self.get_mut(id) else { return };
        match &mut view.kind {
            HotViewKind::Keyed(keyed) => keyed.clear(),
            HotViewKind::Ticket(watch) => {
                if let TicketStanding::InQueue { version, .. } = &mut watch.standing {
                    // The version may be of an epoch that is over. The queue is fetched again too,
                    // and its version is never below the ticket's.
                    *version = 0;
                }
            }
        }
        self.fetch(id, None);
    }

    /// Fetches a live view beside its stream, because a client claims to hold a later position than
    /// the view has. The view stays as it is until a newer one arrives.
    pub fn follow_claim(&mut self, id: HotViewId, claim: Position) {
        let (id, now) = (self.positioned_by(id), Instant::now());
        let Some(view) = self.get_mut(id) else { return };
        let live = view.keyed().and_then(|keyed| keyed.live.as_ref());
        let is_behind = live.is_some_and(|live| live.view.position < claim);
        let checked = view.claim_checked.is_some_and(|checked| now - checked < CLAIM_PAUSE);
        if is_behind && !checked && view.fetch.latest.is_none() {
            view.claim_checked = Some(now);
            self.fetch(id, Some(claim));
        }
    }

    /// Fetches all views of an aggregate again, from the authority: steps were missed, and the view
    /// store may lack them too.
    pub fn refetch_aggregate(&mut self, aggregate: &Aggregate) {
        let Some(views) = self.by_aggregate.get(aggregate) else { return };
        for id in views.by_name.values().copied().collect::<Vec<_>>() {
            if let Some(view) = self.get_mut(id) {
                view.fetch.from_authority = true;
            }
            self.refetch(id);
        }
    }

    /// Fetches all views again.
    pub fn refetch_all(&mut self) {
        for id in self.views.keys() {
            self.refetch(id);
        }
    }

    /// Fetches the views again whose fetch failed and that somebody still needs.
    pub fn retry_failed(&mut self) {
        for id in std::mem::take(&mut self.retry) {
            // The view may have been closed since.
            if self.find(id).is_some() {
                self.refetch(id);
            }
        }
    }

    /// Places the answer to a fetch. Returns the subscriptions that it refuses.
    pub fn place_fetched(&mut self, fetched: FetchedView) -> Option<Refusal> {
        let FetchedView { view: id, fetch, result } = fetched;
        // The view may have been closed or fetched again since.
        let view = self.find(id).filter(|view| view.fetch.latest == Some(fetch))?;
        let (aggregate, name, seen) = (view.aggregate.clone(), view.name(), view.fetch.seen);
        if let Some(live) = view.keyed().and_then(|keyed| keyed.live.as_ref()) {
            let held = live.view.position;
            return self.place_newer(id, &aggregate, result, (held, seen));
        }
        let snapshot = match result {
            Ok(snapshot) => snapshot,
            Err(code) => return self.fail_fetch(id, code),
        };
        match self.join_tail(&aggregate, &name, snapshot, seen) {
            JoinedView::Current(view) => self.place_view(id, &aggregate, view),
            JoinedView::Absent => self.end_absent(id),
            JoinedView::TooOld => {
                let view = self.get_mut(id)?;
                view.fetch.attempts += 1;
                // The view store may lag behind the tail for longer than the attempts take.
                view.fetch.from_authority = true;
                if view.fetch.attempts >= MAX_ATTEMPTS {
                    return self.fail_fetch(id, Code::TryAgain);
                }
                self.fetch(id, None);
                None
            }
        }
    }

    /// Places the answer to a claim, if it is newer than what the view holds.
    fn place_newer(
        &mut self,
        id: HotViewId,
        aggregate: &Aggregate,
        result: Result<Option<View>, Code>,
        (held, seen): (Position, Position),
    ) -> Option<Refusal> {
        let name = self.get(id)?.name();
        let fetched = match result {
            Ok(Some(view)) => self.join_tail(aggregate, &name, Some(view), seen),
            Ok(None) | Err(_) => JoinedView::TooOld,
        };
        match fetched {
            JoinedView::Current(view) if view.position > held => {
                self.place_view(id, aggregate, view)
            }
            JoinedView::Current(_) | JoinedView::Absent | JoinedView::TooOld => {
                self.get_mut(id)?.fetch = FetchState::default();
                None
            }
        }
    }

    /// Continues a snapshot with the tail: drops the steps that the snapshot contains, applies the
    /// others. The snapshot was asked for when the node had `seen`, so it has every step until
    /// then.
    fn join_tail(
        &self,
        aggregate: &Aggregate,
        name: &str,
        snapshot: Option<View>,
        seen: Position,
    ) -> JoinedView {
        let contained = snapshot.as_ref().map_or(seen, |view| view.position.max(seen));
        let Some(records) = self.context.node.tails.records_after(aggregate, contained) else {
            return JoinedView::TooOld;
        };
        let mut view = match snapshot {
            Some(view) => view,
            None => match records.iter().find(|record| delta_of(record, name).is_some()) {
                // The view is so new that no store had it: the tail holds all of its steps.
                Some(record) => View::empty(record.position.epoch),
                None => return JoinedView::Absent,
            },
        };
        for record in &records {
            if record.position.epoch > view.position.epoch {
                return JoinedView::TooOld;
            }
            if record.position.epoch == view.position.epoch
                && let Some(delta) = delta_of(record, name)
                && view.fold(delta) == Fold::Gap
            {
                return JoinedView::TooOld;
            }
        }
        JoinedView::Current(view)
    }

    fn place_view(&mut self, id: HotViewId, aggregate: &Aggregate, view: View) -> Option<Refusal> {
        if let Some(views) = self.by_aggregate.get_mut(aggregate) {
            views.epoch = views.epoch.max(view.position.epoch);
        }
        let hot_view = self.get_mut(id)?;
        hot_view.fetch = FetchState::default();
        let HotViewKind::Keyed(keyed) = &mut hot_view.kind else {
            return match view.entries.get(TICKET_KEY) {
                Some(entry) => {
                    self.place_ticket(id, entry, view.position);
                    None
                }
                None => self.end_absent(id),
            };
        };
        let line = match &keyed.channel {
            Channel::Queue(queue) if !view.entries.is_empty() => {
                match Line::from_view(queue.clone(), &view) {
                    Ok(line) => Some(line),
                    Err(error) => {
                        tracing::error!(%error, "the view of a queue cannot be read");
                        return self.fail_fetch(id, Code::Internal);
                    }
                }
            }
            _ => None,
        };
        keyed.replace(LiveView::new(view, line));
        // The snapshot may contain a step that was urgent.
        keyed.pace.hurry();
        self.changed.push(id);
        None
    }

    /// Ends a failed fetch. Subscriptions that wait are refused; those that are live get the view
    /// by a later fetch.
    fn fail_fetch(&mut self, id: HotViewId, code: Code) -> Option<Refusal> {
        let view = self.get_mut(id)?;
        let from_authority = view.fetch.from_authority;
        view.fetch = FetchState { from_authority, ..FetchState::default() };
        self.retry.push(id);
        self.refuse_waiting(id, code)
    }

    /// Ends the subscriptions of a view that does not exist. The tickets that stood in it are
    /// loaded again, at the pace of failed fetches: each may stand elsewhere by now.
    fn end_absent(&mut self, id: HotViewId) -> Option<Refusal> {
        let view = self.get_mut(id)?;
        view.fetch = FetchState::default();
        let listeners = view.listeners().to_vec();
        let tickets = view.keyed().map(|keyed| keyed.tickets.clone()).unwrap_or_default();
        if !tickets.is_empty() {
            self.retry.push(id);
        }
        for ticket in tickets {
            self.get_mut(ticket)?.fetch.from_authority = true;
            self.retry.push(ticket);
        }
        Some(Refusal::Gone(listeners))
    }

    /// Lists the subscriptions of a view and of the tickets in it.
    fn refuse_waiting(&self, id: HotViewId, code: Code) -> Option<Refusal> {
        let view = self.get(id)?;
        let mut waiting = view.listeners().to_vec();
        if let Some(keyed) = view.keyed() {
            for ticket in &keyed.tickets {
                waiting.extend(self.get(*ticket).map(HotView::listeners).unwrap_or_default());
            }
        }
        Some(Refusal::Waiting(waiting, code))
    }
}
