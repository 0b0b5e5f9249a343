//! The appointment of a booking as its channel shows it, wherever it has moved.

use gateway_core::access::Claims;
use schemas::{
    Millis,
    appointment::{APPOINTMENT_KEY, AppointmentStatus},
    channel::Channel,
    codes::Code,
    ids::{AppointmentId, TicketId},
};
use serde::Deserialize;

use crate::{
    context::NodeContext,
    http::shared::snapshots::{load, unreadable},
};

/// Most moves that a booking is followed over, as many as a ticket's link.
const MAX_MOVES: usize = 16;

/// The part of an appointment's state that decides the answer to its patient.
#[derive(Deserialize)]
struct AppointmentPart {
    status: AppointmentStatus,
    start: Option<Millis>,
    end: Option<Millis>,
    doctor: Option<String>,
    ticket: Option<TicketId>,
    ticket_label: Option<String>,
    successor: Option<AppointmentId>,
}

/// An appointment that a booking names.
pub(super) struct FoundAppointment {
    pub(super) id: AppointmentId,
    pub(super) start: Option<Millis>,
    pub(super) end: Option<Millis>,
    pub(super) doctor: Option<String>,
    pub(super) status: AppointmentStatus,
    /// The ticket and its label, while the patient is in line.
    pub(super) ticket: Option<(TicketId, String)>,
}

/// Follows an appointment to where it is now.
///
/// # Errors `no_appointment_found` when no location has it any more, and `try_again`.
pub(super) async fn appointment(
    node: &NodeContext,
    claims: &Claims,
    id: &AppointmentId,
) -> Result<FoundAppointment, Code> {
    let mut id = id.clone();
    for _ in 0..=MAX_MOVES {
        let view = load(node, claims, &Channel::Appointment(id.clone())).await?;
        let view = view.ok_or(Code::NoAppointmentFound)?;
        let entry = view.entries.get(APPOINTMENT_KEY).ok_or(Code::NoAppointmentFound)?;
        let part: AppointmentPart = serde_json::from_str(entry.get()).map_err(unreadable)?;
        match part.successor {
            Some(successor) => id = successor,
            None => {
                let is_here = part.status == AppointmentStatus::CheckedIn;
                return Ok(FoundAppointment {
                    id,
                    start: part.start,
                    end: part.end,
                    doctor: part.doctor,
                    status: part.status,
                    ticket: part.ticket.zip(part.ticket_label).filter(|_| is_here),
                });
            }
        }
    }
    Err(Code::NoAppointmentFound)
}
