//! Who may open which channel and give which command: one table. What stands nowhere in it is denied.

use std::{fmt, sync::Arc};

use schemas::{
    Millis,
    channel::Channel,
    codes::Code,
    command::Command,
    ids::{
        AppointmentId, DoctorId, LocationId, QueueId, RunId, ScheduleId, SourceId, TenantId,
        TicketId,
    },
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

macro_rules! roles {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $column:ident;)*) => {
        /// What somebody is to a clinic, as tokens and the journal spell it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Role {
            $($(#[$doc])* #[serde(rename = $word)] $name,)*
        }

        impl Role {
            pub const ALL: [Role; [$($word),*].len()] = [$(Role::$name),*];

            /// The word in tokens and in the journal.
            pub fn as_str(self) -> &'static str {
                match self { $(Role::$name => $word,)* }
            }

            /// What the role may do: the column of [`TABLE`].
            fn column(self) -> Column {
                match self { $(Role::$name => Column::$column,)* }
            }
        }
    };
}

roles! {
    Patient = "patient", Patient;
    Display = "display", Display;
    Reception = "reception", Reception;
    SupportStaff = "support_staff", Reception;
    Doctor = "doctor", Clinician;
    Therapist = "therapist", Clinician;
    Counselor = "counselor", Clinician;
    Pharmacist = "pharmacist", Service;
    LabTechnician = "lab_technician", Service;
    Admin = "admin", Admin;
    /// Watches the checks of claims files.
    Viewer = "viewer", Viewer;
    /// Starts checks of claims files, and cancels and retries its own.
    Editor = "editor", Editor;
    FinanceBilling = "finance_billing", Editor;
    /// A system of record that tells of appointments; its subject is the source's name.
    Source = "source", Source;
}

/// Roles that may do the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Patient,
    Display,
    Reception,
    Clinician,
    /// Pharmacy and laboratory: the queues of their service.
    Service,
    Admin,
    Viewer,
    Editor,
    Source,
}

/// What a verified token says of its bearer.
#[derive(Clone, PartialEq, Eq)]
pub struct Claims {
    pub tenant: TenantId,
    /// A pseudonym of the token's issuer; it goes to the journal, never to a log.
    pub subject: Arc<str>,
    pub role: Role,
    pub locations: Vec<LocationId>,
    pub queues: Vec<QueueId>,
    pub tickets: Vec<TicketId>,
    /// A patient's appointments, and with each its ticket.
    pub appointments: Vec<AppointmentId>,
    /// Who the bearer is in schedules.
    pub doctor: Option<DoctorId>,
    pub expires: Millis,
}

/// Never the subject, nor an id that a patient holds.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("tenant", &self.tenant)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// How far a role reaches for one kind of thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Nothing,
    /// The tickets the token lists, and those of the appointments it lists.
    OwnTickets,
    /// The appointments the token lists.
    OwnAppointments,
    /// The schedule of the doctor the token names, at the locations it lists.
    OwnSchedule,
    /// Whatever belongs to the locations the token lists.
    OwnLocations,
    /// The queues the token lists.
    OwnQueues,
    /// The runs its bearer started.
    OwnRuns,
    /// What is told in the bearer's own name.
    OwnName,
    /// Everything of the token's tenant.
    Tenant,
}

const N: Reach = Reach::Nothing;
const O: Reach = Reach::OwnTickets;
const A: Reach = Reach::OwnAppointments;
const S: Reach = Reach::OwnSchedule;
const L: Reach = Reach::OwnLocations;
const Q: Reach = Reach::OwnQueues;
const R: Reach = Reach::OwnRuns;
const F: Reach = Reach::OwnName;
const T: Reach = Reach::Tenant;

/// The kinds of channels, then the kinds of commands; the columns are those of [`Column`]:
/// patient, display, reception, clinician, service, admin, viewer, editor, source.
///
/// A clinician reaches queues by assignment but tickets and appointments by location: an id does not tell its queue or
/// doctor, and asking the state here would judge by one that may be old. What a clinician sees of a ticket of another
/// queue is what the board of that location and the ticket's own screen show anyway; a command on it is journalled
/// under the clinician's subject.
const TABLE: &[(&str, [Reach; 9])] = &[
    ("ticket", [O, N, L, L, L, T, N, N, N]),
    ("queue", [N, N, L, Q, Q, T, N, N, N]),
    ("board", [N, L, L, L, L, T, N, N, N]),
    ("appointment", [A, N, L, L, N, T, N, N, N]),
    ("schedule", [N, N, L, S, N, T, N, N, N]),
    ("load", [N, N, L, L, N, T, N, N, N]),
    ("location.configure", [N, N, N, N, N, T, N, N, N]),
    ("queue.configure", [N, N, N, N, N, T, N, N, N]),
    ("station.configure", [N, N, N, N, N, T, N, N, N]),
    ("station.open", [N, N, L, L, L, T, N, N, N]),
    ("station.close", [N, N, L, L, L, T, N, N, N]),
    ("queue.open", [N, N, L, N, N, T, N, N, N]),
    ("queue.pause", [N, N, L, Q, Q, T, N, N, N]),
    ("queue.resume", [N, N, L, Q, Q, T, N, N, N]),
    ("queue.close", [N, N, L, N, N, T, N, N, N]),
    ("queue.reorder", [N, N, L, N, N, T, N, N, N]),
    ("queue.call_next", [N, N, L, Q, Q, T, N, N, N]),
    ("ticket.issue", [N, N, L, N, N, T, N, N, N]),
    ("ticket.call", [N, N, L, L, L, T, N, N, N]),
    ("ticket.recall", [N, N, L, L, L, T, N, N, N]),
    ("ticket.start", [N, N, L, L, L, T, N, N, N]),
    ("ticket.complete", [N, N, L, L, L, T, N, N, N]),
    ("ticket.hold", [N, N, L, L, L, T, N, N, N]),
    ("ticket.resume", [N, N, L, L, L, T, N, N, N]),
    ("ticket.absent", [N, N, L, L, L, T, N, N, N]),
    ("ticket.return", [N, N, L, L, L, T, N, N, N]),
    ("ticket.no_show", [N, N, L, L, L, T, N, N, N]),
    ("ticket.cancel", [N, N, L, N, N, T, N, N, N]),
    ("ticket.leave", [O, N, L, N, N, T, N, N, N]),
    ("ticket.transfer", [N, N, L, L, L, T, N, N, N]),
    ("ticket.prioritise", [N, N, L, N, N, T, N, N, N]),
    ("ticket.revert", [N, N, L, L, L, T, N, N, N]),
    ("appointment.check_in", [N, N, L, N, N, T, N, N, N]),
    // A fact is its source's alone; what a desk knows it says by checking in and by moving the ticket.
    ("appointment.report", [N, N, N, N, N, N, N, N, F]),
    ("run", [N, N, N, N, N, T, T, R, N]),
    ("run.request", [N, N, N, N, N, T, N, T, N]),
    ("run.cancel", [N, N, N, N, N, T, N, R, N]),
    ("run.retry", [N, N, N, N, N, T, N, R, N]),
    ("rule.put", [N, N, N, N, N, T, N, N, N]),
    ("rule.enable", [N, N, N, N, N, T, N, N, N]),
    ("rule.disable", [N, N, N, N, N, T, N, N, N]),
    ("rule.delete", [N, N, N, N, N, T, N, N, N]),
    // Uploads, lists and trials, which are no commands: a file, all runs or only one's own, the rules, a rule on a file.
    ("files.put", [N, N, N, N, N, T, N, T, N]),
    ("runs.list", [N, N, N, N, N, T, T, R, N]),
    ("rules.list", [N, N, N, N, N, T, T, T, N]),
    ("rules.try", [N, N, N, N, N, T, N, T, N]),
];

fn reach(role: Role, kind: &str) -> Reach {
    let row = TABLE.iter().find(|(name, _)| *name == kind);
    row.map_or(Reach::Nothing, |(_, columns)| columns[role.column() as usize])
}

/// What a thing is part of, as far as reaching it depends on that.
#[derive(Clone, Copy, Default)]
struct Whereabouts<'a> {
    location: Option<&'a LocationId>,
    queue: Option<&'a QueueId>,
    ticket: Option<&'a TicketId>,
    appointment: Option<&'a AppointmentId>,
    schedule: Option<&'a ScheduleId>,
    run: Option<&'a RunId>,
    source: Option<&'a SourceId>,
}

impl Claims {
    /// The tag in the ids of the runs this bearer starts: 64 bits of a digest, so that an id tells no subject. Another
    /// subject with the same tag would be one in 2^64.
    pub fn owner_tag(&self) -> u64 {
        let digest = Sha256::new_with_prefix(self.tenant.as_str())
            .chain_update("/")
            .chain_update(&*self.subject);
        u64::from_be_bytes(*digest.finalize().first_chunk().expect("a digest has 32 bytes"))
    }

    /// Whether this bearer started the run.
    pub fn owns(&self, run: &RunId) -> bool {
        run.owner() == self.owner_tag()
    }

    /// Whether the role reaches things of `kind` there.
    fn reaches(&self, kind: &str, at: Whereabouts<'_>) -> Result<(), Code> {
        let there = |location: &LocationId| at.location == Some(location);
        let reached = match reach(self.role, kind) {
            Reach::Nothing => false,
            Reach::OwnTickets => at.ticket.is_some_and(|ticket| {
                at.location.is_some_and(|location| ticket.belongs_to(location))
                    && (self.tickets.contains(ticket)
                        || self.appointments.contains(&ticket.appointment()))
            }),
            Reach::OwnAppointments => {
                at.appointment.is_some_and(|id| self.appointments.contains(id))
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
                    && self.queues.contains(queue)
            }),
            Reach::OwnRuns => at.run.is_some_and(|run| self.owns(run)),
            Reach::OwnName => at.source.is_some_and(|source| *self.subject == *source.as_str()),
            Reach::Tenant => true,
        };
        if reached { Ok(()) } else { Err(Code::Forbidden) }
    }
}

/// Whether the bearer may open `channel`.
///
/// # Errors
/// `forbidden` otherwise, whether or not the channel exists.
pub fn may_open(claims: &Claims, channel: &Channel) -> Result<(), Code> {
    let location = channel.location();
    let mut at = Whereabouts { location: location.as_ref(), ..Whereabouts::default() };
    match channel {
        Channel::Ticket(ticket) => at.ticket = Some(ticket),
        Channel::Queue(queue) => at.queue = Some(queue),
        Channel::Board(_) | Channel::Load(_) => {}
        Channel::Run(run) => at.run = Some(run),
        Channel::Appointment(appointment) => at.appointment = Some(appointment),
        Channel::Schedule(schedule) => at.schedule = Some(schedule),
    }
    claims.reaches(channel.kind(), at)
}

/// Whether the bearer may give a command of this kind to a run, or ask for one (`run.request`).
///
/// # Errors
/// `forbidden` otherwise, whether or not the run exists.
pub fn may_command_run(claims: &Claims, run: &RunId, kind: &str) -> Result<(), Code> {
    claims.reaches(kind, Whereabouts { run: Some(run), ..Whereabouts::default() })
}

/// Whether the bearer may upload a file to be checked.
///
/// # Errors
/// `forbidden` otherwise.
pub fn may_upload(claims: &Claims) -> Result<(), Code> {
    claims.reaches("files.put", Whereabouts::default())
}

/// Which of the tenant's runs a list shows the bearer: all of them, or only its own.
///
/// # Errors
/// `forbidden` when none.
pub fn may_list_runs(claims: &Claims) -> Result<Runs, Code> {
    match reach(claims.role, "runs.list") {
        Reach::Tenant => Ok(Runs::All),
        Reach::OwnRuns => Ok(Runs::Own),
        _ => Err(Code::Forbidden),
    }
}

/// Runs a list may show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runs {
    All,
    Own,
}

/// Whether the bearer may do this with the rules of its tenant: `rule.put`, `rule.enable`, `rule.disable`,
/// `rule.delete`, `rules.list` or `rules.try`.
///
/// # Errors
/// `forbidden` otherwise.
pub fn may_rule(claims: &Claims, kind: &str) -> Result<(), Code> {
    claims.reaches(kind, Whereabouts::default())
}

/// The name under which the bearer tells of appointments: a source's subject.
///
/// # Errors
/// `forbidden` for whoever is no source, and for a source whose subject is no name of one.
pub fn source(claims: &Claims) -> Result<SourceId, Code> {
    let source = SourceId::new(claims.subject.clone()).map_err(|_| Code::Forbidden)?;
    let at = Whereabouts { source: Some(&source), ..Whereabouts::default() };
    claims.reaches("appointment.report", at)?;
    Ok(source)
}

/// Whether the bearer may give `command` to a location. Whether its ids belong there is the record's rule.
///
/// # Errors
/// `forbidden` otherwise, whether or not anything it names exists.
pub fn may_command(
    claims: &Claims,
    aggregate_location: &LocationId,
    command: &Command,
) -> Result<(), Code> {
    use Command as C;
    let queue = match command {
        C::OpenQueue { queue }
        | C::PauseQueue { queue }
        | C::ResumeQueue { queue }
        | C::CloseQueue { queue }
        | C::ReorderQueue { queue, .. }
        | C::IssueTicket { queue, .. }
        | C::CallNext { queue, .. } => Some(queue),
        _ => None,
    };
    let at = Whereabouts {
        location: Some(aggregate_location),
        queue,
        ticket: command.ticket(),
        appointment: command.appointment(),
        source: match command {
            C::ReportAppointment { fact, .. } => Some(&fact.source),
            _ => None,
        },
        ..Whereabouts::default()
    };
    claims.reaches(command.kind(), at)?;
    match command {
        // A transfer issues a ticket where it leads to: whoever may not act there may not send people there.
        C::TransferTicket { queue, .. } if !queue.belongs_to(aggregate_location) => {
            let there = queue.location();
            let at = Whereabouts {
                location: Some(&there),
                queue: Some(queue),
                ..Whereabouts::default()
            };
            claims.reaches(command.kind(), at)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
