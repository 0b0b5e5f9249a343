//! Decides and applies how a location appears: what its lines and boards show of people, the
//! messages of its boards, its colour and logo, and the order of its queues.

use std::collections::HashSet;

use schemas::{
    branding::Branding,
    codes::Code,
    event::Event,
    ids::{QueueId, TicketId},
    line::LineAppointment,
    privacy::Privacy,
    settings::BoardMessage,
};

use crate::location::{
    Location,
    decision::{Decision, queue_of},
    settings::{self, MAX_MESSAGES},
    ticket::Ticket,
};

/// Checks that the settings are still those from which a change was made.
pub(crate) fn check_edition(held: u64, edition: Option<u64>) -> Result<(), Code> {
    match edition {
        Some(edition) if edition != held => Err(Code::SettingsChanged),
        _ => Ok(()),
    }
}

/// Replaces a setting. The edition is the version of the last step that changed something.
pub(crate) fn replace<T: PartialEq + Clone>(
    held: &mut T,
    new: &T,
    edition: &mut u64,
    version: u64,
) {
    if held != new {
        held.clone_from(new);
        *edition = version;
    }
}

pub(crate) fn change_privacy(
    state: &Location,
    privacy: Privacy,
    edition: Option<u64>,
) -> Result<Decision, Code> {
    check_edition(state.header.editions.privacy, edition)?;
    Ok(Event::PrivacyChanged { privacy }.into())
}

/// Changes the messages. Each has a text in one language at least, and only in languages by the
/// form of their tags: a language may be added to the location later.
pub(crate) fn change_messages(
    state: &Location,
    messages: &[BoardMessage],
    edition: Option<u64>,
) -> Result<Decision, Code> {
    check_edition(state.header.editions.messages, edition)?;
    if messages.len() > MAX_MESSAGES {
        return Err(Code::InvalidValue);
    }
    for message in messages {
        settings::check_languages(&message.keys().cloned().collect::<Vec<_>>())?;
        message.values().try_for_each(|text| settings::check_text(text))?;
    }
    Ok(Event::MessagesChanged { messages: messages.to_vec() }.into())
}

pub(crate) fn change_branding(
    state: &Location,
    branding: &Branding,
    edition: Option<u64>,
) -> Result<Decision, Code> {
    check_edition(state.header.editions.branding, edition)?;
    branding.name.as_deref().map_or(Ok(()), settings::check_text)?;
    Ok(Event::BrandingChanged { branding: branding.clone() }.into())
}

pub(crate) fn order_queues(
    state: &Location,
    queues: &[QueueId],
    edition: Option<u64>,
) -> Result<Decision, Code> {
    check_edition(state.header.editions.queue_order, edition)?;
    let distinct: HashSet<_> = queues.iter().collect();
    if distinct.len() != queues.len() {
        return Err(Code::InvalidValue);
    }
    queues.iter().try_for_each(|queue| queue_of(state, queue).map(drop))?;
    Ok(Event::QueuesOrdered { queues: queues.to_vec() }.into())
}

impl Location {
    /// Applies an event of the appearance.
    pub(crate) fn change_appearance(&mut self, event: &Event, version: u64) {
        let before = self.clinic();
        let header = &mut self.header;
        match event {
            Event::PrivacyChanged { privacy } => {
                replace(&mut header.privacy, privacy, &mut header.editions.privacy, version);
            }
            Event::MessagesChanged { messages } => {
                replace(&mut header.messages, messages, &mut header.editions.messages, version);
            }
            Event::BrandingChanged { branding } => {
                replace(&mut header.branding, branding, &mut header.editions.branding, version);
            }
            Event::QueuesOrdered { queues } => {
                header.editions.queue_order = version;
                let places = queues.iter().zip(0..);
                header.queues.values_mut().for_each(|queue| queue.place = None);
                for (id, place) in places {
                    if let Some(queue) = header.queues.get_mut(id) {
                        queue.place = Some(place);
                    }
                }
            }
            _ => {}
        }
        self.begin_renewal(&before);
    }

    /// The appointment of a ticket, as far as staff may see it in the line.
    pub(crate) fn line_appointment(&self, ticket: &Ticket) -> Option<LineAppointment> {
        let shown = self.header.privacy.lines;
        let fact = &self.appointment(ticket.appointment.as_ref()?)?.fact;
        let entry = LineAppointment {
            start: fact.start.filter(|_| shown.start),
            doctor: fact.doctor.as_ref().filter(|_| shown.doctor).map(|doctor| doctor.name.clone()),
            name: fact.label.clone().filter(|_| shown.name),
            override_reason: ticket.override_reason.clone(),
        };
        (entry != LineAppointment::default()).then_some(entry)
    }

    /// The name and the doctor beside a call on the board, as far as everybody may see them.
    pub(crate) fn call_person(&self, ticket: &Ticket) -> (Option<String>, Option<String>) {
        let shown = self.header.privacy.boards;
        let appointment = ticket.appointment.as_ref().and_then(|id| self.appointment(id));
        let Some(appointment) = appointment else { return (None, None) };
        let doctor = appointment.fact.doctor.as_ref().filter(|_| shown.doctor);
        let name = appointment.fact.label.clone().filter(|_| shown.name);
        (name, doctor.map(|doctor| doctor.name.clone()))
    }

    /// The live tickets that show an appointment.
    pub(crate) fn tickets_with_appointment(&self) -> impl Iterator<Item = &TicketId> {
        let shows = |ticket: &&Ticket| ticket.is_live() && ticket.appointment.is_some();
        self.tickets.values().filter(shows).map(|ticket| &ticket.id)
    }
}
