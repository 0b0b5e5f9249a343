//! Commands: requests to one aggregate and facts about it, as the topics `clinicwire.care.v1` and
//! `clinicwire.runs.v1` carry them. Each is one record with an id of its own.

mod content;
mod edition;
mod faults;
mod outcome;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    Millis,
    appointment::AppointmentFact,
    attempt::AttemptNumber,
    branding::Branding,
    check_in::CheckInPointSetup,
    handover::{HandoverAnswer, MoveQuestion},
    ids::{
        AggregateKind, AppointmentId, CheckInPointId, DisplayId, QueueId, RuleId, StationId,
        TicketId, WebhookId,
    },
    load::LoadBands,
    privacy::Privacy,
    push::PushDevice,
    reference::{ReferenceEntry, ReferenceTable},
    rule::Rule,
    run::{RunFailure, RunFile, RunReport, RunSummary},
    settings::{BoardMessage, CallOrder},
    tenant::TenantSettings,
    ticket::Priority,
    timers::Timers,
    webhook::{Replay, WebhookSettings},
};

pub use outcome::{CommandOutcome, CommandResult, Verdict};

macro_rules! commands {
    ($($aggregate:ident: $(
        $(#[$doc:meta])*
        $name:ident = $kind:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty),* $(,)? }
    )*;)*) => {
        /// A request to an aggregate, or a fact about it. The JSON has the kind in `type`.
        #[derive(Clone, PartialEq, Serialize, Deserialize)]
        #[cfg_attr(any(test, feature = "json-schema"), derive(schemars::JsonSchema))]
        #[serde(tag = "type")]
        #[expect(
            clippy::large_enum_variant,
            reason = "a command lives for one decision, so few exist at once"
        )]
        pub enum Command {
            $($(
                $(#[$doc])*
                #[serde(rename = $kind)]
                $name { $($(#[$field_doc])* $field: $type),* },
            )*)*
        }

        impl Command {
            /// Every kind of command, as `type` spells them.
            pub const KINDS: &'static [&'static str] = &[$($($kind),*),*];

            /// The kind, as `type` spells it.
            pub fn kind(&self) -> &'static str {
                match self {
                    $($(Command::$name { .. } => $kind,)*)*
                }
            }

            /// The kind of aggregate that decides the command.
            pub fn aggregate_kind(&self) -> AggregateKind {
                match self {
                    $($(Command::$name { .. } => AggregateKind::$aggregate,)*)*
                }
            }
        }
    };
}

commands! {
    Location:
    /// Creates the location, or changes its settings.
    ConfigureLocation = "location.configure" {
        /// The name of the location.
        name: String,
        /// The IANA name of the time zone, which decides the date of "today".
        time_zone: String,
        /// BCP 47 tags. The first is the default.
        languages: Vec<String>,
        /// The timers. Absent: the defaults.
        #[serde(default)]
        timers: Timers,
        /// From when on a dashboard marks numbers as high. Absent: never.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bands: Option<LoadBands>,
        /// The order in which people of one priority are called. Absent: by arrival.
        #[serde(default)]
        call_order: CallOrder,
        /// The postal address, in one line. Absent: none is shown.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        address: Option<String>,
        /// The edition of the settings that the change was made from. Absent: any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        edition: Option<u64>,
    }
    /// Changes what lines and boards show of people.
    ChangePrivacy = "location.change_privacy" {
        /// The privacy settings of lines and boards.
        privacy: Privacy,
        /// The edition of the settings that the change was made from. Absent: any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        edition: Option<u64>,
    }
    /// Changes the messages that the boards show in turn.
    ChangeMessages = "location.change_messages" {
        /// The messages, in the order in which boards show them.
        messages: Vec<BoardMessage>,
        /// The edition of the settings that the change was made from. Absent: any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        edition: Option<u64>,
    }
    /// Changes the colour and the logo of boards and patients' pages.
    ChangeBranding = "location.change_branding" {
        /// The branding.
        branding: Branding,
        /// The edition of the settings that the change was made from. Absent: any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        edition: Option<u64>,
    }
    /// Puts the queues into the order in which pages list them. Queues that are not named follow.
    OrderQueues = "location.order_queues" {
        /// Queues, in order.
        queues: Vec<QueueId>,
        /// The edition of the order that the change was made from. Absent: any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        edition: Option<u64>,
    }
    /// Creates a queue of this location, or changes its settings. A new queue is closed.
    ConfigureQueue = "queue.configure" {
        /// The queue.
        queue: QueueId,
        /// The name of the queue.
        name: String,
        /// The letters that the queue's labels begin with. Unique in the location.
        prefix: String,
        /// Expected seconds of one service, used until the queue has measured some.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        service_s: Option<u32>,
        /// Most live tickets of the queue. Absent: as before, and for a new queue those of the
        /// location.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        max_tickets: Option<u32>,
        /// The edition of the settings that the change was made from. Absent: any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        edition: Option<u64>,
    }
    /// Removes the queue. Refused while live tickets are in it, unless they move to `move_to`.
    RemoveQueue = "queue.remove" {
        /// The queue.
        queue: QueueId,
        /// The queue of the same location in which the live tickets continue, at most
        /// [`MAX_REORDER`] of them. Each keeps its state and its turn.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        move_to: Option<QueueId>,
    }
    /// Creates a station, or changes its settings.
    ConfigureStation = "station.configure" {
        /// The station.
        station: StationId,
        /// The name, as people read it on a door.
        name: String,
        /// The queues that the station serves. Absent: every queue of the location. An empty list:
        /// none, so that the station only calls tickets by name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        queues: Option<BTreeSet<QueueId>>,
        /// The edition of the settings that the change was made from. Absent: any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        edition: Option<u64>,
    }
    /// Removes a station. Refused while a patient is called to it, in service there, or absent
    /// after its call.
    RemoveStation = "station.remove" {
        /// The station.
        station: StationId,
    }
    /// Pairs a display with the location. The caller chooses the random part of the id.
    PairDisplay = "display.pair" {
        /// The id of the new display.
        display: DisplayId,
        /// The name by which staff know the screen.
        name: String,
        /// The check-in point whose kiosk the display is. Absent: it shows the board.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        check_in_point: Option<CheckInPointId>,
    }
    /// Renames a display.
    RenameDisplay = "display.rename" {
        /// The display.
        display: DisplayId,
        /// The new name.
        name: String,
        /// The edition of the display that the change was made from. Absent: any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        edition: Option<u64>,
    }
    /// Removes a display, whose credential is then not renewed any more.
    UnpairDisplay = "display.unpair" {
        /// The display.
        display: DisplayId,
    }
    /// Creates a check-in point, or changes its setup. The code of a known one stays.
    ConfigureCheckInPoint = "check_in_point.configure" {
        /// The check-in point.
        point: CheckInPointId,
        /// The setup.
        setup: CheckInPointSetup,
        /// The edition of the setup that the change was made from. Absent: any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        edition: Option<u64>,
    }
    /// Gives a check-in point a new code, so that older ones expire. Takes a revoked point into use
    /// again.
    RotateCheckInPoint = "check_in_point.rotate" {
        /// The check-in point.
        point: CheckInPointId,
    }
    /// Takes a check-in point out of use: its code expires, and its kiosks check nobody in.
    RevokeCheckInPoint = "check_in_point.revoke" {
        /// The check-in point.
        point: CheckInPointId,
    }
    /// Removes a check-in point.
    RemoveCheckInPoint = "check_in_point.remove" {
        /// The check-in point.
        point: CheckInPointId,
    }
    /// Opens the station for calls.
    OpenStation = "station.open" {
        /// The station.
        station: StationId,
    }
    /// Closes the station: calls to it are refused.
    CloseStation = "station.close" {
        /// The station.
        station: StationId,
    }
    /// Opens the queue: tickets are issued and called.
    OpenQueue = "queue.open" {
        /// The queue.
        queue: QueueId,
    }
    /// Pauses the queue: nobody is called, but tickets are still issued.
    PauseQueue = "queue.pause" {
        /// The queue.
        queue: QueueId,
        /// Why or until when, for staff, the patients of the queue and the boards.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    }
    /// Ends a pause.
    ResumeQueue = "queue.resume" {
        /// The queue.
        queue: QueueId,
    }
    /// Closes the queue: no tickets are issued, but waiting patients are still called.
    CloseQueue = "queue.close" {
        /// The queue.
        queue: QueueId,
    }
    /// Puts the named waiting tickets into this order. All others keep their order behind them.
    ReorderQueue = "queue.reorder" {
        /// The queue.
        queue: QueueId,
        /// Waiting tickets, first to be called first. At most [`MAX_REORDER`].
        tickets: Vec<TicketId>,
    }
    /// Issues a ticket. The caller chooses the random part of the id; the queue's counter gives the
    /// label.
    IssueTicket = "ticket.issue" {
        /// The queue.
        queue: QueueId,
        /// The id of the new ticket.
        ticket: TicketId,
        /// The priority.
        #[serde(default)]
        priority: Priority,
    }
    /// Calls the first waiting ticket of the queue.
    CallNext = "queue.call_next" {
        /// The queue.
        queue: QueueId,
        /// The station that calls.
        station: StationId,
        /// Marks a patient who is still called to the station as absent. Without it, such a call
        /// is refused as `station_busy`.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        force: bool,
    }
    /// Calls the first waiting ticket of all queues that the station serves and that are not
    /// paused: the highest priority, then the earliest turn.
    CallNextAtStation = "station.call_next" {
        /// The station that calls.
        station: StationId,
        /// Whether a patient who is still called to the station becomes absent.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        force: bool,
    }
    /// Calls this ticket, even when others wait before it.
    CallTicket = "ticket.call" {
        /// The ticket.
        ticket: TicketId,
        /// The station that calls.
        station: StationId,
        /// Whether a patient who is still called to the station becomes absent.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        force: bool,
    }
    /// Repeats the call of a called ticket.
    RecallTicket = "ticket.recall" {
        /// The ticket.
        ticket: TicketId,
    }
    /// Starts the service: the patient is with the clinician.
    StartService = "ticket.start" {
        /// The ticket.
        ticket: TicketId,
    }
    /// Ends the service.
    CompleteTicket = "ticket.complete" {
        /// The ticket.
        ticket: TicketId,
    }
    /// Sets the ticket aside.
    HoldTicket = "ticket.hold" {
        /// The ticket.
        ticket: TicketId,
        /// Why, for staff and the patient.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    }
    /// Puts a ticket on hold back in line, at its old place.
    ResumeTicket = "ticket.resume" {
        /// The ticket.
        ticket: TicketId,
    }
    /// Marks a called patient as absent.
    MarkAbsent = "ticket.absent" {
        /// The ticket.
        ticket: TicketId,
    }
    /// Puts an absent patient back in line, at the old place.
    ReturnTicket = "ticket.return" {
        /// The ticket.
        ticket: TicketId,
    }
    /// Lets the next people of the same priority go first: a waiting patient moves back, as far
    /// and as often as the timers of the location allow.
    YieldTicket = "ticket.yield" {
        /// The ticket.
        ticket: TicketId,
    }
    /// Alerts a device of the patient when the turn is near and at each call, as long as the ticket
    /// lives.
    SubscribeAlerts = "ticket.subscribe_alerts" {
        /// The ticket.
        ticket: TicketId,
        /// The device.
        device: PushDevice,
    }
    /// Ends the alerts of a device.
    UnsubscribeAlerts = "ticket.unsubscribe_alerts" {
        /// The ticket.
        ticket: TicketId,
        /// The address of the device at its push service.
        endpoint: String,
    }
    /// Ends the ticket of a patient who never came.
    MarkNoShow = "ticket.no_show" {
        /// The ticket.
        ticket: TicketId,
    }
    /// Cancels the ticket, for the clinic or for the patient.
    CancelTicket = "ticket.cancel" {
        /// The ticket.
        ticket: TicketId,
        /// Why, for staff and the patient.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    }
    /// Ends the ticket of a patient who left.
    LeaveTicket = "ticket.leave" {
        /// The ticket.
        ticket: TicketId,
    }
    /// Moves the ticket to another queue. Within the location, the ticket joins the end of its
    /// priority. To another location, the ticket is `leaving` and keeps its place until that
    /// location has accepted it.
    TransferTicket = "ticket.transfer" {
        /// The ticket.
        ticket: TicketId,
        /// The queue to move to.
        queue: QueueId,
    }
    /// Asks the destination of a move to issue the successor. Written by a processor, like all
    /// commands of a move.
    ReceiveTicket = "ticket.receive" {
        /// The ticket that continues here.
        ticket: TicketId,
        /// The queue.
        queue: QueueId,
        /// The priority that the ticket had.
        priority: Priority,
        /// The ticket at the origin.
        from: TicketId,
        /// The destination refuses the move after this time.
        until: Millis,
    }
    /// Takes a move back that the destination may have accepted.
    WithdrawTicket = "ticket.withdraw" {
        /// The ticket that would continue here.
        ticket: TicketId,
        /// The ticket at the origin.
        from: TicketId,
    }
    /// Brings the answer of the destination to the origin.
    SettleTicket = "ticket.settle" {
        /// The ticket at the origin.
        ticket: TicketId,
        /// The ticket at the destination.
        successor: TicketId,
        /// The answer.
        answer: HandoverAnswer,
    }
    /// Changes the priority. The ticket's place is then given by its turn within the new priority.
    Prioritise = "ticket.prioritise" {
        /// The ticket.
        ticket: TicketId,
        /// The new priority.
        priority: Priority,
        /// Why, for staff alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    }
    /// Undoes the ticket's last step.
    RevertTicket = "ticket.revert" {
        /// The ticket.
        ticket: TicketId,
    }
    /// Reports what a source knows about an appointment.
    ReportAppointment = "appointment.report" {
        /// The id for an appointment that the location does not know yet; otherwise unused. The
        /// program that appends the record chooses the random part.
        appointment: AppointmentId,
        /// All that the source knows.
        fact: AppointmentFact,
    }
    /// Checks the patient of an appointment in, which issues the ticket.
    CheckIn = "appointment.check_in" {
        /// The appointment.
        appointment: AppointmentId,
        /// The queue of the ticket. Absent: the queue of the appointment.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        queue: Option<QueueId>,
    }
    /// Checks the patient of an appointment in, whatever the window of check-in is and although the
    /// last timer of the appointment has fired.
    OverrideCheckIn = "appointment.override_check_in" {
        /// The appointment.
        appointment: AppointmentId,
        /// The queue of the ticket. Absent: the queue of the appointment.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        queue: Option<QueueId>,
        /// Why, for staff and the audit.
        reason: String,
    }
    /// Undoes the check-in of an appointment, which ends its ticket. The appointment can be checked
    /// in again.
    UndoCheckIn = "appointment.undo_check_in" {
        /// The appointment.
        appointment: AppointmentId,
    }
    /// Asks the destination of a move to book the appointment. Written by a processor, like all
    /// commands of a move.
    ReceiveAppointment = "appointment.receive" {
        /// The id for the appointment, unless the location knows the booking already.
        appointment: AppointmentId,
        /// All that the source knows.
        fact: AppointmentFact,
        /// The appointment at the origin.
        from: AppointmentId,
        /// How often the fact was passed on because the appointment had moved on.
        #[serde(default)]
        hops: u8,
        /// The question that is answered. Absent for a fact that was passed on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        question: Option<MoveQuestion>,
    }
    /// Brings the answer of the destination to the origin.
    SettleAppointment = "appointment.settle" {
        /// The appointment at the origin.
        appointment: AppointmentId,
        /// The appointment at the destination that was asked for.
        successor: AppointmentId,
        /// The appointment that the destination has for the booking.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        held: Option<AppointmentId>,
        /// The answer.
        answer: HandoverAnswer,
        /// The question that is answered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        question: Option<MoveQuestion>,
    }
    /// Moves the clock of the location, because a timer is due. Written by the owner of the
    /// partition.
    Tick = "location.tick" {};
    Run:
    /// Creates a run: asks for a file to be checked.
    RequestRun = "run.request" {
        /// The file to check.
        #[serde(flatten)]
        file: RunFile,
        /// Whether rows that passed are listed too.
        #[serde(default)]
        list_passes: bool,
        /// Seconds to keep the run after its end.
        keep_s: u32,
    }
    /// Cancels a run that has not ended.
    CancelRun = "run.cancel" {}
    /// Asks again for a run that failed for a reason that may have passed.
    RetryRun = "run.retry" {}
    /// Reports how many runs are queued before this one. Written by a worker, like all that follow.
    PlaceRun = "run.place" {
        /// The attempt that is queued.
        attempt: AttemptNumber,
        /// Runs before this one.
        ahead: u32,
    }
    /// Reports that a worker started the attempt.
    StartRun = "run.start" {
        /// The attempt.
        attempt: AttemptNumber,
    }
    /// Reports the progress of the attempt.
    ReportRun = "run.report" {
        /// The attempt.
        attempt: AttemptNumber,
        /// The changes since the last report.
        report: RunReport,
    }
    /// Reports a fault that may pass: the run is queued again as the next attempt.
    ReleaseRun = "run.release" {
        /// The attempt.
        attempt: AttemptNumber,
    }
    /// Reports that the attempt has completed and its findings are stored.
    CompleteRun = "run.complete" {
        /// The attempt.
        attempt: AttemptNumber,
        /// The last report.
        report: RunReport,
        /// The totals.
        summary: RunSummary,
    }
    /// Reports that the attempt has failed for good.
    FailRun = "run.fail" {
        /// The attempt.
        attempt: AttemptNumber,
        /// Why.
        failure: RunFailure,
    }
    /// Reports that the attempt was stopped, because the run was cancelled.
    StopRun = "run.stop" {
        /// The attempt.
        attempt: AttemptNumber,
    };
    Rules:
    /// Stores a rule, new or changed.
    PutRule = "rule.put" {
        /// The rule.
        rule: Rule,
        /// The edition of the rule that the change was made from. Absent: any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        edition: Option<u64>,
    }
    /// Enables a rule.
    EnableRule = "rule.enable" {
        /// The rule.
        rule: RuleId,
    }
    /// Disables a rule.
    DisableRule = "rule.disable" {
        /// The rule.
        rule: RuleId,
    }
    /// Deletes a rule.
    DeleteRule = "rule.delete" {
        /// The rule.
        rule: RuleId,
        /// The edition of the rule that the removal was decided from. Absent: any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        edition: Option<u64>,
    }
    /// Stores an entry of a reference table, new or changed.
    PutReference = "reference.put" {
        /// The table.
        table: ReferenceTable,
        /// The key of the entry, in the form of [`ReferenceTable::key`].
        key: String,
        /// The entry.
        entry: ReferenceEntry,
        /// The edition of the entry that the change was made from, 0 for a new one. Absent: any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        edition: Option<u64>,
    }
    /// Deletes an entry of a reference table.
    DeleteReference = "reference.delete" {
        /// The table.
        table: ReferenceTable,
        /// The key of the entry.
        key: String,
        /// The edition of the entry that the removal was decided from. Absent: any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        edition: Option<u64>,
    }
    /// Loads a reference table from CSV, as a whole or not at all.
    LoadReference = "reference.load" {
        /// The table.
        table: ReferenceTable,
        /// The table as CSV with a header row, in UTF-8.
        csv: String,
        /// Whether entries stay that the CSV does not name. Otherwise they are deleted.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        keep_others: bool,
        /// The edition of the table that the load was made from, 0 for none. Absent: any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        edition: Option<u64>,
    }
    /// Deletes a whole reference table: the tenant uses the table of the installation again.
    ClearReference = "reference.clear" {
        /// The table.
        table: ReferenceTable,
        /// The edition of the table that the removal was decided from. Absent: any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        edition: Option<u64>,
    };
    Webhooks:
    /// Creates a webhook. The caller chooses the random part of the id.
    CreateWebhook = "webhook.create" {
        /// The id of the new webhook.
        webhook: WebhookId,
        /// The settings.
        settings: WebhookSettings,
    }
    /// Changes the settings of a webhook.
    ChangeWebhook = "webhook.change" {
        /// The webhook.
        webhook: WebhookId,
        /// The settings.
        settings: WebhookSettings,
        /// The edition that the change was made from. Absent: any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        edition: Option<u64>,
    }
    /// Deletes a webhook. Events that wait are not sent.
    DeleteWebhook = "webhook.delete" {
        /// The webhook.
        webhook: WebhookId,
    }
    /// Gives a webhook a new secret.
    RotateWebhook = "webhook.rotate" {
        /// The webhook.
        webhook: WebhookId,
        /// Seconds for which messages are signed with the old secret too.
        keep_s: u32,
    }
    /// Pauses a webhook: events wait.
    PauseWebhook = "webhook.pause" {
        /// The webhook.
        webhook: WebhookId,
    }
    /// Sends to a paused or disabled webhook again.
    ResumeWebhook = "webhook.resume" {
        /// The webhook.
        webhook: WebhookId,
    }
    /// Disables a webhook whose receiver has answered 410. Written by a processor.
    DisableWebhook = "webhook.disable" {
        /// The webhook.
        webhook: WebhookId,
    }
    /// Sends a test event to one webhook.
    TestWebhook = "webhook.test" {
        /// The webhook.
        webhook: WebhookId,
    }
    /// Sends events to a webhook again.
    ReplayWebhook = "webhook.replay" {
        /// The webhook.
        webhook: WebhookId,
        /// The events.
        replay: Replay,
    };
    Tenant:
    /// Creates a tenant.
    CreateTenant = "tenant.create" {
        /// The settings.
        settings: TenantSettings,
    }
    /// Changes the settings of a tenant.
    ChangeTenant = "tenant.change" {
        /// The settings.
        settings: TenantSettings,
        /// The edition that the change was made from. Absent: any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        edition: Option<u64>,
    };
    AppointmentKey:
    /// Says that a location holds the appointment with this key of a source. Written by a
    /// processor, when a location books what it did not hold before.
    ClaimAppointment = "appointment_key.claim" {
        /// The appointment at the location.
        appointment: AppointmentId,
        /// The location's fact about it, without a location to move to.
        fact: AppointmentFact,
    };
}
/// Most tickets that one reorder may name, and that the removal of a queue may move: the longest
/// line that a person can still work through. More are refused, as `invalid_value` and as
/// `queue_too_long`.
pub const MAX_REORDER: usize = 500;

impl Command {
    /// The webhook that the command is about, if any.
    pub fn webhook(&self) -> Option<&WebhookId> {
        use Command as C;
        match self {
            C::CreateWebhook { webhook, .. }
            | C::ChangeWebhook { webhook, .. }
            | C::DeleteWebhook { webhook }
            | C::RotateWebhook { webhook, .. }
            | C::PauseWebhook { webhook }
            | C::ResumeWebhook { webhook }
            | C::DisableWebhook { webhook }
            | C::TestWebhook { webhook }
            | C::ReplayWebhook { webhook, .. } => Some(webhook),
            _ => None,
        }
    }

    /// The ticket that the command is about, if any.
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
            | C::YieldTicket { ticket }
            | C::SubscribeAlerts { ticket, .. }
            | C::UnsubscribeAlerts { ticket, .. }
            | C::TransferTicket { ticket, .. }
            | C::ReceiveTicket { ticket, .. }
            | C::WithdrawTicket { ticket, .. }
            | C::SettleTicket { ticket, .. }
            | C::Prioritise { ticket, .. }
            | C::RevertTicket { ticket } => Some(ticket),
            _ => None,
        }
    }

    /// The appointment that the command is about, if any.
    pub fn appointment(&self) -> Option<&AppointmentId> {
        match self {
            Command::ReportAppointment { appointment, .. }
            | Command::ReceiveAppointment { appointment, .. }
            | Command::SettleAppointment { appointment, .. }
            | Command::CheckIn { appointment, .. }
            | Command::OverrideCheckIn { appointment, .. }
            | Command::UndoCheckIn { appointment } => Some(appointment),
            _ => None,
        }
    }
}
