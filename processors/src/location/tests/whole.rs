//! Histories of random commands. In each, the journal rebuilds the state, the deltas build the
//! views, and dropping ended parts changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use schemas::{
    line::Line,
    ticket::TicketView,
    view::{Fold, View},
};
use serde_json::Value;

use super::{
    load,
    naive::{board, last_view, waits},
    picks::{self, QUEUES, ROOMS, command, pick},
    slices::check_timers,
    *,
};
use crate::location::{KEEP_ENDED_S, RecentCall, moves::moved_ticket, timers::SLICE};

/// The commands at the start of every history.
fn history_opening() -> Vec<Command> {
    let queues: Vec<_> = QUEUES.into_iter().zip(["A", "B", "C"]).collect();
    let mut opening = opening(&queues, &ROOMS.map(|room| (room, room)));
    opening.push(configure_with("Europe/Paris", picks::timers()));
    opening
}

/// One history with everything that is checked against it.
struct Watch {
    live: Location,
    /// Rebuilt from the journal alone.
    rebuilt: Location,
    /// Built from the deltas alone.
    views: BTreeMap<String, View>,
    /// The last views of ended tickets, kept here in the simplest way.
    last_views: BTreeMap<TicketId, TicketView>,
    issued: BTreeSet<TicketId>,
    reported: BTreeSet<AppointmentId>,
    /// Every event with its own time, except those that were undone.
    happened: Vec<(Millis, Event)>,
    /// The version of each event in `happened`.
    versions: Vec<u64>,
    labels: BTreeSet<(String, String)>,
}

fn copy<T: serde::Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    serde_json::from_str(&serde_json::to_string(value).unwrap()).unwrap()
}

impl Watch {
    fn new() -> Self {
        Self {
            live: Location::new(EPOCH),
            rebuilt: Location::new(EPOCH),
            views: BTreeMap::new(),
            last_views: BTreeMap::new(),
            issued: BTreeSet::new(),
            reported: BTreeSet::new(),
            happened: Vec::new(),
            versions: Vec::new(),
            labels: BTreeSet::new(),
        }
    }

    fn tickets(&self) -> impl Iterator<Item = &Ticket> {
        self.issued.iter().map(|id| self.live.ticket(id).expect("this location forgets nothing"))
    }

    fn appointments(&self) -> impl Iterator<Item = &Appointment> {
        self.reported
            .iter()
            .map(|id| self.live.appointment(id).expect("this location forgets nothing"))
    }

    /// Adds the appointments that a runner would restore for this command at that time.
    fn load_appointments(&self, location: &mut Location, command: &Command, at: Millis) {
        let some = |wanted: &dyn Fn(&Appointment) -> bool| -> Vec<Appointment> {
            self.appointments().filter(|one| wanted(one)).map(copy).collect()
        };
        if let Some(wake) = location.missing_appointments(at, [command]) {
            let lacking = some(&|one| one.wakes_at().is_some_and(|at| wake.contains(&at)));
            location.add_missing(wake.end, lacking);
        }
        let named = match command {
            Command::ReportAppointment { fact, .. } | Command::ReceiveAppointment { fact, .. } => {
                some(&|one| one.source() == (&fact.source, &fact.key))
            }
            _ => Vec::new(),
        };
        location.add_appointments(named);
        let ticket = command.ticket().and_then(|id| self.live.ticket(id));
        let of_ticket = ticket.and_then(|ticket| ticket.appointment.as_ref());
        let id = command.appointment().or(of_ticket);
        location.add_appointments(some(&|one| Some(&one.id) == id));
    }

    /// The location as a runner would restore it now for this command.
    fn reloaded(&self, command: &Command, at: Millis) -> Location {
        let live = self.tickets().filter(|ticket| ticket.is_unfinished()).map(copy).collect();
        let near = |one: &&Appointment| one.is_near(&self.live.header().today());
        let near = self.appointments().filter(near).map(copy).collect();
        let mut location =
            Location::restore(self.live.position(), copy(self.live.header()), live, near);
        self.load_appointments(&mut location, command, at);
        let next_visit = match command {
            Command::CheckIn { appointment, .. } => {
                self.live.appointment(appointment).map(|held| {
                    appointment.visit_ticket(held.visits.len().try_into().expect("few visits"))
                })
            }
            _ => None,
        };
        let named = command.ticket().or(next_visit.as_ref()).and_then(|id| self.live.ticket(id));
        location
            .add_ended(named.into_iter().filter(|ticket| !ticket.is_live()).map(copy).collect());
        location.slice = self.live.slice;
        location
    }

    /// Gives both what a runner would read for a renewal.
    fn load_renewal(&mut self, reloaded: &mut Location) {
        let Some(need) = self.live.renewal() else { return };
        let is_next = |one: &&Appointment| need.after.as_ref().is_none_or(|after| one.id > *after);
        let mut found: Vec<Appointment> = self
            .appointments()
            .filter(|one| one.is_shown(need.since))
            .filter(is_next)
            .map(copy)
            .collect();
        found.sort_by(|a, b| a.id.cmp(&b.id));
        found.truncate(need.limit);
        reloaded.add_renewal(copy(&found));
        self.live.add_renewal(found);
    }

    /// Lets the timers and the renewal that are due end.
    fn settle(&mut self, now: Millis) {
        while self.live.due().is_some_and(|due| due <= now) {
            self.send(record(Command::Tick {}), now);
        }
    }

    fn send(&mut self, mut command: CommandRecord, at: Millis) {
        if let Command::SettleAppointment { appointment, question, .. } = &mut command.command {
            let held = self.live.appointment(appointment);
            *question = held.and_then(|held| held.moving.as_ref()).map(AppointmentMove::asked);
        }
        let before = self.live.position();
        let was: BTreeMap<_, _> = self
            .issued
            .iter()
            .map(|id| (id.clone(), self.live.ticket(id).and_then(board)))
            .collect();
        let mut reloaded = self.reloaded(&command.command, at);
        self.load_renewal(&mut reloaded);
        let tickets: Vec<Ticket> = self.tickets().cloned().collect();
        let appointments: Vec<Appointment> = self.appointments().cloned().collect();

        let effect = self.live.handle(&command, RecordTime::at_once(at));
        let twin = reloaded.handle(&command, RecordTime::at_once(at));
        assert!(same(&effect, &twin), "{} differs after a reload", command.command.kind());
        assert!(reloaded.header() == self.live.header());
        for id in &effect.touched {
            assert!(reloaded.ticket(id) == self.live.ticket(id));
        }
        for id in &effect.appointments {
            assert!(reloaded.appointment(id) == self.live.appointment(id));
        }
        for was in &tickets {
            let is_same = self.live.ticket(&was.id) == Some(was);
            assert!(is_same || effect.touched.contains(&was.id), "a changed ticket is stored");
        }
        for was in &appointments {
            let is_same = self.live.appointment(&was.id) == Some(was);
            assert!(
                is_same || effect.appointments.contains(&was.id),
                "a changed appointment is stored"
            );
        }
        reloaded.forget_ended();
        assert!(
            self.tickets()
                .all(|ticket| reloaded.ticket(&ticket.id).is_none_or(Ticket::is_unfinished))
        );

        self.rebuilt.advance(at);
        if effect.events.is_empty() {
            assert!(
                refusal(&effect).is_some() && effect.deltas.is_empty() && effect.touched.is_empty()
            );
            assert_eq!(effect.position, before);
        } else {
            assert_eq!(effect.position, Position { version: before.version + 1, ..before });
            let events: Vec<Event> = copy(&effect.events);
            self.rebuilt.replay(&location_id(), effect.position.version, effect.at, &events);
            assert!(self.rebuilt.take_history() == effect.history, "a rebuild counts the same");
        }
        self.note(&effect);
        self.check_recents(&was, &effect);
        self.follow(&effect);
    }

    fn note(&mut self, effect: &RecordEffect) {
        for event in &effect.events {
            if let Event::AppointmentReported { appointment, .. }
            | Event::AppointmentLeaving { appointment, .. }
            | Event::AppointmentMoved { appointment, .. } = event
            {
                self.reported.insert(appointment.clone());
            }
            let at = match event {
                Event::TicketExpired { at, .. } | Event::AppointmentMissed { at, .. } => *at,
                _ => effect.at,
            };
            if let Event::TicketReverted { ticket, reverts, .. } = event {
                self.undo(ticket, *reverts);
            }
            self.happened.push((at, event.clone()));
            self.versions.push(effect.position.version);
            if let Event::TicketIssued { ticket, day, label, .. } = event {
                assert!(self.issued.insert(ticket.clone()));
                assert!(
                    self.labels.insert((day.clone(), label.clone())),
                    "{label} was given twice on {day}"
                );
            }
        }
        for id in &effect.touched {
            let ticket = self.live.ticket(id).expect("a touched ticket is in memory");
            if ticket.is_live() {
                self.last_views.remove(id);
                continue;
            }
            // A question about the move of an ended ticket changes nothing that its view shows.
            let last = last_view(self.live.header(), ticket);
            let shown = self.last_views.get(id);
            if shown.is_none_or(|shown| (shown.at, shown.state) != (last.at, last.state)) {
                self.last_views.insert(id.clone(), last);
            }
        }
    }

    /// Removes the events of a ticket in a version that was undone.
    fn undo(&mut self, ticket: &TicketId, version: u64) {
        let undone: Vec<usize> = (0..self.happened.len())
            .filter(|index| {
                self.versions[*index] == version
                    && moved_ticket(&self.happened[*index].1) == Some(ticket)
            })
            .collect();
        for index in undone.into_iter().rev() {
            self.happened.remove(index);
            self.versions.remove(index);
        }
    }

    /// The tickets whose calls the board lists as recent.
    fn recent(&self) -> Vec<&Ticket> {
        let of_call = |call: &RecentCall| {
            let is_of = |ticket: &&Ticket| (&ticket.day, &ticket.label) == (&call.day, &call.label);
            self.tickets().find(is_of).expect("a call is of a ticket")
        };
        self.live.header().recents.iter().map(of_call).collect()
    }

    /// Checks that the recent calls are calls of the day that are over, in the order of the calls,
    /// and that a call that has just ended is among them unless eight newer ones are.
    fn check_recents(&self, was: &BTreeMap<TicketId, Option<bool>>, effect: &RecordEffect) {
        let recents = &self.live.header().recents;
        assert!(recents.len() <= RecentCall::MAX && recents.is_sorted_by_key(|call| call.at));
        let listed = self.recent();
        for (ticket, call) in listed.iter().zip(recents) {
            assert_eq!(board(ticket), Some(false), "{} is not over", call.label);
            assert_eq!(ticket.standing.called_at, Some(call.at));
        }
        // An undo takes a call back. A new day, other bounds of the day, or the removal of a
        // station take other calls.
        let undone = effect.events.iter().any(|event| {
            use Event as E;
            matches!(
                event,
                E::TicketReverted { .. }
                    | E::DayEnded { .. }
                    | E::LocationConfigured { .. }
                    | E::StationRemoved { .. }
            )
        });
        for id in effect.touched.iter().filter(|_| !undone) {
            let ticket = self.live.ticket(id).expect("a touched ticket is in memory");
            let called_at = ticket.standing.called_at.unwrap_or_default();
            let over = board(ticket) == Some(false) && was.get(id).copied().flatten() == Some(true);
            if over
                && called_at >= self.live.header().day_since
                && !listed.iter().any(|one| one.id == *id)
            {
                assert!(recents.len() == RecentCall::MAX && called_at <= recents[0].at);
            }
        }
    }

    fn follow(&mut self, effect: &RecordEffect) {
        for delta in &effect.deltas {
            let view = self.views.entry(delta.view.clone()).or_insert_with(|| View::empty(EPOCH));
            assert_eq!(
                delta.delta.from, view.position.version,
                "the chain of {} is broken",
                delta.view
            );
            assert_eq!((delta.delta.to, delta.delta.at), (effect.position.version, effect.at));
            let entries = view.entries.clone();
            assert_eq!(view.fold(&delta.delta), Fold::Applied);
            let changed = entries.len() != view.entries.len()
                || entries.iter().any(|(key, old)| {
                    view.entries.get(key).map(|new| new.get()) != Some(old.get())
                });
            assert!(changed, "{} moved without a change", delta.view);
            // A view without entries is one that is gone. It may begin again, from 0.
            if view.entries.is_empty() {
                assert_eq!(delta.keep_s, Some(KEEP_ENDED_S));
                self.views.remove(&delta.view);
            }
        }
    }

    fn check(&self) {
        check_timers(&self.live);
        assert!(self.rebuilt.header() == self.live.header());
        assert_eq!(self.rebuilt.position(), self.live.position());
        for id in &self.issued {
            assert!(self.rebuilt.ticket(id) == self.live.ticket(id));
        }
        for one in self.appointments() {
            assert!(self.rebuilt.appointment(&one.id) == Some(one));
            let theirs =
                self.tickets().filter(|ticket| ticket.appointment.as_ref() == Some(&one.id));
            assert_eq!(one.visits.len(), theirs.count());
            for (visit, number) in one.visits.iter().zip(0..) {
                assert!(visit.ticket == one.id.visit_ticket(number));
                let ticket = self.live.ticket(&visit.ticket).expect("the visit has its ticket");
                let standing = &ticket.standing;
                assert_eq!((visit.state, visit.ended_at), (standing.state, standing.ended_at));
            }
            let live = one.visits.iter().filter(|visit| !visit.state.is_end()).count();
            assert!(live <= 1, "the patient is in line once");
            assert_eq!(one.status, naive::status(one));
        }
        let views: BTreeMap<String, Value> = self
            .views
            .iter()
            .map(|(name, view)| (name.clone(), serde_json::to_value(&view.entries).unwrap()))
            .collect();
        let tickets: Vec<_> = self.tickets().collect();
        let recent = self.recent();
        let appointments: Vec<_> = self.appointments().collect();
        let header = self.live.header();
        let mut expected = naive::views(header, &tickets, &recent, &appointments, &self.last_views);
        load::add_views(&mut expected, self.live.header(), &tickets, &appointments, &self.happened);
        let lagging = self.lagging();
        for (name, view) in &expected {
            let held = views.get(name);
            match lagging.contains(name) {
                true => assert_eq!(
                    held.cloned().map(without_clinic),
                    Some(without_clinic(view.clone())),
                    "{name}"
                ),
                false => assert_eq!(held, Some(view), "{name}"),
            }
        }
        assert_eq!(views.len(), expected.len());
        self.check_positions();
    }

    /// Appointments that may show an earlier name of the clinic: those that a renewal has not
    /// reached, and those that are no longer shown.
    fn lagging(&self) -> BTreeSet<String> {
        let renewal = self.live.header().renewal.as_ref();
        let is_ahead = |one: &Appointment| {
            renewal.is_some_and(|at| at.after.as_ref().is_none_or(|after| one.id > *after))
        };
        let since = self.live.header().now - Millis::from(KEEP_ENDED_S) * 1000;
        let lags = |one: &&Appointment| is_ahead(one) || !one.is_shown(since);
        self.appointments().filter(lags).map(|one| format!("appointment:{}", one.id)).collect()
    }

    /// Compares positions, as a gateway reads them from the view, with a count of all tickets.
    fn check_positions(&self) {
        for slug in QUEUES {
            let Some(view) = self.views.get(&format!("queue:{}", queue(slug))) else {
                continue;
            };
            let line = Line::from_view(queue(slug), view).unwrap();
            let waiting: Vec<_> = self.tickets().filter(|ticket| waits(ticket, slug)).collect();
            assert_eq!(line.waiting(), waiting.len());
            for one in &waiting {
                let before = |other: &&&Ticket| {
                    let (a, b) = (&other.standing, &one.standing);
                    a.priority > b.priority || (a.priority == b.priority && a.rank < b.rank)
                };
                assert_eq!(line.ahead(&one.id), Some(waiting.iter().filter(before).count()));
            }
        }
    }
}

fn same(a: &RecordEffect, b: &RecordEffect) -> bool {
    a.position == b.position
        && a.at == b.at
        && a.verdict == b.verdict
        && a.events == b.events
        && a.touched == b.touched
        && a.appointments == b.appointments
        && a.follow_ups == b.follow_ups
        && a.settles == b.settles
        && serde_json::to_string(&a.deltas).unwrap() == serde_json::to_string(&b.deltas).unwrap()
}

/// A view without the clinic of an appointment.
fn without_clinic(mut view: Value) -> Value {
    if let Some(Value::Object(appointment)) = view.get_mut("appointment") {
        appointment.remove("clinic");
    }
    view
}

proptest! {
    #[test]
    fn journal_views_and_memory_agree(
        picks in prop::collection::vec(pick(), 1..120),
        slice in prop::sample::select(&[1, 2, 3, SLICE][..]),
    ) {
        let mut watch = Watch::new();
        watch.live.slice = slice;
        for command in history_opening() {
            watch.send(record(command), MORNING);
        }
        let mut now = MORNING;
        let last = picks.len() - 1;
        for (index, pick) in picks.into_iter().enumerate() {
            now += pick.pause;
            let valid_until = pick.good_for.map(|good| now + good);
            watch.send(CommandRecord { valid_until, ..record(command(&pick)) }, now);
            // A full check is slow, and an error of one step still shows a few steps later.
            if index % 5 == 0 || index == last {
                watch.check();
            }
        }
        // The clock of a location never goes back.
        watch.settle(now.max(watch.live.header().now));
        assert!(watch.live.header().renewal.is_none(), "a renewal ends");
        watch.check();
    }
}

#[test]
fn header_does_not_grow_with_tickets() {
    let size = |clinic: &Clinic| serde_json::to_string(clinic.location.header()).unwrap().len();
    let mut clinic = Clinic::open();
    let mut serve = |numbers: std::ops::Range<u128>| {
        for number in numbers {
            clinic.apply(issue("general", number, 0));
            clinic.apply(issue("lab", 1_000_000 + number, 0));
            clinic.apply(call_next("general", "room-1"));
            clinic.apply(Command::StartService { ticket: ticket(number) });
            clinic.apply(Command::CompleteTicket { ticket: ticket(number) });
        }
        size(&clinic)
    };
    let small = serve(0..100);
    let large = serve(100..3_000);
    assert!(
        large <= small + 100,
        "{small} bytes became {large}: more than its numbers can have grown"
    );
    assert!(large < 3_000, "{large}");
}
