//! The changes that a step of a ticket makes in its location, and how an undo reverts them.
//!
//! An undo leaves the counts, the measured times and the board as they were. Where a later step has
//! changed the same value, such as the last call of a queue, the later change stays.

use schemas::{
    Millis,
    event::{Event, TicketStatus},
    ids::{QueueId, StationId},
    ticket::TicketState,
};

use crate::location::{
    Location,
    indexes::Update,
    moves::{BoardPlace, shown},
    state::{RecentCall, ServiceTime},
    ticket::{LastCalls, LastDelay, LoadCount, RecentChange, StepTrace, Ticket, Undo},
};

impl Location {
    /// Counts and measures a step that happened `at`. `before` is the standing before the step.
    pub(crate) fn trace_step(
        &mut self,
        event: &Event,
        ticket: &Ticket,
        before: &TicketStatus,
        version: u64,
        at: Millis,
    ) -> StepTrace {
        let mut trace = StepTrace::default();
        match event {
            Event::TicketCalled { station, .. } => {
                trace.counted = Some(LoadCount::Called);
                trace.calls = Some(self.note_call(station, &before.queue, version, at));
            }
            Event::ServiceStarted { .. } => trace.delay = self.note_delay(ticket, version, at),
            Event::TicketCompleted { .. } => {
                trace.counted = Some(LoadCount::Served);
                trace.service = self.measure(before, version, at);
            }
            Event::TicketNoShow { .. } => trace.counted = Some(LoadCount::NoShow),
            Event::TicketExpired { state: TicketState::NoShow, at, .. } => {
                trace.counted = self.counts_for_today(*at).then_some(LoadCount::NoShow);
            }
            _ => {}
        }
        if let Some(counted) = trace.counted {
            self.count(counted, Update::Add, at);
        }
        trace.recent = self.note_recent(ticket, before);
        trace
    }

    /// Takes back what a step changed. `ticket` has its standing from before the step again,
    /// `done` is the standing after the step, which happened `at`.
    pub(crate) fn take_back(
        &mut self,
        undo: Undo,
        ticket: &Ticket,
        done: &TicketStatus,
        at: Millis,
    ) {
        let Undo { version, trace, .. } = undo;
        if let Some(counted) = trace.counted {
            self.count(counted, Update::Remove, at);
        }
        if let (Some(calls), Some(station)) = (trace.calls, &done.station) {
            self.restore_calls(calls, station, &done.queue, version);
        }
        if let Some(queue) = self.header.queues.get_mut(&done.queue)
            && let Some(before) = trace.service
        {
            let service = &mut queue.service;
            if service.version == version {
                *service = ServiceTime { configured_s: service.configured_s, ..before };
            } else if let (Some(from), Some(to)) = (done.started_at, done.ended_at) {
                service.forget(to - from);
            }
        }
        if let Some(LastDelay { doctor, delay_min, version: set_by }) = trace.delay
            && let Some(day) = self.header.doctors.get_mut(&doctor)
            && day.delay_version == version
        {
            (day.delay_min, day.delay_version) = (delay_min, set_by);
        }
        match trace.recent {
            Some(RecentChange::Added(evicted)) => {
                self.remove_recent(ticket);
                if let Some(call) = evicted.filter(|call| self.is_still_recent(call)) {
                    self.add_recent(call);
                }
            }
            Some(RecentChange::Removed) => {
                if let Some(call) = self.recent_call_of(ticket) {
                    self.add_recent(call);
                }
            }
            None => {}
        }
    }

    fn note_call(
        &mut self,
        station: &StationId,
        queue: &QueueId,
        version: u64,
        at: Millis,
    ) -> LastCalls {
        let mut before = LastCalls { queue: (None, 0), station: (None, 0) };
        if let Some(queue) = self.header.queues.get_mut(queue) {
            before.queue = (queue.last_call_at.replace(at), queue.last_call_version);
            queue.last_call_version = version;
        }
        self.change_station(station, |station| {
            before.station = (station.served.replace(queue.clone()), station.served_version);
            station.served_version = version;
        });
        before
    }

    fn restore_calls(
        &mut self,
        before: LastCalls,
        station: &StationId,
        queue: &QueueId,
        version: u64,
    ) {
        if let Some(queue) = self.header.queues.get_mut(queue)
            && queue.last_call_version == version
        {
            (queue.last_call_at, queue.last_call_version) = before.queue;
        }
        let (served, set_by) = before.station;
        let served = served.filter(|queue| self.header.queues.contains_key(queue));
        self.change_station(station, |station| {
            if station.served_version == version {
                (station.served, station.served_version) = (served, set_by);
            }
        });
    }

    /// Records how late the doctor is when the service of an appointment starts.
    fn note_delay(&mut self, ticket: &Ticket, version: u64, now: Millis) -> Option<LastDelay> {
        let appointment = self.appointments.get(ticket.appointment.as_ref()?)?;
        if !self.is_today(appointment) {
            return None;
        }
        let (doctor, delay_min) = appointment.delay_at(now)?;
        let doctor = doctor.clone();
        let day = self.header.doctors.get_mut(&doctor)?;
        let before = LastDelay { doctor, delay_min: day.delay_min, version: day.delay_version };
        (day.delay_min, day.delay_version) = (delay_min, version);
        Some(before)
    }

    fn measure(&mut self, served: &TicketStatus, version: u64, now: Millis) -> Option<ServiceTime> {
        let started_at = served.started_at?;
        let service = &mut self.header.queues.get_mut(&served.queue)?.service;
        let before = service.clone();
        service.measure(now - started_at, version);
        Some(before)
    }

    /// Keeps the recent calls of the board: adds a call that is over, and removes one that no
    /// longer counts.
    fn note_recent(&mut self, ticket: &Ticket, before: &TicketStatus) -> Option<RecentChange> {
        let now = shown(&ticket.standing);
        if now == shown(before) {
            return None;
        }
        if self.remove_recent(ticket) {
            return Some(RecentChange::Removed);
        }
        let call = self.recent_call_of(ticket).filter(|_| now == BoardPlace::RecentCall)?;
        let evicted = self.add_recent(call);
        let itself = evicted.as_ref().is_some_and(|call| call.is_of(ticket));
        (!itself).then_some(RecentChange::Added(evicted))
    }

    /// The call of the ticket as the board lists it later. A call from before the service day is
    /// not listed.
    fn recent_call_of(&self, ticket: &Ticket) -> Option<RecentCall> {
        let standing = &ticket.standing;
        let at = standing.called_at.filter(|at| self.header.day_since <= *at)?;
        let station = standing.station.clone();
        let station = station.filter(|id| self.header.stations.contains_key(id))?;
        Some(RecentCall {
            day: ticket.day.clone(),
            label: ticket.label.clone(),
            station,
            at,
            recalls: standing.recalls,
        })
    }

    /// Adds a call in the order of the calls. Past [`RecentCall::MAX`] the oldest is removed and
    /// returned.
    fn add_recent(&mut self, call: RecentCall) -> Option<RecentCall> {
        let recents = &mut self.header.recents;
        let index = recents.partition_point(|other| other.order() <= call.order());
        recents.insert(index, call);
        (recents.len() > RecentCall::MAX).then(|| recents.remove(0))
    }

    fn remove_recent(&mut self, ticket: &Ticket) -> bool {
        let recents = &mut self.header.recents;
        let before = recents.len();
        recents.retain(|call| !call.is_of(ticket));
        recents.len() < before
    }

    /// Whether a call that made room for another is still one that the board would list: its day
    /// has not ended, and its ticket was not called again or put back in line since.
    fn is_still_recent(&self, call: &RecentCall) -> bool {
        let tickets = self.indexes.labels.get(&call.label).into_iter().flatten();
        let of_call = tickets.filter_map(|id| self.ticket(id)).find(|ticket| call.is_of(ticket));
        let stands = of_call.is_none_or(|ticket| {
            shown(&ticket.standing) == BoardPlace::RecentCall
                && ticket.standing.called_at == Some(call.at)
        });
        let named = self.header.stations.contains_key(&call.station);
        stands && named && self.header.day_since <= call.at && !self.header.recents.contains(call)
    }
}

impl RecentCall {
    fn is_of(&self, ticket: &Ticket) -> bool {
        self.label == ticket.label && self.day == ticket.day
    }

    fn order(&self) -> (Millis, &str, &str) {
        (self.at, &self.day, &self.label)
    }
}
