//! The effect of one record on the aggregate that it names.

use schemas::{
    Millis,
    codes::Code,
    command::{CommandResult, Verdict},
    event::Event,
    identity::CommandIdentity,
    ids::{AppointmentId, TicketId},
    outward::OutwardData,
    record::{CommandRecord, ViewDelta},
    tenant::StoredTenant,
    view::Position,
};

use crate::{alerts::AlertChange, location::History, webhooks::WebhookChange};

/// The two times of a record. Only the second one can expire a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordTime {
    /// When the log appended the record. It moves the clock of the aggregate.
    pub appended_at: Millis,
    /// The owner's clock when it decides the record. After an outage it is far past `appended_at`.
    pub decided_at: Millis,
}

impl RecordTime {
    /// The times of a record that is decided at the moment when it is appended.
    pub fn at_once(appended_at: Millis) -> Self {
        Self { appended_at, decided_at: appended_at }
    }
}

/// The effect of one record.
pub struct RecordEffect {
    /// The position after the record. A refusal does not change it, except through timers.
    pub position: Position,
    /// The clock of the aggregate at this record.
    pub at: Millis,
    /// Whether the command was applied or refused.
    pub verdict: Verdict,
    /// The events, including those of timers that were due before the record. A refused command may
    /// have some too.
    pub events: Vec<Event>,
    /// Changes of views.
    pub deltas: Vec<ViewDelta>,
    /// Tickets whose row changed.
    pub touched: Vec<TicketId>,
    /// Appointments whose row changed.
    pub appointments: Vec<AppointmentId>,
    /// Commands for other aggregates. They are appended to the log after this aggregate is
    /// committed.
    pub follow_ups: Vec<CommandRecord>,
    /// Changes of devices and due alerts.
    pub alerts: Vec<AlertChange>,
    /// The events that other systems hear of, in order.
    pub outward: Vec<OutwardData>,
    /// Changes of the webhooks of a tenant.
    pub webhooks: Vec<WebhookChange>,
    /// The settings of a tenant, which were changed.
    pub tenant: Option<StoredTenant>,
    /// The final verdict on an earlier command, whose outcome was `moving`.
    pub settles: Option<Settlement<Verdict>>,
    /// The stays of tickets that began or ended, and the changes of figures.
    pub history: History,
}

/// The end of a move, whose outcome was `moving`.
#[derive(Clone, PartialEq)]
pub struct Settlement<T> {
    /// The command that asked for the move.
    pub command: CommandIdentity,
    /// The version of the step that began the move. A later command with the same key began
    /// another move.
    pub began: u64,
    /// The outcome.
    pub outcome: T,
}

impl RecordEffect {
    /// A refusal that changes nothing.
    pub fn refused(position: Position, at: Millis, code: Code) -> Self {
        Self {
            position,
            at,
            verdict: Verdict::Refused { code },
            events: Vec::new(),
            deltas: Vec::new(),
            touched: Vec::new(),
            appointments: Vec::new(),
            follow_ups: Vec::new(),
            alerts: Vec::new(),
            outward: Vec::new(),
            webhooks: Vec::new(),
            tenant: None,
            settles: None,
            history: History::default(),
        }
    }

    /// An applied command with these events and no follow-up.
    pub fn applied(
        position: Position,
        at: Millis,
        events: Vec<Event>,
        deltas: Vec<ViewDelta>,
    ) -> Self {
        let Position { epoch, version } = position;
        Self {
            position,
            at,
            verdict: Verdict::Applied { epoch, version, result: CommandResult::default() },
            events,
            deltas,
            touched: Vec::new(),
            appointments: Vec::new(),
            follow_ups: Vec::new(),
            alerts: Vec::new(),
            outward: Vec::new(),
            webhooks: Vec::new(),
            tenant: None,
            settles: None,
            history: History::default(),
        }
    }
}
