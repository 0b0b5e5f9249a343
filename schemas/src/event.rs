//! What an aggregate decided. Events are kept in the journal for ever and folded again by a rebuild, so a field
//! may be added with a default, and never change its meaning.

use serde::{Deserialize, Serialize};

use crate::{
    Millis,
    appointment::{AppointmentChange, AppointmentFact},
    ids::{AppointmentId, LocationId, QueueId, RuleId, StationId, TicketId},
    load::LoadBands,
    rule::Rule,
    run::{RunFailure, RunFile, RunReport, RunSummary},
    ticket::{Priority, QueueState, TicketState},
    timers::Timers,
};

/// One decision of an aggregate.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(tag = "event", rename_all = "snake_case")]
#[expect(clippy::large_enum_variant, reason = "an event lives for one batch; few are held at once")]
pub enum Event {
    LocationConfigured {
        name: String,
        time_zone: String,
        languages: Vec<String>,
        timers: Timers,
        bands: Option<LoadBands>,
    },
    QueueConfigured {
        queue: QueueId,
        name: String,
        prefix: String,
        service_s: Option<u32>,
    },
    StationConfigured {
        station: StationId,
        name: String,
    },
    StationStateChanged {
        station: StationId,
        open: bool,
    },
    QueueStateChanged {
        queue: QueueId,
        state: QueueState,
    },
    QueueReordered {
        queue: QueueId,
        ranks: Vec<(TicketId, u64)>,
    },
    TicketIssued {
        ticket: TicketId,
        queue: QueueId,
        /// The local service day, `YYYY-MM-DD`.
        day: String,
        /// Counted per (queue, service day), never reused.
        number: u32,
        label: String,
        priority: Priority,
        rank: u64,
        /// The appointment that is checked in by it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        appointment: Option<AppointmentId>,
    },
    TicketCalled {
        ticket: TicketId,
        station: StationId,
    },
    TicketRecalled {
        ticket: TicketId,
    },
    ServiceStarted {
        ticket: TicketId,
    },
    TicketCompleted {
        ticket: TicketId,
    },
    TicketHeld {
        ticket: TicketId,
        reason: Option<String>,
    },
    TicketResumed {
        ticket: TicketId,
    },
    TicketAbsent {
        ticket: TicketId,
    },
    TicketReturned {
        ticket: TicketId,
    },
    TicketNoShow {
        ticket: TicketId,
    },
    TicketCancelled {
        ticket: TicketId,
        reason: Option<String>,
    },
    TicketLeft {
        ticket: TicketId,
    },
    TicketMoved {
        ticket: TicketId,
        queue: QueueId,
        rank: u64,
    },
    TicketTransferred {
        ticket: TicketId,
        location: LocationId,
        successor: TicketId,
    },
    TicketPrioritised {
        ticket: TicketId,
        priority: Priority,
    },
    /// The ticket stands again where it stood before the step of version `reverts`.
    TicketReverted {
        ticket: TicketId,
        reverts: u64,
        to: TicketStatus,
    },
    /// A timer ended the ticket: an absence lasted too long, nobody called it for too long, or the day is over.
    TicketExpired {
        ticket: TicketId,
        /// One of the ends.
        state: TicketState,
        why: Expiry,
        /// When the timer was due, however late that was noticed.
        at: Millis,
    },
    /// What a source said was taken in, all of it or, where the desk knows better (`overruled`), all but the status.
    AppointmentReported {
        appointment: AppointmentId,
        fact: AppointmentFact,
        change: AppointmentChange,
    },
    /// What a source said was known already (`repeated`) or is older than what is known (`stale`).
    FactIgnored {
        appointment: AppointmentId,
        change: AppointmentChange,
    },
    /// The appointment ended here and goes on at another location as `successor`.
    AppointmentMoved {
        appointment: AppointmentId,
        fact: AppointmentFact,
        successor: AppointmentId,
    },
    /// Its time came and nobody had checked in.
    AppointmentLate {
        appointment: AppointmentId,
        at: Millis,
    },
    /// Nobody checked in for too long: a no-show.
    AppointmentMissed {
        appointment: AppointmentId,
        at: Millis,
    },
    /// The service day is over and `next` begins, both `YYYY-MM-DD`.
    DayEnded {
        day: String,
        next: String,
        at: Millis,
    },
    RunRequested {
        file: RunFile,
        /// Subject of who asked.
        by: String,
        list_passes: bool,
        keep_s: u32,
    },
    /// The run waits for a worker, for this attempt.
    RunQueued {
        attempt: u32,
    },
    RunPlaced {
        ahead: u32,
    },
    RunStarted {
        attempt: u32,
    },
    RunReported {
        report: RunReport,
    },
    RunCancelAsked,
    RunCompleted {
        summary: RunSummary,
    },
    RunFailed {
        failure: RunFailure,
    },
    RunCancelled,
    RulePut {
        rule: Rule,
    },
    RuleEnabled {
        rule: RuleId,
        enabled: bool,
    },
    RuleDeleted {
        rule: RuleId,
    },
}

/// Which timer ended a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Expiry {
    AbsentTooLong,
    Stale,
    DayEnded,
}

impl Expiry {
    /// The word in a ticket's reason.
    pub fn as_str(self) -> &'static str {
        match self {
            Expiry::AbsentTooLong => "absent_too_long",
            Expiry::Stale => "stale",
            Expiry::DayEnded => "day_ended",
        }
    }
}

/// All of a ticket that a step can change: what an undo restores.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct TicketStatus {
    pub queue: QueueId,
    pub state: TicketState,
    pub priority: Priority,
    /// Order within a priority: the smaller goes first.
    pub rank: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub station: Option<StationId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called_at: Option<Millis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Millis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Millis>,
    #[serde(default)]
    pub recalls: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<TicketId>,
}
