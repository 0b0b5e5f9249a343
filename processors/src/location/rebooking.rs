//! Moves of appointments to and from other locations, in two steps with an answer. The appointment
//! stays as it is, and can be checked in, until the destination has booked it.
//!
//! A fact that arrives meanwhile waits for the answer and is then reported again. A fact about an
//! appointment that has moved away goes on to where it is.

use schemas::{
    appointment::{AppointmentChange, AppointmentFact, AppointmentStatus},
    codes::Code,
    command::{Command, CommandResult},
    event::Event,
    handover::{AppointmentHandover, HandoverAnswer},
    ids::{Aggregate, AppointmentId, LocationId},
    record::CommandRecord,
};

use super::{
    Location,
    decision::Decision,
    state::{Appointment, AppointmentMove, Visit},
};

/// Decides a newer fact about an appointment that is moving or has moved away, if it must be
/// applied elsewhere or later.
pub(super) fn divert(
    record: &CommandRecord,
    held: &Appointment,
    fact: &AppointmentFact,
) -> Option<Decision> {
    let (appointment, change) = (held.id.clone(), AppointmentChange::Deferred);
    let result = CommandResult {
        appointment: Some(appointment.clone()),
        change: Some(change),
        ..CommandResult::default()
    };
    if held.moving.is_some() {
        let event = Event::FactDeferred { appointment, fact: fact.clone() };
        return Some(Decision { result, ..event.into() });
    }
    let successor = held.successor.as_ref()?;
    // Without a location to move to, an open booking has come back here.
    if fact.moved_to.is_none() && !fact.status.is_end() {
        return None;
    }
    let there = successor.location();
    let moved_to = fact.moved_to.clone().filter(|to| *to != there);
    let follow_up = report_at(record, "forward", successor, there_fact(fact, moved_to));
    let event = Event::FactIgnored { appointment, change };
    Some(Decision { result, follow_ups: vec![follow_up], ..event.into() })
}

/// Decides a fact that moves the appointment to another location.
pub(super) fn leave(
    record: &CommandRecord,
    id: &AppointmentId,
    fact: &AppointmentFact,
    there: &LocationId,
) -> Decision {
    let successor = id.moved_to(there);
    let receive = Command::ReceiveAppointment {
        appointment: successor.clone(),
        fact: there_fact(fact, None),
        from: id.clone(),
    };
    let handover = AppointmentHandover { successor, command: record.identity() };
    let (appointment, fact) = (id.clone(), fact.clone());
    Decision {
        moving: true,
        result: CommandResult {
            appointment: Some(id.clone()),
            change: Some(AppointmentChange::Moved),
            ..CommandResult::default()
        },
        follow_ups: vec![record.follow_up("receive", elsewhere(record, there), receive)],
        ..Event::AppointmentLeaving { appointment, fact, handover }.into()
    }
}

/// The command that ends the booking at the other location, when the source says that an
/// appointment which had moved away is here after all.
pub(super) fn reclaim(
    record: &CommandRecord,
    held: Option<&Appointment>,
    fact: &AppointmentFact,
) -> Option<CommandRecord> {
    // A move back comes from the other location, which ends the booking there itself.
    let reported = matches!(record.command, Command::ReportAppointment { .. });
    let successor = held.filter(|_| reported)?.successor.as_ref()?;
    let cancelled = AppointmentFact {
        status: AppointmentStatus::Cancelled,
        reason: Some("moved_back".to_owned()),
        ..there_fact(fact, None)
    };
    Some(report_at(record, "reclaim", successor, AppointmentFact { queue: None, ..cancelled }))
}

/// The answer of the destination to the origin, whatever it decided.
pub(super) fn answer(
    record: &CommandRecord,
    decided: &Result<Decision, Code>,
) -> Option<CommandRecord> {
    let Command::ReceiveAppointment { appointment, from, .. } = &record.command else {
        return None;
    };
    let (held, answer) = match decided {
        Ok(decision) => (decision.result.appointment.clone(), HandoverAnswer::Accepted),
        Err(code) => (None, HandoverAnswer::Refused(*code)),
    };
    let settle = Command::SettleAppointment {
        appointment: from.clone(),
        successor: appointment.clone(),
        held,
        answer,
    };
    Some(record.follow_up("settle", elsewhere(record, &from.location()), settle))
}

/// Decides at the origin: the answer of the destination. `held` is the appointment that the
/// destination has for the booking.
pub(super) fn settle(
    state: &Location,
    record: &CommandRecord,
    id: &AppointmentId,
    successor: &AppointmentId,
    held: Option<&AppointmentId>,
    answer: HandoverAnswer,
) -> Result<Decision, Code> {
    let appointment = state.appointment(id).ok_or(Code::NoAppointment)?;
    let moving = appointment.moving.as_ref();
    let moving = moving.filter(|moving| moving.handover.successor == *successor);
    let moving = moving.ok_or(Code::IllegalMove)?;
    let (events, outcome) = match answer {
        HandoverAnswer::Refused(why) => {
            (vec![Event::AppointmentStayed { appointment: id.clone(), why }], Err(why))
        }
        HandoverAnswer::Accepted | HandoverAnswer::Kept => {
            let successor = held.unwrap_or(successor).clone();
            let result = CommandResult {
                appointment: Some(successor.clone()),
                change: Some(AppointmentChange::Moved),
                ..CommandResult::default()
            };
            (moved(appointment, moving, successor), Ok(result))
        }
    };
    let deferred = moving.deferred.as_ref().map(|fact| {
        let (appointment, fact) = (id.clone(), fact.clone());
        let report = Command::ReportAppointment { appointment, fact };
        record.follow_up("deferred", record.aggregate.clone(), report)
    });
    Ok(Decision {
        events,
        follow_ups: deferred.into_iter().collect(),
        settles: Some((moving.handover.command.clone(), outcome)),
        ..Decision::default()
    })
}

/// The events of an appointment that has moved away. A patient who waits here is called off.
fn moved(held: &Appointment, moving: &AppointmentMove, successor: AppointmentId) -> Vec<Event> {
    let (appointment, fact) = (held.id.clone(), moving.fact.clone());
    let mut events = vec![Event::AppointmentMoved { appointment, fact, successor }];
    if let Some(visit) = held.visit().filter(|visit| visit.is_live() && !Visit::is_served(visit)) {
        let (ticket, reason) = (visit.ticket.clone(), Some("moved".to_owned()));
        events.push(Event::TicketCancelled { ticket, reason });
    }
    events
}

fn elsewhere(record: &CommandRecord, there: &LocationId) -> Aggregate {
    Aggregate::location(&record.aggregate.tenant(), there)
}

/// The fact as the other location gets it.
fn there_fact(fact: &AppointmentFact, moved_to: Option<LocationId>) -> AppointmentFact {
    AppointmentFact { moved_to, ..fact.clone() }
}

fn report_at(
    record: &CommandRecord,
    purpose: &str,
    appointment: &AppointmentId,
    fact: AppointmentFact,
) -> CommandRecord {
    let there = elsewhere(record, &appointment.location());
    // A queue of the location that the source named is unknown at the other one.
    let place = fact.moved_to.clone().unwrap_or_else(|| appointment.location());
    let queue = fact.queue.clone().filter(|queue| queue.belongs_to(&place));
    let (appointment, fact) = (appointment.clone(), AppointmentFact { queue, ..fact });
    record.follow_up(purpose, there, Command::ReportAppointment { appointment, fact })
}

impl Location {
    /// Applies that an appointment leaves. Until the destination answers, one that is known here
    /// stays as it is.
    pub(super) fn leave(
        &mut self,
        id: &AppointmentId,
        fact: &AppointmentFact,
        handover: &AppointmentHandover,
    ) {
        let known = self.appointments.contains_key(id);
        if !known {
            let here = AppointmentFact { moved_to: None, queue: None, ..fact.clone() };
            self.report(id, &here, None);
        }
        let (handover, fact) = (handover.clone(), fact.clone());
        self.change_appointment(id, |held| {
            held.moving = Some(AppointmentMove { handover, fact, known, deferred: None });
        });
    }

    /// Applies that an appointment did not leave. One that was never booked here is cancelled.
    pub(super) fn stay(&mut self, id: &AppointmentId) {
        let unknown = |held: &Appointment| held.moving.as_ref().is_some_and(|move_| !move_.known);
        let Some(held) = self.appointments.get(id) else { return };
        if unknown(held) {
            let status = AppointmentStatus::Cancelled;
            let fact = AppointmentFact { status, ..held.fact.clone() };
            self.report(id, &fact, None);
        }
        self.change_appointment(id, |held| held.moving = None);
    }

    /// Applies that a fact waits until the appointment has moved. The newest one counts.
    pub(super) fn defer(&mut self, id: &AppointmentId, fact: &AppointmentFact) {
        self.change_appointment(id, |held| {
            if let Some(moving) = &mut held.moving {
                moving.deferred = Some(fact.clone());
            }
        });
    }
}

impl Appointment {
    /// The revision of the newest fact that is known of the appointment.
    pub(super) fn newest(&self) -> &AppointmentFact {
        let moving = self.moving.as_ref();
        moving.map_or(&self.fact, |moving| moving.deferred.as_ref().unwrap_or(&moving.fact))
    }
}
