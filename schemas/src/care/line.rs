//! The entries of a location's queue and board views, and the line of a queue: each patient's
//! place, people ahead and estimate, as pure functions of the queue's view.

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

use crate::{
    Millis,
    branding::Branding,
    clinic::ClinicInfo,
    ids::{LocationId, QueueId, TicketId},
    settings::BoardMessage,
    ticket::{
        CallRef, Estimate, NoEstimate, Priority, QueueState, TicketState, TicketView, TicketViewRef,
    },
    view::{Delta, View},
};

/// The key of the queue's own entry in its view. Every other key is the id of a ticket.
pub const QUEUE_KEY: &str = "queue";
/// The key of the single entry of the stored view `ticket:<id>`.
pub const TICKET_KEY: &str = "ticket";
/// The key of the location's own entry in its board.
pub const BOARD_KEY: &str = "board";

/// The queue itself: the entry `queue` of its view.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct QueueHead {
    /// The name of the queue.
    pub name: String,
    /// Whether tickets are issued and called.
    pub state: QueueState,
    /// The letters that the queue's labels begin with.
    pub prefix: String,
    /// Expected seconds of one service, rounded to half a minute so that the number rarely changes.
    pub service_s: u32,
    /// Open stations that serve this queue: they are configured for it, or for no queue in
    /// particular and called from it last.
    pub servers: u32,
    /// When the queue last called somebody. The estimate counts from there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_call_at: Option<Millis>,
    /// Why the queue is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The clinic that the queue is of, for the patients in it.
    pub clinic: ClinicInfo,
}

/// One live ticket, as staff see it. The key is the id of the ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct QueueEntry {
    /// The label that is shown and called, such as `A-042`.
    pub label: String,
    /// The state of the ticket.
    pub state: TicketState,
    /// The priority: a higher one is called first.
    pub priority: Priority,
    /// Why the ticket has its priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_reason: Option<String>,
    /// The order within a priority: the smaller rank is called first. Ranks follow from the turn of
    /// the patient and compare across the queues of a location.
    pub rank: u64,
    /// When the ticket was issued.
    pub issued_at: Millis,
    /// When the ticket was first called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called_at: Option<Millis>,
    /// When the service started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Millis>,
    /// The name of the station that called the ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub station: Option<String>,
    /// How often the call was repeated.
    #[serde(default)]
    pub recalls: u32,
    /// Why the ticket is on hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The queue of another location that the ticket is moving to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moving_to: Option<QueueId>,
    /// The location that the ticket came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<LocationId>,
    /// The appointment of the visit, as far as the location shows it to staff.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appointment: Option<LineAppointment>,
}

/// An appointment in a line, as far as the [privacy](crate::privacy::LinePrivacy) of the location
/// allows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct LineAppointment {
    /// The start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Millis>,
    /// The name of the doctor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doctor: Option<String>,
    /// The name that staff use for the appointment, such as initials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Why staff checked the patient in outside the window of check-in, if they did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub override_reason: Option<String>,
}

/// The location on its board (key `board`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct BoardHead {
    /// The name of the location.
    pub name: String,
    /// The IANA name of the time zone, for the board's clock.
    pub time_zone: String,
    /// BCP 47 tags. The first is the default.
    pub languages: Vec<String>,
    /// Messages of the clinic to the waiting room.
    pub messages: Vec<BoardMessage>,
    /// The colour and the logo.
    #[serde(default, skip_serializing_if = "Branding::is_empty")]
    pub branding: Branding,
}

/// A queue on the board (key `queue:<id>`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct BoardQueue {
    /// The name of the queue.
    pub name: String,
    /// Whether tickets are issued and called.
    pub state: QueueState,
    /// How many people wait, if the location shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<u32>,
    /// The place in the clinic's own order of the queues, from 0. Absent: behind them, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<u32>,
    /// Why the queue is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A call on the board (key `call:<service day>/<label>`). A board never shows a ticket's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct BoardCall {
    /// The label of the ticket.
    pub label: String,
    /// The name of the station.
    pub station: String,
    /// When the ticket was called.
    pub at: Millis,
    /// How often the call was repeated.
    pub recalls: u32,
    /// True while the ticket is called, false when it was called recently.
    pub current: bool,
    /// The name that staff use for the appointment, such as initials, if the location shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The name of the doctor, if the location shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doctor: Option<String>,
}

/// A person on the way to another location (key `move:<service day>/<label>`), who keeps the place
/// until that location has accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct BoardMove {
    /// The label of the ticket.
    pub label: String,
    /// The location that the person moves to.
    pub to: LocationId,
}

/// The place of a waiting ticket in its line. The higher priority goes first, then the smaller
/// rank, then the smaller id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LinePlace {
    priority: std::cmp::Reverse<Priority>,
    rank: u64,
    ticket: TicketId,
}

impl LinePlace {
    /// The place of `ticket` with this priority and rank.
    pub fn new(ticket: TicketId, priority: Priority, rank: u64) -> Self {
        Self { priority: std::cmp::Reverse(priority), rank, ticket }
    }

    /// The ticket.
    pub fn ticket(&self) -> &TicketId {
        &self.ticket
    }

    /// The score of the place in a Redis sorted set, which gives the same order. The number is
    /// exact: a rank stays below 2^48, and ten priorities times 2^48 stay below 2^53. Redis orders
    /// equal scores by the member's text, which is the ticket's id.
    pub fn score(priority: Priority, rank: u64) -> f64 {
        let class = u64::from(Priority::MAX - priority.get());
        ((class << 48) | (rank & ((1 << 48) - 1))) as f64
    }
}

/// The line of a queue: its parsed view, with the waiting tickets in the order of their calls.
#[derive(Debug, Clone)]
pub struct Line {
    queue: QueueId,
    at: Millis,
    head: QueueHead,
    /// The hash is not keyed. An id has 128 random bits, so nobody can make many ids collide.
    entries: FxHashMap<TicketId, QueueEntry>,
    /// The waiting tickets in the order of their calls. A sorted vector: finding a place is a
    /// binary search, and moving the tail of 5,000 places costs less than the pointers of a tree.
    order: Vec<LinePlace>,
}

/// A view that is not the view of a queue.
#[derive(Debug, thiserror::Error)]
#[error("not the view of a queue")]
pub struct InvalidQueueView(#[source] Option<serde_json::Error>);

impl Line {
    /// Parses the view of `queue`.
    ///
    /// # Errors
    /// [`InvalidQueueView`] when an entry has another form, or the queue's own entry is missing.
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

    /// Applies a delta that the view has just folded.
    ///
    /// # Errors
    /// [`InvalidQueueView`] when an entry has another form. The line must then be built again from
    /// a snapshot.
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

    /// The entry of the queue itself.
    pub fn head(&self) -> &QueueHead {
        &self.head
    }

    /// Whether the ticket is in this line, in any live state.
    pub fn contains(&self, ticket: &TicketId) -> bool {
        self.entries.contains_key(ticket)
    }

    /// How many people wait.
    pub fn waiting(&self) -> usize {
        self.order.len()
    }

    /// How many people will be called before the ticket. `None` unless the ticket waits in this
    /// line.
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

    /// The view of the patient of `ticket` now. `None` when the ticket is not in this line.
    pub fn ticket_view_ref<'a>(&'a self, ticket: &'a TicketId) -> Option<TicketViewRef<'a>> {
        let entry = self.entries.get(ticket)?;
        let ahead = self.ahead_of(ticket, entry);
        Some(seen_by_patient(self.at, &self.queue, &self.head, ticket, entry, ahead))
    }

    /// A copy of [`Line::ticket_view_ref`].
    pub fn ticket_view(&self, ticket: &TicketId) -> Option<TicketView> {
        self.ticket_view_ref(ticket).map(|view| view.to_view())
    }
}

/// The view of the patient of `ticket`, from the parts of a line's view that it needs. `None` when
/// `view` has no such ticket. `ahead` is how many people will be called before, while the ticket
/// waits.
///
/// # Errors
/// [`InvalidQueueView`] when an entry has another form, the queue's own entry is missing, or
/// somebody waits without a place.
pub fn ticket_of_view(
    queue: &QueueId,
    view: &View,
    ticket: &TicketId,
    ahead: Option<usize>,
) -> Result<Option<TicketView>, InvalidQueueView> {
    let Some(entry) = view.entries.get(ticket.as_str()) else { return Ok(None) };
    let head = view.entries.get(QUEUE_KEY).ok_or(InvalidQueueView(None))?;
    let entry: QueueEntry =
        serde_json::from_str(entry.get()).map_err(|e| InvalidQueueView(Some(e)))?;
    let head: QueueHead =
        serde_json::from_str(head.get()).map_err(|e| InvalidQueueView(Some(e)))?;
    if (entry.state == TicketState::Waiting) != ahead.is_some() {
        return Err(InvalidQueueView(None));
    }
    Ok(Some(seen_by_patient(view.at, queue, &head, ticket, &entry, ahead).to_view()))
}

fn seen_by_patient<'a>(
    at: Millis,
    queue: &'a QueueId,
    head: &'a QueueHead,
    ticket: &'a TicketId,
    entry: &'a QueueEntry,
    ahead: Option<usize>,
) -> TicketViewRef<'a> {
    let estimate = ahead.map(|ahead| estimate(head, entry.issued_at, ahead));
    let call = match (&entry.station, entry.called_at) {
        (Some(station), Some(at)) if entry.state != TicketState::Waiting => {
            Some(CallRef { station, at, recalls: entry.recalls })
        }
        _ => None,
    };
    TicketViewRef {
        at,
        ticket,
        label: &entry.label,
        queue,
        queue_name: &head.name,
        queue_state: head.state,
        queue_message: head.message.as_deref(),
        state: entry.state,
        issued_at: entry.issued_at,
        position: ahead.map(|ahead| count(ahead + 1)),
        ahead: ahead.map(count),
        estimate: estimate.and_then(Result::ok),
        no_estimate: estimate.and_then(Result::err),
        call,
        reason: entry.reason.as_deref(),
        moving_to: entry.moving_to.as_ref(),
        successor: None,
        clinic: &head.clinic,
    }
}

fn count(people: usize) -> u32 {
    u32::try_from(people).unwrap_or(u32::MAX)
}

/// The step of an estimate. Waits in clinics are not known more precisely, and a finer step would
/// flicker on the page.
const STEP_MS: Millis = 5 * 60 * 1000;

/// Estimates when a patient with `ahead` people before them will be called.
///
/// The formula is the queue-length estimator: the people ahead plus the one in service, times the
/// expected service, divided by the stations that serve. The estimate counts from the queue's last
/// call, so every node gives the same moments and passing time needs no message. The range is 0.7
/// to 1.4 of the expected wait, rounded outwards to five minutes.
///
/// # Errors
/// [`NoEstimate`] while the queue is paused, has no open station, or has not called anybody.
pub fn estimate(head: &QueueHead, issued_at: Millis, ahead: usize) -> Result<Estimate, NoEstimate> {
    if head.state == QueueState::Paused {
        return Err(NoEstimate::Paused);
    }
    if head.servers == 0 {
        return Err(NoEstimate::NoOpenStation);
    }
    let since = head.last_call_at.ok_or(NoEstimate::NotStarted)?.max(issued_at);
    let turns = Millis::try_from(ahead).unwrap_or(Millis::MAX).saturating_add(1);
    let expected =
        turns.saturating_mul(Millis::from(head.service_s) * 1000) / Millis::from(head.servers);
    let from = since.saturating_add(expected.saturating_mul(7) / 10);
    let to = since.saturating_add(expected.saturating_mul(14) / 10);
    Ok(Estimate { from: from / STEP_MS * STEP_MS, to: (to / STEP_MS).saturating_add(1) * STEP_MS })
}

#[cfg(test)]
mod tests;
