//! Appointments: the facts that a source reports.
//!
//! Each field has one authority. The source decides the times, the doctor, the queue, the label and
//! whether the appointment takes place. The source also reports presence; while a visit is live or
//! has decided the outcome of the appointment, the desk decides (see `visits`).
//!
//! Of two facts, the one with the greater revision is newer. Between equal revisions, the order in
//! the log decides. So facts may arrive late, twice or in any order.

use schemas::{
    Millis,
    appointment::{AppointmentChange, AppointmentFact, AppointmentStatus},
    codes::Code,
    event::Event,
    ids::{AppointmentId, QueueId},
    record::CommandRecord,
};

use crate::location::{
    Location,
    decision::{Decision, result_of},
    rebooking, settings,
    state::{Appointment, AppointmentMove, Visit},
};

/// How far the time of a source's last change may lie ahead of the location's clock: more than
/// clocks differ that people set by hand.
const MAX_AHEAD: Millis = 10 * 60 * 1000;

/// Whether a source may report `to` after it reported `from`. A cancelled or missed appointment may
/// be booked again, and an arrival may be withdrawn. An appointment that took place stays
/// fulfilled, and an error stays an error.
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
pub(crate) fn report(
    state: &Location,
    record: &CommandRecord,
    candidate: &AppointmentId,
    fact: &AppointmentFact,
) -> Result<Decision, Code> {
    let held = state.appointment_by_source(&fact.source, &fact.key);
    let id = held.map_or(candidate, |held| &held.id).clone();
    check_revision(state, fact)?;
    let answered = held.filter(|held| rebooking::is_answered(record, held));
    let answered = answered.map(|_| AppointmentChange::Repeated);
    if let Some(known) = answered.or_else(|| ignored(record, held?, fact)) {
        let event = Event::FactIgnored { appointment: id.clone(), change: known };
        let claim = held.and_then(|held| rebooking::claim_again(record, held, fact, known));
        let (result, follow_ups) = (result_of(&id, known), Vec::from_iter(claim));
        return Ok(Decision { result, follow_ups, ..event.into() });
    }
    // A fact that waits is accepted now, so it must be one that can be applied.
    if held.is_some_and(|held| held.moving.is_some()) {
        check(state, fact)?;
    }
    if let Some(elsewhere) = held.and_then(|held| rebooking::divert(record, held, fact)) {
        return Ok(elsewhere);
    }
    // The candidate id belongs to another appointment. Random bits do not collide, so the sender
    // reused an id.
    if held.is_none() && state.appointment(candidate).is_some() {
        return Err(Code::InvalidId);
    }
    check(state, fact)?;
    accept(state, record, held, &id, fact)
}

/// Decides a fact that is news about the appointment `id`, and can be applied.
fn accept(
    state: &Location,
    record: &CommandRecord,
    held: Option<&Appointment>,
    id: &AppointmentId,
    fact: &AppointmentFact,
) -> Result<Decision, Code> {
    let visit = held.and_then(Appointment::visit);
    // A patient who is in service, or who was served, cannot be called off.
    let removable = visit.is_none_or(|visit| !visit.is_served());
    let taken_back =
        matches!(fact.status, AppointmentStatus::Cancelled | AppointmentStatus::EnteredInError);
    let leads_to = fact.moved_to.as_ref().filter(|_| !taken_back && removable);
    if let Some(held) = held
        && !visit.is_some_and(Visit::decides)
        && !may_follow(held.reported(), fact.status)
    {
        return Err(Code::StatusCannotFollow);
    }
    if let Some(there) = leads_to {
        return rebooking::leave(state, record, id, fact, there);
    }
    let after = accepted(held, id, fact, None, state.header().now);
    let change = change_of(held, &after, taken_back && removable);
    let (appointment, accepted) = (id.clone(), fact.clone());
    let event = Event::AppointmentReported { appointment, fact: accepted, change };
    let mut decision = Decision { result: result_of(id, change), ..event.into() };
    if let Some(visit) = visit.filter(|visit| visit.is_live() && removable && taken_back) {
        let (ticket, reason) = (visit.ticket.clone(), fact.reason.clone());
        decision.events.push(Event::TicketCancelled { ticket, reason });
    }
    decision.follow_ups.extend(rebooking::reclaim(record, held, fact));
    decision.follow_ups.extend(rebooking::claim(record, held, id, fact));
    Ok(decision)
}

/// Checks that the time of the source's last change is not in the future. If it were accepted,
/// every real fact until then would be stale. A version that the source counts is not judged.
fn check_revision(state: &Location, fact: &AppointmentFact) -> Result<(), Code> {
    let latest = state.header().now.saturating_add(MAX_AHEAD).cast_unsigned();
    if fact.revision_is_time && fact.revision > latest {
        return Err(Code::TimeAhead);
    }
    Ok(())
}

/// Why a fact changes nothing: it is older than the accepted fact, or equal to it.
fn ignored(
    record: &CommandRecord,
    held: &Appointment,
    fact: &AppointmentFact,
) -> Option<AppointmentChange> {
    if let Some(moving) = &held.moving {
        return rebooking::ignored(held, moving, fact);
    }
    let passed_on = held.passed_on.unwrap_or_default();
    // A fact that was passed on and returns has found no location with the booking: it is passed on
    // until the location that has the booking applies it.
    let repeated = passed_on > held.fact.revision && rebooking::hops_of(record) == 0;
    match fact.revision.cmp(&held.fact.revision.max(passed_on)) {
        std::cmp::Ordering::Less => Some(AppointmentChange::Stale),
        std::cmp::Ordering::Equal if *fact == held.fact || repeated => {
            Some(AppointmentChange::Repeated)
        }
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
        state.check_doctor(fact)?;
    }
    let known =
        |queue: &QueueId| fact.moved_to.is_some() || state.header().queues.contains_key(queue);
    if fact.queue.as_ref().is_none_or(known) { Ok(()) } else { Err(Code::QueueUnknown) }
}

/// The appointment after its source reported `fact`. `old` is the appointment before.
fn accepted(
    old: Option<&Appointment>,
    id: &AppointmentId,
    fact: &AppointmentFact,
    successor: Option<&AppointmentId>,
    now: Millis,
) -> Appointment {
    let rescheduled = old.is_none_or(|old| old.fact.start != fact.start);
    let rebooked = old.is_some_and(|old| old.reported().is_end());
    let dated = fact.start.is_some();
    let mut new = Appointment {
        id: id.clone(),
        fact: fact.clone(),
        reported_at: now,
        status: fact.status,
        late: false,
        expired: false,
        missed_at: old.and_then(|old| old.missed_at),
        visits: old.map(|old| old.visits.clone()).unwrap_or_default(),
        successor: successor.cloned(),
        // A fact from before the move decides the state of the appointment if the move fails.
        moving: old
            .and_then(|old| old.moving.clone())
            .filter(|_| successor.is_none())
            .map(|moving| AppointmentMove { known: true, ..moving }),
        passed_on: None,
        booked_at: old.map_or(Some(now), |old| old.booked_at),
        counted: old.and_then(|old| old.counted.clone()),
        clinic: old.and_then(|old| old.clinic.clone()),
        view: old.map_or(0, |old| old.view),
    };
    if (rescheduled || rebooked) && !new.reported().is_end() {
        begin_round(&mut new);
    }
    // The source does not know that the appointment is over, unless the fact changes something.
    let same = old.is_some_and(|old| old.status_when(false) == new.status_when(false));
    // Without times, each report is something new: the source still waits for a time.
    new.expired = old.is_some_and(|old| old.expired) && same && !rescheduled && dated;
    new.status = new.status_when(new.expired);
    new.late =
        old.is_some_and(|old| old.late) && !rescheduled && new.status == AppointmentStatus::Booked;
    new
}

/// Lets the source decide again after a visit that has ended. A visit that was served stays, unless
/// the new start lies behind it: facts often arrive after what they describe.
fn begin_round(appointment: &mut Appointment) {
    appointment.missed_at = None;
    let start = appointment.fact.start;
    if let Some(last) = appointment.visits.last_mut()
        && !last.is_live()
        && (!last.is_served() || start > last.ended_at)
    {
        last.over = true;
    }
}

/// The change that the fact of `after` makes. `ended` means that the fact withdraws the appointment
/// and its ticket.
fn change_of(held: Option<&Appointment>, after: &Appointment, ended: bool) -> AppointmentChange {
    let fact = &after.fact;
    let Some(held) = held else { return change_to(fact.status) };
    let news = held.fact.status != fact.status;
    if !ended && news && after.visit().is_some() && after.status != fact.status {
        return AppointmentChange::Overruled;
    }
    let same_times = (held.fact.start, held.fact.end) == (fact.start, fact.end);
    let same_status = held.status == fact.status || held.successor.is_none() && !news;
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

impl Location {
    /// Applies an accepted fact.
    pub(crate) fn report(
        &mut self,
        id: &AppointmentId,
        fact: &AppointmentFact,
        successor: Option<&AppointmentId>,
    ) {
        let old = self.take_appointment(id);
        let new = accepted(old.as_ref(), id, fact, successor, self.header.now);
        self.note_doctor(fact);
        self.put_appointment(new);
    }

    pub(crate) fn change_appointment(
        &mut self,
        id: &AppointmentId,
        change: impl FnOnce(&mut Appointment),
    ) {
        if let Some(mut appointment) = self.take_appointment(id) {
            change(&mut appointment);
            self.put_appointment(appointment);
        }
    }
}
