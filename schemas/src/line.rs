//! The entries of the views of a location, and what one patient may know of a line: position, people ahead
//! and an estimate, as pure functions of the queue's view.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::{
    Millis,
    ids::{QueueId, TicketId},
    ticket::{CallRef, Estimate, Priority, QueueState, TicketState, TicketView, TicketViewRef},
    view::{Delta, View},
};

/// Key of the queue's own entry in its view; every other key is a ticket's id.
pub const QUEUE_KEY: &str = "queue";
/// Key of the single entry of the stored view `ticket:<id>`.
pub const TICKET_KEY: &str = "ticket";
/// Key of the location's own entry in its board.
pub const BOARD_KEY: &str = "board";

/// The queue itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct QueueHead {
    pub name: String,
    pub state: QueueState,
    pub prefix: String,
    /// Expected seconds of one service, rounded to half a minute so that it rarely changes.
    pub service_s: u32,
    /// Stations that served this queue last and have not gone on to another: at least 1 while anybody is served.
    pub servers: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_call_at: Option<Millis>,
}

/// One live ticket, as staff see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct QueueEntry {
    pub label: String,
    pub state: TicketState,
    pub priority: Priority,
    pub rank: u64,
    pub issued_at: Millis,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called_at: Option<Millis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Millis>,
    /// The station's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub station: Option<String>,
    #[serde(default)]
    pub recalls: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The location, on its board (key `board`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct BoardHead {
    pub name: String,
    /// IANA name, for the clock on the wall.
    pub time_zone: String,
    pub languages: Vec<String>,
    pub messages: Vec<String>,
}

/// A queue, on the board (key `queue:<id>`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct BoardQueue {
    pub name: String,
    pub state: QueueState,
    pub waiting: u32,
}

/// A call, on the board (key `call:<service day>/<label>`; a ticket's id never stands here).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct BoardCall {
    pub label: String,
    pub station: String,
    pub at: Millis,
    pub recalls: u32,
    /// Being called now; otherwise called recently.
    pub current: bool,
}

/// Where a waiting ticket stands among the others: higher priority first, then the smaller rank.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinePlace {
    priority: std::cmp::Reverse<Priority>,
    rank: u64,
    ticket: TicketId,
}

impl LinePlace {
    pub fn new(ticket: TicketId, priority: Priority, rank: u64) -> Self {
        Self { priority: std::cmp::Reverse(priority), rank, ticket }
    }

    pub fn ticket(&self) -> &TicketId {
        &self.ticket
    }

    /// The same order as a number for a sorted set: exact, as a rank stays below 2^48 and ten priorities
    /// times 2^48 below 2^53. Equal numbers are ordered by the member's text, which is the ticket's id.
    pub fn score(priority: Priority, rank: u64) -> f64 {
        let class = u64::from(Priority::MAX - priority.get());
        ((class << 48) | (rank & ((1 << 48) - 1))) as f64
    }
}

/// A queue's view, read: who waits, in which order.
#[derive(Debug, Clone)]
pub struct Line {
    queue: QueueId,
    at: Millis,
    head: QueueHead,
    /// By id, which holds 128 random bits: nobody can make many of them collide.
    entries: FxHashMap<TicketId, QueueEntry>,
    /// Waiting tickets in the order they will be called. A sorted vector: a position is a binary search, and
    /// moving the tail of 5,000 places costs less than a tree's pointers would.
    order: Vec<LinePlace>,
}

/// A view that is not a queue's view.
#[derive(Debug, thiserror::Error)]
#[error("not the view of a queue")]
pub struct InvalidQueueView(#[source] Option<serde_json::Error>);

impl Line {
    /// Reads the snapshot of `queue`.
    ///
    /// # Errors
    /// [`InvalidQueueView`] when an entry has another form or the queue's own entry is missing.
    pub fn from_view(queue: QueueId, view: &View) -> Result<Self, InvalidQueueView> {
        let head = view.entries.get(QUEUE_KEY).ok_or(InvalidQueueView(None))?;
        let mut line = Self {
            queue,
            at: view.at,
            head: serde_json::from_str(head.get()).map_err(|e| InvalidQueueView(Some(e)))?,
            entries: FxHashMap::default(),
            order: Vec::new(),
        };
        for (key, entry) in view.entries.iter().filter(|(key, _)| *key != QUEUE_KEY) {
            line.put(key, entry.get())?;
        }
        Ok(line)
    }

    /// Follows a delta that the view has just folded.
    ///
    /// # Errors
    /// [`InvalidQueueView`] when an entry has another form; the line is then to be read again from a snapshot.
    pub fn apply(&mut self, delta: &Delta) -> Result<(), InvalidQueueView> {
        for key in &delta.remove {
            if let Ok(ticket) = TicketId::new(key.as_str()) {
                self.take(&ticket);
            }
        }
        for (key, entry) in &delta.set {
            if key == QUEUE_KEY {
                self.head =
                    serde_json::from_str(entry.get()).map_err(|e| InvalidQueueView(Some(e)))?;
            } else {
                self.put(key, entry.get())?;
            }
        }
        self.at = delta.at;
        Ok(())
    }

    fn take(&mut self, ticket: &TicketId) {
        let Some(old) = self.entries.remove(ticket) else { return };
        if old.state == TicketState::Waiting {
            let place = LinePlace::new(ticket.clone(), old.priority, old.rank);
            if let Ok(index) = self.order.binary_search(&place) {
                self.order.remove(index);
            }
        }
    }

    fn put(&mut self, key: &str, entry: &str) -> Result<(), InvalidQueueView> {
        let ticket = TicketId::new(key).map_err(|_| InvalidQueueView(None))?;
        let entry: QueueEntry =
            serde_json::from_str(entry).map_err(|e| InvalidQueueView(Some(e)))?;
        self.take(&ticket);
        if entry.state == TicketState::Waiting {
            let place = LinePlace::new(ticket.clone(), entry.priority, entry.rank);
            if let Err(index) = self.order.binary_search(&place) {
                self.order.insert(index, place);
            }
        }
        self.entries.insert(ticket, entry);
        Ok(())
    }

    pub fn head(&self) -> &QueueHead {
        &self.head
    }

    pub fn contains(&self, ticket: &TicketId) -> bool {
        self.entries.contains_key(ticket)
    }

    pub fn waiting(&self) -> usize {
        self.order.len()
    }

    /// People ahead of a waiting ticket: those who can be called and will be called before.
    pub fn ahead(&self, ticket: &TicketId) -> Option<usize> {
        self.entries.get(ticket).and_then(|entry| self.ahead_of(ticket, entry))
    }

    fn ahead_of(&self, ticket: &TicketId, entry: &QueueEntry) -> Option<usize> {
        (entry.state == TicketState::Waiting).then(|| {
            let (priority, rank) = (std::cmp::Reverse(entry.priority), entry.rank);
            self.order.partition_point(|other| {
                (other.priority, other.rank, &other.ticket) < (priority, rank, ticket)
            })
        })
    }

    /// What the patient of `ticket` sees now; `None` when the ticket is not in this line.
    pub fn ticket_view_ref<'a>(&'a self, ticket: &'a TicketId) -> Option<TicketViewRef<'a>> {
        let entry = self.entries.get(ticket)?;
        let ahead = self.ahead_of(ticket, entry);
        let call = match (&entry.station, entry.called_at) {
            (Some(station), Some(at)) if entry.state != TicketState::Waiting => {
                Some(CallRef { station, at, recalls: entry.recalls })
            }
            _ => None,
        };
        Some(TicketViewRef {
            at: self.at,
            ticket,
            label: &entry.label,
            queue: &self.queue,
            queue_name: &self.head.name,
            queue_state: self.head.state,
            state: entry.state,
            issued_at: entry.issued_at,
            position: ahead.map(|ahead| count(ahead + 1)),
            ahead: ahead.map(count),
            estimate: ahead.and_then(|ahead| estimate(&self.head, entry.issued_at, ahead)),
            call,
            reason: entry.reason.as_deref(),
            successor: None,
        })
    }

    /// The same, to keep.
    pub fn ticket_view(&self, ticket: &TicketId) -> Option<TicketView> {
        self.ticket_view_ref(ticket).map(|view| view.to_view())
    }
}

fn count(people: usize) -> u32 {
    u32::try_from(people).unwrap_or(u32::MAX)
}

/// The estimate's step: clinics' waits are not known better, and a finer one would flicker.
const STEP_MS: Millis = 5 * 60 * 1000;

/// The moments between which a patient with `ahead` people before them will probably be called: the
/// queue-length estimator (people ahead and the one in service, times the expected service, shared by the
/// stations that serve), counted from the queue's last call, so that every node says the same and a wait
/// that passes needs no message. Nothing while the queue does not call, or nobody serves it yet.
///
/// The range is 0.7 to 1.4 of the expected wait, rounded outwards to five minutes.
pub fn estimate(head: &QueueHead, issued_at: Millis, ahead: usize) -> Option<Estimate> {
    let since = head.last_call_at?.max(issued_at);
    if head.state == QueueState::Paused || head.servers == 0 {
        return None;
    }
    let turns = Millis::try_from(ahead).unwrap_or(Millis::MAX / 1_000_000_000).saturating_add(1);
    let expected =
        turns.saturating_mul(Millis::from(head.service_s) * 1000) / Millis::from(head.servers);
    let from = since.saturating_add(expected.saturating_mul(7) / 10);
    let to = since.saturating_add(expected.saturating_mul(14) / 10);
    Some(Estimate {
        from: from / STEP_MS * STEP_MS,
        to: (to / STEP_MS).saturating_add(1) * STEP_MS,
    })
}

#[cfg(test)]
mod tests;
