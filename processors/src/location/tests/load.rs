//! A naive model of the dashboard, schedules and appointments: it counts everything again from all
//! tickets and appointments.

use std::collections::BTreeMap;

use schemas::{
    appointment::{AppointmentView, AppointmentVisit, ScheduleEntry, ScheduleHead, ScheduleTicket},
    load::{
        AppointmentCounts, FactCounts, LoadDoctor, LoadHead, LoadMinute, LoadQuarter, LoadQueue,
        LoadStation, QUARTER_MS, StationState, last_hour,
    },
};
use serde_json::{Value, json};

use super::{
    naive::{self, waits},
    *,
};

fn median(mut since: Vec<Millis>) -> Option<Millis> {
    since.sort_unstable();
    (!since.is_empty()).then(|| since[(since.len() - 1) / 2])
}

/// Adds the views of the dashboard, schedules and appointments. `happened` has every event with its
/// own time.
pub(super) fn add_views(
    views: &mut BTreeMap<String, Value>,
    header: &LocationHeader,
    tickets: &[&Ticket],
    appointments: &[&Appointment],
    happened: &[(Millis, Event)],
) {
    let zone = settings::zone_or_utc(&header.time_zone);
    let is_today = |one: &&Appointment| {
        let day = |start| settings::service_day(&zone, header.timers.day_start_min, start);
        one.fact.start.is_some_and(|start| day(start) == header.day)
    };
    let today: Vec<&Appointment> = appointments.iter().copied().filter(is_today).collect();
    for one in &today {
        let listed =
            one.fact.doctor.as_ref().is_none_or(|doctor| header.doctors.contains_key(&doctor.id));
        assert!(listed, "the doctor of the day has a schedule");
    }
    views.insert("load:riverside".to_owned(), load(header, tickets, &today, happened));
    for (id, day) in &header.doctors {
        let head = ScheduleHead {
            doctor: day.name.clone(),
            day: header.day.clone(),
            time_zone: header.time_zone.clone(),
            delay_min: day.delay_min,
            waiting_since: waiting_since(&today, id),
        };
        let mut schedule = BTreeMap::from([("schedule".to_owned(), json!(head))]);
        let theirs =
            |one: &&&Appointment| one.fact.doctor.as_ref().is_some_and(|doctor| doctor.id == *id);
        for one in today.iter().filter(theirs) {
            schedule.insert(one.id.to_string(), json!(scheduled(one)));
        }
        views.insert(format!("schedule:riverside/{id}"), json!(schedule));
    }
    for one in appointments {
        let is_today = today.iter().any(|other| other.id == one.id);
        let view = json!({ "appointment": seen(header, one, &today, is_today) });
        views.insert(format!("appointment:{}", one.id), view);
    }
}

/// The visit that counts: the last one, unless the source booked the appointment anew.
fn current(one: &Appointment) -> Option<&Visit> {
    one.visits.last().filter(|visit| !visit.over)
}

fn visited(visit: &Visit) -> AppointmentVisit {
    AppointmentVisit {
        ticket: visit.ticket.clone(),
        label: visit.label.clone(),
        ended: visit.state.is_end().then_some(visit.state),
    }
}

fn scheduled(one: &Appointment) -> ScheduleEntry {
    ScheduleEntry {
        status: one.status,
        start: one.fact.start,
        end: one.fact.end,
        late: one.late,
        label: one.fact.label.clone(),
        reason: one.fact.reason.clone(),
        ticket: current(one)
            .map(|visit| ScheduleTicket { label: visit.label.clone(), state: visit.state }),
    }
}

/// The start of the earliest appointment of a doctor whose patient is here and waits.
fn waiting_since(today: &[&Appointment], doctor: &DoctorId) -> Option<Millis> {
    use AppointmentStatus as S;
    use TicketState as T;
    let waits = |one: &&&Appointment| {
        let state = current(one).map(|visit| visit.state);
        one.fact.doctor.as_ref().is_some_and(|own| own.id == *doctor)
            && [S::Arrived, S::CheckedIn].contains(&one.status)
            && [None, Some(T::Waiting), Some(T::Called)].contains(&state)
    };
    today.iter().filter(waits).filter_map(|one| one.fact.start).min()
}

fn seen(
    header: &LocationHeader,
    one: &Appointment,
    day_of: &[&Appointment],
    today: bool,
) -> AppointmentView {
    let doctor = one.fact.doctor.as_ref();
    let day = doctor.and_then(|doctor| header.doctors.get(&doctor.id));
    AppointmentView {
        appointment: one.id.clone(),
        status: one.status,
        start: one.fact.start,
        end: one.fact.end,
        late: one.late,
        doctor: doctor.map(|doctor| doctor.name.clone()),
        delay_min: day.filter(|_| today && one.is_open()).map_or(0, |day| day.delay_min),
        waiting_since: doctor
            .filter(|_| today && one.is_open() && day.is_some())
            .and_then(|doctor| waiting_since(day_of, &doctor.id)),
        ticket: current(one).map(|visit| visit.ticket.clone()),
        ticket_label: current(one).map(|visit| visit.label.clone()),
        visits: one.visits.iter().map(visited).collect(),
        reason: one.fact.reason.clone(),
        moving_to: one.moving.as_ref().map(|moving| moving.handover.successor.location()),
        successor: one.successor.clone(),
        clinic: naive::clinic(header),
    }
}

fn load(
    header: &LocationHeader,
    tickets: &[&Ticket],
    today: &[&Appointment],
    happened: &[(Millis, Event)],
) -> Value {
    let mut load = BTreeMap::new();
    let waiting: Vec<Millis> = (tickets.iter())
        .filter(|ticket| ticket.standing.state == TicketState::Waiting)
        .map(|ticket| ticket.issued_at)
        .collect();
    let head = LoadHead {
        name: header.name.clone(),
        time_zone: header.time_zone.clone(),
        day: header.day.clone(),
        waiting: waiting.len() as u32,
        oldest: waiting.iter().min().copied(),
        median: median(waiting),
        hour: hour(header, happened),
        appointments: appointment_counts(today),
        facts: facts(happened),
        bands: header.bands.clone(),
    };
    load.insert("load".to_owned(), json!(head));
    for (id, queue) in &header.queues {
        let slug = id.as_str().strip_prefix("riverside.").unwrap();
        let line: Vec<&&Ticket> = tickets.iter().filter(|ticket| waits(ticket, slug)).collect();
        let since: Vec<Millis> = line.iter().map(|ticket| ticket.issued_at).collect();
        let mut priorities = BTreeMap::new();
        line.iter()
            .for_each(|ticket| *priorities.entry(ticket.standing.priority).or_insert(0) += 1);
        let entry = LoadQueue {
            name: queue.name.clone(),
            state: queue.state,
            waiting: line.len() as u32,
            priorities,
            oldest: since.iter().min().copied(),
            median: median(since),
            band: match line.len() {
                0..2 => 0,
                2..4 => 1,
                _ => 2,
            },
            place: queue.place,
        };
        load.insert(format!("queue:{id}"), json!(entry));
    }
    for (id, station) in &header.stations {
        let busy = |ticket: &&&Ticket| {
            matches!(ticket.standing.state, TicketState::Called | TicketState::InService)
                && ticket.standing.station.as_ref() == Some(id)
        };
        let with: Vec<String> =
            tickets.iter().filter(busy).map(|ticket| ticket.label.clone()).collect();
        let state = match station.open {
            _ if !with.is_empty() => StationState::Busy,
            true => StationState::Idle,
            false => StationState::Closed,
        };
        let queue = station.served.clone();
        load.insert(
            format!("station:{id}"),
            json!(LoadStation { name: station.name.clone(), state, with, queue }),
        );
    }
    for (start, quarter) in quarters(header, today, happened) {
        load.insert(format!("quarter:{start}"), json!(quarter));
    }
    for (id, DoctorDay { name, delay_min, .. }) in &header.doctors {
        let entry = LoadDoctor { name: name.clone(), delay_min: *delay_min };
        load.insert(format!("doctor:{id}"), json!(entry));
    }
    json!(load)
}

/// The minutes in which somebody was called or served. The location chooses how many minutes it
/// keeps, as long as none of the last hour is missing.
fn hour(header: &LocationHeader, happened: &[(Millis, Event)]) -> Vec<LoadMinute> {
    let now = header.now / MINUTE * MINUTE;
    let at = |from: Millis, served: bool| {
        let counts = |event: &Event| match event {
            Event::TicketCalled { .. } => !served,
            Event::TicketCompleted { .. } => served,
            _ => false,
        };
        happened.iter().filter(|(at, event)| at / MINUTE * MINUTE > from && counts(event)).count()
            as u32
    };
    let from = now - 60 * MINUTE;
    assert_eq!(last_hour(&header.hour, now), (at(from, false), at(from, true)));
    assert!(header.hour.len() <= 61 && header.hour.is_sorted_by(|a, b| a.at < b.at));
    header.hour.clone()
}

fn appointment_counts(today: &[&Appointment]) -> AppointmentCounts {
    use AppointmentStatus as S;
    let count =
        |wanted: &[S]| today.iter().filter(|one| wanted.contains(&one.status)).count() as u32;
    AppointmentCounts {
        due: count(&[S::Booked]),
        late: today.iter().filter(|one| one.late).count() as u32,
        arrived: count(&[S::Arrived, S::CheckedIn]),
        fulfilled: count(&[S::Fulfilled]),
        no_show: count(&[S::Noshow]),
        cancelled: count(&[S::Cancelled]),
    }
}

/// Counts of facts since the last end of a day.
fn facts(happened: &[(Millis, Event)]) -> FactCounts {
    let begun = happened
        .iter()
        .rposition(|(_, event)| matches!(event, Event::DayEnded { .. }))
        .unwrap_or(0);
    let mut counts = FactCounts::default();
    for (_, event) in &happened[begun..] {
        match event {
            Event::AppointmentReported { change: AppointmentChange::Overruled, .. } => {
                counts.overruled += 1
            }
            Event::AppointmentReported { .. }
            | Event::AppointmentMoved { .. }
            | Event::FactDeferred { .. }
            | Event::FactIgnored { change: AppointmentChange::Deferred, .. } => counts.applied += 1,
            Event::FactIgnored { change: AppointmentChange::Stale, .. } => counts.stale += 1,
            Event::FactIgnored { .. } => counts.repeated += 1,
            _ => {}
        }
    }
    counts
}

/// Counts booked appointments again, and checks that the other counts do not exceed the number of
/// events.
fn quarters(
    header: &LocationHeader,
    today: &[&Appointment],
    happened: &[(Millis, Event)],
) -> BTreeMap<Millis, LoadQuarter> {
    use AppointmentStatus as S;
    let begun = happened
        .iter()
        .rposition(|(_, event)| matches!(event, Event::DayEnded { .. }))
        .unwrap_or(0);
    let mut quarters: BTreeMap<Millis, LoadQuarter> = header
        .quarters
        .iter()
        .map(|(start, quarter)| (*start, LoadQuarter { booked: 0, ..*quarter }))
        .collect();
    let total = |of: fn(&LoadQuarter) -> u32| header.quarters.values().map(of).sum::<u32>();
    let since = |wanted: fn(&Event) -> bool| {
        happened[begun..].iter().filter(|(_, event)| wanted(event)).count() as u32
    };
    assert!(
        total(|quarter| quarter.called)
            <= since(|event| matches!(event, Event::TicketCalled { .. }))
    );
    assert!(
        total(|quarter| quarter.served)
            <= since(|event| matches!(event, Event::TicketCompleted { .. }))
    );
    assert!(
        total(|quarter| quarter.arrived)
            <= since(|event| matches!(event, Event::TicketIssued { .. }))
    );
    for one in today {
        let planned =
            !matches!(one.status, S::Proposed | S::Waitlist | S::Cancelled | S::EnteredInError);
        if let Some(start) = one.fact.start.filter(|_| planned) {
            quarters.entry(start / QUARTER_MS * QUARTER_MS).or_default().booked += 1;
        }
    }
    quarters.retain(|_, quarter| *quarter != LoadQuarter::default());
    quarters
}
