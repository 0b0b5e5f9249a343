//! The view store (Redis), as a gateway reads it.

use schemas::{
    channel::Channel,
    ids::{Aggregate, QueueId, TicketId},
    line::Line,
    ticket::TicketView,
    view::{Position, View},
};

use crate::{BoxFuture, Source};

/// The store's answer about a view, or about a part of one.
#[derive(Debug)]
pub enum Snapshot<T = View> {
    /// The store has the view.
    Held(T),
    /// The store works and has no such view.
    Absent,
    /// The store was emptied or replaced since the view was stored. Its views may be old.
    Suspect,
}

impl<T> Snapshot<T> {
    /// The store's answer with what `read` makes of a view that the store holds.
    ///
    /// # Errors
    /// The errors of `read`.
    pub fn try_map<U, E>(self, read: impl FnOnce(T) -> Result<U, E>) -> Result<Snapshot<U>, E> {
        Ok(match self {
            Snapshot::Held(held) => Snapshot::Held(read(held)?),
            Snapshot::Absent => Snapshot::Absent,
            Snapshot::Suspect => Snapshot::Suspect,
        })
    }
}

/// A ticket, as the view of its queue has it.
#[derive(PartialEq, Eq)]
pub struct TicketInLine {
    /// The position of the queue's view.
    pub position: Position,
    /// The view of the patient. `None` when the ticket is not in this line.
    pub state: Option<TicketView>,
}

/// A backend did not answer, or not in time.
#[derive(Debug, thiserror::Error)]
#[error("the view could not be read")]
pub struct NotRead(#[source] pub Source);

impl TicketInLine {
    /// The ticket in the whole view of its queue.
    ///
    /// # Errors
    /// [`NotRead`] when it is no view of a queue.
    pub fn of(queue: &QueueId, view: &View, ticket: &TicketId) -> Result<Self, NotRead> {
        let position = view.position;
        // A removed queue has a view without entries.
        if !view.entries.contains_key(ticket.as_str()) {
            return Ok(Self { position, state: None });
        }
        let line =
            Line::from_view(queue.clone(), view).map_err(|error| NotRead(Box::new(error)))?;
        Ok(Self { position, state: line.ticket_view(ticket) })
    }
}

/// The view store.
pub trait Snapshots: Send + Sync + 'static {
    /// Reads a view.
    fn load<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        view: &'a str,
    ) -> BoxFuture<'a, Result<Snapshot, NotRead>>;

    /// Reads one ticket of a queue. A store with an index of the line answers at a cost that hardly
    /// grows with the line.
    fn ticket<'a>(
        &'a self,
        aggregate: &'a Aggregate,
        queue: &'a QueueId,
        ticket: &'a TicketId,
    ) -> BoxFuture<'a, Result<Snapshot<TicketInLine>, NotRead>> {
        Box::pin(async move {
            let name = Channel::Queue(queue.clone()).to_string();
            self.load(aggregate, &name)
                .await?
                .try_map(|view| TicketInLine::of(queue, &view, ticket))
        })
    }

    /// Asks whether the store answers.
    fn probe(&self) -> BoxFuture<'_, Result<(), NotRead>>;
}
