//! Outward events of a step of a location: what other systems hear of it.

use std::collections::BTreeSet;

use schemas::{
    appointment::AppointmentChange,
    event::Event,
    ids::{AppointmentId, QueueId, TicketId},
    outward::{AppointmentName, OutwardData},
    ticket::TicketState,
};

use crate::location::{Location, ticket::Ticket};

/// The tickets that were near their turn before a step, in the queues that the step may change.
#[derive(Default)]
pub(crate) struct NearTickets {
    before: BTreeSet<TicketId>,
    queues: BTreeSet<QueueId>,
}

impl Location {
    /// Notes the first places of queues before an event changes them.
    pub(crate) fn note_near<'a>(
        &self,
        noted: &mut NearTickets,
        queues: impl IntoIterator<Item = &'a QueueId>,
    ) {
        for queue in queues {
            if noted.queues.insert(queue.clone()) {
                noted.before.extend(self.near_turn(queue));
            }
        }
    }

    /// The outward events of a step: those of its events in their order, and then the tickets that
    /// have come near their turn.
    pub(crate) fn outward(&self, noted: &NearTickets, events: &[Event]) -> Vec<OutwardData> {
        let mut outward: Vec<_> =
            events.iter().flat_map(|event| self.outward_of(event)).flatten().collect();
        for queue in &noted.queues {
            for (ahead, ticket) in (0..).zip(self.near_turn(queue)) {
                if !noted.before.contains(&ticket) {
                    let queue = queue.clone();
                    outward.push(OutwardData::TurnNear { ticket, queue, ahead });
                }
            }
        }
        outward
    }

    /// The outward events of one event, after the step.
    fn outward_of(&self, event: &Event) -> [Option<OutwardData>; 2] {
        use Event as E;
        let one = match event {
            E::TicketIssued { ticket, queue, appointment, from, .. } => {
                Some(OutwardData::TicketIssued {
                    ticket: ticket.clone(),
                    queue: queue.clone(),
                    appointment: appointment.clone(),
                    from: from.clone(),
                })
            }
            E::TicketCalled { ticket, .. } => self.called(ticket, false),
            E::TicketRecalled { ticket } => self.called(ticket, true),
            E::ServiceStarted { ticket } => self.with(ticket, |held| OutwardData::TicketStarted {
                ticket: held.id.clone(),
                queue: held.standing.queue.clone(),
                station: held.standing.station.clone(),
            }),
            E::TicketMoved { ticket, queue, .. } => {
                Some(OutwardData::TicketMoved { ticket: ticket.clone(), queue: queue.clone() })
            }
            E::TicketReverted { ticket, to, .. } => Some(OutwardData::TicketReverted {
                ticket: ticket.clone(),
                queue: to.queue.clone(),
                state: to.state,
            }),
            E::TicketCompleted { ticket } => {
                let completed = self.with(ticket, completed);
                return [completed, self.ended(ticket, TicketState::Completed, false)];
            }
            E::TicketNoShow { ticket } => self.ended(ticket, TicketState::NoShow, false),
            E::TicketCancelled { ticket, .. } => self.ended(ticket, TicketState::Cancelled, false),
            E::TicketLeft { ticket } => self.ended(ticket, TicketState::Left, false),
            E::TicketTransferred { ticket, .. } => {
                self.ended(ticket, TicketState::Transferred, false)
            }
            E::TicketExpired { ticket, state, .. } => self.ended(ticket, *state, true),
            _ => self.outward_of_appointment(event),
        };
        [one, None]
    }

    fn outward_of_appointment(&self, event: &Event) -> Option<OutwardData> {
        use Event as E;
        let name = |appointment: &AppointmentId| self.name_of(appointment);
        match event {
            E::AppointmentReported { appointment, fact, change } => {
                let appointment = AppointmentName {
                    appointment: appointment.clone(),
                    source: fact.source.clone(),
                    key: fact.key.clone(),
                };
                of_change(*change, appointment)
            }
            E::AppointmentMoved { appointment, fact, successor } => {
                Some(OutwardData::AppointmentMoved {
                    appointment: AppointmentName {
                        appointment: appointment.clone(),
                        source: fact.source.clone(),
                        key: fact.key.clone(),
                    },
                    successor: successor.clone(),
                })
            }
            E::AppointmentLate { appointment, .. } => {
                Some(OutwardData::AppointmentLate { appointment: name(appointment)? })
            }
            E::AppointmentMissed { appointment, .. } => {
                Some(OutwardData::AppointmentMissed { appointment: name(appointment)? })
            }
            E::AppointmentClosed { appointment, .. } => {
                Some(OutwardData::AppointmentChanged { appointment: name(appointment)? })
            }
            _ => None,
        }
    }

    fn name_of(&self, appointment: &AppointmentId) -> Option<AppointmentName> {
        let (source, key) = self.appointment(appointment)?.source();
        let (source, key) = (source.clone(), key.clone());
        Some(AppointmentName { appointment: appointment.clone(), source, key })
    }

    fn called(&self, ticket: &TicketId, repeated: bool) -> Option<OutwardData> {
        self.with(ticket, |held| OutwardData::TicketCalled {
            ticket: held.id.clone(),
            queue: held.standing.queue.clone(),
            station: held.standing.station.clone(),
            repeated,
        })
    }

    fn ended(&self, ticket: &TicketId, how: TicketState, by_timer: bool) -> Option<OutwardData> {
        self.with(ticket, |held| OutwardData::TicketEnded {
            ticket: held.id.clone(),
            queue: held.standing.queue.clone(),
            how,
            by_timer,
            successor: held.standing.successor.clone(),
            appointment: held.appointment.clone(),
        })
    }

    fn with(
        &self,
        ticket: &TicketId,
        make: impl FnOnce(&Ticket) -> OutwardData,
    ) -> Option<OutwardData> {
        self.ticket(ticket).map(make)
    }

    /// The waiting tickets that have few people ahead of them in this queue, in their order.
    fn near_turn(&self, queue: &QueueId) -> Vec<TicketId> {
        let places = self.header.timers.alert_places as usize + 1;
        let waiting = self.indexes.tallies.get(queue).into_iter().flat_map(|tally| &tally.waiting);
        waiting.take(places).map(|place| place.ticket().clone()).collect()
    }
}

fn completed(held: &Ticket) -> OutwardData {
    let standing = &held.standing;
    OutwardData::VisitCompleted {
        ticket: held.id.clone(),
        queue: standing.queue.clone(),
        appointment: held.appointment.clone(),
        waited_ms: standing.called_at.map(|called| called - held.issued_at),
        served_ms: standing.ended_at.zip(standing.started_at).map(|(end, start)| end - start),
    }
}

/// The outward event of a fact. A fact that changes nothing that others see has none.
fn of_change(change: AppointmentChange, appointment: AppointmentName) -> Option<OutwardData> {
    use AppointmentChange as C;
    match change {
        C::Booked => Some(OutwardData::AppointmentBooked { appointment }),
        C::Cancelled | C::EnteredInError => Some(OutwardData::AppointmentCancelled { appointment }),
        C::NoShow => Some(OutwardData::AppointmentMissed { appointment }),
        C::Rescheduled | C::Modified | C::Arrived | C::CheckedIn | C::Fulfilled | C::Overruled => {
            Some(OutwardData::AppointmentChanged { appointment })
        }
        // `AppointmentMoved` has an event of its own.
        C::Moved | C::Deferred | C::Repeated | C::Stale => None,
    }
}
