//! Entries on their way to the writer, and the receivers of their answers.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
};

use schemas::{audit::AuditEntry, codes::Code, ids::TenantId};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot, watch},
};

use super::{AuditedSubscription, MAX_NOTES, MAX_WAITING};
use crate::inbox::ShardMessage;

/// The receiver of the answer to an entry.
pub(super) enum Waiter {
    Request(oneshot::Sender<Result<(), Code>>),
    Subscription(AuditedSubscription),
    /// Nobody: the entry is a note, which is repeated until it is written.
    Nobody,
}

impl Waiter {
    /// Whether the client has given up. It is shown nothing.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self, Self::Request(answer) if answer.is_closed())
    }
}

pub(super) struct WaitingEntry {
    pub(super) tenant: TenantId,
    pub(super) entry: AuditEntry,
    pub(super) waiter: Waiter,
}

/// Counts of a node's audit since its start.
#[derive(Default)]
pub struct AuditCounts {
    failing: AtomicBool,
    written: AtomicU64,
    notes_waiting: watch::Sender<usize>,
    notes_lost: AtomicU64,
}

impl AuditCounts {
    pub(super) fn is_failing(&self) -> bool {
        self.failing.load(Relaxed)
    }

    /// Records the result of the last append.
    pub(super) fn appended(&self, entries: usize, written: Result<(), Code>) {
        self.failing.store(written.is_err(), Relaxed);
        if written.is_ok() {
            self.written.fetch_add(entries as u64, Relaxed);
        }
    }

    pub(super) fn note_written(&self) {
        self.notes_waiting.send_modify(|waiting| *waiting -= 1);
    }

    /// Entries that the log has acknowledged.
    pub fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    /// Notes that are not written yet.
    pub fn waiting_notes(&self) -> usize {
        *self.notes_waiting.borrow()
    }

    /// Waits until all notes are written.
    pub(super) async fn all_notes_written(&self) {
        let mut waiting = self.notes_waiting.subscribe();
        let none = waiting.wait_for(|waiting| *waiting == 0).await;
        none.expect("the sender is borrowed meanwhile");
    }

    /// Notes that did not find room.
    pub fn lost_notes(&self) -> u64 {
        self.notes_lost.load(Relaxed)
    }

    /// Whether there is room for another note, which then counts.
    fn take_note(&self) -> bool {
        let taken = self.notes_waiting.send_if_modified(|waiting| {
            let has_room = *waiting < MAX_NOTES;
            *waiting += usize::from(has_room);
            has_room
        });
        if !taken {
            self.notes_lost.fetch_add(1, Relaxed);
        }
        taken
    }
}

/// The senders of entries.
#[derive(Clone)]
pub(super) struct Queue {
    entries: mpsc::Sender<WaitingEntry>,
    /// [`AuditCounts::take_note`] bounds them.
    notes: mpsc::UnboundedSender<WaitingEntry>,
    pub(super) counts: Arc<AuditCounts>,
    runtime: Handle,
}

/// The receivers of entries.
pub(super) struct EntryReceivers {
    pub(super) entries: mpsc::Receiver<WaitingEntry>,
    pub(super) notes: mpsc::UnboundedReceiver<WaitingEntry>,
}

pub(super) fn new() -> (Queue, EntryReceivers) {
    let (entries, entry_receiver) = mpsc::channel(MAX_WAITING);
    let (notes, note_receiver) = mpsc::unbounded_channel();
    let queue = Queue { entries, notes, counts: Arc::default(), runtime: Handle::current() };
    (queue, EntryReceivers { entries: entry_receiver, notes: note_receiver })
}

impl Queue {
    /// Adds an entry. One without room is answered at once.
    pub(super) fn push(&self, tenant: TenantId, entry: AuditEntry, waiter: Waiter) {
        let waiting = WaitingEntry { tenant, entry, waiter };
        if let Waiter::Nobody = waiting.waiter {
            if self.counts.take_note() {
                let _ = self.notes.send(waiting); // the node stops
            }
        } else if let Err(error) = self.entries.try_send(waiting) {
            answer(vec![error.into_inner().waiter], Err(Code::TryAgain), &self.runtime);
        }
    }
}

/// Answers the waiters. The subscriptions of a shard get one message.
pub(super) fn answer(waiters: Vec<Waiter>, written: Result<(), Code>, runtime: &Handle) {
    let mut shards: Vec<(mpsc::Sender<ShardMessage>, Vec<_>)> = Vec::new();
    for waiter in waiters {
        match waiter {
            Waiter::Nobody => {}
            Waiter::Request(caller) => {
                let _ = caller.send(written);
            }
            Waiter::Subscription(AuditedSubscription { subscription, entry, inbox }) => {
                match shards.iter_mut().find(|(shard, _)| shard.same_channel(&inbox)) {
                    Some((_, entries)) => entries.push((subscription, entry)),
                    None => shards.push((inbox, vec![(subscription, entry)])),
                }
            }
        }
    }
    for (inbox, entries) in shards {
        let message = ShardMessage::Audited { entries, written };
        // A shard with a full inbox must not hold up the audit of the others.
        if let Err(mpsc::error::TrySendError::Full(message)) = inbox.try_send(message) {
            runtime.spawn(async move { inbox.send(message).await.map_err(drop) });
        }
    }
}
