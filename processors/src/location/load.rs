//! How busy the location is: counted where its tickets and appointments are put and taken, so that a step costs the
//! same however many there are.

use std::collections::{BTreeMap, BTreeSet};

use schemas::{
    Millis,
    appointment::AppointmentStatus,
    ids::{QueueId, StationId, TicketId},
    load::{
        AppointmentCounts, HOUR_MS, LoadHead, LoadMinute, LoadQuarter, LoadQueue, LoadStation,
        MINUTE_MS, QUARTER_MS, StationState,
    },
    ticket::{Priority, TicketState},
};

use super::{
    Location,
    state::{Appointment, Queue, Station},
};

/// Since when people wait, in two halves: the median is the last of the earlier half.
#[derive(Default)]
pub(super) struct WaitTimes {
    early: BTreeSet<(Millis, TicketId)>,
    late: BTreeSet<(Millis, TicketId)>,
}

impl WaitTimes {
    pub(super) fn add(&mut self, since: Millis, ticket: &TicketId) {
        let wait = (since, ticket.clone());
        match self.early.last() {
            Some(last) if wait > *last => self.late.insert(wait),
            _ => self.early.insert(wait),
        };
        self.balance();
    }

    pub(super) fn remove(&mut self, since: Millis, ticket: &TicketId) {
        let wait = (since, ticket.clone());
        if !self.early.remove(&wait) {
            self.late.remove(&wait);
        }
        self.balance();
    }

    /// The earlier half has as many as the later one, or one more.
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

/// What the service day's appointments come to.
#[derive(Default)]
pub(super) struct DayCounts {
    pub(super) appointments: AppointmentCounts,
    /// Appointments by the quarter hour they start in, those called off left out.
    pub(super) booked: BTreeMap<Millis, u32>,
}

impl DayCounts {
    pub(super) fn add(&mut self, appointment: &Appointment) {
        self.change(appointment, |count| *count += 1);
    }

    pub(super) fn remove(&mut self, appointment: &Appointment) {
        self.change(appointment, |count| *count -= 1);
    }

    fn change(&mut self, appointment: &Appointment, change: impl Fn(&mut u32)) {
        use AppointmentStatus as S;
        let counts = &mut self.appointments;
        match appointment.status {
            S::Proposed | S::Pending | S::Waitlist | S::EnteredInError => {}
            S::Booked => {
                change(&mut counts.due);
                if appointment.late {
                    change(&mut counts.late);
                }
            }
            S::Arrived | S::CheckedIn => change(&mut counts.arrived),
            S::Fulfilled => change(&mut counts.fulfilled),
            S::Noshow => change(&mut counts.no_show),
            S::Cancelled => change(&mut counts.cancelled),
        }
        if let Some(start) = booked_at(appointment) {
            let quarter = quarter_of(start);
            let count = self.booked.entry(quarter).or_default();
            change(count);
            if *count == 0 {
                self.booked.remove(&quarter);
            }
        }
    }
}

/// When an appointment that was not called off starts.
fn booked_at(appointment: &Appointment) -> Option<Millis> {
    use AppointmentStatus as S;
    let planned =
        !matches!(appointment.status, S::Proposed | S::Waitlist | S::Cancelled | S::EnteredInError);
    appointment.fact.start.filter(|_| planned)
}

pub(super) fn quarter_of(at: Millis) -> Millis {
    at.div_euclid(QUARTER_MS) * QUARTER_MS
}

impl Location {
    /// Counts something into the quarter hour of `at`, as long as that is of the service day.
    pub(super) fn count_quarter(&mut self, at: Millis, count: impl FnOnce(&mut LoadQuarter)) {
        if at < self.day_ends && self.day_starts <= at {
            count(self.header.quarters.entry(quarter_of(at)).or_default());
        }
    }

    /// Counts a call or a service into the last hour; minutes that are over an hour old go.
    pub(super) fn count_minute(&mut self, at: Millis, called: u32, served: u32) {
        let minute = at.div_euclid(MINUTE_MS) * MINUTE_MS;
        let hour = &mut self.header.hour;
        hour.retain(|past| past.at > at - HOUR_MS);
        match hour.last_mut() {
            Some(last) if last.at == minute => {
                last.called += called;
                last.served += served;
            }
            _ => hour.push(LoadMinute { at: minute, called, served }),
        }
    }

    pub(super) fn load_head(&self) -> LoadHead {
        LoadHead {
            name: self.header.name.clone(),
            time_zone: self.header.time_zone.clone(),
            day: self.header.day.clone(),
            waiting: count(self.waits.len()),
            oldest: self.waits.oldest(),
            median: self.waits.median(),
            hour: self.header.hour.clone(),
            appointments: self.day_counts.appointments,
            facts: self.header.facts,
            bands: self.header.bands.clone(),
        }
    }

    pub(super) fn load_queue(&self, id: &QueueId, queue: &Queue) -> LoadQueue {
        let tally = self.tallies.get(id);
        let waiting = count(tally.map_or(0, |tally| tally.waiting.len()));
        LoadQueue {
            name: queue.name.clone(),
            state: queue.state,
            waiting,
            priorities: tally.map(|tally| tally.priorities.clone()).unwrap_or_default(),
            oldest: tally.and_then(|tally| tally.waits.oldest()),
            median: tally.and_then(|tally| tally.waits.median()),
            band: self.header.bands.as_ref().map_or(0, |bands| bands.band_for_waiting(waiting)),
        }
    }

    pub(super) fn load_station(&self, id: &StationId, station: &Station) -> LoadStation {
        let there =
            self.at_station.get(id).into_iter().flatten().filter_map(|ticket| self.ticket(ticket));
        let busy = |state| matches!(state, TicketState::Called | TicketState::InService);
        let with: Vec<String> = there
            .filter(|ticket| busy(ticket.standing.state))
            .map(|ticket| ticket.label.clone())
            .collect();
        let state = match (with.is_empty(), station.open) {
            (false, _) => StationState::Busy,
            (true, true) => StationState::Idle,
            (true, false) => StationState::Closed,
        };
        LoadStation { name: station.name.clone(), state, with, queue: station.served.clone() }
    }

    /// A quarter hour of the service day, if anything is in it.
    pub(super) fn load_quarter(&self, quarter: Millis) -> Option<LoadQuarter> {
        let counted = self.header.quarters.get(&quarter).copied().unwrap_or_default();
        let booked = self.day_counts.booked.get(&quarter).copied().unwrap_or_default();
        let entry = LoadQuarter { booked, ..counted };
        (entry != LoadQuarter::default()).then_some(entry)
    }
}

/// Adds one who waits to a count by priority, or takes one away.
pub(super) fn by_priority(
    priorities: &mut BTreeMap<Priority, u32>,
    priority: Priority,
    more: bool,
) {
    let count = priorities.entry(priority).or_default();
    *count = if more { *count + 1 } else { *count - 1 };
    if *count == 0 {
        priorities.remove(&priority);
    }
}

fn count(people: usize) -> u32 {
    u32::try_from(people).unwrap_or(u32::MAX)
}
