//! What `clinicwire.care.v1` and `clinicwire.runs.v1` carry: requests to one aggregate and facts about it, each a
//! record with an id of its own.

use serde::{Deserialize, Serialize};

use crate::{
    Millis,
    appointment::{AppointmentChange, AppointmentFact},
    codes::Code,
    ids::{AggregateKind, AppointmentId, CommandId, QueueId, RuleId, StationId, TicketId},
    load::LoadBands,
    rule::Rule,
    run::{RunFailure, RunFile, RunReport, RunSummary},
    ticket::Priority,
    timers::Timers,
};

macro_rules! commands {
    ($($of:ident: $($(#[$doc:meta])* $name:ident = $kind:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? })*;)*) => {
        /// A request to an aggregate, or a fact about it. The JSON carries the kind in `type`.
        #[derive(Clone, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
        #[serde(tag = "type")]
        #[expect(clippy::large_enum_variant, reason = "a command lives for one decision; few are held at once")]
        pub enum Command {
            $($($(#[$doc])* #[serde(rename = $kind)] $name { $($(#[$field_doc])* $field: $type),* },)*)*
        }

        impl Command {
            /// Every kind of command, as `type` spells it.
            pub const KINDS: &'static [&'static str] = &[$($($kind),*),*];

            /// The kind, as `type` spells it.
            pub fn kind(&self) -> &'static str {
                match self {
                    $($(Command::$name { .. } => $kind,)*)*
                }
            }

            /// The kind of aggregate it is for.
            pub fn aggregate_kind(&self) -> AggregateKind {
                match self {
                    $($(Command::$name { .. } => AggregateKind::$of,)*)*
                }
            }
        }
    };
}

commands! {
    Location:
    /// Creates the location, or changes its settings.
    ConfigureLocation = "location.configure" {
        name: String,
        /// IANA name: it decides which day "today" is.
        time_zone: String,
        /// BCP 47 tags, the first is the default.
        languages: Vec<String>,
        /// When things end by themselves; absent: as most clinics have it.
        #[serde(default)]
        timers: Timers,
        /// From when on a dashboard calls its numbers high; absent: never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bands: Option<LoadBands>,
    }
    /// Creates a queue of this location, or changes its settings. A new queue is closed.
    ConfigureQueue = "queue.configure" {
        queue: QueueId,
        name: String,
        /// What its labels begin with; unique in the location.
        prefix: String,
        /// Expected seconds of service, until the queue has seen some.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service_s: Option<u32>,
    }
    /// Creates a station, or changes its name.
    ConfigureStation = "station.configure" { station: StationId, name: String }
    /// The station takes calls.
    OpenStation = "station.open" { station: StationId }
    /// Nobody is there: calls to it are refused.
    CloseStation = "station.close" { station: StationId }
    /// Opens the queue: tickets are issued and called.
    OpenQueue = "queue.open" { queue: QueueId }
    /// Stops calling; tickets are still issued.
    PauseQueue = "queue.pause" { queue: QueueId }
    /// Ends a pause.
    ResumeQueue = "queue.resume" { queue: QueueId }
    /// Stops issuing; who waits is still served.
    CloseQueue = "queue.close" { queue: QueueId }
    /// Gives the named waiting tickets this order; the others keep theirs behind them.
    ReorderQueue = "queue.reorder" { queue: QueueId, tickets: Vec<TicketId> }
    /// Puts a person in line. The id's random part comes from the caller, the label from the queue's counter.
    IssueTicket = "ticket.issue" {
        queue: QueueId,
        ticket: TicketId,
        #[serde(default)]
        priority: Priority,
    }
    /// Calls the first in line.
    CallNext = "queue.call_next" { queue: QueueId, station: StationId }
    /// Calls this ticket, whoever waits before it.
    CallTicket = "ticket.call" { ticket: TicketId, station: StationId }
    /// Calls a called ticket again.
    RecallTicket = "ticket.recall" { ticket: TicketId }
    /// The person is with the clinician.
    StartService = "ticket.start" { ticket: TicketId }
    /// The service is over.
    CompleteTicket = "ticket.complete" { ticket: TicketId }
    /// Sets the ticket aside.
    HoldTicket = "ticket.hold" {
        ticket: TicketId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    }
    /// Back in line after a hold, at the old place.
    ResumeTicket = "ticket.resume" { ticket: TicketId }
    /// Called, and not there.
    MarkAbsent = "ticket.absent" { ticket: TicketId }
    /// The absent person is back, at the old place.
    ReturnTicket = "ticket.return" { ticket: TicketId }
    /// Never came.
    MarkNoShow = "ticket.no_show" { ticket: TicketId }
    /// Called off, by the clinic or the patient.
    CancelTicket = "ticket.cancel" {
        ticket: TicketId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    }
    /// The person went away.
    LeaveTicket = "ticket.leave" { ticket: TicketId }
    /// To another queue of the location: the same ticket, at the end of its priority. To another location: it
    /// ends here and `successor`, which the caller must then name, goes on there.
    TransferTicket = "ticket.transfer" {
        ticket: TicketId,
        queue: QueueId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        successor: Option<TicketId>,
    }
    /// Changes the urgency; the place is then the one its issue time earns within that priority.
    Prioritise = "ticket.prioritise" { ticket: TicketId, priority: Priority }
    /// Undoes the ticket's last step.
    RevertTicket = "ticket.revert" { ticket: TicketId }
    /// What a source knows of an appointment. The id counts only if the location has not heard of it: its random part
    /// comes from whoever appends the record.
    ReportAppointment = "appointment.report" { appointment: AppointmentId, fact: AppointmentFact }
    /// The patient is there: issues the ticket of the appointment, in its own queue unless another is named.
    CheckIn = "appointment.check_in" {
        appointment: AppointmentId,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        queue: Option<QueueId>,
    }
    /// Carries nothing but the clock: a timer is due. Written by the owner of the partition.
    Tick = "location.tick" {};
    Run:
    /// Asks for a file to be checked: creates the run.
    RequestRun = "run.request" {
        #[serde(flatten)]
        file: RunFile,
        /// Whether passes are listed beside what is wrong.
        #[serde(default)]
        list_passes: bool,
        /// Seconds the run is kept after its end.
        keep_s: u32,
    }
    /// Stops a run that is not over.
    CancelRun = "run.cancel" {}
    /// Asks again for a run that failed for a reason that may have passed.
    RetryRun = "run.retry" {}
    /// How many runs are before this one in line. A worker's fact, as all that follow.
    PlaceRun = "run.place" { attempt: u32, ahead: u32 }
    /// A worker began the attempt.
    StartRun = "run.start" { attempt: u32 }
    /// How far the attempt is.
    ReportRun = "run.report" { attempt: u32, report: RunReport }
    /// The attempt met a fault that may pass: the run is queued again as the next attempt.
    ReleaseRun = "run.release" { attempt: u32 }
    /// The attempt came to its end, and its findings are stored.
    CompleteRun = "run.complete" { attempt: u32, report: RunReport, summary: RunSummary }
    /// The attempt failed for good.
    FailRun = "run.fail" { attempt: u32, failure: RunFailure }
    /// The attempt was stopped, as cancelling had asked.
    StopRun = "run.stop" { attempt: u32 };
    Rules:
    /// Stores a rule, new or changed.
    PutRule = "rule.put" { rule: Rule }
    EnableRule = "rule.enable" { rule: RuleId }
    DisableRule = "rule.disable" { rule: RuleId }
    DeleteRule = "rule.delete" { rule: RuleId };
}

/// Longest free text in a command, such as a name or a reason: it travels to screens.
pub const MAX_TEXT: usize = 120;
/// Tickets one reorder may name: a line people can still look at. More is refused as `invalid_value`.
pub const MAX_REORDER: usize = 500;

impl Command {
    /// The ticket the command is about, where it names one.
    pub fn ticket(&self) -> Option<&TicketId> {
        use Command as C;
        match self {
            C::IssueTicket { ticket, .. }
            | C::CallTicket { ticket, .. }
            | C::RecallTicket { ticket }
            | C::StartService { ticket }
            | C::CompleteTicket { ticket }
            | C::HoldTicket { ticket, .. }
            | C::ResumeTicket { ticket }
            | C::MarkAbsent { ticket }
            | C::ReturnTicket { ticket }
            | C::MarkNoShow { ticket }
            | C::CancelTicket { ticket, .. }
            | C::LeaveTicket { ticket }
            | C::TransferTicket { ticket, .. }
            | C::Prioritise { ticket, .. }
            | C::RevertTicket { ticket } => Some(ticket),
            _ => None,
        }
    }

    /// The appointment the command is about, where it names one.
    pub fn appointment(&self) -> Option<&AppointmentId> {
        match self {
            Command::ReportAppointment { appointment, .. }
            | Command::CheckIn { appointment, .. } => Some(appointment),
            _ => None,
        }
    }
}

/// What became of a command. The same command again is answered with the same outcome.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct CommandOutcome {
    pub command: CommandId,
    pub at: Millis,
    #[serde(flatten)]
    pub verdict: Verdict,
}

/// Applied under a version, or refused with a code.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Verdict {
    Applied {
        #[serde(with = "crate::view::decimal")]
        #[cfg_attr(any(test, feature = "json-schema"), schemars(with = "String"))]
        epoch: u64,
        version: u64,
        #[serde(default, skip_serializing_if = "CommandResult::is_empty")]
        result: CommandResult,
    },
    Refused {
        code: Code,
    },
}

/// What an applied command hands to its caller.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct CommandResult {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<TicketId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub station: Option<StationId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub appointment: Option<AppointmentId>,
    /// What a fact changed, or why it changed nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<AppointmentChange>,
}

impl CommandResult {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
