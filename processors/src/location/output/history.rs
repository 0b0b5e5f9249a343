//! The history of a location, and its figures: each change of a ticket's state begins a stay, and
//! each call, service and end counts once.
//!
//! Both follow from the events alone, so a rebuild gives the same. A step notes what it counted, so
//! that its undo counts that backwards. A figure belongs to the hour in which the ticket joined its
//! queue, or in which the appointment was to start: the shares of an hour are shares of the people
//! of that hour.

use schemas::{
    Millis,
    appointment::AppointmentStatus,
    check_in::CheckInPointKind,
    event::{Event, Expiry, TicketStatus},
    figures::{CheckInMethod, Figure, FigureKey, Measure, Tally, TicketEnd},
    figures::{lead_bucket, time_bucket},
    history::Stay,
    ids::{AppointmentId, CheckInPointId, DoctorId, QueueId},
    record::CommandRecord,
    ticket::TicketState,
};
use serde::{Deserialize, Serialize};

use crate::location::{
    Location, moves, settings,
    state::Appointment,
    ticket::{StepTrace, Ticket},
};

/// The role of a check-in point in the actor of a command.
const CHECK_IN_POINT: &str = "check_in_point";

/// The stays that began or ended, and the changes of figures, in order.
#[derive(Clone, PartialEq, Default)]
pub struct History {
    /// The stays, each as it is after the change.
    pub stays: Vec<Stay>,
    /// The changes of figures.
    pub figures: Vec<Figure>,
}

/// The stay that a ticket is in. A ticket of an older version has none until it moves.
#[derive(Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CurrentStay {
    /// The number of the stay among those of its ticket.
    pub number: u32,
    /// When the stay began.
    pub since: Millis,
}

/// Since when a ticket is in its queue.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineTime {
    /// When the ticket joined the queue.
    pub joined_at: Millis,
    /// Whether it has not been called in the queue. The first call alone measures the wait.
    pub awaits_call: bool,
}

/// How the ticket of this command is taken.
fn method_of(state: &Location, record: &CommandRecord) -> CheckInMethod {
    let Some(actor) = &record.actor else { return CheckInMethod::Program };
    if actor.role != CHECK_IN_POINT {
        return CheckInMethod::Desk;
    }
    let point = CheckInPointId::new(actor.subject.as_str()).ok();
    let point = point.and_then(|id| state.header.check_in_points.get(&id));
    match point.map(|point| point.setup.kind) {
        Some(CheckInPointKind::Kiosk) => CheckInMethod::Kiosk,
        Some(CheckInPointKind::Poster) | None => CheckInMethod::Poster,
    }
}

/// Notes in the events of a decision how their tickets are taken.
pub(crate) fn note_method(state: &Location, record: &CommandRecord, events: &mut [Event]) {
    for event in events {
        if let Event::TicketIssued { method, from, .. } = event {
            let is_successor = from.is_some();
            *method = Some(match is_successor {
                true => CheckInMethod::Transfer,
                false => method_of(state, record),
            });
        }
    }
}

/// How an event ends a ticket.
fn end_of(event: &Event) -> Option<TicketEnd> {
    match event {
        Event::TicketCompleted { .. } => Some(TicketEnd::Completed),
        Event::TicketNoShow { .. } => Some(TicketEnd::NoShow),
        Event::TicketLeft { .. } => Some(TicketEnd::Left),
        Event::TicketCancelled { .. } => Some(TicketEnd::Cancelled),
        Event::TicketTransferred { .. } => Some(TicketEnd::Transferred),
        Event::TicketExpired { why: Expiry::AbsentTooLong, state: TicketState::NoShow, .. } => {
            Some(TicketEnd::NoShow)
        }
        Event::TicketExpired { .. } => Some(TicketEnd::Expired),
        _ => None,
    }
}

fn stay(ticket: &Ticket, standing: &TicketStatus, until: Option<Millis>) -> Stay {
    Stay {
        ticket: ticket.id.clone(),
        number: ticket.stay.number,
        label: ticket.label.clone(),
        queue: standing.queue.clone(),
        state: standing.state,
        from: ticket.stay.since,
        until,
        station: standing.station.clone(),
        reason: standing.reason.clone(),
    }
}

fn once(took: Millis) -> Tally {
    Tally { count: 1, total_ms: took.max(0) }
}

impl Location {
    /// The history since the last call of this function.
    pub fn take_history(&mut self) -> History {
        std::mem::take(&mut self.history)
    }

    /// Begins a stay at `at` and ends the one before, if the state, the queue or the room of the
    /// ticket is another one than `before`.
    pub(crate) fn change_stay(
        &mut self,
        ticket: &mut Ticket,
        before: Option<&TicketStatus>,
        at: Millis,
    ) {
        let now = &ticket.standing;
        let place = |standing: &TicketStatus| {
            (standing.state, standing.queue.clone(), standing.station.clone())
        };
        if before.is_some_and(|before| place(before) == place(now)) {
            return;
        }
        // A timer that was due earlier can fire after the ticket has moved.
        let at = at.max(ticket.stay.since);
        if let Some(before) = before.filter(|_| ticket.stay.number > 0) {
            self.history.stays.push(stay(ticket, before, Some(at)));
        }
        ticket.stay = CurrentStay { number: ticket.stay.number + 1, since: at };
        self.history.stays.push(stay(ticket, &ticket.standing, None));
    }

    /// Counts a ticket that was issued.
    pub(crate) fn count_arrival(&mut self, ticket: &Ticket, method: Option<CheckInMethod>) {
        let method = method.unwrap_or(CheckInMethod::Program);
        let bucket = CheckInMethod::ALL.iter().position(|known| *known == method);
        let bucket = bucket.and_then(|place| u8::try_from(place).ok()).unwrap_or_default();
        let figure =
            self.figure(ticket, &ticket.standing.queue, (Measure::Arrived, bucket), once(0));
        self.history.figures.push(figure);
    }

    /// Counts a step of a ticket that happened `at`, and notes in `trace` what an undo takes back.
    /// `before` is the standing before the step.
    pub(crate) fn count_step(
        &mut self,
        event: &Event,
        ticket: &mut Ticket,
        before: &TicketStatus,
        at: Millis,
        trace: &mut StepTrace,
    ) {
        let queue = &before.queue;
        let line = ticket.line;
        if let (Event::TicketCalled { .. }, Some(line)) = (event, line.filter(|it| it.awaits_call))
        {
            let took = at - line.joined_at;
            let what = (Measure::Waited, time_bucket(took));
            trace.figures.push(self.figure(ticket, queue, what, once(took)));
            ticket.line = Some(LineTime { awaits_call: false, ..line });
        }
        let is_served = matches!(event, Event::TicketCompleted { .. } | Event::TicketMoved { .. });
        if let Some(started_at) = before.started_at.filter(|_| is_served) {
            let took = at - started_at;
            let what = (Measure::Served, time_bucket(took));
            trace.figures.push(self.figure(ticket, queue, what, once(took)));
        }
        if let Event::TicketMoved { queue: there, .. } = event
            && there != queue
        {
            ticket.line = Some(LineTime { joined_at: at, awaits_call: true });
            trace.figures.push(self.figure(ticket, there, (Measure::Joined, 0), once(0)));
        }
        if let Some(end) = end_of(event) {
            let bucket = TicketEnd::ALL.iter().position(|known| *known == end);
            let bucket = bucket.and_then(|place| u8::try_from(place).ok()).unwrap_or_default();
            trace.figures.push(self.figure(ticket, queue, (Measure::Ended, bucket), once(0)));
        }
        trace.line = line.filter(|line| ticket.line != Some(*line));
        self.history.figures.extend(trace.figures.iter().cloned());
    }

    /// Counts a step backwards.
    pub(crate) fn uncount_step(&mut self, ticket: &mut Ticket, trace: &StepTrace) {
        let back =
            |figure: &Figure| Figure { key: figure.key.clone(), tally: figure.tally.negated() };
        self.history.figures.extend(trace.figures.iter().map(back));
        if trace.line.is_some() {
            ticket.line = trace.line;
        }
    }

    /// Counts the appointments that an event changed, if they took place or were missed, and no
    /// longer counts those that did not.
    pub(crate) fn count_appointments(&mut self, event: &Event) {
        let ticket = match event {
            Event::TicketIssued { ticket, .. } => Some(ticket),
            event => moves::moved_ticket(event),
        };
        let of_ticket = ticket.and_then(|id| self.ticket(id)?.appointment.clone());
        for id in of_ticket.into_iter().chain(moves::appointment_of(event).cloned()) {
            self.count_appointment(&id);
        }
    }

    fn count_appointment(&mut self, id: &AppointmentId) {
        let Some(held) = self.appointments.get(id) else { return };
        let due = self.outcome_of(held);
        if due == held.counted {
            return;
        }
        let tally = once(0);
        let before = held.counted.clone().map(|key| Figure { key, tally: tally.negated() });
        let after = due.clone().map(|key| Figure { key, tally });
        self.history.figures.extend(before.into_iter().chain(after));
        // No index depends on this field.
        if let Some(held) = self.appointments.get_mut(id) {
            held.counted = due;
        }
    }

    /// The figure in which an appointment counts by its status.
    fn outcome_of(&self, held: &Appointment) -> Option<FigureKey> {
        let measure = match held.status {
            AppointmentStatus::Fulfilled => Measure::Kept,
            AppointmentStatus::Noshow => Measure::Missed,
            _ => return None,
        };
        let start = held.fact.start?;
        let (day, hour) = self.hour_of(start);
        Some(FigureKey {
            day,
            hour,
            queue: held.fact.queue.clone(),
            doctor: held.fact.doctor.as_ref().map(|doctor| doctor.id.clone()),
            measure,
            bucket: lead_bucket(start - held.booked_at.unwrap_or(held.reported_at)),
        })
    }

    /// The doctor whose patient the ticket of this appointment is.
    pub(crate) fn doctor_of(&self, appointment: Option<&AppointmentId>) -> Option<DoctorId> {
        let held = self.appointments.get(appointment?)?;
        held.fact.doctor.as_ref().map(|doctor| doctor.id.clone())
    }

    fn figure(
        &self,
        ticket: &Ticket,
        queue: &QueueId,
        (measure, bucket): (Measure, u8),
        tally: Tally,
    ) -> Figure {
        let (day, hour) = self.hour_of(ticket.line.map_or(ticket.issued_at, |line| line.joined_at));
        let (queue, doctor) = (Some(queue.clone()), ticket.doctor.clone());
        Figure { key: FigureKey { day, hour, queue, doctor, measure, bucket }, tally }
    }

    /// The service day and the hour of the location's clocks at a moment.
    fn hour_of(&self, at: Millis) -> (String, u8) {
        settings::service_hour(&self.zone, self.header.timers.day_start_min, at)
    }
}
