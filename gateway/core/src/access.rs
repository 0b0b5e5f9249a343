//! The rights of each role on channels and commands, in one table. Everything that has no row is
//! denied.

mod description;
mod origin;

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

pub use description::roles_of;
pub use origin::{Credential, ORIGIN_TAGS, Origin};

macro_rules! roles {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $column:ident;)*) => {
        /// The role of a person or program at a clinic, spelt as in tokens and in the journal.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Role {
            $($(#[$doc])* #[serde(rename = $word)] $name,)*
        }

        impl Role {
            /// All roles, in the order of their declaration.
            pub const ALL: [Role; [$($word),*].len()] = [$(Role::$name),*];

            /// The spelling in tokens and in the journal.
            pub fn as_str(self) -> &'static str {
                match self { $(Role::$name => $word,)* }
            }

            /// The column of [`TABLE`] that says what the role may do.
            fn column(self) -> Column {
                match self { $(Role::$name => Column::$column,)* }
            }
        }
    };
}

roles! {
    /// Follows the tickets and appointments that the token lists.
    Patient = "patient", Patient;
    /// A screen in a waiting room.
    Display = "display", Display;
    /// Runs the queues and appointments of its locations.
    Reception = "reception", Reception;
    /// Has the rights of `reception`.
    SupportStaff = "support_staff", Reception;
    /// Calls and serves patients at its locations.
    Doctor = "doctor", Clinician;
    /// Has the rights of `doctor`.
    Therapist = "therapist", Clinician;
    /// Has the rights of `doctor`.
    Counselor = "counselor", Clinician;
    /// Serves the queues that the token lists.
    Pharmacist = "pharmacist", Service;
    /// Has the rights of `pharmacist`.
    LabTechnician = "lab_technician", Service;
    /// Configures locations and rules: those that the token lists, or the whole tenant without a
    /// list.
    Admin = "admin", Admin;
    /// Has the rights of `admin`, and may cross into another tenant for a stated reason.
    SuperAdmin = "super_admin", Admin;
    /// Watches the runs that check claims files.
    Viewer = "viewer", Viewer;
    /// Starts runs that check claims files, and cancels and retries its own.
    Editor = "editor", Editor;
    /// Has the rights of `editor`.
    FinanceBilling = "finance_billing", Editor;
    /// A system of record that reports appointments. Its subject is the name of the source.
    Source = "source", Source;
    /// A check-in point: a poster's code, or a kiosk. Checks patients in at its location, and
    /// issues tickets in the queues that it offers.
    CheckInPoint = "check_in_point", CheckInPoint;
}

impl Role {
    /// Whether the role works at the locations of its token (reception, clinicians) and may cross
    /// to another location in an emergency.
    pub fn works_at_locations(self) -> bool {
        matches!(self.column(), Column::Reception | Column::Clinician)
    }
}

/// Roles with the same rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Patient,
    Display,
    Reception,
    Clinician,
    /// Pharmacy and laboratory, for the queues of their service.
    Service,
    Admin,
    Viewer,
    Editor,
    Source,
    CheckInPoint,
}

/// The claims of a verified token about its bearer.
#[derive(Clone, PartialEq, Eq)]
pub struct Claims {
    /// The only tenant that the bearer can reach.
    pub tenant: TenantId,
    /// A pseudonym given by the token's issuer. It goes to the journal, never to a log.
    pub subject: Arc<str>,
    /// The role, which decides what the bearer may do.
    pub role: Role,
    /// The locations where staff works or a display hangs. They bind an admin or a source too; one
    /// without a list reaches all of the tenant.
    pub locations: Vec<LocationId>,
    /// The queues of a service, such as pharmacy or laboratory.
    pub queues: Vec<QueueId>,
    /// A patient's tickets.
    pub tickets: Vec<TicketId>,
    /// A patient's appointments. Each also grants the tickets of its visits.
    pub appointments: Vec<AppointmentId>,
    /// The bearer's id in schedules.
    pub doctor: Option<DoctorId>,
    /// When the token expires, and every connection with it ends.
    pub expires: Millis,
    /// Everything that a revocation of the token can name.
    pub origin: Origin,
}

/// Leaves out the subject and every id that a patient holds.
impl fmt::Debug for Claims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claims")
            .field("tenant", &self.tenant)
            .field("role", &self.role)
            .finish_non_exhaustive()
    }
}

/// Which things of one kind a role may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Nothing,
    /// The tickets that the token lists, those that continue them at other locations, and those of
    /// the appointments that it lists.
    OwnTickets,
    /// The appointments that the token lists.
    OwnAppointments,
    /// The schedule of the doctor that the token names, at the locations that it lists.
    OwnSchedule,
    /// Everything at the locations that the token lists.
    OwnLocations,
    /// The queues that the token lists. In an emergency at another location, every queue there:
    /// nobody is assigned to one beforehand.
    OwnQueues,
    /// The runs that the bearer started.
    OwnRuns,
    /// Facts reported in the bearer's own name, at the locations that the token lists, or anywhere
    /// without a list.
    OwnName,
    /// Everything of the token's tenant.
    Tenant,
    /// Everything at the locations that the token lists, or everything of its tenant without a
    /// list.
    Listed,
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
const X: Reach = Reach::Listed;

/// Rows: the kinds of channels, then the kinds of commands. Columns are those of [`Column`]:
/// patient, display, reception, clinician, service, admin, viewer, editor, source, check-in point.
///
/// A clinician reaches queues by assignment, but tickets and appointments by location: the id of a
/// ticket does not contain its queue or doctor, and a lookup here could use an old state. A
/// clinician sees no more of another queue's ticket than the location's board and the ticket's page
/// show anyway, and a command on it is journalled under the clinician's subject.
const TABLE: &[(&str, [Reach; 10])] = &[
    ("ticket", [O, N, L, L, L, X, N, N, N, N]),
    ("queue", [N, N, L, Q, Q, X, N, N, N, N]),
    ("board", [N, L, L, L, L, X, N, N, N, N]),
    ("appointment", [A, N, L, L, N, X, N, N, N, N]),
    ("schedule", [N, N, L, S, N, X, N, N, N, N]),
    ("load", [N, N, L, L, N, X, N, N, N, N]),
    ("settings", [N, N, L, L, L, X, N, N, N, N]),
    ("location.configure", [N, N, N, N, N, X, N, N, N, N]),
    ("location.change_privacy", [N, N, N, N, N, X, N, N, N, N]),
    ("location.change_messages", [N, N, N, N, N, X, N, N, N, N]),
    ("location.change_branding", [N, N, N, N, N, X, N, N, N, N]),
    ("location.order_queues", [N, N, N, N, N, X, N, N, N, N]),
    ("queue.configure", [N, N, N, N, N, X, N, N, N, N]),
    ("station.configure", [N, N, N, N, N, X, N, N, N, N]),
    ("station.remove", [N, N, N, N, N, X, N, N, N, N]),
    ("display.pair", [N, N, L, N, N, X, N, N, N, N]),
    ("display.rename", [N, N, L, N, N, X, N, N, N, N]),
    ("display.unpair", [N, N, L, N, N, X, N, N, N, N]),
    ("check_in_point.configure", [N, N, N, N, N, X, N, N, N, N]),
    ("check_in_point.rotate", [N, N, L, N, N, X, N, N, N, N]),
    ("check_in_point.revoke", [N, N, L, N, N, X, N, N, N, N]),
    ("check_in_point.remove", [N, N, N, N, N, X, N, N, N, N]),
    ("station.open", [N, N, L, L, L, X, N, N, N, N]),
    ("station.close", [N, N, L, L, L, X, N, N, N, N]),
    ("queue.open", [N, N, L, N, N, X, N, N, N, N]),
    ("queue.pause", [N, N, L, Q, Q, X, N, N, N, N]),
    ("queue.resume", [N, N, L, Q, Q, X, N, N, N, N]),
    ("queue.close", [N, N, L, N, N, X, N, N, N, N]),
    ("queue.reorder", [N, N, L, N, N, X, N, N, N, N]),
    ("queue.remove", [N, N, N, N, N, X, N, N, N, N]),
    ("queue.call_next", [N, N, L, Q, Q, X, N, N, N, N]),
    // An admin chose the queues of the station, so all staff of the location may call at its
    // stations, as with the call of a ticket.
    ("station.call_next", [N, N, L, L, L, X, N, N, N, N]),
    ("ticket.issue", [N, N, L, N, N, X, N, N, N, Q]),
    ("ticket.call", [N, N, L, L, L, X, N, N, N, N]),
    ("ticket.recall", [N, N, L, L, L, X, N, N, N, N]),
    ("ticket.start", [N, N, L, L, L, X, N, N, N, N]),
    ("ticket.complete", [N, N, L, L, L, X, N, N, N, N]),
    ("ticket.hold", [N, N, L, L, L, X, N, N, N, N]),
    ("ticket.resume", [N, N, L, L, L, X, N, N, N, N]),
    ("ticket.absent", [N, N, L, L, L, X, N, N, N, N]),
    ("ticket.return", [O, N, L, L, L, X, N, N, N, N]),
    ("ticket.no_show", [N, N, L, L, L, X, N, N, N, N]),
    ("ticket.cancel", [N, N, L, N, N, X, N, N, N, N]),
    ("ticket.leave", [O, N, L, N, N, X, N, N, N, N]),
    ("ticket.yield", [O, N, L, N, N, X, N, N, N, N]),
    // The devices are the patient's own: staff neither add nor see them.
    ("ticket.subscribe_alerts", [O, N, N, N, N, N, N, N, N, N]),
    ("ticket.unsubscribe_alerts", [O, N, N, N, N, N, N, N, N, N]),
    ("ticket.transfer", [N, N, L, L, L, X, N, N, N, N]),
    ("ticket.prioritise", [N, N, L, N, N, X, N, N, N, N]),
    ("ticket.revert", [N, N, L, L, L, X, N, N, N, N]),
    ("appointment.check_in", [N, N, L, N, N, X, N, N, N, L]),
    ("appointment.override_check_in", [N, N, L, N, N, X, N, N, N, N]),
    ("appointment.undo_check_in", [N, N, L, N, N, X, N, N, N, N]),
    // Only a source reports facts about its appointments. Reception checks in and moves the ticket.
    ("appointment.report", [N, N, N, N, N, N, N, N, F, N]),
    ("run", [N, N, N, N, N, X, T, R, N, N]),
    ("run.request", [N, N, N, N, N, X, N, T, N, N]),
    ("run.cancel", [N, N, N, N, N, X, N, R, N, N]),
    ("run.retry", [N, N, N, N, N, X, N, R, N, N]),
    ("rule.put", [N, N, N, N, N, X, N, N, N, N]),
    ("rule.enable", [N, N, N, N, N, X, N, N, N, N]),
    ("rule.disable", [N, N, N, N, N, X, N, N, N, N]),
    ("rule.delete", [N, N, N, N, N, X, N, N, N, N]),
    // Requests other than commands: get the link of a ticket, read the outcome of another caller's
    // command, upload a file, list runs, list rules, try a rule on a file.
    ("ticket.link", [O, N, L, N, N, X, N, N, N, N]),
    // The code of a check-in point, to print it.
    ("check_in_point.code", [N, N, L, N, N, X, N, N, N, N]),
    // The suspicious scans of a location.
    ("scans.flags", [N, N, L, N, N, X, N, N, N, N]),
    ("outcome", [N, N, L, N, N, X, N, N, N, N]),
    ("files.put", [N, N, N, N, N, X, N, T, N, N]),
    ("runs.list", [N, N, N, N, N, X, T, R, N, N]),
    ("rules.list", [N, N, N, N, N, X, T, T, N, N]),
    ("rules.try", [N, N, N, N, N, X, N, T, N, N]),
    // Revocations: of a ticket link at its location, of everything else in the whole tenant.
    ("revocations.put", [N, N, N, N, N, X, N, N, N, N]),
    // The audit is of the whole tenant, so an admin of some locations does not read it.
    ("audit.list", [N, N, N, N, N, X, N, N, N, N]),
    // Lists and ends of other people's sessions. Everybody may list and end their own.
    ("sessions", [N, N, N, N, N, X, N, N, N, N]),
];

fn reach(role: Role, kind: &str) -> Reach {
    let row = TABLE.iter().find(|(name, _)| *name == kind);
    row.map_or(Reach::Nothing, |(_, columns)| columns[role.column() as usize])
}

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
    /// The tag in the ids of the runs that this bearer starts: 64 bits of a digest, so that an id
    /// does not reveal the subject. Two given subjects share a tag with a chance of one in 2^64.
    pub fn owner_tag(&self) -> u64 {
        let digest = Sha256::new_with_prefix(self.tenant.as_str())
            .chain_update("/")
            .chain_update(&*self.subject);
        u64::from_be_bytes(*digest.finalize().first_chunk().expect("a digest has 32 bytes"))
    }

    /// Returns whether this bearer started the run.
    pub fn owns(&self, run: &RunId) -> bool {
        run.owner() == self.owner_tag()
    }

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
/// `rule.disable`, `rule.delete`, `rules.list` or `rules.try`.
///
/// # Errors
/// `forbidden` otherwise.
pub fn may_rule(claims: &Claims, kind: &str) -> Result<(), Code> {
    claims.reaches(kind, Target::default())
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
        appointment: command.appointment(),
        source: match command {
            C::ReportAppointment { fact, .. } => Some(&fact.source),
            _ => None,
        },
        ..Target::default()
    };
    claims.reaches(command.kind(), at)?;
    match command {
        // A transfer issues a ticket at its destination, so the bearer needs that right there too.
        C::TransferTicket { queue, .. } if !queue.belongs_to(aggregate_location) => {
            let there = queue.location();
            let at = Target { location: Some(&there), queue: Some(queue), ..Target::default() };
            claims.reaches(command.kind(), at)
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
