//! Questions of moves to other locations, asked again until they are answered.
//!
//! The answer to a question can be lost for ever: its record, or that of the question, is parked.
//! Each repetition is a command of its own, and the destination answers by its state. So a move
//! always ends once records pass again.

use schemas::{
    Millis,
    attempt::AttemptNumber,
    command::Command,
    event::Event,
    handover::HandoverStage,
    identity::CommandIdentity,
    ids::{AppointmentId, TenantId, TicketId},
    record::CommandRecord,
};
use serde::{Deserialize, Serialize};

use super::{
    Location, handover,
    indexes::{PartTimers, TimerTarget},
    rebooking,
    state::Appointment,
    ticket::Ticket,
};

const MINUTE: Millis = 60_000;
/// The pauses between repetitions double this many times: 1, 2, 4, 8, 16 and 32 minutes. An answer
/// takes seconds, so the first minute passes only when something is wrong.
const DOUBLINGS: u32 = 6;
/// Later repetitions come once an hour, for as long as there is no answer. What parks records is
/// repaired by people, who take hours, and [`MAX_MOVES`] questions an hour are three a second.
const LONGEST: Millis = 60 * MINUTE;

/// Most moves of one location without an answer, tickets and appointments together: as many as a
/// location has live tickets. They stay in memory. Past it, a further move is refused as `moving`.
pub(super) const MAX_MOVES: usize = 10_000;

/// A question that waits for an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// When the question was asked first.
    pub since: Millis,
    /// How often the question was repeated. Repetitions that came too late count, too.
    pub attempt: AttemptNumber,
}

impl Question {
    pub(super) fn new(since: Millis) -> Self {
        Self { since, attempt: AttemptNumber(0) }
    }

    /// When the question is asked again.
    pub(super) fn due(&self) -> Millis {
        self.since.saturating_add(pause_before(self.attempt.next()))
    }

    /// The number of the last repetition that is due at `now`. After an outage it skips those that
    /// nobody made, so that one question is asked and not all of them.
    pub(super) fn attempt_at(&self, now: Millis) -> AttemptNumber {
        let waited = now.saturating_sub(self.since).max(0);
        let hours = (waited - pause_before(AttemptNumber(DOUBLINGS))).max(0) / LONGEST;
        let is_due = |number: &u32| pause_before(AttemptNumber(*number)) <= waited;
        let doubled = (0..=DOUBLINGS).rev().find(is_due).unwrap_or(0);
        AttemptNumber(doubled.saturating_add(u32::try_from(hours).unwrap_or(u32::MAX)))
    }
}

/// How long after the first question the repetition with this number is.
fn pause_before(attempt: AttemptNumber) -> Millis {
    let doubled = attempt.0.min(DOUBLINGS);
    ((1 << doubled) - 1) * MINUTE + Millis::from(attempt.0 - doubled) * LONGEST
}

impl Location {
    /// When the destination of a ticket's move is asked again. A ticket that is still on the way
    /// has its time limit instead.
    pub(super) fn ticket_question_due(ticket: &Ticket) -> Option<Millis> {
        ticket.handover.as_ref()?.question.as_ref().map(Question::due)
    }

    /// When the destination of an appointment's move is asked again.
    pub(super) fn appointment_question_due(appointment: &Appointment) -> Option<Millis> {
        appointment.moving.as_ref().map(|moving| moving.question.due())
    }

    /// The event of the timer that asks again about a ticket.
    pub(super) fn asks_about_ticket(&self, id: &TicketId) -> Option<Event> {
        let question = self.tickets.get(id)?.handover.as_ref()?.question.as_ref()?;
        let attempt = question.attempt_at(self.header.now);
        Some(Event::TicketMoveAsked { ticket: id.clone(), attempt })
    }

    /// The event of the timer that asks again about an appointment.
    pub(super) fn asks_about_appointment(&self, id: &AppointmentId) -> Option<Event> {
        let moving = self.appointments.get(id)?.moving.as_ref()?;
        let attempt = moving.question.attempt_at(self.header.now);
        Some(Event::AppointmentMoveAsked { appointment: id.clone(), attempt })
    }

    /// The question that `event` asks again, as a command for the destination.
    pub(super) fn question(&self, tenant: &TenantId, event: &Event) -> Option<CommandRecord> {
        match event {
            Event::TicketMoveAsked { ticket, attempt } => {
                let ticket = self.ticket(ticket)?;
                Some(match ticket.handover.as_ref()?.handover.stage {
                    HandoverStage::Leaving => handover::ask_receipt(tenant, ticket, *attempt)?,
                    HandoverStage::Withdrawing(_) => {
                        handover::ask_withdrawal(tenant, ticket, *attempt)?
                    }
                })
            }
            Event::AppointmentMoveAsked { appointment, attempt } => {
                rebooking::ask_receipt(tenant, self.appointment(appointment)?, *attempt)
            }
            _ => None,
        }
    }

    /// The command that began the move which `command` settles. Its outcome is `moving` until then.
    pub fn settled_by(&self, command: &Command) -> Option<CommandIdentity> {
        match command {
            Command::SettleTicket { ticket, .. } => {
                self.ticket(ticket)?.handover.as_ref().map(|moving| moving.handover.command.clone())
            }
            Command::SettleAppointment { appointment, .. } => {
                let moving = self.appointment(appointment)?.moving.as_ref();
                moving.map(|moving| moving.handover.command.clone())
            }
            _ => None,
        }
    }

    /// Whether one more move may wait for an answer.
    pub(super) fn has_room_for_move(&self) -> bool {
        self.indexes.moves.len() < self.most_moves
    }

    /// The timers of a ticket with the times when they are due.
    pub(super) fn ticket_timers(&self, ticket: &Ticket) -> PartTimers {
        let id = || ticket.id.clone();
        [
            self.ticket_due(ticket).map(|at| (at, TimerTarget::Ticket(id()))),
            Self::ticket_question_due(ticket).map(|at| (at, TimerTarget::TicketMove(id()))),
        ]
    }

    /// The timers of an appointment with the times when they are due.
    pub(super) fn appointment_timers(&self, held: &Appointment) -> PartTimers {
        let id = || held.id.clone();
        let asked = Self::appointment_question_due(held);
        [
            self.appointment_due(held).map(|at| (at, TimerTarget::Appointment(id()))),
            asked.map(|at| (at, TimerTarget::AppointmentMove(id()))),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_repeated_at_doubling_then_hourly_pauses() {
        let mut question = Question::new(1_000);
        let mut minutes = Vec::new();
        for _ in 0..9 {
            let due = question.due();
            minutes.push((due - 1_000) / MINUTE);
            assert_eq!(question.attempt_at(due - 1), question.attempt);
            question.attempt = question.attempt.next();
            assert_eq!(question.attempt_at(due), question.attempt);
        }
        assert_eq!(minutes, [1, 3, 7, 15, 31, 63, 123, 183, 243]);
    }

    #[test]
    fn late_question_skips_the_missed_repetitions() {
        let question = Question::new(0);
        assert_eq!(question.attempt_at(48 * LONGEST), AttemptNumber(6 + 46));
        assert_eq!(question.attempt_at(-5), AttemptNumber(0));
        assert!(Question { since: 0, attempt: AttemptNumber(u32::MAX) }.due() > 0);
    }
}
