//! How events change a location. Nothing is refused here, because an event has already been
//! decided.

use schemas::{
    Millis,
    appointment::{AppointmentChange, AppointmentStatus},
    event::{Event, TicketStatus},
    ids::{QueueId, StationId, TicketId},
    ticket::{Priority, TicketState},
};

use super::{
    Location,
    moves::{self, BoardPlace, shown},
    settings,
    state::{Queue, RecentCall, ServiceTime, Station, Ticket, Undo},
};

impl Location {
    /// Applies one event of `version`, decided at `now`. `Location::change` calls this and renders
    /// the views around it.
    pub(super) fn apply(&mut self, event: &Event, version: u64, now: Millis) {
        self.position.version = version;
        self.header.now = self.header.now.max(now);
        match event {
            Event::LocationConfigured { .. } => self.configure(event, now),
            Event::StationStateChanged { station, open } => {
                if let Some(station) = self.header.stations.get_mut(station) {
                    station.open = *open;
                }
            }
            Event::QueueConfigured { queue, name, prefix, service_s } => {
                self.configure_queue(queue, name, prefix, *service_s);
            }
            Event::StationConfigured { station, name } => {
                let stations = &mut self.header.stations;
                let new = || Station { name: String::new(), open: true, served: None };
                stations.entry(station.clone()).or_insert_with(new).name.clone_from(name);
            }
            Event::QueueStateChanged { queue, state } => {
                if let Some(queue) = self.header.queues.get_mut(queue) {
                    queue.state = *state;
                }
            }
            Event::QueueReordered { queue, ranks } => self.reorder(queue, ranks, version),
            Event::TicketIssued { .. } => self.issue(event, now),
            other => match moves::moved_ticket(other) {
                Some(ticket) => self.move_ticket(ticket, other, version, now),
                None => self.apply_to_appointments(other),
            },
        }
    }

    fn configure(&mut self, event: &Event, now: Millis) {
        let Event::LocationConfigured { name, time_zone, languages, timers, bands } = event else {
            return;
        };
        self.zone = settings::zone_or_utc(time_zone);
        let header = &mut self.header;
        header.name.clone_from(name);
        header.time_zone.clone_from(time_zone);
        header.languages.clone_from(languages);
        header.timers = timers.clone();
        header.bands.clone_from(bands);
        if header.day.is_empty() {
            header.day = settings::service_day(&self.zone, timers.day_start_min, now);
            self.complete_until.clone_from(&header.day);
        }
        self.set_timers();
    }

    fn issue(&mut self, event: &Event, now: Millis) {
        let Event::TicketIssued { ticket, queue, day, number, label, priority, rank, appointment } =
            event
        else {
            return;
        };
        self.count_label(queue, day, *number);
        self.used_rank(queue, *rank);
        self.count_quarter(now, |quarter| quarter.arrived += 1);
        self.put(Ticket {
            id: ticket.clone(),
            label: label.clone(),
            day: day.clone(),
            issued_at: now,
            standing: issued(queue, *priority, *rank),
            appointment: appointment.clone(),
            moved_at: now,
            undo: None,
            view: 0,
        });
    }

    fn apply_to_appointments(&mut self, event: &Event) {
        match event {
            Event::AppointmentReported { appointment, fact, change } => {
                self.count_fact(*change);
                self.report(appointment, fact, None);
            }
            Event::AppointmentMoved { appointment, fact, successor } => {
                self.count_fact(AppointmentChange::Moved);
                self.report(appointment, fact, Some(successor));
            }
            Event::FactIgnored { change, .. } => self.count_fact(*change),
            Event::AppointmentLate { appointment, .. } => {
                self.change_appointment(appointment, |appointment| appointment.late = true);
            }
            Event::AppointmentMissed { appointment, at } => {
                self.count_quarter(*at, |quarter| quarter.no_show += 1);
                self.change_appointment(appointment, |appointment| {
                    (appointment.late, appointment.missed) = (false, true);
                    appointment.status = AppointmentStatus::Noshow;
                });
            }
            Event::DayEnded { next, .. } => self.begin_day(next.clone()),
            // Events of other aggregates.
            _ => {}
        }
    }

    fn count_fact(&mut self, change: AppointmentChange) {
        let facts = &mut self.header.facts;
        *match change {
            AppointmentChange::Repeated => &mut facts.repeated,
            AppointmentChange::Stale => &mut facts.stale,
            AppointmentChange::Overruled => &mut facts.overruled,
            _ => &mut facts.applied,
        } += 1;
    }

    fn configure_queue(&mut self, id: &QueueId, name: &str, prefix: &str, service_s: Option<u32>) {
        let header = &mut self.header;
        self.indexes.tallies.entry(id.clone()).or_default();
        let queue = header.queues.entry(id.clone()).or_insert_with(|| {
            Queue::new(name.to_owned(), prefix.to_owned(), ServiceTime::new(ServiceTime::DEFAULT_S))
        });
        queue.name = name.to_owned();
        if let Some(seconds) = service_s {
            queue.service.configured_s = seconds;
        }
        let old = std::mem::replace(&mut queue.prefix, prefix.to_owned());
        // A queue takes its count along to another prefix, and never below the numbers already
        // given there. So neither its numbers nor any label are given twice on one day.
        if let Some(&given) = header.numbers.get(&old) {
            let last = header.numbers.entry(prefix.to_owned()).or_default();
            *last = given.max(*last);
        }
    }

    fn count_label(&mut self, queue: &QueueId, day: &str, number: u32) {
        let header = &mut self.header;
        if *day > *header.day {
            header.numbers.clear();
            header.day = day.to_owned();
        }
        if let Some(queue) = header.queues.get(queue) {
            header.numbers.insert(queue.prefix.clone(), number);
        }
    }

    fn used_rank(&mut self, queue: &QueueId, rank: u64) {
        if let Some(queue) = self.header.queues.get_mut(queue) {
            queue.next_rank = queue.next_rank.max(rank + 1);
            queue.first_rank = queue.first_rank.min(rank);
        }
    }

    fn reorder(&mut self, queue: &QueueId, ranks: &[(TicketId, u64)], version: u64) {
        for (id, rank) in ranks {
            self.used_rank(queue, *rank);
            if let Some(mut ticket) = self.take(id) {
                ticket.undo = Some(Undo { version, standing: ticket.standing.clone() });
                ticket.standing.rank = *rank;
                self.put(ticket);
            }
        }
    }

    fn move_ticket(&mut self, id: &TicketId, event: &Event, version: u64, now: Millis) {
        let Some(mut ticket) = self.take(id) else { return };
        let next = moves::standing_after(&ticket.standing, event, now);
        let before = std::mem::replace(&mut ticket.standing, next);
        ticket.moved_at = match event {
            Event::TicketExpired { at, .. } => *at,
            _ => now,
        };
        match event {
            Event::TicketCalled { station, .. } => {
                self.note_call(station, &before.queue, now);
                self.count_minute(now, 1, 0);
                self.count_quarter(now, |quarter| quarter.called += 1);
            }
            Event::TicketMoved { queue, rank, .. } => self.used_rank(queue, *rank),
            Event::ServiceStarted { .. } => self.note_delay(&ticket, now),
            Event::TicketCompleted { .. } => {
                self.measure(&before, now);
                self.count_minute(now, 0, 1);
                self.count_quarter(now, |quarter| quarter.served += 1);
            }
            Event::TicketNoShow { .. } => self.count_quarter(now, |quarter| quarter.no_show += 1),
            Event::TicketExpired { state: TicketState::NoShow, at, .. } => {
                self.count_quarter(*at, |quarter| quarter.no_show += 1);
            }
            _ => {}
        }
        self.note_recent(&ticket, shown(&before));
        ticket.undo = match event {
            Event::TicketReverted { .. } | Event::TicketTransferred { .. } => None,
            _ => Some(Undo { version, standing: before }),
        };
        self.put(ticket);
    }

    fn note_call(&mut self, station: &StationId, queue: &QueueId, now: Millis) {
        if let Some(queue) = self.header.queues.get_mut(queue) {
            queue.last_call_at = Some(now);
        }
        let Some(station) = self.header.stations.get_mut(station) else {
            return;
        };
        let last = station.served.replace(queue.clone());
        if let Some(tally) = last.and_then(|last| self.indexes.tallies.get_mut(&last)) {
            tally.stations -= 1;
        }
        self.indexes.tallies.entry(queue.clone()).or_default().stations += 1;
    }

    /// Records how late the doctor is when the service of an appointment starts.
    fn note_delay(&mut self, ticket: &Ticket, now: Millis) {
        let appointment = ticket.appointment.as_ref().and_then(|id| self.appointments.get(id));
        let today = appointment.filter(|held| held.day.as_ref() == Some(&self.header.day));
        if let Some((doctor, delay_min)) = today.and_then(|held| held.delay_at(now))
            && let Some(day) = self.header.doctors.get_mut(doctor)
        {
            day.delay_min = delay_min;
        }
    }

    fn measure(&mut self, served: &TicketStatus, now: Millis) {
        if let (Some(queue), Some(started_at)) =
            (self.header.queues.get_mut(&served.queue), served.started_at)
        {
            queue.service.measure(now - started_at);
        }
    }

    /// Keeps the board's recent calls: a call that is over is added, and one that no longer counts
    /// is removed.
    fn note_recent(&mut self, ticket: &Ticket, before: BoardPlace) {
        let recents = &mut self.header.recents;
        let standing = &ticket.standing;
        let now = shown(standing);
        if now == before {
            return;
        }
        recents.retain(|recent| recent.label != ticket.label || recent.day != ticket.day);
        if let (BoardPlace::RecentCall, Some(station), Some(at)) =
            (now, &standing.station, standing.called_at)
        {
            recents.push(RecentCall {
                day: ticket.day.clone(),
                label: ticket.label.clone(),
                station: station.clone(),
                at,
                recalls: standing.recalls,
            });
            if recents.len() > RecentCall::MAX {
                recents.remove(0);
            }
        }
    }
}

fn issued(queue: &QueueId, priority: Priority, rank: u64) -> TicketStatus {
    TicketStatus {
        queue: queue.clone(),
        state: TicketState::Waiting,
        priority,
        rank,
        station: None,
        called_at: None,
        started_at: None,
        ended_at: None,
        recalls: 0,
        reason: None,
        successor: None,
    }
}
