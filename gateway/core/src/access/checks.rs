//! The check of each right. The table decides.

use schemas::{
    channel::Channel,
    codes::Code,
    command::Command,
    ids::{AppointmentId, LocationId, QueueId, RunId, ScheduleId, SourceId, TicketId},
};

use super::{
    claims::Claims,
    table::{Reach, reach},
};

/// The parts of a thing's address that decide who may reach it.
#[derive(Clone, Copy, Default)]
struct Target<'a> {
    location: Option<&'a LocationId>,
    queue: Option<&'a QueueId>,
    ticket: Option<&'a TicketId>,
    appointment: Option<&'a AppointmentId>,
    schedule: Option<&'a ScheduleId>,
    run: Option<&'a RunId>,
    source: Option<&'a SourceId>,
}

impl Claims {
    /// Checks whether the role reaches the target for this kind of channel or command.
    fn reaches(&self, kind: &str, at: Target<'_>) -> Result<(), Code> {
        let there = |location: &LocationId| at.location == Some(location);
        let listed = || self.locations.is_empty() || self.locations.iter().any(there);
        let works_there = || self.locations.iter().any(there);
        let reached = match reach(self.role, kind) {
            Reach::Nothing => false,
            Reach::OwnTickets => at.ticket.is_some_and(|ticket| {
                at.location.is_some_and(|location| ticket.belongs_to(location))
                    && (self.tickets.iter().any(|own| own.is_kin(ticket))
                        || self.appointments.iter().any(|own| own.is_kin_of(ticket)))
            }),
            Reach::OwnAppointments => {
                at.appointment.is_some_and(|id| self.appointments.iter().any(|own| own.is_kin(id)))
            }
            Reach::OwnSchedule => {
                self.locations.iter().any(there)
                    && at
                        .schedule
                        .is_some_and(|schedule| self.doctor.as_ref() == Some(&schedule.doctor()))
            }
            Reach::OwnLocations => self.locations.iter().any(there),
            Reach::OwnQueues => at.queue.is_some_and(|queue| {
                at.location.is_some_and(|location| queue.belongs_to(location))
                    && (self.queues.contains(queue) || self.origin.crossed && works_there())
            }),
            Reach::OwnRuns => at.run.is_some_and(|run| self.owns(run)),
            Reach::OwnName => {
                at.source.is_some_and(|source| *self.subject == *source.as_str())
                    && (at.location.is_none() || listed())
            }
            Reach::Tenant => true,
            Reach::Listed => listed(),
        };
        if reached { Ok(()) } else { Err(Code::Forbidden) }
    }
}

/// Checks whether the bearer may open `channel`.
///
/// # Errors
/// `forbidden` otherwise, whether or not the channel exists.
pub fn may_open(claims: &Claims, channel: &Channel) -> Result<(), Code> {
    let location = channel.location();
    let mut at = Target { location: location.as_ref(), ..Target::default() };
    match channel {
        Channel::Ticket(ticket) => at.ticket = Some(ticket),
        Channel::Queue(queue) => at.queue = Some(queue),
        Channel::Board(_) | Channel::Load(_) | Channel::Settings(_) => {}
        Channel::Run(run) => at.run = Some(run),
        Channel::Appointment(appointment) => at.appointment = Some(appointment),
        Channel::Schedule(schedule) => at.schedule = Some(schedule),
    }
    claims.reaches(channel.kind(), at)
}

/// Checks whether the bearer may send a command of this kind to a run, or request one
/// (`run.request`).
///
/// # Errors
/// `forbidden` otherwise, whether or not the run exists.
pub fn may_command_run(claims: &Claims, run: &RunId, kind: &str) -> Result<(), Code> {
    claims.reaches(kind, Target { run: Some(run), ..Target::default() })
}

/// Checks whether the bearer may read the outcomes of other callers' commands at all.
///
/// # Errors
/// `forbidden` otherwise.
pub fn may_read_outcomes(claims: &Claims) -> Result<(), Code> {
    match reach(claims.role, "outcome") {
        Reach::Nothing => Err(Code::Forbidden),
        _ => Ok(()),
    }
}

/// Checks whether the bearer may read the outcome of another caller's command. `location` decided
/// the command; `None` stands for a run or the rules.
///
/// # Errors
/// `forbidden` otherwise.
pub fn may_read_outcome(claims: &Claims, location: Option<&LocationId>) -> Result<(), Code> {
    claims.reaches("outcome", Target { location, ..Target::default() })
}

/// Checks whether the bearer may upload a claims file.
///
/// # Errors
/// `forbidden` otherwise.
pub fn may_upload(claims: &Claims) -> Result<(), Code> {
    claims.reaches("files.put", Target::default())
}

/// Decides which of the tenant's runs the bearer may list.
///
/// # Errors
/// `forbidden` when the bearer may list none.
pub fn may_list_runs(claims: &Claims) -> Result<Runs, Code> {
    match reach(claims.role, "runs.list") {
        Reach::Tenant => Ok(Runs::All),
        // Runs have no location.
        Reach::Listed if claims.locations.is_empty() => Ok(Runs::All),
        Reach::OwnRuns => Ok(Runs::Own),
        _ => Err(Code::Forbidden),
    }
}

/// Which runs of a tenant a list may contain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runs {
    /// Every run.
    All,
    /// The runs that the bearer requested.
    Own,
}

/// Checks whether the bearer may do `kind` with the rules of its tenant: `rule.put`, `rule.enable`,
/// `rule.disable`, `rule.delete`, `rules.list`, `rules.try`, or a command about its reference data.
/// The right to list rules includes the right to read the reference data that rules use.
///
/// # Errors
/// `forbidden` otherwise.
pub fn may_rule(claims: &Claims, kind: &str) -> Result<(), Code> {
    claims.reaches(kind, Target::default())
}

/// Checks whether the bearer may do `kind` with the webhooks of its tenant: `webhook.create` or
/// `webhooks.list` for example. They show events of the whole tenant, so an admin of some locations
/// may not. Nor may a crossing choose who gets events once it is over.
///
/// # Errors
/// `forbidden` otherwise.
pub fn may_webhook(claims: &Claims, kind: &str) -> Result<(), Code> {
    match kind {
        "webhook.create" | "webhook.change" | "webhook.rotate" if claims.origin.crossed => {
            Err(Code::Forbidden)
        }
        _ => claims.reaches(kind, Target::default()),
    }
}

/// Checks whether the bearer may revoke: a ticket link at `location`, or anything else for `None`.
///
/// # Errors
/// `forbidden` otherwise.
pub fn may_revoke(claims: &Claims, location: Option<&LocationId>) -> Result<(), Code> {
    claims.reaches("revocations.put", Target { location, ..Target::default() })
}

/// Checks whether the bearer may read the audit of its tenant.
///
/// # Errors
/// `forbidden` otherwise.
pub fn may_read_audit(claims: &Claims) -> Result<(), Code> {
    claims.reaches("audit.list", Target::default())
}

/// Checks whether the bearer may have the link of a ticket, which acts as its patient.
///
/// # Errors
/// `forbidden` otherwise, whether or not the ticket exists.
pub fn may_link(claims: &Claims, ticket: &TicketId) -> Result<(), Code> {
    let location = ticket.location();
    let at = Target { location: Some(&location), ticket: Some(ticket), ..Target::default() };
    claims.reaches("ticket.link", at)
}

/// Checks whether the bearer may read the history of a ticket.
///
/// # Errors
/// `forbidden` otherwise, whether or not the ticket exists.
pub fn may_read_ticket_history(claims: &Claims, ticket: &TicketId) -> Result<(), Code> {
    let location = ticket.location();
    let at = Target { location: Some(&location), ticket: Some(ticket), ..Target::default() };
    claims.reaches("ticket.history", at)
}

/// Checks whether the bearer may read the history of a location and of its queues.
///
/// # Errors
/// `forbidden` otherwise, whether or not the location exists.
pub fn may_read_history(claims: &Claims, location: &LocationId) -> Result<(), Code> {
    claims.reaches("location.history", Target { location: Some(location), ..Target::default() })
}

/// Checks whether the bearer may read the figures of a location.
///
/// # Errors
/// `forbidden` otherwise, whether or not the location exists.
pub fn may_read_analytics(claims: &Claims, location: &LocationId) -> Result<(), Code> {
    claims.reaches("location.analytics", Target { location: Some(location), ..Target::default() })
}

/// Checks whether the bearer may have a device alerted for a ticket.
///
/// # Errors
/// `forbidden` otherwise, whether or not the ticket exists.
pub fn may_subscribe_alerts(claims: &Claims, ticket: &TicketId) -> Result<(), Code> {
    let location = ticket.location();
    let at = Target { location: Some(&location), ticket: Some(ticket), ..Target::default() };
    claims.reaches("ticket.subscribe_alerts", at)
}

/// Checks whether the bearer may have the code of a check-in point at `location`.
///
/// # Errors
/// `forbidden` otherwise, whether or not the check-in point exists.
pub fn may_print_code(claims: &Claims, location: &LocationId) -> Result<(), Code> {
    // A printed code is valid until it is rotated, so it would outlive a crossing.
    if claims.origin.crossed {
        return Err(Code::Forbidden);
    }
    let at = Target { location: Some(location), ..Target::default() };
    claims.reaches("check_in_point.code", at)
}

/// Checks whether the bearer may see the suspicious scans of `location`.
///
/// # Errors
/// `forbidden` otherwise.
pub fn may_see_flags(claims: &Claims, location: &LocationId) -> Result<(), Code> {
    let at = Target { location: Some(location), ..Target::default() };
    claims.reaches("scans.flags", at)
}

/// Checks whether the bearer may see and end the sessions of `subject`.
///
/// # Errors
/// `forbidden` otherwise.
pub fn may_manage_sessions(claims: &Claims, subject: &str) -> Result<(), Code> {
    match *claims.subject == *subject {
        true => Ok(()),
        false => claims.reaches("sessions", Target::default()),
    }
}

/// The name under which the bearer reports appointments, which is the subject of a source's token.
///
/// # Errors
/// `forbidden` unless the bearer is a source whose subject is a valid source id.
pub fn source(claims: &Claims) -> Result<SourceId, Code> {
    let source = SourceId::new(claims.subject.clone()).map_err(|_| Code::Forbidden)?;
    let at = Target { source: Some(&source), ..Target::default() };
    claims.reaches("appointment.report", at)?;
    Ok(source)
}

/// Checks whether the bearer may send `command` to a location. The record's own check decides
/// whether the ids in the command belong to that location.
///
/// # Errors
/// `forbidden` otherwise, whether or not the things that it names exist.
pub fn may_command(
    claims: &Claims,
    aggregate_location: &LocationId,
    command: &Command,
) -> Result<(), Code> {
    use Command as C;
    let queue = match command {
        C::OpenQueue { queue }
        | C::PauseQueue { queue, .. }
        | C::ResumeQueue { queue }
        | C::CloseQueue { queue }
        | C::ReorderQueue { queue, .. }
        | C::RemoveQueue { queue, .. }
        | C::IssueTicket { queue, .. }
        | C::CallNext { queue, .. } => Some(queue),
        _ => None,
    };
    let at = Target {
        location: Some(aggregate_location),
        queue,
        ticket: command.ticket(),
        source: match command {
            C::ReportAppointment { fact, .. } => Some(&fact.source),
            _ => None,
        },
        ..Target::default()
    };
    claims.reaches(command.kind(), at)?;
    match command {
        // A transfer issues a ticket at its destination, so the bearer needs that right there too.
        C::TransferTicket { queue, .. } => {
            let there = queue.location();
            claims.reaches(command.kind(), Target { location: Some(&there), ..Target::default() })
        }
        // The credential of a screen would outlive the crossing by a month.
        C::PairDisplay { .. } if claims.origin.crossed => Err(Code::Forbidden),
        _ => Ok(()),
    }
}
