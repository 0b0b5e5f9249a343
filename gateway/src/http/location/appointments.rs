//! Appointments: facts from sources, check-ins, and reading.

use axum::{extract::State, response::Response};
use gateway_core::access::{self, Role};
use schemas::{
    channel::Channel,
    codes::Code,
    command::Command,
    ids::{AppointmentId, DoctorId, LocationId, ScheduleId},
};

use super::requests;
use crate::{
    access::bookings,
    http::{
        NodeState, Problem,
        shared::{
            body::{not_an_id, nothing},
            caller::{Caller, Segments},
            command_request::{CommandRequest, NewBooking, refused},
            snapshots::keyed,
        },
    },
    random,
};

/// Appends a source's fact about an appointment.
pub(in crate::http) async fn report(
    State(node): NodeState,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let source = access::source(&request.claims).map_err(|code| {
        let problem = refused(&node, "appointment.report", code);
        match request.claims.role {
            Role::Source => problem.explained(
                "a source's subject is its name: small letters, digits and hyphens, not \
                 `clinicwire…`",
            ),
            _ => problem,
        }
    })?;
    let mut report = requests::report(&request.body)?;
    let check_in = report.check_in.take();
    let start = report.start.map(jiff::Timestamp::as_millisecond);
    if let Some(keys) = &check_in {
        bookings::check(keys).map_err(|code| {
            Problem::from(code).explained(
                "check_in has a code of 6 to 16 letters and digits, a birth_year of 4 digits, a \
                 birth_date and a phone_end of 4 digits, each of which may be absent",
            )
        })?;
    }
    let named = source.clone();
    let (location, command) = report.into_command(source, random::bits()?).map_err(|code| {
        Problem::from(code)
            .explained("a fact has a version or updated_at, which is not before 1970")
    })?;
    let booking = check_in.map(|keys| NewBooking { source: named, keys, start });
    request.give_with(&node, &location, command, booking.as_ref()).await
}

/// Checks a patient in, with an appointment or without one.
pub(in crate::http) async fn check_in(
    State(node): NodeState,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let (location, command) = requests::check_in(&request.body)?;
    request.give(&node, &location, command).await
}

/// Undoes a check-in, the only action on an appointment.
pub(in crate::http) async fn action(
    State(node): NodeState,
    Segments([appointment, action]): Segments<2>,
    request: CommandRequest,
) -> Result<Response, Problem> {
    let appointment = AppointmentId::new(appointment).map_err(not_an_id)?;
    if action != "undo-check-in" {
        return Err(Code::NotFound.into());
    }
    let location = appointment.location();
    let command = nothing(&request.body, Command::UndoCheckIn { appointment })?;
    request.give(&node, &location, command).await
}

pub(in crate::http) async fn one(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([appointment]): Segments<1>,
) -> Result<Response, Problem> {
    let appointment = AppointmentId::new(appointment).map_err(not_an_id)?;
    keyed(&node, &claims, Channel::Appointment(appointment)).await
}

pub(in crate::http) async fn schedule(
    State(node): NodeState,
    Caller(claims): Caller,
    Segments([location, doctor]): Segments<2>,
) -> Result<Response, Problem> {
    let location = LocationId::new(location).map_err(not_an_id)?;
    let doctor = DoctorId::new(doctor).map_err(not_an_id)?;
    keyed(&node, &claims, Channel::Schedule(ScheduleId::from_parts(&location, &doctor))).await
}
