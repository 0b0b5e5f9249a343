//! The dashboard of a location: how busy its queues, stations and quarter hours are.

use schemas::{
    Millis,
    ids::{QueueId, StationId},
    load::{
        HOUR_MS, LoadHead, LoadMinute, LoadQuarter, LoadQueue, LoadStation, MINUTE_MS, StationState,
    },
    ticket::TicketState,
};

use crate::location::{
    Location,
    indexes::{Update, quarter_of},
    state::{Queue, Station},
    ticket::LoadCount,
};

impl Location {
    /// Counts something in the quarter hour of `at`, if the quarter hour is in the service day.
    pub(crate) fn count_quarter(&mut self, at: Millis, count: impl FnOnce(&mut LoadQuarter)) {
        if at < self.header.day_ends && self.header.day_starts <= at {
            count(self.header.quarters.entry(quarter_of(at)).or_default());
        }
    }

    /// Whether a timer that was due `at` counts for the service day. One that was due at the moment
    /// when a day ends belongs to that day, although the day ends before its timers fire.
    pub(crate) fn counts_for_today(&self, at: Millis) -> bool {
        self.header.day_starts < at
    }

    /// Counts a step of a ticket that happened `at`, or takes it out of the counts.
    pub(crate) fn count(&mut self, counted: LoadCount, update: Update, at: Millis) {
        if matches!(counted, LoadCount::Called | LoadCount::Served) {
            match update {
                Update::Add => self.count_minute(at, counted),
                Update::Remove => self.uncount_minute(at, counted),
            }
        }
        let of = |quarter: &mut LoadQuarter, step: fn(u32) -> u32| {
            let count = match counted {
                LoadCount::Called => &mut quarter.called,
                LoadCount::Served => &mut quarter.served,
                LoadCount::NoShow => &mut quarter.no_show,
            };
            *count = step(*count);
        };
        match update {
            Update::Add => self.count_quarter(at, |quarter| of(quarter, |count| count + 1)),
            // Its day may have ended. After a change of the time zone a step that was counted may
            // be outside the day, and one that was not counted inside.
            Update::Remove => {
                if let Some(quarter) = self.header.quarters.get_mut(&quarter_of(at)) {
                    of(quarter, |count| count.saturating_sub(1));
                }
            }
        }
        self.header.quarters.retain(|_, quarter| *quarter != LoadQuarter::default());
    }

    /// Counts a call or a service in the last hour, and removes minutes older than an hour.
    fn count_minute(&mut self, at: Millis, counted: LoadCount) {
        let minute = minute_of(at);
        let hour = &mut self.header.hour;
        hour.retain(|past| past.at > at - HOUR_MS);
        if hour.last().is_none_or(|last| last.at != minute) {
            hour.push(LoadMinute { at: minute, called: 0, served: 0 });
        }
        if let Some(last) = hour.last_mut() {
            Update::Add.count(minute_count(last, counted));
        }
    }

    /// Takes a call or a service out of its minute, if that is still kept.
    fn uncount_minute(&mut self, at: Millis, counted: LoadCount) {
        let minute = minute_of(at);
        let hour = &mut self.header.hour;
        if let Some(kept) = hour.iter_mut().find(|kept| kept.at == minute) {
            Update::Remove.count(minute_count(kept, counted));
        }
        hour.retain(|kept| (kept.called, kept.served) != (0, 0));
    }

    pub(crate) fn load_head(&self) -> LoadHead {
        LoadHead {
            name: self.header.name.clone(),
            time_zone: self.header.time_zone.clone(),
            day: self.header.day.clone(),
            waiting: count(self.indexes.waits.len()),
            oldest: self.indexes.waits.oldest(),
            median: self.indexes.waits.median(),
            hour: self.header.hour.clone(),
            appointments: self.indexes.day_counts.appointments,
            facts: self.header.facts,
            bands: self.header.bands.clone(),
        }
    }

    pub(crate) fn load_queue(&self, id: &QueueId, queue: &Queue) -> LoadQueue {
        let tally = self.indexes.tallies.get(id);
        let waiting = count(tally.map_or(0, |tally| tally.waiting.len()));
        LoadQueue {
            name: queue.name.clone(),
            state: queue.state,
            waiting,
            priorities: tally.map(|tally| tally.priorities.clone()).unwrap_or_default(),
            oldest: tally.and_then(|tally| tally.waits.oldest()),
            median: tally.and_then(|tally| tally.waits.median()),
            band: self.header.bands.as_ref().map_or(0, |bands| bands.band_for_waiting(waiting)),
            place: queue.place,
        }
    }

    pub(crate) fn load_station(&self, id: &StationId, station: &Station) -> LoadStation {
        let there = self
            .indexes
            .stations
            .get(id)
            .into_iter()
            .flatten()
            .filter_map(|ticket| self.ticket(ticket));
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

    /// A quarter hour of the service day, if any of its counts is above zero.
    pub(crate) fn load_quarter(&self, quarter: Millis) -> Option<LoadQuarter> {
        let counted = self.header.quarters.get(&quarter).copied().unwrap_or_default();
        let booked = self.indexes.day_counts.booked.get(&quarter).copied().unwrap_or_default();
        let entry = LoadQuarter { booked, ..counted };
        (entry != LoadQuarter::default()).then_some(entry)
    }
}

fn minute_of(at: Millis) -> Millis {
    at.div_euclid(MINUTE_MS) * MINUTE_MS
}

fn minute_count(minute: &mut LoadMinute, counted: LoadCount) -> &mut u32 {
    match counted {
        LoadCount::Served => &mut minute.served,
        LoadCount::Called | LoadCount::NoShow => &mut minute.called,
    }
}

fn count(people: usize) -> u32 {
    u32::try_from(people).unwrap_or(u32::MAX)
}
