//! The demo clinic against the real rules of a location, without I/O. For any seed it gives only
//! legal commands, its lines neither run dry nor grow without bound, and its memory stays bounded.
#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

use std::collections::BTreeMap;

use schemas::{
    Millis,
    appointment::{AppointmentChange, AppointmentStatus, AppointmentView, ScheduleEntry},
    codes::Code,
    command::{Command, CommandResult, Verdict},
    event::{Event, Expiry},
    ids::TicketId,
    load::LoadHead,
};
use standalone::demo::{
    clinic::{DemoClinic, USUAL_LINE},
    plan::{self, Pace},
};

#[path = "demo/model.rs"]
mod model;

use model::{OPENING, open, play, play_until};

/// The tested paces, each with a seed: a real clinic's, the default, and a fast one.
const SPEEDS: [(f64, u64); 3] = [(1.0, 1), (30.0, 2), (600.0, 3)];
const MINUTE: Millis = 60_000;
const HOUR: Millis = 60 * MINUTE;
const DAY: Millis = 24 * HOUR;

fn code(verdict: &Verdict) -> Option<Code> {
    match verdict {
        Verdict::Applied { .. } | Verdict::Moving { .. } => None,
        Verdict::Refused { code } => Some(*code),
    }
}

fn result(verdict: &Verdict) -> CommandResult {
    match verdict {
        Verdict::Applied { result, .. } | Verdict::Moving { result, .. } => result.clone(),
        Verdict::Refused { code } => panic!("{code}"),
    }
}

#[test]
fn demo_commands_are_accepted() {
    for (speed, seed) in SPEEDS {
        let (mut clinic, mut model) = open(seed, Pace::new(speed));
        play(&mut clinic, &mut model, 4_000, |command, verdict, _, now| {
            assert_eq!(
                code(verdict),
                None,
                "speed {speed}, seed {seed}: {} at {now}",
                command.kind()
            );
        });
    }
}

#[test]
fn demo_covers_every_ticket_move() {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut urgent = 0;
    let (mut clinic, mut model) = open(1, Pace::new(30.0));
    play(&mut clinic, &mut model, 10_000, |command, _, _, _| {
        *seen.entry(command.kind()).or_default() += 1;
        urgent += usize::from(
            matches!(command, Command::IssueTicket { priority, .. } if priority.get() > 0),
        );
    });
    for kind in [
        "ticket.issue",
        "queue.call_next",
        "ticket.call",
        "ticket.recall",
        "ticket.start",
        "ticket.complete",
        "ticket.hold",
        "ticket.resume",
        "ticket.absent",
        "ticket.return",
        "ticket.no_show",
        "ticket.cancel",
        "ticket.leave",
        "ticket.transfer",
        "ticket.prioritise",
        "station.open",
        "station.close",
        "appointment.report",
        "appointment.check_in",
    ] {
        assert!(seen.get(kind).is_some_and(|times| *times >= 10), "{kind}: {seen:?}");
    }
    assert!(urgent >= 20, "{urgent}");
}

#[test]
fn demo_covers_every_appointment_end() {
    for (speed, hours) in [(1.0, 48), (30.0, 4)] {
        let mut changes: BTreeMap<&str, usize> = BTreeMap::new();
        let (mut clinic, mut model) = open(1, Pace::new(speed));
        play_until(
            &mut clinic,
            &mut model,
            OPENING + hours * HOUR,
            |command, verdict, model, now| {
                let mut count = |what| *changes.entry(what).or_default() += 1;
                for event in &model.events {
                    match event {
                        Event::AppointmentLate { .. } => count("late"),
                        Event::AppointmentMissed { .. } => count("missed"),
                        Event::TicketExpired { why: Expiry::AbsentTooLong, .. } => {
                            count("absent for too long")
                        }
                        _ => {}
                    }
                }
                if let Some(change) = result(verdict).change {
                    count(word(change));
                }
                if let Command::CheckIn { appointment, .. } = command {
                    let seen: AppointmentView =
                        model.entry(&format!("appointment:{appointment}"), "appointment");
                    assert!(
                        seen.status == AppointmentStatus::CheckedIn && seen.ticket_label.is_some()
                    );
                    count(if seen.start < Some(now) { "came late" } else { "came in time" });
                }
            },
        );
        for what in [
            "booked",
            "rescheduled",
            "modified",
            "arrived",
            "cancelled",
            "no_show",
            "entered_in_error",
            "overruled",
            "repeated",
            "stale",
            "late",
            "missed",
            "came late",
            "came in time",
            "absent for too long",
        ] {
            assert!(
                changes.get(what).is_some_and(|times| *times >= 1),
                "speed {speed}: {what}, {changes:?}"
            );
        }
        assert!(
            changes["late"] > changes["missed"] && changes["came in time"] > changes["came late"]
        );
    }
}

fn word(change: AppointmentChange) -> &'static str {
    match change {
        AppointmentChange::Booked => "booked",
        AppointmentChange::Rescheduled => "rescheduled",
        AppointmentChange::Modified => "modified",
        AppointmentChange::Arrived => "arrived",
        AppointmentChange::Cancelled => "cancelled",
        AppointmentChange::NoShow => "no_show",
        AppointmentChange::EnteredInError => "entered_in_error",
        AppointmentChange::Overruled => "overruled",
        AppointmentChange::Repeated => "repeated",
        AppointmentChange::Stale => "stale",
        AppointmentChange::CheckedIn
        | AppointmentChange::Fulfilled
        | AppointmentChange::Moved
        | AppointmentChange::Deferred => "other",
    }
}

/// Screens show the times at which things happen: a patient who is on time is seen about on time.
#[test]
fn demo_appointments_begin_about_on_time() {
    for (speed, hours) in [(1.0, 12), (10.0, 3), (30.0, 2)] {
        let (mut clinic, mut model) = open(2, Pace::new(speed));
        let mut begun = BTreeMap::new();
        play_until(&mut clinic, &mut model, OPENING + hours * HOUR, |command, _, model, now| {
            let Command::StartService { ticket } = command else { return };
            let held = model.location.ticket(ticket).and_then(|held| held.appointment.as_ref());
            let Some(appointment) = held.and_then(|id| model.location.appointment(id)) else {
                return;
            };
            let behind = (now - appointment.fact.start.unwrap()) as f64 / MINUTE as f64 * speed;
            // Some patients go on to the laboratory at any time.
            begun.entry(ticket.clone()).or_insert(behind);
        });
        let mut behind: Vec<f64> = begun.into_values().collect();
        behind.sort_by(f64::total_cmp);
        let (first, median, last) =
            (behind[0], behind[behind.len() / 2], behind[behind.len() * 9 / 10]);
        assert!(first >= -6.0, "speed {speed}: seen {first} minutes after its time");
        assert!(
            (-6.0..=15.0).contains(&median),
            "speed {speed}: {median} minutes behind in the middle"
        );
        assert!(last <= 45.0, "speed {speed}: {last} minutes behind for one in ten");
    }
}

#[test]
fn demo_lines_stay_within_bounds() {
    let queues = plan::queues(&plan::location());
    for (speed, seed) in SPEEDS {
        let (mut clinic, mut model) = open(seed, Pace::new(speed));
        let (mut sums, mut looks, mut commands, mut opened) = ([0; 3], 0, 0, OPENING);
        play(&mut clinic, &mut model, 6_000, |command, _, model, now| {
            commands += 1;
            // The line has no stable length while the first patients of a day arrive. Every seventh
            // command is enough.
            if model.events.iter().any(|event| matches!(event, Event::DayEnded { .. })) {
                opened = now;
            }
            if now == opened || commands % 7 != 0 {
                return;
            }
            looks += 1;
            for (queue, sum) in queues.iter().zip(&mut sums) {
                let waiting = model.waiting(queue);
                assert!(
                    (1..=3 * USUAL_LINE).contains(&waiting),
                    "speed {speed}: {queue} has {waiting} after {} at {now}",
                    command.kind()
                );
                *sum += waiting;
            }
        });
        for (queue, sum) in queues.iter().zip(sums) {
            let mean = sum / looks;
            assert!(
                (USUAL_LINE / 2..=2 * USUAL_LINE).contains(&mean),
                "speed {speed}: {queue} has {mean} on average"
            );
        }
    }
}

#[test]
fn demo_memory_stays_constant_over_days() {
    let (mut clinic, mut model) = open(1, Pace::new(3.0));
    play_until(&mut clinic, &mut model, OPENING + HOUR, |_, _, _, _| {});
    let after_an_hour = clinic.remembered();
    play_until(&mut clinic, &mut model, OPENING + DAY, |_, _, _, _| {});
    assert!(
        clinic.remembered() < 2 * after_an_hour,
        "{after_an_hour}, then {}",
        clinic.remembered()
    );
}

#[test]
fn demo_next_day_begins_like_the_first() {
    let (mut clinic, mut model) = open(1, Pace::new(1.0));
    let (mut days, mut begun) = (Vec::new(), OPENING);
    play_until(&mut clinic, &mut model, OPENING + 2 * DAY, |command, verdict, model, now| {
        assert_eq!(code(verdict), None, "{} at {now}", command.kind());
        for event in &model.events {
            if let Event::DayEnded { next, .. } = event {
                days.push(next.clone());
                begun = now;
            }
        }
        if let (Command::IssueTicket { queue, .. }, true) = (command, now == begun)
            && queue.as_str() == "riverside.general"
        {
            let label = result(verdict).label.unwrap();
            assert!(label <= format!("A-{USUAL_LINE:03}"), "{label}");
        }
        if begun > OPENING && now > begun + 10 * MINUTE {
            let load: LoadHead = model.entry("load:riverside", "load");
            assert!(
                load.day == days[days.len() - 1] && load.waiting >= USUAL_LINE as u32,
                "{}",
                load.waiting
            );
        }
    });
    assert_eq!(days, ["2026-09-22", "2026-09-23"]);
}

#[test]
fn demo_day_depends_only_on_seed() {
    let day = |seed| {
        let mut log = Vec::new();
        let (mut clinic, mut model) = open(seed, Pace::new(30.0));
        play(&mut clinic, &mut model, 3_000, |command, _, _, now| {
            log.push((now, serde_json::to_string(command).unwrap()));
        });
        log
    };
    assert!(day(1) == day(1));
    assert!(day(1) != day(2));
}

#[test]
fn demo_services_take_their_planned_time() {
    let mut started: BTreeMap<TicketId, Millis> = BTreeMap::new();
    let mut minutes = Vec::new();
    let general = plan::queues(&plan::location()).remove(0);
    let (mut clinic, mut model) = open(3, Pace::new(10.0));
    play(&mut clinic, &mut model, 12_000, |command, _, model, now| match command {
        Command::StartService { ticket } => {
            let queue = &model.location.ticket(ticket).unwrap().standing.queue;
            if *queue == general {
                started.insert(ticket.clone(), now);
            }
        }
        Command::CompleteTicket { ticket } | Command::TransferTicket { ticket, .. } => {
            minutes.extend(started.remove(ticket).map(|at| (now - at) as f64 / 6_000.0));
        }
        _ => {}
    });
    minutes.sort_by(f64::total_cmp);
    assert!(minutes.len() > 600, "{}", minutes.len());
    for (rank, expected) in [(0.5, 12.1), (0.9, 21.3)] {
        let found = minutes[(minutes.len() as f64 * rank) as usize];
        assert!((found / expected - 1.0).abs() < 0.06, "quantile {rank}: {found}, not {expected}");
    }
}

#[test]
fn demo_continues_an_existing_clinic() {
    let pace = Pace::new(30.0);
    let (mut before, mut model) = open(1, pace);
    play(&mut before, &mut model, 1_000, |_, _, _, _| {});
    let now = before.next_due();
    let mut after = DemoClinic::new(2, pace, now, plan::location(), model.standing());
    let issued = model.location.header().numbers.clone();
    play(&mut after, &mut model, 5_000, |command, verdict, _, now| {
        match (command, code(verdict)) {
            (_, None) => {}
            // Refusals that the outage explains: appointments that ended, patients who already
            // checked in, rooms on a break.
            (Command::ReportAppointment { .. }, Some(Code::StatusCannotFollow)) => {}
            (
                Command::CheckIn { .. },
                Some(Code::AlreadyCheckedIn | Code::AppointmentOver | Code::AppointmentExpired),
            ) => {}
            (Command::CallNext { .. }, Some(Code::StationClosed)) => {}
            (command, Some(code)) => panic!("{}: {code} at {now}", command.kind()),
        }
    });
    assert!(model.location.header().numbers["A"] > issued["A"]);
    // The appointments after the outage are in the slots of those before it.
    let mut slots = BTreeMap::new();
    for doctor in &plan::DOCTORS {
        for entry in model.entries::<ScheduleEntry>(&format!("schedule:riverside/{}", doctor.slug))
        {
            *slots.entry((doctor.slug, entry.start)).or_insert(0) += 1;
        }
    }
    let double = slots.values().filter(|times| **times > 1).count();
    assert!(double * 10 < slots.len(), "{double} of {}", slots.len());
}

#[test]
fn demo_survives_foreign_commands() {
    let (stations, queues) = (plan::stations(&plan::location()), plan::queues(&plan::location()));
    let (mut clinic, mut model) = open(1, Pace::new(30.0));
    let (mut refused, mut applied, mut by_others) = (0, 0, 0);
    for round in 0..400 {
        play(&mut clinic, &mut model, 10, |_, verdict, _, _| match code(verdict) {
            None => applied += 1,
            Some(
                Code::IllegalMove
                | Code::TicketUnknown
                | Code::QueueEmpty
                | Code::StationClosed
                | Code::AlreadyCheckedIn
                | Code::AppointmentOver
                | Code::AppointmentExpired,
            ) => refused += 1,
            Some(code) => panic!("{code}"),
        });
        let at = clinic.next_due();
        // A visitor calls at another station and cancels the called ticket, checks people in, and
        // closes rooms.
        let call = Command::CallNext {
            queue: queues[round % 3].clone(),
            station: stations[0].clone(),
            force: true,
        };
        if let Verdict::Applied { result, .. } = model.handle(&call, at) {
            model.handle(
                &Command::CancelTicket { ticket: result.ticket.unwrap(), reason: None },
                at,
            );
        }
        if let Some(appointment) = clinic.appointments().into_iter().next() {
            let check_in = Command::CheckIn { appointment, queue: None };
            by_others += usize::from(code(&model.handle(&check_in, at)).is_none());
        }
        if round % 20 == 0 {
            let station = stations[round / 20 % stations.len()].clone();
            model.handle(&Command::CloseStation { station }, at);
        }
    }
    assert!(applied > 3_000 && refused > 100, "{applied} applied, {refused} refused");
    assert!(by_others > 20, "{by_others} checked in by others");
}

#[test]
fn demo_serves_patients_of_visitors() {
    let (mut clinic, mut model) = open(1, Pace::new(30.0));
    play_until(&mut clinic, &mut model, OPENING + MINUTE, |_, _, _, _| {});
    let at = clinic.next_due();
    let queue = plan::queues(&plan::location()).remove(0);
    let station = plan::stations(&plan::location()).remove(0);
    let call = Command::CallNext { queue, station, force: true };
    let called = result(&model.handle(&call, at)).ticket.unwrap();
    let appointment = clinic.appointments().remove(0);
    let check_in = Command::CheckIn { appointment: appointment.clone(), queue: None };
    let checked_in = result(&model.handle(&check_in, at)).ticket.unwrap();
    let mut seen = [false; 2];
    for minute in 1..=10 {
        play_until(&mut clinic, &mut model, at + minute * MINUTE, |command, verdict, _, _| {
            // A called patient appears with some probability only.
            match command {
                Command::StartService { ticket } if code(verdict).is_none() => {
                    seen[0] |= *ticket == called
                }
                Command::CallTicket { ticket, .. } if code(verdict).is_none() => {
                    seen[1] |= *ticket == checked_in
                }
                _ => {}
            }
        });
        clinic.notice(at + minute * MINUTE, &model.standing());
    }
    assert!(!clinic.appointments().contains(&appointment));
    assert_eq!(seen, [true, true], "called and checked in by the visitor");
}

#[test]
fn demo_resumes_after_gateway_outage() {
    let (mut clinic, mut model) = open(1, Pace::new(30.0));
    play_until(&mut clinic, &mut model, OPENING + HOUR, |_, _, _, _| {});
    let (lag, waiting) = (10 * MINUTE, clinic.waiting(0));
    let now = clinic.next_due() + lag;
    clinic.stood_still(lag, now);
    assert_eq!(clinic.waiting(0), waiting);
    let (mut checked_in, mut booked, mut refused) = (0, 0, 0);
    play_until(&mut clinic, &mut model, now + MINUTE, |command, verdict, _, at| {
        match (command, verdict) {
            // Meanwhile the timers of the location ended absences and missed appointments.
            (_, Verdict::Refused { code: Code::IllegalMove | Code::AppointmentOver }) => {
                refused += 1
            }
            (_, Verdict::Refused { code }) => panic!("{}: {code}", command.kind()),
            (Command::CheckIn { .. }, _) => checked_in += 1,
            (Command::ReportAppointment { fact, .. }, Verdict::Applied { result, .. })
                if result.change == Some(AppointmentChange::Booked) =>
            {
                booked += 1;
                assert!(fact.start > Some(now), "booked {:?} at {at}", fact.start);
            }
            _ => {}
        }
    });
    assert!(checked_in <= 10 && refused <= 10, "{checked_in} came at once, {refused} refused");
    assert!(booked >= 10, "{booked}");
    assert!(!clinic.appointments().is_empty());
}
