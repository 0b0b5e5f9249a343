//! Asking the authority about listeners who claim a position that this node has not reached.
//!
//! The authority is written before anything is shown, so a client is ahead of it only if the
//! authority lost commits, for example when the database was restored. A late node alone is no
//! reason.

use gateway_core::subscription::HotViewId;

use super::HotViews;
use crate::{
    inbox::{
        ShardMessage,
        ids::{FetchId, SubscriptionId},
    },
    stream::shard::hot_view::{HotView, TicketStanding, TicketWatch},
};

/// One question to the authority, on behalf of all listeners of a view that wait for the answer.
pub(super) struct Confirmation {
    check: FetchId,
    waiting: Vec<SubscriptionId>,
}

impl HotViews {
    /// The view whose position a listener of `id` gets: that of the queue for a ticket in one.
    pub fn positioned_by(&self, id: HotViewId) -> HotViewId {
        match self.find(id).and_then(HotView::watch) {
            Some(TicketWatch { standing: TicketStanding::InQueue { queue, .. }, .. }) => *queue,
            _ => id,
        }
    }

    /// Asks the authority how far it is with the view behind `id`. Further requests while a
    /// question is under way share its answer, so a thousand listeners cost one read.
    pub fn confirm(&mut self, id: HotViewId, listener: SubscriptionId) {
        let id = self.positioned_by(id);
        if let Some(confirmation) = self.confirming.get_mut(&id) {
            return confirmation.waiting.push(listener);
        }
        let Some(view) = self.find(id) else { return };
        let (aggregate, name) = (view.aggregate.clone(), view.name());
        let check = self.next_fetch;
        self.next_fetch = check.next();
        self.confirming.insert(id, Confirmation { check, waiting: vec![listener] });
        let (reader, inbox) = (self.context.node.reader.clone(), self.context.inbox.clone());
        self.context.node.runtime.spawn(async move {
            let authority = reader.authority_position(&aggregate, &name).await;
            let _ = inbox.send(ShardMessage::Confirmed { view: id, check, authority }).await;
        });
    }

    /// The listeners that waited for this answer. None when the view was closed meanwhile.
    pub fn take_confirmed(&mut self, id: HotViewId, check: FetchId) -> Vec<SubscriptionId> {
        match self.confirming.get(&id) {
            Some(confirmation) if confirmation.check == check => {
                self.confirming.remove(&id).map(|asked| asked.waiting).unwrap_or_default()
            }
            _ => Vec::new(),
        }
    }
}
