//! Indexes over the tickets and appointments in memory, kept up to date so that no command counts
//! or searches them.
//!
//! Adding and removing share one function per kind of part, so a removal reverts exactly what the
//! addition counted.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ops::Range,
};

use schemas::{
    Millis,
    appointment::AppointmentStatus,
    ids::{AppointmentId, DoctorId, QueueId, SourceId, SourceKey, StationId, TicketId},
    line::LinePlace,
    load::{AppointmentCounts, QUARTER_MS},
    ticket::{Priority, TicketState},
};

use super::{
    state::{Appointment, Station},
    ticket::Ticket,
};

/// Indexes of one location.
#[derive(Default)]
pub(super) struct Indexes {
    /// Counts by queue. Every configured queue has a tally.
    pub(super) tallies: BTreeMap<QueueId, QueueTally>,
    /// Since when the tickets of all queues wait.
    pub(super) waits: WaitTimes,
    /// Timers of tickets and appointments, by the time when they are due.
    pub(super) timers: BTreeSet<(Millis, TimerTarget)>,
    /// Live tickets that name a station, and change with its name.
    pub(super) stations: BTreeMap<StationId, BTreeSet<TicketId>>,
    /// Appointments of the service day by doctor.
    pub(super) days: BTreeMap<DoctorId, BTreeSet<AppointmentId>>,
    /// Appointments of the service day whose patient waits, by doctor and start.
    pub(super) waiting: BTreeMap<DoctorId, BTreeSet<(Millis, AppointmentId)>>,
    /// Counts of the service day's appointments.
    pub(super) day_counts: DayCounts,
    /// The number of live tickets.
    pub(super) live: u32,
    /// The number of live tickets with devices that are alerted.
    pub(super) subscribed: u32,
    /// The moves of tickets and appointments that are not settled.
    pub(super) moves: BTreeSet<TimerTarget>,
    /// Live tickets by label. A label that is here is not given again.
    pub(super) labels: BTreeMap<String, BTreeSet<TicketId>>,
    /// Ended tickets without a move. They leave memory when their rows are committed.
    pub(super) ended: BTreeSet<TicketId>,
    /// Appointments that are not near the service day. They leave memory when their rows are
    /// committed.
    pub(super) outside: BTreeSet<AppointmentId>,
    /// Appointments by source and by the key that the source gave them.
    pub(super) sources: HashMap<(SourceId, SourceKey), AppointmentId>,
}

/// The tickets and stations of one queue.
#[derive(Default)]
pub(super) struct QueueTally {
    /// Places of the tickets that wait, in calling order.
    pub(super) waiting: BTreeSet<LinePlace>,
    /// The number of waiting tickets by priority.
    pub(super) priorities: BTreeMap<Priority, u32>,
    /// Since when the tickets wait.
    pub(super) waits: WaitTimes,
    /// Live tickets in any state.
    pub(super) live: BTreeSet<TicketId>,
    /// The number of live tickets by rank: mostly 1.
    pub(super) ranks: BTreeMap<u64, u32>,
    /// The number of open stations that serve the queue.
    pub(super) stations: u32,
}

/// The part to which a timer belongs. Of timers due at the same time, those of tickets fire first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TimerTarget {
    Ticket(TicketId),
    Appointment(AppointmentId),
    /// The question about a ticket's move, which is asked again.
    TicketMove(TicketId),
    /// The question about an appointment's move, which is asked again.
    AppointmentMove(AppointmentId),
}

/// The timers of a ticket or an appointment, with the times when they are due.
pub(super) type PartTimers = [Option<(Millis, TimerTarget)>; 2];

/// Whether a part is added to the indexes or removed from them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Update {
    Add,
    Remove,
}

impl Update {
    fn element<T: Ord>(self, set: &mut BTreeSet<T>, element: T) {
        match self {
            Update::Add => set.insert(element),
            Update::Remove => set.remove(&element),
        };
    }

    /// Updates the set under `key`. A set without elements is removed.
    fn element_under<K: Ord + Clone, T: Ord>(
        self,
        sets: &mut BTreeMap<K, BTreeSet<T>>,
        key: &K,
        element: T,
    ) {
        let set = sets.entry(key.clone()).or_default();
        self.element(set, element);
        if set.is_empty() {
            sets.remove(key);
        }
    }

    pub(super) fn count(self, count: &mut u32) {
        match self {
            Update::Add => *count += 1,
            Update::Remove => *count -= 1,
        }
    }

    /// Updates the count under `key`. A count of zero is removed.
    fn count_under<K: Ord + Copy>(self, counts: &mut BTreeMap<K, u32>, key: K) {
        let count = counts.entry(key).or_default();
        self.count(count);
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

impl Indexes {
    /// Adds or removes a ticket with its timers.
    pub(super) fn ticket(&mut self, update: Update, ticket: &Ticket, timers: PartTimers) {
        let standing = &ticket.standing;
        for timer in timers.into_iter().flatten() {
            update.element(&mut self.timers, timer);
        }
        if ticket.handover.is_some() {
            update.element(&mut self.moves, TimerTarget::TicketMove(ticket.id.clone()));
        }
        if !ticket.is_unfinished() {
            update.element(&mut self.ended, ticket.id.clone());
        }
        if standing.state.is_end() {
            return;
        }
        update.count(&mut self.live);
        if !ticket.devices.is_empty() {
            update.count(&mut self.subscribed);
        }
        update.element_under(&mut self.labels, &ticket.label, ticket.id.clone());
        if let Some(station) = &standing.station {
            update.element_under(&mut self.stations, station, ticket.id.clone());
        }
        let tally = self.tallies.entry(standing.queue.clone()).or_default();
        update.element(&mut tally.live, ticket.id.clone());
        update.count_under(&mut tally.ranks, standing.rank);
        if standing.state == TicketState::Waiting {
            update.element(&mut tally.waiting, ticket.place());
            update.count_under(&mut tally.priorities, standing.priority);
            tally.waits.update(update, ticket.issued_at, &ticket.id);
            self.waits.update(update, ticket.issued_at, &ticket.id);
        }
    }

    /// Adds or removes a station.
    pub(super) fn station(&mut self, update: Update, station: &Station) {
        for queue in station.served_queues().filter(|_| station.open) {
            update.count(&mut self.tallies.entry(queue.clone()).or_default().stations);
        }
    }

    /// Adds or removes an appointment with its timers. `today` is the service day.
    pub(super) fn appointment(
        &mut self,
        update: Update,
        appointment: &Appointment,
        timers: PartTimers,
        today: &Range<Millis>,
    ) {
        let id = &appointment.id;
        let (source, key) = appointment.source();
        let name = (source.clone(), key.clone());
        match update {
            Update::Add => self.sources.insert(name, id.clone()),
            Update::Remove => self.sources.remove(&name),
        };
        for timer in timers.into_iter().flatten() {
            update.element(&mut self.timers, timer);
        }
        if appointment.moving.is_some() {
            update.element(&mut self.moves, TimerTarget::AppointmentMove(id.clone()));
        }
        if let Some(start) = appointment.fact.start.filter(|start| today.contains(start)) {
            self.day_counts.update(update, appointment);
            if let Some(doctor) = &appointment.fact.doctor {
                update.element_under(&mut self.days, &doctor.id, id.clone());
                if appointment.waits() {
                    update.element_under(&mut self.waiting, &doctor.id, (start, id.clone()));
                }
            }
        }
        if !appointment.is_near(today) {
            update.element(&mut self.outside, id.clone());
        }
    }

    /// Forgets everything that depends on the service day. The caller then adds every appointment
    /// again, under the new day.
    pub(super) fn clear_day(&mut self) {
        self.days.clear();
        self.waiting.clear();
        self.outside.clear();
        self.day_counts = DayCounts::default();
    }
}

/// The times since which people wait, in two halves. The median is the last of the earlier half.
#[derive(Default)]
pub(super) struct WaitTimes {
    early: BTreeSet<(Millis, TicketId)>,
    late: BTreeSet<(Millis, TicketId)>,
}

impl WaitTimes {
    fn update(&mut self, update: Update, since: Millis, ticket: &TicketId) {
        let wait = (since, ticket.clone());
        match update {
            Update::Add if self.early.last().is_some_and(|last| wait > *last) => {
                self.late.insert(wait)
            }
            Update::Add => self.early.insert(wait),
            Update::Remove => self.early.remove(&wait) || self.late.remove(&wait),
        };
        self.balance();
    }

    /// Keeps the earlier half as large as the later half, or one larger.
    fn balance(&mut self) {
        if self.early.len() > self.late.len() + 1 {
            self.late.extend(self.early.pop_last());
        } else if self.early.len() < self.late.len() {
            self.early.extend(self.late.pop_first());
        }
    }

    pub(super) fn oldest(&self) -> Option<Millis> {
        self.early.first().map(|(since, _)| *since)
    }

    pub(super) fn median(&self) -> Option<Millis> {
        self.early.last().map(|(since, _)| *since)
    }

    pub(super) fn len(&self) -> usize {
        self.early.len() + self.late.len()
    }
}

/// Counts of the service day's appointments.
#[derive(Default)]
pub(super) struct DayCounts {
    pub(super) appointments: AppointmentCounts,
    /// Appointments by the quarter hour of their start, without those called off.
    pub(super) booked: BTreeMap<Millis, u32>,
}

impl DayCounts {
    fn update(&mut self, update: Update, appointment: &Appointment) {
        use AppointmentStatus as S;
        let counts = &mut self.appointments;
        match appointment.status {
            S::Proposed | S::Pending | S::Waitlist | S::EnteredInError => {}
            S::Booked => {
                update.count(&mut counts.due);
                if appointment.late {
                    update.count(&mut counts.late);
                }
            }
            S::Arrived | S::CheckedIn => update.count(&mut counts.arrived),
            S::Fulfilled => update.count(&mut counts.fulfilled),
            S::Noshow => update.count(&mut counts.no_show),
            S::Cancelled => update.count(&mut counts.cancelled),
        }
        if let Some(start) = booked_start(appointment) {
            update.count_under(&mut self.booked, quarter_of(start));
        }
    }
}

/// The start of an appointment that was not called off.
fn booked_start(appointment: &Appointment) -> Option<Millis> {
    use AppointmentStatus as S;
    let booked =
        !matches!(appointment.status, S::Proposed | S::Waitlist | S::Cancelled | S::EnteredInError);
    appointment.fact.start.filter(|_| booked)
}

/// The start of the quarter hour of `at`.
pub(super) fn quarter_of(at: Millis) -> Millis {
    at.div_euclid(QUARTER_MS) * QUARTER_MS
}
