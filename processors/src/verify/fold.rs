//! The fold of one aggregate's journal, and its comparison with what is stored.

use std::collections::{BTreeMap, BTreeSet};

use schemas::{
    Millis,
    event::Event,
    ids::{Aggregate, AppointmentId, TicketId},
    record::ViewDelta,
    view::{Fold, Position, View},
};
use serde_json::Value;

use super::{Compared, Difference, How};
use crate::{
    aggregate::{AggregateHeader, AggregateState, StoredAggregate},
    location::{Appointment, Location, Ticket},
};

/// The events of one version, as the journal has them.
pub struct JournalStep {
    /// The position after the events.
    pub position: Position,
    /// When they were decided, by the clock of the aggregate.
    pub at: Millis,
    /// The events, in order.
    pub events: Vec<Event>,
}

/// A view as the journal gives it.
pub struct FoldedView {
    /// The view.
    pub view: View,
    /// Whether the view is deleted some time after its last step.
    pub expires: bool,
}

/// Everything stored of an aggregate at one moment, ended tickets and appointments too. A fold can
/// begin with it, when the journal before it is no longer at hand.
pub struct AggregateSnapshot {
    /// The aggregate and its parts.
    pub stored: StoredAggregate,
    /// The views of the aggregate, by name.
    pub views: BTreeMap<String, FoldedView>,
}

/// The moments before which parts that have ended may be deleted.
#[derive(Debug, Clone, Copy, Default)]
pub struct RetiredBefore {
    /// For the end of a ticket.
    pub tickets: Millis,
    /// For the time of an appointment, or for its last report when it has none.
    pub appointments: Millis,
}

impl RetiredBefore {
    /// Whether the retention of a ticket is over.
    fn has_ticket(&self, ticket: &Ticket) -> bool {
        let ended_at = ticket.standing.ended_at;
        !ticket.is_unfinished() && ended_at.is_some_and(|at| at < self.tickets)
    }

    /// Whether the retention of an appointment is over.
    fn has_appointment(&self, appointment: &Appointment) -> bool {
        let counts_from = appointment.wakes_at().unwrap_or(appointment.reported_at);
        !appointment.is_open() && !appointment.is_kept() && counts_from < self.appointments
    }
}

/// An aggregate as the journal gives it. One aggregate with all its tickets and appointments is in
/// memory at a time.
pub struct FoldedAggregate {
    aggregate: Aggregate,
    state: AggregateState,
    views: BTreeMap<String, FoldedView>,
    steps: u64,
    differences: Vec<Difference>,
    /// What the steps since the last [`FoldedAggregate::mark`] changed.
    touched: TouchedParts,
}

/// Tickets, appointments and views that changed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct TouchedParts {
    /// Tickets.
    pub tickets: BTreeSet<TicketId>,
    /// Appointments.
    pub appointments: BTreeSet<AppointmentId>,
    /// Names of views.
    pub views: BTreeSet<String>,
}

impl FoldedAggregate {
    /// An aggregate before its first event. Its position gets this epoch.
    pub fn new(aggregate: Aggregate, epoch: u64) -> Self {
        let state = AggregateState::new(aggregate.kind(), epoch);
        let (views, differences) = (BTreeMap::new(), Vec::new());
        Self { aggregate, state, views, steps: 0, differences, touched: TouchedParts::default() }
    }

    /// An aggregate as a snapshot has it. Its position and views get this epoch, since a new epoch
    /// continues the state.
    pub fn from_snapshot(
        aggregate: Aggregate,
        mut snapshot: AggregateSnapshot,
        epoch: u64,
    ) -> Self {
        snapshot.stored.position.epoch = epoch;
        snapshot.views.values_mut().for_each(|folded| folded.view.position.epoch = epoch);
        let state = AggregateState::restore(snapshot.stored);
        Self { state, views: snapshot.views, ..Self::new(aggregate, epoch) }
    }

    /// Applies the next events. Versions go on over epochs, since a new epoch continues the state.
    /// Ends before the first version that is missing: what follows would be applied to another
    /// state than that of which it was decided.
    pub fn apply(&mut self, step: &JournalStep) {
        let (version, before) = (step.position.version, self.state.position().version);
        if !self.differences.is_empty() {
            return;
        }
        if version != before + 1 {
            let missing = format!("{}", before + 1);
            self.differences.push(Difference::new(Compared::Journal, How::Missing, missing));
            return;
        }
        let deltas = self.state.replay(&self.aggregate, version, step.at, &step.events);
        if let Some(location) = self.state.location_mut() {
            drop(location.take_history()); // stays and figures are not compared
            let (tickets, appointments) = location.touched(&step.events, &deltas);
            self.touched.tickets.extend(tickets);
            self.touched.appointments.extend(appointments);
        }
        for delta in deltas {
            self.follow(delta);
        }
        self.steps += 1;
    }

    fn follow(&mut self, delta: ViewDelta) {
        let epoch = self.state.position().epoch;
        self.touched.views.insert(delta.view.clone());
        let folded = self
            .views
            .entry(delta.view)
            .or_insert_with(|| FoldedView { view: View::empty(epoch), expires: false });
        if folded.view.fold(&delta.delta) == Fold::Gap {
            // The view was deleted after it had expired, and begins anew with this step.
            folded.view = View::empty(epoch);
            folded.view.position.version = delta.delta.from;
            folded.view.fold(&delta.delta);
        }
        folded.expires = delta.keep_s.is_some();
    }

    /// Forgets what the steps so far changed, and returns it.
    pub fn mark(&mut self) -> TouchedParts {
        std::mem::take(&mut self.touched)
    }

    /// The key of the aggregate.
    pub fn aggregate(&self) -> &Aggregate {
        &self.aggregate
    }

    /// The number of versions.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The folded state.
    pub fn state(&self) -> &AggregateState {
        &self.state
    }

    /// The folded views.
    pub fn views(&self) -> &BTreeMap<String, FoldedView> {
        &self.views
    }

    /// The first version that the journal lacks. Nothing else can be compared then.
    pub fn journal_differences(&self) -> &[Difference] {
        &self.differences
    }

    fn location(&self) -> Option<&Location> {
        self.state.location()
    }

    /// Compares the stored position and state.
    pub fn compare_aggregate(&self, stored: Position, header: &AggregateHeader) -> Vec<Difference> {
        let id = self.aggregate.as_str();
        let mut found = Vec::new();
        if stored.version != self.state.position().version {
            found.push(Difference::new(Compared::Aggregate, How::Position, id));
        }
        let mut folded = self.state.header();
        if let (AggregateHeader::Location(stored), AggregateHeader::Location(folded)) =
            (header, &mut folded)
            && stored.day_since == 0
        {
            // An earlier version stored the header.
            folded.day_since = 0;
        }
        if without_clock(header) != without_clock(&folded) {
            found.push(Difference::new(Compared::Aggregate, How::Differs, id));
        }
        found
    }

    /// Compares a stored ticket.
    pub fn compare_ticket(&self, stored: &Ticket) -> Option<Difference> {
        let held = self.location().and_then(|location| location.ticket(&stored.id));
        let how = unequal(held, stored)?;
        Some(Difference::new(Compared::Ticket, how, stored.id.to_string()))
    }

    /// Compares a stored appointment.
    pub fn compare_appointment(&self, stored: &Appointment) -> Option<Difference> {
        let held = self.location().and_then(|location| location.appointment(&stored.id));
        let how = unequal(held, stored)?;
        Some(Difference::new(Compared::Appointment, how, stored.id.to_string()))
    }

    /// Compares a stored view with the epoch of its aggregate and with the journal.
    pub fn compare_view(&self, name: &str, stored: &View) -> Option<Difference> {
        let how = match self.views.get(name) {
            None => How::Extra,
            Some(folded) if folded.view.position != stored.position => How::Position,
            Some(folded) if !has_entries_of(stored, &folded.view) => How::Differs,
            Some(_) => return None,
        };
        Some(Difference::new(Compared::View, how, name))
    }

    /// The tickets and appointments that the journal has and that are not stored, except those
    /// whose retention is over.
    pub fn missing_parts(
        &self,
        retired: &RetiredBefore,
        has_ticket: impl Fn(&TicketId) -> bool,
        has_appointment: impl Fn(&AppointmentId) -> bool,
    ) -> Vec<Difference> {
        let Some(location) = self.location() else { return Vec::new() };
        let missing = |what, id: String| Difference::new(what, How::Missing, id);
        let tickets = location.tickets();
        let tickets = tickets.filter(|one| !has_ticket(&one.id) && !retired.has_ticket(one));
        let tickets = tickets.map(|ticket| missing(Compared::Ticket, ticket.id.to_string()));
        let appointments = location.appointments();
        let appointments =
            appointments.filter(|one| !has_appointment(&one.id) && !retired.has_appointment(one));
        let appointments =
            appointments.map(|one| missing(Compared::Appointment, one.id.to_string()));
        tickets.chain(appointments).collect()
    }

    /// The views that are kept for good and that `is_stored` does not know.
    pub fn missing_views(&self, is_stored: impl Fn(&str) -> bool) -> Vec<Difference> {
        let kept = self.views.iter().filter(|(name, view)| !view.expires && !is_stored(name));
        kept.map(|(name, _)| Difference::new(Compared::View, How::Missing, name.clone())).collect()
    }
}

fn unequal<T: PartialEq>(held: Option<&T>, stored: &T) -> Option<How> {
    match held {
        None => Some(How::Extra),
        Some(held) if held != stored => Some(How::Differs),
        Some(_) => None,
    }
}

/// Whether two views have the same time and entries, byte by byte.
pub fn has_entries_of(one: &View, other: &View) -> bool {
    let entries = one.entries.iter().zip(&other.entries);
    one.at == other.at
        && one.entries.len() == other.entries.len()
        && entries.into_iter().all(|((key, entry), (other_key, other_entry))| {
            key == other_key && entry.get() == other_entry.get()
        })
}

/// The state without its clock: a refused record moves the clock in memory, and no event says so.
fn without_clock(header: &AggregateHeader) -> Option<Value> {
    let mut value = serde_json::to_value(header).ok()?;
    value.as_object_mut()?.remove("now");
    Some(value)
}
