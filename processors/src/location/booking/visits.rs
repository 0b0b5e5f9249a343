//! Visits of an appointment: checking in, undoing a check-in, and the status that follows.

use schemas::{
    Millis,
    appointment::AppointmentStatus,
    codes::Code,
    command::CommandResult,
    event::Event,
    ids::{AppointmentId, MAX_VISITS, QueueId},
    ticket::{Priority, TicketState},
};

use crate::location::{
    Location,
    decision::Decision,
    indexes::Update,
    issue::issue,
    settings,
    state::{Appointment, Visit},
    ticket::{LoadCount, Ticket},
};

/// The reason of a ticket whose check-in was undone.
const CHECK_IN_UNDONE: &str = "check_in_undone";

/// The status of an appointment, by the table in `docs/appointment-status.md`. `visit` is the state
/// of the last visit's ticket, unless the appointment was booked anew since. `expired` means that
/// the last timer of the appointment has fired.
pub(crate) fn status_of(
    reported: AppointmentStatus,
    visit: Option<TicketState>,
    expired: bool,
) -> AppointmentStatus {
    use AppointmentStatus as S;
    use TicketState as T;
    let withdrawn = matches!(reported, S::Cancelled | S::EnteredInError);
    let open = match visit {
        Some(T::Expected | T::Waiting | T::Called | T::OnHold | T::Absent | T::Leaving) => {
            return S::CheckedIn;
        }
        Some(T::InService | T::Completed | T::Transferred) => return S::Fulfilled,
        Some(T::NoShow) if !withdrawn => return S::Noshow,
        Some(T::Left | T::Cancelled) if matches!(reported, S::Arrived | S::CheckedIn) => S::Booked,
        _ => reported,
    };
    match open {
        _ if !expired => open,
        S::Booked => S::Noshow,
        S::Arrived | S::CheckedIn => S::Fulfilled,
        S::Proposed | S::Pending | S::Waitlist => S::Cancelled,
        end => end,
    }
}

impl Visit {
    /// Whether the patient is or was with the clinician, here or at another location.
    pub(crate) fn is_served(&self) -> bool {
        matches!(
            self.state,
            TicketState::InService | TicketState::Completed | TicketState::Transferred
        )
    }

    /// Whether the desk has decided the outcome of the appointment. After a visit that ended early,
    /// the source decides again.
    pub(crate) fn decides(&self) -> bool {
        !matches!(self.state, TicketState::Left | TicketState::Cancelled)
    }
}

impl Appointment {
    /// The status that the source reports.
    pub(crate) fn reported(&self) -> AppointmentStatus {
        match self.successor {
            Some(_) => AppointmentStatus::Cancelled,
            None => self.fact.status,
        }
    }

    /// The status that the appointment must have, when its last timer has fired or not.
    pub(crate) fn status_when(&self, expired: bool) -> AppointmentStatus {
        status_of(self.reported(), self.visit().map(|visit| visit.state), expired)
    }
}

/// Issues the ticket of an appointment whose patient has arrived.
pub(crate) fn check_in(
    state: &Location,
    id: &AppointmentId,
    queue: Option<&QueueId>,
) -> Result<Decision, Code> {
    if queue.is_some_and(|queue| !queue.belongs_to(&id.location())) {
        return Err(Code::WrongLocation);
    }
    let appointment = awaited(state, id)?;
    if appointment.expired {
        return Err(Code::AppointmentExpired);
    }
    if !appointment.is_open() {
        return Err(Code::AppointmentOver);
    }
    check_status(appointment)?;
    check_window(state, appointment)?;
    issue_visit(state, appointment, queue)
}

/// Issues the ticket of an appointment whose patient arrived outside the window of check-in,
/// because staff decided so. An appointment that nobody came to is over by a timer alone, so its
/// patient may still come; one that was cancelled or served stays over.
pub(crate) fn override_check_in(
    state: &Location,
    id: &AppointmentId,
    queue: Option<&QueueId>,
    reason: &str,
) -> Result<Decision, Code> {
    settings::check_text(reason)?;
    if queue.is_some_and(|queue| !queue.belongs_to(&id.location())) {
        return Err(Code::WrongLocation);
    }
    let appointment = awaited(state, id)?;
    if appointment.status_when(false).is_end() {
        return Err(Code::AppointmentOver);
    }
    check_status(appointment)?;
    let mut decision = issue_visit(state, appointment, queue)?;
    let ticket = decision.result.ticket.clone().ok_or(Code::Internal)?;
    decision.events.push(Event::CheckInOverridden { ticket, reason: reason.to_owned() });
    Ok(decision)
}

/// An appointment here whose patient is not in line.
fn awaited<'a>(state: &'a Location, id: &AppointmentId) -> Result<&'a Appointment, Code> {
    let appointment = state.appointment(id).ok_or(Code::NoAppointment)?;
    if appointment.successor.is_some() {
        return Err(Code::WrongLocation);
    }
    if appointment.is_here() { Err(Code::AlreadyCheckedIn) } else { Ok(appointment) }
}

/// Issues the ticket of the next visit of an appointment.
fn issue_visit(
    state: &Location,
    appointment: &Appointment,
    queue: Option<&QueueId>,
) -> Result<Decision, Code> {
    let id = &appointment.id;
    let number = u8::try_from(appointment.visits.len()).ok().filter(|number| *number < MAX_VISITS);
    let ticket = id.visit_ticket(number.ok_or(Code::TooManyVisits)?);
    let queue = queue.or(appointment.fact.queue.as_ref()).ok_or(Code::QueueMissing)?;
    issue(state, queue, &ticket, Priority::default(), Some(id))
}

/// Refuses an appointment that is only proposed or on a waiting list.
fn check_status(appointment: &Appointment) -> Result<(), Code> {
    let status = appointment.status_when(false);
    let wished = matches!(status, AppointmentStatus::Proposed | AppointmentStatus::Waitlist);
    if wished { Err(Code::StatusCannotFollow) } else { Ok(()) }
}

/// Checks that the location lets patients check in at this time.
fn check_window(state: &Location, appointment: &Appointment) -> Result<(), Code> {
    let header = state.header();
    // Only an appointment that cannot be checked in anyway may lack its times.
    let start = appointment.fact.start.ok_or(Code::TimesMissing)?;
    if header.now < start - Millis::from(header.timers.check_in_early_s) * 1000 {
        return Err(Code::TooEarly);
    }
    if header.now > start + Millis::from(header.timers.no_show_s) * 1000 {
        return Err(Code::AppointmentExpired);
    }
    Ok(())
}

/// Ends the ticket of a patient who was checked in by mistake.
pub(crate) fn undo_check_in(state: &Location, id: &AppointmentId) -> Result<Decision, Code> {
    let appointment = state.appointment(id).ok_or(Code::NoAppointment)?;
    let visit = appointment.visit().filter(|visit| visit.is_live()).ok_or(Code::NotCheckedIn)?;
    if visit.is_served() {
        return Err(Code::IllegalMove);
    }
    let result = CommandResult {
        ticket: Some(visit.ticket.clone()),
        label: Some(visit.label.clone()),
        appointment: Some(id.clone()),
        ..CommandResult::default()
    };
    let event = Event::TicketCancelled {
        ticket: visit.ticket.clone(),
        reason: Some(CHECK_IN_UNDONE.to_owned()),
    };
    Ok(Decision { result, ..event.into() })
}

/// Whether an undo may make the ticket live again. The ticket of an appointment may not when the
/// appointment was checked in or booked again since, or moved to another location: its patient
/// would be in line twice.
pub(crate) fn may_return(state: &Location, ticket: &Ticket) -> bool {
    let appointment = ticket.appointment.as_ref().and_then(|id| state.appointment(id));
    appointment.is_none_or(|held| {
        ticket.is_live()
            || held.successor.is_none()
                && held.visit().is_some_and(|visit| visit.ticket == ticket.id)
    })
}

impl Location {
    /// Keeps the visit of a ticket, and with it the status of the appointment, equal to the ticket.
    pub(crate) fn follow_ticket(&mut self, id: &AppointmentId, ticket: &Ticket) {
        let Some(held) = self.appointments.get(id) else { return };
        let place = held.visits.iter().position(|visit| visit.ticket == ticket.id);
        let known = place.map(|place| &held.visits[place]);
        let (state, ended_at) = (ticket.standing.state, ticket.standing.ended_at);
        if known.is_some_and(|visit| visit.state == state && visit.ended_at == ended_at) {
            return;
        }
        // A visit that was over is live again: its end is undone, and so is what its end led to.
        // If the patient came after the appointment was counted as missed, that is undone too.
        let undone = known.is_none_or(|visit| !visit.is_live()) && ticket.is_live();
        let missed_at = held.missed_at.filter(|_| undone);
        let visit = Visit {
            ticket: ticket.id.clone(),
            label: ticket.label.clone(),
            state,
            ended_at,
            start: known.map_or(held.fact.start, |visit| visit.start),
            over: known.is_some_and(|visit| visit.over),
        };
        self.change_appointment(id, |appointment| {
            match place {
                Some(place) => appointment.visits[place] = visit,
                None => appointment.visits.push(visit),
            }
            (appointment.late, appointment.expired) = (false, false);
            appointment.missed_at.take_if(|_| undone);
            appointment.status = appointment.status_when(false);
        });
        if let Some(at) = missed_at.filter(|at| self.counts_for_today(*at)) {
            self.count(LoadCount::NoShow, Update::Remove, at);
        }
    }

    /// Ends an appointment to which nobody came until `at`, and counts it unless it was counted.
    pub(crate) fn miss(&mut self, id: &AppointmentId, at: Millis) {
        let known = self.appointments.get(id).is_some_and(|held| held.missed_at.is_some());
        if !known && self.counts_for_today(at) {
            self.count_quarter(at, |quarter| quarter.no_show += 1);
        }
        self.change_appointment(id, |appointment| {
            (appointment.late, appointment.expired) = (false, true);
            // The time is set also when the day ended before a late tick, because the state must
            // not depend on ticks.
            appointment.missed_at.get_or_insert(at);
            appointment.status = AppointmentStatus::Noshow;
        });
    }
}
