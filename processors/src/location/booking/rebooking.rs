//! Moves of appointments to and from other locations, in two steps with an answer. The appointment
//! stays as it is, and can be checked in, until the destination has booked it.
//!
//! A fact that arrives meanwhile waits for the answer and is then reported again. A fact about an
//! appointment that has moved away is passed on to the new location.

use schemas::{
    appointment::{AppointmentChange, AppointmentFact, AppointmentStatus},
    attempt::AttemptNumber,
    codes::Code,
    command::Command,
    event::Event,
    handover::{AppointmentHandover, HandoverAnswer, MoveQuestion},
    ids::{Aggregate, AppointmentId, LocationId, TenantId},
    record::CommandRecord,
};

use crate::effect::Settlement;
use crate::location::{
    Location,
    decision::{Decision, result_of},
    question::Question,
    state::{Appointment, AppointmentMove, DeferredFact, Visit},
};

/// Decides a newer fact about an appointment that is moving or has moved away, if it must be
/// applied elsewhere or later.
pub(crate) fn divert(
    record: &CommandRecord,
    held: &Appointment,
    fact: &AppointmentFact,
) -> Option<Decision> {
    let (appointment, change) = (held.id.clone(), AppointmentChange::Deferred);
    let result = result_of(&appointment, change);
    if let Some(moving) = &held.moving {
        // An older fact about a further move counts if this one is refused.
        let newer = fact.revision >= moving.fact.revision || fact.moved_to.is_some();
        let (fact, here) = (fact.clone(), says_here(record));
        let event = Event::FactDeferred { appointment, fact, here };
        return newer.then(|| Decision { result, ..event.into() });
    }
    let successor = held.successor.as_ref().filter(|_| hops_of(record) < MAX_HOPS)?;
    // Without a location to move to, an open booking has come back here.
    if fact.moved_to.is_none() && !fact.status.is_end() {
        return None;
    }
    let there = successor.location();
    let moved_to = fact.moved_to.clone().filter(|to| *to != there);
    let follow_up = pass_on(record, "forward", &held.id, successor, there_fact(fact, moved_to));
    let event = Event::FactDeferred { appointment, fact: fact.clone(), here: false };
    Some(Decision { result, follow_ups: vec![follow_up], ..event.into() })
}

/// Why a fact about an appointment that is moving changes nothing. One from before the move may
/// still be newer than what is known here, and counts if the appointment stays.
pub(crate) fn ignored(
    held: &Appointment,
    moving: &AppointmentMove,
    fact: &AppointmentFact,
) -> Option<AppointmentChange> {
    let mut known = moving.deferred.iter().map(|deferred| &deferred.fact).chain([&moving.fact]);
    if known.any(|known| known == fact) {
        return Some(AppointmentChange::Repeated);
    }
    let known_here = moving.known && fact.revision <= held.fact.revision;
    let older = fact.revision < moving.fact.revision && known_here;
    older.then_some(AppointmentChange::Stale)
}

/// Decides a fact that moves the appointment to another location.
pub(crate) fn leave(
    state: &Location,
    record: &CommandRecord,
    id: &AppointmentId,
    fact: &AppointmentFact,
    there: &LocationId,
) -> Result<Decision, Code> {
    if !state.has_room_for_move() {
        return Err(Code::Moving);
    }
    let successor = id.moved_to(there);
    let mut receive = record.follow_up(
        "receive",
        elsewhere(record, there),
        receipt(successor.clone(), fact, id.clone()),
    );
    let asked_by = receive.id.clone();
    if let Command::ReceiveAppointment { question, .. } = &mut receive.command {
        *question = Some(MoveQuestion { first: asked_by.clone(), attempt: AttemptNumber(0) });
    }
    let handover = AppointmentHandover { successor, command: record.identity(), asked_by };
    let (appointment, fact) = (id.clone(), fact.clone());
    Ok(Decision {
        moving: true,
        result: result_of(id, AppointmentChange::Moved),
        follow_ups: vec![receive],
        ..Event::AppointmentLeaving { appointment, fact, handover }.into()
    })
}

/// The command that books the appointment at the destination.
fn receipt(successor: AppointmentId, fact: &AppointmentFact, from: AppointmentId) -> Command {
    let fact = there_fact(fact, None);
    Command::ReceiveAppointment { appointment: successor, fact, from, hops: 0, question: None }
}

/// The repeated question whether the destination has booked the appointment.
pub(crate) fn ask_receipt(
    tenant: &TenantId,
    held: &Appointment,
    attempt: AttemptNumber,
) -> Option<CommandRecord> {
    let moving = held.moving.as_ref()?;
    let AppointmentHandover { successor, command, asked_by } = &moving.handover;
    let mut receive = receipt(successor.clone(), &moving.fact, held.id.clone());
    if let Command::ReceiveAppointment { question, .. } = &mut receive {
        *question = Some(MoveQuestion { first: asked_by.clone(), attempt });
    }
    let there = Aggregate::location(tenant, &successor.location());
    let purpose = format!("receive {asked_by} {attempt}");
    Some(CommandRecord::follow_up_of(command, &purpose, there, receive))
}

/// Whether this is a repeated question about a booking that is here. An earlier question booked it,
/// and a fact that arrived since must stand.
pub(crate) fn is_answered(record: &CommandRecord, held: &Appointment) -> bool {
    let Command::ReceiveAppointment { fact, question: Some(question), .. } = &record.command else {
        return false;
    };
    let is_here = held.successor.is_none() && !held.reported().is_end();
    question.attempt > AttemptNumber(0) && is_here && fact.revision <= held.fact.revision
}

/// The claim of an appointment that is booked here and was not before, or that has come back. So
/// the key of the appointment learns of each location that holds it.
pub(crate) fn claim(
    record: &CommandRecord,
    held: Option<&Appointment>,
    id: &AppointmentId,
    fact: &AppointmentFact,
) -> Option<CommandRecord> {
    let is_new = held.is_none_or(|held| held.successor.is_some());
    is_new.then(|| claim_of(record, id, fact))
}

/// The claim of an appointment whose source has reported it here since the revision of `fact`,
/// which says that it moved. The key of the appointment informs the location with the older claim.
pub(crate) fn claim_again(
    record: &CommandRecord,
    held: &Appointment,
    fact: &AppointmentFact,
    change: AppointmentChange,
) -> Option<CommandRecord> {
    // Also while it is to move on, since that can be refused.
    let stays = |moving: &AppointmentMove| moving.known && fact.revision <= held.fact.revision;
    let is_here = held.successor.is_none() && held.moving.as_ref().is_none_or(stays);
    let contradicts = change == AppointmentChange::Stale && fact.moved_to.is_some();
    (is_here && contradicts).then(|| claim_of(record, &held.id, &held.fact))
}

fn claim_of(record: &CommandRecord, id: &AppointmentId, fact: &AppointmentFact) -> CommandRecord {
    let tenant = record.aggregate.tenant();
    let key = Aggregate::appointment_key(&tenant, &fact.source, &fact.key);
    let (appointment, fact) = (id.clone(), there_fact(fact, None));
    record.follow_up("claim", key, Command::ClaimAppointment { appointment, fact })
}

/// The command that takes the booking back from the other location, when the source says that an
/// appointment which had moved away is here after all: to the other location, it moves here.
pub(crate) fn reclaim(
    record: &CommandRecord,
    held: Option<&Appointment>,
    fact: &AppointmentFact,
) -> Option<CommandRecord> {
    // A move back comes from the other location, which ends the booking there itself.
    let reported = matches!(record.command, Command::ReportAppointment { .. });
    let held = held.filter(|_| reported)?;
    let here = there_fact(fact, Some(held.id.location()));
    Some(pass_on(record, "reclaim", &held.id, held.successor.as_ref()?, here))
}

/// The answer of the destination to the origin, whatever it decided.
pub(crate) fn answer(
    record: &CommandRecord,
    decided: &Result<Decision, Code>,
) -> Option<CommandRecord> {
    let Command::ReceiveAppointment { appointment, from, question, .. } = &record.command else {
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
        question: question.clone(),
    };
    Some(record.follow_up("settle", elsewhere(record, &from.location()), settle))
}

/// Decides at the origin: the answer of the destination to the last question. An earlier answer
/// could differ from it: a queue can be made or removed meanwhile.
pub(crate) fn settle(state: &Location, record: &CommandRecord) -> Result<Decision, Code> {
    let Command::SettleAppointment { appointment: id, successor, held, answer, question } =
        &record.command
    else {
        return Err(Code::IllegalMove);
    };
    let appointment = state.appointment(id).ok_or(Code::NoAppointment)?;
    let is_asked = |moving: &&AppointmentMove| *question == Some(moving.asked());
    let moving = appointment.moving.as_ref().filter(is_asked).ok_or(Code::IllegalMove)?;
    let refusal = match answer {
        HandoverAnswer::Refused(why) => Some(*why),
        // The booking has come back from there meanwhile.
        _ if moving.deferred.iter().any(|deferred| deferred.here) => Some(Code::MoveTakenBack),
        HandoverAnswer::Accepted | HandoverAnswer::Kept => None,
    };
    let (events, outcome) = match refusal {
        Some(why) => (vec![Event::AppointmentStayed { appointment: id.clone(), why }], Err(why)),
        None => {
            let successor = held.as_ref().unwrap_or(successor).clone();
            let result = result_of(&successor, AppointmentChange::Moved);
            (moved(appointment, moving, successor), Ok(result))
        }
    };
    let deferred = moving.deferred.iter().enumerate().map(|(index, deferred)| {
        let (appointment, fact) = (id.clone(), deferred.fact.clone());
        let report = Command::ReportAppointment { appointment, fact };
        record.follow_up(&format!("deferred {index}"), record.aggregate.clone(), report)
    });
    let (command, began) = (moving.handover.command.clone(), moving.began);
    Ok(Decision {
        events,
        follow_ups: deferred.collect(),
        settles: Some(Settlement { command, began, outcome }),
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

/// How often a fact is passed on at most. A longer chain of moves is not followed: the fact counts
/// where it is then.
const MAX_HOPS: u8 = 8;

/// How often the fact of the record was passed on.
pub(crate) fn hops_of(record: &CommandRecord) -> u8 {
    match record.command {
        Command::ReceiveAppointment { hops, .. } => hops,
        _ => 0,
    }
}

/// Whether the record says that the booking has moved to this location.
fn says_here(record: &CommandRecord) -> bool {
    match &record.command {
        Command::ReceiveAppointment { fact, .. } => {
            fact.moved_to.is_none() && !fact.status.is_end()
        }
        _ => false,
    }
}

/// Passes a fact on to the location where the appointment is now.
fn pass_on(
    record: &CommandRecord,
    purpose: &str,
    from: &AppointmentId,
    appointment: &AppointmentId,
    fact: AppointmentFact,
) -> CommandRecord {
    let there = elsewhere(record, &appointment.location());
    // A queue of the location that the source named is unknown at the other one.
    let place = fact.moved_to.clone().unwrap_or_else(|| appointment.location());
    let queue = fact.queue.clone().filter(|queue| queue.belongs_to(&place));
    let receive = Command::ReceiveAppointment {
        appointment: appointment.clone(),
        fact: AppointmentFact { queue, ..fact },
        from: from.clone(),
        hops: hops_of(record) + 1,
        question: None,
    };
    record.follow_up(purpose, there, receive)
}

impl Location {
    /// Applies that an appointment leaves. Until the destination answers, one that is known here
    /// stays as it is.
    pub(crate) fn leave(
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
        let (began, question) = (self.position.version, Question::new(self.header.now));
        self.change_appointment(id, |held| {
            let deferred = Vec::new();
            held.moving =
                Some(AppointmentMove { handover, fact, known, began, question, deferred });
        });
    }

    /// Applies that the destination was asked again.
    pub(crate) fn ask_again(&mut self, id: &AppointmentId, attempt: AttemptNumber) {
        self.change_appointment(id, |held| {
            if let Some(moving) = &mut held.moving {
                moving.question.attempt = attempt;
            }
        });
    }

    /// Applies that an appointment did not leave. One that was never booked here is cancelled, and
    /// any fact about it is news: the booking here may arrive after the refused move.
    pub(crate) fn stay(&mut self, id: &AppointmentId) {
        let unknown = |held: &Appointment| held.moving.as_ref().is_some_and(|move_| !move_.known);
        let Some(held) = self.appointments.get(id) else { return };
        if unknown(held) {
            let status = AppointmentStatus::Cancelled;
            let fact = AppointmentFact { status, revision: 0, ..held.fact.clone() };
            self.report(id, &fact, None);
        }
        self.change_appointment(id, |held| held.moving = None);
    }

    /// Applies that a fact waits until the appointment has moved, or was passed on to where it is.
    pub(crate) fn defer(&mut self, id: &AppointmentId, fact: &AppointmentFact, here: bool) {
        self.change_appointment(id, |held| match &mut held.moving {
            Some(moving) => moving.defer(DeferredFact { fact: fact.clone(), here }),
            None => held.passed_on = Some(fact.revision),
        });
    }
}

/// Most facts that wait for one move: sources rarely report so often within a minute. Past it, the
/// oldest is dropped. Each fact is whole, so the next one says everything that the oldest said,
/// except that the booking has come back.
const MAX_DEFERRED: usize = 8;

impl AppointmentMove {
    /// The question that was asked last.
    pub(crate) fn asked(&self) -> MoveQuestion {
        let first = self.handover.asked_by.clone();
        MoveQuestion { first, attempt: self.question.attempt }
    }

    fn defer(&mut self, deferred: DeferredFact) {
        let at =
            self.deferred.partition_point(|other| other.fact.revision <= deferred.fact.revision);
        self.deferred.insert(at, deferred);
        if self.deferred.len() > MAX_DEFERRED {
            let oldest = self.deferred.remove(0);
            self.deferred[0].here |= oldest.here;
        }
    }
}
