//! Issuing tickets: labels and numbers.

use schemas::{
    codes::Code,
    command::CommandResult,
    event::Event,
    ids::{AppointmentId, QueueId, TicketId},
    ticket::{Priority, QueueState},
};

use crate::location::{
    Location,
    decision::{Decision, queue_of},
    settings::MAX_TICKETS,
    state::Queue,
};

/// Gives a ticket its label and its turn. `appointment` is the appointment that the ticket
/// checks in.
pub(crate) fn issue(
    state: &Location,
    id: &QueueId,
    ticket: &TicketId,
    priority: Priority,
    appointment: Option<&AppointmentId>,
) -> Result<Decision, Code> {
    let queue = queue_of(state, id)?;
    if state.ticket(ticket).is_some() {
        return Err(Code::TicketExists);
    }
    if queue.state == QueueState::Closed {
        return Err(Code::QueueNotOpen);
    }
    state.check_room()?;
    state.check_queue_room(id)?;
    let (number, label) = next_label(state, queue);
    let result = CommandResult {
        ticket: Some(ticket.clone()),
        label: Some(label.clone()),
        appointment: appointment.cloned(),
        ..CommandResult::default()
    };
    let event = Event::TicketIssued {
        ticket: ticket.clone(),
        queue: id.clone(),
        day: state.header.day.clone(),
        number,
        label,
        priority,
        rank: state.rank_of_new(id, appointment),
        appointment: appointment.cloned(),
        from: None,
        method: None,
    };
    Ok(Decision { result, ..event.into() })
}

/// The next number of the day and its label. A number whose label a ticket of an earlier day still
/// has is left out, so that no two people at the location share a label.
fn next_label(state: &Location, queue: &Queue) -> (u32, String) {
    let last = state.header.numbers.get(&queue.prefix).copied().unwrap_or(0);
    let labels = (last + 1..).map(|number| (number, format!("{}-{number:03}", queue.prefix)));
    let mut free = labels.filter(|(_, label)| !state.label_is_held(label));
    free.next().expect("there are more numbers than live tickets")
}

impl Location {
    /// Checks that one more ticket may be live.
    pub(crate) fn check_room(&self) -> Result<(), Code> {
        if self.indexes.live < MAX_TICKETS { Ok(()) } else { Err(Code::LocationFull) }
    }

    /// Checks that one more ticket may be live in the queue.
    pub(crate) fn check_queue_room(&self, id: &QueueId) -> Result<(), Code> {
        let queue = queue_of(self, id)?;
        let live = self.indexes.tallies.get(id).map_or(0, |tally| tally.live.len());
        let has_room = u32::try_from(live).is_ok_and(|live| live < queue.max_tickets);
        if has_room { Ok(()) } else { Err(Code::QueueFull) }
    }

    /// Whether a live ticket has the label. An overdue ticket no longer holds its label.
    pub(crate) fn label_is_held(&self, label: &str) -> bool {
        let holders = self.indexes.labels.get(label);
        holders.is_some_and(|held| held.iter().any(|id| !self.is_overdue(id)))
    }
}
