//! Questions of moves to other locations, asked again until they are answered.
//!
//! The answer to a question can be lost for good: its record, or that of the question, may be
//! parked. Each repetition is a command of its own, and the destination answers by its state. So a
//! move always ends once records pass again.

use schemas::{
    Millis,
    command::Command,
    event::Event,
    handover::HandoverStage,
    identity::CommandIdentity,
    ids::{AppointmentId, TenantId, TicketId},
    record::CommandRecord,
};

use crate::location::{
    Location, handover,
    indexes::{PartTimers, TimerTarget},
    question::Question,
    rebooking,
    state::Appointment,
    ticket::Ticket,
};

impl Location {
    /// When the destination of a ticket's move is asked again. A ticket that is still on the way
    /// has its time limit instead.
    pub(crate) fn ticket_question_due(ticket: &Ticket) -> Option<Millis> {
        ticket.handover.as_ref()?.question.as_ref().map(Question::due)
    }

    /// When the destination of an appointment's move is asked again.
    pub(crate) fn appointment_question_due(appointment: &Appointment) -> Option<Millis> {
        appointment.moving.as_ref().map(|moving| moving.question.due())
    }

    /// The event of the timer that asks again about a ticket.
    pub(crate) fn asks_about_ticket(&self, id: &TicketId) -> Option<Event> {
        let question = self.tickets.get(id)?.handover.as_ref()?.question.as_ref()?;
        let attempt = question.attempt_at(self.header.now);
        Some(Event::TicketMoveAsked { ticket: id.clone(), attempt })
    }

    /// The event of the timer that asks again about an appointment.
    pub(crate) fn asks_about_appointment(&self, id: &AppointmentId) -> Option<Event> {
        let moving = self.appointments.get(id)?.moving.as_ref()?;
        let attempt = moving.question.attempt_at(self.header.now);
        Some(Event::AppointmentMoveAsked { appointment: id.clone(), attempt })
    }

    /// The question that `event` asks again, as a command for the destination.
    pub(crate) fn question(&self, tenant: &TenantId, event: &Event) -> Option<CommandRecord> {
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
    pub(crate) fn has_room_for_move(&self) -> bool {
        self.indexes.moves.len() < self.most_moves
    }

    /// The timers of a ticket with the times when they are due.
    pub(crate) fn ticket_timers(&self, ticket: &Ticket) -> PartTimers {
        let id = || ticket.id.clone();
        [
            self.ticket_due(ticket).map(|at| (at, TimerTarget::Ticket(id()))),
            Self::ticket_question_due(ticket).map(|at| (at, TimerTarget::TicketMove(id()))),
        ]
    }

    /// The timers of an appointment with the times when they are due.
    pub(crate) fn appointment_timers(&self, held: &Appointment) -> PartTimers {
        let id = || held.id.clone();
        let asked = Self::appointment_question_due(held);
        [
            self.appointment_due(held).map(|at| (at, TimerTarget::Appointment(id()))),
            asked.map(|at| (at, TimerTarget::AppointmentMove(id()))),
        ]
    }
}
