//! Events: what an aggregate decided. The journal keeps events for ever and a rebuild folds them
//! again, so a field may be added with a default but never change its meaning.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    Millis,
    appointment::{AppointmentChange, AppointmentFact, AppointmentStatus},
    attempt::AttemptNumber,
    branding::Branding,
    check_in::CheckInPointSetup,
    codes::Code,
    figures::CheckInMethod,
    handover::{AppointmentHandover, TicketHandover},
    ids::{
        AppointmentId, CheckInPointId, DisplayId, LocationId, QueueId, RuleId, StationId, TicketId,
        WebhookId,
    },
    load::LoadBands,
    privacy::Privacy,
    push::DeviceId,
    reference::{ReferenceEntry, ReferenceTable},
    rule::Rule,
    run::{RunFailure, RunFile, RunReport, RunSummary},
    settings::{BoardMessage, CallOrder},
    tenant::StoredTenant,
    ticket::{Priority, QueueState, TicketState},
    timers::Timers,
    webhook::{Replay, Webhook},
};

/// One decision of an aggregate.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The location was created, or its settings changed.
    LocationConfigured {
        /// The name of the location.
        name: String,
        /// The IANA name of the time zone.
        time_zone: String,
        /// BCP 47 tags. The first is the default.
        languages: Vec<String>,
        /// The timers.
        timers: Timers,
        /// From when on a dashboard marks numbers as high.
        bands: Option<LoadBands>,
        /// The order in which people of one priority are called.
        #[serde(default)]
        call_order: CallOrder,
        /// The postal address, in one line.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<String>,
    },
    /// Lines and boards show something else of people.
    PrivacyChanged {
        /// The new privacy settings of lines and boards.
        privacy: Privacy,
    },
    /// The messages of the boards changed.
    MessagesChanged {
        /// The messages.
        messages: Vec<BoardMessage>,
    },
    /// The colour or the logo changed.
    BrandingChanged {
        /// The branding.
        branding: Branding,
    },
    /// The queues got another order on pages.
    QueuesOrdered {
        /// The queues, in order.
        queues: Vec<QueueId>,
    },
    /// A queue was created, or its settings changed.
    QueueConfigured {
        /// The queue.
        queue: QueueId,
        /// The name of the queue.
        name: String,
        /// The letters that the queue's labels begin with.
        prefix: String,
        /// Expected seconds of one service, used until the queue has measured some.
        service_s: Option<u32>,
        /// Most live tickets of the queue, if they changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_tickets: Option<u32>,
    },
    /// A queue was removed.
    QueueRemoved {
        /// The queue.
        queue: QueueId,
        /// The queue in which its live tickets continue, if there were any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        move_to: Option<QueueId>,
        /// The live tickets, with their ranks in that queue.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ranks: Vec<(TicketId, u64)>,
    },
    /// A station was created, or its settings changed.
    StationConfigured {
        /// The station.
        station: StationId,
        /// The name, as people read it on a door.
        name: String,
        /// The queues that the station serves. Absent: every queue.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        queues: Option<BTreeSet<QueueId>>,
    },
    /// A station was removed.
    StationRemoved {
        /// The station.
        station: StationId,
    },
    /// A display was paired.
    DisplayPaired {
        /// The display.
        display: DisplayId,
        /// The name by which staff know the screen.
        name: String,
        /// The check-in point whose kiosk the display is.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        check_in_point: Option<CheckInPointId>,
    },
    /// A display got another name.
    DisplayRenamed {
        /// The display.
        display: DisplayId,
        /// The new name.
        name: String,
    },
    /// A display was removed.
    DisplayUnpaired {
        /// The display.
        display: DisplayId,
    },
    /// A check-in point was created, or its setup changed.
    CheckInPointConfigured {
        /// The check-in point.
        point: CheckInPointId,
        /// The setup.
        setup: CheckInPointSetup,
    },
    /// A check-in point got a new code.
    CheckInPointRotated {
        /// The check-in point.
        point: CheckInPointId,
    },
    /// A check-in point was taken out of use.
    CheckInPointRevoked {
        /// The check-in point.
        point: CheckInPointId,
    },
    /// A check-in point was removed.
    CheckInPointRemoved {
        /// The check-in point.
        point: CheckInPointId,
    },
    /// A station was opened or closed.
    StationStateChanged {
        /// The station.
        station: StationId,
        /// Whether the station is open now.
        open: bool,
    },
    /// A queue was opened, paused, resumed or closed.
    QueueStateChanged {
        /// The queue.
        queue: QueueId,
        /// The new state.
        state: QueueState,
        /// The message of a pause.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// Waiting tickets got another order.
    QueueReordered {
        /// The queue.
        queue: QueueId,
        /// The tickets that moved, with their new ranks.
        ranks: Vec<(TicketId, u64)>,
    },
    /// A patient let others go first. Each of them got the turn of the person before.
    TicketYielded {
        /// The ticket that moved back.
        ticket: TicketId,
        /// The queue.
        queue: QueueId,
        /// All tickets that moved, with their new ranks.
        ranks: Vec<(TicketId, u64)>,
    },
    /// A ticket was issued.
    TicketIssued {
        /// The ticket.
        ticket: TicketId,
        /// The queue.
        queue: QueueId,
        /// The local service day, `YYYY-MM-DD`.
        day: String,
        /// The number in the label. Counted per queue and service day, never reused.
        number: u32,
        /// The label, such as `A-042`.
        label: String,
        /// The priority.
        priority: Priority,
        /// The order within the priority.
        rank: u64,
        /// The appointment that the ticket checks in.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        appointment: Option<AppointmentId>,
        /// The ticket at another location that this one continues.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<TicketId>,
        /// How the ticket was taken. Events of older versions lack it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        method: Option<CheckInMethod>,
    },
    /// The ticket was issued although check-in was not open.
    CheckInOverridden {
        /// The ticket.
        ticket: TicketId,
        /// Why.
        reason: String,
    },
    /// A device of the patient is alerted from now on.
    AlertsSubscribed {
        /// The ticket.
        ticket: TicketId,
        /// The device.
        device: DeviceId,
    },
    /// A device is not alerted any more.
    AlertsUnsubscribed {
        /// The ticket.
        ticket: TicketId,
        /// The device.
        device: DeviceId,
    },
    /// A ticket was called.
    TicketCalled {
        /// The ticket.
        ticket: TicketId,
        /// The station that called.
        station: StationId,
    },
    /// A call was repeated.
    TicketRecalled {
        /// The ticket.
        ticket: TicketId,
    },
    /// The service started.
    ServiceStarted {
        /// The ticket.
        ticket: TicketId,
    },
    /// The service ended.
    TicketCompleted {
        /// The ticket.
        ticket: TicketId,
    },
    /// A ticket was set aside.
    TicketHeld {
        /// The ticket.
        ticket: TicketId,
        /// Why.
        reason: Option<String>,
    },
    /// A ticket on hold is back in line.
    TicketResumed {
        /// The ticket.
        ticket: TicketId,
    },
    /// A called patient was absent.
    TicketAbsent {
        /// The ticket.
        ticket: TicketId,
    },
    /// An absent patient is back in line.
    TicketReturned {
        /// The ticket.
        ticket: TicketId,
    },
    /// The patient never came.
    TicketNoShow {
        /// The ticket.
        ticket: TicketId,
    },
    /// The ticket was cancelled.
    TicketCancelled {
        /// The ticket.
        ticket: TicketId,
        /// Why.
        reason: Option<String>,
    },
    /// The patient left.
    TicketLeft {
        /// The ticket.
        ticket: TicketId,
    },
    /// The ticket moved to another queue of the location.
    TicketMoved {
        /// The ticket.
        ticket: TicketId,
        /// The new queue.
        queue: QueueId,
        /// The order within the priority, in the new queue.
        rank: u64,
    },
    /// The ticket is on the way to another location and keeps its place here.
    TicketLeaving {
        /// The ticket.
        ticket: TicketId,
        /// Where the ticket moves to.
        handover: TicketHandover,
    },
    /// The ticket did not leave: it is back where it was, with the same rank.
    TicketStayed {
        /// The ticket.
        ticket: TicketId,
        /// The status that the ticket has again.
        to: TicketStatus,
        /// The refusal of the destination, or why the move was taken back.
        why: Code,
        /// Whether the destination may still accept, so that the move has to be withdrawn there.
        withdraws: bool,
        /// When: the time limit of the move, or the time of the command.
        at: Millis,
    },
    /// The destination has answered a ticket that ended here, or that was taken back.
    TicketHandoverClosed {
        /// The ticket.
        ticket: TicketId,
        /// Whether the person is at the other location, so that the end here cannot be undone.
        kept: bool,
    },
    /// The origin asks the destination of a ticket's move again: no answer has arrived.
    TicketMoveAsked {
        /// The ticket.
        ticket: TicketId,
        /// How often the question was repeated, with those repetitions for which it is too late.
        attempt: AttemptNumber,
    },
    /// The destination has decided about a move that its origin takes back. The decision is final.
    WithdrawalAnswered {
        /// The ticket at the destination.
        ticket: TicketId,
        /// Whether the person stays at the destination. Otherwise the person is at the origin, and
        /// the end of the ticket cannot be undone.
        kept: bool,
    },
    /// A move to this location was taken back before it arrived. If it arrives, it is refused.
    HandoverBarred {
        /// The ticket that must not come to be.
        successor: String,
    },
    /// The ticket ended here and continues at another location.
    TicketTransferred {
        /// The ticket.
        ticket: TicketId,
        /// The other location.
        location: LocationId,
        /// The ticket there.
        successor: TicketId,
    },
    /// The priority changed.
    TicketPrioritised {
        /// The ticket.
        ticket: TicketId,
        /// The new priority.
        priority: Priority,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A step of the ticket was undone.
    TicketReverted {
        /// The ticket.
        ticket: TicketId,
        /// The version of the step that was undone.
        reverts: u64,
        /// The status before that step, which the ticket has again.
        to: TicketStatus,
    },
    /// A timer ended the ticket.
    TicketExpired {
        /// The ticket.
        ticket: TicketId,
        /// The end that the ticket came to.
        state: TicketState,
        /// The timer.
        why: Expiry,
        /// When the timer was due, however late that was noticed.
        at: Millis,
    },
    /// A fact about an appointment was applied: all of it, or all but the status when the front
    /// desk knows that better (`overruled`).
    AppointmentReported {
        /// The appointment.
        appointment: AppointmentId,
        /// All that the source knows.
        fact: AppointmentFact,
        /// The change that the fact made.
        change: AppointmentChange,
    },
    /// A fact about an appointment changed nothing: it was known already (`repeated`) or is older
    /// than what is known (`stale`).
    FactIgnored {
        /// The appointment.
        appointment: AppointmentId,
        /// Why the fact changed nothing.
        change: AppointmentChange,
    },
    /// A source moved the appointment to another location, which has not accepted yet. Until then
    /// the appointment stays here as it was.
    AppointmentLeaving {
        /// The appointment.
        appointment: AppointmentId,
        /// All that the source knows.
        fact: AppointmentFact,
        /// Where the appointment moves to.
        handover: AppointmentHandover,
    },
    /// The appointment did not leave.
    AppointmentStayed {
        /// The appointment.
        appointment: AppointmentId,
        /// The refusal of the destination.
        why: Code,
    },
    /// The origin asks the destination of an appointment's move again: no answer has arrived.
    AppointmentMoveAsked {
        /// The appointment.
        appointment: AppointmentId,
        /// How often the question was repeated, with those repetitions for which it is too late.
        attempt: AttemptNumber,
    },
    /// A fact arrived while the appointment was moving, and is reported again when the move is
    /// settled. Or the appointment has moved away, and the fact was passed on.
    FactDeferred {
        /// The appointment.
        appointment: AppointmentId,
        /// All that the source knows.
        fact: AppointmentFact,
        /// Whether the booking has moved back here with this fact.
        here: bool,
    },
    /// The appointment ended here and continues at another location.
    AppointmentMoved {
        /// The appointment.
        appointment: AppointmentId,
        /// All that the source knows.
        fact: AppointmentFact,
        /// The appointment at the other location.
        successor: AppointmentId,
    },
    /// The appointment was to start and nobody had checked in.
    AppointmentLate {
        /// The appointment.
        appointment: AppointmentId,
        /// The start of the appointment.
        at: Millis,
    },
    /// Nobody checked in for too long: the appointment is a no-show.
    AppointmentMissed {
        /// The appointment.
        appointment: AppointmentId,
        /// When the timer was due.
        at: Millis,
    },
    /// The source of the appointment said nothing more for so long that a timer ended the
    /// appointment.
    AppointmentClosed {
        /// The appointment.
        appointment: AppointmentId,
        /// The status that it ended with.
        status: AppointmentStatus,
        /// When the timer was due.
        at: Millis,
    },
    /// These appointments show the new name, zone or branding of the location. Each event has a
    /// slice of the appointments, in the order of their ids.
    AppointmentsRenewed {
        /// The appointments that showed something else.
        appointments: Vec<AppointmentId>,
        /// The last appointment that was looked at. Absent: there are no further ones.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<AppointmentId>,
    },
    /// A service day ended and the next one began.
    DayEnded {
        /// The day that ended, `YYYY-MM-DD`.
        day: String,
        /// The day that began, `YYYY-MM-DD`.
        next: String,
        /// When the next day began.
        at: Millis,
    },
    /// A run was requested.
    RunRequested {
        /// The file to check.
        file: RunFile,
        /// The subject who requested the run.
        by: String,
        /// Whether rows that passed are listed too.
        list_passes: bool,
        /// Seconds to keep the run after its end.
        keep_s: u32,
    },
    /// The run waits for a worker.
    RunQueued {
        /// The attempt that waits.
        attempt: AttemptNumber,
    },
    /// The run's place among the queued runs is known.
    RunPlaced {
        /// Runs before this one.
        ahead: u32,
    },
    /// A worker started an attempt.
    RunStarted {
        /// The attempt.
        attempt: AttemptNumber,
    },
    /// The attempt made progress.
    RunReported {
        /// The changes since the last report.
        report: RunReport,
    },
    /// Cancelling was requested and the worker has not stopped yet.
    RunCancelAsked,
    /// The run completed.
    RunCompleted {
        /// The totals.
        summary: RunSummary,
    },
    /// The run failed.
    RunFailed {
        /// Why.
        failure: RunFailure,
    },
    /// The run was cancelled.
    RunCancelled,
    /// A location holds the appointment with a key of a source. No other location has newer news.
    AppointmentClaimed {
        /// The appointment at the location.
        appointment: AppointmentId,
        /// All that the location knew of it.
        fact: AppointmentFact,
    },
    /// A rule was stored, new or changed.
    RulePut {
        /// The rule.
        rule: Rule,
    },
    /// A rule was enabled or disabled.
    RuleEnabled {
        /// The rule.
        rule: RuleId,
        /// Whether the rule is enabled now.
        enabled: bool,
    },
    /// A rule was deleted.
    RuleDeleted {
        /// The rule.
        rule: RuleId,
    },
    /// A tenant was created, or its settings changed.
    TenantStored {
        /// The tenant as it is now.
        stored: StoredTenant,
    },
    /// A webhook was created, or its settings, state or secret changed.
    WebhookStored {
        /// The webhook as it is now.
        stored: Webhook,
    },
    /// A webhook was deleted.
    WebhookDeleted {
        /// The webhook.
        webhook: WebhookId,
    },
    /// A test of a webhook was requested.
    WebhookTested {
        /// The webhook.
        webhook: WebhookId,
    },
    /// Events are sent to a webhook again.
    WebhookReplayed {
        /// The webhook.
        webhook: WebhookId,
        /// The events.
        replay: Replay,
    },
    /// An entry of a reference table was stored, new or changed.
    ReferencePut {
        /// The table.
        table: ReferenceTable,
        /// The key of the entry.
        key: String,
        /// The entry.
        entry: ReferenceEntry,
    },
    /// An entry of a reference table was deleted.
    ReferenceDeleted {
        /// The table.
        table: ReferenceTable,
        /// The key of the entry.
        key: String,
    },
    /// A reference table was loaded.
    ReferenceLoaded {
        /// The table.
        table: ReferenceTable,
        /// The loaded entries by key.
        entries: BTreeMap<String, ReferenceEntry>,
        /// Whether entries stayed that were not loaded.
        keep_others: bool,
    },
    /// A reference table was deleted as a whole.
    ReferenceCleared {
        /// The table.
        table: ReferenceTable,
    },
}

/// The timer that ended a ticket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Expiry {
    /// The patient was absent for too long.
    AbsentTooLong,
    /// The ticket did not change for too long.
    Stale,
    /// The service day ended.
    DayEnded,
}

impl Expiry {
    /// The word that becomes the reason of the ticket.
    pub fn as_str(self) -> &'static str {
        match self {
            Expiry::AbsentTooLong => "absent_too_long",
            Expiry::Stale => "stale",
            Expiry::DayEnded => "day_ended",
        }
    }
}

/// The part of a ticket that a step can change and an undo restores.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
pub struct TicketStatus {
    /// The queue that the ticket is in.
    pub queue: QueueId,
    /// The state.
    pub state: TicketState,
    /// The priority.
    pub priority: Priority,
    /// Why the ticket has its priority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority_reason: Option<String>,
    /// The order within a priority: the smaller rank is called first.
    pub rank: u64,
    /// The station that called the ticket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub station: Option<StationId>,
    /// When the ticket was called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called_at: Option<Millis>,
    /// When the service started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Millis>,
    /// When the ticket ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Millis>,
    /// How often the call was repeated.
    #[serde(default)]
    pub recalls: u32,
    /// Why the ticket is on hold or has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The ticket that continues at another location.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub successor: Option<TicketId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_of_expiry_match_their_json() {
        for expiry in [Expiry::AbsentTooLong, Expiry::Stale, Expiry::DayEnded] {
            assert_eq!(serde_json::to_value(expiry).unwrap(), expiry.as_str());
        }
    }
}
