//! How events change a location. Nothing is refused here, because an event has already been
//! decided.

use std::collections::BTreeSet;

use schemas::{
    Millis,
    appointment::AppointmentChange,
    event::{Event, TicketStatus},
    ids::{QueueId, StationId, TicketId},
    ticket::{Priority, TicketState},
};

use super::{
    Location,
    appearance::replace,
    handover,
    history::{CurrentStay, LineTime},
    indexes::Update,
    moves, settings,
    state::{Queue, ServiceTime, Station},
    ticket::Ticket,
    ticket::{StepTrace, Undo},
};

impl Location {
    /// Applies one event of `version`, decided at `now`. `Location::change` calls this and renders
    /// the views around it.
    pub(super) fn apply(&mut self, event: &Event, version: u64, now: Millis) {
        self.position.version = version;
        self.header.now = self.header.now.max(now);
        match event {
            Event::LocationConfigured { .. } => self.configure(event, version, now),
            Event::PrivacyChanged { .. }
            | Event::MessagesChanged { .. }
            | Event::BrandingChanged { .. }
            | Event::QueuesOrdered { .. } => self.change_appearance(event, version),
            Event::StationStateChanged { station, open } => {
                self.change_station(station, |station| station.open = *open);
            }
            Event::QueueConfigured { .. } => self.configure_queue(event, version),
            Event::DisplayPaired { .. }
            | Event::DisplayRenamed { .. }
            | Event::DisplayUnpaired { .. } => self.change_displays(event, version, now),
            Event::CheckInPointConfigured { .. }
            | Event::CheckInPointRotated { .. }
            | Event::CheckInPointRevoked { .. }
            | Event::CheckInPointRemoved { .. } => {
                self.change_check_in_points(event, version, now);
            }
            Event::StationConfigured { station, name, queues } => {
                self.configure_station(station, name, queues.as_ref(), version);
            }
            Event::StationRemoved { station } => self.remove_station(station),
            Event::QueueRemoved { queue, move_to, ranks } => {
                self.remove_queue(queue, move_to.as_ref(), ranks);
            }
            Event::QueueStateChanged { queue, state, message } => {
                if let Some(queue) = self.header.queues.get_mut(queue) {
                    queue.state = *state;
                    queue.message.clone_from(message);
                }
            }
            Event::QueueReordered { ranks, .. } => self.reorder(ranks, version),
            Event::TicketYielded { ticket, ranks, .. } => self.yield_turn(ticket, ranks),
            Event::TicketIssued { .. } => self.issue(event, now),
            Event::CheckInOverridden { ticket, reason } => {
                if let Some(mut ticket) = self.take(ticket) {
                    ticket.override_reason = Some(reason.clone());
                    self.put(ticket);
                }
            }
            Event::TicketHandoverClosed { ticket, .. }
            | Event::TicketMoveAsked { ticket, .. }
            | Event::WithdrawalAnswered { ticket, .. } => self.change_handover(ticket, event),
            Event::AlertsSubscribed { .. } | Event::AlertsUnsubscribed { .. } => {
                self.change_devices(event);
            }
            Event::HandoverBarred { successor } => self.bar(successor, now),
            other => match moves::moved_ticket(other) {
                Some(ticket) => self.move_ticket(ticket, other, version, now),
                None => self.apply_to_appointments(other),
            },
        }
        self.count_appointments(event);
    }

    fn configure(&mut self, event: &Event, version: u64, now: Millis) {
        let Event::LocationConfigured {
            name,
            time_zone,
            languages,
            timers,
            bands,
            call_order,
            address,
        } = event
        else {
            return;
        };
        self.zone = settings::zone_or_utc(time_zone);
        let before = self.clinic();
        let header = &mut self.header;
        let edition = &mut header.editions.location;
        replace(&mut header.name, name, edition, version);
        replace(&mut header.time_zone, time_zone, edition, version);
        replace(&mut header.languages, languages, edition, version);
        replace(&mut header.bands, bands, edition, version);
        replace(&mut header.call_order, call_order, edition, version);
        replace(&mut header.address, address, edition, version);
        if timers.day_ends_tickets && !header.timers.day_ends_tickets {
            header.day_ends_tickets_since = now;
        }
        replace(&mut header.timers, timers, &mut header.editions.location, version);
        let first = header.day.is_empty();
        if first {
            header.day = settings::service_day(&self.zone, timers.day_start_min, now);
            header.day_since = now;
        }
        self.renew_day();
        self.set_timers();
        self.admit_doctors_of_day();
        if first {
            self.complete_until = self.header.day_ends;
        }
        self.begin_renewal(&before);
    }

    fn issue(&mut self, event: &Event, now: Millis) {
        let Event::TicketIssued {
            ticket,
            queue,
            day,
            number,
            label,
            priority,
            rank,
            appointment,
            from,
            method,
        } = event
        else {
            return;
        };
        self.count_label(queue, day, *number);
        self.count_quarter(now, |quarter| quarter.arrived += 1);
        let mut ticket = Ticket {
            id: ticket.clone(),
            label: label.clone(),
            day: day.clone(),
            issued_at: now,
            standing: issued(queue, *priority, *rank),
            appointment: appointment.clone(),
            override_reason: None,
            moved_at: now,
            undo: None,
            from: from.clone(),
            handover: None,
            stays: None,
            back: None,
            moves: 0,
            yields: 0,
            doctor: self.doctor_of(appointment.as_ref()),
            stay: CurrentStay::default(),
            line: Some(LineTime { joined_at: now, awaits_call: true }),
            devices: BTreeSet::new(),
            view: 0,
        };
        self.change_stay(&mut ticket, None, now);
        self.count_arrival(&ticket, *method);
        self.put(ticket);
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
            Event::AppointmentLeaving { appointment, fact, handover } => {
                self.leave(appointment, fact, handover);
            }
            Event::AppointmentStayed { appointment, .. } => self.stay(appointment),
            Event::AppointmentMoveAsked { appointment, attempt } => {
                self.ask_again(appointment, *attempt);
            }
            Event::FactDeferred { appointment, fact, here } => {
                self.count_fact(AppointmentChange::Deferred);
                self.defer(appointment, fact, *here);
            }
            Event::FactIgnored { change, .. } => self.count_fact(*change),
            Event::AppointmentLate { appointment, .. } => {
                self.change_appointment(appointment, |appointment| appointment.late = true);
            }
            Event::AppointmentMissed { appointment, at } => self.miss(appointment, *at),
            Event::AppointmentClosed { appointment, status, .. } => {
                self.change_appointment(appointment, |appointment| {
                    appointment.expired = true;
                    appointment.status = *status;
                });
            }
            Event::AppointmentsRenewed { after, .. } => self.renew(after.as_ref()),
            Event::DayEnded { next, at, .. } => self.begin_day(next.clone(), *at),
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

    fn configure_queue(&mut self, event: &Event, version: u64) {
        let Event::QueueConfigured { queue: id, name, prefix, service_s, max_tickets } = event
        else {
            return;
        };
        let header = &mut self.header;
        self.indexes.tallies.entry(id.clone()).or_default();
        let queue = header.queues.entry(id.clone()).or_insert_with(|| {
            let service = ServiceTime::new(ServiceTime::DEFAULT_S);
            Queue { edition: version, ..Queue::new(name.clone(), prefix.clone(), service) }
        });
        let service_s = service_s.unwrap_or(queue.service.configured_s);
        let max_tickets = max_tickets.unwrap_or(queue.max_tickets);
        let old = queue.prefix.clone();
        let edition = &mut queue.edition;
        replace(&mut queue.name, name, edition, version);
        replace(&mut queue.service.configured_s, &service_s, edition, version);
        replace(&mut queue.max_tickets, &max_tickets, edition, version);
        replace(&mut queue.prefix, prefix, edition, version);
        // A queue takes its count along to another prefix, and never below the numbers already
        // given there. So neither its numbers nor any label are given twice on one day.
        if let Some(&given) = header.numbers.get(&old) {
            let last = header.numbers.entry(prefix.clone()).or_default();
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

    fn configure_station(
        &mut self,
        id: &StationId,
        name: &str,
        queues: Option<&BTreeSet<QueueId>>,
        version: u64,
    ) {
        self.header.stations.entry(id.clone()).or_insert_with(|| Station {
            name: String::new(),
            open: true,
            queues: Some(BTreeSet::new()),
            served: None,
            served_version: 0,
            edition: version,
        });
        self.change_station(id, |station| {
            let edition = &mut station.edition;
            replace(&mut station.name, &name.to_owned(), edition, version);
            replace(&mut station.queues, &queues.cloned(), edition, version);
        });
    }

    /// Changes a station, and the counts of the open stations by queue with it.
    pub(super) fn change_station(&mut self, id: &StationId, change: impl FnOnce(&mut Station)) {
        let Self { header, indexes, .. } = self;
        let Some(station) = header.stations.get_mut(id) else { return };
        indexes.station(Update::Remove, station);
        change(station);
        indexes.station(Update::Add, station);
    }

    /// Removes a station, and its calls from the board, which could not name it any more.
    fn remove_station(&mut self, id: &StationId) {
        let Self { header, indexes, .. } = self;
        header.recents.retain(|call| call.station != *id);
        if let Some(station) = header.stations.remove(id) {
            indexes.station(Update::Remove, &station);
        }
    }

    fn remove_queue(&mut self, id: &QueueId, move_to: Option<&QueueId>, ranks: &[(TicketId, u64)]) {
        for (ticket, rank) in ranks {
            if let (Some(mut ticket), Some(there)) = (self.take(ticket), move_to) {
                let before = ticket.standing.clone();
                ticket.standing.queue = there.clone();
                ticket.standing.rank = *rank;
                self.change_stay(&mut ticket, Some(&before), self.header.now);
                // The queue of the last step no longer exists.
                ticket.undo = None;
                self.put(ticket);
            }
        }
        for station in self.header.stations.keys().cloned().collect::<Vec<_>>() {
            self.change_station(&station, |station| {
                if let Some(queues) = &mut station.queues {
                    queues.remove(id);
                }
                station.served.take_if(|served| served == id);
            });
        }
        for point in self.header.check_in_points.values_mut() {
            point.setup.queues.remove(id);
        }
        self.header.queues.remove(id);
        self.indexes.tallies.remove(id);
    }

    fn reorder(&mut self, ranks: &[(TicketId, u64)], version: u64) {
        for (id, rank) in ranks {
            if let Some(mut ticket) = self.take(id) {
                let (standing, trace) = (ticket.standing.clone(), StepTrace::default());
                ticket.undo = Some(Undo { version, standing, trace });
                ticket.standing.rank = *rank;
                self.put(ticket);
            }
        }
    }

    /// Gives each ticket its new rank. For the others nothing else changes: an undo of their last
    /// step keeps the rank. The ticket that moved back has no step to undo any more.
    fn yield_turn(&mut self, yielding: &TicketId, ranks: &[(TicketId, u64)]) {
        for (id, rank) in ranks {
            let Some(mut ticket) = self.take(id) else { continue };
            if id == yielding {
                ticket.yields += 1;
                ticket.undo = None;
            } else if let Some(undo) = &mut ticket.undo
                && undo.standing.rank == ticket.standing.rank
            {
                undo.standing.rank = *rank;
            }
            ticket.standing.rank = *rank;
            self.put(ticket);
        }
    }

    fn move_ticket(&mut self, id: &TicketId, event: &Event, version: u64, now: Millis) {
        let Some(mut ticket) = self.take(id) else { return };
        let next = moves::standing_after(&ticket.standing, event, now);
        let before = std::mem::replace(&mut ticket.standing, next);
        let at = match event {
            Event::TicketExpired { at, .. } | Event::TicketStayed { at, .. } => *at,
            _ => now,
        };
        let stepped_at = ticket.moved_at;
        if !self.stayed_too_late(&ticket, event) {
            ticket.moved_at = at;
        }
        let undo = ticket.undo.take();
        if let Event::TicketReverted { .. } = event {
            if let Some(undo) = undo {
                self.uncount_step(&mut ticket, &undo.trace);
                self.take_back(undo, &ticket, &before, stepped_at);
            }
        } else {
            let mut trace = self.trace_step(event, &ticket, &before, version, at);
            self.count_step(event, &mut ticket, &before, at, &mut trace);
            let lasting = matches!(
                event,
                Event::TicketLeaving { .. }
                    | Event::TicketStayed { .. }
                    | Event::TicketTransferred { .. }
            );
            // An undo of the end of a leaving ticket does not move the person a second time.
            let standing = if before.state == TicketState::Leaving {
                handover::returned(&ticket, &before)
            } else {
                before.clone()
            };
            ticket.undo = (!lasting).then_some(Undo { version, standing, trace });
            if let Event::TicketLeaving { .. } = event {
                ticket.back = Some(handover::back(&before));
            }
        }
        Self::follow_handover(&mut ticket, event, version, at);
        self.change_stay(&mut ticket, Some(&before), at);
        if !ticket.is_live() {
            ticket.devices.clear();
        }
        self.put(ticket);
    }

    fn change_handover(&mut self, id: &TicketId, event: &Event) {
        if let Some(mut ticket) = self.take(id) {
            Self::follow_answer(&mut ticket, event);
            self.put(ticket);
        }
    }
}

fn issued(queue: &QueueId, priority: Priority, rank: u64) -> TicketStatus {
    TicketStatus {
        queue: queue.clone(),
        state: TicketState::Waiting,
        priority,
        priority_reason: None,
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
