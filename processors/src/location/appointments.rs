//! Appointments: the facts that a source reports, and what the front desk does with an appointment.
//!
//! Each field has one authority. The source decides the times, the doctor, the queue, the label and
//! whether the appointment takes place. The source also reports presence until the desk has checked
//! the patient in; from then on, the desk decides presence and everything that follows from it.
//!
//! Of two facts, the one with the greater revision is newer. Between equal revisions, the order in
//! the log decides. So facts may arrive late, twice or in any order.

use schemas::{
    appointment::{AppointmentChange, AppointmentFact, AppointmentStatus},
    codes::Code,
    command::{Command, CommandResult},
    event::Event,
    ids::{Aggregate, AppointmentId, LocationId, QueueId},
    record::CommandRecord,
    ticket::{Priority, TicketState},
};

use super::{
    Location,
    decide::{Decision, issue},
    settings::{self, MAX_DOCTORS},
    state::{Appointment, DoctorDay, TicketSummary},
};

/// The status of an appointment: what the source reports, unless the desk has issued a ticket or
/// nobody came in time.
pub(super) fn status_of(
    reported: AppointmentStatus,
    desk: Option<&TicketSummary>,
    missed: bool,
) -> AppointmentStatus {
    use AppointmentStatus as S;
    use TicketState as T;
    match desk.map(|desk| desk.state) {
        None if missed => S::Noshow,
        None => reported,
        Some(
            T::Expected | T::Waiting | T::Called | T::OnHold | T::Absent | T::Left | T::Transferred,
        ) => S::CheckedIn,
        Some(T::InService | T::Completed) => S::Fulfilled,
        Some(T::NoShow) => S::Noshow,
        Some(T::Cancelled) if reported == S::EnteredInError => S::EnteredInError,
        Some(T::Cancelled) => S::Cancelled,
    }
}

/// Whether a source may report `to` for an appointment with the status `from`. A cancelled or
/// missed appointment may be booked again, and an arrival may be withdrawn. An appointment that
/// took place stays fulfilled, and an error stays an error.
fn may_follow(from: AppointmentStatus, to: AppointmentStatus) -> bool {
    use AppointmentStatus as S;
    match from {
        S::EnteredInError => to == S::EnteredInError,
        S::Fulfilled => matches!(to, S::Fulfilled | S::EnteredInError),
        S::Arrived | S::CheckedIn => !matches!(to, S::Proposed | S::Pending | S::Waitlist),
        S::Proposed | S::Waitlist => {
            !matches!(to, S::Arrived | S::CheckedIn | S::Fulfilled | S::Noshow)
        }
        S::Pending | S::Booked | S::Cancelled | S::Noshow => true,
    }
}

/// Decides a fact that a source reported: accepts, ignores or refuses it.
pub(super) fn report(
    state: &Location,
    record: &CommandRecord,
    candidate: &AppointmentId,
    fact: &AppointmentFact,
) -> Result<Decision, Code> {
    let held = state.appointment_by_source(&fact.source, &fact.key);
    let id = held.map_or(candidate, |held| &held.id).clone();
    let result_of = |change| CommandResult {
        appointment: Some(id.clone()),
        change: Some(change),
        ..Default::default()
    };
    if let Some(known) = held.and_then(|held| ignored(held, fact)) {
        let event = Event::FactIgnored { appointment: id.clone(), change: known };
        return Ok(Decision { result: result_of(known), ..event.into() });
    }
    // The candidate id belongs to another appointment. Random bits do not collide, so the sender
    // reused an id.
    if held.is_none() && state.appointment(candidate).is_some() {
        return Err(Code::InvalidId);
    }
    check(state, fact)?;
    let ticket = held.and_then(|held| held.ticket.as_ref());
    // A patient who is in service, or who was served, cannot be called off.
    let removable =
        ticket.is_none_or(|desk| !desk.state.is_end() && desk.state != TicketState::InService);
    let taken_back =
        matches!(fact.status, AppointmentStatus::Cancelled | AppointmentStatus::EnteredInError);
    let leads_to = fact.moved_to.as_ref().filter(|_| !taken_back && removable);
    if let (Some(held), None) = (held, ticket)
        && !may_follow(held.status, fact.status)
    {
        return Err(Code::StatusCannotFollow);
    }
    let change = if leads_to.is_some() {
        AppointmentChange::Moved
    } else {
        change_of(held, fact, taken_back && removable)
    };
    let mut decision = Decision {
        result: result_of(change),
        ..accepted_event(&id, fact, change, leads_to).into()
    };
    if ticket.is_some_and(|desk| !desk.state.is_end())
        && removable
        && (taken_back || leads_to.is_some())
    {
        let reason =
            if leads_to.is_some() { Some("moved".to_owned()) } else { fact.reason.clone() };
        decision.events.push(Event::TicketCancelled { ticket: id.ticket(), reason });
    }
    decision.follow_up = leads_to.map(|there| booking_at(record, &id, fact, there));
    Ok(decision)
}

fn accepted_event(
    id: &AppointmentId,
    fact: &AppointmentFact,
    change: AppointmentChange,
    leads_to: Option<&LocationId>,
) -> Event {
    let (appointment, fact) = (id.clone(), fact.clone());
    match leads_to {
        Some(there) => Event::AppointmentMoved { successor: id.moved_to(there), appointment, fact },
        None => Event::AppointmentReported { appointment, fact, change },
    }
}

/// Why a fact changes nothing: it is older than the accepted fact, or equal to it.
fn ignored(held: &Appointment, fact: &AppointmentFact) -> Option<AppointmentChange> {
    match fact.revision.cmp(&held.fact.revision) {
        std::cmp::Ordering::Less => Some(AppointmentChange::Stale),
        std::cmp::Ordering::Equal if *fact == held.fact => Some(AppointmentChange::Repeated),
        _ => None,
    }
}

/// Checks that an appointment may have these values.
fn check(state: &Location, fact: &AppointmentFact) -> Result<(), Code> {
    for text in [&fact.label, &fact.reason].into_iter().flatten() {
        settings::check_text(text)?;
    }
    match (fact.start, fact.end) {
        (Some(start), Some(end)) if end < start => return Err(Code::TimesReversed),
        (Some(start), Some(end))
            if settings::plausible(start) != start || settings::plausible(end) != end =>
        {
            return Err(Code::InvalidValue);
        }
        (Some(_), Some(_)) => {}
        (None, None) if fact.status.may_lack_times() => {}
        _ => return Err(Code::TimesMissing),
    }
    if let Some(doctor) = &fact.doctor {
        settings::check_text(&doctor.name)?;
        let doctors = &state.header().doctors;
        if doctors.len() >= MAX_DOCTORS && !doctors.contains_key(&doctor.id) {
            return Err(Code::InvalidValue);
        }
    }
    let known =
        |queue: &QueueId| fact.moved_to.is_some() || state.header().queues.contains_key(queue);
    if fact.queue.as_ref().is_none_or(known) { Ok(()) } else { Err(Code::QueueUnknown) }
}

/// What the fact changes. `ended` means that the fact withdraws the appointment and its ticket.
fn change_of(held: Option<&Appointment>, fact: &AppointmentFact, ended: bool) -> AppointmentChange {
    let Some(held) = held else { return change_to(fact.status) };
    let same_times = (held.fact.start, held.fact.end) == (fact.start, fact.end);
    if held.ticket.is_some() && !ended {
        let overruled = held.fact.status != fact.status && held.status != fact.status;
        return match (overruled, same_times) {
            (true, _) => AppointmentChange::Overruled,
            (false, false) => AppointmentChange::Rescheduled,
            (false, true) => AppointmentChange::Modified,
        };
    }
    let same_status =
        held.status == fact.status || held.successor.is_none() && held.fact.status == fact.status;
    match (same_status, same_times) {
        (false, _) => change_to(fact.status),
        (true, false) => AppointmentChange::Rescheduled,
        (true, true) => AppointmentChange::Modified,
    }
}

fn change_to(status: AppointmentStatus) -> AppointmentChange {
    use AppointmentStatus as S;
    match status {
        S::Proposed | S::Pending | S::Waitlist | S::Booked => AppointmentChange::Booked,
        S::Arrived => AppointmentChange::Arrived,
        S::CheckedIn => AppointmentChange::CheckedIn,
        S::Fulfilled => AppointmentChange::Fulfilled,
        S::Cancelled => AppointmentChange::Cancelled,
        S::Noshow => AppointmentChange::NoShow,
        S::EnteredInError => AppointmentChange::EnteredInError,
    }
}

/// The command that reports the same fact to the location to which the appointment moves.
fn booking_at(
    record: &CommandRecord,
    id: &AppointmentId,
    fact: &AppointmentFact,
    there: &LocationId,
) -> CommandRecord {
    let report = Command::ReportAppointment {
        appointment: id.moved_to(there),
        fact: AppointmentFact { moved_to: None, ..fact.clone() },
    };
    record.follow_up("moved", Aggregate::location(&record.aggregate.tenant(), there), report)
}

/// Issues the ticket of an appointment whose patient has arrived.
pub(super) fn check_in(
    state: &Location,
    id: &AppointmentId,
    queue: Option<&QueueId>,
) -> Result<Decision, Code> {
    let appointment = state.appointment(id).ok_or(Code::AppointmentUnknown)?;
    if appointment.ticket.is_some() {
        return Err(Code::AlreadyCheckedIn);
    }
    if !appointment.is_open() {
        return Err(Code::AppointmentOver);
    }
    if matches!(appointment.status, AppointmentStatus::Proposed | AppointmentStatus::Waitlist) {
        return Err(Code::StatusCannotFollow);
    }
    let queue = queue.or(appointment.fact.queue.as_ref()).ok_or(Code::QueueMissing)?;
    issue(state, queue, &id.ticket(), Priority::default(), Some(id))
}

impl Location {
    /// Applies an accepted fact.
    pub(super) fn report(
        &mut self,
        id: &AppointmentId,
        fact: &AppointmentFact,
        successor: Option<&AppointmentId>,
    ) {
        let old = self.take_appointment(id);
        let rescheduled = old.as_ref().is_none_or(|old| old.fact.start != fact.start);
        let missed = old.as_ref().is_some_and(|old| old.missed)
            && !rescheduled
            && fact.status == AppointmentStatus::Booked;
        let ticket = old.as_ref().and_then(|old| old.ticket.clone());
        let reported = if successor.is_some() { AppointmentStatus::Cancelled } else { fact.status };
        let status = status_of(reported, ticket.as_ref(), missed);
        if let Some(doctor) = &fact.doctor {
            let new = || DoctorDay { name: String::new(), delay_min: 0, delay_version: 0, view: 0 };
            self.header
                .doctors
                .entry(doctor.id.clone())
                .or_insert_with(new)
                .name
                .clone_from(&doctor.name);
        }
        let start = self.header.timers.day_start_min;
        self.put_appointment(Appointment {
            id: id.clone(),
            fact: fact.clone(),
            day: fact.start.map(|at| settings::service_day(&self.zone, start, at)),
            status,
            late: old.as_ref().is_some_and(|old| old.late)
                && !rescheduled
                && status == AppointmentStatus::Booked,
            missed,
            ticket,
            successor: successor.cloned(),
            view: old.map_or(0, |old| old.view),
        });
    }

    pub(super) fn change_appointment(
        &mut self,
        id: &AppointmentId,
        change: impl FnOnce(&mut Appointment),
    ) {
        if let Some(mut appointment) = self.take_appointment(id) {
            change(&mut appointment);
            self.put_appointment(appointment);
        }
    }

    /// Keeps the status of the appointment equal to that of its ticket.
    pub(super) fn follow_ticket(&mut self, id: &AppointmentId, desk: TicketSummary) {
        if self.appointments.get(id).is_none_or(|held| held.ticket.as_ref() == Some(&desk)) {
            return;
        }
        self.change_appointment(id, |appointment| {
            appointment.status = status_of(appointment.fact.status, Some(&desk), false);
            appointment.ticket = Some(desk);
            (appointment.late, appointment.missed) = (false, false);
        });
    }
}
